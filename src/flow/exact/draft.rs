//! Nodes and links before their vectors are read, and how they are written once they are.

use tch::Tensor;

use super::super::batch::{Batch, Readings};
use super::super::graph::{Facts, Graph, Link, LinkKind, Node, NodeKind, Skipped};
use super::Scene;
use super::attribution::Attributions;
use crate::{Array, Error, Result, Site};

/// A node without its words.
pub(super) struct NodeDraft {
    pub id: String,
    pub kind: NodeKind,
    pub layer: usize,
    pub head: Option<usize>,
    pub source_position: Option<usize>,
    pub neuron: Option<usize>,
    pub column: usize,
    /// Index in the batch.
    pub vector: usize,
    /// The numbers behind it.
    pub facts: Facts,
    /// How it is a term of the residual stream; `None` for directions and what norms give.
    pub added: Option<Added>,
    /// The site whose vector it is, where it is one's.
    pub site: Option<Site>,
    /// Whether something was changed by hand between the terms that add up to it and itself.
    pub changed: bool,
}

/// How a vector is a term of the residual stream.
#[derive(Debug, Clone, Copy)]
pub(super) struct Added {
    /// The vector times this is the term.
    pub times: f64,
    /// The site that it is or goes into: behind it the stream may pass norms that other terms do not pass.
    pub part_of: Site,
}

impl Added {
    /// A vector that is a term as it stands.
    pub fn once(part_of: Site) -> Option<Added> {
        Some(Added { times: 1., part_of })
    }
}

struct LinkDraft {
    source: usize,
    target: usize,
    kind: LinkKind,
    /// The exact number behind it.
    value: f64,
    weight: f64,
    carried: Option<Carried>,
    /// Whether it is one of the terms that add up to its target.
    term: bool,
}

/// What layers between two drawn ones add together.
#[derive(Debug, Clone, Copy)]
pub(super) struct Carried {
    /// Index in the batch.
    pub vector: usize,
    /// The first and the last of the layers.
    pub layers: (usize, usize),
    /// Whether something was changed by hand in them.
    pub changed: bool,
}

impl LinkDraft {
    /// The vector that it brings to a sum, and what that is multiplied with.
    fn carries(&self, nodes: &[NodeDraft]) -> (usize, f64) {
        match self.carried {
            Some(Carried { vector, .. }) => (vector, 1.),
            None => (nodes[self.source].vector, nodes[self.source].added.map_or(1., |added| added.times)),
        }
    }
}

#[cfg(test)]
thread_local! {
    /// Kinds of a term and of its sum: such terms are left out, so that their sums do not add up.
    pub(super) static LEFT_OUT: std::cell::Cell<Option<(NodeKind, NodeKind)>> = const { std::cell::Cell::new(None) };
}

/// A graph before its vectors are read.
#[derive(Default)]
pub(super) struct Draft {
    pub nodes: Vec<NodeDraft>,
    links: Vec<LinkDraft>,
}

impl Draft {
    pub fn node(&mut self, node: NodeDraft) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// A link drawn `weight` wide; `value` is the exact number behind it.
    pub fn link(&mut self, ends: (usize, usize), kind: LinkKind, weight: f64, value: f64) {
        let (source, target) = ends;
        self.links.push(LinkDraft { source, target, kind, value, weight, carried: None, term: false });
    }

    /// A link that is one of the terms that add up to its target: it adds a vector of this length, against the row
    /// that it comes from where that is negative.
    pub fn term(&mut self, ends: (usize, usize), kind: LinkKind, length: f64) {
        let term = self.is_term(ends);
        self.link(ends, kind, length.abs(), length);
        self.links.iter_mut().rev().take(1).for_each(|link| link.term = term);
    }

    /// A term that carries a vector of its own.
    pub fn carry(&mut self, ends: (usize, usize), length: f64, carried: Carried) {
        self.term(ends, LinkKind::Skip, length);
        self.links.iter_mut().rev().take(1).for_each(|link| link.carried = Some(carried));
    }

    /// Always true, but in the tests that take a term out to see the sum refused.
    #[cfg_attr(not(test), allow(clippy::unused_self, reason = "the switch is there in tests only"))]
    fn is_term(&self, _ends: (usize, usize)) -> bool {
        #[cfg(test)]
        return LEFT_OUT.get() != Some((self.nodes[_ends.0].kind, self.nodes[_ends.1].kind));
        #[cfg(not(test))]
        true
    }

    /// Checks every sum. Where the run was changed by hand between the terms and their sum, adds the difference as one
    /// more term; any other sum that does not add up is an error. `tolerance` is what rounding may leave, relative to the
    /// lengths of the sum and its terms. What is not a number cannot be checked.
    pub fn close_sums(&mut self, batch: &mut Batch, position: usize, tolerance: f64) -> Result<()> {
        let Some(all) = batch.all()? else { return Ok(()) };
        let vectors = Array::from_tensor(&all)?;
        let width = vectors.shape()[1];
        let row = |index: usize| &vectors.data()[index * width..(index + 1) * width];
        for target in 0..self.nodes.len() {
            let mut left: Vec<f64> = row(self.nodes[target].vector).iter().map(|&x| f64::from(x)).collect();
            let mut size = dot(row(self.nodes[target].vector), row(self.nodes[target].vector)).sqrt();
            let terms: Vec<&LinkDraft> = self.links.iter().filter(|link| link.term && link.target == target).collect();
            if terms.is_empty() {
                continue;
            }
            for link in terms {
                let (vector, times) = link.carries(&self.nodes);
                size += times.abs() * dot(row(vector), row(vector)).sqrt();
                left.iter_mut().zip(row(vector)).for_each(|(left, &x)| *left -= times * f64::from(x));
            }
            let length = left.iter().map(|x| x * x).sum::<f64>().sqrt();
            if length > tolerance * size {
                let of = &self.nodes[target];
                if !of.changed {
                    return Err(Error::Sum { node: of.id.clone(), position, off: length / size, tolerance });
                }
                let left: Vec<f32> = left.into_iter().map(|x| x as f32).collect();
                let vector = batch.push(&Tensor::f_from_slice(&left)?.f_to_device(all.device())?)?;
                let node = NodeDraft {
                    id: format!("{}.change", of.id),
                    kind: NodeKind::Remainder,
                    layer: of.layer,
                    head: of.head,
                    source_position: None,
                    neuron: None,
                    column: of.column.saturating_sub(1),
                    vector,
                    facts: Facts::Change,
                    added: of.added.and_then(|added| Added::once(added.part_of)),
                    site: None,
                    changed: false,
                };
                let node = self.node(node);
                self.term((node, target), LinkKind::Add, length);
            }
        }
        Ok(())
    }

    /// Reads every vector.
    pub fn finish(self, layers: Vec<usize>, reader: &Reader) -> Result<Graph> {
        let share = |link: &LinkDraft| {
            let target = &self.nodes[link.target];
            let (vector, times) = link.carries(&self.nodes);
            link.term.then(|| times * reader.dot(vector, target.vector) / reader.dot(target.vector, target.vector))
        };
        let shares: Vec<Option<f64>> = self.links.iter().map(share).collect();
        let sums: Vec<Option<Added>> = self.nodes.iter().map(|node| node.added).collect();
        let nodes = self.nodes.into_iter().map(|node| reader.node(node)).collect::<Result<_>>()?;
        let links = self.links.into_iter().zip(shares).map(|(link, share)| {
            let sum = sums[link.target];
            reader.link(link, share, sum)
        });
        Ok(Graph { layers, nodes, links: links.collect::<Result<_>>()? })
    }
}

/// Completes nodes and links by what their vectors say.
pub(super) struct Reader<'a> {
    readings: Readings,
    /// The batch (N,D), row by row.
    vectors: Vec<f32>,
    width: usize,
    /// What raises the targets' logits.
    attributions: &'a Attributions,
}

impl<'a> Reader<'a> {
    /// Reads the whole batch.
    pub fn new(scene: &'a Scene<'a>) -> Result<Reader<'a>> {
        let Scene { request, batch, attributions } = scene;
        let lens = request.trace.model().lens()?.top(5).bottom(5);
        let lens = lens.targets(request.targets.iter().map(|target| target.id));
        let all = batch.all()?;
        let vectors =
            all.map(|all| Array::from_tensor(&all)).transpose()?.map_or_else(Vec::new, |all| all.data().to_vec());
        let width = lens.width();
        Ok(Reader { readings: batch.read(&lens)?, vectors, width, attributions })
    }

    fn node(&self, node: NodeDraft) -> Result<Node> {
        let (contributions, average_contribution) = self.contributions(node.vector, node.added);
        Ok(Node {
            id: node.id,
            kind: node.kind,
            layer: node.layer,
            head: node.head,
            source_position: node.source_position,
            neuron: node.neuron,
            column: node.column,
            site: node.site,
            part_of: node.added.map(|added| added.part_of),
            norm: self.readings.norm(node.vector),
            reading: Some(self.readings.of(node.vector)?.clone()),
            contributions,
            average_contribution,
            facts: node.facts,
            published: None,
        })
    }

    /// What a term puts onto the logit of each target, and onto that of the average token.
    fn contributions(&self, vector: usize, added: Option<Added>) -> (Vec<f64>, Option<f64>) {
        let Some(added) = added else { return (Vec::new(), None) };
        let Some(directions) = self.attributions.at(added.part_of) else { return (Vec::new(), None) };
        let along = |direction: &[f32]| added.times * dot(self.row(vector), direction);
        (directions.targets.iter().map(|target| along(target)).collect(), Some(along(&directions.average)))
    }

    /// A vector of the batch.
    fn row(&self, index: usize) -> &[f32] {
        &self.vectors[index * self.width..(index + 1) * self.width]
    }

    /// Dot product of two vectors of the batch.
    fn dot(&self, a: usize, b: usize) -> f64 {
        dot(self.row(a), self.row(b))
    }

    /// `sum` is how the vector that the link enters is a term of the stream.
    fn link(&self, link: LinkDraft, share: Option<f64>, sum: Option<Added>) -> Result<Link> {
        let skipped = |Carried { vector, layers, changed }| -> Result<Skipped> {
            let sum = sum.map(|sum| Added { times: 1., ..sum });
            let (contributions, average_contribution) = self.contributions(vector, sum);
            let reading = self.readings.of(vector)?.clone();
            Ok(Skipped { layers, reading, contributions, average_contribution, changed })
        };
        Ok(Link {
            source: link.source,
            target: link.target,
            kind: link.kind,
            weight: if link.weight.is_finite() { link.weight.abs() } else { 0. },
            value: link.value,
            share: share.filter(|share| share.is_finite()),
            skipped: link.carried.map(skipped).transpose()?,
            published: None,
        })
    }
}

/// In double precision: what parts put onto a logit must add up although they nearly cancel.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
}
