//! One file per family: `config.json` and tensor names into an [`Architecture`].
//!
//! Nothing outside this folder knows a family's name.

mod albert;
mod bart;
mod bert;
mod bloom;
mod ctrl;
mod deberta;
mod deberta_v2;
mod distilbert;
mod electra;
mod encoder;
mod falcon;
mod gemma;
mod gemma2;
mod gemma3;
mod gguf;
mod gpt2;
mod gpt_bigcode;
mod gpt_neo;
mod gpt_neox;
mod gptj;
mod llama;
mod marian;
mod mbart;
mod mistral;
mod mixtral;
mod modernbert;
mod mpnet;
mod mt5;
mod olmo2;
mod openai_gpt;
mod opt;
mod pegasus;
mod phi;
mod phi3;
#[cfg(test)]
mod published;
mod qwen2;
mod qwen2_moe;
mod qwen3;
mod roberta;
mod rope;
mod stablelm;
mod starcoder2;
mod t5;
mod umt5;
mod xlm;
mod xlnet;

use std::path::Path;

use serde_json::{Map, Value};

use super::architecture::*;
use super::config::Config;
use crate::checkpoint::Checkpoint;
use crate::{Error, Result};

/// A kind of model that Flowlens can compute.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Family {
    /// The `model_type` of its `config.json`.
    pub name: &'static str,
    /// Its name in older files.
    pub other_names: &'static [&'static str],
    /// What it reads and writes.
    pub kind: FamilyKind,
    /// Well-known models of the family.
    pub known_for: &'static str,
    /// The class of tokenizers in files older than the key `tokenizer_class`.
    tokenizer_class: Option<&'static str>,
    /// The file among VISIT's published configurations that fits it, where one does.
    pub(crate) visit_form: Option<&'static str>,
    read: Read,
}

type Read = fn(&Config) -> Result<Architecture>;

/// What models of a family read and write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FamilyKind {
    /// Continues a text.
    Decoder,
    /// Reads a text both ways, and where the checkpoint has a head for it predicts masked tokens.
    Encoder,
    /// Reads one text and writes another.
    EncoderDecoder,
}

impl std::fmt::Display for FamilyKind {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            FamilyKind::Decoder => "decoder",
            FamilyKind::Encoder => "encoder",
            FamilyKind::EncoderDecoder => "encoder-decoder",
        })
    }
}

impl Family {
    const fn decoder(name: &'static str, known_for: &'static str, read: Read) -> Family {
        let kind = FamilyKind::Decoder;
        Family { name, other_names: &[], kind, known_for, tokenizer_class: None, visit_form: None, read }
    }

    const fn with_visit_form(self, file: &'static str) -> Family {
        Family { visit_form: Some(file), ..self }
    }

    const fn encoder(name: &'static str, known_for: &'static str, read: Read) -> Family {
        Family { kind: FamilyKind::Encoder, ..Family::decoder(name, known_for, read) }
    }

    const fn encoder_decoder(name: &'static str, known_for: &'static str, read: Read) -> Family {
        Family { kind: FamilyKind::EncoderDecoder, ..Family::decoder(name, known_for, read) }
    }
}

const FAMILIES: &[Family] = &[
    Family { tokenizer_class: Some("GPT2Tokenizer"), ..Family::decoder("gpt2", "GPT-2, DistilGPT-2", gpt2::read) }
        .with_visit_form("flow_graph_config_gpt2.json"),
    Family::decoder("gpt_bigcode", "StarCoder, SantaCoder", gpt_bigcode::read),
    Family::decoder("gpt_neo", "GPT-Neo", gpt_neo::read).with_visit_form("flow_graph_config_gpt_neo.json"),
    Family::decoder("gptj", "GPT-J", gptj::read).with_visit_form("flow_graph_config_gptj.json"),
    Family::decoder("gpt_neox", "GPT-NeoX, Pythia", gpt_neox::read),
    Family::decoder("llama", "Llama 1 to 3, SmolLM2, TinyLlama", llama::read)
        .with_visit_form("flow_graph_config_llama2_7B.json"),
    Family::decoder("mistral", "Mistral 7B, Mistral Nemo", mistral::read)
        .with_visit_form("flow_graph_config_llama2_7B.json"),
    Family::decoder("qwen2", "Qwen 1.5 to 2.5", qwen2::read).with_visit_form("flow_graph_config_llama2_7B.json"),
    Family::decoder("qwen3", "Qwen 3 (dense)", qwen3::read).with_visit_form("flow_graph_config_llama2_7B.json"),
    Family::decoder("openai-gpt", "GPT, the first", openai_gpt::read),
    Family::decoder("ctrl", "CTRL", ctrl::read),
    Family::decoder("opt", "OPT 125M to 66B, Galactica", opt::read),
    Family::decoder("bloom", "Bloom, BloomZ", bloom::read),
    Family {
        other_names: &["RefinedWebModel", "RefinedWeb"],
        ..Family::decoder("falcon", "Falcon 7B to 180B, Falcon-RW", falcon::read)
    },
    Family::decoder("phi", "Phi 1, 1.5 and 2", phi::read),
    Family::decoder("phi3", "Phi 3, Phi 4", phi3::read),
    Family::decoder("gemma", "Gemma, CodeGemma", gemma::read),
    Family::decoder("gemma2", "Gemma 2", gemma2::read),
    Family::decoder("gemma3_text", "Gemma 3 270M and 1B, EmbeddingGemma", gemma3::read),
    Family::decoder("gemma3", "Gemma 3 4B to 27B, the text part", gemma3::read_beside_images),
    Family::decoder("olmo2", "OLMo 2", olmo2::read),
    Family::decoder("stablelm", "StableLM 2, StableLM 3B", stablelm::read),
    Family::decoder("starcoder2", "StarCoder 2", starcoder2::read),
    Family::decoder("mixtral", "Mixtral 8x7B and 8x22B", mixtral::read),
    Family::decoder("qwen2_moe", "Qwen 1.5 MoE, Qwen 2 57B", qwen2_moe::read),
    Family::encoder_decoder("t5", "T5, T5 v1.1, Flan-T5", t5::read),
    Family::encoder_decoder("mt5", "mT5", mt5::read),
    Family::encoder_decoder("umt5", "UMT5", umt5::read),
    Family::encoder_decoder("bart", "BART, DistilBART", bart::read),
    Family::encoder_decoder("mbart", "mBART, mBART-50", mbart::read),
    Family::encoder_decoder("marian", "OPUS-MT", marian::read),
    Family::encoder_decoder("pegasus", "Pegasus", pegasus::read),
    Family::encoder("bert", "BERT, MiniLM", bert::read),
    Family::encoder("roberta", "RoBERTa", roberta::read),
    Family::encoder("camembert", "CamemBERT", roberta::camembert),
    Family::encoder("xlm-roberta", "XLM-RoBERTa", roberta::xlm_roberta),
    Family::encoder("distilbert", "DistilBERT", distilbert::read),
    Family::encoder("mpnet", "MPNet", mpnet::read),
    Family::encoder("albert", "ALBERT", albert::read),
    Family::encoder("electra", "ELECTRA", electra::read),
    Family::encoder("modernbert", "ModernBERT", modernbert::read),
    Family::encoder("xlm", "XLM", xlm::read),
    Family::encoder("xlnet", "XLNet", xlnet::read),
    Family::encoder("deberta", "DeBERTa, the first", deberta::read),
    Family::encoder("deberta-v2", "DeBERTa v2 and v3", deberta_v2::read),
];

/// Every family that Flowlens can compute.
pub fn families() -> &'static [Family] {
    FAMILIES
}

/// Opens a model's folder or GGUF file: a checkpoint whose tensors have the names of the Hugging Face checkpoint, and
/// whose configuration says what older files and GGUF metadata leave to the family.
///
/// # Errors
/// As [`Checkpoint::open`], and when a GGUF file has an architecture, a key or a tensor that is not known.
pub fn open(path: &Path) -> Result<Checkpoint> {
    let checkpoint = gguf::settled(Checkpoint::open(path)?)?;
    let class = checkpoint.config().get("model_type").and_then(Value::as_str).and_then(find);
    Ok(match class.and_then(|family| family.tokenizer_class) {
        Some(class) => checkpoint.unless_said("tokenizer_class", class),
        None => checkpoint,
    })
}

fn find(name: &str) -> Option<&'static Family> {
    FAMILIES.iter().find(|family| family.name == name || family.other_names.contains(&name))
}

/// Reads a `config.json`.
pub(crate) fn read(keys: &Map<String, Value>) -> Result<Architecture> {
    let config = Config::new(keys);
    let name = config.text("model_type", "")?;
    if name.is_empty() {
        return Err(Error::config("model_type", "missing; it names the family, e.g. \"llama\""));
    }
    let Some(family) = find(name) else {
        return Err(Error::UnknownFamily { family: name.to_owned(), nearest: nearest(name).to_owned() });
    };
    // Weights that are packed or scaled in ways of their own would be read as plain numbers.
    config.refuse("quantization_config")?;
    // Options that transformers honours in every family.
    config.refuse("per_layer_config")?;
    config.refuse_without("is_causal")?;
    config.refuse_without("tie_last_hidden_states")?;
    (family.read)(&config)
}

/// The known family whose name needs the fewest changes to become `name`.
fn nearest(name: &str) -> &'static str {
    let by_distance = |family: &&Family| strsim::levenshtein(name, family.name);
    FAMILIES.iter().min_by_key(by_distance).map_or("", |family| family.name)
}

/// `layers.3.mlp.up_proj` and its like.
fn layer_name(list: &str, layer: usize, part: &str) -> String {
    format!("{list}.{layer}.{part}")
}

/// A matrix stored rows-are-outputs, as PyTorch's `Linear` does.
fn linear(name: String, inputs: usize, outputs: usize, bias: bool) -> Linear {
    Linear { name, inputs, outputs, layout: Layout::OutIn, bias, part_of: None }
}

/// The head, without bias. `tied` is what the family takes when the config does not say. Where it is not tied, the
/// file of a bare model has none.
fn head(config: &Config, name: &str, width: usize, vocab: usize, tied: bool) -> Result<Head> {
    let tied = config.flag("tie_word_embeddings", tied)?;
    Ok(Head {
        transform: None,
        linear: linear(name.to_owned(), width, vocab, false),
        other_name: None,
        tied,
        bias: Vec::new(),
        scale: 1.0,
        soft_cap: None,
        optional: !tied,
    })
}

/// A bias of the head under one of these names; 0 where the file has none, as those of bare models.
fn head_bias(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

/// The token table of one side of an encoder-decoder: files hold it under its own name, the other side's, or as shared.
fn shared_table(name: &str, vocab: usize, width: usize) -> Table {
    let all = ["shared", "lm_head", "decoder.embed_tokens", "encoder.embed_tokens"];
    let other_names = all.iter().filter(|&&other| other != name).map(|&other| other.to_owned()).collect();
    Table { other_names, ..Table::new(name, vocab, width) }
}

/// The token that a decoder starts with; `usual` is what the family takes when the config does not say.
fn start_token(config: &Config, usual: Option<i64>) -> Result<Option<i64>> {
    match config.value("decoder_start_token_id") {
        None => Ok(usual),
        Some(value) => match value.as_i64() {
            Some(id) => Ok(Some(id)),
            None => Err(Error::config("decoder_start_token_id", format!("found {value}, expected a token id"))),
        },
    }
}

/// GPT's embedding: learned positions, and token types that are tokens.
fn gpt_embedding(tokens: &str, positions: &str, vocab: usize, context: usize, width: usize) -> Embedding {
    let table = Table::new(positions, context, width);
    Embedding {
        positions: Some(PositionTable::Learned { table, index: PositionIndex::Place(0) }),
        segments: Segments::TokenTable,
        ..Embedding::of(Table::new(tokens, vocab, width))
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    /// The config of a fixture with some keys put in place.
    fn config(fixture: &str, changes: Value) -> Map<String, Value> {
        let path = format!("{}/tests/fixtures/parity/{fixture}/config.json", env!("CARGO_MANIFEST_DIR"));
        let mut keys: Map<String, Value> = serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap();
        keys.extend(changes.as_object().unwrap().clone());
        keys
    }

    /// Python fails on these, or computes something else; each must be refused under its name.
    #[test]
    fn what_is_not_computed_is_refused_by_name() {
        for (fixture, changes, name) in [
            ("gpt2", json!({"add_cross_attention": true}), "add_cross_attention"),
            ("gpt_bigcode", json!({"add_cross_attention": true}), "add_cross_attention"),
            ("gpt2", json!({"quantization_config": {"bits": 4}}), "quantization_config"),
            ("gpt2", json!({"is_causal": false}), "is_causal"),
            ("gpt2", json!({"activation_function": "prelu"}), "activation_function"),
            ("gpt2", json!({"n_head": 5}), "n_head"),
            ("gpt2", json!({"hidden_size": 0}), "hidden_size"),
            ("gpt_neo", json!({"attention_layers": ["global"]}), "attention_layers"),
            (
                "gpt_neo",
                json!({"attention_layers": null, "attention_types": [[["global", "linear", "local"], 1]]}),
                "linear",
            ),
            ("gpt_neo", json!({"attention_layers": null, "attention_types": null}), "attention_types"),
            ("gpt_neo", json!({"window_size": 0}), "window_size"),
            ("gptj", json!({"rotary_dim": null}), "rotary_dim"),
            ("gptj", json!({"rotary_dim": 7}), "rotary_dim"),
            ("gptj", json!({"rotary_dim": 18}), "rotary_dim"),
            ("gpt_neox", json!({"head_dim": 8}), "head_dim"),
            ("gpt_neox", json!({"rotary_pct": 2.0}), "numbers of a head"),
            ("gpt_neox", json!({"rotary_pct": 1e308}), "rotary_pct"),
            ("gpt_neox", json!({"rotary_pct": 1e-300}), "rotary_pct"),
            ("gpt_neox", json!({"rotary_emb_base": 1e-300}), "rotary_emb_base"),
            ("llama_mha", json!({"rope_theta": 1e300}), "rope_theta"),
            ("llama_mha", json!({"rope_theta": 1.0}), "rope_theta"),
            ("llama_mha", json!({"rms_norm_eps": 1e30}), "rms_norm_eps"),
            ("llama_mha", json!({"rms_norm_eps": 1e-300}), "rms_norm_eps"),
            ("llama_mha", json!({"rope_scaling": {"type": "linear", "factor": 1e-300}}), "factor"),
            ("llama_mha", json!({"rope_scaling": {"type": "dynamic", "factor": 1e300}}), "factor"),
            ("llama_mha", json!({"rope_scaling": {"type": "yarn", "factor": 2.0, "attention_factor": 1e10}}), "rope"),
            ("llama_mha", json!({"rope_scaling": {"type": "yarn", "factor": 2.0, "beta_fast": 1e-300}}), "beta_fast"),
            ("llama_mha", json!({"rope_scaling": {"type": "yarn", "factor": 2.0, "mscale": 1e300}}), "mscale"),
            (
                "llama_mha",
                json!({"rope_scaling": {"type": "yarn", "original_max_position_embeddings": 1e300}}),
                "original_max",
            ),
            ("phi3_long", json!({"original_max_position_embeddings": 1}), "rope"),
            ("gemma2", json!({"attn_logit_softcapping": 1e-300}), "attn_logit_softcapping"),
            ("gemma2", json!({"final_logit_softcapping": 1e300}), "final_logit_softcapping"),
            ("gemma2", json!({"query_pre_attn_scalar": 1e-300}), "query_pre_attn_scalar"),
            ("gemma2", json!({"query_pre_attn_scalar": 1e300}), "query_pre_attn_scalar"),
            ("openai_gpt", json!({"afn": "tanh"}), "afn"),
            ("ctrl", json!({"n_head": 5}), "n_head"),
            ("opt_pre", json!({"activation_function": "xielu"}), "activation_function"),
            ("bloom", json!({"n_head": 5}), "n_head"),
            ("falcon_7b", json!({"num_ln_in_parallel_attn": 2}), "num_ln_in_parallel_attn"),
            ("falcon_40b", json!({"num_ln_in_parallel_attn": 3}), "num_ln_in_parallel_attn"),
            ("falcon_40b", json!({"parallel_attn": false}), "num_ln_in_parallel_attn"),
            ("falcon_40b", json!({"num_kv_heads": 4}), "num_kv_heads"),
            ("phi", json!({"num_key_value_heads": 3}), "num_key_value_heads"),
            ("phi", json!({"partial_rotary_factor": 1.5}), "numbers of a head"),
            ("phi", json!({"partial_rotary_factor": 0.25}), "numbers of a head"),
            ("stablelm_parallel", json!({"partial_rotary_factor": 0.4}), "numbers of a head"),
            ("phi3_window", json!({"rope_scaling": {"type": "linear", "factor": 2.0}}), "linear"),
            ("phi3_long", json!({"partial_rotary_factor": 0.5}), "short_factor"),
            ("gemma2", json!({"sliding_window": null}), "layer_types"),
            ("gemma2", json!({"attn_logit_softcapping": 0}), "attn_logit_softcapping"),
            ("gemma3_image_text", json!({"text_config": null}), "text_config"),
            ("gemma3_text", json!({"layer_types": ["full_attention"]}), "layer_types"),
            ("stablelm_parallel", json!({"num_attention_heads": 5}), "num_attention_heads"),
            ("starcoder2_window", json!({"num_attention_heads": 5}), "num_key_value_heads"),
            ("mixtral_published", json!({"num_experts_per_tok": 5}), "num_experts_per_tok"),
            ("qwen2_moe_published", json!({"mlp_only_layers": [0.5]}), "mlp_only_layers"),
            ("qwen2_moe_published", json!({"decoder_sparse_step": 0}), "decoder_sparse_step"),
            ("llama_mha", json!({"per_layer_config": {"1": {"intermediate_size": 8}}}), "per_layer_config"),
            ("llama_mha", json!({"tie_last_hidden_states": false}), "tie_last_hidden_states"),
            ("llama_mha", json!({"num_key_value_heads": 3}), "num_key_value_heads"),
            ("llama_mha", json!({"head_dim": 7}), "head_dim"),
            ("llama_mha", json!({"num_hidden_layers": "3"}), "num_hidden_layers"),
            ("llama_mha", json!({"rope_scaling": {"type": "mrope"}}), "mrope"),
            ("llama_mha", json!({"rope_scaling": {"type": "linear"}}), "factor"),
            ("llama_mha", json!({"rope_scaling": {"type": "linear", "factor": -1.0}}), "factor"),
            ("llama_mha", json!({"rope_scaling": {"type": "llama3", "factor": 8.0}}), "low_freq_factor"),
            (
                "llama_mha",
                json!({"rope_scaling": {"type": "linear", "factor": 2.0}, "partial_rotary_factor": 0.5}),
                "partial_rotary_factor",
            ),
            ("llama_mha", json!({"rope_parameters": {"full_attention": {"rope_type": "default"}}}), "rope_parameters"),
            ("llama_mha", json!({"rope_scaling": {"type": "longrope", "short_factor": [1.0]}}), "short_factor"),
            ("mistral", json!({"layer_types": ["sliding_attention"]}), "layer_types"),
            ("mistral", json!({"sliding_window": 0}), "sliding_window"),
            ("qwen2", json!({"layer_types": vec!["sliding_attention"; 3]}), "layer_types"),
            ("qwen2", json!({"layer_types": vec!["chunked_attention"; 3]}), "chunked_attention"),
            ("t5_tied", json!({"feed_forward_proj": "plain-gelu"}), "plain-gelu"),
            ("t5_tied", json!({"feed_forward_proj": "gated-gelu-new"}), "gelu-new"),
            ("t5_tied", json!({"feed_forward_proj": "gated"}), "gated"),
            ("t5_tied", json!({"is_gated_act": "yes"}), "is_gated_act"),
            ("t5_tied", json!({"relative_attention_num_buckets": 3}), "relative_attention_num_buckets"),
            ("t5_tied", json!({"relative_attention_max_distance": 16}), "relative_attention_max_distance"),
            ("t5_tied", json!({"decoder_start_token_id": "<pad>"}), "decoder_start_token_id"),
            ("mt5", json!({"dense_act_fn": "snake"}), "dense_act_fn"),
            ("bart", json!({"encoder_attention_heads": 3}), "attention_heads"),
            ("bart", json!({"activation_function": "prelu"}), "activation_function"),
            ("bart", json!({"scale_embedding": 2.0}), "scale_embedding"),
            ("marian", json!({"share_encoder_decoder_embeddings": "no"}), "share_encoder_decoder_embeddings"),
            ("marian", json!({"decoder_layers": 100_000}), "decoder_layers"),
            ("qwen3", json!({"max_window_layers": "all", "use_sliding_window": true}), "max_window_layers"),
            ("bert", json!({"position_embedding_type": "relative_key"}), "position_embedding_type"),
            ("bert", json!({"is_decoder": true, "add_cross_attention": true}), "add_cross_attention"),
            ("bert", json!({"num_attention_heads": 5}), "num_attention_heads"),
            ("bert", json!({"hidden_act": "gleu"}), "hidden_act"),
            ("bert", json!({"type_vocab_size": -1}), "type_vocab_size"),
            ("roberta", json!({"pad_token_id": 1000}), "pad_token_id"),
            ("distilbert", json!({"n_heads": 5}), "n_heads"),
            ("mpnet", json!({"relative_attention_num_buckets": 16}), "relative_attention_num_buckets"),
            ("albert", json!({"inner_group_num": 4096}), "inner_group_num"),
            ("electra_padded", json!({"embedding_size": 0}), "embedding_size"),
            ("xlm", json!({"asm": true}), "asm"),
            ("xlm", json!({"is_encoder": false}), "is_encoder"),
            ("xlnet", json!({"bi_data": true}), "bi_data"),
            ("xlnet", json!({"attn_type": "both"}), "attn_type"),
            ("xlnet", json!({"d_head": 5}), "d_head"),
            ("deberta_both", json!({"talking_head": true}), "talking_head"),
            ("deberta_v2", json!({"attention_head_size": 5}), "attention_head_size"),
            ("deberta_v2", json!({"conv_kernel_size": 4}), "conv_kernel_size"),
            ("deberta_v2", json!({"conv_kernel_size": 3, "conv_groups": 5}), "conv_groups"),
            ("deberta_v2", json!({"position_buckets": 1}), "position_buckets"),
            ("deberta_v2", json!({"pos_att_type": 3}), "pos_att_type"),
            ("modernbert_local", json!({"layer_types": ["full_attention"]}), "layer_types"),
            ("modernbert_local", json!({"layer_types": null, "rope_scaling": {"rope_type": "mrope"}}), "mrope"),
        ] {
            let keys = config(fixture, changes.clone());
            let error = read(&keys).expect_err(&format!("{fixture} with {changes}")).to_string();
            assert!(error.contains(name), "{fixture} with {changes}: {error}");
        }
    }

    #[test]
    fn an_unknown_family_is_told_its_nearest() {
        let error = read(&config("llama_mha", json!({"model_type": "lama"}))).unwrap_err().to_string();
        assert!(error.contains("\"lama\"") && error.contains("\"llama\""), "{error}");
    }

    #[test]
    fn absent_keys_mean_what_they_mean_in_transformers() {
        let absent = |fixture: &str, key: &str| {
            let mut keys = config(fixture, json!({}));
            keys.remove(key);
            keys
        };
        let window = |keys: &Map<String, Value>| read(keys).unwrap().main.blocks[0].attention.window;
        assert_eq!(window(&absent("mistral", "sliding_window")), Some(4096));
        assert_eq!(window(&config("mistral", json!({"sliding_window": null}))), None);
        let mut qwen = config("qwen2", json!({"use_sliding_window": true, "sliding_window": 9}));
        qwen.remove("max_window_layers");
        assert_eq!(window(&qwen), None, "the first 28 layers see everything");
        assert_eq!(read(&absent("qwen3", "head_dim")).unwrap().main.blocks[0].attention.head_dim, 128);
        let keys = absent("mistral", "num_key_value_heads");
        let error = read(&keys).unwrap_err().to_string();
        assert!(error.contains("num_key_value_heads"), "absent means 8, which does not divide 4 heads: {error}");
        assert!(read(&absent("gpt2", "tie_word_embeddings")).unwrap().head.tied);
        assert!(!read(&absent("llama_mha", "tie_word_embeddings")).unwrap().head.tied);
    }
}
