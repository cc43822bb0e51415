"""The models that run.py and attention_views.py measure, made once:

  smollm2  SmolLM2-135M-Instruct from its GGUF file, every tensor turned into float32 (538 MB)
  gpt2     random weights of GPT-2 small's widths with two layers (H 768, 12 heads, V 50257), and a plain tokenizer
  bert     random weights of BERT base's heads (12 layers, 12 heads of size 64) with small MLPs, and a plain tokenizer
"""
import json
import os

import numpy as np
from safetensors.numpy import save_file


def smollm2(gguf_file, folder):
    import gguf
    os.makedirs(folder, exist_ok=True)
    if os.path.exists(f"{folder}/config.json"):
        return folder
    names = {"attn_norm": "input_layernorm", "ffn_norm": "post_attention_layernorm", "attn_q": "self_attn.q_proj",
             "attn_k": "self_attn.k_proj", "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj",
             "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
    tensors = {}
    for tensor in gguf.GGUFReader(gguf_file).tensors:
        value = gguf.dequantize(tensor.data, tensor.tensor_type).astype(np.float32)
        parts = tensor.name.removesuffix(".weight").split(".")
        if parts[0] != "blk":
            name = {"token_embd": "model.embed_tokens.weight", "output_norm": "model.norm.weight"}[parts[0]]
        else:
            name = f"model.layers.{parts[1]}.{names[parts[2]]}.weight"
            if parts[2] in ("attn_q", "attn_k"):  # llama.cpp keeps the two halves of a head interleaved
                heads = 9 if parts[2] == "attn_q" else 3
                value = value.reshape(heads, 32, 2, -1).swapaxes(1, 2).reshape(value.shape)
        tensors[name] = np.ascontiguousarray(value)
    save_file(tensors, f"{folder}/model.safetensors", {"format": "pt"})
    write(folder, "config.json", dict(
        architectures=["LlamaForCausalLM"], model_type="llama", vocab_size=49152, hidden_size=576, intermediate_size=1536,
        num_hidden_layers=30, num_attention_heads=9, num_key_value_heads=3, max_position_embeddings=8192, rms_norm_eps=1e-5,
        rope_theta=100000, hidden_act="silu", tie_word_embeddings=True, torch_dtype="float32"))
    return folder


def gpt2(folder, layers=2, width=768, vocab=50257):
    os.makedirs(folder, exist_ok=True)
    if os.path.exists(f"{folder}/config.json"):
        return folder
    random = np.random.default_rng(1)
    draw = lambda *shape, scale=0.02, mean=0.0: (random.standard_normal(shape) * scale + mean).astype(np.float32)
    tensors = {"wte.weight": draw(vocab, width), "wpe.weight": draw(1024, width, scale=0.01),
               "ln_f.weight": draw(width, mean=1.0), "ln_f.bias": draw(width)}
    for layer in range(layers):
        for norm in ("ln_1", "ln_2"):
            tensors[f"h.{layer}.{norm}.weight"], tensors[f"h.{layer}.{norm}.bias"] = draw(width, mean=1.0), draw(width)
        for name, inputs, outputs in (("attn.c_attn", width, 3 * width), ("attn.c_proj", width, width),
                                      ("mlp.c_fc", width, 4 * width), ("mlp.c_proj", 4 * width, width)):
            tensors[f"h.{layer}.{name}.weight"] = draw(inputs, outputs, scale=inputs**-0.5)
            tensors[f"h.{layer}.{name}.bias"] = draw(outputs)
    save_file({f"transformer.{name}": value for name, value in tensors.items()}, f"{folder}/model.safetensors", {"format": "pt"})
    write_tokenizer(folder, vocab)
    write(folder, "config.json", dict(architectures=["GPT2LMHeadModel"], model_type="gpt2", n_layer=layers, n_embd=width, n_head=12,
                                      n_positions=1024, vocab_size=vocab, torch_dtype="float32"))
    return folder


def bert(folder, positions, layers=12, width=768, mlp=64, vocab=1000):
    """Scores of its heads have a standard deviation of about 2."""
    os.makedirs(folder, exist_ok=True)
    if os.path.exists(f"{folder}/config.json"):
        return folder
    random = np.random.default_rng(1)
    draw = lambda *shape, scale=0.02, mean=0.0: (random.standard_normal(shape) * scale + mean).astype(np.float32)
    tensors = {"embeddings.word_embeddings.weight": draw(vocab, width, scale=1), "embeddings.token_type_embeddings.weight": draw(2, width),
               "embeddings.position_embeddings.weight": draw(positions, width)}

    def norm(name):
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = draw(width, mean=1.0), draw(width)

    norm("embeddings.LayerNorm")
    for layer in range(layers):
        block = f"encoder.layer.{layer}"
        norm(f"{block}.attention.output.LayerNorm"), norm(f"{block}.output.LayerNorm")
        for name, inputs, outputs, scale in (("attention.self.query", width, width, 2**0.5), ("attention.self.key", width, width, 2**0.5),
                                             ("attention.self.value", width, width, 1), ("attention.output.dense", width, width, 1),
                                             ("intermediate.dense", width, mlp, 1), ("output.dense", mlp, width, 1)):
            tensors[f"{block}.{name}.weight"] = draw(outputs, inputs, scale=scale * inputs**-0.5)
            tensors[f"{block}.{name}.bias"] = draw(outputs)
    save_file({f"bert.{name}": value for name, value in tensors.items()}, f"{folder}/model.safetensors", {"format": "pt"})
    write_tokenizer(folder, vocab)
    write(folder, "config.json", dict(architectures=["BertModel"], model_type="bert", num_hidden_layers=layers, hidden_size=width,
                                      num_attention_heads=width // 64, intermediate_size=mlp, hidden_act="gelu", type_vocab_size=2,
                                      layer_norm_eps=1e-12, max_position_embeddings=positions, vocab_size=vocab, torch_dtype="float32"))
    return folder


def write_tokenizer(folder, vocab):
    """Every word is a token: w0, w1, .."""
    tokens = {f"w{i}": i for i in range(vocab)}
    write(folder, "tokenizer.json", {"version": "1.0", "truncation": None, "padding": None, "added_tokens": [],
                                     "normalizer": None, "pre_tokenizer": {"type": "Whitespace"}, "post_processor": None, "decoder": None,
                                     "model": {"type": "WordLevel", "vocab": tokens, "unk_token": "w0"}})


def write(folder, name, value):
    with open(f"{folder}/{name}", "w") as f:
        json.dump(value, f)
