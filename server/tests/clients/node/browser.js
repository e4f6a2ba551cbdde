// Chromium, driven by puppeteer-core: pages that wait for conditions, and what they must never do.
"use strict";

const assert = require("node:assert");
const fs = require("node:fs");
const readline = require("node:readline");
const puppeteer = require("puppeteer-core");

/** Far longer than anything takes; only a failing scenario waits so long. */
const PATIENCE_MS = 120_000;

/** Between two looks at a page. */
const POLL_MS = 20;

const AXE = fs.readFileSync(require.resolve("axe-core/axe.min.js"), "utf8");
const answers = readline.createInterface({ input: process.stdin })[Symbol.asyncIterator]();

class Browser {
  static async launch() {
    const browser = new Browser();
    browser.chromium = await puppeteer.launch({
      executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
      args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
      protocolTimeout: PATIENCE_MS,
      timeout: PATIENCE_MS,
    });
    return browser;
  }

  /** Plays a scenario in a page of its own; ends the program if it fails. */
  async play(name, viewport, scenario) {
    const context = await this.chromium.createBrowserContext();
    const page = new Page(await context.newPage());
    await page.prepare(viewport);
    try {
      await scenario(page);
      await page.isClean();
    } catch (error) {
      console.log(`failed ${name}: ${error.stack}`);
      console.log(await page.run(() => document.body.innerText).catch(() => ""));
      process.exit(1);
    }
    await context.close();
    console.log(`ok ${name}`);
  }

  async close() {
    await this.chromium.close();
    // Nobody is asked for anything more.
    process.stdin.destroy();
  }
}

class Page {
  constructor(page) {
    this.page = page;
    this.complaints = [];
  }

  async prepare({ width, height }) {
    this.width = width;
    await this.page.setViewport({ width, height });
    this.page.on("pageerror", (error) => this.complaints.push(error.message));
    // What is not there while a server is away is no mistake of the page's.
    const isExpected = (text) =>
      ["Failed to load resource", "WebSocket connection to"].some((it) => text.startsWith(it));
    this.page.on("console", (message) => {
      const text = message.text();
      if (["error", "warn"].includes(message.type()) && !isExpected(text)) {
        this.complaints.push(text);
      }
    });
    this.page.on("request", (request) => {
      const { hostname, protocol } = new URL(request.url());
      if (protocol !== "data:" && hostname !== "127.0.0.1") {
        this.complaints.push(`it asks ${request.url()}`);
      }
    });
  }

  /** Nothing went wrong, nothing a peer wrote has run, and nothing is wider than the screen. */
  async isClean() {
    assert.deepStrictEqual(this.complaints, []);
    assert.strictEqual(await this.run(() => window.hacked), undefined);
    assert.strictEqual(await this.run(() => document.querySelectorAll("[onerror]").length), 0);
    const width = await this.run(() => document.documentElement.scrollWidth);
    assert.ok(width <= this.width, `the page is ${width} wide`);
  }

  async open(address) {
    await this.page.goto("about:blank");
    await this.page.goto(address, { timeout: PATIENCE_MS });
  }

  beforeScripts(script) {
    return this.page.evaluateOnNewDocument(script);
  }

  run(script, ...values) {
    return this.page.evaluate(script, ...values);
  }

  /** Waits for a condition in the page. What is not there yet may make it fail. */
  async until(what, condition, ...values) {
    const end = Date.now() + PATIENCE_MS;
    let problem = "it stayed false";
    for (;;) {
      const isMet = await this.run(condition, ...values).catch((error) => {
        problem = error.message;
        return false;
      });
      if (isMet) return;
      if (Date.now() > end) throw new Error(`waited in vain for: ${what} (${problem})`);
      await new Promise((resolve) => setTimeout(resolve, POLL_MS));
    }
  }

  text(selector, text) {
    return this.until(`${selector} is ${text}`, (where, wanted) =>
      document.querySelector(where)?.textContent === wanted, selector, text);
  }

  /** Clicks the button or the link that says this. */
  async press(label, within = "body") {
    const find = (wanted, where) => [...document.querySelectorAll(`${where} :is(a, button)`)]
      .find((one) => !one.disabled && one.offsetParent !== null
        && (one.textContent === wanted || one.querySelector(".name")?.textContent === wanted));
    const found = await this.page.waitForFunction(find, { timeout: PATIENCE_MS }, label, within);
    await found.evaluate((one) => one.click());
  }

  async type(selector, text) {
    const input = await this.page.waitForSelector(selector, { timeout: PATIENCE_MS });
    await input.evaluate((one) => {
      one.value = "";
      one.focus();
    });
    await this.page.keyboard.type(text);
  }

  keyboard(key) {
    return this.page.keyboard.press(key);
  }

  /** Has the test do something, and gives its answer. */
  async ask(what) {
    console.log(what);
    const { value, done } = await answers.next();
    assert.ok(!done, `nobody answers ${what}`);
    return value;
  }

  /**
   * The milliseconds that the page's thread works while `during` runs. It is the thread's own time,
   * which does not grow with what else a machine has to do.
   */
  async work(during) {
    const session = await this.page.createCDPSession();
    await session.send("Performance.enable", { timeDomain: "threadTicks" });
    const seconds = async () => {
      const { metrics } = await session.send("Performance.getMetrics");
      return metrics.find(({ name }) => name === "TaskDuration").value;
    };
    const before = await seconds();
    await during();
    const after = await seconds();
    await session.detach();
    return (after - before) * 1_000;
  }

  async memory() {
    const session = await this.page.createCDPSession();
    await session.send("HeapProfiler.collectGarbage");
    await session.detach();
    const { JSHeapUsedSize: heapBytes, Nodes: nodes } = await this.page.metrics();
    return { heapBytes, nodes };
  }
}

/** Fails if axe-core finds anything in the page. */
async function axe(page) {
  await page.run(AXE);
  const found = await page.run(async () => {
    const { violations } = await window.axe.run();
    return violations.map(({ id, nodes }) =>
      `${id}: ${nodes.map(({ target, failureSummary }) => `${target} ${failureSummary}`)}`);
  });
  assert.deepStrictEqual(found, []);
}

/**
 * Runs in the page: what the server says once is repeated without a pause, as if a second apart,
 * `wanted` times.
 */
function sleepless() {
  const { fetch } = window;
  [window.updates, window.wanted] = [0, 0];
  window.fetch = async (path, ...rest) => {
    const answer = await fetch(path, ...rest);
    if (path !== "/live") return answer;
    const reader = answer.body.getReader();
    let first = "";
    while (!first.includes("event: snapshot") || !first.endsWith("\n\n")) {
      first += new TextDecoder().decode((await reader.read()).value);
    }
    reader.cancel();
    const snapshot = JSON.parse(first.trim().split("data: ").at(-1));
    const body = new ReadableStream({
      start: (stream) => stream.enqueue(new TextEncoder().encode(first)),
      pull: async (stream) => {
        do {
          await new Promise((resolve) => requestAnimationFrame(resolve));
        } while (window.updates >= window.wanted);
        window.updates += 1;
        snapshot.point.at_ms += 1_000;
        snapshot.point.in_msgs += 100 + Math.round(50 * Math.sin(window.updates / 10));
        const text = `event: snapshot\ndata: ${JSON.stringify(snapshot)}\n\n`;
        stream.enqueue(new TextEncoder().encode(text));
      },
    }, { highWaterMark: 0 });
    return new Response(body, { status: 200 });
  };
}

/** Runs in the page: it looks twenty times more often than it does. Counts what it asks. */
function hurried() {
  const [{ setTimeout, fetch }, { now }] = [window, Date];
  const began = now();
  // Longer ones are for what does not happen.
  window.setTimeout = (run, ms, ...rest) => setTimeout(run, ms < 5_000 ? ms / 20 : ms, ...rest);
  Date.now = () => began + 20 * (now() - began);
  const asked = new Map();
  window.fetch = (address, ...rest) => {
    const [path] = address.split("?");
    const list = asked.get(path) ?? [];
    asked.set(path, list.filter((wait) => !wait()));
    return fetch(address, ...rest);
  };
  /** Resolves once the page has asked for a path that many times more. */
  window.isAsked = (path, times) => new Promise((resolve) => {
    let left = times;
    asked.set(path, [...asked.get(path) ?? [], () => {
      left -= 1;
      if (left === 0) resolve();
      return left === 0;
    }]);
  });
}

module.exports = {
  Browser, axe, hurried, sleepless, check: (truth, problem) => assert.ok(truth, problem),
  equal: assert.strictEqual,
};
