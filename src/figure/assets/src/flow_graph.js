// @ts-check
// The flow graph. The static picture answers at once; when plotly.js is there, its Sankey takes the picture's place,
// in the same places, and answers in the same way.
import { keys } from "./keys.js";
import { chooser, element, hideTip, library as plotly, picture, PLOTLY, register, showTip, takeTitle, WITHOUT_LIBRARY } from "./page.js";

const HINT = "Point at a node or a ribbon for its numbers. Click a node to trace where it comes from and where it " +
  "goes. Keys: arrows move along the strongest ribbons, Enter traces, Escape shows everything.";

/** The node that a shape or the word beside it stands for. */
const nodeOf = (shape) => shape.dataset.node || shape.dataset.label;

class Picture {
  hint;
  info;
  place;

  constructor(place, info, hint) {
    Object.assign(this, { place, info, hint, traced: null, plot: null });
    this.svg = picture(place);
    this.nodes = new Map();
    this.links = [];
    const words = new Map([...this.svg.querySelectorAll("text[data-label]")].map((it) => [it.dataset.label, it.textContent]));
    for (const shape of this.svg.querySelectorAll("[data-node]")) {
      const box = shape.firstElementChild;
      const number = (name) => Number(box.getAttribute(name));
      this.nodes.set(shape.dataset.node, {
        column: Number(shape.dataset.column), y: number("y") + number("height") / 2,
        word: words.get(shape.dataset.node), text: takeTitle(shape), from: [], to: [],
      });
    }
    for (const shape of this.svg.querySelectorAll("[data-link]")) {
      const [source, target] = shape.dataset.ends.split(" ");
      const solid = shape.classList.contains("fl-solid");
      const link = { id: shape.dataset.link, source, target, text: takeTitle(shape), solid };
      this.links.push(link);
      this.nodes.get(source).to.push(link);
      this.nodes.get(target).from.push(link);
    }
    const weights = new Map(info.links.map((link, at) => [String(link), info.trace.link.value[at]]));
    this.links.forEach((link) => { link.weight = weights.get(link.id); });
    this.reachable(this.svg);
    this.listen();
    this.fit();
  }

  /** Gives nodes names and a place in the order of keys. */
  reachable(drawing) {
    let first = true;
    for (const shape of drawing.querySelectorAll("[data-node]")) {
      const node = this.nodes.get(shape.dataset.node);
      shape.setAttribute("tabindex", first ? "0" : "-1");
      shape.setAttribute("role", "button");
      shape.setAttribute("aria-label", `${node.word}. ${node.text.slice(0, 200)}`);
      first = false;
    }
  }

  listen() {
    const part = (event) => event.target.closest && event.target.closest("[data-node],[data-link],[data-label]");
    this.place.addEventListener("pointermove", (event) => {
      const shape = part(event);
      this.here(shape);
      if (shape) showTip(this.textOf(shape), event.clientX, event.clientY);
      else hideTip();
    });
    this.place.addEventListener("pointerleave", () => { this.here(null); hideTip(); });
    this.place.addEventListener("click", (event) => {
      const shape = part(event);
      if (shape && shape.dataset.link) return;
      const id = shape && nodeOf(shape);
      this.trace(id === this.traced ? null : id);
      // From here keys go on: Escape must work after a click on a word, too.
      if (id) this.focus(id);
    });
    this.place.addEventListener("focusin", (event) => {
      const shape = part(event);
      if (!shape || !shape.dataset.node || !shape.matches(":focus-visible")) return;
      const { right, bottom } = shape.getBoundingClientRect();
      showTip(this.textOf(shape), right, bottom);
    });
    this.place.addEventListener("focusout", hideTip);
    keys(this.place, (event) => {
      const shape = part(event);
      const id = shape && shape.dataset.node;
      if (event.key === "Escape") return () => this.trace(null);
      if (id && (event.key === "Enter" || event.key === " ")) return () => this.trace(id === this.traced ? null : id);
      return id && event.key.startsWith("Arrow") && (() => this.focus(this.beside(id, event.key)));
    });
  }

  /** The node that an arrow key leads to. */
  beside(id, key) {
    const node = this.nodes.get(id);
    const strongest = (links) => links.reduce((best, link) => (best && best.weight >= link.weight ? best : link), null);
    if (key === "ArrowRight") return (strongest(node.to) || { target: id }).target;
    if (key === "ArrowLeft") return (strongest(node.from) || { source: id }).source;
    const column = [...this.nodes].filter(([, other]) => other.column === node.column).sort((a, b) => a[1].y - b[1].y);
    const at = column.findIndex(([other]) => other === id) + (key === "ArrowDown" ? 1 : -1);
    return (column[at] || [id])[0];
  }

  focus(id) {
    for (const shape of this.shapes("[data-node]")) {
      const chosen = shape.dataset.node === id;
      shape.setAttribute("tabindex", chosen ? "0" : "-1");
      if (chosen) {
        shape.focus({ preventScroll: true });
        shape.scrollIntoView({ block: "nearest", inline: "nearest" });
      }
    }
  }

  shapes(selector) {
    return this.place.querySelectorAll(selector);
  }

  textOf(shape) {
    if (!shape.dataset.link) return this.nodes.get(nodeOf(shape)).text;
    const link = this.links.find((it) => it.id === shape.dataset.link);
    return `${this.nodes.get(link.source).word} → ${this.nodes.get(link.target).word}\n${link.text}`;
  }

  /** Marks the part under the pointer. */
  here(shape) {
    if (this.under === shape) return;
    if (this.under) this.under.classList.remove("fl-here");
    if (shape) shape.classList.add("fl-here");
    this.under = shape;
  }

  /** Dims everything that neither leads to a node nor comes from it; everything is back with `null`. */
  trace(id) {
    this.traced = id;
    const nodes = new Set();
    const links = new Set();
    const follow = (start, side, end) => {
      const queue = [start];
      const seen = new Set(queue);
      while (queue.length) {
        for (const link of this.nodes.get(queue.pop())[side]) {
          links.add(link.id);
          if (!seen.has(link[end])) queue.push(link[end]);
          seen.add(link[end]);
        }
      }
      seen.forEach((node) => nodes.add(node));
      return seen.size - 1;
    };
    let told = HINT;
    if (id !== null && id !== undefined) {
      const before = follow(id, "from", "source");
      const after = follow(id, "to", "target");
      told = `Traced “${this.nodes.get(id).word}”: ${before} nodes lead to it, it leads to ${after}. Escape shows everything.`;
    }
    const dim = (shape, known) => shape.classList.toggle("fl-dim", nodes.size > 0 && !known);
    this.shapes("[data-node]").forEach((shape) => {
      dim(shape, nodes.has(shape.dataset.node));
      shape.classList.toggle("fl-traced", shape.dataset.node === id);
    });
    this.shapes("[data-label]").forEach((shape) => dim(shape, nodes.has(shape.dataset.label)));
    this.shapes("[data-link]").forEach((shape) => dim(shape, links.has(shape.dataset.link)));
    if (this.hint.textContent !== told) this.hint.textContent = told;
  }

  /** How much larger than on paper the picture is drawn: as wide as there is room, or with a scroll bar when its
   *  words would become too small to read. */
  scale() {
    const fit = (this.place.clientWidth || this.info.width) / this.info.width;
    return fit < 0.75 ? 1 : Math.min(1.35, fit);
  }

  /** Over a picture that must be scrolled the whole of it, small: it tells something at first sight, and where one is. */
  overview() {
    const { place } = this;
    const wide = place.scrollWidth > 1.3 * place.clientWidth;
    if (wide && !this.map) {
      const copy = this.svg.cloneNode(true);
      copy.querySelectorAll("text").forEach((it) => it.remove());
      copy.setAttribute("preserveAspectRatio", "none");
      const drawing = encodeURIComponent(new XMLSerializer().serializeToString(copy));
      this.frame = element("div", { class: "fl-mark fl-open" });
      // Keys go from node to node, and the picture along with them.
      this.map = element("div", { class: "fl-map", "aria-hidden": "true" }, this.frame);
      this.map.style.backgroundImage = `url("data:image/svg+xml,${drawing}")`;
      const go = (event) => {
        if (event.buttons !== 1) return;
        const { left, width } = this.map.getBoundingClientRect();
        place.scrollLeft = ((event.clientX - left) / width) * place.scrollWidth - place.clientWidth / 2;
      };
      this.map.addEventListener("pointerdown", go);
      this.map.addEventListener("pointermove", go);
      place.addEventListener("scroll", () => this.inSight(), { passive: true });
      place.before(this.map);
    }
    if (!this.map) return;
    this.map.hidden = !wide;
    this.inSight();
  }

  /** Frames in the small picture what is seen of the large one. */
  inSight() {
    const { scrollLeft, scrollWidth, clientWidth } = this.place;
    const part = (length) => `${(100 * length) / scrollWidth}%`;
    Object.assign(this.frame.style, { left: part(scrollLeft), width: part(clientWidth), top: "0", bottom: "0" });
  }

  async fit() {
    const scale = this.scale();
    if (this.fitted && Math.abs(scale / this.fitted - 1) < 0.01) return this.overview();
    this.fitted = scale;
    this.svg.setAttribute("width", this.info.width * scale);
    this.svg.setAttribute("height", this.info.height * scale);
    if (this.plot) await this.plotWith(this.library);
    return this.overview();
  }

  /** Lets Plotly draw, then gives its parts the same names as in the static picture. */
  async plotWith(library) {
    this.library = library;
    const scale = (this.fitted = this.scale());
    const [width, height] = [this.info.width * scale, this.info.height * scale];
    const trace = structuredClone(this.info.trace);
    trace.node.thickness *= scale;
    const layout = {
      width, height, margin: { l: 0, r: 0, t: 0, b: 0 }, paper_bgcolor: "rgba(0,0,0,0)", plot_bgcolor: "rgba(0,0,0,0)",
      font: { size: 11 * scale, color: getComputedStyle(this.place).color }, hovermode: "closest",
    };
    const file = this.place.dataset.name.replace(/\W+/g, "_");
    const config = {
      ...PLOTLY, modeBarButtons: [["toImage"]],
      toImageButtonOptions: { format: "svg", filename: `flow_graph_${file}` },
    };
    const fresh = !this.plot;
    const plot = this.plot || element("div", {});
    if (fresh) this.place.append(plot);
    try {
      await (fresh ? library.newPlot(plot, [trace], layout, config) : library.react(plot, [trace], layout, config));
    } catch (error) {
      if (fresh) plot.remove();
      throw error;
    }
    this.plot = plot;
    this.svg.remove();
    this.name(plot, scale);
    this.trace(this.traced);
    if (fresh) this.reachable(plot);
  }

  name(plot, scale) {
    for (const shape of plot.querySelectorAll(".sankey-node")) {
      shape.dataset.node = this.info.nodes[shape.__data__.node.pointNumber];
    }
    const solid = new Map(this.links.map((link) => [link.id, link.solid]));
    for (const shape of plot.querySelectorAll(".sankey-link")) {
      shape.dataset.link = this.info.links[shape.__data__.link.pointNumber];
      shape.classList.toggle("fl-solid", solid.get(shape.dataset.link));
    }
    plot.querySelectorAll(".fl-over").forEach((old) => old.remove());
    const over = this.svg.querySelector(".fl-over").cloneNode(true);
    over.setAttribute("transform", `scale(${scale})`);
    plot.querySelector(".main-svg").append(over);
  }

  /** The same in numbers, as two tables. */
  tables() {
    const table = (heads, rows) => element("table", {},
      element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
      element("tbody", {}, ...rows.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, cell))))));
    const word = (id) => this.nodes.get(id).word;
    return [
      table(["node", "reads as"], [...this.nodes.values()].map((node) => [node.word, node.text])),
      table(["from", "to", "link"], this.links.map((link) => [word(link.source), word(link.target), link.text])),
    ];
  }
}

/** @param {any} root @param {import("./payload.js").FlowGraph} data */
function view(root, data) {
  const panels = [...root.querySelectorAll(".fl-panel")];
  const pictures = [];
  const hint = element("p", { class: "fl-hint", "aria-live": "polite" }, HINT);
  const note = element("p", { class: "fl-note" });
  const numbers = element("details", { class: "fl-numbers" }, element("summary", {}, "The numbers as a table"));
  const tables = element("div", { class: "fl-scroll", tabindex: "0" });
  numbers.append(tables);
  root.querySelector(".fl-caption").after(hint, numbers);
  root.dataset.lmSuppressShortcuts = "true";
  const first = data.open < panels.length ? data.open : 0;
  let shown = first;
  let library = null;

  const settle = (picture) => {
    root.dataset.picture = picture;
    root.dataset.state = "drawn";
  };
  const withPlotly = async (picture) => {
    try {
      await picture.plotWith(library);
      note.remove();
      settle("plotly");
    } catch (error) {
      without(error);
    }
  };
  const without = (error) => {
    note.textContent = error ? `Drawn without Plotly: ${error.message}. Pointing, clicking and keys work all the same.`
      : `Drawn without Plotly; pointing, clicking and keys work all the same. ${WITHOUT_LIBRARY}`;
    numbers.after(note);
    settle("svg");
  };
  const fill = () => {
    if (numbers.open) tables.replaceChildren(...pictures[shown].tables());
  };
  const show = (at) => {
    shown = at;
    panels.forEach((panel, other) => { panel.hidden = other !== at; });
    hint.textContent = HINT;
    const picture = (pictures[at] ||= new Picture(panels[at].querySelector(".fl-picture"), data.panels[at], hint));
    picture.fit();
    picture.trace(picture.traced);
    if (library && !picture.plot) withPlotly(picture);
    fill();
  };

  numbers.addEventListener("toggle", fill);
  root.querySelectorAll(".fl-panel-name").forEach((name) => name.remove());
  if (panels.length > 1) {
    chooser(root, "Part of the model", panels.map((panel) => panel.querySelector(".fl-picture").dataset.name), show, first);
  }
  if (panels.length) show(first);
  new ResizeObserver(() => { if (pictures[shown]) pictures[shown].fit(); }).observe(root);

  const patience = setTimeout(() => without(null), 4000);
  plotly().then((loaded) => {
    clearTimeout(patience);
    library = loaded;
    return pictures[shown] ? withPlotly(pictures[shown]) : settle("plotly");
  }).catch((error) => {
    clearTimeout(patience);
    without(error);
  });
}

register("FLOWLENS_BUILD", { "flow-graph": view });
