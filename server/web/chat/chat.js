// The chat: the same lines as by `nc`, in the frames of a WebSocket.

import { showState } from "/web/dom.js";
import { Connection } from "/web/chat/connection.js";
import { heading, parse, rules } from "/web/chat/lines.js";
import { isSame, Room } from "/web/chat/room.js";
import { askPassword, showFound, showHead, showLine, showLines, showPeople, showRooms }
  from "/web/chat/view.js";

const LOBBY = "lobby";
/** After somebody came or left, the list of people is asked for once in this time. */
const WHO_MS = 700;

const $ = (id) => document.getElementById(id);
const rooms = new Map();
let [me, account, wanted] = ["", null, sessionStorage.getItem("name")];
let [shown, talksIn, asked] = [LOBBY, "", ""];
/** Lines that belong to a heading: what it says of them, and those that have come. */
let block = null;
/** Rooms to go to after a lost connection, and the one that is asked for now. */
let rejoining = { now: null, next: [] };
/** How often the page has asked what holds in a room, and has no answer yet. */
let modesAsked = 0;
let listing = null;
/** What was sent last. */
let sent = "";
/** Whether another name was asked for, and is neither given nor refused yet. */
let isNaming = false;
/** Passwords, kept while the page is open: for the account, for the server, and one to be tried. */
const secrets = { account: null, server: null, tried: null };

const connection = new Connection({ opened, line: take, state: showState });
const tell = (line) => connection.say(line);

const mentions = (line) => me !== "" && line.kind === "said" && !line.isOwn
  && line.text.toLowerCase().split(/[^\p{L}\p{N}\p{M}_-]+/u).includes(me.toLowerCase());

function room(name, isPrivate = false) {
  if (!rooms.has(name)) {
    const made = new Room(name, { isPrivate, show: (line) => arrived(made, line) });
    rooms.set(name, made);
  }
  return rooms.get(name);
}

/** A line is new in a room. */
function arrived(where, line) {
  if (where.name === shown) showLine(line, mentions(line));
  if (where.name !== shown || document.hidden) {
    if (line.kind === "said" && !line.isOwn) where.unread += 1;
    listRooms();
  }
}

/** Once for all lines that come together. */
function listRooms() {
  listing ??= setTimeout(() => {
    listing = null;
    showRooms([...rooms.values()], shown, enter);
  });
}

const listPeople = () => showPeople(rooms.get(shown), {
  me, account, act,
  write: (name) => {
    room(`@${name}`, true);
    enter(`@${name}`);
  },
});

/** Asks who is in a room, a moment from now. */
function lookAround(of) {
  if (of.isPrivate || of.asksWho !== null) return;
  of.asksWho = setTimeout(() => tell(`/who ${of.name}`), WHO_MS);
}

function enter(name) {
  shown = name;
  const entered = room(name);
  entered.unread = 0;
  showHead(entered, shown);
  $("found").hidden = true;
  showLines(entered.lines, mentions);
  listRooms();
  listPeople();
  if (!entered.isPrivate && talksIn !== name) talkIn(name);
  $("say").focus();
}

function talkIn(name) {
  tell(`/join ${name}`);
  talksIn = name;
  askMode();
}

/** Asks what holds in the room that this person talks in. */
function askMode() {
  modesAsked += 1;
  tell("/mode");
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
    if (secrets.server !== null) tell(`/password ${secrets.server}`);
    if (secrets.account !== null) tell(`/login ${wanted} ${secrets.account}`);
    else if (wanted && wanted !== name) tell(`/nick ${wanted}`);
  }],
  [/^you are (?:now )?(\S+)(?: already)?$/, (name) => {
    want(name);
    setMe(name);
  }],
  [/^(\S+) is yours; you are logged in$/, (name) => {
    account = name;
    [secrets.account, secrets.tried] = [secrets.tried ?? secrets.account, null];
    want(name);
    setMe(name);
    $("login").hidden = $("register").hidden = true;
    listPeople();
  }],
  [/^you are in (\S+) \(\d+ here\)$/, joined],
  [/^you now talk in (\S+)$/, (name) => {
    talksIn = name;
    if (asked === name) enter(name);
    asked = "";
    return true;
  }],
  [/^you left (\S+); (?:you talk in (\S+)|.*)$/, (name, next) => {
    talksIn = next ?? "";
    forget(name);
    return true;
  }],
  [/^(?!you )\S+ (?:removed|banned) (\S+) from (\S+)(?: \(.*\))?$/, (name, from) => {
    if (!rooms.has(from) || !isSame(name, me)) return;
    talksIn = "";
    forget(from);
  }],
  [/^\d+ in (\S+?): (.*?)(?: and \d+ more)?$/, (name, people) => {
    const of = rooms.get(name);
    if (!of) return false;
    of.people = people.split(", ");
    listPeople();
    const isAsked = of.asksWho !== null;
    of.asksWho = null;
    return isAsked;
  }],
  [/^\S+ was told$/, () => true],
];

function joined(name) {
  talksIn = name;
  const entered = room(name);
  if (secrets.tried !== null && asked === name) entered.password = secrets.tried;
  secrets.tried = null;
  if (entered.held !== null) tell(`/since ${new Date(entered.last).toISOString()}`);
  askMode();
  listRooms();
  lookAround(entered);
  if (asked === name) enter(name);
  asked = "";
  if (rejoining.now === name || name === LOBBY) rejoin();
}

/** Goes to the next of the rooms that the lost connection was in. */
function rejoin() {
  const next = rejoining.next.shift();
  rejoining.now = next?.name ?? null;
  if (next) tell(`/join ${next.name}${next.password === null ? "" : ` ${next.password}`}`);
}

/** Why a room is not joined. */
const IS_OF_ROOM = /^(?:that room|you are banned|you are in \d+ rooms|there are \d+ rooms)/;

/** What was asked for is refused: perhaps for a password. */
async function refused(text) {
  secrets.tried = null;
  if (isNaming) setMe(me);
  if (/^that line is too long/.test(text) && $("say").value === "") $("say").value = sent;
  if (rejoining.now !== null && IS_OF_ROOM.test(text)) {
    rooms.get(rejoining.now)?.goOn();
    rejoin();
  }
  if (text.startsWith("this server has a password")) {
    secrets.server = await askPassword("The password of this server");
    if (secrets.server !== null) tell(`/password ${secrets.server}`);
  } else if (text === "that is not the password") {
    secrets.server = null;
  } else if (text.startsWith("that room has a password") && asked !== "") {
    const name = asked;
    secrets.tried = await askPassword(`The password of ${name}`);
    if (secrets.tried !== null) tell(`/join ${name} ${secrets.tried}`);
  } else if (/^\S+ is somebody's; \/login/.test(text)) {
    await logIn(text.split(" ")[0]);
  }
}

function setMe(name) {
  isNaming = false;
  me = name;
  $("name").value = name;
  rooms.forEach(lookAround);
}

function want(name) {
  wanted = name;
  sessionStorage.setItem("name", name);
}

function forget(name) {
  rooms.delete(name);
  if (shown === name) enter(rooms.has(talksIn) ? talksIn : [...rooms.keys()][0] ?? LOBBY);
  listRooms();
}

function take(text) {
  if (text === "* ping" || text === "* pong" || text === "") return;
  const line = parse(text);
  line.isOwn = line.kind === "said" && line.sender === me;
  if (block !== null) return takeOfBlock(line);
  switch (line.kind) {
    case "said": return said(line);
    case "missed": return room(rooms.has(line.room) ? line.room : LOBBY).missed(line.count);
    case "notice": return noticed(line);
    case "refused":
      refused(line.text);
      break;
    default:
      if (isAnswer(line.text)) return undefined;
  }
  return room(shown).add(line);
}

function said(line) {
  const isPrivate = line.room === null;
  room(line.room ?? `@${line.sender}`, isPrivate).take(line);
  if (mentions(line) || (isPrivate && !line.isOwn)) notify(line);
}

/** Somebody came, left, or changed something. */
function noticed(line) {
  const [, name, what] = /^(\S+) (.*)$/.exec(line.text) ?? [];
  // What this person did is answered already.
  if (name === me || what === `is now ${me}`) return;
  const place = / (?:joined|left|from|in|to|of) (\S+?)(?: \(.*\))?$/.exec(line.text)?.[1];
  const where = rooms.has(place) ? [rooms.get(place)]
    : [...rooms.values()].filter(({ people }) => people.includes(name));
  (where.length > 0 ? where : [room(shown)]).forEach((one) => {
    one.add(line);
    lookAround(one);
  });
  if (!/^(?:joined|left|is now) /.test(what) && talksIn === shown) askMode();
}

function isAnswer(text) {
  const begun = heading(text);
  if (begun !== null) {
    block = { ...begun, got: [] };
    endBlock();
    return true;
  }
  const held = rules(text);
  if (held !== null && rooms.has(held.room)) {
    const isOfPage = modesAsked > 0;
    modesAsked = Math.max(0, modesAsked - 1);
    rooms.get(held.room).rules = held;
    showHead(rooms.get(shown), shown);
    listPeople();
    return isOfPage;
  }
  for (const [form, change] of ANSWERS) {
    const match = form.exec(text);
    if (match) return change(...match.slice(1)) === true;
  }
  if (/^you (?:removed|banned|unbanned|muted|unmuted|made|set|took|ended)/.test(text)) {
    askMode();
    rooms.forEach(lookAround);
  }
  return false;
}

function takeOfBlock(line) {
  block.got.push(line.kind === "said" ? line : { ...line, kind: "gap" });
  endBlock();
}

/** The lines of a heading have come. */
function endBlock() {
  if (block.got.length < block.lines) return;
  const { what, got, title } = block;
  if (what === "since") rooms.get(block.room)?.takeSince(got, block);
  else showFound(title, got);
  block = null;
}

/* The connection */

function opened() {
  [account, talksIn, block, modesAsked] = [null, "", null, 0];
  $("login").hidden = $("register").hidden = false;
  const left = [...rooms.values()].filter(({ isPrivate }) => !isPrivate);
  left.forEach((one) => one.catchUp());
  rejoining = { now: null, next: left.filter(({ name }) => name !== LOBBY) };
}

/* What the person does */

function speak(text) {
  for (const line of text.split("\n").filter((one) => one.trim() !== "")) {
    const here = room(shown);
    // Times come in one form, which this page shows in its own.
    if (/^\/time\b/i.test(line)) continue;
    const isCommand = line.startsWith("/") && !line.startsWith("//");
    const action = /^\/me (.+)$/i.exec(line)?.[1];
    if (isCommand && action === undefined) {
      [, asked, secrets.tried] = /^\/join (\S+)(?: (\S+))?$/i.exec(line) ?? [0, asked, null];
      asked = asked.toLowerCase();
      secrets.tried ??= null;
      tell(line);
    } else if (here.isPrivate) {
      tell(`/msg ${here.name.slice(1)} ${line}`);
      here.add({ kind: "said", at: Date.now(), sender: me, isOwn: true, text: line });
    } else {
      if (talksIn !== shown) talkIn(shown);
      tell(line);
      here.unconfirmed.push(action ?? line.replace(/^\/\//, "/"));
    }
  }
}

/** What those who keep order do to somebody. */
function act(command, name) {
  if (talksIn !== shown) talkIn(shown);
  tell(`/${command} ${name}`);
}

async function logIn(name) {
  const password = await askPassword(`The password of ${name}`);
  if (password === null) return;
  want(name);
  secrets.tried = password;
  tell(`/login ${name} ${password}`);
}

async function register() {
  const password = await askPassword(`A password for ${me}, of 8 characters or more`);
  if (password === null) return;
  secrets.tried = password;
  tell(`/register ${password}`);
}

function onSubmit(form, act) {
  $(form).addEventListener("submit", (event) => {
    event.preventDefault();
    act();
  });
}

onSubmit("say-form", () => {
  if (!connection.isOpen) return;
  sent = $("say").value;
  $("say").value = "";
  speak(sent);
});
$("say").addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    $("say-form").requestSubmit();
  }
});
onSubmit("name-form", () => {
  const name = $("name").value.trim();
  if (name === "" || name === me) return;
  if (!connection.isOpen) want(name);
  isNaming = true;
  tell(`/nick ${name}`);
});
$("login").onclick = () => logIn($("name").value.trim() || me);
$("register").onclick = register;
onSubmit("join-form", () => {
  const name = $("join").value.trim().replace(/\s+/g, "-");
  if (name !== "") speak(`/join ${name}`);
  $("join").value = "";
});
onSubmit("find-form", () => {
  if (talksIn !== shown) talkIn(shown);
  const words = $("find").value.trim();
  tell(words === "" ? "/history 100" : `/search ${words}`);
});
$("found-close").onclick = () => {
  $("found").hidden = true;
  $("find").focus();
};
$("leave").onclick = () => {
  if (!room(shown).isPrivate) tell(`/leave ${shown}`);
  else forget(shown);
};
$("notify").hidden = !("Notification" in window) || Notification.permission !== "default";
$("notify").onclick = async () => {
  await Notification.requestPermission();
  $("notify").hidden = true;
};
document.addEventListener("visibilitychange", () => {
  if (document.hidden || !rooms.has(shown)) return;
  rooms.get(shown).unread = 0;
  listRooms();
});

enter(LOBBY);
connection.open();
