//! Mixtral: Mistral's block with experts, of which each token uses two.

use super::layer_name;
use super::llama::{Variant, build, rounded_head_dim};
use super::rope::{LLAMA, Spelling};
use crate::model::architecture::*;
use crate::model::config::Config;
use crate::{Error, Result};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let window = config.optional_size(&["sliding_window"])?;
    let variant = Variant {
        norm: Norm::rms("", config.eps(&["rms_norm_eps"], 1e-5)?),
        rope: Spelling { base: 1_000_000.0, ..LLAMA },
        head_dim: rounded_head_dim(config)?,
        kv_heads: Some(8),
        context: 131_072,
        ..Variant::llama("mixtral", config)?
    };
    let count = config.optional_size(&["num_experts", "num_local_experts"])?.unwrap_or(8);
    let chosen = chosen(config, count, 2)?;
    let mut plan = build(config, variant, |_| window)?;
    for (layer, block) in plan.main.blocks.iter_mut().enumerate() {
        let name = |part| layer_name("layers", layer, part);
        let Mlp { up, gate, down, .. } = &mut block.mlp;
        (up.name, down.name) = ("w3".to_owned(), "w2".to_owned());
        gate.iter_mut().for_each(|gate| gate.name = "w1".to_owned());
        let names = vec![name("block_sparse_moe"), name("mlp")];
        block.mlp.experts = Some(Experts { names, count, chosen, normed: true, shared: None });
    }
    Ok(plan)
}

/// How many of `count` experts a token uses.
pub(super) fn chosen(config: &Config, count: usize, absent: usize) -> Result<usize> {
    match config.optional_size(&["num_experts_per_tok"])?.unwrap_or(absent) {
        chosen if chosen > count => {
            Err(Error::config("num_experts_per_tok", format!("found {chosen}, and there are {count} experts")))
        }
        chosen => Ok(chosen),
    }
}
