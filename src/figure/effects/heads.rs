//! What a measure says of every head, as a map.

use serde_json::json;

use super::page::{Chart, Shown};
use super::payload::Axis;
use crate::attention::HeadScores;
use crate::figure::Figure;
use crate::figure::chart::{Colors, Kind};

impl HeadScores {
    /// Draws the scores by layer and head; heads that are not among them are blank.
    pub fn figure(&self) -> Figure {
        let unit = self.measure.scale();
        let mut blocks: Vec<&str> = Vec::new();
        for head in &self.heads {
            if !blocks.contains(&head.block.as_str()) {
                blocks.push(&head.block);
            }
        }
        let many =
            |of: fn(&crate::attention::HeadScore) -> usize| self.heads.iter().map(of).max().map_or(0, |most| most + 1);
        let (layers, heads) = (many(|head| head.layer), many(|head| head.head));
        let mut values = vec![f32::NAN; blocks.len() * layers * heads];
        for score in &self.heads {
            let block = blocks.iter().position(|block| *block == score.block).unwrap_or(0);
            values[(block * layers + score.layer) * heads + score.head] = score.value * unit;
        }
        let numbers = |name: &str, count: usize| plain(name, (0..count).map(|number| number.to_string()).collect());
        let mut axes = vec![numbers("layer", layers), numbers("head", heads)];
        if blocks.len() > 1 {
            axes.insert(0, plain("part", blocks.iter().map(|block| (*block).to_owned()).collect()));
        }
        let colors = Colors::of(Kind::Root, values.iter().copied());
        let title = format!("{}, {}", self.measure.title(), self.measure.unit());
        let listed = self
            .heads
            .iter()
            .map(|head| json!({ "block": head.block, "layer": head.layer, "head": head.head, "value": head.value }));
        let chart = Chart {
            view: "effects",
            title: format!("{}, by layer and head", self.measure.title()),
            caption: self.measure.about().to_owned(),
            model: "",
            axes,
            shows: vec![Shown::new("score", title, values, colors)],
            interval: None,
            pairs: Vec::new(),
            pair_values: Vec::new(),
            answers: &[],
            silent: "",
            json: json!({ "measure": self.measure.to_string(), "heads": listed.collect::<Vec<_>>() }),
        };
        chart.figure()
    }
}

fn plain(name: &str, labels: Vec<String>) -> Axis {
    Axis { name: name.to_owned(), labels, tokens: None, corrupted: None }
}
