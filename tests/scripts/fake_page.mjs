// Loads the figures' scripts as a page does, but into a bare context: for what needs no browser.
import { readFileSync } from "node:fs";
import vm from "node:vm";
import { deflateRawSync } from "node:zlib";

const ASSETS = new URL("../../src/figure/assets/", import.meta.url);

export const source = (name) => readFileSync(new URL(name, ASSETS), "utf8");

/** `flowlens` after the runtime and the given scripts have run. */
export function load(...names) {
  const nothing = () => {};
  const page = { addEventListener: nothing, atob, Blob, Response, DecompressionStream, console };
  page.document = { addEventListener: nothing, querySelectorAll: () => [], querySelector: () => null };
  vm.createContext(page);
  for (const name of ["runtime.js", ...names]) vm.runInContext(source(name), page, { filename: name });
  return page.flowlens;
}

export const pack = (bytes) => deflateRawSync(new Uint8Array(bytes)).toString("base64");

/** Floats as four planes of bytes, the lowest first. */
export function packFloats(values) {
  const bytes = new Uint8Array(Float32Array.from(values).buffer);
  return pack([0, 1, 2, 3].flatMap((plane) => [...values.keys()].map((at) => bytes[4 * at + plane])));
}

/** Integers of two bytes: all high bytes, then all low ones. */
export const packWide = (ints) => pack([...ints.map((int) => int >> 8), ...ints.map((int) => int & 255)]);

/** The root of a view with these packed chunks. */
export function rootOf(chunks) {
  return { querySelectorAll: () => chunks.map((text) => ({ textContent: `\n${text}\n` })) };
}
