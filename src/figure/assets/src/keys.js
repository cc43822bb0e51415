// @ts-check
// Keys and canvases that take them.

/**
 * Listens to keys. `actionOf` gives what a key does, if anything; keys that are held with Ctrl, Alt or Meta belong to
 * the browser and the host.
 * @param {EventTarget} target
 * @param {(event: any) => (() => void) | null | undefined | false} actionOf
 */
export function keys(target, actionOf) {
  target.addEventListener("keydown", (event) => {
    const key = /** @type {KeyboardEvent} */ (event);
    if (key.ctrlKey || key.metaKey || key.altKey) return;
    const action = actionOf(key);
    if (!action) return;
    key.preventDefault();
    key.stopPropagation();
    action();
  });
}

/** Makes a canvas something that keys reach. */
export function reachable(canvas, role = "application") {
  canvas.tabIndex = 0;
  canvas.setAttribute("role", role);
}
