//! The figure of a neuron view: queries and keys as floats, from which the script computes every weight.

use serde_json::{Value, json};

use super::{Opened, escape, first_block, neuron_svg, payload, run_name, sides, title};
use crate::array::Numbers;
use crate::attention::{Attention, Form, Layer, NeuronView, Neurons};
use crate::figure::Figure;
use crate::figure::chunks::Chunks;
use crate::text::list;
use crate::{Error, Result, interrupt};

/// Megabytes of floats that a page takes by itself.
const USUAL_MB: usize = 8;
/// Megabytes that it takes when they are asked for: more would take browsers too long.
const MOST_MB: usize = 200;
/// From this error on the caption says where it comes from.
const NOTABLE: f64 = 1e-4;

impl NeuronView {
    /// Draws the view.
    ///
    /// # Errors
    /// When the run did not keep queries, keys, values and patterns, a layer, head, token or block that was named is
    /// not there, or the text is too long for a page.
    pub fn build(&self) -> Result<Figure> {
        interrupt::during("drawing the neuron view", || self.draw())
    }

    fn draw(&self) -> Result<Figure> {
        let attention = self.chosen()?;
        let opened = opened(self, &attention)?;
        let page = Page::of(self, &attention, &opened)?;
        let row = row(&opened, &page.opened)?;
        let data = serde_json::to_value(payload::Page {
            model: escape::model_name(&attention.model),
            run: run_name(attention.run),
            first: payload::First {
                block: opened.block.name.clone(),
                layer: opened.layer,
                heads: None,
                head: opened.head,
                token: opened.token,
                residual: None,
            },
            blocks: page.describe(&attention),
        })
        .unwrap_or_default();
        let mut json = data.clone();
        json["row"] = row;
        let blocks = json["blocks"].as_array_mut().into_iter().flatten();
        for layer in blocks.flat_map(|block| block["layers"].as_array_mut().into_iter().flatten()) {
            let layer = layer.as_object_mut().into_iter();
            layer.for_each(|layer| layer.retain(|name, _| !CHUNKS.contains(&name.as_str())));
        }
        Ok(Figure {
            view: "neuron",
            title: title("Neuron view", &attention.model),
            caption: caption(self, &attention, &page),
            panels: vec![neuron_svg::picture(&opened, &page.opened)?],
            legend: Vec::new(),
            data,
            packed: page.chunks.0.into(),
            plotly: None,
            json,
        })
    }
}

/// What of a layer is not for a reader: where its numbers lie in a page.
const CHUNKS: [&str; 5] = ["query", "key", "bias", "valueNorms", "writtenNorms"];

/// What is shown first, with every choice made: the first head, and the last token that is text, since in a causal
/// model it sees all others.
fn opened<'a>(view: &NeuronView, attention: &'a Attention) -> Result<Opened<'a>> {
    let first = &view.options.first;
    let block = match &first.block {
        Some(name) => attention.block(name)?,
        None => first_block(attention, first.layer)?,
    };
    let layer = match first.layer {
        Some(number) => block.layer(number)?,
        None => block.layers.first().ok_or_else(|| Error::Attention("there is nothing to show".to_owned()))?,
    };
    let head = match first.head {
        Some(head) if !layer.heads.contains(&head) => {
            let there = list(&layer.heads);
            return Err(Error::Attention(format!("layer {} shows no head {head}; it shows {there}", layer.number)));
        }
        head => head.or(layer.heads.first().copied()),
    };
    let count = block.queries.len();
    if let Some(token) = first.token.filter(|&token| token >= count) {
        let name = &block.name;
        return Err(Error::Attention(format!("block {name} has no token {token}; it has {count}, counted from 0")));
    }
    let text = block.queries.iter().rposition(|token| !token.special);
    let token = first.token.or(text).unwrap_or(count.saturating_sub(1));
    Ok(Opened { block, layer: layer.number, heads: None, head, token: Some(token) })
}

/// The layers that are in a page.
struct Page {
    chunks: Chunks,
    /// Of each block the places of its layers in order, and what the script must know of each.
    layers: Vec<Vec<(usize, payload::NeuronLayer)>>,
    /// The layer that is shown first.
    opened: Neurons,
    error: f64,
    /// Whether there was no room for all.
    cut: bool,
}

impl Page {
    /// The layers that were asked for; unless told, as many round the first one as fit.
    fn of(view: &NeuronView, attention: &Attention, opened: &Opened) -> Result<Page> {
        let mut chunks = Chunks::default();
        let mut layers = vec![Vec::new(); attention.blocks.len()];
        let (mut shown, mut error, mut bytes, mut cut) = (None, 0f64, 0, false);
        for (away, block_place, place) in outwards(attention, opened.layer) {
            let block = &attention.blocks[block_place];
            let layer = &block.layers[place];
            let neurons = view.neurons(block, layer)?;
            bytes += neurons.bytes();
            if away > 0 && view.options.layers.is_none() && bytes > USUAL_MB * 1_000_000 {
                cut = true;
                break;
            }
            if bytes > MOST_MB * 1_000_000 {
                return Err(Error::Attention(format!(
                    "the numbers of these layers take more than the {MOST_MB} MB that a page holds; choose fewer with \
                     layers([..]) or heads([..]), or shorten the text"
                )));
            }
            error = if neurons.error.is_nan() { neurons.error } else { error.max(neurons.error) };
            layers[block_place].push((place, describe(layer, &neurons, &mut chunks)?));
            if block.name == opened.block.name && layer.number == opened.layer {
                shown = Some(neurons);
            }
        }
        layers.iter_mut().for_each(|layers| layers.sort_by_key(|(place, _)| *place));
        let opened = shown.ok_or_else(|| Error::Attention("there is nothing to show".to_owned()))?;
        Ok(Page { chunks, layers, opened, error, cut })
    }

    fn describe(&self, attention: &Attention) -> Vec<payload::Block> {
        let layer = |(_, layer): &(usize, payload::NeuronLayer)| payload::Layer::Neurons(Box::new(layer.clone()));
        let described = attention.blocks.iter().zip(&self.layers).map(|(block, layers)| payload::Block {
            name: block.name.clone(),
            sides: sides(block),
            weights: None,
            layers: layers.iter().map(layer).collect(),
            measures: None,
        });
        described.collect()
    }
}

/// The layers of all blocks, those nearest to `first` first: how far away, which block, and the place in it.
fn outwards(attention: &Attention, first: usize) -> Vec<(usize, usize, usize)> {
    let mut all = Vec::new();
    for (place, block) in attention.blocks.iter().enumerate() {
        let layers = 0..block.layers.len();
        let middle = layers.clone().min_by_key(|&layer| block.layers[layer].number.abs_diff(first)).unwrap_or(0);
        all.extend(layers.map(|layer| (layer.abs_diff(middle), place, layer)));
    }
    all.sort_unstable();
    all
}

/// A layer for the script.
fn describe(layer: &Layer, neurons: &Neurons, chunks: &mut Chunks) -> Result<payload::NeuronLayer> {
    let numbers = neurons.floats()?;
    let mut floats = |numbers: &Numbers| chunks.floats(numbers.data());
    let bias = numbers.bias.as_ref().map(|(form, values)| {
        let kind = match form {
            Form::Distance => "distance",
            Form::Place => "place",
            Form::Full => "full",
        };
        payload::Bias { kind, chunk: floats(values) }
    });
    let rotary = neurons.rotation.as_ref().map(|rotation| payload::Rotary {
        pairing: if rotation.halves { "halves" } else { "neighbours" },
        frequencies: rotation.frequencies.clone(),
        magnitude: rotation.magnitude,
    });
    let visible = &neurons.visible;
    let padded = visible.padded.iter().enumerate().filter(|(_, padded)| **padded);
    Ok(payload::NeuronLayer {
        layer: layer.number,
        heads: layer.heads.clone(),
        key_of: neurons.key_of.clone(),
        key_heads: neurons.key_heads.clone(),
        width: neurons.width(),
        scale: neurons.scale,
        cap: neurons.soft_cap,
        query: floats(&numbers.query),
        key: floats(&numbers.key),
        rotary,
        normed: neurons.normed,
        bias,
        bias_name: neurons.bias_name,
        mask: payload::Mask {
            from: visible.ranges.iter().map(|range| range.start).collect(),
            to: visible.ranges.iter().map(|range| range.end).collect(),
            padded: padded.map(|(key, _)| key).collect(),
        },
        value_norms: floats(&numbers.value_lengths),
        written_norms: floats(&numbers.written_lengths),
        error: neurons.error,
    })
}

/// The numbers of the row that is opened.
fn row(opened: &Opened, neurons: &Neurons) -> Result<Value> {
    let (Some(head), Some(token)) = (opened.head, opened.token) else { return Ok(Value::Null) };
    let place = opened.block.layer(opened.layer)?.heads.iter().position(|&number| number == head).unwrap_or_default();
    let row = neurons.row(place, token)?;
    Ok(json!({
        "block": opened.block.name, "layer": opened.layer, "head": head, "token": token,
        "query": row.query, "weights": row.weights,
        "valueNorms": row.value_lengths, "writtenNorms": row.written_lengths,
    }))
}

fn caption(view: &NeuronView, attention: &Attention, page: &Page) -> String {
    let mut text = format!(
        "How the query of a token meets every key: products number by number, their sum, and what scale, positions and \
         mask make of it; the softmax of that is the weight. The page computes it from the run's own numbers and comes \
         within {:.0e} of the run's weights. ",
        page.error
    );
    if page.error.is_nan() || page.error > NOTABLE {
        text.push_str(match view.is_rounded() {
            false => "That is more than rounding: attention was changed in this run. ",
            true => "The run rounded every step to 16 bits. ",
        });
    }
    text.push_str("Attention says where a head looks, not why the model answers as it does. ");
    if page.cut {
        let kept = attention.blocks.iter().zip(&page.layers).map(|(block, layers)| {
            let numbers: Vec<usize> = layers.iter().map(|&(place, _)| block.layers[place].number).collect();
            let kept = format!("{} of {}", list(&numbers), list(&block.layers()));
            if attention.blocks.len() == 1 { kept } else { format!("{kept} ({})", block.name) }
        });
        text.push_str(&format!(
            "Only some layers are in this page, as many as {USUAL_MB} MB of numbers hold: {}; layer(..) and layers([..]) \
             bring others.",
            kept.collect::<Vec<_>>().join(", ")
        ));
    }
    text.trim_end().to_owned()
}
