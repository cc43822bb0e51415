//! Where the nodes and ribbons of a Sankey diagram stand.
//!
//! Columns come from the graph. The residual stream, where there is one node of it in a column, runs along the top as
//! one straight road; what reads from it and writes into it hangs below. Within a column the order follows the
//! neighbours (barycentres), and the distance to the neighbours is the least that keeps labels apart.
//! Plotly draws its ribbons by the same rules, so that its picture and ours are the same.

use super::look::Look;
use super::net::Net;
use crate::flow::Graph;

/// Width of a node, in pixels.
pub(super) const NODE_WIDTH: f64 = 12.0;
/// Nodes below this height get a mark, so that their colour can be seen.
pub(super) const LEAST_NODE: f64 = 7.0;
/// Room above the picture for the columns' names.
pub(super) const HEAD: f64 = 44.0;
pub(super) const MARGIN: f64 = 14.0;

/// A node in its place.
#[derive(Debug, Clone)]
pub(super) struct Box {
    /// Index in the graph.
    pub node: usize,
    pub column: usize,
    pub x: f64,
    pub y: f64,
    pub height: f64,
    /// The word beside it.
    pub label: String,
}

/// A link in its place.
#[derive(Debug, Clone)]
pub(super) struct Ribbon {
    /// Index in the graph.
    pub link: usize,
    /// Places in [`Layout::boxes`].
    pub source: usize,
    pub target: usize,
    /// What the drawn width stands for: the link's weight, or a hair where that is nothing.
    pub weight: f64,
    pub width: f64,
    /// Upper edge where it leaves and where it arrives.
    pub from: f64,
    pub to: f64,
}

/// A column with its name.
#[derive(Debug, Clone)]
pub(super) struct Column {
    pub x: f64,
    pub name: &'static str,
    pub layer: usize,
}

/// A graph in its places, in pixels.
#[derive(Debug, Clone)]
pub(super) struct Layout {
    pub width: f64,
    pub height: f64,
    pub boxes: Vec<Box>,
    pub ribbons: Vec<Ribbon>,
    pub columns: Vec<Column>,
    /// The height that Plotly must be given to come to the same scale.
    pub plotly_height: f64,
}

impl Layout {
    /// Places a graph; links that are invisible, or that join nothing, have no place, and neither have nodes that
    /// nothing is joined to.
    pub(super) fn of(graph: &Graph, looks: &[Look]) -> Layout {
        let mut net = Net::of(graph, looks);
        net.order();
        let (scale, road, body) = net.scale();
        let tops = net.tops(scale, road, body);
        let (columns, width) = net.columns();
        let height = HEAD + road + body + MARGIN;

        let place = |at: usize| tops[at] + HEAD;
        let boxes: Vec<Box> = (0..net.nodes.len())
            .map(|at| Box {
                node: net.nodes[at],
                column: net.column[at],
                x: columns[net.column[at]].x,
                y: place(at),
                height: net.value[at] * scale,
                label: net.labels[at].clone(),
            })
            .collect();
        let ribbons = net.ribbons(scale, &boxes);
        let plotly_height = scale * net.largest_plotly_column();
        Layout { width, height, boxes, ribbons, columns, plotly_height }
    }
}
