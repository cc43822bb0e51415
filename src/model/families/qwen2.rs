//! Qwen 2 and 2.5: Llama's block with biases on queries, keys and values.

use super::llama::{Variant, build};
use crate::model::architecture::Architecture;
use crate::model::config::Config;
use crate::{Error, Result};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let variant = Variant {
        family: "qwen2",
        query_key_value_bias: true,
        output_bias: false,
        mlp_bias: false,
        head_norms: false,
        head_dim: None,
        context: 32_768,
    };
    let windows = windows(config)?;
    build(config, variant, |layer| windows[layer])
}

/// The window of every layer: none unless `use_sliding_window`; then those that `layer_types` names, or all from
/// `max_window_layers` on.
pub(super) fn windows(config: &Config) -> Result<Vec<Option<usize>>> {
    let layers = config.layers(&["num_hidden_layers"])?;
    let types = config.per_layer("layer_types", layers)?;
    if !config.flag("use_sliding_window", false)? {
        return Ok(vec![None; layers]);
    }
    let window = if config.has("sliding_window") { config.optional_size(&["sliding_window"])? } else { Some(4096) };
    // Unlike other sizes this one may be 0: every layer slides.
    let first = config.value("max_window_layers").map_or(Some(28), |value| value.as_u64());
    let first = first.ok_or_else(|| Error::config("max_window_layers", "expected a whole number"))?;
    (0..layers)
        .map(|layer| match types.as_ref().map(|types| types[layer]) {
            None => Ok(window.filter(|_| layer as u64 >= first)),
            Some("sliding_attention") => Ok(window),
            Some("full_attention") => Ok(None),
            Some(other) => Err(Error::config(
                "layer_types",
                format!("{other:?} is not known; known are full_attention and sliding_attention"),
            )),
        })
        .collect()
}
