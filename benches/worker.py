"""The Python side of run.py: does one job whenever a line comes in, and answers with its seconds.

  worker.py empty                 a process that has imported torch and made a tensor
  worker.py load FOLDER           transformers loads a float32 checkpoint
  worker.py run FOLDER IDS        a run that returns attentions and hidden states, or not ("plain")
  worker.py graph FOLDER IDS      the flow graph of two layers, one projection at a time
"""
import resource
import sys
import time

start = time.perf_counter()
import torch  # noqa: E402

JOB, FOLDER, IDS = (sys.argv[1:] + [None] * 3)[:3]
ids = [int(i) for i in IDS.split(",")] if IDS else None


def report(seconds):
    print(seconds, flush=True)


def memory():
    """Megabytes that were resident at most, and those that are resident now."""
    with open("/proc/self/status") as f:
        now = next(int(line.split()[1]) for line in f if line.startswith("VmRSS")) / 1000
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1.024 / 1000, now


if JOB == "empty":
    (torch.ones(2, 2) @ torch.ones(2, 2)).sum().item()
    print(time.perf_counter() - start, *memory())
elif JOB == "load":
    from transformers import AutoModelForCausalLM
    before = time.perf_counter()
    model = AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32, attn_implementation="eager").eval()
    loaded = time.perf_counter()
    peak = memory()
    with torch.inference_mode():
        model(torch.tensor([[1, 2, 3]]))
    print(loaded - before, time.perf_counter() - start, *peak, *memory())
elif JOB == "run":
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32, attn_implementation="eager").eval()
    tokens = torch.tensor([ids])
    for line in sys.stdin:
        watched = line.strip() == "watched"
        before = time.perf_counter()
        with torch.inference_mode():
            model(tokens, output_attentions=watched, output_hidden_states=watched, use_cache=False)
        report(time.perf_counter() - before)
elif JOB == "graph":
    from visit_per_vector import FlowGraph, load
    model, tokenizer = load(FOLDER)
    for _line in sys.stdin:
        graph = FlowGraph(model, tokenizer, 262)
        graph.collect(ids)
        before = time.perf_counter()
        graph.build([0, 1])
        report(time.perf_counter() - before)
        print(len(graph.nodes), len(graph.links), graph.projections, file=sys.stderr)
