#!/usr/bin/env python3
"""Writes tests/fixtures/trajectories/NAME.safetensors: what `flowlens trajectories` must give for some folders of
tests/fixtures/parity, computed in float64 with numpy from what Python `transformers` computed there (expected.safetensors
and sites.safetensors) and from the weights.

    python tools/make_trajectory_fixtures.py
"""
import json
import math
import os

import numpy as np
from safetensors.numpy import load_file, save_file

PARITY = os.path.join(os.path.dirname(__file__), "../tests/fixtures/parity")
OUT = os.path.join(os.path.dirname(__file__), "../tests/fixtures/trajectories")
# T5 1.0 and Flan-like, unequal depths, Falcon 7B, 11B (as 40B) and RW; none with padding, a Llama with grouped heads, a GPT-2.
NAMES = ["t5_tied", "t5_gated", "umt5_layers", "t5_buckets", "falcon_7b", "falcon_11b", "falcon_rw_twelve_heads", "llama_gqa", "gpt2"]


def unit(x):
    length = np.linalg.norm(x, axis=-1, keepdims=True)
    return x / np.where(length > 0, length, 1)  # a vector of zeros stays one


def angle(u, v):
    u, v = unit(u), unit(v)
    return 2 * np.arctan2(np.linalg.norm(u - v, axis=-1), np.linalg.norm(u + v, axis=-1))


def gram(x):
    return x @ np.swapaxes(x, -1, -2)


def softmax(x):
    e = np.exp(x - x.max(-1, keepdims=True))
    return e / e.sum(-1, keepdims=True)


def bucket(rel, both, count=32, far=128):
    """T5's bucket of key place - query place."""
    offset = 0
    if both:
        count //= 2
        offset = count if rel > 0 else 0
        n = abs(rel)
    else:
        n = max(-rel, 0)
    exact = count // 2
    if n < exact:
        return offset + n
    # Where the bucket's border is a whole number, the quotient of logarithms may fall short of it by rounding.
    return offset + min(count - 1, exact + int(math.log(n / exact) / math.log(far / exact) * (count - exact) + 1e-9))


class Folder:
    def __init__(self, name):
        path = f"{PARITY}/{name}"
        self.config = json.load(open(f"{path}/config.json"))
        self.data = {k: v.astype(np.float64) if v.dtype.kind == "f" else v for f in ("expected", "sites")
                     for k, v in load_file(f"{path}/{f}.safetensors").items()}
        self.weights = {k: v.astype(np.float64) for k, v in load_file(f"{path}/model.safetensors").items()}
        self.seq2seq = "encoder_hidden_states.0" in self.data
        self.type = self.config["model_type"].lower()

    def get(self, name):
        return self.data[name]

    def count(self, prefix):
        return 1 + max(int(k[len(prefix):]) for k in self.data if k.startswith(prefix))

    def stack(self, side):
        """Streams (L+1,T,D), patterns (L,H,T,T), norms (L,T,D), the final norm's output and its function."""
        hf, site = (f"{side}_", f"{side}.") if side else ("", "")
        layers = self.count(f"{hf}attentions.")
        streams = [self.get(f"{hf}hidden_states.0")[0]] + [self.get(f"{site}blocks.{l}.hook_resid_post") for l in range(layers)]
        found = dict(streams=np.stack(streams), patterns=np.stack([self.get(f"{hf}attentions.{l}")[0] for l in range(layers)]),
                     final=self.get(f"{hf}hidden_states.{layers}")[0], layers=layers)
        for key in ("ln1", "ln2", "ln_cross"):
            names = [f"{site}blocks.{l}.{key}.output" for l in range(layers)]
            if all(name in self.data for name in names):
                found[key] = np.stack([self.get(name) for name in names])
        return found

    def final_norm(self, side):
        w, eps = self.weights, self.config.get("layer_norm_epsilon", self.config.get("rms_norm_eps", 1e-5))
        if self.type.endswith("t5"):
            return lambda x: x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * w[f"{side}.final_layer_norm.weight"]
        if self.type == "llama":
            name = next(k for k in w if k.endswith("norm.weight") and "layers" not in k)
            return lambda x: x / np.sqrt((x * x).mean(-1, keepdims=True) + eps) * w[name]
        name = next(k for k in w if k.endswith("ln_f.weight"))[:-6]
        center = lambda x: x - x.mean(-1, keepdims=True)
        return lambda x: center(x) / np.sqrt(x.var(-1, keepdims=True) + eps) * w[name + "weight"] + w[name + "bias"]

    def tables(self):
        ends = ("shared.weight", "word_embeddings.weight", "embed_tokens.weight", "wte.weight")
        table = self.weights[next(k for e in ends for k in self.weights if k.endswith(e))]
        return table, self.weights.get("lm_head.weight", table)


def best(vectors, table, out, name):
    scores = vectors @ table.T
    ids = np.argsort(-scores, axis=-1, kind="stable")[..., :5]
    out[f"{name}_ids"] = ids.astype(np.int64)
    out[f"{name}_ip"] = np.take_along_axis(scores, ids, -1)


def of_stack(folder, side, p, out):
    s = folder.stack(side)
    x, a, layers = s["streams"], s["patterns"], s["layers"]
    t = x.shape[1]
    for name, value in [("resid", x), ("saln" if p else "ln", s.get("ln1")), ("ffln", s.get("ln2")), ("final", s["final"])]:
        if value is not None:
            out[f"{p}sim_{name}_dot"], out[f"{p}sim_{name}_cos"] = gram(value), gram(unit(value))
    step = np.diff(x, axis=0)
    speed = np.linalg.norm(step, axis=-1)
    traj = dict(norm=np.linalg.norm(x, axis=-1), speed=speed, cos_step=(unit(x[1:]) * unit(x[:-1])).sum(-1),
                angular_velocity=angle(x[:-1], x[1:]), turning_angle=angle(step[:-1], step[1:]),
                radial_fraction=(unit(step) * unit(x[:-1])).sum(-1), path_length=speed.sum(0),
                straightness=np.linalg.norm(x[-1] - x[0], axis=-1) / speed.sum(0),
                angle_from_start=angle(np.broadcast_to(x[:1], x.shape), x), angle_to_end=angle(x, np.broadcast_to(x[-1:], x.shape)),
                layer_layer_cos=gram(unit(x.transpose(1, 0, 2))),
                mean_pair_cos=(gram(unit(x)).sum((1, 2)) - t) / (t * (t - 1)))
    out.update({f"{p}traj_{k}": v for k, v in traj.items()})
    rows = x.reshape(-1, x.shape[-1])
    mean = rows.mean(0)
    _, sizes, axes = np.linalg.svd(rows - mean, full_matrices=False)
    axes = axes[:3] * np.sign(axes[np.arange(3), np.abs(axes[:3]).argmax(1)])[:, None]
    out.update({f"{p}pca_mean": mean, f"{p}pca_axes": axes, f"{p}pca_ratio": (sizes ** 2 / (sizes ** 2).sum())[:3],
                f"{p}pca_coords": ((rows - mean) @ axes.T).reshape(*x.shape[:2], 3)})
    table, head = folder.tables()
    best(folder.final_norm(side)(x), head, out, f"{p}lens")
    best(x, table, out, f"{p}knn")
    means = a.mean(1)
    behind, mixed = [means[-1]], []
    for mean_ in means[-2::-1]:
        behind.insert(0, behind[0] @ mean_)
    for mean_ in means:
        half = (mean_ + np.eye(t)) / 2
        mixed.append(half @ mixed[-1] if mixed else half)
    out[f"{p}attr"], out[f"{p}rollout"] = np.stack(behind), np.stack(mixed)
    away = np.abs(np.arange(t)[:, None] - np.arange(t)[None])
    out[f"{p}att_entropy"] = -(a * np.log(a + 1e-13)).sum(-1).mean(-1)
    out[f"{p}att_distance"] = (a * away).sum(-1).mean(-1)
    walk = [s[key] for key in ("ln1", "ln_cross", "ln2") if key in s]
    out[f"{p}walk"] = np.concatenate([np.stack(walk, 1).reshape(-1, t, x.shape[-1]), s["final"][None]])
    return s, np.stack(behind)


def kernels(folder, side, p, out):
    bias = folder.data.get(f"{side}.blocks.0.attn.position_bias" if side else "blocks.0.attn.position_bias")
    if bias is None:
        return
    keys = bias.shape[-1]
    row = keys // 2 if side == "encoder" else max(keys - 10, 0)
    values = bias[:, row].copy()
    if side != "encoder":
        values[:, row + 1:] = np.nan
    out[f"{p}kernel_row_ticks"], out[f"{p}kernel_row"] = np.arange(keys) - row, values
    rel = np.arange(-160, 161 if side == "encoder" else 1)
    out[f"{p}kernel_rel"] = rel
    if folder.type.endswith("t5"):
        table = folder.weights[f"{side}.block.0.layer.0.SelfAttention.relative_attention_bias.weight"]
        c = folder.config
        row = lambda r: table[bucket(int(r), side == "encoder", c.get("relative_attention_num_buckets", 32),
                                         c.get("relative_attention_max_distance", 128))]
        out[f"{p}kernel"] = np.stack([row(r) for r in rel], 1)
    else:
        # ALiBi: the last query's bias grows by the same with every place, but for rounding to bfloat16 that Falcon does.
        del out[f"{p}kernel_rel"]


def make(name):
    folder, out = Folder(name), {}
    if folder.seq2seq:
        sides = {}
        for side, p in (("encoder", "enc_"), ("decoder", "dec_")):
            sides[side] = of_stack(folder, side, p, out)
            kernels(folder, side, p, out)
        (enc, enc_behind), (dec, dec_behind) = sides["encoder"], sides["decoder"]
        cross = np.stack([folder.get(f"cross_attentions.{l}")[0].mean(0) for l in range(dec["layers"])])
        sums = [cross[-1]]
        for l in range(dec["layers"] - 2, -1, -1):
            sums.insert(0, sums[0] + dec_behind[l + 1] @ cross[l])
        across = np.stack([s / s.sum(-1, keepdims=True) for s in sums])
        out.update(cross_attr=across, enc_to_out_attr=np.stack([across[0] @ r for r in enc_behind]),
                   cross_sim_cos=unit(dec["final"]) @ unit(enc["final"]).T)
        ids = folder.get("decoder_input_ids")[0]
        labels = np.append(ids[1:], folder.config["eos_token_id"])
        probs = softmax(folder.get("logits")[0])
        out["label_p"] = probs[np.arange(len(labels)), labels]
        final = enc["final"]
    else:
        final = of_stack(folder, "", "", out)[0]["final"]
        kernels(folder, "", "", out)
        logits, ids = folder.get("logits")[0], folder.get("input_ids")[0]
        probs, places = softmax(logits), np.arange(len(ids) - 1)
        own = logits[places, ids[1:]]
        out.update(p_next=probs[places, ids[1:]], rank_next=(logits[:-1] > own[:, None]).sum(-1).astype(np.int64),
                   entropy=-(probs * np.log(probs + 1e-13)).sum(-1),
                   n_top=np.maximum(1, (np.sort(probs, -1)[:, ::-1].cumsum(-1) <= 0.9).sum(-1)).astype(np.int64))
    t = len(final)
    weights = np.arange(1, t + 1)
    half = t // 2
    out.update(concept_mean=final.mean(0), concept_w1mean=(final * weights[:, None]).sum(0) / weights.sum(), concept_last=final[-1],
               concept_dot=np.array([final[:half].mean(0) @ final[half:].mean(0)]))
    arrays = {k: np.ascontiguousarray(v.astype(np.float32 if v.dtype.kind == "f" else np.int64)) for k, v in sorted(out.items())}
    save_file(arrays, f"{OUT}/{name}.safetensors")
    print(f"{name:20} {len(arrays):3} arrays, {os.path.getsize(f'{OUT}/{name}.safetensors') / 1000:.0f} KB")


if __name__ == "__main__":
    os.makedirs(OUT, exist_ok=True)
    for name in NAMES:
        make(name)
