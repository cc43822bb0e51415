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
    let layer_norm = NormKind::Layer { eps: config.positive(&["layer_norm_eps"], 1e-5)? };
    let activation = config.activation("hidden_act", "gelu")?;
    let bias = config.flag("attention_bias", true)?;
    let order = if config.flag("use_parallel_residual", true)? { Order::Parallel } else { Order::Sequential };
    if config.optional_size(&["head_dim"])?.is_some_and(|given| given != head_dim) {
        return Err(Error::config("head_dim", format!("is not hidden_size / num_attention_heads ({head_dim})")));
    }
    let spelling = rope::Spelling { theta: "rotary_emb_base", fraction: Some(("rotary_pct", 0.25)) };
    let Rope { rotary, context } = rope::rope(config, &spelling, head_dim, context)?;
    let norm = |name: String| Norm { name, kind: layer_norm };
    let block = |layer: usize| {
        let name = |part: &str| layer_name("layers", layer, part);
        Block {
            order,
            attn_norm: norm(name("input_layernorm")),
            attention: Attention {
                projection: Projection::Fused {
                    linear: linear(name("attention.query_key_value"), width, 3 * width, bias),
                    order: FusedOrder::PerHead,
                },
                output: linear(name("attention.dense"), width, width, bias),
                heads,
                kv_heads: heads,
                head_dim,
                scale: (head_dim as f64).powf(-0.5),
                rotary: Some(rotary.clone()),
                head_norms: None,
                window: None,
            },
            mlp_norm: norm(name("post_attention_layernorm")),
            mlp: Mlp {
                up: linear(name("mlp.dense_h_to_4h"), width, inner, true),
                gate: None,
                down: linear(name("mlp.dense_4h_to_h"), inner, width, true),
                activation,
            },
        }
    };
    let vocab = config.size(&["vocab_size"])?;
    Ok(Architecture {
        family: "gpt_neox",
        prefix: "gpt_neox.",
        width,
        vocab,
        context,
        embedding: Embedding { tokens: "embed_in".into(), positions: None, segments: Segments::None },
        blocks: (0..config.layers(&["num_hidden_layers"])?).map(block).collect(),
        final_norm: norm("final_layer_norm".into()),
        head: Head { other_name: Some("lm_head".into()), ..head(config, "embed_out", width, vocab, false)? },
    })
}
