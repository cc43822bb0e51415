// The model view: every head of every layer as a small heat map of one size, and one of them large, with its tokens.
(() => {
  "use strict";
  const { views, attention, element, showTip, hideTip } = globalThis.flowlens;
  if (views.model || !attention) return;

  const DETAIL = 72; // dots along a side of a thumbnail, at most; longer texts are pooled
  const [SMALL, LARGE, GAP] = [28, 72, 4];
  const [AXIS, TOP] = [46, 30]; // room for the numbers of layers and heads
  const SIDE = 500; // room that the large head wants beside the grid
  const CELL = 34; // largest cell of the large head
  const SLOPE = 0.8; // sine of the angle that the names of its columns have
  const NAME = 104; // room for the name of a token
  const AT_ONCE = 2e6; // so many weights are unpacked without waiting

  const HINT = "Click a head to see it large, again to close it. Keys: arrows walk, Enter opens, Escape closes.";

  const clamp = (x, low, high) => Math.max(low, Math.min(x, high));

  /** A measure's value, with or without its unit. */
  function told(measure, value, unit = true) {
    if (!Number.isFinite(value)) return "–";
    if (measure.unit === "%") return `${value.toFixed(value < 9.95 ? 1 : 0)} %`;
    const digits = measure.unit === "tokens" ? 1 : 2;
    return value.toFixed(digits) + (unit && measure.unit ? ` ${measure.unit}` : "");
  }

  /** Where the second text of a pair begins, when the block is all of it. */
  const boundaryOf = ({ name, source, pool }) => (name === source.name && source.second != null ? source.second / pool : null);

  /** Colours by number: 0 is what a query cannot see, 1 to 255 are weights from the least to the most, as square roots. */
  function palette(block, dark) {
    const colors = new Uint32Array(256);
    for (let at = 1; at < 256; at++) {
      const share = (at - 1) / 254;
      const [r, g, b] = block.kind === "difference" ? attention.signed(share * 2 - 1, dark) : attention.cividis(share);
      colors[at] = (255 << 24) | (b << 16) | (g << 8) | r;
    }
    return colors;
  }

  /** The colour's number of every integer that a weight can be. */
  function steps(block) {
    const { levels, kind } = block.source;
    return (block.source.steps ||= Uint8Array.from({ length: levels + 1 }, (_, integer) => {
      if (kind !== "difference") return 1 + Math.round(254 * Math.sqrt(integer / levels));
      const signed = integer / levels * 2 - 1;
      const size = Math.abs(signed) < 1.5 / levels ? 0 : Math.sqrt(Math.abs(signed));
      return 128 + Math.round(127 * Math.sign(signed) * size);
    }));
  }

  /** The window [top, bottom) x [left, right) of a head in height x width cells, each the strongest of what it covers,
   *  as colours' numbers. */
  function pooled(block, { ints, stride, r0, c0 }, [top, bottom, left, right], height, width) {
    const colors = new Uint8Array(height * width);
    const step = steps(block);
    const { causal, levels } = block.source;
    const signed = block.kind === "difference";
    const stronger = (one, other) => (signed ? Math.abs(2 * one - levels) > Math.abs(2 * other - levels) : one > other);
    const count = right - left;
    const strip = new ints.constructor(count); // the strongest of the rows of a cell
    for (let y = 0; y < height; y++) {
      let seen = 0; // columns that a row of the cell sees
      const end = top + Math.floor((y + 1) * (bottom - top) / height);
      for (let i = top + Math.floor(y * (bottom - top) / height); i < end; i++) {
        const start = (r0 + i) * stride + c0 + left;
        const sees = causal ? clamp(r0 + i + 1 - c0 - left, 0, count) : count;
        const old = Math.min(seen, sees);
        if (signed) {
          for (let j = 0; j < old; j++) if (stronger(ints[start + j], strip[j])) strip[j] = ints[start + j];
        } else {
          for (let j = 0; j < old; j++) {
            const more = ints[start + j] - strip[j];
            strip[j] += more & ~(more >> 31); // without a branch: that is twice as fast
          }
        }
        for (let j = old; j < sees; j++) strip[j] = ints[start + j];
        seen = Math.max(seen, sees);
      }
      for (let x = 0, j = 0; x < width && j < seen; x++) {
        const last = Math.min(seen, Math.floor((x + 1) * count / width));
        let most = strip[j];
        for (j++; j < last; j++) if (stronger(strip[j], most)) most = strip[j];
        colors[y * width + x] = step[most];
      }
    }
    return colors;
  }

  /** All heads of a block, small. It knows where each lies, not what is done with it. */
  class Grid {
    constructor(block) {
      this.block = block;
      const { layers } = block.source;
      this.heads = [...new Set(layers.flatMap((entry) => entry.heads))].sort((a, b) => a - b);
      this.all = layers.flatMap((entry, row) => entry.heads.map((head, at) => ({
        layer: entry.layer, head, row, column: this.heads.indexOf(head),
        keyHead: entry.keyHeads ? entry.keyHeads[at] : null,
        values: block.measures.map((it) => (it.values[row] || [])[at]),
      })));
      this.thumbs = new Map();
      this.detail = [Math.min(block.T, DETAIL), Math.min(block.S, DETAIL)];
    }

    /** Places all cells. `hole` keeps room for the large head under the row of one cell. */
    lay(width, { measure, inPlace, passes, falling }, hole) {
      const sorted = measure !== null && !inPlace;
      this.sorted = sorted;
      const columns = this.heads.length;
      const size = (room) => Math.floor((room - AXIS) / columns) - GAP;
      const room = width - SIDE - 28;
      this.beside = sorted ? room >= 5 * (LARGE + GAP) : size(room) >= 36;
      const used = this.beside ? room : width;
      this.size = sorted ? 60 : clamp(size(used), SMALL, LARGE);
      this.under = measure === null ? 0 : sorted ? 30 : 14;
      const pitch = [this.size + (sorted ? 14 : GAP), this.size + this.under + GAP];
      this.cells = this.all;
      let across = columns;
      if (sorted) {
        const value = (cell) => (Number.isFinite(cell.values[measure]) ? cell.values[measure] * (falling ? 1 : -1) : -Infinity);
        this.cells = this.all.filter(passes).sort((a, b) => value(b) - value(a));
        across = Math.max(1, Math.floor((used + 14) / pitch[0]));
      }
      const [x0, y0] = sorted ? [2, 4] : [AXIS, TOP];
      this.cells.forEach((cell, at) => {
        [cell.r, cell.c] = sorted ? [Math.floor(at / across), at % across] : [cell.row, cell.column];
        [cell.x, cell.y] = [x0 + cell.c * pitch[0], y0 + cell.r * pitch[1]];
        cell.faint = measure !== null && !passes(cell);
      });
      const rows = sorted ? Math.ceil(this.cells.length / across) : this.block.layers.length;
      this.width = x0 + Math.min(across, sorted ? this.cells.length : columns) * pitch[0] + 2;
      this.height = y0 + rows * pitch[1] + 2;
      this.hole = null;
      const above = hole && !this.beside && this.cells.includes(hole.cell) ? hole.cell.r : null;
      if (above !== null) {
        this.hole = { y: y0 + (above + 1) * pitch[1] + 4, height: hole.height + 16 };
        this.cells.forEach((cell) => { if (cell.r > above) cell.y += this.hole.height; });
        this.height += this.hole.height;
      }
    }

    at(x, y) {
      const half = GAP / 2;
      const within = (cell) => x >= cell.x - half && x < cell.x + this.size + half &&
        y >= cell.y - half && y < cell.y + this.size + half + this.under;
      return this.cells.find(within) || null;
    }

    find(layer, head) {
      return this.all.find((cell) => cell.layer === layer && cell.head === head) || null;
    }

    /** Keeps what is seen of a head; its weights may go. */
    keep(book, cell) {
      const [rows, columns] = this.detail;
      const matrix = book.matrix(this.block, cell.layer, cell.head);
      this.thumbs.set(cell, pooled(this.block, matrix, [0, matrix.T, 0, matrix.S], rows, columns));
    }

    /** A thumbnail of size x size pixels. */
    picture(cell, size, colors) {
      const [rows, columns] = this.detail;
      const thumb = this.thumbs.get(cell);
      const image = new ImageData(size, size);
      const pixels = new Uint32Array(image.data.buffer);
      const signed = this.block.kind === "difference";
      const from = Uint32Array.from({ length: size + 1 }, (_, at) => Math.floor(at * columns / size));
      for (let y = 0, top = 0; y < size; y++) {
        const bottom = Math.floor((y + 1) * rows / size);
        for (let x = 0; x < size; x++) {
          let most = 0;
          const right = Math.max(from[x] + 1, from[x + 1]);
          for (let i = top; i < Math.max(top + 1, bottom); i++) {
            for (let j = from[x]; j < right; j++) {
              const color = thumb[i * columns + j];
              if (signed && most ? color && Math.abs(color - 128) > Math.abs(most - 128) : color > most) most = color;
            }
          }
          pixels[y * size + x] = colors[most];
        }
        top = bottom;
      }
      return image;
    }

    draw(context, cells, measure, look) {
      const ratio = context.canvas.width / Math.max(1, this.width);
      const size = Math.max(1, Math.round(this.size * ratio));
      const colors = palette(this.block, look.dark);
      const scratch = element("canvas", { width: size, height: size });
      const small = scratch.getContext("2d");
      context.textBaseline = "top";
      for (const cell of cells) {
        context.globalAlpha = cell.faint ? 0.14 : 1;
        if (this.thumbs.has(cell)) {
          const [x, y] = [Math.round(cell.x * ratio) / ratio, Math.round(cell.y * ratio) / ratio];
          small.putImageData(this.picture(cell, size, colors), 0, 0);
          context.clearRect(x, y, size / ratio, size / ratio);
          context.imageSmoothingEnabled = false;
          context.drawImage(scratch, x, y, size / ratio, size / ratio);
          this.boundary(context, cell, look);
        }
        context.globalAlpha = cell.faint ? 0.05 : 0.35;
        context.strokeStyle = look.line;
        context.lineWidth = 1;
        context.strokeRect(cell.x - 0.5, cell.y - 0.5, this.size + 1, this.size + 1);
        context.globalAlpha = cell.faint ? 0.3 : 1;
        if (measure !== null) this.words(context, cell, measure, look);
      }
      context.globalAlpha = 1;
    }

    /** Where the second text of a pair begins. */
    boundary(context, cell, look) {
      const { T, S } = this.block;
      const second = boundaryOf(this.block);
      if (second === null) return;
      context.fillStyle = look.paper;
      context.fillRect(cell.x + this.size * second / S - 0.5, cell.y, 1, this.size);
      context.fillRect(cell.x, cell.y + this.size * second / T - 0.5, this.size, 1);
    }

    words(context, cell, measure, look) {
      const middle = cell.x + this.size / 2;
      const value = told(this.block.measures[measure], cell.values[measure], false);
      const y = cell.y + this.size + 3;
      context.textAlign = "center";
      context.fillStyle = look.ink;
      context.font = `${this.size < 40 ? 9 : 11}px ${look.font}`;
      if (this.sorted) {
        context.fillText(value, middle, y);
        context.fillStyle = look.muted;
        context.fillText(`L${cell.layer} H${cell.head}`, middle, y + 13);
      } else {
        context.fillText(value, middle, y);
      }
    }

    /** Numbers of layers and heads; a bracket over heads that read the same keys. */
    axes(context, look) {
      if (this.sorted) return;
      const { size, block } = this;
      context.font = `11px ${look.font}`;
      context.fillStyle = look.muted;
      context.textBaseline = "middle";
      context.textAlign = "right";
      context.fillText("head", AXIS - 9, TOP - 10);
      context.save();
      context.translate(9, TOP + 18);
      context.rotate(-Math.PI / 2);
      context.fillText("layer", 18, 0);
      context.restore();
      const rows = new Map(this.cells.map((cell) => [cell.row, cell]));
      context.fillStyle = look.ink;
      for (const [row, cell] of rows) context.fillText(block.layers[row], AXIS - 9, cell.y + size / 2);
      context.textAlign = "center";
      const step = Math.ceil(20 / (size + GAP));
      this.heads.forEach((head, column) => {
        if (column % step === 0) context.fillText(head, AXIS + column * (size + GAP) + size / 2, TOP - 10);
      });
    }
  }

  /** One head, large: a map with tokens on both sides, which can be zoomed into when the text is long. */
  class Large {
    constructor(root, view) {
      Object.assign(this, { root, view, cell: null, here: null, found: [], turn: -1, maps: new Map() });
      this.title = element("b", {});
      this.facts = element("p", { class: "fl-facts" });
      this.search = element("input", { type: "search", placeholder: "find a token", "aria-label": "Find a token in this head", size: "12" });
      this.place = element("div", {});
      this.box = element("div", { class: "fl-large", role: "region", "aria-label": "The open head" });
      this.box.hidden = true;
      const tools = element("div", { class: "fl-choosers" }, this.search);
      this.zoomers = [["−", "Show more tokens", () => this.zoom(2)], ["+", "Show fewer tokens, larger", () => this.zoom(0.5)],
        ["whole text", "Show all tokens", () => this.zoom(Infinity)]].map((it) => attention.button(tools, ...it));
      attention.button(tools, "CSV", "The numbers of this head as a table", () => view.csv());
      tools.append(attention.links(root, () => view.state()));
      const bar = element("div", { class: "fl-choosers" }, this.title);
      attention.button(bar, "×", "Close this head (Escape)", () => view.close());
      this.box.append(bar, this.facts, tools, this.place);
      this.canvas = attention.canvas(root, this.place, (context, width, height, look) => {
        if (this.cell && this.wide) this.draw(context, width, look);
      });
      this.listen(this.canvas.canvas);
    }

    show(cell) {
      const { block, book } = this.view;
      this.box.hidden = !cell;
      if (block !== this.block) this.window = [0, block.T, 0, block.S];
      if (block !== this.block || cell !== this.cell) this.maps.clear();
      Object.assign(this, { block, cell, here: null, matrix: cell && book.matrix(block, cell.layer, cell.head) });
      if (!cell) return;
      const reads = cell.keyHead === null ? "" : ` (key head ${cell.keyHead})`;
      this.title.textContent = `Layer ${cell.layer}, head ${cell.head}${reads}`;
      this.facts.replaceChildren(...block.measures.flatMap((measure, at) => {
        const value = element("b", {}, told(measure, cell.values[at]));
        return [element("span", { title: measure.about || "" }, `${measure.title} `, value), " "];
      }));
      const long = Math.max(block.T, block.S) > 16;
      this.zoomers.forEach((button) => { button.hidden = !long; });
      this.canvas.canvas.setAttribute("aria-label", `Weights of layer ${cell.layer}, head ${cell.head}: ${block.T} queries down, ` +
        `${block.S} keys across. Arrow keys move the cross-hair, Enter keeps its row, plus and minus zoom.`);
    }

    /** The tokens of a row or a column. */
    name(side, at) {
      const { pool } = this.block;
      const tokens = this.block[side].slice(at * pool, (at + 1) * pool).map(attention.label);
      return tokens.length > 1 ? `${tokens[0]} … ${tokens[tokens.length - 1]}` : tokens[0];
    }

    /** Takes a width; the height follows from the tokens. */
    fit(width) {
      const { T, S } = this.block;
      this.box.style.width = `${width}px`;
      const inside = this.place.clientWidth || width;
      const { context } = this.canvas;
      context.font = `12px ${attention.theme(this.root).font}`;
      const widest = (side, count) => {
        let most = 0;
        for (let at = 0; at < count; at += Math.ceil(count / 200)) {
          most = Math.max(most, context.measureText(attention.fit(context, this.name(side, at), NAME)).width);
        }
        return most;
      };
      const [down, across] = [widest("queries", T), widest("keys", S)];
      this.left = Math.max(36, down + 12);
      this.top = Math.max(36, across * SLOPE + 16);
      const room = Math.max(40, inside - this.left - across * 0.6 - 8);
      let [x, y] = [Math.min(CELL, room / S), Math.min(CELL, Math.min(room, 600) / T)];
      [x, y] = [Math.min(x, Math.max(14, 2 * y)), Math.min(y, Math.max(14, 2 * x))];
      [this.wide, this.high] = [x * S, y * T];
      this.canvas.resize({ height: this.top + this.high + 8 });
    }

    /** A part of the head as a picture, one dot for each weight or for the strongest of several. */
    map(part, height, width, dark) {
      const key = [...part, height, width, dark].join();
      if (!this.maps.has(key)) {
        if (this.maps.size > 3) this.maps.clear();
        const made = element("canvas", { width, height });
        const image = new ImageData(width, height);
        const colors = palette(this.block, dark);
        const pixels = new Uint32Array(image.data.buffer);
        pooled(this.block, this.matrix, part, height, width).forEach((color, at) => { pixels[at] = colors[color]; });
        made.getContext("2d").putImageData(image, 0, 0);
        this.maps.set(key, made);
      }
      return this.maps.get(key);
    }

    draw(context, width, look) {
      const { left, top, wide, high, block } = this;
      const [a, b, c, d] = this.window;
      const [x, y] = [wide / (d - c), high / (b - a)];
      const ratio = context.canvas.width / width;
      const dots = (count, room) => Math.min(count, Math.max(1, Math.round(room * ratio)));
      context.imageSmoothingEnabled = false;
      context.drawImage(this.map(this.window, dots(b - a, high), dots(d - c, wide), look.dark), left, top, wide, high);
      const second = boundaryOf(block);
      context.fillStyle = look.paper;
      if (second > a && second < b) context.fillRect(left, top + (second - a) * y - 1, wide, 2);
      if (second > c && second < d) context.fillRect(left + (second - c) * x - 1, top, 2, high);
      context.lineWidth = 1;
      context.strokeStyle = look.line;
      context.strokeRect(left - 0.5, top - 0.5, wide + 1, high + 1);

      const label = (side, at, strong) => this.label(context, look, side, at, strong, x, y);
      const every = (side, from, to, step) => {
        for (let at = Math.ceil(from / step) * step; at < to; at += step) label(side, at, false);
      };
      every("queries", a, b, Math.ceil(13 / y));
      every("keys", c, d, Math.ceil(16 / x));

      // The row of the chosen token, then the cross-hair.
      const pin = this.pin();
      const [row, column] = this.here || [null, null];
      const frame = (i, j, rows, columns) => context.strokeRect(left + (j - c) * x, top + (i - a) * y, columns * x, rows * y);
      const inside = (at, from, to) => at !== null && at >= from && at < to;
      context.strokeStyle = look.accent;
      context.lineWidth = 2;
      if (inside(pin, a, b)) {
        frame(pin, c, 1, d - c);
        label("queries", pin, true);
      }
      context.strokeStyle = "#fff";
      context.lineWidth = 1;
      if (inside(row, a, b)) {
        frame(row, c, 1, d - c);
        label("queries", row, true);
      }
      if (inside(column, c, d)) {
        frame(a, column, b - a, 1);
        label("keys", column, true);
      }
      if (this.zoomed()) this.overview(context, look);
    }

    label(context, look, side, at, strong, x, y) {
      const [a, , c] = this.window;
      const down = side === "queries";
      context.save();
      if (down) context.translate(this.left - 6, this.top + (at - a + 0.5) * y);
      else {
        context.translate(this.left + (at - c + 0.5) * x, this.top - 7);
        context.rotate(-Math.asin(SLOPE));
      }
      context.font = `${strong ? "bold " : ""}12px ${look.font}`;
      context.textAlign = down ? "right" : "left";
      context.textBaseline = "middle";
      const text = attention.fit(context, this.name(side, at), NAME);
      if (strong) {
        // It may stand where other tokens have their names.
        const long = NAME + 6;
        context.fillStyle = look.paper;
        context.fillRect(down ? -long : -2, -8, long, 16);
      }
      const special = (!down || !this.block.source.keys) && this.block.pool === 1 && this.block.special.has(at);
      context.fillStyle = special && !strong ? look.muted : look.ink;
      context.fillText(text, 0, 0);
      context.restore();
    }

    /** The row of the chosen token. */
    pin() {
      const { token } = this.view;
      return token === null ? null : Math.floor(token / this.block.pool);
    }

    zoomed() {
      const [a, b, c, d] = this.window;
      return b - a < this.block.T || d - c < this.block.S;
    }

    /** The whole head in the corner, with a frame round what is shown large. */
    overview(context, look) {
      const { T, S } = this.block;
      const [a, b, c, d] = this.window;
      const side = Math.min(this.left, this.top) - 10;
      this.corner = side;
      context.imageSmoothingEnabled = true;
      context.drawImage(this.map([0, T, 0, S], Math.min(T, 100), Math.min(S, 100), look.dark), 2, 2, side, side);
      context.strokeStyle = look.accent;
      context.lineWidth = 2;
      context.strokeRect(2 + side * c / S, 2 + side * a / T, side * (d - c) / S, side * (b - a) / T);
    }

    /** What lies under a point: a weight, a token of a side, the overview. */
    under([px, py]) {
      const { left, top, wide, high } = this;
      const [a, b, c, d] = this.window;
      if (this.zoomed() && px < this.corner + 4 && py < this.corner + 4) return { overview: true };
      const i = py >= top && py < top + high ? a + Math.floor((py - top) / high * (b - a)) : null;
      const j = px >= left && px < left + wide ? c + Math.floor((px - left) / wide * (d - c)) : null;
      if (i !== null && j !== null) return { at: this.strongest(i, j) };
      if (i !== null && px < left) return { at: [i, null] };
      return j !== null && py < top ? { at: [null, j] } : null;
    }

    /** Of the weights that share a dot, the one that the dot shows. */
    strongest(i, j) {
      const [a, b, c, d] = this.window;
      const [rows, columns] = [Math.ceil((b - a) / this.high), Math.ceil((d - c) / this.wide)];
      let best = [i, j];
      for (let y = i; y < Math.min(b, i + rows); y++) {
        for (let x = j; x < Math.min(d, j + columns); x++) {
          if (Math.abs(this.matrix.at(y, x)) > Math.abs(this.matrix.at(...best))) best = [y, x];
        }
      }
      return best;
    }

    /** A weight, or the strongest of a token, in words. */
    text([i, j]) {
      const { block, matrix } = this;
      if (i !== null && j !== null) {
        const place = `query ${i * block.pool + block.rows[0]}, key ${j * block.pool + block.columns[0]}`;
        return `${this.name("queries", i)} → ${this.name("keys", j)}\n${this.value(i, j)}\n${place}`;
      }
      const [all, side, arrow] = i !== null ? [matrix.row(i), "keys", "→"] : [matrix.column(j), "queries", "←"];
      const order = Array.from(all, (_, at) => at).sort((m, n) => Math.abs(all[n]) - Math.abs(all[m])).slice(0, 5);
      const best = order.filter((at) => all[at]).map((at) => `${arrow} ${this.name(side, at)}  ${this.value(i ?? at, j ?? at)}`);
      return [i !== null ? this.name("queries", i) : this.name("keys", j), ...best].join("\n");
    }

    value(i, j) {
      const { block, matrix } = this;
      if (block.source.causal && matrix.c0 + j > matrix.r0 + i) return "not seen: it comes later";
      const weight = matrix.at(i, j);
      const error = block.error.toPrecision(1);
      if (block.kind !== "difference" && weight === 0) return `less than ${error}`;
      return `${weight.toFixed(clamp(Math.ceil(-Math.log10(block.error || 1e-6)), 2, 6))} ± ${error}`;
    }

    listen(canvas) {
      let drag = null;
      canvas.setAttribute("tabindex", "0");
      canvas.setAttribute("role", "application");
      const overview = (event) => {
        const [px, py] = this.canvas.point(event);
        this.center((py - 2) / this.corner * this.block.T, (px - 2) / this.corner * this.block.S);
      };
      canvas.addEventListener("pointerdown", (event) => {
        const under = this.under(this.canvas.point(event));
        drag = { x: event.clientX, y: event.clientY, window: this.window, overview: under && under.overview, moved: false };
        canvas.setPointerCapture(event.pointerId);
        if (drag.overview) overview(event);
      });
      canvas.addEventListener("pointermove", (event) => {
        if (drag && event.buttons) {
          const [dx, dy] = [event.clientX - drag.x, event.clientY - drag.y];
          drag.moved ||= Math.abs(dx) + Math.abs(dy) > 4;
          if (drag.overview) return overview(event);
          if (drag.moved && this.zoomed()) {
            const [a, b, c, d] = drag.window;
            hideTip();
            return this.center((a + b) / 2 - dy / this.high * (b - a), (c + d) / 2 - dx / this.wide * (d - c));
          }
        }
        const under = this.under(this.canvas.point(event));
        this.point((under && under.at) || null);
        if (this.here) showTip(this.text(this.here), event.clientX, event.clientY);
        else hideTip();
      });
      canvas.addEventListener("pointerleave", () => { this.point(null); hideTip(); });
      canvas.addEventListener("click", (event) => {
        const under = this.under(this.canvas.point(event));
        const moved = drag && (drag.overview || (drag.moved && this.zoomed()));
        drag = null;
        if (moved || !under || !under.at || under.at[0] === null) return;
        const token = under.at[0] * this.block.pool;
        this.view.choose(this.pin() === under.at[0] ? null : token);
      });
      canvas.addEventListener("wheel", (event) => {
        const under = (event.ctrlKey || event.metaKey) && this.under(this.canvas.point(event));
        if (!under || !under.at) return;
        event.preventDefault();
        this.zoom(event.deltaY > 0 ? 1.25 : 0.8, under.at);
      }, { passive: false });
      canvas.addEventListener("keydown", (event) => this.key(event));
      this.search.addEventListener("input", () => this.find(this.search.value));
      this.search.addEventListener("keydown", (event) => {
        if (event.key === "Enter") this.next();
        if (event.key !== "Escape") event.stopPropagation();
      });
      this.box.addEventListener("keydown", (event) => {
        if (event.key !== "Escape") return;
        event.stopPropagation();
        this.view.close();
      });
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const { T, S } = this.block;
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      const [i, j] = this.here || [this.pin() ?? this.window[0], this.window[2]];
      if (step) this.reach([clamp((i ?? 0) + step[0], 0, T - 1), clamp((j ?? 0) + step[1], 0, S - 1)]);
      else if (event.key === "+" || event.key === "-") this.zoom(event.key === "+" ? 0.5 : 2, this.here);
      else if (event.key === "Enter" && i !== null) this.view.choose(this.pin() === i ? null : i * this.block.pool);
      else return;
      event.preventDefault();
      event.stopPropagation();
    }

    point(at) {
      if (String(at) === String(this.here)) return;
      this.here = at;
      this.canvas.redraw();
    }

    /** Moves the cross-hair, and the window along with it; tells what is there. */
    reach(at, before = "") {
      const [i, j] = (this.here = at);
      const [a, b, c, d] = this.window;
      if ((i !== null && (i < a || i >= b)) || (j !== null && (j < c || j >= d))) this.center(i ?? (a + b) / 2, j ?? (c + d) / 2);
      else this.canvas.redraw();
      attention.status(this.root, before + this.text(at).replaceAll("\n", ", "));
    }

    /** Shows so many times as many tokens; the token at a point stays where it is. */
    zoom(factor, at) {
      const { T, S } = this.block;
      const [a, b, c, d] = this.window;
      const [i, j] = at || [null, null];
      const count = (now, all) => clamp(Math.round(now * factor), Math.min(8, all), all);
      const [rows, columns] = [count(b - a, T), count(d - c, S)];
      const first = (from, to, size, fixed) => (
        fixed === null ? (from + to - size) / 2 : fixed - (fixed - from) * size / (to - from));
      this.move(first(a, b, rows, i), rows, first(c, d, columns, j), columns);
    }

    center(i, j) {
      const [a, b, c, d] = this.window;
      this.move(i - (b - a) / 2, b - a, j - (d - c) / 2, d - c);
    }

    move(top, rows, left, columns) {
      const { T, S } = this.block;
      const [a, c] = [clamp(Math.round(top), 0, T - rows), clamp(Math.round(left), 0, S - columns)];
      this.window = [a, a + rows, c, c + columns];
      this.canvas.redraw();
    }

    /** Finds tokens that contain a text, queries first. */
    find(text) {
      const wanted = text.trim().toLowerCase();
      const { block } = this;
      const within = (side, count, at) => Array.from({ length: wanted ? count : 0 }, (_, place) => place)
        .filter((place) => this.name(side, place).toLowerCase().includes(wanted)).map(at);
      this.found = within("queries", block.T, (place) => [place, null]);
      if (String(block.rows) !== String(block.columns) || block.source.keys) {
        this.found.push(...within("keys", block.S, (place) => [null, place]));
      }
      this.turn = -1;
      if (this.found.length) return this.next();
      this.point(null);
      attention.status(this.root, wanted ? `No token contains “${text}”.` : HINT);
    }

    next() {
      if (!this.found.length) return;
      this.turn = (this.turn + 1) % this.found.length;
      this.reach(this.found[this.turn], `${this.turn + 1} of ${this.found.length}, Enter goes on: `);
    }
  }

  class ModelView {
    constructor(root, data) {
      const book = attention.open(root, data);
      const { first } = data;
      Object.assign(this, { root, data, book, opened: null, cursor: null, token: first.token ?? null, grids: new Map() });
      this.order = { measure: null, falling: true, inPlace: false, limit: null, twelve: false };
      this.place = root.querySelector(".fl-picture");
      this.legend = root.querySelector(".fl-legend");
      this.field = element("div", { class: "fl-grid" });
      this.hover = element("div", { class: "fl-mark" });
      this.frame = element("div", { class: "fl-mark fl-open" });
      // A page that was saved with its controls gets them anew.
      root.querySelector(".fl-choosers").replaceChildren();
      this.controls();
      this.large = new Large(root, this);
      this.place.replaceChildren(this.field, this.large.box);
      this.canvas = attention.canvas(root, this.field, (context, width, height, look) => this.paint(context, look));
      this.field.append(this.hover, this.frame);
      this.listen(this.canvas.canvas);
      this.setBlock(book.block(first.block ?? 0));
      if (first.head != null) this.opened = this.grid.find(first.layer, first.head);
      this.cursor = this.opened || this.grid.all[0];
      attention.status(root, HINT);
      this.api = attention.attach(root, {
        select: (wanted) => this.select(wanted),
        state: () => this.state(),
        weights: (layer, head) => book.weights(this.block, layer, head),
        bounds: (layer, head) => this.bounds(layer, head),
        place: (token) => this.placeOf(token),
      });
      this.update();
      this.fill();
      new ResizeObserver(() => {
        if (root.isConnected && this.place.clientWidth !== this.width) this.update();
      }).observe(this.place);
      new IntersectionObserver(() => this.fill(), { threshold: [0, 0.25, 0.5, 0.75, 1] }).observe(this.place);
      addEventListener("scroll", () => this.fill(), { capture: true, passive: true });
    }

    controls() {
      const { root, book, order } = this;
      if (book.blocks.length > 1) {
        this.blocks = attention.chooser(root, "Attention", book.blocks.map((it) => it.label), (at) => this.select({ block: at }));
      }
      this.orders = attention.chooser(root, "Order", ["by layer"], () => {});
      this.filter = attention.group(root, "Filter");
      const toggle = (text, title, press) => attention.button(this.filter, text, title, press, { toggle: true });
      this.direction = attention.button(this.filter, "", "The other way round", () => this.reorder({ falling: !order.falling, limit: null }));
      this.slider = element("input", { type: "range", min: "0", max: "100", value: "0" });
      this.least = element("output", {});
      this.slider.addEventListener("input", () => {
        const [low, high] = this.range();
        const share = this.slider.value / 100;
        this.reorder({ limit: share === 0 ? null : order.falling ? low + share * (high - low) : high - share * (high - low), twelve: false });
      });
      this.slider.addEventListener("keydown", (event) => event.stopPropagation());
      this.filter.append(element("label", {}, this.slider, " ", this.least));
      this.twelve = toggle("", "Only these", (on) => this.reorder({ twelve: on, limit: null }));
      this.inPlace = toggle("in place", "Keeps every head in its layer and column", (on) => this.reorder({ inPlace: on }));
    }

    setBlock(block) {
      this.block = block;
      if (!this.grids.has(block)) this.grids.set(block, new Grid(block));
      this.grid = this.grids.get(block);
      const measure = this.order.measure === null ? null : this.measures[this.order.measure].name;
      this.measures = block.measures;
      const at = this.measures.findIndex((it) => it.name === measure);
      this.order.measure = at < 0 ? null : at;
      this.orders.place.remove();
      this.orders = attention.chooser(this.root, "Order", ["by layer", ...this.measures.map((it) => it.title.toLowerCase())],
        (chosen) => this.reorder({ measure: chosen ? chosen - 1 : null, limit: null, twelve: false }));
      this.filter.before(this.orders.place);
      const same = (cell) => cell && this.grid.find(cell.layer, cell.head);
      [this.opened, this.cursor] = [same(this.opened) || null, same(this.cursor) || this.grid.all[0]];
      if (this.token >= block.queries.length) this.token = null;
      this.legendFor = null;
    }

    // ---- Order ----

    reorder(changes) {
      Object.assign(this.order, changes);
      const measure = this.measures[this.order.measure];
      if ("measure" in changes) attention.status(this.root, measure ? `${measure.title}: ${measure.about}` : HINT);
      this.update();
      this.fill();
      this.api.changed();
    }

    values() {
      return this.grid.all.map((cell) => cell.values[this.order.measure]).filter(Number.isFinite);
    }

    range() {
      const values = this.values();
      return [Math.min(...values), Math.max(...values)];
    }

    /** The filter as a test of a cell. */
    passes() {
      const { measure, limit, twelve, falling } = this.order;
      if (measure === null) return () => true;
      const sign = falling ? 1 : -1;
      let least = limit === null ? -Infinity : limit * sign;
      if (twelve) least = this.values().map((value) => value * sign).sort((a, b) => b - a)[11] ?? -Infinity;
      return (cell) => (Number.isFinite(cell.values[measure]) ? cell.values[measure] * sign >= least : least === -Infinity);
    }

    showOrder() {
      const { measure, limit, twelve, falling, inPlace } = this.order;
      this.orders.place.hidden = !this.measures.length;
      if (this.blocks) this.blocks.set(this.book.blocks.indexOf(this.block));
      this.orders.set(measure === null ? 0 : measure + 1);
      this.filter.hidden = measure === null;
      if (measure === null) return;
      const [low, high] = this.range();
      this.direction.textContent = falling ? "↓ most first" : "↑ least first";
      const edge = limit ?? (falling ? low : high);
      this.slider.value = high > low ? Math.round(100 * (falling ? edge - low : high - edge) / (high - low)) : 0;
      this.least.textContent = `${falling ? "at least" : "at most"} ${told(this.measures[measure], edge)}`;
      this.slider.setAttribute("aria-label", this.least.textContent);
      this.twelve.textContent = falling ? "12 with most" : "12 with least";
      this.twelve.setAttribute("aria-pressed", String(twelve));
      this.inPlace.setAttribute("aria-pressed", String(inPlace));
    }

    // ---- Drawing ----

    /** Places and draws everything anew. */
    update() {
      this.showOrder();
      if (this.large.cell !== this.opened || this.large.block !== this.block) this.large.show(this.opened);
      this.width = this.place.clientWidth;
      const width = this.width || 900;
      const options = { ...this.order, passes: this.passes() };
      this.grid.lay(width, options, null);
      const { box } = this.large;
      if (this.opened) {
        this.large.fit(this.grid.beside ? Math.min(720, width - this.grid.width - 24) : Math.min(720, width - 4));
        if (!this.grid.beside) this.grid.lay(width, options, { cell: this.opened, height: box.offsetHeight });
      }
      this.field.style.width = `${this.grid.width}px`;
      this.canvas.resize({ width: this.grid.width, height: this.grid.height });
      let bottom = this.grid.height;
      if (this.opened) {
        const top = this.grid.hole ? this.grid.hole.y : this.grid.beside ? this.topInSight(box.offsetHeight) : this.grid.height + 8;
        box.style.top = `${top}px`;
        box.style.left = `${this.grid.beside ? this.grid.width + 20 : this.place.scrollLeft + 2}px`;
        bottom = Math.max(bottom, top + box.offsetHeight + 2);
      }
      this.place.style.height = `${bottom + (this.grid.width > width ? 18 : 0)}px`;
      this.marks();
    }

    /** Where beside the grid the large head can be seen, however far the page has been scrolled. */
    topInSight(height) {
      let scroller = this.place.parentElement;
      while (scroller && !(scroller.scrollHeight > scroller.clientHeight + 1 && /auto|scroll/.test(getComputedStyle(scroller).overflowY))) {
        scroller = scroller.parentElement;
      }
      const edge = Math.max(0, scroller ? scroller.getBoundingClientRect().top : 0) + 8;
      return clamp(edge - this.place.getBoundingClientRect().top, 0, Math.max(0, this.grid.height - height));
    }

    marks() {
      const { size, cells } = this.grid;
      const put = (mark, cell) => {
        mark.hidden = !cell || !cells.includes(cell);
        if (mark.hidden) return;
        Object.assign(mark.style, { left: `${cell.x - 3}px`, top: `${cell.y - 3}px`, width: `${size + 6}px`, height: `${size + 6}px` });
      };
      const keys = this.canvas.canvas.matches(":focus-visible");
      put(this.hover, this.pointed || (keys ? this.cursor : null));
      put(this.frame, this.opened);
    }

    paint(context, look) {
      this.look = look;
      this.grid.axes(context, look);
      this.grid.draw(context, this.grid.cells, this.order.measure, look);
      const legend = `${this.block.name} ${look.dark}`;
      if (legend !== this.legendFor) this.showLegend(look);
      this.legendFor = legend;
    }

    showLegend({ dark }) {
      const { kind, scale, error, T, S, pool, source } = this.block;
      const difference = kind === "difference";
      const shares = difference ? [-1, -0.25, 0, 0.25, 1] : [0, 0.01, 0.05, 0.2, 0.5, 1];
      const key = (share) => {
        const color = difference ? attention.signed(Math.sign(share) * Math.sqrt(Math.abs(share)), dark) : attention.cividis(Math.sqrt(share));
        const value = share * scale;
        return element("span", { class: "fl-key" }, element("i", { style: `background:rgb(${color})` }), `${+value.toPrecision(2)}`);
      };
      const notes = [`colours follow the square root, so that faint weights show; numbers are exact to ${error.toPrecision(1)}`];
      if (source.causal) notes.push("blank: later tokens, not seen");
      const [rows, columns] = this.grid.detail;
      if (rows < T || columns < S || pool > 1) notes.push("of tokens that share a dot, the largest weight shows");
      this.legend.replaceChildren(element("p", { class: "fl-keys" },
        element("b", {}, difference ? "Difference" : kind === "weight" ? "Weight" : "Attention"), ...shares.map(key)),
      element("p", { class: "fl-keys" }, `${notes.join("; ")}.`));
    }

    // ---- Unpacking ----

    /** Cells without a picture, those in sight first; how many of them are in sight. */
    missing() {
      const { grid } = this;
      const top = this.canvas.canvas.getBoundingClientRect().top;
      const inSight = (cell) => top + cell.y + grid.size > 0 && top + cell.y < innerHeight;
      const wanting = grid.cells.filter((cell) => !grid.thumbs.has(cell));
      const near = wanting.filter(inSight);
      return [[...near, ...wanting.filter((cell) => !inSight(cell))], near.length];
    }

    /** Draws what is in sight, then the rest in idle time. A few weights are there at once, many layer by layer. */
    async fill() {
      if (this.filling) return;
      this.filling = true;
      try {
        for (;;) {
          const [cells, near] = this.missing();
          if (!near) this.root.dataset.state = "drawn";
          if (!cells.length) break;
          if (!near) await new Promise((done) => (globalThis.requestIdleCallback || setTimeout)(done, { timeout: 300 }));
          const { block, grid } = this;
          const each = block.source.queries.length * (block.source.keys || block.source.queries).length;
          if (each * cells.length > AT_ONCE) await this.book.prefetch(block, [cells[0].layer]);
          if (grid !== this.grid) continue;
          const some = each * cells.length > AT_ONCE ? cells.filter((cell) => cell.layer === cells[0].layer) : cells;
          some.forEach((cell) => grid.keep(this.book, cell));
          if (this.canvas.width) grid.draw(this.canvas.context, some, this.order.measure, this.look);
        }
      } catch (error) {
        this.root.dataset.state = "failed";
        attention.status(this.root, `This view could not be drawn: ${error.message}`);
        console.error("flowlens:", error);
      } finally {
        this.filling = false;
      }
    }

    // ---- Pointing and keys ----

    words(cell) {
      const reads = cell.keyHead === null ? "" : `, key head ${cell.keyHead}`;
      return [`Layer ${cell.layer}, head ${cell.head}${reads}`,
        ...this.measures.map((measure, at) => `${measure.title}: ${told(measure, cell.values[at])}`)].join("\n");
    }

    listen(canvas) {
      canvas.setAttribute("tabindex", "0");
      canvas.setAttribute("role", "application");
      canvas.setAttribute("aria-roledescription", "grid of attention heads");
      const under = (event) => this.grid.at(...this.canvas.point(event));
      canvas.addEventListener("pointermove", (event) => {
        this.pointed = under(event);
        canvas.style.cursor = this.pointed ? "pointer" : "";
        this.marks();
        if (this.pointed) showTip(this.words(this.pointed), event.clientX, event.clientY);
        else hideTip();
      });
      canvas.addEventListener("pointerleave", () => {
        this.pointed = null;
        this.marks();
        hideTip();
      });
      canvas.addEventListener("click", (event) => {
        const cell = under(event);
        if (!cell) return;
        this.cursor = cell;
        this.open(cell === this.opened ? null : cell);
      });
      canvas.addEventListener("focus", () => { this.marks(); this.tell(); });
      canvas.addEventListener("blur", () => this.marks());
      canvas.addEventListener("keydown", (event) => this.key(event));
    }

    tell() {
      const where = this.words(this.cursor).replaceAll("\n", ", ");
      this.canvas.canvas.setAttribute("aria-label", `${where}. ${this.cursor === this.opened ? "Open" : "Enter opens it"}.`);
    }

    key(event) {
      if (event.ctrlKey || event.metaKey || event.altKey) return;
      const { cells } = this.grid;
      const here = cells.includes(this.cursor) ? this.cursor : cells[0];
      const step = { ArrowUp: [-1, 0], ArrowDown: [1, 0], ArrowLeft: [0, -1], ArrowRight: [0, 1] }[event.key];
      if (event.key === "Escape" && this.opened) this.close();
      else if (here && (event.key === "Enter" || event.key === " ")) {
        this.cursor = here;
        this.open(here === this.opened ? null : here);
        this.tell();
      } else if (here && (step || event.key === "Home" || event.key === "End")) {
        const line = cells.filter((cell) => (step && step[0] ? cell.c === here.c : cell.r === here.r));
        const at = line.indexOf(here);
        const next = step ? at + step[0] + step[1] : event.key === "Home" ? 0 : line.length - 1;
        this.cursor = line[clamp(next, 0, line.length - 1)];
        this.marks();
        this.hover.scrollIntoView({ block: "nearest", inline: "nearest" });
        this.tell();
        attention.status(this.root, this.words(this.cursor).replaceAll("\n", ", "));
      } else return;
      event.preventDefault();
      event.stopPropagation();
    }

    open(cell) {
      hideTip();
      this.opened = cell;
      this.update();
      attention.status(this.root, cell ? `${this.words(cell).replaceAll("\n", ", ")}. Point at the map for tokens and weights.` : HINT);
      this.api.changed();
    }

    /** Closes the large head; keys go on in the grid. */
    close() {
      const within = this.large.box.contains(document.activeElement);
      this.open(null);
      if (within) this.canvas.canvas.focus({ preventScroll: true });
    }

    choose(token) {
      this.token = token;
      this.large.canvas.redraw();
      this.api.changed();
    }

    csv() {
      const { layer, head } = this.opened;
      const name = `${this.data.model} ${this.block.name} layer ${layer} head ${head}`.replace(/[^\w.-]+/g, "_");
      attention.csv(`${name}.csv`, attention.numbers(this.block, layer, head));
    }

    // ---- The page's way in ----

    select(wanted) {
      const block = wanted.block === undefined ? this.block : this.book.block(wanted.block);
      const head = wanted.head === undefined && wanted.heads ? wanted.heads[0] ?? null : wanted.head;
      let cell = this.opened;
      if (wanted.layer === null || head === null) cell = null;
      else if (wanted.layer !== undefined || head !== undefined) {
        const from = this.opened || this.cursor;
        const layer = wanted.layer ?? from.layer;
        const { heads } = this.book.layer(block, layer);
        const chosen = head ?? (heads.includes(from.head) ? from.head : heads[0]);
        if (!heads.includes(chosen)) throw attention.unknown("head", chosen, `layer ${layer} of this view`, heads);
        cell = { layer, head: chosen };
      }
      const { token } = wanted;
      if (token != null && !(Number.isInteger(token) && token >= 0 && token < block.queries.length)) {
        throw attention.unknown("token", token, `block "${block.name}" of this view`, [...block.queries.keys()]);
      }
      let measure = this.order.measure;
      if (wanted.order !== undefined) {
        const names = ["layer", ...block.measures.map((it) => it.name)];
        if (!names.includes(wanted.order)) throw attention.unknown("order", wanted.order, "this view", names);
        measure = wanted.order === "layer" ? null : names.indexOf(wanted.order) - 1;
      }

      if (block !== this.block) this.setBlock(block);
      const { falling, inPlace, limit, twelve } = { ...this.order, ...wanted };
      this.order = Object.assign(this.order, { measure, falling, inPlace, limit, twelve });
      if (token !== undefined) this.token = token;
      this.opened = cell && this.grid.find(cell.layer, cell.head);
      this.cursor = this.opened || this.cursor;
      this.update();
      this.large.canvas.redraw();
      this.fill();
      this.api.changed();
    }

    state() {
      const { block, opened, token, grid } = this;
      const { measure, falling, inPlace, limit, twelve } = this.order;
      return {
        view: "model", block: block.name, blocks: this.book.blocks.map((it) => it.name),
        layer: opened ? opened.layer : null, layers: [...block.layers],
        head: opened ? opened.head : null, heads: opened ? [opened.head] : [], allHeads: [...grid.heads],
        token, tokens: [block.T, block.S],
        order: measure === null ? "layer" : this.measures[measure].name, falling, inPlace, limit, twelve,
        shown: grid.cells.filter((cell) => !cell.faint).map(({ layer, head }) => [layer, head]),
      };
    }

    bounds(layer, head) {
      this.book.matrix && this.book.layer(this.block, layer);
      const cell = this.grid.find(layer, head);
      if (!cell) throw attention.unknown("head", head, `layer ${layer} of this view`, this.book.heads(this.block, layer));
      if (!this.grid.cells.includes(cell)) return new DOMRect();
      return this.canvas.rect(cell.x, cell.y, this.grid.size, this.grid.size);
    }

    placeOf({ query, key }) {
      const { large } = this;
      if (!this.opened) return new DOMRect();
      const [a, b, c, d] = large.window;
      const down = query !== undefined;
      const at = Math.floor((down ? query : key) / this.block.pool);
      const [x, y] = [large.wide / (d - c), large.high / (b - a)];
      return down ? large.canvas.rect(0, large.top + (at - a) * y, large.left - 4, y)
        : large.canvas.rect(large.left + (at - c) * x, 0, x, large.top - 4);
    }
  }

  views.model = (root, data) => new ModelView(root, data);
})();
