// @ts-check
// What all views of trajectories share: waiting for Plotly, choosers, what is chosen and how scripts change it, the
// cursor under pointer and keys, tables.
import { chooser, group, status } from "../controls.js";
import { csv, table } from "../csv.js";
import { keys } from "../keys.js";
import { element, hideTip, library, showTip, WITHOUT_LIBRARY } from "../page.js";
import { onTheme, theme } from "../theme.js";
import { open } from "./numbers.js";
import { Plot } from "./plot.js";

/** How long a view waits for Plotly before it says that there is none, in milliseconds. */
const PATIENCE = 4000;
/** Two clicks are one double click when no more than this lies between them, in milliseconds. */
const TWICE = 400;
/** Rows that a table shows. */
const MOST_ROWS = 600;

/** A view; each kind says what its panels are, what can be chosen and what lies under a cell. */
export class View {
  /** @param {any} root @param {any} data */
  constructor(root, data, label) {
    Object.assign(this, { root, data });
    this.root = root;
    this.data = data;
    this.numbers = open(root);
    this.place = root.querySelector(".fl-picture");
    /** @type {any} the cell under pointer or keys */
    this.cell = null;
    this.label = label;
    root.dataset.lmSuppressShortcuts = "true";
    root.flowlens = {
      state: () => this.state(),
      select: (wish = {}) => this.select(wish),
      bounds: (...cell) => this.bounds(...cell),
    };
  }

  // ---- What each kind of view says for itself ----

  /** What is shown and what there is. @returns {object} */
  state() { return {}; }

  /** Takes over a wish, or throws and leaves everything as it is. */
  take(_wish) {}

  /** Shows in the choosers what is chosen. */
  markChoice() {}

  /** The panels for a width; and how high and, where that differs, how wide they are. @returns {{panels: any[], height: number, width?: number}} */
  panels(_width, _colors) { return { panels: [], height: 100 }; }

  /** What a point of a panel belongs to. @returns {any} */
  cellAt(_found) { return null; }

  /** What to say of a cell. @returns {string} */
  tell(_cell) { return ""; }

  /** Which parts of panels a cell frames. @returns {any[]} */
  framed(_cell) { return []; }

  /** What a key does. @returns {(() => void) | null} */
  keyed(_key) { return null; }

  /** What a click on a cell does. */
  click(_cell) {}

  /** What else Escape closes. */
  closed() {}

  /** Tables of what is shown: heads and rows. @returns {{heads: string[], rows: (string | number)[][]}[]} */
  tables() { return []; }

  /** After Plotly has drawn. */
  drawn(_fresh) {}

  // ---- From the still picture to Plotly's ----

  /** Puts the table under the picture; choosers wait until they do something. */
  dress() {
    const { root } = this;
    this.details = element("details", { class: "fl-numbers" }, element("summary", {}, "The numbers as a table"));
    this.scroll = element("div", { class: "fl-scroll", tabindex: "0" });
    this.details.append(this.scroll);
    this.details.addEventListener("toggle", () => this.fill());
    root.querySelector(".fl-caption").after(this.details);
    root.querySelector(".fl-choosers").hidden = true;
  }

  start() {
    const { root } = this;
    this.dress();
    const note = element("p", { class: "fl-note" });
    const without = (error) => {
      note.textContent = error ? `A still picture, without Plotly: ${error.message}.` : `A still picture: ${WITHOUT_LIBRARY}`;
      this.details.before(note);
      root.dataset.picture = "svg";
      root.dataset.state = "drawn";
    };
    const patience = setTimeout(() => without(null), PATIENCE);
    library().then(async (loaded) => {
      clearTimeout(patience);
      await this.plotWith(loaded);
      note.remove();
      root.dataset.picture = "plotly";
      root.dataset.state = "drawn";
    }).catch((error) => {
      clearTimeout(patience);
      this.plot?.box.remove();
      this.still?.forEach((it) => { it.hidden = false; });
      without(error);
    });
  }

  async plotWith(loaded) {
    this.plot = new Plot(this.root, this.place, this.label);
    this.plot.library = loaded;
    await this.takeOver();
  }

  /** Draws in the place of the still picture. */
  async takeOver() {
    const { place, root } = this;
    this.still = [...place.children].filter((it) => it !== this.plot.box);
    root.querySelector(".fl-choosers").hidden = false;
    this.listen();
    this.still.forEach((it) => { it.hidden = true; });
    await this.redraw(true);
    this.still.forEach((it) => it.remove());
    onTheme(root, () => this.redraw());
    new ResizeObserver(() => {
      if (this.width && Math.abs(this.room() - this.width) > 2) this.redraw();
    }).observe(root);
  }

  /** As wide as there is room, within reason. */
  room() {
    return Math.max(320, Math.min(1180, Math.floor(this.place.clientWidth)));
  }

  async redraw(fresh = false) {
    if (!this.plot) return;
    hideTip();
    this.cell = null;
    this.width = this.room();
    const { panels, height, width = this.width } = this.panels(this.width, theme(this.root));
    await this.plot.draw(panels, width, height);
    this.markChoice();
    this.fill();
    this.drawn(fresh);
  }

  // ---- Choosing ----

  async select(wish) {
    this.take(wish);
    this.markChoice();
    this.root.dispatchEvent(new CustomEvent("flowlens-select", { bubbles: true, detail: this.state() }));
    await this.redraw();
  }

  /** Tells a page of a new state that is drawn already. */
  changed() {
    this.markChoice();
    this.root.dispatchEvent(new CustomEvent("flowlens-select", { bubbles: true, detail: this.state() }));
  }

  chooser(name, names, choose) {
    return chooser(this.root, name, names, choose);
  }

  /** Numbered squares of heads, any of which can be on. */
  squares(name, choose) {
    const place = group(this.root, name);
    const box = element("div", { class: "fl-squares" });
    place.append(element("span", { class: "fl-name" }, name), box);
    return (numbers, on, colorOf) => {
      if (box.dataset.numbers !== numbers.join()) {
        box.dataset.numbers = numbers.join();
        box.replaceChildren(...numbers.map((number) => {
          const made = element("button", { type: "button", title: `head ${number}` }, String(number));
          made.addEventListener("click", () => choose(number));
          return made;
        }));
      }
      [...box.children].forEach((made, at) => {
        const pressed = on.includes(numbers[at]);
        made.setAttribute("aria-pressed", String(pressed));
        const color = colorOf(numbers[at]);
        Object.assign(made.style, { borderColor: color, background: pressed ? color : "transparent" });
      });
      place.hidden = !numbers.length;
    };
  }

  // ---- Pointer and keys ----

  listen() {
    const { box } = this.plot;
    box.addEventListener("pointermove", (event) => {
      if (event.buttons) return hideTip();
      const found = this.plot.under(event);
      const cell = found && this.cellAt(found);
      this.point(cell);
      if (cell) showTip(this.tell(cell), event.clientX, event.clientY);
      return cell;
    });
    box.addEventListener("pointerleave", () => this.point(null));
    let down = null;
    let before = -Infinity;
    box.addEventListener("pointerdown", (event) => { down = event; }, { capture: true });
    // Plotly's own drag cover takes the click away, so it is told by where the pointer came up.
    addEventListener("pointerup", (event) => {
      const still = down && Math.hypot(event.clientX - down.clientX, event.clientY - down.clientY) < 4;
      const found = still && this.plot.under(down);
      down = null;
      // Twice at one place: everything again.
      const twice = still && event.timeStamp - before < TWICE;
      before = still ? event.timeStamp : -Infinity;
      if (twice && this.plot.zoomed.size) return this.plot.whole();
      const cell = found && this.cellAt(found);
      if (cell) this.click(cell);
      return null;
    }, { capture: true });
    box.addEventListener("focusout", () => this.point(null));
    keys(box, (event) => {
      if (event.target !== box) return null;
      if (event.key === "Escape") {
        return () => {
          this.point(null);
          this.plot.whole();
          this.closed();
        };
      }
      return this.keyed(event.key);
    });
  }

  /** Shows what belongs to a cell; nothing again with null. */
  point(cell) {
    if (!cell) hideTip();
    if (JSON.stringify(cell) === JSON.stringify(this.cell)) return;
    this.cell = cell;
    this.plot.mark(cell ? this.framed(cell) : []);
    this.pointed(cell);
  }

  /** What else a view does when another cell is under the pointer. */
  pointed(_cell) {}

  /** Goes to a cell by keys: framed, told beside it, and read out. */
  go(cell) {
    this.point(cell);
    const [first] = this.framed(cell);
    if (!first) return;
    const { right, bottom } = this.plot.bounds(first.panel, first.from, first.to);
    const text = this.tell(cell);
    showTip(text, right, bottom);
    status(this.root, text.replaceAll("\n", " · "));
  }

  bounds(...cell) {
    const [first] = this.framed(this.named(...cell));
    return first && this.plot.bounds(first.panel, first.from, first.to);
  }

  /** A cell by what names it. @returns {any} */
  named(..._cell) { return null; }

  // ---- Numbers ----

  fill() {
    if (!this.details.open) return;
    this.scroll.replaceChildren(...this.tables().map(({ heads, rows }) => {
      const cut = rows.slice(0, MOST_ROWS);
      const made = element("table", {},
        element("thead", {}, element("tr", {}, ...heads.map((head) => element("th", { scope: "col" }, head)))),
        element("tbody", {}, ...cut.map((row) => element("tr", {}, ...row.map((cell) => element("td", {}, String(cell)))))));
      const more = rows.length > cut.length ? [element("p", { class: "fl-note" }, `${rows.length - cut.length} more rows; the CSV has them.`)] : [];
      return element("div", {}, made, ...more);
    }));
  }

  /** A button for the tables as CSV. */
  offer() {
    const made = element("button", { type: "button", title: "The numbers that are shown" }, "CSV");
    made.addEventListener("click", () => {
      const text = this.tables().map(({ heads, rows }) => table([heads, ...rows])).join("\n");
      csv(`${this.root.dataset.view.replaceAll("-", "_")}.csv`, text);
    });
    group(this.root).append(made);
  }
}
