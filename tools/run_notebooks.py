#!/usr/bin/env python3
"""Executes notebooks in the Rust kernel; an error in a cell is a failure.

    run_notebooks.py (--out FOLDER [--compare] | --in-place) [--jobs N] [--kernel NAME] NOTEBOOK...

Executed copies go into FOLDER, whole; the notebooks themselves stay as they are. --in-place keeps the outputs in the
notebooks, slimmed to 1 MB. --compare fails where a cell says another thing than what its notebook keeps.
"""

import argparse
import concurrent.futures
import sys
import time
from pathlib import Path

import nbformat
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError

from notebook_outputs import differences, slim


def execute(path, options):
    """Executes one notebook. What went wrong, or nothing, and the seconds it took."""
    notebook = nbformat.read(str(path), as_version=4)
    # Times of execution would make every run a change.
    client = NotebookClient(notebook, kernel_name=options.kernel, timeout=900, record_timing=False, coalesce_streams=True,
                            resources={"metadata": {"path": str(path.parent)}})
    began = time.time()
    failure = None
    try:
        client.execute()
        if options.compare:
            failure = "\n".join(differences(nbformat.read(str(path), as_version=4), notebook))
    except (CellExecutionError, DeadKernelError) as error:
        failure = str(error)
    number_outputs(notebook)
    if options.in_place:
        slim(notebook)
    target = path if options.in_place else options.out / path.name
    part = target.with_name(target.name + ".part")
    nbformat.write(notebook, str(part))
    part.rename(target)
    return failure, time.time() - began


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
    parser.add_argument("--compare", action="store_true")
    parser.add_argument("--jobs", type=int, default=1, help="notebooks that run side by side; each has a kernel and its models")
    parser.add_argument("--kernel", default="rust", help="the kernel that executes them, as Jupyter calls it")
    parser.add_argument("notebooks", nargs="+", type=Path)
    options = parser.parse_args()
    if bool(options.out) == options.in_place:
        parser.error("either --out FOLDER or --in-place")
    missing = [str(path) for path in options.notebooks if not path.is_file()]
    if missing:
        parser.error(f"no such notebook: {', '.join(missing)}")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
    failed = 0
    with concurrent.futures.ProcessPoolExecutor(options.jobs) as pool:
        running = {pool.submit(execute, path, options): path for path in options.notebooks}
        for done in concurrent.futures.as_completed(running):
            failure, seconds = done.result()
            failed += bool(failure)
            if failure:
                print(failure[:4000], file=sys.stderr, flush=True)
            print(f"notebook {running[done]} {'FAILED' if failure else 'passed'} in {seconds:.0f} s", flush=True)
    print(f"notebooks: {len(options.notebooks) - failed} passed, {failed} failed")
    sys.exit(bool(failed))


if __name__ == "__main__":
    main()
