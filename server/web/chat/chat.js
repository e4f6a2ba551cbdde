// The chat: the same lines as by `nc`, in the frames of a WebSocket.

import { el, fill, say } from "/web/dom.js";
import { clock, count } from "/web/format.js";
import { parse } from "/web/chat/lines.js";

const LOBBY = "lobby";
const RETRY_MS = 1_000;
/** Lines kept of each room; older ones make room. */
const LINES = 500;
/** After somebody came or left, the list of people is asked for once in this time. */
const WHO_MS = 700;

const $ = (id) => document.getElementById(id);
const rooms = new Map();
let [socket, me, wanted, shown, talksIn] = [null, "", sessionStorage.getItem("name"), LOBBY, ""];

class Room {
  constructor(name, isPrivate = false) {
    Object.assign(this, { name, isPrivate, lines: [], people: [], unread: 0 });
    /** When the last line was said that was shown before the connection was lost. */
    this.last = null;
    /** Whether what has come since then goes on where that was. */
    this.goesOn = true;
    this.asksWho = null;
  }

  /** The connection is lost: what comes next is what the room kept. */
  lose() {
    const times = this.lines.filter(({ isOwn, at }) => !isOwn && at).map(({ at }) => at);
    this.last = times.length > 0 ? Math.max(...times) : null;
    this.goesOn = this.last === null;
  }

  /** Takes a line unless it was shown before the connection was lost. */
  take(line) {
    const isOld = this.last !== null && line.at !== null && line.at <= this.last;
    if (isOld) this.goesOn = true;
    const isSame = (other) => other.text === line.text && other.sender === line.sender
      && (other.isOwn || other.at === line.at);
    if (isOld && this.lines.some(isSame)) return;
    if (!this.goesOn) this.add({ kind: "gap", text: "messages may be missing here" });
    this.goesOn = true;
    this.add(line);
  }

  add(line) {
    this.lines.push(line);
    this.lines.splice(0, this.lines.length - LINES);
    if (this.name === shown) showLine(line);
    if (this.name !== shown || document.hidden) {
      if (line.kind === "said" && !line.isOwn) this.unread += 1;
      showRooms();
    }
  }

  /** Asks who is here, a moment from now. */
  lookAround() {
    if (this.isPrivate || this.asksWho !== null) return;
    this.asksWho = setTimeout(() => tell(`/who ${this.name}`), WHO_MS);
  }
}

const mentions = (line) => me !== "" && line.kind === "said" && !line.isOwn
  && line.text.toLowerCase().split(/[^\p{L}\p{N}\p{M}_-]+/u).includes(me.toLowerCase());

function room(name, isPrivate = false) {
  if (!rooms.has(name)) rooms.set(name, new Room(name, isPrivate));
  return rooms.get(name);
}

/* What is shown */

function showRooms() {
  const of = ({ name, unread }) => el("li", {}, el("button", {
    type: "button", class: "plain", "aria-current": name === shown ? "true" : null,
    onclick: () => enter(name),
  }, name, unread > 0 && el("span", { class: "badge" },
    count(unread), el("span", { class: "out-of-sight" }, " unread"))));
  fill($("rooms"), [...rooms.values()].map(of));
  const unread = [...rooms.values()].reduce((sum, one) => sum + one.unread, 0);
  document.title = `${unread > 0 ? `(${unread}) ` : ""}${shown} – Fanfare`;
}

function showPeople() {
  const people = rooms.get(shown)?.people ?? [];
  fill($("people"), people.map((name) => el("li", {}, el("button", {
    type: "button", class: "plain", disabled: name === me, title: `Write to ${name}`,
    onclick: () => {
      room(`@${name}`, true);
      enter(`@${name}`);
    },
  }, name === me ? `${name} (you)` : name))));
}

function showLine(line) {
  const list = $("lines");
  const isAtEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 60;
  const kinds = [line.kind === "said" ? (line.isOwn ? "own" : "") : line.kind,
    mentions(line) && "mention", ["notice", "reply"].includes(line.kind) && "server"];
  const time = line.at ? el("time", {}, clock(line.at).slice(0, 5)) : null;
  const words = line.kind !== "said" ? el("span", {}, line.text)
    : line.isAction ? el("span", {}, "* ", el("strong", {}, line.sender), ` ${line.text}`)
      : el("span", {}, el("strong", {}, line.sender), ` ${line.text}`);
  list.append(el("div", { class: kinds.filter(Boolean).join(" ") || null }, time, words));
  while (list.children.length > LINES) list.firstChild.remove();
  if (isAtEnd) list.scrollTop = list.scrollHeight;
}

function enter(name) {
  shown = name;
  const entered = room(name);
  entered.unread = 0;
  say($("room"), name);
  $("leave").hidden = false;
  fill($("lines"));
  entered.lines.forEach(showLine);
  $("lines").scrollTop = $("lines").scrollHeight;
  showRooms();
  showPeople();
  $("say").focus();
}

function notify(line) {
  if (!document.hidden || !("Notification" in window)) return;
  if (Notification.permission === "granted") {
    new Notification(`${line.sender} in ${line.room ?? "private"}`, { body: line.text });
  }
}

/* What the server says */

/** Answers to what this page asks by itself, and what they change. True: it is not shown. */
const ANSWERS = [
  [/^welcome to fanfare; you are (\S+?)\. /, (name) => {
    setMe(name);
    if (wanted && wanted !== name) tell(`/nick ${wanted}`);
  }],
  [/^you are (?:now )?(\S+)(?: already)?$/, (name) => setMe(name)],
  [/^you are in (\S+) \(\d+ here\)$/, (name) => {
    talksIn = name;
    const joined = room(name);
    showRooms();
    joined.lookAround();
    if (asked === name) enter(name);
    asked = "";
  }],
  [/^you now talk in (\S+)$/, (name) => {
    talksIn = name;
    return true;
  }],
  [/^you left (\S+); (?:you talk in (\S+)|.*)$/, (name, next) => {
    rooms.delete(name);
    talksIn = next ?? "";
    if (shown === name) enter(next ?? [...rooms.keys()][0] ?? LOBBY);
    showRooms();
    return true;
  }],
  [/^\d+ in (\S+?): (.*?)(?: and \d+ more)?$/, (name, people) => {
    const of = rooms.get(name);
    if (!of) return false;
    of.people = people.split(", ");
    showPeople();
    const isAsked = of.asksWho !== null;
    of.asksWho = null;
    return isAsked;
  }],
  [/^\S+ was told$/, () => true],
];

let asked = "";

function setMe(name) {
  me = name;
  $("name").value = name;
  rooms.forEach((one) => one.lookAround());
}

function take(line) {
  if (line === "" || line === "* ping" || line === "* pong") return;
  const parsed = parse(line);
  if (parsed.kind === "said") {
    const name = parsed.room ?? `@${parsed.sender}`;
    room(name, parsed.room === null).take({ ...parsed, isOwn: parsed.sender === me });
    if (mentions(parsed) || (parsed.room === null && parsed.sender !== me)) notify(parsed);
    return;
  }
  if (parsed.kind === "missed") {
    const lines = parsed.count === 1 ? "1 message" : `${count(parsed.count)} messages`;
    const gap = { kind: "gap", text: `you missed ${lines}` };
    room(rooms.has(parsed.room) ? parsed.room : LOBBY).add(gap);
    return;
  }
  if (parsed.kind === "notice") {
    const named = / (?:joined|left) (\S+)$/.exec(parsed.text)?.[1];
    const where = rooms.has(named) ? [rooms.get(named)] : [...rooms.values()]
      .filter(({ people }) => people.includes(parsed.text.split(" ")[0]));
    (where.length > 0 ? where : [room(shown)]).forEach((one) => {
      one.add(parsed);
      one.lookAround();
    });
    return;
  }
  if (parsed.kind === "reply") {
    for (const [form, change] of ANSWERS) {
      const match = form.exec(parsed.text);
      if (match && change(...match.slice(1))) return;
      if (match) break;
    }
  }
  room(shown).add(parsed);
}

/* The connection */

const encoder = new TextEncoder();

function tell(line) {
  if (socket?.readyState === WebSocket.OPEN) socket.send(encoder.encode(`${line}\n`));
}

function connect() {
  const decoder = new TextDecoder();
  let text = "";
  const joined = [...rooms.values()].filter(({ isPrivate }) => !isPrivate);
  socket = new WebSocket(`${location.origin.replace(/^http/, "ws")}/chat/socket`);
  socket.binaryType = "arraybuffer";
  socket.onopen = () => {
    setState("connected", "fine");
    joined.filter(({ name }) => name !== LOBBY).forEach(({ name }) => tell(`/join ${name}`));
  };
  socket.onmessage = ({ data }) => {
    text += decoder.decode(data, { stream: true });
    const lines = text.split("\n");
    text = lines.pop();
    lines.forEach(take);
  };
  socket.onclose = async () => {
    rooms.forEach((one) => one.lose());
    setState(await whyNot(), "severe");
    setTimeout(connect, RETRY_MS);
  };
}

/** Why there is no connection: a WebSocket does not tell, a request does. */
async function whyNot() {
  try {
    const answer = await fetch("/chat/socket");
    if (answer.status === 426) return "not connected; trying again";
    return `${(await answer.text()).trim()}; trying again`;
  } catch {
    return "the server is not there; trying again";
  }
}

function setState(text, tone) {
  say($("state"), text);
  $("state").className = `badge ${tone}`;
}

/* What the person does */

function speak(text) {
  for (const line of text.split("\n").filter((one) => one.trim() !== "")) {
    const here = room(shown);
    const own = { kind: "said", at: Date.now(), sender: me, isOwn: true, room: shown };
    if (line.startsWith("/") && !line.startsWith("//")) {
      asked = /^\/join (\S+)$/i.exec(line)?.[1].toLowerCase() ?? asked;
      tell(line);
      const action = /^\/me (.+)$/i.exec(line);
      if (action) here.add({ ...own, isAction: true, text: action[1] });
    } else if (here.isPrivate) {
      tell(`/msg ${here.name.slice(1)} ${line}`);
      here.add({ ...own, text: line });
    } else {
      if (talksIn !== shown) {
        tell(`/join ${shown}`);
        talksIn = shown;
      }
      tell(line);
      here.add({ ...own, text: line.replace(/^\/\//, "/") });
    }
  }
}

function onSubmit(form, act) {
  $(form).addEventListener("submit", (event) => {
    event.preventDefault();
    act();
  });
}

onSubmit("say-form", () => {
  if (socket?.readyState !== WebSocket.OPEN) return;
  speak($("say").value);
  $("say").value = "";
});
$("say").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("say-form").requestSubmit();
  }
});
onSubmit("name-form", () => {
  wanted = $("name").value.trim();
  sessionStorage.setItem("name", wanted);
  if (wanted !== "" && wanted !== me) tell(`/nick ${wanted}`);
});
onSubmit("join-form", () => {
  const name = $("join").value.trim();
  if (name !== "") speak(`/join ${name}`);
  $("join").value = "";
});
$("leave").onclick = () => {
  const leaving = room(shown);
  if (!leaving.isPrivate) return tell(`/leave ${shown}`);
  rooms.delete(shown);
  enter([...rooms.keys()][0] ?? LOBBY);
};
$("notify").hidden = !("Notification" in window) || Notification.permission !== "default";
$("notify").onclick = async () => {
  await Notification.requestPermission();
  $("notify").hidden = true;
};
document.addEventListener("visibilitychange", () => {
  if (document.hidden || !rooms.has(shown)) return;
  rooms.get(shown).unread = 0;
  showRooms();
});

enter(LOBBY);
connect();
