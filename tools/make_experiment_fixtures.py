#!/usr/bin/env python3
"""Writes tests/fixtures/experiments/NAME.safetensors: what causal experiments give on tiny checkpoints of
tests/fixtures/parity, computed by Python `transformers` (float32, eager attention, every cell a run of its own).

    python tools/make_experiment_fixtures.py [NAME ..]        all of MODELS, or those whose name starts with NAME

experiment_sites.py says how a site is read and changed. N pairs of prompts, T positions, S source positions, L layers (Le of
an encoder), H heads, K key heads, V words; what a family lacks is left out:

- `clean` `corrupted` (N,T), `source_clean` `source_corrupted` (N,S), `right` `wrong` (N): ids. `position` (N): where the
  answer is read, unless at the last position or at the only mask token.
- `metric.clean` `metric.corrupted` (N): m, the logit of `right` less that of `wrong`.
- `patch.SITE` (N,L,T), (N,L,H) or (N,L,K): m of the corrupted run with one cell of the clean run. `noising.z`: the reverse.
- `ablate.zero.z` `ablate.mean.z` (N,L,H), `ablate.zero.mlp_out` `ablate.zero.post` (N,L): m of the clean run with zeros, or
  with the mean over the clean prompts, position by position.
- `path.logits` (N,L,H): m of the clean run with one head of the corrupted run, all other heads held; MLPs compute anew.
- `attribute.SITE`: sum of (clean - corrupted) * dm/dSITE, the gradient taken in the corrupted run.
- `attribute.edges` (N,writers,readers): the same of what a writer (embedding, head, MLP; in this order in each layer) adds to
  the stream, the gradient that of the stream at one reader's input alone (queries, keys, values of each head, MLP; logits at
  the end). Not a number where the reader does not come behind the writer.
- `direct.SITE`, `direct_constant`: what each part adds to m (before a cap of logits) in the clean run, the scales of norms
  held. All but `z` and `cross_z` add up to m.
- `steer` (N,L): m of the clean run with twice the mean of clean - corrupted `resid_pre` at the answer's position added.
- `generate.ids` (N,..): greedy continuations. `batch.logits` (3,V): after the first 3, 6 and T tokens of `clean[0]`.
"""
import os
import sys
import zlib

os.environ.setdefault("HF_HUB_OFFLINE", "1")
import torch
import transformers
from experiment_sites import MASKED, PARITY, Subject, put
from safetensors.torch import save_file

OUT = os.path.join(PARITY, "../experiments")
LEAD = 0.02  # by how much the best token of a continuation must lead, so that rounding chooses none
transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
torch.set_num_threads(1)

# Name: pairs, positions (source positions), and where the answer is read in models that read both ways.
MODELS = {
    "gpt2": (3, 9), "gpt_neo": (3, 8), "gptj": (2, 9), "bloom": (3, 7), "falcon_7b": (2, 9), "llama_gqa": (3, 9), "mistral": (2, 8),
    "qwen3": (3, 9), "gemma2": (3, 9), "opt_post": (3, 6), "t5_tied": (3, (7, 10)), "bart": (2, (9, 6)),
    "gpt_neox": (3, 8), "gpt_neox_sequential": (3, 9), "phi": (2, 10), "stablelm_parallel": (3, 7), "olmo2_grouped": (3, 9),
    "falcon_40b": (2, 9), "falcon_sequential": (2, 8), "gpt_bigcode": (3, 9), "starcoder2_window": (2, 11), "llama_biases": (3, 8),
    "openai_gpt": (3, 8), "opt_projected_pre": (2, 9), "qwen2_moe_stacked": (3, 8), "mixtral_stacked": (2, 9),
    "gemma3_text_defaults": (2, 9), "gpt2_own_head": (2, 8), "phi3_window": (2, 9), "marian": (2, (8, 9)), "mbart_uneven": (3, (6, 7)),
    "pegasus_uneven": (2, (7, 7)), "t5_gated": (2, (6, 8)),
    "roberta": (3, 8, "mask"), "bert": (2, 9, 4), "modernbert_local": (2, 9, 3),
}

EDGES = ("gpt2_own_head", "llama_biases")  # blocks in which an MLP reads what attention has written, norms before both


class Experiments:
    def __init__(self, subject, data):
        self.s, self.data, self.rows = subject, data, torch.arange(len(data["right"]))
        self.position = data["position"]
        self.inputs = {run: feed(subject, data, run) for run in ("clean", "corrupted")}
        sites = "resid_pre attn_out mlp_out post z q k v pattern encoder_resid_pre cross_z cross_q cross_k cross_v cross_pattern"
        self.sites = [site for site in sites.split() if subject.has(site)]
        self.places = [(site, layer) for site in self.sites for layer in subject.depth(site)]
        with torch.no_grad():
            self.clean, self.corrupted = (subject.watch(self.inputs[run], self.places)[1] for run in ("clean", "corrupted"))
        if not subject.parallel:
            self.sites.append("resid_mid")

    def metric(self, logits):
        at = logits[self.rows, self.position]
        return at[self.rows, self.data["right"]] - at[self.rows, self.data["wrong"]]

    def m(self, run, edits={}):
        with torch.no_grad():
            return self.metric(self.s.run(self.inputs[run], edits))

    def sweep(self, site, value):
        """(N,L,cells) of value(place, cell)."""
        at = "attn_out" if site == "resid_mid" else site
        cells = lambda layer: self.s.cells(site, self.clean[at, layer])
        rows = [torch.stack([value((site, layer), cell) for cell in cells(layer)], -1) for layer in self.s.depth(site)]
        return torch.stack(rows, 1)

    def patches(self):
        for site in self.sites:
            if site == "resid_mid":  # the attention's output makes of the stream before it what the clean run has
                def patch(place, cell):
                    pre, out = ("resid_pre", place[1]), ("attn_out", place[1])
                    return self.m("corrupted", {out: put(cell, self.clean[pre] + self.clean[out] - self.corrupted[pre])})
            else:
                patch = lambda place, cell: self.m("corrupted", {place: put(cell, self.clean[place])})
            if site != "post":
                yield f"patch.{site}", self.sweep(site, patch)
        yield "noising.z", self.sweep("z", lambda place, cell: self.m("clean", {place: put(cell, self.corrupted[place])}))
        held = {place: put(slice(None), x) for place, x in self.clean.items() if place[0] in ("z", "cross_z")}

        def path(place, cell):
            sent = put(cell, self.corrupted[place])(self.clean[place])
            return self.m("clean", held | {place: put(slice(None), sent)})
        yield "path.logits", self.sweep("z", path)

    def ablations(self):
        mean = lambda x: x.mean(0, keepdim=True).expand_as(x)
        yield "ablate.zero.z", self.sweep("z", lambda place, cell: self.m("clean", {place: put(cell, 0.0)}))
        yield "ablate.mean.z", self.sweep("z", lambda place, cell: self.m("clean", {place: put(cell, mean(self.clean[place]))}))
        for site in ("mlp_out", "post"):
            if site in self.sites:
                zero = [self.m("clean", {(site, layer): torch.zeros_like}) for layer in self.s.depth(site)]
                yield f"ablate.zero.{site}", torch.stack(zero, 1)

    def attributions(self):
        logits, kept = self.s.watch(self.inputs["corrupted"], self.places)
        slopes = dict(zip(kept, torch.autograd.grad(self.metric(logits).sum(), list(kept.values()), allow_unused=True)))
        for site in ("resid_pre", "attn_out", "mlp_out", "z"):
            of = lambda place, cell: ((self.clean[place] - self.corrupted[place]) * slopes[place])[cell].flatten(1).sum(1)
            yield f"attribute.{site}", self.sweep(site, of)

    def edges(self):
        logits, kept = self.s.watch(self.inputs["corrupted"], self.places)
        slopes = dict(zip(kept, torch.autograd.grad(self.metric(logits).sum(), list(kept.values()), retain_graph=True)))
        apart = {place: self.clean[place] - self.corrupted[place] for place in kept}
        back = lambda place, stream, slope: torch.autograd.grad(kept[place], kept[stream], slope, retain_graph=True)[0]
        only = lambda cell, x: put(cell, x)(torch.zeros_like(x))
        writers, readers = [(-1, apart["resid_pre", 0])], []  # where in the order of sublayers, and what
        for layer in range(self.s.layers):
            for place in ((letter, layer) for letter in "qkv"):
                readers += [(2 * layer, back(place, ("resid_pre", layer), only(cell, slopes[place])))
                            for cell in self.s.cells(place[0], kept[place])]
            place, written = ("z", layer), ("attn_out", layer)
            matrix = lambda x: (self.s.modules[place][0](x) - self.s.modules[place][0](torch.zeros_like(x))).detach()
            writers += [(2 * layer, matrix(only(cell, apart[place]))) for cell in self.s.cells("z", apart[place])]
            # What attention adds enters the stream that the MLP reads as it is, so that both have one gradient.
            readers.append((2 * layer + 1, back(("mlp_out", layer), written, slopes["mlp_out", layer])))
            writers.append((2 * layer + 1, apart["mlp_out", layer]))
        readers.append((2 * self.s.layers, slopes["mlp_out", self.s.layers - 1]))
        score = lambda writer, reader: (writer[1] * reader[1]).sum((1, 2)) * (1 if writer[0] < reader[0] else float("nan"))
        yield "attribute.edges", torch.stack([torch.stack([score(w, r) for r in readers], -1) for w in writers], 1)

    def steering(self):
        all_m = []
        for layer in self.s.depth("resid_pre"):
            apart = self.clean["resid_pre", layer] - self.corrupted["resid_pre", layer]
            direction = 2.0 * apart[self.rows, self.position].mean(0)
            all_m.append(self.m("clean", {("resid_pre", layer): lambda x: x + direction}))
        yield "steer", torch.stack(all_m, 1)

    def direct(self):
        """With what MLPs and heads compute cut off from the stream, and the scales of norms held, logits are a linear function
        of the parts: gradient times part is what a part gives."""
        parts = {}

        def edit(place):
            def cut(x):
                part = x.detach().clone().requires_grad_() if place[0] in cuts else x.clone()
                parts[place] = part
                return part.clone()
            return cut
        cuts = {"z", "cross_z", "mlp_out", "resid_pre"}
        places = [(site, layer) for site in ("z", "attn_out", "cross_z", "cross_out", "mlp_out")
                  for layer in range(self.s.layers) if (site, layer) in self.s.modules] + [("resid_pre", 0)]
        cap = getattr(self.s.config, "final_logit_softcapping", None)
        norms = [module for module in self.s.model.modules() if "Norm" in type(module).__name__ and hasattr(module, "weight")]
        handles = [norm.register_forward_hook(hold_scale) for norm in norms]
        try:
            self.s.model.config.final_logit_softcapping = None
            m = self.metric(self.s.run(self.inputs["clean"], {place: edit(place) for place in places}))
        finally:
            self.s.model.config.final_logit_softcapping = cap
            [handle.remove() for handle in handles]
        slopes = dict(zip(parts, torch.autograd.grad(m.sum(), list(parts.values()))))
        given = {place: (parts[place] * slopes[place]).detach()[self.rows, self.position] for place in parts}
        left = m.detach() - given["resid_pre", 0].sum(-1)
        yield "direct.embed", given.pop(("resid_pre", 0)).sum(-1)
        for site in dict(place for place in given):
            rows = torch.stack([given[site, layer] for layer in range(self.s.layers)], 1)
            if site in ("z", "cross_z"):
                yield f"direct.{site}", rows.unflatten(-1, (self.s.heads, -1)).sum(-1)
            else:
                left = left - rows.sum((-1, -2))
                yield f"direct.{site}", rows.sum(-1)
        yield "direct_constant", left

    def all(self):
        out = {f"metric.{run}": self.m(run) for run in ("clean", "corrupted")}
        for arrays in (self.patches(), self.ablations(), self.attributions(), self.steering()):
            out |= dict(arrays)
        if self.s.type not in MASKED:  # there the head is not linear
            out |= dict(self.direct())
        if self.s.name in EDGES:
            out |= dict(self.edges())
        with torch.no_grad():
            out["batch.logits"] = torch.cat([self.s.run(self.first(n))[:, -1] for n in (3, 6, self.data["clean"].shape[1])])
        return out

    def first(self, count):
        inputs = {key: ids[:1] for key, ids in self.inputs["clean"].items()}
        key = "decoder_input_ids" if self.s.both else "input_ids"
        return inputs | {key: inputs[key][:, :count]}


def hold_scale(norm, args, out):
    """What a norm gives, as a linear function of what it reads."""
    x, layer_norm = args[0], isinstance(norm, torch.nn.LayerNorm)
    x = x - x.mean(-1, keepdim=True) if layer_norm else x
    eps = next(getattr(norm, key) for key in ("eps", "variance_epsilon") if hasattr(norm, key))
    scale = (x.pow(2).mean(-1, keepdim=True) + eps).rsqrt().detach()
    gain = norm.weight + 1 if "Gemma" in type(norm).__name__ else norm.weight
    bias = norm.bias if layer_norm and norm.bias is not None else 0
    held = x * scale * gain + bias
    torch.testing.assert_close(held, out, atol=1e-4, rtol=1e-4)
    return held


def feed(s, data, run):
    ids = data[run]
    return {"input_ids": data[f"source_{run}"], "decoder_input_ids": ids} if s.both else {"input_ids": ids}


def mask_id(name):
    tokenizer = transformers.PreTrainedTokenizerFast(tokenizer_file=f"{PARITY}/{name}/tokenizer.json")
    return next(i for word, i in tokenizer.get_vocab().items() if word.strip("<>[]").lower() == "mask")


def draw(name, s, seed):
    """Pairs of random ids without special ones; `right` and `wrong` are what the corruption takes and brings most."""
    count, length, *place = MODELS[name]
    target, source = length if s.both else (length, None)
    g = torch.Generator().manual_seed(seed)
    special = {value for key, value in s.config.to_dict().items() if key.endswith("token_id")}
    mask = mask_id(name) if place == ["mask"] else None
    ids = torch.tensor([i for i in range(3, s.config.vocab_size) if i not in special | {mask}])
    read = target // 2 if mask else place[0] if place else target - 1

    def pair(length, fixed):
        clean = ids[torch.randint(len(ids), (count, length), generator=g)]
        corrupted = clean.clone()
        for row in range(count):
            free = [t for t in torch.randperm(length, generator=g).tolist() if t not in fixed][:2 + row % 2]
            for t in free:
                others = ids[ids != clean[row, t]]
                corrupted[row, t] = others[torch.randint(len(others), (), generator=g)]
        return clean, corrupted

    data = dict(zip(("clean", "corrupted"), pair(target, {0} if s.both else {read} if place else set())))
    if s.both:
        data |= dict(zip(("source_clean", "source_corrupted"), pair(source, set())))
    for run in ("clean", "corrupted"):
        if s.both:
            data[run][:, 0] = s.config.decoder_start_token_id
        if mask:
            data[run][:, read] = mask
    data["position"] = torch.full((count,), read)
    with torch.no_grad():
        moved = s.run(feed(s, data, "clean"))[:, read] - s.run(feed(s, data, "corrupted"))[:, read]
    return data | {"right": moved.argmax(-1), "wrong": moved.argmin(-1)}


@torch.no_grad()
def continued(s, data):
    """Greedy continuations without a cache, and the least lead of any of their tokens. None must end the text."""
    config, ids, least = s.config, data["clean"], float("inf")
    longest = min(getattr(config, key, None) or 1000 for key in ("max_position_embeddings", "n_positions"))
    ends = config.eos_token_id
    for _ in range(min(24, longest - ids.shape[1])):
        inputs = feed(s, data | {"clean": ids}, "clean")
        best = s.run(inputs)[:, -1].topk(2)
        least = min(least, (best.values[:, 0] - best.values[:, 1]).min().item())
        if ends is not None and (best.indices[:, 0] == ends).any():
            return None, 0.0
        ids = torch.cat([ids, best.indices[:, :1]], 1)
    return ids[:, data["clean"].shape[1]:], least


def make(name):
    s, exact, first = Subject(name), Subject(name, torch.float64), zlib.crc32(name.encode()) % 1000
    for seed in range(first, first + 300):
        data = draw(name, s, seed)
        ids, lead = (None, 1.0) if s.type in MASKED else continued(s, data)
        if lead < LEAD or (data["right"] == data["wrong"]).any():
            continue
        out, wanted = Experiments(s, data).all(), Experiments(exact, data).all()
        most = lambda x: float(x.abs().nan_to_num().max())
        noise = {key: most(wanted[key] - x) / (1e-4 * (1 + most(wanted[key]))) for key, x in out.items()}
        worst = max(noise, key=noise.get)
        if noise[worst] < 0.2:
            break
    else:
        raise ValueError(f"{name}: no seed gives continuations that do not hang on rounding")
    if len(MODELS[name]) < 3 or MODELS[name][2] == "mask":
        del data["position"]
    out = data | out | ({} if ids is None else {"generate.ids": ids})
    file = f"{OUT}/{name}.safetensors"
    save_file({key: x.detach().contiguous() for key, x in out.items()}, file,
              {"model_type": s.type, "seed": str(seed), "transformers": transformers.__version__, "torch": torch.__version__})
    size = os.path.getsize(file)
    assert size < 16_000, f"{name}: {size} bytes"
    print(f"{name:20} {size / 1000:5.1f} KB  seed {seed}  lead {lead:.3f}  noise {noise[worst]:.3f} ({worst})  {len(out)} arrays "
          f"m {out['metric.clean'].tolist()} {out['metric.corrupted'].tolist()}", flush=True)


if __name__ == "__main__":
    os.makedirs(OUT, exist_ok=True)
    for name in MODELS:
        if not sys.argv[1:] or name.startswith(tuple(sys.argv[1:])):
            make(name)
