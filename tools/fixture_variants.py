"""The variants that make_fixtures.py makes: one for every option that changes numbers in a family."""
import torch

LENGTHS = dict(vocab_size=53, max_position_embeddings=64)
GPT2 = dict(architectures=["GPT2LMHeadModel"], model_type="gpt2", vocab_size=53, n_positions=32, n_embd=24, n_head=3, n_layer=2)
BIGCODE = dict(architectures=["GPTBigCodeForCausalLM"], model_type="gpt_bigcode", vocab_size=53, n_positions=32, n_embd=24,
               n_head=3, n_layer=2)
NEO = dict(architectures=["GPTNeoForCausalLM"], model_type="gpt_neo", vocab_size=53, max_position_embeddings=32,
           hidden_size=24, num_heads=3, num_layers=2)
GPTJ = dict(architectures=["GPTJForCausalLM"], model_type="gptj", vocab_size=53, n_positions=32, n_embd=24, n_head=3, n_layer=2)
NEOX = dict(architectures=["GPTNeoXForCausalLM"], model_type="gpt_neox", hidden_size=24, num_attention_heads=2,
            num_hidden_layers=2, intermediate_size=40, **LENGTHS)
LLAMA = dict(architectures=["LlamaForCausalLM"], model_type="llama", hidden_size=24, num_attention_heads=4,
             num_hidden_layers=2, intermediate_size=36, **LENGTHS)
MISTRAL = dict(architectures=["MistralForCausalLM"], model_type="mistral", hidden_size=24, num_attention_heads=4,
               num_key_value_heads=2, num_hidden_layers=2, intermediate_size=36, **LENGTHS)
QWEN2 = dict(architectures=["Qwen2ForCausalLM"], model_type="qwen2", hidden_size=24, num_attention_heads=4,
             num_key_value_heads=2, num_hidden_layers=3, intermediate_size=30, **LENGTHS)
QWEN3 = dict(architectures=["Qwen3ForCausalLM"], model_type="qwen3", hidden_size=20, num_attention_heads=4,
             num_key_value_heads=2, head_dim=8, num_hidden_layers=2, intermediate_size=30, **LENGTHS)
LLAMA3 = dict(factor=8.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=16)
YARN = dict(factor=4.0, original_max_position_embeddings=16)


def without(*names):
    return lambda state: {k: v for k, v in state.items() if k not in names}


def bare(prefix, *dropped):
    """Names as a base class saves them."""
    return lambda state: {k.removeprefix(prefix): v for k, v in state.items() if k not in dropped}


def renamed(old, new):
    return lambda state: {k.replace(old, new): v for k, v in state.items()}


def old_buffers(state):
    """openai-community/gpt2: no prefix, no head, and each layer's causal mask stored as a tensor."""
    state = bare("transformer.", "lm_head.weight")(state)
    for layer in range(2):
        state[f"h.{layer}.attn.bias"] = torch.tril(torch.ones(1, 1, 32, 32))
        state[f"h.{layer}.attn.masked_bias"] = torch.tensor(-10000.0)
    return state


def own_head(name):
    def add(state):
        generator = torch.Generator().manual_seed(5)
        state[name] = torch.randn(state[name].shape, generator=generator) * 0.7
        return state
    return add


def variant(name, base, point, *, matters=(), ignored=(), drop=(), **rest):
    own = ("store", "dtype", "tensors", "length", "pad", "put", "token_types", "langs", "auto", "published", "decoder_length",
           "decoder_pad")
    keywords = dict(auto="AutoModelForCausalLM") | {k: rest.pop(k) for k in own if k in rest}
    config = {k: v for k, v in base.items() if k not in drop} | rest
    return dict(name=name, config=config, point=point, matters=dict(matters), ignored=ignored, **keywords)


VARIANTS = [
    variant("gpt2_inverse_layer", GPT2, "scores divided by layer + 1, own MLP width", n_layer=3, n_inner=41,
            scale_attn_by_inverse_layer_idx=True, reorder_and_upcast_attn=True, pretraining_tp=2,
            matters={"scale_attn_by_inverse_layer_idx": None}, ignored=["reorder_and_upcast_attn", "pretraining_tp"]),
    variant("gpt2_unscaled", GPT2, "scores not scaled by 1/sqrt(d), relu, right padding", scale_attn_weights=False,
            activation_function="relu", pad="right", matters={"scale_attn_weights": None, "activation_function": None}),
    variant("gpt2_bare_names", GPT2, "names without prefix, stored masks, exact gelu", activation_function="gelu",
            tensors=old_buffers, n_ctx=32, matters={"activation_function": None}, ignored=["n_ctx"]),
    variant("gpt2_own_head", GPT2, "a head of its own although tied by default; common spelling of the sizes; eps",
            drop=["n_embd", "n_head", "n_layer", "n_positions"], hidden_size=24, num_attention_heads=3, num_hidden_layers=2,
            max_position_embeddings=32, layer_norm_epsilon=0.05, tensors=own_head("lm_head.weight"),
            matters={"layer_norm_epsilon": None}),
    variant("gpt2_left_padded", GPT2, "left padding with segments", pad="left", token_types=(1, 3), activation_function="quick_gelu",
            matters={"activation_function": None}),
    variant("gpt2_one_token", GPT2, "one token, one layer, one head, float16", length=1, n_layer=1, n_head=1, dtype="float16",
            torch_dtype="float16"),
    variant("gpt2_bin", GPT2, "what torch.save writes, head stored beside the embedding it is tied to", store="bin",
            activation_function="silu", matters={"activation_function": None}),
    variant("gpt_neo_local", NEO, "local layers with a window of 3, MLP width, padding, segments", window_size=3, num_layers=3,
            attention_types=[[["local"], 2], [["global"], 1]], intermediate_size=37, activation_function="silu", pad="right",
            token_types=(1, 3), matters={"window_size": None, "attention_types": [[["global"], 3]], "activation_function": None}),
    variant("gpt_neo_layers", NEO, "attention_layers goes before attention_types; head width 7, own head", hidden_size=21,
            window_size=2, attention_types=[[["global", "local"], 1]], attention_layers=["local", "global"],
            tie_word_embeddings=False, matters={"attention_layers": None}),
    variant("gpt_neo_head_only", NEO, "only the head is stored, the embedding is tied to it; bfloat16",
            attention_types=[[["global", "local"], 1]], window_size=4, tensors=without("transformer.wte.weight"),
            dtype="bfloat16", torch_dtype="bfloat16", matters={"window_size": None}),
    variant("gptj_full_rotary", GPTJ, "the whole head rotated, odd MLP width, tied head with bias, exact gelu", n_embd=30,
            rotary_dim=10, n_inner=25, activation_function="gelu", tie_word_embeddings=True,
            rope_scaling={"type": "linear", "factor": 2.0}, tensors=without("lm_head.weight"),
            matters={"rotary_dim": 8, "tie_word_embeddings": None, "activation_function": None}, ignored=["rope_scaling"]),
    variant("gptj_padded", GPTJ, "left padding, segments, two rotated dimensions, float16 shards", rotary_dim=2, pad="left",
            token_types=(1, 3), store="safetensors_sharded", dtype="float16", torch_dtype="float16", layer_norm_epsilon=0.01,
            matters={"rotary_dim": 4, "layer_norm_epsilon": None}),
    variant("gpt_neox_sequential", NEOX, "attention first, MLP second; whole head rotated; no attention biases; relu",
            use_parallel_residual=False, rotary_pct=1.0, attention_bias=False, hidden_act="relu",
            tensors=renamed("lm_head", "embed_out"), matters={"use_parallel_residual": None, "rotary_pct": None, "hidden_act": None}),
    variant("gpt_neox_odd_rotary", NEOX, "3 of 12 dimensions: rounded up to two pairs; base 500; padding", rotary_pct=0.25,
            rotary_emb_base=500, pad="right", layer_norm_eps=0.01, rope_theta=7.0, partial_rotary_factor=0.5,
            matters={"rotary_pct": 1 / 3, "rotary_emb_base": None, "layer_norm_eps": None},
            ignored=["rope_theta", "partial_rotary_factor"]),
    variant("gpt_neox_linear", NEOX, "linear rope scaling, tied head, names without prefix", tie_word_embeddings=True,
            rope_scaling={"type": "linear", "factor": 4.0}, rotary_pct=0.5, tensors=bare("gpt_neox.", "lm_head.weight"), length=20,
            matters={"rope_scaling": None, "rotary_pct": None}),
    variant("gpt_neox_dynamic", NEOX, "dynamic rope scaling past the trained length, transformers 5 spelling", length=24,
            max_position_embeddings=12, dtype="bfloat16",
            rope_parameters={"rope_type": "dynamic", "factor": 2.0, "rope_theta": 10000.0, "partial_rotary_factor": 0.5},
            matters={"rope_parameters": {"rope_type": "default", "rope_theta": 10000.0, "partial_rotary_factor": 0.5}}),
    variant("llama_biases", LLAMA, "biases everywhere, one key/value head, linear rope scaling, gelu gate", attention_bias=True,
            mlp_bias=True, num_key_value_heads=1, hidden_act="gelu", rope_scaling={"type": "linear", "factor": 3.0},
            matters={"attention_bias": None, "mlp_bias": None, "hidden_act": None, "rope_scaling": None}),
    variant("llama_head_dim", LLAMA, "head width 10 is not D/H, llama3 rope scaling, float16 shards", head_dim=10, length=20,
            num_key_value_heads=2, rope_theta=50.0, rope_scaling={"rope_type": "llama3", **LLAMA3}, rms_norm_eps=1e-5,
            store="safetensors_sharded", dtype="float16", torch_dtype="float16", sliding_window=3, partial_rotary_factor=1.0,
            matters={"rope_theta": None, "rope_scaling": None}, ignored=["sliding_window", "partial_rotary_factor"]),
    variant("llama_long", LLAMA, "90 tokens; rope_parameters with the top level's original length", hidden_size=12,
            num_attention_heads=2, num_hidden_layers=1, length=90, max_position_embeddings=128, original_max_position_embeddings=8,
            dtype="float32", rope_parameters={"rope_type": "llama3", "rope_theta": 100.0, **LLAMA3},
            matters={"original_max_position_embeddings": None}),
    variant("llama_scaling_first", LLAMA, "rope_scaling goes before rope_parameters, rope_type before type; padding",
            rope_scaling={"type": "linear", "rope_type": "default", "factor": 5.0, "rope_theta": 30.0}, rope_theta=9.0, pad="left",
            rope_parameters={"rope_type": "linear", "factor": 2.0}, token_types=(1, 3), rms_norm_eps=0.01,
            matters={"rope_scaling": None, "rms_norm_eps": None}, ignored=["rope_parameters", "rope_theta"]),
    variant("llama_partial_ignored", LLAMA, "plain rope rotates the whole head whatever partial_rotary_factor says; no prefix",
            partial_rotary_factor=0.5, tie_word_embeddings=True, tensors=bare("model.", "lm_head.weight"), layer_types=["sliding_attention", "full_attention"],
            ignored=["partial_rotary_factor"], drop=["architectures"], architectures=["LlamaModel"]),
    variant("llama_dynamic", LLAMA, "dynamic rope scaling past the trained length", max_position_embeddings=10, length=18,
            rope_scaling={"type": "dynamic", "factor": 2.0}, matters={"rope_scaling": None}),
    variant("llama_yarn", LLAMA, "yarn rope scaling with mscale", rope_scaling={"type": "yarn", "mscale": 1.2, "mscale_all_dim": 0.7,
            "beta_fast": 4, "beta_slow": 0.5, **YARN}, rope_theta=100.0, length=20, head_dim=12, num_hidden_layers=1,
            matters={"rope_scaling": {"rope_type": "yarn", **YARN}}),
    variant("llama_longrope", LLAMA, "longrope past the original length", num_attention_heads=2, length=20, num_hidden_layers=1,
            rope_scaling={"rope_type": "longrope", "short_factor": [1.0, 1.1, 1.2, 1.3, 1.4, 1.5], "long_factor": [1.5, 2.0, 2.5, 3.0, 3.5, 4.0],
                          "original_max_position_embeddings": 16}, matters={"rope_scaling": None}),
    variant("llama_deep", LLAMA, "nine narrow layers, odd sizes, sharded torch.save files", vocab_size=37, hidden_size=10,
            num_attention_heads=5, num_key_value_heads=5, num_hidden_layers=9, intermediate_size=13, store="bin_sharded"),
    variant("mistral_no_window", MISTRAL, "no window; D is not a multiple of H, head width 6; bfloat16", hidden_size=22, head_dim=6,
            sliding_window=None, dtype="bfloat16", torch_dtype="bfloat16", attention_bias=True, ignored=["attention_bias"],
            matters={"sliding_window": 3}),
    variant("mistral_layer_types", MISTRAL, "window in the second layer only; left padding", sliding_window=3, head_dim=6, pad="left",
            layer_types=["full_attention", "sliding_attention"], length=14, matters={"sliding_window": 9, "layer_types": None}),
    variant("mistral_window_one", MISTRAL, "a window of one: each position sees itself; one key/value head; relu gate",
            sliding_window=1, num_key_value_heads=1, hidden_act="relu", matters={"sliding_window": None}),
    variant("qwen2_max_window_layers", QWEN2, "window from layer 1 on, padding", use_sliding_window=True, sliding_window=4,
            max_window_layers=1, pad="right", rope_theta=1000000.0,
            matters={"use_sliding_window": None, "max_window_layers": None, "rope_theta": None}),
    variant("qwen2_layer_types", QWEN2, "layer types go before max_window_layers; own head width; transformers 5 spelling",
            use_sliding_window=True, sliding_window=2, max_window_layers=2, head_dim=8, tie_word_embeddings=True, dtype="float32",
            layer_types=["sliding_attention", "full_attention", "sliding_attention"], tensors=without("lm_head.weight"),
            rope_parameters={"rope_type": "linear", "factor": 2.0, "rope_theta": 500.0}, attention_bias=False,
            matters={"layer_types": None, "rope_parameters": None}, ignored=["attention_bias"]),
    variant("qwen3_bias_window", QWEN3, "attention biases, window in all layers, untied", attention_bias=True, use_sliding_window=True,
            sliding_window=5, max_window_layers=0, pad="right", matters={"attention_bias": None, "use_sliding_window": None}),
    variant("qwen3_yarn", QWEN3, "yarn rope scaling as Qwen3's card gives it; tied; bfloat16", tie_word_embeddings=True, length=20,
            rope_theta=100.0, rope_scaling={"rope_type": "yarn", **YARN}, dtype="bfloat16", torch_dtype="bfloat16",
            tensors=without("lm_head.weight"), use_qk_norm=False, ignored=["use_qk_norm"], matters={"rope_scaling": None}),
    variant("gpt_bigcode", BIGCODE, "three heads share one key and value; matrices stored out x in; token types",
            n_inner=40, layer_norm_epsilon=0.01, token_types=(1, 3), matters={"layer_norm_epsilon": None}),
    variant("gpt_bigcode_heads", BIGCODE, "a key for each head, side by side with its query; unscaled; left padding; bfloat16",
            multi_query=False, scale_attn_weights=False, activation_function="relu", pad="left", dtype="bfloat16",
            matters={"scale_attn_weights": None, "activation_function": None}),
]
