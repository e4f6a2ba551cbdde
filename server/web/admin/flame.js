// Flame graphs: what contains what, as wide as it is large.

import { el, fill } from "/web/dom.js";

const ROW_PX = 23;
/** What is narrower than this share of the whole is not drawn. */
const NARROWEST = 0.002;

/** A tree of lines such as `outer;inner 17`. */
export function parse(text) {
  const root = { name: "all", value: 0, children: new Map() };
  for (const line of text.split("\n")) {
    const end = line.lastIndexOf(" ");
    const value = Number(line.slice(end + 1));
    if (end < 0 || !(value > 0)) continue;
    let node = root;
    node.value += value;
    for (const name of line.slice(0, end).split(";")) {
      if (!node.children.has(name)) {
        node.children.set(name, { name, value: 0, children: new Map() });
      }
      node = node.children.get(name);
      node.value += value;
    }
  }
  return root;
}

/** Draws a tree; a click on a part makes it the whole, a click on the whole goes back. */
export function flame(root, format) {
  const element = el("div", { class: "flame", role: "group", "aria-label": "Flame graph" });
  const draw = (top, way) => {
    const boxes = [];
    let depth = 0;
    const place = (node, left, row) => {
      const share = node.value / top.value;
      if (share < NARROWEST) return;
      depth = Math.max(depth, row + 1);
      const text = `${node.name}, ${format(node.value)}`;
      const box = el("button", {
        type: "button", title: text, "aria-label": text, class: row % 2 ? "deep" : null,
        onclick: () => {
          if (node === top) draw(way.at(-1) ?? root, way.slice(0, -1));
          else draw(node, [...way, top]);
          element.querySelector("button").focus();
        },
      }, node.name);
      box.style.left = `${left * 100}%`;
      box.style.width = `${share * 100}%`;
      box.style.top = `${row * ROW_PX}px`;
      boxes.push(box);
      let at = left;
      const children = [...node.children.values()].sort((a, b) => b.value - a.value);
      for (const child of children) {
        place(child, at, row + 1);
        at += child.value / top.value;
      }
    };
    place(top, 0, 0);
    element.style.height = `${depth * ROW_PX}px`;
    fill(element, boxes);
  };
  draw(root, []);
  return element;
}
