// @ts-check
// What all views share: taking over the figures of a page, plotly.js, the tooltip, rows of choosers.
// `flowlens` is the one global name. Each figure names the script that it was made with by a hash of its content, and
// no other script touches it: outputs of several versions live on one page.

/**
 * @typedef {(root: HTMLElement, data: any) => void} Take takes over a static picture
 * @typedef {object} Page
 * @property {Record<string, Record<string, Take>>} builds views by the hash of their script and their name
 * @property {Promise<any>} plotly
 * @property {() => Promise<void>} unpack
 * @property {() => void} draw
 * @property {boolean} [unpacking]
 * @property {any} [module]
 */

/** @type {any} */
const world = globalThis;

/**
 * Makes a script's views known; a script that ran before counts.
 * @param {string} hash
 * @param {Record<string, Take>} views
 */
export function register(hash, views) {
  const { builds } = page();
  builds[hash] = { ...views, ...builds[hash] };
}

/** The page's one object; older scripts' objects go on for the figures that they brought. @returns {Page} */
function page() {
  if (world.flowlens && world.flowlens.builds) return world.flowlens;
  const before = world.flowlens;
  let arrived, lost;
  const plotly = new Promise((resolve, reject) => { arrived = resolve; lost = reject; });
  plotly.catch(() => {});
  /** @type {Page} */
  const made = {
    builds: {},
    plotly,
    unpack: () => unpack(made, arrived, lost),
    draw() {
      draw(made.builds);
      if (before) before.draw();
    },
  };
  world.flowlens = made;
  addEventListener("scroll", hideTip, { capture: true, passive: true });
  return made;
}

/** Of every drawing with Plotly: a token such as `$x$` is no formula, also where the page has MathJax. */
export const PLOTLY = { displaylogo: false, responsive: false, showTips: false, typesetMath: false };

/** What a figure says that no output has brought plotly.js to. */
export const WITHOUT_LIBRARY = "Plotly came with another cell's output, which is not here. Run this cell again to have it drawn; " +
  "if that is not enough, restart the kernel first.";

/** plotly.js, once an output has brought it. @returns {Promise<any>} */
export function library() {
  const flowlens = page();
  flowlens.unpack();
  return flowlens.plotly;
}

/** Where every output has a frame of its own: the frames beside this one that it may look into. @returns {any[]} */
function neighbours() {
  const all = parent === window ? [] : Array.from({ length: parent.length }, (_, at) => parent[at]);
  return all.filter((frame) => {
    try {
      return frame !== window && frame.document;
    } catch { // of another origin
      return false;
    }
  });
}

/** Unpacks plotly.js, which one output carries for all figures of the page, or of the frames beside it. */
async function unpack(flowlens, arrived, lost) {
  if (flowlens.unpacking) return;
  const carried = ({ document: place }) => place.querySelector("script[data-flowlens-plotly]");
  const beside = neighbours();
  const packed = carried(window) || beside.map(carried).find(Boolean);
  if (!packed) return;
  flowlens.unpacking = true;
  try {
    if (!globalThis.DecompressionStream) throw new Error("this browser cannot unpack it (no DecompressionStream)");
    const bytes = Uint8Array.from(atob(packed.textContent.trim()), (letter) => letter.charCodeAt(0));
    const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
    const code = await new Response(stream).text();
    // Within a function of its own it finds a module to fill, and no loader of the page; the names that it leaves on
    // the window are given back to whoever had them.
    const names = ["Plotly", "PlotlyGeoAssets"];
    const before = names.map((name) => Object.getOwnPropertyDescriptor(window, name));
    const module = (flowlens.module = { exports: {} });
    const script = document.createElement("script");
    script.textContent = `(function(module,exports,define){${code}\n})(flowlens.module,flowlens.module.exports)`;
    document.head.append(script);
    script.remove();
    delete flowlens.module;
    names.forEach((name, at) => {
      if (before[at]) Object.defineProperty(window, name, before[at]);
      else delete window[name];
    });
    if (!module.exports.newPlot) throw new Error("its script did not run");
    arrived(module.exports);
    for (const frame of beside) frame.flowlens?.unpack?.();
  } catch (error) {
    lost(error);
  }
}

/** Takes over the static pictures that no script has taken yet, each by the script that it came with. */
function draw(builds) {
  /** @type {NodeListOf<HTMLElement>} */
  const roots = document.querySelectorAll('.flowlens-view[data-state="static"]');
  for (const root of roots) {
    const view = builds[root.dataset.script]?.[root.dataset.view];
    if (!view) continue;
    root.dataset.state = "drawing";
    try {
      view(root, JSON.parse(root.querySelector(".fl-data").textContent));
    } catch (error) {
      root.dataset.state = "failed";
      console.error("flowlens:", error);
    }
  }
  document.dispatchEvent(new Event("flowlens-drawn"));
}

/** Shows lines of text near a point of the window; nothing of them is read as HTML. */
export function showTip(text, x, y) {
  /** @type {any} */
  let tip = document.querySelector("body > .fl-tip");
  if (!tip) {
    tip = document.createElement("div");
    tip.className = "fl-tip";
    tip.setAttribute("role", "tooltip");
    document.body.append(tip);
  }
  if (tip.flowlensText !== text) {
    tip.flowlensText = text;
    tip.replaceChildren(...text.split("\n").map((line) => element("p", {}, line)));
  }
  tip.hidden = false;
  const { width, height } = tip.getBoundingClientRect();
  const left = x + 14 + width > innerWidth - 6 ? x - width - 14 : x + 14;
  const top = y + 16 + height > innerHeight - 6 ? y - height - 12 : y + 16;
  tip.style.left = `${Math.max(6, Math.min(left, innerWidth - width - 6))}px`;
  tip.style.top = `${Math.max(6, top)}px`;
}

export function hideTip() {
  /** @type {HTMLElement | null} */
  const tip = document.querySelector("body > .fl-tip");
  if (tip) tip.hidden = true;
}

export function element(name, attributes, ...content) {
  const made = document.createElement(name);
  for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
  made.append(...content);
  return made;
}

/** The picture of a place that answers; where an image stood for it, it waits in a script beside the image. */
export function picture(place) {
  const waiting = place.querySelector('script[type="image/svg+xml"]');
  if (waiting) {
    const template = document.createElement("template");
    template.innerHTML = waiting.textContent;
    place.replaceChildren(template.content);
  }
  return place.querySelector("svg");
}

/** The text of an element's <title>, which is taken out: the tooltip shows it from now on. */
export function takeTitle(owner) {
  const title = owner.querySelector("title");
  const text = title ? title.textContent : "";
  if (title) title.remove();
  return text;
}

/** A row of buttons, or a list when there are many, to choose one of several names. */
export function chooser(root, label, names, choose, first = 0) {
  const place = root.querySelector(".fl-choosers");
  const group = element("div", { class: "fl-group", role: "group", "aria-label": label });
  if (names.length > 12) {
    const list = element("select", { "aria-label": label }, ...names.map((name, at) => element("option", { value: at }, name)));
    list.addEventListener("change", () => choose(Number(list.value)));
    list.value = String(first);
    group.append(list);
  } else {
    const buttons = names.map((name) => element("button", { type: "button", "aria-pressed": "false" }, name));
    buttons.forEach((button, at) => button.addEventListener("click", () => {
      buttons.forEach((other) => other.setAttribute("aria-pressed", String(other === button)));
      choose(at);
    }));
    buttons[first].setAttribute("aria-pressed", "true");
    group.append(...buttons);
  }
  place.append(group);
}
