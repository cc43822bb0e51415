#!/usr/bin/env python3
"""Checks the scripts of the figures, without a browser: types (tsc), lint (oxlint), whether the committed bundles are
what the sources give (esbuild), and the tests in tests/scripts.

With --build the bundles in src/figure/assets/dist are written anew instead of compared. Who only builds the crate needs
none of this: the bundles are committed.
"""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
ASSETS = ROOT / "src" / "figure" / "assets"
BIN = Path(sys.executable).parent
LINTED = ["src/figure/assets/src", "src/figure/assets/build.mjs", "tests/scripts"]
# Node and npm are those of the project's own environment, as the lint is.
ENVIRONMENT = {**os.environ, "PATH": f"{BIN}{os.pathsep}{os.environ['PATH']}"}


def run(*command, where=ROOT):
    return subprocess.run([str(part) for part in command], cwd=where, env=ENVIRONMENT).returncode


def install():
    """The packages of package-lock.json, once for each state of that file."""
    lock, stamp = ASSETS / "package-lock.json", ASSETS / "node_modules" / "flowlens-lock.json"
    if stamp.exists() and stamp.read_bytes() == lock.read_bytes():
        return
    if run("npm", "ci", "--silent", "--no-audit", "--no-fund", where=ASSETS):
        sys.exit("the packages of src/figure/assets/package-lock.json could not be installed")
    stamp.write_bytes(lock.read_bytes())


def main():
    install()
    if "--build" in sys.argv[1:]:
        sys.exit(run("node", "build.mjs", where=ASSETS))
    tests = sorted((ROOT / "tests" / "scripts").glob("*.test.mjs"))
    failed = [
        run("node", "node_modules/typescript/bin/tsc", "--project", ".", where=ASSETS),
        run(BIN / "oxlint", "--config", "tools/oxlint.json", "--deny-warnings", *LINTED),
        run("node", "build.mjs", "--check", where=ASSETS),
        run("node", "--test", "--test-reporter=spec", *tests),
    ]
    sys.exit(any(failed))


main()
