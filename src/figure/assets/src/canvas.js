// @ts-check
// Canvases that follow size, theme and resolution, and boxes that scroll.
import { element } from "./page.js";
import { onTheme, theme } from "./theme.js";

/** A canvas larger than this is drawn coarser, since a browser shows nothing of one past its limit. */
const SIDE = 16384;
const AREA = 2 ** 24;

/**
 * A canvas as wide as its place, at the resolution of the screen. `draw(context, width, height, theme)` runs in CSS
 * pixels on a cleared canvas, at every change of width and theme and whenever `redraw` is called. The height is
 * `resize`'s, and must not follow from the width by way of scroll bars.
 */
export function canvas(root, parent, draw) {
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
    /** Where an event happened, in the canvas's own pixels. @returns {[number, number]} */
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
export function scroller(box) {
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
