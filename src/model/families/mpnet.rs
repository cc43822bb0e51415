//! MPNet: RoBERTa without token types, and with T5's buckets of distances, which all layers share.

use super::encoder::{ABSENT, LM_HEAD, Names, Sizes};
use super::layer_name;
use crate::model::architecture::*;
use crate::model::config::Config;
use crate::{Error, Result};

const NAMES: Names = Names {
    query: "attention.attn.q",
    key: "attention.attn.k",
    value: "attention.attn.v",
    output: "attention.attn.o",
    attn_norm: "attention.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    mlp_norm: "output.LayerNorm",
};
/// Both are fixed, whatever the config says.
const PADDING: usize = 1;
const BUCKETS: Buckets = Buckets { count: 32, max_distance: 128, both_ways: true };

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let sizes = Sizes { types: 0, ..Sizes::read(config, &ABSENT)? };
    let rows = config.optional_size(&["relative_attention_num_buckets"])?.unwrap_or(BUCKETS.count);
    if rows < BUCKETS.count {
        return Err(Error::config("relative_attention_num_buckets", format!("found {rows}, expected 32 at least")));
    }
    let embedding = sizes.embedding(sizes.width, PositionIndex::AfterPadding(PADDING));
    let block = |layer| {
        let mut block = sizes.block(&NAMES, |part| layer_name("encoder.layer", layer, part));
        let table = Table::new("encoder.relative_attention_bias", rows, sizes.heads);
        block.attention.position_bias = Some(PositionBias::Buckets { table, buckets: BUCKETS });
        block
    };
    let main = sizes.stack(embedding, PADDING + 1, Sees::Both, block);
    // The head has exact GELU whatever the blocks have.
    let head = sizes.masked_head(config, &LM_HEAD, sizes.width, Activation::Gelu)?;
    Ok(Architecture::of("mpnet", "mpnet.", main, head))
}
