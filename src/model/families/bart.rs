//! BART, and the plan that mBART, Marian and Pegasus share: an encoder and a decoder with biases everywhere.

use super::{head, linear, shared_table, start_token};
use crate::Result;
use crate::model::architecture::*;
use crate::model::config::{Config, divide};

pub(super) fn read(config: &Config) -> Result<Architecture> {
    build(config, Kin { family: "bart", norms_first: false, normed_embedding: true, sinusoidal: false, start: Some(2) })
}

/// What tells BART, mBART, Marian and Pegasus apart.
pub(super) struct Kin {
    pub family: &'static str,
    /// Norms before attention and MLP, and one after the last block; after what they add otherwise.
    pub norms_first: bool,
    /// A norm of the embedding.
    pub normed_embedding: bool,
    /// Sines and cosines for positions, in place of a learned table whose first two rows are not used.
    pub sinusoidal: bool,
    /// The decoder's first token unless the config says.
    pub start: Option<i64>,
}

pub(super) fn build(config: &Config, kin: Kin) -> Result<Architecture> {
    let width = config.size(&["d_model", "hidden_size"])?;
    let context = config.optional_size(&["max_position_embeddings"])?.unwrap_or(1024);
    let activation = config.activation("activation_function", "gelu")?;
    let scale = if config.flag("scale_embedding", false)? { (width as f64).sqrt() } else { 1.0 };
    let stack = |name: &str, tokens: Table, heads: usize, inner: usize, layers: usize| -> Result<Stack> {
        let head_dim = divide(("d_model", width), ("attention_heads", heads))?;
        let decodes = name == "decoder";
        let block = |layer: usize| {
            let at = |part: &str| format!("{name}.layers.{layer}.{part}");
            let norms = |part: &str| {
                let norm = Norm::layer(at(&format!("{part}_layer_norm")), 1e-5);
                if kin.norms_first { Norms::before(norm) } else { Norms::after(norm) }
            };
            let attention = |part: &str| {
                let project = |end: &str| linear(at(&format!("{part}.{end}_proj")), width, width, true);
                let projection = Projection::Separate { query: project("q"), key: project("k"), value: project("v") };
                Attention::plain(projection, project("out"), heads, head_dim)
            };
            Block {
                order: Order::Sequential,
                attn_norms: norms("self_attn"),
                attention: attention("self_attn"),
                cross: decodes.then(|| Cross { norms: norms("encoder_attn"), attention: attention("encoder_attn") }),
                mlp_norms: norms("final"),
                mlp: Mlp::plain(
                    linear(at("fc1"), width, inner, true),
                    activation,
                    linear(at("fc2"), inner, width, true),
                ),
            }
        };
        let rows = if kin.sinusoidal { context } else { context + 2 };
        let table = Table::new(format!("{name}.embed_positions"), rows, width);
        let positions = match kin.sinusoidal {
            true => PositionTable::StoredSinusoidal { table, index: PositionIndex::Place(0) },
            false => PositionTable::Learned { table, index: PositionIndex::Place(2) },
        };
        let norm = |part: &str| Norm::layer(format!("{name}.{part}"), 1e-5);
        Ok(Stack {
            width,
            context: Some(context),
            embedding: Embedding {
                scale,
                positions: Some(positions),
                norm: kin.normed_embedding.then(|| norm("layernorm_embedding")),
                ..Embedding::of(tokens)
            },
            sees: if decodes { Sees::Causal } else { Sees::Both },
            blocks: (0..layers).map(block).collect(),
            final_norm: kin.norms_first.then(|| norm("layer_norm")),
            project: None,
        })
    };
    let (source, target) = kin.tables(config, width)?;
    let heads = config.optional_size(&["encoder_attention_heads", "num_attention_heads"])?.unwrap_or(16);
    let layers = config.layers_or(&["encoder_layers", "num_hidden_layers"], 12)?;
    let encoder = stack("encoder", source, heads, config.size(&["encoder_ffn_dim"])?, layers)?;
    let heads = config.optional_size(&["decoder_attention_heads"])?.unwrap_or(16);
    let layers = config.layers_or(&["decoder_layers"], 12)?;
    let mut head =
        Head { bias: vec!["final_logits_bias".to_owned()], ..head(config, "lm_head", width, target.rows, true)? };
    if head.tied && !target.other_names.is_empty() {
        head.other_name = Some("model.shared".to_owned());
    }
    let main = stack("decoder", target, heads, config.size(&["decoder_ffn_dim"])?, layers)?;
    Ok(Architecture {
        encoder: Some(encoder),
        start_token: start_token(config, kin.start)?,
        ..Architecture::of(kin.family, "model.", main, head)
    })
}

impl Kin {
    /// The tables of source and target: one of many names, or in Marian's models of two vocabularies one for each.
    fn tables(&self, config: &Config, width: usize) -> Result<(Table, Table)> {
        let vocab = config.size(&["vocab_size"])?;
        if self.family != "marian" || config.flag("share_encoder_decoder_embeddings", true)? {
            return Ok((
                shared_table("encoder.embed_tokens", vocab, width),
                shared_table("decoder.embed_tokens", vocab, width),
            ));
        }
        let target = config.optional_size(&["decoder_vocab_size"])?.unwrap_or(vocab);
        Ok((Table::new("encoder.embed_tokens", vocab, width), Table::new("decoder.embed_tokens", target, width)))
    }
}
