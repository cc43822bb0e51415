#!/usr/bin/env python3
"""Measures the notebook kernel beside a Python kernel: what a person waits for from opening a notebook to the first figure and on.

    .venv/bin/python benches/kernel.py --python /environment/bin/python [--kernels rust,python] [--rounds 5] [--model FOLDER] [--out FILE.md]

Needs this project's kernel (`make kernel`); the Python environment needs ipykernel, torch, transformers, gguf and bertviz; Linux. Both
sides load SmolLM2-135M, Flowlens from its GGUF file, Python from the same numbers as safetensors, run the same prompt and draw BertViz's
head view. The two take turns; a number is the median of the rounds, in seconds unless it says otherwise.

ready        from the start of the process to the answer of the first question (kernel_info)
first figure from the start of the process to the first HTML output, four cells sent one after the other
second       the same after a restart from the menu
cell         from sending a short cell to its answer; median and longest of 20
memory       the most that the processes had resident, sampled every 50 ms: the kernel, what the cells run in, compilers
"""
import argparse
import os
import pathlib
import statistics
import subprocess
import sys
import tempfile
import threading
import time

from jupyter_client import KernelManager
from jupyter_client.kernelspec import KernelSpec

ROOT = pathlib.Path(__file__).resolve().parents[1]
PROMPT = "The keys to the old cabinet are on the table. The keys to the old cabinet are"
RUST = [
    "use flowlens::prelude::*;",
    'let model = Model::load("smollm2-135m")?;',
    f'let trace = model.run("{PROMPT}")?;',
    "trace.head_view()",
]
PYTHON = [
    "import torch, transformers, bertviz",
    'model = transformers.AutoModelForCausalLM.from_pretrained("{model}", attn_implementation="eager", dtype=torch.float32)\n'
    'tokenizer = transformers.AutoTokenizer.from_pretrained("{model}")',
    f'ids = tokenizer("{PROMPT}", return_tensors="pt").input_ids\n'
    "with torch.no_grad():\n    attentions = model(ids, output_attentions=True).attentions",
    "bertviz.head_view(attentions, tokenizer.convert_ids_to_tokens(ids[0]))",
]
SHORT = {"rust": "let number{i} = {i} + 1;", "python": "number{i} = {i} + 1"}


class Memory(threading.Thread):
    """Watches a process and all that it starts."""

    def __init__(self, pid):
        super().__init__(daemon=True)
        self.pid, self.most, self.over = pid, {"kernel": 0, "cells": 0, "compiler": 0, "together": 0}, False

    def run(self):
        while not self.over:
            now = {"kernel": 0, "cells": 0, "compiler": 0}
            for pid in descendants(self.pid):
                try:
                    name = pathlib.Path(f"/proc/{pid}/comm").read_text().strip()
                    pages = int(pathlib.Path(f"/proc/{pid}/statm").read_text().split()[1])
                    marked = b"EVCXR_IS_RUNTIME=" in pathlib.Path(f"/proc/{pid}/environ").read_bytes()
                except (OSError, IndexError):
                    continue
                compiler = name in ("cargo", "rustc", "cc", "collect2", "ld") or name.startswith("ld.")
                kind = "compiler" if compiler else "cells" if marked else "kernel"
                now[kind] += pages * os.sysconf("SC_PAGE_SIZE")
            now["together"] = sum(now.values())
            self.most = {kind: max(self.most[kind], size) for kind, size in now.items()}
            time.sleep(0.05)


def descendants(root):
    children = {}
    for entry in pathlib.Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int(entry.joinpath("stat").read_text().rsplit(")", 1)[1].split()[1])
            except (OSError, IndexError):
                continue
            children.setdefault(parent, []).append(int(entry.name))
    found, to_see = [], [root]
    while to_see:
        pid = to_see.pop()
        found.append(pid)
        to_see += children.get(pid, [])
    return found


def execute(client, code):
    """Runs a cell; gives whether it showed HTML."""
    html, error = False, None

    def heard(message):
        nonlocal html, error
        html |= "text/html" in message["content"].get("data", {})
        if message["msg_type"] == "error":
            error = "\n".join(message["content"]["traceback"])
    reply = client.execute_interactive(code, output_hook=heard, timeout=600, allow_stdin=False)
    if reply["content"]["status"] != "ok" or error:
        sys.exit(f"the cell failed: {code}\n{error or reply['content']}")
    return html


def to_first_figure(client, cells, began):
    for cell in cells:
        html = execute(client, cell)
    if not html:
        sys.exit("the last cell showed no HTML")
    return time.monotonic() - began


def measure(kind, options, cells):
    manager = KernelManager(kernel_name="rust")
    if kind == "python":
        manager._kernel_spec = KernelSpec(argv=[options.python, "-m", "ipykernel_launcher", "-f", "{connection_file}"], language="python")
    with tempfile.TemporaryDirectory() as folder:
        began = time.monotonic()
        manager.start_kernel(cwd=folder)
        memory = Memory(manager.provisioner.pid)
        memory.start()
        client = manager.client()
        client.start_channels()
        client.kernel_info(reply=True, timeout=60)
        ready = time.monotonic() - began
        first = to_first_figure(client, cells, began)
        times = []
        for i in range(20):
            sent = time.monotonic()
            execute(client, SHORT[kind].format(i=i))
            times.append(time.monotonic() - sent)
        client.stop_channels()
        began = time.monotonic()
        manager.restart_kernel(now=False)
        client = manager.client()
        client.start_channels()
        client.kernel_info(reply=True, timeout=60)
        second = to_first_figure(client, cells, began)
        memory.over = True
        client.stop_channels()
        manager.shutdown_kernel()
    megabytes = {f"memory, {part} (MB)": size / 1e6 for part, size in memory.most.items()}
    return {"ready": ready, "first figure": first, "second": second, "cell": statistics.median(times), "longest cell": max(times)} | megabytes


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--python", default=sys.executable)
    parser.add_argument("--kernels", default="rust,python")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--model", type=pathlib.Path, help="folder of SmolLM2 as safetensors; made from the starter model unless given")
    parser.add_argument("--out", type=pathlib.Path)
    options = parser.parse_args()
    kinds = options.kernels.split(",")
    with tempfile.TemporaryDirectory() as folder:
        model = options.model
        if model is None and "python" in kinds:
            make = (
                "import os, sys, transformers; sys.path.insert(0, sys.argv[1]); import models, run; file = run.starter()\n"
                "models.smollm2(file, sys.argv[2])\n"
                "words = transformers.AutoTokenizer.from_pretrained(os.path.dirname(file), gguf_file=os.path.basename(file))\n"
                "words.save_pretrained(sys.argv[2])"
            )
            subprocess.run([options.python, "-c", make, ROOT / "benches", folder], check=True)
            model = folder
        cells = {"rust": RUST, "python": [cell.replace("{model}", str(model)) for cell in PYTHON]}
        rounds = {kind: [] for kind in kinds}
        for turn in range(options.rounds):
            for kind in kinds:
                rounds[kind].append(measure(kind, options, cells[kind]))
                print(f"round {turn + 1}, {kind}: " + ", ".join(f"{name} {value:.2f}" for name, value in rounds[kind][-1].items()), flush=True)
    names = list(rounds[kinds[0]][0])
    lines = ["| | " + " | ".join(kinds) + " |", "|---|" + "---|" * len(kinds)]
    for name in names:
        medians = [statistics.median(one[name] for one in rounds[kind]) for kind in kinds]
        lines.append(f"| {name} | " + " | ".join(f"{value:.0f}" if "MB" in name else f"{value:.2f}" for value in medians) + " |")
    text = "\n".join(lines) + "\n"
    print(text)
    if options.out:
        options.out.write_text(text)


main()
