"""What tools/fuzz.py says of a run, and that it knows its targets."""

import importlib.util
import subprocess
import tempfile
import tomllib
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
spec = importlib.util.spec_from_file_location("fuzz", ROOT / "tools" / "fuzz.py")
fuzz = importlib.util.module_from_spec(spec)
spec.loader.exec_module(fuzz)

FOLDER = tempfile.TemporaryDirectory()

WELL = "#4000\tDONE   cov: 8945 ft: 17352\nstat::number_of_executed_units: 4000\nstat::peak_rss_mb:             219\n"
FOUND = f"""#81\tNEW    cov: 8945
== found: a panic
panicked at src/model/families/rope.rs:67:8:
attempt to multiply with overflow
Test unit written to {ROOT}/fuzz/artifacts/config-crash-12
"""


def said(output, code):
    # Where the log of a find goes.
    fuzz.WORK = Path(FOLDER.name)
    return fuzz.report("config", subprocess.CompletedProcess([], code, output), 2.0)


class TestFuzz(unittest.TestCase):
    def test_a_run_is_told_in_one_line(self):
        code, line = said(WELL, 0)
        self.assertEqual(code, 0)
        self.assertEqual(line.split(), "config 4000 cases 2.0 s 2000 cases/s 219 MB nothing found".split())

    def test_a_find_says_what_and_how_to_run_it_again(self):
        code, line = said(FOUND, 77)
        self.assertEqual(code, 77)
        for part in ["81 cases", "FOUND", "rope.rs:67:8", "tools/fuzz.py --again fuzz/artifacts/config-crash-12"]:
            self.assertIn(part, line)

    def test_the_guide_and_the_corpus_know_the_targets(self):
        targets = set(fuzz.targets())
        self.assertGreater(len(targets), 15)
        guide = (ROOT / "fuzz" / "README.md").read_text()
        self.assertEqual({name for name in targets if f"`{name}`" not in guide}, set())
        kept = {folder.name: list(folder.iterdir()) for folder in (ROOT / "fuzz" / "corpus").iterdir()}
        self.assertEqual(set(kept) - targets, set())
        for name, files in kept.items():
            self.assertLess(sum(file.stat().st_size for file in files), 40_000, name)

    def test_the_targets_depend_on_what_the_crate_does(self):
        # Other versions would be compiled a second time, and other code than the crate's would be fuzzed.
        def packages(lock):
            return {(package["name"], package["version"]) for package in tomllib.loads(lock.read_text())["package"]}

        others = packages(ROOT / "fuzz" / "Cargo.lock") - packages(ROOT / "Cargo.lock")
        self.assertLessEqual({name for name, _ in others}, {"flowlens-fuzz", "libfuzzer-sys"}, others)


if __name__ == "__main__":
    unittest.main()
