//! OPT: positions counted along real tokens, norms before or after, embeddings of a width of their own.

use super::{head, layer_name, linear};
use crate::Result;
use crate::model::architecture::*;
use crate::model::config::{Config, divide};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let width = config.size(&["hidden_size"])?;
    let heads = config.size(&["num_attention_heads"])?;
    let head_dim = divide(("hidden_size", width), ("num_attention_heads", heads))?;
    let inner = config.size(&["ffn_dim"])?;
    let narrow = config.optional_size(&["word_embed_proj_dim"])?.unwrap_or(width);
    let activation = config.activation("activation_function", "relu")?;
    let bias = config.flag("enable_bias", true)?;
    let before = config.flag("do_layer_norm_before", true)?;
    let last = before && !config.flag("_remove_final_layer_norm", false)?;
    let affine = config.flag("layer_norm_elementwise_affine", true)?;
    let norm = |name: String| Norm {
        gain: if affine { Gain::Stored } else { Gain::None },
        bias: affine,
        ..Norm::layer(name, 1e-5)
    };
    let norms = if before { Norms::before } else { Norms::after };
    let block = |layer: usize| {
        let name = |part: &str| layer_name("decoder.layers", layer, part);
        let project = |part: &str| linear(name(part), width, width, bias);
        Block {
            order: Order::Sequential,
            attn_norms: norms(norm(name("self_attn_layer_norm"))),
            attention: Attention::plain(
                Projection::Separate {
                    query: project("self_attn.q_proj"),
                    key: project("self_attn.k_proj"),
                    value: project("self_attn.v_proj"),
                },
                project("self_attn.out_proj"),
                heads,
                head_dim,
            ),
            cross: None,
            mlp_norms: norms(norm(name("final_layer_norm"))),
            mlp: Mlp::plain(
                linear(name("fc1"), width, inner, bias),
                activation,
                linear(name("fc2"), inner, width, bias),
            ),
        }
    };
    let vocab = config.size(&["vocab_size"])?;
    let context = config.optional_size(&["max_position_embeddings"])?.unwrap_or(2048);
    let map = |name: &str, inputs, outputs| linear(name.to_owned(), inputs, outputs, false);
    let main = Stack {
        width,
        context: Some(context),
        embedding: Embedding {
            positions: Some(PositionTable::Learned {
                table: Table::new("decoder.embed_positions", context + 2, width),
                index: PositionIndex::RealTokens(2),
            }),
            project: (narrow != width).then(|| (map("decoder.project_in", narrow, width), Place::BeforePositions)),
            ..Embedding::of(Table::new("decoder.embed_tokens", vocab, narrow))
        },
        sees: Sees::Causal,
        blocks: (0..config.layers(&["num_hidden_layers"])?).map(block).collect(),
        final_norm: last.then(|| norm("decoder.final_layer_norm".into())),
        project: (narrow != width).then(|| map("decoder.project_out", width, narrow)),
    };
    Ok(Architecture::of("opt", "model.", main, head(config, "lm_head", narrow, vocab, true)?))
}
