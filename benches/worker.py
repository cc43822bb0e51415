"""The Python side of run.py: does one job whenever a line comes in, and answers with its seconds.

  worker.py empty                 a process that has imported torch and made a tensor
  worker.py load FOLDER           transformers loads a float32 checkpoint
  worker.py run FOLDER IDS        a run that returns attentions and hidden states, or not ("plain")
  worker.py generate FOLDER IDS   lines "PROMPT COUNT": so many of the ids are the prompt, so many tokens are written, with the cache
  worker.py graph FOLDER IDS      the flow graph of two layers, one projection at a time
  worker.py trajectories FOLDER IDS   arrays of a run ("geometry", "words") with numpy and scikit-learn, a heat map as PDF with plotly and kaleido
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
elif JOB == "generate":
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32).eval()
    for line in sys.stdin:
        prompt, count = map(int, line.split())
        before = time.perf_counter()
        with torch.inference_mode():
            given = torch.tensor([ids[:prompt]])
            written = model.generate(given, attention_mask=torch.ones_like(given), do_sample=False, min_new_tokens=count,
                                     max_new_tokens=count, pad_token_id=0)
        report(time.perf_counter() - before)
        assert written.shape[1] == prompt + count
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
elif JOB == "trajectories":
    import numpy as np
    import plotly.graph_objects as go
    from sklearn.decomposition import PCA
    from transformers import AutoModelForCausalLM
    model = AutoModelForCausalLM.from_pretrained(FOLDER, dtype=torch.float32, attn_implementation="eager").eval()
    last = []
    model.model.norm.register_forward_pre_hook(lambda module, args: last.append(args[0]))
    with torch.inference_mode():
        out = model(torch.tensor([ids]), output_attentions=True, output_hidden_states=True, use_cache=False)
    streams = np.stack([h[0].numpy() for h in (*out.hidden_states[:-1], last[0])]).astype(np.float64)
    final = out.hidden_states[-1][0].numpy().astype(np.float64)
    patterns = [a[0].numpy().astype(np.float64) for a in out.attentions]
    table = model.lm_head.weight.detach().numpy()
    unit = lambda x: x / np.linalg.norm(x, axis=-1, keepdims=True)

    def angle(u, v):
        u, v = unit(u), unit(v)
        return 2 * np.arctan2(np.linalg.norm(u - v, axis=-1), np.linalg.norm(u + v, axis=-1))

    def geometry():
        steps = np.diff(streams, axis=0)
        norms, speed = np.linalg.norm(streams, axis=-1), np.linalg.norm(steps, axis=-1)
        turning, angles = angle(steps[:-1], steps[1:]), angle(streams[:-1], streams[1:])
        radial = (unit(steps) * unit(streams[:-1])).sum(-1)
        away = [angle(streams[0], x) for x in streams], [angle(x, streams[-1]) for x in streams]
        straight = np.linalg.norm(streams[-1] - streams[0], axis=-1) / speed.sum(0)
        points = PCA(3).fit_transform(streams.reshape(-1, streams.shape[-1]))
        depths = [*streams, final]
        cosines = [unit(x) @ unit(x).T for x in depths]
        products = [x @ x.T for x in depths]
        alike = [(c.sum() - len(c)) / (len(c) * (len(c) - 1)) for c in cosines]
        centred = [x - x.mean(0) for x in depths]
        grams = [x @ x.T for x in centred]
        cka = [[(a * b).sum() / np.linalg.norm(a) / np.linalg.norm(b) for b in grams] for a in grams]
        means = [a.mean(0) for a in patterns]
        behind, mixed = [means[-1]], []
        for mean in means[-2::-1]:
            behind.append(behind[-1] @ mean)
        for mean in means:
            half = (mean + np.eye(len(mean))) / 2
            mixed.append(half @ mixed[-1] if mixed else half)
        return norms, turning, angles, radial, away, straight, points, products, alike, cka, behind, mixed

    def words():
        with torch.inference_mode():
            normed = model.model.norm(torch.tensor(streams, dtype=torch.float32)).numpy()
        found = []
        for layer in normed:
            scores = layer @ table.T
            best = np.argpartition(-scores, 5, axis=-1)[:, :5]
            found.append(np.take_along_axis(best, np.argsort(-np.take_along_axis(scores, best, -1), axis=-1), -1))
        return found

    def pdf():
        scores = patterns[0][0]
        figure = go.Figure(go.Heatmap(z=np.where(np.tri(len(scores)) > 0, scores, np.nan), colorscale="Cividis"))
        figure.update_yaxes(autorange="reversed")
        figure.to_image("pdf", width=1200, height=1200)

    for line in sys.stdin:
        before = time.perf_counter()
        {"geometry": geometry, "words": words, "pdf": pdf}[line.strip()]()
        report(time.perf_counter() - before)
