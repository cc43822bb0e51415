//! CTRL: sines and cosines for positions, embeddings scaled up, a head with a bias.

use super::{head, head_bias, layer_name, linear};
use crate::Result;
use crate::model::architecture::*;
use crate::model::config::{Config, divide};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let width = config.size(&["n_embd", "hidden_size"])?;
    let heads = config.size(&["n_head", "num_attention_heads"])?;
    let head_dim = divide(("n_embd", width), ("n_head", heads))?;
    let inner = config.size(&["dff"])?;
    let block = |layer: usize| {
        let name = |part: &str| layer_name("h", layer, part);
        let project = |part: &str| linear(name(part), width, width, true);
        // Whatever the config says: its number is the last norm's.
        let norm = |part: &str| Norms::before(Norm::layer(name(part), 1e-6));
        Block {
            order: Order::Sequential,
            attn_norms: norm("layernorm1"),
            attention: Attention::plain(
                Projection::Separate {
                    query: project("multi_head_attention.Wq"),
                    key: project("multi_head_attention.Wk"),
                    value: project("multi_head_attention.Wv"),
                },
                project("multi_head_attention.dense"),
                heads,
                head_dim,
            ),
            cross: None,
            mlp_norms: norm("layernorm2"),
            mlp: Mlp::plain(
                linear(name("ffn.0"), width, inner, true),
                Activation::Relu,
                linear(name("ffn.2"), inner, width, true),
            ),
        }
    };
    let vocab = config.size(&["vocab_size"])?;
    let main = Stack {
        width,
        context: Some(config.size(&["n_positions", "max_position_embeddings"])?),
        embedding: Embedding {
            scale: (width as f64).sqrt(),
            positions: Some(PositionTable::Sinusoidal { width, index: PositionIndex::Place(0) }),
            segments: Segments::TokenTable,
            ..Embedding::of(Table::new("w", vocab, width))
        },
        sees: Sees::Causal,
        blocks: (0..config.layers(&["n_layer", "num_hidden_layers"])?).map(block).collect(),
        final_norm: Some(Norm::layer("layernorm", config.eps(&["layer_norm_epsilon"], 1e-6)?)),
        project: None,
    };
    let head = Head { bias: head_bias(&["lm_head.bias"]), ..head(config, "lm_head", width, vocab, true)? };
    Ok(Architecture::of("ctrl", "transformer.", main, head))
}
