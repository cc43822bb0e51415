//! What a page of an attention view carries beside the script: its names are those of `assets/src/payload.js`.

use serde::Serialize;

/// An attention view.
#[derive(Serialize)]
pub(super) struct Page {
    pub model: String,
    /// Views of one run have one name.
    pub run: String,
    pub first: First,
    pub blocks: Vec<Block>,
}

/// What is shown first.
#[derive(Serialize)]
pub(super) struct First {
    pub block: String,
    pub layer: usize,
    /// Those that are on; all when absent.
    pub heads: Option<Vec<usize>>,
    pub head: Option<usize>,
    pub token: Option<usize>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub residual: Option<bool>,
}

#[derive(Serialize)]
pub(super) struct Block {
    pub name: String,
    #[serde(flatten)]
    pub sides: Sides,
    /// How integers become weights; absent where the page computes them.
    #[serde(flatten)]
    pub weights: Option<Weights>,
    pub layers: Vec<Layer>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub measures: Option<Vec<Measure>>,
}

/// The tokens of a block.
#[derive(Serialize)]
pub(super) struct Sides {
    pub queries: Vec<String>,
    /// The queries when absent.
    pub keys: Option<Vec<String>>,
    /// Places of keys.
    pub special: Vec<usize>,
    pub second: Option<usize>,
}

#[derive(Serialize)]
pub(super) struct Weights {
    pub levels: u16,
    pub scale: f32,
    pub error: f32,
    pub causal: bool,
    pub pool: usize,
    pub kind: &'static str,
}

#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Layer {
    Weights(WeightLayer),
    Neurons(Box<NeuronLayer>),
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct WeightLayer {
    pub layer: usize,
    pub heads: Vec<usize>,
    /// The heads' own numbers when absent.
    pub key_heads: Option<Vec<usize>>,
    pub chunk: usize,
}

/// What each head does, in a number.
#[derive(Serialize)]
pub(super) struct Measure {
    pub name: &'static str,
    pub title: &'static str,
    pub unit: &'static str,
    pub about: &'static str,
    /// By layer and head.
    pub values: Vec<Vec<f64>>,
}

/// What the script computes weights from; numbers stand in chunks.
#[derive(Serialize, Clone)]
#[serde(rename_all = "camelCase")]
pub(super) struct NeuronLayer {
    pub layer: usize,
    pub heads: Vec<usize>,
    pub key_of: Vec<usize>,
    pub key_heads: Vec<usize>,
    pub width: usize,
    pub scale: f64,
    pub cap: Option<f64>,
    pub query: usize,
    pub key: usize,
    pub rotary: Option<Rotary>,
    pub normed: bool,
    pub bias: Option<Bias>,
    pub bias_name: Option<&'static str>,
    pub mask: Mask,
    pub value_norms: usize,
    pub written_norms: usize,
    pub error: f64,
}

#[derive(Serialize, Clone)]
pub(super) struct Rotary {
    pub pairing: &'static str,
    pub frequencies: Vec<f32>,
    pub magnitude: f64,
}

#[derive(Serialize, Clone)]
pub(super) struct Bias {
    pub kind: &'static str,
    pub chunk: usize,
}

/// Which keys a query sees.
#[derive(Serialize, Clone)]
pub(super) struct Mask {
    pub from: Vec<usize>,
    pub to: Vec<usize>,
    pub padded: Vec<usize>,
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use serde_json::Value;

    use super::*;

    /// The names that a typedef of the scripts has.
    fn typedef(name: &str) -> BTreeSet<String> {
        let text = include_str!("../assets/src/payload.js");
        let start = text.find(&format!("@typedef {{object}} {name}")).unwrap();
        let lines = text[start..].lines().skip(1).take_while(|line| !line.contains("@typedef"));
        let properties = lines.filter_map(|line| line.split_once("@property ")?.1.split_once("} "));
        let name = |rest: &str| rest.split_whitespace().next().unwrap().trim_matches(['[', ']']).to_owned();
        properties.map(|(_, rest)| name(rest)).collect()
    }

    fn names(value: &Value) -> BTreeSet<String> {
        value.as_object().unwrap().keys().cloned().collect()
    }

    #[test]
    fn scripts_know_every_name_by_the_same_spelling() {
        let neurons = NeuronLayer {
            layer: 0,
            heads: vec![0],
            key_of: vec![0],
            key_heads: vec![0],
            width: 2,
            scale: 1.0,
            cap: None,
            query: 0,
            key: 1,
            rotary: Some(Rotary { pairing: "halves", frequencies: vec![1.0], magnitude: 1.0 }),
            normed: false,
            bias: Some(Bias { kind: "full", chunk: 2 }),
            bias_name: None,
            mask: Mask { from: vec![0], to: vec![1], padded: Vec::new() },
            value_norms: 3,
            written_norms: 4,
            error: f64::NAN,
        };
        let weights = WeightLayer { layer: 0, heads: vec![0], key_heads: None, chunk: 5 };
        let measure = Measure { name: "", title: "", unit: "", about: "", values: vec![vec![0.0]] };
        let page = Page {
            model: String::new(),
            run: String::new(),
            first: First {
                block: "all".to_owned(),
                layer: 0,
                heads: None,
                head: None,
                token: None,
                residual: Some(true),
            },
            blocks: vec![Block {
                name: "all".to_owned(),
                sides: Sides { queries: Vec::new(), keys: None, special: Vec::new(), second: None },
                weights: Some(Weights { levels: 255, scale: 1.0, error: 0.0, causal: true, pool: 1, kind: "weight" }),
                layers: vec![Layer::Weights(weights), Layer::Neurons(Box::new(neurons))],
                measures: Some(vec![measure]),
            }],
        };
        let page = serde_json::to_value(page).unwrap();
        let block = &page["blocks"][0];
        let neurons = &block["layers"][1];
        for (name, value) in [
            ("Page", &page),
            ("First", &page["first"]),
            ("Block", block),
            ("Layer", &block["layers"][0]),
            ("Measure", &block["measures"][0]),
            ("NeuronLayer", neurons),
            ("Rotary", &neurons["rotary"]),
            ("Bias", &neurons["bias"]),
            ("Mask", &neurons["mask"]),
        ] {
            assert_eq!(names(value), typedef(name), "{name}");
        }
        assert!(neurons["error"].is_null(), "what is no number is null");
    }
}
