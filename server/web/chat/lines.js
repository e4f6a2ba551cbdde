// What a line of the chat means. No name has a space or a bracket in it, and what the server says
// begins with a star or an exclamation mark, so no text can be taken for another's.

const TIME = /^(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ|--:--) /;
const SAID = /^(?:\[([^\]\s]+)\]|(\(private\))) (?:\* (\S+) |(\S+): )?(.*)$/s;
const MISSED = /^\* you missed (\d+) lines?(?: of (.+))?$/;

/**
 * A line, taken apart: `kind` is `said`, `notice`, `missed`, `reply` or `refused`. `room` is
 * missing where the line is of no room, and null for private messages.
 */
export function parse(line) {
  const [stamp, time] = TIME.exec(line) ?? ["", null];
  const rest = line.slice(stamp.length);
  const at = time === null || time === "--:--" ? null : Date.parse(time);
  const said = SAID.exec(rest);
  if (said !== null) {
    const [, room, , doer, sayer, text] = said;
    return { kind: "said", at, room: room ?? null, isAction: doer !== undefined,
      sender: doer ?? sayer ?? "", text };
  }
  const missed = MISSED.exec(rest);
  if (missed !== null) return { kind: "missed", count: Number(missed[1]), room: missed[2] };
  if (rest.startsWith("! ")) return { kind: "refused", at, text: rest.slice(2) };
  const text = rest.startsWith("* ") ? rest.slice(2) : rest;
  return { kind: stamp === "" ? "reply" : "notice", at, text };
}

const HEADINGS = [
  [/^(more than )?(\d+) lines? of (\S+) since (\S+); the last (\d+):$/,
    ([, more, all, room, , lines]) => ({
      what: "since", room, lines: Number(lines), all: Number(all), isMore: more !== undefined,
    })],
  [/^the last ((\d+) lines? of (\S+)):$/, ([, title, lines, room]) =>
    ({ what: "history", room, lines: Number(lines), title: `The last ${title}` })],
  [/^((\d+) lines? of (\S+) found):$/, ([, title, lines, room]) =>
    ({ what: "found", room, lines: Number(lines), title })],
];

/** What a reply says that lines follow: how many, and which. Null if none do. */
export function heading(text) {
  for (const [form, meaning] of HEADINGS) {
    const match = form.exec(text);
    if (match !== null) return meaning(match);
  }
  return null;
}

/** What `/mode` answers of a room: who keeps order there, and what holds. Null: it is not that. */
export function rules(text) {
  const none = /^(\S+) has no rules$/.exec(text);
  const some = /^(\S+): ((?:founded by|private|has a pass|a line every|operators|invited|muted|banned).*)$/
    .exec(text);
  if (none === null && some === null) return null;
  const parts = some === null ? [] : some[2].split("; ");
  const names = (title) => parts.find((part) => part.startsWith(title))
    ?.slice(title.length).split(", ") ?? [];
  return {
    room: (none ?? some)[1],
    text: parts.join("; "),
    keepers: [...names("founded by "), ...names("operators: ")],
    muted: names("muted: "),
    banned: names("banned: "),
  };
}
