//! Plotly's Sankey as a trace of our own (the crate's lacks `customdata`), and plotly.js itself.

use std::io::Write;
use std::sync::OnceLock;

use flate2::Compression;
use flate2::write::GzEncoder;
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

/// plotly.js as the `plotly` crate carries it, gzip in base64: a third of its size.
pub(super) fn library() -> &'static str {
    static PACKED: OnceLock<String> = OnceLock::new();
    PACKED.get_or_init(|| {
        let sources = plotly::Plot::offline_js_sources();
        let mut encoder = GzEncoder::new(Vec::new(), Compression::new(7));
        // Writing into memory does not fail.
        let packed = encoder.write_all(first_script(&sources).as_bytes()).and_then(|()| encoder.finish());
        base64(&packed.unwrap_or_default())
    })
}

/// The crate hands out plotly.js and MathJax, each in a `<script>`; the figures need the first.
fn first_script(sources: &str) -> &str {
    const OPEN: &str = "<script type=\"text/javascript\">";
    let mut parts = sources.split(OPEN).skip(1);
    parts.next().map_or(sources, |part| part.trim_end().trim_end_matches("</script>"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packs_plotly_without_mathjax() {
        let sources = plotly::Plot::offline_js_sources();
        let script = first_script(&sources);
        assert!(script.contains("plotly.js v3") && script.trim_end().ends_with("}));"));
        assert!(!script.contains("MathJax.loader") && script.len() > 4_000_000);
        assert!(library().len() < 2_000_000, "{}", library().len());
    }
}
