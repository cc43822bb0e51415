//! Gemma 2: norms of what is read and of what is written, every second layer with a window, capped scores and logits.

use super::gemma::{scale_embedding, variant};
use super::layer_name;
use super::llama::{Variant, build};
use super::qwen2::window_of_layers;
use crate::Result;
use crate::model::architecture::*;
use crate::model::config::Config;

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let types = layer_types(config, 2)?;
    let windows = window_of_layers(&types, window(config)?)?;
    let variant = Variant { kv_heads: Some(4), context: 8192, ..variant("gemma2", config)? };
    let mut plan = four_norms(config, variant, &windows)?;
    let cap = soft_cap(config, "attn_logit_softcapping", Some(50.0))?;
    plan.main.blocks.iter_mut().for_each(|block| block.attention.soft_cap = cap);
    plan.head.soft_cap = soft_cap(config, "final_logit_softcapping", Some(30.0))?;
    Ok(plan)
}

/// What Gemma 2 and 3 have in common.
pub(super) fn four_norms(config: &Config, variant: Variant, windows: &[Option<usize>]) -> Result<Architecture> {
    let activation = config.activation("hidden_activation", "gelu_pytorch_tanh")?;
    let norm = variant.norm.clone();
    let scale = config.positive(&["query_pre_attn_scalar"], 256.0)?.powf(-0.5);
    let mut plan = build(config, Variant { activation, ..variant }, |layer| windows[layer])?;
    for (layer, block) in plan.main.blocks.iter_mut().enumerate() {
        let norm = |part: &str| Some(Norm { name: layer_name("layers", layer, part), ..norm.clone() });
        block.attn_norms.written = norm("post_attention_layernorm");
        block.mlp_norms.before = norm("pre_feedforward_layernorm");
        block.mlp_norms.written = norm("post_feedforward_layernorm");
        block.attention.scale = scale;
    }
    scale_embedding(&mut plan);
    Ok(plan)
}

/// What kind of attention every layer has; of `period` layers the last sees everything where the config says nothing.
pub(super) fn layer_types<'a>(config: &Config<'a>, period: usize) -> Result<Vec<&'a str>> {
    let layers = config.layers(&["num_hidden_layers"])?;
    let kind = |layer| if (layer + 1) % period == 0 { "full_attention" } else { "sliding_attention" };
    Ok(config.per_layer("layer_types", layers)?.unwrap_or_else(|| (0..layers).map(kind).collect()))
}

/// The window of the layers that have one.
pub(super) fn window(config: &Config) -> Result<Option<usize>> {
    if config.has("sliding_window") { config.optional_size(&["sliding_window"]) } else { Ok(Some(4096)) }
}

/// A cap, or `absent`; null means none.
pub(super) fn soft_cap(config: &Config, name: &'static str, absent: Option<f64>) -> Result<Option<f64>> {
    match config.value(name) {
        Some(_) => config.within(&[name], 1e-3..=1e6, 1.0).map(Some),
        None if config.has(name) => Ok(None),
        None => Ok(absent),
    }
}
