//! Phi 3 and 4: Llama's block with queries, keys and values in one matrix, gate and up in another.

use serde_json::{Value, json};

use super::llama::{Variant, build, rounded_head_dim};
use super::rope::{LLAMA, Spelling};
use super::{layer_name, linear};
use crate::model::architecture::*;
use crate::model::config::Config;
use crate::{Error, Result};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let mut keys = config.keys().clone();
    keys.entry("original_max_position_embeddings").or_insert(json!(4096));
    for name in ["rope_scaling", "rope_parameters"] {
        if let Some(Value::Object(scaling)) = keys.get_mut(name) {
            for (_, kind) in scaling.iter_mut().filter(|(key, _)| matches!(key.as_str(), "type" | "rope_type")) {
                *kind = json!(kind_of_scaling(kind)?);
            }
        }
    }
    let config = &Config::new(&keys);
    let window = config.optional_size(&["sliding_window"])?;
    let variant = Variant {
        norm: Norm::rms("", config.eps(&["rms_norm_eps"], 1e-5)?),
        rope: Spelling { fraction: Some(("partial_rotary_factor", 1.0)), ..LLAMA },
        head_dim: rounded_head_dim(config)?,
        context: 4096,
        ..Variant::llama("phi3", config)?
    };
    let mut plan = build(config, variant, |_| window)?;
    let width = plan.main.width;
    for (layer, block) in plan.main.blocks.iter_mut().enumerate() {
        let Attention { heads, kv_heads, head_dim, .. } = block.attention;
        let name = layer_name("layers", layer, "self_attn.qkv_proj");
        block.attention.projection = Projection::Fused {
            linear: linear(name, width, (heads + 2 * kv_heads) * head_dim, false),
            order: FusedOrder::Blocks,
        };
        let (name, inner) = (layer_name("layers", layer, "mlp.gate_up_proj"), block.mlp.up.outputs);
        let half = |first| Linear { part_of: Some((first, 2 * inner)), ..linear(name.clone(), width, inner, false) };
        block.mlp.gate = Some(half(0));
        block.mlp.up = half(inner);
    }
    Ok(plan)
}

/// There is one kind of scaling, which the first files call by other names.
fn kind_of_scaling(kind: &Value) -> Result<&'static str> {
    match kind.as_str() {
        Some("default") => Ok("default"),
        Some("longrope" | "su" | "yarn") => Ok("longrope"),
        _ => Err(Error::config("rope_scaling", format!("{kind} is not longrope, the one kind that Phi 3 has"))),
    }
}
