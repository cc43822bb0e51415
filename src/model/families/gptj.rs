//! GPT-J: attention and MLP side by side after one norm, rotation of neighbouring numbers.

use super::{head, layer_name, linear, rope};
use crate::model::architecture::*;
use crate::model::config::{Config, divide};
use crate::{Error, Result};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let width = config.size(&["n_embd", "hidden_size"])?;
    let heads = config.size(&["n_head", "num_attention_heads"])?;
    let head_dim = divide(("n_embd", width), ("n_head", heads))?;
    let inner = config.optional_size(&["n_inner"])?.unwrap_or(4 * width);
    let layer_norm = NormKind::Layer { eps: config.positive(&["layer_norm_epsilon"], 1e-5)? };
    let activation = config.activation("activation_function", "gelu_new")?;
    if config.has("rotary_dim") && config.value("rotary_dim").is_none() {
        return Err(Error::config("rotary_dim", "found null, expected an even number"));
    }
    let rotary = rope::fixed(config.optional_size(&["rotary_dim"])?.unwrap_or(64), head_dim)?;
    let norm = |name: String| Norm { name, kind: layer_norm };
    let block = |layer: usize| {
        let name = |part: &str| layer_name("h", layer, part);
        let project = |part| linear(name(part), width, width, false);
        Block {
            order: Order::Parallel,
            attn_norm: norm(name("ln_1")),
            attention: Attention {
                projection: Projection::Separate {
                    query: project("attn.q_proj"),
                    key: project("attn.k_proj"),
                    value: project("attn.v_proj"),
                },
                output: project("attn.out_proj"),
                heads,
                kv_heads: heads,
                head_dim,
                scale: (head_dim as f64).powf(-0.5),
                rotary: Some(rotary.clone()),
                head_norms: None,
                window: None,
            },
            mlp_norm: norm(name("ln_1")),
            mlp: Mlp {
                up: linear(name("mlp.fc_in"), width, inner, true),
                gate: None,
                down: linear(name("mlp.fc_out"), inner, width, true),
                activation,
            },
        }
    };
    let vocab = config.size(&["vocab_size"])?;
    let mut head = head(config, "lm_head", width, vocab, false)?;
    head.linear.bias = true;
    Ok(Architecture {
        family: "gptj",
        prefix: "transformer.",
        width,
        vocab,
        context: config.size(&["n_positions", "max_position_embeddings"])?,
        embedding: Embedding { tokens: "wte".into(), positions: None, segments: Segments::TokenTable },
        blocks: (0..config.layers(&["n_layer", "num_hidden_layers"])?).map(block).collect(),
        final_norm: norm("ln_f".into()),
        head,
    })
}
