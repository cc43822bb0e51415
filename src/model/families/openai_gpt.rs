//! GPT, the first: GPT-2's names and projections with norms after adding, and none at the end.

use super::{gpt_embedding, head, layer_name, linear};
use crate::model::architecture::*;
use crate::model::config::{Config, divide};
use crate::{Error, Result};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let width = config.size(&["n_embd", "hidden_size"])?;
    let heads = config.size(&["n_head", "num_attention_heads"])?;
    let head_dim = divide(("n_embd", width), ("n_head", heads))?;
    let eps = config.eps(&["layer_norm_epsilon"], 1e-5)?;
    let activation = match config.text("afn", "gelu")? {
        "gelu" => Activation::GeluTanh,
        "relu" => Activation::Relu,
        "silu" | "swish" => Activation::Silu,
        other => return Err(Error::config("afn", format!("{other:?} is none of gelu, relu, silu and swish"))),
    };
    let conv1d = |name, inputs, outputs| Linear { layout: Layout::InOut, ..linear(name, inputs, outputs, true) };
    let block = |layer: usize| {
        let name = |part: &str| layer_name("h", layer, part);
        Block {
            order: Order::Sequential,
            attn_norms: Norms::after(Norm::layer(name("ln_1"), eps)),
            attention: Attention::plain(
                Projection::Fused { linear: conv1d(name("attn.c_attn"), width, 3 * width), order: FusedOrder::Blocks },
                conv1d(name("attn.c_proj"), width, width),
                heads,
                head_dim,
            ),
            cross: None,
            mlp_norms: Norms::after(Norm::layer(name("ln_2"), eps)),
            mlp: Mlp::plain(
                conv1d(name("mlp.c_fc"), width, 4 * width),
                activation,
                conv1d(name("mlp.c_proj"), 4 * width, width),
            ),
        }
    };
    let vocab = config.size(&["vocab_size"])?;
    let context = config.size(&["n_positions", "max_position_embeddings"])?;
    let main = Stack {
        width,
        context: Some(context),
        embedding: gpt_embedding("tokens_embed", "positions_embed", vocab, context, width),
        sees: Sees::Causal,
        blocks: (0..config.layers(&["n_layer", "num_hidden_layers"])?).map(block).collect(),
        final_norm: None,
        project: None,
    };
    Ok(Architecture::of("openai-gpt", "transformer.", main, head(config, "lm_head", width, vocab, true)?))
}
