// What a page gives its scripts, for tests that need no browser.
import { deflateRawSync } from "node:zlib";

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
