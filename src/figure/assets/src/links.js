// @ts-check
// Ways from a view to the others of the same run.
import { button, group, status } from "./controls.js";

const linked = new WeakMap();
let watching = false;

/** Views of later cells come later. */
function refreshAll() {
  for (const root of document.querySelectorAll(".flowlens-view")) if (linked.has(root)) linked.get(root)();
}

/** Buttons that show what is chosen here in the other views of the same run. `state` may be a function. */
export function links(root, state) {
  const place = group(root, "Other views");
  const refresh = () => {
    const others = ["head", "model", "neuron", "rollout"].filter((view) => view !== root.dataset.view && other(root, view));
    if (others.join() === place.dataset.views) return;
    place.dataset.views = others.join();
    place.replaceChildren();
    for (const view of others) {
      button(place, `Open in ${view} view`, `Shows this choice in the ${view} view of the same run on this page`, () => {
        const target = other(root, view);
        if (!target) return refresh();
        const { block, layer, head, token } = typeof state === "function" ? state() : state;
        /** @type {any} */
        let wanted = { block, layer, head, token };
        // A rollout has no heads, and takes a text as a whole.
        if (view === "rollout") wanted = target.flowlens.state().blocks.includes(block) ? { block, layer, token } : {};
        try {
          target.flowlens.select(Object.fromEntries(Object.entries(wanted).filter(([, value]) => value != null)));
        } catch (error) {
          return status(root, `The ${view} view does not show this: ${error.message}`);
        }
        const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
        target.scrollIntoView({ block: "center", behavior: calm ? "auto" : "smooth" });
      });
    }
    place.hidden = !others.length;
  };
  if (!watching) document.addEventListener("flowlens-drawn", refreshAll);
  watching = true;
  linked.set(root, refresh);
  refresh();
  return place;
}

/** The nearest view of that kind and of the same run that has drawn. @returns {any} */
function other(root, view) {
  /** @type {any[]} */
  const all = [...document.querySelectorAll(".flowlens-view")];
  const here = all.indexOf(root);
  const fits = (one) => one !== root && one.flowlens && one.dataset.view === view && one.flowlens.run === root.flowlens.run;
  const distance = (one) => Math.abs(all.indexOf(one) - here);
  return all.filter(fits).sort((a, b) => distance(a) - distance(b))[0];
}
