//! StableLM: Llama's block with layer norms, part of each head turned, and in some models a norm for every head.

use super::layer_name;
use super::llama::{Variant, build};
use super::rope::{LLAMA, Spelling};
use crate::Result;
use crate::model::architecture::*;
use crate::model::config::Config;

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let eps = config.eps(&["layer_norm_eps"], 1e-5)?;
    let variant = Variant {
        query_key_value_bias: config.flag("use_qkv_bias", false)?,
        norm: Norm::layer("", eps),
        rope: Spelling { fraction: Some(("partial_rotary_factor", 0.25)), whole_pairs: true, ..LLAMA },
        kv_heads: Some(32),
        context: 4096,
        ..Variant::llama("stablelm", config)?
    };
    let parallel = config.flag("use_parallel_residual", false)?;
    let head_norms = config.flag("qk_layernorm", false)?;
    let mut plan = build(config, variant, |_| None)?;
    for (layer, block) in plan.main.blocks.iter_mut().enumerate() {
        if parallel {
            block.order = Order::Parallel;
            block.mlp_norms = Norms::default();
        }
        if head_norms {
            let norm = |part| Norm { bias: false, ..Norm::layer(layer_name("layers", layer, part), eps) };
            let (query, key) = (norm("self_attn.q_layernorm.norms"), norm("self_attn.k_layernorm.norms"));
            block.attention.head_norms = Some(HeadNorms { query, key, span: Span::EachHead });
        }
    }
    Ok(plan)
}
