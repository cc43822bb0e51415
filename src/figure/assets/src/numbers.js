// @ts-check
// Small arithmetic.

/** The nearest value that is neither lower nor higher; the lowest of what is no number. */
export const clamp = (low, value, high) => (value > low ? Math.min(value, high) : low);

/** A colour between two, channel by channel. */
export const between = (a, b, part) => a.map((value, channel) => Math.round(value + (b[channel] - value) * part));

/** 0, 1, 2, .. */
export const upTo = (count) => Array.from({ length: count }, (_, at) => at);
