// @ts-check
// What a page of effects carries, as Rust's types in `figure/effects/payload.rs` write it: a test there compares the
// names.

/**
 * @typedef {import("../trajectory/payload.js").Numbers} Numbers
 * @typedef {import("../trajectory/payload.js").Scale} Scale
 *
 * @typedef {object} Effects an experiment's map
 * @property {string} model
 * @property {Axis[]} axes
 * @property {number | null} rows the axis that goes down; none where there is one alone
 * @property {number} columns the axis that goes across
 * @property {number[]} first the cell that the figure opens on
 * @property {Show[]} shows
 * @property {[Numbers, Numbers] | null} interval lower and upper bounds of the effects
 * @property {Pair[]} pairs
 * @property {Numbers | null} values (pairs, cells)
 * @property {Answers[]} answers
 * @property {string} silent what is said where there are no answers
 *
 * @typedef {object} Axis
 * @property {string} name
 * @property {string[]} labels
 * @property {(string | null)[] | null} tokens of positions
 * @property {(string | null)[] | null} corrupted the corrupted prompt's, where it differs
 *
 * @typedef {object} Show one way to look at the effects
 * @property {string} name
 * @property {string} title
 * @property {Scale} scale of the means
 * @property {Scale} pairs of single pairs
 * @property {Numbers} values
 *
 * @typedef {object} Pair a value less `base` is the effect, and that over `way` is normalised
 * @property {string} name
 * @property {number | null} base
 * @property {number | null} way
 * @property {(Axis | null)[]} axes
 *
 * @typedef {object} Answers the best answers of a pair's runs
 * @property {number} pair
 * @property {[string, number][]} clean
 * @property {[string, number][]} corrupted
 * @property {string[]} tokens
 * @property {number} cells the chunk of the cells' answers
 */

export {};
