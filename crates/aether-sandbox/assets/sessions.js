// Sessions: who is connected, and what waits for whom.

import { clockTime, el, heading, pill, replace, short, table } from "./dom.js";

const HEADINGS = ["Client id", "State", "Since", "Certificate", "Subscriptions", "Waiting", "Dropped"];

export function open(holder, { follow }) {
  const list = el("div");
  const title = el("div");
  holder.append(title, list);
  follow("/sessions?limit=200", (answer) => {
    title.replaceChildren(heading("Sessions", answer.total));
    replace(list, table("Sessions", HEADINGS, answer.sessions.map(row), "Nobody is connected, and no session is kept."));
  });
}

function row(session) {
  const filters = session.subscriptions.map((filter) => el("span", { class: "mono" }, filter));
  return el("tr", { "data-testid": "session-row", "data-client": session.client_id },
    el("td", { class: "mono" }, session.client_id),
    el("td", {}, pill(session.connected ? "connected" : "kept")),
    el("td", { class: "tight" }, clockTime(session.since, true)),
    el("td", {}, session.certificate ? short(session.certificate) : "–"),
    el("td", {}, el("div", { class: "stack" }, filters.length > 0 ? filters : "–")),
    el("td", { class: "tight" }, String(session.queued)),
    el("td", { class: "tight" }, String(session.dropped)));
}
