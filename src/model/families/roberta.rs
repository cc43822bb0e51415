//! RoBERTa, CamemBERT and XLM-RoBERTa: BERT whose positions begin after the padding token's id.

use super::encoder::{ABSENT, LM_HEAD, NAMES, Sizes, absolute_positions, sees};
use super::layer_name;
use crate::model::architecture::*;
use crate::model::config::Config;
use crate::{Error, Result};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    read_as("roberta", config)
}

pub(super) fn camembert(config: &Config) -> Result<Architecture> {
    read_as("camembert", config)
}

pub(super) fn xlm_roberta(config: &Config) -> Result<Architecture> {
    read_as("xlm-roberta", config)
}

fn read_as(family: &'static str, config: &Config) -> Result<Architecture> {
    absolute_positions(config)?;
    let sizes = Sizes::read(config, &ABSENT)?;
    let padding = config.whole(&["pad_token_id"], 1)?;
    if padding + 1 >= sizes.positions {
        return Err(Error::config("pad_token_id", format!("{padding} leaves no row of max_position_embeddings")));
    }
    let embedding = sizes.embedding(sizes.width, PositionIndex::AfterPadding(padding));
    let block = |layer| sizes.block(&NAMES, |part| layer_name("encoder.layer", layer, part));
    let main = sizes.stack(embedding, padding + 1, sees(config)?, block);
    // The head has exact GELU whatever the blocks have.
    let head = sizes.masked_head(config, &LM_HEAD, sizes.width, Activation::Gelu)?;
    Ok(Architecture::of(family, "roberta.", main, head))
}
