// @ts-check
// Heat maps: the cells tell their numbers to pointer and keys.
import { keys } from "./keys.js";
import { hideTip, picture, register, showTip, takeTitle } from "./page.js";

/** @param {any} root */
function view(root) {
  const place = root.querySelector(".fl-picture");
  const cells = [...picture(place).querySelectorAll("[data-cell]")];
  const texts = new Map(cells.map((cell) => [cell, takeTitle(cell)]));
  const at = new Map(cells.map((cell) => [cell.dataset.cell, cell]));
  const under = (event) => event.target.closest("[data-cell]");
  cells.forEach((cell, number) => {
    cell.setAttribute("tabindex", number ? "-1" : "0");
    cell.setAttribute("role", "img");
    cell.setAttribute("aria-label", texts.get(cell));
  });
  place.addEventListener("pointermove", (event) => {
    const cell = under(event);
    if (cell) showTip(texts.get(cell), event.clientX, event.clientY);
    else hideTip();
  });
  place.addEventListener("pointerleave", hideTip);
  place.addEventListener("focusout", hideTip);
  place.addEventListener("focusin", (event) => {
    const cell = under(event);
    if (!cell || !cell.matches(":focus-visible")) return;
    const { right, bottom } = cell.getBoundingClientRect();
    showTip(texts.get(cell), right, bottom);
  });
  const steps = { ArrowRight: [0, 1], ArrowLeft: [0, -1], ArrowUp: [-1, 0], ArrowDown: [1, 0] };
  keys(place, (event) => {
    const cell = under(event);
    const step = steps[event.key];
    if (!cell || !step) return null;
    return () => {
      const [row, column] = cell.dataset.cell.split(" ").map(Number);
      const next = at.get(`${row + step[0]} ${column + step[1]}`);
      if (!next) return;
      cell.setAttribute("tabindex", "-1");
      next.setAttribute("tabindex", "0");
      next.focus();
    };
  });
  root.dataset.lmSuppressShortcuts = "true";
  root.dataset.state = "drawn";
}

register("FLOWLENS_BUILD", { "heat-map": view, "logit-lens": view });
