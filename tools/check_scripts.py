#!/usr/bin/env python3
"""Checks the scripts of the figures: oxlint reads them, Node runs the tests in tests/scripts. Needs no browser."""

import subprocess
import sys
from pathlib import Path

from playwright._impl._driver import compute_driver_executable

ROOT = Path(__file__).resolve().parents[1]
LINT = [
    # inflate.js is made from a library.
    Path(sys.executable).parent / "oxlint", "--config", "tools/oxlint.json", "--ignore-pattern", "**/inflate.js",
    "--deny-warnings", "src/figure/assets", "tests/scripts",
]


def main():
    tests = sorted(str(path) for path in (ROOT / "tests" / "scripts").glob("*.test.mjs"))
    # The Node that playwright brings.
    node = compute_driver_executable()[0]
    lint = subprocess.run(LINT, cwd=ROOT).returncode
    sys.exit(subprocess.run([node, "--test", "--test-reporter=spec", *tests], cwd=ROOT).returncode or lint)


main()
