// Talks to the sandbox that served the page: JSON requests and event streams, each with the token.

const KEY = "aether-sandbox-token";
const BASE = "/_sandbox/v1";

/** Takes the token out of the address, where it would be seen and kept in the history. */
export function takeToken() {
  const found = /^#token=([0-9a-f]{64})$/.exec(location.hash);
  if (found === null) return;
  sessionStorage.setItem(KEY, found[1]);
  history.replaceState(null, "", `${location.pathname}#/messages`);
}

export function setToken(token) {
  sessionStorage.setItem(KEY, token);
}

/** What the sandbox said against a request. */
export class Refused extends Error {
  constructor(status, message) {
    super(message);
    this.status = status;
  }
}

function headers() {
  const token = sessionStorage.getItem(KEY) ?? "";
  // Only what can stand in a header; anything else is no token anyway.
  return { Authorization: `Bearer ${/^[\x21-\x7e]*$/.test(token) ? token : ""}` };
}

async function request(method, path, body, signal) {
  const init = { method, headers: headers(), signal, cache: "no-store" };
  if (body !== undefined) {
    init.headers["Content-Type"] = "application/json";
    init.body = JSON.stringify(body);
  }
  const response = await fetch(BASE + path, init);
  if (response.ok) return response;
  const text = await response.text();
  let message = text;
  try {
    message = JSON.parse(text).error ?? text;
  } catch {
    // Not JSON: shown as it is.
  }
  throw new Refused(response.status, message || `answer ${response.status}`);
}

export async function get(path, signal) {
  return (await request("GET", path, undefined, signal)).json();
}

export async function post(path, body) {
  return (await request("POST", path, body)).json();
}

export async function put(path, body) {
  return (await request("PUT", path, body)).json();
}

/**
 * Reads server-sent events and gives each to `each`; returns when the stream ends.
 * `EventSource` cannot send the token, so the stream is read from `fetch`.
 */
export async function stream(path, signal, each, opened = () => {}) {
  const response = await request("GET", path, undefined, signal);
  opened();
  const reader = response.body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    rest += value;
    const events = rest.split("\n\n");
    rest = events.pop();
    for (const event of events) {
      const data = event.split("\n").filter((line) => line.startsWith("data:")).map((line) => line.slice(5).trim());
      if (data.length > 0) each(JSON.parse(data.join("\n")));
    }
  }
}
