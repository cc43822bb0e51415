#!/usr/bin/env python3
"""Makes stand-ins for the models that the notebooks in notebooks/originals ask the Hub for: a Hub cache in which a tiny
checkpoint with random weights stands under each id, so that the notebooks can be executed without the network.

    make_stand_ins.py FOLDER        then run with HF_HOME=FOLDER HF_HUB_OFFLINE=1

A stand-in is made of a checkpoint in tests/fixtures/parity: same `model_type`, same names of tensors, a tokenizer of the
same kind. It has as many layers as the model that it stands for; further layers are the fixture's with their numbers
moved along, so that no two are equal. Everything else about it is tiny, and nothing that it shows means anything: its
config says so (`_name_or_path`, `stand_in_for`), and a file STAND_IN.md beside it.
"""

import json
import re
import shutil
import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

FIXTURES = Path(__file__).resolve().parent.parent / "tests" / "fixtures" / "parity"
# Positions that a stand-in can read: its tokenizer cuts texts into more pieces than the real one.
POSITIONS = 256
# A commit as the cache names one: not of any real repository.
COMMIT = "57a4d1" + "0" * 34

# id on the Hub: fixture, layers (those of the encoder, where there is a decoder too), further revisions
STAND_INS = {
    "openai-community/gpt2": ("gpt2", 12),
    "openai-community/gpt2-medium": ("gpt2", 24),
    "openai-community/gpt2-xl": ("gpt2", 48),
    "EleutherAI/gpt-j-6b": ("gptj", 28, "float16"),
    "EleutherAI/gpt-neo-1.3B": ("gpt_neo", 24),
    "meta-llama/Llama-2-7b-chat-hf": ("llama_mha", 32),
    "google-bert/bert-base-uncased": ("bert", 12),
    "xlnet/xlnet-base-cased": ("xlnet", 12),
    "FacebookAI/roberta-base": ("roberta", 12),
    "FacebookAI/xlm-mlm-ende-1024": ("xlm", 6),
    "albert/albert-base-v2": ("albert", 12),
    "distilbert/distilbert-base-uncased": ("distilbert", 6),
    "facebook/bart-large-cnn": ("bart", 12),
    "Helsinki-NLP/opus-mt-en-de": ("marian", 6),
    "google/flan-t5-xl": ("t5_gated", 24),
    "google-t5/t5-base": ("t5_tied", 12),
    "google/flan-t5-base": ("t5_gated", 12),
    "tiiuae/falcon-7b": ("falcon_7b", 32),
}

# The number of a layer in a tensor's name.
LAYER = re.compile(r"^(.*?\b(?:h|layers?|block|blocks|attentions|ffns|layer_norm1|layer_norm2)\.)(\d+)(\..*)$")
# What stands in the first layer for all.
ONCE = re.compile(r"relative_attention_bias")
# Tables with a row for each position, and how many rows come before the first one.
POSITION_TABLE = re.compile(r"(wpe|position_embeddings|embed_positions)\.weight$")
LAYER_KEYS = ("n_layer", "n_layers", "num_layers", "num_hidden_layers", "num_decoder_layers", "encoder_layers", "decoder_layers")
POSITION_KEYS = ("n_positions", "n_ctx", "max_position_embeddings")


def moved(tensor, by):
    """The same numbers in other places: random stays random, and a norm's gains stay near 1."""
    return np.roll(tensor.reshape(-1), 7 * by).reshape(tensor.shape) if by else tensor


def with_layers(tensors, count):
    """The tensors of a model of `count` layers, in each stack."""
    shared, stacks = {}, {}
    for name, tensor in tensors.items():
        match = LAYER.match(name)
        if match and not ONCE.search(name):
            stacks.setdefault(match[1], {}).setdefault(int(match[2]), {})[match[3]] = tensor
        else:
            shared[name] = tensor
    for prefix, layers in stacks.items():
        for layer in range(count):
            rounds, like = divmod(layer, len(layers))
            for rest, tensor in layers[like].items():
                shared[f"{prefix}{layer}{rest}"] = moved(tensor, rounds)
    return shared


def with_one_group(tensors):
    """ALBERT's layers share their weights; the fixture has two groups of them, the published models one."""
    return {name: tensor for name, tensor in tensors.items() if "albert_layer_groups.1." not in name}


def with_positions(tensors, config):
    """Tables long enough for POSITIONS positions."""
    was = next((config[key] for key in POSITION_KEYS if key in config), None)
    if was is None:
        return tensors
    config.update({key: config[key] - was + POSITIONS for key in POSITION_KEYS if key in config})
    longer = {}
    for name, tensor in tensors.items():
        if POSITION_TABLE.search(name):
            rows = np.arange(tensor.shape[0] - was + POSITIONS)
            tensor = np.stack([moved(tensor[row % len(tensor)], row // len(tensor)) for row in rows])
        longer[name] = tensor
    return longer


def make(cache, model, fixture, layers, *revisions):
    config = json.loads((FIXTURES / fixture / "config.json").read_text())
    tensors = load_file(FIXTURES / fixture / "model.safetensors")
    config.update({key: layers for key in LAYER_KEYS if key in config})
    if config["model_type"] == "albert":
        config["num_hidden_groups"] = 1
        tensors = with_one_group(tensors)
    else:
        tensors = with_layers(tensors, layers)
    if config["model_type"] == "gpt_neo":
        config["attention_types"] = [[["global", "local"], layers // 2]]
        config["attention_layers"] = ["global", "local"] * (layers // 2)
        config["window_size"] = 256
    tensors = with_positions(tensors, config)
    config["_name_or_path"] = f"stand-in for {model}: tiny, random weights"
    config["stand_in_for"] = model

    folder = cache / "hub" / f"models--{model.replace('/', '--')}"
    snapshot = folder / "snapshots" / COMMIT
    snapshot.mkdir(parents=True)
    (snapshot / "config.json").write_text(json.dumps(config, indent=1, sort_keys=True) + "\n")
    save_file(dict(sorted(tensors.items())), snapshot / "model.safetensors", metadata={"stand_in_for": model})
    shutil.copyfile(FIXTURES / fixture / "tokenizer.json", snapshot / "tokenizer.json")
    (snapshot / "STAND_IN.md").write_text(
        f"This is not {model}. It is a tiny model of the same kind with random weights, made by tools/make_stand_ins.py\n"
        "so that notebooks can be tried without the network. What it shows means nothing.\n")
    (folder / "refs").mkdir()
    for revision in ("main", *revisions):
        (folder / "refs" / revision).write_text(COMMIT)


def make_all(cache):
    """Fills `cache`, a folder of stand-ins or one that does not exist yet."""
    mark = cache / "STAND_INS"
    if cache.exists() and any(cache.iterdir()) and not mark.exists():
        sys.exit(f"{cache} is not a folder of stand-ins: it would be overwritten; give another one")
    shutil.rmtree(cache, ignore_errors=True)
    cache.mkdir(parents=True)
    mark.write_text("A Hub cache with stand-ins for models, made by tools/make_stand_ins.py.\n")
    for model, (fixture, layers, *revisions) in STAND_INS.items():
        make(cache, model, fixture, layers, *revisions)


def main():
    if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
        sys.exit(__doc__)
    make_all(Path(sys.argv[1]))


if __name__ == "__main__":
    main()
