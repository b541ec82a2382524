// Why a client may do something or not: every statement that counts, part by part.

import { post } from "./api.js";
import { el, heading, pill, short } from "./dom.js";

const ACTIONS = ["iot:Connect", "iot:Publish", "iot:Subscribe", "iot:Receive", "iot:RetainPublish"];

export function open(holder, { act }) {
  const client = el("input", { class: "mono", required: true, autocomplete: "off", spellcheck: "false", "data-testid": "explain-client" });
  const action = el("select", { "data-testid": "explain-action" }, ACTIONS.map((name) => el("option", { value: name }, name)));
  const resource = el("input", { class: "mono", required: true, autocomplete: "off", spellcheck: "false", "data-testid": "explain-resource" });
  const certificate = el("input", { class: "mono", placeholder: "that of the connection or the Thing", autocomplete: "off", spellcheck: "false", "data-testid": "explain-certificate" });
  const form = el("form", { class: "panel" },
    el("div", { class: "row" },
      el("label", { class: "grow" }, "Client id", client), el("label", {}, "Action", action),
      el("label", { class: "grow" }, "Client id, topic, filter or ARN", resource), el("label", { class: "grow" }, "Certificate id", certificate),
      el("button", { class: "primary", "data-testid": "explain-ask" }, "Explain")));
  const answer = el("div", { class: "panels", "data-testid": "explain-answer", role: "status" });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const question = { client_id: client.value, action: action.value, resource: resource.value };
    if (certificate.value.trim() !== "") question.certificate = certificate.value.trim();
    act(async () => {
      const explained = await post("/explain", question);
      answer.replaceChildren(verdict(explained), ...explained.statements.map(statement));
    });
  });
  holder.append(heading("Explain"), el("p", { class: "quiet" }, "Works for clients that are connected and for those that are not."), form, answer);
}

function verdict(explained) {
  const by = explained.decidedBy;
  const why = by === null ? "no statement allows it" : `statement ${by.statement} of policy ${by.policy}`;
  return el("div", { class: "panel" },
    el("div", { class: "head" },
      el("h2", {}, el("span", { class: "mono" }, explained.action), " on ", el("span", { class: "mono" }, explained.resource)),
      pill(explained.allowed ? "allowed" : "denied", "explain-word")),
    el("p", { "data-testid": "explain-why" }, why),
    explained.certificateStatus === "ACTIVE" ? null : el("p", { class: "fault", "data-testid": "explain-status" },
      `The certificate is ${explained.certificateStatus}: whatever its policies say, it does not get in.`),
    el("p", { class: "quiet" }, "Certificate ", short(explained.certificateId), ` is ${explained.certificateStatus}; `,
      explained.thing === null ? "no Thing belongs to the connection" : `Thing ${explained.thing}`,
      explained.connected ? "; connected now" : "; not connected"));
}

function statement(one) {
  const name = one.sid === null ? `statement ${one.statement}` : `statement ${one.statement} (${one.sid})`;
  return el("div", { class: "panel", "data-testid": "explain-statement" },
    el("div", { class: "head" }, el("h2", {}, `${one.effect} · ${one.policy}, ${name}`),
      el("span", { class: one.applies ? "pill good" : "pill" }, one.applies ? "applies" : "does not apply")),
    element(one.action), element(one.resource), one.conditions.map(condition));
}

function mark(matched) {
  return el("span", { class: matched ? "pill good" : "pill" }, matched ? "matches" : "does not match");
}

function element(part) {
  return el("div", {}, el("p", {}, part.element, " ", mark(part.matched)),
    el("pre", {}, part.values.map((value) => `${value.matched ? "✓" : "·"} ${written(value)}`).join("\n")));
}

function written(value) {
  const filled = value.substituted === value.written ? value.written : `${value.written}  →  ${value.substituted}`;
  const gaps = value.unresolved.map((gap) => `${gap.variable}: ${gap.why}`);
  return [filled, ...gaps].join("   ");
}

function condition(one) {
  const found = one.found === null ? one.missing : one.found.join(", ");
  return el("div", {}, el("p", {}, `Condition ${one.operator} `, el("span", { class: "mono" }, one.key), " ", mark(one.matched)),
    el("pre", {}, `found     ${found}\nexpected  ${one.expected.map(written).join(", ")}`));
}
