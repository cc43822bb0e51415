//! ALBERT: a narrow embedding, and layers that share the weights of a few groups.

use super::encoder::{ABSENT, Absent, HeadNames, Names, Sizes, absolute_positions};
use super::linear;
use crate::Result;
use crate::model::architecture::*;
use crate::model::config::Config;

const XXLARGE: Absent = Absent { heads: 64, inner: 16384, activation: "gelu_new", ..ABSENT };
const NAMES: Names = Names {
    query: "attention.query",
    key: "attention.key",
    value: "attention.value",
    output: "attention.dense",
    attn_norm: "attention.LayerNorm",
    up: "ffn",
    down: "ffn_output",
    mlp_norm: "full_layer_layer_norm",
};
const HEAD: HeadNames = HeadNames {
    transform: "predictions.dense",
    norm: "predictions.LayerNorm",
    matrix: "predictions.decoder",
    bias: &["predictions.decoder.bias", "predictions.bias"],
};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    absolute_positions(config)?;
    let sizes = Sizes::read(config, &XXLARGE)?;
    let narrow = config.optional_size(&["embedding_size"])?.unwrap_or(128);
    let groups = config.optional_size(&["num_hidden_groups"])?.unwrap_or(1);
    let inner = config.layers_or(&["inner_group_num"], 1)?;
    let embedding = Embedding {
        project: Some((
            linear("encoder.embedding_hidden_mapping_in".into(), narrow, sizes.width, true),
            Place::AfterNorm,
        )),
        ..sizes.embedding(narrow, PositionIndex::Place(0))
    };
    // Every layer of the config runs through all inner layers of its group; each of these counts as a layer here.
    let outer = sizes.layers;
    let sizes = Sizes { layers: config.depth("inner_group_num", outer * inner)?, ..sizes };
    let block = |layer: usize| {
        let group = ((layer / inner) as f64 / (outer as f64 / groups as f64)) as usize;
        let list = format!("encoder.albert_layer_groups.{group}.albert_layers.{}", layer % inner);
        sizes.block(&NAMES, |part| format!("{list}.{part}"))
    };
    let head = sizes.masked_head(config, &HEAD, narrow, sizes.activation)?;
    let main = sizes.stack(embedding, 0, Sees::Both, block);
    Ok(Architecture::of("albert", "albert.", main, head))
}
