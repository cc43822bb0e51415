// @ts-check
// Decoding: probability, rank, entropy and count along a text, over one axis.
import { headColor } from "../colors.js";
import { clamp } from "../numbers.js";
import { named } from "../text.js";
import { number } from "./numbers.js";
import { short } from "./plot.js";
import { View } from "./view.js";

const LEFT = 54;
const HIGH = 104;
const BETWEEN = 36;

export class Decoding extends View {
  /** @param {any} root @param {import("./payload.js").Decoding} data */
  constructor(root, data) {
    super(root, data, "Decoding along the text");
    this.data = data;
    this.token = null;
    this.offer();
    this.start();
  }

  state() {
    return { view: this.root.dataset.view, token: this.token, tokens: [this.data.tokens.length] };
  }

  take({ token }) {
    if (token !== undefined && token !== null && !(token in this.data.tokens)) {
      throw new RangeError(`token ${token}: this text has 0 to ${this.data.tokens.length - 1}`);
    }
    this.token = token ?? null;
  }

  panels(width, colors) {
    const { tokens, probability, rank, entropy, count, p } = this.data;
    const names = tokens.map((token) => short(token));
    const logs = (values) => values.map((value) => Math.log10(Math.max(1, value)));
    const powers = (values) => Array.from({ length: Math.ceil(Math.max(1, ...logs(values))) + 1 }, (_, power) => [power, number(10 ** power)]);
    const most = (values, least) => Math.max(least, ...values.filter((value) => value !== null));
    /** From the least to the most, and a little room for the dots at both ends. */
    const ends = (most) => [-0.04 * most, 1.05 * most];
    const curves = [
      ["Probability of the token that follows", probability, ends(1), null], ["Its rank", logs(rank), ends(most(logs(rank), 1)), powers(rank)],
      ["Entropy, in bits", entropy, ends(most(entropy, 0.1)), null],
      [`Tokens that make up ${number(100 * p)} %`, logs(count), ends(most(logs(count), 1)), powers(count)],
    ];
    const wide = Math.min(width - LEFT - 40, Math.max(400, tokens.length * 44));
    this.curves = curves.map(([title, values, range, labels], at) => ({
      name: title, title, left: LEFT, top: 26 + at * (HIGH + BETWEEN), width: wide, height: HIGH,
      x: { key: "token", range: [-0.5, tokens.length - 0.5], names, upright: true, bare: at < curves.length - 1 },
      y: { key: title, range, still: true, ...(labels ? { ticks: labels } : {}) },
      traces: [{
        type: "scatter", mode: tokens.length > 200 ? "lines" : "lines+markers", y: values, hoverinfo: "skip", connectgaps: false,
        line: { color: headColor(at, colors.dark), width: 1.8 }, marker: { size: 5 },
      }],
    }));
    return { panels: this.curves, height: 20 + curves.length * (HIGH + BETWEEN) + 6 * Math.max(...names.map((name) => name.length), 1) };
  }

  cellAt({ x }) {
    const at = Math.round(x);
    return at in this.data.tokens ? { at } : null;
  }

  tell({ at }) {
    const { tokens, probability, rank, entropy, count, p } = this.data;
    const lines = [`after ${named(tokens[at])}, position ${at}`];
    if (at + 1 in tokens && at in rank) {
      lines.push(`next is ${named(tokens[at + 1])}: ${number(100 * (probability[at] ?? NaN))} %, rank ${rank[at]}`);
    }
    if (at in entropy) lines.push(`entropy ${number(entropy[at] ?? NaN)} bits`);
    if (at in count) lines.push(`${count[at]} tokens make up ${number(100 * p)} %`);
    return lines.join("\n");
  }

  framed({ at }) {
    return this.curves.map((panel) => ({ panel, from: [at - 0.3, panel.y.range[0]], to: [at + 0.3, panel.y.range[1]] }));
  }

  named(at) { return { at }; }

  click({ at }) {
    this.token = at;
    this.changed();
  }

  keyed(key) {
    const last = this.data.tokens.length - 1;
    const from = this.cell ? this.cell.at : this.token ?? -1;
    const to = { ArrowLeft: from - 1, ArrowRight: from + 1, Home: 0, End: last }[key];
    if (to === undefined) return null;
    return () => {
      this.go({ at: clamp(0, to, last) });
      this.click({ at: clamp(0, to, last) });
    };
  }

  tables() {
    const { tokens, probability, rank, entropy, count } = this.data;
    const cell = (value) => (value === null || value === undefined ? "" : +value.toPrecision(5));
    return [{
      heads: ["position", "token", "probability of the next", "its rank", "entropy, bits", "top-p count"],
      rows: tokens.map((token, at) => [at, token, cell(probability[at]), rank[at] ?? "", cell(entropy[at]), count[at] ?? ""]),
    }];
  }
}
