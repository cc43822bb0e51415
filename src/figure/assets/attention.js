// What the attention views share: their data unpacked, colours, canvases that follow size and theme, and small controls.
(() => {
  "use strict";
  const { flowlens } = globalThis;
  if (flowlens.attention) return;
  const { element, inflate } = flowlens;

  /** Unpacked layers of one view may take this much; what was not asked for longest goes first. */
  const ROOM = 96 * 2 ** 20;
  /** A canvas larger than this is drawn coarser, since a browser shows nothing of one past its limit. */
  const SIDE = 16384;
  const AREA = 2 ** 24;

  // ---- Data ----

  /** "0 to 11", or the names one by one. */
  function among(names) {
    const inRow = names.length > 2 && names.every((name, at) => Number.isInteger(name) && name === names[0] + at);
    return inRow ? `${names[0]} to ${names[names.length - 1]}` : names.join(", ") || "none";
  }

  function unknown(what, name, owner, names) {
    return new RangeError(`${what} ${JSON.stringify(name) ?? name}: ${owner} has ${among(names)}`);
  }

  function fromBase64(text) {
    if (Uint8Array.fromBase64) return Uint8Array.fromBase64(text);
    const letters = atob(text);
    const bytes = new Uint8Array(letters.length);
    for (let at = 0; at < bytes.length; at++) bytes[at] = letters.charCodeAt(at);
    return bytes;
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
  function open(root, data, room = ROOM) {
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

      numbers: (block, layer, head) => numbers(book.block(block), layer, head),
      kept: kept.sizes,
    };
    for (const block of blocks) Object.defineProperty(block, "book", { value: book });
    runs.set(root, data.run);
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
      const count = bytes.length >> 2;
      const words = new Uint32Array(count);
      for (let at = 0; at < count; at++) {
        words[at] = bytes[at] | (bytes[at + count] << 8) | (bytes[at + 2 * count] << 16) | (bytes[at + 3 * count] << 24);
      }
      return kept.put(key, new Float32Array(words.buffer), 4 * count);
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

  // ---- Colours ----

  // Okabe and Ito's eight, darker or lighter where the paper would swallow them.
  const LIGHT = ["#0072b2", "#d55e00", "#00835f", "#b5568c", "#b07c00", "#2f9bd8", "#8c8400", "#4a4a4a"];
  const DARK = ["#4aa3e8", "#ff8142", "#1fc296", "#e48fc0", "#e69f00", "#8fd0f7", "#f0e442", "#c9c9c9"];

  /** The colour of the n-th head, for light or dark paper: past the eight every hue is far from the ones before. */
  function headColor(index, dark) {
    if (index < 8) return (dark ? DARK : LIGHT)[index];
    const hue = (index * 137.508 + (dark ? 132 : 216)) % 360;
    const lightness = (dark ? [0.65, 0.5, 0.82] : [0.38, 0.2, 0.33])[index % 3];
    const chroma = (dark ? [1, 0.5] : [0.45, 0.9])[index % 2] * Math.min(lightness, 1 - lightness);
    const channels = [0, 8, 4].map((turn) => {
      const place = (turn + hue / 30) % 12;
      return Math.round(255 * (lightness - chroma * clamp(Math.min(place - 3, 9 - place), -1, 1)));
    });
    return `#${channels.map((byte) => byte.toString(16).padStart(2, "0")).join("")}`;
  }

  const between = (a, b, part) => a.map((value, channel) => Math.round(value + (b[channel] - value) * part));
  const clamp = (value, low, high) => (value > low ? Math.min(value, high) : low);

  // The same eighteen samples as in theme.rs.
  const CIVIDIS = (
    "00204c 002a66 00346e 273f6c 3c4a6b 4c556b 5b5f6d 686a70 757575 " +
    "838178 928c78 a19876 b0a572 c0b16d d1bf66 e1cc5c f3db4f ffe945"
  ).split(" ").map((hex) => [0, 2, 4].map((at) => parseInt(hex.slice(at, at + 2), 16)));

  /** The colour of a magnitude between 0 and 1. */
  function cividis(x) {
    const place = clamp(x, 0, 1) * (CIVIDIS.length - 1);
    const low = Math.min(Math.floor(place), CIVIDIS.length - 2);
    return between(CIVIDIS[low], CIVIDIS[low + 1], place - low);
  }

  const cividisTable = Uint8Array.from({ length: 256 * 3 }, (_, at) => cividis(Math.floor(at / 3) / 255)[at % 3]);

  /** The colour of a signed value between -1 (blue) and 1 (orange); nothing is the colour of the paper. */
  function signed(x, dark = false) {
    const place = clamp(x, -1, 1);
    const paper = dark ? [30, 34, 40] : [247, 247, 247];
    const half = dark ? [[38, 94, 148], [160, 82, 20]] : [[107, 174, 224], [245, 165, 92]];
    const full = dark ? [[92, 178, 255], [255, 157, 61]] : [[0, 82, 147], [176, 71, 0]];
    const side = place < 0 ? 0 : 1;
    const size = 2 * Math.abs(place);
    return size <= 1 ? between(paper, half[side], size) : between(half[side], full[side], size - 1);
  }

  // ---- Theme ----

  const luminances = new Map();

  /** How light a CSS colour is, 0 to 1, in whatever notation; painted, since a notation may be newer than this script. */
  function luminance(color) {
    if (!luminances.has(color)) {
      const canvas = document.createElement("canvas");
      canvas.width = canvas.height = 1;
      const context = canvas.getContext("2d", { willReadFrequently: true });
      context.fillStyle = color;
      context.fillRect(0, 0, 1, 1);
      const [red, green, blue, alpha] = context.getImageData(0, 0, 1, 1).data;
      luminances.set(color, alpha ? (0.299 * red + 0.587 * green + 0.114 * blue) / 255 : 0);
    }
    return luminances.get(color);
  }

  /** The colours of the page as CSS, whether it is dark, and its font family. The ink tells, not the system's setting. */
  function theme(root) {
    const style = getComputedStyle(root);
    const value = (name) => style.getPropertyValue(`--fl-${name}`).trim();
    const [muted, line, paper, accent] = ["muted", "line", "paper", "accent"].map(value);
    return { ink: style.color, muted, line, paper, accent, dark: luminance(style.color) > 0.5, font: style.fontFamily };
  }

  // What is to be drawn anew, by view: a view that has left the page is forgotten with all that hangs on it.
  const redraws = new WeakMap();
  const seen = new WeakMap();
  let watching = false;

  /** Calls `redraw` whenever host or system changes the colours of the view, or the resolution of the window. */
  function onTheme(root, redraw) {
    if (!redraws.has(root)) redraws.set(root, []);
    redraws.get(root).push(redraw);
    seen.set(root, looks(root));
    if (watching) return;
    watching = true;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", changed);
    addEventListener("resize", compare);
    const observer = new MutationObserver(changed);
    for (const place of [document.documentElement, document.body]) observer.observe(place, { attributes: true });
  }

  const looks = (root) => JSON.stringify([theme(root), devicePixelRatio]);

  function compare() {
    for (const root of document.querySelectorAll(".flowlens-view")) {
      if (!redraws.has(root)) continue;
      const now = looks(root);
      if (now === seen.get(root)) continue;
      seen.set(root, now);
      redraws.get(root).forEach((redraw) => redraw());
    }
  }

  // A host's style sheet may arrive after its attribute, and its colours may fade over.
  let late;
  function changed() {
    compare();
    clearTimeout(late);
    late = setTimeout(compare, 400);
  }

  // ---- Canvas ----

  /**
   * A canvas as wide as its place, at the resolution of the screen. `draw(context, width, height, theme)` runs in CSS
   * pixels on a cleared canvas, at every change of width and theme and whenever `redraw` is called. The height is
   * `resize`'s, and must not follow from the width by way of scroll bars.
   */
  function canvas(root, parent, draw) {
    const made = element("canvas", { class: "fl-canvas" });
    const context = made.getContext("2d");
    let width = 0;
    let height = 150;
    let wanted = Infinity;
    const inner = () => {
      const { paddingLeft, paddingRight } = getComputedStyle(parent);
      return Math.floor(parent.clientWidth - parseFloat(paddingLeft) - parseFloat(paddingRight));
    };
    const self = {
      canvas: made,
      context,
      get width() { return width; },
      get height() { return height; },
      /** A new height, a width narrower than the place, or both; then draws. */
      resize(size = {}) {
        if (size.height) height = Math.ceil(size.height);
        if (size.width !== undefined) wanted = size.width || Infinity;
        width = Math.max(0, Math.min(inner(), Math.ceil(wanted)));
        self.redraw();
      },
      redraw() {
        made.style.height = `${height}px`;
        // A view in a closed output has no width; it draws when it gets one.
        if (!(width > 0)) return;
        made.style.width = `${width}px`;
        const coarse = Math.min(SIDE / width, SIDE / height, Math.sqrt(AREA / (width * height)));
        const ratio = Math.min(devicePixelRatio || 1, coarse);
        const [across, down] = [Math.round(width * ratio), Math.round(height * ratio)];
        if (made.width !== across || made.height !== down) {
          made.width = across;
          made.height = down;
        }
        context.setTransform(1, 0, 0, 1, 0, 0);
        context.clearRect(0, 0, across, down);
        context.setTransform(across / width, 0, 0, down / height, 0, 0);
        draw(context, width, height, theme(root));
      },
      /** Where an event happened, in the canvas's own pixels. */
      point(event) {
        const box = made.getBoundingClientRect();
        return [event.clientX - box.left, event.clientY - box.top];
      },
      /** Where a part of the canvas lies in the window. */
      rect(x, y, w, h) {
        const box = made.getBoundingClientRect();
        return new DOMRect(box.left + x, box.top + y, w, h);
      },
    };
    parent.append(made);
    width = Math.max(0, inner());
    new ResizeObserver(() => {
      if (Math.min(inner(), Math.ceil(wanted)) !== width) self.resize();
    }).observe(parent);
    onTheme(root, self.redraw);
    return self;
  }

  /**
   * Scrolls a box to a place, at once. What a wheel is still moving when that happens does not move the box away again:
   * the place is kept until the reader scrolls anew.
   */
  function scroller(box) {
    let kept = null;
    const release = () => { kept = null; };
    for (const input of ["wheel", "pointerdown", "touchstart", "keydown"]) {
      box.addEventListener(input, release, { passive: true, capture: true });
    }
    box.addEventListener("scroll", () => {
      if (kept !== null && Math.abs(box.scrollTop - kept) > 1) box.scrollTop = kept;
    }, { passive: true });
    return (top) => {
      box.scrollTop = top;
      kept = box.scrollTop;
    };
  }

  /** A token without the mark of the blank before it; of an endless one, both ends. */
  function label(token) {
    const shown = token.length > 1 && token.startsWith("␣") ? token.slice(1) : token;
    if (shown.length <= 200) return shown;
    const letters = Array.from(shown);
    return `${letters.slice(0, 100).join("")}…${letters.slice(-99).join("")}`;
  }

  const fitted = new Map();

  /** The text, cut in its middle where it is wider than so many pixels in the context's font. */
  function fit(context, text, width) {
    const key = `${context.font}\n${Math.floor(width)}\n${text}`;
    const known = fitted.get(key);
    if (known !== undefined) return known;
    const letters = Array.from(text);
    const cut = (kept) => {
      if (kept >= letters.length) return text;
      const tail = Math.floor(kept / 2);
      return `${letters.slice(0, kept - tail).join("")}…${tail ? letters.slice(-tail).join("") : ""}`;
    };
    let kept = letters.length;
    if (context.measureText(text).width > width) {
      let low = 0;
      while (low < kept - 1) {
        const middle = (low + kept) >> 1;
        if (context.measureText(cut(middle)).width <= width) low = middle;
        else kept = middle;
      }
      kept = low;
    }
    const result = cut(kept);
    if (fitted.size > 5000) fitted.clear();
    fitted.set(key, result);
    return result;
  }

  // ---- Controls ----

  /** A place for buttons in the row of choosers. */
  function group(root, name = "") {
    const made = element("div", { class: "fl-group", role: "group" });
    if (name) made.setAttribute("aria-label", name);
    root.querySelector(".fl-choosers").append(made);
    return made;
  }

  /** A button in a group, or in one of its own; one with `toggle` stays down, and `press` is told so. */
  function button(place, text, title, press, { toggle = false, on = false } = {}) {
    const made = element("button", { type: "button", title }, text);
    if (toggle) made.setAttribute("aria-pressed", String(on));
    made.addEventListener("click", () => {
      const down = toggle && made.getAttribute("aria-pressed") !== "true";
      if (toggle) made.setAttribute("aria-pressed", String(down));
      press(down);
    });
    (place.classList.contains("flowlens-view") ? group(place) : place).append(made);
    return made;
  }

  /** Chooses one of several names: by buttons when they are few and short, else from a list. `set` shows another choice. */
  function chooser(root, name, names, choose) {
    const place = group(root, name);
    let shown = [];
    let mark;
    const fill = (list) => {
      shown = list;
      if (list.length <= 6 && list.join("").length <= 48) {
        const buttons = list.map((text) => element("button", { type: "button", "aria-pressed": "false" }, text));
        buttons.forEach((made, at) => made.addEventListener("click", () => {
          mark(at);
          choose(at);
        }));
        mark = (at) => buttons.forEach((made, other) => made.setAttribute("aria-pressed", String(other === at)));
        place.replaceChildren(element("span", { class: "fl-name" }, name), ...buttons);
      } else {
        const select = element("select", {}, ...list.map((text, at) => element("option", { value: at }, text)));
        select.addEventListener("change", () => choose(Number(select.value)));
        mark = (at) => { select.value = String(at); };
        place.replaceChildren(element("label", {}, `${name} `, select));
      }
    };
    const texts = (list) => list.map((text) => label(String(text)));
    fill(texts(names));
    mark(0);
    return {
      place,
      set(at, list) {
        const next = list && texts(list);
        if (next && next.join("\n") !== shown.join("\n")) fill(next);
        mark(at);
      },
    };
  }

  /** Gives the root its page API; `changed` tells the page of a new state. */
  function attach(root, api) {
    api.changed = () => {
      root.dispatchEvent(new CustomEvent("flowlens-select", { bubbles: true, detail: api.state() }));
    };
    root.flowlens = api;
    // JupyterLab leaves the keys to the view.
    root.dataset.lmSuppressShortcuts = "true";
    return api;
  }

  const runs = new WeakMap();
  const linked = new WeakMap();

  /** Buttons that show what is chosen here in the other views of the same run. `state` may be a function. */
  function links(root, state) {
    const place = group(root, "Other views");
    const refresh = () => {
      const others = ["head", "model", "neuron", "rollout"].filter((view) => view !== root.dataset.view && other(root, view));
      if (others.join() === place.dataset.views) return;
      place.dataset.views = others.join();
      place.replaceChildren();
      for (const view of others) {
        button(place, `Open in ${view} view`, `Shows this choice in the ${view} view of the same run on this page`, () => {
          const target = other(root, view);
          if (!target) return refresh();
          const { block, layer, head, token } = typeof state === "function" ? state() : state;
          let wanted = { block, layer, head, token };
          // A rollout has no heads, and takes a text as a whole.
          if (view === "rollout") wanted = target.flowlens.state().blocks.includes(block) ? { block, layer, token } : {};
          try {
            target.flowlens.select(Object.fromEntries(Object.entries(wanted).filter(([, value]) => value != null)));
          } catch (error) {
            return status(root, `The ${view} view does not show this: ${error.message}`);
          }
          const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
          target.scrollIntoView({ block: "center", behavior: calm ? "auto" : "smooth" });
        });
      }
      place.hidden = !others.length;
    };
    linked.set(root, refresh);
    refresh();
    return place;
  }

  /** The nearest view of that kind and of the same run that has drawn. */
  function other(root, view) {
    const all = [...document.querySelectorAll(".flowlens-view")];
    const here = all.indexOf(root);
    const fits = (one) => one !== root && one.flowlens && one.dataset.view === view && runs.get(one) === runs.get(root);
    const distance = (one) => Math.abs(all.indexOf(one) - here);
    return all.filter(fits).sort((a, b) => distance(a) - distance(b))[0];
  }

  // Views of later cells come later.
  document.addEventListener("flowlens-drawn", () => {
    for (const root of document.querySelectorAll(".flowlens-view")) if (linked.has(root)) linked.get(root)();
  });

  /** A line of text under the picture, read out when it changes. */
  function status(root, text) {
    let line = root.querySelector(".fl-status");
    if (!line) {
      line = element("p", { class: "fl-hint fl-status", "aria-live": "polite" });
      [...root.querySelectorAll(".fl-panel")].pop().after(line);
    }
    if (line.textContent !== text) line.textContent = text;
    return line;
  }

  // ---- Numbers to take away ----

  /** Offers a text as a file. */
  function csv(name, text) {
    const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
    const link = element("a", { href: address, download: name });
    document.body.append(link);
    link.click();
    link.remove();
    setTimeout(() => URL.revokeObjectURL(address), 10000);
  }

  /** The shown matrix of a head as CSV: keys across, queries down, each with its position. */
  function numbers(block, layer, head) {
    const matrix = block.book.matrix(block, layer, head);
    const quote = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);
    const names = (tokens, count, first) => Array.from({ length: count }, (_, at) => {
      if (block.pool === 1) return quote(`${first + at} ${tokens[at]}`);
      const from = at * block.pool;
      const part = tokens.slice(from, from + block.pool);
      return quote(`${first + from} to ${first + from + part.length - 1} ${part.join(" ")}`);
    });
    const across = names(block.keys, matrix.S, block.columns[0]);
    const down = names(block.queries, matrix.T, block.rows[0]);
    const lines = down.map((name, i) => [name, ...Array.from(matrix.row(i), (value) => +value.toPrecision(6))].join(","));
    return `${[quote("query \\ key"), ...across].join(",")}\n${lines.join("\n")}\n`;
  }

  flowlens.attention = {
    open, headColor, cividis, cividisTable, signed, theme, onTheme, canvas, scroller, label, fit, chooser, button, group, attach, links,
    status, csv, numbers, unknown,
  };
})();
