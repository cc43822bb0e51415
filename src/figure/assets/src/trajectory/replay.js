// @ts-check
// The writing of a text replayed: how many of its positions are shown, and what is said of them.
import { named } from "../text.js";

/** How many tokens a walk has that the model wrote. @param {import("./payload.js").Walk} data */
export function writing(data) {
  return data.given === null ? 0 : data.positions.length - data.given;
}

/** How many positions are shown: those given and the first of those written; all with null. */
export function shownOf(data, written) {
  return written === null ? data.positions.length : data.given + written;
}

/** The place of the token that was written last, of those that are shown; -1 where none is. */
export function newestOf(data, written) {
  return written ? shownOf(data, written) - 1 : -1;
}

/** Places in groups that are drawn alike: those given, and those written so far. @returns {number[][]} */
export function groupsOf(data, written) {
  const places = Array.from({ length: shownOf(data, written) }, (_, place) => place);
  return writing(data) ? [places.slice(0, data.given), places.slice(data.given)] : [places];
}

/** What is read out of a moment of the writing. */
export function telling(data, written) {
  const place = newestOf(data, written);
  if (place < 0) return `${data.given} given, none written`;
  return `${named(data.tokens[place])}, position ${data.positions[place]}: written ${written} of ${writing(data)}`;
}
