#!/usr/bin/env python3
"""Executes notebooks in the Rust kernel; an error in a cell is a failure.

    run_notebooks.py (--out FOLDER | --in-place) [--kernel NAME] NOTEBOOK...

Executed copies go into FOLDER, the notebooks themselves stay as they are; --in-place keeps the outputs in the notebooks.
"""

import argparse
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError


def execute(path, target, kernel):
    notebook = nbformat.read(path, as_version=4)
    # Times of execution would make every run a change.
    client = NotebookClient(notebook, kernel_name=kernel, timeout=900, record_timing=False, coalesce_streams=True,
                            resources={"metadata": {"path": str(path.parent)}})
    began = time.time()
    try:
        client.execute()
        return f"passed in {time.time() - began:.0f} s"
    except (CellExecutionError, DeadKernelError) as error:
        print(str(error)[:4000], file=sys.stderr)
        return None
    finally:
        number_outputs(notebook)
        part = target.with_name(target.name + ".part")
        nbformat.write(notebook, part)
        part.rename(target)


def number_outputs(notebook):
    """Stock evcxr counts its own start as the first cell: its outputs are one ahead of their cells."""
    for cell in notebook.cells:
        for output in cell.get("outputs", []):
            if "execution_count" in output:
                output["execution_count"] = cell["execution_count"]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--out", type=Path)
    parser.add_argument("--in-place", action="store_true")
    parser.add_argument("--kernel", default="rust", help="the kernel that executes them, as Jupyter calls it")
    parser.add_argument("notebooks", nargs="+", type=Path)
    options = parser.parse_args()
    if bool(options.out) == options.in_place:
        parser.error("either --out FOLDER or --in-place")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    failed = 0
    for path in options.notebooks:
        print(f"notebook {path} ...", flush=True)
        outcome = execute(path, options.out / path.name if options.out else path, options.kernel)
        failed += outcome is None
        print(f"notebook {path} {outcome or 'FAILED'}", flush=True)
    print(f"notebooks: {len(options.notebooks) - failed} passed, {failed} failed")
    sys.exit(bool(failed))


main()
