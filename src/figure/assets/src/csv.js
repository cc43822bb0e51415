// @ts-check
// Numbers to take away, as CSV.
import { element } from "./page.js";

/** Offers a text as a file. */
export function csv(name, text) {
  const address = URL.createObjectURL(new Blob([text], { type: "text/csv;charset=utf-8" }));
  const link = element("a", { href: address, download: name });
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(address), 10000);
}

/** A cell of a table, quoted where it must be. */
export const quoted = (text) => (/[",\r\n]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text);

/** Lines of cells; numbers with so many digits as tell them apart. */
export function table(lines, digits = 6) {
  const cell = (it) => (typeof it === "number" ? +it.toPrecision(digits) : quoted(it));
  return lines.map((line) => `${Array.from(line, cell).join(",")}\n`).join("");
}

/** The shown matrix of a head: keys across, queries down, each with its position. */
export function numbers(block, matrix) {
  const names = (tokens, count, first) => Array.from({ length: count }, (_, at) => {
    if (block.pool === 1) return `${first + at} ${tokens[at]}`;
    const from = at * block.pool;
    const part = tokens.slice(from, from + block.pool);
    return `${first + from} to ${first + from + part.length - 1} ${part.join(" ")}`;
  });
  const across = names(block.keys, matrix.S, block.columns[0]);
  const down = names(block.queries, matrix.T, block.rows[0]);
  return table([["query \\ key", ...across], ...down.map((name, i) => [name, ...matrix.row(i)])]);
}
