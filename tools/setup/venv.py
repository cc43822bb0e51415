#!/usr/bin/env python3
"""Makes `.venv`: the project's own Python environment with JupyterLab. Finished work is not repeated."""

import importlib.util
import subprocess
import sys

from common import PYTHON, ROOT, VENV, fail, run, say
from versions import PYTHON_PACKAGES

STAMP = VENV / "flowlens-packages.txt"


def create():
    if importlib.util.find_spec("ensurepip") and importlib.util.find_spec("venv"):
        run(sys.executable, "-m", "venv", VENV)
        return [PYTHON, "-m", "pip"]
    # Debian splits venv from python3. A system pip can fill an environment that has none.
    if importlib.util.find_spec("venv") and importlib.util.find_spec("pip"):
        run(sys.executable, "-m", "venv", "--without-pip", VENV)
        return [sys.executable, "-m", "pip", "--python", PYTHON]
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
    if STAMP.exists():
        old, _, packages = STAMP.read_text().partition("\n")
        usable = subprocess.run([PYTHON, "-c", ""], capture_output=True).returncode == 0 if PYTHON.exists() else False
        if usable and packages == wanted:
            if old != str(ROOT):
                mend_moved_scripts(old)
                STAMP.write_text(f"{ROOT}\n{wanted}")
            return
    say("making .venv with JupyterLab (about 250 MB, a minute or two)")
    pip = create()
    run(*pip, "install", "--quiet", "--disable-pip-version-check", *PYTHON_PACKAGES)
    STAMP.write_text(f"{ROOT}\n{wanted}")


main()
