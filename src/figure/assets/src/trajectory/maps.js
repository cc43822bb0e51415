// @ts-check
// Attention, similarity and attribution maps: what is made of each other stands side by side, and is zoomed together.
import { headColor } from "../colors.js";
import { unknown } from "../data.js";
import { clamp, upTo } from "../numbers.js";
import { named } from "../text.js";
import { theme } from "../theme.js";
import { rounding, told } from "./numbers.js";
import { STRIP, heatMap, short, strip } from "./plot.js";
import { View } from "./view.js";

const LEFT = 96;
const GAP = 40;
/** Room for a title above a map. */
const HEAD = 26;
/** Pixels of a letter. */
const LETTER = 6;

export class Maps extends View {
  /** @param {any} root @param {import("./payload.js").Maps} data */
  constructor(root, data) {
    super(root, data, root.querySelector(".fl-title").textContent);
    this.data = data;
    const block = Math.max(0, data.blocks.findIndex(({ name }) => name === data.first.block));
    this.choice = { block, layer: 0, heads: [] };
    const layers = this.block().layers;
    this.choice.layer = Math.max(0, layers.findIndex(({ number }) => number === data.first.layer));
    this.choice.heads = [...data.first.heads];
    if (data.blocks.length > 1) {
      this.blockChooser = this.chooser("Part", data.blocks.map(({ name }) => name), (at) => this.select({ block: data.blocks[at].name }));
    }
    this.layerChooser = this.chooser(data.depth[0].toUpperCase() + data.depth.slice(1), [""], (at) => this.select({ layer: this.block().layers[at].number }));
    this.headSquares = this.squares("Heads", (head) => {
      const { heads } = this.choice;
      const rest = heads.filter((other) => other !== head);
      // One is always shown.
      this.select({ heads: heads.includes(head) ? (rest.length ? rest : heads) : [...heads, head] });
    });
    this.offer();
    this.start();
  }

  block() { return this.data.blocks[this.choice.block]; }

  layer() { return this.block().layers[this.choice.layer]; }

  /** Tokens of the columns. */
  columns(block = this.block()) { return block.columns || block.rows; }

  state() {
    const { data, choice } = this;
    const layer = this.layer();
    return {
      view: this.root.dataset.view, block: this.block()?.name ?? null, blocks: data.blocks.map(({ name }) => name),
      layer: layer?.number ?? null, layers: this.block()?.layers.map(({ number }) => number) ?? [], heads: [...choice.heads],
      allHeads: layer ? [...layer.heads] : [], tokens: layer ? [this.block().rows.length, this.columns().length] : [0, 0],
    };
  }

  take({ block, layer, heads, head }) {
    const { data } = this;
    const names = data.blocks.map(({ name }) => name);
    const next = { ...this.choice };
    if (block !== undefined) next.block = names.indexOf(block);
    if (next.block < 0) throw unknown("block", block, "this figure", names);
    const { layers } = data.blocks[next.block];
    const numbers = layers.map(({ number }) => number);
    const wanted = layer ?? this.layer()?.number;
    next.layer = numbers.indexOf(wanted);
    if (next.layer < 0) {
      if (layer !== undefined) throw unknown(data.depth, layer, `block "${names[next.block]}"`, numbers);
      next.layer = clamp(0, this.choice.layer, layers.length - 1);
    }
    const all = layers[next.layer]?.heads || [];
    const named = heads ?? (head === undefined ? null : [head]);
    const missing = named?.find((it) => !all.includes(it));
    if (missing !== undefined) throw unknown("head", missing, `layer ${layers[next.layer].number}`, all);
    const kept = (named || this.choice.heads).filter((it) => all.includes(it));
    next.heads = kept.length ? [...kept].sort((a, b) => a - b) : all.slice(0, 1);
    if (next.block !== this.choice.block) this.plot?.zoomed.clear();
    this.choice = next;
  }

  markChoice() {
    const { dark } = theme(this.root);
    this.blockChooser?.set(this.choice.block);
    this.layerChooser.set(this.choice.layer, this.block().layers.map(({ name }) => name.replace(/^layer /, "")));
    this.headSquares(this.layer()?.heads || [], this.choice.heads, (head) => headColor(head, dark));
  }

  /** The places of the kinds that this layer has. */
  kinds() {
    const layer = this.layer();
    return layer ? upTo(this.data.kinds.length).filter((kind) => layer.values[kind] || (kind === 2 && layer.sums)) : [];
  }

  /** A map as one row of cells after the other. @returns {Float32Array} */
  map(kind, head) {
    const layer = this.layer();
    const cells = this.block().rows.length * this.columns().length;
    const at = Math.max(0, layer.heads.indexOf(head));
    if (kind === 2 && layer.sums) {
      const [content, bias] = [this.map(0, head), this.map(1, head)];
      return content.map((value, cell) => value + bias[cell]);
    }
    return this.numbers.array(layer.values[kind]).subarray(at * cells, (at + 1) * cells);
  }

  /** How far numbers of a kind may be off. */
  off(kind) {
    const { values, sums } = this.layer();
    if (kind === 2 && sums) return rounding(values[0]) + rounding(values[1]);
    return rounding(values[kind]);
  }

  panels(width, colors) {
    const layer = this.layer();
    if (!layer) return { panels: [], height: 60 };
    const [rows, columns] = [this.block().rows, this.columns()];
    const kinds = this.kinds();
    const heads = layer.heads.length ? this.choice.heads : [null];
    const across = heads.length === 1 && kinds.length > 2 ? 2 : kinds.length;
    const aside = this.data.cka ? 300 : 0;
    const each = (width - LEFT - 30 - aside - across * GAP) / across;
    const cell = Math.min(each / columns.length, (across > 2 ? 300 : 440) / rows.length, 26);
    const [wide, high] = [Math.max(Math.min(each, 170), cell * columns.length), Math.max(40, cell * rows.length)];
    const labels = [rows, columns].map((tokens) => tokens.map((token) => short(token)));
    const panels = [];
    const foot = 44 + LETTER * Math.max(...labels[1].map((text) => text.length), 1);
    const left = 36 + LETTER * Math.max(...labels[0].map((text) => text.length), 1);
    this.shown = [];
    let top = HEAD;
    const places = heads.flatMap((head) => kinds.map((kind) => ({ kind, head })));
    for (let from = 0; from < places.length; from += across) {
      places.slice(from, from + across).forEach(({ kind, head }, at) => {
        const { title, scale } = this.data.kinds[kind];
        const values = this.map(kind, head);
        const from = left + at * (wide + GAP);
        const panel = {
          name: `${kind} ${head}`, title: head === null ? title : `${title}, head ${head}`, left: from, top, width: wide, height: high,
          x: { key: "column", range: [-0.5, columns.length - 0.5], names: labels[1], upright: true, title: this.data.axes[1] },
          y: { key: "row", range: [rows.length - 0.5, -0.5], names: labels[0], title: this.data.axes[0], bare: at > 0 },
          traces: [heatMap(values, columns.length, scale, colors.dark)],
        };
        this.shown.push({ panel, kind, head });
        panels.push(panel, strip(`strip ${kind} ${head}`, values, scale, { left: from, top: top + high + foot, width: wide }, colors));
      });
      top += high + foot + STRIP + HEAD;
    }
    if (aside) panels.push(...this.similarLayers(left + across * (wide + GAP) + 96, colors));
    const lowest = Math.max(...panels.map((panel) => panel.top + panel.height));
    return { panels, height: lowest + 30 };
  }

  /** How alike sites are as wholes. */
  similarLayers(left, colors) {
    const { cka, blocks: [{ layers }] } = this.data;
    const names = layers.map(({ name }) => name);
    const width = clamp(100, names.length * 16, 190);
    /** @type {import("./payload.js").Scale} */
    const scale = { kind: "magnitude", low: 0, high: 1, beyond: [false, false] };
    const values = Float32Array.from(cka.flat(), (value) => value ?? NaN);
    const panel = {
      name: "cka", title: "CKA between sites", left, top: HEAD, width, height: width,
      x: { key: "site across", range: [-0.5, names.length - 0.5], names, upright: true, still: true },
      y: { key: "site down", range: [names.length - 0.5, -0.5], names, still: true },
      traces: [heatMap(values, names.length, scale, colors.dark)],
    };
    this.similar = panel;
    return [panel, strip("strip cka", values, scale, { left, top: HEAD + width + 24 + LETTER * Math.max(...names.map((name) => name.length)), width }, colors)];
  }

  cellAt({ panel, x, y }) {
    const [j, i] = [Math.round(x), Math.round(y)];
    if (panel === this.similar) return { sites: [i, j] };
    const shown = this.shown.find((it) => it.panel === panel);
    const inside = i >= 0 && i < this.block().rows.length && j >= 0 && j < this.columns().length;
    return shown && inside ? { i, j, head: shown.head } : null;
  }

  /** The words under a row: text and number. */
  wordsOf(i) {
    const { nearest } = this.layer();
    return nearest === null ? [] : this.numbers.json(nearest)[i] || [];
  }

  tell(cell) {
    if (cell.sites) {
      const [a, b] = cell.sites;
      const names = this.data.blocks[0].layers.map(({ name }) => name);
      return `${names[a]} and ${names[b]}\nCKA ${told(this.data.cka[a]?.[b] ?? NaN, 0)}\nClick to show ${names[a]}.`;
    }
    const { i, j, head } = cell;
    const [down, across] = this.data.axes;
    const lines = [`${down} ${named(this.block().rows[i])} (${i})  ·  ${across} ${named(this.columns()[j])} (${j})`];
    const at = i * this.columns().length + j;
    for (const kind of this.kinds()) {
      const value = this.map(kind, head)[at];
      lines.push(`${this.data.kinds[kind].title}: ${Number.isNaN(value) ? "hidden by the mask" : told(value, this.off(kind))}`);
    }
    const words = this.wordsOf(i);
    if (words.length) lines.push(`nearest to ${named(this.block().rows[i])}: ${words.map(([text, score]) => `${named(text)} ${told(score, 0)}`).join(", ")}`);
    return lines.join("\n");
  }

  framed(cell) {
    if (cell.sites) {
      const [i, j] = cell.sites;
      return this.similar ? [{ panel: this.similar, from: [j - 0.5, i - 0.5], to: [j + 0.5, i + 0.5] }] : [];
    }
    const { i, j, head } = cell;
    // The same cell everywhere; the one under the pointer first.
    const panels = [...this.shown].sort((a, b) => Number(b.head === head) - Number(a.head === head));
    return panels.map(({ panel }) => ({ panel, from: [j - 0.5, i - 0.5], to: [j + 0.5, i + 0.5] }));
  }

  named(i, j, head = this.choice.heads[0] ?? null) { return { i, j, head }; }

  click(cell) {
    if (cell.sites) this.select({ layer: this.data.blocks[0].layers[cell.sites[0]].number });
  }

  keyed(key) {
    const { layers } = this.block();
    const step = (by) => () => this.select({ layer: layers[clamp(0, this.choice.layer + by, layers.length - 1)].number });
    if (key === "PageUp") return step(-1);
    if (key === "PageDown") return step(1);
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[key];
    if (!move || !this.shown.length) return null;
    const from = this.cell && !this.cell.sites ? this.cell : this.named(-Math.min(0, move[0]), -Math.min(0, move[1]));
    const [rows, columns] = [this.block().rows.length, this.columns().length];
    const first = this.cell ? move : [0, 0];
    return () => this.go({ ...from, i: clamp(0, from.i + first[0], rows - 1), j: clamp(0, from.j + first[1], columns - 1) });
  }

  tables() {
    const block = this.block();
    const layer = this.layer();
    if (!layer) return [];
    const numbered = (tokens) => tokens.map((token, at) => `${at} ${token}`);
    const rows = numbered(block.rows);
    const heads = layer.heads.length ? this.choice.heads : [null];
    const maps = heads.flatMap((head) => this.kinds().map((kind) => {
      const values = this.map(kind, head);
      const width = this.columns().length;
      const title = this.data.kinds[kind].title + (head === null ? "" : `, head ${head}`);
      const line = (name, i) => [name, ...Array.from(values.subarray(i * width, (i + 1) * width), (value) => (Number.isNaN(value) ? "" : +value.toPrecision(4)))];
      return { heads: [title, ...numbered(this.columns())], rows: rows.map(line) };
    }));
    const words = layer.nearest === null ? [] : [{
      heads: ["position", `nearest words, ${this.data.words}`],
      rows: rows.map((name, i) => [name, this.wordsOf(i).map(([text, score]) => `${text} ${told(score, 0)}`).join(", ")]),
    }];
    return [...words, ...maps];
  }
}
