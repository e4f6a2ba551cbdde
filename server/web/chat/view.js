// What the page shows: rooms, people, lines, and what was found. A text is only ever a text node.

import { el, fill, say } from "/web/dom.js";
import { clock, count } from "/web/format.js";
import { isSame } from "/web/chat/room.js";

const $ = (id) => document.getElementById(id);
/** Rows in the page; older ones make room. */
const ROWS = 2_000;

export function showRooms(rooms, shown, enter) {
  const of = ({ name, unread }) => el("li", {}, el("button", {
    type: "button", class: "plain", "aria-current": name === shown ? "true" : null,
    onclick: () => enter(name),
  }, name, unread > 0 && el("span", { class: "badge" },
    count(unread), el("span", { class: "out-of-sight" }, " unread"))));
  fill($("rooms"), rooms.map(of));
  const unread = rooms.reduce((sum, one) => sum + one.unread, 0);
  document.title = `${unread > 0 ? `(${unread}) ` : ""}${shown} – Fanfare`;
}

/**
 * The people of a room. `act(command, name)` is what the buttons of those who keep order do, and
 * `write(name)` begins a private conversation.
 */
export function showPeople(room, { me, account, write, act }) {
  const open = document.activeElement?.closest("details")?.dataset.name;
  const mayAct = room !== undefined && room.isKeptBy(account);
  const muted = (name) => room.rules?.muted.some((one) => isSame(one, name));
  const button = (text, name, command) => el("button", {
    type: "button", onclick: () => act(command, name),
  }, text, el("span", { class: "out-of-sight" }, ` ${name}`));
  const person = (name) => {
    const mute = muted(name) ? "unmute" : "mute";
    return el("li", {}, name === me ? el("span", { class: "me" }, `${name} (you)`)
      : el("details", { "data-name": name, open: name === open },
        el("summary", {}, name, muted(name) && el("span", { class: "badge warn" }, "muted")),
        el("div", { class: "row acts" },
          el("button", { type: "button", onclick: () => write(name) }, "Write"),
          mayAct && [button(mute === "mute" ? "Mute" : "Unmute", name, mute),
            button("Kick", name, "kick"), button("Ban", name, "ban")])));
  };
  const banned = mayAct ? room.rules.banned : [];
  fill($("people"), (room?.people ?? []).map(person), banned.map((name) =>
    el("li", { class: "row spread" }, el("span", {}, name, " ",
      el("span", { class: "badge severe" }, "banned")), button("Unban", name, "unban"))));
  if (open) $("people").querySelector("details[open] summary")?.focus();
}

export function showHead(room, shown) {
  say($("room"), shown);
  say($("rules"), room?.rules?.text ?? "");
  $("rules").hidden = !room?.rules?.text;
  $("find-form").hidden = room?.isPrivate ?? false;
}

export function showLine(line, isMention) {
  const list = $("lines");
  list.append(lineOf(line, isMention));
  while (list.children.length > ROWS) list.firstChild.remove();
  if (isAtEnd) scrollToEnd();
}

/** Whoever has scrolled back stays there. */
let isAtEnd = true;
let isScrolling = false;

$("lines").addEventListener("scroll", () => {
  const { scrollHeight, scrollTop, clientHeight } = $("lines");
  isAtEnd = scrollHeight - scrollTop - clientHeight < 60;
});

/** Once for all lines that come together: where the end is takes a layout. */
function scrollToEnd() {
  if (isScrolling) return;
  isScrolling = true;
  requestAnimationFrame(() => {
    isScrolling = false;
    $("lines").scrollTop = $("lines").scrollHeight;
  });
}

export function showLines(lines, isMention) {
  fill($("lines"), lines.slice(-ROWS).map((line) => lineOf(line, isMention(line))));
  scrollToEnd();
}

/** Lines beside those of the room: what was searched for, or what was said earlier. */
export function showFound(title, lines) {
  say($("found-title"), title);
  fill($("found-lines"), lines.map((line) => lineOf(line, false)));
  $("found").hidden = false;
  $("found-lines").scrollTop = $("found-lines").scrollHeight;
}

function lineOf(line, isMention) {
  const kinds = [line.kind === "said" ? (line.isOwn ? "own" : "") : line.kind,
    isMention && "mention", ["notice", "reply"].includes(line.kind) && "server"];
  const time = line.at ? el("time", { datetime: new Date(line.at).toISOString(),
    title: new Date(line.at).toLocaleString() }, clock(line.at).slice(0, 5)) : null;
  const words = line.kind !== "said" ? el("span", {}, line.text)
    : line.isAction ? el("span", {}, "* ", el("strong", {}, line.sender), ` ${line.text}`)
      : el("span", {}, el("strong", {}, line.sender), ` ${line.text}`);
  return el("div", { class: kinds.filter(Boolean).join(" ") || null }, time, words);
}

/**
 * Asks for a password, which stays in this page; null if the person gives none, or is being asked
 * already.
 */
export function askPassword(title) {
  const [dialog, input] = [$("secret-dialog"), $("secret")];
  if (dialog.open) return Promise.resolve(null);
  say($("secret-title"), title);
  input.value = "";
  dialog.showModal();
  return new Promise((resolve) => {
    const end = (given) => {
      input.value = "";
      dialog.close();
      resolve(given);
    };
    $("secret-form").onsubmit = (event) => {
      event.preventDefault();
      end(input.value);
    };
    $("no-secret").onclick = () => end(null);
    dialog.oncancel = () => end(null);
  });
}
