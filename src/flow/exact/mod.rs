//! The graph with its mathematics right: whatever enters a node adds up to it.
//!
//! * A key is a direction of what the block's attention reads: its dot product with that input is the score. So the
//!   query's matrix carries it back, and a rotation is undone for the query's position.
//! * A memory's value, a head, a neuron stand as they are added: through the output matrix, with score or activation.
//!   A neuron's row is turned by the sign of its activation, so that its words are what it promotes.
//! * Where only some terms of a sum are shown, one more node holds the others; where a run was changed by hand between
//!   the terms and their sum, one more holds the change. Any other sum that does not add up is an error of ours.
//! * What a node puts onto a target's logit is linear: the scale of the final norm, and of norms that the stream passes
//!   on its way there, is held at its actual value.
//! * A norm of what a sublayer writes (Gemma 2) acts on each part alike, its scale held fixed, so that parts add up.

mod attention;
mod attribution;
mod block;
mod draft;
mod mlp;
mod overview;
#[cfg(test)]
mod tests;
mod written;

use tch::{Kind, Tensor};

use super::amounts::Amounts;
use super::batch::{self, Batch};
use super::graph::{Facts, Graph, LinkKind, NodeKind, Target};
use crate::model::Model;
use crate::run::Trace;
use crate::site::Part;
use crate::{DType, Error, Result, Site, interrupt};
use attribution::Attributions;
use draft::{Added, Carried, Draft, NodeDraft, Reader};

/// What rounding may leave of a sum, as a part of the lengths of the sum and its terms; in half precision, more.
const ROUNDING: f64 = 2e-5;
const HALF_ROUNDING: f64 = 0.02;

/// What a build goes by.
pub(super) struct Request<'a> {
    pub trace: &'a Trace,
    pub position: usize,
    pub targets: &'a [Target],
    pub amounts: Amounts,
}

/// Which part of the model is drawn.
pub(super) enum Extent {
    /// Every list of layers as a graph, its layers chained.
    Layers(Vec<Vec<usize>>),
    /// All layers, coarsely.
    Overview,
}

/// Refuses a model whose graph would not add up.
pub(super) fn check(model: &Model) -> Result<()> {
    let plan = model.architecture();
    let family = plan.family;
    if model.head()?.transform.is_some() {
        return Err(Error::FlowGraph(format!(
            "no flow graph of {family} models: between the stream and their words stands a layer that is not linear, so \
             what parts put onto a logit does not add up; trace.logit_lens() reads their stream"
        )));
    }
    Ok(())
}

/// The graphs.
pub(super) fn build(request: &Request, extent: &Extent) -> Result<Vec<Graph>> {
    let _guard = tch::no_grad_guard();
    check(request.trace.model())?;
    let mut scene = Scene::new(request)?;
    let mut drafts = Vec::new();
    match extent {
        Extent::Layers(lists) => {
            for layers in lists {
                drafts.push((layers.clone(), chain(&mut scene, layers)?));
            }
        }
        Extent::Overview => {
            drafts.push(((0..request.trace.model().layers()).collect(), overview::draft(&mut scene)?));
        }
    }
    let model = request.trace.model();
    let tolerance = if model.dtype() == DType::F32 { ROUNDING } else { HALF_ROUNDING };
    for (_, draft) in &mut drafts {
        draft.close_sums(&mut scene.batch, request.position, tolerance)?;
    }
    let reader = Reader::new(&scene)?;
    drafts.into_iter().map(|(layers, draft)| draft.finish(layers, &reader)).collect()
}

/// What all parts of a build share.
struct Scene<'a> {
    request: &'a Request<'a>,
    batch: Batch,
    attributions: Attributions,
}

impl<'a> Scene<'a> {
    fn new(request: &'a Request<'a>) -> Result<Scene<'a>> {
        Ok(Scene { request, batch: Batch::default(), attributions: Attributions::new(request)? })
    }

    /// The vector (D) of a site at the graph's position, float32.
    fn row(&self, site: Site) -> Result<Tensor> {
        Ok(self.request.trace.tensor(site)?.f_get(self.request.position as i64)?.f_to_kind(Kind::Float)?)
    }

    /// Adds a node for the vector of a site: the node, and the vector's length.
    fn site(&mut self, draft: &mut Draft, site: Site, kind: NodeKind, column: usize) -> Result<(usize, f64)> {
        let vector = self.row(site)?;
        let layer = site.layer().unwrap_or_default();
        // Two nodes may hold what a norm gives: what is read of it, or the stream that goes on with it.
        let name = match site {
            Site::ResidPre(_) => "resid_pre",
            Site::ResidMid(_) => "resid_mid",
            Site::ResidMidCross(_) => "resid_mid_cross",
            Site::ResidPost(_) => "resid_post",
            Site::AttnNorm(_) => "ln1",
            Site::CrossNorm(_) => "ln_cross",
            Site::MlpNorm(_) => "ln2",
            Site::AttnOut(_) => "attn_out",
            Site::CrossOut(_) => "cross_attn_out",
            _ => "mlp_out",
        };
        let length = batch::norms(&vector.f_unsqueeze(0)?)?[0];
        let node = NodeDraft {
            added: if kind == NodeKind::Normed { None } else { Added::once(site) },
            site: Some(site),
            changed: self.changed(site, None) || self.changed_heads(site),
            ..bare(format!("blocks.{layer}.{name}"), kind, layer, column, self.batch.push(&vector)?)
        };
        Ok((draft.node(node), length))
    }

    /// Whether a site was changed by hand at the graph's position, of one head where one is named.
    fn changed(&self, site: Site, head: Option<usize>) -> bool {
        let mut changes = self.request.trace.changes().iter();
        changes.any(|change| change.site == site && change.reaches(self.request.position, head))
    }

    /// Whether what heads write was changed by hand: the heads are drawn from what they mix, so that their sum is not
    /// what attention writes then.
    fn changed_heads(&self, site: Site) -> bool {
        match site {
            Site::AttnOut(layer) => self.changed(Site::HeadOutput(layer), None),
            Site::CrossOut(layer) => self.changed(Site::CrossHeadOutput(layer), None),
            _ => false,
        }
    }

    /// Whether something was changed by hand in the layers from `first` on before the stream enters layer `end`.
    fn changed_within(&self, first: usize, end: usize) -> bool {
        let inside = |site: Site| {
            site == Site::ResidPre(end)
                || site.part() != Part::Encoder && site.layer().is_some_and(|layer| (first..end).contains(&layer))
        };
        let mut changes = self.request.trace.changes().iter();
        changes.any(|change| inside(change.site) && change.reaches(self.request.position, None))
    }

    /// Whether the stream was changed by hand between a node of it and the site where it is added to.
    fn changed_between(&self, node: &NodeDraft, carries: Site) -> bool {
        node.site != Some(carries) && self.changed(carries, None)
    }

    /// The direction that raises the first target's logit above the average one, for terms of a site.
    fn first_target(&self, site: Site) -> Result<Tensor> {
        if let Some(directions) = self.attributions.at(site)
            && let Some(target) = directions.targets.first()
        {
            return Ok(Tensor::f_from_slice(target)?.f_sub(&Tensor::f_from_slice(&directions.average)?)?);
        }
        Err(match self.request.targets.is_empty() {
            true => Error::FlowGraph("heads are to be chosen by target, and the graph follows none; name one with target(..), or choose Heads::Top(..)".to_owned()),
            false => Error::site(
                self.request.trace.model().last_stream(),
                "was not kept in this run, or another site that the stream passes on its way there, and heads chosen by \
                 target need it; flow::sites(..) lists what to keep",
            ),
        })
    }
}

fn bare(id: String, kind: NodeKind, layer: usize, column: usize, vector: usize) -> NodeDraft {
    NodeDraft {
        id,
        kind,
        layer,
        head: None,
        source_position: None,
        neuron: None,
        column,
        vector,
        facts: Facts::Plain,
        added: None,
        site: None,
        changed: false,
    }
}

/// Blocks from left to right; layers between them that are not shown are one link.
fn chain(scene: &mut Scene, layers: &[usize]) -> Result<Draft> {
    let mut draft = Draft::default();
    let mut previous: Option<(usize, (usize, f64), usize)> = None;
    for &layer in layers {
        interrupt::check()?;
        let (input, column) = match previous {
            None => (scene.site(&mut draft, Site::ResidPre(layer), NodeKind::Resid, 0)?, 0),
            Some((before, output, column)) if before + 1 == layer => (output, column),
            Some((before, (output, length), column)) => {
                let input = scene.site(&mut draft, Site::ResidPre(layer), NodeKind::Resid, column + 2)?;
                let model = scene.request.trace.model();
                let added = scene.row(Site::ResidPre(layer))?.f_sub(&scene.row(model.stream_after(before))?)?;
                let width = batch::norms(&added.f_unsqueeze(0)?)?[0];
                let ends = (output, input.0);
                draft.term(ends, LinkKind::Residual, length);
                let changed = scene.changed_within(before + 1, layer);
                let vector = scene.batch.push(&added)?;
                draft.carry(ends, width, Carried { vector, layers: (before + 1, layer - 1), changed });
                (input, column + 2)
            }
        };
        let (output, end) = block::draw(scene, &mut draft, layer, input, column)?;
        previous = Some((layer, output, end));
    }
    Ok(draft)
}
