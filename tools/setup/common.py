"""What the set-up scripts share: where things are, how they speak, how they run other programs."""

import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
VENV = ROOT / ".venv"
PYTHON = VENV / "bin" / "python"
LIBTORCH = ROOT / ".libtorch"


def say(text):
    print(f"set-up: {text}", flush=True)


def fail(text):
    sys.exit(f"set-up: {text}")


def run(*command, **options):
    """Runs a program and stops with its name when it fails; its own output says why."""
    done = subprocess.run([str(part) for part in command], **options)
    if done.returncode:
        fail(f"`{' '.join(str(part) for part in command[:4])} ..` failed; its message stands above. "
             "Running the same make command again goes on from here.")
    return done


def pip():
    """The command that fills `.venv`: its own pip, or where Debian's python3 could make none there, the system's."""
    if subprocess.run([PYTHON, "-m", "pip", "--version"], capture_output=True).returncode == 0:
        return [PYTHON, "-m", "pip"]
    return [sys.executable, "-m", "pip", "--python", PYTHON]


def remove(path):
    """Removes a file, a link or a folder, whatever stands there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    elif path.is_symlink() or path.exists():
        path.unlink()


def replace(new, old):
    """Puts the finished `new` where `old` stands; an interruption leaves one of the two whole."""
    aside = old.with_name(old.name + ".old")
    remove(aside)
    if old.exists() or old.is_symlink():
        old.rename(aside)
    new.rename(old)
    remove(aside)
