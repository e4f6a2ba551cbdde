// Topics as a tree, with rates and who subscribes; and the slowest subscriptions.

import { el, fill, say } from "/web/dom.js";
import { count, short } from "/web/format.js";
import { attempt, json, repeat } from "/web/admin/api.js";
import { QUEUE_COLUMNS } from "/web/admin/connections.js";
import { table } from "/web/admin/table.js";

const LOOK_MS = 2_000;
/** A long list is asked for less often: it takes the server and the page some milliseconds. */
const LONG_LIST = 1_000;
const LONG_LOOK_MS = 10_000;
const LIMIT = 10_000;
/** Children shown of one branch, until somebody asks for more. */
const CHILDREN = 100;

export function topics(view, { signal }) {
  const tree = new Tree((topic) => attempt(() => subscribers.look(topic), signal));
  const total = el("span", { class: "quiet" });
  const subscribers = whoSubscribes(signal);
  const slow = table({ caption: "Slowest subscriptions", columns: QUEUE_COLUMNS });
  const filter = el("input", {
    type: "search", placeholder: "Part of a topic", "aria-label": "Filter topics",
    oninput: () => tree.filter(filter.value.trim()),
  });
  view.append(
    el("div", { class: "row spread" }, el("h1", {}, "Topics"), total),
    el("div", { class: "columns" },
      el("div", { class: "card stack" }, el("div", { class: "row tools" }, filter), tree.element),
      subscribers.element),
    el("h2", {}, "Slowest subscriptions"),
    el("p", { class: "quiet" }, "Those that publishers waited for longest come first, then those "
      + "nearest to full. Here they are seen before they miss anything."),
    el("div", { class: "card list" }, slow.element));
  let wait = 0;
  repeat(async () => {
    if (Date.now() >= wait) {
      const list = await json("/topicz", { limit: LIMIT }, { signal });
      if (list.total > LONG_LIST) wait = Date.now() + LONG_LOOK_MS;
      say(total, list.total > LIMIT ? `the first ${count(LIMIT)} of ${count(list.total)}`
        : `${count(list.total)} topics`);
      tree.show(list.topics, Date.parse(list.now));
    }
    slow.show((await json("/slowz", { limit: 15 }, { signal })).subscriptions_list,
      "nobody subscribes");
    await subscribers.look();
  }, LOOK_MS, signal);
}

/** Topics by their tokens. Only what is open is in the page. */
class Tree {
  constructor(choose) {
    Object.assign(this, { choose, rows: [], before: new Map(), part: "", chosen: null });
    this.open = new Set([""]);
    this.more = new Map();
    this.element = el("div", { class: "tree" }, el("p", { class: "quiet" }, "…"));
  }

  show(rows, now) {
    const seconds = (now - this.at) / 1000;
    this.rates = new Map(rows.map(({ topic, published }) => {
      const last = this.before.get(topic);
      const rate = last === undefined || !(seconds > 0) ? 0 : (published - last) / seconds;
      return [topic, Math.max(0, rate)];
    }));
    this.before = new Map(rows.map(({ topic, published }) => [topic, published]));
    Object.assign(this, { rows, at: now });
    this.draw();
  }

  filter(part) {
    this.part = part.toLowerCase();
    this.draw();
  }

  draw() {
    const root = { path: "", children: new Map(), published: 0, rate: 0, topics: 0 };
    for (const row of this.rows) {
      if (this.part === "" || row.topic.toLowerCase().includes(this.part)) this.add(root, row);
    }
    const focused = this.element.contains(document.activeElement)
      ? document.activeElement.dataset.path : null;
    fill(this.element, root.children.size > 0 ? this.branch(root)
      : el("p", { class: "quiet" }, this.rows.length > 0 ? "No topic has that part."
        : "A topic is listed from its second message on."));
    if (focused) {
      [...this.element.querySelectorAll("button")].find(({ dataset }) => dataset.path === focused)
        ?.focus({ preventScroll: true });
    }
  }

  add(root, row) {
    let node = root;
    for (const token of row.topic.split(".")) {
      node.published += row.published;
      node.rate += this.rates.get(row.topic);
      node.topics += 1;
      if (!node.children.has(token)) {
        const path = node.path === "" ? token : `${node.path}.${token}`;
        node.children.set(token,
          { token, path, children: new Map(), published: 0, rate: 0, topics: 0, row: null });
      }
      node = node.children.get(token);
    }
    node.published += row.published;
    node.rate += this.rates.get(row.topic);
    node.row = row;
  }

  branch(node) {
    const most = this.more.get(node.path) ?? CHILDREN;
    const children = [...node.children.values()];
    const hidden = children.length - most;
    return el("ul", {}, children.slice(0, most).map((child) => this.node(child)),
      hidden > 0 && el("li", {}, el("button", { type: "button", class: "leaf plain quiet",
        onclick: () => {
          this.more.set(node.path, most + 10 * CHILDREN);
          this.draw();
        } }, `${count(hidden)} more…`)));
  }

  node(node) {
    const isBranch = node.children.size > 0;
    const isOpen = isBranch && (this.open.has(node.path) || this.part !== "");
    const label = el("button", {
      type: "button", class: "leaf plain", "data-path": node.path,
      "aria-expanded": isBranch ? String(isOpen) : null,
      "aria-current": this.chosen === node.path ? "true" : null,
      onclick: () => {
        if (isBranch) this.open[isOpen ? "delete" : "add"](node.path);
        if (node.row) {
          this.chosen = node.path;
          this.choose(node.path);
        }
        this.draw();
      },
    },
    el("span", { class: "twist", "aria-hidden": "true" }, isBranch ? (isOpen ? "▾" : "▸") : ""),
    el("span", { class: "name" }, node.token),
    node.row ? el("span", { class: "quiet" }, `${count(node.row.subscriptions)} subs`) : null,
    el("span", { class: "number" }, `${short(node.rate)}/s`),
    el("span", { class: "number quiet" }, short(node.published)));
    return el("li", {}, label, isOpen && this.branch(node));
  }
}

/** The subscriptions that get the messages of the chosen topic. */
function whoSubscribes(signal) {
  let topic = null;
  const title = el("h2", {}, "Who subscribes");
  const shown = table({ caption: "Who subscribes", columns: QUEUE_COLUMNS.slice(0, 3) });
  const hint = el("p", { class: "quiet" }, "Choose a topic to see who gets its messages.");
  const frame = el("div", { hidden: true }, shown.element);
  return {
    element: el("div", { class: "card stack" }, title, hint, frame),
    look: async (chosen = topic) => {
      if (chosen === null) return;
      topic = chosen;
      const list = await json("/subsz", { topic, limit: 50 }, { signal });
      // Another was chosen meanwhile.
      if (topic !== chosen) return;
      say(title, `Who subscribes to ${topic}`);
      hint.hidden = list.total <= 50;
      say(hint, `The first 50 of ${count(list.total)}`);
      frame.hidden = false;
      shown.show(list.subscriptions_list, "nobody");
    },
  };
}
