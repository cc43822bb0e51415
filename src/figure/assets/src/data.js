// @ts-check
// The numbers of an attention view: found by block, layer and head, unpacked when they are asked for.
import { numbers } from "./csv.js";
import { inflate } from "./inflate.js";

/** Unpacked layers of one view may take this much; what was not asked for longest goes first. */
const ROOM = 96 * 2 ** 20;


/** "0 to 11", or the names one by one. */
function among(names) {
  const inRow = names.length > 2 && names.every((name, at) => Number.isInteger(name) && name === names[0] + at);
  return inRow ? `${names[0]} to ${names[names.length - 1]}` : names.join(", ") || "none";
}

export function unknown(what, name, owner, names) {
  return new RangeError(`${what} ${JSON.stringify(name) ?? name}: ${owner} has ${among(names)}`);
}

export function fromBase64(text) {
  if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
  const letters = atob(text);
  const bytes = new Uint8Array(letters.length);
  for (let at = 0; at < bytes.length; at++) bytes[at] = letters.charCodeAt(at);
  return bytes;
}

/** Floats from four planes of bytes, the lowest first. */
export function floatsOf(bytes) {
  const count = bytes.length >> 2;
  const words = new Uint32Array(count);
  for (let at = 0; at < count; at++) {
    words[at] = bytes[at] | (bytes[at + count] << 8) | (bytes[at + 2 * count] << 16) | (bytes[at + 3 * count] << 24);
  }
  return new Float32Array(words.buffer);
}

async function inflateAside(text) {
  const stream = new Blob([fromBase64(text)]).stream().pipeThrough(new DecompressionStream("deflate-raw"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** What is kept unpacked, by key, up to so many bytes; the one just asked for always stays. */
function store(room) {
  const kept = new Map();
  let total = 0;
  const drop = (key) => {
    total -= kept.has(key) ? kept.get(key).bytes : 0;
    kept.delete(key);
  };
  const put = (key, value, bytes) => {
    drop(key);
    total += bytes;
    kept.set(key, { value, bytes });
    for (const oldest of kept.keys()) {
      if (total <= room || oldest === key) break;
      drop(oldest);
    }
    return value;
  };
  return {
    has: (key) => kept.has(key),
    fits: (bytes) => total + bytes <= room,
    get(key) {
      const entry = kept.get(key);
      return entry && put(key, entry.value, entry.bytes);
    },
    put,
    sizes: () => Object.fromEntries([...kept].map(([key, { bytes }]) => [key, bytes])),
  };
}

const capital = (name) => name.charAt(0).toUpperCase() + name.slice(1);

/** The blocks that a reader can choose: those of the data, and the four parts of a pair. */
function blocksOf(sources) {
  const blocks = [];
  let pairs = 0;
  for (const source of sources) {
    const whole = [[0, source.queries.length], [0, (source.keys || source.queries).length]];
    const add = (name, title, rows, columns) => blocks.push(blockOf(source, name, title, rows, columns));
    add(source.name, capital(source.name), ...whole);
    if (source.second == null) continue;
    const a = [0, source.second];
    const b = [source.second, source.queries.length];
    // A second pair on the page keeps its name before its parts.
    const [name, title] = pairs++ ? [`${source.name} `, `${capital(source.name)}, `] : ["", ""];
    add(`${name}aa`, `${title}A → A`, a, a);
    add(`${name}ab`, `${title}A → B`, a, b);
    add(`${name}ba`, `${title}B → A`, b, a);
    add(`${name}bb`, `${title}B → B`, b, b);
  }
  return blocks;
}

function blockOf(source, name, title, rows, columns) {
  const pool = source.pool || 1;
  const first = [Math.floor(rows[0] / pool), Math.floor(columns[0] / pool)];
  const { kind, scale, error, measures = [] } = source;
  return {
    name, label: title, source, rows, columns, pool, kind, scale, error, measures,
    causal: Boolean(source.causal) && rows[0] === columns[0] && rows[1] === columns[1],
    queries: source.queries.slice(...rows),
    keys: (source.keys || source.queries).slice(...columns),
    special: new Set((source.special || []).filter((at) => at >= columns[0] && at < columns[1]).map((at) => at - columns[0])),
    first,
    T: Math.ceil(rows[1] / pool) - first[0],
    S: Math.ceil(columns[1] / pool) - first[1],
    layers: source.layers.map((layer) => layer.layer),
  };
}

/** The numbers of a view: found by original layer and head, unpacked when they are asked for. */
export function open(root, data, room = ROOM) {
  const packed = root.querySelectorAll(".fl-packed");
  const kept = store(room);
  const blocks = blocksOf(data.blocks);
  const names = blocks.map((block) => block.name);

  const book = {
    blocks,

    block(name) {
      const found = typeof name === "number" ? blocks[name] : blocks.find((block) => block === name || block.name === name);
      if (!found) throw unknown("block", name, "this view", names);
      return found;
    },

    layer(block, number) {
      const found = block.source.layers.find((layer) => layer.layer === number);
      if (!found) throw unknown("layer", number, `block "${block.name}" of this view`, block.layers);
      return found;
    },

    heads: (block, layer) => book.layer(block, layer).heads,

    matrix(block, layer, head) {
      const [held, key, at] = unpacked(block, layer, head);
      const name = `${block.name} ${head}`;
      let matrix = held.matrices.get(name);
      if (!matrix) {
        matrix = matrixOf(block, square(held, key, block.source, at));
        held.matrices.set(name, matrix);
      }
      return matrix;
    },

    /** A head's integers as they came, which takes no room: row i of the block begins at `start(i)`. */
    packed(block, layer, head) {
      const { source, first: [top, left] } = block;
      const [held, , at] = unpacked(block, layer, head);
      const begin = at * entries(source) + left;
      const before = (row) => (source.causal ? row * (row + 1) / 2 : row * sides(source)[1]);
      return { ints: held.ints, start: (i) => begin + before(top + i) };
    },

    /** The shown weights of a head, row by row. */
    weights(block, layer, head) {
      const matrix = book.matrix(block, layer, head);
      const all = new Float32Array(matrix.T * matrix.S);
      for (let i = 0; i < matrix.T; i++) matrix.row(i, all.subarray(i * matrix.S, (i + 1) * matrix.S));
      return all;
    },

    /** Unpacks layers while nobody waits; with `now`, even when others have to go for them. */
    prefetch: (block, layers, now = false) => aside(layers.map((number) => {
      const entry = book.layer(block, number);
      const keep = (key, bytes) => keepLayer(key, block.source, bytes);
      return { key: `ints ${entry.chunk}`, chunk: entry.chunk, size: bytesOf(block.source, entry), keep, now };
    })),

    /** The same for chunks of floats. */
    prefetchFloats: (chunks) => aside(chunks.map((chunk) => ({ key: `floats ${chunk}`, chunk, keep: keepFloats }))),

    floats(chunk) {
      const key = `floats ${chunk}`;
      return kept.get(key) || keepFloats(key, unpack(chunk));
    },

    numbers: (block, layer, head) => numbers(book.block(block), book.matrix(book.block(block), layer, head)),
    kept: kept.sizes,
  };
  return book;

  function textOf(chunk) {
    if (!packed[chunk]) throw new Error(`chunk ${chunk} of this page is missing: was the output cut off?`);
    return packed[chunk].textContent.trim();
  }

  /** The layer of a head, its name among what is kept, and the head's place in it. */
  function unpacked(block, layer, head) {
    const entry = book.layer(block, layer);
    const at = entry.heads.indexOf(head);
    if (at < 0) throw unknown("head", head, `layer ${layer} of this view`, entry.heads);
    const key = `ints ${entry.chunk}`;
    const held = kept.get(key) || keepLayer(key, block.source, unpack(entry.chunk, bytesOf(block.source, entry)));
    return [held, key, at];
  }

  function unpack(chunk, size) {
    const bytes = inflate(fromBase64(textOf(chunk)), size);
    if (size !== undefined && bytes.length !== size) {
      throw new Error(`chunk ${chunk} of this page has ${bytes.length} bytes, not ${size}: was the output cut off?`);
    }
    return bytes;
  }

  /** What goes wrong here is told when somebody asks for the chunk. */
  async function aside(wanted) {
    for (const { key, chunk, size, keep, now } of wanted) {
      if (!globalThis.DecompressionStream || !packed[chunk]) return;
      const fits = (bytes) => !kept.has(key) && (now || kept.fits(bytes));
      if (!fits(size || 0)) continue;
      const bytes = await inflateAside(textOf(chunk)).catch(() => null);
      if (bytes && bytes.length === (size ?? bytes.length) && fits(bytes.length)) keep(key, bytes);
    }
  }

  function keepFloats(key, bytes) {
    const floats = floatsOf(bytes);
    return kept.put(key, floats, floats.byteLength);
  }

  function keepLayer(key, source, bytes) {
    let ints = bytes;
    if (source.levels > 255) {
      const half = bytes.length >> 1;
      ints = new Uint16Array(half);
      for (let at = 0; at < half; at++) ints[at] = (bytes[at] << 8) | bytes[half + at];
    }
    return kept.put(key, { ints, matrices: new Map(), squares: new Map(), size: ints.byteLength }, ints.byteLength);
  }

  /** One head as a full square: causal triangles get the part that nobody sees. */
  function square(held, key, source, at) {
    const [T, S] = sides(source);
    if (!source.causal) return held.ints.subarray(at * T * S, (at + 1) * T * S);
    let full = held.squares.get(at);
    if (!full) {
      full = new held.ints.constructor(T * S);
      if (source.kind === "difference") full.fill((source.levels + 1) / 2);
      let from = at * entries(source);
      for (let i = 0; i < T; i++) {
        const seen = Math.min(i + 1, S);
        full.set(held.ints.subarray(from, from + seen), i * S);
        from += seen;
      }
      held.squares.set(at, full);
      held.size += full.byteLength;
      kept.put(key, held, held.size);
    }
    return full;
  }
}

function sides(source) {
  const pool = source.pool || 1;
  return [Math.ceil(source.queries.length / pool), Math.ceil((source.keys || source.queries).length / pool)];
}

/** How many integers a head has in its chunk. */
function entries(source) {
  const [T, S] = sides(source);
  if (!source.causal) return T * S;
  const corner = Math.min(T, S);
  return (corner * (corner + 1)) / 2 + (T - corner) * S;
}

const bytesOf = (source, entry) => entry.heads.length * entries(source) * (source.levels > 255 ? 2 : 1);

function matrixOf(block, ints) {
  const { T, S, source } = block;
  const [r0, c0] = block.first;
  const stride = sides(source)[1];
  const signed = block.kind === "difference";
  const step = ((signed ? 2 : 1) * block.scale) / source.levels;
  const zero = signed ? -block.scale : 0;
  const toFloat = (int) => int * step + zero;
  const hidden = (i, j) => source.causal && c0 + j > r0 + i;
  const at = (i, j) => (hidden(i, j) ? 0 : toFloat(ints[(r0 + i) * stride + c0 + j]));
  return {
    T, S, at, ints, stride, r0, c0, toFloat,
    row(i, into = new Float32Array(S)) {
      for (let j = 0; j < S; j++) into[j] = at(i, j);
      return into;
    },
    column(j, into = new Float32Array(T)) {
      for (let i = 0; i < T; i++) into[i] = at(i, j);
      return into;
    },
  };
}
