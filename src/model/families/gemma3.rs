//! Gemma 3, its text part: Gemma 2's norms, norms of heads, and a rotation for each kind of layer.

use serde_json::{Map, Value, json};

use super::gemma::variant;
use super::gemma2::{four_norms, layer_types, soft_cap, window};
use super::llama::Variant;
use super::qwen2::window_of_layers;
use super::rope::{self, Rope, Spelling};
use crate::model::architecture::*;
use crate::model::config::Config;
use crate::{Error, Result};

/// A model of texts.
pub(super) fn read(config: &Config) -> Result<Architecture> {
    let mut plan = text("gemma3_text", config)?;
    plan.head.soft_cap = soft_cap(config, "final_logit_softcapping", None)?;
    Ok(plan)
}

/// The text part of a model of images and texts. Its logits are never capped.
pub(super) fn read_beside_images(config: &Config) -> Result<Architecture> {
    let Some(inside) = config.object("text_config")? else {
        return Err(Error::config("text_config", "missing; it describes the part that reads text"));
    };
    // Published files leave out what they share with the smallest model.
    let mut keys = inside.keys().clone();
    for (name, absent) in [("vocab_size", 262_208), ("num_attention_heads", 8), ("num_key_value_heads", 4)] {
        keys.entry(name).or_insert(json!(absent));
    }
    let tied = config.flag("tie_word_embeddings", true)?;
    keys.insert("tie_word_embeddings".to_owned(), json!(tied));
    let mut plan = text("gemma3", &Config::new(&keys))?;
    plan.prefix = "language_model.model.";
    plan.head.other_name = Some("language_model.lm_head".to_owned());
    Ok(plan)
}

fn text(family: &'static str, config: &Config) -> Result<Architecture> {
    let both_ways = config.flag("use_bidirectional_attention", false)?;
    let period = config.optional_size(&["sliding_window_pattern"])?.unwrap_or(6);
    let types = layer_types(config, period)?;
    let window = window(config)?.map(|window| if both_ways { window / 2 + 1 } else { window });
    let windows = window_of_layers(&types, window)?;
    let context = config.optional_size(&["max_position_embeddings"])?.unwrap_or(131_072);
    let variant = Variant { kv_heads: Some(4), context, head_norms: true, ..variant(family, config)? };
    let (global, local) = rotations(config, variant.head_dim(config)?, context)?;
    // The block takes one rotation for all layers; they get their own below.
    let mut without = config.keys().clone();
    without.retain(|name, _| !name.starts_with("rope_"));
    let mut plan = four_norms(&Config::new(&without), variant, &windows)?;
    for (block, kind) in plan.main.blocks.iter_mut().zip(types) {
        let rope = if kind == "sliding_attention" { &local } else { &global };
        block.attention.rotary = Some(rope.rotary.clone());
    }
    plan.main.context = Some(global.context.max(local.context));
    if both_ways {
        plan.main.sees = Sees::Both;
    }
    Ok(plan)
}

/// The rotations of the layers that see everything and of those with a window: under the kind of layer in
/// `rope_parameters` (transformers 5), or beside each other. `rope_scaling` is for the former.
fn rotations(config: &Config, head_dim: usize, context: usize) -> Result<(Rope, Rope)> {
    let nested = config.object("rope_parameters")?;
    let of = |kind| -> Result<Map<String, Value>> {
        let given = nested.map(|nested| nested.object(kind)).transpose()?.flatten();
        // Only where nothing is given the kind of scaling must be called `rope_type`.
        Ok(given.map_or_else(|| Map::from_iter([("rope_type".to_owned(), json!("default"))]), |own| own.keys().clone()))
    };
    let mut global = of("full_attention")?;
    if let Some(scaling) = config.object("rope_scaling")? {
        global.extend(scaling.keys().clone());
    }
    let local = of("sliding_attention")?;
    let rope = |keys: &Map<String, Value>, theta, base| {
        let spelling = Spelling { theta, base, ..rope::LLAMA };
        rope::inside_of(config, &Config::new(keys), &spelling, head_dim, context)
    };
    Ok((rope(&global, "rope_theta", 1_000_000.0)?, rope(&local, "rope_local_base_freq", 10_000.0)?))
}
