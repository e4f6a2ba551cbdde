// The chat and the push page in Chromium, at two widths. Says `ok NAME` to each scenario; other
// lines ask the test: `nc TEXT` has somebody say it by TCP, and `many N TEXT` many lines; `hears
// TEXT` waits until that person hears it; `push TARGET TTL TEXT` pushes, for so many seconds; `stop`
// kills the server, `start` starts it again with what it has stored, and `start elsewhere` does so
// where the page does not find it.
"use strict";

const { Browser, axe, check, equal } = require("./browser.js");

const [address] = process.argv.slice(2);
const HOSTILE = '<img src=x onerror="window.hacked=1">';

const has = (text) => document.querySelector("#lines").textContent.includes(text);
const times = (text) => [...document.querySelectorAll("#lines > div")]
  .filter((line) => line.textContent.includes(text)).length;

async function named(page, name) {
  await page.open(`${address}/chat`);
  await page.text("#state", "connected");
  await page.until("it has a name", () => document.querySelector("#name").value !== "");
  await page.type("#name", name);
  await page.press("Take it");
  await page.until("the name is taken", has, `you are now ${name}`);
}

/** What was said before outlives the server. */
async function stored(page) {
  await page.ask("nc /sync");
  await page.ask("hears * stored");
}

async function say(page, text) {
  await page.type("#say", text);
  await page.keyboard("Enter");
}

/** Listens in a user's name, and in a group's, after one push. */
async function listening(page, name) {
  await page.open(`${address}/`);
  await page.type("#user", name);
  await page.type("#groups", `g-${name}`);
  await page.press("Listen");
  await page.text("#state", `listening as ${name}`);
  await page.ask(`push user:${name} 600 ${name} was here`);
  await pushes(page, name, "was here");
}

/** Waits until exactly these pushes are shown that name somebody, or are missing. */
function pushes(page, name, ...texts) {
  const shown = texts.map((text) => (text.includes("left out") ? text : `${name} ${text}`));
  return page.until(texts.join(", "), (who, wanted) => {
    const items = [...document.querySelectorAll("#pushes li")].reverse();
    const found = items.map((item) => item.lastChild.textContent)
      .filter((text) => text.startsWith(`${who} `) || text.includes("left out"));
    return JSON.stringify(found) === JSON.stringify(wanted);
  }, name, shown);
}

const scenarios = {
  async chat(page, width) {
    await named(page, `ann${width}`);
    await say(page, `hello from ${width}`);
    await page.ask(`hears ann${width}: hello from ${width}`);
    await page.ask(`nc ${HOSTILE} for ann${width}`);
    await page.until("it is text", has, `${HOSTILE} for ann${width}`);
    check(await page.run(() => document.querySelector(".mention time") !== null), "a mention");
    const [lines, form] = await page.run(() => ["#lines", "#say-form"].map((part) =>
      document.querySelector(part).getBoundingClientRect().toJSON()));
    check(form.top >= lines.bottom - 1, "what is typed stands below what was said");
    await page.until("both are listed", (one) => {
      const people = document.querySelector("#people").textContent;
      return people.includes("nick") && people.includes(`${one} (you)`);
    }, `ann${width}`);
    await axe(page);
  },

  async rooms_and_private_messages(page, width) {
    await named(page, `rob${width}`);
    await page.type("#join", `den${width}`);
    await page.press("Join");
    await page.text("#room", `den${width}`);
    await page.ask(`nc unseen ${width}`);
    await page.until("it is counted in the other room", () =>
      document.querySelector("#rooms .badge")?.textContent.startsWith("1"));
    await page.press("lobby1 unread", "#rooms");
    await page.until("it is there", has, `unseen ${width}`);
    await page.ask(`nc /msg rob${width} psst ${width}`);
    await page.press("@nick1 unread", "#rooms");
    await page.until("in a place of its own", has, `psst ${width}`);
    await say(page, `got it ${width}`);
    await page.ask(`hears (private) rob${width}: got it ${width}`);
    await page.press("Leave");
    await page.press(`den${width}`, "#rooms");
    await page.press("Leave");
    await page.text("#room", "lobby");
  },

  async long_text_and_reconnection(page, width) {
    await named(page, `eve${width}`);
    for (const room of [`nook${width}`, "lobby"]) {
      await page.type("#join", room);
      await page.press("Join");
      await page.text("#room", room);
    }
    await page.ask(`nc before ${width}`);
    await page.until("it is there", has, `before ${width}`);
    await stored(page);
    await page.type("#say", "a long text that nobody has sent yet");
    await page.ask("stop");
    await page.until("it says what is wrong", () =>
      document.querySelector("#state").textContent.includes("the server is not there"));
    await page.ask("start elsewhere");
    await page.ask(`many 30 meanwhile ${width}`);
    await stored(page);
    await page.ask("stop");
    await page.ask("start");
    await page.text("#state", "connected");
    await page.ask(`nc after ${width}`);
    await page.until("it goes on", has, `after ${width}`);
    await page.until("with all that was said meanwhile", has, `line 1 meanwhile ${width}`);
    for (const text of [`before ${width}`, `line 1 meanwhile ${width}`,
      `line 30 meanwhile ${width}`, `after ${width}`]) {
      check(await page.run(times, text) === 1, `${text} is there once`);
    }
    check(!await page.run(has, "you missed"), "nothing is missing");
    check(await page.run(() => document.querySelector("#say").value)
      === "a long text that nobody has sent yet", "the text is still there");
    await page.press(`nook${width}`, "#rooms");
    await page.ask("stop");
    await page.until("it is away again", () =>
      document.querySelector("#state").textContent.includes("the server is not there"));
    await page.ask("start");
    await page.text("#state", "connected");
    await page.ask(`nc again ${width}`);
    await page.until("it is in the lobby too", () => document.querySelector("#rooms .badge"));
    equal(await page.run(() => document.querySelector("#room").textContent), `nook${width}`);
  },

  async what_is_refused_is_not_lost(page, width) {
    await named(page, `max${width}`);
    await page.type("#say", "a line that is too long");
    await page.run(() => { document.querySelector("#say").value = "long ".repeat(2_000); });
    await page.keyboard("Enter");
    await page.until("it is refused", has, "that line is too long");
    await page.until("it is there to be shortened", () =>
      document.querySelector("#say").value === "long ".repeat(2_000));
    await page.type("#join", `two words ${width}`);
    await page.press("Join");
    await page.text("#room", `two-words-${width}`);
    await page.press("Leave");
    await page.text("#room", "lobby");
    await page.type("#name", "nick");
    await page.press("Take it");
    await page.until("the name that it has is shown", (name) =>
      document.querySelector("#lines").textContent.includes("somebody here is called nick")
        && document.querySelector("#name").value === name, `max${width}`);
    equal(await page.run(() => sessionStorage.getItem("name")), `max${width}`);
  },

  async what_is_missing_is_counted(page, width) {
    await named(page, `mia${width}`);
    await page.ask(`nc first ${width}`);
    await say(page, `mine ${width}`);
    await page.ask(`hears mia${width}: mine ${width}`);
    await page.until("both are there", (one) => ["first", "mine"].every((text) =>
      document.querySelector("#lines").textContent.includes(`${text} ${one}`)), width);
    await stored(page);
    await page.ask("stop");
    await page.ask("start elsewhere");
    await page.ask(`many 1012 of ${width}`);
    await stored(page);
    await page.ask("stop");
    await page.ask("start");
    await page.until("the gap is told", has, "you missed 12 messages");
    await page.ask(`nc last ${width}`);
    await page.until("it goes on", has, `last ${width}`);
    const place = (text) => page.run((wanted) => [...document.querySelectorAll("#lines > div")]
      .findIndex((line) => line.textContent.includes(wanted)), text);
    const gap = await place("you missed 12 messages");
    check(await place(`mine ${width}`) < gap, "the gap is where lines are missing");
    equal(await place(`line 13 of ${width}`), gap + 1);
    equal(await place(`line 12 of ${width}`), -1);
    for (const text of [`mine ${width}`, `line 1012 of ${width}`, `last ${width}`]) {
      equal(await page.run(times, text), 1, `${text} is there once`);
    }
  },

  async accounts_and_order(page, width) {
    const [name, room, password] = [`own${width}`, `court${width}`, "correct-horse"];
    const isLoggedIn = () => page.until("it is logged in", has, `${name} is yours`);
    await named(page, name);
    await page.press("Register");
    await page.type("#secret", password);
    await page.press("Continue");
    await isLoggedIn();
    await page.type("#join", room);
    await page.press("Join");
    await page.until("who founded it is told", () =>
      document.querySelector("#rules").textContent.startsWith("founded by"));
    await page.ask(`nc /join ${room}`);
    await page.until("nick is there", () => document.querySelector("[data-name=nick]") !== null);
    await page.run(() => document.querySelector("[data-name=nick] summary").click());
    await page.press("Mute nick");
    await page.ask("hears muted nick");
    await page.ask("nc hello?");
    await page.ask(`hears ! you are muted in ${room}`);
    await page.until("it is shown", () =>
      document.querySelector("[data-name=nick] .badge")?.textContent === "muted");
    await axe(page);
    await page.press("Unmute nick");
    await page.ask("hears unmuted nick");
    await say(page, "/mode password sesame-1");
    await page.until("it has a password", () =>
      document.querySelector("#rules").textContent.includes("has a password"));
    await page.press("Kick nick");
    await page.ask("hears removed nick");
    await page.ask(`nc /join ${room}`);
    await page.ask("hears ! that room has a password");
    await say(page, "/ban nick");
    await page.press("Unban nick");
    await page.ask("nc /join lobby");
    await say(page, `a needle ${HOSTILE}`);
    await page.until("it is said", has, "a needle");
    await page.type("#find", "needle");
    await page.press("Find");
    await page.until("it is found", () =>
      document.querySelector("#found-lines").textContent.includes("a needle <img"));
    await axe(page);
    await page.press("Close");

    // Somebody else, who has to know the room's password.
    await page.run(() => sessionStorage.clear());
    await page.open(`${address}/chat`);
    await page.until("a guest", () => document.querySelector("#name").value.startsWith("guest"));
    await page.type("#join", room);
    await page.press("Join");
    await page.until("it is asked for", () => document.querySelector("#secret-dialog").open);
    await axe(page);
    await page.type("#secret", "sesame-1");
    await page.press("Continue");
    await page.text("#room", room);
    await page.type("#name", name);
    await page.press("Log in");
    await page.type("#secret", "wrong-horse");
    await page.press("Continue");
    await page.until("it is refused", () => document.querySelector("#lines .refused") !== null);
    check(!await page.run(() => document.querySelector("#login").hidden));
    await page.type("#name", name);
    await page.press("Log in");
    await page.type("#secret", password);
    await page.press("Continue");
    await isLoggedIn();
    check(!await page.run(() => JSON.stringify({ ...sessionStorage, ...localStorage })
      .includes("horse")), "no password is kept");
  },

  async demo(page) {
    await page.open(`${address}/chat`);
    await page.press("Demo");
    await page.text("#state", "ready");
    const pace = (value) => page.run((to) => {
      const slider = document.querySelector("#pace");
      slider.value = to;
      slider.dispatchEvent(new Event("input"));
    }, value);
    await pace(1);
    await page.press("Burst of 500");
    await page.until("queues are full", () => document.querySelector(".queue.full") !== null);
    await page.until("one is cut off", () =>
      document.querySelector(".ended").dataset.policy === "disconnect");
    await axe(page);
    const policies = ["wait", "drop_newest", "drop_oldest", "disconnect"];
    const addsUp = (of, isRead) => {
      const figures = document.querySelectorAll(`[data-policy=${of}] dd`);
      const [sent, received, missed, queued] = [...figures]
        .map(({ textContent: text }) => Number(text));
      return sent === 500 && missed > 0 && sent === received + missed + queued
        && (queued === 0 || !isRead);
    };
    for (const policy of policies) {
      await page.until(`${policy}: sent = received + missed + queued`, addsUp, policy, false);
    }
    await pace(0);
    for (const policy of policies) {
      await page.until(`${policy}: sent = received + missed`, addsUp, policy, true);
      check(await page.run((of) =>
        document.querySelector(`[data-policy=${of}] .gap`) !== null, policy), "a gap");
    }
  },

  async push(page) {
    await page.open(`${address}/`);
    await page.text("#state", "listening as 42");
    await page.type("#to", "user:42");
    await page.type("#text", HOSTILE);
    await page.press("Push");
    await page.until("the push, as text", () =>
      document.querySelector("#pushes li").textContent.includes("<img src=x"));
    await axe(page);
    await page.ask("stop");
    await page.until("it says what is wrong", () =>
      document.querySelector("#problem").textContent.includes("the server is not running"));
    await page.ask("start");
    await page.text("#state", "listening as 42");
    await page.until("the problem is gone", () => document.querySelector("#problem").hidden);
    await page.type("#user", "no such user!");
    await page.press("Listen");
    await page.text("#state", "refused");
  },

  async pushes_while_the_server_was_away(page, width) {
    const name = `away${width}`;
    await listening(page, name);
    await page.ask("stop");
    await page.until("it says what is wrong", () =>
      document.querySelector("#problem").textContent.includes("the server is not running"));
    await page.ask("start elsewhere");
    const targets = [`user:${name}`, "all", `group:g-${name}`];
    const missed = [...targets, ...targets].map((target, number) => [target, `push ${number}`]);
    for (const [target, text] of missed) await page.ask(`push ${target} 600 ${name} ${text}`);
    await page.ask("stop");
    await page.ask("start");
    await page.text("#state", `listening as ${name}`);
    await page.until("the problem is gone", () => document.querySelector("#problem").hidden);
    await page.ask(`push user:${name} 600 ${name} is back`);
    await pushes(page, name, "was here", ...missed.map(([, text]) => text), "is back");
  },

  async pushes_while_the_page_was_cut_off(page, width) {
    const name = `cut${width}`;
    await page.beforeScripts(severable);
    await listening(page, name);
    await page.run(() => window.cut());
    await page.until("it tries again", () =>
      document.querySelector("#state").textContent === "trying again");
    await page.ask(`push user:${name} 600 ${name} before`);
    await page.ask(`push user:${name} 1 ${name} too late`);
    const expired = Date.now() + 1_000;
    await page.ask(`push group:g-${name} 600 ${name} after`);
    await page.until("it is too late", (then) => Date.now() > then, expired);
    await page.run(() => window.mend());
    await page.text("#state", `listening as ${name}`);
    await page.ask(`push all 600 ${name} is back`);
    await pushes(page, name, "was here", "before", "1 came too late and were left out", "after",
      "is back");
  },
};

/** Runs in the page: what it asks can be cut off, and fails until that is mended. */
function severable() {
  const { fetch } = window;
  let line = new AbortController();
  window.cut = () => line.abort(new TypeError("cut off"));
  window.mend = () => { line = new AbortController(); };
  window.fetch = (path, options = {}) => {
    const signals = [line.signal, options.signal].filter(Boolean);
    return fetch(path, { ...options, signal: AbortSignal.any(signals) });
  };
}

(async () => {
  const browser = await Browser.launch();
  for (const [width, height] of [[1200, 800], [390, 844]]) {
    for (const [name, scenario] of Object.entries(scenarios)) {
      const play = (page) => scenario(page, width);
      await browser.play(`${name} ${width}`, { width, height }, play);
    }
  }
  await browser.close();
})();
