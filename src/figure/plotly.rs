//! Plotly's Sankey as a trace of our own (the crate's lacks `customdata`), and plotly.js itself.

use serde::Serialize;

use super::base64::base64;

/// A Sankey trace with every place given.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Sankey {
    #[serde(rename = "type")]
    pub kind: &'static str,
    pub arrangement: &'static str,
    pub domain: Domain,
    pub node: Nodes,
    pub link: Links,
}

/// The part of the drawing area that the places count in.
#[derive(Debug, Clone, Serialize)]
pub(super) struct Domain {
    pub x: [f64; 2],
    pub y: [f64; 2],
}

/// Nodes; labels and hover texts are escaped for Plotly.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Nodes {
    pub label: Vec<String>,
    pub color: Vec<String>,
    pub x: Vec<f64>,
    pub y: Vec<f64>,
    pub customdata: Vec<String>,
    pub hovertemplate: &'static str,
    pub pad: f64,
    pub thickness: f64,
    pub line: Outline,
}

/// Links between places of [`Nodes`].
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Links {
    pub source: Vec<usize>,
    pub target: Vec<usize>,
    pub value: Vec<f64>,
    pub color: Vec<String>,
    pub customdata: Vec<String>,
    pub hovertemplate: &'static str,
}

/// The outline of a node.
#[derive(Debug, Clone, Default, Serialize)]
pub(super) struct Outline {
    pub color: &'static str,
    pub width: f64,
}

impl plotly::Trace for Sankey {
    fn to_json(&self) -> String {
        serde_json::to_string(self).unwrap_or_default()
    }
}

/// The part of plotly.js that figures need, packed with gzip. Made by `tools/make_plotly.py`.
static PACKED: &[u8] = include_bytes!("assets/plotly/plotly.js.gz");

/// plotly.js as pages carry it, gzip in base64.
pub(super) fn library() -> String {
    base64(PACKED)
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    #[test]
    fn the_library_is_small_and_says_whose_it_is() {
        let mut script = String::new();
        flate2::read::GzDecoder::new(PACKED).read_to_string(&mut script).unwrap();
        assert!(script.contains("* plotly.js v3") && script.contains("Licensed under the MIT license"));
        assert!(library().len() < 800_000, "{}", library().len());
    }
}
