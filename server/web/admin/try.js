// Subscribing and publishing from the page.

import { el, fill, say } from "/web/dom.js";
import { bytes, clock, count } from "/web/format.js";
import { events, json } from "/web/admin/api.js";

/** Rows shown; older ones make room. */
const ROWS = 500;
/** No topic is longer. */
const TOPIC_BYTES = 1_024;

export function tryIt(view, { signal }) {
  view.append(el("h1", {}, "Try it"),
    el("p", { class: "quiet" }, "Messages go through the broker that all clients share. If "
      + "this page is too slow, it misses some, and a gap is shown in their place."),
    el("div", { class: "columns" }, listener(signal), publisher()));
}

function listener(signal) {
  let stop = null;
  let [received, missed] = [0, 0];
  const list = el("ol", { class: "messages", tabindex: "0", "aria-label": "Messages" });
  const state = el("p", { class: "quiet", role: "status" }, "not subscribed");
  const pattern = topicInput(">");
  const button = el("button", { class: "main" }, "Subscribe");
  const figures = () => `${count(received)} received, ${count(missed)} missed`;
  const take = (event, data) => {
    if (event === "message") received += 1;
    if (event === "missed") missed += data;
    if (event !== "subscribed") {
      list.prepend(event === "missed" ? gap(data) : message(data));
      if (list.children.length > ROWS) list.lastChild.remove();
    }
    say(state, figures());
    state.className = missed > 0 ? "bad" : "quiet";
  };
  const begin = async () => {
    stop = new AbortController();
    signal.addEventListener("abort", () => stop?.abort());
    [received, missed] = [0, 0];
    fill(list);
    say(button, "Stop");
    say(state, "subscribing");
    state.className = "quiet";
    try {
      const path = `/subscribe?pattern=${encodeURIComponent(pattern.value.trim())}`;
      await events(path, take, stop.signal);
      say(state, "the server has ended it");
    } catch (error) {
      const isStopped = stop.signal.aborted;
      say(state, isStopped ? `stopped: ${figures()}` : error.message);
      if (!isStopped) state.className = "bad";
    }
    stop = null;
    say(button, "Subscribe");
  };
  const form = el("form", { class: "fields", onsubmit: (event) => {
    event.preventDefault();
    if (stop) stop.abort();
    else begin();
  } }, el("label", {}, "Pattern (* is one token, > the rest)", pattern), button);
  return el("div", { class: "card stack" }, el("h2", {}, "Subscribe"), form, state, list);
}

const topicInput = (value) => el("input",
  { value, maxlength: TOPIC_BYTES, spellcheck: "false", autocapitalize: "off" });

function gap(missed) {
  const messages = missed === 1 ? "1 message is" : `${count(missed)} messages are`;
  return el("li", { class: "gap" }, `${messages} missing here`);
}

function message({ topic, sender, text, base64, bytes: size }) {
  return el("li", {},
    el("div", { class: "row spread" }, el("code", {}, topic),
      el("span", { class: "quiet" }, [sender, bytes(size), clock(Date.now())]
        .filter(Boolean).join(" · "))),
    el("pre", {}, text ?? `base64 ${base64}`));
}

function publisher() {
  const receipt = el("p", { class: "quiet", role: "status" });
  const topic = topicInput("demo.hello");
  const payload = el("textarea", { rows: 4 }, "Hello");
  const form = el("form", { class: "fields", onsubmit: async (event) => {
    event.preventDefault();
    try {
      const to = { topic: topic.value.trim() };
      const told = await json("/publish", to, { method: "POST", body: payload.value });
      say(receipt, `matched ${told.matched}, queued ${told.queued}, waited ${told.waited}, `
        + `dropped ${told.dropped}, disconnected ${told.disconnected}`);
      receipt.className = told.dropped + told.disconnected > 0 ? "bad" : "quiet";
    } catch (error) {
      say(receipt, error.message);
      receipt.className = "bad";
    }
  } },
  el("label", { class: "wide" }, "Topic", topic),
  el("label", { class: "wide" }, "Payload", payload),
  el("button", { class: "main" }, "Publish"));
  return el("div", { class: "card stack" }, el("h2", {}, "Publish"), form, receipt);
}
