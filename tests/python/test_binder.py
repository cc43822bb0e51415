"""The image of Binder cannot be built in every test; what it is described by must at least fit together, and fit the project."""

import json
import re
import subprocess
import sys
import time
import unittest
from fnmatch import fnmatch
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "tools" / "setup"))

import versions  # noqa: E402


def read(name):
    return (ROOT / name).read_text(encoding="utf-8")


def instructions(name):
    """The instructions of a Dockerfile, each on one line."""
    lines = [line for line in read(name).splitlines() if not line.lstrip().startswith("#")]
    return [line.strip() for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line.strip()]


def number(version):
    return [int(part) for part in version.split(".")]


class Dockerfile(unittest.TestCase):
    def setUp(self):
        self.all = instructions("binder/Dockerfile")

    def test_both_stages_begin_with_the_same_dated_debian(self):
        bases = [line.split()[1] for line in self.all if line.startswith("FROM ")]
        self.assertEqual(len(bases), 2)
        self.assertEqual(len(set(bases)), 1)
        self.assertRegex(bases[0], r"^debian:bookworm-\d{8}-slim$")

    def test_what_is_copied_is_there_and_not_ignored(self):
        ignored = [line for line in read(".dockerignore").splitlines() if line and not line.startswith("#")]
        copied = [line for line in self.all if line.startswith("COPY ") and "--from=" not in line]
        self.assertGreater(len(copied), 3)
        for line in copied:
            for source in [word for word in line.split()[1:-1] if not word.startswith("--")]:
                self.assertTrue((ROOT / source).exists(), f"{line}: there is no {source}")
                self.assertFalse(any(fnmatch(source, pattern) for pattern in ignored), f"{line}: .dockerignore leaves {source} out")

    def test_the_build_has_what_it_reads(self):
        text = "\n".join(self.all[: self.all.index("RUN binder/build")])
        read_there = re.findall(r"(?:tools/setup|binder)/[\w.-]+", read("binder/build"))
        for name in ["Cargo.toml", "Cargo.lock", "Makefile", ".cargo", "benches", "flow_graph_configs", "kernel", "src", *read_there]:
            self.assertTrue(f" {name} " in text or f" {Path(name).parent} " in text, f"binder/build has no {name}")

    def test_the_second_stage_takes_what_the_build_leaves(self):
        taken = [line.split()[2:] for line in self.all if line.startswith("COPY --from=build")]
        self.assertTrue(taken)
        for source, target in taken:
            self.assertEqual(source, target, "the kernel knows where its compiler and libtorch lie")
            if source.startswith("/opt/flowlens/"):
                self.assertIn(source.removeprefix("/opt/flowlens/"), read("binder/build"))
        self.assertIn(["/opt/rust", "/opt/rust"], taken)
        self.assertIn("/opt/rust", read("binder/build"))

    def test_lessons_find_what_they_load(self):
        second = self.all[[line.startswith("FROM ") for line in self.all].index(True, 1):]
        copied = [word for line in second if line.startswith("COPY --chown") for word in line.split()[2:-1]]
        for path in (ROOT / "notebooks").rglob("*.ipynb"):
            code = ["".join(cell["source"]) for cell in json.loads(path.read_text())["cells"] if cell["cell_type"] == "code"]
            for name in re.findall(r'"((?:\.\./)+[\w./-]+)"', "\n".join(code)):
                found = (path.parent / name).resolve().relative_to(ROOT)
                there = any(found == Path(source) or Path(source) in found.parents for source in copied)
                self.assertTrue(there, f"{path.name} loads {name}, which the image does not have")

    def test_the_start_is_the_entry_point(self):
        place = next(line.split()[2] for line in self.all if line.startswith("COPY binder/start "))
        self.assertIn(f'ENTRYPOINT ["{place}"]', self.all)


class Scripts(unittest.TestCase):
    def test_they_can_be_executed_and_are_bash(self):
        for name in ["binder/build", "binder/start"]:
            self.assertTrue((ROOT / name).stat().st_mode & 0o100, f"{name} is not executable")
            subprocess.run(["bash", "-n", ROOT / name], check=True)

    def test_the_build_names_files_and_models_that_exist(self):
        text = read("binder/build")
        for name in re.findall(r"(?:tools|binder)/[\w./-]+", text):
            self.assertTrue((ROOT / name).exists(), f"binder/build: there is no {name}")
        models = re.search(r"for model in ([\w .-]+);", text)[1].split()
        starters = re.findall(r'^    name: "([^"]+)"', read("src/hub/starter.rs"), re.M)
        self.assertEqual(sorted(models), sorted(starters), "the image has the starter models")
        for target in re.findall(r"^make (.*)$", text, re.M)[0].split():
            self.assertRegex(read("Makefile"), rf"(?m)^{target}:")

    def test_the_start_hands_on_at_once_and_again(self):
        for _ in range(2):
            began = time.monotonic()
            done = subprocess.run([ROOT / "binder/start", "echo", "a server", "with $words"], capture_output=True, text=True, timeout=60)
            self.assertEqual((done.returncode, done.stdout), (0, "a server with $words\n"))
            self.assertLess(time.monotonic() - began, 30)


class Versions(unittest.TestCase):
    def test_constraints_agree_with_the_set_up(self):
        lines = [line for line in read("binder/constraints.txt").splitlines() if line and not line.startswith("#")]
        pinned = dict(line.split("==") for line in lines)
        for package in versions.PYTHON_PACKAGES + versions.BINDER_PACKAGES:
            name, version = package.split("==")
            self.assertEqual(pinned.get(name), version, f"binder/constraints.txt and tools/setup/versions.py differ in {name}")

    def test_rust_is_new_enough_for_both_packages(self):
        for name in ["Cargo.toml", "kernel/Cargo.toml"]:
            needed = re.search(r'^rust-version = "([\d.]+)"', read(name), re.M)[1]
            self.assertGreaterEqual(number(versions.RUST), number(needed), name)
        self.assertRegex(versions.RUSTUP_SHA256, r"^[0-9a-f]{64}$")


class Codespaces(unittest.TestCase):
    def test_it_is_the_same_image(self):
        lines = [line for line in read(".devcontainer/devcontainer.json").splitlines() if not line.lstrip().startswith("//")]
        settings = json.loads("\n".join(lines))
        build = {name: (ROOT / ".devcontainer" / path).resolve() for name, path in settings["build"].items()}
        self.assertEqual(build, {"dockerfile": ROOT / "binder/Dockerfile", "context": ROOT})
        self.assertIn(f"ARG NB_USER={settings['remoteUser']}", instructions("binder/Dockerfile"))

    def test_the_badges_lead_to_the_contents_page(self):
        page = re.search(r"mybinder\.org/v2/gh/[\w./-]+\?urlpath=lab/tree/([\w./-]+)", read("README.md"))
        self.assertIsNotNone(page, "README.md has no badge of Binder")
        self.assertEqual(page[1], "notebooks/README.md")
        self.assertTrue((ROOT / page[1]).exists(), f"the badge of Binder leads to {page[1]}, which is not there")
        json.loads(read("binder/overrides.json"))


if __name__ == "__main__":
    unittest.main()
