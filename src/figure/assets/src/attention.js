// @ts-check
// What the attention views share.
export * from "./canvas.js";
export * from "./colors.js";
export * from "./controls.js";
export * from "./csv.js";
export * from "./data.js";
export * from "./links.js";
export * from "./text.js";
export * from "./theme.js";
