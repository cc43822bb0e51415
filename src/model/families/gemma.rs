//! Gemma: Llama's block with gains counted from 1, embeddings scaled up and heads of a width of their own.

use super::llama::{Variant, build};
use crate::Result;
use crate::model::architecture::*;
use crate::model::config::Config;

pub(super) fn read(config: &Config) -> Result<Architecture> {
    // The first files say gelu and mean the form with tanh.
    let activation = match config.text("hidden_act", "gelu")? {
        "gelu" => Activation::GeluTanh,
        other => config.activation("hidden_act", other)?,
    };
    let variant = Variant { activation, kv_heads: Some(16), context: 8192, ..variant("gemma", config)? };
    let mut plan = build(config, variant, |_| None)?;
    scale_embedding(&mut plan);
    Ok(plan)
}

/// What all Gemmas have in common.
pub(super) fn variant(family: &'static str, config: &Config) -> Result<Variant> {
    let attention_bias = config.flag("attention_bias", false)?;
    let llama = Variant::llama(family, config)?;
    Ok(Variant {
        query_key_value_bias: attention_bias,
        output_bias: attention_bias,
        norm: Norm { gain: Gain::StoredLessOne, ..llama.norm },
        head_dim: Some(256),
        tied: true,
        ..llama
    })
}

/// Token rows times √D.
pub(super) fn scale_embedding(plan: &mut Architecture) {
    plan.main.embedding.scale = (plan.main.width as f64).sqrt();
}
