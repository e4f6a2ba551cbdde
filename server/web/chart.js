// Line charts of the last minutes, drawn as SVG.

import { el, fill, say } from "/web/dom.js";
import { clock } from "/web/format.js";

const HEIGHT = 150;
const LEFT = 46;
const RIGHT = 8;
const TOP = 8;
const BOTTOM = 20;
/** The top of the axis where hardly anything happens. */
const LEAST = 1;

/** Between two moments further apart than this nobody looked: the line there is an average. */
const GAP_MS = 3_500;

/**
 * A figure with a chart of several series.
 * `series`: `{ name, tone, of(earlier, later) }`, the value between two points.
 */
export class Chart {
  constructor({ title, series, format, step = 10, spanMs = 300_000 }) {
    Object.assign(this, { title, series, format, step, spanMs, points: [], hover: null });
    this.legend = series.map(({ name, tone }) => {
      const value = el("strong", {}, "–");
      return { value, item: el("li", {}, el("i", { class: `key ${tone}` }), `${name} `, value) };
    });
    this.svg = el("svg", { role: "img", height: HEIGHT, "aria-label": title });
    this.tip = el("div", { class: "tip", hidden: true });
    this.element = el("figure", { class: "card chart" },
      el("figcaption", { class: "row spread" }, el("h2", {}, title),
        el("ul", { class: "legend row" }, this.legend.map(({ item }) => item))),
      el("div", { class: "plot" }, this.svg, this.tip));
    this.svg.addEventListener("pointermove", (event) => this.point(event));
    this.svg.addEventListener("pointerleave", () => this.leave());
    new ResizeObserver(() => this.draw()).observe(this.svg);
  }

  /** Shows these points, oldest first. */
  show(points) {
    this.points = points;
    const [earlier, later] = points.slice(-2);
    if (later) {
      const words = this.series.map(({ name, of }, index) => {
        const value = this.format(of(earlier, later));
        say(this.legend[index].value, value);
        return `${name} ${value}`;
      });
      this.svg.setAttribute("aria-label", `${this.title}: ${words.join(", ")}`);
    }
    this.draw();
  }

  draw() {
    const width = this.svg.clientWidth;
    if (width === 0 || this.points.length < 2) return;
    const now = this.points.at(-1).at_ms;
    const begin = now - this.spanMs;
    const last = this.points.length - 1;
    const first = Math.max(1, this.points.findIndex((point) => point.at_ms > begin));
    const lines = this.series.map(({ of }) => {
      const values = [];
      for (let index = first; index <= last; index += 1) {
        values.push(of(this.points[index - 1], this.points[index]));
      }
      return values;
    });
    const top = ceiling(Math.max(LEAST, ...lines.flat()), this.step);
    const x = (at) => LEFT + (width - LEFT - RIGHT) * Math.max(0, (at - begin) / this.spanMs);
    const y = (value) => HEIGHT - BOTTOM - (HEIGHT - TOP - BOTTOM) * (value / top);
    Object.assign(this, { x, first, width });
    this.svg.setAttribute("viewBox", `0 0 ${width} ${HEIGHT}`);
    const paths = lines.map((values, index) => this.line(values, this.series[index], x, y));
    const mark = this.hover && el("line", {
      class: "mark", x1: this.hover, x2: this.hover, y1: TOP, y2: HEIGHT - BOTTOM,
    });
    fill(this.svg, this.grid(top, y, width), paths, mark);
  }

  line(values, { tone, of }, x, y) {
    let path = "";
    let averages = "";
    values.forEach((value, index) => {
      const place = this.first + index;
      const [earlier, later] = [this.points[place - 1], this.points[place]];
      const at = `${x(later.at_ms).toFixed(1)} ${y(value).toFixed(1)}`;
      if (later.at_ms - earlier.at_ms > GAP_MS) {
        if (!of.isLevel) {
          averages += `M${x(earlier.at_ms).toFixed(1)} ${y(value).toFixed(1)}L${at}`;
        }
        path += `M${at}`;
      } else {
        path += `${path === "" ? "M" : "L"}${at}`;
      }
    });
    return [
      el("path", { class: `line ${tone}`, d: path }),
      el("path", { class: `line average ${tone}`, d: averages }),
    ];
  }

  grid(top, y, width) {
    const rows = [0, 0.5, 1].map((share) => [
      el("line", { class: "rule", x1: LEFT, x2: width - RIGHT, y1: y(top * share),
        y2: y(top * share) }),
      el("text", { x: LEFT - 6, y: y(top * share) + 4, "text-anchor": "end" },
        this.format(top * share)),
    ]);
    const minutes = Math.round(this.spanMs / 60_000);
    const times = [[LEFT, "start", `${minutes} min ago`], [width - RIGHT, "end", "now"]];
    return [rows, times.map(([at, anchor, text]) =>
      el("text", { x: at, y: HEIGHT - 4, "text-anchor": anchor }, text))];
  }

  /** Shows the values at the moment below the pointer. */
  point(event) {
    if (this.points.length < 2) return;
    const at = event.offsetX;
    let best = this.first;
    for (let index = this.first; index < this.points.length; index += 1) {
      const distance = (which) => Math.abs(this.x(this.points[which].at_ms) - at);
      if (distance(index) < distance(best)) best = index;
    }
    const [earlier, later] = [this.points[best - 1], this.points[best]];
    this.hover = this.x(later.at_ms);
    const values = this.series.map(({ name, of }) =>
      el("div", {}, `${name} ${this.format(of(earlier, later))}`));
    fill(this.tip, el("div", { class: "quiet" }, clock(later.at_ms)), values);
    this.tip.hidden = false;
    this.tip.style.left = `${Math.min(this.hover + 10, this.width - 150)}px`;
    this.draw();
  }

  leave() {
    this.hover = null;
    this.tip.hidden = true;
    this.draw();
  }
}

/** What grows, as a rate a second between two points. */
export const rate = (field) => (earlier, later) => {
  const seconds = (later.at_ms - earlier.at_ms) / 1000;
  return seconds > 0 ? Math.max(0, later[field] - earlier[field]) / seconds : 0;
};

/** What rises and falls. Nothing is known of it for the time in which nobody looked. */
export function level(field) {
  const of = (_, later) => later[field];
  of.isLevel = true;
  return of;
}

/** The next round number: a few units, which are powers of `step`. */
function ceiling(value, step) {
  const unit = step ** Math.floor(Math.log(value) / Math.log(step) + 1e-9);
  const tens = 10 ** Math.floor(Math.log10(value / unit) + 1e-9);
  return unit * tens * [1, 1.5, 2, 3, 4, 5, 6, 8, 10].find((times) => times * tens * unit >= value);
}
