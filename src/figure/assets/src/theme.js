// @ts-check
// The colours of the host, and what to do when they change.

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
export function theme(root) {
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
export function onTheme(root, redraw) {
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
