import assert from "node:assert/strict";
import test from "node:test";
import { groupsOf, newestOf, shownOf, telling, writing } from "../../src/figure/assets/src/trajectory/replay.js";

const walk = (given) => ({ given, positions: [1, 2, 3, 4, 5], tokens: ["␣a", "␣b", "␣c", "␣d", "␣e"] });

test("tokens come one by one after those given", () => {
  const data = walk(3);
  assert.equal(writing(data), 2);
  assert.deepEqual([0, 1, 2, null].map((written) => shownOf(data, written)), [3, 4, 5, 5]);
  assert.deepEqual([0, 1, 2, null].map((written) => newestOf(data, written)), [-1, 3, 4, -1]);
  assert.deepEqual(groupsOf(data, 1), [[0, 1, 2], [3]]);
  assert.deepEqual(groupsOf(data, null), [[0, 1, 2], [3, 4]]);
});

test("the newest token is named with its position", () => {
  assert.equal(telling(walk(3), 1), "“\u2068d\u2069”, position 4: written 1 of 2");
  assert.equal(telling(walk(3), 0), "3 given, none written");
  assert.equal(telling(walk(0), 1), "“\u2068a\u2069”, position 1: written 1 of 5");
});

test("a text that was only read is one group", () => {
  assert.equal(writing(walk(null)), 0);
  assert.deepEqual(groupsOf(walk(null), null), [[0, 1, 2, 3, 4]]);
});
