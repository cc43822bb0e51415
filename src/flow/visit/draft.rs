//! Nodes and links before their vectors are read, and how VISIT writes them once they are.

use super::super::batch::Readings;
use super::super::graph::{Facts, Graph, Link, LinkKind, Node, NodeKind, Published};
use super::config::{Css, texts};
use super::{Layer, Request, python};
use crate::Result;
use crate::colors::ColorMap;
use crate::text::Tokenizer;

/// Columns of one block.
pub(super) const COLUMNS: usize = 15;

/// A vector of the batch, and from which end of the vocabulary it is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Spot {
    pub vector: usize,
    pub bottom: bool,
}

impl Spot {
    pub fn top(vector: usize) -> Spot {
        Spot { vector, bottom: false }
    }
}

/// One line of a hover text: literal words, then the text of a vector.
pub(super) struct Line {
    /// Comes before everything else.
    pub opening: String,
    /// The layer, where the text shows it.
    pub layer: Option<usize>,
    pub prefix: String,
    /// `None` for a line of words only.
    pub spot: Option<Spot>,
}

impl Line {
    pub fn words(opening: String) -> Line {
        Line { opening, layer: None, prefix: String::new(), spot: None }
    }

    pub fn of(layer: Option<usize>, prefix: &str, spot: Spot) -> Line {
        Line { opening: String::new(), layer, prefix: prefix.to_owned(), spot: Some(spot) }
    }

    pub fn opened(self, opening: &str) -> Line {
        Line { opening: opening.to_owned(), ..self }
    }
}

/// What gives a node or link its colour.
#[derive(Debug, Clone)]
pub(super) enum Paint {
    Fixed(Css),
    /// The target's rank in this vector.
    Rank(usize),
    /// The entropy of this vector.
    Entropy(usize),
    /// An attention probability.
    Score(f64),
}

/// A node without its words.
pub(super) struct NodeDraft {
    pub id: String,
    pub kind: NodeKind,
    pub layer: usize,
    pub head: Option<usize>,
    pub source_position: Option<usize>,
    pub neuron: Option<usize>,
    pub column: usize,
    /// One word each, joined by ` > `.
    pub label: Vec<Spot>,
    pub hover: Vec<Line>,
    pub paint: Paint,
}

struct LinkDraft {
    source: usize,
    target: usize,
    kind: LinkKind,
    value: f64,
    paint: Paint,
    hover: String,
}

/// A graph before its vectors are read.
#[derive(Default)]
pub(super) struct Draft {
    nodes: Vec<NodeDraft>,
    links: Vec<LinkDraft>,
}

impl Draft {
    pub fn node(&mut self, node: NodeDraft) -> usize {
        self.nodes.push(node);
        self.nodes.len() - 1
    }

    /// A node of one vector, coloured by rank, that shows layer and prefix.
    pub fn plain(&mut self, layer: &Layer, prefix: &str, kind: NodeKind, column: usize, spot: Spot) -> usize {
        self.node(NodeDraft {
            id: format!("blocks.{}.{prefix}", layer.index),
            kind,
            layer: layer.index,
            head: None,
            source_position: None,
            neuron: None,
            column: layer.column + column,
            label: vec![spot],
            hover: vec![Line::of(Some(layer.index), prefix, spot)],
            paint: Paint::Rank(spot.vector),
        })
    }

    pub fn link(&mut self, source: usize, target: usize, kind: LinkKind, value: f64, paint: Paint, hover: String) {
        self.links.push(LinkDraft { source, target, kind, value, paint, hover });
    }

    /// A link with VISIT's default text.
    pub fn norm_link(&mut self, source: usize, target: usize, kind: LinkKind, value: f64, paint: Paint) {
        self.link(source, target, kind, value, paint, format!("norm: {}", python::float(value)));
    }

    pub fn finish(self, layers: Vec<usize>, readings: &Readings, style: &Style) -> Result<Graph> {
        let mut nodes = Vec::with_capacity(self.nodes.len());
        for node in self.nodes {
            let first = node.label.last().map_or(0, |spot| spot.vector);
            let labels = node.label.iter().map(|spot| style.word(readings, *spot)).collect::<Result<Vec<_>>>()?;
            nodes.push(Node {
                id: node.id,
                kind: node.kind,
                layer: node.layer,
                head: node.head,
                source_position: node.source_position,
                neuron: node.neuron,
                column: node.column,
                site: None,
                part_of: None,
                norm: readings.norm(first),
                reading: Some(readings.of(first)?.clone()),
                contributions: Vec::new(),
                average_contribution: None,
                facts: Facts::Plain,
                published: Some(Published {
                    label: labels.join(" > "),
                    color: style.color(readings, &node.paint)?,
                    hover: node.hover.iter().map(|line| style.line(readings, line)).collect::<Result<_>>()?,
                }),
            });
        }
        let mut links = Vec::with_capacity(self.links.len());
        for link in self.links {
            links.push(Link {
                source: link.source,
                target: link.target,
                kind: link.kind,
                weight: link.value.abs(),
                value: link.value,
                share: None,
                skipped: None,
                published: Some(Published {
                    label: String::new(),
                    color: style.color(readings, &link.paint)?,
                    hover: vec![link.hover],
                }),
            });
        }
        Ok(Graph { layers, nodes, links })
    }
}

/// How words, numbers and colours are written.
pub(super) struct Style {
    /// The target's text as the status shows it.
    target: Option<String>,
    digits: i64,
    vocabulary: usize,
    rank: ColorMap,
    entropy: ColorMap,
    score: ColorMap,
    plain: String,
    tokenizer: Option<Tokenizer>,
}

impl Style {
    pub fn new(request: &Request, vocabulary: usize) -> Result<Style> {
        let config = request.config;
        Ok(Style {
            target: request.target.map(|target| target.text.clone()),
            digits: config.round_digits,
            vocabulary,
            rank: ColorMap::new(&texts(&config.rank_colors))?,
            entropy: ColorMap::new(&texts(&config.entropy_colors))?,
            score: ColorMap::new(&texts(&config.score_colors))?,
            plain: config.default_color.0.clone(),
            tokenizer: request.trace.model().tokenizer().cloned(),
        })
    }

    /// A token as VISIT decodes it: special ones are empty.
    fn text<'a>(&self, id: u32, text: &'a str) -> &'a str {
        let special = self.tokenizer.as_ref().is_some_and(|tokenizer| tokenizer.is_special(id));
        if special { "" } else { text }
    }

    fn words<'a>(&self, readings: &'a Readings, spot: Spot) -> Result<Vec<&'a str>> {
        let reading = readings.of(spot.vector)?;
        let list = if spot.bottom { &reading.bottom } else { &reading.top };
        Ok(list.iter().map(|token| self.text(token.id, &token.text)).collect())
    }

    fn word(&self, readings: &Readings, spot: Spot) -> Result<String> {
        Ok(self.words(readings, spot)?.first().copied().unwrap_or_default().to_owned())
    }

    fn line(&self, readings: &Readings, line: &Line) -> Result<String> {
        let Some(spot) = line.spot else { return Ok(line.opening.clone()) };
        let mut text = python::list(self.words(readings, spot)?);
        if !line.prefix.is_empty() {
            text = format!("{}: {text}", line.prefix);
        }
        if let Some(layer) = line.layer {
            text = format!("{layer}) {text}");
        }
        if let (Some(target), Some(score)) = (&self.target, readings.of(spot.vector)?.targets.first()) {
            let percent = python::round(f64::from(score.prob) * 100., self.digits);
            // The parenthesis that nothing opens is VISIT's.
            text.push_str(&format!(" [status: \"{target}\": prob:{}%, rank: {})]", python::float(percent), score.rank));
        }
        Ok(format!("{}{text}", line.opening))
    }

    fn color(&self, readings: &Readings, paint: &Paint) -> Result<String> {
        Ok(match paint {
            Paint::Fixed(color) => color.0.clone(),
            Paint::Score(score) => self.score.at(*score).css(),
            Paint::Entropy(vector) => self.entropy.at(f64::from(readings.of(*vector)?.entropy) / 30.).css(),
            Paint::Rank(vector) => match readings.of(*vector)?.targets.first() {
                Some(target) => self.rank.at(target.rank as f64 / self.vocabulary as f64).css(),
                None => self.plain.clone(),
            },
        })
    }

    /// The ends of the scales that links are coloured by.
    pub fn scales(&self) -> Vec<(String, String)> {
        let entropy = |bits: f64| (self.entropy.at(bits / 30.).css(), format!("added vector of entropy {bits} bits"));
        let score = |score: f64| (self.score.at(score).css(), format!("attention {score}"));
        vec![score(0.), score(0.5), score(1.), entropy(0.), entropy(15.)]
    }

    /// The rank colours with their meaning.
    pub fn legend(&self) -> Vec<(String, String)> {
        let ranks = [0.001, 0.01, 0.03, 0.06, 0.5, 0.85, 0.9, 1.0];
        let rank = |share: f64| ((share * self.vocabulary as f64).round() as usize).max(1);
        ranks
            .iter()
            .map(|&share| {
                (self.rank.at(rank(share) as f64 / self.vocabulary as f64).css(), format!("rank {}", rank(share)))
            })
            .collect()
    }
}
