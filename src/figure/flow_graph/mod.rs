//! The figure of a flow graph: a Sankey diagram, Plotly's where scripts run.

mod json;
mod layout;
mod look;
mod net;
mod palette;
mod svg;
mod words;

use std::fmt;
use std::path::Path;

use serde::Serialize;
use serde_json::{Value, json};

use super::legend::Keys;
use super::plotly::{Domain, Links, Nodes, Outline, Sankey};
use super::{Figure, Panel, escape};
use crate::Result;
use crate::flow::{FlowGraph, FlowGraphBuilder, Graph, Method, NodeKind};
use crate::text::list;
use layout::{Layout, NODE_WIDTH};
use look::Looks;

/// Letters of the prompt and of a token that title and caption show at most.
const PROMPT_LETTERS: usize = 160;
const TOKEN_LETTERS: usize = 40;

/// What a page carries beside the pictures: its names are those of `assets/src/payload.js`.
#[derive(Serialize)]
struct Page {
    /// The panel that is shown first.
    open: usize,
    panels: Vec<PanelData>,
}

#[derive(Serialize)]
struct PanelData {
    width: f64,
    height: f64,
    /// Plotly's.
    trace: Value,
    nodes: Vec<usize>,
    links: Vec<usize>,
}

impl FlowGraph {
    /// Draws the graph.
    pub fn figure(&self) -> Figure {
        let looks: Vec<Looks> = self.graphs.iter().map(|graph| Looks::of(&self.meta, graph)).collect();
        let layouts: Vec<Layout> =
            self.graphs.iter().zip(&looks).map(|(graph, looks)| Layout::of(graph, &looks.nodes)).collect();
        let named: Vec<(String, &Graph, &Looks, &Layout)> = self
            .graphs
            .iter()
            .zip(&looks)
            .zip(&layouts)
            .map(|((graph, looks), layout)| (name(graph), graph, looks, layout))
            .collect();
        let panels = named
            .iter()
            .map(|(name, _, looks, layout)| Panel {
                name: name.clone(),
                svg: svg::picture(looks, layout, &format!("Flow graph of {name}")),
                width: layout.width,
                height: layout.height,
            })
            .collect();
        let bare = |trace: Sankey| without_hover(&trace);
        let described = |(_, _, looks, layout): &(String, &Graph, &Looks, &Layout)| PanelData {
            width: layout.width,
            height: layout.height.ceil(),
            trace: bare(trace(looks, layout)),
            nodes: layout.boxes.iter().map(|it| it.node).collect(),
            links: layout.ribbons.iter().map(|it| it.link).collect(),
        };
        let page =
            Page { open: most_gained(self).map_or(0, |(at, _)| at), panels: named.iter().map(described).collect() };
        Figure {
            view: "flow-graph",
            title: title(self),
            caption: caption(self),
            panels,
            legend: legend(self),
            data: serde_json::to_value(page).unwrap_or_default(),
            packed: [].into(),
            plotly: named.first().map(|(_, _, looks, layout)| plotly_figure(self, looks, layout)),
            json: self.to_json(),
        }
    }

    /// Saves by the ending of the name: `.html` (a page, one file, works offline), `.svg`, `.pdf` or `.png` (a static
    /// picture) or `.json` (nodes and links with all their numbers).
    ///
    /// # Errors
    /// As [`Figure::save`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.figure().save(path)
    }
}

impl FlowGraphBuilder {
    /// Draws the graph.
    ///
    /// # Errors
    /// As [`build`](Self::build).
    pub fn figure(&self) -> Result<Figure> {
        Ok(self.build()?.figure())
    }

    /// Saves the graph as [`FlowGraph::save`] does.
    ///
    /// # Errors
    /// As [`build`](Self::build), or when the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        self.figure()?.save(path)
    }
}

impl fmt::Display for FlowGraph {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}\n{}", title(self), caption(self))?;
        for graph in &self.graphs {
            write!(f, "\n{}: {} nodes, {} links", name(graph), graph.nodes.len(), graph.links.len())?;
        }
        Ok(())
    }
}

/// Of several graphs the one whose layers put most onto the logit of the first target, and how much that is.
fn most_gained(graph: &FlowGraph) -> Option<(usize, f64)> {
    let writes = |kind: NodeKind| matches!(kind, NodeKind::AttnOut | NodeKind::CrossOut | NodeKind::MlpOut);
    let gain = |graph: &Graph| -> Option<f64> {
        let terms = graph.nodes.iter().filter(|node| writes(node.kind));
        terms.map(|node| node.contributions.first().copied()).sum()
    };
    let gains = graph.graphs.iter().enumerate().filter_map(|(at, graph)| Some((at, gain(graph)?)));
    let best = gains.filter(|(_, gain)| gain.is_finite()).max_by(|a, b| a.1.total_cmp(&b.1).then(b.0.cmp(&a.0)));
    best.filter(|_| graph.graphs.len() > 1 && !graph.meta.targets.is_empty())
}

/// `layer 3`, `layers 3 to 5`, `layers 3, 7, 9`.
fn name(graph: &Graph) -> String {
    match graph.layers.as_slice() {
        [] => "the model".to_owned(),
        [layer] => format!("layer {layer}"),
        layers => format!("layers {}", list(layers)),
    }
}

fn title(graph: &FlowGraph) -> String {
    let names: Vec<String> = graph.graphs.iter().map(name).collect();
    let shown = match names.as_slice() {
        [] => "no layer".to_owned(),
        [one] => one.clone(),
        [first, .., last] => format!("{first} to {last}, one at a time"),
    };
    format!("Flow graph of {}, {shown}", escape::model_name(&graph.meta.model))
}

/// A token between quotation marks.
fn quoted(text: &str) -> String {
    format!("“{}”", escape::short(text, TOKEN_LETTERS))
}

fn caption(graph: &FlowGraph) -> String {
    let meta = &graph.meta;
    let mut text = format!("Prompt “{}”", escape::short(&meta.line, PROMPT_LETTERS));
    if !meta.encoder_tokens.is_empty() {
        let written = escape::short(&meta.tokens.concat(), PROMPT_LETTERS);
        text.push_str(&format!(" for the encoder, “{written}” for the decoder"));
    }
    let token = meta.tokens.get(meta.position).map(|token| format!(" ({})", quoted(token))).unwrap_or_default();
    text.push_str(&format!(
        ", seen from position {}{token}. Each node is a vector of the model, labelled with the \
         vocabulary word it is nearest to",
        meta.position
    ));
    match meta.targets.as_slice() {
        [] => text.push('.'),
        [target] => text.push_str(&format!("; its colour is the rank of {} in it.", quoted(&target.text))),
        [first, rest @ ..] => {
            let others: Vec<String> = rest.iter().map(|target| quoted(&target.text)).collect();
            text.push_str(&format!(
                "; its colour is the rank of {} in it ({} stand in the hover texts).",
                quoted(&first.text),
                others.join(", ")
            ));
        }
    }
    let widths = look::legend(meta, &graph.graphs).width_means;
    if !widths.is_empty() {
        let means = widths.trim_end_matches('.');
        let means = means.strip_prefix("width: ").unwrap_or(means);
        text.push_str(&format!(" Width of a link: {}.", escape::short(means, 2 * PROMPT_LETTERS)));
    }
    text.push_str(match meta.method {
        Method::Exact => " Method: exact, every sum of links adds up to its node.",
        Method::Visit => " Method: as VISIT published it; widths mix units and do not add up.",
    });
    if let (Some((at, gain)), Some(target)) = (most_gained(graph), meta.targets.first()) {
        let (name, target) = (name(&graph.graphs[at]), quoted(&target.text));
        text.push_str(&format!(" The page opens on {name}, which puts most onto the logit of {target}: {gain:+.2}."));
    }
    for note in &meta.notes {
        text.push(' ');
        text.push_str(&escape::short(note, 2 * PROMPT_LETTERS));
    }
    text
}

fn legend(graph: &FlowGraph) -> Vec<Keys> {
    let (meta, colors) = (&graph.meta, look::legend(&graph.meta, &graph.graphs));
    let shown = |entries: &[(String, String)]| -> Vec<(String, String)> {
        entries.iter().map(|(color, meaning)| (color.clone(), escape::short(meaning, TOKEN_LETTERS))).collect()
    };
    let mut rows = Vec::new();
    if !colors.rank_colors.is_empty() {
        let target = meta.targets.first().map(|target| quoted(&target.text)).unwrap_or_default();
        rows.push(Keys { title: format!("Rank of {target}"), entries: shown(&colors.rank_colors), bands: false });
    }
    if !colors.link_colors.is_empty() {
        rows.push(Keys { title: "Links".to_owned(), entries: shown(&colors.link_colors), bands: true });
    }
    rows
}

/// The graph as Plotly draws it, in the places of our own picture.
fn trace(looks: &Looks, layout: &Layout) -> Sankey {
    let short = |value: f64| (value * 1e5).round() / 1e5;
    let mut nodes = Nodes {
        hovertemplate: "%{customdata}<extra></extra>",
        pad: 0.0,
        thickness: NODE_WIDTH,
        line: Outline { color: "#8c959f", width: 0.7 },
        ..Nodes::default()
    };
    for place in &layout.boxes {
        let node = &looks.nodes[place.node];
        nodes.label.push(escape::plotly(&place.label));
        nodes.color.push(escape::color(&node.color).to_owned());
        nodes.x.push(short((place.x + NODE_WIDTH / 2.0) / layout.width));
        nodes.y.push(short((place.y + place.height / 2.0) / layout.plotly_height));
        nodes.customdata.push(escape::plotly(&svg::hover(&node.hover)).replace('\n', "<br>"));
    }
    let mut links = Links { hovertemplate: "%{customdata}<extra></extra>", ..Links::default() };
    for ribbon in &layout.ribbons {
        let link = &looks.links[ribbon.link];
        links.source.push(ribbon.source);
        links.target.push(ribbon.target);
        links.value.push(ribbon.weight);
        links.color.push(escape::color(&link.color).to_owned());
        links.customdata.push(escape::plotly(&svg::hover(&link.hover)));
    }
    let bottom = 1.0 - layout.plotly_height / layout.height.ceil();
    let domain = Domain { x: [0.0, 1.0], y: [bottom.max(0.0), 1.0] };
    Sankey { kind: "sankey", arrangement: "fixed", domain, node: nodes, link: links }
}

/// The trace for our own page, where hover texts come from the static picture.
fn without_hover(trace: &Sankey) -> Value {
    let mut value = serde_json::to_value(trace).unwrap_or_default();
    for part in ["node", "link"] {
        if let Some(part) = value.get_mut(part).and_then(Value::as_object_mut) {
            part.remove("customdata");
            part.remove("hovertemplate");
            part.insert("hoverinfo".to_owned(), json!("none"));
        }
    }
    value
}

/// What a notebook with Plotly's own extension shows: the first graph.
fn plotly_figure(whole: &FlowGraph, looks: &Looks, layout: &Layout) -> Value {
    let mut plot = plotly::Plot::new();
    plot.add_trace(Box::new(trace(looks, layout)));
    let mut value: Value = serde_json::from_str(&plot.to_json()).unwrap_or_default();
    value["layout"] = json!({
        "title": { "text": escape::plotly(&title(whole)), "font": { "size": 14 } },
        "width": layout.width, "height": layout.height.ceil() + 40.0, "font": { "size": 11 },
        "margin": { "l": 0, "r": 0, "t": 40, "b": 0 }, "paper_bgcolor": "rgba(0,0,0,0)",
    });
    value
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::{Facts, Meta, Node, Target};

    fn node(kind: NodeKind, contributions: Vec<f64>) -> Node {
        Node {
            id: String::new(),
            kind,
            layer: 0,
            head: None,
            source_position: None,
            neuron: None,
            column: 0,
            site: None,
            part_of: None,
            norm: 1.0,
            reading: None,
            contributions,
            average_contribution: None,
            facts: Facts::default(),
            published: None,
        }
    }

    fn graph(gains: &[f64]) -> FlowGraph {
        let of_layer = |(layer, &gain): (usize, &f64)| {
            let stream = node(NodeKind::Resid, vec![99.0]);
            let nodes =
                vec![stream, node(NodeKind::AttnOut, vec![gain, 50.0]), node(NodeKind::MlpOut, vec![0.25, 0.0])];
            Graph { layers: vec![layer], nodes, links: Vec::new() }
        };
        let meta = Meta {
            model: String::new(),
            family: String::new(),
            method: Method::Exact,
            line: String::new(),
            tokens: vec!["a".to_owned()],
            encoder_tokens: Vec::new(),
            position: 0,
            targets: vec![Target { id: 1, text: " Tokyo".to_owned() }],
            notes: Vec::new(),
            vocabulary: 10,
            token_ids: vec![0],
            encoder_token_ids: Vec::new(),
            partial_tokens: Default::default(),
            style: Default::default(),
            published: None,
        };
        FlowGraph { meta, graphs: gains.iter().enumerate().map(of_layer).collect() }
    }

    #[test]
    fn opens_where_the_target_gains_most_and_says_so() {
        let three = graph(&[-1.0, 2.5, 0.5]);
        assert_eq!(most_gained(&three), Some((1, 2.75)));
        assert_eq!(three.figure().data["open"], 1);
        assert!(
            three.figure().caption().contains("opens on layer 1, which puts most onto the logit of “ Tokyo”: +2.75")
        );
        assert_eq!(most_gained(&graph(&[2.0])), None);
        let mut aimless = graph(&[1.0, 2.0]);
        aimless.meta.targets.clear();
        assert_eq!(most_gained(&aimless), None);
        let mut bare = graph(&[1.0, 2.0]);
        bare.graphs[1].nodes.iter_mut().for_each(|node| node.contributions.clear());
        assert_eq!(most_gained(&bare), Some((0, 1.25)));
    }

    #[test]
    fn scripts_know_every_name_by_the_same_spelling() {
        let figure = graph(&[1.0]).figure();
        let known = include_str!("../assets/src/payload.js");
        for (typedef, value) in [("FlowGraph", &figure.data), ("Panel", &figure.data["panels"][0])] {
            let start = known.find(&format!("@typedef {{object}} {typedef}")).unwrap();
            let lines = known[start..].lines().skip(1).take_while(|line| line.contains("@property"));
            let names: Vec<&str> =
                lines.map(|line| line.split("} ").nth(1).unwrap().split(' ').next().unwrap()).collect();
            assert_eq!(value.as_object().unwrap().keys().collect::<Vec<_>>(), names, "{typedef}");
        }
    }
}
