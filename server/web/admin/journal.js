// The last events, as they come.

import { el, refresh } from "/web/dom.js";
import { clock, count } from "/web/format.js";
import { attempt, json } from "/web/admin/api.js";
import { addressOf } from "/web/admin/connections.js";
import { table } from "/web/admin/table.js";

/** Rows in the page: no more can be read anyway. */
const ROWS = 300;

export function journal(view, { watch, signal }) {
  let [events, last] = [[], null];
  const shown = table({ caption: "Events, newest first", columns: COLUMNS });
  const search = el("input", {
    type: "search", placeholder: "Address, topic, reason", "aria-label": "Filter events",
    oninput: () => draw(),
  });
  const kind = el("select", { "aria-label": "Kind", onchange: () => draw() });
  const draw = () => {
    const part = search.value.trim().toLowerCase();
    const matches = (event) => (kind.value === "" || event.kind === kind.value)
      && [aboutOf(event), event.reason, event.front_end, event.kind]
        .some((text) => text.toLowerCase().includes(part));
    shown.show(events.filter(matches).slice(0, ROWS), "nothing of that kind has happened");
  };
  const kinds = () => {
    const present = [...new Set(events.map((event) => event.kind))].sort();
    const chosen = kind.value;
    refresh(kind, ["", ...present].map((name) =>
      el("option", { value: name }, name || "all kinds")));
    kind.value = present.includes(chosen) ? chosen : "";
  };
  kinds();
  view.append(el("h1", {}, "Journal"),
    el("p", { class: "quiet" }, "The last 1,000 events. An event that repeats one of the "
      + "last few adds to its count."),
    el("div", { class: "row tools" }, search, kind),
    el("div", { class: "card list" }, shown.element));
  watch(({ snapshot }) => {
    // A repeated event has no new number, so a look now and then is due as well.
    const now = `${snapshot.journal} ${Math.floor(snapshot.uptime_s / 3)}`;
    if (now === last) return;
    last = now;
    attempt(async () => {
      ({ events } = await json("/journal", {}, { signal }));
      // One that repeats itself is as new as the last time.
      events.sort((one, other) => Date.parse(other.last_at) - Date.parse(one.last_at));
      kinds();
      draw();
    }, signal);
  });
}

const aboutOf = ({ about, port }) =>
  (port === null || about === "" ? about : addressOf({ ip: about, port }));

const COLUMNS = [
  { title: "Time", cell: ({ last_at: at }) =>
    el("time", { datetime: at, title: at }, clock(at)) },
  { title: "What", cell: (event) =>
    el("span", { class: `badge ${TONES[event.kind] ?? ""}` }, event.kind) },
  { title: "Front-end", wide: true, cell: (event) => event.front_end },
  { title: "About", long: true, cell: (event) => [
    el("code", {}, aboutOf(event)),
    el("div", { class: "quiet narrow-only" }, [event.front_end, event.reason,
      event.times > 1 && `${count(event.times)} times`].filter(Boolean).join(", "))] },
  { title: "Reason", long: true, wide: true, cell: (event) => event.reason },
  { title: "Times", number: true, wide: true, cell: (event) => count(event.times) },
  { title: "Messages", number: true, wide: true, cell: ({ messages }) =>
    (messages > 0 ? count(messages) : "") },
];

const TONES = {
  refused: "severe", dropped: "severe", missed: "severe", "timed out": "warn", warned: "warn",
  listening: "fine",
};
