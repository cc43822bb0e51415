#!/usr/bin/env python3
"""Builds the Jupyter kernel (`kernel/`) and has it install itself into `.venv`.

    kernel.py --program   only builds it
    kernel.py             builds it and installs it, with Flowlens compiled beforehand; docs/kernel.md tells how that works
    kernel.py --evcxr     also stock evcxr_jupyter, as a second kernel
"""

import sys

from common import ROOT, VENV, run, say

TARGET = ROOT / "target" / "kernel"
PROGRAM = TARGET / "release" / "flowlens-kernel"


def build(features, quiet):
    if not PROGRAM.exists():
        say("building the Jupyter kernel in target/kernel (usually 10 minutes on two cores, more beside other work, once)")
    # Beside another build it takes what that one leaves: there is a page to look at sooner.
    run(*(["nice", "-n", "15"] if quiet else []), "cargo", "build", "--release", "--locked", *(["--quiet"] if quiet else []), *features,
        "--manifest-path", ROOT / "kernel" / "Cargo.toml", "--target-dir", TARGET, cwd=ROOT)


def main():
    options = sys.argv[1:]
    stock = "--evcxr" in options
    build(["--features", "stock"] if stock else [], quiet="--program" in options)
    if "--program" not in options:
        run(PROGRAM, "install", "--prefix", VENV, "--project", ROOT, *(["--evcxr"] if stock else []))


main()
