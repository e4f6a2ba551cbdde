// Pictures of the pages for docs/: `NODE_PATH=target/nats-clients/node/node_modules
// node server/tests/clients/node/screenshots.js docs dashboard=http://127.0.0.1:6060/ ...`.
// Start the server and give it something to do first.
"use strict";

const puppeteer = require("puppeteer-core");

/** So long a page is watched before its picture is taken, so that charts have lines. */
const WATCH_MS = Number(process.env.WATCH_MS ?? 90_000);

(async () => {
  const [folder, ...pictures] = process.argv.slice(2);
  const browser = await puppeteer.launch({
    executablePath: process.env.CHROMIUM ?? "/usr/bin/chromium",
    args: ["--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu"],
  });
  await Promise.all(pictures.map(async (picture) => {
    const [name, ...address] = picture.split("=");
    const page = await browser.newPage();
    await page.setViewport({ width: 1200, height: 860 });
    await page.goto(address.join("="));
    await new Promise((resolve) => setTimeout(resolve, WATCH_MS));
    await page.screenshot({ path: `${folder}/${name}.png` });
  }));
  await browser.close();
})();
