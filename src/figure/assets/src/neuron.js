// @ts-check
// The neuron view: how one query meets every key, from the numbers of their vectors to the weights of the row. Queries
// stand at the left, lines by weight, keys with their numbers at the right.
import * as attention from "./attention.js";
import { control } from "./control.js";
import { keys, reachable } from "./keys.js";
import { equals, formula, matrix, minus, open, plain, row, sharing, strong, strongest, unrotate } from "./neuron_math.js";
import { clamp, upTo } from "./numbers.js";
import { element, hideTip, register, showTip } from "./page.js";

const [ROW, TOP, TALLEST, PLACE] = [22, 40, 640, 30];
const REASONS = { later: "the token comes later", "too far": "outside the window", padding: "padding" };

function number(x, places) {
  const size = Math.abs(x);
  if (size >= 1e6) return minus(x.toExponential(1));
  return minus(x.toFixed(places ?? (size < 9.995 ? 2 : size < 99.95 ? 1 : 0)).replace(/^-(?=[0.]*$)/, ""));
}

/** The columns of numbers; what a model does not do has none. */
function columnsOf({ scale, bias, cap, biasName, valueNorms, writtenNorms }) {
  const more = bias || cap;
  const turned = scale !== 1 || more;
  const how = cap ? `cap ±${plain(cap)}` : bias ? "sum" : `× ${plain(scale)}`;
  return [
    ["dot", "q · k", turned ? "sum" : "the logit", 64, "What q × k adds up to over all dimensions."],
    scale !== 1 && more && ["scaled", "scaled", `× ${plain(scale)}`, 62, "So that wide heads do not get larger scores."],
    bias && ["bias", "bias", biasName || "added", 62, "What this head adds for the two positions."],
    turned && ["logit", "logit", how, 58, "What goes into the softmax; struck out where the query must not look."],
    ["weight", "weight", "softmax", 84, "The key's part of the attention. The longest bar is the largest of the row."],
    valueNorms && ["value", "|v|", "value", 46, "The length of the key token's value vector."],
    writtenNorms && ["writes", "writes", "to stream", 86, "Weight × |v W_O|: what this key brings to the stream."],
  ].filter(Boolean).map(([part, title, note, width, about]) => ({ part, title, note, width, about }));
}

/** @param {any} root @param {import("./payload.js").Page} data */
function view(root, data) {
  const { label, fit, named, signed, headColor } = attention;
  const book = attention.open(root, data);
  const page = control(root, book, data, {
    blocks: book.blocks,
    heads: "some",
    now: () => ({
      block: now.block, layer: now.layer, heads: now.head === null ? [] : [now.head], token: now.expanded ? now.token : null,
    }),
    take,
    more: () => ({ expanded: now.expanded, strongest: now.strongest, sorted: now.sorted, before: now.before }),
    weights(layer, number) {
      const at = page.head(now.block, layer, number);
      return matrix(layer === now.layer ? it : opened(now.block, layer), at, now.block.rows, now.block.columns);
    },
    bounds(layer, number) {
      const at = page.head(now.block, layer, number);
      const { place } = choosers.head;
      return (place.querySelectorAll("button")[at] || place.querySelector("select")).getBoundingClientRect();
    },
    place({ query, key }) {
      const [pane, x] = query === undefined ? [keyPane, lay.keys] : [queryPane, 0];
      const line = query ?? (now.expanded ? chosen.order.indexOf(key) : key);
      reveal(pane, line);
      surface.redraw();
      return surface.rect(x, yOf(pane, line), PLACE + lay.name, ROW);
    },
  });
  const now = { block: null, layer: null, head: null, token: null };
  Object.assign(now, { expanded: true, strongest: false, sorted: false, before: false });
  let shown = null;                // the block that is drawn
  let it, heads, head;           // the layer's numbers, its heads, the place of this one among them
  let rows, scales, columns;     // the head's rows looked at so far, its strong values, the layer's columns
  let chosen, lay, pen, colors;  // all about the query in view; where things lie; what draws them
  /** @type {any} */
  let hover = {};
  let pinned = null;

  function rowOf(i) {
    if (!rows.has(i)) {
      const all = row(it, head, i + now.block.rows[0]);
      for (const name of [...columns.map(({ part }) => part), "hidden"]) all[name] = all[name].slice(...now.block.columns);
      all.most = { weight: Math.max(...all.weight), writes: Math.max(...all.writes) };
      rows.set(i, all);
    }
    return rows.get(i);
  }

  /** The numbers of a head's queries or keys, of all or of one position. */
  function vectors(query, at) {
    const { rows: [top], columns: [left] } = now.block;
    const [all, which, count, from] = query ? [it.query, head, it.T, top] : [it.key, it.keyOf[head], it.S, left];
    const cut = (first, last) => all.subarray((which * count + first) * it.width, (which * count + last) * it.width);
    if (at === undefined) return cut(0, count);
    const found = cut(at + from, at + from + 1);
    return now.before ? unrotate(it.rotary, found, at + from) : found;
  }
  const qAt = (i) => vectors(true, i);
  const kAt = (j) => vectors(false, j);

  /** All about the query under the pointer, else the chosen one. */
  function look() {
    const i = hover.query ?? now.token;
    const all = rowOf(i);
    const q = qAt(i);
    const order = upTo(now.block.S);
    const rank = (j) => (all.hidden[j] ? -1 : all.weight[j]);
    if (now.strongest) order.sort((a, b) => rank(b) - rank(a));
    const counted = pinned === null ? order.filter((j) => all.weight[j] > 1e-3) : [pinned];
    const dimensions = now.sorted ? strongest(q, counted.map((j) => [kAt(j), all.weight[j] || 1])) : upTo(it.width);
    const sample = order.filter((j) => j % Math.ceil(order.length / 64) === 0);
    // Products have longer tails than their factors.
    const scale = 2 * strong(sample.flatMap((j) => Array.from(kAt(j), (k, d) => k * q[d])));
    return (chosen = { i, all, q, order, dimensions, scale });
  }

  /** The least width that shows all: below it the picture scrolls. */
  const least = () => (now.expanded ? columns.reduce((sum, { width }) => sum + width, 0) + 2 * PLACE + 352 : 460);

  /** Where things lie: widths first, then places from left to right. */
  function layOut(width) {
    const spare = Math.max(0, width - least());
    const name = Math.min(140, 58 + 0.1 * spare);
    const stretches = ({ part }) => ["bias", "weight", "writes"].includes(part);
    const wider = Math.min(30, 0.1 * spare);
    const gap = now.expanded ? 36 + Math.min(24, 0.06 * spare) : Math.min(320, 80 + spare);
    const left = spare - 2 * (name - 58) - columns.filter(stretches).length * wider - (gap - 36);
    const bars = Math.min(256, Math.floor(56 + left / 3));
    const q = PLACE + name + 4;
    const end = now.expanded ? q + bars : q - 4;
    const keys = end + gap;
    const k = keys + q;
    const product = k + bars + 12;
    let x = product + bars + 4;
    const placed = columns.map((column) => {
      const full = column.width + (stretches(column) ? wider : 0);
      return { ...column, width: full, x, right: (x += full) - 6 };
    });
    return { name, bars, q, end, keys, k, product, columns: placed, last: now.expanded ? x + 8 : k + 130 };
  }

  // ---- Drawing ----

  function write(text, x, y, width, color, align = "left", font = "13px") {
    pen.font = `${font} ${colors.font}`;
    pen.fillStyle = color;
    pen.textAlign = align;
    pen.fillText(fit(pen, text, width), x, y);
  }

  /** Paints so much visible, within what is set. */
  function faintly(visible, paint) {
    const before = pen.globalAlpha;
    pen.globalAlpha = before * visible;
    paint();
    pen.globalAlpha = before;
  }

  const block = (color, visible, x, y, width, height) => faintly(visible, () => {
    pen.fillStyle = color;
    pen.fillRect(x, y, width, height);
  });

  function heading(x, width, title, note, align) {
    write(title, x, 12, width, colors.ink, align, "600 13px");
    write(note, x, 28, width, colors.muted, align, "11px");
  }

  function token(x, y, at, tokens, bold, color = colors.ink) {
    write(String(at), x + PLACE - 6, y + ROW / 2, PLACE, colors.muted, "right", "10px");
    write(label(tokens[at]), x + PLACE, y + ROW / 2, lay.name, color, "left", bold ? "600 13px" : "13px");
  }

  const keyToken = (y, j) => token(lay.keys, y, j, now.block.keys, false, now.block.special.has(j) ? colors.muted : colors.ink);

  const paper = element("canvas", {});

  /** Vectors as rows of bars, each [values, top, how visible]: the side of zero is the colour, the size its strength. */
  function bars(x, scale, list) {
    if (!list.length) return;
    const { width } = it;
    [paper.width, paper.height] = [width, list.length];
    const inner = paper.getContext("2d");
    const image = inner.createImageData(width, list.length);
    list.forEach(([values], line) => chosen.dimensions.forEach((d, at) => {
      const size = Math.tanh(values[d] / scale);
      image.data.set([...colors.sides[size < 0 ? 0 : 1], 255 * Math.abs(size)], 4 * (line * width + at));
    }));
    inner.putImageData(image, 0, 0);
    pen.imageSmoothingEnabled = lay.bars * devicePixelRatio < width;
    list.forEach(([, y, visible], line) => {
      faintly(visible, () => pen.drawImage(paper, 0, line, width, 1, x, y + 3, lay.bars, ROW - 6));
      faintly(visible / 2, () => pen.strokeRect(x - 0.5, y + 2.5, lay.bars + 1, ROW - 5));
    });
  }

  function gauge(x, y, width, part) {
    block(colors.ink, 0.12, x, y + 6, width, 10);
    block(colors.head, 1, x, y + 6, width * part, 10);
  }

  /** A line from a query to a key. */
  const curve = (y, toY, visible) => faintly(visible, () => {
    const [from, to, middle] = [lay.end + 2, lay.keys + 4, (lay.end + lay.keys) / 2];
    pen.beginPath();
    pen.moveTo(from, y + ROW / 2);
    pen.bezierCurveTo(middle, y + ROW / 2, middle, toY + ROW / 2, to, toY + ROW / 2);
    pen.stroke();
  });

  const yOf = (pane, line) => TOP + line * ROW - pane.box.scrollTop;
  /** The query in view stays in sight, at the edge where its row is not. */
  const heldY = () => clamp(TOP, yOf(queryPane, chosen.i), surface.height - ROW - 4);

  function inSight(pane, count) {
    const first = Math.floor(pane.box.scrollTop / ROW);
    return upTo(Math.min(count - first, Math.ceil((surface.height - TOP) / ROW) + 1)).map((line) => first + line);
  }

  function clip(from, to, paint) {
    pen.save();
    pen.beginPath();
    pen.rect(from, TOP, to - from, surface.height);
    pen.clip();
    paint();
    pen.restore();
  }

  function draw(context, width, height, theme) {
    if (!it) return;
    pen = context;
    colors = { ...theme, sides: [signed(-1, theme.dark), signed(1, theme.dark)], head: headColor(head, theme.dark) };
    lay = layOut(width);
    for (const [pane, from, to] of [[queryPane, 0, lay.end + 14], [keyPane, lay.keys, lay.last]]) {
      Object.assign(pane.box.style, { left: `${from}px`, width: `${to - from}px` });
    }
    const [negative, positive] = colors.sides;
    legend.firstChild.style.background = `linear-gradient(90deg,rgb(${negative}),transparent,rgb(${positive}))`;
    pen.textBaseline = "middle";
    pen.lineWidth = 1;
    pen.strokeStyle = theme.line;
    look();
    if (now.expanded) drawOne();
    else drawAll();
  }

  /** Between the lists: lines in the head's colour. */
  const lines = (paint) => clip(lay.end, lay.keys, () => {
    pen.strokeStyle = colors.head;
    pen.lineWidth = 1.5;
    paint();
  });

  /** One query, and how each of its weights comes about. */
  function drawOne() {
    const { all, i, q, order } = chosen;
    const note = `${it.width} ${it.rotary ? (now.before ? "unturned" : "turned") : "wide"}`;
    heading(lay.q, lay.bars, "query", note);
    heading(lay.k, lay.bars, "key", note);
    heading(lay.product, lay.bars, "q × k", now.sorted ? "sorted" : "in order");
    for (const column of lay.columns) heading(column.right, column.width - 4, column.title, column.note, "right");
    clip(lay.keys, lay.last, () => {
      const seen = inSight(keyPane, order.length).map((line) => [order[line], yOf(keyPane, line)]);
      for (const [j, y] of seen) {
        if (j === hover.key || j === pinned) block(colors.accent, j === pinned ? 0.18 : 0.08, lay.keys, y, lay.last, ROW);
      }
      const list = seen.map(([j, y]) => [kAt(j), y, all.hidden[j] ? 0.3 : 1]);
      bars(lay.k, scales.k, list);
      bars(lay.product, chosen.scale, list.map(([k, y, visible]) => [k.map((value, d) => value * q[d]), y, visible]));
      for (const [j, y] of seen) faintly(all.hidden[j] ? 0.5 : 1, () => keyRow(all, j, y));
    });
    lines(() => order.forEach((j, line) => {
      const part = all.weight[j] / all.most.weight;
      if (part > 0.01) curve(heldY(), yOf(keyPane, line), 0.05 + 0.9 * Math.sqrt(part));
    }));
    clip(0, lay.end + 2, () => {
      const { queries, T } = now.block;
      const others = inSight(queryPane, T).filter((at) => at !== i).map((at) => [at, yOf(queryPane, at)]);
      bars(lay.q, scales.q, others.map(([other, y]) => [qAt(other), y, 0.45]));
      for (const [other, y] of others) token(0, y, other, queries, other === now.token);
      const y = heldY();
      pen.clearRect(0, y, lay.end + 2, ROW);
      block(colors.head, 0.18, 0, y, lay.q - 4, ROW);
      block(colors.head, 1, 0, y, 3, ROW);
      token(0, y, i, queries, true);
      bars(lay.q, scales.q, [[q, y, 1]]);
    });
  }

  function keyRow(all, j, y) {
    const out = all.hidden[j];
    const lastScore = lay.columns[lay.columns.findIndex(({ part }) => part === "weight") - 1].part;
    keyToken(y, j);
    for (const { part, x, right, width } of lay.columns) {
      const most = all.most[part];
      const weight = part === "weight";
      let text = number(all[part][j], weight ? 3 : undefined);
      if (most !== undefined && out && !all.blind) text = weight ? out : "";
      else if (most) gauge(x + 12, y, width - 62, all[part][j] / most);
      write(text, right, y + ROW / 2, width, colors.ink, "right", weight && text !== out ? "600 12px" : "12px");
      const size = pen.measureText(text).width + 4;
      if (out && part === lastScore) block(colors.ink, 1, right - size + 2, y + ROW / 2, size, 1);
    }
  }

  /** The lines of every query, as a head view has them. */
  function drawAll() {
    const { T, S, queries } = now.block;
    const { query, key } = hover;
    const seen = inSight(queryPane, T);
    const below = inSight(keyPane, S);
    heading(PLACE, lay.name, "from", "queries");
    heading(lay.keys + PLACE, lay.name, "to", "keys");
    lines(() => {
      for (const i of query === undefined ? seen : [query]) {
        for (const j of key === undefined ? below : [key]) {
          const weight = rowOf(i).weight[j];
          if (weight > 0.01) curve(yOf(queryPane, i), yOf(keyPane, j), query === undefined ? weight : Math.sqrt(weight));
        }
      }
    });
    clip(0, lay.end, () => {
      for (const i of seen) {
        const y = yOf(queryPane, i);
        const visible = key === undefined ? Number(i === query) * 0.18 : 0.8 * rowOf(i).weight[key];
        block(colors.head, visible, 0, y, lay.end, ROW);
        token(0, y, i, queries, i === now.token);
      }
    });
    clip(lay.keys, lay.last, () => {
      for (const j of below) {
        const y = yOf(keyPane, j);
        if (j === key) block(colors.head, 0.18, lay.keys, y, lay.q, ROW);
        keyToken(y, j);
        if (query === undefined) continue;
        const { weight, most } = rowOf(query);
        gauge(lay.k + 4, y, 60, weight[j] / most.weight);
        write(number(weight[j], 3), lay.k + 112, y + ROW / 2, 48, colors.ink, "right", "12px");
      }
    });
  }

  // ---- The place: two lists that scroll, over one canvas ----

  const stage = element("div", { style: "position:relative" });
  const surface = attention.canvas(root, stage, draw);
  const [queryPane, keyPane] = [0, 1].map(() => {
    const inner = element("div", {});
    const style = `position:absolute;top:${TOP}px;bottom:0;width:9px;overflow:hidden auto;scrollbar-width:thin`;
    const box = element("div", { tabindex: "-1", style }, inner);
    stage.append(box);
    return { box, inner, scrollTo: attention.scroller(box) };
  });

  function reveal({ box, scrollTo }, line) {
    scrollTo(clamp((line + 1) * ROW - box.clientHeight, box.scrollTop, line * ROW));
  }

  function under(event) {
    const [x, y] = surface.point(event);
    const column = now.expanded ? lay.columns.find((one) => x >= one.x && x < one.right) : undefined;
    if (y < TOP) return { column };
    const bar = (from) => Math.floor(((x - from) / lay.bars) * it.width);
    const dimension = (from) => (now.expanded ? chosen.dimensions[bar(from)] : undefined);
    const line = (pane) => Math.floor((y - TOP + pane.box.scrollTop) / ROW);
    if (x < lay.end + 2) {
      const held = now.expanded && y >= heldY() && y < heldY() + ROW;
      const query = held ? chosen.i : line(queryPane);
      return query < now.block.T ? { query, d: dimension(lay.q) } : {};
    }
    const at = line(keyPane);
    if (x < lay.keys || x > lay.last || at >= now.block.S) return {};
    return { key: now.expanded ? chosen.order[at] : at, d: dimension(lay.k) ?? dimension(lay.product) };
  }

  function tip({ query, key, d, column }) {
    if (column) return `${column.title}\n${column.about}`;
    if ((query ?? key) === undefined) return "";
    const { queries, keys } = now.block;
    const said = [`${named(query === undefined ? keys[key] : queries[query])}, position ${query ?? key}`];
    if (d !== undefined) {
      const [q, k] = [chosen.q[d], query === undefined ? kAt(key)[d] : NaN];
      said.push(`dimension ${d}: q ${number(q, 4)}${query === undefined ? ` × k ${number(k, 4)} = ${number(q * k, 4)}` : ""}`);
    } else if (now.expanded && query === undefined) {
      const { all } = chosen;
      said.push(...columns.map(({ part, title, note }) => `${title} (${note}): ${number(all[part][key], 4)}`));
      if (all.hidden[key]) said.push(`hidden: ${REASONS[all.hidden[key]]}`);
    }
    return said.join("\n");
  }

  function point(next) {
    const same = ["query", "key", "d"].every((name) => next[name] === hover[name]);
    hover = next;
    if (!same) surface.redraw();
  }

  stage.addEventListener("pointermove", (event) => {
    point(under(event));
    const text = tip(hover);
    stage.style.cursor = text && !hover.column ? "pointer" : "";
    if (text) showTip(text, event.clientX, event.clientY);
    else hideTip();
  });
  stage.addEventListener("pointerleave", () => {
    point({});
    hideTip();
  });
  stage.addEventListener("click", (event) => {
    const { query, key } = under(event);
    surface.canvas.focus({ preventScroll: true });
    if (query !== undefined) page.select({ token: query });
    else if (key !== undefined && now.expanded) {
      pinned = pinned === key ? null : key;
      surface.redraw();
    }
  });
  for (const [pane, other] of [[queryPane, keyPane], [keyPane, queryPane]]) {
    pane.box.addEventListener("scroll", () => {
      if (!now.expanded && now.block.T === now.block.S) other.box.scrollTop = pane.box.scrollTop;
      surface.redraw();
    });
  }
  keys(surface.canvas, (event) => {
    const { T, layers } = now.block;
    const to = (token) => ({ token: clamp(0, token, T - 1), expanded: now.expanded });
    const wanted = {
      ArrowUp: to(now.token - 1), ArrowDown: to(now.token + 1), Home: to(0), End: to(T - 1),
      ArrowLeft: { head: page.step(heads, now.head, -1) }, ArrowRight: { head: page.step(heads, now.head, 1) },
      PageUp: { layer: page.step(layers, now.layer, -1) }, PageDown: { layer: page.step(layers, now.layer, 1) },
      Enter: { expanded: true }, Escape: now.expanded && { expanded: false },
    }[event.key];
    if (event.key === "/") return () => search.focus();
    return wanted && (() => {
      hover = {};
      page.select(wanted);
    });
  });

  // ---- Choices ----

  const opened = (block, layer) => {
    const { queries, keys } = block.source;
    return open(book.layer(block, layer), queries.length, (keys || queries).length, book.floats);
  };

  /** Takes over what was checked. */
  function take({ block, layer: number, heads: chosenHeads, token }, wish) {
    /** @type {any} */
    const next = { ...now, block, layer: number };
    for (const name of ["expanded", "strongest", "sorted", "before"]) if (name in wish) next[name] = wish[name];
    const found = book.heads(block, number);
    next.head = chosenHeads ? chosenHeads[0] : found.includes(now.head) ? now.head : found[0];
    if (token !== undefined) next.expanded = wish.expanded ?? token !== null;
    const moved = block !== shown;
    next.token = token ?? (moved ? block.T - 1 : now.token);
    const layer = moved || number !== now.layer ? opened(block, number) : it;
    if (layer !== it || found.indexOf(next.head) !== head) rows = new Map();
    if (moved) pinned = null;
    shown = block;
    next.before &&= Boolean(layer.rotary);
    Object.assign(now, next);
    [it, heads, head, columns] = [layer, found, found.indexOf(next.head), columnsOf(layer)];
    scales = { q: strong(vectors(true)), k: strong(vectors(false)) };
    show();
    if (eager) ahead();
  }

  /** Unpacks the layers around this one while nobody waits, once somebody uses the view. */
  function ahead() {
    eager = true;
    const near = [...now.block.source.layers].sort((a, b) => Math.abs(a.layer - now.layer) - Math.abs(b.layer - now.layer));
    book.prefetchFloats(near.slice(1, 9).flatMap((layer) => [layer.query, layer.key, layer.valueNorms, layer.writtenNorms]));
  }
  let eager = false;
  const soon = () => (globalThis.requestIdleCallback ?? setTimeout)(() => eager || ahead());
  root.addEventListener("pointerenter", soon, { once: true });
  root.addEventListener("focusin", soon, { once: true });

  const choosers = {};
  const choose = (name, title, names, pick) => {
    choosers[name] = attention.chooser(root, title, names, pick);
  };
  page.choosers("Layer");
  choose("head", "Head", ["0"], (at) => page.select({ head: heads[at] }));
  choose("state", "Show", ["one query", "all lines"], (at) => page.select({ expanded: at === 0 }));
  choose("order", "Keys", ["by position", "strongest first"], (at) => page.select({ strongest: at === 1 }));
  const tools = attention.group(root, "Dimensions");
  const toggle = (name, text, title) =>
    attention.button(tools, text, title, (down) => page.select({ [name]: down }), { toggle: true });
  const sort = toggle("sorted", "sort by contribution",
    "Orders the dimensions by |q × k|: of all keys by weight, or of the key that was clicked");
  const turn = toggle("before", "before rotation", "Shows q and k as they were before their positions turned them");
  page.offer(tools, "The numbers of this query's row",
    () => [`layer${now.layer}_head${now.head}_query${now.token}.csv`, table()]);
  const search = page.search(root, {
    find: (holds) => upTo(now.block.T).filter((at) => holds(now.block.queries[at])),
    show: (places) => places.length && reveal(queryPane, places[0]),
    go: (token) => page.select({ token, expanded: now.expanded }),
    leave: () => surface.canvas.focus(),
  });
  page.links();
  const legend = element("span", { class: "fl-key" }, element("i", { style: "width:72px" }), element("span", {}));
  root.querySelector(".fl-legend").replaceChildren(legend);
  const lead = element("p", { style: "margin:0;font-weight:600" });
  const about = element("p", { class: "fl-note", style: "margin:0 0 6px" });
  root.querySelector(".fl-panel").before(lead, about);

  /** Controls, heights and words for what is chosen, then the picture. */
  function show() {
    const { block: { T, S, ...block }, layer, expanded } = now;
    page.mark();
    choosers.head.set(head, heads);
    choosers.state.set(expanded ? 0 : 1);
    choosers.order.set(now.strongest ? 1 : 0);
    choosers.order.place.hidden = sort.hidden = !expanded;
    turn.hidden = !expanded || !it.rotary;
    sort.setAttribute("aria-pressed", now.sorted);
    turn.setAttribute("aria-pressed", now.before);

    const height = Math.min(TALLEST, TOP + Math.max(T, S) * ROW + 4);
    Object.assign(stage.style, { height: `${height}px`, minWidth: `${least()}px` });
    queryPane.inner.style.height = `${T * ROW}px`;
    keyPane.inner.style.height = `${S * ROW}px`;
    reveal(queryPane, now.token);
    if (!expanded && T === S) keyPane.box.scrollTop = queryPane.box.scrollTop;
    surface.resize({ height });

    const { from, to, padded } = it.mask;
    const masked = padded.length || to.some((end, i) => end < it.S || from[i] > 0);
    lead.textContent = formula(it) + (masked ? ", over the keys that the query may see" : "");
    about.textContent = [
      it.normed && "Queries and keys went through norms of their own.",
      expanded && it.rotary && !now.before && "Queries and keys are shown after rotation, as they meet.",
      expanded && now.before && "Shown before rotation: q × k does not add up to the model's q · k.",
      sharing(it, head), `Computed in this page; ${equals(it.error)}.`,
    ].filter(Boolean).join(" ");
    const words = `${book.blocks.length > 1 ? `${block.label}, l` : "L"}ayer ${layer}, head ${now.head}: `;
    const keys = "queries, keys, weights. Arrow keys choose token and head, page keys the layer.";
    surface.canvas.setAttribute("aria-label", words + keys);
    const all = "all queries. Click a token, or press Enter, to see how its weights come about.";
    attention.status(root, words + (expanded ? spoken() : all));
    const sizes = `|q| ${number(scales.q)}, |k| ${number(scales.k)}, |q × k| ${number(look().scale)}`;
    legend.lastChild.textContent = `negative to positive; strong from ${sizes}`;
    legend.style.display = expanded ? "" : "none";
  }

  function spoken() {
    const { queries, keys, S } = now.block;
    const { hidden: out, weight, blind } = rowOf(now.token);
    const seen = upTo(S).filter((j) => !out[j]).sort((a, b) => weight[b] - weight[a]);
    const best = seen.slice(0, 3).map((j) => `${named(keys[j])} (${j}) ${number(weight[j], 3)}`).join(", ");
    const sees = blind ? "sees no key, so all get the same weight" : `sees ${seen.length} of ${S} keys, above all ${best}`;
    return `${named(queries[now.token])} (${now.token}) ${sees}. Click another token to choose it; Escape shows all lines.`;
  }

  function table() {
    const all = rowOf(now.token);
    const parts = columns.map(({ part }) => part);
    const lines = now.block.keys.map((name, j) => [j, name, all.hidden[j], ...parts.map((part) => all[part][j])]);
    return attention.table([["position", "key", "hidden", ...parts], ...lines], 9);
  }

  reachable(surface.canvas);
  root.querySelector(".fl-picture").replaceChildren(stage);
  now.block = book.blocks[0];
  now.token = now.block.T - 1;
  const { block: name, layer, head: start, token: first } = data.first || {};
  page.select({ block: name ?? undefined, layer, head: start, ...(first == null ? {} : { token: first }) });
  root.dataset.state = "drawn";
}

register("FLOWLENS_BUILD", { neuron: view });
