import assert from "node:assert/strict";
import { readFileSync, readdirSync } from "node:fs";
import test from "node:test";
import vm from "node:vm";

const dist = new URL("../../src/figure/assets/dist/", import.meta.url);
const bundles = new Map(readdirSync(dist).map((name) => [name, readFileSync(new URL(name, dist), "utf8")]));

/** A page with these figures, each [view, hash of its script, state]. */
function pageOf(...figures) {
  const roots = figures.map(([view, script]) => ({
    dataset: { view, script, state: "static" }, querySelector: () => ({ textContent: `{"of":"${script}"}` }),
  }));
  const world = { addEventListener() {}, console, Event: class {} };
  world.document = {
    addEventListener() {}, dispatchEvent() {},
    querySelectorAll: () => roots.filter(({ dataset }) => dataset.state === "static"),
  };
  vm.createContext(world);
  return { world, roots, run: (text, hash) => vm.runInContext(text.replaceAll("FLOWLENS_BUILD", hash), world) };
}

test("every bundle runs twice in one page and registers its views once", () => {
  for (const [name, text] of bundles) {
    const { world, run } = pageOf();
    run(text, "one");
    const first = { ...world.flowlens.builds.one };
    run(text, "one");
    assert.ok(Object.keys(first).length > 0, name);
    assert.deepEqual({ ...world.flowlens.builds.one }, first, name);
  }
});

test("bundles stand in HTML as they are, and none has its hash yet", () => {
  for (const [name, text] of bundles) {
    assert.doesNotMatch(text, /<\/script|<!--/i, name);
    assert.match(text, /FLOWLENS_BUILD/, name);
  }
});

test("a script draws the figures that were made with it, and no others", () => {
  const { world, roots, run } = pageOf(["head", "old"], ["head", "new"], ["head", "gone"]);
  const drawn = [];
  run(bundles.get("head.js"), "old");
  run(bundles.get("head.js"), "new");
  for (const hash of ["old", "new"]) world.flowlens.builds[hash].head = (_, data) => drawn.push([hash, data.of]);
  world.flowlens.draw();
  assert.deepEqual(drawn, [["old", "old"], ["new", "new"]]);
  assert.equal(roots[2].dataset.state, "static");
});

test("scripts from before hashes go on for their own figures", () => {
  const { world, run } = pageOf();
  let asked = 0;
  world.flowlens = { version: 2, views: {}, draw() { asked++; } };
  run(bundles.get("heat_map.js"), "new");
  world.flowlens.draw();
  assert.equal(asked, 1);
});
