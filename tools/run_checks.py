#!/usr/bin/env python3
"""Runs every check in tests/browser and tests/python: *.py with the project's Python, *.mjs with node. Each is a program of its own."""

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]


def main():
    checks = sorted(path for folder in ["browser", "python"] for path in (ROOT / "tests" / folder).glob("*")
                    if path.suffix in (".py", ".mjs") and not path.name.startswith("_"))
    failed = 0
    for check in checks:
        name = check.relative_to(ROOT)
        print(f"check {name} ...", flush=True)
        program = [sys.executable] if check.suffix == ".py" else ["node"]
        code = subprocess.run([*program, str(check)], cwd=ROOT).returncode
        failed += code != 0
        print(f"check {name} {'FAILED' if code else 'passed'}", flush=True)
    print(f"checks: {len(checks) - failed} passed, {failed} failed")
    sys.exit(bool(failed))


main()
