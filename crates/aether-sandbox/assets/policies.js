// Policies: the default version's document, and what each is attached to.

import { el, heading, short } from "./dom.js";

export function open(holder, { follow }) {
  follow("/policies?limit=200", (answer) => {
    const opened = new Set([...holder.querySelectorAll("details[open]")].map((one) => one.dataset.policy));
    holder.replaceChildren(heading("Policies", answer.total), ...answer.policies.map((policy) => panel(policy, opened)));
  });
}

function panel(policy, opened) {
  const targets = [
    ...policy.certificates.slice(0, 5).map(short),
    ...policy.groups.map((group) => el("span", {}, `group ${group}`)),
  ];
  const more = policy.certificates.length - 5;
  const spaced = targets.flatMap((target, at) => (at === 0 ? [target] : [", ", target]));
  if (more > 0) spaced.push(` and ${more} more`);
  return el("div", { class: "panel", "data-testid": "policy", "data-policy": policy.name },
    el("div", { class: "head" }, el("h2", { class: "mono" }, policy.name),
      el("span", { class: "quiet" }, `version ${policy.default_version} of ${policy.versions.length}`)),
    el("p", {}, el("span", { class: "quiet" }, "Attached to "), spaced.length > 0 ? spaced : "nothing"),
    el("details", { "data-policy": policy.name, open: opened.has(policy.name) },
      el("summary", {}, "Document"), el("pre", { "data-testid": "policy-document" }, pretty(policy.document))));
}

function pretty(document) {
  try {
    return JSON.stringify(JSON.parse(document), null, 2);
  } catch {
    return document;
  }
}
