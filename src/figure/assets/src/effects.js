// @ts-check
// The view of an experiment's effects.
import { Effects } from "./effects/view.js";
import { register } from "./page.js";

register("FLOWLENS_BUILD", { effects: (root, data) => new Effects(root, data) });
