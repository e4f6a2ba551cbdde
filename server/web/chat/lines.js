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
