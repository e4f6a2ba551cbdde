// What tasks wait for, where memory is, and what takes the processor, as flame graphs.

import { el, fill, say } from "/web/dom.js";
import { bytes, count } from "/web/format.js";
import { ask } from "/web/admin/api.js";
import { flame, parse } from "/web/admin/flame.js";

const SECONDS = 5;

const KINDS = [
  { title: "Tasks", path: "/debug/pprof/goroutine", format: count, isAtOnce: true,
    about: "Live tasks: who owns them, who started them, and what they wait for." },
  { title: "Memory", path: "/debug/pprof/heap", format: bytes, isAtOnce: true,
    about: "Live memory by the call that asked for it; one allocation in 512 KiB is sampled." },
  { title: "Processor", path: "/debug/pprof/profile", query: `seconds=${SECONDS}&`,
    format: (ns) => `${(ns / 1e6).toFixed(0)} ms`,
    about: `What runs, sampled for ${SECONDS} seconds.` },
];

export function profiles(view, { signal }) {
  view.append(el("h1", {}, "Profiles"),
    el("p", { class: "quiet" }, "Choose a part to make it the whole, and again to go back. "
      + "The same profiles show more in: ",
    el("code", {}, `go tool pprof ${location.origin}/debug/pprof/heap`)));
  for (const kind of KINDS) view.append(card(kind, signal));
}

function card({ title, path, query = "", format, about, isAtOnce }, signal) {
  const place = el("div");
  const state = el("p", { class: "quiet", role: "status" });
  const look = async () => {
    button.disabled = true;
    say(state, isAtOnce ? "looking" : `sampling for ${SECONDS} seconds`);
    try {
      const root = parse(await (await ask(`${path}?${query}format=folded`, { signal })).text());
      say(state, root.value > 0 ? `${format(root.value)} in all` : "nothing was sampled");
      fill(place, root.value > 0 && flame(root, format));
    } catch (error) {
      if (!signal.aborted) say(state, error.message);
    }
    button.disabled = false;
  };
  const button = el("button", { type: "button", onclick: look },
    isAtOnce ? "Look again" : "Sample");
  if (isAtOnce) look();
  return el("div", { class: "card stack" },
    el("div", { class: "row spread" }, el("h2", {}, title), button),
    el("p", { class: "quiet" }, about), state, place);
}
