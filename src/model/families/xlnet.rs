//! XLNet: scores that know distances through their sines and cosines, and whether two tokens share a segment.

use super::{head, head_bias, layer_name, linear};
use crate::model::architecture::*;
use crate::model::config::{Config, divide};
use crate::{Error, Result};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    // Its two halves of a batch are empty in a batch of one.
    config.refuse("bi_data")?;
    let width = config.optional_size(&["d_model", "hidden_size"])?.unwrap_or(1024);
    let heads = config.optional_size(&["n_head", "num_attention_heads"])?.unwrap_or(16);
    let head_dim = divide(("d_model", width), ("n_head", heads))?;
    if let Some(other) = config.optional_size(&["d_head"])?.filter(|&other| other != head_dim) {
        return Err(Error::config("d_head", format!("found {other}, expected d_model / n_head, {head_dim}")));
    }
    let inner = config.optional_size(&["d_inner"])?.unwrap_or(4096);
    let eps = config.eps(&["layer_norm_eps"], 1e-12)?;
    let activation = config.activation("ff_activation", "gelu")?;
    let sees = match config.text("attn_type", "bi")? {
        "bi" => Sees::Both,
        "uni" => Sees::Causal,
        other => return Err(Error::config("attn_type", format!("found {other:?}, expected \"bi\" or \"uni\""))),
    };
    // The same length for all is that of the first position: itself.
    let alone = sees == Sees::Causal && config.flag("same_length", false)?;
    let distances = Distances::Sinusoidal { width, clamp: config.count("clamp_len")? };
    let block = |layer: usize| {
        let name = |part: &str| layer_name("layer", layer, part);
        let into_heads =
            |part: &str| Linear { layout: Layout::InByHead(heads), ..linear(name(part), width, width, false) };
        let projection = Projection::Separate {
            query: into_heads("rel_attn.q"),
            key: into_heads("rel_attn.k"),
            value: into_heads("rel_attn.v"),
        };
        let output = Linear { layout: Layout::OutByHead(heads), ..into_heads("rel_attn.o") };
        Block {
            order: Order::Sequential,
            attn_norms: Norms::after(Norm::layer(name("rel_attn.layer_norm"), eps)),
            attention: Attention {
                relative: Some(Relative {
                    distances: distances.clone(),
                    key: Some(into_heads("rel_attn.r")),
                    query: None,
                    query_biases: Some(QueryBiases {
                        content: name("rel_attn.r_w_bias"),
                        position: name("rel_attn.r_r_bias"),
                        segment: name("rel_attn.r_s_bias"),
                        segments: name("rel_attn.seg_embed"),
                    }),
                }),
                window: alone.then_some(1),
                ..Attention::plain(projection, output, heads, head_dim)
            },
            cross: None,
            mlp_norms: Norms::after(Norm::layer(name("ff.layer_norm"), eps)),
            mlp: Mlp::plain(
                linear(name("ff.layer_1"), width, inner, true),
                activation,
                linear(name("ff.layer_2"), inner, width, true),
            ),
        }
    };
    let vocab = config.size(&["n_token", "vocab_size"])?;
    let main = Stack {
        width,
        context: None,
        embedding: Embedding {
            segments: Segments::Relative,
            ..Embedding::of(Table::new("word_embedding", vocab, width))
        },
        sees,
        blocks: (0..config.layers_or(&["n_layer", "num_hidden_layers"], 24)?).map(block).collect(),
        final_norm: None,
        project: None,
    };
    let head =
        Head { bias: head_bias(&["lm_loss.bias"]), optional: true, ..head(config, "lm_loss", width, vocab, true)? };
    Ok(Architecture::of("xlnet", "transformer.", main, head))
}
