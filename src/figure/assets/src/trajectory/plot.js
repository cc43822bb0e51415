// @ts-check
// A chart of several panels that Plotly draws, and where things are in it: pointer and keys ask here, not Plotly.
import { cividis, signed } from "../colors.js";
import { element, PLOTLY } from "../page.js";
import { theme } from "../theme.js";
import { counted, number, shareOf, thinned, ticks, valueAt } from "./numbers.js";

/**
 * @typedef {object} Axis
 * @property {string} key axes of one key are zoomed together
 * @property {[number, number]} range its ends: left and right, or bottom and top
 * @property {string[]} [names] at 0, 1, 2, ..
 * @property {[number, string][]} [ticks]
 * @property {string} [title]
 * @property {boolean} [bare] without labels
 * @property {boolean} [upright] labels stand upright
 * @property {boolean} [still] cannot be zoomed
 *
 * @typedef {object} Panel
 * @property {string} name
 * @property {string} [title]
 * @property {number} left in pixels of the plot
 * @property {number} top
 * @property {number} width
 * @property {number} height
 * @property {Axis} x
 * @property {Axis} y
 * @property {any[]} traces Plotly's
 */

const BINS = 48;
export const STRIP = 62;
const COLORS = 32;
/** Letters of a label. */
const LETTERS = 12;

/** Text for Plotly, which reads a handful of tags, entities and templates. */
export const plain = (text) => text.replaceAll("&", "&amp;").replaceAll("<", "&lt;").replaceAll(">", "&gt;").replaceAll("%{", "%\u200b{");

/**
 * Text for Plotly's charts in space, which read a few tags and no entities, and look a text's letters up in an object: one
 * that is called like what every object has (`constructor`) would be found there.
 */
export const plainInSpace = (text) => (text in {} ? `${text}\u200b` : text.replaceAll("<", "<\u200b"));

/** A token beside an axis. */
export function short(token, most = LETTERS) {
  const shown = token.length > 1 && token.startsWith("␣") ? token.slice(1) : token;
  const letters = Array.from(shown);
  return letters.length > most ? `${letters.slice(0, most - 1).join("")}…` : shown;
}

const css = (bytes) => `rgb(${bytes.join(",")})`;

/** The colour at a share of a scale. */
const colorAt = (scale, share, dark) => css(scale.kind === "signed" ? signed(2 * share - 1, dark) : cividis(share));

/** A scale as Plotly writes it. */
export function colorscale(scale, dark) {
  return Array.from({ length: COLORS + 1 }, (_, at) => {
    const part = at / COLORS;
    const value = scale.low + part * (scale.high - scale.low);
    return [part, colorAt(scale, shareOf(scale, value), dark)];
  });
}

/** A heat map; rows of typed arrays over the values, blanks stay blank. */
export function heatMap(values, columns, scale, dark, x = undefined) {
  const z = [];
  for (let at = 0; at < values.length; at += columns) z.push(values.subarray(at, at + columns));
  return {
    type: "heatmap", z, ...(x ? { x } : {}), zmin: scale.low, zmax: scale.high, zauto: false, showscale: false,
    colorscale: colorscale(scale, dark), hoverinfo: "skip",
  };
}

/** The strip under a map: how often each colour occurs, which is legend and histogram in one. @returns {Panel} */
export function strip(name, values, scale, { left, top, width }, colors) {
  const counts = counted(values, scale, BINS);
  const most = Math.max(1, ...counts);
  const x = Array.from(counts, (_, at) => (at + 0.5) / BINS);
  const bars = { type: "bar", x, width: 1 / BINS, hoverinfo: "skip" };
  const marked = x.map((share) => colorAt(scale, share, colors.dark));
  const end = (at) => number(valueAt(scale, at));
  /** @type {[number, string][]} */
  const within = scale.kind === "root" ? [0.05, 0.25, 0.5].map((part) => /** @type {[number, string]} */ ([Math.sqrt(part), number(valueAt(scale, Math.sqrt(part)))]))
    : ticks(scale.low, scale.high, Math.min(6, Math.floor(width / 50))).map(([value, text]) => /** @type {[number, string]} */ ([(value - scale.low) / (scale.high - scale.low), text]));
  const room = 34 / width;
  /** @type {[number, string][]} */
  const labels = [
    [0, scale.beyond[0] ? `≤ ${end(0)}` : end(0)], ...within.filter(([at]) => at > room && at < 1 - room),
    [1, scale.beyond[1] ? `≥ ${end(1)}` : end(1)],
  ];
  return {
    name, left, top: top + 4, width, height: 38,
    x: { key: name, range: [0, 1], ticks: labels, still: true },
    y: { key: `${name} count`, range: [-0.32, 1], bare: true, still: true },
    traces: [
      { ...bars, y: Array.from(counts, (count) => Math.sqrt(count / most)), marker: { color: colors.muted } },
      { ...bars, y: x.map(() => -0.28), marker: { color: marked } },
    ],
  };
}

/** A plot within a view; `tell` hears of what lies under pointer or keys. */
export class Plot {
  constructor(root, place, label) {
    this.root = root;
    /** @type {any} Plotly's */
    this.library = null;
    this.box = element("div", { class: "fl-plot", tabindex: "0", role: "application", "aria-label": label });
    this.drawing = element("div", {});
    this.box.append(this.drawing);
    place.append(this.box);
    /** @type {Panel[]} */
    this.panels = [];
    /** Ranges that a reader zoomed to, by key. @type {Map<string, [number, number]>} */
    this.zoomed = new Map();
    /** @type {any[]} */
    this.marks = [];
    /** @type {Promise<any>} */
    this.queue = Promise.resolve();
    this.width = 0;
    this.height = 0;
    this.count = 0;
  }

  /** Draws panels; what is being drawn is finished first, and of several waiting ones the last is drawn. */
  draw(panels, width, height) {
    this.wanted = [panels, width, height];
    this.queue = this.next(this.queue);
    return this.queue;
  }

  async next(before) {
    await before;
    if (!this.wanted || !this.library) return;
    const [panels, width, height] = this.wanted;
    this.wanted = null;
    await this.paint(panels, width, height);
  }

  async paint(panels, width, height) {
    this.panels = panels;
    [this.width, this.height] = [width, height];
    this.box.style.height = `${height}px`;
    const config = {
      ...PLOTLY, doubleClick: false, scrollZoom: false,
      modeBarButtons: [["toImage", "zoom2d", "pan2d"]], toImageButtonOptions: { format: "svg", filename: this.root.dataset.view.replaceAll("-", "_") },
    };
    const traces = panels.flatMap((panel, at) => panel.traces.map((trace) => ({
      ...trace, xaxis: `x${at ? at + 1 : ""}`, yaxis: `y${at ? at + 1 : ""}`, showlegend: false,
    })));
    // Plotly complains of axes that go, so another number of panels is another plot.
    const fresh = this.count !== panels.length;
    this.count = panels.length;
    await this.library[fresh ? "newPlot" : "react"](this.drawing, traces, this.layout(), config);
    if (fresh) this.drawing.on("plotly_relayout", (change) => this.zoom(change));
    this.mark([]);
  }

  layout() {
    const { ink, muted, line, font } = theme(this.root);
    /** @type {any} */
    const layout = {
      width: this.width, height: this.height, margin: { l: 0, r: 0, t: 0, b: 0 }, hovermode: false, dragmode: "zoom",
      paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)", font: { size: 11, color: muted, family: font },
      bargap: 0, annotations: [], modebar: { orientation: "v" },
    };
    const first = new Map();
    this.panels.forEach((panel, at) => {
      const suffix = at ? at + 1 : "";
      for (const letter of ["x", "y"]) {
        const axis = panel[letter];
        const other = letter === "x" ? "y" : "x";
        const name = `${letter}axis${suffix}`;
        layout[name] = {
          // Plotly moves the ends of an axis in the array that it gets.
          ...this.ticksOf(panel, letter), domain: this.domain(panel, letter), anchor: `${other}${suffix}`, range: [...this.range(axis)],
          showgrid: false, zeroline: false, linecolor: line, showline: !axis.bare, ticks: "", fixedrange: Boolean(axis.still),
          tickangle: axis.upright ? -90 : 0, tickfont: { size: 10 }, showticklabels: !axis.bare, automargin: false,
          title: { text: axis.bare ? "" : plain(axis.title || ""), font: { size: 11 }, standoff: letter === "x" ? 6 : 8 },
        };
        const known = first.get(`${letter} ${axis.key}`);
        if (known) layout[name].matches = known;
        else first.set(`${letter} ${axis.key}`, `${letter}${suffix}`);
      }
      if (panel.title) {
        layout.annotations.push({
          x: panel.left / this.width, y: 1 - (panel.top - 4) / this.height, xref: "paper", yref: "paper", xanchor: "left",
          yanchor: "bottom", showarrow: false, text: plain(panel.title), font: { size: 12, color: ink },
        });
      }
    });
    return layout;
  }

  domain(panel, letter) {
    if (letter === "x") return [panel.left / this.width, (panel.left + panel.width) / this.width];
    return [1 - (panel.top + panel.height) / this.height, 1 - panel.top / this.height];
  }

  /** @returns {[number, number]} */
  range(axis) {
    return this.zoomed.get(axis.key) || axis.range;
  }

  ticksOf(panel, letter) {
    const axis = panel[letter];
    const range = this.range(axis);
    const length = letter === "x" ? panel.width : panel.height;
    const shown = axis.names ? thinned(axis.names, range, length)
      : axis.ticks || ticks(Math.min(...range), Math.max(...range), Math.max(2, Math.floor(length / 45)));
    return { tickmode: "array", tickvals: shown.map(([at]) => at), ticktext: shown.map(([, text]) => plain(short(text, 20))) };
  }

  /** After a zoom: keeps it, and labels what is seen now. */
  zoom(change) {
    const before = JSON.stringify([...this.zoomed]);
    this.panels.forEach((panel, at) => {
      for (const letter of ["x", "y"]) {
        const name = `${letter}axis${at ? at + 1 : ""}`;
        if (!Object.keys(change).some((key) => key.startsWith(`${name}.range`))) continue;
        const { range } = this.drawing.layout[name];
        this.zoomed.set(panel[letter].key, [range[0], range[1]]);
      }
    });
    if (JSON.stringify([...this.zoomed]) === before) return;
    this.mark([]);
    const update = {};
    this.panels.forEach((panel, at) => {
      for (const letter of ["x", "y"]) {
        if (panel[letter].ticks) continue;
        for (const [key, value] of Object.entries(this.ticksOf(panel, letter))) update[`${letter}axis${at ? at + 1 : ""}.${key}`] = value;
      }
    });
    this.library.relayout(this.drawing, update);
  }

  /** Everything again. */
  whole() {
    if (!this.zoomed.size) return;
    this.zoomed.clear();
    this.draw(this.panels, this.width, this.height);
  }

  /** Values to pixels of the plot. @returns {[number, number]} */
  at(panel, x, y) {
    const [left, right] = this.range(panel.x);
    const [bottom, top] = this.range(panel.y);
    return [
      panel.left + ((x - left) / (right - left)) * panel.width, panel.top + (1 - (y - bottom) / (top - bottom)) * panel.height,
    ];
  }

  /** What lies under a point of the window: the panel, and the values there. @returns {{panel: Panel, x: number, y: number} | null} */
  under({ clientX, clientY }) {
    const box = this.box.getBoundingClientRect();
    const [across, down] = [clientX - box.left, clientY - box.top];
    const panel = this.panels.find(({ left, top, width, height }) => (
      across >= left && across <= left + width && down >= top && down <= top + height));
    if (!panel) return null;
    const [left, right] = this.range(panel.x);
    const [bottom, top] = this.range(panel.y);
    return {
      panel, x: left + ((across - panel.left) / panel.width) * (right - left),
      y: bottom + (1 - (down - panel.top) / panel.height) * (top - bottom),
    };
  }

  /** Frames parts of panels, each by its corners in values; those that are out of sight are not framed. */
  mark(parts) {
    while (this.marks.length < parts.length) {
      const made = element("div", { class: "fl-mark fl-open", "aria-hidden": "true" });
      this.marks.push(made);
      this.box.append(made);
    }
    this.marks.forEach((made, at) => {
      made.hidden = !parts[at];
      if (!parts[at]) return;
      const { panel, from, to } = parts[at];
      const [a, b] = [this.at(panel, ...from), this.at(panel, ...to)];
      const clip = (value, low, size) => Math.min(low + size, Math.max(low, value));
      const [left, right] = [a[0], b[0]].sort((p, q) => p - q).map((it) => clip(it, panel.left, panel.width));
      const [top, bottom] = [a[1], b[1]].sort((p, q) => p - q).map((it) => clip(it, panel.top, panel.height));
      Object.assign(made.style, {
        left: `${left - 2}px`, top: `${top - 2}px`, width: `${Math.max(4, right - left + 4)}px`, height: `${Math.max(4, bottom - top + 4)}px`,
      });
    });
  }

  /** Where a part of a panel lies in the window. */
  bounds(panel, from, to) {
    const box = this.box.getBoundingClientRect();
    const [a, b] = [this.at(panel, ...from), this.at(panel, ...to)];
    const [x, y] = [Math.min(a[0], b[0]), Math.min(a[1], b[1])];
    return new DOMRect(box.left + x, box.top + y, Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1]));
  }
}
