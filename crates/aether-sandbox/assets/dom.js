// Building blocks of the views. Text from devices only ever becomes text nodes and attributes.

/** Makes an element. Attributes: `class`, `on…` handlers, `data-…`; `null` and `false` are left out. */
export function el(tag, attributes = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(attributes ?? {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked" || name === "disabled") element[name] = value;
    else element.setAttribute(name, value === true ? "" : value);
  }
  element.append(...children.flat().filter((child) => child !== null && child !== undefined && child !== false));
  return element;
}

/** A table whose rows carry their headings, so that a narrow screen can show them as cards. */
export function table(caption, headings, rows, empty) {
  const head = el("tr", {}, headings.map((heading) => el("th", { scope: "col" }, heading)));
  const none = el("tr", {}, el("td", { class: "empty", colspan: String(headings.length) }, el("p", {}, empty)));
  const body = el("tbody", {}, rows.length > 0 ? rows : none);
  for (const row of body.rows) {
    [...row.cells].forEach((cell, at) => {
      if (!cell.classList.contains("empty")) cell.dataset.label = headings[at] ?? "";
    });
  }
  return el("div", { class: "table" }, el("table", { "aria-label": caption }, el("thead", {}, head), body));
}

/** The heading of a view, with how many there are and what stands on the right. */
export function heading(title, count, ...right) {
  const number = count === undefined ? null : el("span", { class: "count", "data-testid": "count" }, String(count));
  return el("div", { class: "head" }, el("h1", {}, title, number), ...right);
}

const TONES = {
  ACTIVE: "good", PENDING_ACTIVATION: "warn", PENDING_TRANSFER: "warn", REVOKED: "bad", allowed: "good", denied: "bad",
  connected: "good",
};

export function pill(word, testid) {
  return el("span", { class: `pill ${TONES[word] ?? ""}`, "data-testid": testid }, word);
}

/** The first characters of a long id; the whole of it as its title. */
export function short(id) {
  return el("span", { class: "mono", title: id }, id.length > 14 ? `${id.slice(0, 12)}…` : id);
}

export function clockTime(at, withDate = false) {
  const date = new Date(at);
  if (Number.isNaN(date.getTime())) return at;
  const text = date.toISOString();
  return withDate ? `${text.slice(0, 10)} ${text.slice(11, 19)}` : text.slice(11, 23);
}

/** A length of time in words: `1 h 5 min`. */
export function span(seconds) {
  const units = [["d", 86400], ["h", 3600], ["min", 60], ["s", 1]];
  const words = [];
  let left = Math.floor(seconds);
  for (const [unit, size] of units) {
    const count = Math.floor(left / size);
    left -= count * size;
    if (count > 0 && words.length < 2) words.push(`${count} ${unit}`);
  }
  return words.join(" ") || "0 s";
}

let hide;

/** Says something in a line at the bottom; it goes away by itself. */
export function notice(text, bad = false) {
  const line = document.getElementById("notice");
  line.textContent = text;
  line.classList.toggle("bad", bad);
  line.hidden = false;
  clearTimeout(hide);
  hide = setTimeout(() => { line.hidden = true; }, bad ? 8000 : 3500);
}

/** Asks before something that cannot be taken back. */
export function ask(title, text, yes) {
  const dialog = document.getElementById("ask");
  document.getElementById("ask-title").textContent = title;
  document.getElementById("ask-text").textContent = text;
  document.getElementById("ask-yes").textContent = yes;
  dialog.returnValue = "no";
  dialog.showModal();
  return new Promise((resolve) => {
    dialog.addEventListener("close", () => resolve(dialog.returnValue === "yes"), { once: true });
  });
}

/** Puts `fresh` in the place of what `holder` has, and the focus back on the control it was on. */
export function replace(holder, fresh) {
  const key = holder.contains(document.activeElement) ? document.activeElement.dataset.key : undefined;
  holder.replaceChildren(fresh);
  if (key === undefined) return;
  for (const candidate of holder.querySelectorAll("[data-key]")) {
    if (candidate.dataset.key === key) {
      candidate.focus({ preventScroll: true });
      return;
    }
  }
}
