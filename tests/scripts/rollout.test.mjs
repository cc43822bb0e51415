import assert from "node:assert/strict";
import test from "node:test";
import { lines, open } from "../../src/figure/assets/src/rollout_math.js";

const upTo = (count) => Array.from({ length: count }, (_, at) => at);

const SIZE = 4;
const CAUSAL = [
  [9, 0, 0, 0, 3, 6, 0, 0, 1, 1, 7, 0, 2, 2, 2, 3],
  [9, 0, 0, 0, 8, 1, 0, 0, 5, 0, 4, 0, 0, 0, 9, 0],
  [9, 0, 0, 0, 4, 4, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4],
];
const matrixOf = (ints) => ({ T: SIZE, S: SIZE, ints: Uint16Array.from(ints), stride: SIZE, r0: 0, c0: 0 });

/** The rollout by whole matrices, as it is defined: each layer's rows sum to 1, half of them stays with `residual`. */
function product(layers, residual) {
  let all = upTo(SIZE).map((i) => upTo(SIZE).map((j) => (i === j ? 1 : 0)));
  for (const ints of layers) {
    const step = upTo(SIZE).map((i) => {
      const row = ints.slice(i * SIZE, (i + 1) * SIZE);
      const sum = row.reduce((a, b) => a + b);
      return row.map((int, j) => {
        const own = i === j ? 1 : 0;
        if (!sum) return own;
        return residual ? 0.5 * (int / sum) + 0.5 * own : int / sum;
      });
    });
    const before = all;
    all = step.map((row) => upTo(SIZE).map((j) => row.reduce((sum, weight, k) => sum + weight * before[k][j], 0)));
  }
  return all.flat();
}

const near = (found, wanted, what) => wanted.forEach((value, at) => {
  assert.ok(Math.abs(found[at] - value) < 1e-7, `${what} ${at}: ${found[at]}, not ${value}`);
});

for (const residual of [false, true]) {
  test(`is the product of the layers, ${residual ? "with" : "without"} the residual`, () => {
    const rollout = open(CAUSAL.map(matrixOf), residual);
    for (const count of [0, 1, 2, 3]) near(rollout.matrix(count), product(CAUSAL.slice(0, count), residual), `after ${count}`);
    const masses = rollout.trace(3, 3);
    assert.equal(masses.length, 4);
    for (const all of masses) near([all.reduce((a, b) => a + b)], [1], "mass");
    near(masses[0], product(CAUSAL, residual).slice(12), "from");
    near(rollout.row(1, 2), product([CAUSAL[1]], residual).slice(8, 12), "row");
  });

  test(`what passes through a token is what comes to it and goes on, ${residual ? "with" : "without"} the residual`, () => {
    const rollout = open(CAUSAL.map(matrixOf), residual);
    const masses = rollout.trace(3, 3);
    // The part of token 3 after the last step that passes through token 2 before it: its row there.
    const passes = rollout.forth(2, Float64Array.of(0, 0, 1, 0));
    near([passes[3] * masses[3][3]], [masses[2][2]], "mass");
  });
}

test("lines carry all of the mass of a step", () => {
  const rollout = open(CAUSAL.map(matrixOf), true);
  const masses = rollout.trace(3, 3);
  const found = lines(rollout, masses, 1000, 1e-9);
  for (const step of upTo(3)) {
    const into = new Float64Array(SIZE);
    for (const [of, , j, mass] of found) if (of === step) into[j] += mass;
    near(into, [...masses[step]], `step ${step}`);
  }
});

test("of too many lines the heaviest stay", () => {
  const rollout = open(CAUSAL.map(matrixOf), true);
  const masses = rollout.trace(3, 3);
  const all = lines(rollout, masses, 1000, 1e-9).map((line) => line[3]).sort((a, b) => b - a);
  const few = lines(rollout, masses, 5, 1e-9).map((line) => line[3]).sort((a, b) => b - a);
  assert.deepEqual(Array.from(few), Array.from(all.slice(0, 5)));
});

test("a text's part is taken out of the matrix it stands in", () => {
  const wide = { T: 2, S: 2, ints: Uint8Array.of(0, 0, 0, 0, 3, 1, 0, 2, 6), stride: 3, r0: 1, c0: 1 };
  near(open([wide], false).matrix(1), [3 / 4, 1 / 4, 2 / 8, 6 / 8], "part");
});

test("sinks take nothing from others, whose rows sum to 1 again", () => {
  const ints = [[9, 0, 0, 0, 3, 6, 0, 0, 1, 1, 7, 0, 2, 2, 2, 3]];
  const without = [9, 0, 0, 0, 0, 6, 0, 0, 0, 1, 7, 0, 0, 2, 2, 3];
  const rollout = open(ints.map(matrixOf), false, [0]);
  near(rollout.matrix(1), product([without], false), "share");
  near(open(ints.map(matrixOf), false).matrix(1), product(ints, false), "untouched");
});
