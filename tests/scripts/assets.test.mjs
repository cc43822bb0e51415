import assert from "node:assert/strict";
import { readdirSync } from "node:fs";
import test from "node:test";
import { load, source } from "./fake_page.mjs";

const names = readdirSync(new URL("../../src/figure/assets/", import.meta.url)).filter((name) => name.endsWith(".js"));
const views = names.filter((name) => name.endsWith("_view.js"));

test("every script runs twice in one page, and a view is registered once", () => {
  const shared = ["inflate.js", "attention.js"];
  for (const name of views) {
    const flowlens = load(...shared, name, "runtime.js", ...shared, name);
    assert.equal(typeof flowlens.views[name.replace("_view.js", "")], "function", name);
  }
});

test("a page's scripts are short lines that stand in HTML as they are", () => {
  for (const name of names) {
    const text = source(name);
    assert.doesNotMatch(text, /<\/script|<!--/i, name);
    if (name === "inflate.js") continue;
    text.split("\n").forEach((line, at) => {
      assert.ok(line.length <= 130, `${name}:${at + 1} has ${line.length} letters`);
      // Pages leave comments and indentation out, line by line: no text may run over several.
      const comment = /^\s*(\/\/|\/?\*)/.test(line);
      assert.ok(comment || line.split("`").length % 2 === 1, `${name}:${at + 1} begins a text that it does not end`);
    });
  }
});
