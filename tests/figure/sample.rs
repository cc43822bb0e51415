//! Flow graphs for the tests: VISIT's own, written by `tools/figure_fixtures.py`.

use flowlens::Site;
use flowlens::flow::{
    Facts, FlowGraph, Graph, Link, LinkKind, Meta, Method, Node, NodeKind, Published, PublishedLegend, Style, Target,
};
use flowlens::lens::{LensCell, LensRow, LogitLens, TargetScore, TokenScore};
use serde_json::Value;

pub fn graph(name: &str) -> FlowGraph {
    let path = format!("{}/tests/fixtures/figure/{name}.json", env!("CARGO_MANIFEST_DIR"));
    let data: Value = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let line = text(&data["line"]);
    let pairs = |list: &[(&str, &str)]| list.iter().map(|&(a, b)| (a.to_owned(), b.to_owned())).collect();
    FlowGraph {
        meta: Meta {
            model: text(&data["model"]),
            family: "gpt2".to_owned(),
            vocabulary: 2001,
            method: Method::Visit,
            tokens: line.split_inclusive(' ').map(str::to_owned).collect(),
            token_ids: Vec::new(),
            encoder_tokens: Vec::new(),
            encoder_token_ids: Vec::new(),
            partial_tokens: std::collections::BTreeMap::new(),
            position: 7,
            line,
            targets: vec![Target { id: 262, text: text(&data["target"]) }],
            style: Style::default(),
            notes: Vec::new(),
            published: Some(PublishedLegend {
                rank_colors: pairs(&[
                    ("lime", "best"),
                    ("yellow", "top 5 %"),
                    ("dimgrey", "between"),
                    ("orangered", "last 15 %"),
                    ("darkred", "worst"),
                ]),
                link_colors: pairs(&[
                    ("darkviolet", "through a norm"),
                    ("rgba(102, 0, 204, 0.3)", "past attention"),
                    ("rgba(51, 102, 153, 0.3)", "past the MLP"),
                    ("blue", "promotes"),
                    ("red", "suppresses"),
                    ("yellow", "attention"),
                    ("pink", "bias"),
                ]),
                width_means: "norms, attention x 10, activations x 1.5".to_owned(),
            }),
        },
        graphs: list(&data["graphs"]).iter().map(one).collect(),
    }
}

/// Readings of four layers at eight positions; `word` stands in every third cell.
pub fn lens(word: &str) -> LogitLens {
    let sites = std::iter::once(Site::ResidPre(0)).chain((0..4).map(Site::ResidPost));
    let score = |id: u32, text: &str, prob: f32| TokenScore { id, text: text.to_owned(), logit: 5.0 * prob, prob };
    let cell = |row: usize, at: usize| {
        let prob = ((row + 1) * (at + 1)) as f32 / 45.0;
        let text = if (row + at).is_multiple_of(3) { word } else { " Tokyo" };
        let rank = if text == " Tokyo" { 1 } else { 2 };
        LensCell {
            top: score(1, text, prob),
            others: vec![score(2, " of", prob / 3.0), score(3, "\n", prob / 9.0)],
            entropy: 3.5,
            target: TargetScore { id: 7, text: " Tokyo".to_owned(), logit: 4.0, prob: prob / 3.0, rank },
        }
    };
    let row = |(row, site)| LensRow { site, cells: (0..8).map(|at| cell(row, at)).collect() };
    LogitLens {
        model: "tiny".to_owned(),
        tokens: ["The", " capital", " of", " Japan", " is", " the", " city", " of"].map(str::to_owned).to_vec(),
        rows: sites.enumerate().map(row).collect(),
        target: None,
    }
}

fn one(graph: &Value) -> Graph {
    let layers: Vec<usize> = list(&graph["layers"]).iter().map(number).collect();
    let nodes = list(&graph["nodes"]).iter().enumerate().map(|(at, node)| Node {
        id: format!("node.{at}"),
        kind: node_kind(node["kind"].as_str().unwrap()),
        layer: number(&node["layer"]),
        head: None,
        source_position: None,
        neuron: None,
        column: number(&node["column"]),
        site: None,
        part_of: None,
        norm: 1.0,
        reading: None,
        contributions: Vec::new(),
        average_contribution: None,
        facts: Facts::Plain,
        published: Some(Published {
            label: text(&node["label"]),
            color: text(&node["color"]),
            hover: list(&node["hover"]).iter().map(text).collect(),
        }),
    });
    let links = list(&graph["links"]).iter().map(|link| Link {
        source: number(&link["source"]),
        target: number(&link["target"]),
        kind: link_kind(link["kind"].as_str().unwrap()),
        weight: link["weight"].as_f64().unwrap(),
        value: link["weight"].as_f64().unwrap(),
        share: None,
        skipped: None,
        published: Some(Published {
            label: String::new(),
            color: text(&link["color"]),
            hover: vec![text(&link["hover"])],
        }),
    });
    Graph { nodes: nodes.collect(), links: links.collect(), layers }
}

fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

fn number(value: &Value) -> usize {
    usize::try_from(value.as_u64().unwrap()).unwrap()
}

fn list(value: &Value) -> &[Value] {
    value.as_array().unwrap()
}

fn node_kind(name: &str) -> NodeKind {
    match name {
        "Resid" => NodeKind::Resid,
        "Normed" => NodeKind::Normed,
        "Qkv" => NodeKind::Qkv,
        "Concat" => NodeKind::Concat,
        "AttnOut" => NodeKind::AttnOut,
        "MlpOut" => NodeKind::MlpOut,
        "Query" => NodeKind::Query,
        "Head" => NodeKind::Head,
        "Key" => NodeKind::Key,
        "Value" => NodeKind::Value,
        "OutputRow" => NodeKind::OutputRow,
        "NeuronKey" => NodeKind::NeuronKey,
        "NeuronValue" => NodeKind::NeuronValue,
        "Bias" => NodeKind::Bias,
        other => panic!("{other}"),
    }
}

fn link_kind(name: &str) -> LinkKind {
    match name {
        "Invisible" => LinkKind::Invisible,
        "Residual" => LinkKind::Residual,
        "Norm" => LinkKind::Norm,
        "Bias" => LinkKind::Bias,
        "Promote" => LinkKind::Promote,
        "Suppress" => LinkKind::Suppress,
        "Score" => LinkKind::Score,
        "Add" => LinkKind::Add,
        other => panic!("{other}"),
    }
}
