//! DeBERTa, the first: one matrix for queries, keys and values, and a row for every distance.

use super::deberta_v2::{assemble, kinds};
use super::encoder::{ABSENT, Absent, NAMES, Sizes};
use super::{layer_name, linear};
use crate::Result;
use crate::model::architecture::*;
use crate::model::config::Config;

const BASE: Absent = Absent { types: 0, eps: 1e-7, ..ABSENT };

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
