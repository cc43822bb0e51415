// @ts-check
// What stands behind a cell: the best answers of its run beside the clean and the corrupted one's, and its number in each
// pair.
import { element } from "../page.js";
import { named } from "../text.js";
import { number, told } from "../trajectory/numbers.js";

/** Pairs that are listed. */
const MOST_PAIRS = 24;

/** Answers with their probabilities as bars; `other` are those that the run is compared with. */
function column(title, list) {
  const rows = list.map(([token, prob]) => element("tr", {},
    element("td", {}, named(token)), element("td", { class: "fl-number" }, `${number(100 * prob)} %`),
    element("td", {}, element("i", { class: "fl-share", style: `width:${Math.round(60 * prob) + 1}px` }))));
  return element("div", {}, element("p", { class: "fl-name" }, title), element("table", {}, element("tbody", {}, ...rows)));
}

/** The answers behind a cell, or why there are none. @param {any} view @param {number} cell */
export function answers(view, cell) {
  const { pair } = view.choice;
  const kept = view.data.answers.find((it) => pair === null || it.pair === pair);
  const flat = kept && view.numbers.json(kept.cells)[cell];
  if (!flat?.length) return element("p", { class: "fl-hint" }, view.data.silent);
  const own = [];
  for (let at = 0; at + 1 < flat.length; at += 2) own.push([kept.tokens[flat[at]], flat[at + 1] / 1e4]);
  const of = view.data.pairs.length > 1 ? `, pair ${view.data.pairs[kept.pair].name}` : "";
  const columns = [column(`This cell's run answers${of}`, own), column("the clean run", kept.clean)];
  if (kept.corrupted.length) columns.push(column("the corrupted run", kept.corrupted));
  return element("div", { class: "fl-columns" }, ...columns);
}

/** The cell's effect in each pair. @param {any} view @param {number} cell */
export function ofPairs(view, cell) {
  const { pairs } = view.data;
  if (pairs.length < 2) return [];
  const rows = pairs.slice(0, MOST_PAIRS).map(({ name, way }, pair) => {
    const value = (what) => view.values(what, pair)[cell];
    const cells = [name, told(value("effect"), 0), ...(way === null ? [] : [told(value("normalised"), 0)])];
    return element("tr", {}, ...cells.map((text, at) => element("td", at ? { class: "fl-number" } : {}, text)));
  });
  const heads = ["pair", "effect", ...(pairs.some(({ way }) => way !== null) ? ["normalised"] : [])];
  const table = element("table", {}, element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
    element("tbody", {}, ...rows));
  const more = pairs.length > MOST_PAIRS ? ` (the first ${MOST_PAIRS})` : "";
  return [element("details", { class: "fl-numbers" }, element("summary", {}, `In each pair${more}`), table)];
}
