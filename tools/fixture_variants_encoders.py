"""The encoders' variants: BERT and its kin, XLM, XLNet, DeBERTa, ModernBERT."""
import torch

from fixture_variants import bare, own_head, renamed, variant, without

SIZES = dict(vocab_size=53, max_position_embeddings=40, hidden_size=24, num_attention_heads=3, num_hidden_layers=2,
             intermediate_size=37)
BERT = dict(architectures=["BertForMaskedLM"], model_type="bert", **SIZES)
ROBERTA = dict(architectures=["RobertaForMaskedLM"], model_type="roberta", type_vocab_size=1, pad_token_id=1, **SIZES)
DISTIL = dict(architectures=["DistilBertForMaskedLM"], model_type="distilbert", vocab_size=53, max_position_embeddings=40, dim=24,
              n_heads=4, n_layers=2, hidden_dim=37)
ALBERT = dict(architectures=["AlbertForMaskedLM"], model_type="albert", embedding_size=14, **SIZES)
ELECTRA = dict(architectures=["ElectraForMaskedLM"], model_type="electra", embedding_size=14, **SIZES)
MPNET = dict(architectures=["MPNetForMaskedLM"], model_type="mpnet", **SIZES)
XLM = dict(architectures=["XLMWithLMHeadModel"], model_type="xlm", vocab_size=53, emb_dim=24, n_heads=3, n_layers=2,
           max_position_embeddings=40)
XLNET = dict(architectures=["XLNetLMHeadModel"], model_type="xlnet", vocab_size=53, d_model=24, n_head=3, n_layer=2, d_inner=37)
DEBERTA2 = dict(architectures=["DebertaV2ForMaskedLM"], model_type="deberta-v2", relative_attention=True, position_buckets=4,
                max_relative_positions=-1, norm_rel_ebd="layer_norm", share_att_key=True, pos_att_type="p2c|c2p",
                position_biased_input=False, type_vocab_size=0, **SIZES)
DEBERTA = dict(architectures=["DebertaForMaskedLM"], model_type="deberta", relative_attention=True, max_relative_positions=-1,
               pos_att_type="c2p|p2c", position_biased_input=False, type_vocab_size=0, **SIZES)
MODERN = dict(architectures=["ModernBertForMaskedLM"], model_type="modernbert", pad_token_id=0, bos_token_id=1, eos_token_id=2,
              cls_token_id=1, sep_token_id=2, **SIZES)
MODERN |= dict(num_hidden_layers=4, local_attention=6, intermediate_size=21)


def masked(name, base, point, *dropped, auto="AutoModelForMaskedLM", **rest):
    """A masked LM; the head's copy of the token table is not stored, as nobody stores it."""
    names = {"distilbert": "vocab_projector.weight", "electra": "generator_lm_head.weight", "xlm": "pred_layer.proj.weight",
             "xlnet": "lm_loss.weight", "albert": "predictions.decoder.weight", "modernbert": "decoder.weight"}
    stem = "lm_head" if base["model_type"] in ("roberta", "mpnet") else "cls.predictions"
    tied = names.get(base["model_type"], f"{stem}.decoder.weight")
    other = tied.replace("weight", "bias") if tied.endswith("decoder.weight") and base["model_type"] != "modernbert" else tied
    rest.setdefault("tensors", without(tied, other, *dropped))
    return variant(name, base, point, auto=auto, **rest)


def xlnet(name, point, **rest):
    return masked(name, XLNET, point, auto="AutoModelForCausalLM", **rest)


def old_norm_names(state):
    """As TensorFlow's BERT was converted at first; the shared table is stored once."""
    state = without("cls.predictions.decoder.weight", "cls.predictions.decoder.bias")(state)
    spelled = lambda name: name.replace("LayerNorm.weight", "LayerNorm.gamma").replace("LayerNorm.bias", "LayerNorm.beta")
    return {spelled(name): value for name, value in state.items()}


def both_biases(state):
    """A tied head whose file holds both spellings of the bias, with different numbers: the decoder's own is used."""
    state.pop("cls.predictions.decoder.weight")
    return own_head("cls.predictions.decoder.bias")(state)


def only_head(state):
    """The token table is stored under the head's name alone."""
    return without("bert.embeddings.word_embeddings.weight", "cls.predictions.bias")(state)


def watch(model, kept):
    """Hooks for q, k, v right after their projection and the MLP's neurons, where the encoders have them."""
    config = model.config
    if config.model_type not in ("bert", "roberta", "xlm-roberta", "camembert", "distilbert", "albert", "electra", "mpnet", "xlm",
                                 "xlnet", "deberta", "deberta-v2", "modernbert"):
        return
    count, width = config.num_attention_heads, config.hidden_size // config.num_attention_heads

    def keep(letter, layer, value):
        if layer is None:  # one module serves several layers
            layer = sum(key.startswith(f"{letter}.") for key in kept)
        kept.setdefault(f"{letter}.{layer}", value)  # DeBERTa projects positions with the same matrices afterwards

    def split(flat):
        return flat.unflatten(-1, (count, width)).transpose(1, 2)

    for name, module in model.named_modules():
        parts = name.split(".")
        layer = next((part for part in parts if part.isdigit()), None) if config.model_type != "albert" else None
        leaf = parts[-1]
        if leaf in ("query", "key", "value", "q_lin", "k_lin", "v_lin", "query_proj", "key_proj", "value_proj", "q", "k", "v"):
            module.register_forward_hook(lambda _m, _i, out, letter=leaf[0], layer=layer: keep(letter, layer, split(out)))
        elif leaf == "in_proj":  # for every head its query, key and value, without the biases of queries and values
            def fused(module, _i, out, layer=layer, attention=model.get_submodule(".".join(parts[:-1]))):
                query, key, value = out.unflatten(-1, (count, 3 * width)).transpose(1, 2).chunk(3, dim=-1)
                keep("q", layer, query + attention.q_bias.view(count, 1, width))
                keep("k", layer, key)
                keep("v", layer, value + attention.v_bias.view(count, 1, width))
            module.register_forward_hook(fused)
        elif leaf == "Wqkv":
            def three(_m, _i, out, layer=layer):
                for letter, part in zip("qkv", out.chunk(3, dim=-1)):
                    keep(letter, layer, split(part))
            module.register_forward_hook(three)
        elif leaf == "rel_attn":  # (T,1,D) through (D,H,d)
            def project(module, inputs, layer=layer):
                for letter in "qkv":
                    keep(letter, layer, torch.einsum("ibh,hnd->bnid", inputs[0], getattr(module, letter)))
            module.register_forward_pre_hook(project)
        elif leaf == "intermediate":
            module.register_forward_hook(lambda _m, _i, out, layer=layer: keep("mlp_act", layer, out))
        elif name.endswith((".lin2", ".ffn_output", ".mlp.Wo")):
            module.register_forward_pre_hook(lambda _m, inputs, layer=layer: keep("mlp_act", layer, inputs[0]))
        elif name.endswith(".layer_2"):  # (T,1,I)
            module.register_forward_pre_hook(lambda _m, inputs, layer=layer: keep("mlp_act", layer, inputs[0].transpose(0, 1)))


VARIANTS = [
    masked("bert_pair", BERT, "a pair, three token types, eps, tanh form", token_types=(0, 1, 2), type_vocab_size=3,
           hidden_act="gelu_new", layer_norm_eps=0.02, matters={"hidden_act": None, "layer_norm_eps": None}),
    masked("bert_left_padded", BERT, "left padding, no token types: zeros", pad="left", hidden_act="relu",
           position_embedding_type="absolute", matters={"hidden_act": None}),
    masked("bert_right_padded", BERT, "right padding, heads of width 5, deep and uneven, bfloat16 shards", pad="right",
           hidden_size=15, num_hidden_layers=6, token_types=(0, 1), dtype="bfloat16", torch_dtype="bfloat16",
           store="safetensors_sharded"),
    masked("bert_holes", BERT, "padding between words", pad="middle", token_types=(0, 1)),
    masked("bert_decoder", BERT, "is_decoder: each position sees those before it; padding", is_decoder=True, pad="right",
           use_cache=True, auto="AutoModelForCausalLM", architectures=["BertLMHeadModel"], matters={"is_decoder": None}),
    variant("bert_bare", BERT, "names without prefix, no head", auto="AutoModel", architectures=["BertModel"], token_types=(0, 1)),
    masked("bert_bare_prefixed", BERT, "no head, though names have the prefix; float16", auto="AutoModel", dtype="float16",
           tensors=lambda state: {f"bert.{name}": value for name, value in state.items()}, torch_dtype="float16"),
    masked("bert_old_norm_names", BERT, "LayerNorm.gamma and .beta in a file of torch.save", tensors=old_norm_names, store="bin",
           token_types=(1, 0)),
    variant("bert_untied", BERT, "a decoder of its own with its own bias; the bias beside it is not used",
            auto="AutoModelForMaskedLM", tie_word_embeddings=False, token_types=(0, 1)),
    masked("bert_both_biases", BERT, "tied, but both biases are stored and differ", tensors=both_biases),
    masked("bert_only_head", BERT, "the token table stands under the decoder's name; shards of torch.save", tensors=only_head,
           store="bin_sharded"),
    masked("bert_one_token", BERT, "one token, one head, one layer", length=1, num_attention_heads=1, num_hidden_layers=1),
    masked("roberta_pads_inside", ROBERTA, "pad ids between words take the padding position; the head keeps exact gelu",
           put={2: 1, 3: 1, 9: 1}, hidden_act="relu", matters={"hidden_act": None}),
    masked("roberta_pad_zero", ROBERTA, "pad id 0, two token types, left padding", pad_token_id=0, pad="left", type_vocab_size=2,
           token_types=(1, 0), put={0: 0, 1: 0, 2: 0, 7: 0}, matters={"pad_token_id": 5}),
    masked("roberta_default_pad", ROBERTA, "absent pad id means 1, right padding", drop=["pad_token_id"], pad="right", put={10: 1, 9: 1},
           layer_norm_eps=1e-5, matters={"pad_token_id": 7}),
    masked("roberta_longest", ROBERTA, "as long as the table allows", length=38, hidden_size=12, num_attention_heads=2,
           put={i: 3 for i in range(38)}),
    masked("roberta_decoder", ROBERTA, "is_decoder with left padding", is_decoder=True, pad="left", auto="AutoModelForCausalLM",
           architectures=["RobertaForCausalLM"], matters={"is_decoder": None}),
    variant("roberta_untied", ROBERTA, "own decoder", auto="AutoModelForMaskedLM", tie_word_embeddings=False),
    variant("roberta_bare", ROBERTA, "names without prefix, no head", auto="AutoModel", architectures=["RobertaModel"]),
    masked("camembert", ROBERTA, "RoBERTa under its own name", model_type="camembert", architectures=["CamembertForMaskedLM"],
           put={4: 1}),
    masked("xlm_roberta", ROBERTA, "RoBERTa under its own name, padding, float16", model_type="xlm-roberta", pad="right",
           architectures=["XLMRobertaForMaskedLM"], put={4: 1}, dtype="float16"),
    masked("distilbert_sinusoidal", DISTIL, "positions that began as sinusoids are stored all the same; relu, padding",
           sinusoidal_pos_embds=True, activation="relu", pad="right", ignored=["sinusoidal_pos_embds"],
           matters={"activation": None}),
    masked("distilbert_common", DISTIL, "common spelling of the sizes; left padding", drop=["dim", "n_heads", "n_layers"],
           hidden_size=20, num_attention_heads=4, num_hidden_layers=3, pad="left"),
    variant("distilbert_untied", DISTIL, "own projector", auto="AutoModelForMaskedLM", tie_word_embeddings=False, activation="gelu_new",
            matters={"activation": None}),
    variant("distilbert_bare", DISTIL, "names without prefix, no head, bfloat16", auto="AutoModel", architectures=["DistilBertModel"],
            dtype="bfloat16"),
    masked("albert_inner", ALBERT, "two inner layers, each run of the group through both; exact gelu", inner_group_num=2,
           num_hidden_layers=3, hidden_act="gelu", token_types=(0, 1), matters={"hidden_act": None}),
    masked("albert_groups", ALBERT, "three groups for five layers, padding, three token types", num_hidden_groups=3,
           num_hidden_layers=5, pad="left", type_vocab_size=3, token_types=(0, 1, 2), layer_norm_eps=0.01,
           matters={"layer_norm_eps": None}),
    masked("albert_same_width", ALBERT, "one shared group of depth 7; the embedding is projected though widths are equal",
           embedding_size=24, num_hidden_layers=7, pad="right"),
    variant("albert_untied", ALBERT, "own decoder with its own bias", auto="AutoModelForMaskedLM", tie_word_embeddings=False),
    variant("albert_bare", ALBERT, "names without prefix, no head", auto="AutoModel", architectures=["AlbertModel"]),
    masked("electra_same_width", ELECTRA, "no projection; the head keeps exact gelu; pair", embedding_size=24, hidden_act="relu",
           token_types=(0, 1), matters={"hidden_act": None}),
    masked("electra_left_padded", ELECTRA, "left padding, three token types, eps", pad="left", type_vocab_size=3, token_types=(2, 0, 1),
           layer_norm_eps=0.03, matters={"layer_norm_eps": None}),
    masked("electra_decoder", ELECTRA, "is_decoder", is_decoder=True, pad="right", auto="AutoModelForCausalLM",
           architectures=["ElectraForCausalLM"], matters={"is_decoder": None}),
    variant("electra_untied", ELECTRA, "own head", auto="AutoModelForMaskedLM", tie_word_embeddings=False),
    variant("electra_discriminator", ELECTRA, "a discriminator: another head, no logits over words", auto="AutoModel",
            architectures=["ElectraForPreTraining"], tensors=lambda state: {f"electra.{k}": v for k, v in state.items()} | {
                "discriminator_predictions.dense.weight": torch.ones(24, 24), "discriminator_predictions.dense.bias": torch.ones(24)}),
    masked("mpnet_long", MPNET, "140 tokens: past the last bucket; 40 rows of which 32 are used", length=140, vocab_size=31, hidden_size=8,
           num_attention_heads=1, num_hidden_layers=1, max_position_embeddings=150, relative_attention_num_buckets=40, intermediate_size=16),
    masked("mpnet_padded", MPNET, "left padding, pad ids inside, whatever pad id the config says", pad="left", pad_token_id=7,
           put={5: 1, 8: 7}, hidden_act="relu", ignored=["pad_token_id"], matters={"hidden_act": None}),
    masked("mpnet_right_padded", MPNET, "right padding, five heads of width 6, eps", pad="right", hidden_size=30, num_attention_heads=5,
           layer_norm_eps=0.01, length=30, num_hidden_layers=1, matters={"layer_norm_eps": None}),
    variant("mpnet_untied", MPNET, "own decoder with its own bias", auto="AutoModelForMaskedLM", tie_word_embeddings=False),
    variant("mpnet_bare", MPNET, "names without prefix, no head", auto="AutoModel", architectures=["MPNetModel"]),
    masked("xlm_causal", XLM, "causal: padding hides nothing but its rows are zeroed; relu; eps", causal=True, pad="left",
           gelu_activation=False, layer_norm_eps=0.02, matters={"causal": None, "gelu_activation": None, "layer_norm_eps": None}),
    masked("xlm_languages", XLM, "language embeddings, token types from the word table", n_langs=3, langs=(2, 0, 1),
           token_types=(4, 9)),
    masked("xlm_no_languages", XLM, "several languages without embeddings: langs change nothing; right padding", n_langs=3,
           use_lang_emb=False, langs=(2, 0, 1), pad="right", length=14),
    masked("xlm_one_language", XLM, "one language has no embedding", n_langs=1, langs=(0,)),
    masked("xlm_languages_absent", XLM, "language embeddings, but no langs given; padding between words", n_langs=2, pad="middle"),
    masked("xlm_pad_ids", XLM, "without a mask, as many places at the end are hidden as there are pad ids", put={1: 2, 6: 2}),
    masked("xlm_pad_index", XLM, "the pad id under its old name; common spelling of the sizes; causal", causal=True, pad_index=7,
           put={1: 7, 6: 7, 2: 2}, drop=["emb_dim", "n_heads", "n_layers", "vocab_size"], hidden_size=20, num_attention_heads=4,
           num_hidden_layers=3, n_words=53, matters={"pad_index": None}),
    variant("xlm_untied", XLM, "own head, sinusoids in the file", auto="AutoModelForMaskedLM", tie_word_embeddings=False,
            sinusoidal_embeddings=True, ignored=["sinusoidal_embeddings"]),
    variant("xlm_bare", XLM, "names without prefix, no head", auto="AutoModel", architectures=["XLMModel"]),
    xlnet("xlnet_uni", "causal; token types; relu; eps", attn_type="uni", token_types=(0, 1, 2), ff_activation="relu",
          layer_norm_eps=0.02, matters={"attn_type": None, "ff_activation": None, "layer_norm_eps": None}),
    xlnet("xlnet_same_length", "causal with the same length for each: only itself; padding", attn_type="uni", same_length=True,
          pad="right", matters={"same_length": None}),
    xlnet("xlnet_clamped", "distances beyond 3 count as 3; left padding; no token types; untie_r is no option here", clamp_len=3,
          pad="left", untie_r=False, same_length=True, length=16, matters={"clamp_len": None}, ignored=["untie_r", "same_length"]),
    xlnet("xlnet_uni_clamped", "causal, clamped, left padding, head width 5", clamp_len=2, attn_type="uni", pad="left", d_model=20,
          n_head=4, token_types=(1, 0), matters={"clamp_len": None}),
    xlnet("xlnet_long", "90 tokens, common spelling of the sizes, mem_len without effect; right padding; bfloat16", length=90,
          drop=["d_model", "n_head", "n_layer"], hidden_size=12, d_head=6, num_attention_heads=2, num_hidden_layers=1, mem_len=5, pad="right",
          dtype="bfloat16", token_types=(0, 1), ignored=["mem_len"]),
    xlnet("xlnet_one_token", "one token", length=1, token_types=(0,)),
    variant("xlnet_untied", XLNET, "own head, tanh form", tie_word_embeddings=False, ff_activation="gelu_new", token_types=(0, 0, 2),
            matters={"ff_activation": None}),
    variant("xlnet_bare", XLNET, "names without prefix, no head", auto="AutoModel", architectures=["XLNetModel"]),
    masked("deberta_v2_no_buckets", DEBERTA2, "plain clipped distances, own position matrices, list of types, padding",
           drop=["position_buckets"], max_relative_positions=5, share_att_key=False, pos_att_type=["c2p", "p2c"], pad="right", length=14,
           matters={"max_relative_positions": 4}),
    masked("deberta_v2_c2p", DEBERTA2, "content to position only, shared matrices, no norm of the positions", pos_att_type=["c2p"],
           norm_rel_ebd="none", pad="middle", matters={"pos_att_type": ["p2c"]}),
    masked("deberta_v2_p2c", DEBERTA2, "position to content only, own matrix; absolute positions and token types too",
           pos_att_type="P2C", share_att_key=False, position_biased_input=True, type_vocab_size=2, token_types=(0, 1),
           drop=["norm_rel_ebd"], matters={"position_biased_input": False}),
    masked("deberta_v2_conv", DEBERTA2, "convolution after the first layer, tanh form, padding on the left", conv_kernel_size=3,
           conv_act="gelu", pad="left", hidden_act="gelu_new", matters={"conv_act": None, "hidden_act": None}),
    masked("deberta_v2_conv_groups", DEBERTA2, "wider convolution in groups with its default tanh; right padding",
           conv_kernel_size=5, conv_groups=3, pad="right"),
    masked("deberta_v2_narrow", DEBERTA2, "embedding narrower than the stream, projected before its norm", embedding_size=14,
           type_vocab_size=3, token_types=(2, 0, 1), position_biased_input=True, layer_norm_eps=0.01, matters={"layer_norm_eps": None}),
    masked("deberta_v2_absolute", DEBERTA2, "no relative attention: plain BERT, but scores are scaled by the types all the same",
           relative_attention=False, position_biased_input=True, pos_att_type="c2p", norm_rel_ebd="none",
           matters={"pos_att_type": None}),
    masked("deberta_v2_no_types", DEBERTA2, "relative attention without types: no bias at all", pos_att_type=None),
    masked("deberta_v2_long", DEBERTA2, "90 tokens in 8 log buckets up to 40, no absolute positions", length=90, hidden_size=12,
           num_attention_heads=2, num_hidden_layers=1, position_buckets=8, matters={"position_buckets": 6}),
    masked("deberta_v2_odd_buckets", DEBERTA2, "7 buckets up to distance 20", position_buckets=7, max_relative_positions=20, length=34,
           matters={"max_relative_positions": 30}),
    variant("deberta_v2_new_head", DEBERTA2, "legacy false: lm_predictions with the token table", auto="AutoModelForMaskedLM",
            legacy=False, token_types=(0,), pad="right", matters={"legacy": None}),
    variant("deberta_v2_untied", DEBERTA2, "own decoder with its own bias", auto="AutoModelForMaskedLM", tie_word_embeddings=False),
    variant("deberta_v2_bare", DEBERTA2, "names without prefix, no head", auto="AutoModel", architectures=["DebertaV2Model"],
            dtype="bfloat16"),
    masked("deberta_both", DEBERTA, "one matrix for queries, keys and values, two biases; right padding; eps", pad="right",
           layer_norm_eps=0.02, matters={"layer_norm_eps": None, "pos_att_type": "c2p"}),
    masked("deberta_c2p", DEBERTA, "content to position only, distances beyond 4 count as 4; absolute positions and token types too",
           pos_att_type=["c2p"], max_relative_positions=4, position_biased_input=True, type_vocab_size=2, token_types=(0, 1), length=14,
           matters={"max_relative_positions": 3}),
    masked("deberta_p2c", DEBERTA, "position to content only, narrow embedding, left padding, a type without effect but on the scale",
           pos_att_type=["p2c", "p2p"], embedding_size=14, pad="left", matters={"pos_att_type": ["p2c"]}),
    masked("deberta_absolute", DEBERTA, "no relative attention; tanh form", relative_attention=False, position_biased_input=True,
           hidden_act="gelu_new", matters={"hidden_act": None, "pos_att_type": None}),
    variant("deberta_bare", DEBERTA, "names without prefix, no head", auto="AutoModel", architectures=["DebertaModel"]),
    masked("modernbert_local", MODERN, "every third layer sees all, the others 3 back and 3 ahead; first layer without norm",
           length=16, num_hidden_layers=3, matters={"local_attention": None}),
    masked("modernbert_options", MODERN, "biases everywhere, every second layer global, rotations, odd window, padding",
           global_attn_every_n_layers=2, local_attention=5, norm_bias=True, mlp_bias=True, attention_bias=True, classifier_bias=True,
           classifier_activation="relu", hidden_activation="silu", norm_eps=0.01, global_rope_theta=300.0, local_rope_theta=20.0,
           pad="right", length=16, matters={
               "global_attn_every_n_layers": None, "local_attention": 7, "norm_bias": None, "mlp_bias": None, "attention_bias": None,
               "classifier_bias": None, "classifier_activation": None, "hidden_activation": None, "norm_eps": None,
               "global_rope_theta": None, "local_rope_theta": None}),
    masked("modernbert_no_decoder_bias", MODERN, "no decoder bias, layer types and rope_parameters of transformers 5, left padding",
           decoder_bias=False, layer_types=["sliding_attention", "full_attention", "sliding_attention", "sliding_attention"],
           rope_parameters={"full_attention": {"rope_type": "default", "rope_theta": 500.0},
                            "sliding_attention": {"rope_type": "linear", "factor": 2.0, "rope_theta": 30.0}},
           global_attn_every_n_layers=2, pad="left", length=16, dtype="float16", ignored=["global_attn_every_n_layers"],
           matters={"layer_types": None, "rope_parameters": None}),
    masked("modernbert_rope_scaling", MODERN, "rope_scaling for both kinds of layers, all global; long", length=32,
           rope_scaling={"rope_type": "linear", "factor": 3.0}, global_attn_every_n_layers=1, num_hidden_layers=2,
           local_attention=4, matters={"rope_scaling": None, "global_attn_every_n_layers": None}, ignored=["local_attention"]),
    variant("modernbert_untied", MODERN, "own decoder, heads of width 6, window of one", auto="AutoModelForMaskedLM", local_attention=1,
            tie_word_embeddings=False, hidden_size=18, matters={"local_attention": 3}),
    variant("modernbert_bare", MODERN, "names without prefix, no head", auto="AutoModel", architectures=["ModernBertModel"]),
]
