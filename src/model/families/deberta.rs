//! DeBERTa, the first: one matrix for queries, keys and values, and a row for every distance.

use serde_json::Value;

use super::encoder::{ABSENT, Absent, HEAD, HeadNames, NAMES, Sizes};
use super::{layer_name, linear};
use crate::model::architecture::*;
use crate::model::config::Config;
use crate::{Error, Result};

const BASE: Absent = Absent { types: 0, eps: 1e-7, ..ABSENT };

/// The head of `legacy: false`, whose matrix is always the token table.
const NEW_HEAD: HeadNames = HeadNames {
    transform: "lm_predictions.lm_head.dense",
    norm: "lm_predictions.lm_head.LayerNorm",
    matrix: "lm_predictions.lm_head.decoder",
    bias: &["lm_predictions.lm_head.bias"],
};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    config.refuse("talking_head")?;
    let sizes = Sizes::read(config, &BASE)?;
    let width = sizes.width;
    let kinds = kinds(config)?;
    let has = |kind: &str| kinds.iter().any(|known| known == kind);
    let relative = config.flag("relative_attention", false)? && (has("c2p") || has("p2c"));
    let reach = config.count("max_relative_positions")?.unwrap_or(sizes.positions);
    let distances =
        Distances::Learned { table: Table::new("encoder.rel_embeddings", 2 * reach, width), norm: None, reach: None };
    let block = |layer| {
        let name = |part: &str| layer_name("encoder.layer", layer, part);
        let mut block = sizes.block(&NAMES, name);
        block.attention = Attention {
            projection: Projection::Fused {
                linear: linear(name("attention.self.in_proj"), width, 3 * width, false),
                order: FusedOrder::Groups,
            },
            biases_apart: Some(BiasesApart {
                query: name("attention.self.q_bias"),
                value: name("attention.self.v_bias"),
            }),
            // Every kind counts, known or not.
            scale: (((1 + kinds.len()) * sizes.head_dim) as f64).powf(-0.5),
            relative: relative.then(|| Relative {
                distances: distances.clone(),
                key: has("c2p").then(|| linear(name("attention.self.pos_proj"), width, width, false)),
                query: has("p2c").then(|| linear(name("attention.self.pos_q_proj"), width, width, true)),
                query_biases: None,
            }),
            ..block.attention
        };
        block
    };
    assemble("deberta", config, &sizes, None, block)
}

/// What stands round the blocks of all versions.
pub(super) fn assemble(
    family: &'static str,
    config: &Config,
    sizes: &Sizes,
    neighbours: Option<Convolution>,
    block: impl Fn(usize) -> Block,
) -> Result<Architecture> {
    let width = sizes.width;
    let narrow = config.optional_size(&["embedding_size"])?.unwrap_or(width);
    let absolute = config.flag("position_biased_input", true)?;
    let embedding = sizes.embedding(narrow, PositionIndex::Place(0));
    let embedding = Embedding {
        positions: embedding.positions.filter(|_| absolute),
        project: (narrow != width)
            .then(|| (linear("embeddings.embed_proj".into(), narrow, width, false), Place::BeforeNorm)),
        padding: Padding::Zeroed { unmarked: None },
        neighbours,
        ..embedding
    };
    let mut main = sizes.stack(embedding, 0, Sees::Both, block);
    main.context = main.context.filter(|_| absolute);
    let head = match config.flag("legacy", true)? {
        true => sizes.masked_head(config, &HEAD, narrow, sizes.activation)?,
        false => Head { tied: true, ..sizes.masked_head(config, &NEW_HEAD, width, sizes.activation)? },
    };
    Ok(Architecture::of(family, "deberta.", main, head))
}

/// `pos_att_type`: a list, or names with bars between them.
pub(super) fn kinds(config: &Config) -> Result<Vec<String>> {
    match config.value("pos_att_type") {
        None => Ok(Vec::new()),
        Some(Value::String(names)) => Ok(names.to_lowercase().split('|').map(|name| name.trim().to_owned()).collect()),
        Some(list) => serde_json::from_value(list.clone())
            .map_err(|_| Error::config("pos_att_type", format!("found {list}, expected a list of names"))),
    }
}
