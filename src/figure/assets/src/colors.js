// @ts-check
// Colours of heads and numbers; the palette is one file for scripts, styles and pictures.
import palette from "../palette.json" with { type: "json" };
import { between, clamp } from "./numbers.js";

const bytes = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16));
const scheme = (dark) => (dark ? "dark" : "light");
const CIVIDIS = palette.cividis.map(bytes);

/** The colour of the n-th head, for light or dark paper. */
export const headColor = (index, dark) => palette.heads[scheme(dark)][index % palette.heads.light.length];

/** What stays where it is, in a rollout. */
export const stays = (dark) => palette.stays[scheme(dark)];

/** The colour of a magnitude between 0 and 1. */
export function cividis(x) {
  const place = clamp(0, x, 1) * (CIVIDIS.length - 1);
  const low = Math.min(Math.floor(place), CIVIDIS.length - 2);
  return between(CIVIDIS[low], CIVIDIS[low + 1], place - low);
}

/** The colour of a signed value between -1 (blue) and 1 (orange); nothing is the colour of the paper. */
export function signed(x, dark = false) {
  const place = clamp(-1, x, 1);
  const { zero, half, full } = palette.signed[scheme(dark)];
  const side = place < 0 ? 0 : 1;
  const size = 2 * Math.abs(place);
  return size <= 1 ? between(bytes(zero), bytes(half[side]), size) : between(bytes(half[side]), bytes(full[side]), size - 1);
}
