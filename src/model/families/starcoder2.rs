//! StarCoder 2: Llama's attention with biases, layer norms and a plain MLP.

use super::llama::{Variant, build, rounded_head_dim};
use super::{layer_name, linear};
use crate::Result;
use crate::model::architecture::*;
use crate::model::config::Config;

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let bias = config.flag("use_bias", true)?;
    let window = config.optional_size(&["sliding_window"])?;
    let variant = Variant {
        query_key_value_bias: bias,
        output_bias: bias,
        norm: Norm::layer("", config.eps(&["norm_epsilon"], 1e-5)?),
        activation: config.activation("hidden_act", "gelu_pytorch_tanh")?,
        head_dim: rounded_head_dim(config)?,
        kv_heads: Some(2),
        context: 4096,
        tied: true,
        ..Variant::llama("starcoder2", config)?
    };
    let mut plan = build(config, variant, |_| window)?;
    let width = plan.main.width;
    for (layer, block) in plan.main.blocks.iter_mut().enumerate() {
        let map = |part, inputs, outputs| linear(layer_name("layers", layer, part), inputs, outputs, bias);
        let (inner, activation) = (block.mlp.up.outputs, block.mlp.activation);
        block.mlp = Mlp::plain(map("mlp.c_fc", width, inner), activation, map("mlp.c_proj", inner, width));
    }
    Ok(plan)
}
