// @ts-check
// Tokens as words: anybody's text, of any length and direction.

/** A token without the mark of the blank before it; of an endless one, both ends. */
export function label(token) {
  const shown = token.length > 1 && token.startsWith("␣") ? token.slice(1) : token;
  if (shown.length <= 200) return shown;
  const letters = Array.from(shown);
  return `${letters.slice(0, 100).join("")}…${letters.slice(-99).join("")}`;
}

const fitted = new Map();

/** The text, cut in its middle where it is wider than so many pixels in the context's font. */
export function fit(context, text, width) {
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

/** A token in a sentence: cut in its middle, and kept from turning the words around it from right to left. */
export function named(token, most = 40) {
  const letters = Array.from(label(token) || token);
  const half = most >> 1;
  const cut = letters.length > most ? [...letters.slice(0, half), "…", ...letters.slice(-half)] : letters;
  return `“\u2068${cut.join("")}\u2069”`;
}

/** Words of any direction within others. */
export const isolated = (text) => `\u2068${text}\u2069`;
