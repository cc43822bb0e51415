#!/usr/bin/env python3
"""Makes tests/fixtures/published.json: config.json files as well-known models publish them, and how many parameters
Python `transformers` makes of each (on the meta device, so that a 40-billion model takes no memory).

What a family takes from a config (spellings, defaults, which parts there are) shows in that number. Keys that touch
neither shapes nor numbers are left out.
"""
import json
import os
import tempfile

os.environ["HF_HUB_OFFLINE"] = "1"
import torch  # noqa: E402
import transformers  # noqa: E402

OUT = os.path.join(os.path.dirname(__file__), "..", "tests", "fixtures", "published.json")
CAUSAL, MASKED, SEQ2SEQ = "AutoModelForCausalLM", "AutoModelForMaskedLM", "AutoModelForSeq2SeqLM"

# What transformers 5 no longer reads under its old name, for counting only.
COUNT_AS = {"tiiuae/falcon-7b, first release": dict(model_type="falcon", num_hidden_layers=32, num_attention_heads=71),
            "tiiuae/falcon-40b, first release": dict(model_type="falcon", num_hidden_layers=60, num_attention_heads=128,
                                                     num_kv_heads=8, new_decoder_architecture=True),
            "xlnet/xlnet-base-cased": {}}

BERT = dict(model_type="bert", attention_probs_dropout_prob=0.1, hidden_act="gelu", hidden_dropout_prob=0.1, layer_norm_eps=1e-12,
            max_position_embeddings=512, type_vocab_size=2, pad_token_id=0, position_embedding_type="absolute")
GPT2 = dict(model_type="gpt2", activation_function="gelu_new", layer_norm_epsilon=1e-5, n_ctx=1024, n_positions=1024,
            vocab_size=50257, bos_token_id=50256, eos_token_id=50256)
OPT = dict(model_type="opt", activation_function="relu", do_layer_norm_before=True, _remove_final_layer_norm=False,
           max_position_embeddings=2048, vocab_size=50272, pad_token_id=1, bos_token_id=2, eos_token_id=2)
T5 = dict(model_type="t5", d_kv=64, decoder_start_token_id=0, eos_token_id=1, pad_token_id=0, is_encoder_decoder=True,
          layer_norm_epsilon=1e-6, n_positions=512, relative_attention_num_buckets=32, vocab_size=32128)
FLAN = dict(T5, feed_forward_proj="gated-gelu", tie_word_embeddings=False, relative_attention_max_distance=128)
BART = dict(model_type="bart", activation_function="gelu", add_bias_logits=False, add_final_layer_norm=False, normalize_before=False,
            normalize_embedding=True, scale_embedding=False, static_position_embeddings=False, is_encoder_decoder=True,
            max_position_embeddings=1024, pad_token_id=1, bos_token_id=0, eos_token_id=2, decoder_start_token_id=2, vocab_size=50265)
MISTRAL = dict(model_type="mistral", hidden_act="silu", hidden_size=4096, intermediate_size=14336, num_attention_heads=32,
               num_hidden_layers=32, num_key_value_heads=8, rms_norm_eps=1e-5, tie_word_embeddings=False)
GEMMA = dict(attention_bias=False, bos_token_id=2, eos_token_id=1, head_dim=256, rms_norm_eps=1e-6, rope_theta=10000.0)

PUBLISHED = {
    "openai-community/gpt2": (CAUSAL, dict(GPT2, n_embd=768, n_head=12, n_layer=12)),
    "openai-community/gpt2-medium": (CAUSAL, dict(GPT2, n_embd=1024, n_head=16, n_layer=24)),
    "openai-community/openai-gpt": (CAUSAL, dict(model_type="openai-gpt", afn="gelu", layer_norm_epsilon=1e-5, n_ctx=512, n_embd=768,
        n_head=12, n_layer=12, n_positions=512, n_special=0, predict_special_tokens=True, vocab_size=40478)),
    "EleutherAI/gpt-j-6B": (CAUSAL, dict(model_type="gptj", activation_function="gelu_new", gradient_checkpointing=False,
        layer_norm_epsilon=1e-5, n_embd=4096, n_head=16, n_inner=None, n_layer=28, n_positions=2048, rotary_dim=64, rotary=True,
        scale_attn_weights=True, tie_word_embeddings=False, vocab_size=50400)),
    "EleutherAI/gpt-neo-125m": (CAUSAL, dict(model_type="gpt_neo", activation_function="gelu_new", hidden_size=768,
        attention_layers=["global", "local"] * 6, attention_types=[[["global", "local"], 6]], intermediate_size=None,
        layer_norm_epsilon=1e-5, max_position_embeddings=2048, num_heads=12, num_layers=12, vocab_size=50257, window_size=256)),
    "EleutherAI/pythia-70m": (CAUSAL, dict(model_type="gpt_neox", hidden_act="gelu", hidden_size=512, intermediate_size=2048,
        layer_norm_eps=1e-5, max_position_embeddings=2048, num_attention_heads=8, num_hidden_layers=6, rotary_emb_base=10000,
        rotary_pct=0.25, tie_word_embeddings=False, use_parallel_residual=True, vocab_size=50304)),
    "bigcode/gpt_bigcode-santacoder": (CAUSAL, dict(model_type="gpt_bigcode", activation_function="gelu_pytorch_tanh",
        attention_softmax_in_fp32=True, multi_query=True, layer_norm_epsilon=1e-5, n_embd=2048, n_head=16, n_inner=8192, n_layer=24,
        n_positions=2048, scale_attention_softmax_in_fp32=True, scale_attn_weights=True, vocab_size=49280)),
    "Salesforce/ctrl": (CAUSAL, dict(model_type="ctrl", dff=8192, from_tf=False, layer_norm_epsilon=1e-6, n_ctx=512, n_embd=1280,
        n_head=16, n_layer=48, n_positions=50000, vocab_size=246534)),
    "facebook/opt-125m": (CAUSAL, dict(OPT, ffn_dim=3072, hidden_size=768, num_attention_heads=12, num_hidden_layers=12,
        word_embed_proj_dim=768, prefix="</s>")),
    "facebook/opt-350m": (CAUSAL, dict(OPT, do_layer_norm_before=False, ffn_dim=4096, hidden_size=1024, num_attention_heads=16,
        num_hidden_layers=24, word_embed_proj_dim=512)),
    "bigscience/bloom-560m": (CAUSAL, dict(model_type="bloom", apply_residual_connection_post_layernorm=False,
        attention_softmax_in_fp32=True, bias_dropout_fusion=True, hidden_size=1024, layer_norm_epsilon=1e-5, masked_softmax_fusion=True,
        n_head=16, n_layer=24, n_inner=None, offset_alibi=100, pretraining_tp=1, skip_bias_add=True, seq_length=2048,
        slow_but_exact=False, unk_token_id=0, vocab_size=250880)),
    "bigscience/bloom-7b1": (CAUSAL, dict(model_type="bloom", apply_residual_connection_post_layernorm=False, n_embed=4096, n_layer=30,
        num_attention_heads=32, layer_norm_epsilon=1e-5, pretraining_tp=4, slow_but_exact=False, vocab_size=250880)),
    "tiiuae/falcon-7b": (CAUSAL, dict(model_type="falcon", alibi=False, apply_residual_connection_post_layernorm=False, bias=False,
        hidden_size=4544, layer_norm_epsilon=1e-5, multi_query=True, new_decoder_architecture=False, num_attention_heads=71,
        num_hidden_layers=32, num_kv_heads=71, parallel_attn=True, vocab_size=65024)),
    "tiiuae/falcon-7b, first release": (CAUSAL, dict(model_type="RefinedWebModel", alibi=False,
        apply_residual_connection_post_layernorm=False, bias=False, hidden_size=4544, layer_norm_epsilon=1e-5, multi_query=True,
        n_head=71, n_layer=32, parallel_attn=True, vocab_size=65024)),
    "tiiuae/falcon-40b, first release": (CAUSAL, dict(model_type="RefinedWeb", alibi=False, bias=False, hidden_size=8192,
        apply_residual_connection_post_layernorm=False, layer_norm_epsilon=1e-5, n_head=128, n_head_kv=8, n_layer=60,
        parallel_attn=True, vocab_size=65024)),
    "tiiuae/falcon-40b": (CAUSAL, dict(model_type="falcon", alibi=False, bias=False, hidden_size=8192, layer_norm_epsilon=1e-5,
        multi_query=True, new_decoder_architecture=True, num_attention_heads=128, num_hidden_layers=60, num_kv_heads=8,
        parallel_attn=True, vocab_size=65024)),
    "tiiuae/falcon-rw-1b": (CAUSAL, dict(model_type="falcon", alibi=True, bias=True, hidden_size=2048, layer_norm_epsilon=1e-5,
        apply_residual_connection_post_layernorm=False, multi_query=False, new_decoder_architecture=False, num_attention_heads=32,
        num_hidden_layers=24, num_kv_heads=32, parallel_attn=False, vocab_size=50304)),
    "meta-llama/Llama-2-7b-hf": (CAUSAL, dict(model_type="llama", hidden_act="silu", hidden_size=4096, intermediate_size=11008,
        max_position_embeddings=4096, num_attention_heads=32, num_hidden_layers=32, num_key_value_heads=32, pretraining_tp=1,
        rms_norm_eps=1e-5, rope_scaling=None, tie_word_embeddings=False, vocab_size=32000)),
    "meta-llama/Llama-3.2-1B": (CAUSAL, dict(model_type="llama", attention_bias=False, head_dim=64, hidden_act="silu", hidden_size=2048,
        intermediate_size=8192, max_position_embeddings=131072, mlp_bias=False, num_attention_heads=32, num_hidden_layers=16,
        num_key_value_heads=8, rms_norm_eps=1e-5, rope_scaling=dict(factor=32.0, high_freq_factor=4.0, low_freq_factor=1.0,
        original_max_position_embeddings=8192, rope_type="llama3"), rope_theta=500000.0, tie_word_embeddings=True, vocab_size=128256)),
    "mistralai/Mistral-7B-v0.1": (CAUSAL, dict(MISTRAL, max_position_embeddings=32768, rope_theta=10000.0, sliding_window=4096,
        vocab_size=32000)),
    "mistralai/Mixtral-8x7B-v0.1": (CAUSAL, dict(MISTRAL, model_type="mixtral", max_position_embeddings=32768, num_experts_per_tok=2,
        num_local_experts=8, output_router_logits=False, rope_theta=1000000.0, router_aux_loss_coef=0.02, sliding_window=None,
        vocab_size=32000)),
    "Qwen/Qwen2.5-0.5B": (CAUSAL, dict(model_type="qwen2", hidden_act="silu", hidden_size=896, intermediate_size=4864,
        max_position_embeddings=32768, max_window_layers=24, num_attention_heads=14, num_hidden_layers=24, num_key_value_heads=2,
        rms_norm_eps=1e-6, rope_theta=1000000.0, sliding_window=32768, tie_word_embeddings=True, use_mrope=False,
        use_sliding_window=False, vocab_size=151936)),
    "Qwen/Qwen1.5-MoE-A2.7B": (CAUSAL, dict(model_type="qwen2_moe", decoder_sparse_step=1, hidden_act="silu", hidden_size=2048,
        intermediate_size=5632, max_position_embeddings=8192, max_window_layers=21, moe_intermediate_size=1408, norm_topk_prob=False,
        num_attention_heads=16, num_experts=60, num_experts_per_tok=4, num_hidden_layers=24, num_key_value_heads=16, rms_norm_eps=1e-6,
        rope_theta=1000000.0, shared_expert_intermediate_size=5632, sliding_window=32768, tie_word_embeddings=False,
        use_sliding_window=False, vocab_size=151936)),
    "Qwen/Qwen3-0.6B": (CAUSAL, dict(model_type="qwen3", attention_bias=False, head_dim=128, hidden_act="silu", hidden_size=1024,
        intermediate_size=3072, max_position_embeddings=40960, max_window_layers=28, num_attention_heads=16, num_hidden_layers=28,
        num_key_value_heads=8, rms_norm_eps=1e-6, rope_scaling=None, rope_theta=1000000, sliding_window=None, tie_word_embeddings=True,
        use_sliding_window=False, vocab_size=151936)),
    "microsoft/phi-2": (CAUSAL, dict(model_type="phi", embd_pdrop=0.0, hidden_act="gelu_new", hidden_size=2560, intermediate_size=10240,
        layer_norm_eps=1e-5, max_position_embeddings=2048, num_attention_heads=32, num_hidden_layers=32, num_key_value_heads=32,
        partial_rotary_factor=0.4, qk_layernorm=False, rope_scaling=None, rope_theta=10000.0, tie_word_embeddings=False,
        vocab_size=51200)),
    "microsoft/Phi-3-mini-4k-instruct": (CAUSAL, dict(model_type="phi3", attention_bias=False, hidden_act="silu", hidden_size=3072,
        intermediate_size=8192, max_position_embeddings=4096, num_attention_heads=32, num_hidden_layers=32, num_key_value_heads=32,
        original_max_position_embeddings=4096, rms_norm_eps=1e-5, rope_scaling=None, rope_theta=10000.0, sliding_window=2047,
        tie_word_embeddings=False, vocab_size=32064, pad_token_id=32000)),
    "google/gemma-2b": (CAUSAL, dict(GEMMA, model_type="gemma", hidden_act="gelu", hidden_activation=None, hidden_size=2048,
        intermediate_size=16384, max_position_embeddings=8192, num_attention_heads=8, num_hidden_layers=18, num_key_value_heads=1,
        vocab_size=256000)),
    "google/gemma-2-2b": (CAUSAL, dict(GEMMA, model_type="gemma2", attn_logit_softcapping=50.0, final_logit_softcapping=30.0,
        hidden_act="gelu_pytorch_tanh", hidden_activation="gelu_pytorch_tanh", hidden_size=2304, intermediate_size=9216,
        max_position_embeddings=8192, num_attention_heads=8, num_hidden_layers=26, num_key_value_heads=4, query_pre_attn_scalar=256,
        sliding_window=4096, cache_implementation="hybrid", vocab_size=256000)),
    "google/gemma-3-1b-pt": (CAUSAL, dict(GEMMA, model_type="gemma3_text", attn_logit_softcapping=None, final_logit_softcapping=None,
        hidden_activation="gelu_pytorch_tanh", hidden_size=1152, intermediate_size=6912, max_position_embeddings=32768,
        num_attention_heads=4, num_hidden_layers=26, num_key_value_heads=1, query_pre_attn_scalar=256, rope_local_base_freq=10000,
        rope_scaling=None, rope_theta=1000000, sliding_window=512, sliding_window_pattern=6, cache_implementation="hybrid",
        vocab_size=262144)),
    "allenai/OLMo-2-0425-1B": (CAUSAL, dict(model_type="olmo2", attention_bias=False, hidden_act="silu", hidden_size=2048,
        intermediate_size=8192, max_position_embeddings=4096, num_attention_heads=16, num_hidden_layers=16, num_key_value_heads=16,
        rms_norm_eps=1e-6, rope_scaling=None, rope_theta=500000, tie_word_embeddings=False, vocab_size=100352)),
    "stabilityai/stablelm-2-1_6b": (CAUSAL, dict(model_type="stablelm", hidden_act="silu", hidden_size=2048, intermediate_size=5632,
        layer_norm_eps=1e-5, max_position_embeddings=4096, num_attention_heads=32, num_hidden_layers=24, num_key_value_heads=32,
        partial_rotary_factor=0.25, rope_theta=10000, tie_word_embeddings=False, use_qkv_bias=True, vocab_size=100352)),
    "stabilityai/stablelm-2-12b": (CAUSAL, dict(model_type="stablelm", hidden_act="silu", hidden_size=5120, intermediate_size=13824,
        layer_norm_eps=1e-5, max_position_embeddings=4096, num_attention_heads=32, num_hidden_layers=40, num_key_value_heads=8,
        partial_rotary_factor=0.25, qk_layernorm=True, rope_theta=10000, tie_word_embeddings=False, use_parallel_residual=True,
        use_qkv_bias=False, vocab_size=100352)),
    "bigcode/starcoder2-3b": (CAUSAL, dict(model_type="starcoder2", hidden_act="gelu_pytorch_tanh", hidden_size=3072,
        intermediate_size=12288, max_position_embeddings=16384, mlp_type="default", norm_epsilon=1e-5, norm_type="layer_norm",
        num_attention_heads=24, num_hidden_layers=30, num_key_value_heads=2, rope_theta=999999.4420358813, sliding_window=4096,
        use_bias=True, vocab_size=49152)),
    "google-bert/bert-base-uncased": (MASKED, dict(BERT, hidden_size=768, intermediate_size=3072, num_attention_heads=12,
        num_hidden_layers=12, vocab_size=30522)),
    "FacebookAI/roberta-base": (MASKED, dict(BERT, model_type="roberta", bos_token_id=0, eos_token_id=2, hidden_size=768,
        intermediate_size=3072, layer_norm_eps=1e-5, max_position_embeddings=514, num_attention_heads=12, num_hidden_layers=12,
        pad_token_id=1, type_vocab_size=1, vocab_size=50265)),
    "FacebookAI/xlm-roberta-base": (MASKED, dict(BERT, model_type="xlm-roberta", bos_token_id=0, eos_token_id=2, hidden_size=768,
        intermediate_size=3072, layer_norm_eps=1e-5, max_position_embeddings=514, num_attention_heads=12, num_hidden_layers=12,
        output_past=True, pad_token_id=1, type_vocab_size=1, vocab_size=250002)),
    "almanach/camembert-base": (MASKED, dict(BERT, model_type="camembert", bos_token_id=5, eos_token_id=6, hidden_size=768,
        intermediate_size=3072, layer_norm_eps=1e-5, max_position_embeddings=514, num_attention_heads=12, num_hidden_layers=12,
        pad_token_id=1, type_vocab_size=1, vocab_size=32005)),
    "distilbert/distilbert-base-uncased": (MASKED, dict(model_type="distilbert", activation="gelu", dim=768, hidden_dim=3072,
        max_position_embeddings=512, n_heads=12, n_layers=6, pad_token_id=0, sinusoidal_pos_embds=False, tie_weights_=True,
        vocab_size=30522)),
    "albert/albert-base-v2": (MASKED, dict(model_type="albert", attention_probs_dropout_prob=0, embedding_size=128, gap_size=0,
        down_scale_factor=1, hidden_act="gelu_new", hidden_dropout_prob=0, hidden_size=768, inner_group_num=1, intermediate_size=3072,
        layer_norm_eps=1e-12, max_position_embeddings=512, net_structure_type=0, num_attention_heads=12, num_hidden_groups=1,
        num_hidden_layers=12, num_memory_blocks=0, type_vocab_size=2, vocab_size=30000)),
    "google/electra-small-generator": (MASKED, dict(BERT, model_type="electra", embedding_size=128, hidden_size=256,
        intermediate_size=1024, num_attention_heads=4, num_hidden_layers=12, summary_activation="gelu", summary_use_proj=True,
        vocab_size=30522)),
    "microsoft/mpnet-base": (MASKED, dict(BERT, model_type="mpnet", bos_token_id=0, eos_token_id=2, hidden_size=768,
        intermediate_size=3072, layer_norm_eps=1e-5, max_position_embeddings=514, num_attention_heads=12, num_hidden_layers=12,
        pad_token_id=1, relative_attention_num_buckets=32, vocab_size=30527)),
    "FacebookAI/xlm-mlm-en-2048": (MASKED, dict(model_type="xlm", asm=False, bos_index=0, causal=False, emb_dim=2048, eos_index=1,
        gelu_activation=True, id2lang={"0": "en"}, is_encoder=True, layer_norm_eps=1e-12, max_position_embeddings=512, max_vocab=-1,
        n_heads=16, n_langs=1, n_layers=12, pad_index=2, same_enc_dec=True, share_inout_emb=True, sinusoidal_embeddings=False,
        unk_index=3, use_lang_emb=False, vocab_size=30145)),
    "FacebookAI/xlm-mlm-ende-1024": (MASKED, dict(model_type="xlm", asm=False, bos_index=0, causal=False, emb_dim=1024, eos_index=1,
        gelu_activation=True, is_encoder=True, lang2id={"de": 0, "en": 1}, layer_norm_eps=1e-12, max_position_embeddings=512,
        n_heads=8, n_langs=2, n_layers=6, pad_index=2, sinusoidal_embeddings=False, unk_index=3, use_lang_emb=True, vocab_size=64699)),
    "xlnet/xlnet-base-cased": ("XLNetLMHeadModel", dict(model_type="xlnet", attn_type="bi", bi_data=False, clamp_len=-1, d_head=64,
        d_inner=3072, d_model=768, dropout=0.1, ff_activation="gelu", layer_norm_eps=1e-12, mem_len=None, n_head=12, n_layer=12,
        n_token=32000, reuse_len=None, same_length=False, untie_r=True, vocab_size=32000)),
    "microsoft/deberta-v3-base": (MASKED, dict(BERT, model_type="deberta-v2", hidden_size=768, intermediate_size=3072,
        layer_norm_eps=1e-7, max_relative_positions=-1, norm_rel_ebd="layer_norm", num_attention_heads=12, num_hidden_layers=12,
        pos_att_type="p2c|c2p", position_biased_input=False, position_buckets=256, relative_attention=True, share_att_key=True,
        type_vocab_size=0, vocab_size=128100)),
    "answerdotai/ModernBERT-base": (MASKED, dict(model_type="modernbert", attention_bias=False, classifier_activation="gelu",
        classifier_pooling="mean", decoder_bias=True, deterministic_flash_attn=False, embedding_dropout=0.0, global_attn_every_n_layers=3,
        global_rope_theta=160000.0, hidden_activation="gelu", hidden_size=768, intermediate_size=1152, layer_norm_eps=1e-5,
        local_attention=128, local_rope_theta=10000.0, max_position_embeddings=8192, mlp_bias=False, norm_bias=False, norm_eps=1e-5,
        num_attention_heads=12, num_hidden_layers=22, pad_token_id=50283, position_embedding_type="absolute", tie_word_embeddings=True,
        vocab_size=50368)),
    "google-t5/t5-small": (SEQ2SEQ, dict(T5, d_ff=2048, d_model=512, num_heads=8, num_layers=6, output_past=True)),
    "google/flan-t5-small": (SEQ2SEQ, dict(FLAN, d_ff=1024, d_model=512, num_heads=6, num_layers=8, num_decoder_layers=8)),
    "google/flan-t5-base": (SEQ2SEQ, dict(FLAN, d_ff=2048, d_model=768, num_heads=12, num_layers=12, num_decoder_layers=12)),
    "google/mt5-small": (SEQ2SEQ, dict(FLAN, model_type="mt5", d_ff=1024, d_model=512, num_heads=6, num_layers=8, num_decoder_layers=8,
        vocab_size=250112, tokenizer_class="T5Tokenizer")),
    "facebook/bart-base": (SEQ2SEQ, dict(BART, d_model=768, decoder_attention_heads=12, decoder_ffn_dim=3072, decoder_layers=6,
        encoder_attention_heads=12, encoder_ffn_dim=3072, encoder_layers=6, num_hidden_layers=6)),
    "facebook/mbart-large-50": (SEQ2SEQ, dict(BART, model_type="mbart", add_final_layer_norm=True, activation_function="gelu",
        d_model=1024, decoder_attention_heads=16, decoder_ffn_dim=4096, decoder_layers=12, encoder_attention_heads=16,
        encoder_ffn_dim=4096, encoder_layers=12, normalize_before=True, num_hidden_layers=12, scale_embedding=True, vocab_size=250054)),
    "Helsinki-NLP/opus-mt-en-de": (SEQ2SEQ, dict(BART, model_type="marian", activation_function="swish", bos_token_id=0, d_model=512,
        decoder_attention_heads=8, decoder_ffn_dim=2048, decoder_layers=6, decoder_start_token_id=58100, encoder_attention_heads=8,
        encoder_ffn_dim=2048, encoder_layers=6, eos_token_id=0, max_position_embeddings=512, normalize_embedding=False,
        num_hidden_layers=6, pad_token_id=58100, scale_embedding=True, static_position_embeddings=True, vocab_size=58101)),
    "google/pegasus-xsum": (SEQ2SEQ, dict(BART, model_type="pegasus", activation_function="relu", add_final_layer_norm=True, d_model=1024,
        decoder_attention_heads=16, decoder_ffn_dim=4096, decoder_layers=16, decoder_start_token_id=0, encoder_attention_heads=16,
        encoder_ffn_dim=4096, encoder_layers=16, eos_token_id=1, extra_pos_embeddings=1, force_bos_token_to_be_generated=False,
        max_position_embeddings=512, normalize_before=True, normalize_embedding=False, num_hidden_layers=16, pad_token_id=0,
        scale_embedding=True, static_position_embeddings=True, vocab_size=96103)),
}


def count(auto, config):
    """Parameters of the computation: what is shared once, poolers left out, computed position tables too."""
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/config.json", "w") as f:
            json.dump(config, f)
        read = transformers.AutoConfig.from_pretrained(folder)
    with torch.device("meta"):
        model = getattr(transformers, auto)
        model = model.from_config(read) if auto.startswith("Auto") else model(read)
    model.tie_weights()
    # Only the file tells whether a T5 has a head of its own, so none is counted: nor does transformers 5, which ties
    # it in memory. BART's bias of the logits is a buffer there.
    head = config["vocab_size"] if config["model_type"] in ("bart", "mbart", "marian", "pegasus") else 0
    sinusoidal = config["model_type"] in ("marian", "pegasus")
    skip = ("pooler", "embed_positions") if sinusoidal else ("pooler", "mask_emb")
    return head + sum(p.numel() for name, p in model.named_parameters() if not any(part in name for part in skip))


def main():
    found = {}
    for name, (auto, config) in PUBLISHED.items():
        config = dict(config, architectures=[auto])
        found[name] = {"config": {k: v for k, v in config.items() if k != "architectures"},
                       "parameters": count(auto, config | COUNT_AS.get(name, {}))}
        print(f"{found[name]['parameters'] / 1e6:10.1f} M  {name}", flush=True)
    with open(OUT, "w") as f:
        lines = [f"{json.dumps(name)}: {json.dumps(entry)}" for name, entry in found.items()]
        f.write("{\n" + ",\n".join(lines) + "\n}\n")


main()
