//! The graph as JSON: plain enough for a script, with everything that the picture shows.

use serde_json::{Value, json};

use super::look::{self, Look, Looks};
use crate::flow::{FlowGraph, Graph, Link, LinkKind, Meta, Node, NodeKind, PublishedLegend};
use crate::lens::{Reading, TokenScore};

impl FlowGraph {
    /// The graph as JSON:
    /// `{"meta": {..}, "graphs": [{"layers", "nodes": [{"label", "color", "hover", ..}], "links": [{"source",
    /// "target", "weight", "color", "hover", ..}]}]}`.
    ///
    /// `source` and `target` are indices into the `nodes` of the same graph. Hover lines are joined by `<br />`;
    /// token texts in them are raw. A number that is not finite is `null`.
    pub fn to_json(&self) -> Value {
        let legend = look::legend(&self.meta, &self.graphs);
        let graphs: Vec<Value> = self.graphs.iter().map(|one| graph(one, &Looks::of(&self.meta, one))).collect();
        json!({ "meta": meta(&self.meta, &legend), "graphs": graphs })
    }
}

fn meta(meta: &Meta, shown: &PublishedLegend) -> Value {
    let legend = |list: &[(String, String)]| -> Vec<Value> {
        list.iter().map(|(color, meaning)| json!({ "color": color, "meaning": meaning })).collect()
    };
    json!({
        "model": meta.model,
        "family": meta.family,
        "method": meta.method.to_string(),
        "line": meta.line,
        "tokens": meta.tokens,
        "encoder_tokens": meta.encoder_tokens,
        "position": meta.position,
        "targets": meta.targets.iter().map(|t| json!({ "id": t.id, "text": t.text })).collect::<Vec<_>>(),
        "width_means": shown.width_means,
        "rank_colors": legend(&shown.rank_colors),
        "link_colors": legend(&shown.link_colors),
        "notes": meta.notes,
    })
}

fn graph(graph: &Graph, looks: &Looks) -> Value {
    json!({
        "layers": graph.layers,
        "nodes": graph.nodes.iter().zip(&looks.nodes).map(|(it, look)| node(it, look)).collect::<Vec<_>>(),
        "links": graph.links.iter().zip(&looks.links).map(|(it, look)| link(it, look)).collect::<Vec<_>>(),
    })
}

fn node(node: &Node, look: &Look) -> Value {
    json!({
        "label": look.label,
        "color": look.color,
        "hover": look.hover.join("<br />"),
        "id": node.id,
        "kind": node_kind(node.kind),
        "layer": node.layer,
        "head": node.head,
        "source_position": node.source_position,
        "neuron": node.neuron,
        "column": node.column,
        "norm": node.norm,
        "reading": node.reading.as_ref().map(reading),
        "contributions": node.contributions,
    })
}

fn link(link: &Link, look: &Look) -> Value {
    json!({
        "source": link.source,
        "target": link.target,
        "weight": link.weight,
        "color": look.color,
        "hover": look.hover.join("<br />"),
        "kind": link_kind(link.kind),
        "value": link.value,
    })
}

fn reading(reading: &Reading) -> Value {
    let tokens = |list: &[TokenScore]| -> Vec<Value> {
        list.iter().map(|t| json!({ "id": t.id, "text": t.text, "logit": t.logit, "prob": t.prob })).collect()
    };
    let targets: Vec<Value> = reading
        .targets
        .iter()
        .map(|t| json!({ "id": t.id, "text": t.text, "logit": t.logit, "prob": t.prob, "rank": t.rank }))
        .collect();
    json!({
        "top": tokens(&reading.top),
        "bottom": tokens(&reading.bottom),
        "entropy": reading.entropy,
        "targets": targets,
    })
}

fn node_kind(kind: NodeKind) -> &'static str {
    match kind {
        NodeKind::Resid => "resid",
        NodeKind::NormedResid => "normed_resid",
        NodeKind::Normed => "normed",
        NodeKind::Qkv => "qkv",
        NodeKind::Query => "query",
        NodeKind::Key => "key",
        NodeKind::Value => "value",
        NodeKind::Head => "head",
        NodeKind::Concat => "concat",
        NodeKind::OutputRow => "output_row",
        NodeKind::AttnOut => "attn_out",
        NodeKind::NeuronKey => "neuron_key",
        NodeKind::NeuronGate => "neuron_gate",
        NodeKind::NeuronValue => "neuron_value",
        NodeKind::MlpOut => "mlp_out",
        NodeKind::CrossQuery => "cross_query",
        NodeKind::CrossKey => "cross_key",
        NodeKind::CrossValue => "cross_value",
        NodeKind::CrossHead => "cross_head",
        NodeKind::CrossOut => "cross_out",
        NodeKind::Bias => "bias",
        NodeKind::Remainder => "remainder",
    }
}

fn link_kind(kind: LinkKind) -> &'static str {
    match kind {
        LinkKind::Norm => "norm",
        LinkKind::Residual => "residual",
        LinkKind::Score => "score",
        LinkKind::Promote => "promote",
        LinkKind::Suppress => "suppress",
        LinkKind::Add => "add",
        LinkKind::Bias => "bias",
        LinkKind::Skip => "skip",
        LinkKind::Invisible => "invisible",
    }
}
