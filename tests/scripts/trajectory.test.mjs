import assert from "node:assert/strict";
import test from "node:test";
import {
  constant, counted, edges, floats, number, open, rounding, shareOf, symlog, symlogTicks, thinned, ticks, told, unsymlog, valueAt,
} from "../../src/figure/assets/src/trajectory/numbers.js";
import { plainInSpace } from "../../src/figure/assets/src/trajectory/plot.js";
import { pack, packFloats, packWide, rootOf } from "./fake_page.mjs";

const numbers = (levels, shape, low = 0, high = 0, chunk = 0) => ({ chunk, shape, levels, low, high });

test("integers come back between their ends, and 0 is blank", () => {
  assert.deepEqual([...floats(numbers(255, [4], -1, 1), Uint8Array.from([0, 1, 128, 255]))], [NaN, -1, 0, 1]);
  const book = open(rootOf([packWide([1, 65535, 0]), packFloats([0.25, -3]), pack(new TextEncoder().encode('[["a",1]]'))]));
  assert.deepEqual([...book.array(numbers(65535, [3], 2, 4))], [2, 4, NaN]);
  assert.deepEqual([...book.array(numbers(0, [2], 0, 0, 1))], [0.25, -3]);
  assert.deepEqual(book.json(2), [["a", 1]]);
  assert.throws(() => book.array(numbers(0, [3], 0, 0, 1)), /has 2 numbers, not 3/);
  assert.throws(() => book.array(numbers(0, [1], 0, 0, 7)), /chunk 7 of this page is missing/);
});

test("labels in space have no tags, and are not called like what every object has", () => {
  assert.equal(plainInSpace("<b>&lt;</script>"), "<\u200bb>&lt;<\u200b/script>");
  for (const name of ["constructor", "__proto__", "toString"]) {
    assert.equal(plainInSpace(name), `${name}\u200b`);
    assert.ok(!(plainInSpace(name) in {}));
  }
  assert.equal(plainInSpace(" Tokyo"), " Tokyo");
});

test("says how far numbers are rounded", () => {
  assert.equal(rounding(numbers(0, [1])), 0);
  assert.ok(Math.abs(rounding(numbers(255, [1], -127, 127)) - 0.5) < 1e-12);
  assert.equal(told(12.5, 0.5), "12.5 ±0.5");
  assert.equal(told(12.5, 1e-5), "12.5");
  assert.equal(told(NaN, 0), "–");
  assert.equal(number(-0.00012345), "−1.2e−4");
});

test("scales lead to colours and back", () => {
  for (const scale of [{ kind: "signed", low: -2, high: 2 }, { kind: "magnitude", low: 1, high: 3 }, { kind: "root", low: 0, high: 4 }]) {
    for (const share of [0, 0.25, 0.5, 1]) assert.ok(Math.abs(shareOf(scale, valueAt(scale, share)) - share) < 1e-9, scale.kind);
    assert.equal(shareOf(scale, 1e9), 1);
  }
  assert.deepEqual([...counted([0, 1, 1, 9, NaN], { kind: "magnitude", low: 0, high: 2 }, 2)], [1, 3]);
});

test("distances lie on a symmetric-log axis", () => {
  assert.deepEqual([0, 1, -1, 3, -7].map(symlog), [0, 1, -1, 2, -3]);
  for (const distance of [-300, -1, 0, 2, 77]) assert.ok(Math.abs(unsymlog(symlog(distance)) - distance) < 1e-9);
  assert.deepEqual(symlogTicks(-5, 2).map(([, text]) => text), ["−4", "−2", "−1", "0", "1", "2"]);
  const sides = edges([-1, 0, 1]);
  assert.equal(sides.length, 4);
  assert.ok(sides.every((side, at) => at === 0 || side > sides[at - 1]));
});

test("a kernel of constant content is a softmax over what is seen", () => {
  const offsets = [-2, -1, 0, 1];
  const kernel = [Math.log(1), Math.log(2), Math.log(5), 9];
  const shares = constant(kernel, offsets, Infinity, true);
  [1 / 8, 2 / 8, 5 / 8].forEach((share, at) => assert.ok(Math.abs(shares[at] - share) < 1e-6));
  assert.ok(Number.isNaN(shares[3]), "nothing after the query");
  const near = constant(kernel, offsets, 1, true);
  assert.ok(Number.isNaN(near[0]) && Math.abs(near[1] - 2 / 7) < 1e-6);
  const both = constant([NaN, 0, 0, 0], offsets, Infinity, false);
  assert.ok(Number.isNaN(both[0]) && Math.abs(both[3] - 1 / 3) < 1e-6, "a blank stays one and takes nothing");
});

test("labels are as many as there is room for, and zooming brings more", () => {
  const names = Array.from({ length: 100 }, (_, at) => `t${at}`);
  assert.equal(thinned(names, [-0.5, 99.5], 325).length, 25);
  assert.deepEqual(thinned(names, [12.5, 9.5], 200).map(([, name]) => name), ["t10", "t11", "t12"]);
  assert.deepEqual(ticks(0, 1, 2).map(([, text]) => text), ["0", "0.5", "1"]);
  assert.deepEqual(ticks(3, 3, 4), [[3, "3"]]);
});
