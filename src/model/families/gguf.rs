//! GGUF architectures: their metadata as a Hugging Face config, their tensor names as Hugging Face names.
//!
//! llama.cpp's converter reorders some matrices; what undoes it stands beside the name. A key or a tensor that is not
//! listed here may change numbers, so it is refused rather than ignored.

mod names;

use serde_json::{Map, Value, json};

use crate::checkpoint::{Checkpoint, Item, Metadata};
use crate::{DType, Device, Error, Result};

/// How one architecture is read.
struct Family<'a> {
    architecture: &'a str,
    metadata: &'a Metadata,
    heads: usize,
    kv_heads: usize,
}

/// What is said about the tensors of the file, as far as the config depends on it.
struct Found<'a> {
    vocab: usize,
    has: &'a dyn Fn(&str) -> bool,
    /// The numbers of `rope_freqs.weight`, if it is there.
    rope_factors: Option<Vec<f32>>,
}

/// A GGUF file with the configuration and the names of the Hugging Face checkpoint; any other checkpoint as it is.
///
/// # Errors
/// When the architecture, a key or a tensor is not known.
pub(super) fn settled(checkpoint: Checkpoint) -> Result<Checkpoint> {
    let Some(metadata) = checkpoint.metadata().cloned() else { return Ok(checkpoint) };
    let family = Family::new(&metadata)?;
    let vocab = checkpoint.shape("token_embd.weight").and_then(|shape| shape.first().copied()).ok_or_else(|| {
        let file = checkpoint.path().display();
        Error::tensor("token_embd.weight", format!("not in {file}; the file is no language model"))
    })?;
    let rope_factors = match checkpoint.contains("rope_freqs.weight") {
        false => None,
        true => {
            let factors = checkpoint.tensor("rope_freqs.weight", DType::F32, Device::Cpu)?;
            Some(Vec::<f32>::try_from(factors.f_reshape([-1])?)?)
        }
    };
    let config = family.config(&Found { vocab, has: &|name| checkpoint.contains(name), rope_factors })?;
    checkpoint.renamed(config, |name| family.rename(name))
}

/// Keys that name or describe, under any architecture.
const DESCRIBING: [&str; 3] = ["vocab_size", "tensor_data_layout", "name"];

/// Keys that every architecture here has.
const COMMON: [&str; 6] = [
    "context_length",
    "embedding_length",
    "block_count",
    "feed_forward_length",
    "attention.head_count",
    "attention.head_count_kv",
];

impl<'a> Family<'a> {
    fn new(metadata: &'a Metadata) -> Result<Family<'a>> {
        let architecture = match metadata.get("general.architecture") {
            Some(Item::Text(name)) => name.as_str(),
            Some(other) => {
                return Err(Error::config("general.architecture", format!("found {other:?}, expected a name")));
            }
            None => return Err(Error::config("general.architecture", "missing; this file is no model")),
        };
        if !["llama", "qwen2", "qwen3", "gpt2", "gptneox"].contains(&architecture) {
            return Err(Error::config(
                "general.architecture",
                format!(
                    "{architecture:?} is not read from GGUF; known are llama (also Mistral), qwen2, qwen3, gpt2 and \
                     gptneox. The Hugging Face folder of the model may work"
                ),
            ));
        }
        let mut family = Family { architecture, metadata, heads: 1, kv_heads: 1 };
        family.heads = family.size("attention.head_count")?;
        family.kv_heads = family.optional_size("attention.head_count_kv")?.unwrap_or(family.heads);
        Ok(family)
    }

    fn key(&self, key: &str) -> String {
        format!("{}.{key}", self.architecture)
    }

    fn optional_size(&self, key: &str) -> Result<Option<usize>> {
        let key = self.key(key);
        match self.metadata.get(&key) {
            None => Ok(None),
            Some(Item::Integer(n)) if (1..=1 << 24).contains(n) => Ok(Some(*n as usize)),
            Some(Item::Integers(_)) => Err(Error::config(
                key,
                "has one number for each layer; Flowlens reads models whose layers are all alike",
            )),
            Some(other) => {
                Err(Error::config(key, format!("found {other:?}, expected a whole number from 1 to {}", 1 << 24)))
            }
        }
    }

    fn size(&self, key: &str) -> Result<usize> {
        self.optional_size(key)?.ok_or_else(|| Error::config(self.key(key), "missing; expected a whole number"))
    }

    fn optional_number(&self, key: &str) -> Result<Option<f64>> {
        let key = self.key(key);
        match self.metadata.get(&key) {
            None => Ok(None),
            Some(Item::Float(x)) if x.is_finite() && *x > 0.0 => Ok(Some(*x)),
            Some(Item::Integer(n)) if *n > 0 => Ok(Some(*n as f64)),
            Some(other) => Err(Error::config(key, format!("found {other:?}, expected a number above 0"))),
        }
    }

    fn optional_bool(&self, key: &str) -> Result<Option<bool>> {
        let key = self.key(key);
        match self.metadata.get(&key) {
            None => Ok(None),
            Some(Item::Bool(b)) => Ok(Some(*b)),
            Some(other) => Err(Error::config(key, format!("found {other:?}, expected true or false"))),
        }
    }

    /// The same as `config.json` of the Hugging Face checkpoint.
    fn config(&self, found: &Found) -> Result<Map<String, Value>> {
        let mut config = match self.architecture {
            "gpt2" => self.gpt2_config(found)?,
            "gptneox" => self.gptneox_config(found)?,
            _ => self.llama_config(found)?,
        };
        for (key, name) in [("bos", "bos_token_id"), ("eos", "eos_token_id"), ("padding", "pad_token_id")] {
            if let Some(Item::Integer(id)) = self.metadata.get(&format!("tokenizer.ggml.{key}_token_id")) {
                config.insert(name.to_owned(), json!(id));
            }
        }
        if let Some(Item::Text(name)) = self.metadata.get("general.name") {
            config.insert("_name_or_path".to_owned(), json!(name));
        }
        Ok(config)
    }

    /// Refuses every key of the architecture that neither `known` nor the common ones list.
    fn only(&self, known: &[&str]) -> Result<()> {
        let prefix = self.key("");
        for (key, item) in self.metadata.range(prefix.clone()..) {
            let Some(rest) = key.strip_prefix(&prefix) else { break };
            if !known.contains(&rest) && !COMMON.contains(&rest) && !DESCRIBING.contains(&rest) {
                return Err(Error::config(
                    key,
                    format!("found {item:?}: Flowlens does not know this option, so its numbers could be wrong"),
                ));
            }
        }
        Ok(())
    }

    fn llama_config(&self, found: &Found) -> Result<Map<String, Value>> {
        self.only(&[
            "attention.key_length",
            "attention.value_length",
            "attention.layer_norm_rms_epsilon",
            "attention.sliding_window",
            "rope.dimension_count",
            "rope.freq_base",
            "rope.scale_linear",
            "rope.scaling.type",
            "rope.scaling.factor",
            "rope.scaling.original_context_length",
            "rope.scaling.finetuned",
            "rope.scaling.attn_factor",
        ])?;
        let width = self.size("embedding_length")?;
        let head_dim = match self.optional_size("attention.key_length")? {
            Some(length) => length,
            None if width % self.heads == 0 => width / self.heads,
            None => {
                return Err(Error::config(
                    self.key("attention.head_count"),
                    format!("{} does not divide the width {width}", self.heads),
                ));
            }
        };
        for key in ["attention.value_length", "rope.dimension_count"] {
            if let Some(length) = self.optional_size(key)?.filter(|&length| length != head_dim) {
                return Err(Error::config(
                    self.key(key),
                    format!("found {length}, but the heads are {head_dim} wide; Flowlens computes equal widths only"),
                ));
            }
        }
        let window = self.optional_size("attention.sliding_window")?;
        let (model_type, class) = match (self.architecture, window) {
            ("qwen2", _) => ("qwen2", "Qwen2ForCausalLM"),
            ("qwen3", _) => ("qwen3", "Qwen3ForCausalLM"),
            (_, Some(_)) => ("mistral", "MistralForCausalLM"),
            (_, None) => ("llama", "LlamaForCausalLM"),
        };
        let mut config = object(json!({
            "model_type": model_type,
            "architectures": [class],
            "hidden_size": width,
            "num_hidden_layers": self.size("block_count")?,
            "intermediate_size": self.size("feed_forward_length")?,
            "num_attention_heads": self.heads,
            "num_key_value_heads": self.kv_heads,
            "head_dim": head_dim,
            "hidden_act": "silu",
            "max_position_embeddings": self.size("context_length")?,
            "rms_norm_eps": self.required_number("attention.layer_norm_rms_epsilon")?,
            "rope_theta": self.optional_number("rope.freq_base")?.unwrap_or(10_000.0),
            "vocab_size": found.vocab,
            "tie_word_embeddings": !(found.has)("output.weight"),
        }));
        if let Some(window) = window {
            config.insert("sliding_window".into(), json!(window));
            if model_type != "mistral" {
                config.insert("use_sliding_window".into(), json!(true));
                config.insert("max_window_layers".into(), json!(0));
            }
        }
        if model_type != "qwen2" {
            llama_biases(&mut config, model_type, found)?;
        }
        if let Some(scaling) = self.rope_scaling(head_dim, found)? {
            config.insert("rope_scaling".into(), scaling);
        }
        Ok(config)
    }

    fn required_number(&self, key: &str) -> Result<f64> {
        self.optional_number(key)?.ok_or_else(|| Error::config(self.key(key), "missing; expected a number above 0"))
    }

    fn rope_scaling(&self, head_dim: usize, found: &Found) -> Result<Option<Value>> {
        let key = self.key("rope.scaling.type");
        let kind = match self.metadata.get(&key) {
            None => "none",
            Some(Item::Text(kind)) => kind,
            Some(other) => return Err(Error::config(key, format!("found {other:?}, expected a name"))),
        };
        if let Some(factors) = &found.rope_factors {
            if kind != "none" {
                return Err(Error::config(key, format!("{kind:?} together with rope_freqs.weight is not computed")));
            }
            return self.llama3_scaling(factors, head_dim).map(Some);
        }
        let factor = match self.optional_number("rope.scaling.factor")? {
            None => self.optional_number("rope.scale_linear")?,
            factor => factor,
        };
        match (kind, factor) {
            ("none", None) | ("linear", None | Some(1.0)) => Ok(None),
            // Files older than `rope.scaling.type` have the factor alone.
            ("none", Some(1.0)) => Ok(None),
            ("none" | "linear", Some(factor)) => Ok(Some(json!({"rope_type": "linear", "factor": factor}))),
            ("yarn", Some(factor)) => {
                let mut scaling = json!({"rope_type": "yarn", "factor": factor});
                if let Some(length) = self.optional_size("rope.scaling.original_context_length")? {
                    scaling["original_max_position_embeddings"] = json!(length);
                }
                if let Some(magnitude) = self.optional_number("rope.scaling.attn_factor")? {
                    return Err(Error::config(
                        self.key("rope.scaling.attn_factor"),
                        format!("found {magnitude}, which Flowlens does not compute for GGUF files"),
                    ));
                }
                Ok(Some(scaling))
            }
            ("yarn", None) => Err(Error::config(self.key("rope.scaling.factor"), "missing; yarn needs it")),
            (other, _) => {
                Err(Error::config(key, format!("{other:?} is not computed; known are none, linear and yarn")))
            }
        }
    }

    /// Llama 3's converter writes the factors that its rule gives, not the rule. Every published Llama 3 has the same
    /// rule but for the factor; others are refused.
    fn llama3_scaling(&self, factors: &[f32], head_dim: usize) -> Result<Value> {
        let theta = self.optional_number("rope.freq_base")?.unwrap_or(10_000.0);
        let factor = factors.iter().copied().fold(1.0, f32::max);
        let (low, high, trained) = (1.0, 4.0, 8192.0);
        let rule = (0..head_dim / 2).map(|pair| {
            let length = 2.0 * std::f64::consts::PI * theta.powf(2.0 * pair as f64 / head_dim as f64);
            let factor = f64::from(factor);
            if length < trained / high {
                1.0
            } else if length > trained / low {
                factor
            } else {
                let smooth = (trained / length - low) / (high - low);
                1.0 / ((1.0 - smooth) / factor + smooth)
            }
        });
        let equal = |(rule, &found): (f64, &f32)| (rule - f64::from(found)).abs() <= 1e-4 * rule;
        if factors.len() != head_dim / 2 || !rule.zip(factors).all(equal) {
            return Err(Error::tensor(
                "rope_freqs.weight",
                "its frequency factors are not those of Llama 3's rule; Flowlens computes no others",
            ));
        }
        Ok(json!({
            "rope_type": "llama3",
            "factor": factor,
            "low_freq_factor": low,
            "high_freq_factor": high,
            "original_max_position_embeddings": trained as u64,
        }))
    }

    fn gpt2_config(&self, found: &Found) -> Result<Map<String, Value>> {
        self.only(&["attention.layer_norm_epsilon"])?;
        if self.kv_heads != self.heads {
            return Err(Error::config(
                self.key("attention.head_count_kv"),
                "GPT-2 has one key head for each query head",
            ));
        }
        Ok(object(json!({
            "model_type": "gpt2",
            "architectures": ["GPT2LMHeadModel"],
            "n_embd": self.size("embedding_length")?,
            "n_layer": self.size("block_count")?,
            "n_head": self.heads,
            "n_inner": self.size("feed_forward_length")?,
            "n_positions": self.size("context_length")?,
            "activation_function": "gelu_new",
            "layer_norm_epsilon": self.required_number("attention.layer_norm_epsilon")?,
            "vocab_size": found.vocab,
            "tie_word_embeddings": !(found.has)("output.weight"),
        })))
    }

    fn gptneox_config(&self, found: &Found) -> Result<Map<String, Value>> {
        self.only(&[
            "attention.layer_norm_epsilon",
            "rope.dimension_count",
            "rope.freq_base",
            "use_parallel_residual",
        ])?;
        let width = self.size("embedding_length")?;
        if self.kv_heads != self.heads || width % self.heads != 0 {
            return Err(Error::config(
                self.key("attention.head_count"),
                format!("{} query and {} key heads do not fit the width {width}", self.heads, self.kv_heads),
            ));
        }
        let head_dim = width / self.heads;
        let rotated = self.optional_size("rope.dimension_count")?.unwrap_or(head_dim);
        Ok(object(json!({
            "model_type": "gpt_neox",
            "architectures": ["GPTNeoXForCausalLM"],
            "hidden_size": width,
            "num_hidden_layers": self.size("block_count")?,
            "num_attention_heads": self.heads,
            "intermediate_size": self.size("feed_forward_length")?,
            "max_position_embeddings": self.size("context_length")?,
            "hidden_act": "gelu",
            "layer_norm_eps": self.required_number("attention.layer_norm_epsilon")?,
            "rotary_pct": rotated as f64 / head_dim as f64,
            "rotary_emb_base": self.optional_number("rope.freq_base")?.unwrap_or(10_000.0),
            "use_parallel_residual": self.optional_bool("use_parallel_residual")?.unwrap_or(true),
            "vocab_size": found.vocab,
            "tie_word_embeddings": !(found.has)("output.weight"),
        })))
    }
}

/// Which matrices have biases, as far as the family leaves it open.
fn llama_biases(config: &mut Map<String, Value>, model_type: &str, found: &Found) -> Result<()> {
    let biased: Vec<bool> =
        ["q", "k", "v", "output"].map(|part| (found.has)(&format!("blk.0.attn_{part}.bias"))).into();
    let all = biased.iter().all(|&b| b);
    if !all && biased.contains(&true) || all && model_type == "mistral" {
        return Err(Error::config(
            "attention_bias",
            "some of the attention matrices have a bias where this family has it for all or none",
        ));
    }
    config.insert("attention_bias".into(), json!(all));
    if model_type == "llama" {
        config.insert("mlp_bias".into(), json!((found.has)("blk.0.ffn_up.bias")));
    }
    Ok(())
}

fn object(value: Value) -> Map<String, Value> {
    match value {
        Value::Object(map) => map,
        _ => Map::new(),
    }
}
