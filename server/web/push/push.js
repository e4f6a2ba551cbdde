// What a user is pushed, by server-sent events; and pushing.

import { el, fill, say, showState } from "/web/dom.js";
import { authorization, events } from "/web/events.js";
import { clock } from "/web/format.js";

const RETRY_MS = 1_000;
const ROWS = 200;
/** The server breaks every silence after 15 s. */
const SILENCE_MS = 45_000;

const $ = (id) => document.getElementById(id);
let seen = null;
let listening = null;

const headers = () => ($("token").value === "" ? {} : authorization($("token").value));

/** Says what is wrong, and what to do about it. */
function problem(text) {
  $("problem").hidden = text === "";
  say($("problem"), text);
}

async function listen() {
  listening?.abort();
  const { signal } = (listening = new AbortController());
  while (!signal.aborted) {
    const groups = $("groups").value.split(",").map((group) => group.trim()).filter(Boolean);
    const values = [["user", $("user").value.trim()], ["seen", seen ?? 0],
      ...groups.map((group) => ["group", group])];
    const query = values.map(([name, value]) => `${name}=${encodeURIComponent(value)}`);
    try {
      const options = { headers: headers(), signal };
      const answer = await fetch(`/events?${query.join("&")}`, options);
      if (!answer.ok) {
        const { error } = await answer.json();
        problem(`${error} (${answer.status})`);
        showState("refused", "severe");
        // Nothing would change until the person changes something.
        if (answer.status < 500) return;
      } else {
        problem("");
        await events(answer.body, (_, data) => take(data), SILENCE_MS);
        showState("no word from the server; trying again", "severe");
      }
    } catch {
      if (signal.aborted) return;
      showState("trying again", "severe");
      problem(`No answer from ${location.host}: the server is not running, or the network is `
        + "down. This page goes on where it was when it is back.");
    }
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

function take({ hello, push, missed, expired, error, bye }) {
  if (hello) showState(`listening as ${hello.user}`, "fine");
  if (push) {
    seen = push.n ?? seen;
    show("", `${push.to} · ${clock(Date.now())}`, push.text ?? `base64 ${push.base64}`);
  }
  if (missed !== undefined) show("gap", "", gap(missed));
  if (expired) show("gap", "", `${expired} came too late and were left out`);
  if (error) problem(error.text);
  if (bye) showState(bye, "warn");
}

/** 0 stands for a number that nobody knows. */
const gap = (missed) => (missed ? `${missed} missed here` : "Some may be missing here");

function show(kind, about, text) {
  $("pushes").prepend(el("li", { class: `card ${kind}` }, el("small", {}, about), text));
  while ($("pushes").children.length > ROWS) $("pushes").lastChild.remove();
}

$("listen-form").addEventListener("submit", (event) => {
  event.preventDefault();
  seen = null;
  fill($("pushes"));
  listen();
});
$("push-form").addEventListener("submit", async (event) => {
  event.preventDefault();
  try {
    const to = encodeURIComponent($("to").value.trim());
    const options = { method: "POST", headers: headers(), body: $("text").value };
    const answer = await fetch(`/push/${to}`, options);
    const told = await answer.json();
    say($("receipt"), answer.ok ? `reached ${told.reached}` : told.error);
    $("receipt").className = answer.ok ? "quiet" : "bad";
    if (answer.ok) $("text").value = "";
  } catch {
    say($("receipt"), "the server is not there");
  }
});
listen();
