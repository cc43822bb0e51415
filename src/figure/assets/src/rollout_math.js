// @ts-check
// The arithmetic of attention rollout, in double precision; needs no page.

/**
 * The steps of a rollout over square matrices of integers, first layer first. With `residual` half of everything stays
 * where it is, as in the residual stream. Rows sum to 1, whatever rounding did to them; one of nothing stays as it is.
 * Nobody looks at the tokens of `sinks`, except each of them at itself.
 */
export function open(matrices, residual, sinks = []) {
  const size = matrices[0].T;
  const moves = residual ? 0.5 : 1;
  const steps = matrices.map(({ ints: all, stride, r0, c0 }) => {
    const ints = sinks.length ? all.slice() : all;
    const from = Uint32Array.from({ length: size }, (_, i) => (r0 + i) * stride + c0);
    // Entries behind the last one that is not nothing need no look: half of them where attention is causal.
    const ends = new Uint32Array(size);
    const part = Float64Array.from(from, (start, i) => {
      let sum = 0;
      for (const sink of sinks) if (sink !== i) ints[start + sink] = 0;
      for (let j = 0; j < size; j++) {
        sum += ints[start + j];
        if (ints[start + j]) ends[i] = j + 1;
      }
      return sum ? moves / sum : 0;
    });
    return { ints, from, ends, part, kept: part.map((share) => (share ? 1 - moves : 1)) };
  });

  /** A row vector times the matrix of a step: masses before the layer from those after it. */
  function back(step, masses) {
    const { ints, from, ends, part, kept } = steps[step];
    const made = new Float64Array(size);
    for (let i = 0; i < size; i++) {
      if (masses[i] === 0) continue;
      const factor = masses[i] * part[i];
      for (let j = 0, at = from[i]; j < ends[i]; j++, at++) made[j] += factor * ints[at];
      made[i] += masses[i] * kept[i];
    }
    return made;
  }

  /** The matrix of a step times a column: how much of each token's mass passes through what `values` counts. */
  function forth(step, values) {
    const { ints, from, ends, part, kept } = steps[step];
    return values.map((own, i) => {
      let sum = 0;
      for (let j = 0, at = from[i]; j < ends[i]; j++, at++) sum += ints[at] * values[j];
      return sum * part[i] + own * kept[i];
    });
  }

  /** The masses of a token's rollout: at [0] over the input, at [n] over what goes into step n, last the token alone. */
  function trace(token, count, mass = 1) {
    const masses = Array(count + 1);
    masses[count] = new Float64Array(size);
    masses[count][token] = mass;
    for (let step = count - 1; step >= 0; step--) masses[step] = back(step, masses[step + 1]);
    return masses;
  }

  return {
    size,
    forth,
    trace,
    steps,
    /** What a token takes from the tokens before a step. */
    row(step, token) {
      const one = new Float64Array(size);
      one[token] = 1;
      return back(step, one);
    },
    /** The whole rollout after so many steps: row i is what token i is mixed from. */
    matrix(count) {
      const all = new Float32Array(size * size);
      for (let i = 0; i < size; i++) all.set(trace(i, count)[0], i * size);
      return all;
    },
  };
}

/**
 * The heaviest lines, at most so many: [step, i, j, mass], token i after the step from token j before it.
 * `parts[step][j]`, where given, is the share of a line that counts. Lighter ones than `least` are never many:
 * the masses of a step sum to no more than 1.
 */
export function lines({ steps, size }, masses, most, least, parts = []) {
  const found = [];
  masses.slice(1).forEach((after, step) => {
    const { ints, from, ends, part, kept } = steps[step];
    const counts = parts[step];
    for (let i = 0; i < size; i++) {
      const mass = after[i];
      if (mass < least) continue;
      const factor = mass * part[i];
      const enough = least / factor;
      for (let j = 0, at = from[i]; j < ends[i]; j++, at++) {
        if (ints[at] < enough || j === i) continue;
        const line = factor * ints[at] * (counts ? counts[j] : 1);
        if (line >= least) found.push([step, i, j, line]);
      }
      const own = (factor * ints[from[i] + i] + mass * kept[i]) * (counts ? counts[i] : 1);
      if (own >= least) found.push([step, i, i, own]);
    }
  });
  if (found.length <= most) return found;
  const limit = Float64Array.from(found, (line) => line[3]).sort()[found.length - most];
  return found.filter((line) => line[3] >= limit).slice(0, most);
}
