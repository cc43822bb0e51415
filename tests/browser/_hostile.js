// What the tests of hostile texts do in a page: `guard` before anything else runs, then `explore`, then `found`.
(() => {
  const ran = [];
  const forbid = (name) => Object.defineProperty(window, name, { value: (...given) => { ran.push(`${name}(${given})`); } });
  ["__pwned", "open", "alert", "print"].forEach(forbid);

  window.ran = () => ran;

  const said = new Set();
  const texts = ".fl-tip, .fl-status, [aria-live]";
  const hear = () => document.querySelectorAll(texts).forEach((it) => said.add(it.textContent));
  const frame = () => new Promise((done) => { requestAnimationFrame(() => requestAnimationFrame(done)); });

  function fire(target, type, x, y, buttons = 0) {
    const Kind = type.startsWith("pointer") ? PointerEvent : MouseEvent;
    const bubbles = !/enter|leave/.test(type);
    target.dispatchEvent(new Kind(type, { bubbles, cancelable: true, composed: true, view: window, clientX: x, clientY: y, buttons, pointerId: 1 }));
  }

  /** As a mouse does, on whatever lies there. */
  function hover(x, y) {
    const target = document.elementFromPoint(x, y);
    if (!target) return null;
    for (const type of ["pointerover", "pointerenter", "mouseover", "mouseenter", "pointermove", "mousemove"]) fire(target, type, x, y);
    hear();
    return target;
  }

  function click(x, y) {
    const target = hover(x, y);
    if (!target) return;
    for (const type of ["pointerdown", "mousedown"]) fire(target, type, x, y, 1);
    for (const type of ["pointerup", "mouseup"]) fire(target, type, x, y);
    // A link that a text has made would lead away.
    if (target.click && !target.closest("canvas, svg")) target.click();
    else fire(target, "click", x, y);
    hear();
  }

  const middle = (element) => {
    const box = element.getBoundingClientRect();
    return [box.x + box.width / 2, box.y + box.height / 2];
  };

  function press(target, key) {
    target.dispatchEvent(new KeyboardEvent("keydown", { key, bubbles: true, cancelable: true }));
    target.dispatchEvent(new KeyboardEvent("keyup", { key, bubbles: true, cancelable: true }));
    hear();
    const { activeElement } = document;
    if (activeElement) said.add(activeElement.getAttribute("aria-label") || "");
  }

  /** Points of an area, `step` apart. */
  async function over(area, step, act) {
    area.scrollIntoView({ block: "start" });
    const { width, height } = area.getBoundingClientRect();
    for (let y = step / 2; y < height; y += step) {
      for (let x = 6; x < width; x += step * 2.5) {
        const box = area.getBoundingClientRect();
        if (box.y + y > innerHeight - 20) window.scrollBy(0, innerHeight / 2);
        const now = area.getBoundingClientRect();
        act(now.x + x, now.y + y);
      }
      await null;
    }
  }

  /** At most so many of a list, from all over it. */
  const some = (list, most) => list.filter((_, at) => list.length <= most || Math.floor((at * most) / list.length) !== Math.floor(((at - 1) * most) / list.length));

  const shown = (element) => element.isConnected && element.getClientRects().length > 0;
  const all = (root, selector) => [...root.querySelectorAll(selector)].filter(shown);

  async function choose(root) {
    for (const select of all(root, "select")) {
      const { value } = select;
      for (const option of some([...select.options], 10)) {
        if (!select.isConnected) break;
        select.value = option.value;
        select.dispatchEvent(new Event("change", { bubbles: true }));
        await frame();
        hear();
      }
      select.value = value;
      select.dispatchEvent(new Event("change", { bubbles: true }));
    }
    for (const range of all(root, "input[type=range]")) {
      for (const value of [range.max, range.min]) {
        range.value = value;
        range.dispatchEvent(new Event("input", { bubbles: true }));
        await frame();
      }
    }
    // Twice: a switch goes back to where it was.
    for (let turn = 0; turn < 2; turn++) {
      for (const button of some(all(root, "button"), 40)) {
        if (!shown(button)) continue;
        hover(...middle(button));
        button.click();
        hear();
      }
      await frame();
    }
  }

  async function search(root, hostile) {
    for (const field of all(root, "input[type=search]")) {
      for (const text of [...hostile, ""]) {
        field.value = text;
        field.dispatchEvent(new Event("input", { bubbles: true }));
        hear();
        press(field, "Enter");
      }
      press(field, "Escape");
    }
  }

  const KEYS = ["Home", "ArrowRight", "ArrowLeft", "PageDown", "PageUp", "Enter", "Escape", "End", "1", "2", " ", "/"];

  async function type(root) {
    for (const place of some(all(root, "[tabindex='0']"), 12)) {
      for (const key of [...KEYS, "Home", "Enter", ...Array(54).fill(["ArrowDown", "ArrowRight"]).flat()]) {
        if (!shown(place)) break;
        if (!place.contains(document.activeElement)) place.focus();
        press(place.contains(document.activeElement) ? document.activeElement : place, key);
      }
      await frame();
    }
  }

  const PARTS = ["[data-node]", "[data-link]", "[data-cell]", ".modebar-btn", ".fl-scroll", "label", "li", "th", "td", "i"];

  /** Points at, clicks and presses what answers, in every view. */
  window.explore = async (hostile) => {
    // Of many views of one kind the first, the last and one between.
    const roots = [...document.querySelectorAll(".flowlens-view")];
    for (const root of roots.length > 12 ? [roots[0], roots[25], roots[roots.length - 1]] : roots) {
      await choose(root);
      await search(root, hostile);
      await type(root);
      for (const area of all(root, "canvas, .fl-plot, .fl-picture > svg")) {
        await over(area, 19, hover);
        await over(area, 57, click);
      }
      // A click may have opened more.
      for (const area of all(root, "canvas")) await over(area, 19, hover);
      await type(root);
      for (const summary of all(root, "summary")) summary.click();
      await frame();
      for (const selector of PARTS) {
        for (const part of some(all(root, selector), 120)) {
          if (!shown(part)) continue;
          part.scrollIntoView({ block: "nearest" });
          hover(...middle(part));
          fire(part, "click", ...middle(part));
        }
      }
      hear();
      await frame();
    }
  };

  const ELEMENTS = new Set(("div p span b i img script style svg g path rect text tspan title circle line image defs clipPath " +
    "linearGradient stop button select option label input output details summary table thead tbody tr th td ol li canvas a").split(" "));
  const VIEW = ".flowlens-view, .fl-tip";
  const OWN = /^(application\/json|text\/plain|image\/svg\+xml)$/;
  // Attributes that are read, not followed; and pictures within pictures.
  const TOLD = ["aria-label", "aria-valuetext", "aria-description", "title", "alt", "value", "placeholder", "data-name", "data-unformatted"];
  const DRAWN = /^(background-image: url\("|)data:image\/svg\+xml[;,]/;
  const ADDRESS = /^(data:image\/(png|svg\+xml)[;,]|blob:|#)/;

  /** What in the views is not ours, and what stands in the page that no view should bring there. */
  function foreign() {
    const found = [];
    for (const element of document.querySelectorAll("*")) {
      const { localName: name, type: kind, textContent: text } = element;
      // JupyterLab makes links of addresses that stand in a text.
      if (element.matches("a[rel=noopener][target=_blank]") && /^(https|data):/.test(element.getAttribute("href"))) continue;
      const attributes = [...element.attributes].filter(({ value }) => value.includes("__pwned") || value.includes("host.invalid"));
      for (const { name: key, value } of attributes) {
        if (!TOLD.includes(key) && !(key === "style" && DRAWN.test(value)) && !(key === "src" && DRAWN.test(value))) found.push(`<${name} ${key}=${value.slice(0, 99)}>`);
      }
      if (name === "script" && !OWN.test(kind) && text.includes("__pwned")) found.push(`a script: ${text.slice(0, 60)}`);
      if (!element.closest(VIEW)) continue;
      if (!ELEMENTS.has(name)) found.push(`<${name}>`);
      if (name === "a" && !element.matches(".modebar-btn")) found.push(`<a>${text}`);
      if (["b", "i"].includes(name) && ["bold", "x"].includes(text)) found.push(`<${name}>${text}`);
      for (const { name: key, value } of element.attributes) {
        if (/^on/i.test(key) || ["action", "formaction", "srcdoc"].includes(key)) found.push(`<${name} ${key}=${value}>`);
        if (/^(xlink:)?href$|^src$/.test(key) && !ADDRESS.test(value)) found.push(`<${name} ${key}=${value}>`);
      }
    }
    return found;
  }

  /** All that has been run, all that is no part of ours, and all that has been said. */
  window.found = () => {
    for (const element of document.body.querySelectorAll("*")) {
      if (element.matches("script, style")) continue;
      for (const key of ["aria-label", "aria-valuetext", "title", "data-name", "alt"]) if (element.hasAttribute(key)) said.add(element.getAttribute(key));
      for (const node of element.childNodes) if (node.nodeType === Node.TEXT_NODE) said.add(node.data);
    }
    return { ran, foreign: foreign(), said: [...said], wide: document.documentElement.scrollWidth };
  };
})();
