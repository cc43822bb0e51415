import assert from "node:assert/strict";
import test from "node:test";
import { control } from "../../src/figure/assets/src/control.js";
import { keys } from "../../src/figure/assets/src/keys.js";
import { unknown } from "../../src/figure/assets/src/data.js";

const block = (name, layers, tokens) => ({
  name, label: name, layers, T: tokens, S: tokens, queries: Array(tokens).fill("a"), keys: Array(tokens).fill("a"),
});
const book = {
  heads: (it, layer) => [0, 1, layer + 2],
  layer(it, layer) {
    if (!it.layers.includes(layer)) throw unknown("layer", layer, "this view", it.layers);
  },
};
globalThis.CustomEvent = class { constructor(name, { detail }) { Object.assign(this, { name, detail }); } };

function viewOf(heads = "some") {
  const blocks = [block("one", [0, 1, 2], 4), block("two", [5, 9], 3)];
  const now = { block: blocks[0], layer: 1, heads: [1], token: null };
  const told = [];
  const root = { dataset: { view: "head" }, dispatchEvent: ({ detail }) => told.push(detail) };
  control(root, book, { run: "r" }, {
    blocks, heads, now: () => now, more: () => ({ extra: 7 }),
    take: (next, wish) => Object.assign(now, next, { heads: next.heads ?? now.heads, token: wish.token ?? null }),
  });
  return { view: root.flowlens, now, told };
}

test("a wish is taken over, told once, and can be restored from the state", () => {
  const { view, told } = viewOf();
  view.select({ layer: 2, heads: [0, 4], token: 3 });
  const state = view.state();
  assert.deepEqual(told, [state]);
  assert.deepEqual([state.layer, state.heads, state.head, state.token, state.extra], [2, [0, 4], null, 3, 7]);
  view.select({ layer: 0, head: 1, token: null });
  assert.deepEqual([view.state().head, view.state().token], [1, null]);
  view.select(state);
  assert.deepEqual(view.state(), state);
});

test("another block keeps to the nearest layer", () => {
  const { view } = viewOf();
  view.select({ block: "two" });
  assert.equal(view.state().layer, 5);
  view.select({ block: 0 });
  assert.equal(view.state().layer, 2);
});

test("a wrong wish names what there is and changes nothing", () => {
  const { view, told } = viewOf();
  const before = view.state();
  for (const [wish, said] of [
    [{ block: "cross" }, 'block "cross": this view has one, two'],
    [{ layer: 9 }, "layer 9: this view has 0 to 2"],
    [{ layer: 1, head: 4 }, "head 4: layer 1 of this view has 0, 1, 3"],
    [{ layer: 1, heads: [] }, 'head "none": layer 1 of this view has 0, 1, 3'],
    [{ layer: 0, token: 4 }, 'token 4: block "one" of this view has 0 to 3'],
    [{ token: 0.5 }, 'token 0.5: block "one" of this view has 0 to 3'],
  ]) {
    assert.throws(() => view.select(wish), { name: "RangeError", message: said.replace("has 0, 1, 3", "has 0, 1, 3") });
  }
  assert.deepEqual(view.state(), before);
  assert.deepEqual(told, []);
});

test("where no head need be chosen, none may be named; where none is shown, heads are no matter", () => {
  assert.doesNotThrow(() => viewOf("optional").view.select({ heads: [] }));
  assert.throws(() => viewOf("optional").view.select({ heads: [77] }), RangeError);
  assert.doesNotThrow(() => viewOf("none").view.select({ heads: [77] }));
});

test("keys with Ctrl, Alt or Meta belong to others", () => {
  let listener;
  const done = [];
  keys({ addEventListener: (_, it) => { listener = it; } }, ({ key }) => key === "a" && (() => done.push(key)));
  const press = (key, more = {}) => {
    const event = { key, stopped: 0, preventDefault() { this.stopped++; }, stopPropagation() { this.stopped++; }, ...more };
    listener(event);
    return event.stopped;
  };
  assert.equal(press("a"), 2);
  for (const held of ["ctrlKey", "metaKey", "altKey"]) assert.equal(press("a", { [held]: true }), 0);
  assert.equal(press("b"), 0);
  assert.deepEqual(done, ["a"]);
});
