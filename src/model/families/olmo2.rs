//! OLMo 2: Llama's block with norms of what attention and MLP write in place of what they read, and norms of all
//! queries and all keys.

use super::layer_name;
use super::llama::{Variant, build, rounded_head_dim};
use crate::Result;
use crate::model::architecture::*;
use crate::model::config::Config;

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let attention_bias = config.flag("attention_bias", false)?;
    let eps = config.eps(&["rms_norm_eps"], 1e-5)?;
    let variant = Variant {
        query_key_value_bias: attention_bias,
        output_bias: attention_bias,
        norm: Norm::rms("", eps),
        head_dim: rounded_head_dim(config)?,
        ..Variant::llama("olmo2", config)?
    };
    let mut plan = build(config, variant, |_| None)?;
    for (layer, block) in plan.main.blocks.iter_mut().enumerate() {
        let norm = |part: &str| Norm::rms(layer_name("layers", layer, part), eps);
        let written = |part: &str| Norms { written: Some(norm(part)), ..Norms::default() };
        block.attn_norms = written("post_attention_layernorm");
        block.mlp_norms = written("post_feedforward_layernorm");
        let (query, key) = (norm("self_attn.q_norm"), norm("self_attn.k_norm"));
        block.attention.head_norms = Some(HeadNorms { query, key, span: Span::AllHeads });
    }
    Ok(plan)
}
