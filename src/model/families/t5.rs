//! T5 (1.0, v1.1, Flan): no biases anywhere, scores that are not scaled, and buckets of distances in place of positions.

use super::{head, linear, shared_table, start_token};
use crate::model::architecture::*;
use crate::model::config::Config;
use crate::{Error, Result};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    // transformers 5 always ties, and keeps under the first name what the second one used to tell.
    let scaled = config.flag("scale_decoder_outputs", config.flag("tie_word_embeddings", true)?)?;
    build(config, Kin { family: "t5", feed_forward: "relu", layers: 6, scaled, bias_in_every_layer: false })
}

/// What tells T5, mT5 and UMT5 apart.
pub(super) struct Kin {
    pub family: &'static str,
    /// `feed_forward_proj` unless the config says.
    pub feed_forward: &'static str,
    /// `num_layers` unless the config says.
    pub layers: usize,
    /// Whether the head reads the decoder's vectors over √D.
    pub scaled: bool,
    /// Whether every layer has buckets of its own; the first layer's serve all otherwise.
    pub bias_in_every_layer: bool,
}

pub(super) fn build(config: &Config, kin: Kin) -> Result<Architecture> {
    let width = config.size(&["d_model", "hidden_size"])?;
    let heads = config.size(&["num_heads", "num_attention_heads"])?;
    let head_dim = config.optional_size(&["d_kv", "head_dim"])?.unwrap_or(64);
    let inner = config.size(&["d_ff"])?;
    let eps = config.positive(&["layer_norm_epsilon"], 1e-6)?;
    let (gated, activation) = feed_forward(config, kin.feed_forward)?;
    let bucket_count = config.optional_size(&["relative_attention_num_buckets"])?.unwrap_or(32);
    let max_distance = config.optional_size(&["relative_attention_max_distance"])?.unwrap_or(128);
    if bucket_count < 4 {
        return Err(Error::config(
            "relative_attention_num_buckets",
            format!("found {bucket_count}, expected 4 or more"),
        ));
    }
    if max_distance <= bucket_count / 2 {
        let problem = format!("found {max_distance}, expected more than half of the {bucket_count} buckets");
        return Err(Error::config("relative_attention_max_distance", problem));
    }
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
    let layers = config.layers(&["num_layers", "num_hidden_layers"])?;
    // Python reads the common spelling too late for the decoder.
    let decoder_layers = match config.value("num_decoder_layers").or(config.value("num_layers")) {
        Some(_) => config.layers(&["num_layers", "num_decoder_layers"])?,
        None => kin.layers,
    };
    let head = Head {
        scale: if kin.scaled { (width as f64).powf(-0.5) } else { 1.0 },
        tied: true,
        other_name: Some("shared".to_owned()),
        ..head(config, "lm_head", width, vocab, true)?
    };
    Ok(Architecture {
        encoder: Some(stack("encoder", layers, false)),
        start_token: start_token(config, Some(0))?,
        ..Architecture::of(kin.family, "", stack("decoder", decoder_layers, true), head)
    })
}

/// Whether the MLP is gated, and its non-linearity: `gated-gelu` and its like, or as transformers saves it again.
fn feed_forward(config: &Config, default: &'static str) -> Result<(bool, Activation)> {
    let name = config.text("feed_forward_proj", default)?;
    let (gated, activation) = match name.split_once('-') {
        None => (false, name),
        Some(("gated", "gelu")) => (true, "gelu_new"),
        Some(("gated", activation)) if !activation.contains('-') => (true, activation),
        Some(_) => {
            return Err(Error::config("feed_forward_proj", format!("found {name:?}, expected e.g. \"gated-gelu\"")));
        }
    };
    Ok((config.flag("is_gated_act", gated)?, config.activation("dense_act_fn", activation)?))
}
