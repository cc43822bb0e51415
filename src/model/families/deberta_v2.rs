//! DeBERTa v2 and v3: content and positions meet in scores of their own.

use super::deberta::{assemble, kinds};
use super::encoder::{ABSENT, Absent, NAMES, Names, Sizes};
use super::{layer_name, linear};
use crate::model::architecture::*;
use crate::model::config::{Config, divide};
use crate::{Error, Result};

const XLARGE: Absent = Absent { heads: 24, layers: 24, inner: 6144, types: 0, eps: 1e-7, ..ABSENT };
const OWN_NAMES: Names = Names {
    query: "attention.self.query_proj",
    key: "attention.self.key_proj",
    value: "attention.self.value_proj",
    ..NAMES
};
pub(super) fn read(config: &Config) -> Result<Architecture> {
    let sizes = Sizes::read(config, &XLARGE)?;
    let width = sizes.width;
    if let Some(other) = config.optional_size(&["attention_head_size"])?.filter(|&other| other != sizes.head_dim) {
        return Err(Error::config("attention_head_size", format!("found {other}, expected {}", sizes.head_dim)));
    }
    let kinds = kinds(config)?;
    let has = |kind: &str| kinds.iter().any(|known| known == kind);
    // The kinds count even where there is no relative attention.
    let terms = 1 + usize::from(has("c2p")) + usize::from(has("p2c"));
    let relative = config.flag("relative_attention", false)?;
    let distances = distances(config, &sizes)?;
    let shared = config.flag("share_att_key", false)?;
    let block = |layer| {
        let name = |part: &str| layer_name("encoder.layer", layer, part);
        let mut block = sizes.block(&OWN_NAMES, name);
        let map = |kind: &str, own: &str, of_content: &str| {
            let part = name(if shared { of_content } else { own });
            has(kind).then(|| linear(part, width, width, true))
        };
        block.attention.scale = ((terms * sizes.head_dim) as f64).powf(-0.5);
        block.attention.relative = (relative && terms > 1).then(|| Relative {
            distances: distances.clone(),
            key: map("c2p", "attention.self.pos_key_proj", OWN_NAMES.key),
            query: map("p2c", "attention.self.pos_query_proj", OWN_NAMES.query),
            query_biases: None,
        });
        block
    };
    let neighbours = neighbours(config, &sizes)?;
    assemble("deberta-v2", config, &sizes, neighbours, block)
}

fn distances(config: &Config, sizes: &Sizes) -> Result<Distances> {
    let reach = config.count("max_relative_positions")?.unwrap_or(sizes.positions);
    let buckets = config.count("position_buckets")?;
    if buckets == Some(1) {
        return Err(Error::config("position_buckets", "found 1, expected at least 2"));
    }
    let span = buckets.unwrap_or(reach);
    let normed = config.text("norm_rel_ebd", "none")?.to_lowercase().split('|').any(|kind| kind.trim() == "layer_norm");
    Ok(Distances::Learned {
        table: Table::new("encoder.rel_embeddings", 2 * span, sizes.width),
        norm: normed.then(|| Norm::layer("encoder.LayerNorm", sizes.eps)),
        reach: buckets.map(|_| reach),
    })
}

/// The convolution of v2's larger models.
fn neighbours(config: &Config, sizes: &Sizes) -> Result<Option<Convolution>> {
    let Some(kernel) = config.count("conv_kernel_size")? else { return Ok(None) };
    if kernel.is_multiple_of(2) {
        return Err(Error::config("conv_kernel_size", format!("found {kernel}, expected an odd number")));
    }
    let groups = config.optional_size(&["conv_groups"])?.unwrap_or(1);
    divide(("hidden_size", sizes.width), ("conv_groups", groups))?;
    Ok(Some(Convolution {
        name: "encoder.conv.conv".into(),
        kernel,
        groups,
        activation: config.activation("conv_act", "tanh")?,
        norm: Norm::layer("encoder.conv.LayerNorm", sizes.eps),
    }))
}
