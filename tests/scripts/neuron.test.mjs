import assert from "node:assert/strict";
import test from "node:test";
import * as neuron from "../../src/figure/assets/src/neuron_math.js";

const upTo = (count) => Array.from({ length: count }, (_, at) => at);

// Numbers without a pattern, the same in every run.
function numbersFrom(seed) {
  let state = seed;
  return (count) => Float32Array.from({ length: count }, () => {
    state = (state * 1103515245 + 12345) % 2 ** 31;
    return (state / 2 ** 31 - 0.5) * 4;
  });
}

const [T, S, WIDTH] = [3, 4, 6];

/** Three heads, of which the first two read the first of two key heads. */
function layerOf(more = {}, values = {}) {
  const some = numbersFrom(7);
  const chunks = [some(3 * T * WIDTH), some(2 * S * WIDTH), some(3 * S), some(3 * S), values.bias];
  const layer = {
    layer: 0, heads: [4, 5, 9], keyOf: [0, 0, 1], keyHeads: [2, 3], width: WIDTH, scale: 0.4, cap: null, query: 0, key: 1,
    rotary: null, normed: false, bias: null, mask: { from: Array(T).fill(0), to: Array(T).fill(S), padded: [] }, valueNorms: 2,
    writtenNorms: 3, error: 0, ...more,
  };
  return neuron.open(layer, T, S, (chunk) => chunks[chunk]);
}

/** The row as the paper writes it, key by key. */
function expected(layer, head, i, bias = () => 0) {
  const logits = upTo(S).map((j) => {
    const dot = upTo(WIDTH).reduce((sum, d) => (
      sum + layer.query[(head * T + i) * WIDTH + d] * layer.key[(layer.keyOf[head] * S + j) * WIDTH + d]
    ), 0);
    const logit = layer.scale * dot + bias(j);
    return layer.cap ? layer.cap * Math.tanh(logit / layer.cap) : logit;
  });
  const sees = (j) => j >= layer.mask.from[i] && j < layer.mask.to[i] && !layer.mask.padded.includes(j);
  const exps = logits.map((logit, j) => (sees(j) ? Math.exp(logit) : 0));
  const all = exps.reduce((sum, exp) => sum + exp);
  return { logits, weights: exps.map((exp) => exp / all) };
}

function check(layer, head, i, bias) {
  const row = neuron.row(layer, head, i);
  const { logits, weights } = expected(layer, head, i, bias);
  upTo(S).forEach((j) => {
    assert.ok(Math.abs(row.weight[j] - weights[j]) < 1e-12, `weight ${i} ${j}: ${row.weight[j]}, not ${weights[j]}`);
    assert.ok(Math.abs(row.logit[j] - logits[j]) < 1e-12, `logit ${i} ${j}: ${row.logit[j]}, not ${logits[j]}`);
  });
  return row;
}

test("weights are the softmax of scaled products, also where heads share a key head", () => {
  const layer = layerOf();
  for (const head of upTo(3)) for (const i of upTo(T)) check(layer, head, i);
});

test("what is later, too far away or padding gets nothing, and says why", () => {
  const layer = layerOf({ mask: { from: [0, 0, 1], to: [1, 2, 3], padded: [1] } });
  const row = check(layer, 1, 2);
  assert.deepEqual([...row.hidden], ["too far", "padding", "", "later"]);
  assert.deepEqual([...row.weight], [0, 0, 1, 0]);
});

test("a query that sees nothing looks at everything alike", () => {
  const row = neuron.row(layerOf({ mask: { from: [0, 0, 0], to: [0, 0, 0], padded: [] } }), 0, 1);
  assert.deepEqual([...row.weight], Array(S).fill(1 / S));
});

test("every kind of bias stands where it belongs, before the cap", () => {
  const some = numbersFrom(11);
  const distance = some(3 * (T + S - 1));
  const byDistance = layerOf({ bias: { kind: "distance", chunk: 4 }, cap: 1.5 }, { bias: distance });
  for (const i of upTo(T)) check(byDistance, 2, i, (j) => distance[2 * (T + S - 1) + j - i + T - 1]);
  const place = some(3 * S);
  const byPlace = layerOf({ bias: { kind: "place", chunk: 4 } }, { bias: place });
  for (const i of upTo(T)) check(byPlace, 1, i, (j) => place[S + j] - place[S + i]);
  const full = some(3 * T * S);
  const byBoth = layerOf({ bias: { kind: "full", chunk: 4 } }, { bias: full });
  for (const i of upTo(T)) check(byBoth, 1, i, (j) => full[(T + i) * S + j]);
});

test("huge scores stay numbers", () => {
  const row = neuron.row(layerOf({ scale: 1e5 }), 0, 0);
  const sum = row.weight.reduce((all, weight) => all + weight);
  assert.ok(Math.abs(sum - 1) < 1e-12, `${sum}`);
});

test("the matrix is made of the rows, and of parts of them for a pair", () => {
  const layer = layerOf();
  const all = neuron.matrix(layer, 1);
  upTo(T).forEach((i) => {
    assert.deepEqual([...all.subarray(i * S, (i + 1) * S)], [...neuron.row(layer, 1, i).weight].map(Math.fround));
  });
  assert.deepEqual([...neuron.matrix(layer, 1, [1, 3], [2, 4])], [all[6], all[7], all[10], all[11]]);
});

for (const pairing of ["halves", "neighbours"]) {
  test(`a vector is turned back to what it was: ${pairing}`, () => {
    const vector = numbersFrom(3)(WIDTH);
    const frequencies = [1, 0.1];
    const magnitude = 1.25;
    const place = 5;
    const turned = Float64Array.from(vector);
    frequencies.forEach((frequency, pair) => {
      const [a, b] = pairing === "halves" ? [pair, pair + 2] : [2 * pair, 2 * pair + 1];
      const [cos, sin] = [Math.cos(place * frequency), Math.sin(place * frequency)];
      turned[a] = magnitude * (cos * vector[a] - sin * vector[b]);
      turned[b] = magnitude * (sin * vector[a] + cos * vector[b]);
    });
    const back = neuron.unrotate({ pairing, frequencies, magnitude }, turned, place);
    upTo(WIDTH).forEach((d) => assert.ok(Math.abs(back[d] - vector[d]) < 1e-12, `${d}: ${back[d]}, not ${vector[d]}`));
  });
}

test("dimensions are ordered by what they bring, by weight", () => {
  const q = [1, -2, 0.5];
  assert.deepEqual([...neuron.strongest(q, [[[1, 1, 1], 1]])], [1, 0, 2]);
  assert.deepEqual([...neuron.strongest(q, [[[1, 1, 1], 0.1], [[0, 0, 9], 0.9]])], [2, 1, 0]);
});

test("a few large numbers do not decide what is strong", () => {
  assert.equal(neuron.strong([1, -1, 1, 1, 1000]), 3);
  assert.equal(neuron.strong([0, 0, 0, -4]), 4);
  assert.equal(neuron.strong([0, 0]), 1);
});

test("the formula has the model's own numbers", () => {
  assert.equal(neuron.formula({ scale: 0.125 }), "weight = softmax(0.125·q·k)");
  assert.equal(neuron.formula({ scale: 1, bias: {}, biasName: "ALiBi" }), "weight = softmax(q·k + ALiBi)");
  assert.equal(neuron.formula({ scale: 0.0625, bias: {}, cap: 30 }), "weight = softmax(30·tanh((0.0625·q·k + bias)/30))");
});

test("heads say which key head they read, and with whom", () => {
  const layer = { heads: [5, 6, 7, 8, 9, 11], keyOf: [0, 1, 1, 1, 2, 2], keyHeads: [1, 2, 3] };
  assert.equal(neuron.sharing(layer, 2), "Head 7 reads key head 2, shared by heads 6 to 8.");
  assert.equal(neuron.sharing(layer, 4), "Head 9 reads key head 3, shared by heads 9 and 11.");
  assert.equal(neuron.sharing(layer, 0), "Head 5 reads key head 1.");
  assert.equal(neuron.sharing({ heads: [4], keyOf: [0], keyHeads: [4] }, 0), "");
});
