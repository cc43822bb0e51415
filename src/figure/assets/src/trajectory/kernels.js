// @ts-check
// Position kernels: all heads as a map over distances, and the curves of some.
import { chooser } from "../controls.js";
import { headColor } from "../colors.js";
import { unknown } from "../data.js";
import { clamp, upTo } from "../numbers.js";
import { theme } from "../theme.js";
import { constant, edges, rounding, symlog, symlogTicks, told, unsymlog } from "./numbers.js";
import { STRIP, heatMap, strip } from "./plot.js";
import { View } from "./view.js";

const LEFT = 60;
const RIGHT = 90;

export class Kernels extends View {
  /** @param {any} root @param {import("./payload.js").Kernels} data */
  constructor(root, data) {
    super(root, data, "Position kernels: heads by distance");
    this.data = data;
    this.choice = { kernel: data.kernel, heads: [...data.heads], constant: false, window: Infinity };
    if (data.kernels.length > 1) {
      this.kernelChooser = this.chooser("Kernel", data.kernels.map(({ name }) => name), (at) => this.select({ kernel: at }));
    }
    this.quantity = this.chooser("Shows", ["score", "if content were constant"], (at) => this.select({ constant: at === 1 }));
    this.windowChooser = chooser(root, "Window", [""], (at) => this.select({ window: this.windows()[at] }));
    this.headSquares = this.squares("Heads", (head) => this.toggle(head));
    this.offer();
    this.start();
  }

  kernel() { return this.data.kernels[this.choice.kernel]; }

  heads(kernel = this.kernel()) { return upTo(kernel.values.shape[0]); }

  /** Distances that a window may reach. */
  windows() {
    const { offsets } = this.kernel();
    const most = Math.max(...offsets.map(Math.abs));
    return [8, 32, 128, 512].filter((size) => size < most).concat(Infinity);
  }

  toggle(head) {
    const { heads } = this.choice;
    this.select({ heads: heads.includes(head) ? heads.filter((other) => other !== head) : [...heads, head] });
  }

  state() {
    const kernel = this.kernel();
    const { window, ...choice } = this.choice;
    return {
      view: this.root.dataset.view, ...choice, heads: [...choice.heads], window: Number.isFinite(window) ? window : null,
      kernels: this.data.kernels.map(({ name }) => name), block: kernel?.block ?? null, layers: kernel?.layers ?? [],
      allHeads: kernel ? this.heads() : [],
    };
  }

  take({ kernel, block, layer, heads, constant: on, window }) {
    const { kernels } = this.data;
    const next = { ...this.choice };
    if (kernel !== undefined) next.kernel = kernel;
    if (block !== undefined || layer !== undefined) {
      const now = this.kernel();
      next.kernel = kernels.findIndex((it) => it.block === (block ?? now.block) && it.layers.includes(layer ?? it.layers[0]));
    }
    if (!kernels[next.kernel]) throw unknown("kernel", kernel ?? `${block} ${layer}`, "this figure", kernels.map(({ name }) => name));
    const all = this.heads(kernels[next.kernel]);
    const missing = heads?.find((head) => !all.includes(head));
    if (missing !== undefined) throw unknown("head", missing, kernels[next.kernel].name, all);
    next.heads = (heads || next.heads).filter((head) => all.includes(head)).sort((a, b) => a - b);
    if (on !== undefined) next.constant = Boolean(on);
    if (window !== undefined) next.window = window ?? Infinity;
    if (next.kernel !== this.choice.kernel) {
      next.window = Infinity;
      this.plot?.zoomed.clear();
    }
    this.choice = next;
  }

  markChoice() {
    const { kernel, heads, constant: on, window } = this.choice;
    this.kernelChooser?.set(kernel);
    this.quantity.set(on ? 1 : 0);
    const windows = this.windows();
    this.windowChooser.set(Math.max(0, windows.indexOf(window)), windows.map((size) => (Number.isFinite(size) ? `±${size}` : "all")));
    this.windowChooser.place.hidden = !on;
    const { dark } = theme(this.root);
    this.headSquares(this.heads(), heads, (head) => headColor(head, dark));
  }

  /** Heads by distances, as they are shown. */
  values() {
    const kernel = this.kernel();
    const values = this.numbers.array(kernel.values);
    if (!this.choice.constant) return values;
    const width = kernel.offsets.length;
    const shares = new Float32Array(values.length);
    for (const head of this.heads()) {
      const row = values.subarray(head * width, (head + 1) * width);
      shares.set(constant(row, kernel.offsets, this.choice.window, kernel.causal), head * width);
    }
    return shares;
  }

  row(values, head) {
    const width = this.kernel().offsets.length;
    return values.subarray(head * width, (head + 1) * width);
  }

  panels(width, colors) {
    const kernel = this.kernel();
    if (!kernel) return { panels: [], height: 60 };
    const values = this.values();
    const all = this.heads();
    const { offsets } = kernel;
    const places = edges(offsets);
    /** @type {[number, number]} */
    const range = [places[0], places[places.length - 1]];
    const most = values.reduce((largest, value) => (value > largest ? value : largest), 0);
    /** @type {import("./payload.js").Scale} */
    const scale = this.choice.constant ? { kind: "root", low: 0, high: most || 1, beyond: [false, false] } : kernel.scale;
    const x = { key: "distance", range, ticks: symlogTicks(offsets[0], offsets[offsets.length - 1]) };
    const wide = width - LEFT - RIGHT;
    const high = clamp(60, all.length * 17, 420);
    this.map = {
      name: "heads", left: LEFT, top: 8, width: wide, height: high, x: { ...x },
      y: { key: "head", range: [all.length - 0.5, -0.5], names: all.map(String), title: "head", still: true },
      traces: [heatMap(values, offsets.length, scale, colors.dark, places)],
    };
    const lines = this.curves(values, this.choice.heads, colors);
    this.curve = {
      name: "curves", left: LEFT, top: high + 36, width: wide, height: 220, x: { ...x, title: "distance from query to key" },
      y: { key: "value", range: this.span(values, [...this.choice.heads]), title: this.choice.constant ? "share" : "score" },
      traces: lines,
    };
    const below = this.curve.top + this.curve.height;
    const panels = [this.map, this.curve, strip("strip", values, scale, { left: LEFT, top: below + 48, width: Math.min(320, wide) }, colors)];
    return { panels, height: below + 48 + STRIP };
  }

  /** A curve for each head with its name at the end, its spread, and one to come for the head under the pointer. */
  curves(values, heads, colors) {
    const { offsets, spread } = this.kernel();
    const x = offsets.map(symlog);
    const wide = spread && !this.choice.constant ? this.numbers.array(spread) : null;
    const lines = heads.flatMap((head) => {
      const color = headColor(head, colors.dark);
      const row = this.row(values, head);
      const line = { type: "scatter", mode: "lines", x, y: row, line: { color, width: 2 }, connectgaps: false, hoverinfo: "skip" };
      if (!wide) return [line];
      const off = this.row(wide, head);
      const edge = (side) => ({ ...line, y: row.map((value, at) => value + side * off[at]), line: { width: 0 }, opacity: 1 });
      const [red, green, blue] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
      return [edge(-1), { ...edge(1), fill: "tonexty", fillcolor: `rgba(${red},${green},${blue},0.18)` }, line];
    });
    const pointed = { type: "scatter", mode: "lines", x: [], y: [], line: { color: colors.ink, width: 1.5, dash: "dot" }, hoverinfo: "skip" };
    return [...lines, pointed];
  }

  /** The lowest and highest value of some heads. @returns {[number, number]} */
  span(values, heads) {
    const { spread } = this.kernel();
    const wide = spread && !this.choice.constant ? this.numbers.array(spread) : null;
    let [low, high] = [Infinity, -Infinity];
    for (const head of heads.length ? heads : this.heads()) {
      const off = wide && this.row(wide, head);
      this.row(values, head).forEach((value, at) => {
        if (Number.isNaN(value)) return;
        low = Math.min(low, value - (off ? off[at] : 0));
        high = Math.max(high, value + (off ? off[at] : 0));
      });
    }
    if (low > high) return [0, 1];
    const room = (high - low) * 0.06 || 0.5;
    return [low - room, high + room];
  }

  cellAt({ panel, x, y }) {
    const { offsets } = this.kernel();
    const distance = Math.round(unsymlog(x));
    const at = offsets.indexOf(distance);
    if (at < 0) return null;
    if (panel === this.map) return { head: clamp(0, Math.round(y), this.heads().length - 1), at };
    return panel === this.curve ? { head: null, at } : null;
  }

  tell({ head, at }) {
    const kernel = this.kernel();
    const values = this.values();
    const offset = kernel.offsets[at];
    const place = offset === 0 ? "the query itself" : `${Math.abs(offset)} ${offset < 0 ? "before" : "after"} the query`;
    const what = this.choice.constant ? "share" : "score";
    const wide = kernel.spread && !this.choice.constant ? this.numbers.array(kernel.spread) : null;
    const value = (it) => {
      const spread = wide ? `, spread ${told(this.row(wide, it)[at], 0)}` : "";
      return `${told(this.row(values, it)[at], this.choice.constant ? 0 : rounding(kernel.values))}${spread}`;
    };
    const count = kernel.counts ? [`from ${kernel.counts[at]} pairs`] : [];
    if (head !== null) return [`head ${head}  ·  ${place}`, `${what} ${value(head)}`, ...count, "Click to keep its curve."].join("\n");
    return [place, ...this.choice.heads.map((it) => `head ${it}: ${value(it)}`), ...count].join("\n");
  }

  framed({ head, at }) {
    const { offsets } = this.kernel();
    const [left, right] = [symlog(offsets[at] - 0.5), symlog(offsets[at] + 0.5)];
    const [low, high] = this.plot.range(this.curve.y);
    const curve = { panel: this.curve, from: [left, low], to: [right, high] };
    return head === null ? [curve] : [{ panel: this.map, from: [left, head - 0.5], to: [right, head + 0.5] }];
  }

  named(head, distance) { return { head, at: this.kernel().offsets.indexOf(distance) }; }

  /** The curve of the head under the pointer, beside those that are kept. */
  pointed(cell) {
    const head = cell?.head ?? null;
    if (head === this.hovered) return;
    this.hovered = head;
    const last = 1 + this.curve.traces.length - 1;
    const [x, y] = head === null ? [[], []] : [this.kernel().offsets.map(symlog), Array.from(this.row(this.values(), head))];
    this.plot.library.restyle(this.plot.drawing, { x: [x], y: [y] }, [last]);
  }

  click({ head }) {
    if (head !== null) this.toggle(head);
  }

  keyed(key) {
    const all = this.heads().length;
    const { offsets } = this.kernel();
    const kernels = this.data.kernels.length;
    if (key === "PageUp") return () => this.select({ kernel: clamp(0, this.choice.kernel - 1, kernels - 1) });
    if (key === "PageDown") return () => this.select({ kernel: clamp(0, this.choice.kernel + 1, kernels - 1) });
    if ((key === "Enter" || key === " ") && this.cell?.head != null) return () => this.toggle(this.cell.head);
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[key];
    if (!move) return null;
    const start = { head: 0, at: Math.max(0, offsets.indexOf(0)) };
    const from = this.cell && this.cell.head !== null ? this.cell : start;
    const [down, across] = from === start ? [0, 0] : move;
    return () => this.go({ head: clamp(0, from.head + down, all - 1), at: clamp(0, from.at + across, offsets.length - 1) });
  }

  tables() {
    const kernel = this.kernel();
    const values = this.values();
    const heads = this.choice.heads.length ? this.choice.heads : this.heads();
    const cell = (value) => (Number.isNaN(value) ? "" : +value.toPrecision(5));
    const rows = kernel.offsets.map((offset, at) => [offset, ...heads.map((head) => cell(this.row(values, head)[at]))]);
    return [{ heads: ["distance", ...heads.map((head) => `head ${head}`)], rows }];
  }
}
