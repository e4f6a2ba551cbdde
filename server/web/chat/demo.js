// The demonstration: what slow readers get of a burst, under each policy.

import { el, fill, say, showState } from "/web/dom.js";
import { events } from "/web/events.js";
import { count } from "/web/format.js";

const RETRY_MS = 1_000;
/** Rows kept of each reader; older ones make room. */
const ROWS = 60;
/** The slider goes from the fastest to the slowest pace in equal ratios. */
const [SLOWEST, FASTEST] = [1, 500];

const POLICIES = {
  wait: ["Wait, then miss", ({ wait_ms: ms }) => `The sender waits up to ${ms} ms for it. If that `
    + "is not enough, it misses messages until half of its queue is read. Chat does this."],
  drop_newest: ["Drop the newest", () => "What does not fit is missed at once. Nobody waits."],
  drop_oldest: ["Drop the oldest", () => "The oldest make room, so the newest are always there. "
    + "Nobody waits."],
  disconnect: ["Disconnect", ({ wait_ms: ms }) => `The sender waits up to ${ms} ms for it, then `
    + "it is cut off: for readers that need everything, or an end."],
};

const $ = (id) => document.getElementById(id);
const readers = new Map();
let opening = null;
let listening = null;

const perSecond = () => Math.round(FASTEST * (SLOWEST / FASTEST) ** Number($("pace").value));

class Reader {
  constructor({ policy }) {
    const [title, about] = POLICIES[policy];
    this.counts = new Map(["sent", "received", "missed", "queued"]
      .map((name) => [name, el("dd", {}, "0")]));
    this.fill = el("i");
    this.queue = el("div", { class: "queue", "aria-hidden": "true" }, this.fill);
    this.sender = el("p", { class: "quiet" }, "Nothing is sent yet.");
    this.items = el("ol", { class: "items", tabindex: "0", "aria-label": `${title}: what it got` });
    this.element = el("section", { class: "card reader", "data-policy": policy },
      el("h2", {}, title), el("p", { class: "quiet about" }, about(opening)), this.queue,
      el("dl", { class: "counts" }, [...this.counts].map(([name, value]) =>
        [el("dt", {}, name[0].toUpperCase() + name.slice(1)), value])),
      this.sender, this.items);
  }

  show({ figures, items }) {
    for (const [name, element] of this.counts) say(element, count(figures[name]));
    this.counts.get("missed").classList.toggle("bad", figures.missed > 0);
    if (figures.sent > 0) {
      say(this.sender, figures.took_ms === 0 ? "The sender is held up."
        : `The sender took ${count(figures.took_ms)} ms.`);
    }
    const share = figures.queued / opening.queue_messages;
    this.fill.style.width = `${Math.min(100, 100 * share)}%`;
    this.queue.classList.toggle("full", share >= 1);
    for (const { read, missed } of items) {
      if (missed) this.append("gap", `${count(missed)} missed here`);
      else if (read[0] === read[1]) this.append(null, `message ${count(read[0])}`);
      else this.append(null, `messages ${count(read[0])} to ${count(read[1])}`);
    }
    if (figures.is_ended && !this.element.classList.contains("ended")) {
      this.element.classList.add("ended");
      this.append("gap", "cut off: too slow");
    }
  }

  append(kind, text) {
    this.items.prepend(el("li", { class: kind }, text));
    while (this.items.children.length > ROWS) this.items.lastChild.remove();
  }
}

function take(event, data) {
  if (event === "opening") {
    opening = data;
    readers.clear();
    fill($("readers"));
    say($("room"), opening.queue_messages);
    say($("burst"), `Burst of ${opening.burst_messages}`);
    $("burst").disabled = false;
    setPace();
    showState("ready", "fine");
    return;
  }
  for (const reader of data.readers) {
    const { policy } = reader.figures;
    if (!readers.has(policy)) {
      readers.set(policy, new Reader(reader.figures));
      $("readers").append(readers.get(policy).element);
    }
    readers.get(policy).show(reader);
  }
}

/** Runs a demonstration, and another when it has ended, while `signal` is not aborted. */
async function run(signal) {
  while (!signal.aborted) {
    try {
      const answer = await fetch("/chat/demo/events", { signal });
      if (!answer.ok) throw new Error((await answer.text()).trim());
      await events(answer.body, take);
      showState("no word from the server; trying again", "severe");
    } catch (error) {
      if (signal.aborted) return;
      const isAway = error instanceof TypeError;
      showState(`${isAway ? "the server is not there" : error.message}; trying again`, "severe");
    }
    $("burst").disabled = true;
    await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
  }
}

function begin() {
  listening?.abort();
  listening = new AbortController();
  run(listening.signal);
}

const post = (what, query = "") =>
  fetch(`/chat/demo/${what}?demo=${opening.demo}${query}`, { method: "POST" });

async function setPace() {
  const pace = perSecond();
  say($("pace-shown"), pace === 1 ? "1 message a second" : `${pace} messages a second`);
  // Without a server, the state in the head of the page says so.
  if (opening) await post("pace", `&per_second=${pace}`).catch(() => {});
}

$("pace").oninput = setPace;
$("again").onclick = begin;
$("controls").addEventListener("submit", async (event) => {
  event.preventDefault();
  $("burst").disabled = true;
  try {
    const answer = await post("burst");
    if (!answer.ok) showState((await answer.text()).trim(), "warn");
  } catch {
    // The state in the head of the page says so.
  }
  $("burst").disabled = false;
});
setPace();
begin();
