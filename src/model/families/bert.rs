//! BERT: a post-norm encoder with token types and a masked language model's head.

use super::encoder::{ABSENT, HEAD, NAMES, Sizes, absolute_positions, sees};
use super::layer_name;
use crate::Result;
use crate::model::architecture::*;
use crate::model::config::Config;

pub(super) fn read(config: &Config) -> Result<Architecture> {
    absolute_positions(config)?;
    let sizes = Sizes::read(config, &ABSENT)?;
    let embedding = sizes.embedding(sizes.width, PositionIndex::Place(0));
    let block = |layer| sizes.block(&NAMES, |part| layer_name("encoder.layer", layer, part));
    let main = sizes.stack(embedding, 0, sees(config)?, block);
    let head = sizes.masked_head(config, &HEAD, sizes.width, sizes.activation)?;
    Ok(Architecture::of("bert", "bert.", main, head))
}
