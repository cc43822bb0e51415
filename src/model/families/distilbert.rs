//! DistilBERT: BERT without token types, under names of its own.

use super::encoder::{ABSENT, HeadNames, Names, Sizes};
use super::layer_name;
use crate::Result;
use crate::model::architecture::*;
use crate::model::config::{Config, divide};

const NAMES: Names = Names {
    query: "attention.q_lin",
    key: "attention.k_lin",
    value: "attention.v_lin",
    output: "attention.out_lin",
    attn_norm: "sa_layer_norm",
    up: "ffn.lin1",
    down: "ffn.lin2",
    mlp_norm: "output_layer_norm",
};
const HEAD: HeadNames = HeadNames {
    transform: "vocab_transform",
    norm: "vocab_layer_norm",
    matrix: "vocab_projector",
    bias: &["vocab_projector.bias"],
};

/// `sinusoidal_pos_embds` says how the table of positions began; files hold the table either way.
pub(super) fn read(config: &Config) -> Result<Architecture> {
    let width = config.optional_size(&["dim", "hidden_size"])?.unwrap_or(768);
    let heads = config.optional_size(&["n_heads", "num_attention_heads"])?.unwrap_or(12);
    let sizes = Sizes {
        width,
        heads,
        head_dim: divide(("dim", width), ("n_heads", heads))?,
        inner: config.optional_size(&["hidden_dim"])?.unwrap_or(3072),
        layers: config.layers_or(&["n_layers", "num_hidden_layers"], 6)?,
        vocab: config.size(&["vocab_size"])?,
        positions: config.optional_size(&["max_position_embeddings"])?.unwrap_or(512),
        types: 0,
        eps: ABSENT.eps,
        activation: config.activation("activation", "gelu")?,
    };
    let embedding = sizes.embedding(width, PositionIndex::Place(0));
    let block = |layer| sizes.block(&NAMES, |part| layer_name("transformer.layer", layer, part));
    let main = sizes.stack(embedding, 0, Sees::Both, block);
    let head = sizes.masked_head(config, &HEAD, width, sizes.activation)?;
    Ok(Architecture::of("distilbert", "distilbert.", main, head))
}
