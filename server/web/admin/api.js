// Asking the server. The token stays in this tab's session.

import { say } from "/web/dom.js";
import { authorization, events as eventsOf } from "/web/events.js";

const KEPT_AS = "fanfare-admin-token";

/** What the server refused, and why. */
export class Refusal extends Error {
  constructor(status, text) {
    super(text);
    this.status = status;
  }
}

/** Keeps the token that requests carry. */
export const keepToken = (token) => sessionStorage.setItem(KEPT_AS, token);

/** Whether there is a token, which may be wrong. */
export const hasToken = () => sessionStorage.getItem(KEPT_AS) !== null;

/** The answer to a request; fails with a Refusal. */
export async function ask(path, options = {}) {
  const token = sessionStorage.getItem(KEPT_AS);
  const headers = { Accept: "application/json", ...options.headers,
    ...(token === null ? {} : authorization(token)) };
  const answer = await fetch(path, { ...options, headers, credentials: "omit" })
    .catch((error) => {
      // The browser's own words say nothing to people.
      throw error.name === "AbortError" ? error : new Error(`no answer from ${location.host}`);
    });
  if (answer.ok) return answer;
  const text = await answer.text();
  if (answer.status === 401) dispatchEvent(new Event("token-wanted"));
  throw new Refusal(answer.status, text.trim() || answer.statusText);
}

/** The answer in JSON. Values of `query` that are empty are left out. */
export async function json(path, query = {}, options = {}) {
  const pairs = Object.entries(query).filter(([, value]) => value !== "" && value !== false);
  const text = pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
  const answer = await ask(text === "" ? path : `${path}?${text}`, options);
  return answer.json();
}

/** Hands the server-sent events of an answer to `take(event, data)` until they end. */
export async function events(path, take, signal, silenceMs) {
  const answer = await ask(path, { signal, headers: { Accept: "text/event-stream" } });
  await eventsOf(answer.body, take, silenceMs);
}

/** Calls `look`, and says above the view what the server refuses. */
export async function attempt(look, signal) {
  let problem = "";
  try {
    await look();
  } catch (error) {
    // The head of the page says what is wrong with the connection, and a dialog asks for the token.
    if (error instanceof Refusal && error.status !== 401) problem = error.message;
  }
  if (!signal.aborted) showProblem(problem);
}

/** Says above the view what is wrong with it; nothing is, if the text is empty. */
export function showProblem(text) {
  const problem = document.getElementById("problem");
  say(problem, text);
  problem.hidden = text === "";
}

/** Attempts `look` now, and again `ms` after each call has ended, until `signal` is aborted. */
export async function repeat(look, ms, signal) {
  while (!signal.aborted) {
    if (!document.hidden) await attempt(look, signal);
    await new Promise((resolve) => setTimeout(resolve, ms));
  }
}
