#!/usr/bin/env python3
"""Fuzzes every reader of Flowlens: `make fuzz TIME=60`, or

    python tools/fuzz.py [--time 60 | --runs 5000] [--seed 1] [--jobs 2] [TARGET ..]
    python tools/fuzz.py --again fuzz/artifacts/config-crash-..
    python tools/fuzz.py --keep [TARGET ..]

Builds fuzz/, runs each target with libFuzzer for so many seconds (or cases), and says of each how many cases it had, how
many a second, how much memory it took, and what was found. A panic that nobody catches, an abort, a case that takes more
than 5 s or 1 GB are found; their inputs stay under fuzz/artifacts, and --again runs one of them once more.

Targets begin with the inputs of fuzz/corpus and with those that they make of the fixtures. What they come upon is kept in
target/fuzz for the next time; --keep takes of it into fuzz/corpus the small inputs that reach what no other does.
"""
import argparse
import concurrent.futures
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
FUZZ = ROOT / "fuzz"
# What each target came upon, in a folder of its own.
WORK = ROOT / "target" / "fuzz"
PROGRAM = ROOT / "target" / "debug" / "flowlens-fuzz"
# More than any seed has.
LONGEST = 1 << 16
# An input that is kept is smaller, and a target keeps no more than so many of so many bytes in all. Those that something
# was found with begin with FOUND and stay.
KEPT_INPUT, KEPT, MOST_KEPT = 4 << 10, 16 << 10, 40
FOUND = "found-"
# What takes longer never comes back. Cases that take 5 s of the processor are found by the program itself, so that a busy
# machine finds nothing that is not there.
SECONDS_OF_A_CASE = 60

# libFuzzer's way to see which branches a case takes; all are flags of stable Rust. Only Flowlens and the targets get them
# (`wrapper`), so that what they depend on is compiled once for tests and fuzzing.
COVERAGE = ["-Cpasses=sancov-module", "-Cllvm-args=-sanitizer-coverage-level=4",
            "-Cllvm-args=-sanitizer-coverage-inline-8bit-counters", "-Cllvm-args=-sanitizer-coverage-pc-table",
            "-Cllvm-args=-sanitizer-coverage-trace-compares", "--cfg=fuzzing"]
WRAPPED = ("flowlens", "flowlens_fuzz")


def wrapper():
    """As RUSTC_WRAPPER: compiles with coverage what is to be fuzzed, all else as it is."""
    compiler, *arguments = sys.argv[1:]
    named = arguments[arguments.index("--crate-name") + 1] if "--crate-name" in arguments else None
    os.execvp(compiler, [compiler, *arguments, *(COVERAGE if named in WRAPPED else [])])


def targets():
    """The names that fuzz/src/targets/mod.rs lists."""
    return re.findall(r'Target \{ name: "(\w+)"', (FUZZ / "src" / "targets" / "mod.rs").read_text())


def build():
    environment = dict(os.environ, RUSTC_WRAPPER=str(Path(__file__).resolve()), FLOWLENS_FUZZ_WRAPPER="1")
    command = ["cargo", "build", "--quiet", "--locked", "--manifest-path", FUZZ / "Cargo.toml",
               "--target-dir", ROOT / "target"]
    if subprocess.run(command, cwd=ROOT, env=environment).returncode:
        sys.exit("fuzz: the targets were not built. Where the crate's dependencies changed, theirs follow with\n"
                 "    cargo update --workspace --manifest-path fuzz/Cargo.toml")


def environment(target, folder):
    # Small models gain nothing by several threads, and other targets run meanwhile.
    return dict(os.environ, FLOWLENS_FUZZ=target, FLOWLENS_FUZZ_FOLDER=str(folder), OMP_NUM_THREADS="1",
                RAYON_NUM_THREADS="1", RUST_BACKTRACE="1", NO_COLOR="1")


def program(target, folder, *arguments, **options):
    """Runs the program with the libraries of torch in reach."""
    command = [ROOT / "tools" / "setup" / "with-libtorch", PROGRAM, *arguments]
    return subprocess.run(command, cwd=ROOT, env={**environment(target, folder), **options.pop("env", {})},
                          stdout=subprocess.PIPE, stderr=subprocess.STDOUT, errors="replace", **options)


def in_memory():
    """A folder for the files of the cases, in memory where the system has such a place."""
    memory = Path("/dev/shm")
    return tempfile.TemporaryDirectory(prefix="flowlens-fuzz-", dir=memory if memory.is_dir() else None)


def seeds(target, folder):
    place = WORK / "seeds" / target
    shutil.rmtree(place, ignore_errors=True)
    place.mkdir(parents=True)
    done = program(target, folder, env={"FLOWLENS_FUZZ_SEEDS": str(place)})
    if done.returncode:
        sys.exit(f"fuzz: {target} has no seeds:\n{done.stdout}")
    return place


def fuzz(target, options):
    """Runs one target; what there is to say of it."""
    found = FUZZ / "artifacts"
    found.mkdir(exist_ok=True)
    with in_memory() as folder:
        begin, kept, met = seeds(target, folder), FUZZ / "corpus" / target, WORK / "corpus" / target
        if options.runs:
            # The same cases each time: what another run came upon must not change them.
            met = Path(folder) / "corpus"
        met.mkdir(parents=True, exist_ok=True)
        limits = [f"-runs={options.runs}"] if options.runs else [f"-max_total_time={options.time}"]
        start = time.monotonic()
        done = program(target, folder, *limits, f"-seed={options.seed}", f"-timeout={SECONDS_OF_A_CASE}",
                       f"-max_len={LONGEST}", "-rss_limit_mb=4096", "-print_final_stats=1", "-detect_leaks=0",
                       f"-artifact_prefix={found}/{target}-", met, begin, *([kept] if kept.is_dir() else []))
    return report(target, done, time.monotonic() - start)


def report(target, done, seconds):
    def number(name):
        found = re.findall(rf"stat::{name}:\s+(\d+)", done.stdout)
        return int(found[-1]) if found else 0

    cases = number("number_of_executed_units") or max(map(int, re.findall(r"^#(\d+)\t", done.stdout, re.M)), default=0)
    kept = re.findall(r"Test unit written to (\S+)", done.stdout)
    line = (f"{target:12} {cases:10} cases {seconds:7.1f} s {cases / seconds:8.0f} cases/s "
            f"{number('peak_rss_mb'):6} MB  {'nothing found' if done.returncode == 0 else 'FOUND'}")
    if done.returncode:
        WORK.mkdir(parents=True, exist_ok=True)
        log = WORK / f"{target}.log"
        log.write_text(done.stdout)
        why = [text for text in done.stdout.splitlines() if text.startswith("==") or "panicked at" in text or "ERROR:" in text]
        line += "".join(f"\n    {text[:300]}" for text in why[:4]) + f"\n    all it said: {os.path.relpath(log, ROOT)}"
        line += "".join(f"\n    again: python3 tools/fuzz.py --again {os.path.relpath(path, ROOT)}" for path in kept)
    return done.returncode, line


def again(path):
    """Runs one input once more."""
    target = max((name for name in targets() if path.name.startswith(name)), key=len, default=None)
    target = target or sys.exit(f"fuzz: {path.name} does not begin with the name of a target")
    with in_memory() as folder:
        done = program(target, folder, f"-timeout={SECONDS_OF_A_CASE}", "-rss_limit_mb=4096", path.resolve())
    print(done.stdout)
    sys.exit(done.returncode)


def keep(target):
    """Puts into fuzz/corpus the small inputs that reach what seeds and others do not."""
    kept, met = FUZZ / "corpus" / target, WORK / "corpus" / target
    with in_memory() as folder:
        begin, small, merged = seeds(target, folder), Path(folder) / "small", Path(folder) / "merged"
        small.mkdir()
        merged.mkdir()
        for source in [path for place in (kept, met) if place.is_dir() for path in place.iterdir()]:
            if source.stat().st_size <= KEPT_INPUT:
                shutil.copy(source, small)
        for seed in begin.iterdir():
            shutil.copy(seed, merged)
        done = program(target, folder, "-merge=1", f"-max_len={LONGEST}", "-rss_limit_mb=4096", merged, small)
        if done.returncode:
            sys.exit(f"fuzz: {target} cannot be merged:\n{done.stdout[-3000:]}")
        new = [path for path in merged.iterdir() if not (begin / path.name).exists()]
        kept.mkdir(parents=True, exist_ok=True)
        for old in kept.iterdir():
            if not old.name.startswith(FOUND):
                old.unlink()
        # Their names are hashes: in their order they are a sample of all.
        room = KEPT
        for path in sorted(new, key=lambda path: path.name)[:MOST_KEPT]:
            room -= path.stat().st_size
            if room < 0:
                break
            shutil.copy(path, kept)
    print(f"{target:12} keeps {len(list(kept.iterdir()))} inputs")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("targets", nargs="*", metavar="TARGET", help=", ".join(targets()))
    parser.add_argument("--time", type=int, default=60, help="seconds for each target")
    parser.add_argument("--runs", type=int, help="cases for each target, the same ones each time, instead of a time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--jobs", type=int, default=2, help="targets at a time")
    parser.add_argument("--again", type=Path, metavar="INPUT", help="run an input that was found")
    parser.add_argument("--keep", action="store_true", help="take what was come upon into fuzz/corpus")
    options = parser.parse_args()
    unknown = set(options.targets) - set(targets())
    if unknown:
        parser.error(f"no such target: {', '.join(sorted(unknown))}; there are {', '.join(targets())}")
    build()
    if options.again:
        again(options.again)
    chosen = options.targets or targets()
    if options.keep:
        for target in chosen:
            keep(target)
        return
    found = 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for done in concurrent.futures.as_completed([pool.submit(fuzz, target, options) for target in chosen]):
            code, line = done.result()
            found += code != 0
            print(line, flush=True)
    print(f"fuzz: {len(chosen)} targets, {found or 'nothing'} found")
    sys.exit(bool(found))


if __name__ == "__main__":
    if os.environ.get("FLOWLENS_FUZZ_WRAPPER"):
        wrapper()
    main()
