// The dashboard in Chromium, at two widths. Says `ok NAME` to each scenario, and `restart`,
// `flood` or `victim` when the test is to do something.
"use strict";

const { Browser, axe, equal, check, sleepless } = require("./browser.js");

const [address, guarded, token] = process.argv.slice(2);
const WIDTHS = [[1200, 800], [390, 844]];
/** What the test calls its connections and topics, and puts into payloads. */
const HOSTILE = '<img src=x onerror="window.hacked=1">';

const scenarios = {
  async overview(page) {
    await page.open(`${address}/`);
    await page.text("#state", "live");
    await page.until("the charts have lines", () =>
      document.querySelectorAll(".plot path.line[d^=M]").length >= 4);
    await page.until("the front-ends are listed", () =>
      document.querySelector("tbody").textContent.includes("chat"));
    await axe(page);
  },

  async what_is_wrong(page) {
    await page.open(`${address}/#overview`);
    await page.until("the full front-end is told of", () =>
      document.querySelector(".problems").textContent.includes("evil is full"));
    await page.until("so is the link to the cluster", () =>
      document.querySelector(".problems").textContent.includes("not joined: <img src=x"));
    await page.until("with what it has counted", () =>
      document.querySelector(".links").textContent.includes("12,345"));
    equal(await page.run(() =>
      getComputedStyle(document.querySelector(".problems .severe")).display),
      "list-item");
  },

  async connections(page) {
    await page.open(`${address}/#connections`);
    await page.until("ten thousand are counted", () =>
      /1 to 100 of 10,0\d\d/.test(document.querySelector(".pager span").textContent));
    await page.press("Next");
    await page.until("the next page", () =>
      document.querySelector(".pager span").textContent.startsWith("101 to 200"));
    await page.press("Name");
    await page.until("it is sorted", () =>
      document.querySelector("th[aria-sort]").textContent.startsWith("Name"));
    await page.type("input[type=search]", "ONERROR");
    await page.until("the hostile ones are found", () =>
      document.querySelector("tbody tr td").parentElement.textContent.includes("<img src=x"));
    await page.type("input[type=search]", "no such name");
    await page.until("nothing is found", () =>
      document.querySelector("tbody").textContent === "no connection is like that");
    await axe(page);
  },

  async what_is_selected_stays(page) {
    await page.open(`${address}/#connections`);
    await page.until("connections", () => document.querySelector("tbody code"));
    const [name, looks] = await page.run(() => {
      const link = document.querySelector("tbody a");
      getSelection().selectAllChildren(link);
      return [link.textContent, performance.getEntriesByType("resource").length];
    });
    await page.until("it has looked again", (times) =>
      performance.getEntriesByType("resource").length > times + 1, looks);
    await page.run(() => new Promise((resolve) => requestAnimationFrame(resolve)));
    equal(await page.run(() => getSelection().toString()), name);
  },

  async late_answers_are_left_out(page) {
    await page.beforeScripts(tardy);
    await page.open(`${address}/#connections`);
    await page.until("connections", () => document.querySelector("tbody a"));
    await page.run(() => window.holdBack("search=client-18"));
    await page.type("input[type=search]", "client-18");
    await page.until("that is asked for", () => window.held !== null);
    await page.type("input[type=search]", "client-17");
    const isOf17 = () => {
      const names = [...document.querySelectorAll("tbody a")].map((link) => link.textContent);
      return names.length > 0 && names.every((name) => name.startsWith("client-17"));
    };
    await page.until("this is found", isOf17);
    await page.run(() => window.held());
    check(await page.run(isOf17), "the earlier answer is not shown");
  },

  async the_skip_link_stays_in_the_view(page) {
    await page.open(`${address}/#journal`);
    await page.text("h1", "Journal");
    await page.run(() => document.querySelector(".skip").focus());
    await page.keyboard("Enter");
    await page.until("the view has the focus", () => document.activeElement.id === "main");
    await page.text("h1", "Journal");
    await page.open(`${address}/#constructor`);
    await page.text("h1", "Overview");
  },

  async subjects_of_a_connection(page) {
    await page.open(`${address}/#connections`);
    await page.type("input[type=search]", "client-17");
    await page.press("client-17");
    await page.until("its subject and group are listed", () => {
      const text = document.querySelector("main").textContent;
      return text.includes("subject<img src=x") && text.includes("group<img src=x");
    });
    await axe(page);
  },

  async a_long_name_fits(page) {
    await page.open(`${address}/#connections`);
    await page.type("input[type=search]", "oooong");
    await page.until("it is found", () =>
      document.querySelector("tbody a")?.textContent.length > 99);
    await page.run(() => document.querySelector("tbody a").click());
    await page.until("it is the title", () =>
      document.querySelector("h1").textContent.startsWith("loooo"));
    await page.press("Disconnect…");
  },

  async what_the_server_refuses_is_told(page) {
    await page.open(`${address}/#connections/%`);
    await page.until("it is no number", () =>
      document.querySelector("#problem").textContent.startsWith("cid has to be a number"));
    await axe(page);
    await page.open(`${address}/#try`);
    await page.until("the problem was of the other view", () =>
      document.querySelector("#problem").hidden);
    await page.type("main input", "a..b");
    await page.press("Subscribe");
    await page.until("it is no pattern", () =>
      document.querySelector("[role=status].bad").textContent.includes("empty token"));
  },

  async one_connection_is_disconnected(page) {
    const name = await page.ask("victim");
    await page.open(`${address}/#connections`);
    await page.type("input[type=search]", name);
    await page.press(name);
    await page.until("its queues are listed", () =>
      document.querySelector("table").textContent.includes("chat.room.lobby"));
    await page.until("what it waits for is told", () =>
      document.querySelector(".facts").textContent.includes("socket read"));
    await axe(page);
    await page.press("Disconnect…");
    await page.press("Disconnect", "dialog");
    await page.until("it has ended", () =>
      document.querySelector("[role=status].quiet").textContent.includes("has ended"));
    await page.open(`${address}/#journal`);
    await page.until("it is in the journal", () =>
      document.querySelector("tbody").textContent.includes("disconnected by an administrator"));
  },

  async topics(page) {
    const began = Date.now();
    await page.open(`${address}/#topics`);
    await page.until("ten thousand topics", () =>
      document.querySelector(".tree")?.textContent.includes("many"));
    console.log(`# the tree of 10,000 topics is there after ${Date.now() - began} ms`);
    await page.press("many", ".tree");
    await page.until("a hundred of them", () =>
      document.querySelectorAll(".tree ul ul > li").length === 101);
    await page.type(".tools input", "<img");
    await page.until("the hostile one is found", () =>
      document.querySelector(".tree").textContent.includes("<img"));
    await page.type(".tools input", "room.lobby");
    await page.press("lobby", ".tree");
    await page.until("who subscribes", () =>
      document.querySelectorAll(".columns tbody code").length > 0);
    await axe(page);
  },

  async try_it(page) {
    await page.open(`${address}/#try`);
    await page.type("main input", "demo.>");
    await page.press("Subscribe");
    await page.until("it is subscribed", () =>
      document.querySelector("[role=status].quiet").textContent.startsWith("0 received"));
    await page.type("textarea", HOSTILE);
    await page.press("Publish");
    await page.until("the receipt", () =>
      document.querySelector("main").textContent.includes("matched 1, queued 1"));
    await page.until("the message as it was written", () =>
      document.querySelector(".messages pre").textContent.startsWith("<img src=x"));
    await page.press("Stop");
    await axe(page);
  },

  async gaps_are_shown_in_their_place(page) {
    await page.open(`${address}/#try`);
    await page.type("main input", "flood.>");
    await page.press("Subscribe");
    await page.until("it is subscribed", () =>
      document.querySelector("main").textContent.includes("0 received"));
    const flood = Number(await page.ask("flood"));
    await page.until("received and missed add up", (all) => {
      const words = document.querySelector("[role=status].bad")?.textContent.replaceAll(",", "");
      const [, received, missed] = words?.match(/(\d+) received (\d+) missed/) ?? [];
      return Number(received) + Number(missed) === all && Number(missed) > 0;
    }, flood);
    await page.until("the gap is told", () =>
      document.querySelector(".gap").textContent.includes("missing here"));
  },

  async journal(page) {
    await page.open(`${address}/#journal`);
    await page.until("events", () => document.querySelectorAll("tbody tr").length > 3);
    await page.type("main input", "chat");
    await page.until("only those of the chat", () =>
      [...document.querySelectorAll("tbody tr")].every((row) => row.textContent.includes("chat")));
    const place = await page.run(() => [...document.querySelectorAll("tbody code")]
      .map((one) => one.textContent).find((text) => /:\d+$/.test(text)));
    await page.type("main input", place);
    await page.until("what is shown is found", (wanted) => {
      const places = [...document.querySelectorAll("tbody code")].map((one) => one.textContent);
      return places.length > 0 && places.every((one) => one === wanted);
    }, place);
    await axe(page);
  },

  async profiles(page) {
    await page.open(`${address}/#profiles`);
    const has = (name) => [...document.querySelectorAll(".flame button")]
      .some((part) => part.textContent === name);
    await page.until("the tasks", has, "chat server");
    await page.run(() => [...document.querySelectorAll(".flame button")]
      .find((part) => part.textContent === "chat server").focus());
    await page.keyboard("Enter");
    await page.until("a part is the whole", () =>
      document.querySelector(".flame button").textContent === "chat server");
    await page.keyboard("Enter");
    await page.until("and the whole again", () =>
      document.querySelector(".flame button").textContent === "all");
    await axe(page);
  },

  async token(page) {
    await page.open(`${guarded}/`);
    await page.until("it is asked for", () => document.querySelector("#token-dialog").open);
    await axe(page);
    await page.type("#token", "wrong ✓");
    await page.press("Continue");
    await page.text("#token-problem", "That is not the token.");
    await page.type("#token", token);
    await page.press("Continue");
    await page.text("#state", "live");
    equal(await page.run(() => [localStorage.length, document.cookie].join()), "0,");
  },

  async reconnect(page) {
    await page.open(`${address}/`);
    await page.text("#state", "live");
    await page.ask("restart");
    await page.until("it is live again", () => {
      window.wasAway ??= false;
      window.wasAway ||= document.querySelector("#state").textContent.includes("trying again");
      return window.wasAway && document.querySelector("#state").textContent === "live";
    });
  },
};

/** Runs in the page: keeps an answer back until `held` is called, which waits until it is taken. */
function tardy() {
  const { fetch } = window;
  let wanted = null;
  window.held = null;
  window.holdBack = (part) => { wanted = part; };
  window.fetch = async (path, ...rest) => {
    const answer = await fetch(path, ...rest);
    if (wanted === null || !path.includes(wanted)) return answer;
    const text = await answer.text();
    wanted = null;
    await new Promise((resolve) => {
      window.held = () => {
        resolve();
        return new Promise((taken) => setTimeout(taken));
      };
    });
    return new Response(text, answer);
  };
}

/** A thousand snapshots, as fast as the page takes them: neither memory nor time grows. */
async function a_thousand_updates(page) {
  await page.beforeScripts(sleepless);
  await page.open(`${address}/`);
  const updates = async (count) => {
    await page.run((many) => { window.wanted = many; }, count);
    await page.until(`${count} updates`, (many) => window.updates >= many, count);
  };
  // The charts are full then, and nothing is changing while the memory is measured.
  await updates(400);
  const before = await page.memory();
  const work = await page.work(() => updates(1_400));
  const after = await page.memory();
  const grown = after.heapBytes - before.heapBytes;
  console.log(`# 1,000 updates: the heap grew by ${grown} bytes to ${after.heapBytes}, and by `
    + `${after.nodes - before.nodes} nodes; ${(work / 1_000).toFixed(2)} ms of work each`);
  check(grown < 1_000_000, `the heap grew by ${grown} bytes`);
  // Some 5 ms where nothing else runs; more than a second where all is made anew for each.
  check(work < 250 * 1_000, `an update takes ${work / 1_000} ms`);
}

(async () => {
  const browser = await Browser.launch();
  for (const [width, height] of WIDTHS) {
    for (const [name, scenario] of Object.entries(scenarios)) {
      await browser.play(`${name} ${width}`, { width, height }, scenario);
    }
  }
  await browser.play("a_thousand_updates", { width: 1200, height: 800 }, a_thousand_updates);
  await browser.close();
})();
