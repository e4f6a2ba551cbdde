// What a page knows of one room: its lines, its people, and what is missing after it was away.

import { count } from "/web/format.js";

/** Lines kept of each room; older ones make room. */
const LINES = 2_000;

/** What makes two lines the same. */
const key = ({ at, sender, text, isAction }) => JSON.stringify([at, sender, text, isAction]);

export class Room {
  /** `show(line)` is called for each new line. */
  constructor(name, { isPrivate = false, show }) {
    Object.assign(this, { name, isPrivate, show, lines: [], people: [], unread: 0 });
    Object.assign(this, { rules: null, password: null, asksWho: null });
    /** What was said here and has not come back: it may be lost with the connection. */
    this.unconfirmed = [];
    /** Lines that come while the room is asked what was said meanwhile. */
    this.held = null;
    /** Lines that the answer had, and that may come once more. */
    this.known = new Map();
  }

  /** The time of the last line, as the server has it; null if there is none. */
  get last() {
    const times = this.lines.map(({ kind, at }) => (kind === "said" ? at : null));
    const last = Math.max(...times.filter(Boolean));
    return Number.isFinite(last) && !this.isPrivate ? last : null;
  }

  /** The connection is there again: what was said since `last` is asked for. */
  catchUp() {
    this.held = this.last === null ? null : [];
    this.known.clear();
  }

  /** Takes a line, once. */
  take(line) {
    if (this.held !== null) {
      this.held.push(line);
      return;
    }
    if (this.isKnown(line)) return;
    // What was said before it, and has not come back, was refused.
    if (line.isOwn) this.unconfirmed.splice(0, this.unconfirmed.indexOf(line.text) + 1 || 1);
    this.add(line);
  }

  /**
   * Takes what was said since `last`: the last lines of `all`. What is missing before them is told
   * where it is missing.
   */
  takeSince(lines, { all, isMore }) {
    const had = tally(this.lines.filter(({ kind, at }) => kind === "said" && at === this.last));
    const fresh = lines.filter((line) => !takeOut(had, key(line)));
    const missing = all - lines.length - [...had.values()].reduce((sum, times) => sum + times, 0);
    if (missing > 0 || isMore) {
      const more = isMore ? "more than " : "";
      this.add({ kind: "gap", text: `you missed ${more}${messages(Math.max(0, missing))}` });
    }
    fresh.forEach((line) => this.add(line));
    this.known = tally(lines);
    // What was on its way when the connection broke, and is not among the lines, was not said.
    const said = new Set(fresh.map(({ text }) => text));
    this.unconfirmed.filter((text) => !said.has(text))
      .forEach((text) => this.add({ kind: "refused", text: `not said: ${text}` }));
    this.unconfirmed = [];
    this.goOn();
  }

  /** Shows the lines that have come meanwhile. */
  goOn() {
    const { held } = this;
    this.held = null;
    (held ?? []).forEach((line) => this.take(line));
  }

  missed(number) {
    this.add({ kind: "gap", text: `you missed ${messages(number)}` });
  }

  add(line) {
    this.lines.push(line);
    this.lines.splice(0, this.lines.length - LINES);
    this.show(line);
  }

  isKnown(line) {
    return line.kind === "said" && takeOut(this.known, key(line));
  }

  /** Whether somebody keeps order here. */
  isKeptBy(account) {
    return account !== null && (this.rules?.keepers ?? []).some((name) => isSame(name, account));
  }
}

/** Names that differ only in case are the same. */
export const isSame = (one, other) => one.toLowerCase() === other.toLowerCase();

const messages = (number) => (number === 1 ? "1 message" : `${count(number)} messages`);

function tally(lines) {
  const times = new Map();
  for (const line of lines) times.set(key(line), (times.get(key(line)) ?? 0) + 1);
  return times;
}

function takeOut(times, one) {
  const left = times.get(one) ?? 0;
  if (left > 1) times.set(one, left - 1);
  else times.delete(one);
  return left > 0;
}
