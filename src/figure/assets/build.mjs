// Bundles and minifies the scripts of the figures into dist/, one file for each kind of view.
// With --check nothing is written: it fails where a committed bundle is not what the sources give.
import { readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const here = dirname(fileURLToPath(import.meta.url));
const views = ["attention_views", "effects", "flow_graph", "head", "heat_map", "model", "neuron", "rollout", "trajectory"];

const { outputFiles } = await build({
  entryPoints: views.map((view) => join(here, "src", `${view}.js`)),
  outdir: join(here, "dist"),
  bundle: true,
  minify: true,
  write: false,
  format: "iife",
  target: "es2022",
  charset: "utf8",
  legalComments: "inline",
});
const check = process.argv.includes("--check");
const stale = [];
for (const { path, text } of outputFiles) {
  let old = "";
  try {
    old = readFileSync(path, "utf8");
  } catch { /* a new view */ }
  if (old === text) continue;
  stale.push(path);
  if (!check) writeFileSync(path, text);
}
for (const path of stale) console.error(`${check ? "stale" : "written"}: ${path}`);
if (check && stale.length) {
  console.error("The bundles are not what the sources give: run tools/check_scripts.py --build and commit them.");
  process.exitCode = 1;
}
