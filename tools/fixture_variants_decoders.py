"""The variants of the decoders that came after the first eight families, and the hooks that their modules need."""
import torch
from torch.nn import functional
from transformers import AutoModelForCausalLM

from fixture_variants import LENGTHS, bare, variant, without

OPENAI = dict(architectures=["OpenAIGPTLMHeadModel"], model_type="openai-gpt", vocab_size=53, n_positions=32, n_embd=24,
              n_head=3, n_layer=2)
CTRL = dict(architectures=["CTRLLMHeadModel"], model_type="ctrl", vocab_size=53, n_positions=48, n_embd=24, n_head=3,
            n_layer=2, dff=37)
OPT = dict(architectures=["OPTForCausalLM"], model_type="opt", hidden_size=24, num_attention_heads=3,
           num_hidden_layers=2, ffn_dim=37, **LENGTHS)
BLOOM = dict(architectures=["BloomForCausalLM"], model_type="bloom", vocab_size=53, hidden_size=30, n_head=5, n_layer=2)
FALCON = dict(architectures=["FalconForCausalLM"], model_type="falcon", hidden_size=24, num_attention_heads=3,
              num_hidden_layers=2, **LENGTHS)
PHI = dict(architectures=["PhiForCausalLM"], model_type="phi", hidden_size=30, num_attention_heads=3,
           num_hidden_layers=2, intermediate_size=37, **LENGTHS)
PHI3 = dict(architectures=["Phi3ForCausalLM"], model_type="phi3", hidden_size=32, num_attention_heads=4,
            num_key_value_heads=2, num_hidden_layers=2, intermediate_size=37, pad_token_id=0, **LENGTHS)
GEMMA = dict(architectures=["GemmaForCausalLM"], model_type="gemma", hidden_size=24, num_attention_heads=3,
             num_key_value_heads=1, head_dim=6, num_hidden_layers=2, intermediate_size=37, **LENGTHS)
GEMMA2 = GEMMA | dict(architectures=["Gemma2ForCausalLM"], model_type="gemma2", num_hidden_layers=3,
                      query_pre_attn_scalar=9)
GEMMA3 = GEMMA2 | dict(architectures=["Gemma3ForCausalLM"], model_type="gemma3_text", num_hidden_layers=4)
GEMMA3_IMAGES = dict(
    architectures=["Gemma3ForConditionalGeneration"], model_type="gemma3", image_token_index=60, mm_tokens_per_image=4,
    text_config={k: v for k, v in GEMMA3.items() if k != "architectures"} | dict(
        sliding_window=3, sliding_window_pattern=2, rope_local_base_freq=40.0, final_logit_softcapping=1.0),
    vision_config=dict(model_type="siglip_vision_model", hidden_size=8, num_attention_heads=1, num_hidden_layers=1,
                       intermediate_size=4, image_size=28, patch_size=14))
OLMO2 = dict(architectures=["Olmo2ForCausalLM"], model_type="olmo2", hidden_size=24, num_attention_heads=4,
             num_key_value_heads=2, num_hidden_layers=2, intermediate_size=37, **LENGTHS)
STABLELM = dict(architectures=["StableLmForCausalLM"], model_type="stablelm", hidden_size=32, num_attention_heads=4,
                num_key_value_heads=2, num_hidden_layers=2, intermediate_size=37, **LENGTHS)
STARCODER2 = dict(architectures=["Starcoder2ForCausalLM"], model_type="starcoder2", hidden_size=32,
                  num_attention_heads=4, num_hidden_layers=2, intermediate_size=37, **LENGTHS)
MIXTRAL = dict(architectures=["MixtralForCausalLM"], model_type="mixtral", hidden_size=24, num_attention_heads=4,
               num_key_value_heads=2, num_hidden_layers=2, intermediate_size=15, num_local_experts=4,
               num_experts_per_tok=2, **LENGTHS)
QWEN2_MOE = dict(architectures=["Qwen2MoeForCausalLM"], model_type="qwen2_moe", hidden_size=24, num_attention_heads=4,
                 num_key_value_heads=2, num_hidden_layers=3, intermediate_size=29, moe_intermediate_size=11,
                 shared_expert_intermediate_size=17, num_experts=5, num_experts_per_tok=2, **LENGTHS)
FACTORS = dict(short_factor=[1.0, 1.1, 1.3, 1.7], long_factor=[1.5, 2.5, 3.0, 4.0])
SLIDING, FULL = "sliding_attention", "full_attention"


def watch(model, kept):
    """Hooks for q, k, v right after their projection, the neurons, and the weights that a router gives its experts."""
    config = model.config.get_text_config()
    if config.model_type not in {variant["config"]["model_type"] for variant in VARIANTS} | {"gemma3_text"}:
        return
    config._experts_implementation = "eager"
    count = config.num_attention_heads
    width = getattr(config, "head_dim", None) or config.hidden_size // count

    def heads(tensor):
        return tensor.view(*tensor.shape[:-1], -1, width).transpose(1, 2)

    def hook(module, keep):
        module.register_forward_hook(lambda _m, inputs, out: keep(inputs, out))

    for name, module in model.named_modules():
        layer = next((part for part in name.split(".") if part.isdigit()), None)
        leaf = name.rsplit(".", 1)[-1]
        if leaf in ("Wq", "Wk", "Wv"):
            def keep(_i, out, key=f"{leaf[1]}.{layer}"):
                kept[key] = heads(out)
            hook(module, keep)
        elif leaf == "qkv_proj":
            def keep(_i, out, layer=layer):
                sizes = [count * width, config.num_key_value_heads * width, config.num_key_value_heads * width]
                kept.update({f"{letter}.{layer}": heads(part) for letter, part in zip("qkv", out.split(sizes, dim=-1))})
            hook(module, keep)
        elif leaf == "query_key_value" and config.model_type in ("bloom", "falcon"):
            def keep(_i, out, layer=layer):  # for each key head its queries, its key, its value
                groups = count
                if config.model_type == "falcon" and config.new_decoder_architecture:
                    groups = config.num_kv_heads
                elif config.model_type == "falcon" and config.multi_query:
                    groups = 1
                parts = out.view(1, out.shape[1], groups, count // groups + 2, width)
                for letter, part in zip("qkv", (parts[..., :-2, :], parts[..., [-2], :], parts[..., [-1], :])):
                    kept[f"{letter}.{layer}"] = part.flatten(2, 3).transpose(1, 2)
            hook(module, keep)
        elif name.endswith((".fc2", ".ffn.2")):
            def keep(inputs, _o, key=f"mlp_act.{layer}"):
                kept[key] = inputs[0].view(1, -1, inputs[0].shape[-1])
            hook(module, keep)
        elif hasattr(module, "experts"):
            def keep(inputs, _o, layer=layer, module=module):
                keep_experts(kept, layer, module, inputs[0][0])
            hook(module, keep)
        elif leaf == "self_attention" and getattr(config, "alibi", False):
            # Eager attention adds ALiBi twice: inside the mask, and by itself. Only the first is left here, as in
            # "sdpa", which returns no probabilities: `check_alibi` compares with it.
            def once(_m, args, kwargs):
                return args, kwargs | {"alibi": torch.zeros_like(kwargs["alibi"])}
            module.register_forward_pre_hook(once, with_kwargs=True)


def check_alibi(folder, inputs, logits):
    """That ALiBi added once, as `watch` has it, gives the logits of attention by "sdpa"."""
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="sdpa").eval()
    with torch.no_grad():
        other = model(**inputs, use_cache=False).logits
    seen = inputs.get("attention_mask", torch.ones_like(inputs["input_ids"]))[0] == 1
    assert torch.allclose(other[0, seen], logits[0, seen], rtol=1e-5, atol=1e-5), folder


def keep_experts(kept, layer, module, x):
    """The neurons of all experts side by side, times the weight of their expert, as if there were one wide MLP."""
    _, weights, chosen = module.gate(x)
    every = torch.zeros(x.shape[0], module.experts.num_experts, dtype=x.dtype).scatter(1, chosen, weights.to(x.dtype))
    gate, up = torch.einsum("td,end->ten", x, module.experts.gate_up_proj).chunk(2, dim=-1)
    neurons = (module.experts.act_fn(gate) * up * every[:, :, None]).flatten(1)
    if hasattr(module, "shared_expert"):
        shared = module.shared_expert
        opened = functional.sigmoid(module.shared_expert_gate(x))
        neurons = torch.cat([neurons, opened * shared.act_fn(shared.gate_proj(x)) * shared.up_proj(x)], dim=-1)
    kept[f"mlp_act.{layer}"] = neurons[None]
    kept[f"expert_weights.{layer}"] = every[None]


def by_expert(gate, up, down, block="mlp"):
    """Experts one by one, as published files have them."""
    def split(state):
        out = {}
        for name, value in state.items():
            stem = name.replace(".mlp.", f".{block}.").removesuffix(".gate_up_proj").removesuffix(".down_proj")
            if name.endswith("experts.gate_up_proj"):
                for expert, matrix in enumerate(value):
                    halves = matrix.chunk(2)
                    out |= {f"{stem}.{expert}.{gate}.weight": halves[0], f"{stem}.{expert}.{up}.weight": halves[1]}
            elif name.endswith("experts.down_proj"):
                out |= {f"{stem}.{expert}.{down}.weight": matrix for expert, matrix in enumerate(value)}
            else:
                out[name.replace(".mlp.", f".{block}.")] = value
        return out
    return split


def texts_only(state):
    """google/gemma-3-4b: the text model's names, without what sees images."""
    stem = "model.language_model."
    return {name.replace(stem, "language_model.model."): value for name, value in state.items() if stem in name}


def stored_masks(state):
    """openai-community/openai-gpt: no prefix, no head, and each layer's causal mask stored as a tensor."""
    state = bare("transformer.", "lm_head.weight")(state)
    return state | {f"h.{layer}.attn.bias": torch.tril(torch.ones(1, 1, 32, 32)) for layer in range(2)}


VARIANTS = [
    variant("openai_gpt_stored_masks", OPENAI, "names without prefix, stored masks, relu, segments, left padding",
            afn="relu", pad="left", token_types=(1, 3), tensors=stored_masks, layer_norm_epsilon=0.01,
            matters={"afn": None, "layer_norm_epsilon": None}),
    variant("openai_gpt_swish", OPENAI, "swish, a head of its own, head width 7, common spelling of the sizes, .bin",
            drop=["n_embd", "n_head", "n_layer", "n_positions"], hidden_size=21, num_attention_heads=3,
            num_hidden_layers=3, max_position_embeddings=20, afn="swish", tie_word_embeddings=False, store="bin",
            matters={"afn": None}),
    variant("ctrl_odd", CTRL, "odd width: one sine more than cosines; segments; right padding; 40 tokens", n_embd=21,
            length=40, pad="right", token_types=(5, 2, 9), n_layer=1, layer_norm_epsilon=0.1,
            matters={"layer_norm_epsilon": None}),
    variant("ctrl_own_head", CTRL, "a head of its own with bias, float16, left padding", tie_word_embeddings=False,
            pad="left", dtype="float16", torch_dtype="float16"),
    variant("ctrl_bare", CTRL, "names without prefix, neither head nor its bias",
            tensors=bare("transformer.", "lm_head.weight", "lm_head.bias")),
    variant("ctrl_one_token", CTRL, "one token, one head, four layers", length=1, n_head=1, n_layer=4, n_embd=14),
    variant("opt_projected", OPT, "350m: norms after, embeddings of width 10 projected to 24 and back, left padding",
            word_embed_proj_dim=10, do_layer_norm_before=False, pad="left", matters={"do_layer_norm_before": None}),
    variant("opt_projected_pre", OPT,
            "norms before, embeddings wider than the stream, gelu, right padding, bfloat16 shards",
            word_embed_proj_dim=28, activation_function="gelu", pad="right", store="safetensors_sharded",
            dtype="bfloat16", torch_dtype="bfloat16", matters={"activation_function": None}),
    variant("opt_plain_norms", OPT, "norms without gain and bias, linear maps without bias, a head of its own",
            enable_bias=False, layer_norm_elementwise_affine=False, tie_word_embeddings=False),
    variant("opt_no_final_norm", OPT,
            "before 4.20: norms before, but none after the last layer; names of the bare model",
            _remove_final_layer_norm=True, tensors=bare("model.", "lm_head.weight"), drop=["architectures"],
            architectures=["OPTModel"], matters={"_remove_final_layer_norm": None}),
    variant("opt_one_token", OPT, "one token, one head, silu", length=1, num_attention_heads=1,
            activation_function="silu", matters={"activation_function": None}),
    variant("bloom_five_heads", BLOOM,
            "five heads: four slopes and one between; names without prefix, no head, bfloat16",
            tensors=bare("transformer.", "lm_head.weight"), dtype="bfloat16", torch_dtype="bfloat16", length=20),
    variant("bloom_six_heads", BLOOM,
            "six heads, the normed stream goes on, left padding, eps, own head, old spelling of the width", n_head=6,
            drop=["hidden_size"], n_embed=30, apply_residual_connection_post_layernorm=True, pad="left",
            layer_norm_epsilon=0.02, tie_word_embeddings=False,
            matters={"apply_residual_connection_post_layernorm": None, "layer_norm_epsilon": None}),
    variant("bloom_slow_but_exact", BLOOM,
            "slow_but_exact with pretraining_tp leaves out two biases; one head; common spelling; right padding",
            drop=["n_head", "n_layer"], num_attention_heads=1, num_hidden_layers=3, hidden_size=14, pretraining_tp=2,
            slow_but_exact=True, pad="right", matters={"slow_but_exact": None, "pretraining_tp": None}),
    variant("bloom_twelve_heads", BLOOM, "twelve heads of width 2, one layer, 30 tokens", n_head=12, hidden_size=24,
            n_layer=1, length=30),
    variant("falcon_40b", FALCON, "two norms, two key heads for six query heads, biases, left padding",
            new_decoder_architecture=True, bias=True, num_attention_heads=6, num_kv_heads=2, pad="left",
            layer_norm_epsilon=0.02,
            matters={"new_decoder_architecture": None, "num_kv_heads": 3, "layer_norm_epsilon": None}),
    variant("falcon_11b", FALCON, "one norm for both, tanh gelu, own MLP width and head, base 500",
            new_decoder_architecture=True, num_attention_heads=4, num_kv_heads=2, num_ln_in_parallel_attn=1,
            activation="gelu_pytorch_tanh", ffn_hidden_size=37, tie_word_embeddings=False, rope_theta=500.0,
            multi_query=False, matters={"activation": None, "rope_theta": None, "num_ln_in_parallel_attn": None},
            ignored=["multi_query"]),
    variant("falcon_rw", FALCON, "RW: ALiBi, sequential, a key head for each query head, biases, left padding",
            alibi=True, multi_query=False, parallel_attn=False, bias=True, pad="left",
            matters={"alibi": None, "parallel_attn": None, "bias": None}),
    variant("falcon_rw_twelve_heads", FALCON,
            "ALiBi is rounded to bfloat16, which shows where slopes are no powers of two", alibi=True,
            num_attention_heads=12, num_hidden_layers=1, length=30, multi_query=False),
    variant("falcon_alibi_multi_query", FALCON,
            "ALiBi with one key head in the new architecture, right padding", alibi=True,
            num_attention_heads=4, num_kv_heads=1, new_decoder_architecture=True, pad="right", matters={"alibi": None}),
    variant("falcon_sequential", FALCON, "one key head, attention first, scaled rotation, relu, bfloat16",
            parallel_attn=False, activation="relu", rope_scaling={"type": "linear", "factor": 3.0}, dtype="bfloat16",
            torch_dtype="bfloat16", num_kv_heads=3,
            matters={"parallel_attn": None, "activation": None, "rope_scaling": None}, ignored=["num_kv_heads"]),
    variant("falcon_parallel", FALCON, "a key head for each query head, parallel, rotary; width by its old name",
            multi_query=False, drop=["hidden_size"], n_embed=18, bias=True, length=1),
    variant("falcon_refined_web_model", FALCON, "published 7B: model_type RefinedWebModel, n_head, n_layer",
            num_hidden_layers=3,
            published=dict(drop=["num_attention_heads", "num_hidden_layers"], model_type="RefinedWebModel", n_head=3,
                n_layer=3, multi_query=True, parallel_attn=True, alibi=False, bias=False,
                architectures=["RWForCausalLM"])),
    variant("falcon_refined_web_rw", FALCON, "published RW-1B: model_type RefinedWebModel with ALiBi", alibi=True,
            multi_query=False, parallel_attn=False, bias=True,
            published=dict(drop=["num_attention_heads", "num_hidden_layers", "multi_query", "parallel_attn"],
                model_type="RefinedWebModel", n_head=3, n_layer=2, architectures=["RWForCausalLM"])),
    variant("falcon_refined_web", FALCON,
            "published 40B: model_type RefinedWeb, n_head_kv, the architecture by its name only",
            new_decoder_architecture=True, num_attention_heads=4, num_kv_heads=2,
            published=dict(drop=["num_attention_heads", "num_hidden_layers", "num_kv_heads",
                "new_decoder_architecture"], model_type="RefinedWeb", n_head=4, n_head_kv=2, n_layer=2,
                parallel_attn=True, architectures=["RWForCausalLM"])),
    variant("phi_head_norms", PHI, "norms of heads, two key heads, 4 of 10 dimensions turn, left padding, gelu",
            qk_layernorm=True, num_attention_heads=4, hidden_size=40, num_key_value_heads=2, partial_rotary_factor=0.45,
            hidden_act="gelu", pad="left", layer_norm_eps=0.01,
            matters={"qk_layernorm": None, "partial_rotary_factor": None, "hidden_act": None, "layer_norm_eps": None}),
    variant("phi_bare", PHI, "the bare model: no prefix, no head", auto="AutoModel", drop=["architectures"],
            architectures=["PhiModel"], hidden_size=36),
    variant("phi_tied", PHI, "half of each head turns when nothing is said, stretched; tied head with bias; no prefix",
            hidden_size=36, tie_word_embeddings=True, rope_scaling={"type": "linear", "factor": 2.0}, rope_theta=100.0,
            tensors=bare("model.", "lm_head.weight"),
            matters={"rope_scaling": None, "rope_theta": None}),
    variant("phi_head_dim", PHI, "head width of its own, transformers 5 spelling", head_dim=8, length=1,
            rope_parameters={"rope_type": "default", "rope_theta": 50.0, "partial_rotary_factor": 0.75}),
    variant("phi3_window", PHI3, "window of 4, half of a head turns, right padding, eps", sliding_window=4,
            partial_rotary_factor=0.5, pad="right", rope_theta=300.0, rms_norm_eps=0.01, attention_bias=False,
            matters={"sliding_window": None, "partial_rotary_factor": None, "rope_theta": None, "rms_norm_eps": None}),
    variant("phi3_su_short", PHI3, "longrope under its first name, a prompt within the original length",
            original_max_position_embeddings=16,
            rope_scaling={"type": "su", "original_max_position_embeddings": 99, **FACTORS}, length=15,
            tie_word_embeddings=True, tensors=without("lm_head.weight"),
            matters={"rope_scaling": None, "original_max_position_embeddings": 8, "tie_word_embeddings": None}),
    variant("phi3_long", PHI3, "longrope past the original length, float16 shards", original_max_position_embeddings=16,
            length=20, rope_scaling={"type": "longrope", **FACTORS}, store="safetensors_sharded", dtype="float16",
            torch_dtype="float16", matters={"rope_scaling": None, "original_max_position_embeddings": None}),
    variant("phi3_named_yarn", PHI3,
            "longrope that calls itself yarn, part of a head, the original length absent: 4096",
            max_position_embeddings=8192, rope_scaling={"type": "yarn", **{k: v[:3] for k, v in FACTORS.items()}},
            partial_rotary_factor=0.75, matters={"rope_scaling": None, "max_position_embeddings": 4096}),
    variant("phi3_head_dim", PHI3, "head width 6 is not D/H, one key head, relu gate, names without prefix", head_dim=6,
            num_key_value_heads=1, hidden_act="relu", tie_word_embeddings=True,
            tensors=bare("model.", "lm_head.weight"), matters={"hidden_act": None}),
    variant("gemma_legacy", GEMMA, "hidden_act gelu means the tanh form, hidden_activation is not read; left padding",
            hidden_act="gelu", hidden_activation="relu", attention_bias=True, pad="left",
            rope_scaling={"type": "linear", "factor": 2.0},
            matters={"hidden_act": "gelu_python", "attention_bias": None, "rope_scaling": None},
            ignored=["hidden_activation"]),
    variant("gemma_own_head", GEMMA,
            "untied, relu gate, heads by default: 16 key heads of width 256 are given, base 200, .bin shards",
            tie_word_embeddings=False, hidden_act="relu", num_attention_heads=4, num_key_value_heads=2,
            rope_theta=200.0, store="bin_sharded", rms_norm_eps=0.05,
            matters={"hidden_act": None, "rope_theta": None, "rms_norm_eps": None}),
    variant("gemma_bare", GEMMA, "names without prefix, one token, bfloat16", length=1,
            tensors=bare("model.", "lm_head.weight"), dtype="bfloat16", torch_dtype="bfloat16"),
    variant("gemma2_uncapped", GEMMA2, "no caps, layer types the other way round, biases, left padding",
            attn_logit_softcapping=None, final_logit_softcapping=None, layer_types=[FULL, SLIDING, SLIDING],
            sliding_window=4, attention_bias=True, pad="left",
            matters={"layer_types": None, "sliding_window": 8, "attention_bias": None, "final_logit_softcapping": 2.0,
                "attn_logit_softcapping": 2.0}),
    variant("gemma2_default_caps", GEMMA2, "caps of 50 and 30 when nothing is said, exact gelu, untied, default window",
            hidden_activation="gelu", tie_word_embeddings=False, query_pre_attn_scalar=1,
            matters={"hidden_activation": None, "query_pre_attn_scalar": None}),
    variant("gemma3_text", GEMMA3,
            "every third layer sees all; local base, stretched global rotation, final cap; eps; right padding",
            sliding_window_pattern=3, sliding_window=4, rope_theta=5000.0, rope_local_base_freq=30.0,
            final_logit_softcapping=3.0, rope_scaling={"rope_type": "linear", "factor": 8.0}, rms_norm_eps=0.02,
            attn_logit_softcapping=1.0, pad="right", length=14,
            matters={"sliding_window_pattern": None, "sliding_window": None, "rope_theta": None,
                "rope_local_base_freq": None, "rope_scaling": None, "final_logit_softcapping": None,
                "rms_norm_eps": None}, ignored=["attn_logit_softcapping"]),
    variant("gemma3_text_types", GEMMA3,
            "layer types and a rotation for each, transformers 5 spelling; biases, untied, left padding",
            layer_types=[FULL, SLIDING, FULL, SLIDING], sliding_window=3, attention_bias=True,
            tie_word_embeddings=False, pad="left",
            rope_parameters={FULL: {"rope_type": "linear", "factor": 4.0, "rope_theta": 700.0},
                SLIDING: {"rope_theta": 20.0}}, num_key_value_heads=3,
            matters={"layer_types": None, "rope_parameters": None, "attention_bias": None}),
    variant("gemma3_text_defaults", GEMMA3,
            "seven layers: the sixth sees all and turns by 1000000; exact gelu; bfloat16", num_hidden_layers=7,
            hidden_activation="gelu", hidden_size=18, sliding_window=3, dtype="bfloat16", torch_dtype="bfloat16",
            rope_scaling={"type": "linear", "factor": 8.0},
            matters={"hidden_activation": None, "query_pre_attn_scalar": None}, ignored=["rope_scaling"]),
    variant("gemma3_text_both_ways", GEMMA3, "positions see both ways, in windows as far to either side; padding",
            use_bidirectional_attention=True, sliding_window=6, sliding_window_pattern=2, pad="left", length=14,
            matters={"use_bidirectional_attention": None, "sliding_window": 4}),
    variant("gemma3_image_text", GEMMA3_IMAGES,
            "the text part of a model for images and texts, names as published; its logits are not capped",
            tensors=texts_only, pad="left"),
    variant("olmo2_grouped", OLMO2, "norms of whole queries and keys, two key heads, biases, left padding, eps",
            attention_bias=True, pad="left", rms_norm_eps=0.01, rope_theta=500.0,
            matters={"attention_bias": None, "rms_norm_eps": None, "rope_theta": None}),
    variant("olmo2_head_dim", OLMO2, "head width of its own, tied, relu gate, stretched rotation, .bin", head_dim=8,
            tie_word_embeddings=True, tensors=without("lm_head.weight"), hidden_act="relu", num_key_value_heads=None,
            rope_scaling={"type": "linear", "factor": 2.0}, store="bin",
            matters={"tie_word_embeddings": None, "hidden_act": None, "rope_scaling": None}),
    variant("stablelm_sequential", STABLELM, "a quarter of each head when nothing is said, untied, left padding, eps",
            pad="left", layer_norm_eps=0.01, rope_theta=50.0, hidden_size=48, num_attention_heads=3,
            num_key_value_heads=3, dtype="bfloat16", torch_dtype="bfloat16",
            matters={"layer_norm_eps": None, "rope_theta": None}),
    variant("stablelm_bare", STABLELM, "the bare model: no prefix, no head", auto="AutoModel", drop=["architectures"],
            architectures=["StableLmModel"], pad="right"),
    variant("stablelm_parallel", STABLELM,
            "a norm for every head, one norm for both parts, biases, half of each head, tied",
            use_parallel_residual=True, qk_layernorm=True, use_qkv_bias=True, partial_rotary_factor=0.5,
            tie_word_embeddings=True, tensors=without("lm_head.weight"), hidden_act="relu",
            rope_scaling={"type": "dynamic", "factor": 2.0}, max_position_embeddings=8,
            matters={"use_parallel_residual": None, "qk_layernorm": None, "use_qkv_bias": None,
                "partial_rotary_factor": None, "tie_word_embeddings": None, "hidden_act": None, "rope_scaling": None}),
    variant("starcoder2_window", STARCODER2, "window of 4, two key heads when nothing is said, right padding, eps",
            sliding_window=4, pad="right", norm_epsilon=0.01, rope_theta=999.0,
            matters={"sliding_window": None, "norm_epsilon": None, "rope_theta": None}),
    variant("starcoder2_no_biases", STARCODER2, "no biases, untied, relu, head width of its own, left padding",
            use_bias=False, head_dim=6, tie_word_embeddings=False, hidden_act="relu", num_key_value_heads=1, pad="left",
            rope_scaling={"type": "linear", "factor": 2.0}, matters={"hidden_act": None, "rope_scaling": None}),
    variant("mixtral_published", MIXTRAL,
            "experts one by one, window of 4, left padding, base 1000000 when nothing is said",
            tensors=by_expert("w1", "w3", "w2", "block_sparse_moe"), sliding_window=4, pad="left",
            matters={"sliding_window": None, "num_experts_per_tok": 1}),
    variant("mixtral_stacked", MIXTRAL,
            "experts stacked, three of five, head width of its own, relu gate, tied, bfloat16", num_experts_per_tok=3,
            drop=["num_local_experts"], num_experts=5, head_dim=8, hidden_act="relu", tie_word_embeddings=True,
            tensors=without("lm_head.weight"), dtype="bfloat16", torch_dtype="bfloat16", rope_theta=100.0,
            rms_norm_eps=0.01,
            matters={"num_experts_per_tok": None, "hidden_act": None, "rope_theta": None, "rms_norm_eps": None}),
    variant("mixtral_one_expert", MIXTRAL, "one of two experts, one token, key heads by default for eight heads",
            num_experts_per_tok=1, num_local_experts=2, length=1, num_attention_heads=8, hidden_size=32,
            drop=["num_key_value_heads"]),
    variant("qwen2_moe_published", QWEN2_MOE,
            "experts one by one, every second layer, weights made to add up to 1, windows", norm_topk_prob=True,
            decoder_sparse_step=2, tensors=by_expert("gate_proj", "up_proj", "down_proj"), use_sliding_window=True,
            sliding_window=3, max_window_layers=2, pad="right",
            matters={"norm_topk_prob": None, "decoder_sparse_step": None, "use_sliding_window": None,
                "max_window_layers": 0, "sliding_window": None}),
    variant("qwen2_moe_stacked", QWEN2_MOE,
            "experts stacked, a layer without, no biases, three of five, tied, layer types, left padding",
            mlp_only_layers=[1], qkv_bias=False, num_experts_per_tok=3, tie_word_embeddings=True,
            tensors=without("lm_head.weight"), use_sliding_window=True, sliding_window=3,
            layer_types=[FULL, SLIDING, SLIDING], pad="left", hidden_act="gelu", rope_theta=100.0,
            matters={"mlp_only_layers": None, "num_experts_per_tok": None, "tie_word_embeddings": None,
                "layer_types": None, "hidden_act": None, "rope_theta": None}),
]
