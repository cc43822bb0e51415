// @ts-check
// The walk: paths of positions in space and on paper, played by layer or by token, and each step in numbers.
import { button, group } from "../controls.js";
import { unknown } from "../data.js";
import { clamp } from "../numbers.js";
import { element, hideTip, PLOTLY, showTip } from "../page.js";
import { named } from "../text.js";
import { rounding, told } from "./numbers.js";
import { DEPTH, Paths, depths } from "./paths.js";
import { STRIP, heatMap, short, strip } from "./plot.js";
import { telling, writing } from "./replay.js";

/** How long a step or a token is shown when they are played, in milliseconds. */
const BEAT = 450;
const PATHS = 420;
/** How near to a point the pointer must be, in pixels. */
const NEAR = 14;

export class Walk extends Paths {
  /** @param {any} root @param {import("./payload.js").Walk} data */
  constructor(root, data) {
    super(root, data, "The walk: paths, and the numbers of their steps");
    this.choice = { step: this.last, quantity: data.quantities[0]?.name ?? null, token: null, written: null };
    /** What is being played, if anything. @type {object | null} */
    this.playing = null;
    if (data.quantities.length > 1) {
      this.quantityChooser = this.chooser("Shows", data.quantities.map(({ title }) => title), (at) => this.select({ quantity: data.quantities[at].name }));
    }
    if (writing(data)) {
      this.replayChooser = this.chooser("Plays", ["by layer", "by token"], (at) => this.select({ written: at ? writing(data) : null }));
    }
    this.steps();
    this.offer();
    this.start();
  }

  /** What is played: the steps, or the tokens as they were written. @returns {{key: "step" | "written", at: number, last: number}} */
  course() {
    const { step, written } = this.choice;
    return written === null ? { key: "step", at: step, last: this.last } : { key: "written", at: written, last: writing(this.data) };
  }

  /** The button that plays them, and the slider that goes through them by hand. */
  steps() {
    const place = group(this.root, "Steps");
    this.playButton = button(place, "Play", "Shows the walk step by step, or token by token", () => this.play());
    this.slider = element("input", { type: "range", min: "0" });
    this.slider.addEventListener("input", () => {
      this.stop();
      this.select({ [this.course().key]: Number(this.slider.value) });
    });
    this.stepName = element("output", {});
    place.append(this.slider, this.stepName);
  }

  /** Plays them one after the other, each as long as a beat or as drawing it takes. */
  async play() {
    if (this.playing) return this.stop();
    const turn = (this.playing = {});
    this.playButton.textContent = "Pause";
    const { key, at, last } = this.course();
    let next = at < last ? at + 1 : 0;
    // A view that has left the page plays to nobody.
    while (this.playing === turn && next <= last && this.root.isConnected) {
      const beat = new Promise((done) => { setTimeout(done, BEAT); });
      await Promise.all([this.select({ [key]: next }), beat]);
      next++;
    }
    if (this.playing === turn) this.stop();
    return null;
  }

  stop() {
    this.playing = null;
    this.playButton.textContent = "Play";
  }

  state() {
    const { data, choice } = this;
    return {
      view: this.root.dataset.view, ...choice, steps: [...data.steps], quantities: data.quantities.map(({ name }) => name),
      positions: [...data.positions], given: data.given, playing: Boolean(this.playing),
    };
  }

  take({ step, quantity, token, written }) {
    const { data } = this;
    const next = { ...this.choice };
    if (step !== undefined) next.step = step;
    if (!(next.step in data.steps)) throw unknown("step", step, "this walk", data.steps.map((_, at) => at));
    if (quantity !== undefined) next.quantity = quantity;
    const names = data.quantities.map(({ name }) => name);
    if (next.quantity !== null && !names.includes(next.quantity)) throw unknown("quantity", quantity, "this walk", names);
    if (token !== undefined) next.token = token;
    if (next.token !== null && !data.positions.includes(next.token)) throw unknown("token", token, "this walk", data.positions);
    if (written !== undefined) next.written = written;
    const counts = writing(data) ? Array.from({ length: writing(data) + 1 }, (_, count) => count) : [];
    if (next.written !== null && !counts.includes(next.written)) throw unknown("written", written, "this walk", counts);
    if ((next.written === null) !== (this.choice.written === null)) this.stop();
    this.stepped = next.quantity === this.choice.quantity;
    this.choice = next;
  }

  markChoice() {
    const { step, quantity } = this.choice;
    this.quantityChooser?.set(this.data.quantities.findIndex(({ name }) => name === quantity));
    const { key, at, last } = this.course();
    this.replayChooser?.set(Number(key === "written"));
    this.slider.max = String(Math.max(0, last));
    this.slider.value = String(at);
    this.slider.setAttribute("aria-label", key === "step" ? "Up to step" : "Up to written token");
    const text = key === "step" ? this.data.steps[step] ?? "" : telling(this.data, at);
    this.slider.setAttribute("aria-valuetext", text);
    this.stepName.textContent = text;
  }

  /** A change of step, token or writing moves only the paths. */
  async redraw(fresh = false) {
    if (!fresh && this.stepped && this.plot?.panels.length) {
      this.stepped = false;
      return this.move();
    }
    return super.redraw(fresh);
  }

  quantity() { return this.data.quantities.find(({ name }) => name === this.choice.quantity); }

  panels(width, colors) {
    this.colors = colors;
    const { data } = this;
    const narrow = width < 760;
    const side = narrow ? width - 90 : Math.min(PATHS, (width - 90) / 2 - 20);
    this.spaceSize = { width: narrow ? width : width - side - 100, height: PATHS };
    const [left, top] = narrow ? [70, PATHS + 20] : [width - side - 14, 8];
    this.paper = {
      name: "paths", left, top, width: side, height: PATHS - 56, x: { key: "PC 1", range: this.span(0), title: this.axisName(0) },
      y: { key: "PC 2", range: this.span(1), title: this.axisName(1) }, traces: this.paperTraces(colors),
    };
    /** @type {import("./plot.js").Panel[]} */
    const panels = [this.paper, this.depth(narrow ? 70 : 24, top + PATHS + 2, colors)];
    let below = top + PATHS + 46;
    const quantity = this.quantity();
    this.map = null;
    if (quantity) {
      const rows = quantity.rows.map((name) => short(name, 18));
      const columns = data.tokens.map((token) => short(token));
      const values = this.numbers.array(quantity.values);
      const beside = 20 + 6 * Math.max(...rows.map((name) => name.length), 4);
      const aside = narrow ? 0 : 300;
      const wide = Math.min(width - beside - aside - 20, Math.max(260, columns.length * 26));
      const high = clamp(60, rows.length * 16, 420);
      this.map = /** @type {import("./plot.js").Panel} */ ({
        name: "steps", title: `${quantity.title}: ${quantity.about}`, left: beside, top: below + 14, width: wide, height: high,
        x: { key: "position", range: [-0.5, columns.length - 0.5], names: columns, upright: true },
        y: { key: "step", range: [rows.length - 0.5, -0.5], names: rows },
        traces: [heatMap(values, columns.length, quantity.scale, colors.dark)],
      });
      const foot = below + 14 + high + 84;
      panels.push(this.map, strip("strip", values, quantity.scale, { left: beside, top: foot, width: Math.min(300, wide) }, colors));
      if (!narrow) panels.push(...this.curves(Math.max(beside + wide + 84, beside + 384), below + 34, colors));
      below = Math.max(foot + STRIP, narrow ? 0 : below + 330);
    }
    return { panels, height: below };
  }

  /** What the colours of steps mean. @returns {import("./plot.js").Panel} */
  depth(left, top, colors) {
    const { steps } = this.data;
    const values = Float32Array.from(steps, (_, at) => at / Math.max(1, this.last));
    return {
      name: "depth", left, top, width: 240, height: 9, y: { key: "depth", range: [-0.5, 0.5], bare: true, still: true },
      x: { key: "depth of steps", range: [-0.5, this.last + 0.5], ticks: [[0, steps[0] ?? ""], [this.last, steps[this.last] ?? ""]], still: true },
      traces: [{ ...heatMap(values, steps.length, DEPTH, colors.dark), colorscale: depths(colors.dark) }],
    };
  }

  /** How alike positions are at each step, and how straight each goes. @returns {import("./plot.js").Panel[]} */
  curves(left, top, colors) {
    const { data } = this;
    /** @returns {import("./plot.js").Panel} */
    const curve = (name, title, values, at) => {
      const low = Math.min(0, ...values.filter((value) => value !== null));
      return {
        name, title, left, top: top + at * 150, width: Math.max(120, Math.min(240, this.width - left - 14)), height: 90,
        x: { key: name, range: [-0.5, values.length - 0.5], still: true }, y: { key: `${name} value`, range: [low, 1.03], still: true },
        traces: [{ type: "scatter", mode: values.length > 100 ? "lines" : "lines+markers", y: values, hoverinfo: "skip", line: { color: colors.ink, width: 1.4 }, marker: { size: 4, color: colors.ink } }],
      };
    };
    this.alike = curve("anisotropy", "Mean cosine of two positions, by step", data.anisotropy, 0);
    this.straight = curve("straightness", "Straightness, by position", data.straightness, 1);
    return [this.alike, this.straight];
  }

  /** What the drawing in space depends on. */
  looksNow() {
    const { step, token, written } = this.choice;
    return JSON.stringify([this.colors, this.spaceSize, step, token, written]);
  }

  async drawn(fresh) {
    const { library } = this.plot;
    // Another map below changes nothing in space.
    const looks = this.looksNow();
    if (looks === this.looks) return;
    this.looks = looks;
    if (!this.space) {
      this.space = element("div", { class: "fl-space" });
      this.plot.box.prepend(this.space);
    }
    Object.assign(this.space.style, { width: `${this.spaceSize.width}px`, height: `${this.spaceSize.height}px` });
    try {
      if (!document.createElement("canvas").getContext("webgl")) throw new Error("this browser has no WebGL");
      await library.react(this.space, this.spaceTraces(this.colors), this.spaceLayout(this.colors, this.spaceSize), {
        ...PLOTLY, modeBarButtons: [["toImage", "resetCameraDefault3d"]],
      });
      if (fresh) this.hear();
    } catch (error) {
      this.space.replaceChildren(element("p", { class: "fl-note" }, `The paths are shown on paper only: ${error.message}.`));
    }
  }

  /** What lies under the pointer in space is Plotly's to say. */
  hear() {
    this.space.addEventListener("pointermove", (event) => { this.pointer = event; });
    this.space.on("plotly_hover", ({ points }) => {
      const cell = this.pathCell(points[0]);
      if (cell && this.pointer) showTip(this.tell(cell), this.pointer.clientX, this.pointer.clientY);
    });
    this.space.on("plotly_unhover", hideTip);
    this.space.on("plotly_click", ({ points }) => {
      const cell = this.pathCell(points[0]);
      if (cell) this.click(cell);
    });
  }

  pathCell({ curveNumber, pointNumber }) {
    const count = this.choice.step + 2;
    const step = pointNumber % count;
    const place = this.groups()[curveNumber]?.[Math.floor(pointNumber / count)];
    return step === count - 1 || place === undefined ? null : { place, step };
  }

  /** Moves the paths to the chosen step and token. */
  async move() {
    hideTip();
    this.cell = null;
    this.plot.mark([]);
    this.markChoice();
    const { library, drawing } = this.plot;
    const before = this.partsOf;
    this.paper.traces = this.paperTraces(this.colors);
    const { traces } = this.paper;
    const count = this.parts.length;
    const lines = traces.slice(0, count);
    const moved = traces.slice(count);
    const places = (list, from) => list.map((_, at) => from + at);
    await library.restyle(drawing, { visible: lines.map(({ visible }) => visible), ...(before !== this.partsOf && { x: lines.map(({ x }) => x), y: lines.map(({ y }) => y) }) }, places(this.parts, 0));
    const part = Object.fromEntries(["x", "y", "text"].map((name) => [name, moved.map((trace) => trace[name])]));
    await library.restyle(drawing, part, places(moved, count));
    await library.restyle(drawing, { "marker.color": [moved[0].marker.color] }, [count]);
    this.looks = this.looksNow();
    if (this.space?.data) {
      await library.react(this.space, this.spaceTraces(this.colors), this.spaceLayout(this.colors, this.spaceSize));
    }
    this.fill();
  }

  // ---- Pointer, keys, numbers ----

  cellAt({ panel, x, y }) {
    if (panel === this.map) {
      const [row, place] = [Math.round(y), Math.round(x)];
      return this.quantity().rows[row] !== undefined && place in this.data.positions ? { row, place } : null;
    }
    if (panel === this.alike || panel === this.straight) {
      const at = Math.round(x);
      const values = panel === this.alike ? this.data.anisotropy : this.data.straightness;
      return at in values ? { curve: panel.name, at } : null;
    }
    return panel === this.paper ? this.nearest(x, y) : null;
  }

  /** The step on paper that is nearest to a point, if any is near. */
  nearest(x, y) {
    const [px, py] = this.plot.at(this.paper, x, y);
    let best = null;
    let least = NEAR;
    for (const place of this.all()) {
      for (let step = 0; step <= this.choice.step; step++) {
        const [qx, qy] = this.plot.at(this.paper, this.at(step, place, 0), this.at(step, place, 1));
        const far = Math.hypot(qx - px, qy - py);
        if (far < least) [best, least] = [{ place, step }, far];
      }
    }
    return best;
  }

  wordsAt(step, place) {
    if (this.data.nearest === null) return [];
    return this.numbers.json(this.data.nearest)[step * this.data.positions.length + place] || [];
  }

  tell(cell) {
    const { data } = this;
    if (cell.curve === "anisotropy") return `${data.steps[cell.at]}\nmean cosine ${told(data.anisotropy[cell.at] ?? NaN, 0)}`;
    const place = cell.place ?? cell.at;
    const lines = [`${named(data.tokens[place])}, position ${data.positions[place]}`];
    if (cell.row !== undefined) {
      const quantity = this.quantity();
      const value = this.numbers.array(quantity.values)[cell.row * data.positions.length + place];
      lines.push(`${quantity.rows[cell.row]}: ${quantity.title.toLowerCase()} ${told(value, rounding(quantity.values))}`);
    }
    if (cell.step !== undefined) {
      lines[0] += `  ·  ${data.steps[cell.step]}`;
      const words = this.wordsAt(cell.step, place);
      if (words.length) lines.push(`near ${words.map(([text, score]) => `${named(text)} ${told(score, 0)}`).join(", ")}`);
    }
    const [straight, path] = [data.straightness[place] ?? NaN, data.path[place] ?? NaN];
    lines.push(`straightness ${told(straight, 0)}, path length ${told(path, 0)}`);
    return lines.join("\n");
  }

  framed(cell) {
    const around = (panel, x, y, [dx, dy]) => ({ panel, from: [x - dx, y - dy], to: [x + dx, y + dy] });
    if (cell.curve) {
      const panel = cell.curve === "anisotropy" ? this.alike : this.straight;
      const [low, high] = panel.y.range;
      return [{ panel, from: [cell.at - 0.3, low], to: [cell.at + 0.3, high] }];
    }
    if (cell.row !== undefined) return [around(this.map, cell.place, cell.row, [0.5, 0.5])];
    const [x, y] = [this.paper.x, this.paper.y].map((axis) => this.plot.range(axis)).map(([low, high]) => high - low);
    /** @type {[number, number]} */
    const size = [(5 * x) / this.paper.width, (5 * y) / this.paper.height];
    return [around(this.paper, this.at(cell.step, cell.place, 0), this.at(cell.step, cell.place, 1), size)];
  }

  named(row, place) { return { row, place }; }

  click(cell) {
    if (cell.place === undefined) return;
    const token = this.data.positions[cell.place];
    this.select({ token: token === this.choice.token ? null : token });
  }

  keyed(key) {
    const rows = this.quantity()?.rows.length ?? 0;
    const { positions } = this.data;
    if (key === "PageUp" || key === "PageDown") {
      const { key: what, at, last } = this.course();
      return () => this.select({ [what]: clamp(0, at + (key === "PageUp" ? -1 : 1), last) });
    }
    if (key === " ") return () => this.play();
    if (key === "Enter" && this.cell?.place !== undefined) return () => this.click(this.cell);
    const move = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[key];
    if (!move || !rows) return null;
    const known = this.cell?.row !== undefined;
    const from = known ? this.cell : { row: 0, place: 0 };
    const [down, across] = known ? move : [0, 0];
    return () => this.go({ row: clamp(0, from.row + down, rows - 1), place: clamp(0, from.place + across, positions.length - 1) });
  }

  tables() {
    const { data } = this;
    const quantity = this.quantity();
    const cell = (value) => (value === null || Number.isNaN(value) ? "" : +value.toPrecision(5));
    const names = data.tokens.map((token, place) => `${data.positions[place]} ${token}`);
    const tables = [];
    const [chosen] = this.chosen();
    if (data.nearest !== null && chosen !== undefined) {
      tables.push({
        heads: ["step", `words near ${names[chosen]}, ${data.words}`],
        rows: data.steps.map((name, step) => [name, this.wordsAt(step, chosen).map(([text, score]) => `${text} ${told(score, 0)}`).join(", ")]),
      });
    }
    if (quantity) {
      const values = this.numbers.array(quantity.values);
      const row = (name, at) => [name, ...data.positions.map((_, place) => cell(values[at * data.positions.length + place]))];
      tables.push({ heads: [quantity.title, ...names], rows: quantity.rows.map(row) });
    }
    tables.push({ heads: ["position", "straightness", "path length"], rows: names.map((name, place) => [name, cell(data.straightness[place]), cell(data.path[place])]) });
    tables.push({ heads: ["step", "mean cosine of two positions"], rows: data.steps.map((name, step) => [name, cell(data.anisotropy[step])]) });
    return tables;
  }
}

