//! Qwen 1.5 and 2 with experts: Qwen 2's attention, and in most layers experts beside an MLP that all tokens use.

use super::llama::{Variant, build, rounded_head_dim};
use super::mixtral::chosen;
use super::qwen2::windows_where;
use super::{layer_name, linear};
use crate::model::architecture::*;
use crate::model::config::Config;
use crate::{Error, Result};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let variant = Variant {
        query_key_value_bias: config.flag("qkv_bias", true)?,
        head_dim: rounded_head_dim(config)?,
        kv_heads: Some(16),
        context: 32_768,
        ..Variant::llama("qwen2_moe", config)?
    };
    // Every second layer before the border, the first one too.
    let windows = windows_where(config, |layer, border| layer % 2 == 0 && layer < border)?;
    let mut plan = build(config, variant, |layer| windows[layer])?;
    let width = plan.main.width;
    let count = config.optional_size(&["num_experts"])?.unwrap_or(60);
    let chosen = chosen(config, count, 4)?;
    let normed = config.flag("norm_topk_prob", false)?;
    let inner = config.optional_size(&["moe_intermediate_size"])?.unwrap_or(1408);
    let shared = config.optional_size(&["shared_expert_intermediate_size"])?.unwrap_or(5632);
    let plain = plain_layers(config)?;
    for (layer, block) in plan.main.blocks.iter_mut().enumerate().filter(|(layer, _)| !plain(*layer)) {
        let name = |part: &str| layer_name("layers", layer, part);
        let activation = block.mlp.activation;
        let gated = |stem: &str, inner| {
            let map = |part, inputs, outputs| linear(format!("{stem}{part}"), inputs, outputs, false);
            let (gate, up) = (map("gate_proj", width, inner), map("up_proj", width, inner));
            Mlp::gated(gate, up, activation, map("down_proj", inner, width))
        };
        let opening = linear(name("mlp.shared_expert_gate"), width, 1, false);
        let shared = SharedExpert { mlp: Box::new(gated(&name("mlp.shared_expert."), shared)), opening };
        let experts = Experts { names: vec![name("mlp")], count, chosen, normed, shared: Some(shared) };
        block.mlp = Mlp { experts: Some(experts), ..gated("", inner) };
    }
    Ok(plan)
}

/// Which layers have no experts: those of `mlp_only_layers`, and all but every `decoder_sparse_step`-th.
fn plain_layers(config: &Config) -> Result<impl Fn(usize) -> bool> {
    let step = config.optional_size(&["decoder_sparse_step"])?.unwrap_or(1);
    let listed: Vec<usize> = match config.value("mlp_only_layers") {
        None => Vec::new(),
        Some(value) => serde_json::from_value(value.clone())
            .map_err(|_| Error::config("mlp_only_layers", format!("found {value}, expected a list of layers")))?,
    };
    Ok(move |layer| listed.contains(&layer) || (layer + 1) % step != 0)
}
