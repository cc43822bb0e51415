//! The graph as VISIT published it: its vectors, selections, widths and texts, mistakes included.
//!
//! Kept so that results can be compared with the paper's tool; `specs` of what it computes stand in its source
//! (Katz & Belinkov 2023, arXiv 2305.13417). The default method corrects what is wrong here: query and key directions
//! on the wrong axis, rotated keys, unsigned neurons, sums without their remainder.

mod attention;
mod config;
mod draft;
mod fit;
mod layer;
mod mlp;
mod python;

use super::batch::{self, Batch};
use super::graph::{Graph, LinkKind, NodeKind, PublishedLegend, Target};
use crate::lens::Lens;
use crate::run::Trace;
use crate::{Error, Result, interrupt};
pub(super) use config::Config;
use draft::{Draft, Paint, Spot};
use layer::Layer;

/// What the width of links means.
const WIDTHS: &str = "VISIT's mixture of units: norms of vectors, attention scores x 10, \
                                 activations x 1.5, and constants";

/// What a build goes by.
pub(super) struct Request<'a> {
    pub trace: &'a Trace,
    pub config: &'a Config,
    pub target: Option<&'a Target>,
    pub position: usize,
}

/// Graphs for lists of layers; the layers of one list are chained in its order.
pub(super) fn build(request: &Request, lists: &[Vec<usize>]) -> Result<Vec<Graph>> {
    let mut batch = Batch::default();
    let mut drafts = Vec::new();
    for layers in lists {
        drafts.push(draft_chain(request, layers, &mut batch)?);
    }
    let lens: Lens = request.trace.model().lens()?.top(5).bottom(5).targets(request.target.map(|target| target.id));
    let readings = batch.read(&lens)?;
    let style = draft::Style::new(request, lens.vocabulary())?;
    let graphs = drafts.into_iter().zip(lists);
    graphs.map(|(draft, layers)| draft.finish(layers.clone(), &readings, &style)).collect()
}

/// Node and link colours with their meaning, and what widths mean.
pub(super) fn legend(request: &Request) -> Result<PublishedLegend> {
    let config = request.config;
    let style = draft::Style::new(request, request.trace.model().architecture().vocab())?;
    let rank_colors = if request.target.is_some() { style.legend() } else { Vec::new() };
    let links = [
        (&config.norm_color, "through a norm"),
        (&config.attn_residual_color, "past attention"),
        (&config.mlp_residual_color, "past the MLP"),
        (&config.promote_color, "largest coefficient x norm"),
        (&config.suppress_color, "smallest coefficient x norm"),
        (&config.bias_color, "bias"),
    ];
    let mut link_colors: Vec<_> =
        links.iter().map(|(color, meaning)| (color.0.clone(), (*meaning).to_owned())).collect();
    link_colors.extend(style.scales());
    Ok(PublishedLegend { rank_colors, link_colors, width_means: WIDTHS.to_owned() })
}

/// The node that a block goes on from, with the norm that VISIT believes it has.
struct Previous {
    node: usize,
    norm: f64,
}

/// The nodes of a block that its parts hang on.
struct Frame {
    attn_input: usize,
    attn_output: usize,
    mlp_input: usize,
    mlp_output: usize,
}

fn draft_chain(request: &Request, layers: &[usize], batch: &mut Batch) -> Result<Draft> {
    let mut draft = Draft::default();
    let mut previous = None;
    for (step, &layer) in layers.iter().enumerate() {
        interrupt::check()?;
        let layer = Layer::new(request, layer, step * draft::COLUMNS)?;
        let (frame, next) = block(request, &layer, previous, &mut draft, batch)?;
        attention::add(request, &layer, &frame, &mut draft, batch)?;
        mlp::add(request, &layer, &frame, &mut draft, batch)?;
        previous = Some(next);
    }
    Ok(draft)
}

/// `N(v)`: the rounded length, as it stands in texts and widths.
fn norm(config: &Config, vector: &tch::Tensor) -> Result<f64> {
    let exact = vector.f_norm()?.f_double_value(&[])?;
    Ok(if config.round_digits > 0 { python::round(exact, config.round_digits) } else { exact })
}

/// The first `top` indices by falling and the first `bottom` by rising `values`, each with whether it is a bottom one.
fn extremes(values: &[f64], config: &Config, of: &str) -> Result<Vec<(usize, bool)>> {
    let count = |wanted: i64, key: &str| match usize::try_from(wanted) {
        Ok(count) if count <= values.len() => Ok(count),
        _ => Err(Error::FlowGraph(format!(
            "{key} is {wanted}; this layer has {} {of}, so write 0 to that",
            values.len()
        ))),
    };
    let top = count(config.top_neurons, "number_of_top_neurons")?;
    let bottom = count(config.bottom_neurons, "number_of_bottom_neurons")?;
    let order = batch::falling(values);
    let worst = order.iter().rev().take(bottom).map(|&index| (index, true));
    Ok(order.iter().take(top).map(|&index| (index, false)).chain(worst).collect())
}

/// The nodes of the stream, of what the sublayers read and of what they write. In a parallel block both read one norm of
/// the block's input, and both write into its output.
fn block(
    request: &Request,
    layer: &Layer,
    previous: Option<Previous>,
    draft: &mut Draft,
    batch: &mut Batch,
) -> Result<(Frame, Previous)> {
    let config = request.config;
    let mut spot = |prefix: &str, kind, column, vector: &tch::Tensor, draft: &mut Draft| -> Result<usize> {
        let index = batch.push(vector)?;
        Ok(draft.plain(layer, prefix, kind, column, Spot::top(index)))
    };
    // Chained sequential blocks go on with the first block's input norm: VISIT never updates it.
    let (input, entering) = match previous {
        Some(Previous { node, norm }) => (node, norm),
        None => {
            (spot("block_input", NodeKind::Resid, 0, &layer.block_input, draft)?, norm(config, &layer.block_input)?)
        }
    };
    let normed = match config.parallel {
        true => Some(spot("block_input_after_LN", NodeKind::Normed, 1, &layer.attn_input, draft)?),
        false => None,
    };
    let attn_column = if config.parallel { 2 } else { 1 };
    let attn_input = spot("attn_input", NodeKind::Normed, attn_column, &layer.attn_input, draft)?;
    let attn_output = spot("attn_output", NodeKind::AttnOut, 9, &layer.attn_output, draft)?;
    let middle = match config.parallel {
        true => None,
        false => Some(spot("residual_after_attn", NodeKind::Resid, 10, &layer.residual, draft)?),
    };
    let mlp_input = spot("mlp_input", NodeKind::Normed, 11, &layer.mlp_input, draft)?;
    let mlp_output = spot("mlp_output", NodeKind::MlpOut, 14, &layer.mlp_output, draft)?;
    let output = spot("block_output", NodeKind::Resid, 15, &layer.block_output, draft)?;

    let (normed_length, middle_length) = (norm(config, &layer.attn_input)?, norm(config, &layer.residual)?);
    let through_norm = || Paint::Fixed(config.norm_color.clone());
    let past_attention = || Paint::Fixed(config.attn_residual_color.clone());
    if let Some(normed) = normed {
        draft.norm_link(input, normed, LinkKind::Norm, entering, through_norm());
    }
    let (read, length) = normed.map_or((input, entering), |normed| (normed, normed_length));
    draft.norm_link(read, attn_input, LinkKind::Norm, length, through_norm());
    let entropy = Paint::Entropy(batch.push(&layer.attn_output)?);
    let attn_length = norm(config, &layer.attn_output)?;
    draft.norm_link(attn_output, middle.unwrap_or(output), LinkKind::Add, attn_length, entropy);
    if let Some(middle) = middle {
        draft.norm_link(input, middle, LinkKind::Residual, entering, past_attention());
    }
    let (read, length) = middle.map_or((read, length), |middle| (middle, middle_length));
    draft.norm_link(read, mlp_input, LinkKind::Norm, length, through_norm());
    let entropy = Paint::Entropy(batch.push(&layer.mlp_output)?);
    draft.norm_link(mlp_output, output, LinkKind::Add, norm(config, &layer.mlp_output)?, entropy);
    let past_mlp = Paint::Fixed(config.mlp_residual_color.clone());
    let (passing, length, paint) =
        middle.map_or_else(|| (input, entering, past_attention()), |middle| (middle, middle_length, past_mlp));
    draft.norm_link(passing, output, LinkKind::Residual, length, paint);
    let leaving = if config.parallel { norm(config, &layer.block_output)? } else { entering };
    Ok((Frame { attn_input, attn_output, mlp_input, mlp_output }, Previous { node: output, norm: leaving }))
}
