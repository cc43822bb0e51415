"""What an executed notebook keeps, and whether two executions say the same."""

import json
import re

# Of a megabyte, less what lists of lines take in the file.
LIMIT = 950_000
PLOTLY, HTML, SVG, TEXT = "application/vnd.plotly.v1+json", "text/html", "image/svg+xml", "text/plain"
TIME = re.compile(r"\d+(\.\d+)? ?(µs|ms|s|min)\b")
NUMBER = re.compile(r"\d+(?:\.\d+)?(?:e-?\d+)?")


def text_of(output):
    """What an output says as text."""
    text = output.get("text") or output.get("data", {}).get(TEXT) or "\n".join(output.get("traceback", []))
    return text if isinstance(text, str) else "".join(text)


def is_progress(output):
    """Whether it is a bar, or the line that became of it: there only where a call took long."""
    html = output.get("data", {}).get(HTML, "")
    return 'class="flowlens-progress"' in (html if isinstance(html, str) else "".join(html))


def slim(notebook, limit=LIMIT):
    """Leaves out what would make a kept notebook heavy, or a change of every execution.

    Figures that need plotly.js (900 kB for the first) and, where that is not enough, the largest others keep their
    still picture alone; executing the cell brings the whole figure back.
    """
    for cell in notebook["cells"]:
        if "outputs" in cell:
            cell["outputs"] = [output for output in cell["outputs"] if not is_progress(output)]
    figures = [output["data"] for cell in notebook["cells"] for output in cell.get("outputs", []) if HTML in output.get("data", {})]
    figures = [data for data in figures if SVG in data]
    for data in figures:
        if PLOTLY in data:
            del data[PLOTLY], data[HTML]
    figures.sort(key=lambda data: len(data.get(HTML, "")))
    while size(notebook) > limit and figures:
        figures.pop().pop(HTML, None)


def size(notebook):
    """Bytes of a notebook's file."""
    return len(json.dumps(notebook, ensure_ascii=False, indent=1).encode())


def said(cell):
    """What a code cell says: streams joined, each display by itself."""
    parts, stream = [], ""
    for output in cell.get("outputs", []):
        if output["output_type"] == "stream":
            stream += text_of(output)
        elif not is_progress(output):
            parts.append(text_of(output))
    return [stream, *parts]


def same(one, other):
    """Whether two texts differ in nothing but times and the last digits of numbers."""
    one, other = (TIME.sub("T", text) for text in (one, other))
    if NUMBER.sub("#", one) != NUMBER.sub("#", other):
        return False
    close = lambda a, b: abs(a - b) <= 0.02 + 0.02 * max(abs(a), abs(b))
    return all(close(float(a), float(b)) for a, b in zip(NUMBER.findall(one), NUMBER.findall(other)))


def differences(kept, executed):
    """The cells that say another thing than they are kept with, as lines for a person."""
    pairs = zip((cell for cell in kept["cells"] if cell["cell_type"] == "code"), (cell for cell in executed["cells"] if cell["cell_type"] == "code"))
    found = []
    for number, (before, after) in enumerate(pairs, 1):
        was, now = said(before), said(after)
        if len(was) != len(now):
            found.append(f"code cell {number}: {len(now) - 1} results, kept are {len(was) - 1}")
        found += [f"code cell {number} says\n{b}\nkept is\n{a}" for a, b in zip(was, now) if not same(a, b)]
    return found
