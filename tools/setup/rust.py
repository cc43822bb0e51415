#!/usr/bin/env python3
"""Puts the pinned Rust into a folder, reduced to what compiles and links programs for this machine.

    rust.py FOLDER                    fetches it with rustup, whose installer is checked first
    rust.py FOLDER --from TOOLCHAIN   takes it from an unpacked toolchain of that version (where rust-lang.org cannot be reached)

The sources of the standard library come along: the kernel takes its copy of them.
"""

import argparse
import hashlib
import os
import shutil
import subprocess
import tempfile
import urllib.request
from pathlib import Path

from common import fail, run, say
from versions import RUST, RUSTUP, RUSTUP_SHA256

HOST = "x86_64-unknown-linux-gnu"
INSTALLER = f"https://static.rust-lang.org/rustup/archive/{RUSTUP}/{HOST}/rustup-init"
# Of a toolchain; what the sanitizers link and what makes WebAssembly is left out.
KEPT = [
    "bin/cargo",
    "bin/rustc",
    "lib/*.so*",
    f"lib/rustlib/{HOST}/lib/*",
    f"lib/rustlib/{HOST}/bin/rust-lld",
    f"lib/rustlib/{HOST}/bin/gcc-ld/ld.lld",
    "lib/rustlib/src/rust/library/**/*",
]
LEFT_OUT = "librustc-*_rt.*.a"


def fetch(home):
    say(f"fetching Rust {RUST} (about 200 MB)")
    installer = home / "rustup-init"
    try:
        with urllib.request.urlopen(INSTALLER, timeout=60) as answer:
            installer.write_bytes(answer.read())
    except OSError as error:
        fail(f"{INSTALLER} cannot be fetched: {error}. Run it again, or give an unpacked toolchain: rust.py FOLDER --from TOOLCHAIN")
    if hashlib.sha256(installer.read_bytes()).hexdigest() != RUSTUP_SHA256:
        fail(f"{INSTALLER} is not the installer that is known here (its SHA-256 differs)")
    installer.chmod(0o755)
    run(installer, "-y", "--quiet", "--no-modify-path", "--profile", "minimal", "--default-toolchain", RUST, "--component", "rust-src",
        env=os.environ | {"RUSTUP_HOME": str(home), "CARGO_HOME": str(home / "cargo")})
    return home / "toolchains" / f"{RUST}-{HOST}"


def keep(toolchain, folder):
    found = subprocess.run([toolchain / "bin/rustc", "--version"], capture_output=True, text=True).stdout
    if not found.startswith(f"rustc {RUST} "):
        fail(f"{toolchain} holds {found.strip() or 'no rustc'}; Rust {RUST} is wanted")
    for pattern in KEPT:
        files = [file for file in toolchain.glob(pattern) if file.is_file() and not file.match(LEFT_OUT)]
        if not files:
            fail(f"{toolchain} has no {pattern}; it is incomplete, or was made by another Rust than {RUST}")
        for file in files:
            target = folder / file.relative_to(toolchain)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(file, target)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--from", dest="toolchain", type=Path)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as home:
        keep(options.toolchain or fetch(Path(home)), options.folder)
    say(f"Rust {RUST} is in {options.folder}")


main()
