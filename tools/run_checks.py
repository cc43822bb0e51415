#!/usr/bin/env python3
"""Runs the Python tests, those in tests/browser and tests/kernel and any in tests/python, and closes with one line of counts."""

import sys
import unittest
from pathlib import Path

TESTS = Path(__file__).resolve().parents[1] / "tests"


def main():
    failed = passed = skipped = 0
    for folder in [TESTS / "browser", TESTS / "kernel", TESTS / "python"]:
        if not folder.is_dir():
            continue
        suite = unittest.TestLoader().discover(str(folder), top_level_dir=str(folder))
        result = unittest.TextTestRunner(verbosity=2).run(suite)
        # A failure while a class is set up counts no test: there is at least that one.
        failed += len(result.failures) + len(result.errors) + len(result.unexpectedSuccesses)
        skipped += len(result.skipped)
        passed += result.testsRun - len(result.failures) - len(result.errors) - len(result.skipped)
    print(f"checks: {max(passed, 0)} passed, {failed} failed, {skipped} skipped")
    sys.exit(bool(failed) or passed <= 0)


main()
