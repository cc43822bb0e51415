#!/usr/bin/env python3
"""Writes notebooks/originals from what tools/originals says: a notebook for each demo of the originals, and the table of
their README between its two marks.

    make_originals.py            writes them
    make_originals.py --check    fails where a file is not what would be written

A generator rather than 28 notebooks by hand: what many of them say (sizes, how to load, how a view differs from the
original's) stands once, and a check keeps the copies equal.
"""

import json
import sys
from pathlib import Path

from originals.bertviz import ORIGINALS as BERTVIZ
from originals.models import AROUND_GB, BINDER_GB, MODELS, gb
from originals.trajectories import ORIGINALS as TRAJECTORIES
from originals.visit import ORIGINALS as VISIT

FOLDER = Path(__file__).resolve().parent.parent / "notebooks" / "originals"
ORIGINALS = VISIT + BERTVIZ + TRAJECTORIES
METADATA = {
    "kernelspec": {"display_name": "Rust", "language": "rust", "name": "rust"},
    "language_info": {"codemirror_mode": "rust", "file_extension": ".rs", "mimetype": "text/rust", "name": "rust",
                      "pygments_lexer": "rust", "version": "2024"},
}
BEGIN, END = "<!-- written by tools/make_originals.py -->", "<!-- end -->"


def notebook(original):
    """The notebook as JSON. A cell that draws a figure is tagged, so that tests know how many must come."""
    cells = []
    for number, cell in enumerate(original.all_cells()):
        entry = {"cell_type": "markdown" if cell.kind == "markdown" else "code", "id": f"{original.file.replace('_', '-')}-{number:02}",
                 "metadata": {"tags": ["figure"]} if cell.kind == "figure" else {}, "source": cell.text.splitlines(keepends=True)}
        if entry["cell_type"] == "code":
            entry |= {"execution_count": None, "outputs": []}
        cells.append(entry)
    return json.dumps({"cells": cells, "metadata": METADATA, "nbformat": 4, "nbformat_minor": 5}, indent=1, sort_keys=True, ensure_ascii=False) + "\n"


def table():
    rows = ["| original | ours | model | download | memory | Binder |", "|---|---|---|---|---|---|"]
    for original in ORIGINALS:
        model = MODELS[original.model]
        demos = ", ".join(f"`{demo}`" for demo in original.demos)
        branch = "" if model.revision == "main" else f", branch `{model.revision}`"
        rows.append(f"| {original.project}: {demos} | [{original.file}]({original.file}.ipynb) | `{model.id}`{branch} | {gb(model.download)} | "
                    f"{gb(model.memory)} | {'yes' if model.fits_binder else 'no'} |")
    rows.append("")
    rows.append(f"*Download*: parameters times the bytes of a number in the file (4, or 2 where the repository holds half precision); buffers that a file may hold besides are not counted. "
                f"*Memory*: 4 bytes a parameter, since runs on a CPU compute in float32 (float32 files are mapped and not copied, others are converted), and {gb(AROUND_GB)} for everything else. "
                f"*Binder*: whether that stays below {gb(BINDER_GB)}; Binder's limit is 2 GB.")
    return "\n".join(rows)


def readme(text):
    before, rest = text.split(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.split(END)[1]}"


def written():
    """Every file and what it should hold."""
    files = {FOLDER / f"{original.file}.ipynb": notebook(original) for original in ORIGINALS}
    path = FOLDER / "README.md"
    return files | {path: readme(path.read_text())}


def main():
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        sys.exit(__doc__)
    files = written()
    wrong = [path.name for path, text in files.items() if not path.exists() or path.read_text() != text]
    wrong += [path.name for path in FOLDER.glob("*.ipynb") if path not in files]
    if check and wrong:
        sys.exit(f"not what tools/originals says: {', '.join(sorted(wrong))}; run tools/make_originals.py")
    if not check:
        for path, text in files.items():
            path.write_text(text)


if __name__ == "__main__":
    main()
