// The frame of the page: which view is open, what the head says, what happens when a request fails.

import { Refused, get, setToken, takeToken } from "./api.js";
import { clockTime, notice, span } from "./dom.js";
import * as certificates from "./certificates.js";
import * as clock from "./clock.js";
import * as decisions from "./decisions.js";
import * as explain from "./explain.js";
import * as faults from "./faults.js";
import * as messages from "./messages.js";
import * as policies from "./policies.js";
import * as sessions from "./sessions.js";
import * as things from "./things.js";

const VIEWS = { messages, decisions, things, certificates, policies, sessions, explain, faults, clock };
const REFRESH = 2000;
const RETRY = 1500;

const view = document.getElementById("view");
const signIn = document.getElementById("sign-in");
const link = document.getElementById("link");
let leave = new AbortController();

function linked(state, words) {
  link.className = `link ${state}`;
  link.textContent = words;
}

/** Whether a token was typed in that has not been answered yet. */
let tried = false;

function askForToken() {
  leave.abort();
  if (tried) notice("That is not the token of the sandbox that runs now.", true);
  tried = false;
  view.hidden = true;
  signIn.hidden = false;
  linked("down", "signed out");
}

/** Says what went wrong, once. A view that was left is no longer interested. */
function failed(error, signal) {
  if (signal.aborted) return;
  if (error instanceof Refused && error.status === 401) askForToken();
  else if (error instanceof Refused) notice(error.message, true);
  else linked("down", "not reached");
}

/** What a view can do while it is open. */
function context(signal) {
  const sleep = (ms) => new Promise((resolve) => setTimeout(resolve, ms));
  return {
    signal,
    /** Runs an action of the user; its failure is said. */
    async act(action) {
      try {
        return await action();
      } catch (error) {
        if (error instanceof Refused && error.status !== 401) notice(error.message, true);
        else if (error instanceof Refused) askForToken();
        else notice(`The sandbox cannot be reached: ${error.message}`, true);
        return undefined;
      }
    },
    /** Loads `path` again and again and shows it when it has changed. Gives a way to do it at once. */
    follow(path, show) {
      let last = "";
      let round = 0;
      const load = async () => {
        round += 1;
        const mine = round;
        try {
          const answer = await get(typeof path === "function" ? path() : path, signal);
          if (mine !== round || signal.aborted) return;
          const text = JSON.stringify(answer);
          if (text !== last) show(answer);
          last = text;
        } catch (error) {
          failed(error, signal);
        }
      };
      const timer = setInterval(() => { if (!document.hidden) load(); }, REFRESH);
      signal.addEventListener("abort", () => clearInterval(timer));
      load();
      return load;
    },
    /** Keeps a stream open for as long as the view is. */
    async keep(open) {
      while (!signal.aborted) {
        try {
          await open();
        } catch (error) {
          failed(error, signal);
          if (error instanceof Refused && error.status !== 503) return;
        }
        await sleep(RETRY);
      }
    },
  };
}

function show() {
  const name = /^#\/([a-z]+)/.exec(location.hash)?.[1] ?? "messages";
  const known = Object.hasOwn(VIEWS, name) ? name : "messages";
  for (const tab of document.querySelectorAll(".tabs a")) {
    if (tab.hash === `#/${known}`) tab.setAttribute("aria-current", "page");
    else tab.removeAttribute("aria-current");
  }
  leave.abort();
  leave = new AbortController();
  signIn.hidden = true;
  view.hidden = false;
  view.replaceChildren();
  view.dataset.testid = `view-${known}`;
  document.title = `${known[0].toUpperCase()}${known.slice(1)} · Aether sandbox`;
  VIEWS[known].open(view, context(leave.signal));
}

async function head() {
  try {
    const status = await get("/status");
    document.getElementById("fact-mqtt").textContent = status.mqtt;
    document.getElementById("fact-account").textContent = `${status.region} · ${status.account_id}`;
    const ahead = status.clock_ahead_s > 0 ? ` (+${span(status.clock_ahead_s)})` : "";
    document.getElementById("fact-clock").textContent = `${clockTime(status.now, true)}Z${ahead}`;
    linked("up", "running");
    tried = false;
  } catch (error) {
    if (error instanceof Refused && error.status === 401) {
      if (signIn.hidden) askForToken();
    } else {
      linked("down", "not reached");
    }
  }
}

document.getElementById("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const field = document.getElementById("token");
  setToken(field.value.trim());
  tried = true;
  field.value = "";
  show();
  head();
});
addEventListener("hashchange", () => {
  takeToken();
  show();
});

takeToken();
show();
head();
setInterval(() => { if (!document.hidden && signIn.hidden) head(); }, REFRESH);
