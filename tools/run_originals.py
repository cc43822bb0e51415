#!/usr/bin/env python3
"""Executes notebooks/originals with the network refused, on stand-ins for their models (tools/make_stand_ins.py), and
counts that every figure came.

    run_originals.py [--out FOLDER] [--jobs N] [NAME..]

The executed copies go into FOLDER (target/notebooks/originals), each with a first cell that says what its pictures are
of: nothing. The notebooks themselves keep no outputs.
"""

import argparse
import os
import subprocess
import sys
from pathlib import Path

import nbformat

from make_stand_ins import make_all
from notebook_outputs import HTML, SVG

ROOT = Path(__file__).resolve().parent.parent
FOLDER = ROOT / "notebooks" / "originals"
NOTE = ("<div style='border: 3px solid #c00; padding: 1em'><b>Stand-ins.</b> This copy was executed to see that every cell works, with tiny models "
        "of random weights in place of those that it names. Nothing that it shows is about them. Open the notebook itself for the real ones.</div>")


def figures(cell):
    """How many figures a cell drew: pages with a still picture beside them."""
    shown = [output.get("data", {}) for output in cell.get("outputs", [])]
    return sum(HTML in data and SVG in data and "<svg" in data[SVG] for data in shown)


def problem_of(path):
    """What an executed copy lacks, and how many figures it has. A cell with the tag `figure` has to have drawn one; others have none."""
    notebook = nbformat.read(str(path), as_version=4)
    wrong, count = [], 0
    for cell in notebook.cells:
        drawn, wanted = figures(cell), "figure" in cell.metadata.get("tags", [])
        count += drawn
        if drawn != wanted:
            wrong.append(f"cell {cell.id} drew {drawn} figures in place of {int(wanted)}")
    notebook.cells.insert(0, nbformat.v4.new_markdown_cell(NOTE, id="stand-ins"))
    nbformat.write(notebook, str(path))
    return "; ".join(wrong) or ("" if count else "it draws nothing"), count


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path, default=ROOT / "target" / "notebooks" / "originals")
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("names", nargs="*", metavar="NAME", help="only these, e.g. head_view_bert")
    options = parser.parse_args()
    paths = [FOLDER / f"{name}.ipynb" for name in options.names] or sorted(FOLDER.glob("*.ipynb"))
    # A folder of its own for each: two of these may run at one time.
    cache = options.out.resolve() / "stand-ins"
    make_all(cache)
    environment = {name: value for name, value in os.environ.items() if name not in ("HF_HUB_CACHE", "HUGGINGFACE_HUB_CACHE", "HF_TOKEN")}
    command = [sys.executable, ROOT / "tools" / "offline.py", sys.executable, ROOT / "tools" / "run_notebooks.py",
               "--out", options.out, "--jobs", str(options.jobs), *paths]
    executed = subprocess.run([*map(str, command)], env=environment | {"HF_HOME": str(cache)})
    failed, total = executed.returncode != 0, 0
    for path in paths:
        copy = options.out / path.name
        problem, count = problem_of(copy) if copy.exists() else ("it was not executed", 0)
        total += count
        if problem:
            failed = True
            print(f"originals: {path.name}: {problem}", file=sys.stderr)
    print(f"originals: {len(paths)} notebooks, {total} figures{', FAILED' if failed else ''}")
    sys.exit(failed)


if __name__ == "__main__":
    main()
