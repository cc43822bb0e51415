//! Figures of attention: a static picture of the view as it opens, and the weights for the script that takes over.

mod head_svg;
mod model_svg;
mod neuron;
mod neuron_svg;
mod pack;
mod payload;
mod rollout;
mod rollout_svg;

use std::path::Path;

use serde_json::Value;

use super::chunks::Chunks;
use super::legend::Keys;
use super::{Figure, escape, theme};
use crate::attention::{
    Attention, Block, HeadView, Measure, ModelView, NeuronView, Options, Quantity, RolloutView, Token,
};
use crate::text::list;
use crate::{Error, Result, interrupt};
use pack::Rounding;

/// Weights that a page holds at most: more would take browsers too long.
const MOST_WEIGHTS: usize = 64_000_000;
/// Letters of a token that a page carries at most.
const TOKEN_LETTERS: usize = 400;

impl HeadView {
    /// Draws the view.
    ///
    /// # Errors
    /// When the run kept no patterns, a layer, head, token or block that was named is not there, or the text is too
    /// long for a page.
    pub fn build(&self) -> Result<Figure> {
        interrupt::during("drawing the head view", || draw(self.chosen()?, &self.options, "head"))
    }
}

impl ModelView {
    /// Draws the view.
    ///
    /// # Errors
    /// When the run kept no patterns, a layer, head, token or block that was named is not there, or the text is too
    /// long for a page.
    pub fn build(&self) -> Result<Figure> {
        interrupt::during("drawing the model view", || draw(self.chosen()?, &self.options, "model"))
    }
}

/// What every view that can be drawn does with its figure.
macro_rules! saves_its_figure {
    ($View:ty) => {
        impl $View {
            /// Saves by the ending of the name: `.html` (a page, one file, works offline), `.svg`, `.pdf` or `.png` (a
            /// static picture of the view as it opens) or `.json` (tokens and what is shown of them, in numbers).
            ///
            /// # Errors
            /// As [`build`](Self::build) and [`Figure::save`].
            pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
                self.build()?.save(path)
            }
        }
    };
}

saves_its_figure!(HeadView);
saves_its_figure!(ModelView);
saves_its_figure!(NeuronView);
saves_its_figure!(RolloutView);

/// What is shown first, with every choice made.
struct Opened<'a> {
    block: &'a Block,
    layer: usize,
    /// The heads whose lines are on; all when absent.
    heads: Option<Vec<usize>>,
    /// The head that is opened.
    head: Option<usize>,
    token: Option<usize>,
}

fn draw(mut attention: Attention, options: &Options, name: &'static str) -> Result<Figure> {
    let lines = name == "head";
    let first = &options.first;
    let mut notes = Vec::new();
    let pool = if lines {
        notes.extend(keep_what_fits(&mut attention, first.layer)?);
        1
    } else {
        pool(&attention)
    };
    if pool > 1 {
        notes.push(format!(
            "The text is long: each number of this page is the largest of {pool} x {pool} weights; layers([..]) and \
             heads([..]) make room for all."
        ));
    }
    let block = match &first.block {
        Some(name) => attention.block(name)?,
        None => first_block(&attention, first.layer)?,
    };
    let layer = first.layer.filter(|&layer| block.layer(layer).is_ok());
    let layer = layer.or_else(|| block.layers().first().copied()).unwrap_or_default();
    let heads = first.heads_on.clone().or_else(|| first.head.filter(|_| lines).map(|head| vec![head]));
    let opened = Opened { block, layer, heads, head: first.head, token: first.token };

    let mut chunks = Chunks::default();
    let mut blocks = Vec::new();
    let mut error = 0f32;
    for block in &attention.blocks {
        let rounding = Rounding::of(block, pool)?;
        error = error.max(rounding.error());
        blocks.push(payload::Block { measures: Some(measures(block)?), ..describe(block, &rounding, &mut chunks)? });
    }
    let panel = if lines { head_svg::picture(&opened)? } else { model_svg::picture(&opened)? };
    let data = serde_json::to_value(payload::Page {
        model: escape::model_name(&attention.model),
        run: run_name(attention.run),
        first: payload::First {
            block: block.name.clone(),
            layer,
            heads: opened.heads.clone(),
            head: opened.head,
            token: opened.token,
            residual: None,
        },
        blocks,
    })
    .unwrap_or_default();
    let json = without_packing(data.clone());
    Ok(Figure {
        view: name,
        title: title(if lines { "Head view" } else { "Model view" }, &attention.model),
        caption: caption(&opened, lines, error, &notes),
        panels: vec![panel],
        legend: if lines { Vec::new() } else { legend(block)? },
        data,
        packed: chunks.0.into(),
        plotly: None,
        json,
    })
}

/// A view's data as a reader wants them: without what only the scripts need.
fn without_packing(mut data: Value) -> Value {
    let strip = |value: &mut Value, names: &[&str]| {
        if let Some(object) = value.as_object_mut() {
            names.iter().for_each(|name| drop(object.remove(*name)));
        }
    };
    for block in data["blocks"].as_array_mut().into_iter().flatten() {
        strip(block, &["levels", "scale", "causal", "error", "pool"]);
        block["layers"].as_array_mut().into_iter().flatten().for_each(|layer| strip(layer, &["chunk"]));
    }
    data
}

/// The first block that has the layer.
fn first_block(attention: &Attention, layer: Option<usize>) -> Result<&Block> {
    let has = |block: &&Block| layer.is_none_or(|layer| block.layer(layer).is_ok());
    let found = attention.blocks.iter().find(has).or(attention.blocks.first());
    found.ok_or_else(|| Error::Attention("there is nothing to show".to_owned()))
}

/// The name of a run: views that share it lead to each other.
fn run_name(run: u64) -> String {
    format!("{run:016x}")
}

/// A block for the scripts.
fn describe(block: &Block, rounding: &Rounding, chunks: &mut Chunks) -> Result<payload::Block> {
    Ok(payload::Block {
        name: block.name.clone(),
        sides: sides(block),
        weights: Some(rounding.describe()),
        layers: pack::layers(block, rounding, chunks)?,
        measures: None,
    })
}

/// What the heads of a block do: its measures with their values, shares in percent.
fn measures(block: &Block) -> Result<Vec<payload::Measure>> {
    let told = |(measure, values): (Measure, Vec<Vec<f32>>)| {
        let rounded = |value: &f32| (f64::from(value * measure.scale()) * 1e3).round() / 1e3;
        payload::Measure {
            name: measure.name(),
            title: measure.title(),
            unit: measure.unit(),
            about: measure.about(),
            values: values.iter().map(|layer| layer.iter().map(rounded).collect()).collect(),
        }
    };
    Ok(block.measured(&Measure::ALL)?.into_iter().map(told).collect())
}

/// The tokens of a block.
fn sides(block: &Block) -> payload::Sides {
    let shown = |tokens: &[Token]| -> Vec<String> {
        tokens.iter().map(|token| escape::clipped(&token.shown, TOKEN_LETTERS)).collect()
    };
    payload::Sides {
        queries: shown(&block.queries),
        keys: (!block.to_itself).then(|| shown(&block.keys)),
        special: (0..block.keys.len()).filter(|&place| block.keys[place].special).collect(),
        second: block.second,
    }
}

fn weights(block: &Block) -> usize {
    block.layers.iter().map(|layer| layer.heads.len()).sum::<usize>() * block.queries.len() * block.keys.len()
}

/// How many neighbouring tokens the numbers of a model view stand for, so that a page holds all heads.
fn pool(attention: &Attention) -> usize {
    let all: usize = attention.blocks.iter().map(weights).sum();
    (1..).find(|pool| all / (pool * pool) <= MOST_WEIGHTS).unwrap_or(1)
}

/// Leaves the layers round the first shown one that a page can hold; what a reader must know of it.
fn keep_what_fits(attention: &mut Attention, first: Option<usize>) -> Result<Option<String>> {
    let all: usize = attention.blocks.iter().map(weights).sum();
    if all <= MOST_WEIGHTS {
        return Ok(None);
    }
    let room = MOST_WEIGHTS / attention.blocks.len();
    let mut kept = Vec::new();
    for block in &mut attention.blocks {
        let a_layer = weights(block) / block.layers.len().max(1);
        let most = room / a_layer.max(1);
        if most == 0 {
            return Err(Error::Attention(format!(
                "one layer of {} heads over {} x {} tokens has {} million weights, a page holds {}: choose some with \
                 heads([..]), or take the model view, which pools long texts",
                block.layers.first().map_or(0, |layer| layer.heads.len()),
                block.queries.len(),
                block.keys.len(),
                a_layer / 1_000_000,
                MOST_WEIGHTS / 1_000_000
            )));
        }
        let middle = first.and_then(|first| block.layers.iter().position(|layer| layer.number == first)).unwrap_or(0);
        let start = middle.saturating_sub(most / 2).min(block.layers.len().saturating_sub(most));
        block.layers = block.layers.iter().skip(start).take(most).cloned().collect();
        kept.push(list(&block.layers()));
    }
    Ok(Some(format!(
        "The text is long: only layers {} are in this page; layer(..) and layers([..]) bring others.",
        kept.join("; ")
    )))
}

/// `view` of the model, where it is known.
fn title(view: &str, model: &str) -> String {
    if model.is_empty() { view.to_owned() } else { format!("{view} of {}", escape::model_name(model)) }
}

fn caption(opened: &Opened, lines: bool, error: f32, notes: &[String]) -> String {
    let mut text = String::from(if lines {
        "Lines go from each token (left) to the tokens that it attends to (right), one colour for each head, the \
         stronger the line the larger the weight. "
    } else if opened.block.kind == Quantity::Difference {
        "Each square is a head: rows are the tokens that attend, columns the tokens attended to, strength of colour \
         the square root of the difference. "
    } else {
        "Each square is a head: rows are the tokens that attend, columns the tokens attended to, brightness the square \
         root of the weight. "
    });
    text.push_str("Attention says where a head looks, not why the model answers as it does. ");
    text.push_str(&format!("Weights are rounded by at most {error:.1e}. "));
    if opened.block.second.is_some() {
        text.push_str("Attention between and within the two texts is a part of the whole: its rows do not sum to 1. ");
    }
    text.push_str(&notes.join(" "));
    text.trim_end().to_owned()
}

fn legend(block: &Block) -> Result<Vec<Keys>> {
    let scale = if block.kind == Quantity::Probability { 1.0 } else { f64::from(pack::largest(block)?) };
    let (title, entries) = if block.kind == Quantity::Difference {
        let [less, more] = theme::sides().map(theme::hex);
        ("Difference", vec![(less, format!("-{scale:.2}")), (more, format!("+{scale:.2}"))])
    } else {
        let entry = |share: f64| (theme::cividis(share.sqrt()).0, format!("{}", (share * scale * 1e3).round() / 1e3));
        ("Weight", [0.0, 0.01, 0.1, 0.25, 0.5, 1.0].map(entry).to_vec())
    };
    Ok(vec![Keys { title: title.to_owned(), entries, bands: false }])
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    fn causal() -> Attention {
        let weights = array![[
            [1.0f32, 0.0, 0.0, 0.0, 0.0],
            [0.5, 0.5, 0.0, 0.0, 0.0],
            [0.2, 0.7, 0.1, 0.0, 0.0],
            [0.1, 0.3, 0.4, 0.2, 0.0],
            [0.3, 0.2, 0.1, 0.25, 0.15],
        ]];
        Attention::new(["<s>", "a", "b", "a", "b"], [weights]).unwrap()
    }

    #[test]
    fn pages_get_every_measure_that_fits() {
        let all = measures(&causal().blocks()[0]).unwrap();
        let names: Vec<&str> = all.iter().map(|one| one.name).collect();
        assert_eq!(names, ["entropy", "distance", "previous", "itself", "first", "same-token", "induction"]);
        assert_eq!(all[2].unit, "%");
        assert_eq!(all[2].values, [[46.25]]);
        assert_eq!(serde_json::to_string(&all[5].values).unwrap(), "[[20.0]]");
    }
}
