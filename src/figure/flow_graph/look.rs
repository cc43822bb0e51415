//! How the nodes and links of a graph look: label, colour, and the lines of the hover text, made from their numbers.

use super::palette::Scheme;
use super::words::Words;
use crate::Site;
use crate::flow::{Facts, Graph, Link, LinkKind, Meta, Node, NodeKind, PublishedLegend};

/// A node or link as it is drawn.
pub(super) struct Look {
    /// Short text beside a node; empty for a link.
    pub label: String,
    /// CSS colour.
    pub color: String,
    /// Lines of the hover text, raw: whoever draws them escapes them.
    pub hover: Vec<String>,
}

/// How a graph looks.
pub(super) struct Looks {
    pub nodes: Vec<Look>,
    pub links: Vec<Look>,
}

/// What the width of links means.
const WIDTHS: &str = "length of the vector that is added there; links that read (norms, queries, keys) are as wide as \
                      what they lead to";

impl Looks {
    pub fn of(meta: &Meta, graph: &Graph) -> Looks {
        let scheme = Scheme::new(&meta.style);
        let words = Words { meta, graph };
        let own = |published: &crate::flow::Published| Look {
            label: published.label.clone(),
            color: published.color.clone(),
            hover: published.hover.clone(),
        };
        let nodes = graph.nodes.iter().enumerate().map(|(index, node)| match &node.published {
            Some(published) => own(published),
            None => {
                Look { label: words.label(index), color: node_color(&scheme, meta, node), hover: words.node(index) }
            }
        });
        let links = graph.links.iter().map(|link| match &link.published {
            Some(published) => own(published),
            None => {
                Look { label: String::new(), color: link_color(&scheme, graph, link), hover: vec![words.link(link)] }
            }
        });
        Looks { nodes: nodes.collect(), links: links.collect() }
    }
}

fn node_color(scheme: &Scheme, meta: &Meta, node: &Node) -> String {
    let target = node.reading.as_ref().and_then(|reading| reading.targets.first());
    match (node.kind, target) {
        (NodeKind::Bias, _) => scheme.bias.clone(),
        (_, Some(target)) => scheme.rank(target.rank, meta.vocabulary),
        (_, None) => scheme.plain.clone(),
    }
}

fn link_color(scheme: &Scheme, graph: &Graph, link: &Link) -> String {
    let ends = (graph.nodes.get(link.source), graph.nodes.get(link.target));
    let own = match (link.kind, ends) {
        (LinkKind::Score, (_, Some(Node { facts: Facts::Key(_) | Facts::Value { .. }, .. }))) => {
            scheme.attention(link.value)
        }
        (LinkKind::Add, (Some(Node { reading: Some(reading), .. }), _)) if link.share.is_some() => {
            scheme.entropy(f64::from(reading.entropy))
        }
        (LinkKind::Residual, (_, Some(Node { site: Some(Site::ResidPost(_)), .. }))) => Some(scheme.past_mlp()),
        _ => None,
    };
    own.unwrap_or_else(|| scheme.link(link.kind))
}

/// The legend of graphs and what the width of their links means.
pub(super) fn legend(meta: &Meta, graphs: &[Graph]) -> PublishedLegend {
    if let Some(published) = &meta.published {
        return published.clone();
    }
    let scheme = Scheme::new(&meta.style);
    let occurs = |kind: LinkKind| graphs.iter().flat_map(|graph| &graph.links).any(|link| link.kind == kind);
    PublishedLegend {
        rank_colors: if meta.targets.is_empty() { Vec::new() } else { scheme.rank_legend(meta.vocabulary) },
        link_colors: scheme.link_legend(occurs),
        width_means: WIDTHS.to_owned(),
    }
}
