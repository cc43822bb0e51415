//! The residual stream of one part of a model, depth by depth, as the analyses of this room read it.

use tch::{Kind, Tensor};

use crate::attention::{in_part, layers, parts};
use crate::site::{Part, Site};
use crate::text::list;
use crate::{Error, Model, Result, Trace};

/// What is done to vectors before they are compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Treatment {
    /// The first position is left out: its norm often dwarfs all others.
    pub without_first: bool,
    /// The mean over positions is subtracted, at each depth its own.
    pub centred: bool,
    /// Each vector is scaled to length 1.
    pub unit_norm: bool,
}

/// A place in the stream and what it is called.
#[derive(Debug, Clone)]
pub(super) struct Depth {
    pub name: String,
    pub site: Site,
}

/// The part that a block's name means; without one the encoder of an encoder-decoder, which reads the text, or the only
/// stack.
pub(super) fn part(model: &Model, name: Option<&str>) -> Result<(Part, &'static str)> {
    let mut own = parts(model).iter().filter(|(part, _)| *part != Part::Cross);
    let found = match name {
        Some(name) => own.find(|(_, own)| *own == name),
        None => own.next(),
    };
    found.copied().ok_or_else(|| {
        let names: Vec<&str> = parts(model).iter().map(|(_, name)| *name).collect();
        Error::Trajectory {
            what: format!("block {:?}", name.unwrap_or_default()),
            problem: format!("has no stream of its own in {}; its blocks are {}", model.name(), names.join(", ")),
        }
    })
}

/// A part and what its block is called.
pub(super) fn block_of(model: &Model, part: Part) -> (Part, &'static str) {
    parts(model).iter().find(|(own, _)| *own == part).copied().unwrap_or((part, "all"))
}

/// The stream before the first layer and after each.
pub(super) fn depths(model: &Model, part: Part) -> Vec<Depth> {
    let before = Depth { name: "in".to_owned(), site: in_part(Site::ResidPre(0), part) };
    let after = |layer| Depth { name: format!("after layer {layer}"), site: model.stream_after_in(layer, part) };
    std::iter::once(before).chain((0..layers(model, part)).map(after)).collect()
}

/// What the sublayers of a part read, in the order of the computation, and what leaves the last norm: the walk of the
/// paper's older tool.
pub(super) fn sublayers(model: &Model, part: Part) -> Vec<Depth> {
    let name = |site: &Site| {
        let sublayer = match site.plain() {
            _ if site.part() == Part::Cross => "cross attention",
            Site::AttnNorm(_) => "attention",
            Site::MlpNorm(_) => "MLP",
            Site::FinalNorm => return Some("final norm".to_owned()),
            _ => return None,
        };
        site.layer().map(|layer| format!("{sublayer} norm {layer}"))
    };
    let norm = |site: &Site| {
        let own = site.part() == part || (part == Part::Main && site.part() == Part::Cross);
        own && matches!(site.plain(), Site::AttnNorm(_) | Site::MlpNorm(_) | Site::FinalNorm)
    };
    let sites = model.sites().into_iter().filter(norm);
    sites.filter_map(|site| name(&site).map(|name| Depth { name, site })).collect()
}

/// The vectors (T,D) of a site in float64 on the CPU: sums and angles of the analyses lose no digits.
pub(super) fn vectors(trace: &Trace, site: Site) -> Result<Tensor> {
    let tensor = trace.tensor(site)?;
    if tensor.dim() != 2 {
        let problem = "holds no vector for each position; choose a site of shape (T,D), e.g. hook_resid_post";
        return Err(Error::site(site, problem));
    }
    Ok(tensor.f_to_device(tch::Device::Cpu)?.f_to_kind(Kind::Double)?)
}

/// The positions that are looked at: those asked for, else all; the first one left out where that is wanted.
pub(super) fn positions(asked: Option<&[usize]>, treatment: Treatment, count: usize) -> Result<Vec<usize>> {
    let first = usize::from(treatment.without_first);
    let chosen: Vec<usize> = match asked {
        Some(asked) => asked.iter().copied().filter(|&position| position >= first).collect(),
        None => (first..count).collect(),
    };
    if let Some(&position) = chosen.iter().find(|&&position| position >= count) {
        return Err(Error::Trajectory {
            what: format!("position {position}"),
            problem: format!("is not there; the run has {count}, counted from 0"),
        });
    }
    if chosen.is_empty() {
        return Err(Error::Trajectory {
            what: format!("positions {}", list(asked.unwrap_or_default())),
            problem: "leave nothing to look at; choose at least one that is not the first".to_owned(),
        });
    }
    Ok(chosen)
}

/// Vectors (N,D) after what is done to them.
pub(super) fn treated(vectors: &Tensor, treatment: Treatment) -> Result<Tensor> {
    let centred = match treatment.centred {
        true => vectors.f_sub(&vectors.f_mean_dim([0i64].as_slice(), true, Kind::Double)?)?,
        false => vectors.shallow_clone(),
    };
    if treatment.unit_norm { super::geometry::unit(&centred) } else { Ok(centred) }
}

/// The rows of (T,D) at `positions`.
pub(super) fn rows(vectors: &Tensor, positions: &[usize]) -> Result<Tensor> {
    let places: Vec<i64> = positions.iter().map(|&position| position as i64).collect();
    Ok(vectors.f_index_select(0, &Tensor::f_from_slice(&places)?)?)
}

/// The tokens of a part as they are shown, one for each position.
pub(super) fn tokens(trace: &Trace, part: Part) -> Vec<String> {
    crate::attention::sides(trace, part).0.into_iter().map(|token| token.shown).collect()
}

/// Whether the blocks of a part norm what their attention reads.
pub(super) fn is_pre_norm(model: &Model, part: Part) -> bool {
    let architecture = model.architecture();
    let stack = if part == Part::Encoder { architecture.encoder.as_ref() } else { Some(&architecture.main) };
    stack.and_then(|stack| stack.blocks.first()).is_some_and(|block| block.attn_norms.before.is_some())
}

/// The error for a block that a model does not have.
pub(super) fn unknown_block(model: &Model, name: &str) -> Error {
    let names: Vec<&str> = parts(model).iter().map(|(_, name)| *name).collect();
    Error::Trajectory {
        what: format!("block {name:?}"),
        problem: format!("is not there; the blocks of {} are {}", model.name(), names.join(", ")),
    }
}
