//! Mistral: Llama's block with a sliding window in every layer, or in those that `layer_types` names.

use super::llama::{Variant, build, rounded_head_dim};
use super::qwen2::window_of_layers;
use crate::Result;
use crate::model::architecture::Architecture;
use crate::model::config::Config;

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let layers = config.layers(&["num_hidden_layers"])?;
    // An absent key means 4096, as in the first release; later ones say null for none.
    let window = if config.has("sliding_window") { config.optional_size(&["sliding_window"])? } else { Some(4096) };
    let windows = match config.per_layer("layer_types", layers)? {
        Some(types) => window_of_layers(&types, window)?,
        None => vec![window; layers],
    };
    let variant = Variant {
        head_dim: rounded_head_dim(config)?,
        kv_heads: Some(8),
        context: 131_072,
        ..Variant::llama("mistral", config)?
    };
    build(config, variant, |layer| windows[layer])
}
