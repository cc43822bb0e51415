#!/usr/bin/env python3
"""Makes tests/fixtures/parity: tiny random checkpoints and what Python `transformers` computes for them.

    python tools/make_fixtures.py [NAME ..]        all variants, or those whose name starts with NAME

Needs torch, transformers (5.23.0 made what is committed) and safetensors. Every folder is an ordinary Hugging Face
directory plus `expected.safetensors`: one fixed input and, in float32 with eager attention, the tensors that Python
returns for it; and `sites.safetensors`: what it computes at all other sites of Flowlens (see fixture_sites.py). All parameters are drawn at random, norms and biases too, so that nothing is trivially 0 or 1.

A variant says which of its options `matter` (with another value the numbers must change by more than 3 tolerances, so
that an option that is ignored cannot pass) and which are `ignored` (Python gives the same numbers without them).
The folders without a variant here (gpt2, llama_gqa, ..) came with their issue and are kept as they are;
make_site_fixtures.py makes the second file of any folder.
"""
import contextlib
import json
import os
import shutil
import sys
import tempfile
import zlib

os.environ["HF_HUB_OFFLINE"] = "1"
import torch  # noqa: E402
import transformers  # noqa: E402
from safetensors.torch import save_file  # noqa: E402
from transformers import AutoConfig  # noqa: E402

import fixture_sites  # noqa: E402
import fixture_variants  # noqa: E402
import fixture_variants_decoders  # noqa: E402
import fixture_variants_encoders  # noqa: E402
import fixture_variants_seq2seq  # noqa: E402

transformers.logging.set_verbosity_error()
transformers.logging.disable_progress_bar()
torch.set_num_threads(1)
OUT = os.path.join(os.path.dirname(__file__), "..", "tests", "fixtures", "parity")
TOLERANCE = 1e-4
VARIANTS = [variant for group in (fixture_variants, fixture_variants_decoders, fixture_variants_encoders, fixture_variants_seq2seq)
            for variant in group.VARIANTS]


def random_parameters(model, seed):
    """Values that keep every part of the network awake: matrices by fan-in, gains round 1, biases clearly not 0."""
    named = list(model.named_parameters()) + [pair for pair in model.named_buffers() if pair[0] == "final_logits_bias"]
    for name, parameter in named:
        draw = torch.randn(parameter.shape, generator=torch.Generator().manual_seed(seed + zlib.crc32(name.encode())))
        if parameter.dim() == 1:
            draw = draw * 0.3 + (1.0 if "norm" in name.lower() or "ln_" in name else 0.0) * (not name.endswith("bias"))
        elif "wpe" in name:
            draw = draw * 0.4
        elif any(part in name for part in ("wte", "embed", "shared", "lm_head")):
            draw = draw * 0.7
        else:
            rows_are_inputs = name.endswith(("c_attn.weight", "c_fc.weight", "c_proj.weight")) or "rel_attn" in name
            fan_in = parameter.shape[0 if rows_are_inputs else 2 if "experts" in name else 1]
            draw = draw * 1.4 / fan_in**0.5
            if name.endswith("Attention.q.weight"):  # T5 does not scale scores
                draw = draw / 2
        with torch.no_grad():
            parameter.copy_(draw)


def write_config(folder, config):
    with open(f"{folder}/config.json", "w") as f:
        json.dump(config, f, indent=1)
        f.write("\n")


def write_checkpoint(folder, variant):
    config = AutoConfig.from_pretrained(folder)
    model = getattr(transformers, variant["auto"]).from_config(config, dtype=torch.float32)
    random_parameters(model, zlib.crc32(variant["name"].encode()))
    state = {name: value.detach().clone() for name, value in model.state_dict().items()}
    if variant.get("dtype"):
        state = {name: value.to(getattr(torch, variant["dtype"])) for name, value in state.items()}
    if variant.get("tensors"):
        state = variant["tensors"](state)
    save(folder, state, variant.get("store", "safetensors"))


def save(folder, state, store):
    """One file, or shards with an index; safetensors, or what `torch.save` writes."""
    suffix, stem = (".bin", "pytorch_model") if store.startswith("bin") else (".safetensors", "model")
    write = torch.save if suffix == ".bin" else lambda tensors, path: save_file(tensors, path, {"format": "pt"})
    if not store.endswith("sharded"):
        if suffix == ".safetensors":
            state = {name: value.contiguous().clone() for name, value in state.items()}
        return write(state, f"{folder}/{stem}{suffix}")
    names, count, weight_map = sorted(state), 3, {}
    for part in range(count):
        file = f"{stem}-{part + 1:05d}-of-{count:05d}{suffix}"
        write({name: state[name].contiguous() for name in names[part::count]}, f"{folder}/{file}")
        weight_map |= dict.fromkeys(names[part::count], file)
    total = sum(value.numel() * value.element_size() for value in state.values())
    with open(f"{folder}/{stem}{suffix}.index.json", "w") as f:
        json.dump({"metadata": {"total_size": total}, "weight_map": weight_map}, f, indent=1, sort_keys=True)


def heads(tensor, width):
    return tensor.view(*tensor.shape[:-1], -1, width).transpose(1, 2)


def watch(model, kept):
    """Hooks for what Python does not return: q, k, v right after their projection and the MLP's neurons."""
    config = model.config.get_text_config()
    width = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    if config.model_type in ("gpt2", "gpt_neox"):
        width = config.hidden_size // config.num_attention_heads
    for name, module in model.named_modules():
        layer = next((part for part in name.split(".") if part.isdigit()), None)
        leaf = name.rsplit(".", 1)[-1]
        if leaf in ("q_proj", "k_proj", "v_proj"):
            def keep(_m, _i, out, key=f"{leaf[0]}.{layer}"):
                kept[key] = heads(out, width)
            module.register_forward_hook(keep)
        elif leaf == "c_attn" and config.model_type == "gpt_bigcode":
            def keep(_m, _i, out, layer=layer):
                if config.multi_query:
                    parts = [heads(part, width) for part in out.split((config.hidden_size, width, width), dim=-1)]
                else:
                    parts = heads(out, 3 * width).chunk(3, dim=-1)
                kept.update({f"{letter}.{layer}": part for letter, part in zip("qkv", parts)})
            module.register_forward_hook(keep)
        elif leaf == "c_attn":
            def keep(_m, _i, out, layer=layer):
                for letter, part in zip("qkv", out.split(config.hidden_size, dim=-1)):
                    kept[f"{letter}.{layer}"] = heads(part, width)
            module.register_forward_hook(keep)
        elif leaf == "query_key_value" and config.model_type == "gpt_neox":
            def keep(_m, _i, out, layer=layer):
                for letter, part in zip("qkv", heads(out, 3 * width).chunk(3, dim=-1)):
                    kept[f"{letter}.{layer}"] = part
            module.register_forward_hook(keep)
        elif name.endswith(("mlp.c_proj", "mlp.fc_out", "mlp.dense_4h_to_h", "mlp.down_proj")):
            def keep(_m, inputs, key=f"mlp_act.{layer}"):
                kept[key] = inputs[0]
            module.register_forward_pre_hook(keep)
    fixture_variants_decoders.watch(model, kept)
    fixture_variants_encoders.watch(model, kept)


def expected(variant, folder, inputs, dtype=torch.float32, sites=False):
    """The tensors of a folder; with `sites` those of `fixture_sites` as well, by themselves."""
    loader = getattr(transformers, variant["auto"])
    model = loader.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval().to(dtype)
    for module in model.modules():
        if dtype == torch.float64 and hasattr(module, "reorder_and_upcast_attn"):
            module.reorder_and_upcast_attn = False  # it insists on float32
    kept = {}
    (fixture_variants_seq2seq.watch if model.config.is_encoder_decoder else watch)(model, kept)
    watched, recorder = (fixture_sites.Sites(model), fixture_sites.Recorder()) if sites else (None, contextlib.nullcontext())
    with torch.no_grad(), recorder:
        out = model(**inputs, output_hidden_states=True, output_attentions=True, use_cache=False)
    if "logits" in out:
        kept["logits"] = out.logits
    for name in out.keys():
        if name.endswith(("hidden_states", "attentions")):
            kept |= {f"{name}.{i}": value for i, value in enumerate(out[name])}
    unpadded = dict(kept)
    for key in kept:
        kept[key] = kept[key].clone()
        mask = mask_of_rows(key, inputs)
        if mask is not None:
            padded = (mask[0] == 0).nonzero().flatten()
            kept[key] = kept[key].index_fill(kept[key].dim() - 2, padded, 0.0)
    if not sites:
        return kept
    with torch.no_grad():
        return kept, watched.found(recorder, unpadded)


def mask_of_rows(key, inputs):
    """The mask of the tokens that the rows of a tensor stand for."""
    of_target = "decoder_input_ids" in inputs and not key.startswith(("encoder_", "cross_k", "cross_v"))
    return inputs.get("decoder_attention_mask" if of_target else "attention_mask")


def save_sites(folder, sites):
    """What Python computes at the sites that it does not return, under our names for them."""
    save_file({name: value.detach().contiguous().clone() for name, value in sites.items()}, f"{folder}/sites.safetensors")


def distance(a, b):
    """The largest difference in tolerances; infinite where shapes or keys differ."""
    if a.keys() != b.keys() or any(a[key].shape != b[key].shape for key in a):
        return float("inf")
    return max(float(((a[k].double() - b[k].double()).abs() / (TOLERANCE * (1 + a[k].double().abs()))).max()) for k in a)


def with_config(variant, folder, config, inputs):
    """What the same tensors give under another config.json; None where Python refuses it."""
    with tempfile.TemporaryDirectory() as other:
        for file in os.listdir(folder):
            shutil.copy(f"{folder}/{file}", other)
        with open(f"{other}/config.json", "w") as f:
            json.dump(config, f)
        try:
            return expected(variant, other, inputs)
        except Exception:
            return None


def padding(length, side):
    mask = torch.ones(1, length, dtype=torch.long)
    mask[:, {"left": slice(0, 3), "middle": slice(4, 6), "right": slice(length - 3, length)}[side]] = 0
    return mask


def make(variant):
    folder = os.path.join(OUT, variant["name"])
    shutil.rmtree(folder, ignore_errors=True)
    os.makedirs(folder)
    config = variant["config"]
    write_config(folder, config)
    write_checkpoint(folder, variant)

    length, vocab = variant.get("length", 11), AutoConfig.from_pretrained(folder).get_text_config().vocab_size
    generator = torch.Generator().manual_seed(zlib.crc32(variant["name"].encode()))
    inputs = {"input_ids": torch.randint(0, vocab, (1, length), generator=generator)}
    if variant.get("pad"):
        inputs["attention_mask"] = padding(length, variant["pad"])
    for position, token in variant.get("put", {}).items():
        inputs["input_ids"][0, position] = token
    for key, name in ("token_types", "token_type_ids"), ("langs", "langs"):
        if variant.get(key):  # the values one after the other, each for about as many tokens
            parts = torch.tensor(variant[key])
            inputs[name] = parts[(torch.arange(length) * len(parts) + len(parts) // 2) // length][None]
    if config.get("is_encoder_decoder"):
        length, vocab = variant.get("decoder_length", 8), config.get("decoder_vocab_size", vocab)
        inputs["decoder_input_ids"] = torch.randint(0, vocab, (1, length), generator=generator)
        if variant.get("decoder_pad"):
            inputs["decoder_attention_mask"] = padding(length, variant["decoder_pad"])

    values, sites = expected(variant, folder, inputs, sites=True)
    if config.get("alibi"):
        fixture_variants_decoders.check_alibi(folder, inputs, values["logits"])
    noise = distance(expected(variant, folder, inputs, torch.float64), values)
    for key, other in variant.get("matters", {}).items():
        changed = {k: v for k, v in config.items() if k != key} | ({} if other is None else {key: other})
        found = with_config(variant, folder, changed, inputs)
        assert found is None or distance(found, values) > 3, f"{variant['name']}: {key} makes no difference"
    for key in variant.get("ignored", ()):
        found = with_config(variant, folder, {k: v for k, v in config.items() if k != key}, inputs)
        assert found is not None and distance(found, values) == 0, f"{variant['name']}: {key} does make a difference"
    save_file(inputs | {k: v.contiguous() for k, v in values.items()}, f"{folder}/expected.safetensors",
              {"architecture": config["architectures"][0], "transformers": transformers.__version__})
    save_sites(folder, sites)
    if published := variant.get("published"):  # a spelling that Python no longer reads
        write_config(folder, {k: v for k, v in config.items() if k not in published["drop"]}
                     | {k: v for k, v in published.items() if k != "drop"})
    size = sum(os.path.getsize(f"{folder}/{file}") for file in os.listdir(folder))
    assert size < 400_000, f"{variant['name']}: {size} bytes"
    assert noise < 0.5, f"{variant['name']}: noise {noise}"
    print(f"{variant['name']:28s} {size / 1000:6.1f} KB  noise {noise:.3f}  {variant['point']}")


if __name__ == "__main__":
    chosen = [v for v in VARIANTS if not sys.argv[1:] or v["name"].startswith(tuple(sys.argv[1:]))]
    for one in chosen:
        make(one)
    print(len(chosen), "variants")
