// The sandbox's clock, its counts, and the way back to an empty registry.

import { post } from "./api.js";
import { ask, clockTime, el, heading, notice, replace, span } from "./dom.js";

const STEPS = [["1 min", 60], ["5 min", 300], ["1 h", 3600], ["1 day", 86400], ["30 days", 2592000]];

export function open(holder, { follow, act }) {
  const now = el("div", { class: "big", "data-testid": "clock-now" }, "…");
  const ahead = el("p", { class: "quiet", "data-testid": "clock-ahead" });
  const by = el("input", { type: "number", min: "1", max: "3153600000", step: "1", value: "3600", "data-testid": "clock-seconds" });
  const counts = el("div");
  const advance = (seconds) => act(async () => {
    await post("/clock", { advance_s: seconds });
    notice(`time moved on by ${span(seconds)}`);
    await load();
  });
  const form = el("form", { class: "row" },
    STEPS.map(([word, seconds]) => el("button", { type: "button", "data-testid": `clock-${seconds}`, onclick: () => advance(seconds) }, `+ ${word}`)),
    el("label", {}, "Seconds", by), el("button", { class: "primary", "data-testid": "clock-advance" }, "Move on"));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    advance(Number(by.value));
  });
  const reset = el("button", {
    class: "danger", "data-testid": "reset",
    onclick: async () => {
      const text = "Things, device certificates, sessions and retained messages are forgotten. Policies, templates, CAs, the claim and the observer stay.";
      if (!(await ask("Forget all devices?", text, "Forget them"))) return;
      await act(async () => {
        await post("/reset", { confirm: true });
        notice("devices forgotten");
        await load();
      });
    },
  }, "Forget all devices…");
  holder.append(
    heading("Clock"),
    el("div", { class: "panel" }, now, ahead,
      el("p", {}, "Ownership tokens, certificates and sessions are judged by this clock. It only moves forward, and is the system's again at the next start."), form),
    heading("This sandbox"), counts,
    el("div", { class: "panel" }, el("h2", {}, "Begin again"), el("p", {}, "Between two runs of a test, without new claim certificates or CAs."), el("div", { class: "row" }, reset)));

  const load = follow("/status", (status) => {
    now.textContent = `${clockTime(status.now, true)}Z`;
    ahead.textContent = status.clock_ahead_s > 0 ? `${span(status.clock_ahead_s)} ahead of the system` : "the system's time";
    const line = (word, value) => [el("dt", {}, word), el("dd", { class: "mono" }, String(value))];
    replace(counts, el("div", { class: "panel" }, el("dl", { class: "known" }, [
      line("MQTT over TLS", status.mqtt), line("HTTP", status.http), line("directory", status.dir), line("version", status.version),
      line("running for", span(status.uptime_s)), line("template", status.template),
      ...Object.entries(status.counts).map(([word, count]) => line(word.replaceAll("_", " "), count)),
    ].flat())));
  });
}
