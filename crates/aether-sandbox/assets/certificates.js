// Certificates with their states, and the buttons that change them.

import { post } from "./api.js";
import { ask, clockTime, el, heading, notice, pill, replace, short, table } from "./dom.js";

const HEADINGS = ["Certificate", "Status", "Kind", "Thing", "Policies", "Created", ""];

export function open(holder, { follow, act }) {
  const find = el("input", { type: "search", placeholder: "Find by id, Thing or status", "aria-label": "Find certificates", "data-testid": "certificate-find" });
  const list = el("div");
  const title = el("div");
  holder.append(title, list);

  const set = async (certificate, status) => {
    if (status === "REVOKED") {
      const text = `Connections made with ${certificate.id} are cut, and it cannot connect again.`;
      if (!(await ask("Revoke this certificate?", text, "Revoke"))) return;
    }
    await act(async () => {
      await post(`/certificates/${certificate.id}/status`, { status });
      notice(`${certificate.id.slice(0, 12)}… is ${status}`);
      await load();
    });
  };
  const load = follow(() => `/certificates?limit=200&find=${encodeURIComponent(find.value)}`, (answer) => {
    if (title.children.length === 0) title.append(heading("Certificates", 0, find));
    title.querySelector(".count").textContent = answer.total;
    replace(list, table("Certificates", HEADINGS, answer.certificates.map((one) => row(one, set)), "No certificate matches."));
  });
  find.addEventListener("input", load);
}

function row(certificate, set) {
  const { id, status, kind, thing, policies } = certificate;
  const button = (word, to, danger) => el("button", {
    class: danger ? "small danger" : "small",
    "data-testid": `certificate-${word.toLowerCase()}`,
    "data-key": `${word} ${id}`,
    "aria-label": `${word} certificate ${id.slice(0, 12)}`,
    onclick: () => set(certificate, to),
  }, word);
  const buttons = [];
  if (status === "ACTIVE") buttons.push(button("Deactivate", "INACTIVE"));
  else buttons.push(button("Activate", "ACTIVE"));
  if (status !== "REVOKED") buttons.push(button("Revoke", "REVOKED", true));
  const end = certificate.ends ? `goes ${clockTime(certificate.ends, true)}` : `until ${clockTime(certificate.not_after, true).slice(0, 10)}`;
  return el("tr", { "data-testid": "certificate-row", "data-certificate": id, "data-status": status },
    el("td", {}, el("div", { class: "stack" }, short(id), el("span", { class: "quiet" }, certificate.subject ?? ""))),
    el("td", {}, pill(status, "certificate-status")),
    el("td", {}, kind),
    el("td", { class: "mono" }, thing.length > 0 ? thing.join(", ") : "–"),
    el("td", {}, policies.length > 0 ? policies.join(", ") : "–"),
    el("td", { class: "tight" }, el("div", { class: "stack" }, el("span", {}, clockTime(certificate.created, true)), el("span", { class: "quiet" }, end))),
    el("td", {}, el("div", { class: "row" }, buttons)));
}
