//! XLM: a post-norm encoder, causal on demand, with embeddings of languages.

use super::encoder::{Names, Sizes};
use super::{head, head_bias};
use crate::Result;
use crate::model::architecture::*;
use crate::model::config::{Config, divide};

const NAMES: Names = Names {
    query: "attentions.{}.q_lin",
    key: "attentions.{}.k_lin",
    value: "attentions.{}.v_lin",
    output: "attentions.{}.out_lin",
    attn_norm: "layer_norm1.{}",
    up: "ffns.{}.lin1",
    down: "ffns.{}.lin2",
    mlp_norm: "layer_norm2.{}",
};

/// `sinusoidal_embeddings` says how the table of positions began; files hold the table either way.
pub(super) fn read(config: &Config) -> Result<Architecture> {
    config.refuse("asm")?;
    config.refuse_without("is_encoder")?;
    let width = config.optional_size(&["emb_dim", "hidden_size"])?.unwrap_or(2048);
    let heads = config.optional_size(&["n_heads", "num_attention_heads"])?.unwrap_or(16);
    let sizes = Sizes {
        width,
        heads,
        head_dim: divide(("emb_dim", width), ("n_heads", heads))?,
        inner: 4 * width,
        layers: config.layers_or(&["n_layers", "num_hidden_layers"], 12)?,
        vocab: config.size(&["n_words", "vocab_size"])?,
        positions: config.optional_size(&["max_position_embeddings"])?.unwrap_or(512),
        types: 0,
        eps: config.eps(&["layer_norm_eps"], 1e-12)?,
        activation: if config.flag("gelu_activation", true)? { Activation::Gelu } else { Activation::Relu },
    };
    let languages = config.optional_size(&["n_langs"])?.unwrap_or(1);
    let has_languages = languages > 1 && config.flag("use_lang_emb", true)?;
    let positions = Table::new("position_embeddings", sizes.positions, width);
    let embedding = Embedding {
        positions: Some(PositionTable::Learned { table: positions, index: PositionIndex::Place(0) }),
        segments: Segments::TokenTable,
        languages: has_languages.then(|| Table::new("lang_embeddings", languages, width)),
        norm: Some(Norm::layer("layer_norm_emb", sizes.eps)),
        padding: Padding::Zeroed { unmarked: Some(config.whole(&["pad_index", "pad_token_id"], 2)? as i64) },
        ..Embedding::of(Table::new("embeddings", sizes.vocab, width))
    };
    let sees = if config.flag("causal", false)? { Sees::CausalAndPadding } else { Sees::Both };
    let block = |layer: usize| sizes.block(&NAMES, |part| part.replace("{}", &layer.to_string()));
    let main = sizes.stack(embedding, 0, sees, block);
    let head = Head {
        bias: head_bias(&["pred_layer.proj.bias"]),
        optional: true,
        ..head(config, "pred_layer.proj", width, sizes.vocab, true)?
    };
    Ok(Architecture::of("xlm", "transformer.", main, head))
}
