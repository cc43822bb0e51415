#!/usr/bin/env python3
"""Writes `sites.safetensors` beside each `expected.safetensors` of tests/fixtures/parity: what Python computes at the
sites that it does not return by itself. See fixture_sites.py for how each is had.

    python tools/make_site_fixtures.py [NAME ..]        all folders, or those whose name starts with NAME

What expected.safetensors holds is computed once more on the way, and must be the same within rounding.
"""
import json
import os
import shutil
import sys
import tempfile
import traceback

from make_fixtures import OUT, VARIANTS, distance, expected, save_sites, write_config
from safetensors.torch import load_file

INPUTS = ("input_ids", "attention_mask", "token_type_ids", "langs", "decoder_input_ids", "decoder_attention_mask")


def of_folder(name):
    """How Python reads a folder: its class, and a config that it still understands."""
    for variant in VARIANTS:
        if variant["name"] == name:
            return variant
    with open(f"{OUT}/{name}/config.json") as f:
        config = json.load(f)
    import transformers
    return dict(name=name, config=config, auto=config["architectures"][0])


def make(name):
    folder, variant = f"{OUT}/{name}", of_folder(name)
    stored = load_file(f"{folder}/expected.safetensors")
    inputs = {key: stored.pop(key) for key in INPUTS if key in stored}
    with tempfile.TemporaryDirectory() as readable:
        for file in os.listdir(folder):
            shutil.copy(f"{folder}/{file}", readable)
        write_config(readable, variant["config"])
        again, sites = expected(variant, readable, inputs, sites=True)
    again = {key: value for key, value in again.items() if key in stored}
    noise = distance(stored, again)
    assert noise < 0.5, f"what is stored differs by {noise} tolerances, or {set(stored) - set(again)} is missing"
    save_sites(folder, sites)
    return noise


if __name__ == "__main__":
    names = [name for name in sorted(os.listdir(OUT)) if not sys.argv[1:] or name.startswith(tuple(sys.argv[1:]))]
    failed = 0
    for name in names:
        try:
            noise = make(name)
            print(f"{name:28} {os.path.getsize(f'{OUT}/{name}/sites.safetensors') / 1000:7.1f} KB  noise {noise:.3f}", flush=True)
        except Exception:
            failed += 1
            print(f"{name:28} FAILED: {' | '.join(traceback.format_exc().splitlines()[-3:])}", flush=True)
    sys.exit(failed > 0)
