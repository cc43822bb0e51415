// @ts-check
// The numbers of a trajectory: unpacked when they are asked for, and what is computed from them.
import { floatsOf, fromBase64 } from "../data.js";
import { inflate } from "../inflate.js";
import { clamp } from "../numbers.js";

/** Unpacked chunks that are kept; a reader goes to and fro between few. */
const KEPT = 24;

/** How far a packed number may be off. @param {import("./payload.js").Numbers} numbers */
export const rounding = ({ levels, low, high }) => (levels ? (high - low) / (levels - 1) / 2 : 0);

/** Packed numbers as floats; a blank is NaN. @param {import("./payload.js").Numbers} numbers */
export function floats(numbers, bytes) {
  const { levels, low, high } = numbers;
  if (!levels) return floatsOf(bytes);
  const count = levels > 255 ? bytes.length >> 1 : bytes.length;
  const step = (high - low) / (levels - 1);
  const values = new Float32Array(count);
  for (let at = 0; at < count; at++) {
    const int = levels > 255 ? (bytes[at] << 8) | bytes[at + count] : bytes[at];
    values[at] = int ? low + (int - 1) * step : NaN;
  }
  return values;
}

/** The packed numbers of a view. */
export function open(root) {
  const packed = root.querySelectorAll(".fl-packed");
  const kept = new Map();
  const once = (key, make) => {
    const value = kept.has(key) ? kept.get(key) : make();
    kept.delete(key);
    kept.set(key, value);
    if (kept.size > KEPT) kept.delete(kept.keys().next().value);
    return value;
  };
  const bytesOf = (chunk) => {
    if (!packed[chunk]) throw new Error(`chunk ${chunk} of this page is missing: was the output cut off?`);
    return inflate(fromBase64(packed[chunk].textContent.trim()));
  };
  return {
    /** @param {import("./payload.js").Numbers} numbers @returns {Float32Array} */
    array: (numbers) => once(JSON.stringify(numbers), () => {
      const values = floats(numbers, bytesOf(numbers.chunk));
      const wanted = numbers.shape.reduce((product, side) => product * side, 1);
      if (values.length !== wanted) throw new Error(`chunk ${numbers.chunk} has ${values.length} numbers, not ${wanted}: was the output cut off?`);
      return values;
    }),
    json: (chunk) => once(`json ${chunk}`, () => JSON.parse(new TextDecoder().decode(bytesOf(chunk)))),
  };
}

/** Where a value lies on a scale, 0 to 1. @param {import("./payload.js").Scale} scale */
export function shareOf(scale, value) {
  const part = clamp(0, (value - scale.low) / (scale.high - scale.low), 1);
  return scale.kind === "root" ? Math.sqrt(part) : part;
}

/** The value at a share of a scale. @param {import("./payload.js").Scale} scale */
export function valueAt(scale, share) {
  const part = scale.kind === "root" ? share * share : share;
  return scale.low + part * (scale.high - scale.low);
}

/** How many of some values have each part of the scale's colours. */
export function counted(values, scale, bins) {
  const counts = new Uint32Array(bins);
  for (const value of values) {
    if (!Number.isNaN(value)) counts[Math.min(bins - 1, Math.floor(shareOf(scale, value) * bins))]++;
  }
  return counts;
}

/** Where a distance lies on a symmetric-log axis: one step from 0 to 1, then one for every doubling of 1 + distance. */
export const symlog = (distance) => Math.sign(distance) * Math.log2(1 + Math.abs(distance));

/** The distance at a place of a symmetric-log axis. */
export const unsymlog = (place) => Math.sign(place) * (2 ** Math.abs(place) - 1);

/** Labels at powers of two between two distances. */
export function symlogTicks(low, high) {
  const sizes = Array.from({ length: 31 }, (_, power) => 2 ** power);
  const all = [...sizes.map((size) => -size), 0, ...sizes].sort((a, b) => a - b).filter((at) => at >= low && at <= high);
  return all.map((at) => [symlog(at), number(at)]);
}

/** Where each distance begins and the last one ends. */
export const edges = (offsets) => [...offsets, offsets[offsets.length - 1] + 1].map((offset) => symlog(offset - 0.5));

/**
 * What a head would attend to if content were constant: the softmax of its kernel within a window; NaN beyond it, and
 * after the query where it sees none of that.
 */
export function constant(values, offsets, window, causal) {
  const inside = offsets.map((offset) => Math.abs(offset) <= window && !(causal && offset > 0));
  let most = -Infinity;
  values.forEach((value, at) => { if (inside[at] && value > most) most = value; });
  const shares = Float32Array.from(values, (value, at) => (inside[at] ? Math.exp(value - most) : NaN));
  const sum = shares.reduce((all, share) => (Number.isNaN(share) ? all : all + share), 0);
  return shares.map((share) => share / sum);
}

/** A number in as few letters as tell it; `digits` of them count. */
export function number(value, digits = 3) {
  if (!Number.isFinite(value)) return "–";
  const size = Math.abs(value);
  const text = size && (size < 1e-3 || size >= 1e5) ? value.toExponential(Math.max(0, digits - 2)) : String(+value.toPrecision(digits));
  return text.replaceAll("-", "−");
}

/** A value and, where it shows, how far it may be off. */
export function told(value, off) {
  if (!Number.isFinite(value)) return "–";
  return off > Math.abs(value) * 2e-3 ? `${number(Math.abs(value) < off ? 0 : value)} ±${number(off, 1)}` : number(value, 4);
}

/** Round values between two others, about so many. */
export function ticks(low, high, count) {
  const span = high - low;
  if (!(span > 0)) return [[low, number(low)]];
  const power = 10 ** Math.floor(Math.log10(span / count));
  const step = [1, 2, 5, 10].map((it) => it * power).find((it) => it >= span / count) ?? span;
  const found = [];
  for (let at = Math.ceil(low / step - 1e-9); at * step <= high + 1e-9 * span && found.length < 50; at++) {
    found.push([at * step, number(at * step)]);
  }
  return found;
}

/** Names at 0, 1, 2, .. within a range, as many as there is room for. */
export function thinned(names, [from, to], length, room = 13) {
  const [low, high] = [Math.min(from, to), Math.max(from, to)];
  const first = Math.max(0, Math.ceil(low));
  const last = Math.min(names.length - 1, Math.floor(high));
  const every = Math.max(1, Math.ceil(((high - low) * room) / Math.max(1, length)));
  const found = [];
  for (let at = Math.ceil(first / every) * every; at <= last; at += every) found.push([at, names[at]]);
  return found;
}
