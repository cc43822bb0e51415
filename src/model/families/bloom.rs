//! Bloom: positions by slopes alone, a norm behind the embedding, one projection for query, key and value of each head
//! in turn.

use super::{head, layer_name, linear};
use crate::Result;
use crate::model::architecture::*;
use crate::model::config::{Config, divide};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let width = config.size(&["hidden_size", "n_embed"])?;
    let heads = config.size(&["n_head", "num_attention_heads"])?;
    let head_dim = divide(("hidden_size", width), ("n_head", heads))?;
    let eps = config.eps(&["layer_norm_epsilon"], 1e-5)?;
    // The sums of slices that stand in for two of the maps leave their biases out.
    let slices = config.optional_size(&["pretraining_tp"])?.unwrap_or(1);
    let bias = !(config.flag("slow_but_exact", false)? && slices > 1);
    let norms = match config.flag("apply_residual_connection_post_layernorm", false)? {
        true => Norms::first,
        false => Norms::before,
    };
    let block = |layer: usize| {
        let name = |part: &str| layer_name("h", layer, part);
        Block {
            order: Order::Sequential,
            attn_norms: norms(Norm::layer(name("input_layernorm"), eps)),
            attention: Attention {
                position_bias: Some(PositionBias::Slopes(Slopes::of(heads))),
                ..Attention::plain(
                    Projection::Fused {
                        linear: linear(name("self_attention.query_key_value"), width, 3 * width, true),
                        order: FusedOrder::Groups,
                    },
                    linear(name("self_attention.dense"), width, width, bias),
                    heads,
                    head_dim,
                )
            },
            cross: None,
            mlp_norms: norms(Norm::layer(name("post_attention_layernorm"), eps)),
            mlp: Mlp::plain(
                linear(name("mlp.dense_h_to_4h"), width, 4 * width, true),
                Activation::GeluTanh,
                linear(name("mlp.dense_4h_to_h"), 4 * width, width, bias),
            ),
        }
    };
    let vocab = config.size(&["vocab_size"])?;
    let main = Stack {
        width,
        context: None,
        embedding: Embedding {
            norm: Some(Norm::layer("word_embeddings_layernorm", eps)),
            ..Embedding::of(Table::new("word_embeddings", vocab, width))
        },
        sees: Sees::Causal,
        blocks: (0..config.layers(&["n_layer", "num_hidden_layers"])?).map(block).collect(),
        final_norm: Some(Norm::layer("ln_f", eps)),
        project: None,
    };
    Ok(Architecture::of("bloom", "transformer.", main, head(config, "lm_head", width, vocab, true)?))
}
