//! T5 (1.0, v1.1, Flan): no biases anywhere, scores that are not scaled, and buckets of distances in place of positions.

use super::{head, linear, shared_table, start_token};
use crate::model::architecture::*;
use crate::model::config::Config;
use crate::{Error, Result};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    // transformers 5 always ties, and keeps under the first name what the second one used to tell.
    let scaled = config.flag("scale_decoder_outputs", config.flag("tie_word_embeddings", true)?)?;
    build(config, Kin { family: "t5", feed_forward: "relu", layers: 6, heads: 8, scaled, bias_in_every_layer: false })
}

/// What tells T5, mT5 and UMT5 apart.
pub(super) struct Kin {
    pub family: &'static str,
    /// `feed_forward_proj` unless the config says.
    pub feed_forward: &'static str,
    /// `num_layers` and `num_heads` unless the config says.
    pub layers: usize,
    pub heads: usize,
    /// Whether the head reads the decoder's vectors over √D.
    pub scaled: bool,
    /// Whether every layer has buckets of its own; the first layer's serve all otherwise.
    pub bias_in_every_layer: bool,
}

pub(super) fn build(config: &Config, kin: Kin) -> Result<Architecture> {
    let width = config.size(&["d_model", "hidden_size"])?;
    let heads = config.optional_size(&["num_heads", "num_attention_heads"])?.unwrap_or(kin.heads);
    let head_dim = config.optional_size(&["d_kv", "head_dim"])?.unwrap_or(64);
    let inner = config.size(&["d_ff"])?;
    let eps = config.eps(&["layer_norm_epsilon"], 1e-6)?;
    let (gated, activation) = feed_forward(config, kin.feed_forward)?;
    let (bucket_count, max_distance) = buckets(config)?;
    let vocab = config.size(&["vocab_size"])?;
    let stack = |name: &'static str, layers: usize, decodes: bool| {
        let block = |layer: usize| {
            let at = |part: &str| format!("{name}.block.{layer}.layer.{part}");
            let norms = |sublayer: usize| Norms::before(Norm::rms(at(&format!("{sublayer}.layer_norm")), eps));
            let attention = |part: &str| {
                let project = |letter: &str| linear(at(&format!("{part}.{letter}")), width, heads * head_dim, false);
                let projection = Projection::Separate { query: project("q"), key: project("k"), value: project("v") };
                let output = linear(at(&format!("{part}.o")), heads * head_dim, width, false);
                Attention { scale: 1.0, ..Attention::plain(projection, output, heads, head_dim) }
            };
            let with_bias = if kin.bias_in_every_layer { layer } else { 0 };
            let last = if decodes { 2 } else { 1 };
            let map = |part: &str| at(&format!("{last}.DenseReluDense.{part}"));
            let up = |part: &str| linear(map(part), width, inner, false);
            Block {
                order: Order::Sequential,
                attn_norms: norms(0),
                attention: Attention {
                    position_bias: Some(PositionBias::Buckets {
                        table: Table::new(
                            format!("{name}.block.{with_bias}.layer.0.SelfAttention.relative_attention_bias"),
                            bucket_count,
                            heads,
                        ),
                        buckets: Buckets { count: bucket_count, max_distance, both_ways: !decodes },
                    }),
                    ..attention("0.SelfAttention")
                },
                cross: decodes.then(|| Cross { norms: norms(1), attention: attention("1.EncDecAttention") }),
                mlp_norms: norms(last),
                mlp: Mlp {
                    gate: gated.then(|| up("wi_0")),
                    ..Mlp::plain(
                        up(if gated { "wi_1" } else { "wi" }),
                        activation,
                        linear(map("wo"), inner, width, false),
                    )
                },
            }
        };
        Stack {
            width,
            context: None,
            embedding: Embedding::of(shared_table(&format!("{name}.embed_tokens"), vocab, width)),
            sees: if decodes { Sees::Causal } else { Sees::Both },
            blocks: (0..layers).map(block).collect(),
            final_norm: Some(Norm::rms(format!("{name}.final_layer_norm"), eps)),
            project: None,
        }
    };
    let layers = config.layers_or(&["num_layers", "num_hidden_layers"], kin.layers)?;
    // Python reads the common spelling too late for the decoder.
    let decoder_layers = config.layers_or(&["num_layers", "num_decoder_layers"], kin.layers)?;
    let head = Head {
        scale: if kin.scaled { (width as f64).powf(-0.5) } else { 1.0 },
        tied: true,
        optional: false,
        other_name: Some("shared".to_owned()),
        ..head(config, "lm_head", width, vocab, true)?
    };
    Ok(Architecture {
        encoder: Some(stack("encoder", layers, false)),
        start_token: start_token(config, Some(0))?,
        ..Architecture::of(kin.family, "", stack("decoder", decoder_layers, true), head)
    })
}

/// How many buckets distances fall into, and from which distance on they share the last one.
fn buckets(config: &Config) -> Result<(usize, usize)> {
    let bucket_count = config.optional_size(&["relative_attention_num_buckets"])?.unwrap_or(32);
    let max_distance = config.optional_size(&["relative_attention_max_distance"])?.unwrap_or(128);
    let no_far = |name, found| Error::config(name, format!("found {found}, which leaves no bucket for far distances"));
    if bucket_count < 4 {
        return Err(no_far("relative_attention_num_buckets", bucket_count));
    }
    if max_distance <= bucket_count / 2 {
        return Err(no_far("relative_attention_max_distance", max_distance));
    }
    Ok((bucket_count, max_distance))
}

/// Whether the MLP is gated, and its non-linearity: `gated-gelu` and its like, or as transformers saves it again.
fn feed_forward(config: &Config, default: &'static str) -> Result<(bool, Activation)> {
    let (gated, activation) = match config.text("feed_forward_proj", default)? {
        "gated-gelu" => (true, "gelu_new"),
        name => (name.starts_with("gated-"), name.strip_prefix("gated-").unwrap_or(name)),
    };
    Ok((config.flag("is_gated_act", gated)?, config.activation("dense_act_fn", activation)?))
}
