//! Nodes and links before their vectors are read, and how they are written once they are.

use tch::Tensor;

use super::super::batch::{Batch, Readings};
use super::super::graph::{Graph, Link, LinkKind, Node, NodeKind, Target};
use super::super::palette::Scheme;
use super::Scene;
use super::attribution::Attributions;
use crate::lens::TokenScore;
use crate::model::Model;
use crate::text::visible;
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
    /// What it is, in words: the first line of the hover text.
    pub name: String,
    /// Stands before the first word in the label.
    pub mark: String,
    /// Takes the place of the first word as label.
    pub label: Option<String>,
    /// More lines of the hover text.
    pub facts: Vec<String>,
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
    weight: f64,
    value: f64,
    hover: String,
    /// A vector that the link itself carries; its reading is added to the hover text.
    vector: Option<usize>,
    /// Whether it is one of the terms that add up to its target.
    term: bool,
}

impl LinkDraft {
    /// The vector that it brings to a sum, and what that is multiplied with.
    fn carries(&self, nodes: &[NodeDraft]) -> (usize, f64) {
        match self.vector {
            Some(vector) => (vector, 1.),
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
    pub fn link(&mut self, ends: (usize, usize), kind: LinkKind, weight: f64, value: f64, hover: String) {
        let (source, target) = ends;
        self.links.push(LinkDraft { source, target, kind, weight, value, hover, vector: None, term: false });
    }

    /// A link that is one of the terms that add up to its target; the hover text says how much of the sum it makes.
    pub fn term(&mut self, ends: (usize, usize), kind: LinkKind, weight: f64, value: f64, hover: String) {
        let (source, target) = ends;
        let term = self.is_term(source, target);
        self.links.push(LinkDraft { source, target, kind, weight, value, hover, vector: None, term });
    }

    /// A term that adds a vector of this length.
    pub fn add(&mut self, ends: (usize, usize), kind: LinkKind, length: f64) {
        self.term(ends, kind, length, length, format!("adds a vector of length {}", number(length)));
    }

    /// A link that carries a vector of its own.
    pub fn carry(&mut self, ends: (usize, usize), kind: LinkKind, length: f64, vector: usize, hover: String) {
        let (source, target) = ends;
        self.links.push(LinkDraft {
            source,
            target,
            kind,
            weight: length,
            value: length,
            hover,
            vector: Some(vector),
            term: self.is_term(source, target),
        });
    }

    /// Always true, but in the tests that take a term out to see the sum refused.
    #[cfg_attr(not(test), allow(clippy::unused_self, reason = "the switch is there in tests only"))]
    fn is_term(&self, _source: usize, _target: usize) -> bool {
        #[cfg(test)]
        return LEFT_OUT.get() != Some((self.nodes[_source].kind, self.nodes[_target].kind));
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
                    name: format!("layer {}: what was changed here by hand in this run", of.layer),
                    mark: String::new(),
                    label: Some("change".to_owned()),
                    facts: Vec::new(),
                    added: of.added.and_then(|added| Added::once(added.part_of)),
                    site: None,
                    changed: false,
                };
                let node = self.node(node);
                self.add((node, target), LinkKind::Add, length);
            }
        }
        Ok(())
    }

    /// Fills in the words.
    pub fn finish(self, layers: Vec<usize>, writer: &Writer) -> Result<Graph> {
        let share = |link: &LinkDraft| {
            let target = &self.nodes[link.target];
            let (vector, times) = link.carries(&self.nodes);
            link.term.then(|| times * writer.dot(vector, target.vector) / writer.dot(target.vector, target.vector))
        };
        let shares: Vec<Option<f64>> = self.links.iter().map(share).collect();
        let sums: Vec<Option<Added>> = self.nodes.iter().map(|node| node.added).collect();
        let nodes = self.nodes.into_iter().map(|node| writer.node(node)).collect::<Result<_>>()?;
        let links = self.links.into_iter().zip(shares).map(|(link, share)| {
            let sum = sums[link.target];
            writer.link(link, share, sum)
        });
        Ok(Graph { layers, nodes, links: links.collect::<Result<_>>()? })
    }

    /// The kinds of links that occur.
    pub fn kinds(&self) -> impl Iterator<Item = LinkKind> {
        self.links.iter().map(|link| link.kind)
    }
}

/// Writes nodes and links, given what their vectors say.
pub(super) struct Writer<'a> {
    model: &'a Model,
    scheme: &'a Scheme,
    targets: &'a [Target],
    readings: Readings,
    /// The batch (N,D), row by row.
    vectors: Vec<f32>,
    width: usize,
    /// What raises the targets' logits.
    attributions: &'a Attributions,
}

impl<'a> Writer<'a> {
    /// Reads the whole batch.
    pub fn new(scene: &'a Scene<'a>) -> Result<Writer<'a>> {
        let Scene { request, batch, attributions, .. } = scene;
        let (model, scheme, targets) = (request.trace.model(), request.scheme, request.targets);
        let lens = model.lens()?.top(5).bottom(5).targets(targets.iter().map(|target| target.id));
        let all = batch.all()?;
        let vectors =
            all.map(|all| Array::from_tensor(&all)).transpose()?.map_or_else(Vec::new, |all| all.data().to_vec());
        let width = lens.width();
        Ok(Writer { model, scheme, targets, readings: batch.read(&lens)?, vectors, width, attributions })
    }

    fn node(&self, node: NodeDraft) -> Result<Node> {
        let reading = self.readings.of(node.vector)?;
        let norm = self.readings.norm(node.vector);
        let contributions: Vec<f64> = node
            .added
            .map(|added| self.shares(node.vector, added).map(|(share, _)| share).collect())
            .unwrap_or_default();
        let color = match (node.kind, reading.targets.first()) {
            (NodeKind::Bias, _) => self.scheme.bias.clone(),
            (_, Some(target)) => self.scheme.rank(target.rank, self.model.architecture().vocab()),
            (_, None) => self.scheme.plain.clone(),
        };
        let mut hover = vec![node.name, format!("says {}", self.words(&reading.top))];
        if says_no(node.kind) {
            hover.push(format!("least {}", self.words(&reading.bottom)));
        }
        for target in &reading.targets {
            hover.push(format!(
                "{}: rank {} of {}, {}",
                self.quoted(target.id),
                target.rank,
                self.model.architecture().vocab(),
                percent(f64::from(target.prob))
            ));
        }
        if let Some(added) = node.added {
            hover.extend(self.puts(node.vector, added));
        }
        hover.push(format!("length {}, entropy {:.1} bits", number(norm), reading.entropy));
        hover.extend(node.facts);
        Ok(Node {
            id: node.id,
            kind: node.kind,
            layer: node.layer,
            head: node.head,
            source_position: node.source_position,
            neuron: node.neuron,
            column: node.column,
            label: node.label.unwrap_or_else(|| node.mark + &self.label(reading.top.first())),
            color,
            hover,
            norm,
            reading: Some(reading.clone()),
            contributions,
        })
    }

    /// What a term puts onto the logit of each target, and onto that of the average token.
    fn shares(&self, vector: usize, added: Added) -> impl Iterator<Item = (f64, f64)> {
        let along = move |direction: &[f32]| added.times * dot(self.row(vector), direction);
        let directions = self.attributions.at(added.part_of);
        directions
            .into_iter()
            .flat_map(move |at| at.targets.iter().map(move |target| (along(target), along(&at.average))))
    }

    /// What a term puts onto the logit of each target. Beside it the difference to the average token, because what
    /// raises all logits alike changes no probability.
    fn puts(&self, vector: usize, added: Added) -> impl Iterator<Item = String> {
        self.targets.iter().zip(self.shares(vector, added)).map(move |(target, (share, average))| {
            let word = self.quoted(target.id);
            format!(
                "puts {} onto the logit of {word}, {} against the average token",
                signed(share),
                signed(share - average)
            )
        })
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
        let mut hover = link.hover;
        if let Some(share) = share.filter(|share| share.is_finite()) {
            hover.push_str(&format!(", {:.1} % of the sum", 100. * share));
        }
        if let Some(vector) = link.vector {
            hover.push_str(&format!(": says {}", self.words(&self.readings.of(vector)?.top)));
            let sum = sum.map(|sum| Added { times: 1., ..sum });
            sum.into_iter()
                .flat_map(|sum| self.puts(vector, sum))
                .for_each(|share| hover.push_str(&format!("; {share}")));
        }
        Ok(Link {
            source: link.source,
            target: link.target,
            kind: link.kind,
            weight: if link.weight.is_finite() { link.weight.abs() } else { 0. },
            value: link.value,
            color: self.scheme.link(link.kind),
            hover,
        })
    }

    /// The first word without its leading blank, which nearly every word has.
    fn label(&self, best: Option<&TokenScore>) -> String {
        let Some(best) = best else { return "?".to_owned() };
        short(&self.shown(best.id))
    }

    fn words(&self, tokens: &[TokenScore]) -> String {
        let word = |token: &TokenScore| format!("{} {}", self.quoted(token.id), percent(f64::from(token.prob)));
        tokens.iter().map(word).collect::<Vec<_>>().join(", ")
    }

    fn shown(&self, id: u32) -> String {
        self.model.tokenizer().map_or_else(|| visible(&self.model.piece(id)), |tokenizer| tokenizer.shown(id))
    }

    fn quoted(&self, id: u32) -> String {
        format!("“{}”", self.shown(id))
    }
}

/// In double precision: what parts put onto a logit must add up although they nearly cancel.
fn dot(a: &[f32], b: &[f32]) -> f64 {
    a.iter().zip(b).map(|(&x, &y)| f64::from(x) * f64::from(y)).sum()
}

/// Whether the words that a vector speaks against tell something: it is added to the stream, not the stream itself.
fn says_no(kind: NodeKind) -> bool {
    !matches!(kind, NodeKind::Resid | NodeKind::NormedResid | NodeKind::Normed)
}

/// A word for a label: without its leading blank where something is left.
pub(super) fn short(shown: &str) -> String {
    match shown.trim_start_matches('␣') {
        "" => shown.to_owned(),
        rest => rest.to_owned(),
    }
}

/// A number with three digits that matter.
pub(super) fn number(x: f64) -> String {
    match x.abs() {
        0. => "0".to_owned(),
        size if !(1e-3..1e5).contains(&size) => format!("{x:.2e}"),
        size if size >= 100. => format!("{x:.0}"),
        size if size >= 10. => format!("{x:.1}"),
        size if size >= 1. => format!("{x:.2}"),
        _ => format!("{x:.3}"),
    }
}

/// A number with its sign.
pub(super) fn signed(x: f64) -> String {
    format!("{}{}", if x < 0. { "" } else { "+" }, number(x))
}

fn percent(share: f64) -> String {
    match 100. * share {
        percent if percent >= 10. => format!("{percent:.0} %"),
        percent if percent >= 0.1 => format!("{percent:.1} %"),
        percent if percent >= 0.001 => format!("{percent:.3} %"),
        _ => "<0.001 %".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_words_lose_their_blank() {
        assert_eq!([0.1234, 1.234, -12.34, 1234., 1e-5].map(number), ["0.123", "1.23", "-12.3", "1234", "1.00e-5"]);
        assert_eq!([signed(0.5), signed(-0.5)], ["+0.500", "-0.500"]);
        assert_eq!([percent(0.854), percent(0.0123), percent(1e-7)], ["85 %", "1.2 %", "<0.001 %"]);
        assert_eq!([short("␣Tokyo"), short("␣␣"), short("a␣")], ["Tokyo", "␣␣", "a␣"]);
    }
}
