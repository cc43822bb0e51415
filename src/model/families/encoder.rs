//! What BERT and the encoders after it have in common: embedding, post-norm block, head of a masked language model.

use super::{head, head_bias, linear};
use crate::model::architecture::*;
use crate::model::config::{Config, divide};
use crate::{Error, Result};

/// The sizes of an encoder.
pub(super) struct Sizes {
    pub width: usize,
    pub heads: usize,
    pub head_dim: usize,
    pub inner: usize,
    pub layers: usize,
    pub vocab: usize,
    /// Rows of the table of positions.
    pub positions: usize,
    /// Rows of the table of token types; 0 where the family has none.
    pub types: usize,
    pub eps: f64,
    pub activation: Activation,
}

/// What a family takes when the config does not say.
pub(super) struct Absent {
    pub heads: usize,
    pub layers: usize,
    pub inner: usize,
    pub types: usize,
    pub eps: f64,
    pub activation: &'static str,
}

/// BERT's.
pub(super) const ABSENT: Absent =
    Absent { heads: 12, layers: 12, inner: 3072, types: 2, eps: 1e-12, activation: "gelu" };

impl Sizes {
    /// The sizes under BERT's keys.
    pub(super) fn read(config: &Config, absent: &Absent) -> Result<Sizes> {
        let width = config.size(&["hidden_size"])?;
        let heads = config.optional_size(&["num_attention_heads"])?.unwrap_or(absent.heads);
        Ok(Sizes {
            width,
            heads,
            head_dim: divide(("hidden_size", width), ("num_attention_heads", heads))?,
            inner: config.optional_size(&["intermediate_size"])?.unwrap_or(absent.inner),
            layers: config.layers_or(&["num_hidden_layers"], absent.layers)?,
            vocab: config.size(&["vocab_size"])?,
            positions: config.optional_size(&["max_position_embeddings"])?.unwrap_or(512),
            types: config.whole(&["type_vocab_size"], absent.types)?,
            eps: config.eps(&["layer_norm_eps"], absent.eps)?,
            activation: config.activation("hidden_act", absent.activation)?,
        })
    }

    /// A block that norms the stream after attention and after the MLP, with biases everywhere. `name` makes tensor
    /// names of the parts in `names`.
    pub(super) fn block(&self, names: &Names, name: impl Fn(&str) -> String) -> Block {
        let (width, inner) = (self.width, self.inner);
        let square = |part: &str| linear(name(part), width, width, true);
        let projection =
            Projection::Separate { query: square(names.query), key: square(names.key), value: square(names.value) };
        let norm = |part: &str| Norms::after(Norm::layer(name(part), self.eps));
        Block {
            order: Order::Sequential,
            attn_norms: norm(names.attn_norm),
            attention: Attention::plain(projection, square(names.output), self.heads, self.head_dim),
            cross: None,
            mlp_norms: norm(names.mlp_norm),
            mlp: Mlp::plain(
                linear(name(names.up), width, inner, true),
                self.activation,
                linear(name(names.down), inner, width, true),
            ),
        }
    }

    /// BERT's embedding with rows of `width`.
    pub(super) fn embedding(&self, width: usize, index: PositionIndex) -> Embedding {
        let table = |part: &str, rows| Table::new(format!("embeddings.{part}"), rows, width);
        Embedding {
            positions: Some(PositionTable::Learned { table: table("position_embeddings", self.positions), index }),
            segments: match self.types {
                0 => Segments::None,
                rows => Segments::Table(table("token_type_embeddings", rows)),
            },
            norm: Some(Norm::layer("embeddings.LayerNorm", self.eps)),
            ..Embedding::of(table("word_embeddings", self.vocab))
        }
    }

    /// All blocks between the embedding and the head; `unused` rows at the start of the positions go to no token.
    pub(super) fn stack(
        &self,
        embedding: Embedding,
        unused: usize,
        sees: Sees,
        block: impl Fn(usize) -> Block,
    ) -> Stack {
        Stack {
            width: self.width,
            context: Some(self.positions.saturating_sub(unused)),
            embedding,
            sees,
            blocks: (0..self.layers).map(block).collect(),
            final_norm: None,
            project: None,
        }
    }
}

/// Tensor names of a block's parts.
pub(super) struct Names {
    pub query: &'static str,
    pub key: &'static str,
    pub value: &'static str,
    pub output: &'static str,
    pub attn_norm: &'static str,
    pub up: &'static str,
    pub down: &'static str,
    pub mlp_norm: &'static str,
}

/// BERT's.
pub(super) const NAMES: Names = Names {
    query: "attention.self.query",
    key: "attention.self.key",
    value: "attention.self.value",
    output: "attention.output.dense",
    attn_norm: "attention.output.LayerNorm",
    up: "intermediate.dense",
    down: "output.dense",
    mlp_norm: "output.LayerNorm",
};

/// Tensor names of a masked language model's head.
pub(super) struct HeadNames {
    pub transform: &'static str,
    pub norm: &'static str,
    pub matrix: &'static str,
    /// Files that hold two mean the first.
    pub bias: &'static [&'static str],
}

/// BERT's.
pub(super) const HEAD: HeadNames = HeadNames {
    transform: "cls.predictions.transform.dense",
    norm: "cls.predictions.transform.LayerNorm",
    matrix: "cls.predictions.decoder",
    bias: &["cls.predictions.decoder.bias", "cls.predictions.bias"],
};

/// RoBERTa's.
pub(super) const LM_HEAD: HeadNames = HeadNames {
    transform: "lm_head.dense",
    norm: "lm_head.layer_norm",
    matrix: "lm_head.decoder",
    bias: &["lm_head.decoder.bias", "lm_head.bias"],
};

impl Sizes {
    /// The head of a masked language model, whose token table has rows of `width`; bare encoders have none.
    pub(super) fn masked_head(
        &self,
        config: &Config,
        names: &HeadNames,
        width: usize,
        activation: Activation,
    ) -> Result<Head> {
        Ok(Head {
            transform: Some(Transform {
                linear: linear(names.transform.into(), self.width, width, true),
                activation,
                norm: Some(Norm::layer(names.norm, self.eps)),
            }),
            bias: head_bias(names.bias),
            optional: true,
            ..head(config, names.matrix, width, self.vocab, true)?
        })
    }
}

/// Which positions a stack sees that can be made a decoder.
pub(super) fn sees(config: &Config) -> Result<Sees> {
    config.refuse("add_cross_attention")?;
    Ok(if config.flag("is_decoder", false)? { Sees::Causal } else { Sees::Both })
}

/// Refuses positions that enter attention itself, an option of old checkpoints.
pub(super) fn absolute_positions(config: &Config) -> Result<()> {
    match config.text("position_embedding_type", "absolute")? {
        "absolute" => Ok(()),
        other => Err(Error::config(
            "position_embedding_type",
            format!("found {other:?}; Flowlens computes \"absolute\" only, so its numbers would be wrong"),
        )),
    }
}
