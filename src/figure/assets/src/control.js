// @ts-check
// What the attention views do alike: a choice of block, layer, heads and token, checked as a whole before anything
// changes; its way in and out for scripts; choosers, keys, search and CSV for it.
import { button, chooser, group, status } from "./controls.js";
import { csv } from "./csv.js";
import { unknown } from "./data.js";
import { keys } from "./keys.js";
import { links } from "./links.js";
import { clamp, upTo } from "./numbers.js";
import { element } from "./page.js";

/**
 * @typedef {object} Choice what is chosen, or is to be
 * @property {any} block
 * @property {number | null} layer
 * @property {number[]} heads those that are shown; none where the view shows no single head
 * @property {number | null} token
 *
 * @typedef {object} Wish what a script may ask for; a view may know more
 * @property {string | number} [block]
 * @property {number | null} [layer]
 * @property {number | null} [head]
 * @property {number[]} [heads]
 * @property {number | null} [token]
 *
 * @typedef {object} Hooks what a view tells the controller
 * @property {any[]} blocks the blocks that can be chosen
 * @property {(block: any) => string} [nameOf] their names, in state and choosers
 * @property {(block: any) => string} [labelOf]
 * @property {"some" | "optional" | "none"} heads whether some head is always chosen, may be, or never is
 * @property {() => Choice} now
 * @property {() => number} [near] the layer that a reader is at, where none is chosen
 * @property {(checked: Choice, wish: any) => void} take takes over what was checked, and what else the view knows
 * @property {(wish: any, next: Choice) => void} [check] refuses what only the view can judge
 * @property {() => object} [more] what the state holds beside the choice
 * @property {() => number[]} [allHeads]
 * @property {(layer: number, head: number) => ArrayLike<number>} weights
 * @property {(layer: number, head: number) => DOMRect} bounds
 * @property {(token: any) => DOMRect} place
 */

/**
 * The controller of a view; gives the root its page interface.
 * @param {HTMLElement & { flowlens?: any }} root
 * @param {any} book
 * @param {any} data
 * @param {Hooks} hooks
 */
export function control(root, book, data, hooks) {
  const nameOf = hooks.nameOf || ((block) => block.name);
  const names = () => hooks.blocks.map(nameOf);

  function blockOf(wanted) {
    const found = hooks.blocks.find((block, at) => [block, at, block.name, nameOf(block)].includes(wanted));
    if (!found) throw unknown("block", wanted, "this view", names());
    return found;
  }

  /** The layer of a block that is nearest to another one's. */
  function nearest({ layers }, layer) {
    const away = (it) => Math.abs(it - layer);
    return layer === null || layer === undefined ? layers[0] : layers.reduce((a, b) => (away(b) < away(a) ? b : a));
  }

  /** What a wish comes to; a name that is not there is a RangeError, and nothing has changed. */
  function check(wish) {
    const now = hooks.now();
    const block = wish.block === null || wish.block === undefined ? now.block : blockOf(wish.block);
    if (wish.layer !== null && wish.layer !== undefined) book.layer(block, wish.layer);
    const layer = wish.layer ?? nearest(block, now.layer ?? hooks.near?.());
    const named = wish.heads ?? (wish.head === null || wish.head === undefined ? null : [wish.head]);
    const heads = hooks.heads === "none" || (hooks.heads === "optional" && !named?.length) ? null : named;
    if (heads) {
      const all = book.heads(block, layer);
      const missing = heads.length ? heads.find((it) => !all.includes(it)) : "none";
      if (missing !== undefined) throw unknown("head", missing, `layer ${layer} of this view`, all);
    }
    if (wish.token !== null && wish.token !== undefined) token(block, wish.token);
    const next = { block, layer, heads, token: wish.token };
    hooks.check?.(wish, next);
    return next;
  }

  function token(block, wanted, side = "queries", what = "token") {
    if (Number.isInteger(wanted) && wanted in block[side]) return wanted;
    throw unknown(what, wanted, `block "${nameOf(block)}" of this view`, upTo(block[side].length));
  }

  /** A head of a layer, or a refusal. */
  function head(block, layer, wanted) {
    const all = book.heads(block, layer);
    if (!all.includes(wanted)) throw unknown("head", wanted, `layer ${layer} of this view`, all);
    return all.indexOf(wanted);
  }

  function state() {
    const { block, layer, heads, token: at } = hooks.now();
    return {
      view: root.dataset.view, block: nameOf(block), blocks: names(), layer, layers: [...block.layers],
      head: heads.length === 1 ? heads[0] : null, heads: [...heads],
      allHeads: hooks.allHeads ? hooks.allHeads() : [...book.heads(block, layer)],
      token: at, tokens: [block.T, block.S], ...hooks.more?.(),
    };
  }

  /** Tells the page of a new state. */
  function changed() {
    root.dispatchEvent(new CustomEvent("flowlens-select", { bubbles: true, detail: state() }));
  }

  function select(wish = {}) {
    hooks.take(check(wish), wish);
    changed();
  }

  // ---- Choosers ----

  /** @type {any} */
  let blockChooser = null;
  /** @type {any} */
  let layerChooser = null;

  /** Lists for block and layer, in an empty row. */
  function choosers(layerName = "") {
    root.querySelector(".fl-choosers").replaceChildren();
    const labels = hooks.blocks.map(hooks.labelOf || ((block) => block.label));
    if (labels.length > 1) blockChooser = chooser(root, "Attention", labels, (at) => select({ block: at }));
    if (layerName) layerChooser = chooser(root, layerName, [""], (at) => select({ layer: hooks.now().block.layers[at] }));
  }

  /** Shows in the choosers what is chosen. */
  function mark() {
    const { block, layer } = hooks.now();
    blockChooser?.set(hooks.blocks.indexOf(block));
    layerChooser?.set(block.layers.indexOf(layer), block.layers);
  }

  /** A button that gives the numbers away. `file` makes name and text. */
  const offer = (place, title, file) => button(place, "CSV", title, () => csv(...file()));

  /** The layer or another choice so many steps on in a list, at most the last. */
  const step = (list, value, by) => list[clamp(0, list.indexOf(value) + by, list.length - 1)];

  // ---- Search ----

  /**
   * A field that finds tokens. `find` gives the places that hold a text; `show` marks them; `go` leads to one of them,
   * Enter to the next; `leave` gives the focus back.
   */
  function search(place, { find, show, go, leave }) {
    const field = element("input", { type: "search", placeholder: "find a token", "aria-label": "Find a token", size: "12" });
    field.title = "The key / comes here";
    let found = [];
    let turn = -1;
    const look = () => {
      const text = field.value.trim().toLowerCase();
      found = text ? find((token) => token.toLowerCase().includes(text)) : [];
      turn = -1;
      const many = `${found.length} tokens found; Enter goes from one to the next.`;
      if (text) status(root, found.length ? many : `No token contains “${text}”.`);
      // A view that has gone to the first one goes on to the second.
      if (show(found, text)) turn = 0;
    };
    field.addEventListener("input", look);
    keys(field, (event) => {
      if (event.key === "Enter") return () => found.length && go(found[(turn = (turn + 1) % found.length)], turn, found.length);
      if (event.key === "Escape" && leave) {
        return () => {
          field.value = "";
          look();
          leave();
        };
      }
      return null;
    });
    (place === root ? group(root) : place).append(field);
    return field;
  }

  Object.assign(root, { flowlens: {
    run: data.run, state, select, changed,
    weights: hooks.weights, bounds: hooks.bounds, place: hooks.place,
  } });
  // JupyterLab leaves the keys to the view.
  root.dataset.lmSuppressShortcuts = "true";
  return {
    changed, check, choosers, head, mark, offer, search, select, state, step, token,
    links: () => links(root, state),
  };
}
