// @ts-check
// Attention rollout: from which input tokens a token's vector is mixed, if attention were all that mixes, layer by layer.
// The input stands at the left, the chosen token at the right, mass shows by width and strength.
import * as attention from "./attention.js";
import { control } from "./control.js";
import { keys, reachable } from "./keys.js";
import { clamp } from "./numbers.js";
import { element, hideTip, register, showTip } from "./page.js";
import { lines, open } from "./rollout_math.js";

const { fit, headColor, isolated, label, named } = attention;

const MOST = 3000;
const LEAST = 2e-4;
const LEVELS = 24;
const TOP = 40;
// The other views have the same attention under the name of its text.
const plain = (block) => block.name.replace(/ ?(mean|rollout)$/, "") || "all";
const percent = (mass) => `${mass < 0.0005 ? 0 : (100 * mass).toFixed(mass < 0.0995 ? 1 : 0)} %`;

class View {
  block;

  constructor(root, data) {
    this.root = root;
    this.book = attention.open(root, data);
    // A step leads from tokens to the same tokens.
    this.blocks = this.book.blocks.filter((block) => block.source.keys === null && block.T === block.queries.length);
    if (!this.blocks.length) throw new Error("a rollout needs attention of a text to itself");
    this.residual = data.first.residual ?? true;
    this.special = true;
    this.over = null;
    this.page = control(root, this.book, data, {
      blocks: this.blocks,
      heads: "none",
      nameOf: plain,
      labelOf: plain,
      now: () => ({ block: this.block, layer: this.layer, heads: [], token: this.token }),
      take: (next, wish) => this.take(next, wish),
      more: () => ({ residual: this.residual, special: this.special, tokens: [this.block.T, this.block.T] }),
      allHeads: () => [],
      weights: (layer = this.layer) => this.rollout.matrix(this.stepsOf(layer)),
      bounds: (layer) => this.bounds(layer),
      place: (wanted) => this.place(wanted),
    });
    this.page.choosers("Up to layer");
    this.tools(root);
    this.page.links();
    const place = root.querySelector(".fl-picture");
    place.replaceChildren();
    this.pane = attention.canvas(root, place, (...drawing) => this.draw(...drawing));
    this.listen(this.pane.canvas);
    const { block, layer, token } = data.first;
    const opened = this.blocks.find((one) => [one.name, plain(one)].includes(block));
    this.choose({ block: opened || this.blocks[0], layer, token });
    root.dataset.state = "drawn";
  }

  tools(root) {
    const tools = attention.group(root, "How it is computed");
    this.residualButton = attention.button(tools, "Residual", "Half of each step stays where it is: 0.5 A + 0.5 I", (on) => {
      this.page.select({ residual: on });
    }, { toggle: true, on: this.residual });
    const why = "Tokens with nothing to look for look at special ones. Without these, the other weights sum to 1";
    this.specialButton = attention.button(tools, "Special tokens", why, (on) => this.page.select({ special: on }), {
      toggle: true, on: true,
    });
    const about = "The rollout up to the chosen layer, a row for each token";
    this.page.offer(attention.group(root), about, () => ["rollout.csv", this.csv()]);
    this.search = this.page.search(root, {
      find: (holds) => this.block.queries.flatMap((token, at) => (holds(token) ? [at] : [])),
      show: (found) => this.point(found.length ? { token: found[0], column: 0 } : null),
      go: (token) => this.point({ token, column: 0 }),
      leave: () => this.pane.canvas.focus(),
    });
  }

  // ---- What is chosen ----

  stepsOf(layer) {
    const at = this.block.layers.indexOf(layer);
    if (at < 0) throw attention.unknown("layer", layer, "this rollout", this.block.layers);
    return at + 1;
  }

  /** Takes over what is given, computes and draws. */
  choose({ block = this.block, layer = this.layer, token = this.token, residual = this.residual, special = this.special }) {
    if (block !== this.block || residual !== this.residual || special !== this.special || !this.rollout) {
      const matrices = block.layers.map((number) => this.book.matrix(block, number, this.book.heads(block, number)[0]));
      this.rollout = open(matrices, residual, special ? [] : [...block.special]);
    }
    Object.assign(this, { block, residual, special });
    this.layer = block.layers.includes(layer) ? layer : block.layers[block.layers.length - 1];
    const usual = block.causal ? block.T - 1 : 0;
    this.token = token !== null && token < block.T ? token : usual;
    this.steps = this.stepsOf(this.layer);
    this.masses = this.rollout.trace(this.token, this.steps);
    this.lines = lines(this.rollout, this.masses, MOST, LEAST);
    this.over = null;
    this.page.mark();
    this.residualButton.setAttribute("aria-pressed", String(residual));
    this.specialButton.setAttribute("aria-pressed", String(special));
    this.specialButton.hidden = !block.special.size;
    this.row = block.T > 46 ? 680 / block.T : Math.min(24, Math.max(15, 560 / block.T));
    this.pane.resize({ height: TOP + block.T * this.row + 12 });
    this.tell();
  }

  /** Takes over what was checked; null lets the token go that was chosen. */
  take({ block, layer, token }, { residual = this.residual, special = this.special }) {
    hideTip();
    this.choose({ block, layer, token, residual: Boolean(residual), special: Boolean(special) });
  }

  name(token) {
    return named(this.block.queries[token]);
  }

  /** The heaviest of some masses, in words. */
  heaviest(masses, count) {
    const order = Array.from(masses, (_, at) => at).sort((a, b) => masses[b] - masses[a]).slice(0, count);
    return order.filter((at) => masses[at] >= 0.0005).map((at) => `${this.name(at)} ${percent(masses[at])}`);
  }

  tell() {
    const input = this.heaviest(this.masses[0], 3).join(", ");
    const text = `${this.name(this.token)}, position ${this.token}, after layer ${this.layer}, comes from: ${input}. `;
    const [first] = this.masses[0];
    // A token of causal attention looks back only, and the first one nowhere else than at itself.
    const all = this.block.causal && this.token && first > 0.9;
    const advice = all ? "Behind many causal layers all comes from the first token: fewer layers tell more." : "";
    attention.status(this.root, `${text}${advice || "Click a token to follow it; arrow keys change token and layer."}`);
    this.pane.canvas.setAttribute("aria-label", `Attention rollout. ${text}`);
  }

  csv() {
    const { block, rollout, steps } = this;
    const names = block.queries.map((token, at) => `${at} ${token}`);
    const all = rollout.matrix(steps);
    const rows = names.map((name, i) => [name, ...all.subarray(i * block.T, (i + 1) * block.T)]);
    return attention.table([[`token after layer ${this.layer} \\ input`, ...names], ...rows]);
  }

  // ---- Where things are ----

  layout(context, width) {
    const { block, row } = this;
    this.squeezed = row < 15;
    this.font = this.squeezed || row < 18 ? 11 : 12;
    context.font = `${this.font}px ${this.family}`;
    const some = block.queries.slice(0, 400);
    const widest = Math.max(...some.map((token) => context.measureText(label(token).slice(0, 40)).width));
    const names = Math.min(Math.max(widest + 4, 76), 150, width * 0.17);
    const bars = Math.min(110, Math.max(40, width * 0.1));
    const left = names + 10 + bars + 52;
    const right = width - (width < 620 ? 14 : names + 18);
    // Layers that are not looked at take little room.
    const others = block.layers.length - this.steps;
    const rest = others ? Math.min(14, (right - left) / block.layers.length) : 0;
    this.at = { names, bars, left, right, gap: (right - left - others * rest) / this.steps, rest, width };
  }

  x(column) {
    const { left, gap, rest } = this.at;
    return left + Math.min(column, this.steps) * gap + Math.max(0, column - this.steps) * rest;
  }

  y(token) { return TOP + (token + 0.5) * this.row; }

  bounds(layer) {
    const step = this.stepsOf(layer) - 1;
    return this.pane.rect(this.x(step), TOP, this.x(step + 1) - this.x(step), this.block.T * this.row);
  }

  place({ query, key }) {
    const token = this.page.token(this.block, query ?? key);
    const [from, to] = key === undefined ? [this.x(this.steps) - 8, this.at.width] : [0, this.at.left];
    return this.pane.rect(from, TOP + token * this.row, to - from, this.row);
  }

  /** The token and column near a point. Where rows are thin, the heaviest one within reach is meant. */
  near([x, y]) {
    const { block, masses, row, at } = this;
    if (y < TOP - 6 || y > TOP + block.T * row + 6) return null;
    let column = Math.min(this.steps, Math.max(0, Math.round((x - at.left) / at.gap)));
    if (x > this.x(this.steps) + at.rest / 2 && x < at.right + 10) {
      column = Math.min(block.layers.length, this.steps + Math.round((x - this.x(this.steps)) / at.rest));
    }
    const within = (token) => clamp(0, token, block.T - 1);
    let token = within(Math.floor((y - TOP) / row));
    if (this.squeezed && column <= this.steps) {
      const reach = Math.ceil(5 / row);
      const mass = masses[column];
      let best = mass[token] >= 0.001 ? mass[token] : 0.001;
      for (let other = within(token - reach), end = within(token + reach); other <= end; other++) {
        if (mass[other] > best) [token, best] = [other, mass[other]];
      }
    }
    return { token, column };
  }

  // ---- Drawing ----

  draw(context, width, height, theme) {
    if (!this.masses) return;
    this.family = theme.font;
    this.layout(context, width);
    const { block, steps, masses, over } = this;
    const { left, right, gap } = this.at;
    const [moves, chosen] = [0, 1].map((index) => headColor(index, theme.dark));
    const colors = { moves, chosen, stays: attention.stays(theme.dark) };
    this.keys(colors);

    // Columns: the input, then what each layer gives.
    context.textAlign = "center";
    context.textBaseline = "alphabetic";
    context.fillStyle = theme.muted;
    const spaced = (room) => [1, 2, 5, 10, 20].find((number) => number * room >= 20) || 50;
    const [every, everyOther] = [spaced(gap), spaced(this.at.rest)];
    context.textAlign = "right";
    context.fillText("input", left + 6, TOP - 10);
    context.textAlign = "center";
    block.layers.forEach((layer, at) => {
      const chosen = at + 1 === steps;
      const x = this.x(at + 1);
      context.strokeStyle = theme.line;
      context.globalAlpha = at < steps ? 0.4 : 0.15;
      context.lineWidth = 1;
      context.beginPath();
      context.moveTo(Math.round(x) + 0.5, TOP - 2);
      context.lineTo(Math.round(x) + 0.5, height - 10);
      context.stroke();
      context.globalAlpha = 1;
      context.fillStyle = chosen ? theme.ink : theme.muted;
      context.font = `${chosen ? "600 " : ""}${this.font}px ${theme.font}`;
      const free = x - left > 16 && Math.abs(x - this.x(steps)) > 20;
      const due = at % (at < steps ? every : everyOther) === 0;
      if (chosen || (due && free)) context.fillText(String(layer), x, TOP - 10);
    });
    context.font = `${this.font}px ${theme.font}`;
    context.fillStyle = theme.muted;
    context.fillText("after layer", (left + right) / 2, TOP - 25);
    context.textAlign = "right";
    context.fillText("input token", this.at.names, TOP - 10);
    context.textAlign = "left";
    context.fillText(over ? "share through it" : "share", this.at.names + 10, TOP - 10);

    context.globalAlpha = 1;
    this.strands(context, this.lines, colors, over ? 0.22 : 1);
    if (over) this.strands(context, over.lines, colors, 1);
    this.nodes(context, theme, colors);
    this.input(context, theme, colors, over ? over.masses[0] : masses[0]);
    this.output(context, theme, colors);
  }

  /** Lines by mass, few strokes for many of them: a level has one width and one strength. */
  strands(context, found, colors, strength) {
    const widest = Math.min(14, Math.max(3, this.row * 0.7));
    const paths = new Map();
    for (const [step, i, j, mass] of found) {
      const level = 2 * Math.min(LEVELS - 1, Math.floor(LEVELS * Math.sqrt(mass))) + (i === j ? 0 : 1);
      if (!paths.has(level)) paths.set(level, new Path2D());
      const path = paths.get(level);
      const [from, to, middle] = [this.x(step), this.x(step + 1), this.x(step + 0.5)];
      path.moveTo(from, this.y(j));
      path.bezierCurveTo(middle, this.y(j), middle, this.y(i), to, this.y(i));
    }
    for (const level of [...paths.keys()].sort((a, b) => a - b)) {
      const root = ((level >> 1) + 0.5) / LEVELS;
      context.strokeStyle = level & 1 ? colors.moves : colors.stays;
      context.lineWidth = Math.max(0.5, widest * root * root);
      context.globalAlpha = strength * Math.min(1, 0.14 + 0.8 * root);
      context.stroke(paths.get(level));
    }
    context.globalAlpha = 1;
  }

  nodes(context, theme, colors) {
    const { masses, over, token, steps } = this;
    const largest = Math.min(6, Math.max(2.5, this.row * 0.28));
    const shown = over ? over.masses : masses;
    const most = over ? over.mass : 1;
    context.fillStyle = theme.ink;
    for (let column = 0; column <= steps; column++) {
      context.beginPath();
      for (let i = 0; i < this.block.T; i++) {
        const mass = shown[column] && most ? shown[column][i] / most : 0;
        if (mass < (this.squeezed ? 0.005 : 0.002)) continue;
        const radius = Math.max(0.8, largest * Math.sqrt(mass));
        context.moveTo(this.x(column) + radius, this.y(i));
        context.arc(this.x(column), this.y(i), radius, 0, 7);
      }
      context.fill();
    }
    const ring = (column, at, color) => {
      context.beginPath();
      context.arc(this.x(column), this.y(at), largest + 2.5, 0, 7);
      context.strokeStyle = color;
      context.lineWidth = 2;
      context.stroke();
    };
    ring(steps, token, colors.chosen);
    if (over) ring(over.column, over.token, theme.ink);
  }

  /** The input tokens with their shares; where rows are thin, the names of the heaviest. */
  input(context, theme, colors, masses) {
    const { block, row, over } = this;
    const { names, bars } = this.at;
    const most = Math.max(...masses) || 1;
    const thick = this.squeezed ? Math.max(1, row) : Math.min(12, row - 6);
    context.fillStyle = colors.moves;
    const from = names + 10;
    for (let j = 0; j < block.T; j++) {
      const long = (bars * masses[j]) / most;
      if (long >= 0.25) context.fillRect(from, this.y(j) - thick / 2, Math.max(1, long), thick);
    }
    context.textBaseline = "middle";
    const written = [];
    const write = (j, force) => {
      if (written.some((other) => Math.abs(this.y(other) - this.y(j)) < this.font + 2)) return;
      written.push(j);
      const here = over && over.column === 0 && over.token === j;
      context.fillStyle = masses[j] >= 0.01 || force ? theme.ink : theme.muted;
      context.font = `${here ? "600 " : ""}${this.font}px ${theme.font}`;
      context.textAlign = "right";
      context.fillText(fit(context, label(block.queries[j]), names), names, this.y(j));
      context.textAlign = "left";
      context.fillText(percent(masses[j]), from + Math.max(1, (bars * masses[j]) / most) + 4, this.y(j));
    };
    if (over && over.column === 0) write(over.token, true);
    const order = Array.from(masses, (_, at) => at);
    if (this.squeezed) order.sort((a, b) => masses[b] - masses[a]).splice(80);
    for (const j of order) if (!this.squeezed || masses[j] > 0.01 * most) write(j, false);
  }

  /** The tokens again at the right, where the chosen one stands out. */
  output(context, theme, colors) {
    const { block, token, over, steps } = this;
    const { names, right } = this.at;
    const write = (i, color, bold) => {
      context.fillStyle = color;
      context.font = `${bold ? "600 " : ""}${this.font}px ${theme.font}`;
      context.fillText(fit(context, label(block.queries[i]), names), right + 12, this.y(i));
    };
    if (this.at.width < 620) return;
    context.textAlign = "left";
    context.textBaseline = "middle";
    const hovered = over && over.column === steps && over.token !== token ? over.token : null;
    for (let i = 0; i < block.T && !this.squeezed; i++) if (i !== token && i !== hovered) write(i, theme.muted, false);
    write(token, colors.chosen, true);
    const free = !this.squeezed || Math.abs(hovered - token) * this.row > this.font;
    if (hovered !== null && free) write(hovered, theme.ink, true);
  }

  keys(colors) {
    const legend = this.root.querySelector(".fl-legend");
    const wanted = JSON.stringify([colors, this.residual]);
    if (!legend || legend.dataset.keys === wanted) return;
    legend.dataset.keys = wanted;
    const key = (color, text) => {
      const made = element("span", { class: "fl-key" }, element("i", {}), text);
      made.firstChild.style.background = color;
      return made;
    };
    const kept = this.residual ? "stays: residual and attention to itself" : "attention to itself";
    legend.replaceChildren(element("p", { class: "fl-keys" },
      key(colors.moves, "comes from another token"), key(colors.stays, kept), key(colors.chosen, "the chosen token")));
  }

  // ---- Pointer and keys ----

  /** What goes through the token at a column, on its way from the input to the chosen one. */
  look(token, column) {
    const { rollout, masses, steps } = this;
    const mass = column <= steps ? masses[column][token] : 0;
    if (mass <= 0) return { token, column, mass: 0, lines: [], masses: [new Float64Array(rollout.size)] };
    const before = rollout.trace(token, column, mass);
    // Behind the token: the part of each mass that passes through it.
    const parts = Array(steps + 1);
    parts[column] = new Float64Array(rollout.size);
    parts[column][token] = 1;
    for (let step = column; step < steps; step++) parts[step + 1] = rollout.forth(step, parts[step]);
    const nothing = new Float64Array(rollout.size);
    const after = masses.map((all, at) => (at > column ? all : nothing));
    const least = LEAST * mass;
    const found = [...lines(rollout, before, MOST, least), ...lines(rollout, after, MOST, least, parts)];
    // Seen from the token, so that those of a light one can be seen too.
    found.forEach((line) => { line[3] /= mass; });
    const through = masses.map((all, at) => (at <= column ? before[at] : all.map((one, i) => one * parts[at][i])));
    return { token, column, mass, lines: found, masses: through };
  }

  tip({ token, column, mass }) {
    const { block, rollout, steps } = this;
    const where = column ? `after layer ${block.layers[column - 1]}` : "in the input";
    const text = [`${isolated(label(block.queries[token]))}  ·  position ${token}, ${where}`];
    if (column > steps) text.push("Click to follow it from here.");
    else text.push(`${percent(mass)} of ${this.name(this.token)} after layer ${this.layer}`);
    if (column > 0) {
      text.push(`this layer takes from: ${this.heaviest(rollout.row(column - 1, token), 4).join(", ")}`);
    }
    return text.join("\n");
  }

  listen(canvas) {
    reachable(canvas);
    const leave = () => {
      hideTip();
      if (!this.over) return;
      this.over = null;
      this.pane.redraw();
    };
    canvas.addEventListener("pointermove", (event) => {
      const found = this.near(this.pane.point(event));
      canvas.style.cursor = found ? "pointer" : "";
      if (!found) return leave();
      if (!this.over || this.over.token !== found.token || this.over.column !== found.column) {
        this.point(found);
      }
      showTip(this.tip(this.over), event.clientX, event.clientY);
    });
    canvas.addEventListener("pointerleave", leave);
    canvas.addEventListener("click", (event) => {
      const found = this.near(this.pane.point(event));
      if (!found) return;
      const layer = found.column ? this.block.layers[found.column - 1] : this.layer;
      this.page.select({ token: found.token, layer });
    });
    keys(canvas, ({ key }) => {
      const { token, layer, block: { layers, T } } = this;
      const to = {
        ArrowUp: { token: clamp(0, token - 1, T - 1) },
        ArrowDown: { token: clamp(0, token + 1, T - 1) },
        Home: { token: 0 },
        End: { token: T - 1 },
        ArrowLeft: { layer: this.page.step(layers, layer, -1) },
        ArrowRight: { layer: this.page.step(layers, layer, 1) },
      }[key];
      if (key === "/") return () => this.search.focus();
      if (key === "Escape" && this.over) return leave;
      return to && (() => this.page.select(to));
    });
  }

  /** Shows what goes through a token at a column; nothing again with null. */
  point(found) {
    this.over = found && this.look(found.token, found.column);
    this.pane.redraw();
  }
}

register("FLOWLENS_BUILD", { rollout: (root, data) => new View(root, data) });
