#!/usr/bin/env python3
"""Makes `.venv`: the project's own Python environment with JupyterLab; with --tests also what tests need, with --binder
what a hub asks for, with --bare only the environment, which is enough to fetch libtorch with.

Finished work is not repeated.
"""

import importlib.util
import subprocess
import sys

from common import PYTHON, ROOT, VENV, fail, pip, run, say
from versions import BINDER_PACKAGES, PYTHON_PACKAGES, TEST_PACKAGES

STAMP = VENV / "flowlens-packages.txt"
TEST_STAMP = VENV / "flowlens-test-packages.txt"


def create():
    if importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv"):
        run(sys.executable, "-m", "venv", VENV)
        return
    # Debian splits venv from python3. A system pip can fill an environment that has none.
    if importlib.util.find_spec("venv") and importlib.util.find_spec("pip"):
        run(sys.executable, "-m", "venv", "--without-pip", VENV)
        return
    fail("python3 has neither venv nor pip here. On Debian or Ubuntu: sudo apt-get install python3-venv")


def mend_moved_scripts(old):
    """Scripts in bin/ name the folder that they were installed in: after a move they get the new name."""
    say(f"the project moved here from {old}: correcting the scripts in .venv/bin")
    for script in (VENV / "bin").iterdir():
        if script.is_symlink() or not script.is_file():
            continue
        text = script.read_bytes()
        if old.encode() in text and b"\0" not in text:
            script.write_bytes(text.replace(old.encode(), str(ROOT).encode()))


def main():
    if sys.version_info < (3, 11):
        fail(f"python3 is {sys.version.split()[0]}; 3.11 or newer is needed. With another one: make PYTHON=python3.12 ..")
    wanted = "\n".join(PYTHON_PACKAGES) + "\n"
    old, packages = read(STAMP)
    usable = PYTHON.exists() and subprocess.run([PYTHON, "-c", ""], capture_output=True).returncode == 0
    if not usable:
        create()
        packages = None
    if "--bare" in sys.argv[1:]:
        return
    if packages == wanted:
        if old != str(ROOT):
            mend_moved_scripts(old)
            write(STAMP, wanted)
    else:
        say("making .venv with JupyterLab (about 250 MB, a minute or two)")
        install(PYTHON_PACKAGES)
        write(STAMP, wanted)
    wanted = "\n".join(TEST_PACKAGES) + "\n"
    if "--tests" in sys.argv[1:] and read(TEST_STAMP)[1] != wanted:
        say(f"adding what tests need to .venv: {', '.join(TEST_PACKAGES)}")
        install(TEST_PACKAGES)
        write(TEST_STAMP, wanted)
    if "--binder" in sys.argv[1:]:
        say(f"adding what a hub asks for to .venv: {', '.join(BINDER_PACKAGES)}")
        install(BINDER_PACKAGES)


def install(packages):
    run(*pip(), "install", "--quiet", "--disable-pip-version-check", *packages)


def read(stamp):
    """Where the environment was made, and what was put into it."""
    if not stamp.exists():
        return None, None
    place, _, packages = stamp.read_text().partition("\n")
    return place, packages


def write(stamp, packages):
    stamp.write_text(f"{ROOT}\n{packages}")


main()
