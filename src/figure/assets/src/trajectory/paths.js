// @ts-check
// The paths of a walk, in space and on paper, up to the chosen step.
import { cividis } from "../colors.js";
import { plain, short } from "./plot.js";
import { View } from "./view.js";

/** Paths whose tokens are written at their ends. */
const NAMED = 14;
/** Paths that are dotted at every step. */
const MOST_DOTTED = 60;

/** @type {import("./payload.js").Scale} */
export const DEPTH = { kind: "magnitude", low: 0, high: 1, beyond: [false, false] };

/** Colours of depths that are seen as thin lines: no blue on dark paper, no yellow on light. */
export function depths(dark) {
  const [from, to] = dark ? [0.3, 1] : [0, 0.92];
  return Array.from({ length: 33 }, (_, at) => [at / 32, `rgb(${cividis(from + ((to - from) * at) / 32).join(",")})`]);
}

export class Paths extends View {
  /** @param {any} root @param {import("./payload.js").Walk} data */
  constructor(root, data, label) {
    super(root, data, label);
    this.data = data;
    this.last = data.steps.length - 1;
    /** @type {{step: number, quantity: string | null, token: number | null}} */
    this.choice = { step: this.last, quantity: null, token: null };
    /** Each step's part of all paths on paper: across and down. @type {number[][][] | null} */
    this.parts = null;
    this.points = this.numbers.array(data.coordinates);
  }

  at(step, place, axis) { return this.points[(step * this.data.positions.length + place) * 3 + axis]; }

  /** Coordinates of some positions up to the chosen step, a gap after each. */
  path(places, axes) {
    const count = this.choice.step + 1;
    const lines = axes.map((axis) => places.flatMap((place) => [...Array.from({ length: count }, (_, step) => this.at(step, place, axis)), NaN]));
    return { lines, depth: places.flatMap(() => [...Array.from({ length: count }, (_, step) => step / Math.max(1, this.last)), NaN]) };
  }

  all() { return this.data.positions.map((_, place) => place); }

  chosen() {
    const place = this.data.positions.indexOf(this.choice.token);
    return place < 0 ? [] : [place];
  }

  axisName(axis) {
    const part = this.data.explained[axis];
    return part === undefined ? `PC ${axis + 1}` : `PC ${axis + 1} (${+(100 * part).toPrecision(3)} % of the variance)`;
  }

  /** The same where there is little room. */
  shortName(axis) {
    return this.axisName(axis).replace(" of the variance", "");
  }

  /** The ends of an axis over all steps, so that nothing moves while they are played. @returns {[number, number]} */
  span(axis) {
    let [low, high] = [Infinity, -Infinity];
    for (let at = axis; at < this.points.length; at += 3) {
      if (!Number.isNaN(this.points[at])) [low, high] = [Math.min(low, this.points[at]), Math.max(high, this.points[at])];
    }
    const room = (high - low) * 0.06 || 0.5;
    return low > high ? [0, 1] : [low - room, high + room];
  }

  /** Whether there are so many paths that only the step they have come to is dotted. */
  many() { return this.data.positions.length > MOST_DOTTED; }

  /** The traces of the paths on paper: each step's part, dots, the chosen one, its tokens. @returns {any[]} */
  paperTraces(colors) {
    const { step } = this.choice;
    const shared = { type: "scatter", hoverinfo: "skip", connectgaps: false };
    const scale = depths(colors.dark);
    const colorOf = (at) => scale[Math.round((at / Math.max(1, this.last)) * (scale.length - 1))][1];
    this.parts ||= this.data.steps.slice(1).map((_, from) => [0, 1].map((axis) => (
      this.all().flatMap((place) => [this.at(from, place, axis), this.at(from + 1, place, axis), NaN]))));
    const parts = this.parts.map(([x, y], from) => ({
      ...shared, mode: "lines", x, y, visible: from < step, line: { color: colorOf(from + 1), width: this.many() ? 0.7 : 1.6 },
    }));
    const dotted = this.many() ? [step] : Array.from({ length: step + 1 }, (_, at) => at);
    const dots = [0, 1].map((axis) => dotted.flatMap((at) => this.all().map((place) => this.at(at, place, axis))));
    const depth = dotted.flatMap((at) => this.all().map(() => at / Math.max(1, this.last)));
    const chosen = this.path(this.chosen(), [0, 1]);
    const tokens = this.all().length <= NAMED ? this.all() : this.chosen();
    const end = (axis) => tokens.map((place) => this.at(step, place, axis));
    return [
      ...parts,
      { ...shared, mode: "markers", x: dots[0], y: dots[1],
        marker: { size: this.many() ? 3.5 : 6, color: depth, cmin: 0, cmax: 1, colorscale: scale, showscale: false } },
      { ...shared, mode: "lines", x: chosen.lines[0], y: chosen.lines[1], line: { color: colors.accent, width: 3 } },
      { ...shared, mode: "markers+text", x: end(0), y: end(1), text: tokens.map((place) => plain(short(this.data.tokens[place], 14))),
        marker: { size: 10, opacity: 0 }, textposition: "top center", textfont: { color: colors.ink, size: 11 } },
    ];
  }

  spaceTraces(colors) {
    const all = this.path(this.all(), [0, 1, 2]);
    const chosen = this.path(this.chosen(), [0, 1, 2]);
    const scale = depths(colors.dark);
    const at = ([x, y, z]) => ({ x, y, z });
    const tokens = this.all().length <= NAMED ? this.all() : this.chosen();
    const end = (axis) => tokens.map((place) => this.at(this.choice.step, place, axis));
    const shared = { type: "scatter3d", connectgaps: false, showlegend: false };
    return [
      { ...shared, mode: this.many() ? "lines" : "lines+markers", ...at(all.lines), hoverinfo: "none",
        line: { width: 3, color: all.depth.map((depth) => (Number.isNaN(depth) ? 1 : depth)), cmin: 0, cmax: 1, colorscale: scale },
        marker: { size: 3.2, color: all.depth.map((depth) => (Number.isNaN(depth) ? 1 : depth)), cmin: 0, cmax: 1, colorscale: scale } },
      { ...shared, mode: "lines", ...at(chosen.lines), hoverinfo: "skip", line: { width: 8, color: colors.accent } },
      { ...shared, mode: "text", x: end(0), y: end(1), z: end(2), hoverinfo: "skip",
        text: tokens.map((place) => plain(short(this.data.tokens[place], 14))), textfont: { color: colors.ink, size: 11 } },
    ];
  }

  spaceLayout(colors, size) {
    const axis = (at) => ({
      title: { text: plain(this.shortName(at)), font: { size: 11, color: colors.muted } }, range: this.span(at), color: colors.muted,
      gridcolor: colors.line, zerolinecolor: colors.line, showbackground: false, tickfont: { size: 9 }, showspikes: false, nticks: 5,
    });
    return {
      ...size, margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: "rgba(0,0,0,0)", font: { family: colors.font, color: colors.ink },
      uirevision: "kept", scene: { xaxis: axis(0), yaxis: axis(1), zaxis: axis(2), aspectmode: "cube", camera: { eye: { x: 1.65, y: 1.5, z: 0.95 }, center: { x: 0, y: 0, z: -0.12 } } },
    };
  }
}
