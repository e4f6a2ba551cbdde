// A table that can be sorted, made anew from rows.

import { el, fill, refresh } from "/web/dom.js";

/**
 * `columns`: `{ title, cell(row), number, long, wide, sort, rises }`; `sort` is what the list is
 * then sorted by, smallest first if it `rises`.
 * `order`: `{ sort, reverse, change(sort) }`, where it can be.
 */
export function table({ caption, columns, order }) {
  const head = el("thead");
  const body = el("tbody");
  const kind = ({ number, long, wide }) =>
    [number && "number", long && "long", wide && "wide-only"].filter(Boolean).join(" ") || null;
  const showHead = () => {
    fill(head, el("tr", {}, columns.map((column) => {
      const { title, sort, rises = false } = column;
      if (!order || !sort) return el("th", { scope: "col", class: kind(column) }, title);
      const isSorted = order.sort === sort;
      const isRising = rises !== order.reverse;
      const towards = isRising ? "ascending" : "descending";
      const mark = isSorted ? (isRising ? " ↑" : " ↓") : "";
      return el("th", {
        scope: "col", class: kind(column), "aria-sort": isSorted ? towards : null,
      }, el("button", { type: "button", class: "plain", onclick: () => {
        order.change(sort);
        showHead();
        head.querySelector("[aria-sort] button")?.focus();
      } }, title, el("span", { "aria-hidden": "true" }, mark)));
    })));
  };
  showHead();
  const element = el("div", {
    class: "frame", tabindex: "0", role: "region", "aria-label": caption,
  }, el("table", {}, el("caption", { class: "out-of-sight" }, caption), head, body));
  const show = (rows, nothing) => {
    // What has the focus is found again in the new rows by its address.
    const focused = body.contains(document.activeElement)
      ? document.activeElement.getAttribute("href") : null;
    const made = rows.map((row) => columns.map((column) =>
      el("td", { class: kind(column) }, column.cell(row))));
    const shown = made.length > 0 ? made
      : [[el("td", { class: "quiet", colspan: columns.length }, nothing)]];
    while (body.rows.length > shown.length) body.lastChild.remove();
    shown.forEach((cells, at) => refresh(body.rows[at] ?? body.appendChild(el("tr")), cells));
    if (focused) {
      [...body.querySelectorAll("a")].find((link) => link.getAttribute("href") === focused)
        ?.focus({ preventScroll: true });
    }
  };
  return { element, show };
}

/** A bar that is filled so far. */
export function bar(percent) {
  const part = el("i");
  part.style.width = `${Math.min(100, Math.max(0, percent))}%`;
  return el("span", { class: percent >= 50 ? "bar full" : "bar", "aria-hidden": "true" }, part);
}
