"""`flowlens-kernel install`, `uninstall` and `doctor`, in folders of their own: what is broken on purpose is said, with
the command that mends it, and what is removed leaves nothing.

Needs a kernel that `make kernel` has installed: its program and its compiled engine are what is installed here.
"""

import fcntl
import json
import os
import resource
import shutil
import signal
import stat
import subprocess
import tempfile
import time
import unittest
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
# Another installation can be named, for who builds elsewhere.
INSTALLED = Path(os.environ.get("FLOWLENS_KERNEL_DIR", ROOT / ".venv/share/jupyter/kernels/rust"))
PROGRAM = INSTALLED / "flowlens-kernel"


def engine():
    return INSTALLED / "engine" / json.loads((INSTALLED / "built.json").read_text())["engine"]


def sysroot():
    return Path(json.loads((INSTALLED / "built.json").read_text())["sysroot"])


class Place(unittest.TestCase):
    """A project of two files beside a libtorch, and a compiler whose version can be changed."""

    def setUp(self):
        self.folder = Path(tempfile.mkdtemp(prefix="flowlens-install-"))
        self.addCleanup(shutil.rmtree, self.folder)
        self.project = self.folder / "project"
        (self.project / "src").mkdir(parents=True)
        for name in ["Cargo.toml", "Cargo.lock", "src/lib.rs"]:
            shutil.copy(ROOT / name, self.project / name)
        (self.project / ".libtorch").symlink_to((ROOT / ".libtorch").resolve())
        self.prefix = self.project / ".venv"
        self.kernel = self.prefix / "share/jupyter/kernels/rust"
        self.compiler = self.folder / "rust"
        (self.compiler / "bin").mkdir(parents=True)
        (self.compiler / "lib").symlink_to(sysroot() / "lib")
        (self.compiler / "bin/cargo").symlink_to(sysroot() / "bin/cargo")
        self.pretend_rustc(json.loads((INSTALLED / "built.json").read_text())["rustc"])
        self.environment = {**os.environ, "PATH": f"{self.compiler / 'bin'}:{os.environ['PATH']}",
                            "HOME": str(self.folder), "XDG_CONFIG_HOME": str(self.folder / "config")}
        for name in ["EVCXR_CONFIG_DIR", "JUPYTER_DATA_DIR", "XDG_DATA_HOME", "LIBTORCH"]:
            self.environment.pop(name, None)

    def pretend_rustc(self, version):
        script = self.compiler / "bin/rustc"
        script.write_text(f"""#!/bin/sh
case "$*" in
    -vV) echo '{version}' ;;
    '--print sysroot') echo '{self.compiler}' ;;
    *) exec '{sysroot()}/bin/rustc' "$@" ;;
esac
""")
        script.chmod(0o755)

    def run_program(self, *arguments, program=PROGRAM, environment=None, **options):
        return subprocess.run([program, *map(str, arguments)], capture_output=True, text=True, cwd=self.folder, timeout=120,
                              env={**self.environment, **(environment or {})}, **options)

    def install(self, *arguments, **options):
        return self.run_program("install", "--prefix", self.prefix, "--project", self.project, "--engine-from", engine(),
                                *arguments, **options)

    def installed(self, *arguments):
        done = self.install(*arguments)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)

    def doctor(self, environment=None):
        return self.run_program("doctor", program=self.kernel / "flowlens-kernel", environment=environment)

    def assert_stops(self, word, command, environment=None):
        """The doctor says that something stops the kernel, what, and what mends it."""
        done = self.doctor(environment)
        lines = [line for line in done.stdout.splitlines() if line.startswith("MISSING") and word in line]
        self.assertEqual(done.returncode, 1, done.stdout + done.stderr)
        self.assertTrue(lines, done.stdout)
        self.assertIn(command, lines[0])

    def everything(self):
        return {str(path.relative_to(self.prefix)): path.stat().st_mtime_ns for path in self.prefix.rglob("*")}


class Installing(Place):
    def test_a_kernel_owns_all_it_needs_and_the_second_time_is_quick(self):
        self.installed()
        kernel = json.loads((self.kernel / "kernel.json").read_text())
        self.assertEqual(kernel["argv"], ["{resource_dir}/flowlens-kernel", "run", "{connection_file}"])
        self.assertEqual((kernel["display_name"], kernel["language"], kernel["interrupt_mode"]),
                         ("Rust (Flowlens)", "rust", "message"))
        for name in ["flowlens-kernel", "logo-32x32.png", "logo-64x64.png", "logo-svg.svg", "sources/src/lib.rs",
                     "library/core/src/lib.rs", "library/alloc/src/lib.rs", "library/std/src/lib.rs"]:
            self.assertTrue((self.kernel / name).exists(), name)
        built = json.loads((self.kernel / "built.json").read_text())
        self.assertTrue((self.kernel / "engine" / built["engine"] / "libflowlens.so").exists())
        self.assertEqual((self.kernel / built["project"]).resolve(), self.project.resolve())
        self.assertFalse(Path(built["libtorch"]).is_absolute())
        before, began = self.everything(), time.time()
        self.installed()
        self.assertLess(time.time() - began, 2)
        after = self.everything()
        changed = {name for name in after if after[name] != before.get(name)}
        self.assertLessEqual(changed, {"share/jupyter/kernels/rust", "share/jupyter/kernels/rust/install.lock"})

    def test_the_sources_need_no_crate(self):
        self.installed()
        done = subprocess.run(["cargo", "metadata", "--offline", "--format-version", "1"], cwd=self.kernel / "sources",
                              capture_output=True, text=True)
        self.assertEqual(len(json.loads(done.stdout)["packages"]), 1, done.stderr)

    def test_another_kernel_of_that_name_stays(self):
        self.kernel.mkdir(parents=True)
        (self.kernel / "kernel.json").write_text('{"argv": ["evcxr_jupyter"], "display_name": "Rust of somebody"}')
        done = self.install()
        self.assertEqual(done.returncode, 1)
        for word in ["Rust of somebody", "--name flowlens", "--replace"]:
            self.assertIn(word, done.stderr)
        self.assertEqual([path.name for path in self.kernel.iterdir()], ["kernel.json"])
        self.installed("--name", "flowlens")
        self.assertTrue((self.kernel.parent / "flowlens/kernel.json").exists())
        self.installed("--replace")
        self.assertIn("Flowlens", (self.kernel / "kernel.json").read_text())

    def test_what_the_former_kernel_left_goes(self):
        self.kernel.mkdir(parents=True)
        (self.kernel / "kernel.json").write_text('{"argv": ["{resource_dir}/start", "{connection_file}"]}')
        for name in ["start", "built", "version.txt", "lint.js", "logo-LICENSE.md"]:
            (self.kernel / name).write_text("")
        (self.kernel / "library").mkdir()
        (self.kernel / "library/old").write_text("")
        self.installed()
        left = {path.name for path in self.kernel.iterdir()}
        self.assertLessEqual(left, {"kernel.json", "built.json", "flowlens-kernel", "engine", "sources", "library", "install.lock",
                                    "logo-32x32.png", "logo-64x64.png", "logo-svg.svg"})
        self.assertFalse((self.kernel / "library/old").exists())

    def test_a_full_disk_leaves_no_half_kernel(self):
        def small_files():
            signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
            resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))

        done = self.install(preexec_fn=small_files)
        self.assertEqual(done.returncode, 1)
        self.assertIn(str(self.kernel), done.stderr)
        self.assertFalse((self.kernel / "kernel.json").exists())
        self.assertFalse(list(self.prefix.rglob("*.part")))
        self.installed()

    def test_an_engine_that_is_none_and_a_project_that_is_none(self):
        done = self.run_program("install", "--prefix", self.prefix, "--project", self.project, "--engine-from", self.folder)
        self.assertEqual(done.returncode, 1)
        self.assertIn("holds no engine", done.stderr)
        done = self.run_program("install", "--prefix", self.prefix, "--project", self.folder)
        self.assertIn("--project", done.stderr)
        self.assertEqual(done.returncode, 1)

    def test_an_engine_of_another_compiler_is_not_taken(self):
        self.pretend_rustc("rustc 1.0.0 (of old)\nhost: x86_64-unknown-linux-gnu\nrelease: 1.0.0")
        done = self.install()
        self.assertEqual(done.returncode, 1)
        self.assertIn("rustc 1.0.0 (of old)", done.stderr)

    def test_stock_evcxr_beside(self):
        program = self.folder / "bin/evcxr_jupyter"
        program.parent.mkdir()
        program.write_text("#!/bin/sh\n")
        program.chmod(program.stat().st_mode | stat.S_IXUSR)
        done = self.install("--evcxr", environment={"PATH": f"{program.parent}:{self.environment['PATH']}"})
        self.assertEqual(done.returncode, 0, done.stderr)
        beside = self.kernel.parent / "rust-evcxr"
        kernel = json.loads((beside / "kernel.json").read_text())
        self.assertEqual(kernel["interrupt_mode"], "signal")
        self.assertEqual(kernel["argv"][1], "stock")
        start = kernel["argv"][0].replace("{resource_dir}", str(beside))
        self.assertTrue(os.access(start, os.X_OK), start)
        self.assertEqual(self.run_program("uninstall", "--prefix", self.prefix).returncode, 0)
        self.assertFalse(beside.exists())


class Uninstalling(Place):
    def test_nothing_is_left(self):
        self.installed()
        done = self.run_program("uninstall", "--prefix", self.prefix)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([path.name for path in (self.prefix / "share/jupyter/kernels").iterdir()], [])

    def test_files_of_others_stay(self):
        self.installed()
        (self.kernel / "notes.txt").write_text("mine")
        done = self.run_program("uninstall", "--prefix", self.prefix)
        self.assertEqual(done.returncode, 0, done.stderr)
        self.assertEqual([path.name for path in self.kernel.iterdir()], ["notes.txt"])

    def test_a_running_kernel_keeps_its_engine(self):
        self.installed()
        (held,) = self.kernel.glob("engine/*/in-use")
        with open(held) as lock:
            fcntl.flock(lock, fcntl.LOCK_SH)
            done = self.run_program("uninstall", "--prefix", self.prefix)
            self.assertEqual(done.returncode, 1)
            self.assertIn("running", done.stderr)
        self.assertEqual(self.run_program("uninstall", "--prefix", self.prefix).returncode, 0)

    def test_what_is_not_ours_is_not_touched(self):
        self.kernel.mkdir(parents=True)
        (self.kernel / "kernel.json").write_text("{}")
        done = self.run_program("uninstall", "--prefix", self.prefix)
        self.assertEqual(done.returncode, 1)
        self.assertTrue((self.kernel / "kernel.json").exists())


class Doctor(Place):
    def setUp(self):
        super().setUp()
        self.installed()

    def test_a_whole_kernel(self):
        done = self.doctor()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("a cell compiles, links and loads the engine", done.stdout)
        self.assertIn("the kernel can start", done.stdout)

    def test_a_moved_project_goes_on(self):
        moved = self.folder / "moved here"
        self.project.rename(moved)
        self.kernel = moved / ".venv/share/jupyter/kernels/rust"
        done = self.doctor()
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        self.assertIn("a cell compiles, links and loads the engine", done.stdout)

    def test_changed_sources_are_a_warning(self):
        (self.project / "src/lib.rs").write_text("// new\n")
        done = self.doctor()
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, "warning the sources in .* changed.*make kernel")

    def test_the_engine_is_gone(self):
        shutil.rmtree(self.kernel / "engine")
        self.assert_stops("engine is gone", "make kernel")

    def test_the_engine_is_damaged(self):
        (library,) = self.kernel.glob("engine/*/libflowlens.so")
        library.unlink()
        library.write_bytes(b"no library")
        self.assert_stops("a cell does not compile against the engine", "make kernel")

    def test_libtorch_is_gone(self):
        (self.project / ".libtorch").unlink()
        self.assert_stops("libtorch is missing", "make libtorch")

    def test_the_standard_library_is_gone(self):
        shutil.rmtree(self.kernel / "library")
        self.assert_stops("standard library", "make kernel")

    def test_the_sources_are_gone(self):
        shutil.rmtree(self.kernel / "sources")
        self.assert_stops("sources is missing", "make kernel")

    def test_the_compiler_changed(self):
        self.pretend_rustc("rustc 9.9.9 (of tomorrow)\nhost: x86_64-unknown-linux-gnu\nrelease: 9.9.9")
        self.assert_stops("rustc 9.9.9 (of tomorrow)", "make kernel")

    def test_there_is_no_compiler(self):
        shutil.rmtree(self.compiler)
        self.assert_stops("no rustc", "rustup.rs", {"PATH": "/nowhere", "CARGO_HOME": "/nowhere"})

    def test_there_is_no_linker(self):
        self.assert_stops("no C linker", "build-essential", {"PATH": str(self.compiler / "bin")})

    def test_nothing_can_be_written_for_a_while(self):
        self.assert_stops("nothing can be written in /proc", "TMPDIR", {"TMPDIR": "/proc"})

    def test_what_was_installed_cannot_be_read(self):
        (self.kernel / "built.json").write_text("{")
        self.assert_stops("incomplete", "make kernel")

    def test_jupyter_does_not_see_it(self):
        (self.kernel / "kernel.json").unlink()
        self.assert_stops("no kernel.json", "flowlens-kernel install")

    def test_a_broken_configuration_of_evcxr(self):
        (self.folder / "config/evcxr").mkdir(parents=True)
        (self.folder / "config/evcxr/evcxr.toml").write_text("[evcxr\n")
        done = self.doctor()
        self.assertEqual(done.returncode, 0, done.stdout)
        self.assertRegex(done.stdout, "warning .*evcxr.toml cannot be read.*leaves it out")
        (self.folder / "evcxr.toml").write_text("[evcxr\n")
        self.assert_stops("evcxr.toml cannot be read", "correct or remove it")


if __name__ == "__main__":
    unittest.main()
