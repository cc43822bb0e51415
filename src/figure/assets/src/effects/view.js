// @ts-check
// What each changed place did: a map or bars, the largest effects in a list, and what a cell's run answered.
import { unknown } from "../data.js";
import { clamp, upTo } from "../numbers.js";
import { element } from "../page.js";
import { isolated } from "../text.js";
import { number, rounding, told } from "../trajectory/numbers.js";
import { short } from "../trajectory/plot.js";
import { View } from "../trajectory/view.js";
import { answers, ofPairs } from "./answers.js";
import { Drawing } from "./drawing.js";

const HEAD = 26;
const STRIP = 60;
const LETTER = 5.8;
/** Letters of a place's name beside an axis. */
const NAMED = 40;
/** Cells in the list. */
const LISTED = 10;
/** Width of the list. */
const LIST = 290;
/** A cell is never narrower, and a map never wider than so much. */
const NARROW = 2;
const WIDEST = 8000;

export class Effects extends View {
  /** @param {any} root @param {import("./payload.js").Effects} data */
  constructor(root, data) {
    super(root, data, root.querySelector(".fl-title").textContent);
    this.data = data;
    this.sizes = data.axes.map(({ labels }) => labels.length);
    /** The pair is null for the mean. @type {{show: number, pair: number | null, at: number[], picked: number[] | null}} */
    this.choice = { show: 0, pair: null, at: [...data.first], picked: null };
    const names = data.shows.map(({ name }) => name);
    if (names.length > 1) this.showChooser = this.chooser("Show", names, (at) => this.select({ show: names[at] }));
    if (data.pairs.length > 1) {
      this.pairChooser = this.chooser("Pair", ["mean", ...data.pairs.map(({ name }) => name)], (at) => this.select({ pair: at ? at - 1 : null }));
    }
    this.others = upTo(data.axes.length).filter((axis) => axis !== data.rows && axis !== data.columns);
    this.otherChoosers = this.others.map((axis) => {
      const { name, labels } = data.axes[axis];
      return this.chooser(name.charAt(0).toUpperCase() + name.slice(1), labels, (at) => this.select({ [name]: at }));
    });
    this.list = element("div", { class: "fl-list" });
    this.below = element("div", { class: "fl-answers", "aria-live": "polite" });
    this.place.after(this.list);
    this.place.parentElement.after(this.below);
    this.offer();
    this.dress();
    this.plot = new Drawing(root, this.place, this.label);
    this.takeOver().then(() => { root.dataset.state = "drawn"; }, (error) => {
      this.plot.box.remove();
      this.still.forEach((it) => { it.hidden = false; });
      root.dataset.state = "failed";
      console.error("flowlens:", error);
    });
  }

  // ---- Numbers ----

  show() { return this.data.shows[this.choice.show]; }

  /** The number of a cell. */
  cellOf(index) { return index.reduce((cell, place, axis) => cell * this.sizes[axis] + place, 0); }

  /** A cell's place on each axis. */
  indexOf(cell) {
    const index = [];
    let rest = cell;
    for (let axis = this.sizes.length - 1; axis >= 0; axis--) {
      index[axis] = rest % this.sizes[axis];
      rest = Math.floor(rest / this.sizes[axis]);
    }
    return index;
  }

  count() { return this.sizes.reduce((product, size) => product * size, 1); }

  /** All cells' numbers of a way to look at them, of a pair or, with null, the mean. @returns {Float32Array} */
  values(name, pair = this.choice.pair) {
    const show = this.data.shows.find((it) => it.name === name);
    if (!show) return new Float32Array(this.count()).fill(NaN);
    if (pair === null) return this.numbers.array(show.values);
    const { base, way } = this.data.pairs[pair];
    const raw = this.numbers.array(this.data.values).subarray(pair * this.count(), (pair + 1) * this.count());
    if (name === "value") return raw;
    return raw.map((value) => (value - (base ?? NaN)) / (name === "effect" ? 1 : name === "normalised" ? way ?? NaN : NaN));
  }

  /** What cells are ordered by. */
  effects() { return this.values(this.data.shows.some(({ name }) => name === "effect") ? "effect" : this.data.shows[0].name); }

  /** How far numbers of a way to look at them may be off. */
  off(name) {
    const show = this.data.shows.find((it) => it.name === name);
    if (this.choice.pair === null) return rounding(show.values);
    return rounding(this.data.values) / (name === "normalised" ? Math.abs(this.data.pairs[this.choice.pair].way ?? 1) : 1);
  }

  // ---- Words ----

  /** An axis with the chosen pair's tokens. */
  axis(at) { return (this.choice.pair !== null && this.data.pairs[this.choice.pair].axes[at]) || this.data.axes[at]; }

  /** What a place is called beside its axis. */
  tick(at, place) {
    const { labels, tokens, corrupted } = this.axis(at);
    const parts = [short(labels[place], NAMED), tokens?.[place] && short(tokens[place]), corrupted?.[place] && `/ ${short(corrupted[place])}`];
    return parts.filter(Boolean).join(" ");
  }

  /** What a place is called in a sentence. */
  named(at, place) {
    const { name, labels, tokens, corrupted } = this.axis(at);
    const parts = [name, short(labels[place], NAMED), tokens?.[place] && isolated(short(tokens[place], 40)), corrupted?.[place] && `/ ${isolated(short(corrupted[place], 40))}`];
    return parts.filter(Boolean).join(" ");
  }

  placeOf(index) { return index.map((place, at) => this.named(at, place)).join(", "); }

  tell({ index }) {
    const hint = this.data.answers.length ? ["Click, or Enter, shows the answers."] : [];
    return [...this.lines(index), ...hint].join("\n");
  }

  /** A cell and its numbers. */
  lines(index) {
    const cell = this.cellOf(index);
    const lines = [this.placeOf(index)];
    for (const { name, title } of this.data.shows) {
      if (name === "p" && this.choice.pair !== null) continue;
      const value = this.values(name)[cell];
      const text = Number.isNaN(value) ? "none" : told(value, this.off(name)) + (name === "effect" ? this.bounds95(cell) : "");
      lines.push(`${name === "p" ? "p-value" : title}: ${text}`);
    }
    return lines;
  }

  /** The confidence interval of a mean effect. */
  bounds95(cell) {
    if (!this.data.interval || this.choice.pair !== null) return "";
    const [low, high] = this.data.interval.map((end) => this.numbers.array(end)[cell]);
    return Number.isNaN(low) ? "" : ` (95 %: ${number(low)} to ${number(high)})`;
  }

  // ---- What can be chosen ----

  state() {
    const { data, choice } = this;
    const at = Object.fromEntries(this.others.map((axis) => [data.axes[axis].name, choice.at[axis]]));
    return {
      view: this.root.dataset.view, show: this.show().name, shows: data.shows.map(({ name }) => name), pair: choice.pair,
      pairs: data.pairs.length, axes: data.axes.map(({ name }, axis) => ({ name, places: this.sizes[axis] })), ...at, cell: choice.picked,
    };
  }

  take(wish) {
    const { data } = this;
    const next = { ...this.choice, at: [...this.choice.at] };
    if (wish.show !== undefined) next.show = data.shows.findIndex(({ name }) => name === wish.show);
    if (next.show < 0) throw unknown("show", wish.show, "this figure", data.shows.map(({ name }) => name));
    if (wish.pair !== undefined) next.pair = wish.pair;
    if (next.pair !== null && !(next.pair in data.pairs)) throw unknown("pair", next.pair, "this figure", upTo(data.pairs.length));
    const allowed = (axis, place) => {
      if (!Number.isInteger(place) || place < 0 || place >= this.sizes[axis]) {
        throw unknown(data.axes[axis].name, place, "this figure", upTo(this.sizes[axis]));
      }
    };
    for (const axis of this.others) {
      // An axis may be called what every object has.
      const { name } = data.axes[axis];
      if (!Object.hasOwn(wish, name) || wish[name] === undefined) continue;
      const place = wish[name];
      allowed(axis, place);
      next.at[axis] = place;
    }
    if (wish.cell !== undefined) {
      if (wish.cell !== null) {
        if (wish.cell.length !== this.sizes.length) throw new RangeError(`a cell of this figure has ${this.sizes.length} places: ${data.axes.map(({ name }) => name).join(", ")}`);
        wish.cell.forEach((place, axis) => allowed(axis, place));
        for (const axis of this.others) next.at[axis] = wish.cell[axis];
      }
      next.picked = wish.cell && [...wish.cell];
    }
    // A pair has no p-value.
    if (next.pair !== null && data.shows[next.show].name === "p") {
      if (wish.show === "p") next.pair = null;
      else next.show = 0;
    }
    this.choice = next;
  }

  markChoice() {
    this.showChooser?.set(this.choice.show);
    this.pairChooser?.set(this.choice.pair === null ? 0 : this.choice.pair + 1);
    this.others.forEach((axis, at) => this.otherChoosers[at].set(this.choice.at[axis], this.data.axes[axis].labels.map((_, place) => this.tick(axis, place))));
  }

  // ---- What is drawn ----

  room() {
    const whole = this.place.parentElement.clientWidth;
    const beside = whole >= 700 ? LIST + 24 : 0;
    return Math.max(300, Math.min(1180, whole - beside));
  }

  panels(width) {
    const { rows, columns } = this.data;
    const show = this.show();
    const values = this.values(show.name);
    const across = upTo(this.sizes[columns]).map((place) => this.tick(columns, place));
    const x = {
      key: "x", range: [-0.5, across.length - 0.5], names: across, title: this.data.axes[columns].name, upright: across.some((text) => text.length > 4),
    };
    const foot = (x.upright ? LETTER * Math.max(...across.map((text) => text.length)) + 8 : 16) + 22;
    if (rows === null) return this.barPanels(width, show, values, x, foot);
    const down = upTo(this.sizes[rows]).map((place) => this.tick(rows, place));
    const left = 34 + LETTER * Math.max(...down.map((text) => text.length));
    const cell = clamp(Math.min(NARROW, WIDEST / across.length), (width - left - 24) / across.length, 34);
    const wide = Math.max(170, cell * across.length);
    const high = Math.max(24, Math.min(17, 520 / down.length) * down.length);
    this.shownCells = down.flatMap((_, i) => across.map((_, j) => this.index(i, j)));
    const shown = Float32Array.from(this.shownCells, (index) => values[this.cellOf(index)]);
    const scale = this.choice.pair === null ? show.scale : show.pairs;
    const others = this.others.map((axis) => `, ${this.named(axis, this.choice.at[axis])}`).join("");
    this.panel = {
      name: "map", title: show.title + others, left, top: HEAD, width: wide, height: high, x,
      y: { key: "y", range: [down.length - 0.5, -0.5], names: down, title: this.data.axes[rows].name },
      cells: { values: shown, columns: across.length, scale },
    };
    const strip = { name: "strip", left, top: HEAD + high + foot, width: Math.min(wide, 640), height: 38, x: { key: "s", range: [0, 1] }, y: { key: "t", range: [0, 1] }, strip: { values: shown, scale } };
    return { panels: [this.panel, strip], width: left + wide + 24, height: HEAD + high + foot + STRIP };
  }

  barPanels(width, show, values, x, foot) {
    const [low, high] = this.choice.pair === null && show.name === "effect" && this.data.interval ? this.data.interval.map((end) => this.numbers.array(end)) : [null, null];
    const all = [...values, ...(low || []), ...(high || []), 0].filter((value) => Number.isFinite(value));
    const [least, most] = [Math.min(...all), Math.max(...all)];
    const room = (most - least) * 0.05 || 1e-6;
    const left = 64;
    const wide = Math.max(170, clamp(NARROW, (width - left - 24) / x.names.length, 40) * x.names.length);
    this.panel = {
      name: "bars", title: show.title, left, top: HEAD, width: wide, height: 190, x,
      y: { key: "y", range: [least < 0 ? least - room : 0, most > 0 ? most + room : 0], title: "" }, bars: { values, low, high },
    };
    return { panels: [this.panel], width: left + wide + 24, height: HEAD + 190 + foot };
  }

  async redraw(fresh = false) {
    await super.redraw(fresh);
    this.fillList();
    this.fillAnswers();
  }

  /** The place on each axis of what is drawn at a row and a column. */
  index(i, j) {
    const index = [...this.choice.at];
    if (this.data.rows !== null) index[this.data.rows] = i;
    index[this.data.columns] = j;
    return index;
  }

  cellAt({ panel, x, y }) {
    const j = Math.round(x);
    const i = this.data.rows === null ? 0 : Math.round(y);
    const inside = panel === this.panel && j >= 0 && j < this.sizes[this.data.columns] && i >= 0 && (this.data.rows === null ? i === 0 : i < this.sizes[this.data.rows]);
    return inside ? { index: this.index(i, j) } : null;
  }

  framed({ index }) {
    if (this.others.some((axis) => index[axis] !== this.choice.at[axis])) return [];
    const j = index[this.data.columns];
    if (this.data.rows === null) return [{ panel: this.panel, from: [j - 0.5, this.panel.y.range[0]], to: [j + 0.5, this.panel.y.range[1]] }];
    const i = index[this.data.rows];
    return [{ panel: this.panel, from: [j - 0.5, i - 0.5], to: [j + 0.5, i + 0.5] }];
  }

  bounds(...index) {
    const [first] = this.framed({ index });
    return first && this.plot.bounds(first.panel, first.from, first.to);
  }

  /** The cell under pointer or keys is framed, and so is the picked one. */
  point(cell) {
    super.point(cell);
    const picked = this.choice.picked && { index: this.choice.picked };
    this.plot.mark([cell, picked].filter(Boolean).flatMap((it) => this.framed(it)));
  }

  drawn() { this.point(null); }

  closed() {
    if (this.choice.picked) this.pick(null);
  }

  click({ index }) { this.pick(index); }

  /** Shows what stands behind a cell; again, and it closes. */
  pick(index) {
    const same = this.choice.picked && index && this.cellOf(index) === this.cellOf(this.choice.picked);
    this.choice.picked = same ? null : index;
    this.point(this.cell);
    this.fillList();
    this.fillAnswers();
    this.changed();
  }

  keyed(key) {
    const { rows, columns } = this.data;
    if (key === "Enter" || key === " ") return this.cell && (() => this.pick(this.cell.index));
    const page = { PageUp: -1, PageDown: 1 }[key];
    if (page && this.others.length) {
      const axis = this.others[this.others.length - 1];
      return () => this.select({ [this.data.axes[axis].name]: clamp(0, this.choice.at[axis] + page, this.sizes[axis] - 1) });
    }
    const from = this.cell?.index || this.choice.picked;
    const moves = { ArrowUp: [rows, -1], ArrowDown: [rows, 1], ArrowLeft: [columns, -1], ArrowRight: [columns, 1], Home: [columns, -Infinity], End: [columns, Infinity] };
    const move = moves[key];
    if (!move || move[0] === null) return null;
    return () => {
      const index = [...(from || this.index(this.data.first[rows ?? columns], this.data.first[columns]))];
      for (const axis of this.others) index[axis] = this.choice.at[axis];
      if (from) index[move[0]] = clamp(0, index[move[0]] + move[1], this.sizes[move[0]] - 1);
      this.go({ index });
    };
  }

  // ---- Beside and below ----

  fillList() {
    const order = this.effects();
    const cells = upTo(order.length).filter((cell) => !Number.isNaN(order[cell]));
    cells.sort((a, b) => Math.abs(order[b]) - Math.abs(order[a]));
    const show = this.show();
    const values = this.values(show.name);
    const rows = cells.slice(0, LISTED).map((cell) => {
      const index = this.indexOf(cell);
      const picked = this.choice.picked && this.cellOf(this.choice.picked) === cell;
      const made = element("button", { type: "button", "aria-pressed": String(Boolean(picked)) },
        element("b", {}, number(values[cell])), element("span", {}, this.placeOf(index)));
      made.addEventListener("click", () => this.select({ cell: picked ? null : index }));
      return element("li", {}, made);
    });
    this.list.replaceChildren(element("p", { class: "fl-name" }, "Largest"), element("ol", {}, ...rows));
  }

  fillAnswers() {
    const { picked } = this.choice;
    this.below.hidden = !picked;
    if (!picked) return;
    const cell = this.cellOf(picked);
    const [place, ...lines] = this.lines(picked);
    const head = element("p", {}, element("b", {}, place), ` · ${lines.join(" · ")}`);
    this.below.replaceChildren(head, answers(this, cell), ...ofPairs(this, cell));
  }

  tables() {
    const { data } = this;
    const order = this.effects();
    const cells = upTo(order.length).filter((cell) => !Number.isNaN(order[cell]));
    const shows = data.shows.filter(({ name }) => this.choice.pair === null || name !== "p");
    const bounds = data.interval && this.choice.pair === null ? data.interval.map((end) => this.numbers.array(end)) : [];
    const columns = [...shows.map(({ name }) => this.values(name)), ...bounds];
    const cut = (value) => (Number.isNaN(value) ? "" : +value.toPrecision(5));
    return [{
      heads: [...data.axes.map(({ name }) => name), ...shows.map(({ name }) => name), ...(bounds.length ? ["95 % from", "to"] : [])],
      rows: cells.map((cell) => [...this.indexOf(cell).map((place, axis) => this.tick(axis, place)), ...columns.map((values) => cut(values[cell]))]),
    }];
  }
}
