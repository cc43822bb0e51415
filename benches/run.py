#!/usr/bin/env python3
"""Measures Flowlens beside Python on this machine and prints the table of the README.

    python benches/run.py [--gguf SmolLM2-135M-Instruct.Q4_1.gguf] [--rounds 7] [--only graph|run|generate|load|trajectories] [--threads 2] [--out FILE.md]

Needs an environment with torch 2.11, transformers 5, safetensors, gguf, scikit-learn, plotly and kaleido, and a Rust toolchain; `make bench` calls it.
Both sides run in processes of their own that stay alive, with as many threads (2 unless told), and are asked in turn (A B A B ..), so that
whatever else the machine does falls on both. A number is a median; a ratio is the median of the rounds' ratios.
"""
import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile

import models

HERE = os.path.dirname(os.path.abspath(__file__))
PROMPT = "504,3575,282,3085,314,260,2240,282"  # "The capital of Japan is the city of", 8 tokens
ENV = os.environ | {"FLOWLENS_CACHE": "off", "HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}


def starter():
    """Where Flowlens keeps the starter model smollm2-135m."""
    home = os.environ.get("FLOWLENS_HOME")
    if not home:
        home = os.path.join(os.environ.get("XDG_CACHE_HOME") or os.path.expanduser("~/.cache"), "flowlens")
    return os.path.join(home, "models", "smollm2-135m", "SmolLM2-135M-Instruct.Q4_1.gguf")


def rust_worker():
    """Builds benches/worker.rs as cargo bench would and gives its path."""
    command = ["cargo", "bench", "--bench", "worker", "--no-run", "--message-format=json"]
    built = subprocess.run(command, cwd=os.path.dirname(HERE), stdout=subprocess.PIPE, check=True, text=True).stdout
    paths = [m["executable"] for m in map(json.loads, built.splitlines()) if m.get("target", {}).get("name") == "worker"]
    return [os.path.join(os.path.dirname(HERE), "tools", "setup", "with-libtorch"), next(path for path in paths if path)]


class Worker:
    """A process that does a job whenever it gets a line."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                        env=ENV, text=True, bufsize=1)

    def ask(self, line="go"):
        self.process.stdin.write(line + "\n")
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(self.process.stderr.read())
        return float(answer)

    def close(self):
        self.process.stdin.close()
        self.process.wait()


def once(command):
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=ENV, text=True)
    if done.returncode:
        raise SystemExit(done.stderr)
    return [float(number) for number in done.stdout.split()]


def alternate(rounds, **jobs):
    """Every job once a round; medians by name, and the median of a round's ratios by pair of names."""
    taken = {name: [] for name in jobs}
    for one in range(rounds + 1):
        for name, job in jobs.items():
            seconds = job()
            if one:  # the first round warms up
                taken[name].append(seconds)
    return taken


median = statistics.median


def ratio(above, below):
    return median(a / b for a, b in zip(above, below))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--gguf", default=starter(), help="SmolLM2-135M-Instruct.Q4_1.gguf; the starter model's file unless told")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--threads", default="2")
    parser.add_argument("--models", default=os.path.join(tempfile.gettempdir(), "flowlens-bench-models"))
    parser.add_argument("--only", choices=["graph", "run", "generate", "load", "trajectories"])
    parser.add_argument("--out")
    options = parser.parse_args()
    ENV.update(OMP_NUM_THREADS=options.threads, MKL_NUM_THREADS=options.threads)
    smollm2, gpt2 = models.smollm2(options.gguf, f"{options.models}/smollm2"), models.gpt2(f"{options.models}/gpt2")
    rust, python = rust_worker(), [sys.executable, f"{HERE}/worker.py"]
    rows = []
    if options.only in (None, "graph"):
        rows += graph(rust, python, gpt2, max(2, options.rounds // 2))
    if options.only in (None, "run"):
        rows += runs(rust, python, smollm2, 5 * options.rounds)
    if options.only in (None, "generate"):
        rows += generation(rust, python, smollm2, options.rounds)
    if options.only in (None, "load"):
        rows += loads(rust, python, smollm2, options.rounds)
    if options.only in (None, "trajectories"):
        rows += trajectories(rust, python, smollm2, max(2, options.rounds // 2))
    table = "| what | Flowlens | beside it | ratio |\n|---|---|---|---|\n" + "".join(f"| {' | '.join(row)} |\n" for row in rows)
    print(table)
    if options.out:
        os.makedirs(os.path.dirname(os.path.abspath(options.out)), exist_ok=True)
        with open(options.out, "w") as f:
            f.write(table)


def graph(rust, python, folder, rounds):
    ids = "464,3139,286,2869,318,262,1748,286"
    a, b = Worker(rust + ["graph", folder, ids]), Worker(python + ["graph", folder, ids])
    taken = alternate(rounds, ours=a.ask, theirs=b.ask)
    a.close(), b.close()
    return [("VISIT graph of two layers, 293 nodes (GPT-2 small's widths)", f"{median(taken['ours']):.3f} s",
             f"one vector at a time, Python: {median(taken['theirs']):.2f} s", f"{ratio(taken['theirs'], taken['ours']):.0f} x faster")]


def runs(rust, python, folder, rounds):
    a, b = Worker(rust + ["run", folder, PROMPT]), Worker(python + ["run", folder, PROMPT])
    taken = alternate(rounds, plain=lambda: a.ask("plain"), watched=lambda: a.ask("watched"), part=lambda: a.ask("python"),
                      theirs=lambda: b.ask("watched"))
    a.close(), b.close()
    ours = median(taken["watched"])
    return [
        ("SmolLM2, 8 tokens, every site kept", f"{ours:.4f} s", f"plain run: {median(taken['plain']):.4f} s",
         f"{ratio(taken['watched'], taken['plain']):.3f}"),
        ("the same beside `transformers` with attentions and hidden states", f"{ours:.4f} s", f"{median(taken['theirs']):.4f} s",
         f"{ratio(taken['watched'], taken['theirs']):.2f}"),
        ("the same, keeping only what `transformers` returns", f"{median(taken['part']):.4f} s", f"{median(taken['theirs']):.4f} s",
         f"{ratio(taken['part'], taken['theirs']):.2f}"),
    ]


def generation(rust, python, folder, rounds):
    ids = ",".join(str(7919 * place % 49_000 + 17) for place in range(1000))
    a, b = Worker(rust + ["generate", folder, ids]), Worker(python + ["generate", folder, ids])
    taken = alternate(rounds, ours=lambda: a.ask("100 100"), theirs=lambda: b.ask("100 100"))
    # A token's time is what 20 more of them take.
    far = alternate(rounds, first=lambda: a.ask("10 1"), more=lambda: a.ask("10 21"), late=lambda: a.ask("1000 1"),
                    later=lambda: a.ask("1000 21"), **{"their late": lambda: b.ask("1000 1"), "their later": lambda: b.ask("1000 21")})
    a.close(), b.close()
    token = lambda less, more: [(b - a) / 20 for a, b in zip(far[less], far[more])]
    near, late, theirs = token("first", "more"), token("late", "later"), token("their late", "their later")
    return [
        ("SmolLM2, 100 tokens written after 100", f"{median(taken['ours']):.2f} s",
         f"`transformers` with its cache: {median(taken['theirs']):.2f} s", f"{ratio(taken['ours'], taken['theirs']):.2f}"),
        ("a token written after 1,000", f"{1000 * median(late):.1f} ms", f"after 10: {1000 * median(near):.1f} ms",
         f"{ratio(late, near):.2f}"),
        ("the same beside `transformers`", f"{1000 * median(late):.1f} ms", f"{1000 * median(theirs):.1f} ms", f"{ratio(late, theirs):.2f}"),
    ]


def trajectories(rust, python, folder, rounds):
    # The same ids for both sides, spread over the vocabulary.
    ids = ",".join(str(7919 * place % 49_000 + 17) for place in range(512))
    a, b = Worker(rust + ["trajectories", folder, ids]), Worker(python + ["trajectories", folder, ids])
    rows = []
    for job, what in [("geometry", "walk, similarity maps, CKA, attribution and rollout of 512 tokens of SmolLM2"),
                      ("words", "the 5 words nearest to each of these vectors"), ("pdf", "an attention map of 512 x 512 as PDF")]:
        taken = alternate(rounds, ours=lambda: a.ask(job), theirs=lambda: b.ask(job))
        theirs = "plotly and kaleido" if job == "pdf" else "numpy and scikit-learn"
        rows.append((what, f"{median(taken['ours']):.2f} s", f"{theirs}: {median(taken['theirs']):.2f} s",
                     f"{ratio(taken['theirs'], taken['ours']):.1f} x faster"))
    a.close(), b.close()
    return rows


def loads(rust, python, folder, rounds):
    """load answers: seconds in process, whole process, resident most and now after loading, and after a first run."""
    answers = {name: [] for name in ("ours", "theirs", "our empty", "their empty")}
    commands = {"ours": rust + ["load", folder], "theirs": python + ["load", folder], "our empty": rust + ["empty"],
                "their empty": python + ["empty"]}
    for one in range(rounds + 1):
        for name, command in commands.items():
            answer = once(command)
            if one:
                answers[name].append(answer)
    column = lambda name, place: [answer[place] for answer in answers[name]]
    above = lambda name, empty, place: max(0, median(column(name, place)) - median(column(empty, 1)))
    row = lambda what, place: (what, f"{median(column('ours', place)):.3f} s", f"`transformers`: {median(column('theirs', place)):.3f} s",
                               f"{ratio(column('ours', place), column('theirs', place)):.2f}")
    memory = lambda what, place: (what, f"{above('ours', 'our empty', place):.0f} MB", f"`transformers`: {above('theirs', 'their empty', place):.0f} MB",
                                  f"{above('ours', 'our empty', place) / max(1, above('theirs', 'their empty', place)):.2f}")
    return [row("load SmolLM2 as float32 (538 MB), in process", 0), row("the same with a first run, whole process", 1),
            memory("peak memory after loading, above an empty process", 2), memory("peak memory after the first run, likewise", 4)]


if __name__ == "__main__":
    main()
