// The decision log: who asked for what, what was decided, and which statement or rule decided it.

import { stream } from "./api.js";
import { clockTime, el, heading, pill } from "./dom.js";

/** Decisions kept on the page; older ones are in DIR/audit.jsonl. */
const MOST = 1000;
/** Of these, how many are shown at once. */
const SHOWN = 300;

export function open(holder, { signal, keep }) {
  let all = [];
  let wanted = "all";
  let words = "";
  let timer;
  const find = el("input", { type: "search", placeholder: "Find client, topic, policy…", "aria-label": "Find decisions", "data-testid": "decision-find" });
  const choices = ["all", "denied", "allowed"].map((choice) => el("button", {
    type: "button", "aria-pressed": String(choice === wanted), "data-testid": `decision-filter-${choice}`,
    onclick: () => {
      wanted = choice;
      for (const button of choices) button.setAttribute("aria-pressed", String(button.textContent.toLowerCase() === choice));
      draw();
    },
  }, `${choice[0].toUpperCase()}${choice.slice(1)}`));
  const list = el("div", { class: "live", "data-testid": "decisions", hidden: true });
  const empty = el("div", { class: "panel empty" }, el("p", {}, "No decision to show."));
  const title = heading("Decisions", 0, el("div", { class: "row" }, find, el("div", { class: "choice", role: "group", "aria-label": "Which decisions" }, choices)));
  holder.append(title, list, empty);
  // What was put off must not draw into the view that comes after this one.
  signal.addEventListener("abort", () => clearTimeout(timer));

  const draw = () => {
    timer = undefined;
    const fits = (one) => (wanted === "all" || one.decision === wanted) && (words === "" || JSON.stringify(one).toLowerCase().includes(words));
    const found = all.filter(fits);
    list.replaceChildren(...found.slice(-SHOWN).reverse().map(decision));
    list.hidden = found.length === 0;
    empty.hidden = !list.hidden;
    title.querySelector(".count").textContent = found.length;
  };
  const later = () => { timer ??= setTimeout(draw, 100); };
  find.addEventListener("input", () => {
    words = find.value.toLowerCase();
    draw();
  });
  keep(() => {
    all = [];
    return stream(`/decisions/stream?last=${MOST}`, signal, (one) => {
      if (one.missed) return;
      all.push(one);
      if (all.length > MOST) all.shift();
      later();
    });
  });
}

function decision(one) {
  const who = [one.client_id, one.certificate_kind, one.certificate_id?.slice(0, 12)].filter(Boolean).join(" · ");
  const rule = one.policy !== undefined ? `statement ${one.statement} of policy ${one.policy}` : null;
  const why = [rule, one.reason].filter(Boolean).join("; ");
  return el("article", { "data-testid": "decision-row", "data-decision": one.decision, "data-event": one.event },
    el("time", { datetime: one.at }, clockTime(one.at)),
    el("span", { class: "what" }, el("strong", {}, one.event), one.topic === undefined ? null : " ", one.topic === undefined ? null : el("span", { class: "mono", "data-testid": "decision-topic" }, one.topic)),
    el("span", { class: "side" }, pill(one.decision, "decision-word")),
    el("span", { class: "detail" },
      el("span", { "data-testid": "decision-why" }, why || (one.decision === "denied" ? "no statement allows it" : "")),
      why && who ? " — " : "", who));
}
