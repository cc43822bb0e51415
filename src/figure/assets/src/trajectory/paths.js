// @ts-check
// The paths of a walk, in space and on paper, up to the chosen step.
import { cividis } from "../colors.js";
import { plain, plainInSpace, short } from "./plot.js";
import { groupsOf, newestOf, shownOf } from "./replay.js";
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
    /** With `written` null all positions are shown. @type {{step: number, quantity: string | null, token: number | null, written: number | null}} */
    this.choice = { step: this.last, quantity: null, token: null, written: null };
    /** Each step's part of the paths on paper, group by group: across and down. @type {{from: number, strong: boolean, lines: number[][]}[]} */
    this.parts = [];
    /** Of how many positions these are. */
    this.partsOf = -1;
    this.points = this.numbers.array(data.coordinates);
  }

  at(step, place, axis) { return this.points[(step * this.data.positions.length + place) * 3 + axis]; }

  /** Coordinates of some positions up to the chosen step, a gap after each. */
  path(places, axes) {
    const count = this.choice.step + 1;
    const lines = axes.map((axis) => places.flatMap((place) => [...Array.from({ length: count }, (_, step) => this.at(step, place, axis)), NaN]));
    return { lines, depth: places.flatMap(() => [...Array.from({ length: count }, (_, step) => step / Math.max(1, this.last)), NaN]) };
  }

  /** Places that are shown, in groups that are drawn alike. */
  groups() { return groupsOf(this.data, this.choice.written); }

  all() { return this.groups().flat(); }

  /** Places whose paths stand out: the chosen token's, and the one that was just written. */
  chosen() {
    const { data, choice } = this;
    const places = [data.positions.indexOf(choice.token), newestOf(data, choice.written)];
    return [...new Set(places)].filter((place) => place >= 0 && place < shownOf(data, choice.written));
  }

  /** Places whose tokens are written at the ends of their paths. */
  labelled() {
    return this.data.positions.length <= NAMED ? this.all() : this.chosen();
  }

  /** Each step's part of the paths of every group. */
  cut() {
    const count = shownOf(this.data, this.choice.written);
    if (this.partsOf === count) return this.parts;
    this.partsOf = count;
    this.parts = this.groups().flatMap((places, group) => this.data.steps.slice(1).map((_, from) => ({
      from, strong: group > 0,
      lines: [0, 1].map((axis) => places.flatMap((place) => [this.at(from, place, axis), this.at(from + 1, place, axis), NaN])),
    })));
    return this.parts;
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
    const { data, choice: { step } } = this;
    const shared = { type: "scatter", hoverinfo: "skip", connectgaps: false };
    const scale = depths(colors.dark);
    const colorOf = (at) => scale[Math.round((at / Math.max(1, this.last)) * (scale.length - 1))][1];
    const wide = this.many() ? [0.7, 1.6] : [1.6, 3.2];
    const parts = this.cut().map(({ from, strong, lines: [x, y] }) => ({
      ...shared, mode: "lines", x, y, visible: from < step, line: { color: colorOf(from + 1), width: wide[Number(strong)] },
    }));
    const dotted = this.many() ? [step] : Array.from({ length: step + 1 }, (_, at) => at);
    const dots = [0, 1].map((axis) => dotted.flatMap((at) => this.all().map((place) => this.at(at, place, axis))));
    const depth = dotted.flatMap((at) => this.all().map(() => at / Math.max(1, this.last)));
    const chosen = this.path(this.chosen(), [0, 1]);
    const tokens = this.labelled();
    const end = (axis) => tokens.map((place) => this.at(step, place, axis));
    return [
      ...parts,
      { ...shared, mode: "markers", x: dots[0], y: dots[1],
        marker: { size: this.many() ? 3.5 : 6, color: depth, cmin: 0, cmax: 1, colorscale: scale, showscale: false } },
      { ...shared, mode: "lines", x: chosen.lines[0], y: chosen.lines[1], line: { color: colors.accent, width: data.given === null ? 3 : 4.5 } },
      { ...shared, mode: "markers+text", x: end(0), y: end(1), text: tokens.map((place) => plain(short(this.data.tokens[place], 14))),
        marker: { size: 10, opacity: 0 }, textposition: "top center", textfont: { color: colors.ink, size: 11 } },
    ];
  }

  spaceTraces(colors) {
    const chosen = this.path(this.chosen(), [0, 1, 2]);
    const scale = depths(colors.dark);
    const at = ([x, y, z]) => ({ x, y, z });
    const tokens = this.labelled();
    const end = (axis) => tokens.map((place) => this.at(this.choice.step, place, axis));
    const shared = { type: "scatter3d", connectgaps: false, showlegend: false };
    const paths = this.groups().map((places, group) => {
      const { lines, depth } = this.path(places, [0, 1, 2]);
      const look = { color: depth.map((it) => (Number.isNaN(it) ? 1 : it)), cmin: 0, cmax: 1, colorscale: scale };
      return {
        ...shared, mode: this.many() ? "lines" : "lines+markers", ...at(lines), hoverinfo: "none",
        line: { width: group ? 6 : 3, ...look }, marker: { size: group ? 4.2 : 3.2, ...look },
      };
    });
    return [
      ...paths,
      { ...shared, mode: "lines", ...at(chosen.lines), hoverinfo: "skip", line: { width: 8, color: colors.accent } },
      { ...shared, mode: "text", x: end(0), y: end(1), z: end(2), hoverinfo: "skip",
        text: tokens.map((place) => plainInSpace(short(this.data.tokens[place], 14))), textfont: { color: colors.ink, size: 11 } },
    ];
  }

  spaceLayout(colors, size) {
    const axis = (at) => ({
      title: { text: plainInSpace(this.shortName(at)), font: { size: 11, color: colors.muted } }, range: this.span(at), color: colors.muted,
      gridcolor: colors.line, zerolinecolor: colors.line, showbackground: false, tickfont: { size: 9 }, showspikes: false, nticks: 5,
    });
    return {
      ...size, margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: "rgba(0,0,0,0)", font: { family: colors.font, color: colors.ink },
      uirevision: "kept", scene: { xaxis: axis(0), yaxis: axis(1), zaxis: axis(2), aspectmode: "cube", camera: { eye: { x: 1.65, y: 1.5, z: 0.95 }, center: { x: 0, y: 0, z: -0.12 } } },
    };
  }
}
