"""Writes tests/fixtures/gguf: small GGUF files and what they hold, by the `gguf` package and `transformers`.

    python tools/make_gguf_fixtures.py tests/fixtures/gguf

Needs gguf, transformers, torch, safetensors and sentencepiece.

quants.gguf, quants.safetensors    a tensor of random blocks in each format, and the floats that `gguf` makes of them
<family>.gguf, <family>.safetensors  a tiny model, reordered as llama.cpp's converter does, and its tensors before that
tokenizer-<pre>.gguf, tokenizers.json  small vocabularies under each pre-tokenizer, and ids of texts by `tokenizers`
"""

import io
import json
import pathlib
import sys

import gguf
import numpy as np
import sentencepiece
import torch
import transformers
from gguf import GGMLQuantizationType as Q
from safetensors.torch import save_file
from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, trainers

OUT = pathlib.Path(sys.argv[1])
RANDOM = np.random.default_rng(20)

TEXTS = [
    "",
    " ",
    "   ",
    "Hello world",
    "  two blanks  1999",
    "3.14159 and 42  007",
    "a\tb\n\nc \n d",
    "don't  I'll WE'VE  12's",
    "naïve café — “quotes” … 5€ ÀÉÎ e\u0301",
    "日本の首都は東京です。 ١٢٣ ⅷ ½",
    "emoji 🙂👩‍👩‍👧‍👦 ok",
    "x=1;y =  22;\n    if x==1:\n\treturn 10",
    "\r\nwindows\r\n",
    "<|end|>user\nHi<|end|> <|end|>",
    "zero\u200bwidth \u00a0 nbsp",
    "trailing blank ",
    "1 22 333 4444 55555",
]
TRAINING = TEXTS + [line for line in pathlib.Path(__file__).read_text().splitlines()] + [
    "The rest of the way is such as it ought to be, said the old man to his daughter in the garden.",
    "In the year 1999 there were 365 days and 12 months, but nobody counted them twice.",
]


def llama_header(writer, width, layers, inner, heads, kv_heads, context=64, eps=1e-5, theta=10000.0):
    writer.add_context_length(context)
    writer.add_embedding_length(width)
    writer.add_block_count(layers)
    writer.add_feed_forward_length(inner)
    writer.add_head_count(heads)
    writer.add_head_count_kv(kv_heads)
    writer.add_layer_norm_rms_eps(eps)
    writer.add_rope_freq_base(theta)


def finish(writer):
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


def random_blocks(kind, rows, columns):
    """Random bytes of a format, with half-precision scales that are ordinary numbers."""
    numbers, size = gguf.GGML_QUANT_SIZES[kind]
    count = rows * columns // numbers
    if kind in (Q.F32, Q.F16, Q.BF16):
        values = RANDOM.standard_normal((rows, columns)).astype(np.float32)
        return gguf.quants.quantize(values, kind).view(np.uint8).reshape(rows, -1)
    blocks = RANDOM.integers(0, 256, (count, size), dtype=np.uint8)
    scales = RANDOM.standard_normal((count, 2)).astype(np.float16).view(np.uint8).reshape(count, 2, 2)
    if kind == Q.Q6_K:
        blocks[:, 208:210] = scales[:, 0]
    else:
        blocks[:, 0:2] = scales[:, 0]
        if kind in (Q.Q4_1, Q.Q5_1, Q.Q4_K, Q.Q5_K):
            blocks[:, 2:4] = scales[:, 1]
    return blocks.reshape(rows, -1)


def quants():
    kinds = [Q.F32, Q.F16, Q.BF16, Q.Q8_0, Q.Q4_0, Q.Q4_1, Q.Q5_0, Q.Q5_1, Q.Q4_K, Q.Q5_K, Q.Q6_K]
    writer = gguf.GGUFWriter(OUT / "quants.gguf", "llama")
    llama_header(writer, 512, len(kinds), 3, 4, 2)
    expected = {}

    def add(name, target, kind, rows, order=None):
        data = random_blocks(kind, rows, 512)
        writer.add_tensor(name, data, raw_shape=data.shape, raw_dtype=kind)
        if kind == Q.BF16:
            floats = (data.view(np.uint16).astype(np.uint32) << 16).view(np.float32)
        elif kind in (Q.F32, Q.F16):
            floats = data.view(np.float32 if kind == Q.F32 else np.float16).astype(np.float32)
        else:
            floats = gguf.quants.dequantize(data, kind)
        floats = floats.reshape(rows, 512)
        expected[target] = torch.from_numpy(np.ascontiguousarray(floats if order is None else floats[order]))

    add("token_embd.weight", "model.embed_tokens.weight", Q.Q8_0, 5)
    for layer, kind in enumerate(kinds):
        add(f"blk.{layer}.ffn_up.weight", f"model.layers.{layer}.mlp.up_proj.weight", kind, 3)
    # Two key heads of width 4, rows moved for a rotation of neighbours.
    add("blk.0.attn_k.weight", "model.layers.0.self_attn.k_proj.weight", Q.Q4_1, 8, [0, 2, 1, 3, 4, 6, 5, 7])
    finish(writer)
    save_file(expected, OUT / "quants.safetensors")


def permute(weight, heads):
    """llama.cpp, convert_hf_to_gguf.py, LlamaModel.permute."""
    shape = weight.shape
    return weight.reshape(heads, 2, shape[0] // heads // 2, *shape[1:]).swapaxes(1, 2).reshape(shape)


def gather(weight, heads):
    """llama.cpp, convert_hf_to_gguf.py, GPTNeoXModel.modify_tensors."""
    shape = weight.shape
    split = weight.reshape(heads, 3, shape[0] // heads // 3, *shape[1:])
    return split.swapaxes(0, 1).reshape(shape)


def family(name, config, arch, names, reorder=lambda name, weight: weight, header=None):
    torch.manual_seed(7)
    model = transformers.AutoModelForCausalLM.from_config(config)
    state = {}
    for key, value in model.state_dict().items():
        if key == "lm_head.weight" and config.tie_word_embeddings:
            continue
        # Published GPT-NeoX files call their head so.
        key = key.replace("lm_head", "embed_out") if arch == "gptneox" else key
        state[key] = torch.randn(value.shape) * 0.1
    writer = gguf.GGUFWriter(OUT / f"{name}.gguf", arch)
    header(writer)
    for key, value in state.items():
        stem, ending = key.rsplit(".", 1)
        parts = stem.split(".")
        layer = next((part for part in parts if part.isdigit()), None)
        target = names[".".join("{}" if part.isdigit() else part for part in parts)].replace("{}", layer or "")
        writer.add_tensor(f"{target}.{ending}", np.ascontiguousarray(reorder(key, value).numpy()))
    finish(writer)
    save_file(state, OUT / f"{name}.safetensors")


LLAMA_NAMES = {
    "model.embed_tokens": "token_embd",
    "model.norm": "output_norm",
    "lm_head": "output",
    "model.layers.{}.input_layernorm": "blk.{}.attn_norm",
    "model.layers.{}.self_attn.q_proj": "blk.{}.attn_q",
    "model.layers.{}.self_attn.k_proj": "blk.{}.attn_k",
    "model.layers.{}.self_attn.v_proj": "blk.{}.attn_v",
    "model.layers.{}.self_attn.o_proj": "blk.{}.attn_output",
    "model.layers.{}.self_attn.q_norm": "blk.{}.attn_q_norm",
    "model.layers.{}.self_attn.k_norm": "blk.{}.attn_k_norm",
    "model.layers.{}.post_attention_layernorm": "blk.{}.ffn_norm",
    "model.layers.{}.mlp.gate_proj": "blk.{}.ffn_gate",
    "model.layers.{}.mlp.up_proj": "blk.{}.ffn_up",
    "model.layers.{}.mlp.down_proj": "blk.{}.ffn_down",
}
GPT2_NAMES = {
    "transformer.wte": "token_embd",
    "transformer.wpe": "position_embd",
    "transformer.ln_f": "output_norm",
    "transformer.h.{}.ln_1": "blk.{}.attn_norm",
    "transformer.h.{}.attn.c_attn": "blk.{}.attn_qkv",
    "transformer.h.{}.attn.c_proj": "blk.{}.attn_output",
    "transformer.h.{}.ln_2": "blk.{}.ffn_norm",
    "transformer.h.{}.mlp.c_fc": "blk.{}.ffn_up",
    "transformer.h.{}.mlp.c_proj": "blk.{}.ffn_down",
}
NEOX_NAMES = {
    "gpt_neox.embed_in": "token_embd",
    "gpt_neox.final_layer_norm": "output_norm",
    "embed_out": "output",
    "gpt_neox.layers.{}.input_layernorm": "blk.{}.attn_norm",
    "gpt_neox.layers.{}.attention.query_key_value": "blk.{}.attn_qkv",
    "gpt_neox.layers.{}.attention.dense": "blk.{}.attn_output",
    "gpt_neox.layers.{}.post_attention_layernorm": "blk.{}.ffn_norm",
    "gpt_neox.layers.{}.mlp.dense_h_to_4h": "blk.{}.ffn_up",
    "gpt_neox.layers.{}.mlp.dense_4h_to_h": "blk.{}.ffn_down",
}


def families():
    common = dict(hidden_size=16, intermediate_size=20, num_hidden_layers=2, num_attention_heads=4,
                  num_key_value_heads=2, vocab_size=9, max_position_embeddings=64)

    def rotate(key, weight):
        for part, heads in (("q_proj", 4), ("k_proj", 2)):
            if part in key:
                return permute(weight, heads)
        return weight

    def llama3(writer):
        llama_header(writer, 16, 2, 20, 4, 2, context=131072, theta=500000.0)
        writer.add_key_length(16)
        writer.add_value_length(16)
        writer.add_rope_dimension_count(16)
        config = transformers.LlamaConfig(**common | {"head_dim": 16, "max_position_embeddings": 131072}, rope_parameters=LLAMA3)
        frequencies, _ = transformers.modeling_rope_utils.ROPE_INIT_FUNCTIONS["llama3"](config, None)
        plain = 1.0 / 500000.0 ** (torch.arange(0, 16, 2).float() / 16)
        writer.add_tensor("rope_freqs.weight", (plain / frequencies).numpy().astype(np.float32))

    LLAMA3 = {"rope_type": "llama3", "rope_theta": 500000.0, "factor": 8.0, "low_freq_factor": 1.0,
              "high_freq_factor": 4.0, "original_max_position_embeddings": 8192}
    family("llama", transformers.LlamaConfig(**common, head_dim=16, tie_word_embeddings=True, attention_bias=True), "llama", LLAMA_NAMES,
           rotate, llama3)
    family("qwen2", transformers.Qwen2Config(**common, tie_word_embeddings=False), "qwen2", LLAMA_NAMES,
           header=lambda writer: llama_header(writer, 16, 2, 20, 4, 2, theta=1e6))

    def qwen3(writer):
        llama_header(writer, 16, 2, 20, 4, 2)
        writer.add_key_length(6)
        writer.add_value_length(6)

    family("qwen3", transformers.Qwen3Config(**common, head_dim=6, tie_word_embeddings=True), "qwen3", LLAMA_NAMES, header=qwen3)

    def gpt2(writer):
        writer.add_context_length(32)
        writer.add_embedding_length(16)
        writer.add_block_count(2)
        writer.add_feed_forward_length(20)
        writer.add_head_count(4)
        writer.add_layer_norm_eps(1e-5)

    family("gpt2", transformers.GPT2Config(n_embd=16, n_layer=2, n_head=4, n_inner=20, n_positions=32, vocab_size=9), "gpt2",
           GPT2_NAMES, lambda key, weight: weight.T if key.endswith((".c_attn.weight", ".c_proj.weight", ".c_fc.weight")) else weight,
           gpt2)

    def neox(writer):
        gpt2(writer)
        writer.add_rope_dimension_count(2)
        writer.add_parallel_residual(True)

    family("gptneox", transformers.GPTNeoXConfig(hidden_size=16, num_hidden_layers=2, num_attention_heads=4, intermediate_size=20,
                                                 max_position_embeddings=32, vocab_size=9, rotary_pct=0.5), "gptneox", NEOX_NAMES,
           lambda key, weight: gather(weight, 4) if "query_key_value" in key else weight, neox)


def vocabulary(file, model, pre, tokens, kinds, scores=None, merges=None, **settings):
    writer = gguf.GGUFWriter(OUT / file, "llama")
    llama_header(writer, 8, 1, 8, 2, 2)
    writer.add_tensor("token_embd.weight", np.zeros((len(tokens), 8), np.float16))
    writer.add_tokenizer_model(model)
    if pre:
        writer.add_tokenizer_pre(pre)
    writer.add_token_list(tokens)
    writer.add_token_types(kinds)
    if scores is not None:
        writer.add_token_scores(scores)
    if merges is not None:
        writer.add_token_merges(merges)
    writer.add_bos_token_id(settings["bos"])
    writer.add_eos_token_id(settings["eos"])
    writer.add_add_bos_token(settings["add_bos"])
    finish(writer)


def tokenizers_of_each_kind():
    contractions = r"(?i:'s|'t|'re|'ve|'m|'ll|'d)"
    rest = r"| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
    # As the tokenizer.json of SmolLM2, GPT-2, Llama 3, Qwen 2 and Pythia have them.
    byte_level = pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=True)

    def split(digits):
        regex = contractions + r"|[^\r\n\p{L}\p{N}]?\p{L}+|" + digits + rest
        return pre_tokenizers.Sequence([pre_tokenizers.Split(Regex(regex), "isolated"),
                                        pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])

    kinds = {
        "smollm": (pre_tokenizers.Sequence([pre_tokenizers.Digits(individual_digits=True), byte_level]), None, False),
        "gpt-2": (byte_level, None, False),
        "llama-bpe": (split(r"\p{N}{1,3}"), None, True),
        "qwen2": (split(r"\p{N}"), normalizers.NFC(), False),
        "olmo": (byte_level, normalizers.NFC(), False),
    }
    expected = {}
    for pre, (splitter, normalizer, ignore_merges) in kinds.items():
        tokenizer = Tokenizer(models.BPE(ignore_merges=ignore_merges))
        tokenizer.pre_tokenizer = splitter
        if normalizer:
            tokenizer.normalizer = normalizer
        tokenizer.decoder = decoders.ByteLevel()
        trainer = trainers.BpeTrainer(vocab_size=420, special_tokens=[AddedToken("<|end|>", special=True, normalized=False)],
                                      initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), show_progress=False)
        tokenizer.train_from_iterator(TRAINING, trainer)
        content = json.loads(tokenizer.to_str())
        tokens = sorted(content["model"]["vocab"], key=content["model"]["vocab"].get)
        merges = [" ".join(merge) for merge in content["model"]["merges"]]
        add_bos = pre == "llama-bpe"
        vocabulary(f"tokenizer-{pre}.gguf", "gpt2", pre, tokens, [3] + [1] * (len(tokens) - 1), merges=merges, bos=0, eos=0,
                   add_bos=add_bos)
        expected[pre] = rows(tokenizer, [0] if add_bos else [])

    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter([line for text in TRAINING for line in text.splitlines() if line.strip()]), model_writer=model,
        model_type="bpe", vocab_size=560, byte_fallback=True, character_coverage=0.98, minloglevel=2,
        normalization_rule_name="identity", remove_extra_whitespaces=False, user_defined_symbols=["<|end|>"])
    pieces = sentencepiece.SentencePieceProcessor(model_proto=model.getvalue())
    ids = range(pieces.get_piece_size())
    tokens = [pieces.id_to_piece(i) for i in ids]
    types = [2 if pieces.is_unknown(i) else 3 if pieces.is_control(i) else 6 if pieces.is_byte(i) else
             4 if tokens[i] == "<|end|>" else 1 for i in ids]
    scores = [pieces.get_score(i) for i in ids]
    vocabulary("tokenizer-llama.gguf", "llama", None, tokens, types, scores=scores, bos=1, eos=2, add_bos=True)
    vocab = {token: i for i, token in enumerate(tokens)}
    merges = transformers.tokenization_utils_base.generate_merges(vocab, dict(zip(tokens, scores)))
    tokenizer = Tokenizer(models.BPE(vocab=vocab, merges=merges, unk_token="<unk>", fuse_unk=True, byte_fallback=True))
    # As the tokenizer.json of Llama 2 has it.
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("▁", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    tokenizer.add_special_tokens([AddedToken(token, special=True, normalized=False) for token in ("<s>", "</s>")])
    tokenizer.add_tokens([AddedToken("<|end|>", normalized=False)])
    expected["llama"] = rows(tokenizer, [1])
    for row in expected["llama"]:
        if "<|end|>" not in row["text"] and row["text"].strip():
            assert pieces.encode(row["text"]) == row["ids"], row
    (OUT / "tokenizers.json").write_text(json.dumps(expected, ensure_ascii=False, indent=0))


def rows(tokenizer, before):
    encoded = [(text, tokenizer.encode(text, add_special_tokens=False).ids) for text in TEXTS]
    return [{"text": text, "ids": ids, "with_special": before + ids, "decoded": tokenizer.decode(ids, skip_special_tokens=False)}
            for text, ids in encoded]


OUT.mkdir(parents=True, exist_ok=True)
quants()
families()
tokenizers_of_each_kind()
