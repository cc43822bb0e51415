//! GPT-Neo: global and local layers in turn, scores not scaled.

use serde_json::Value;

use super::{gpt_embedding, head, layer_name, linear};
use crate::model::architecture::*;
use crate::model::config::{Config, divide};
use crate::{Error, Result};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let width = config.size(&["hidden_size"])?;
    let heads = config.size(&["num_heads", "num_attention_heads"])?;
    let head_dim = divide(("hidden_size", width), ("num_heads", heads))?;
    let inner = config.optional_size(&["intermediate_size"])?.unwrap_or(4 * width);
    let layers = config.layers(&["num_layers", "num_hidden_layers"])?;
    let local = local_layers(config, layers)?;
    let window = config.optional_size(&["window_size"])?.unwrap_or(256);
    let eps = config.eps(&["layer_norm_epsilon"], 1e-5)?;
    let activation = config.activation("activation_function", "gelu_new")?;
    let block = |layer: usize| {
        let name = |part: &str| layer_name("h", layer, part);
        let project = |part: &str, bias| linear(name(&format!("attn.attention.{part}")), width, width, bias);
        Block {
            order: Order::Sequential,
            attn_norms: Norms::before(Norm::layer(name("ln_1"), eps)),
            attention: Attention {
                scale: 1.0,
                window: local[layer].then_some(window),
                ..Attention::plain(
                    Projection::Separate {
                        query: project("q_proj", false),
                        key: project("k_proj", false),
                        value: project("v_proj", false),
                    },
                    project("out_proj", true),
                    heads,
                    head_dim,
                )
            },
            cross: None,
            mlp_norms: Norms::before(Norm::layer(name("ln_2"), eps)),
            mlp: Mlp::plain(
                linear(name("mlp.c_fc"), width, inner, true),
                activation,
                linear(name("mlp.c_proj"), inner, width, true),
            ),
        }
    };
    let vocab = config.size(&["vocab_size"])?;
    let context = config.size(&["max_position_embeddings"])?;
    let main = Stack {
        width,
        context: Some(context),
        embedding: gpt_embedding("wte", "wpe", vocab, context, width),
        sees: Sees::Causal,
        blocks: (0..layers).map(block).collect(),
        final_norm: Some(Norm::layer("ln_f", eps)),
        project: None,
    };
    Ok(Architecture::of("gpt_neo", "transformer.", main, head(config, "lm_head", width, vocab, true)?))
}

/// Which layers are local: the list `attention_layers`, or else `attention_types`, a list of (pattern, repeats), or
/// else 24 layers in turn.
fn local_layers(config: &Config, layers: usize) -> Result<Vec<bool>> {
    let unreadable = |found: &Value| {
        Error::config(
            "attention_types",
            format!("found {found}, expected [[[\"global\", \"local\"], repeats], ..] for {layers} layers"),
        )
    };
    let names: Vec<&str> = if let Some(names) = config.per_layer("attention_layers", layers)? {
        names
    } else if let Some(types) = config.value("attention_types") {
        let mut names = Vec::new();
        for entry in types.as_array().ok_or_else(|| unreadable(types))? {
            let pattern = entry.get(0).and_then(Value::as_array).ok_or_else(|| unreadable(types))?;
            let repeats = entry.get(1).and_then(Value::as_u64).ok_or_else(|| unreadable(types))?;
            // Bounded before it is unrolled.
            if repeats as usize > layers || names.len() > layers {
                return Err(unreadable(types));
            }
            for _ in 0..repeats {
                for name in pattern.iter().take(layers + 1) {
                    names.push(name.as_str().ok_or_else(|| unreadable(types))?);
                }
            }
        }
        names
    } else {
        ["global", "local"].repeat(12)
    };
    if names.len() != layers {
        return Err(Error::config("attention_types", format!("names {} layers, expected {layers}", names.len())));
    }
    names
        .into_iter()
        .map(|name| match name {
            "global" => Ok(false),
            "local" => Ok(true),
            other => {
                Err(Error::config("attention_types", format!("{other:?} is not known; known are global and local")))
            }
        })
        .collect()
}
