//! ModernBERT: pre-norm, rotary, gated; most layers see only their surroundings, with a rotation of their own.

use super::rope::{self, Rope};
use super::{head, head_bias, layer_name, linear};
use crate::model::architecture::*;
use crate::model::config::{Config, divide};
use crate::{Error, Result};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let width = config.optional_size(&["hidden_size"])?.unwrap_or(768);
    let heads = config.optional_size(&["num_attention_heads"])?.unwrap_or(12);
    let head_dim = divide(("hidden_size", width), ("num_attention_heads", heads))?;
    let inner = config.optional_size(&["intermediate_size"])?.unwrap_or(1152);
    let layers = config.layers_or(&["num_hidden_layers"], 22)?;
    let context = config.optional_size(&["max_position_embeddings"])?.unwrap_or(8192);
    let eps = config.positive(&["norm_eps"], 1e-5)?;
    let norm_bias = config.flag("norm_bias", false)?;
    let norm = |name: String| Norm { bias: norm_bias, ..Norm::layer(name, eps) };
    let attention_bias = config.flag("attention_bias", false)?;
    let mlp_bias = config.flag("mlp_bias", false)?;
    let activation = config.activation("hidden_activation", "gelu")?;
    // `local_attention` counts both sides, the window one side and the position itself.
    let window = config.optional_size(&["local_attention"])?.unwrap_or(128) / 2 + 1;
    let local = local_layers(config, layers)?;
    let whole: Rope = rope::of_layers(config, "full_attention", ("global_rope_theta", 160_000.0), head_dim, context)?;
    let near: Rope = rope::of_layers(config, "sliding_attention", ("local_rope_theta", 10_000.0), head_dim, context)?;
    let block = |layer: usize| {
        let name = |part: &str| layer_name("layers", layer, part);
        let projection = Projection::Fused {
            linear: linear(name("attn.Wqkv"), width, 3 * width, attention_bias),
            order: FusedOrder::Blocks,
        };
        let half =
            |first| Linear { part_of: Some((first, 2 * inner)), ..linear(name("mlp.Wi"), width, inner, mlp_bias) };
        Block {
            order: Order::Sequential,
            // The embedding's norm has just been there.
            attn_norms: if layer == 0 { Norms::default() } else { Norms::before(norm(name("attn_norm"))) },
            attention: Attention {
                rotary: Some(if local[layer] { near.rotary.clone() } else { whole.rotary.clone() }),
                window: local[layer].then_some(window),
                ..Attention::plain(projection, linear(name("attn.Wo"), width, width, attention_bias), heads, head_dim)
            },
            cross: None,
            mlp_norms: Norms::before(norm(name("mlp_norm"))),
            mlp: Mlp {
                gate: Some(half(0)),
                up: half(inner),
                down: linear(name("mlp.Wo"), inner, width, mlp_bias),
                activation,
            },
        }
    };
    let vocab = config.size(&["vocab_size"])?;
    let main = Stack {
        width,
        context: Some(whole.context),
        embedding: Embedding {
            norm: Some(norm("embeddings.norm".into())),
            ..Embedding::of(Table::new("embeddings.tok_embeddings", vocab, width))
        },
        sees: Sees::Both,
        blocks: (0..layers).map(block).collect(),
        final_norm: Some(norm("final_norm".into())),
        project: None,
    };
    let head = Head {
        transform: Some(Transform {
            linear: linear("head.dense".into(), width, width, config.flag("classifier_bias", false)?),
            activation: config.activation("classifier_activation", "gelu")?,
            norm: Some(norm("head.norm".into())),
        }),
        bias: if config.flag("decoder_bias", true)? { head_bias(&["decoder.bias"]) } else { None },
        optional: true,
        ..head(config, "decoder", width, vocab, true)?
    };
    Ok(Architecture::of("modernbert", "model.", main, head))
}

/// Which layers see only their surroundings.
fn local_layers(config: &Config, layers: usize) -> Result<Vec<bool>> {
    let every = config.optional_size(&["global_attn_every_n_layers"])?.unwrap_or(3);
    let Some(types) = config.per_layer("layer_types", layers)? else {
        return Ok((0..layers).map(|layer| !layer.is_multiple_of(every)).collect());
    };
    let is_local = |kind: &str| match kind {
        "sliding_attention" => Ok(true),
        "full_attention" => Ok(false),
        other => Err(Error::config("layer_types", format!("{other:?} is not known"))),
    };
    types.into_iter().map(is_local).collect()
}
