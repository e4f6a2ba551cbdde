// The chat and the push page in Chromium, at two widths. Says `ok NAME` to each scenario; other
// lines ask the test: `nc TEXT` has somebody say it by TCP, `hears TEXT` waits until that person
// hears it, and `stop` and `start` do that to the server.
"use strict";

const { Browser, axe, check } = require("./browser.js");

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

async function say(page, text) {
  await page.type("#say", text);
  await page.keyboard("Enter");
}

const scenarios = {
  async chat(page, width) {
    await named(page, `ann${width}`);
    await say(page, `hello from ${width}`);
    await page.ask(`hears ann${width}: hello from ${width}`);
    await page.ask(`nc ${HOSTILE} for ann${width}`);
    await page.until("it is text", has, `${HOSTILE} for ann${width}`);
    check(await page.run(() => document.querySelector(".mention time") !== null), "a mention");
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
    await page.ask(`nc before ${width}`);
    await page.until("it is there", has, `before ${width}`);
    await page.type("#say", "a long text that nobody has sent yet");
    await page.ask("stop");
    await page.until("it says what is wrong", () =>
      document.querySelector("#state").textContent.includes("the server is not there"));
    await page.ask("start");
    await page.text("#state", "connected");
    await page.ask(`nc after ${width}`);
    await page.until("it goes on", has, `after ${width}`);
    check(await page.run(times, `before ${width}`) === 1, "nothing is there twice");
    check(await page.run(() => document.querySelector("#say").value)
      === "a long text that nobody has sent yet", "the text is still there");
  },

  async push(page, width) {
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
    check(width > 0);
  },
};

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
