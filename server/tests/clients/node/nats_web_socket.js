// NATS in a page of Chromium, by nats.ws. Says `ok NAME` to each scenario; other lines ask the
// test: `start ORIGIN` starts a server that lets pages of this origin in, and answers where it
// listens for WebSockets; `publish SUBJECT TEXT` has somebody publish by TCP, and `hears SUBJECT`
// answers the next message that they get there.
"use strict";

const fs = require("node:fs");
const http = require("node:http");
const { Browser, check } = require("./browser.js");

/** A module for browsers, beside what `require` would load. */
const LIBRARY = require.resolve("nats.ws").replace("/cjs/", "/esm/");

/** The site that the page is of. */
function site() {
  const server = http.createServer((request, answer) => {
    const isLibrary = request.url === "/nats.js";
    answer.setHeader("Content-Type", isLibrary ? "text/javascript" : "text/html");
    answer.end(isLibrary ? fs.readFileSync(LIBRARY) : "<!doctype html><title>page</title>");
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

/** In the page: a client, and what it is asked to do. */
async function connected(address) {
  const { connect, headers, StringCodec } = await import("/nats.js");
  window.client = await connect({ servers: `ws://${address}`, timeout: 60_000 });
  window.codec = StringCodec();
  window.headers = headers;
  window.heard = [];
  window.hear = async (subscription) => {
    for await (const message of subscription) {
      window.heard.push(`${message.subject} ${window.codec.decode(message.data)}`);
    }
  };
}

const scenarios = {
  async publishes_and_subscribes(page) {
    await page.run(async () => {
      window.hear(window.client.subscribe("to.page.*"));
      await window.client.flush();
    });
    await page.ask("publish to.page.1 hello");
    await page.until("it hears", () => window.heard.includes("to.page.1 hello"));
    await page.run(() => window.client.publish("from.page", window.codec.encode("hi")));
    check(await page.ask("hears from.page") === "hi", "the other side hears it");
  },

  async asks_and_is_answered(page) {
    const answer = await page.run(async () => {
      window.client.subscribe("echo", {
        callback: (_, message) => message.respond(message.data, { headers: message.headers }),
      });
      const large = new Uint8Array(300_000).fill(7);
      const with_headers = window.headers();
      with_headers.set("Kind", "large");
      const options = { timeout: 60_000, headers: with_headers };
      const { data, headers } = await window.client.request("echo", large, options);
      return [data.length, data.every((byte) => byte === 7), headers.get("Kind")];
    });
    check(JSON.stringify(answer) === '[300000,true,"large"]', JSON.stringify(answer));
    const code = await page.run(() => window.client.request("nobody")
      .then(() => "answered", (error) => error.code));
    check(code === "503", code);
  },

  async chooses_a_policy(page) {
    const answer = await page.run(async () => {
      const wanted = JSON.stringify({ subject: "price.*", latest_by_subject: true });
      const body = window.codec.encode(wanted);
      const { data } = await window.client.request("$FANFARE.POLICY", body, { timeout: 60_000 });
      return JSON.parse(window.codec.decode(data));
    });
    check(answer.latest_by_subject && answer.when_full === "drop_oldest", JSON.stringify(answer));
    await page.run(() => window.client.drain());
  },
};

(async () => {
  const server = await site();
  const origin = `http://127.0.0.1:${server.address().port}`;
  const browser = await Browser.launch();
  await browser.play("nats", { width: 800, height: 600 }, async (page) => {
    const address = await page.ask(`start ${origin}`);
    await page.open(origin);
    await page.run(connected, address);
    for (const scenario of Object.values(scenarios)) await scenario(page);
  });
  await browser.close();
  server.closeAllConnections();
  server.close();
})();
