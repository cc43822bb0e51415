// @ts-check
// Maps and bars that need no library: cells on a canvas of one dot each, everything else as SVG over it. Where things are
// and how they are framed is what `Plot` knows.
import { cividis, signed } from "../colors.js";
import { element } from "../page.js";
import { theme } from "../theme.js";
import { counted, number, shareOf, ticks, valueAt } from "../trajectory/numbers.js";
import { Plot } from "../trajectory/plot.js";

const SVG = "http://www.w3.org/2000/svg";
const BINS = 48;

/** An element of SVG. */
export function shape(name, attributes, text = "") {
  const made = document.createElementNS(SVG, name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.textContent = text;
  return made;
}

/** The colour of a value, as bytes. @param {import("./payload.js").Scale} scale */
export function bytesOf(scale, value, dark) {
  const share = shareOf(scale, value);
  return scale.kind === "signed" ? signed(2 * share - 1, dark) : cividis(share);
}

const css = (bytes) => `rgb(${bytes.join(",")})`;

/** Cells, one dot each, stretched over a panel; what is no number stays clear. */
function cells({ values, columns, scale }, { left, top, width, height }, dark) {
  const rows = Math.max(1, Math.ceil(values.length / columns));
  const canvas = /** @type {HTMLCanvasElement} */ (element("canvas", { class: "fl-dots", width: columns, height: rows, "aria-hidden": "true" }));
  const image = new ImageData(columns, rows);
  values.forEach((value, at) => {
    if (!Number.isNaN(value)) image.data.set([...bytesOf(scale, value, dark), 255], at * 4);
  });
  canvas.getContext("2d").putImageData(image, 0, 0);
  Object.assign(canvas.style, { left: `${left}px`, top: `${top}px`, width: `${width}px`, height: `${height}px` });
  return canvas;
}

/** Names as many as there is room for; each with how far along it stands. */
function labels({ names, range: [from, to] }, length, room) {
  const every = Math.max(1, Math.ceil((names.length * room) / Math.max(1, length)));
  const part = (at) => (at - Math.min(from, to)) / Math.abs(to - from);
  return names.flatMap((text, at) => (at % every ? [] : [[part(at), text]]));
}

export class Drawing extends Plot {
  /** @param {any[]} panels @param {number} width @param {number} height */
  async draw(panels, width, height) {
    Object.assign(this, { panels, width, height });
    const { dark, ink, muted, line } = theme(this.root);
    const svg = shape("svg", { width, height, viewBox: `0 0 ${width} ${height}`, "aria-hidden": "true", class: "fl-axes" });
    const canvases = [];
    for (const panel of panels) {
      if (panel.cells) canvases.push(cells(panel.cells, panel, dark));
      if (panel.bars) this.bars(svg, panel, dark, ink);
      if (panel.strip) this.strip(svg, panel, dark, muted, line);
      else this.axes(svg, panel, { ink, muted, line });
    }
    this.drawing.replaceChildren(...canvases, svg);
    Object.assign(this.drawing.style, { position: "relative", width: `${width}px`, height: `${height}px` });
    this.mark([]);
  }

  axes(svg, panel, { ink, muted, line }) {
    const { left, top, width, height, x, y } = panel;
    const bottom = top + height;
    const small = { fill: muted, "font-size": 10 };
    svg.append(shape("path", { d: `M${left} ${top}V${bottom}H${left + width}`, fill: "none", stroke: line }));
    svg.append(shape("text", { x: left, y: top - 8, fill: ink, "font-size": 12 }, panel.title));
    let [across, down] = [0, 0];
    for (const [part, text] of labels(x, width, x.upright ? 12 : 6 + 6 * Math.max(...x.names.map((name) => name.length)))) {
      const at = left + part * width;
      down = Math.max(down, x.upright ? text.length * 5.6 + 8 : 16);
      svg.append(x.upright ? shape("text", { ...small, transform: `translate(${at + 3.5} ${bottom + 5}) rotate(-90)`, "text-anchor": "end" }, text)
        : shape("text", { ...small, x: at, y: bottom + 13, "text-anchor": "middle" }, text));
    }
    const beside = y.names ? labels(y, height, 12) : ticks(...[...y.range].sort((a, b) => a - b), 5).map(([value, text]) => [(y.range[1] - value) / (y.range[1] - y.range[0]), text]);
    for (const [part, text] of beside) {
      across = Math.max(across, text.length * 5.6);
      svg.append(shape("text", { ...small, x: left - 5, y: top + part * height + 3.5, "text-anchor": "end" }, text));
    }
    svg.append(shape("text", { ...small, x: left + width / 2, y: bottom + down + 10, "text-anchor": "middle" }, x.title));
    const turned = `translate(${left - 12 - across} ${top + height / 2}) rotate(-90)`;
    svg.append(shape("text", { ...small, transform: turned, "text-anchor": "middle" }, y.title));
  }

  bars(svg, panel, dark, ink) {
    const { values, low, high } = panel.bars;
    const [, zero] = this.at(panel, 0, 0);
    values.forEach((value, at) => {
      if (Number.isNaN(value)) return;
      const [[from, y], [to]] = [this.at(panel, at - 0.36, value), this.at(panel, at + 0.36, value)];
      svg.append(shape("rect", {
        x: from, width: Math.max(1, to - from), y: Math.min(y, zero), height: Math.max(0.5, Math.abs(y - zero)), fill: css(signed(value < 0 ? -1 : 1, dark)),
      }));
      if (low && !Number.isNaN(low[at])) {
        const [[x, upper], [, lower]] = [this.at(panel, at, high[at]), this.at(panel, at, low[at])];
        svg.append(shape("path", { d: `M${x} ${upper}V${lower}`, stroke: ink }));
      }
    });
    svg.append(shape("path", { d: `M${panel.left} ${zero}h${panel.width}`, stroke: ink, "stroke-opacity": 0.5 }));
  }

  /** How often each colour occurs, which is legend and histogram in one. */
  strip(svg, { left, top, width, strip: { values, scale } }, dark, muted, line) {
    const counts = counted(values, scale, BINS);
    const most = Math.max(1, ...counts);
    const wide = width / BINS;
    counts.forEach((count, at) => {
      const high = 28 * Math.sqrt(count / most);
      const value = valueAt(scale, (at + 0.5) / BINS);
      const x = left + at * wide;
      svg.append(shape("rect", { x, y: top + 30, width: wide + 0.3, height: 7, fill: css(bytesOf(scale, value, dark)) }));
      if (count) svg.append(shape("rect", { x, y: top + 28 - high, width: wide, height: high, fill: muted }));
    });
    svg.append(shape("rect", { x: left, y: top + 30, width, height: 7, fill: "none", stroke: line, "stroke-width": 0.6 }));
    const end = (at) => number(valueAt(scale, at));
    const within = scale.kind === "root" ? [0.05, 0.25, 0.5].map((part) => [Math.sqrt(part), number(valueAt(scale, Math.sqrt(part)))])
      : ticks(scale.low, scale.high, Math.min(6, Math.floor(width / 50))).map(([value, text]) => [(value - scale.low) / (scale.high - scale.low), text]);
    const room = 34 / width;
    const shown = [
      [0, scale.beyond[0] ? `≤ ${end(0)}` : end(0)], ...within.filter(([at]) => at > room && at < 1 - room),
      [1, scale.beyond[1] ? `≥ ${end(1)}` : end(1)],
    ];
    for (const [at, text] of shown) {
      const anchor = { 0: "start", 1: "end" }[at] || "middle";
      svg.append(shape("text", { x: left + Number(at) * width, y: top + 49, fill: muted, "font-size": 10, "text-anchor": anchor }, text));
    }
  }
}
