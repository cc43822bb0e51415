#!/usr/bin/env python3
"""Looks for options that Flowlens computes otherwise than Python `transformers`: random configurations of every family.

    python tools/fuzz_families.py [--count 200] [--seed 1] [--flowlens target/debug/flowlens] [NAME ..]

Starts from the fixtures' variants, changes up to three keys of a config to other values of their kind, draws weights and an
input, and compares `flowlens trace --layout transformers` with Python, key by key. A configuration that Python refuses is
passed over; one that Flowlens refuses is listed by its message; one that both compute differently fails. What it finds
belongs into tools/fixture_variants*.py.
"""
import argparse
import collections
import copy
import json
import random
import re
import subprocess
import sys
import tempfile

import make_fixtures as fixtures
import torch
from safetensors.torch import load_file, save_file
from transformers import AutoConfig

ACTIVATIONS = ["gelu", "gelu_new", "relu", "silu", "quick_gelu", "tanh", "gelu_pytorch_tanh"]
KEEP = {"architectures", "model_type", "vocab_size", "torch_dtype", "dtype", "is_encoder_decoder", "per_layer_config",
        "attention_dropout", "use_cache", "pruned_heads", "transformers_version", "problem_type", "output_attentions",
        "output_hidden_states", "return_dict", "chunk_size_feed_forward", "max_position_embeddings", "n_positions"}


def other_value(key, value, config, rng):
    """Another value of the same kind, or None for none in sight."""
    if isinstance(value, bool):
        return not value
    if "act" in key and isinstance(value, str) or key == "afn":
        return rng.choice(ACTIVATIONS)
    if key in ("num_key_value_heads", "num_kv_heads"):
        heads = config.get("num_attention_heads") or 1
        return rng.choice([n for n in range(1, heads + 1) if heads % n == 0])
    if key in ("pad_token_id", "bos_token_id", "eos_token_id", "pad_index"):
        return rng.randrange(5) if isinstance(value, int) else None
    if re.search(r"(layers|layer|n_layer)$", key) and isinstance(value, int):
        return rng.randint(1, 4)
    if re.search(r"(heads|n_head)$", key) and isinstance(value, int):
        return rng.choice([1, 2, 3, 4])
    if re.search(r"(eps|epsilon)$", key):
        return rng.choice([1e-5, 1e-3, 0.05])
    if key in ("rope_theta", "rotary_emb_base", "rope_local_base_freq", "global_rope_theta", "local_rope_theta"):
        return rng.choice([10.0, 100.0, 10000.0])
    if key in ("partial_rotary_factor", "rotary_pct"):
        return rng.choice([0.25, 0.5, 1.0])
    if isinstance(value, int) and 0 < value < 4096:
        return rng.choice([value + 1, value + 2, max(1, value // 2), 2 * value])
    if isinstance(value, float):
        return value * rng.choice([0.5, 2.0])
    return None


def mutated(variant, rng):
    variant = copy.deepcopy({k: v for k, v in variant.items() if k not in ("tensors", "published", "matters", "ignored")})
    config = variant["config"]
    with tempfile.TemporaryDirectory() as folder:
        fixtures.write_config(folder, config)
        full = AutoConfig.from_pretrained(folder).to_dict()
    keys = [key for key in full if key not in KEEP and not key.startswith("_") and "dropout" not in key and "pdrop" not in key]
    changes = {}
    for key in rng.sample(keys, min(len(keys), rng.choice([1, 1, 2, 3]))):
        value = other_value(key, config.get(key, full[key]), full, rng)
        if value is not None:
            changes[key] = value
    config |= changes
    variant["pad"] = rng.choice([None, None, "left", "right"])
    variant["length"] = rng.choice([variant.get("length", 11), 14])
    return variant, changes


def try_one(variant, flowlens, rng):
    with tempfile.TemporaryDirectory() as folder:
        try:
            fixtures.write_config(folder, variant["config"])
            fixtures.write_checkpoint(folder, variant)
            length, vocab = variant["length"], AutoConfig.from_pretrained(folder).get_text_config().vocab_size
            generator = torch.Generator().manual_seed(rng.randrange(1 << 30))
            inputs = {"input_ids": torch.randint(0, vocab, (1, length), generator=generator)}
            if variant["pad"]:
                inputs["attention_mask"] = fixtures.padding(length, variant["pad"])
            if variant["config"].get("is_encoder_decoder"):
                inputs["decoder_input_ids"] = torch.randint(0, vocab, (1, 8), generator=generator)
            wanted = fixtures.expected(variant, folder, inputs)
            noise = fixtures.distance(fixtures.expected(variant, folder, inputs, torch.float64), wanted)
        except Exception as error:
            return "python", f"{type(error).__name__}: {str(error)[:60]}"
        if any(not value.isfinite().all() for value in wanted.values()) or not noise < 0.5:
            return "python", "not finite or too noisy"
        save_file(inputs | {k: v.contiguous() for k, v in wanted.items()}, f"{folder}/expected.safetensors")
        run = subprocess.run([flowlens, "trace", "--model", folder, "--inputs", f"{folder}/expected.safetensors", "--layout",
                              "transformers", "--out", f"{folder}/found.safetensors"], capture_output=True, text=True)
        if run.returncode:
            return "refused", run.stderr.strip().splitlines()[-1][:150]
        found = load_file(f"{folder}/found.safetensors")
        worst, where = 0.0, ""
        for key, value in wanted.items():
            if key not in found or found[key].shape != value.shape:
                return "differs", f"{key}: missing or of another shape"
            away = ((found[key] - value).abs() / (fixtures.TOLERANCE * (1 + value.abs()))).nan_to_num(float("inf"))
            mask = fixtures.mask_of_rows(key, inputs)
            if mask is not None:
                away = away.index_fill(away.dim() - 2, (mask[0] == 0).nonzero().flatten(), 0.0)
            if float(away.max()) > worst:
                worst, where = float(away.max()), key
        return ("same", "") if worst <= 1 else ("differs", f"{where}: {worst:.1f} tolerances")


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("--count", type=int, default=200)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--flowlens", default="target/debug/flowlens")
    parser.add_argument("names", nargs="*")
    args = parser.parse_args()
    rng = random.Random(args.seed)
    bases = [v for v in fixtures.VARIANTS if not args.names or v["name"].startswith(tuple(args.names))]
    bases = [v for v in bases if not v.get("published") and not v["config"].get("alibi")]
    counts, refused = collections.Counter(), collections.Counter()
    for _ in range(args.count):
        base = rng.choice(bases)
        try:
            variant, changes = mutated(base, rng)
        except Exception:
            continue
        kind, message = try_one(variant, args.flowlens, rng)
        counts[kind] += 1
        if kind == "differs":
            print(f"DIFFERS {base['name']} {json.dumps(changes)} pad={variant['pad']}: {message}", flush=True)
        if kind == "refused":
            refused[message] += 1
    for message, count in refused.most_common():
        print(f"refused {count:3d}  {message}")
    print(dict(counts))
    sys.exit(bool(counts["differs"]))


main()
