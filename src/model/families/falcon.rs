//! Falcon: parallel blocks with one key head or few (7B, 40B), and its forerunners with slopes (RW).

use super::rope::{self, Rope};
use super::{head, layer_name, linear};
use crate::model::architecture::*;
use crate::model::config::{Config, divide};
use crate::{Error, Result};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let width = config.size(&["hidden_size", "n_embed"])?;
    let heads = config.size(&["n_head", "num_attention_heads"])?;
    let head_dim = divide(("hidden_size", width), ("num_attention_heads", heads))?;
    let inner = config.optional_size(&["ffn_hidden_size"])?.unwrap_or(4 * width);
    let eps = config.eps(&["layer_norm_epsilon"], 1e-5)?;
    let activation = config.activation("activation", "gelu")?;
    let bias = config.flag("bias", false)?;
    // The first files have names of their own, and took other things for granted.
    let published = config.text("model_type", "falcon")?;
    let new = config.flag("new_decoder_architecture", published == "RefinedWeb")?;
    let parallel = config.flag("parallel_attn", new || published == "falcon")?;
    let kv_heads = match config.flag("multi_query", published == "falcon")? {
        _ if new => config.optional_size(&["n_head_kv", "num_kv_heads"])?.unwrap_or(heads),
        true => 1,
        false => heads,
    };
    divide(("num_attention_heads", heads), ("num_kv_heads", kv_heads))?;
    let (attn_norm, mlp_norm) = norm_names(config, new, parallel)?;
    let slopes = Slopes { scale: (head_dim as f64).powf(-0.5), rounded: true, ..Slopes::of(heads) };
    let (bias_by_position, rotary, context) = match config.flag("alibi", false)? {
        true => (Some(PositionBias::Slopes(slopes)), None, None),
        false => {
            let context = config.optional_size(&["max_position_embeddings"])?.unwrap_or(2048);
            let Rope { rotary, context } = rope::rope(config, &rope::LLAMA, head_dim, context)?;
            (None, Some(rotary), Some(context))
        }
    };
    let block = |layer: usize| {
        let name = |part: &str| layer_name("h", layer, part);
        let norm = |part: &str| Norms::before(Norm::layer(name(part), eps));
        Block {
            order: if parallel { Order::Parallel } else { Order::Sequential },
            attn_norms: norm(attn_norm),
            attention: Attention {
                kv_heads,
                position_bias: bias_by_position.clone(),
                rotary: rotary.clone(),
                ..Attention::plain(
                    Projection::Fused {
                        linear: linear(
                            name("self_attention.query_key_value"),
                            width,
                            (heads + 2 * kv_heads) * head_dim,
                            bias,
                        ),
                        order: FusedOrder::Groups,
                    },
                    linear(name("self_attention.dense"), width, width, bias),
                    heads,
                    head_dim,
                )
            },
            cross: None,
            mlp_norms: mlp_norm.map_or(Norms::default(), norm),
            mlp: Mlp::plain(
                linear(name("mlp.dense_h_to_4h"), width, inner, bias),
                activation,
                linear(name("mlp.dense_4h_to_h"), inner, width, bias),
            ),
        }
    };
    let vocab = config.size(&["vocab_size"])?;
    let main = Stack {
        width,
        context,
        embedding: Embedding::of(Table::new("word_embeddings", vocab, width)),
        sees: Sees::Causal,
        blocks: (0..config.layers(&["n_layer", "num_hidden_layers"])?).map(block).collect(),
        final_norm: Some(Norm::layer("ln_f", eps)),
        project: None,
    };
    Ok(Architecture::of("falcon", "transformer.", main, head(config, "lm_head", width, vocab, true)?))
}

/// The norms before attention and MLP; parallel blocks may have one for both.
fn norm_names(config: &Config, new: bool, parallel: bool) -> Result<(&'static str, Option<&'static str>)> {
    let norms = config.optional_size(&["num_ln_in_parallel_attn"])?.unwrap_or(if new { 2 } else { 1 });
    Ok(match (new, parallel, norms) {
        (true, true, 2) => ("ln_attn", Some("ln_mlp")),
        (_, true, 1) => ("input_layernorm", None),
        (false, false, _) => ("input_layernorm", Some("post_attention_layernorm")),
        (_, _, other) => {
            let message = format!("found {other} beside this architecture, which transformers cannot compute either");
            return Err(Error::config("num_ln_in_parallel_attn", message));
        }
    })
}
