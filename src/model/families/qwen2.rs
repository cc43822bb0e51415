//! Qwen 2 and 2.5: Llama's block with biases on queries, keys and values.

use super::llama::{Variant, build, rounded_head_dim};
use crate::model::architecture::Architecture;
use crate::model::config::Config;
use crate::{Error, Result};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let variant = Variant {
        query_key_value_bias: true,
        head_dim: rounded_head_dim(config)?,
        kv_heads: Some(32),
        context: 32_768,
        ..Variant::llama("qwen2", config)?
    };
    let windows = windows(config)?;
    build(config, variant, |layer| windows[layer])
}

/// The window of every layer: none unless `use_sliding_window`; then those that `layer_types` names, or all from
/// `max_window_layers` on.
pub(super) fn windows(config: &Config) -> Result<Vec<Option<usize>>> {
    windows_where(config, |layer, border| layer >= border)
}

/// The same, with the layers that have a window where `layer_types` is absent: by their number and by
/// `max_window_layers`.
pub(super) fn windows_where(config: &Config, slides: fn(u64, u64) -> bool) -> Result<Vec<Option<usize>>> {
    let layers = config.layers(&["num_hidden_layers"])?;
    let window = match config.flag("use_sliding_window", false)? {
        false => None,
        true if config.has("sliding_window") => config.optional_size(&["sliding_window"])?,
        true => Some(4096),
    };
    if let Some(types) = config.per_layer("layer_types", layers)? {
        return window_of_layers(&types, window);
    }
    // Unlike other sizes this one may be 0.
    let border = config.value("max_window_layers").map_or(Some(28), |value| value.as_u64());
    let border = border.ok_or_else(|| Error::config("max_window_layers", "expected a whole number"))?;
    Ok((0..layers as u64).map(|layer| window.filter(|_| slides(layer, border))).collect())
}

/// `layer_types`, one name for each layer, into windows.
pub(super) fn window_of_layers(types: &[&str], window: Option<usize>) -> Result<Vec<Option<usize>>> {
    types
        .iter()
        .map(|kind| match (*kind, window) {
            ("full_attention" | "attention", _) => Ok(None),
            ("sliding_attention", Some(window)) => Ok(Some(window)),
            ("sliding_attention", None) => Err(Error::config(
                "layer_types",
                "names sliding layers, but there is no window (sliding_window, use_sliding_window)",
            )),
            (other, _) => Err(Error::config(
                "layer_types",
                format!("{other:?} is not known; known are full_attention and sliding_attention"),
            )),
        })
        .collect()
}
