// Pictures of the pages for docs/, of a server at its default addresses with something to do:
// NODE_PATH=target/nats-clients/node/node_modules node server/tests/clients/node/screenshots.js docs
"use strict";

const net = require("node:net");
const puppeteer = require("puppeteer-core");

const [folder, admin = "http://127.0.0.1:6060", http = "http://127.0.0.1:7003",
  chat = "127.0.0.1:7000"] = process.argv.slice(2);

/** So long a page is watched before its picture is taken, so that charts have lines. */
const WATCH_MS = Number(process.env.WATCH_MS ?? 90_000);

const TALK = [
  ["bob", "good morning! has anybody seen the new build?"],
  ["carla", "it is green since nine o'clock"],
  ["bob", "then I will put it on the first machine"],
  ["carla", "ann, could you watch the dashboard meanwhile?"],
];

const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** A person at the chat's TCP listener. */
async function person(name) {
  const [host, port] = chat.split(":");
  const socket = net.connect(Number(port), host);
  socket.write(`/nick ${name}\n`);
  socket.resume();
  await pause(500);
  return socket;
}

async function type(page, selector, text) {
  await page.$eval(selector, (input) => { input.value = ""; });
  await page.type(selector, text);
  await page.keyboard.press("Enter");
  await pause(500);
}

async function conversation(page) {
  const people = { bob: await person("bob"), carla: await person("carla") };
  await page.goto(`${http}/chat`);
  await pause(1_000);
  await type(page, "#name", "ann");
  await type(page, "#join", "releases");
  await page.evaluate(() => document.querySelector("#rooms button").click());
  for (const [name, text] of TALK) {
    people[name].write(`${text}\n`);
    await pause(500);
  }
  await type(page, "#say", "sure, I have it open");
  people.bob.write("/join releases\nthe notes are ready\n");
  await pause(2_000);
}

/** Readers of five messages a second, ten seconds after a burst. */
async function demonstration(page) {
  await page.goto(`${http}/chat/demo`);
  await pause(1_000);
  await page.evaluate(() => {
    const slider = document.querySelector("#pace");
    slider.value = 0.75;
    slider.dispatchEvent(new Event("input"));
    document.querySelector("#burst").click();
  });
  await pause(10_000);
}

(async () => {
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
  });
  const picture = async (name, height, show) => {
    const page = await browser.newPage();
    await page.setViewport({ width: 1200, height });
    await show(page);
    await page.screenshot({ path: `${folder}/${name}.png` });
  };
  await picture("chat", 560, conversation);
  await picture("demo", 760, demonstration);
  await picture("dashboard", 860, async (page) => {
    await page.goto(`${admin}/`);
    await pause(WATCH_MS);
  });
  await browser.close();
  process.exit(0);
})();
