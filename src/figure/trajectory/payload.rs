//! What a page of a trajectory carries beside the script: its names are those of `assets/src/trajectory/payload.js`.

use serde::Serialize;

use crate::figure::chart::{Colors, Kind};

/// Packed numbers. An integer 0 is blank; 1 to `levels` go from `low` to `high`. Without levels they are float32.
#[derive(Serialize, Clone)]
pub(in super::super) struct Numbers {
    pub chunk: usize,
    pub shape: Vec<usize>,
    pub levels: u16,
    pub low: f32,
    pub high: f32,
}

/// How values become colours.
#[derive(Serialize, Clone)]
pub(in super::super) struct Scale {
    pub kind: &'static str,
    pub low: f32,
    pub high: f32,
    /// Whether values lie beyond each end.
    pub beyond: [bool; 2],
}

impl From<&Colors> for Scale {
    fn from(colors: &Colors) -> Scale {
        let kind = match colors.kind {
            Kind::Signed => "signed",
            Kind::Magnitude => "magnitude",
            Kind::Root => "root",
        };
        Scale { kind, low: colors.low, high: colors.high, beyond: colors.beyond }
    }
}

/// Attention, similarity and attribution maps.
#[derive(Serialize)]
pub(super) struct Maps {
    pub model: String,
    /// What rows and columns are.
    pub axes: [&'static str; 2],
    /// What a layer is called in the chooser.
    pub depth: &'static str,
    pub kinds: Vec<MapKind>,
    pub blocks: Vec<MapBlock>,
    /// What is shown first.
    pub first: First,
    /// Between the layers of the first block.
    pub cka: Option<Vec<Vec<Option<f32>>>>,
    /// How words under rows are read, where there are any.
    pub words: Option<&'static str>,
}

#[derive(Serialize)]
pub(super) struct First {
    pub block: String,
    pub layer: usize,
    pub heads: Vec<usize>,
}

#[derive(Serialize)]
pub(super) struct MapKind {
    pub name: &'static str,
    pub title: String,
    pub scale: Scale,
}

#[derive(Serialize)]
pub(super) struct MapBlock {
    pub name: String,
    pub rows: Vec<String>,
    /// The rows when absent.
    pub columns: Option<Vec<String>>,
    pub layers: Vec<MapLayer>,
}

#[derive(Serialize)]
pub(super) struct MapLayer {
    pub name: String,
    pub number: usize,
    pub heads: Vec<usize>,
    /// By kind, (heads, rows, columns); `null` where there is none.
    pub values: Vec<Option<Numbers>>,
    /// Whether the third kind is the sum of the first two, and left out.
    pub sums: bool,
    /// The chunk of the words nearest to each row, as JSON: text and score.
    pub nearest: Option<usize>,
}

/// Position kernels.
#[derive(Serialize)]
pub(super) struct Kernels {
    pub model: String,
    pub kernels: Vec<Kernel>,
    /// What is shown first: the kernel's place and heads.
    pub kernel: usize,
    pub heads: Vec<usize>,
}

#[derive(Serialize)]
pub(super) struct Kernel {
    pub name: String,
    pub block: String,
    pub layers: Vec<usize>,
    pub kind: String,
    pub offsets: Vec<i64>,
    pub values: Numbers,
    pub spread: Option<Numbers>,
    pub counts: Option<Vec<usize>>,
    pub causal: bool,
    /// The same for all kernels of a kind.
    pub scale: Scale,
}

/// A walk.
#[derive(Serialize)]
pub(super) struct Walk {
    pub model: String,
    pub block: String,
    pub positions: Vec<usize>,
    pub tokens: Vec<String>,
    pub steps: Vec<String>,
    /// (steps, positions, 3)
    pub coordinates: Numbers,
    pub explained: Vec<f32>,
    pub quantities: Vec<Quantity>,
    pub straightness: Vec<Option<f32>>,
    pub path: Vec<Option<f32>>,
    pub anisotropy: Vec<Option<f32>>,
    /// The chunk of the words nearest to each step and position, as JSON: text and score.
    pub nearest: Option<usize>,
    /// How these are read.
    pub words: &'static str,
    /// How many positions were given, where the model wrote the others.
    pub given: Option<usize>,
}

/// A number of every step of a walk.
#[derive(Serialize)]
pub(super) struct Quantity {
    pub name: String,
    pub title: String,
    pub about: &'static str,
    pub rows: Vec<String>,
    /// (rows, positions)
    pub values: Numbers,
    pub scale: Scale,
}

/// Decoding statistics along a text.
#[derive(Serialize)]
pub(super) struct Decoding {
    pub model: String,
    pub tokens: Vec<String>,
    /// Of the token that follows.
    pub probability: Vec<Option<f32>>,
    pub rank: Vec<usize>,
    pub entropy: Vec<Option<f32>>,
    pub count: Vec<usize>,
    pub p: f32,
}

#[cfg(test)]
pub(super) mod tests {
    use serde_json::Value;

    /// The names that a typedef of the scripts has, in their order.
    pub(in super::super) fn typedef(name: &str) -> Vec<String> {
        let text = include_str!("../assets/src/trajectory/payload.js");
        let start = text
            .find(&format!("@typedef {{object}} {name}\n"))
            .or_else(|| text.find(&format!("@typedef {{object}} {name} ")));
        let lines = text[start.unwrap_or_else(|| panic!("no typedef {name}"))..].lines().skip(1);
        let properties = lines.take_while(|line| line.contains("@property"));
        let name = |line: &str| line.split("} ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned();
        properties.map(name).collect()
    }

    /// Whether a value has the names of a typedef.
    pub(in super::super) fn assert_known(name: &str, value: &Value) {
        let names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
        assert_eq!(names, typedef(name), "{name}");
    }
}
