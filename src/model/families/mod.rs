//! One file per family: `config.json` and tensor names into an [`Architecture`].
//!
//! Nothing outside this folder knows a family's name.

pub(crate) mod gguf;
mod gpt2;
mod gpt_neo;
mod gpt_neox;
mod gptj;
mod llama;
mod mistral;
mod qwen2;
mod qwen3;
mod rope;

use serde_json::{Map, Value};

use super::architecture::{Architecture, Head, Layout, Linear};
use super::config::Config;
use crate::{Error, Result};

/// A kind of model that Flowlens can compute.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct Family {
    /// The `model_type` of its `config.json`.
    pub name: &'static str,
    /// Well-known models of the family.
    pub known_for: &'static str,
    read: fn(&Config) -> Result<Architecture>,
}

const FAMILIES: [Family; 8] = [
    Family { name: "gpt2", known_for: "GPT-2, DistilGPT-2", read: gpt2::read },
    Family { name: "gpt_neo", known_for: "GPT-Neo", read: gpt_neo::read },
    Family { name: "gptj", known_for: "GPT-J", read: gptj::read },
    Family { name: "gpt_neox", known_for: "GPT-NeoX, Pythia", read: gpt_neox::read },
    Family { name: "llama", known_for: "Llama 1 to 3, SmolLM2, TinyLlama", read: llama::read },
    Family { name: "mistral", known_for: "Mistral 7B, Mistral Nemo", read: mistral::read },
    Family { name: "qwen2", known_for: "Qwen 1.5 to 2.5", read: qwen2::read },
    Family { name: "qwen3", known_for: "Qwen 3 (dense)", read: qwen3::read },
];

/// Every family that Flowlens can compute.
pub fn families() -> &'static [Family] {
    &FAMILIES
}

/// Reads a `config.json`.
pub(crate) fn read(keys: &Map<String, Value>) -> Result<Architecture> {
    let config = Config::new(keys);
    let name = config.text("model_type", "")?;
    if name.is_empty() {
        return Err(Error::config("model_type", "missing; it names the family, e.g. \"llama\""));
    }
    let Some(family) = FAMILIES.iter().find(|family| family.name == name) else {
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
    Linear { name, inputs, outputs, layout: Layout::OutIn, bias }
}

/// The head, without bias. `tied` is what the family takes when the config does not say.
fn head(config: &Config, name: &str, width: usize, vocab: usize, tied: bool) -> Result<Head> {
    let tied = config.flag("tie_word_embeddings", tied)?;
    Ok(Head { linear: linear(name.to_owned(), width, vocab, false), other_name: None, tied })
}
