//! ELECTRA: BERT with an embedding that may be narrower than the stream. Discriminators have no logits over words.

use super::encoder::{ABSENT, Absent, HeadNames, NAMES, Sizes, absolute_positions, sees};
use super::{layer_name, linear};
use crate::Result;
use crate::model::architecture::*;
use crate::model::config::Config;

const SMALL: Absent = Absent { heads: 4, inner: 1024, ..ABSENT };
const HEAD: HeadNames = HeadNames {
    transform: "generator_predictions.dense",
    norm: "generator_predictions.LayerNorm",
    matrix: "generator_lm_head",
    bias: &["generator_lm_head.bias"],
};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    absolute_positions(config)?;
    let sizes = Sizes::read(config, &SMALL)?;
    let narrow = config.optional_size(&["embedding_size"])?.unwrap_or(128);
    let project = || (linear("embeddings_project".into(), narrow, sizes.width, true), Place::AfterNorm);
    let embedding = Embedding {
        project: (narrow != sizes.width).then(project),
        ..sizes.embedding(narrow, PositionIndex::Place(0))
    };
    let block = |layer| sizes.block(&NAMES, |part| layer_name("encoder.layer", layer, part));
    let main = sizes.stack(embedding, 0, sees(config)?, block);
    // The head has exact GELU whatever the blocks have.
    let head = sizes.masked_head(config, &HEAD, narrow, Activation::Gelu)?;
    Ok(Architecture::of("electra", "electra.", main, head))
}
