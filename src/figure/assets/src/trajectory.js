// @ts-check
// The views of trajectories: Plotly draws them, in the place of the still picture.
import { register } from "./page.js";
import { Decoding } from "./trajectory/decoding.js";
import { Kernels } from "./trajectory/kernels.js";
import { Maps } from "./trajectory/maps.js";
import { Walk } from "./trajectory/walk.js";

const maps = (root, data) => new Maps(root, data);

register("FLOWLENS_BUILD", {
  "position-kernels": (root, data) => new Kernels(root, data),
  "attention-maps": maps,
  "similarity-maps": maps,
  "attribution-maps": maps,
  walk: (root, data) => new Walk(root, data),
  decoding: (root, data) => new Decoding(root, data),
});
