//! The drawn part of a graph as a net of places, and the arithmetic that gives each its column, order and height.

use std::collections::BTreeSet;

use super::layout::{Box, Column, HEAD, MARGIN, NODE_WIDTH, Ribbon};
use super::look::Look;
use super::svg::kind_name;
use crate::figure::escape;
use crate::flow::{Graph, LinkKind, NodeKind};

/// Letters of a label at most.
const LABEL_LETTERS: usize = 13;
/// Width of a letter of a label, in pixels; an East Asian one takes twice as much.
const LETTER: f64 = 6.3;
/// What a node takes of its column at least, so that its label stays its own.
const SLOT: f64 = 15.0;
const GAP: f64 = 3.0;
/// The thinnest diagram, in pixels.
const LEAST_WIDTH: f64 = 720.0;
const LEAST_BODY: f64 = 110.0;
/// The tallest ribbon of the residual stream, and the tallest node below it as a part of the body.
const TALLEST_ROAD: f64 = 84.0;
const TALLEST_NODE: f64 = 0.6;

/// One link between places of [`Net::nodes`].
struct Edge {
    link: usize,
    source: usize,
    target: usize,
    weight: f64,
}

/// The part of a graph that is drawn.
pub(super) struct Net<'a> {
    graph: &'a Graph,
    /// Indices in the graph.
    pub nodes: Vec<usize>,
    pub column: Vec<usize>,
    pub value: Vec<f64>,
    pub labels: Vec<String>,
    edges: Vec<Edge>,
    /// Places by column, from top to bottom.
    order: Vec<Vec<usize>>,
    /// The node of the residual stream in each column.
    road: Vec<Option<usize>>,
}

impl<'a> Net<'a> {
    pub(super) fn of(graph: &'a Graph, looks: &[Look]) -> Net<'a> {
        let drawn = |source: usize, target: usize, kind: LinkKind| {
            kind != LinkKind::Invisible && source.max(target) < graph.nodes.len() && source != target
        };
        let links: Vec<(usize, usize, usize, f64)> = graph
            .links
            .iter()
            .enumerate()
            .filter(|(_, link)| drawn(link.source, link.target, link.kind))
            .map(|(at, link)| (at, link.source, link.target, if link.weight.is_finite() { link.weight } else { 0.0 }))
            .collect();
        let used: BTreeSet<usize> = links.iter().flat_map(|&(_, source, target, _)| [source, target]).collect();
        let nodes: Vec<usize> = used.into_iter().collect();
        let mut place = vec![0; graph.nodes.len()];
        nodes.iter().enumerate().for_each(|(at, &node)| place[node] = at);

        let widest = links.iter().map(|link| link.3).fold(0.0, f64::max).max(f64::MIN_POSITIVE);
        let edges: Vec<Edge> = links
            .into_iter()
            .map(|(link, source, target, weight)| Edge {
                link,
                source: place[source],
                target: place[target],
                weight: weight.max(widest * 1e-4),
            })
            .collect();
        let columns: Vec<usize> = nodes.iter().map(|&node| graph.nodes[node].column).collect();
        let column = forward(columns, &edges);
        let edges: Vec<Edge> = edges.into_iter().filter(|edge| column[edge.source] < column[edge.target]).collect();

        let (mut out, mut into) = (vec![0.0; nodes.len()], vec![0.0; nodes.len()]);
        for edge in &edges {
            out[edge.source] += edge.weight;
            into[edge.target] += edge.weight;
        }
        let value = out.iter().zip(&into).map(|(&out, &into): (&f64, &f64)| out.max(into)).collect();
        let count = column.iter().max().map_or(0, |&last| last + 1);
        let mut order = vec![Vec::new(); count];
        (0..nodes.len()).for_each(|at| order[column[at]].push(at));
        let road = order
            .iter()
            .map(|column: &Vec<usize>| {
                let streams = [NodeKind::Resid, NodeKind::NormedResid];
                let mut stream = column.iter().filter(|&&at| streams.contains(&graph.nodes[nodes[at]].kind));
                stream.next().copied().filter(|_| stream.next().is_none())
            })
            .collect();
        let labels = nodes.iter().map(|&node| escape::label(&looks[node].label, LABEL_LETTERS)).collect();
        Net { graph, nodes, column, value, labels, edges, order, road }
    }

    /// Orders each column by the mean place of its neighbours, sweeping to and fro; nodes with the same mean keep the
    /// order in which the graph lists them.
    pub(super) fn order(&mut self) {
        for (column, road) in self.order.iter_mut().zip(&self.road) {
            column.sort_by_key(|&at| (Some(at) != *road, at));
        }
        let mut rank = vec![0.0; self.nodes.len()];
        for sweep in 0..8 {
            self.order.iter().for_each(|column| rank_evenly(column, &mut rank));
            let forwards = sweep % 2 == 0;
            let count = self.order.len();
            for step in 1..count {
                let column = if forwards { step } else { count - 1 - step };
                let mean: Vec<f64> =
                    self.order[column].iter().map(|&at| self.barycentre(at, &rank, forwards)).collect();
                let mut by_mean: Vec<(usize, f64)> = self.order[column].iter().copied().zip(mean).collect();
                let road = self.road[column];
                by_mean.sort_by(|a, b| {
                    let key = |at: usize| Some(at) != road;
                    key(a.0).cmp(&key(b.0)).then(rounded(a.1).total_cmp(&rounded(b.1))).then(a.0.cmp(&b.0))
                });
                self.order[column] = by_mean.into_iter().map(|(at, _)| at).collect();
                rank_evenly(&self.order[column], &mut rank);
            }
        }
    }

    /// Mean of the neighbours on one side, weighted by the links; its own place where it has none.
    fn barycentre(&self, at: usize, place: &[f64], backwards: bool) -> f64 {
        let (mut sum, mut weight) = (0.0, 0.0);
        for edge in &self.edges {
            let neighbour = match backwards {
                true if edge.target == at => edge.source,
                false if edge.source == at => edge.target,
                _ => continue,
            };
            if self.road[self.column[neighbour]] == Some(neighbour) {
                continue;
            }
            sum += edge.weight * place[neighbour];
            weight += edge.weight;
        }
        if weight > 0.0 { sum / weight } else { place[at] }
    }

    /// Pixels for one unit of weight, the height of the road and of the body below it.
    pub(super) fn scale(&self) -> (f64, f64, f64) {
        let road: f64 = self.road.iter().flatten().map(|&at| self.value[at]).fold(0.0, f64::max);
        let below: Vec<Vec<f64>> = (0..self.order.len())
            .map(|column| {
                let rest = self.order[column].iter().filter(|&&at| self.road[column] != Some(at));
                rest.map(|&at| self.value[at]).collect()
            })
            .collect();
        let most = below.iter().map(Vec::len).max().unwrap_or(0);
        let body = (most as f64 * (SLOT + GAP + 0.4)).max(LEAST_BODY);
        let fits = |scale: f64| {
            road * scale <= TALLEST_ROAD
                && below.iter().all(|column| {
                    let filled: f64 = column.iter().map(|value| (value * scale).max(SLOT) + GAP).sum();
                    let tallest = column.iter().fold(0.0_f64, |most, value| most.max(value * scale));
                    filled <= body && tallest <= body * TALLEST_NODE
                })
        };
        let largest = self.value.iter().fold(0.0_f64, |most, &value| most.max(value)).max(f64::MIN_POSITIVE);
        let (mut low, mut high) = (0.0, body / largest);
        for _ in 0..60 {
            let middle = f64::midpoint(low, high);
            if fits(middle) { low = middle } else { high = middle }
        }
        let whole = HEAD + body + MARGIN;
        let scale = low.min(whole / self.largest_plotly_column().max(f64::MIN_POSITIVE));
        (scale, if road > 0.0 { (road * scale).max(SLOT) + 2.0 * SLOT } else { 0.0 }, body)
    }

    /// Upper edges: the road at the top, below it each node as near to its neighbours as the others let it.
    pub(super) fn tops(&self, scale: f64, road: f64, body: f64) -> Vec<f64> {
        let height = |at: usize| self.value[at] * scale;
        let slot = |at: usize| height(at).max(SLOT) + GAP;
        let mut centre = vec![0.0; self.nodes.len()];
        let below: Vec<Vec<usize>> = (0..self.order.len())
            .map(|column| self.order[column].iter().copied().filter(|&at| self.road[column] != Some(at)).collect())
            .collect();
        for column in &below {
            let total: f64 = column.iter().map(|&at| slot(at)).sum();
            let mut top = road + (body - total) / 2.0;
            for &at in column {
                centre[at] = top + slot(at) / 2.0;
                top += slot(at);
            }
        }
        self.road.iter().flatten().for_each(|&at| centre[at] = height(at) / 2.0);
        let count = below.len();
        for sweep in 0..40 {
            let forwards = sweep % 2 == 0;
            for step in 0..count {
                let column = if forwards { step } else { count - 1 - step };
                let wish: Vec<f64> = below[column]
                    .iter()
                    .map(|&at| {
                        let sides = [self.barycentre(at, &centre, true), self.barycentre(at, &centre, false)];
                        let near = sides[usize::from(!forwards)];
                        0.7 * near + 0.3 * sides[usize::from(forwards)]
                    })
                    .collect();
                let slots: Vec<f64> = below[column].iter().map(|&at| slot(at)).collect();
                let settled = settle(&wish, &slots, road, road + body);
                below[column].iter().zip(settled).for_each(|(&at, y)| centre[at] = y);
            }
        }
        (0..self.nodes.len()).map(|at| centre[at] - height(at) / 2.0).collect()
    }

    /// The columns with their names, as far apart as their labels need, and the width of the whole.
    pub(super) fn columns(&self) -> (Vec<Column>, f64) {
        let mut pitch: Vec<f64> = self
            .order
            .iter()
            .map(|column| {
                let label = column.iter().map(|&at| text_width(&self.labels[at])).fold(0.0, f64::max);
                (NODE_WIDTH + label + 18.0).max(62.0)
            })
            .collect();
        let whole: f64 = pitch.iter().sum::<f64>() + 2.0 * MARGIN;
        let gaps = pitch.len().saturating_sub(1).max(1) as f64;
        let spare = (LEAST_WIDTH - whole).max(0.0) / gaps;
        let last = pitch.len().saturating_sub(1);
        pitch.iter_mut().take(last).for_each(|pitch| *pitch += spare);
        let mut x = MARGIN;
        let columns = (0..self.order.len())
            .map(|column| {
                let first = self.road[column].or(self.order[column].first().copied()).map_or(0, |at| self.nodes[at]);
                let here = Column { x, name: self.column_name(column), layer: self.graph.nodes[first].layer };
                x += pitch[column];
                here
            })
            .collect();
        (columns, whole.max(LEAST_WIDTH))
    }

    /// What most nodes of a column stand for.
    fn column_name(&self, column: usize) -> &'static str {
        let kinds: Vec<NodeKind> = self.order[column].iter().map(|&at| self.graph.nodes[self.nodes[at]].kind).collect();
        let count = |kind: NodeKind| kinds.iter().filter(|&&other| other == kind).count();
        if kinds.contains(&NodeKind::AttnOut) && kinds.contains(&NodeKind::MlpOut) {
            return "sub-blocks write";
        }
        kinds.iter().copied().rev().max_by_key(|&kind| count(kind)).map_or("", kind_name)
    }

    /// Ribbons stacked at both ends in the order of what they lead to, as Plotly stacks them.
    pub(super) fn ribbons(&self, scale: f64, boxes: &[Box]) -> Vec<Ribbon> {
        let mut ribbons: Vec<Ribbon> = self
            .edges
            .iter()
            .map(|edge| Ribbon {
                link: edge.link,
                source: edge.source,
                target: edge.target,
                weight: edge.weight,
                width: edge.weight * scale,
                from: 0.0,
                to: 0.0,
            })
            .collect();
        let mut order: Vec<usize> = (0..ribbons.len()).collect();
        let mut filled: Vec<f64> = boxes.iter().map(|node| node.y).collect();
        order.sort_by(|&a, &b| boxes[ribbons[a].target].y.total_cmp(&boxes[ribbons[b].target].y).then(a.cmp(&b)));
        for &at in &order {
            let ribbon = &mut ribbons[at];
            ribbon.from = filled[ribbon.source];
            filled[ribbon.source] += ribbon.width;
        }
        let mut filled: Vec<f64> = boxes.iter().map(|node| node.y).collect();
        order.sort_by(|&a, &b| boxes[ribbons[a].source].y.total_cmp(&boxes[ribbons[b].source].y).then(a.cmp(&b)));
        for &at in &order {
            let ribbon = &mut ribbons[at];
            ribbon.to = filled[ribbon.target];
            filled[ribbon.target] += ribbon.width;
        }
        ribbons
    }

    /// The largest sum of values in one of the columns that Plotly would make of this graph: with no padding its
    /// scale is its height divided by this. (Plotly puts each node as far left as its links let it, and nodes that
    /// lead nowhere into the last column.)
    pub(super) fn largest_plotly_column(&self) -> f64 {
        let mut depth = vec![0; self.nodes.len()];
        for column in &self.order {
            for &at in column {
                for edge in self.edges.iter().filter(|edge| edge.source == at) {
                    depth[edge.target] = depth[edge.target].max(depth[at] + 1);
                }
            }
        }
        let last = depth.iter().copied().max().unwrap_or(0);
        let mut sums = vec![0.0; last + 1];
        for at in 0..self.nodes.len() {
            let leads_on = self.edges.iter().any(|edge| edge.source == at);
            sums[if leads_on { depth[at] } else { last }] += self.value[at];
        }
        sums.into_iter().fold(0.0, f64::max)
    }
}

/// Columns counted from 0 without gaps; where a link would not lead to the right, the length of the longest way to
/// each node instead.
fn forward(columns: Vec<usize>, edges: &[Edge]) -> Vec<usize> {
    let columns = if edges.iter().all(|edge| columns[edge.source] < columns[edge.target]) {
        columns
    } else {
        let mut longest = vec![0; columns.len()];
        for _ in 0..columns.len() {
            let before = longest.clone();
            for edge in edges {
                longest[edge.target] = longest[edge.target].max(longest[edge.source] + 1).min(columns.len());
            }
            if before == longest {
                break;
            }
        }
        longest
    };
    let distinct: Vec<usize> = columns.iter().copied().collect::<BTreeSet<_>>().into_iter().collect();
    columns.iter().map(|column| distinct.binary_search(column).unwrap_or(0)).collect()
}

/// Places within a column between 0 and 1.
fn rank_evenly(column: &[usize], rank: &mut [f64]) {
    for (place, &at) in column.iter().enumerate() {
        rank[at] = (place as f64 + 0.5) / column.len() as f64;
    }
}

/// Differences below this are rounding, and must not decide an order.
fn rounded(mean: f64) -> f64 {
    (mean * 1e6).round()
}

/// Centres nearest to the wished ones (least squares) that keep the order and a slot for each, between `top` and
/// `bottom`: an isotonic regression by pooling neighbours that want to pass each other.
fn settle(wish: &[f64], slots: &[f64], top: f64, bottom: f64) -> Vec<f64> {
    let mut before = 0.0;
    let offsets: Vec<f64> = slots
        .iter()
        .map(|slot| {
            let centre = before + slot / 2.0;
            before += slot;
            centre
        })
        .collect();
    let mut pools: Vec<(f64, usize)> = Vec::new();
    for (wish, offset) in wish.iter().zip(&offsets) {
        let mut pool = (wish - offset, 1);
        while let Some(&(mean, count)) = pools.last().filter(|last| last.0 > pool.0) {
            pools.pop();
            let both = count + pool.1;
            pool = ((mean * count as f64 + pool.0 * pool.1 as f64) / both as f64, both);
        }
        pools.push(pool);
    }
    let starts = pools.into_iter().flat_map(|(start, count)| std::iter::repeat_n(start, count));
    starts.zip(&offsets).map(|(start, offset)| start.min(bottom - before).max(top) + offset).collect()
}

/// About how wide a label is, in pixels.
fn text_width(text: &str) -> f64 {
    text.chars().map(|c| if u32::from(c) >= 0x1100 && c != '…' && c != '␣' { 2.0 * LETTER } else { LETTER }).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settles_neighbours_apart_and_inside() {
        let settled = settle(&[50.0, 50.0, 52.0, 200.0], &[10.0, 20.0, 10.0, 10.0], 0.0, 100.0);
        for pair in [0, 1, 2] {
            let room = [15.0, 15.0, 10.0][pair];
            assert!(settled[pair + 1] - settled[pair] >= room - 1e-9, "{settled:?}");
        }
        assert!(settled[0] >= 5.0 && settled[3] <= 95.0 + 1e-9, "{settled:?}");
    }

    #[test]
    fn columns_lead_to_the_right() {
        let edge = |source, target| Edge { link: 0, source, target, weight: 1.0 };
        assert_eq!(forward(vec![3, 9, 5], &[edge(0, 2), edge(2, 1)]), [0, 2, 1]);
        assert_eq!(forward(vec![0, 0, 0], &[edge(0, 2), edge(2, 1)]), [0, 2, 1]);
    }
}
