// Asking the server. The token stays in this tab's session.

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
  const headers = { Accept: "application/json", ...options.headers };
  if (token !== null) headers.Authorization = `Bearer ${token}`;
  const answer = await fetch(path, { ...options, headers, credentials: "omit" });
  if (answer.ok) return answer;
  if (answer.status === 401) dispatchEvent(new Event("token-wanted"));
  throw new Refusal(answer.status, (await answer.text()).trim() || answer.statusText);
}

/** The answer in JSON. Values of `query` that are empty are left out. */
export async function json(path, query = {}, options = {}) {
  const pairs = Object.entries(query).filter(([, value]) => value !== "" && value !== false);
  const text = pairs.map(([name, value]) => `${name}=${encodeURIComponent(value)}`).join("&");
  const answer = await ask(text === "" ? path : `${path}?${text}`, options);
  return answer.json();
}

/**
 * Hands the server-sent events of an answer to `take(event, data)` until they end. (A browser's
 * own EventSource cannot carry the token.)
 */
export async function events(path, take, signal) {
  const answer = await ask(path, { signal, headers: { Accept: "text/event-stream" } });
  const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
  let text = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    text += value;
    const whole = text.split("\n\n");
    text = whole.pop();
    for (const block of whole) {
      const lines = block.split("\n");
      const field = (name) => lines.filter((line) => line.startsWith(`${name}: `))
        .map((line) => line.slice(name.length + 2)).join("\n");
      take(field("event"), JSON.parse(field("data")));
    }
  }
}

/** Calls `look` now, and again `ms` after each call has ended, until `signal` is aborted. */
export async function repeat(look, ms, signal) {
  while (!signal.aborted) {
    if (!document.hidden) {
      try {
        await look();
      } catch (error) {
        // The state in the head of the page says what is wrong with the connection.
        if (!signal.aborted && error instanceof Refusal) console.warn(error.message);
      }
    }
    await new Promise((resolve) => setTimeout(resolve, ms));
  }
}
