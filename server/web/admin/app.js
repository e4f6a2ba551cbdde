// The frame of the dashboard: views, the live figures, and the token.

import { el, fill, say, showState } from "/web/dom.js";
import { events, hasToken, keepToken, Refusal, showProblem } from "/web/admin/api.js";
import { connections } from "/web/admin/connections.js";
import { journal } from "/web/admin/journal.js";
import { overview } from "/web/admin/overview.js";
import { profiles } from "/web/admin/profiles.js";
import { topics } from "/web/admin/topics.js";
import { tryIt } from "/web/admin/try.js";

/** How long to wait before asking again, once the server is not there. */
const RETRY_MS = 1_000;

/** The server sends a snapshot a second. */
const SILENCE_MS = 10_000;

/** Charts show five minutes, which is as much as the server keeps. */
const POINTS = 301;

const views = {
  overview, connections, topics, try: tryIt, journal, profiles,
  api: (view) => view.append(document.getElementById("api-view").content.cloneNode(true)),
};
const main = document.getElementById("main");

/** What every view can look at, and be told of. */
const live = { opening: null, snapshot: null, points: [], listeners: new Set() };
let leaving = new AbortController();
let listening = new AbortController();

/** Shows the view that the address names: `#connections/17` is one connection. */
function show(isFirst) {
  const [name, ...rest] = location.hash.slice(1).split("/");
  const known = Object.hasOwn(views, name) ? name : "overview";
  leaving.abort();
  leaving = new AbortController();
  live.listeners.clear();
  for (const link of document.querySelectorAll("#views a")) {
    if (link.hash === `#${known}`) link.setAttribute("aria-current", "page");
    else link.removeAttribute("aria-current");
  }
  const view = el("section", {});
  fill(main, view);
  showProblem("");
  const watch = (listener) => {
    live.listeners.add(listener);
    if (live.snapshot) listener(live);
  };
  views[known](view, {
    live, watch, signal: leaving.signal, detail: rest.join("/"),
  });
  document.title = `${view.querySelector("h1")?.textContent ?? "Fanfare"} – Fanfare`;
  if (!isFirst) main.focus({ preventScroll: true });
}

function take(event, data) {
  if (event === "opening") {
    // A newer server brings a newer page.
    if (live.opening !== null && live.opening.version !== data.version) location.reload();
    live.opening = data;
    live.points = data.points;
    return;
  }
  live.snapshot = data;
  if (live.points.at(-1)?.at_ms !== data.point.at_ms) live.points.push(data.point);
  live.points.splice(0, live.points.length - POINTS);
  stand("live", "fine");
  for (const listener of live.listeners) listener(live);
}

/** Says how things stand. What is in the page may be old, unless all is fine. */
function stand(text, tone) {
  showState(text, tone);
  main.classList.toggle("old", tone !== "fine");
}

/** Listens for as long as the page is open. */
async function listen() {
  for (;;) {
    try {
      listening = new AbortController();
      await events("/live", take, listening.signal, SILENCE_MS);
      stand("no word from the server; trying again", "severe");
    } catch (error) {
      if (error instanceof Refusal && error.status === 401) {
        stand("token needed", "warn");
        await tokenGiven();
        continue;
      }
      const why = error instanceof Refusal ? error.message : "not connected";
      stand(`${why}; trying again`, "severe");
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

/** Asks for the token, and waits for it. */
function tokenGiven() {
  const dialog = document.getElementById("token-dialog");
  const input = document.getElementById("token");
  say(document.getElementById("token-problem"), hasToken() ? "That is not the token." : "");
  if (!dialog.open) dialog.showModal();
  return new Promise((resolve) => {
    document.getElementById("token-form").onsubmit = (event) => {
      event.preventDefault();
      keepToken(input.value);
      input.value = "";
      dialog.close();
      resolve();
    };
  });
}

// It may be another than when the page began to listen.
addEventListener("token-wanted", () => listening.abort());
addEventListener("hashchange", () => show(false));
// Its address would name a view.
document.querySelector(".skip").onclick = (event) => {
  event.preventDefault();
  main.focus();
};
show(true);
listen();
