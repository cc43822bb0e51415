import assert from "node:assert/strict";
import test from "node:test";
import * as attention from "../../src/figure/assets/src/attention.js";
import { inflate } from "../../src/figure/assets/src/inflate.js";
import { pack, packFloats, packWide, rootOf } from "./fake_page.mjs";

const upTo = (count) => Array.from({ length: count }, (_, at) => at);

/** A block of one or more layers with two heads; `ints(layer, head, i, j)` fills it. */
function blockOf(T, S, ints, { layers = [0], wide = false, ...more } = {}) {
  const chunks = layers.map((layer) => {
    const all = [0, 1].flatMap((head) => upTo(T).flatMap((i) => (
      upTo(more.causal ? i + 1 : S).map((j) => ints(layer, head, i, j))
    )));
    return (wide ? packWide : pack)(all);
  });
  const names = (count, letter) => upTo(count * (more.pool ?? 1)).map((at) => letter + at);
  const block = {
    name: "all", queries: names(T, "q"), keys: S === T ? null : names(S, "k"), special: [0], second: null, kind: "probability",
    levels: wide ? 65535 : 255, scale: 1, error: 0.002, causal: false, pool: 1, measures: [],
    layers: layers.map((layer, chunk) => ({ layer, heads: [3, 8], keyHeads: null, chunk })), ...more,
  };
  return attention.open(rootOf(chunks), { run: "r", blocks: [block] });
}

const near = (found, wanted) => {
  assert.equal(found.length, wanted.length);
  wanted.forEach((value, at) => assert.ok(Math.abs(found[at] - value) < 1e-6, `${at}: ${found[at]}, not ${value}`));
};

test("inflates raw deflate, with and without a known size", () => {
  const bytes = upTo(70000).map((at) => (at * at) % 251);
  const packed = Uint8Array.from(atob(pack(bytes)), (letter) => letter.charCodeAt(0));
  assert.deepEqual([...inflate(packed)], bytes);
  assert.deepEqual([...inflate(packed, bytes.length)], bytes);
});

test("gives the weights of 8 bit back, rows of queries", () => {
  const book = blockOf(3, 4, (layer, head, i, j) => 100 * head + 10 * i + j);
  const wanted = upTo(12).map((at) => (100 + 10 * Math.floor(at / 4) + (at % 4)) / 255);
  const block = book.block("all");
  near(book.weights(block, 0, 8), wanted);
  const matrix = book.matrix(block, 0, 8);
  assert.deepEqual([matrix.T, matrix.S, matrix.stride, matrix.r0, matrix.c0], [3, 4, 4, 0, 0]);
  near(matrix.row(1), wanted.slice(4, 8));
  near(matrix.column(2), [wanted[2], wanted[6], wanted[10]]);
  assert.equal(matrix.at(2, 3), matrix.toFloat(matrix.ints[11]));
});

test("gives the weights of 16 bit back", () => {
  const ints = (layer, head, i, j) => 65535 - 7000 * (head + 1) - 257 * i - j;
  const book = blockOf(3, 3, ints, { wide: true });
  near(book.weights(book.block(0), 0, 3), upTo(9).map((at) => ints(0, 0, Math.floor(at / 3), at % 3) / 65535));
});

test("fills causal triangles up with nothing", () => {
  const book = blockOf(3, 3, (layer, head, i, j) => 50 * (head + 1) + 10 * i + j + 1, { causal: true });
  near(book.weights(book.block("all"), 0, 8), [101, 0, 0, 111, 112, 0, 121, 122, 123].map((int) => int / 255));
  assert.deepEqual([...book.matrix(book.block("all"), 0, 3).ints], [51, 0, 0, 61, 62, 0, 71, 72, 73]);
});

test("gives signed differences back, nothing where nothing is seen", () => {
  const ints = [0, 255, 51];
  const book = blockOf(2, 2, (layer, head, i, j) => ints[i + j], { causal: true, kind: "difference", scale: 0.5 });
  near(book.weights(book.block("all"), 0, 3), [-0.5, 0, 0.5, -0.3]);
});

test("counts pooled tokens up", () => {
  const book = blockOf(2, 2, (layer, head, i, j) => 10 * i + j, { pool: 4, queries: upTo(7).map(String) });
  const block = book.block("all");
  assert.deepEqual([block.T, block.S, block.pool, block.queries.length], [2, 2, 4, 7]);
  assert.match(book.numbers("all", 0, 3), /^query \\ key,0 to 3 0 1 2 3,4 to 6 4 5 6\n/);
});

test("offers the parts of a pair as slices", () => {
  const book = blockOf(5, 5, (layer, head, i, j) => 10 * i + j, { second: 2, special: [0, 1, 4] });
  assert.deepEqual([...book.blocks].map((block) => block.name), ["all", "aa", "ab", "ba", "bb"]);
  assert.deepEqual([...book.blocks].map((block) => block.label), ["All", "A → A", "A → B", "B → A", "B → B"]);
  const ab = book.block("ab");
  assert.deepEqual([ab.T, ab.S, [...ab.queries], [...ab.keys]], [2, 3, ["q0", "q1"], ["q2", "q3", "q4"]]);
  assert.deepEqual([[...ab.special], [...book.block("ba").special]], [[2], [0, 1]]);
  near(book.weights(ab, 0, 3), [2, 3, 4, 12, 13, 14].map((int) => int / 255));
  near(book.weights(book.block("ba"), 0, 3), [20, 21, 30, 31, 40, 41].map((int) => int / 255));
  const { stride, r0, c0, ints } = book.matrix(ab, 0, 3);
  assert.equal(ints[(r0 + 1) * stride + c0 + 2], 14);
});

test("knows causal parts of a causal pair", () => {
  const book = blockOf(4, 4, () => 9, { causal: true, second: 1 });
  assert.deepEqual([...book.blocks].map((block) => block.causal), [true, true, false, false, true]);
  near(book.weights(book.block("ab"), 0, 3), [0, 0, 0]);
});

test("gives floats back exactly", () => {
  const values = [0, -0, 1, -1.5, Math.fround(Math.PI), 3e38, -1e-40, Infinity];
  const book = attention.open(rootOf([packFloats(values)]), { blocks: [] });
  assert.deepEqual([...book.floats(0)], values.map(Math.fround));
  assert.equal(book.floats(0), book.floats(0));
});

test("says what there is when a name is unknown", () => {
  const book = blockOf(2, 2, () => 1, { layers: [4, 5, 6] });
  const block = book.block("all");
  const range = (message) => ({ name: "RangeError", message });
  assert.throws(() => book.block("cross"), range('block "cross": this view has all'));
  assert.throws(() => book.block(1), range("block 1: this view has all"));
  assert.throws(() => book.layer(block, 9), range('layer 9: block "all" of this view has 4 to 6'));
  assert.throws(() => book.layer(block, "4"), range('layer "4": block "all" of this view has 4 to 6'));
  assert.throws(() => book.matrix(block, 4, 0), range("head 0: layer 4 of this view has 3, 8"));
  assert.throws(() => book.matrix(block, 4, undefined), { name: "RangeError" });
});

test("tells a page that was cut off", () => {
  const book = blockOf(4, 4, () => 1, { layers: [0, 1], queries: upTo(9).map(String) });
  assert.throws(() => book.matrix(book.block(0), 0, 3), /chunk 0 .* not 162: was the output cut off\?/);
  const none = attention.open(rootOf([]), { blocks: [] });
  assert.throws(() => none.floats(3), /chunk 3 of this page is missing/);
});

test("keeps unpacked layers up to its room, and always the last one asked for", () => {
  const layers = upTo(4).map((layer) => ({ layer, heads: [0, 1], chunk: layer }));
  const block = { name: "all", queries: upTo(4).map(String), keys: null, kind: "probability", levels: 255, scale: 1, layers };
  const openWith = (room, causal) => {
    const chunk = pack(new Uint8Array(causal ? 20 : 32));
    return attention.open(rootOf(Array(4).fill(chunk)), { blocks: [{ ...block, causal }] }, room);
  };
  const book = openWith(100, false);
  for (const layer of [0, 1, 2, 0, 3]) book.matrix(book.block("all"), layer, 1);
  assert.deepEqual(Object.keys(book.kept()), ["ints 2", "ints 0", "ints 3"]);
  const tight = openWith(50, true);
  for (const layer of [0, 1]) for (const head of [0, 1]) tight.matrix(tight.block("all"), layer, head);
  assert.deepEqual({ ...tight.kept() }, { "ints 1": 20 + 2 * 16 });
});

test("unpacks ahead what it gives at once later", async () => {
  const book = blockOf(3, 3, (layer, head, i, j) => 40 * layer + 10 * i + j, { layers: [0, 1, 2] });
  await book.prefetch(book.block("all"), [2, 1]);
  assert.deepEqual(Object.keys(book.kept()), ["ints 2", "ints 1"]);
  near(book.weights(book.block("all"), 2, 3).slice(0, 3), [80, 81, 82].map((int) => int / 255));
  const damaged = attention.open(rootOf(["AAAA"]), { blocks: [] });
  await damaged.prefetchFloats([0, 1]);
  assert.deepEqual({ ...damaged.kept() }, {});
});

// ---- Colours ----

const channels = (hex) => [1, 3, 5].map((at) => parseInt(hex.slice(at, at + 2), 16) / 255);
const linear = (part) => (part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4);

function light(hex) {
  const [red, green, blue] = channels(hex).map(linear);
  return 0.2126 * red + 0.7152 * green + 0.0722 * blue;
}

function lab(hex) {
  const [red, green, blue] = channels(hex).map(linear);
  const [x, y, z] = [
    (0.4124 * red + 0.3576 * green + 0.1805 * blue) / 0.9505,
    0.2126 * red + 0.7152 * green + 0.0722 * blue,
    (0.0193 * red + 0.1192 * green + 0.9505 * blue) / 1.089,
  ].map((part) => (part > 0.008856 ? Math.cbrt(part) : 7.787 * part + 16 / 116));
  return [116 * y - 16, 500 * (x - y), 200 * (y - z)];
}

for (const [name, dark, paper] of [["light", false, "#ffffff"], ["dark", true, "#14171c"]]) {
  test(`32 heads have 32 colours, readable on ${name} paper`, () => {
    const colors = upTo(32).map((index) => attention.headColor(index, dark));
    colors.forEach((color, at) => {
      assert.match(color, /^#[0-9a-f]{6}$/);
      const [low, high] = [light(color), light(paper)].sort((a, b) => a - b);
      assert.ok((high + 0.05) / (low + 0.05) > 2.5, `head ${at}: ${color}`);
      for (const other of colors.slice(0, at)) {
        const distance = Math.hypot(...lab(color).map((part, axis) => part - lab(other)[axis]));
        assert.ok(distance > 10, `head ${at}: ${color} is too near to ${other}`);
      }
    });
    assert.match(attention.headColor(127, dark), /^#[0-9a-f]{6}$/);
  });
}

test("magnitudes run from blue to yellow, signed values from blue to orange", () => {
  assert.deepEqual([...attention.cividis(0)], [0, 32, 76]);
  assert.deepEqual([...attention.cividis(7)], [255, 233, 69]);
  assert.deepEqual([...attention.cividis(NaN)], [0, 32, 76]);
  for (const dark of [false, true]) {
    const [blue, paper, orange] = [-1, 0, 1].map((x) => attention.signed(x, dark));
    assert.ok(blue[2] > blue[0] && orange[0] > orange[2]);
    assert.ok(Math.max(...paper) - Math.min(...paper) < 12);
    assert.deepEqual([...attention.signed(-9, dark)], [...blue]);
    assert.deepEqual([...attention.signed(NaN, dark)], [...blue]);
  }
});

// ---- Texts ----

// Every letter is 7 pixels wide.
const context = { font: "12px x", measureText: (text) => ({ width: 7 * Array.from(text).length }) };

test("shows tokens without the mark of their blank, and never all of an endless one", () => {
  assert.deepEqual(["␣cat", "␣", "␣␣", "a␣", ""].map(attention.label), ["cat", "␣", "␣", "a␣", ""]);
  assert.equal(Array.from(attention.label("👩".repeat(10000))).length, 200);
});

test("cuts a text in its middle where it does not fit", () => {
  assert.equal(attention.fit(context, "capital", 49), "capital");
  assert.equal(attention.fit(context, "capital", 48), "cap…al");
  assert.equal(attention.fit(context, "capital", 21), "c…l");
  assert.equal(attention.fit(context, "capital", 3), "…");
  const hostile = ["</script>", "<img src=x onerror=alert(1)>", '"\'', "\u2028", "\u202ex", "\ud800", "👩‍👩‍👧", "x".repeat(10000)];
  for (const token of hostile) {
    const shown = attention.fit(context, attention.label(token), 70);
    assert.ok(Array.from(shown).length <= 10, token);
  }
});

test("quotes tokens in tables", () => {
  const book = blockOf(2, 2, (layer, head, i, j) => 51 * (i + j), { queries: ['a"b', "=1,2\n"] });
  assert.equal(book.numbers("all", 0, 3), 'query \\ key,"0 a""b","1 =1,2\n"\n"0 a""b",0,0.2\n"1 =1,2\n",0.2,0.4\n');
});

test("a token in a sentence does not turn the words around it", () => {
  assert.equal(attention.named("␣عربية"), "“\u2068عربية\u2069”");
  assert.equal(attention.named("x".repeat(99), 4), "“\u2068xx…xx\u2069”");
  assert.equal(attention.isolated("عربية"), "\u2068عربية\u2069");
});

test("tables quote what would break them", () => {
  assert.equal(attention.table([["a,b", 'c"d', 0.123456789], ["e", "f", 1]], 3), '"a,b","c""d",0.123\ne,f,1\n');
});
