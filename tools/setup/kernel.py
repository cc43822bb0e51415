#!/usr/bin/env python3
"""Installs the Jupyter kernel `rust` into `.venv`, with Flowlens compiled beforehand.

The kernel's folder holds its own copy of the compiled crates, so that a `cargo clean` or another build does not touch
it; a kernel that runs keeps the engine that it started with. docs/kernel.md tells how a cell comes to link it.
"""

import hashlib
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from common import KERNEL, ROOT, fail, remove, replace, run, say
from versions import EVCXR

OWN_EVCXR = ROOT / ".evcxr"
# Lines of the standard library that say nothing about types.
NO_TYPE = re.compile(r"^[ \t]*(//.*|#!?\[(doc\s*=|stable|unstable|rustc_const_\w*stable|must_use|inline)\b.*\])[ \t]*\n", re.M)
SERIES = EVCXR.rsplit(".", 1)[0]


def series_of(program):
    """`0.22` of an evcxr_jupyter: it has no --version, but names its crate in the paths of its panics."""
    found = re.search(rb"evcxr_jupyter-(\d+\.\d+)\.\d+", Path(program).read_bytes())
    return found and found[1].decode()


def find_evcxr():
    for program in [OWN_EVCXR / "bin" / "evcxr_jupyter", shutil.which("evcxr_jupyter")]:
        if program and Path(program).exists() and series_of(program) == SERIES:
            return Path(program)
    return None


def install_evcxr():
    say(f"building evcxr_jupyter {EVCXR}, the Rust kernel for Jupyter (about 7 minutes on two cores, once)")
    # A target folder of its own keeps what an interrupted build had finished.
    work = ROOT / "target" / "evcxr"
    part = ROOT / ".evcxr.part"
    environment = {k: v for k, v in os.environ.items() if k != "CARGO_ENCODED_RUSTFLAGS"}
    run("cargo", "install", "--quiet", "--locked", "--root", part, "--target-dir", work, "--version", EVCXR, "evcxr_jupyter",
        cwd="/", env=environment)
    remove(OWN_EVCXR)
    part.rename(OWN_EVCXR)
    remove(work)
    return OWN_EVCXR / "bin" / "evcxr_jupyter"


def rustc(*arguments):
    return run("rustc", *arguments, cwd=ROOT, stdout=subprocess.PIPE, text=True).stdout.strip()


def build():
    """Builds the release library and gives the .rlib files it is made of, Flowlens's own first."""
    command = ["cargo", "build", "--release", "--locked", "--message-format=json-render-diagnostics"]
    # A notebook's cargo looks at the crates of all platforms: with them here it never asks the network.
    run("cargo", "fetch", "--quiet", "--locked", cwd=ROOT)
    done = run(*command, cwd=ROOT, stdout=subprocess.PIPE, text=True)
    own, others = None, []
    for line in done.stdout.splitlines():
        message = json.loads(line)
        if message.get("reason") != "compiler-artifact":
            continue
        files = [Path(name) for name in message["filenames"] if name.endswith((".rlib", ".so"))]
        if message["target"]["name"] == "flowlens" and "lib" in message["target"]["kind"]:
            own = files[0]
        else:
            others += files
    return own, others


def keep(own, others):
    """Copies (by hard links where that works) the compiled crates into a folder named after their content."""
    digest = hashlib.sha256(own.read_bytes())
    for other in sorted(others):
        digest.update(f"{other.name} {other.stat().st_size}".encode())
    name = digest.hexdigest()[:16]
    folder = KERNEL / "engine" / name
    if not folder.exists():
        part = folder.with_name(name + ".part")
        remove(part)
        part.mkdir(parents=True)
        copy(own, part / "libflowlens.rlib")
        for other in others:
            copy(other, part / other.name)
        part.rename(folder)
    return name


def copy(source, target):
    try:
        os.link(source, target)
    except OSError:
        shutil.copy2(source, target)


def forget_old_engines(current):
    """Takes away engines that no running kernel started with."""
    in_use = {current}
    for private in Path(tempfile.gettempdir()).glob("flowlens-kernel-*/engine"):
        in_use.add(private.read_text().strip())
    for folder in (KERNEL / "engine").iterdir():
        if folder.name not in in_use:
            remove(folder)


def keep_library():
    """Copies the standard library's sources: without them rust-analyzer knows no type of any variable.

    It reads them at every start and again at the first `let`; without comments and attributes that say nothing about
    types both take a third less.
    """
    version = rustc("-vV")
    sysroot = Path(rustc("--print", "sysroot"))
    release = re.search(r"^release: (\S+)", version, re.M)[1]
    places = [sysroot / "lib/rustlib/src/rust/library", Path(f"/usr/src/rustc-{release}/library")]
    if not any(place.exists() for place in places) and shutil.which("rustup"):
        say("adding the sources of Rust's standard library, which the kernel takes types from: rustup component add rust-src")
        subprocess.run(["rustup", "component", "add", "rust-src"], cwd=ROOT)
    source = next((place for place in places if place.exists()), None)
    if source is None:
        fail("the sources of Rust's standard library are missing, which the kernel takes the types of variables from. "
             "Install them (rustup component add rust-src, or Debian's package rust-src) and run make kernel again.")
    library = KERNEL / "library"
    note = library / "version"
    if note.exists() and note.read_text() == version:
        return
    part = KERNEL / "library.part"
    remove(part)
    for crate in ["core", "alloc", "std"]:
        for file in (source / crate / "src").rglob("*.rs"):
            name = file.relative_to(source)
            if {"tests", "benches"}.isdisjoint(name.parts):
                (part / name).parent.mkdir(parents=True, exist_ok=True)
                (part / name).write_text(NO_TYPE.sub("", file.read_text()))
    (part / "version").write_text(version)
    replace(part, library)


def install():
    evcxr = find_evcxr() or install_evcxr()
    KERNEL.mkdir(parents=True, exist_ok=True)
    shutil.copy2(ROOT / "tools" / "setup" / "start", KERNEL / "start.part")
    (KERNEL / "start.part").rename(KERNEL / "start")
    sources = run(KERNEL / "start", "--sources", stdout=subprocess.PIPE, text=True).stdout.strip()
    own, others = build()
    engine = keep(own, others)
    keep_library()
    facts = {
        "engine": engine,
        "evcxr": evcxr.relative_to(ROOT) if evcxr.is_relative_to(ROOT) else evcxr,
        "rustc_version": rustc("-vV"),
        "sources": sources,
    }
    text = "".join(f"{name}={shlex.quote(str(value))}\n" for name, value in facts.items())
    built = KERNEL / "built"
    if built.exists() and built.read_text() == text and (KERNEL / "kernel.json").exists():
        return
    say("installing the Jupyter kernel `rust` into .venv")
    if not (KERNEL / "version.txt").exists():
        # evcxr's own installer brings the logos; it also writes a kernel.json, which ours replaces.
        run(evcxr, "--install", env={**os.environ, "JUPYTER_PATH": str(KERNEL.parents[1])}, stdout=subprocess.DEVNULL)
    kernel = {
        "argv": ["{resource_dir}/start", "{connection_file}"],
        "display_name": "Rust",
        "language": "rust",
        "interrupt_mode": "message",
    }
    write(KERNEL / "kernel.json", json.dumps(kernel, indent=1) + "\n")
    write(built, text)
    forget_old_engines(engine)


def write(path, text):
    part = path.with_name(path.name + ".part")
    part.write_text(text)
    part.rename(path)


if __name__ == "__main__":
    if "--evcxr" in sys.argv[1:]:
        find_evcxr() or install_evcxr()
    else:
        install()
