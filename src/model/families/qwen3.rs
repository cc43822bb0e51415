//! Qwen 3: Llama's block with a norm on every query and key head.

use super::llama::{Variant, build};
use super::qwen2::windows;
use crate::Result;
use crate::model::architecture::Architecture;
use crate::model::config::Config;

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let attention_bias = config.flag("attention_bias", false)?;
    let variant = Variant {
        query_key_value_bias: attention_bias,
        output_bias: attention_bias,
        head_norms: true,
        head_dim: Some(128),
        kv_heads: Some(32),
        context: 32_768,
        ..Variant::llama("qwen3", config)?
    };
    let windows = windows(config)?;
    build(config, variant, |layer| windows[layer])
}
