//! GPT-2: learned positions, fused projections stored rows-are-inputs, tied head.

use super::{head, layer_name, linear};
use crate::Result;
use crate::model::architecture::*;
use crate::model::config::{Config, divide};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    config.refuse("add_cross_attention")?;
    let width = config.size(&["n_embd", "hidden_size"])?;
    let heads = config.size(&["n_head", "num_attention_heads"])?;
    let head_dim = divide(("n_embd", width), ("n_head", heads))?;
    let inner = config.optional_size(&["n_inner"])?.unwrap_or(4 * width);
    let layer_norm = NormKind::Layer { eps: config.positive(&["layer_norm_epsilon"], 1e-5)? };
    let activation = config.activation("activation_function", "gelu_new")?;
    let by_width = config.flag("scale_attn_weights", true)?;
    let by_layer = config.flag("scale_attn_by_inverse_layer_idx", false)?;
    let conv1d = |name, inputs, outputs| Linear { layout: Layout::InOut, ..linear(name, inputs, outputs, true) };
    let norm = |name: String| Norm { name, kind: layer_norm };
    let block = |layer: usize| {
        let name = |part: &str| layer_name("h", layer, part);
        let width_scale = if by_width { (head_dim as f64).powf(-0.5) } else { 1.0 };
        Block {
            order: Order::Sequential,
            attn_norm: norm(name("ln_1")),
            attention: Attention {
                projection: Projection::Fused {
                    linear: conv1d(name("attn.c_attn"), width, 3 * width),
                    order: FusedOrder::Blocks,
                },
                output: conv1d(name("attn.c_proj"), width, width),
                heads,
                kv_heads: heads,
                head_dim,
                scale: if by_layer { width_scale / (layer + 1) as f64 } else { width_scale },
                rotary: None,
                head_norms: None,
                window: None,
            },
            mlp_norm: norm(name("ln_2")),
            mlp: Mlp {
                up: conv1d(name("mlp.c_fc"), width, inner),
                gate: None,
                down: conv1d(name("mlp.c_proj"), inner, width),
                activation,
            },
        }
    };
    let vocab = config.size(&["vocab_size"])?;
    Ok(Architecture {
        family: "gpt2",
        prefix: "transformer.",
        width,
        vocab,
        context: config.size(&["n_positions", "max_position_embeddings"])?,
        embedding: Embedding { tokens: "wte".into(), positions: Some("wpe".into()), segments: Segments::TokenTable },
        blocks: (0..config.layers(&["n_layer", "num_hidden_layers"])?).map(block).collect(),
        final_norm: norm("ln_f".into()),
        head: head(config, "lm_head", width, vocab, true)?,
    })
}
