// Faults on purpose: the script of rules, what each has done so far, and an editor.

import { put } from "./api.js";
import { el, heading, notice, replace, table } from "./dom.js";

const HEADINGS = ["Step", "For", "When", "Action", "Matched", "Fired"];
const EXAMPLE = [{ step: "puback", match: { client_id: "press-*" }, every: 3, action: "drop" }];

export function open(holder, { follow, act }) {
  const script = el("textarea", { class: "tall", spellcheck: "false", "aria-label": "Fault script", "data-testid": "faults-editor" });
  const rules = el("div");
  const form = el("form", { class: "panel" },
    el("label", {}, "Script: a list of rules in JSON; the first rule that is due decides", script),
    el("div", { class: "row" },
      el("button", { class: "primary", "data-testid": "faults-apply" }, "Apply"),
      el("button", { type: "button", "data-testid": "faults-clear", onclick: () => set("[]") }, "No faults"),
      el("button", { type: "button", "data-testid": "faults-example", onclick: () => { script.value = pretty(EXAMPLE); } }, "Example"),
      el("span", { class: "quiet" }, "Applying a script begins its counts again.")));
  holder.append(heading("Faults"), rules, form);

  const set = (text) => act(async () => {
    let parsed;
    try {
      parsed = JSON.parse(text);
    } catch (error) {
      notice(`The script is not JSON: ${error.message}`, true);
      return;
    }
    await put("/faults", parsed);
    script.value = pretty(parsed);
    notice(parsed.length === 0 ? "no faults" : `${parsed.length} rules apply`);
    await load();
  });
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    set(script.value);
  });

  let first = true;
  const load = follow("/faults", (answer) => {
    if (first) script.value = pretty(answer.rules.map(({ matched: _m, fired: _f, ...rule }) => rule));
    first = false;
    replace(rules, table("Rules", HEADINGS, answer.rules.map(row), "Nothing goes wrong on purpose."));
  });
}

function pretty(value) {
  return JSON.stringify(value, null, 2);
}

function row(rule) {
  const pairs = (object) => Object.entries(object).map(([name, value]) => `${name} ${value}`).join(", ");
  const { step, match, action, matched, fired, ...when } = rule;
  const what = typeof action === "string" ? action : Object.entries(action).map(([name, how]) => `${name} ${pairs(how)}`).join(", ");
  return el("tr", { "data-testid": "fault-row" },
    el("td", { class: "mono" }, step),
    el("td", { class: "mono" }, match === undefined ? "everybody" : pairs(match)),
    el("td", {}, Object.keys(when).length === 0 ? "always" : pairs(when)),
    el("td", { class: "mono" }, what),
    el("td", { class: "tight", "data-testid": "fault-matched" }, String(matched)),
    el("td", { class: "tight", "data-testid": "fault-fired" }, String(fired)));
}
