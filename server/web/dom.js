// Makes elements. A text only ever becomes a text node: no name, topic or payload is HTML.

const SVG = "http://www.w3.org/2000/svg";
const SVG_TAGS = new Set(["svg", "g", "path", "line", "text", "rect", "circle", "title"]);

/** An element with attributes (`onclick: …` adds a listener) and children. */
export function el(tag, attributes = {}, ...children) {
  const made = SVG_TAGS.has(tag)
    ? document.createElementNS(SVG, tag)
    : document.createElement(tag);
  for (const [name, value] of Object.entries(attributes)) {
    if (value === false || value === null || value === undefined) continue;
    if (typeof value === "function") made.addEventListener(name.slice(2), value);
    else made.setAttribute(name, value === true ? "" : value);
  }
  append(made, children);
  return made;
}

/** Puts these in the place of an element's children. */
export function fill(element, ...children) {
  element.replaceChildren();
  append(element, children);
  return element;
}

/** Like `fill`, but leaves children that are equal, and with them what somebody has selected. */
export function refresh(element, children) {
  children.forEach((child, at) => {
    const old = element.childNodes[at];
    if (!old) element.append(child);
    else if (!old.isEqualNode(child)) old.replaceWith(child);
  });
  while (element.childNodes.length > children.length) element.lastChild.remove();
}

/** Changes a text if it is another: a screen reader does not speak of what stays. */
export function say(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

/** How things stand, in the head of the page. */
export function showState(text, tone) {
  const state = document.getElementById("state");
  say(state, text);
  state.className = `badge ${tone}`;
}

function append(element, children) {
  const isThere = (child) => child !== null && child !== undefined && child !== false;
  element.append(...children.flat(Infinity).filter(isThere));
}
