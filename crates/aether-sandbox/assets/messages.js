// The MQTT test client: what is published, as it is published, and a form to publish.

import { post, stream } from "./api.js";
import { clockTime, el, heading, notice } from "./dom.js";

/** Messages kept on the page; older ones go. */
const MOST = 300;

export function open(holder, { signal, keep, act }) {
  const filter = el("input", { class: "mono", value: "#", spellcheck: "false", autocomplete: "off", "data-testid": "message-filter" });
  const state = el("span", { class: "quiet", role: "status", "data-testid": "message-state" });
  const pause = el("button", { type: "button", "aria-pressed": "false", "data-testid": "message-pause" }, "Pause");
  const clear = el("button", { type: "button", "data-testid": "message-clear" }, "Clear");
  const form = el("form", { class: "panel" },
    el("div", { class: "row" },
      el("label", { class: "grow" }, "Topic filter", filter),
      el("button", { class: "primary", "data-testid": "message-subscribe" }, "Subscribe"), pause, clear));
  const list = el("div", { class: "live", "data-testid": "messages", hidden: true });
  const empty = el("div", { class: "panel empty" }, el("p", {}, "Messages appear here as they are published. # takes in every topic but those that begin with $."));
  holder.append(heading("Messages", undefined, state), publishForm(act), form, list, empty);

  let waiting = [];
  let timer;
  let paused = false;
  let subscription = new AbortController();
  signal.addEventListener("abort", () => subscription.abort());

  const draw = () => {
    timer = undefined;
    if (paused) return;
    list.prepend(...waiting.reverse().map(message));
    waiting = [];
    while (list.children.length > MOST) list.lastElementChild.remove();
    list.hidden = list.children.length === 0;
    empty.hidden = !list.hidden;
  };
  const arrived = (one) => {
    if (one.missed) {
      notice(`${one.missed} messages were too fast for this page and are not shown`);
      return;
    }
    waiting.push(one);
    if (waiting.length > MOST) waiting.shift();
    timer ??= setTimeout(draw, 100);
  };
  const subscribe = () => {
    subscription.abort();
    const mine = new AbortController();
    subscription = mine;
    const wanted = filter.value.trim();
    state.textContent = "subscribing";
    keep(async () => {
      if (mine.signal.aborted) return new Promise(() => {});
      await stream(`/messages?filter=${encodeURIComponent(wanted)}`, mine.signal, arrived, () => {
        state.textContent = `subscribed to ${wanted}`;
      }).catch((error) => {
        if (mine.signal.aborted) return;
        state.textContent = "not subscribed";
        throw error;
      });
      return undefined;
    });
  };
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    subscribe();
  });
  pause.addEventListener("click", () => {
    paused = !paused;
    pause.setAttribute("aria-pressed", String(paused));
    if (!paused) draw();
  });
  clear.addEventListener("click", () => {
    waiting = [];
    list.replaceChildren();
    list.hidden = true;
    empty.hidden = false;
  });
  subscribe();
}

function message(one) {
  const marks = [`QoS ${one.qos}`, one.retain ? "retain" : null, one.client_id ?? "service"].filter(Boolean).join(" · ");
  return el("article", { class: "new", "data-testid": "message-row", "data-topic": one.topic },
    el("time", { datetime: one.at }, clockTime(one.at)),
    el("span", { class: "what mono", "data-testid": "message-topic" }, one.topic),
    el("span", { class: "meta side" }, marks),
    el("pre", { "data-testid": "message-payload" }, payload(one)));
}

function payload(one) {
  if (one.payload === undefined) return `${one.bytes} bytes, base64: ${one.payload_base64}`;
  try {
    const parsed = JSON.parse(one.payload);
    return typeof parsed === "object" && parsed !== null ? JSON.stringify(parsed, null, 2) : one.payload;
  } catch {
    return one.payload;
  }
}

function publishForm(act) {
  const topic = el("input", { class: "mono", spellcheck: "false", autocomplete: "off", required: true, "data-testid": "publish-topic" });
  const body = el("textarea", { spellcheck: "false", "data-testid": "publish-payload" });
  const qos = el("select", { "data-testid": "publish-qos" }, el("option", { value: "0" }, "0"), el("option", { value: "1" }, "1"));
  const retain = el("input", { type: "checkbox", "data-testid": "publish-retain" });
  const form = el("form", { class: "panel" },
    el("label", {}, "Topic", topic),
    el("label", {}, "Payload", body),
    el("div", { class: "row" },
      el("label", {}, "QoS", qos), el("label", { class: "check" }, retain, "Retain"),
      el("button", { class: "primary", "data-testid": "publish-send" }, "Publish"),
      el("span", { class: "quiet" }, "No policy is asked: the message comes from the service.")));
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    act(async () => {
      await post("/publish", { topic: topic.value, payload: body.value, qos: Number(qos.value), retain: retain.checked });
      notice(`published to ${topic.value}`);
    });
  });
  return el("details", { "data-testid": "publish" }, el("summary", { "data-testid": "publish-open" }, "Publish a message"), form);
}
