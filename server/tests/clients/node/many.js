// The dashboard of a server with very many connections and topics, in Chromium: nothing that it
// shows of them costs as much as to show all of them would.
"use strict";

const { Browser, check, hurried } = require("./browser.js");

const [address, connections] = process.argv.slice(2);
const UPDATES = 10;

/** What makes a page freeze: ten thousand rows at once, and again when something changes. */
function allRows() {
  const body = document.createElement("tbody");
  for (let number = 0; number < 10_000; number += 1) {
    const row = document.createElement("tr");
    for (let column = 0; column < 10; column += 1) {
      const cell = document.createElement("td");
      cell.append(`${number} ${column}`);
      row.append(cell);
    }
    body.append(row);
  }
  const table = document.createElement("table");
  table.append(body);
  document.body.append(table);
  const height = table.offsetHeight;
  table.remove();
  return height;
}

async function views(page) {
  await page.beforeScripts(hurried);
  await page.open(`${address}/#api`);
  await page.text("#state", "live");
  const all = await page.work(() => page.run(allRows));
  console.log(`# ${all.toFixed(0)} ms of work for ten thousand rows at once`);

  /** Shows a view, and has it changed some times. */
  const measure = async (view, path, isThere) => {
    const first = await page.work(async () => {
      await page.run((to) => { location.hash = to; }, view);
      await page.until(`${view} is there`, isThere, Number(connections));
    });
    const updates = await page.work(() =>
      page.run((of, times) => window.isAsked(of, times), path, UPDATES + 1));
    const each = updates / UPDATES;
    console.log(`# ${view}: ${first.toFixed(0)} ms of work until it is there, `
      + `${each.toFixed(0)} ms for an update`);
    check(first < all / 3, `${view} is there after ${first} ms`);
    check(each < all / 3, `an update of ${view} takes ${each} ms`);
  };
  await measure("connections", "/connz", (least) => {
    const [, total] = /^1 to 100 of (.*)$/.exec(document.querySelector(".pager span").textContent);
    return Number(total.replaceAll(",", "")) >= least;
  });
  await measure("topics", "/topicz", (least) => {
    const [many] = [...document.querySelectorAll(".tree button")]
      .filter((one) => one.dataset.path === "many");
    if (many.getAttribute("aria-expanded") === "false") many.click();
    return document.querySelectorAll(".tree ul ul > li").length === 101;
  });
}

(async () => {
  const browser = await Browser.launch();
  await browser.play("views", { width: 1200, height: 800 }, views);
  await browser.close();
})();
