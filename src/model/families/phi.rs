//! Phi 1 to 2: attention and MLP side by side after one norm, biases everywhere, part of each head turned.

use super::llama::rounded_head_dim;
use super::rope::{self, Rope};
use super::{head, head_bias, layer_name, linear};
use crate::Result;
use crate::model::architecture::*;
use crate::model::config::{Config, divide};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let width = config.size(&["hidden_size"])?;
    let heads = config.size(&["num_attention_heads"])?;
    let kv_heads = config.optional_size(&["num_key_value_heads"])?.unwrap_or(heads);
    divide(("num_attention_heads", heads), ("num_key_value_heads", kv_heads))?;
    let head_dim = match config.optional_size(&["head_dim"])?.or(rounded_head_dim(config)?) {
        Some(head_dim) => head_dim,
        None => divide(("hidden_size", width), ("num_attention_heads", heads))?,
    };
    let inner = config.size(&["intermediate_size"])?;
    let eps = config.eps(&["layer_norm_eps"], 1e-5)?;
    let activation = config.activation("hidden_act", "gelu_new")?;
    let head_norms = config.flag("qk_layernorm", false)?;
    let context = config.optional_size(&["max_position_embeddings"])?.unwrap_or(2048);
    let spelling = rope::Spelling { fraction: Some(("partial_rotary_factor", 0.5)), whole_pairs: true, ..rope::LLAMA };
    let Rope { rotary, context } = rope::rope(config, &spelling, head_dim, context)?;
    let block = |layer: usize| {
        let name = |part: &str| layer_name("layers", layer, part);
        let map = |part: &str, inputs, outputs| linear(name(part), inputs, outputs, true);
        let norm = |part: &str| Norm::layer(name(part), eps);
        Block {
            order: Order::Parallel,
            attn_norms: Norms::before(norm("input_layernorm")),
            attention: Attention {
                kv_heads,
                rotary: Some(rotary.clone()),
                head_norms: head_norms.then(|| HeadNorms {
                    query: norm("self_attn.q_layernorm"),
                    key: norm("self_attn.k_layernorm"),
                    span: Span::Head,
                }),
                ..Attention::plain(
                    Projection::Separate {
                        query: map("self_attn.q_proj", width, heads * head_dim),
                        key: map("self_attn.k_proj", width, kv_heads * head_dim),
                        value: map("self_attn.v_proj", width, kv_heads * head_dim),
                    },
                    map("self_attn.dense", heads * head_dim, width),
                    heads,
                    head_dim,
                )
            },
            cross: None,
            mlp_norms: Norms::default(),
            mlp: Mlp::plain(map("mlp.fc1", width, inner), activation, map("mlp.fc2", inner, width)),
        }
    };
    let vocab = config.size(&["vocab_size"])?;
    let main = Stack {
        width,
        context: Some(context),
        embedding: Embedding::of(Table::new("embed_tokens", vocab, width)),
        sees: Sees::Causal,
        blocks: (0..config.layers(&["num_hidden_layers"])?).map(block).collect(),
        final_norm: Some(Norm::layer("final_layernorm", eps)),
        project: None,
    };
    let head = Head { bias: head_bias(&["lm_head.bias"]), ..head(config, "lm_head", width, vocab, false)? };
    Ok(Architecture::of("phi", "model.", main, head))
}
