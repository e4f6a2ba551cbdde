// The server at a glance.

import { Chart, level, rate } from "/web/chart.js";
import { el, fill, say } from "/web/dom.js";
import { bytes, count, duration, short } from "/web/format.js";
import { bar, table } from "/web/admin/table.js";

const perSecond = (value) => `${short(value)}/s`;
const bytesPerSecond = (value) => `${bytes(value)}/s`;
const percent = (value) => `${value.toFixed(value < 10 ? 1 : 0)} %`;

/** Processor time between two points, in percent of one core. */
const processor = (earlier, later) => rate("cpu_ms")(earlier, later) / 10;

export function overview(view, { watch }) {
  const problems = el("ul", { class: "problems", "aria-label": "What is wrong now" });
  const summary = el("p", { class: "quiet" }, "…");
  const tiles = new Map();
  const tile = (name, isLoss = false) => {
    const [value, detail] = [el("dd", {}, "–"), el("dd", { class: "detail" })];
    const element = el("div", { class: "card tile" }, el("dt", {}, name), value, detail);
    tiles.set(name, { value, detail, element, isLoss });
    return element;
  };
  const row = el("dl", { class: "tiles" }, tile("In"), tile("Out"), tile("Connections"),
    tile("Queued"), tile("Dropped", true), tile("Missed", true), tile("Memory"),
    tile("Processor"));
  const charts = makeCharts();
  const frontEnds = frontEndTable();
  const links = el("div", { class: "links stack" });
  view.append(
    el("div", { class: "row spread" }, el("h1", {}, "Overview"), summary), problems, row,
    el("div", { class: "charts" }, charts.map(({ element }) => element)),
    links,
    el("div", { class: "card list" }, frontEnds.element));
  watch((live) => {
    showProblems(problems, live.snapshot.problems);
    showSummary(summary, live);
    showTiles(tiles, live);
    charts.forEach((chart) => chart.show(live.points));
    links.hidden = live.snapshot.links.length === 0;
    fill(links, live.snapshot.links.map(linkCard));
    frontEnds.show(live.snapshot.front_ends.filter(isOpen), "no front-end is open");
  });
}

const isOpen = (frontEnd) => frontEnd.address !== null || frontEnd.connections > 0;

function makeCharts() {
  const series = (name, tone, of) => ({ name, tone, of });
  return [
    new Chart({ title: "Messages a second", format: short, series: [
      series("in", "one", rate("in_msgs")), series("out", "two", rate("out_msgs"))] }),
    new Chart({ title: "Bytes a second", format: bytes, step: 1024, series: [
      series("in", "one", rate("in_bytes")), series("out", "two", rate("out_bytes"))] }),
    new Chart({ title: "Queued, and missed a second", format: short, series: [
      series("queued", "one", level("queued_msgs")),
      series("missed", "lost", rate("missed"))] }),
    new Chart({ title: "Processor, of one core", format: percent, series: [
      series("used", "one", processor)] }),
  ];
}

function showProblems(list, problems) {
  const key = JSON.stringify(problems);
  if (list.dataset.shown === key) return;
  list.dataset.shown = key;
  const fine = el("li", { class: "note fine" }, "Nothing is wrong.");
  fill(list, problems.length === 0 ? fine : problems.map((problem) =>
    el("li", { class: `note ${problem.is_severe ? "severe" : "warn"}` },
      el("a", { href: `#${problem.view}` }, problem.text))));
}

function showSummary(summary, { opening, snapshot }) {
  say(summary, `Version ${opening.version}, up for ${duration(snapshot.uptime_s)}, `
    + `${count(snapshot.subscriptions)} subscriptions, ${count(snapshot.tasks)} tasks`);
}

function showTiles(tiles, { opening, snapshot, points }) {
  const [earlier, later] = points.slice(-2);
  if (!later) return;
  const set = (name, value, detail, isLost = false) => {
    const tile = tiles.get(name);
    say(tile.value, value);
    say(tile.detail, detail);
    tile.element.classList.toggle("lost", isLost);
  };
  const speed = (field) => rate(field)(earlier, later);
  const ofPeople = snapshot.front_ends.filter(({ name }) => name !== "admin");
  const sum = (field) => ofPeople.reduce((total, frontEnd) => total + frontEnd[field], 0);
  set("In", perSecond(speed("in_msgs")), bytesPerSecond(speed("in_bytes")));
  set("Out", perSecond(speed("out_msgs")), bytesPerSecond(speed("out_bytes")));
  set("Connections", count(sum("connections")),
    `${count(sum("accepted"))} in all, ${count(sum("refused"))} refused`);
  set("Queued", short(later.queued_msgs), bytes(later.queued_bytes));
  set("Dropped", short(later.dropped), `${perSecond(speed("dropped"))} now`,
    later.dropped > earlier.dropped);
  set("Missed", short(later.missed), `${perSecond(speed("missed"))} now`,
    later.missed > earlier.missed);
  set("Memory", bytes(later.mem_bytes),
    `of ${bytes(opening.memory_budget_bytes)}; ${bytes(later.resident_bytes)} in RAM`);
  set("Processor", percent(processor(earlier, later)), `of ${opening.cores * 100} %`);
}

/** A link to a cluster. */
function linkCard(link) {
  const figure = (name) => link[`cluster_${name}`] ?? 0;
  const rows = [
    ["Hub", figure("joined") === 0 ? el("span", { class: "bad" }, "not joined")
      : `${link.hub} (version ${link.hub_version}), account ${link.account} there`],
    ["Round trip", figure("joined") === 0 ? "–" : `${figure("round_trip_us") / 1_000} ms`],
    ["Interest", `${count(figure("interest_out"))} patterns sent, `
      + `${count(figure("interest_in"))} received`],
    ["Sent", `${count(figure("sent"))}, of which ${count(figure("confirmed"))} are confirmed`],
    ["Not confirmed", el("span", {}, lost(figure("unconfirmed")),
      " over links that broke before the hub answered")],
    ["Received", count(figure("received"))],
    ["Dropped", el("span", {}, lost(figure("dropped")), " without room, ",
      lost(figure("too_large")), " too large")],
    ["Times joined", `${count(figure("joins"))}; ended or in vain: ${count(figure("ends"))}`],
    link.last_end ? ["Last end", link.last_end] : [],
  ];
  return el("section", { class: "card stack" },
    el("h2", {}, `Link to a cluster: ${link.link}, account ${link.local_account}`),
    el("dl", { class: "facts" }, rows.filter(([name]) => name).map(([name, value]) =>
      [el("dt", {}, name), el("dd", {}, value)])));
}

function frontEndTable() {
  return table({
    caption: "Front-ends",
    columns: [
      { title: "Front-end", cell: ({ name }) => el("a", { href: "#connections" }, name) },
      { title: "Listens on", wide: true, cell: ({ address }) => el("code", {}, address ?? "–") },
      { title: "Connections", number: true, cell: (frontEnd) => count(frontEnd.connections) },
      { title: "Of its bound", wide: true, cell: ({ connections, max_connections: most }) =>
        (most === null ? "" : [el("span", { class: "quiet" }, `${count(most)} at most`),
          bar((100 * connections) / most)]) },
      { title: "Accepted", number: true, wide: true, cell: ({ accepted }) => count(accepted) },
      { title: "Refused", number: true, wide: true, cell: ({ refused }) => lost(refused) },
      { title: "Too slow", number: true, wide: true,
        cell: ({ slow_consumers: slow }) => lost(slow) },
      { title: "In", number: true, cell: (frontEnd) => short(frontEnd.in_msgs) },
      { title: "Out", number: true, cell: (frontEnd) => short(frontEnd.out_msgs) },
    ],
  });
}

const lost = (number) => el("span", { class: number > 0 ? "bad" : null }, count(number));
