"""The variants of encoder-decoders that make_fixtures.py makes, and the hooks that they need."""
import torch

from fixture_variants import bare, variant

T5 = dict(architectures=["T5ForConditionalGeneration"], model_type="t5", is_encoder_decoder=True, vocab_size=53, d_model=16,
          d_kv=6, d_ff=20, num_heads=3, num_layers=2, pad_token_id=0, eos_token_id=1, decoder_start_token_id=0)
MT5 = T5 | dict(architectures=["MT5ForConditionalGeneration"], model_type="mt5", tie_word_embeddings=False)
UMT5 = T5 | dict(architectures=["UMT5ForConditionalGeneration"], model_type="umt5")
BART = dict(architectures=["BartForConditionalGeneration"], model_type="bart", is_encoder_decoder=True, vocab_size=53, d_model=18,
            encoder_layers=2, decoder_layers=2, encoder_attention_heads=3, decoder_attention_heads=3, encoder_ffn_dim=20,
            decoder_ffn_dim=20, max_position_embeddings=32, pad_token_id=1, bos_token_id=0, eos_token_id=2,
            decoder_start_token_id=2)
MBART = BART | dict(architectures=["MBartForConditionalGeneration"], model_type="mbart")
MARIAN = BART | dict(architectures=["MarianMTModel"], model_type="marian", pad_token_id=52, bos_token_id=None, eos_token_id=0,
                     decoder_start_token_id=52)
PEGASUS = BART | dict(architectures=["PegasusForConditionalGeneration"], model_type="pegasus", pad_token_id=0, bos_token_id=None,
                      eos_token_id=1, decoder_start_token_id=0)
NARROW = dict(d_model=8, d_kv=4, d_ff=10, num_heads=1, num_layers=1)
ALIASES = ("encoder.embed_tokens.weight", "decoder.embed_tokens.weight", "lm_head.weight")


def seq2seq(name, base, point, *, stored=(), own=(), dropped=(), then=None, **rest):
    """A variant whose file holds one token table, as published files do. Of the names that are tied to it, those in
    `stored` are kept and those in `own` get values of their own; names that end in one of `dropped` are left out."""
    sinusoidal = base["model_type"] in ("marian", "pegasus")
    dropped = (*dropped, "embed_positions.weight") if sinusoidal and "embed_positions.weight" not in own else dropped

    def tensors(state):
        for place, key in enumerate(sorted(state)):
            if key.endswith(own) and own:
                generator = torch.Generator().manual_seed(place)
                state[key] = (torch.randn(state[key].shape, generator=generator) * 0.7).to(state[key].dtype)
        gone = tuple(alias for alias in ALIASES if not alias.endswith((*stored, *own))) + tuple(dropped)
        state = {key: value for key, value in state.items() if not key.endswith(gone)}
        return then(state) if then else state

    return variant(name, base, point, auto="AutoModelForSeq2SeqLM", tensors=tensors, **rest)


def unused_bias(state):
    """Files of the first T5 hold a bias of cross attention that nothing reads."""
    name = "decoder.block.0.layer.{}.relative_attention_bias.weight"
    return state | {name.format("1.EncDecAttention"): state[name.format("0.SelfAttention")] * 3}


def watch(model, kept):
    """Hooks for q, k, v right after their projection and the MLP's neurons, by stack; cross attention by itself."""
    config = model.config
    for name, module in model.named_modules():
        layer = next((part for part in name.split(".") if part.isdigit()), None)
        stack = "decoder" if "decoder." in name else "encoder"
        leaf = name.rsplit(".", 1)[-1]
        if leaf in ("q", "k", "v", "q_proj", "k_proj", "v_proj"):
            count = config.num_heads if len(leaf) == 1 else getattr(config, f"{stack}_attention_heads")
            part = "cross" if "EncDecAttention" in name or "encoder_attn" in name else stack

            def keep(_m, _i, out, key=f"{part}_{leaf[0]}.{layer}", count=count):
                kept[key] = out.unflatten(-1, (count, -1)).transpose(1, 2)
            module.register_forward_hook(keep)
        elif leaf in ("wo", "fc2"):
            def keep(_m, inputs, key=f"{stack}_mlp_act.{layer}"):
                kept[key] = inputs[0]
            module.register_forward_pre_hook(keep)


VARIANTS = [
    seq2seq("t5_buckets", T5, "10 buckets up to a distance of 17, both passed; default width of heads and depth of the decoder",
            relative_attention_num_buckets=10, relative_attention_max_distance=17, length=24, decoder_length=22, num_layers=1,
            dropout_rate=0.0,
            matters={"relative_attention_num_buckets": None, "relative_attention_max_distance": None}),
    seq2seq("t5_long_source", T5 | NARROW, "135 source tokens: past the last bucket; one-token target", length=135, decoder_length=1),
    seq2seq("t5_long_target", T5 | NARROW, "135 target tokens: past the last bucket; one-token source", length=1, decoder_length=135,
            relative_attention_num_buckets=32, matters={"relative_attention_num_buckets": 16}),
    seq2seq("t5_uneven", T5, "one layer reads, three write; gated silu; own head, so no scale; padded source", num_layers=1,
            num_decoder_layers=3, feed_forward_proj="gated-silu", tie_word_embeddings=False, own=("lm_head.weight",), pad="right",
            matters={"tie_word_embeddings": None, "num_decoder_layers": None, "feed_forward_proj": "gated-gelu"}),
    seq2seq("t5_all_names", T5, "torch.save with all four names of the token table; exact gelu; eps", store="bin", stored=ALIASES,
            feed_forward_proj="gelu", layer_norm_epsilon=0.05, tie_word_embeddings=True,
            matters={"feed_forward_proj": None, "layer_norm_epsilon": None}, ignored=["tie_word_embeddings"]),
    seq2seq("t5_resaved", T5, "v1.1 as transformers 5 saves it: the scale is said, the tie always true, the activation said twice",
            feed_forward_proj="gated-silu", dense_act_fn="gelu_new", is_gated_act=True, scale_decoder_outputs=False,
            tie_word_embeddings=True, own=("lm_head.weight",), is_decoder=False, num_decoder_layers=2, dtype="bfloat16",
            matters={"scale_decoder_outputs": None, "dense_act_fn": None, "is_gated_act": False},
            ignored=["tie_word_embeddings"]),
    seq2seq("t5_own_head_scaled", T5, "a head of its own that is scaled all the same, a null tie, an unused bias, padded target",
            own=("lm_head.weight",), tie_word_embeddings=None, then=unused_bias, decoder_pad="right",
            matters={"tie_word_embeddings": False}),
    seq2seq("t5_unscaled_tied", T5, "v1.1 without a head in the file: tied, not scaled; left padding on both sides; float16 shards",
            tie_word_embeddings=False, feed_forward_proj="gated-gelu", pad="left", decoder_pad="left", dtype="float16",
            store="safetensors_sharded", matters={"tie_word_embeddings": None}),
    seq2seq("t5_own_tables", T5, "source and target tables of their own, head from the shared one; gated relu",
            own=("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"), feed_forward_proj="gated-relu",
            matters={"feed_forward_proj": "gated-gelu"}),
    seq2seq("t5_alias_only", T5, "the token table under the decoder's name only; one token each", length=1, decoder_length=1,
            stored=("decoder.embed_tokens.weight",), dropped=("shared.weight",), feed_forward_proj="gelu_new"),
    seq2seq("t5_common_names", T5, "common spelling; the decoder has the default depth of 6 then", length=7,
            drop=["d_model", "d_kv", "num_heads", "num_layers"], hidden_size=12, num_attention_heads=5, head_dim=2, d_ff=10,
            num_hidden_layers=1, matters={"num_hidden_layers": 3}),
    seq2seq("t5_deep", T5, "seven narrow layers on both sides, odd sizes", d_model=9, d_kv=3, d_ff=7, num_heads=2, num_layers=7,
            vocab_size=31, length=5, decoder_length=4, store="bin_sharded"),
    seq2seq("mt5_tied", MT5, "tied head, never scaled; gated gelu unless said; padded source", tie_word_embeddings=True,
            pad="right", drop=["num_layers"], num_layers=1, num_decoder_layers=2, ignored=["tie_word_embeddings"]),
    seq2seq("mt5_relu", MT5, "relu, own head, said scale ignored; padded target; bfloat16", feed_forward_proj="relu",
            scale_decoder_outputs=True, own=("lm_head.weight",), decoder_pad="right", dtype="bfloat16",
            relative_attention_max_distance=20, matters={"feed_forward_proj": "gelu", "relative_attention_max_distance": None},
            ignored=["scale_decoder_outputs", "tie_word_embeddings"]),
    seq2seq("umt5_layers", UMT5, "every layer has a bias table; scaled whatever the tie says", tie_word_embeddings=False,
            num_layers=3, num_decoder_layers=2, length=20, decoder_length=18, relative_attention_num_buckets=12,
            relative_attention_max_distance=15, ignored=["tie_word_embeddings"],
            matters={"relative_attention_max_distance": None}),
    seq2seq("umt5_own_head", UMT5, "own head, gated silu, eps, padding", own=("lm_head.weight",), feed_forward_proj="gated-silu",
            scale_decoder_outputs=False, layer_norm_epsilon=0.02, pad="left", decoder_pad="right", dtype="float16",
            matters={"feed_forward_proj": None, "layer_norm_epsilon": None}, ignored=["scale_decoder_outputs"]),
    seq2seq("bart_uneven", BART, "other depths, heads and MLP widths in encoder and decoder; scaled embedding; relu",
            scale_embedding=True, activation_function="relu", encoder_layers=1, decoder_layers=3, encoder_attention_heads=6,
            decoder_attention_heads=2, encoder_ffn_dim=31, decoder_ffn_dim=17, decoder_length=9,
            matters={"scale_embedding": None, "activation_function": None, "encoder_attention_heads": 3,
                     "decoder_attention_heads": 3}),
    seq2seq("bart_no_bias", BART, "a file without final_logits_bias; left padded source", dropped=("final_logits_bias",), pad="left",
            activation_function="gelu_new", matters={"activation_function": None}),
    seq2seq("bart_untied", BART, "four tables: source, target, head, and one that nothing reads", tie_word_embeddings=False,
            own=ALIASES, pad="right", activation_function="silu", matters={"activation_function": None}),
    seq2seq("bart_own_tables", BART, "said to be tied, but source and target tables differ; the head takes the shared one",
            own=("encoder.embed_tokens.weight", "decoder.embed_tokens.weight"), dtype="float16", scale_embedding=True,
            decoder_pad="left", matters={"scale_embedding": None}),
    seq2seq("bart_base_names", BART, "bart-base: names without prefix, no head, no bias of it; torch.save", store="bin",
            stored=ALIASES[:2], dropped=("final_logits_bias",), then=bare("model."), drop=["architectures"],
            architectures=["BartModel"], decoder_pad="right"),
    seq2seq("bart_old_keys", BART, "keys of the first configs that Python no longer reads; common spelling of sizes; one token each",
            drop=["d_model", "encoder_layers", "encoder_attention_heads"], hidden_size=18, num_hidden_layers=1,
            num_attention_heads=2, normalize_before=True, normalize_embedding=False, add_final_layer_norm=True,
            static_position_embeddings=True, add_bias_logits=True, extra_pos_embeddings=0, length=1, decoder_length=1,
            matters={"num_attention_heads": 3}, ignored=["normalize_before", "normalize_embedding", "add_final_layer_norm",
                                                         "static_position_embeddings", "add_bias_logits", "extra_pos_embeddings"]),
    seq2seq("mbart_uneven", MBART, "pre-norm with final norms; other depths, heads, widths; relu; scaled embedding",
            scale_embedding=True, activation_function="relu", encoder_layers=3, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=6, encoder_ffn_dim=17, decoder_ffn_dim=31, store="safetensors_sharded", dtype="bfloat16",
            normalize_before=False, matters={"scale_embedding": None, "activation_function": None, "encoder_attention_heads": 3,
                                             "decoder_attention_heads": 3}, ignored=["normalize_before"]),
    seq2seq("mbart_untied", MBART, "own head, no bias of it, padding left and right", tie_word_embeddings=False, own=ALIASES,
            dropped=("final_logits_bias",), pad="left", decoder_pad="right"),
    seq2seq("mbart_one_token", MBART, "one token each, default depth left out", length=1, decoder_length=1, dtype="float16",
            activation_function="gelu_new", matters={"activation_function": None}),
    seq2seq("marian_relu", MARIAN, "odd width: one sine more than cosines; embedding not scaled; other depths, heads and widths",
            d_model=21, encoder_attention_heads=3, decoder_attention_heads=7, encoder_layers=1, encoder_ffn_dim=13, length=19,
            activation_function="relu", decoder_length=17, normalize_before=True, add_final_layer_norm=True,
            normalize_embedding=True, static_position_embeddings=False,
            matters={"activation_function": "gelu"},
            ignored=["normalize_before", "add_final_layer_norm", "normalize_embedding", "static_position_embeddings"]),
    seq2seq("marian_two_vocabularies", MARIAN, "source and target tables of their own; the head is the target's; exact gelu; left padding",
            share_encoder_decoder_embeddings=False, decoder_vocab_size=31, pad_token_id=30, decoder_start_token_id=30, own=ALIASES[:2], dropped=("shared.weight",),
            scale_embedding=True, pad="left", decoder_pad="right",
            matters={"share_encoder_decoder_embeddings": None, "scale_embedding": None}),
    seq2seq("marian_two_untied", MARIAN, "two vocabularies and a head of its own; no bias of it; gelu_new", decoder_vocab_size=59,
            share_encoder_decoder_embeddings=False, own=ALIASES, dropped=("shared.weight", "final_logits_bias"),
            tie_word_embeddings=False, activation_function="gelu_new", matters={"activation_function": None}),
    seq2seq("marian_stored_positions", MARIAN, "positions of the file go before the computed ones; float16; torch.save with all names",
            own=("embed_positions.weight",), stored=ALIASES, dtype="float16", store="bin", scale_embedding=True,
            activation_function="swish", pad="right", decoder_vocab_size=53, matters={"activation_function": None}),
    seq2seq("marian_untied", MARIAN, "shared tables, own head; one token each", tie_word_embeddings=False, own=ALIASES, length=1,
            decoder_length=1),
    seq2seq("pegasus_uneven", PEGASUS, "pre-norm, computed positions, scaled embedding; relu; other depths, heads, widths",
            scale_embedding=True, activation_function="relu", encoder_layers=3, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=6, encoder_ffn_dim=17, decoder_ffn_dim=31, length=25, normalize_before=True,
            add_final_layer_norm=False, normalize_embedding=True, static_position_embeddings=True, extra_pos_embeddings=1,
            matters={"scale_embedding": None, "activation_function": None},
            ignored=["normalize_before", "add_final_layer_norm", "normalize_embedding", "static_position_embeddings",
                     "extra_pos_embeddings"]),
    seq2seq("pegasus_stored_positions", PEGASUS, "positions of the file; odd width; padding left and right; bfloat16",
            own=("embed_positions.weight",), d_model=15, encoder_attention_heads=5, decoder_attention_heads=3, pad="left",
            decoder_pad="right", dtype="bfloat16"),
    seq2seq("pegasus_untied", PEGASUS, "own head; no bias of it; padded target on the left", own=ALIASES,
            tie_word_embeddings=False, dropped=("final_logits_bias",), decoder_pad="left", pad="right"),
]
