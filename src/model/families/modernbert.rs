//! ModernBERT: pre-norm, rotary, gated; most layers see only their surroundings, with a rotation of their own.

use super::qwen2::window_of_layers;
use super::rope::{self, Spelling};
use super::{head, head_bias, layer_name, linear};
use crate::Result;
use crate::model::architecture::*;
use crate::model::config::{Config, divide};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let width = config.optional_size(&["hidden_size"])?.unwrap_or(768);
    let heads = config.optional_size(&["num_attention_heads"])?.unwrap_or(12);
    let head_dim = divide(("hidden_size", width), ("num_attention_heads", heads))?;
    let inner = config.optional_size(&["intermediate_size"])?.unwrap_or(1152);
    let layers = config.layers_or(&["num_hidden_layers"], 22)?;
    let context = config.optional_size(&["max_position_embeddings"])?.unwrap_or(8192);
    let eps = config.eps(&["norm_eps"], 1e-5)?;
    let norm_bias = config.flag("norm_bias", false)?;
    let norm = |name: String| Norm { bias: norm_bias, ..Norm::layer(name, eps) };
    let attention_bias = config.flag("attention_bias", false)?;
    let mlp_bias = config.flag("mlp_bias", false)?;
    let activation = config.activation("hidden_activation", "gelu")?;
    // `local_attention` counts both sides, the window one side and the position itself.
    let window = config.optional_size(&["local_attention"])?.unwrap_or(128) / 2 + 1;
    let every = config.optional_size(&["global_attn_every_n_layers"])?.unwrap_or(3);
    let windows = match config.per_layer("layer_types", layers)? {
        Some(types) => window_of_layers(&types, Some(window))?,
        None => (0..layers).map(|layer| (!layer.is_multiple_of(every)).then_some(window)).collect(),
    };
    let rotation = |kind, theta, base| {
        let own = config.object("rope_parameters")?.map(|kinds| kinds.object(kind)).transpose()?.flatten();
        let mut keys = own.map(|own| own.keys().clone()).unwrap_or_default();
        keys.extend(config.object("rope_scaling")?.map(|scaling| scaling.keys().clone()).unwrap_or_default());
        rope::inside_of(config, &Config::new(&keys), &Spelling { theta, base, ..rope::LLAMA }, head_dim, context)
    };
    let global = rotation("full_attention", "global_rope_theta", 160_000.0)?;
    let local = rotation("sliding_attention", "local_rope_theta", 10_000.0)?;
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
                rotary: Some(if windows[layer].is_some() { &local } else { &global }.rotary.clone()),
                window: windows[layer],
                ..Attention::plain(projection, linear(name("attn.Wo"), width, width, attention_bias), heads, head_dim)
            },
            cross: None,
            mlp_norms: Norms::before(norm(name("mlp_norm"))),
            mlp: Mlp::gated(half(0), half(inner), activation, linear(name("mlp.Wo"), inner, width, mlp_bias)),
        }
    };
    let vocab = config.size(&["vocab_size"])?;
    let main = Stack {
        width,
        context: Some(global.context),
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
        bias: if config.flag("decoder_bias", true)? { head_bias(&["decoder.bias"]) } else { Vec::new() },
        optional: true,
        ..head(config, "decoder", width, vocab, true)?
    };
    Ok(Architecture::of("modernbert", "model.", main, head))
}
