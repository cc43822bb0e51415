// @ts-check
// The model view: every head of every layer as a small heat map of one size, and one of them large, with its tokens.
import * as attention from "./attention.js";
import { control } from "./control.js";
import { keys, reachable } from "./keys.js";
import { clamp, upTo } from "./numbers.js";
import { element, hideTip, register, showTip } from "./page.js";

const { button, status, label, fit, isolated } = attention;

const [SMALL, LARGE] = [28, 72]; // sides of a thumbnail
const [AXIS, TOP] = [46, 30]; // room for the numbers of layers and heads
const SIDE = 500; // room that the large head wants beside the grid
const CELL = 34; // largest cell of the large head
const SLOPE = 0.8; // sine of the angle that the names of its columns have
const NAME = 104; // room for the name of a token
const AT_ONCE = 5e5; // so many weights are unpacked without waiting
const HINT = "Click a head to see it large, again to close it. Keys: arrows walk, Enter opens, Escape closes.";
const STEPS = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] };

const inWords = (lines) => lines.replaceAll("\n", ", ");
/** A measure's value, with or without its unit. */
function told({ unit }, value, units = true) {
  if (!Number.isFinite(value)) return "–";
  if (unit === "%") return `${value.toFixed(value < 9.95 ? 1 : 0)} %`;
  return value.toFixed(unit === "tokens" ? 1 : 2) + (units && unit ? ` ${unit}` : "");
}

/** Where the second text of a pair begins, when the block is all of it. */
const boundaryOf = ({ name, source, pool }) => (name === source.name && source.second != null ? source.second / pool : null);

/** Colours by number: 0 is what a query cannot see, 1 to 255 are weights from the least to the most. */
function palette({ kind }, dark) {
  return Uint32Array.from({ length: 256 }, (_, at) => {
    const share = (at - 1) / 254;
    const [r, g, b] = kind === "difference" ? attention.signed(share * 2 - 1, dark) : attention.cividis(share);
    return at && ((255 << 24) | (b << 16) | (g << 8) | r);
  });
}

/** The colour's number of every integer that a weight can be: by square roots, so that faint weights show. */
function steps({ source }) {
  const { levels, kind } = source;
  return (source.steps ||= Uint8Array.from({ length: levels + 1 }, (_, integer) => {
    if (kind !== "difference") return 1 + Math.round(254 * Math.sqrt(integer / levels));
    const signed = integer / levels * 2 - 1;
    return Math.abs(signed) < 1.5 / levels ? 128 : 128 + Math.round(127 * Math.sign(signed) * Math.sqrt(Math.abs(signed)));
  }));
}

/** The window [top, bottom) x [left, right) of a head in height x width dots, each the strongest of what it covers,
 *  as colours' numbers. */
function pooled(block, { ints, start }, [top, bottom, left, right], height, width) {
  const colors = new Uint8Array(height * width);
  const step = steps(block);
  const { first: [r0, c0], source: { causal, levels } } = block;
  const signed = block.kind === "difference";
  const stronger = (one, other) => (signed ? Math.abs(2 * one - levels) > Math.abs(2 * other - levels) : one > other);
  const count = right - left;
  const strip = new ints.constructor(count); // the strongest of the rows of a dot
  for (let y = 0; y < height; y++) {
    let seen = 0; // columns that a row of the dot sees
    const end = top + Math.floor((y + 1) * (bottom - top) / height);
    for (let i = top + Math.floor(y * (bottom - top) / height); i < end; i++) {
      const begin = start(i) + left;
      const sees = causal ? clamp(0, r0 + i + 1 - c0 - left, count) : count;
      const old = Math.min(seen, sees);
      if (signed) {
        for (let j = 0; j < old; j++) if (stronger(ints[begin + j], strip[j])) strip[j] = ints[begin + j];
      } else {
        for (let j = 0; j < old; j++) {
          const more = ints[begin + j] - strip[j];
          strip[j] += more & ~(more >> 31); // without a branch: that is twice as fast
        }
      }
      for (let j = old; j < sees; j++) strip[j] = ints[begin + j];
      seen = Math.max(seen, sees);
    }
    for (let x = 0, j = 0; x < width && j < seen; x++) {
      const last = Math.min(seen, Math.floor((x + 1) * count / width));
      let most = strip[j];
      for (j++; j < last; j++) if (stronger(strip[j], most)) most = strip[j];
      colors[y * width + x] = step[most];
    }
  }
  return colors;
}

/** Colours' numbers as a picture, one pixel each. */
function picture(numbers, height, width, colors, canvas = element("canvas", { width, height })) {
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  numbers.forEach((number, at) => { pixels[at] = colors[number]; });
  canvas.getContext("2d").putImageData(image, 0, 0);
  return canvas;
}

/** All heads of a block, small. It knows where each lies, not what is done with it. */
class Grid {
  dots;

  constructor(block) {
    const { layers } = block.source;
    this.block = block;
    this.heads = [...new Set(layers.flatMap((entry) => entry.heads))].sort((a, b) => a - b);
    this.all = layers.flatMap(({ layer, heads, keyHeads }, row) => heads.map((head, at) => ({
      layer, head, row, column: this.heads.indexOf(head), keyHead: keyHeads ? keyHeads[at] : null,
      values: block.measures.map((it) => (it.values[row] || [])[at]),
    })));
    this.thumbs = new Map();
  }

  /** Places all cells. Below the row of the cell `open`, room of the height `hole` is left when there is none beside. */
  lay(width, { measure, inPlace, falling, most }, open, hole) {
    const { block, heads } = this;
    const sorted = (this.sorted = measure !== null && !inPlace);
    const gap = width / heads.length < SMALL + AXIS / 4 ? 2 : 4;
    const size = (room) => Math.floor((room - AXIS) / heads.length) - gap;
    const room = width - SIDE - 28;
    this.beside = sorted ? room >= 5 * LARGE : size(room) >= 36;
    const used = this.beside ? room : width;
    this.size = sorted ? 60 : clamp(SMALL, size(used), LARGE);
    this.under = measure === null ? 0 : sorted ? 30 : 14;
    this.pitch = [this.size + (sorted ? 14 : gap), this.size + this.under + gap];
    const worth = ({ values }) => (Number.isFinite(values[measure]) ? values[measure] * (falling ? 1 : -1) : -Infinity);
    const ranked = measure === null ? this.all : [...this.all].sort((a, b) => worth(b) - worth(a));
    this.passing = ranked.slice(0, measure === null || !most ? Infinity : most);
    this.cells = sorted ? this.passing : this.all;
    const across = sorted ? clamp(1, Math.floor((used + 14) / this.pitch[0]), this.cells.length) : heads.length;
    const [x0, y0] = sorted ? [4, 4] : [AXIS, TOP];
    const place = (r) => y0 + r * this.pitch[1];
    const passing = new Set(this.passing);
    this.hole = open && hole && !this.beside && this.cells.includes(open) ? { height: hole + 16 } : null;
    this.cells.forEach((cell, at) => {
      [cell.r, cell.c] = sorted ? [Math.floor(at / across), at % across] : [cell.row, cell.column];
      cell.faint = !passing.has(cell);
      cell.x = x0 + cell.c * this.pitch[0];
    });
    if (this.hole) this.hole.y = place(open.r + 1) + 4;
    this.cells.forEach((cell) => { cell.y = place(cell.r) + (this.hole && cell.r > open.r ? this.hole.height : 0); });
    this.width = x0 + across * this.pitch[0] + 2;
    const rows = sorted ? Math.ceil(this.cells.length / across) : block.layers.length;
    this.height = place(rows) + (this.hole ? this.hole.height : 0) + 2;
    this.dots ||= [block.T, block.S].map((count) => Math.min(count, Math.round(this.size * (devicePixelRatio || 1))));
  }

  at(x, y) {
    const [across, down] = this.pitch;
    return this.cells.find((cell) => x >= cell.x - 2 && x < cell.x + across - 2 && y >= cell.y - 2 && y < cell.y + down - 2);
  }

  find(layer, head) {
    return this.all.find((cell) => cell.layer === layer && cell.head === head) || null;
  }

  /** Keeps what is seen of a head; its weights may go. */
  keep(book, cell) {
    const { block, dots } = this;
    this.thumbs.set(cell, pooled(block, book.packed(block, cell.layer, cell.head), [0, block.T, 0, block.S], ...dots));
  }

  draw(context, cells, measure, look) {
    const { block, size, dots: [height, width] } = this;
    const ratio = context.canvas.width / Math.max(1, this.width);
    const colors = palette(block, look.dark);
    const scratch = element("canvas", { width, height });
    const second = boundaryOf(block);
    const sharp = (length) => Math.round(length * ratio) / ratio;
    for (const cell of cells) {
      const [x, y, side] = [cell.x, cell.y, size].map(sharp);
      if (this.thumbs.has(cell)) {
        context.globalAlpha = cell.faint ? 0.14 : 1;
        context.clearRect(x - 1, y - 1, side + 2, side + 2);
        context.imageSmoothingEnabled = Math.max(height, width) > side * ratio;
        context.drawImage(picture(this.thumbs.get(cell), height, width, colors, scratch), x, y, side, side);
        if (second) {
          context.globalAlpha *= 0.6;
          context.fillStyle = look.paper;
          context.fillRect(x + side * second / block.S - 0.5, y, 1, side);
          context.fillRect(x, y + side * second / block.T - 0.5, side, 1);
        }
      }
      context.globalAlpha = cell.faint ? 0.06 : 0.4;
      context.lineWidth = 1;
      context.strokeStyle = look.line;
      context.strokeRect(x - 0.5, y - 0.5, side + 1, side + 1);
      context.globalAlpha = cell.faint ? 0.3 : 1;
      if (measure === null) continue;
      const write = (text, color, line) => {
        context.fillStyle = color;
        context.fillText(text, x + side / 2, y + side + line);
      };
      context.textAlign = "center";
      context.textBaseline = "top";
      context.font = `${size < 40 ? 9 : 11}px ${look.font}`;
      context.clearRect(x, y + side + 1, side, this.under);
      write(told(block.measures[measure], cell.values[measure], false), look.ink, 3);
      if (this.sorted) write(`L${cell.layer} H${cell.head}`, look.muted, 16);
    }
    context.globalAlpha = 1;
  }

  /** Numbers of layers and heads. */
  axes(context, look) {
    if (this.sorted) return;
    const { size, pitch } = this;
    context.font = `11px ${look.font}`;
    context.textBaseline = "middle";
    context.textAlign = "right";
    context.fillStyle = look.muted;
    context.fillText("head", AXIS - 9, TOP - 10);
    context.save();
    context.translate(9, TOP);
    context.rotate(-Math.PI / 2);
    context.fillText("layer", 0, 0);
    context.restore();
    context.fillStyle = look.ink;
    const rows = new Map(this.cells.map((cell) => [cell.layer, cell.y + size / 2]));
    rows.forEach((y, layer) => context.fillText(layer, AXIS - 9, y));
    context.textAlign = "center";
    const step = Math.ceil(20 / pitch[0]);
    this.heads.forEach((head, at) => {
      if (at % step === 0) context.fillText(head, AXIS + at * pitch[0] + size / 2, TOP - 10);
    });
  }
}

/** One head, large: a map with tokens on both sides, which can be zoomed into when the text is long. */
class Large {
  block;
  cell;
  high;
  maps;
  matrix;
  root;
  view;
  wide;

  constructor(root, view) {
    Object.assign(this, { root, view, cell: null, here: null, maps: new Map() });
    this.title = element("b", {});
    this.facts = element("p", { class: "fl-facts" });
    const bar = element("div", { class: "fl-choosers" }, this.title);
    const tools = element("div", { class: "fl-choosers" });
    const place = element("div", {});
    this.box = element("div", { class: "fl-large", role: "region", "aria-label": "Open head" }, bar, this.facts, tools, place);
    button(bar, "×", "Close (Escape)", () => view.close());
    this.search = view.page.search(tools, {
      find: (holds) => this.find(holds),
      show: (found, text) => {
        if (!text) status(root, HINT);
        if (found.length) this.go(found[0], 0, found.length);
        else this.point(null);
        return true;
      },
      go: (found, turn, count) => this.go(found, turn, count),
    });
    this.zoomers = [["−", "More tokens", 2], ["+", "Fewer tokens, larger", 0.5], ["whole text", "All tokens", Infinity]]
      .map(([text, title, factor]) => button(tools, text, title, () => this.zoom(factor)));
    view.page.offer(tools, "The numbers of this head as a table", () => view.csv());
    tools.append(view.page.links());
    this.canvas = attention.canvas(root, place, (context, width, height, look) => {
      if (this.cell && this.wide) this.draw(context, context.canvas.width / width, look);
    });
    this.listen(this.canvas.canvas);
  }

  show(cell) {
    const { block, book } = this.view;
    this.box.hidden = !cell;
    if (block !== this.block) this.window = [0, block.T, 0, block.S];
    this.maps.clear();
    Object.assign(this, { block, cell, here: null, matrix: cell && book.matrix(block, cell.layer, cell.head) });
    if (!cell) return;
    const [title, ...facts] = this.view.words(cell).split("\n");
    this.title.textContent = title;
    this.facts.replaceChildren(...facts.map((fact, at) => element("span", { title: block.measures[at].about || "" }, fact)));
    this.zoomers.forEach((it) => { it.hidden = !this.long(); });
    this.canvas.canvas.setAttribute("aria-label", `${title}: ${block.T} queries down, ${block.S} keys across. ` +
      "Arrow keys move the cross-hair, Enter keeps its row, plus and minus zoom.");
  }

  /** The tokens of a row or a column. */
  name(side, at) {
    const { pool } = this.block;
    const tokens = this.block[side].slice(at * pool, (at + 1) * pool).map(label);
    return tokens.length > 1 ? `${tokens[0]} … ${tokens[tokens.length - 1]}` : tokens[0];
  }

  /** Takes a width; the height follows from the tokens. */
  fit(width) {
    const { T, S } = this.block;
    const { context } = this.canvas;
    context.font = `12px ${attention.theme(this.root).font}`;
    const widest = (side, count) => {
      let most = 0;
      for (let at = 0; at < count; at += Math.ceil(count / 200)) {
        most = Math.max(most, context.measureText(fit(context, this.name(side, at), NAME)).width);
      }
      return most;
    };
    const across = widest("keys", S);
    const corner = this.long() ? 64 : 36;
    this.left = Math.max(corner, widest("queries", T) + 12);
    this.top = Math.max(corner, across * SLOPE + 16);
    const room = Math.max(40, width - 26 - this.left - across * 0.6 - 8);
    let [x, y] = [Math.min(CELL, room / S), Math.min(CELL, Math.min(room, 600) / T)];
    [x, y] = [Math.min(x, Math.max(14, 2 * y)), Math.min(y, Math.max(14, 2 * x))];
    [this.wide, this.high] = [x * S, y * T];
    this.box.style.width = `${Math.min(width, Math.max(460, this.left + this.wide + across * 0.6 + 34))}px`;
    this.canvas.resize({ height: this.top + this.high + 8 });
  }

  /** A part of the head as a picture, one dot for each weight or for the strongest of several. */
  map(part, height, width, dark) {
    const key = [...part, height, width, dark].join();
    if (this.maps.size > 3) this.maps.clear();
    if (!this.maps.has(key)) {
      const { block, cell, view } = this;
      const numbers = pooled(block, view.book.packed(block, cell.layer, cell.head), part, height, width);
      this.maps.set(key, picture(numbers, height, width, palette(this.block, dark)));
    }
    return this.maps.get(key);
  }

  draw(context, ratio, look) {
    const { left, top, wide, high, block } = this;
    const [a, b, c, d] = this.window;
    const [x, y] = [wide / (d - c), high / (b - a)];
    const dots = (count, room) => Math.min(count, Math.max(1, Math.round(room * ratio)));
    context.imageSmoothingEnabled = false;
    context.drawImage(this.map(this.window, dots(b - a, high), dots(d - c, wide), look.dark), left, top, wide, high);
    const second = boundaryOf(block);
    context.fillStyle = look.paper;
    if (second > a && second < b) context.fillRect(left, top + (second - a) * y - 1, wide, 2);
    if (second > c && second < d) context.fillRect(left + (second - c) * x - 1, top, 2, high);
    context.lineWidth = 1;
    context.strokeStyle = look.line;
    context.strokeRect(left - 0.5, top - 0.5, wide + 1, high + 1);

    const every = (side, from, to, step) => {
      for (let at = Math.ceil(from / step) * step; at < to; at += step) this.label(context, look, side, at, false);
    };
    every("queries", a, b, Math.ceil(13 / y));
    every("keys", c, d, Math.ceil(16 / x));
    // The row of the chosen token, then the cross-hair.
    const frame = (side, at, color, thick) => {
      const down = side === "queries";
      if (at === null || at < (down ? a : c) || at >= (down ? b : d)) return;
      context.strokeStyle = color;
      context.lineWidth = thick;
      if (down) context.strokeRect(left, top + (at - a) * y, wide, y);
      else context.strokeRect(left + (at - c) * x, top, x, high);
      this.label(context, look, side, at, true);
    };
    frame("queries", this.pin(), look.accent, 2);
    const [row, column] = this.here || [null, null];
    frame("queries", row, "#fff", 1);
    frame("keys", column, "#fff", 1);
    if (this.zoomed()) this.overview(context, look);
  }

  label(context, look, side, at, strong) {
    const [a, b, c, d] = this.window;
    const down = side === "queries";
    context.save();
    if (down) context.translate(this.left - 6, this.top + (at - a + 0.5) * this.high / (b - a));
    else {
      context.translate(this.left + (at - c + 0.5) * this.wide / (d - c), this.top - 7);
      context.rotate(-Math.asin(SLOPE));
    }
    context.font = `${strong ? "bold " : ""}12px ${look.font}`;
    context.textAlign = down ? "right" : "left";
    context.textBaseline = "middle";
    context.fillStyle = look.paper;
    // It may stand where other tokens have their names.
    if (strong) context.fillRect(down ? -NAME - 6 : -2, -8, NAME + 6, 16);
    const special = !(down && this.block.source.keys) && this.block.special.has(at) && this.block.pool === 1;
    context.fillStyle = special && !strong ? look.muted : look.ink;
    context.fillText(fit(context, this.name(side, at), NAME), 0, 0);
    context.restore();
  }

  /** The row of the chosen token. */
  pin() {
    const { token } = this.view;
    return token === null ? null : Math.floor(token / this.block.pool);
  }

  long() {
    return Math.max(this.block.T, this.block.S) > 16;
  }

  zoomed() {
    const [a, b, c, d] = this.window;
    return b - a < this.block.T || d - c < this.block.S;
  }

  /** The whole head in the corner, with a frame round what is shown large. */
  overview(context, look) {
    const { T, S } = this.block;
    const [a, b, c, d] = this.window;
    const side = (this.corner = Math.min(this.left, this.top) - 10);
    context.imageSmoothingEnabled = true;
    context.drawImage(this.map([0, T, 0, S], Math.min(T, 100), Math.min(S, 100), look.dark), 2, 2, side, side);
    context.strokeStyle = look.accent;
    context.lineWidth = 2;
    context.strokeRect(2 + side * c / S, 2 + side * a / T, side * (d - c) / S, side * (b - a) / T);
  }

  /** The query and the key under a point, or one of them beside the map. */
  under([px, py]) {
    const { left, top, wide, high } = this;
    const [a, b, c, d] = this.window;
    const i = py >= top && py < top + high ? a + Math.floor((py - top) / high * (b - a)) : null;
    const j = px >= left && px < left + wide ? c + Math.floor((px - left) / wide * (d - c)) : null;
    if (i === null || j === null) return (i !== null && px < left) || (j !== null && py < top) ? [i, j] : null;
    // Of the weights that share a dot, the one that the dot shows.
    let best = [i, j];
    for (let y = i; y < Math.min(b, i + (b - a) / high); y++) {
      for (let x = j; x < Math.min(d, j + (d - c) / wide); x++) {
        if (Math.abs(this.matrix.at(y, x)) > Math.abs(this.matrix.at(...best))) best = [y, x];
      }
    }
    return best;
  }

  /** A weight, or the strongest of a token, in words. */
  text([i, j]) {
    const { block: { pool, rows, columns }, matrix } = this;
    if (i !== null && j !== null) {
      const place = `query ${i * pool + rows[0]}, key ${j * pool + columns[0]}`;
      return `${isolated(this.name("queries", i))} → ${isolated(this.name("keys", j))}\n${this.value(i, j)}\n${place}`;
    }
    const [side, other, arrow] = j === null ? ["queries", "keys", "→"] : ["keys", "queries", "←"];
    const all = j === null ? matrix.row(i) : matrix.column(j);
    const order = Array.from(all.keys()).sort((m, n) => Math.abs(all[n]) - Math.abs(all[m])).slice(0, 5);
    const best = order.filter((at) => all[at]).map((at) => `${arrow} ${isolated(this.name(other, at))}  ${this.value(i ?? at, j ?? at)}`);
    return [this.name(side, i ?? j), ...best].join("\n");
  }

  value(i, j) {
    const { block: { error, kind, source }, matrix } = this;
    if (source.causal && matrix.c0 + j > matrix.r0 + i) return "not seen: it comes later";
    const weight = matrix.at(i, j);
    const about = error.toPrecision(1);
    if (kind !== "difference" && weight === 0) return `less than ${about}`;
    return `${weight.toFixed(clamp(2, Math.ceil(-Math.log10(error || 1e-6)), 6))} ± ${about}`;
  }

  listen(canvas) {
    reachable(canvas);
    // A press in the overview moves the window.
    let moving = false;
    const move = (event) => {
      const [px, py] = this.canvas.point(event);
      const inside = this.zoomed() && Math.max(px, py) < this.corner + 4;
      moving = event.buttons === 1 && (event.type === "pointerdown" ? inside : moving);
      if (moving) this.center((py - 2) / this.corner * this.block.T, (px - 2) / this.corner * this.block.S);
      return moving || inside;
    };
    canvas.addEventListener("pointerdown", move);
    canvas.addEventListener("pointermove", (event) => {
      this.point(move(event) ? null : this.under(this.canvas.point(event)));
      if (this.here) showTip(this.text(this.here), event.clientX, event.clientY);
      else hideTip();
    });
    canvas.addEventListener("pointerleave", () => {
      this.point(null);
      hideTip();
    });
    canvas.addEventListener("click", (event) => {
      const at = !move(event) && this.under(this.canvas.point(event));
      if (at && at[0] !== null) this.choose(at[0]);
    });
    canvas.addEventListener("wheel", (event) => {
      const at = (event.ctrlKey || event.metaKey) && this.under(this.canvas.point(event));
      if (!at) return;
      event.preventDefault();
      this.zoom(event.deltaY > 0 ? 1.25 : 0.8, at);
    }, { passive: false });
    keys(canvas, (event) => this.key(event));
    keys(this.box, (event) => event.key === "Escape" && (() => this.view.close()));
  }

  key({ key }) {
    const { T, S } = this.block;
    const [i, j] = this.here || [this.pin() ?? this.window[0], this.window[2]];
    const step = STEPS[key];
    if (step) return () => this.reach([clamp(0, (i ?? 0) + step[0], T - 1), clamp(0, (j ?? 0) + step[1], S - 1)]);
    if (key === "+" || key === "-") return () => this.zoom(key === "+" ? 0.5 : 2, this.here);
    if (key === "Enter" && i !== null) return () => this.choose(i);
    return key === "/" && (() => this.search.focus());
  }

  choose(row) {
    this.view.choose(this.pin() === row ? null : row * this.block.pool);
  }

  point(at) {
    if (String(at) === String(this.here)) return;
    this.here = at;
    this.canvas.redraw();
  }

  /** Moves the cross-hair, and the window along with it; tells what is there. */
  reach(at, before = "") {
    const [i, j] = (this.here = at);
    const [a, b, c, d] = this.window;
    const middle = (place, from, to) => (place === null || (place >= from && place < to) ? (from + to) / 2 : place);
    this.center(middle(i, a, b), middle(j, c, d));
    status(this.root, before + inWords(this.text(at)));
  }

  /** Shows so many times as many tokens; the token at a point stays where it is. */
  zoom(factor, at) {
    const { T, S } = this.block;
    const [a, b, c, d] = this.window;
    const [i, j] = at || [null, null];
    const side = (from, to, all, fixed) => {
      const count = clamp(Math.min(8, all), Math.round((to - from) * factor), all);
      return [fixed === null ? (from + to - count) / 2 : fixed - (fixed - from) * count / (to - from), count];
    };
    this.move(...side(a, b, T, i), ...side(c, d, S, j));
  }

  center(i, j) {
    const [a, b, c, d] = this.window;
    this.move(i - (b - a) / 2, b - a, j - (d - c) / 2, d - c);
  }

  move(top, rows, left, columns) {
    const { T, S } = this.block;
    const [a, c] = [clamp(0, Math.round(top), T - rows), clamp(0, Math.round(left), S - columns)];
    this.window = [a, a + rows, c, c + columns];
    this.canvas.redraw();
  }

  /** Tokens that hold a text, queries first. */
  find(holds) {
    const { T, S, rows, columns, source } = this.block;
    const within = (side, count) => upTo(count).filter((place) => holds(this.name(side, place)));
    const queries = within("queries", T).map((place) => [place, null]);
    const both = source.keys || String(rows) !== String(columns);
    return both ? [...queries, ...within("keys", S).map((place) => [null, place])] : queries;
  }

  go(found, turn, count) {
    this.reach(found, `${turn + 1} of ${count}, Enter goes on: `);
  }
}

class ModelView {
  book;
  data;
  frame;
  grids;
  hover;
  order;
  root;

  constructor(root, data) {
    const book = attention.open(root, data);
    const { first } = data;
    const order = { measure: null, falling: true, inPlace: false, most: null };
    Object.assign(this, { root, data, book, order, opened: null, pointed: null, token: first.token ?? null, grids: new Map() });
    this.place = root.querySelector(".fl-picture");
    this.field = element("div", { class: "fl-grid" });
    [this.hover, this.frame] = ["fl-mark", "fl-mark fl-open"].map((name) => element("div", { class: name }));
    this.page = control(root, book, data, {
      blocks: book.blocks,
      heads: "optional",
      now: () => this.now(),
      near: () => this.cursor.layer,
      check: (wish, next) => this.check(wish, next),
      take: (next, wish) => this.take(next, wish),
      more: () => this.more(),
      allHeads: () => [...this.grid.heads],
      weights: (layer, head) => book.weights(this.block, layer, head),
      bounds: (layer, head) => this.bounds(layer, head),
      place: (token) => this.placeOf(token),
    });
    this.controls();
    this.large = new Large(root, this);
    this.place.replaceChildren(this.field, this.large.box);
    this.canvas = attention.canvas(root, this.field, (context, width, height, look) => this.paint(context, look));
    this.field.append(this.hover, this.frame);
    this.listen(this.canvas.canvas);
    this.setBlock(book.block(first.block ?? 0));
    const open = first.head == null ? null : this.grid.find(first.layer, first.head);
    this.cursor = open || this.grid.all[0];
    status(root, HINT);
    const draw = () => {
      this.opened = open;
      this.update();
      this.fill();
    };
    if (open && this.many(this.grid.heads.length)) book.prefetch(this.block, [open.layer]).then(draw);
    else draw();
    new ResizeObserver(() => {
      if (root.isConnected && this.width !== undefined && this.place.clientWidth !== this.width) this.update();
    }).observe(this.place);
  }

  controls() {
    const { root, order } = this;
    this.page.choosers();
    const sort = (at) => this.reorder({ measure: at ? at - 1 : null, most: null });
    this.orders = attention.chooser(root, "Order", ["by layer"], sort);
    this.filter = attention.group(root, "Filter");
    this.direction = button(this.filter, "", "The other way round", () => this.reorder({ falling: !order.falling }));
    this.slider = element("input", { type: "range", min: "1" });
    this.shown = element("output", {});
    this.slider.addEventListener("input", () => this.reorder({ most: Number(this.slider.value) }));
    this.slider.addEventListener("keydown", (event) => event.stopPropagation());
    this.filter.append(element("label", {}, this.slider, " ", this.shown));
    button(this.filter, "12", "Only the first twelve", () => this.reorder({ most: 12 }));
    const keep = (inPlace) => this.reorder({ inPlace });
    this.inPlace = button(this.filter, "in place", "Keeps every head in its layer and column", keep, { toggle: true });
  }

  setBlock(block) {
    const { order } = this;
    const chosen = order.measure === null ? null : this.block.measures[order.measure].name;
    this.block = block;
    if (!this.grids.has(block)) this.grids.set(block, new Grid(block));
    this.grid = this.grids.get(block);
    const at = block.measures.findIndex((it) => it.name === chosen);
    order.measure = at < 0 ? null : at;
    const same = (cell) => cell && this.grid.find(cell.layer, cell.head);
    [this.opened, this.cursor] = [same(this.opened), same(this.cursor) || this.grid.all[0]];
    if (this.token >= block.queries.length) this.token = null;
  }

  reorder(changes) {
    Object.assign(this.order, changes);
    const measure = this.block.measures[this.order.measure];
    if ("measure" in changes) status(this.root, measure ? `${measure.title}: ${measure.about}` : HINT);
    this.update();
    this.fill();
    this.page.changed();
  }

  showOrder() {
    const { order: { measure, falling, inPlace }, block: { measures }, grid } = this;
    this.page.mark();
    this.orders.set(measure === null ? 0 : measure + 1, ["by layer", ...measures.map((it) => it.title.toLowerCase())]);
    this.orders.place.hidden = !measures.length;
    this.filter.hidden = measure === null;
    if (measure === null) return;
    const [count, all] = [grid.passing.length, grid.all.length];
    this.direction.textContent = falling ? "↓ most first" : "↑ least first";
    this.slider.max = all;
    this.slider.value = count;
    const edge = told(measures[measure], grid.passing[count - 1].values[measure]);
    this.shown.textContent = count === all ? `all ${all}` : `${count} of ${all}, ${falling ? "at least" : "at most"} ${edge}`;
    this.slider.setAttribute("aria-label", `Heads shown: ${this.shown.textContent}`);
    this.inPlace.setAttribute("aria-pressed", String(inPlace));
  }

  // ---- Drawing ----

  /** Places and draws everything anew. */
  update() {
    const { place, large, large: { box }, grid, opened } = this;
    if (large.cell !== opened || large.block !== this.block) large.show(opened);
    this.width = place.clientWidth;
    const width = this.width || 900;
    grid.lay(width, this.order);
    this.showOrder();
    if (opened) {
      large.fit(Math.min(720, width - (grid.beside ? grid.width + 24 : 4)));
      grid.lay(width, this.order, opened, box.offsetHeight);
    }
    this.field.style.width = `${grid.width}px`;
    // A head that opens beside the grid leaves it as it is.
    const laid = JSON.stringify([grid.width, grid.height, grid.hole, this.order, this.block.name]);
    if (laid !== this.laid) this.canvas.resize({ width: grid.width, height: grid.height });
    this.laid = laid;
    let bottom = grid.height;
    if (opened) {
      // Beside the grid it stays in sight however far the page has been scrolled.
      const above = place.getBoundingClientRect().top;
      const beside = above < 0 ? clamp(0, 100 - above, Math.max(0, grid.height - box.offsetHeight)) : 0;
      const top = grid.hole ? grid.hole.y : grid.beside ? beside : grid.height + 8;
      box.style.top = `${top}px`;
      box.style.left = `${grid.beside ? grid.width + 20 : place.scrollLeft + 2}px`;
      bottom = Math.max(bottom, top + box.offsetHeight + 2);
    }
    place.style.height = `${bottom + (grid.width > width ? 18 : 0)}px`;
    this.marks();
  }

  marks() {
    const { size, cells } = this.grid;
    const side = `${size + 6}px`;
    const put = (mark, cell) => {
      mark.hidden = !cell || !cells.includes(cell);
      if (mark.hidden) return;
      Object.assign(mark.style, { left: `${cell.x - 3}px`, top: `${cell.y - 3}px`, width: side, height: side });
    };
    put(this.hover, this.pointed || (this.canvas.canvas.matches(":focus-visible") ? this.cursor : null));
    put(this.frame, this.opened);
  }

  paint(context, look) {
    this.look = look;
    this.grid.axes(context, look);
    this.grid.draw(context, this.grid.cells, this.order.measure, look);
    this.legend(look);
  }

  legend({ dark }) {
    const { block: { kind, scale, error, T, S, pool, source }, grid: { dots } } = this;
    const difference = kind === "difference";
    const colors = palette(this.block, dark);
    const key = (share) => {
      const root = Math.sign(share) * Math.sqrt(Math.abs(share));
      const color = colors[difference ? 128 + Math.round(127 * root) : 1 + Math.round(254 * root)];
      const style = `background:rgb(${color & 255},${(color >> 8) & 255},${(color >> 16) & 255})`;
      return element("span", { class: "fl-key" }, element("i", { style }), `${+(share * scale).toPrecision(2)}`);
    };
    const notes = [`colours follow the square root, so that faint weights show; numbers are exact to ${error.toPrecision(1)}`];
    if (source.causal) notes.push("blank: later tokens, not seen");
    if (dots[0] < T || dots[1] < S || pool > 1) notes.push("of weights that share a dot, the largest shows");
    const name = element("b", {}, difference ? "Difference" : kind === "weight" ? "Weight" : "Attention");
    const shares = difference ? [-1, -0.25, 0, 0.25, 1] : [0, 0.01, 0.05, 0.2, 0.5, 1];
    const line = (...content) => element("p", { class: "fl-keys" }, ...content);
    this.root.querySelector(".fl-legend").replaceChildren(line(name, ...shares.map(key)), line(`${notes.join("; ")}.`));
  }

  /** Whether so many heads are too many to be unpacked at once. */
  many(heads) {
    const { source } = this.block;
    return heads * source.queries.length * (source.keys || source.queries).length > AT_ONCE;
  }

  /** Draws what is in sight, then the rest in idle time. A few weights are there at once, many layer by layer. */
  async fill() {
    if (this.filling) return;
    this.filling = true;
    try {
      for (;;) {
        const { block, grid, book } = this;
        const missing = grid.cells.filter((cell) => !grid.thumbs.has(cell));
        const top = this.canvas.canvas.getBoundingClientRect().top;
        const near = missing.filter((cell) => top + cell.y + grid.size > 0 && top + cell.y < innerHeight);
        if (!near.length) this.root.dataset.state = "drawn";
        if (!missing.length) break;
        if (!near.length) await new Promise((done) => (globalThis.requestIdleCallback || /** @type {any} */ (setTimeout))(done, { timeout: 300 }));
        const { layer } = near[0] || missing[0];
        const many = this.many(missing.length);
        if (many) await book.prefetch(block, [layer], true);
        const some = many ? missing.filter((cell) => cell.layer === layer) : missing;
        some.forEach((cell) => grid.keep(book, cell));
        if (grid === this.grid && this.canvas.width) {
          grid.draw(this.canvas.context, some.filter((cell) => grid.cells.includes(cell)), this.order.measure, this.look);
        }
      }
    } catch (error) {
      this.root.dataset.state = "failed";
      status(this.root, `This view could not be drawn: ${error.message}`);
      console.error("flowlens:", error);
    } finally {
      this.filling = false;
    }
  }

  // ---- Pointing and keys ----

  /** A head and what it does, a line each. */
  words(cell) {
    const reads = cell.keyHead === null ? "" : ` (key head ${cell.keyHead})`;
    return [`Layer ${cell.layer}, head ${cell.head}${reads}`,
      ...this.block.measures.map((measure, at) => `${measure.title}: ${told(measure, cell.values[at])}`)].join("\n");
  }

  listen(canvas) {
    reachable(canvas);
    const under = (event) => this.grid.at(...this.canvas.point(event)) || null;
    const point = (cell) => {
      this.pointed = cell;
      canvas.style.cursor = cell ? "pointer" : "";
      this.marks();
      if (!cell) hideTip();
    };
    canvas.addEventListener("pointermove", (event) => {
      point(under(event));
      if (this.pointed) showTip(this.words(this.pointed), event.clientX, event.clientY);
    });
    canvas.addEventListener("pointerleave", () => point(null));
    canvas.addEventListener("click", (event) => this.toggle(under(event)));
    canvas.addEventListener("focus", () => {
      this.marks();
      this.tell();
    });
    canvas.addEventListener("blur", () => this.marks());
    keys(canvas, (event) => this.key(event));
  }

  /** Gives the cursor's head to screen readers. */
  tell() {
    const where = inWords(this.words(this.cursor));
    this.canvas.canvas.setAttribute("aria-label", `All heads. ${where}. Enter opens, Escape closes.`);
  }

  key({ key }) {
    const { cells } = this.grid;
    const here = cells.includes(this.cursor) ? this.cursor : cells[0];
    const step = STEPS[key];
    if (key === "Escape" && this.opened) return () => this.close();
    if (key === "/" && this.opened) return () => this.large.search.focus();
    if (key === "Enter" || key === " ") return () => this.toggle(here);
    if (!step && key !== "Home" && key !== "End") return null;
    return () => {
      const line = cells.filter((cell) => (step && step[0] ? cell.c === here.c : cell.r === here.r));
      const next = step ? line.indexOf(here) + step[0] + step[1] : key === "Home" ? 0 : Infinity;
      this.cursor = line[clamp(0, next, line.length - 1)];
      this.marks();
      this.hover.scrollIntoView({ block: "nearest", inline: "nearest" });
      this.tell();
      status(this.root, inWords(this.words(this.cursor)));
    };
  }

  toggle(cell) {
    if (!cell) return;
    this.cursor = cell;
    this.open(cell === this.opened ? null : cell);
  }

  open(cell) {
    hideTip();
    this.opened = cell;
    this.update();
    this.tellOpened();
    this.page.changed();
  }

  tellOpened() {
    const { root, opened } = this;
    status(root, opened ? `${inWords(this.words(opened))}. Point at the map for tokens and weights.` : HINT);
  }

  /** Closes the large head; keys go on in the grid. */
  close() {
    const within = this.large.box.contains(document.activeElement);
    this.open(null);
    if (within) this.canvas.canvas.focus({ preventScroll: true });
  }

  choose(token) {
    this.token = token;
    this.large.canvas.redraw();
    this.page.changed();
  }

  csv() {
    const { layer, head } = this.opened;
    const name = `${this.data.model} ${this.block.name} layer ${layer} head ${head}`.replace(/[^\w.-]+/g, "_");
    return [`${name}.csv`, this.book.numbers(this.block, layer, head)];
  }

  // ---- The page's way in ----

  /** The layer and head of the head that is open; without one none is chosen. */
  now() {
    const { block, opened, token } = this;
    return { block, layer: opened ? opened.layer : null, heads: opened ? [opened.head] : [], token };
  }

  /** The head that a wish opens, or none: what is not named stays as it is. */
  wished(wish, { block }) {
    const head = wish.head === undefined && wish.heads ? wish.heads[0] ?? null : wish.head;
    if (wish.layer === null || head === null) return null;
    const here = this.opened || this.cursor;
    if (wish.layer === undefined && head === undefined) return this.opened && [here.layer, here.head];
    const all = this.book.heads(block, wish.layer ?? here.layer);
    return [wish.layer ?? here.layer, head ?? (all.includes(here.head) ? here.head : all[0])];
  }

  check(wish, next) {
    const open = this.wished(wish, next);
    if (open && (wish.layer ?? wish.head ?? wish.heads) !== undefined) this.page.head(next.block, open[0], open[1]);
    const names = ["layer", ...next.block.measures.map((it) => it.name)];
    const { order } = wish;
    if (order !== undefined && !names.includes(order)) throw attention.unknown("order", order, "this view", names);
  }

  take({ block, token }, wish) {
    const open = this.wished(wish, { block });
    if (token !== undefined) this.token = token;
    if (block !== this.block) this.setBlock(block);
    const { falling, inPlace, most } = { ...this.order, ...wish };
    Object.assign(this.order, { falling, inPlace, most });
    const names = ["layer", ...block.measures.map((it) => it.name)];
    if (wish.order !== undefined) this.order.measure = wish.order === "layer" ? null : names.indexOf(wish.order) - 1;
    this.opened = open && this.grid.find(...open);
    this.cursor = this.opened || this.cursor;
    this.update();
    this.large.canvas.redraw();
    this.tellOpened();
    this.fill();
  }

  more() {
    const { block, grid, order: { measure, falling, inPlace, most } } = this;
    return {
      order: measure === null ? "layer" : block.measures[measure].name, falling, inPlace, most,
      shown: grid.passing.map(({ layer, head }) => [layer, head]),
    };
  }

  bounds(layer, head) {
    this.page.head(this.block, layer, head);
    const cell = this.grid.cells.find((it) => it.layer === layer && it.head === head);
    return cell ? this.canvas.rect(cell.x, cell.y, this.grid.size, this.grid.size) : new DOMRect();
  }

  placeOf({ query, key }) {
    const { opened, large, block } = this;
    if (!opened) return new DOMRect();
    const [a, b, c, d] = large.window;
    const [x, y] = [large.wide / (d - c), large.high / (b - a)];
    const at = Math.floor((query ?? key) / block.pool);
    return query !== undefined ? large.canvas.rect(0, large.top + (at - a) * y, large.left - 4, y)
      : large.canvas.rect(large.left + (at - c) * x, 0, x, large.top - 4);
  }
}

register("FLOWLENS_BUILD", { model: (root, data) => new ModelView(root, data) });
