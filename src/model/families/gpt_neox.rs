//! GPT-NeoX and Pythia: two norms side by side, one projection for query, key and value of each head in turn.

use super::rope::{self, Rope};
use super::{head, layer_name, linear};
use crate::model::architecture::*;
use crate::model::config::{Config, divide};
use crate::{Error, Result};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let width = config.size(&["hidden_size"])?;
    let heads = config.size(&["num_attention_heads"])?;
    let head_dim = divide(("hidden_size", width), ("num_attention_heads", heads))?;
    let inner = config.size(&["intermediate_size"])?;
    let context = config.optional_size(&["max_position_embeddings"])?.unwrap_or(2048);
    let eps = config.eps(&["layer_norm_eps"], 1e-5)?;
    let activation = config.activation("hidden_act", "gelu")?;
    let bias = config.flag("attention_bias", true)?;
    let order = if config.flag("use_parallel_residual", true)? { Order::Parallel } else { Order::Sequential };
    if config.optional_size(&["head_dim"])?.is_some_and(|given| given != head_dim) {
        return Err(Error::config("head_dim", format!("is not hidden_size / num_attention_heads ({head_dim})")));
    }
    let spelling = rope::Spelling { theta: "rotary_emb_base", fraction: Some(("rotary_pct", 0.25)), ..rope::LLAMA };
    let Rope { rotary, context } = rope::rope(config, &spelling, head_dim, context)?;
    let block = |layer: usize| {
        let name = |part: &str| layer_name("layers", layer, part);
        Block {
            order,
            attn_norms: Norms::before(Norm::layer(name("input_layernorm"), eps)),
            attention: Attention {
                rotary: Some(rotary.clone()),
                ..Attention::plain(
                    Projection::Fused {
                        linear: linear(name("attention.query_key_value"), width, 3 * width, bias),
                        order: FusedOrder::Groups,
                    },
                    linear(name("attention.dense"), width, width, bias),
                    heads,
                    head_dim,
                )
            },
            cross: None,
            mlp_norms: Norms::before(Norm::layer(name("post_attention_layernorm"), eps)),
            mlp: Mlp::plain(
                linear(name("mlp.dense_h_to_4h"), width, inner, true),
                activation,
                linear(name("mlp.dense_4h_to_h"), inner, width, true),
            ),
        }
    };
    let vocab = config.size(&["vocab_size"])?;
    let main = Stack {
        width,
        context: Some(context),
        embedding: Embedding::of(Table::new("embed_in", vocab, width)),
        sees: Sees::Causal,
        blocks: (0..config.layers(&["num_hidden_layers"])?).map(block).collect(),
        final_norm: Some(Norm::layer("final_layer_norm", eps)),
        project: None,
    };
    let head = Head { other_name: Some("lm_head".into()), ..head(config, "embed_out", width, vocab, false)? };
    Ok(Architecture::of("gpt_neox", "gpt_neox.", main, head))
}
