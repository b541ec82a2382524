// Things: what the registry knows of devices.

import { clockTime, el, heading, replace, short, table } from "./dom.js";

const HEADINGS = ["Name", "Type and groups", "Attributes", "Certificates", "Registered"];

export function open(holder, { follow }) {
  const find = el("input", { type: "search", placeholder: "Find by name", "aria-label": "Find Things by name", "data-testid": "thing-find" });
  const list = el("div");
  const title = el("div");
  holder.append(title, list);
  const load = follow(() => `/things?limit=200&find=${encodeURIComponent(find.value)}`, (answer) => {
    if (title.children.length === 0) title.append(heading("Things", 0, find));
    title.querySelector(".count").textContent = answer.total;
    replace(list, table("Things", HEADINGS, answer.things.map(row), "No Thing yet. A device that provisions itself becomes one."));
  });
  find.addEventListener("input", load);
}

function row(thing) {
  const attributes = Object.entries(thing.attributes).map(([name, value]) => el("span", { class: "mono" }, `${name} = ${value}`));
  const type = thing.type ?? null;
  const groups = thing.groups.length > 0 ? thing.groups.join(", ") : null;
  return el("tr", { "data-testid": "thing-row", "data-thing": thing.name },
    el("td", { class: "mono" }, thing.name),
    el("td", {}, el("div", { class: "stack" }, el("span", {}, type ?? "–"), groups && el("span", { class: "quiet" }, groups))),
    el("td", {}, el("div", { class: "stack" }, attributes.length > 0 ? attributes : "–")),
    el("td", {}, el("div", { class: "stack" }, thing.certificates.length > 0 ? thing.certificates.map(short) : "–")),
    el("td", { class: "tight" }, clockTime(thing.created, true)));
}
