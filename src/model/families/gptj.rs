//! GPT-J: attention and MLP side by side after one norm, rotation of neighbouring numbers.

use super::{head, head_bias, layer_name, linear, rope};
use crate::model::architecture::*;
use crate::model::config::{Config, divide};
use crate::{Error, Result};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let width = config.size(&["n_embd", "hidden_size"])?;
    let heads = config.size(&["n_head", "num_attention_heads"])?;
    let head_dim = divide(("n_embd", width), ("n_head", heads))?;
    let inner = config.optional_size(&["n_inner"])?.unwrap_or(4 * width);
    let eps = config.eps(&["layer_norm_epsilon"], 1e-5)?;
    let activation = config.activation("activation_function", "gelu_new")?;
    if config.has("rotary_dim") && config.value("rotary_dim").is_none() {
        return Err(Error::config("rotary_dim", "found null, expected an even number"));
    }
    let rotary = rope::fixed(config.optional_size(&["rotary_dim"])?.unwrap_or(64), head_dim)?;
    let block = |layer: usize| {
        let name = |part: &str| layer_name("h", layer, part);
        let project = |part| linear(name(part), width, width, false);
        Block {
            order: Order::Parallel,
            attn_norms: Norms::before(Norm::layer(name("ln_1"), eps)),
            attention: Attention {
                rotary: Some(rotary.clone()),
                ..Attention::plain(
                    Projection::Separate {
                        query: project("attn.q_proj"),
                        key: project("attn.k_proj"),
                        value: project("attn.v_proj"),
                    },
                    project("attn.out_proj"),
                    heads,
                    head_dim,
                )
            },
            cross: None,
            mlp_norms: Norms::default(),
            mlp: Mlp::plain(
                linear(name("mlp.fc_in"), width, inner, true),
                activation,
                linear(name("mlp.fc_out"), inner, width, true),
            ),
        }
    };
    let vocab = config.size(&["vocab_size"])?;
    let main = Stack {
        width,
        context: Some(config.size(&["n_positions", "max_position_embeddings"])?),
        embedding: Embedding { segments: Segments::TokenTable, ..Embedding::of(Table::new("wte", vocab, width)) },
        sees: Sees::Causal,
        blocks: (0..config.layers(&["n_layer", "num_hidden_layers"])?).map(block).collect(),
        final_norm: Some(Norm::layer("ln_f", eps)),
        project: None,
    };
    let head = Head { bias: head_bias(&["lm_head.bias"]), ..head(config, "lm_head", width, vocab, false)? };
    Ok(Architecture::of("gptj", "transformer.", main, head))
}
