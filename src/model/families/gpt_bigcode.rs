//! GPT-BigCode (StarCoder, SantaCoder): GPT-2 whose heads share one key and value.

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
    let activation = config.activation("activation_function", "gelu_pytorch_tanh")?;
    let scaled = config.flag("scale_attn_weights", true)?;
    let multi_query = config.flag("multi_query", true)?;
    let (kv_heads, order) = if multi_query { (1, FusedOrder::Blocks) } else { (heads, FusedOrder::Groups) };
    let block = |layer: usize| {
        let name = |part: &str| layer_name("h", layer, part);
        let queries_keys_values = linear(name("attn.c_attn"), width, width + 2 * kv_heads * head_dim, true);
        let output = linear(name("attn.c_proj"), width, width, true);
        Block {
            order: Order::Sequential,
            attn_norms: Norms::before(Norm::layer(name("ln_1"), eps)),
            attention: Attention {
                kv_heads,
                scale: if scaled { (head_dim as f64).powf(-0.5) } else { 1.0 },
                ..Attention::plain(Projection::Fused { linear: queries_keys_values, order }, output, heads, head_dim)
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
    Ok(Architecture::of("gpt_bigcode", "transformer.", main, head(config, "lm_head", width, vocab, true)?))
}
