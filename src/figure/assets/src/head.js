// @ts-check
// The head view: queries at the left, keys at the right, a line for every weight worth drawing, a colour for every head.
import * as attention from "./attention.js";
import { control } from "./control.js";
import { keys, reachable } from "./keys.js";
import { clamp } from "./numbers.js";
import { element, hideTip, register, showTip } from "./page.js";

const { headColor, label, fit, named } = attention;

const HEADER = 34; // headings and head numbers above the rows
const TALLEST = 640;
const STEPS = [0, 0.001, 0.002, 0.005, 0.01, 0.02, 0.03, 0.05, 0.1, 0.15, 0.2, 0.3, 0.5, 0.7, 0.9];
const LEVELS = 16;
const BEND = 0.42;
const MARGIN = 22;
const HINT = "Point at a token for its lines; click pins it (with Ctrl or Shift several), Escape lets go. " +
  "Keys: up and down choose a query, left and right the layer, digits switch heads.";

const SIDES = { query: "queries", key: "keys" };
const other = (side) => (side === "query" ? "key" : "query");

/** How far down a line is after a part of its way across: all lines share one curve. */
function drop(part) {
  let [low, high] = [0, 1];
  for (let step = 0; step < 20; step++) {
    const t = (low + high) / 2;
    if (3 * t * (1 - t) * ((1 - t) * BEND + t * (1 - BEND)) + t * t * t < part) low = t;
    else high = t;
  }
  return low * low * (3 - 2 * low);
}

/** Lines in columns of numbers: place of the head among those that are on, query, key, strength from -1 to 1. */
class Lines {
  constructor() {
    this.count = 0;
    this.columns = [Uint16Array, Uint32Array, Uint32Array, Float32Array].map((Kind) => new Kind(4096));
  }

  push(...line) {
    if (this.count === this.columns[0].length) {
      this.columns = this.columns.map((old) => {
        const wider = new /** @type {any} */ (old.constructor)(2 * old.length);
        wider.set(old);
        return wider;
      });
    }
    for (let at = 0; at < 4; at++) this.columns[at][this.count] = line[at];
    this.count++;
  }

  /** Keeps the strongest; a histogram tells how strong they must be, so nothing is sorted. */
  keep(most) {
    if (this.count <= most) return;
    const strength = this.columns[3];
    const bin = (at) => (Math.abs(strength[at]) * 1023) | 0;
    const bins = new Uint32Array(1024);
    for (let at = 0; at < this.count; at++) bins[bin(at)]++;
    let least = 1024;
    for (let kept = 0; least > 0 && kept + bins[least - 1] <= most; least--) kept += bins[least - 1];
    // Of the bin that is too full to be kept whole, the first ones fill up.
    let room = most;
    for (let at = least; at < 1024; at++) room -= bins[at];
    let kept = 0;
    for (let at = 0; at < this.count; at++) {
      const here = bin(at);
      if (here < least && !(here === least - 1 && room-- > 0)) continue;
      for (const column of this.columns) column[kept] = column[at];
      kept++;
    }
    this.count = kept;
  }
}

/** @param {any} root @param {import("./payload.js").Page} data */
function view(root, data) {
  const book = attention.open(root, data);
  let block, layer;
  let heads = [];              // that are on
  let wanted = null;           // what the reader switched on, also where a layer lacks some; null: all
  let pins = [];               // tokens that stay chosen: {side, at}
  let under = null;            // what pointer or keys are on: {kind, side, at, …}
  let found = [];              // tokens that the search found
  let least = 0.02;
  let specials = true;
  let special, names, picked, strips, where, row, whole, top, waiting, visited, typed, linesKey, linesFound, theme;
  const lines = new Lines();
  const received = new Map();
  const buttons = new Map();

  // ---- The page ----

  const page = control(root, book, data, {
    blocks: book.blocks,
    heads: "some",
    now: () => ({ block, layer, heads, token: chosenToken() }),
    check,
    take,
    more: () => ({ pinned: pins.map((it) => ({ ...it })), least, special: specials }),
    weights: (inside, head) => book.weights(block, inside, head),
    bounds(inside, head) {
      page.head(block, inside, head);
      if (!buttons.has(head)) throw attention.unknown("head", head, `layer ${layer} of this view`, [...buttons.keys()]);
      return buttons.get(head).getBoundingClientRect();
    },
    place({ query, key }) {
      const side = key === undefined ? "query" : "key";
      const at = page.token(block, key ?? query, SIDES[side], side);
      return picture.rect(where[side].left, y(at) - row / 2, where[side].wide, row);
    },
  });
  page.choosers("Layer");
  const specialButton = attention.button(root, "special tokens", "Lines to and from special tokens", (on) => {
    specials = on;
    changed();
  }, { toggle: true });
  const slider = element("input", { type: "range", min: 0, max: STEPS.length - 1, "aria-label": "Least weight shown" });
  const leastShown = element("output", {});
  slider.addEventListener("input", () => {
    least = STEPS[slider.value];
    changed();
  });
  attention.group(root).append(element("label", {}, "least weight ", slider, " ", leastShown));
  const search = page.search(root, {
    find: (holds) => {
      const sides = block.source.keys || block.rows[0] !== block.columns[0] ? ["query", "key"] : ["query"];
      return sides.flatMap((side) => names[side].flatMap((token, at) => (holds(token) ? [{ side, at }] : [])));
    },
    /** Marks the tokens, and brings the first into sight. */
    show(places) {
      found = places;
      if (found.length) reveal(found[0]);
      picture.redraw();
    },
    go(token) {
      pins = [token];
      reveal(token);
      changed();
    },
    leave: () => canvas.focus(),
  });
  page.offer(attention.group(root), "The weights of the heads that are on, as a file", () => {
    const texts = heads.map((head) => (heads.length > 1 ? `head ${head}\n` : "") + book.numbers(block, layer, head));
    return [`attention_layer_${layer}${heads.length > 1 ? "" : `_head_${heads[0]}`}.csv`, texts.join("\n")];
  });
  page.links();

  const squares = element("div", { class: "fl-heads", role: "group", "aria-label": "Heads" });
  const stage = element("div", { class: "fl-stage" });
  const spacer = element("div", {}, stage);
  const scroller = element("div", { class: "fl-tokens" }, spacer);
  root.querySelector(".fl-picture").replaceChildren(squares, scroller);
  const scrollTo = attention.scroller(scroller);
  const picture = attention.canvas(root, stage, paint);
  const { canvas, context: pen } = picture;
  reachable(canvas);

  /** One button a head; heads that share a key head stand over one bracket. */
  function showHeads() {
    const { heads: all, keyHeads } = book.layer(block, layer);
    const key = `${all} ${keyHeads}`;
    if (squares.dataset.heads !== key) {
      squares.dataset.heads = key;
      buttons.clear();
      all.forEach((head) => buttons.set(head, headButton(head)));
      const groups = [...new Set(keyHeads || [null])].map((shared) => {
        const members = all.filter((_, at) => !keyHeads || keyHeads[at] === shared);
        const line = element("div", { class: "fl-squares" }, ...members.map((head) => buttons.get(head)));
        if (shared === null) return line;
        const name = element("span", {}, `key ${members.length > 2 ? "head " : ""}${shared}`);
        return element("div", { role: "group", "aria-label": `Key head ${shared}` }, line,
          element("div", { class: "fl-bracket" }, name));
      });
      squares.replaceChildren(...groups);
    }
    for (const [head, button] of buttons) {
      const on = heads.includes(head);
      button.setAttribute("aria-pressed", String(on));
      button.style.borderColor = color(head);
      button.style.background = on ? color(head) : "transparent";
    }
  }

  function headButton(head) {
    const title = `Head ${head}: click switches it, double click leaves it alone or brings all back`;
    const button = element("button", { type: "button", title, "aria-label": `Head ${head}` }, String(head));
    button.addEventListener("click", () => {
      toggle(head);
      changed();
    });
    button.addEventListener("dblclick", () => {
      want(heads.length === 1 && heads[0] === head ? null : [head]);
      changed();
    });
    return button;
  }

  // ---- The choice ----

  function want(list) {
    const all = book.heads(block, layer);
    wanted = list && all.some((head) => !list.includes(head)) ? list : null;
    heads = all.filter((head) => !wanted || wanted.includes(head));
    if (!heads.length) heads = all;
  }

  function toggle(head) {
    if (!heads.includes(head)) want([...heads, head]);
    else if (heads.length > 1) want(heads.filter((it) => it !== head));
  }

  /** Goes to a block; pins stay on tokens that it shows too. */
  function enter(next) {
    const before = block;
    if (next === before) return;
    block = next;
    const { source, rows, columns } = block;
    names = { query: block.queries, key: block.keys };
    const own = source.keys ? [] : source.special.filter((at) => at >= rows[0] && at < rows[1]);
    special = { query: new Set(own.map((at) => at - rows[0])), key: block.special };
    const shift = (pin) => (pin.side === "query" ? before.rows[0] - rows[0] : before.columns[0] - columns[0]);
    if (!before || before.source !== source) pins = [];
    pins = pins.map((pin) => ({ side: pin.side, at: pin.at + shift(pin) })).filter((pin) => pin.at in names[pin.side]);
    under = null;
    found = [];
    where = null;
    received.clear();
    scrollTo(0);
    specialButton.parentNode.hidden = !special.key.size && !special.query.size;
  }

  function pin(token, several) {
    const same = (it) => it.side === token.side && it.at === token.at;
    const had = pins.some(same);
    const rest = several ? pins.filter((it) => !same(it)) : [];
    pins = had && (several || pins.length === 1) ? rest : [...rest, { side: token.side, at: token.at }];
    changed();
  }

  function letGo() {
    const had = pins.length > 0 || under !== null;
    pins = [];
    under = null;
    hideTip();
    if (had) changed();
    return had;
  }

  function reveal({ at }) {
    const room = scroller.clientHeight - HEADER;
    const from = at * row;
    const seen = from >= scroller.scrollTop && from + row <= scroller.scrollTop + room;
    scrollTo(seen ? scroller.scrollTop : from - room / 2);
    // Who asks for a place right afterwards gets the new one.
    picture.redraw();
  }

  const pinned = (side) => pins.filter((it) => it.side === side).map((it) => it.at);
  const hides = (side, at) => !specials && special[side].has(at);

  /** The chosen tokens: that under the pointer or the keys, unless it is the partner of pinned ones; else the pinned. */
  function pick() {
    const preview = under && under.kind === "token" && !pins.some((it) => it.side !== under.side);
    picked = preview ? { query: [], key: [], [under.side]: [under.at] } : { query: pinned("query"), key: pinned("key") };
    picked.any = picked.query.length + picked.key.length;
    strips = { query: strip("query"), key: strip("key") };
  }

  // ---- Numbers ----

  const rowsOfAll = () => Math.max(block.T, block.S);
  const largest = () => (block.kind === "probability" ? 1 : block.scale || 1);
  const matrix = (head) => book.matrix(block, layer, head);

  function say(value, digits = 3) {
    if (block.kind === "probability") return `${(100 * value).toFixed(block.error < 5e-5 ? 2 : 1)} %`;
    const sign = value < 0 ? "−" : block.kind === "difference" ? "+" : "";
    return sign + Math.abs(value).toPrecision(digits);
  }

  /** How exact the values are, where a reader could be misled. */
  function exactness() {
    if (block.error / largest() < 5e-4) return [];
    return ["each ± " + (block.kind === "probability" ? `${(100 * block.error).toFixed(1)} %` : block.error.toPrecision(1))];
  }

  /** The mean of some rows or columns of a head. */
  function mean(head, side, places) {
    const take = (at) => (side === "query" ? matrix(head).row(at) : matrix(head).column(at));
    const sum = take(places[0]);
    for (const at of places.slice(1)) take(at).forEach((value, to) => { sum[to] += value; });
    return places.length > 1 ? sum.map((value) => value / places.length) : sum;
  }

  /** The mean weight that each key receives from a head; of the integers, since that is millions of them. */
  function receives(head) {
    const key = `${layer} ${head}`;
    if (!received.has(key)) {
      const { ints, stride, r0, c0, toFloat } = matrix(head);
      const sum = new Float64Array(block.S);
      for (let query = 0; query < block.T; query++) {
        const from = (r0 + query) * stride + c0;
        for (let at = 0; at < block.S; at++) sum[at] += ints[from + at];
      }
      received.set(key, sum.map((all) => toFloat(all / block.T)));
    }
    return received.get(key);
  }

  /** What stands beside a column: the weights of the chosen tokens by head; with none chosen what keys get on average. */
  function strip(side) {
    const from = picked[other(side)];
    if (from.length) return { values: heads.map((head) => mean(head, other(side), from)), full: largest() };
    const idle = side === "key" && !picked.any && block.kind !== "difference" && block.T * block.S * heads.length < 6e6;
    if (!idle) return { values: [] };
    const values = heads.map(receives);
    let full = 1e-9;
    for (const list of values) list.forEach((value, at) => { if (value > full && !hides(side, at)) full = value; });
    return { values, full, idle };
  }

  /** Gathers the lines to draw: all of the chosen tokens, else the strongest of the queries in sight. */
  function collect(first, last) {
    const { T, S } = block;
    const of = picked.any ? `${picked.query};${picked.key}` : `${first}-${last}`;
    const key = [block.name, layer, heads, least, specials, of].join();
    if (key === linesKey) return;
    linesKey = key;
    lines.count = 0;
    const sight = Array.from({ length: Math.max(0, Math.min(T, last) - first) }, (_, at) => first + at);
    const taken = new Set(picked.any ? picked.query : sight);
    const weak = Math.max(least, 1e-9);
    const unit = 1 / largest();
    const values = new Float32Array(Math.max(T, S));
    heads.forEach((head, place) => {
      const numbers = matrix(head);
      const add = (query, at, value) => {
        const strength = value * unit;
        if (Math.abs(strength) >= weak && !hides("key", at) && !hides("query", query)) lines.push(place, query, at, strength);
      };
      for (const query of taken) {
        numbers.row(query, values);
        for (let at = 0; at < S; at++) add(query, at, values[at]);
      }
      for (const at of picked.key) {
        numbers.column(at, values);
        for (let query = 0; query < T; query++) if (!taken.has(query)) add(query, at, values[query]);
      }
    });
    linesFound = lines.count;
    lines.keep(picked.any ? 12000 : 2000);
  }

  // ---- Drawing ----

  /** Where things lie across the width. */
  function measure(width) {
    const edge = whole > TALLEST ? MARGIN : 2;
    pen.font = `600 13px ${theme.font}`;
    const widest = (tokens) => tokens.reduce((most, token) => {
      const text = label(token);
      return text.length > 30 ? 200 : Math.max(most, pen.measureText(text).width);
    }, 30);
    const texts = [widest(names.query), widest(names.key)].map((text) => Math.min(text + 14, clamp(54, width * 0.17, 190)));
    const count = heads.length;
    const cell = (share, most) => Math.max(1.5, Math.min(Math.floor(width * share / count), most, 220 / count));
    // Narrow at the left, where strips stand only beside the queries of a chosen key.
    const cells = [cell(0.1, count > 2 ? 9 : 48), cell(0.2, count > 4 ? 17 : 48)];
    const query = edge + cells[0] * count + 8 + texts[0];
    const key = width - edge - cells[1] * count - 8 - texts[1];
    const side = (at, x, strip) => ({ text: x, wide: texts[at] + 5, cell: cells[at], strip });
    return {
      name: `${width} ${heads}`, width, edge, from: query + 6, to: key - 6,
      query: { ...side(0, query, edge), left: query - texts[0], align: "right", overview: 2 },
      key: { ...side(1, key, width - edge - cells[1] * count), left: key - 5, align: "left", overview: width - 14 },
    };
  }

  /** The middle of a token's row. */
  const y = (at) => HEADER + (at + 0.5) * row - top;
  const color = (head) => headColor(head, theme.dark);

  function fill(paint, alpha, ...place) {
    Object.assign(pen, { fillStyle: paint, globalAlpha: alpha });
    pen.fillRect(...place);
    pen.globalAlpha = 1;
  }

  function write(text, x, down, align, font, ink, room = Infinity) {
    Object.assign(pen, { textAlign: align, font: `${font} ${theme.font}`, fillStyle: ink });
    pen.fillText(fit(pen, text, room), x, down);
  }

  function paint(_, width, height, colors) {
    if (!picked || width < 60) return;
    const turned = theme.dark !== colors.dark;
    theme = colors;
    if (turned) showHeads();
    Object.assign(pen, { direction: "ltr", textBaseline: "middle", globalAlpha: 1 });
    if (!where || where.name !== `${width} ${heads}`) where = measure(width);
    top = scroller.scrollTop;
    const first = Math.floor(top / row);
    const last = Math.min(rowsOfAll(), Math.ceil((top + height - HEADER) / row));
    pen.save();
    pen.beginPath();
    pen.rect(0, HEADER, width, height - HEADER);
    pen.clip();
    collect(first, last);
    paintLines();
    for (const side of ["query", "key"]) {
      paintTokens(side, first, Math.min(last, names[side].length));
      paintStrips(side, first, Math.min(last, names[side].length));
    }
    pen.restore();
    const heading = (text, x, align, room) => write(text, x, 8, align, "11px", theme.muted, room);
    heading("queries attend …", where.query.text, "right", where.query.text);
    heading("… to keys", where.key.text, "left", Math.max(where.key.wide, 60));
    if (block.kind === "difference") heading("dashed: less", (where.from + where.to) / 2, "center", where.to - where.from);
    const over = strips.key.idle ? "mean received" : "weight";
    if (strips.key.values.length) heading(over, where.key.strip, "left", where.width - where.key.strip);
    for (const side of ["query", "key"]) {
      const { cell, strip: start } = where[side];
      if (cell < 11 || !strips[side].values.length) continue;
      heads.forEach((head, place) => {
        write(`${head}`, start + (place + 0.5) * cell - 0.5, 24, "center", "600 9.5px", color(head));
      });
    }
    if (whole > TALLEST) for (const side of ["query", "key"]) paintOverview(side, height);
  }

  /** Lines by head and level, the weak ones first, so that the strong ones lie on top. */
  function paintLines() {
    const { from, to } = where;
    const [places, queries, keys, strengths] = lines.columns;
    const curve = (query, key) => {
      const bend = (to - from) * BEND;
      pen.moveTo(from, y(query));
      pen.bezierCurveTo(from + bend, y(query), to - bend, y(key), to, y(key));
    };
    const paths = new Map();
    for (let at = 0; at < lines.count; at++) {
      const level = Math.min(LEVELS - 1, (Math.abs(strengths[at]) * LEVELS) | 0);
      const name = (2 * level + Number(strengths[at] < 0)) * 65536 + places[at];
      if (!paths.has(name)) paths.set(name, []);
      paths.get(name).push(at);
    }
    // Many lines are a texture, a few are a statement.
    const calm = picked.any ? 1 : clamp(0.35, Math.sqrt(300 / lines.count), 1);
    const over = under && under.kind === "line" ? under : null;
    const hair = 1 / (devicePixelRatio || 1);
    for (const name of [...paths.keys()].sort((a, b) => a - b)) {
      const level = ((name >> 17) + 0.5) / LEVELS;
      const thin = level < (picked.any ? 0.1 : 0.4);
      pen.strokeStyle = color(heads[name & 65535]);
      pen.globalAlpha = (over ? 0.5 : 1) * calm * level ** (picked.any ? 0.6 : 0.8);
      pen.lineWidth = thin ? hair : 0.9 + (picked.any ? 2.1 : 1.3) * level;
      pen.setLineDash((name >> 16) & 1 ? [6, 4] : []);
      pen.beginPath();
      for (const at of paths.get(name)) {
        curve(queries[at], keys[at]);
        // Hairlines are quickest in one path, wider lines one by one.
        if (thin) continue;
        pen.stroke();
        pen.beginPath();
      }
      pen.stroke();
    }
    pen.setLineDash([]);
    pen.globalAlpha = 1;
    if (!over) return;
    pen.beginPath();
    curve(over.query, over.key);
    pen.strokeStyle = color(over.head);
    pen.lineWidth = 3.5;
    pen.stroke();
  }

  function paintTokens(side, first, last) {
    const { text, left, wide, align } = where[side];
    const stay = new Set(pinned(side));
    const here = new Set([...picked[side], ...stay]);
    const marked = new Set(found.filter((it) => it.side === side).map((it) => it.at));
    const ends = lines.columns[side === "query" ? 1 : 2].subarray(0, lines.count);
    const reached = picked[other(side)].length ? new Set(ends) : null;
    for (let at = first; at < last; at++) {
      const on = here.has(at);
      const pointed = under && (under.kind === "line" ? under[side] === at : under.side === side && under.at === at);
      const down = y(at) - row / 2 + 1;
      const shade = on || marked.has(at) ? theme.accent : theme.ink;
      if (on || pointed || marked.has(at)) fill(shade, on ? 0.2 : 0.1, left, down, wide, row - 2);
      if (stay.has(at)) fill(theme.accent, 1, align === "left" ? left : left + wide - 3, down, 3, row - 2);
      const quiet = hides(side, at) || (reached && !reached.has(at) && !on && !pointed);
      const ink = quiet ? theme.muted : theme.ink;
      write(label(names[side][at]), text, y(at) + 0.5, align, `${on ? "600 " : ""}13px`, ink, wide - 12);
    }
  }

  function paintStrips(side, first, last) {
    const { values, full } = strips[side];
    const { cell } = where[side];
    values.forEach((list, place) => {
      const x = where[side].strip + place * cell;
      for (let at = first; at < last; at++) {
        const part = Math.abs(list[at]) / full;
        if (part < 0.002 || hides(side, at)) continue;
        fill(color(heads[place]), Math.min(1, part ** 0.7), x, y(at) - row / 2 + 1.5, cell - (cell > 5 ? 1.5 : 0), row - 3);
        if (cell >= 42 && Math.abs(list[at]) >= least * largest()) {
          write(say(list[at], 2), x + cell / 2, y(at) + 0.5, "center", "10.5px", theme.ink);
        } else if (list[at] < 0) fill(theme.ink, 1, x + 2, y(at) - 0.5, Math.min(6, cell - 4), 1);
      }
      if (under && under.kind === "strip" && under.side === side && under.place === place) {
        pen.strokeStyle = theme.ink;
        pen.strokeRect(x - 0.5, y(under.at) - row / 2 + 1, cell - 0.5, row - 2);
      }
    });
  }

  /** The whole text as a slim strip: where the weights of the chosen tokens lie, and which part is in sight. */
  function paintOverview(side, height) {
    const x = where[side].overview;
    const { values, full } = strips[side];
    const scale = (height - HEADER - 4) / rowsOfAll();
    const bar = (at, ink, alpha, tall) => fill(ink, alpha, x, HEADER + at * scale, 12, tall);
    bar(0, theme.ink, 0.1, names[side].length * scale);
    for (let at = 0; at < names[side].length && values.length; at++) {
      if (hides(side, at)) continue;
      const best = strongest(values, at);
      const part = Math.abs(values[best][at]) / full;
      if (part > 0.004) bar(at, color(heads[best]), Math.min(1, part ** 0.6), Math.max(1.5, scale));
    }
    for (const it of [...found, ...pins]) if (it.side === side) bar(it.at, theme.accent, 1, 3);
    for (const at of picked[side]) bar(at, theme.accent, 1, 3);
    Object.assign(pen, { strokeStyle: theme.muted, lineWidth: 1 });
    pen.strokeRect(x - 1.5, HEADER + (top / row) * scale + 0.5, 15, ((height - HEADER) / row) * scale - 1);
  }

  // ---- Words ----

  function tell() {
    const side = picked.query.length ? "query" : "key";
    const chosen = picked[side];
    let text = HINT;
    if (chosen.length) {
      const verb = block.kind === "difference" ? "differs most at" : side === "query" ? "attends most to" : "gets most from";
      const who = chosen.length > 1 ? `the mean of ${chosen.length} tokens ${verb}`
        : `${named(names[side][chosen[0]])} (${side} ${chosen[0]}) ${verb}`;
      const list = best(side).map(({ at, value, head }) => `${named(names[other(side)][at])} ${say(value)} (head ${head})`);
      text = `Layer ${layer}: ${who} ${list.join(", ") || "nothing"}.`;
      if (!lines.count) text += ` No weight reaches ${leastShown.value}, so there are no lines.`;
    } else if (linesFound > lines.count) {
      text = `The ${lines.count} strongest lines of the queries in sight are drawn. ${HINT}`;
    }
    attention.status(root, text);
  }

  const larger = (a, b) => Math.abs(b.value) - Math.abs(a.value);

  /** The place of the head with the largest value at a token. */
  function strongest(values, at) {
    let best = 0;
    values.forEach((list, place) => {
      if (Math.abs(list[at]) > Math.abs(values[best][at])) best = place;
    });
    return best;
  }

  /** The three partners that get the largest weight of any head. */
  function best(side) {
    const partner = other(side);
    const { values } = strips[partner];
    const list = names[partner].map((_, at) => {
      const place = strongest(values, at);
      return { at, value: values[place][at], head: heads[place] };
    });
    return list.filter((it) => it.value !== 0 && !hides(partner, it.at)).sort(larger).slice(0, 3);
  }

  /** Exact values for the tooltip, the largest first. */
  function tip() {
    const { kind, side, at, head } = under;
    const pair = (query, key) => `${named(names.query[query])} → ${named(names.key[key])}`;
    if (kind === "line") {
      return [pair(under.query, under.key), `head ${head}: ${say(matrix(head).at(under.query, under.key))}`, ...exactness()];
    }
    const from = picked[other(side)];
    const title = from.length !== 1 ? named(names[side][at], 1200) : side === "key" ? pair(from[0], at) : pair(at, from[0]);
    const over = strips[side].idle ? ", mean over all queries" : from.length > 1 ? `, mean over ${from.length} tokens` : "";
    if (kind === "strip") return [title, `head ${head}: ${say(strips[side].values[under.place][at])}${over}`, ...exactness()];
    const list = heads.map((one, place) => {
      if (from.length) return { one, value: strips[side].values[place][at], text: "" };
      const values = mean(one, side, [at]);
      const most = values.reduce((it, value, to) => (Math.abs(value) > Math.abs(values[it]) ? to : it), 0);
      return { one, value: values[most], text: ` ${side === "query" ? "to" : "from"} ${named(names[other(side)][most], 24)}` };
    });
    list.sort(larger);
    const shown = list.slice(0, 14).map(({ one, value, text }) => `head ${one}: ${say(value)}${text}`);
    if (list.length > 14) shown.push(`and ${list.length - 14} heads more`);
    const about = from.length ? over : `   ${side} ${at}${special[side].has(at) ? ", special" : ""}`;
    return [title + about, ...shown, ...exactness()];
  }

  // ---- Changes ----

  function refresh() {
    want(wanted);
    theme = attention.theme(root);
    page.mark();
    specialButton.setAttribute("aria-pressed", String(specials));
    slider.value = STEPS.findIndex((step) => step >= least);
    leastShown.value = block.kind === "probability" ? `${+(100 * least).toFixed(1)} %` : (least * largest()).toPrecision(2);
    slider.setAttribute("aria-valuetext", leastShown.value);
    showHeads();
    row = rowsOfAll() > 40 ? 18 : 21;
    whole = HEADER + rowsOfAll() * row + 6;
    spacer.style.height = `${whole}px`;
    canvas.setAttribute("aria-label", `Attention of layer ${layer}, ${heads.length} of ${buttons.size} heads, ` +
      `${block.T} queries and ${block.S} keys`);
    pick();
    picture.resize({ height: Math.min(whole, TALLEST) });
    tell();
    clearTimeout(waiting);
    waiting = setTimeout(ahead, 60);
  }

  /** Unpacks other layers while nothing else is to do: the two beside this one, and all once a reader is here. */
  function ahead() {
    const at = block.layers.indexOf(layer);
    const away = (it) => Math.abs(block.layers.indexOf(it) - at);
    const near = [...block.layers].sort((a, b) => away(a) - away(b));
    book.prefetch(block, near.slice(0, visited ? near.length : 3));
  }

  function changed() {
    refresh();
    page.changed();
  }

  function redraw() {
    pick();
    picture.redraw();
    tell();
  }

  // ---- Pointer and keys ----

  /** What lies at a point of the canvas. */
  function look(x, down) {
    if (!where || down < HEADER) return null;
    const side = x < (where.from + where.to) / 2 ? "query" : "key";
    const { left, wide, cell, strip: start } = where[side];
    if (where.edge === MARGIN && (x < where.edge - 4 || x > where.width - where.edge + 4)) {
      return { kind: "overview", at: ((down - HEADER) / (picture.height - HEADER - 4)) * rowsOfAll() };
    }
    if (x > where.from && x < where.to) return near(x, down);
    const at = Math.floor((down - HEADER + top) / row);
    if (at >= names[side].length) return null;
    if (x >= left - 3 && x <= left + wide + 3) return { kind: "token", side, at };
    const place = Math.floor((x - start) / cell);
    return strips[side].values[place] ? { kind: "strip", side, at, place, head: heads[place] } : null;
  }

  /** The strongest line within four pixels. */
  function near(x, down) {
    const [places, queries, keys, strengths] = lines.columns;
    const share = drop((x - where.from) / (where.to - where.from));
    let [line, most] = [-1, 0];
    for (let at = 0; at < lines.count; at++) {
      const away = Math.abs(y(queries[at] * (1 - share) + keys[at] * share) - down);
      const strength = Math.abs(strengths[at]) / (1 + away);
      if (away < 4 && strength > most) [line, most] = [at, strength];
    }
    return line < 0 ? null : { kind: "line", query: queries[line], key: keys[line], head: heads[places[line]] };
  }

  for (const arrival of ["pointerenter", "focusin"]) {
    root.addEventListener(arrival, () => {
      visited = true;
      ahead();
    }, { once: true });
  }
  canvas.addEventListener("pointermove", (event) => {
    const next = look(...picture.point(event));
    if (JSON.stringify(next) !== JSON.stringify(under)) {
      under = next;
      canvas.style.cursor = under && (under.kind === "token" || under.kind === "overview") ? "pointer" : "default";
      redraw();
    }
    if (!under || under.kind === "overview") return hideTip();
    // Beside the queries, not over the next ones.
    const aside = under.kind === "token" && under.side === "query";
    showTip(tip().join("\n"), aside ? picture.rect(where.from, 0, 0, 0).x : event.clientX, event.clientY);
  });
  /** The pointer or the focus has left. */
  function leave(byKeys) {
    hideTip();
    if (!under || Boolean(under.keys) !== byKeys) return;
    under = null;
    redraw();
  }
  canvas.addEventListener("pointerleave", () => leave(false));
  canvas.addEventListener("blur", () => leave(true));
  canvas.addEventListener("click", (event) => {
    const at = look(...picture.point(event));
    if (at && at.kind === "token") pin(at, event.ctrlKey || event.metaKey || event.shiftKey);
    else if (at && at.kind === "overview") {
      scrollTo(at.at * row - (picture.height - HEADER) / 2);
      picture.redraw();
    }
  });
  scroller.addEventListener("scroll", () => picture.redraw(), { passive: true });

  function go(at) {
    under = { kind: "token", side: "query", at: clamp(0, at, block.T - 1), keys: true };
    hideTip();
    reveal(under);
    changed();
  }

  function step(by) {
    layer = page.step(block.layers, layer, by);
    changed();
  }

  /** A digit switches its head; a second one soon after makes both one number, and takes the first back. */
  function digit(key) {
    const all = book.heads(block, layer);
    const before = typed && performance.now() - typed.at < 700 && all.includes(Number(typed.key + key)) ? typed : null;
    const number = Number(before ? before.key + key : key);
    if (before) want(before.heads);
    typed = before ? null : { key, heads, at: performance.now() };
    if (all.includes(number)) toggle(number);
    changed();
  }

  keys(canvas, (event) => {
    if (/^\d$/.test(event.key)) return () => digit(event.key);
    const here = under && under.keys ? under.at : pinned("query").pop();
    return Object.entries({
      ArrowDown: () => go((here ?? -1) + 1),
      ArrowUp: () => go((here ?? block.T) - 1),
      Home: () => go(0),
      End: () => go(block.T - 1),
      ArrowRight: () => step(1),
      ArrowLeft: () => step(-1),
      Enter: () => under && under.kind === "token" && pin(under, event.shiftKey),
    }).find(([name]) => name === event.key)?.[1];
  });
  keys(root, (event) => {
    if (event.target.matches("input, select")) return null;
    if (event.key === "/") return () => search.focus();
    return event.key === "Escape" && (pins.length || under !== null) ? letGo : null;
  });

  // ---- The page's own interface ----

  function chosenToken() {
    return (under && under.keys ? under.at : pinned("query").pop()) ?? null;
  }

  const wishedPins = (wish) => wish.pinned && (wish.pinned.length || (wish.token === null || wish.token === undefined));

  /** Refuses pins that are not there. */
  function check(wish, next) {
    if (wishedPins(wish)) for (const { side, at } of wish.pinned) page.token(next.block, at, SIDES[side] || "queries", side);
  }

  /** Takes over what was checked, and has drawn it when it returns. */
  function take(next, wish) {
    enter(next.block);
    ({ layer } = next);
    if (next.heads) want(next.heads);
    const tokens = wish.token === undefined ? null : wish.token === null ? [] : [{ side: "query", at: wish.token }];
    const wished = wishedPins(wish) ? wish.pinned.map(({ side, at }) => ({ side, at })) : tokens;
    if (wished) [pins, under] = [wished, null];
    least = clamp(0, Number(wish.least ?? least), STEPS[STEPS.length - 1]);
    specials = Boolean(wish.special ?? specials);
    refresh();
    if (pins.length && wished) reveal(pins[0]);
  }

  const first = data.first || /** @type {any} */ ({});
  enter(first.block == null ? book.blocks[0] : book.block(first.block));
  layer = block.layers.includes(first.layer) ? first.layer : block.layers[0];
  if (first.heads) wanted = first.heads;
  if (first.token != null && first.token < block.T) pins = [{ side: "query", at: first.token }];
  refresh();
  if (pins.length) reveal(pins[0]);
  root.dataset.state = "drawn";
}

register("FLOWLENS_BUILD", { head: view });
