// @ts-check
// Buttons, lists and the line of text of a view.
import { element } from "./page.js";
import { label } from "./text.js";

/** A place for buttons in the row of choosers. */
export function group(root, name = "") {
  const made = element("div", { class: "fl-group", role: "group" });
  if (name) made.setAttribute("aria-label", name);
  root.querySelector(".fl-choosers").append(made);
  return made;
}

/** A button in a group, or in one of its own; one with `toggle` stays down, and `press` is told so. */
export function button(place, text, title, press, { toggle = false, on = false } = {}) {
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
export function chooser(root, name, names, choose) {
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

/** A line of text under the picture, read out when it changes. */
export function status(root, text) {
  let line = root.querySelector(".fl-status");
  if (!line) {
    line = element("p", { class: "fl-hint fl-status", "aria-live": "polite" });
    [...root.querySelectorAll(".fl-panel")].pop().after(line);
  }
  if (line.textContent !== text) line.textContent = text;
  return line;
}
