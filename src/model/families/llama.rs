//! Llama 1 to 3, SmolLM2, and the block that Mistral and Qwen share with them.

use super::rope::{self, Rope};
use super::{head, layer_name, linear};
use crate::Result;
use crate::model::architecture::*;
use crate::model::config::{Config, divide};

/// Where the families of this block differ.
pub(super) struct Variant {
    pub family: &'static str,
    pub query_key_value_bias: bool,
    pub output_bias: bool,
    pub mlp_bias: bool,
    pub head_norms: bool,
    /// Head width when the config does not give one; model width / heads when absent.
    pub head_dim: Option<usize>,
    /// Key heads when the config does not give them; as many as query heads when absent.
    pub kv_heads: Option<usize>,
    /// The longest prompt when the config does not give one.
    pub context: usize,
}

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let attention_bias = config.flag("attention_bias", false)?;
    let variant = Variant {
        family: "llama",
        query_key_value_bias: attention_bias,
        output_bias: attention_bias,
        mlp_bias: config.flag("mlp_bias", false)?,
        head_norms: false,
        head_dim: None,
        kv_heads: None,
        context: 2048,
    };
    build(config, variant, |_| None)
}

/// Head width of the families that round it down where the heads do not divide the model's width.
pub(super) fn rounded_head_dim(config: &Config) -> Result<Option<usize>> {
    let width = config.size(&["hidden_size"])? / config.size(&["num_attention_heads"])?;
    Ok(Some(width).filter(|&width| width > 0))
}

/// The architecture, with the attention window of each layer.
pub(super) fn build(
    config: &Config,
    variant: Variant,
    window: impl Fn(usize) -> Option<usize>,
) -> Result<Architecture> {
    let width = config.size(&["hidden_size"])?;
    let heads = config.size(&["num_attention_heads"])?;
    let absent = if config.has("num_key_value_heads") { heads } else { variant.kv_heads.unwrap_or(heads) };
    let kv_heads = config.optional_size(&["num_key_value_heads"])?.unwrap_or(absent);
    divide(("num_attention_heads", heads), ("num_key_value_heads", kv_heads))?;
    let head_dim = match config.optional_size(&["head_dim"])?.or(variant.head_dim) {
        Some(head_dim) => head_dim,
        None => divide(("hidden_size", width), ("num_attention_heads", heads))?,
    };
    let inner = config.size(&["intermediate_size"])?;
    let context = config.optional_size(&["max_position_embeddings"])?.unwrap_or(variant.context);
    let eps = config.positive(&["rms_norm_eps"], 1e-6)?;
    let activation = config.activation("hidden_act", "silu")?;
    let Rope { rotary, context } = rope::rope(config, &rope::LLAMA, head_dim, context)?;
    let norm = |name: String| Norm::rms(name, eps);
    let block = |layer: usize| {
        let name = |part: &str| layer_name("layers", layer, part);
        let (queries, keys) = (heads * head_dim, kv_heads * head_dim);
        Block {
            order: Order::Sequential,
            attn_norms: Norms::before(norm(name("input_layernorm"))),
            attention: Attention {
                kv_heads,
                rotary: Some(rotary.clone()),
                head_norms: variant
                    .head_norms
                    .then(|| HeadNorms { query: norm(name("self_attn.q_norm")), key: norm(name("self_attn.k_norm")) }),
                window: window(layer),
                ..Attention::plain(
                    Projection::Separate {
                        query: linear(name("self_attn.q_proj"), width, queries, variant.query_key_value_bias),
                        key: linear(name("self_attn.k_proj"), width, keys, variant.query_key_value_bias),
                        value: linear(name("self_attn.v_proj"), width, keys, variant.query_key_value_bias),
                    },
                    linear(name("self_attn.o_proj"), queries, width, variant.output_bias),
                    heads,
                    head_dim,
                )
            },
            cross: None,
            mlp_norms: Norms::before(norm(name("post_attention_layernorm"))),
            mlp: Mlp {
                up: linear(name("mlp.up_proj"), width, inner, variant.mlp_bias),
                gate: Some(linear(name("mlp.gate_proj"), width, inner, variant.mlp_bias)),
                down: linear(name("mlp.down_proj"), inner, width, variant.mlp_bias),
                activation,
            },
        }
    };
    let vocab = config.size(&["vocab_size"])?;
    let main = Stack {
        width,
        context: Some(context),
        embedding: Embedding::of(Table::new("embed_tokens", vocab, width)),
        sees: Sees::Causal,
        blocks: (0..config.layers(&["num_hidden_layers"])?).map(block).collect(),
        final_norm: Some(norm("norm".into())),
        project: None,
    };
    Ok(Architecture::of(variant.family, "model.", main, head(config, "lm_head", width, vocab, false)?))
}
