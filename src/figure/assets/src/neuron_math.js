// @ts-check
// The neuron view's arithmetic, in double precision; needs no page. Heads and positions count from 0 in the layer's data.

/** A layer of the data with its numbers at hand; `floats` gives a chunk's. */
export function open(layer, T, S, floats) {
  const read = (chunk) => (Number.isInteger(chunk) ? floats(chunk) : null);
  return {
    ...layer, T, S, padded: new Set(layer.mask.padded),
    bias: layer.bias && { kind: layer.bias.kind, values: read(layer.bias.chunk) },
    query: read(layer.query), key: read(layer.key), valueNorms: read(layer.valueNorms), writtenNorms: read(layer.writtenNorms),
  };
}

/** Why a query does not see a key; "" when it does. */
export function hidden({ mask, padded }, i, j) {
  if (padded.has(j)) return "padding";
  if (j >= mask.from[i] && j < mask.to[i]) return "";
  return j > i && mask.to[i] === i + 1 ? "later" : "too far";
}

export function biasAt({ bias, T, S }, head, i, j) {
  if (!bias) return 0;
  if (bias.kind === "place") return bias.values[head * S + j] - bias.values[head * S + i];
  if (bias.kind === "distance") return bias.values[head * (T + S - 1) + j - i + T - 1];
  return bias.values[(head * T + i) * S + j];
}

/** All that stands between a query and its weights, key by key. */
export function row(layer, head, i) {
  const { T, S, width, scale, cap, query, key, valueNorms, writtenNorms } = layer;
  const made = { hidden: [], value: valueNorms?.subarray(head * S, (head + 1) * S) };
  for (const name of ["dot", "scaled", "bias", "logit", "weight", "writes"]) made[name] = new Float64Array(S);
  const from = (head * T + i) * width;
  let top = -Infinity;
  for (let j = 0, at = layer.keyOf[head] * S * width; j < S; j++, at += width) {
    let sum = 0;
    for (let d = 0; d < width; d++) sum += query[from + d] * key[at + d];
    made.dot[j] = sum;
    made.scaled[j] = scale * sum;
    made.bias[j] = biasAt(layer, head, i, j);
    const logit = made.scaled[j] + made.bias[j];
    made.logit[j] = cap ? cap * Math.tanh(logit / cap) : logit;
    made.hidden[j] = hidden(layer, i, j);
    if (!made.hidden[j]) top = Math.max(top, made.logit[j]);
  }
  made.blind = top === -Infinity;
  let all = 0;
  for (let j = 0; j < S; j++) {
    if (!made.hidden[j] || made.blind) all += made.weight[j] = made.blind ? 1 : Math.exp(made.logit[j] - top);
  }
  for (let j = 0; j < S; j++) {
    made.weight[j] /= all;
    if (writtenNorms) made.writes[j] = made.weight[j] * writtenNorms[head * S + j];
  }
  return made;
}

/** The weights of a head between the given rows and columns. */
export function matrix(layer, head, rows = [0, layer.T], columns = [0, layer.S]) {
  const made = new Float32Array((rows[1] - rows[0]) * (columns[1] - columns[0]));
  for (let i = rows[0], at = 0; i < rows[1]; i++, at += columns[1] - columns[0]) {
    made.set(row(layer, head, i).weight.subarray(...columns), at);
  }
  return made;
}

/** A vector as it was before its position turned it: R(-angle) x / magnitude. */
export function unrotate({ pairing, frequencies, magnitude }, vector, position) {
  const made = Float64Array.from(vector);
  frequencies.forEach((frequency, pair) => {
    const [a, b] = pairing === "halves" ? [pair, pair + frequencies.length] : [2 * pair, 2 * pair + 1];
    const [cos, sin] = [Math.cos(position * frequency) / magnitude, Math.sin(position * frequency) / magnitude];
    made[a] = cos * vector[a] + sin * vector[b];
    made[b] = cos * vector[b] - sin * vector[a];
  });
  return made;
}

/** The dimensions by what they bring to q·k: |q k| summed over pairs of a key and how much it counts. */
export function strongest(q, keys) {
  const share = new Float64Array(q.length);
  for (const [k, part] of keys) for (let d = 0; d < q.length; d++) share[d] += part * Math.abs(q[d] * k[d]);
  return [...share.keys()].sort((a, b) => share[b] - share[a]);
}

/** A size that gets a strong colour: three times the median, so that a few large numbers do not wash out the rest. */
export function strong(values) {
  const step = Math.ceil(values.length / 4096);
  const sizes = Array.from(values).filter((_, at) => at % step === 0).map(Math.abs).sort((a, b) => a - b);
  return 3 * sizes[sizes.length >> 1] || sizes[sizes.length - 1] || 1;
}

export const minus = (text) => text.replace("-", "−");
export const plain = (x) => minus(String(Number(x.toPrecision(4))));

/** What is computed, in one line. */
export function formula({ scale, bias, biasName, cap }) {
  const scores = (scale === 1 ? "q·k" : `${plain(scale)}·q·k`) + (bias ? ` + ${biasName || "bias"}` : "");
  return `weight = softmax(${cap ? `${plain(cap)}·tanh((${scores})/${plain(cap)})` : scores})`;
}

/** How far all this is from the model's own weights; null where those are not numbers. */
export function equals(error) {
  if (error === null) return "the model's own weights are not numbers";
  const size = error.toExponential(0);
  return error > 1e-4 ? `differs from the model's weights by up to ${size}` : `equals the model's row within ${size}`;
}

/** "Head 7 reads key head 2, shared by heads 6 to 8."; "" where every head has its own. */
export function sharing({ heads, keyOf, keyHeads }, head) {
  const same = heads.filter((_, at) => keyOf[at] === keyOf[head]);
  const number = keyHeads[keyOf[head]];
  if (same.length === 1 && number === heads[head]) return "";
  const run = same.length > 2 && same.every((other, at) => other === same[0] + at);
  const shared = run ? `${same[0]} to ${same[same.length - 1]}` : same.join(" and ");
  return `Head ${heads[head]} reads key head ${number}${same.length > 1 ? `, shared by heads ${shared}` : ""}.`;
}
