//! Mistral: Llama's block with a sliding window in every layer.

use super::llama::{Variant, build};
use crate::Result;
use crate::model::architecture::Architecture;
use crate::model::config::Config;

pub(super) fn read(config: &Config) -> Result<Architecture> {
    // An absent key means 4096, as in the first release; later ones say null for none.
    let window = if config.has("sliding_window") { config.optional_size(&["sliding_window"])? } else { Some(4096) };
    let variant = Variant {
        family: "mistral",
        query_key_value_bias: false,
        output_bias: false,
        mlp_bias: false,
        head_norms: false,
        head_dim: None,
        context: 131_072,
    };
    build(config, variant, |_| window)
}
