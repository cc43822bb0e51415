//! The flow graph as JSON, in the form of VISIT's dumps with our fields added.

use serde_json::{Map, Value, json};

use crate::flow::{FlowGraph, Graph, Link, Method, Node};

pub(super) fn json(graph: &FlowGraph) -> Value {
    let meta = &graph.meta;
    let method = match meta.method {
        Method::Exact => "exact",
        Method::Visit => "visit",
    };
    let targets: Vec<Value> = meta.targets.iter().map(|it| json!({ "id": it.id, "text": it.text })).collect();
    json!({
        "meta": {
            "model": meta.model, "family": meta.family, "method": method, "line": meta.line, "tokens": meta.tokens,
            "position": meta.position, "targets": targets, "width_means": meta.width_means,
        },
        "graphs": graph.graphs.iter().map(one).collect::<Vec<_>>(),
    })
}

fn one(graph: &Graph) -> Value {
    json!({
        "layers": graph.layers,
        "nodes": graph.nodes.iter().map(node).collect::<Vec<_>>(),
        "links": graph.links.iter().map(link).collect::<Vec<_>>(),
    })
}

fn node(node: &Node) -> Value {
    let mut entry = Map::new();
    let mut put = |key: &str, value: Value| entry.insert(key.to_owned(), value);
    put("id", json!(node.id));
    put("kind", json!(snake(&format!("{:?}", node.kind))));
    put("label", json!(node.label));
    put("color", json!(node.color));
    put("hover", json!(node.hover.join("<br />")));
    put("layer", json!(node.layer));
    put("column", json!(node.column));
    let places = [("head", node.head), ("source_position", node.source_position), ("neuron", node.neuron)];
    for (key, place) in places {
        if let Some(place) = place {
            put(key, json!(place));
        }
    }
    put("norm", json!(node.norm));
    if let Some(reading) = &node.reading {
        let score =
            |it: &crate::lens::TokenScore| json!({ "id": it.id, "text": it.text, "logit": it.logit, "prob": it.prob });
        put("top", reading.top.iter().map(score).collect());
        put("bottom", reading.bottom.iter().map(score).collect());
        put("entropy", json!(reading.entropy));
        let target = |it: &crate::lens::TargetScore| json!({ "id": it.id, "text": it.text, "logit": it.logit, "prob": it.prob, "rank": it.rank });
        put("targets", reading.targets.iter().map(target).collect());
    }
    if !node.contributions.is_empty() {
        put("contributions", json!(node.contributions));
    }
    Value::Object(entry)
}

fn link(link: &Link) -> Value {
    json!({
        "source": link.source, "target": link.target, "kind": snake(&format!("{:?}", link.kind)),
        "weight": link.weight, "value": link.value, "color": link.color, "hover": link.hover,
    })
}

/// `AttnOut` as `attn_out`.
fn snake(name: &str) -> String {
    let mut words = String::new();
    for c in name.chars() {
        if c.is_ascii_uppercase() && !words.is_empty() {
            words.push('_');
        }
        words.push(c.to_ascii_lowercase());
    }
    words
}

#[cfg(test)]
mod tests {
    #[test]
    fn names_kinds_as_json_does() {
        assert_eq!(super::snake("NeuronKey"), "neuron_key");
        assert_eq!(super::snake("Resid"), "resid");
    }
}
