// Connections: found, sorted, looked at one by one, and ended.

import { el, refresh, say } from "/web/dom.js";
import { bytes, count, short } from "/web/format.js";
import { attempt, json, repeat } from "/web/admin/api.js";
import { bar, table } from "/web/admin/table.js";

const PAGE_ROWS = 100;
/** Subjects shown of one connection. */
const SUBJECTS = 500;
const LOOK_MS = 2_000;
const TYPING_MS = 250;

export function connections(view, context) {
  if (context.detail !== "") one(view, context);
  else all(view, context);
}

function all(view, { signal }) {
  const asked = { search: "", sort: "cid", reverse: false, offset: 0, limit: PAGE_ROWS };
  let looks = 0;
  const look = async () => {
    looks += 1;
    const mine = looks;
    const list = await json("/connz", asked, { signal });
    // Something else was asked for meanwhile.
    if (mine !== looks) return;
    if (list.connections.length === 0 && asked.offset > 0) {
      asked.offset = 0;
      await look();
      return;
    }
    shown.show(list.connections,
      asked.search === "" ? "nobody is connected" : "no connection is like that");
    const end = list.offset + list.connections.length;
    say(range, list.total === 0 ? "none"
      : `${count(list.offset + 1)} to ${count(end)} of ${count(list.total)}`);
    before.disabled = list.offset === 0;
    after.disabled = end >= list.total;
  };
  const again = () => attempt(look, signal);
  const order = { sort: asked.sort, reverse: false, change: (sort) => {
    order.reverse = order.sort === sort && !order.reverse;
    order.sort = sort;
    Object.assign(asked, { sort, reverse: order.reverse, offset: 0 });
    again();
  } };
  const shown = table({ caption: "Connections", columns: COLUMNS, order });
  const turn = (by) => () => {
    asked.offset = Math.max(0, asked.offset + by);
    again();
  };
  const range = el("span", { class: "quiet", role: "status" });
  const before = el("button", { type: "button", onclick: turn(-PAGE_ROWS) }, "Previous");
  const after = el("button", { type: "button", onclick: turn(PAGE_ROWS) }, "Next");
  let typing = 0;
  const search = el("input", {
    type: "search", maxlength: 200, "aria-label": "Search",
    placeholder: "Name, user, address, program, front-end",
    oninput: () => {
      clearTimeout(typing);
      typing = setTimeout(() => {
        Object.assign(asked, { search: search.value.trim(), offset: 0 });
        again();
      }, TYPING_MS);
    },
  });
  view.append(el("h1", {}, "Connections"),
    el("div", { class: "row tools" }, search),
    el("div", { class: "card list" }, shown.element,
      el("div", { class: "row spread pager" }, range,
        el("div", { class: "row" }, before, after))));
  repeat(look, LOOK_MS, signal);
}

const COLUMNS = [
  { title: "Number", sort: "cid", rises: true, wide: true, cell: ({ cid }) => cid },
  { title: "Name", sort: "name", rises: true, long: true,
    cell: ({ cid, name, authorized_user: user }) =>
      el("a", { href: `#connections/${cid}` }, name || user || `number ${cid}`) },
  { title: "Front-end", sort: "front_end", rises: true, wide: true,
    cell: (row) => row.front_end },
  { title: "Address", sort: "ip", rises: true, wide: true,
    cell: (row) => el("code", {}, addressOf(row)) },
  { title: "Subs", sort: "subs", number: true, wide: true, cell: (row) => row.subscriptions },
  { title: "Waiting", sort: "pending", number: true, cell: (row) => bytes(row.pending_bytes) },
  { title: "In", sort: "msgs_from", number: true, cell: (row) => short(row.in_msgs) },
  { title: "Out", sort: "msgs_to", number: true, cell: (row) => short(row.out_msgs) },
  { title: "Up", sort: "uptime", number: true, wide: true, cell: (row) => row.uptime },
  { title: "Idle", sort: "idle", number: true, wide: true, cell: (row) => row.idle },
];

export const addressOf = ({ ip, port }) => (ip.includes(":") ? `[${ip}]:${port}` : `${ip}:${port}`);

function one(view, { detail, signal }) {
  const title = el("h1", {}, `Connection ${detail}`);
  const facts = el("dl", { class: "card facts", hidden: true });
  const queues = table({ caption: "Queues", columns: QUEUE_COLUMNS });
  const subscriptions = table({ caption: "Subscriptions", columns: SUBSCRIPTION_COLUMNS });
  const listed = el("div", { class: "card list", hidden: true }, subscriptions.element);
  const state = el("p", { class: "quiet", role: "status" });
  const queued = el("div", { class: "card list", hidden: true }, queues.element);
  const end = el("button", { type: "button", class: "danger", disabled: true }, "Disconnect…");
  let last = null;
  end.onclick = () => confirmEnd(last, state);
  view.append(
    el("p", {}, el("a", { href: "#connections" }, "All connections")),
    el("div", { class: "row spread" }, title, end), state, facts,
    queued, listed);
  repeat(async () => {
    const { connections: [row], now } = await json("/connz",
      { cid: detail, subs: "detail" }, { signal });
    end.disabled = !row;
    if (!row) return say(state, "This connection has ended.");
    facts.hidden = queued.hidden = false;
    say(title, row.name || row.authorized_user || `Connection ${row.cid}`);
    showFacts(facts, row, rates(last, row, now));
    queues.show(row.queues, "it has no subscriptions");
    // Of NATS clients, whose subscriptions share a queue.
    const subjects = row.subscriptions_list_detail ?? [];
    listed.hidden = subjects.length === 0;
    subscriptions.show(subjects.slice(0, SUBJECTS), "none");
    last = { ...row, now };
  }, 1_000, signal);
}

/** What went in and out a second since the last look. */
function rates(last, row, now) {
  const seconds = last ? (Date.parse(now) - Date.parse(last.now)) / 1000 : 0;
  const of = (field) => (seconds > 0 ? (row[field] - last[field]) / seconds : 0);
  return { in: of("in_msgs"), out: of("out_msgs") };
}

function showFacts(list, row, rate) {
  const facts = [
    ["Number", row.cid], ["Front-end", row.front_end], ["Address", addressOf(row)],
    ["User", row.authorized_user], ["Program", `${row.lang} ${row.version}`.trim()],
    ["Up", `${row.uptime}, idle for ${row.idle}`],
    ["In", `${count(row.in_msgs)} messages, ${short(rate.in)}/s, ${bytes(row.in_bytes)}`],
    ["Out", `${count(row.out_msgs)} messages, ${short(rate.out)}/s, ${bytes(row.out_bytes)}`],
    ["Waiting for it", bytes(row.pending_bytes)], ["Its task waits for", row.waits_for],
  ];
  const present = facts.filter(([, value]) => value !== "" && value !== null);
  refresh(list, present.flatMap(([name, value]) =>
    [el("dt", {}, name), el("dd", {}, String(value))]));
}

const SUBSCRIPTION_COLUMNS = [
  { title: "Subject", long: true, cell: ({ subject }) => el("code", {}, subject) },
  { title: "Queue group", long: true, cell: ({ qgroup: group }) => group ?? "" },
  { title: "Number", number: true, cell: ({ sid }) => sid },
];

export const QUEUE_COLUMNS = [
  { title: "Subscription", long: true, cell: ({ subject, queue_group: group }) =>
    [el("code", {}, subject), group ? ` in ${group}` : ""] },
  { title: "Queued", number: true, cell: (row) =>
    `${short(row.queued_messages)} of ${short(row.bound_messages)}` },
  { title: "Full", cell: (row) => [`${row.full_percent} %`, bar(row.full_percent)] },
  { title: "When full", wide: true, cell: (row) => row.when_full.replace("_", " ") },
  { title: "Waited for", number: true, wide: true, cell: (row) => `${row.waited_for_ms} ms` },
  { title: "Received", number: true, wide: true, cell: (row) => short(row.received) },
  { title: "Missed", number: true, cell: (row) =>
    el("span", { class: row.dropped > 0 ? "bad" : null }, count(row.dropped)) },
];

function confirmEnd(row, state) {
  const dialog = el("dialog", { "aria-labelledby": "end-title" },
    el("div", { class: "stack" },
      el("h2", { id: "end-title" }, `Disconnect ${row.name || `connection ${row.cid}`}?`),
      el("p", {}, `${addressOf(row)} is cut off at once, and loses what waits for it. `
        + "Its program may connect again."),
      el("div", { class: "row" },
        el("button", { type: "button", class: "danger", onclick: async () => {
          dialog.close();
          try {
            await json("/disconnect", { cid: row.cid }, { method: "POST" });
            say(state, "Disconnected; the journal notes it.");
          } catch (error) {
            say(state, error.message);
          }
        } }, "Disconnect"),
        el("button", { type: "button", autofocus: true, onclick: () => dialog.close() }, "Keep"))));
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
}
