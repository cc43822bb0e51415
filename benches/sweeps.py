#!/usr/bin/env python3
"""Measures sweeps beside TransformerLens on this machine and prints rows for docs/benchmarks.md.

    python benches/sweeps.py [--gguf FILE] [--pairs 1] [--rounds 3] [--jobs resid_pre,z,attribute] [--threads 2] [--out FILE.md]

Needs an environment with transformer_lens 4.3, gguf and safetensors, and a Rust toolchain. Both sides read the same float32 weights of SmolLM2-135M
and the same random ids, 15 tokens a prompt; they stay alive and are asked in turn, so that whatever else the machine does falls on both. A number is a
median; a ratio is the median of the rounds' ratios. The first round warms up.
"""
import argparse
import json
import os
import sys
import tempfile

import models
from run import ENV, HERE, Worker, alternate, median, ratio, rust_worker, starter

TOKENS = 15
JOBS = {"resid_pre": "resid_pre patched by layer and position", "z": "head mix patched by layer and head",
        "attribute": "attribution patching of heads, MLPs and stream"}


def pairs(count, path):
    """Random ids that differ in two places."""
    found = []
    for number in range(1, count + 1):
        clean = [(number * 7919 + place * place * 131 + place * 977) % 49_000 + 17 for place in range(TOKENS)]
        corrupted = list(clean)
        for place, step in ((3, 501), (9, 77)):
            corrupted[place] = (corrupted[place] + step) % 49_000 + 17
        found.append({"clean": clean, "corrupted": corrupted, "right": number * 31 + 400, "wrong": number * 57 + 900})
    with open(path, "w") as f:
        json.dump(found, f)
    return path


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", default=starter())
    parser.add_argument("--pairs", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--jobs", default=",".join(JOBS))
    parser.add_argument("--threads", default="2")
    parser.add_argument("--models", default=os.path.join(tempfile.gettempdir(), "flowlens-bench-models"))
    parser.add_argument("--out")
    options = parser.parse_args()
    # A bar would fill the pipe that nobody reads.
    ENV.update(OMP_NUM_THREADS=options.threads, MKL_NUM_THREADS=options.threads, TQDM_DISABLE="1")
    folder = models.smollm2(options.gguf, f"{options.models}/smollm2")
    file = pairs(options.pairs, os.path.join(options.models, f"pairs{options.pairs}.json"))
    ours = Worker(rust_worker() + ["sweeps", folder, file])
    theirs = Worker([sys.executable, f"{HERE}/sweeps_worker.py", folder, file])
    table = "| what | Flowlens | beside it | ratio |\n|---|---|---|---|\n"
    for job in options.jobs.split(","):
        taken = alternate(options.rounds, ours=lambda: ours.ask(job), theirs=lambda: theirs.ask(job))
        table += (f"| {JOBS[job]}, SmolLM2, {options.pairs} pair(s) of {TOKENS} tokens | {median(taken['ours']):.2f} s "
                  f"| TransformerLens: {median(taken['theirs']):.2f} s | {ratio(taken['theirs'], taken['ours']):.1f} x faster |\n")
    theirs.close(), ours.close()
    print(table)
    if options.out:
        with open(options.out, "w") as f:
            f.write(table)


if __name__ == "__main__":
    main()
