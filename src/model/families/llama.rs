//! Llama 1 to 3, SmolLM2, and the block that Mistral and Qwen share with them.

use super::rope::{self, Rope, Spelling};
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
    /// All norms, but for their names.
    pub norm: Norm,
    /// Whether each query and key head is normed as well.
    pub head_norms: bool,
    pub activation: Activation,
    /// How the rotation is spelled.
    pub rope: Spelling,
    /// Head width when the config does not give one; model width / heads when absent.
    pub head_dim: Option<usize>,
    /// Key heads when the config does not give them; as many as query heads when absent.
    pub kv_heads: Option<usize>,
    /// The longest prompt when the config does not give one.
    pub context: usize,
    /// Whether the token table is the head as well when the config does not say.
    pub tied: bool,
}

impl Variant {
    /// Llama's own, without biases.
    pub(super) fn llama(family: &'static str, config: &Config) -> Result<Variant> {
        Ok(Variant {
            family,
            query_key_value_bias: false,
            output_bias: false,
            mlp_bias: false,
            norm: Norm::rms("", config.eps(&["rms_norm_eps"], 1e-6)?),
            head_norms: false,
            activation: config.activation("hidden_act", "silu")?,
            rope: rope::LLAMA,
            head_dim: None,
            kv_heads: None,
            context: 2048,
            tied: false,
        })
    }

    /// Width of a head.
    pub(super) fn head_dim(&self, config: &Config) -> Result<usize> {
        match config.optional_size(&["head_dim"])?.or(self.head_dim) {
            Some(head_dim) => Ok(head_dim),
            None => {
                let heads = config.size(&["num_attention_heads"])?;
                divide(("hidden_size", config.size(&["hidden_size"])?), ("num_attention_heads", heads))
            }
        }
    }
}

pub(super) fn read(config: &Config) -> Result<Architecture> {
    let attention_bias = config.flag("attention_bias", false)?;
    let variant = Variant {
        query_key_value_bias: attention_bias,
        output_bias: attention_bias,
        mlp_bias: config.flag("mlp_bias", false)?,
        ..Variant::llama("llama", config)?
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
    let head_dim = variant.head_dim(config)?;
    let inner = config.size(&["intermediate_size"])?;
    let context = config.optional_size(&["max_position_embeddings"])?.unwrap_or(variant.context);
    let Rope { rotary, context } = rope::rope(config, &variant.rope, head_dim, context)?;
    let norm = |name: String| Norm { name, ..variant.norm.clone() };
    let block = |layer: usize| {
        let name = |part: &str| layer_name("layers", layer, part);
        let (queries, keys) = (heads * head_dim, kv_heads * head_dim);
        Block {
            order: Order::Sequential,
            attn_norms: Norms::before(norm(name("input_layernorm"))),
            attention: Attention {
                kv_heads,
                rotary: Some(rotary.clone()),
                head_norms: variant.head_norms.then(|| HeadNorms {
                    query: norm(name("self_attn.q_norm")),
                    key: norm(name("self_attn.k_norm")),
                    span: Span::Head,
                }),
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
            mlp: Mlp::gated(
                linear(name("mlp.gate_proj"), width, inner, variant.mlp_bias),
                linear(name("mlp.up_proj"), width, inner, variant.mlp_bias),
                variant.activation,
                linear(name("mlp.down_proj"), inner, width, variant.mlp_bias),
            ),
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
    Ok(Architecture::of(variant.family, "model.", main, head(config, "lm_head", width, vocab, variant.tied)?))
}
