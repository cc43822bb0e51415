//! GPT-2: learned positions, fused projections stored rows-are-inputs, tied head.

use super::{gpt_embedding, head, layer_name, linear};
use crate::Result;
use crate::model::architecture::*;
use crate::model::config::{Config, divide};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    config.refuse("add_cross_attention")?;
    let width = config.size(&["n_embd", "hidden_size"])?;
    let heads = config.size(&["n_head", "num_attention_heads"])?;
    let head_dim = divide(("n_embd", width), ("n_head", heads))?;
    let inner = config.optional_size(&["n_inner"])?.unwrap_or(4 * width);
    let eps = config.eps(&["layer_norm_epsilon"], 1e-5)?;
    let activation = config.activation("activation_function", "gelu_new")?;
    let by_width = config.flag("scale_attn_weights", true)?;
    let by_layer = config.flag("scale_attn_by_inverse_layer_idx", false)?;
    let conv1d = |name, inputs, outputs| Linear { layout: Layout::InOut, ..linear(name, inputs, outputs, true) };
    let block = |layer: usize| {
        let name = |part: &str| layer_name("h", layer, part);
        let width_scale = if by_width { (head_dim as f64).powf(-0.5) } else { 1.0 };
        Block {
            order: Order::Sequential,
            attn_norms: Norms::before(Norm::layer(name("ln_1"), eps)),
            attention: Attention {
                scale: if by_layer { width_scale / (layer + 1) as f64 } else { width_scale },
                ..Attention::plain(
                    Projection::Fused {
                        linear: conv1d(name("attn.c_attn"), width, 3 * width),
                        order: FusedOrder::Blocks,
                    },
                    conv1d(name("attn.c_proj"), width, width),
                    heads,
                    head_dim,
                )
            },
            cross: None,
            mlp_norms: Norms::before(Norm::layer(name("ln_2"), eps)),
            mlp: Mlp::plain(
                conv1d(name("mlp.c_fc"), width, inner),
                activation,
                conv1d(name("mlp.c_proj"), inner, width),
            ),
        }
    };
    let vocab = config.size(&["vocab_size"])?;
    let context = config.size(&["n_positions", "max_position_embeddings"])?;
    let main = Stack {
        width,
        context: Some(context),
        embedding: gpt_embedding("wte", "wpe", vocab, context, width),
        sees: Sees::Causal,
        blocks: (0..config.layers(&["n_layer", "num_hidden_layers"])?).map(block).collect(),
        final_norm: Some(Norm::layer("ln_f", eps)),
        project: None,
    };
    Ok(Architecture::of("gpt2", "transformer.", main, head(config, "lm_head", width, vocab, true)?))
}
