//! Maps of positions against positions, by layer and head: what attention, similarity and attribution have in common.

use rayon::prelude::*;
use serde_json::{Value, json};

use super::pack::{self, Packed};
use super::{maps_svg, payload};
use crate::Array;
use crate::figure::chart::{Colors, Kind};
use crate::figure::chunks::Chunks;
use crate::figure::{Figure, Panel, escape};
use crate::text::{list, visible};
use crate::trajectory::Near;

/// Letters of packed numbers that a page holds.
const MOST_LETTERS: usize = 2_600_000;
/// Numbers that a figure gives as JSON, and those of a chart for Plotly's own extension.
const MOST_JSON: usize = 100_000;
const MOST_PLOTLY: usize = 60_000;
/// Letters of a token that a page carries.
const TOKEN_LETTERS: usize = 200;

/// Maps, and the words around them.
pub(super) struct Maps<'a> {
    pub view: &'static str,
    pub title: String,
    pub caption: String,
    pub model: &'a str,
    pub axes: [&'static str; 2],
    pub depth: &'static str,
    pub kinds: Vec<Kindred>,
    pub blocks: Vec<Block<'a>>,
    pub cka: Option<&'a Array>,
    pub words: Option<&'static str>,
    pub first: First,
}

/// What one kind of map shows.
pub(super) struct Kindred {
    pub name: &'static str,
    pub title: String,
    pub kind: Kind,
    /// The ends of its colours where they are fixed.
    pub ends: Option<(f32, f32)>,
}

pub(super) struct Block<'a> {
    pub name: &'a str,
    pub rows: &'a [String],
    pub columns: &'a [String],
    pub layers: Vec<Layer<'a>>,
}

pub(super) struct Layer<'a> {
    pub name: String,
    pub number: usize,
    pub heads: Vec<usize>,
    /// By kind: (heads, rows, columns), or (rows, columns) where there are no heads.
    pub values: Vec<Option<&'a Array>>,
    /// Which cells there are; all when empty.
    pub visible: &'a [bool],
    pub nearest: &'a [Vec<Near>],
}

/// Places of what is shown first.
#[derive(Clone, Default)]
pub(super) struct First {
    pub block: usize,
    pub layer: usize,
    pub heads: Vec<usize>,
}

impl Layer<'_> {
    /// The map of a head at a place, masked cells blank.
    pub(super) fn map(&self, kind: usize, head: usize) -> Option<Vec<f32>> {
        let values = self.values.get(kind).copied().flatten()?;
        let each = values.data().len() / self.heads.len().max(1);
        let map = values.data().get(head * each..(head + 1) * each)?;
        let seen = |at: usize| self.visible.get(at).copied().unwrap_or(true);
        Some(map.iter().enumerate().map(|(at, &value)| if seen(at) { value } else { f32::NAN }).collect())
    }

    /// Whether the third kind is the first two's sum, as closely as float32 has it.
    fn sums(&self) -> bool {
        let [Some(a), Some(b), Some(sum)] = [0, 1, 2].map(|kind| self.values.get(kind).copied().flatten()) else {
            return false;
        };
        let parts = a.data().iter().zip(b.data()).zip(sum.data()).enumerate();
        let cells = self.visible.len().max(1);
        let seen = |at: usize| self.visible.get(at % cells).copied().unwrap_or(true);
        a.data().len() == sum.data().len()
            && b.data().len() == sum.data().len()
            && parts.filter(|(at, _)| seen(*at)).all(|(_, ((a, b), sum))| {
                !sum.is_finite() || (a + b - sum).abs() <= 1e-4 * (1.0 + a.abs().max(b.abs()))
            })
    }

    /// Its maps of some kind as a page carries them, of some heads.
    fn packed(&self, kind: usize, heads: &[usize], sides: [usize; 2], levels: u16) -> Option<Packed> {
        let maps: Option<Vec<Vec<f32>>> = heads.iter().map(|&head| self.map(kind, head)).collect();
        Some(pack::rounded(&maps?.concat(), &[heads.len(), sides[0], sides[1]], levels))
    }
}

/// Which heads of which layers of which blocks a page holds, and how finely.
struct Kept {
    /// By block: places of layers, and of heads.
    blocks: Vec<(Vec<usize>, Vec<usize>)>,
    levels: u16,
    whole: bool,
}

impl Maps<'_> {
    pub(super) fn figure(mut self) -> Figure {
        self.sound();
        let kept = self.kept();
        let colors = self.colors(&kept);
        let mut chunks = Chunks::default();
        let blocks = self
            .blocks
            .iter()
            .zip(&kept.blocks)
            .map(|(block, kept_of)| self.block(block, kept_of, kept.levels, &mut chunks));
        let blocks: Vec<payload::MapBlock> = blocks.collect();
        let first = self.opened();
        let page = payload::Maps {
            model: escape::model_name(self.model),
            axes: self.axes,
            depth: self.depth,
            kinds: self.kinds.iter().zip(&colors).map(described).collect(),
            blocks,
            first,
            cka: self.cka.map(rows_of),
            words: self.words,
        };
        let panel = match self.shown() {
            Some((block, layer)) => maps_svg::picture(&self, block, layer, &colors),
            None => Panel::drawn(self.view, 300.0, 20.0, ""),
        };
        Figure {
            view: self.view,
            title: self.title.clone(),
            caption: self.told(&kept, &colors),
            panels: vec![panel],
            legend: Vec::new(),
            json: self.json(),
            plotly: self.plotly(&colors),
            data: serde_json::to_value(page).unwrap_or_default(),
            packed: chunks.0.into(),
        }
    }

    /// Leaves out, and says so, arrays that do not fit their tokens: anybody can make them, the fields are public.
    fn sound(&mut self) {
        let mut odd = Vec::new();
        for block in &mut self.blocks {
            let cells = block.rows.len() * block.columns.len();
            block.layers.retain(|layer| {
                let wanted = layer.heads.len().max(1) * cells;
                let fits = cells > 0 && layer.values.iter().flatten().all(|values| values.data().len() == wanted);
                let fits = fits && (layer.visible.is_empty() || layer.visible.len() == cells);
                if !fits {
                    odd.push(format!("{} of block {:?}", layer.name, block.name));
                }
                fits
            });
        }
        let layers = self.blocks.get(self.first.block).map_or(0, |block| block.layers.len());
        self.first.layer = self.first.layer.min(layers.saturating_sub(1));
        if !odd.is_empty() {
            self.caption.push_str(&format!(" Not drawn, since its numbers do not fit its tokens: {}.", odd.join(", ")));
        }
    }

    /// The block and layer that are shown first.
    fn shown(&self) -> Option<(&Block<'_>, &Layer<'_>)> {
        let block = self.blocks.get(self.first.block)?;
        Some((block, block.layers.get(self.first.layer)?))
    }

    fn opened(&self) -> payload::First {
        let shown = self.shown();
        let heads = |layer: &Layer| self.first.heads.iter().filter_map(|&at| layer.heads.get(at).copied()).collect();
        payload::First {
            block: shown.map_or(String::new(), |(block, _)| block.name.to_owned()),
            layer: shown.map_or(0, |(_, layer)| layer.number),
            heads: shown.map_or(Vec::new(), |(_, layer)| heads(layer)),
        }
    }

    /// Everything while it fits; then with fewer levels; then layers and heads at equal distances.
    fn kept(&self) -> Kept {
        let numbers: usize =
            self.blocks.iter().flat_map(|block| block.layers.iter().map(|layer| layer.numbers())).sum();
        let heads_of = |block: &Block| block.layers.iter().map(|layer| layer.heads.len().max(1)).max().unwrap_or(0);
        let all = |block: &Block| ((0..block.layers.len()).collect(), (0..heads_of(block)).collect());
        let whole = |levels| Kept { blocks: self.blocks.iter().map(all).collect(), levels, whole: true };
        if numbers <= pack::MOST_FINE {
            return whole(pack::FINE);
        }
        for levels in [pack::COARSE, pack::COARSEST] {
            if self.letters(levels) <= MOST_LETTERS as f64 {
                return whole(levels);
            }
        }
        let share = MOST_LETTERS as f64 / self.letters(pack::COARSEST);
        let thin = |(at, block): (usize, &Block)| {
            let (layers, heads) = (block.layers.len(), heads_of(block));
            let here = at == self.first.block;
            let wanted = if here { &self.first.heads[..] } else { &[] };
            let few = ((heads as f64 * share.sqrt()).round() as usize).clamp(1, heads.max(1)).max(wanted.len());
            let maps = (layers * heads) as f64 * share;
            let count = ((maps / few as f64) as usize).max(1);
            let must: &[usize] = if here { &[self.first.layer] } else { &[] };
            (pack::evenly(layers, count, must), pack::evenly(heads, few, wanted))
        };
        Kept { blocks: self.blocks.iter().enumerate().map(thin).collect(), levels: pack::COARSEST, whole: false }
    }

    /// How many letters all maps would take, by those that are shown first.
    fn letters(&self, levels: u16) -> f64 {
        let Some((block, layer)) = self.shown() else { return 0.0 };
        let sums = layer.sums();
        let head = self.first.heads.first().copied().unwrap_or(0);
        let kinds = (0..self.kinds.len()).filter(|&kind| !(sums && kind == 2));
        let sides = [block.rows.len(), block.columns.len()];
        let each: usize = kinds.filter_map(|kind| Some(layer.packed(kind, &[head], sides, levels)?.text.len())).sum();
        let cells = |block: &Block| {
            let heads: usize = block.layers.iter().map(|layer| layer.heads.len().max(1)).sum();
            (heads * block.rows.len() * block.columns.len()) as f64
        };
        let here = (block.rows.len() * block.columns.len()).max(1) as f64;
        self.blocks.iter().map(cells).sum::<f64>() / here * each as f64
    }

    /// One scale for each kind, of everything that the page holds.
    fn colors(&self, kept: &Kept) -> Vec<Colors> {
        let of_kind = |(at, kind): (usize, &Kindred)| {
            if let Some((low, high)) = kind.ends {
                return Colors::fixed(kind.kind, low, high);
            }
            let layers = self.blocks.iter().zip(&kept.blocks);
            let layers = layers.flat_map(|(block, (layers, heads))| {
                layers.iter().filter_map(|&layer| block.layers.get(layer)).map(move |layer| (layer, heads))
            });
            let values = layers.flat_map(move |(layer, heads)| {
                let values = layer.values.get(at).copied().flatten().map_or(&[][..], Array::data);
                let each = (values.len() / layer.heads.len().max(1)).max(1);
                let head = move |&head: &usize| values.get(head * each..(head + 1) * each).unwrap_or(&[]);
                heads
                    .iter()
                    .flat_map(head)
                    .enumerate()
                    .filter(move |(cell, _)| layer.visible.get(cell % each).copied().unwrap_or(true))
            });
            Colors::of(kind.kind, values.map(|(_, &value)| value))
        };
        self.kinds.iter().enumerate().map(of_kind).collect()
    }

    fn block(
        &self,
        block: &Block,
        kept: &(Vec<usize>, Vec<usize>),
        levels: u16,
        chunks: &mut Chunks,
    ) -> payload::MapBlock {
        let sides = [block.rows.len(), block.columns.len()];
        let layers: Vec<&Layer> = kept.0.iter().filter_map(|&at| block.layers.get(at)).collect();
        let pack = |layer: &&Layer| -> (bool, Vec<usize>, Vec<Option<Packed>>) {
            let heads: Vec<usize> = kept.1.iter().copied().filter(|&at| at < layer.heads.len().max(1)).collect();
            let sums = layer.sums();
            let kinds = (0..self.kinds.len()).into_par_iter();
            let packed =
                kinds.map(|kind| if sums && kind == 2 { None } else { layer.packed(kind, &heads, sides, levels) });
            let packed = packed.collect();
            (sums, heads, packed)
        };
        let packed: Vec<_> = layers.par_iter().map(pack).collect();
        let layers = layers.iter().zip(packed).map(|(layer, (sums, heads, values))| payload::MapLayer {
            name: layer.name.clone(),
            number: layer.number,
            heads: heads.iter().filter_map(|&at| layer.heads.get(at).copied()).collect(),
            values: values.into_iter().map(|it| it.map(|packed| packed.placed(chunks))).collect(),
            sums,
            nearest: (!layer.nearest.is_empty()).then(|| words(layer.nearest.iter(), chunks)),
        });
        payload::MapBlock {
            name: block.name.to_owned(),
            layers: layers.collect(),
            rows: shown(block.rows),
            columns: (block.rows != block.columns).then(|| shown(block.columns)),
        }
    }

    /// The caption, with how the numbers of the page were kept.
    fn told(&self, kept: &Kept, colors: &[Colors]) -> String {
        let mut text = self.caption.clone();
        if colors.iter().any(|colors| colors.beyond.contains(&true)) {
            text.push_str(" Colours end where 99.5 % of the values do (≤, ≥); hover tells them all.");
        }
        if kept.levels < pack::FINE {
            text.push_str(&format!(
                " In this page numbers are rounded to {} levels between the lowest and highest of their layer.",
                kept.levels
            ));
        }
        if !kept.whole {
            let part = |(block, (layers, heads)): (&Block, &(Vec<usize>, Vec<usize>))| {
                let numbers: Vec<usize> = layers.iter().map(|&at| block.layers[at].number).collect();
                let all = block.layers.first().map_or(&[][..], |layer| &layer.heads);
                let heads: Vec<usize> = heads.iter().filter_map(|&at| all.get(at).copied()).collect();
                let heads = if heads.is_empty() { String::new() } else { format!(", heads {}", list(&heads)) };
                format!("{}: {} {}{heads}", block.name, self.depth, list(&numbers))
            };
            let parts: Vec<String> = self.blocks.iter().zip(&kept.blocks).map(part).collect();
            text.push_str(&format!(
                " The text is long: of all maps this page holds those of {}; figure_of(..) opens others.",
                parts.join("; ")
            ));
        }
        text
    }

    /// The maps that are shown first in numbers, where they are not too many.
    fn json(&self) -> Value {
        let Some((block, layer)) = self.shown() else { return json!({ "model": self.model, "maps": [] }) };
        let heads = if layer.heads.is_empty() { vec![0] } else { self.first.heads.clone() };
        let mut room = MOST_JSON;
        let mut maps = Vec::new();
        for (kind, about) in self.kinds.iter().enumerate() {
            for &head in &heads {
                let Some(map) = layer.map(kind, head) else { continue };
                let fits = map.len() <= room;
                room -= if fits { map.len() } else { 0 };
                maps.push(json!({
                    "kind": about.name,
                    "head": layer.heads.get(head),
                    "values": fits.then(|| map.chunks(block.columns.len().max(1)).map(pack::finite).collect::<Vec<_>>()),
                }));
            }
        }
        json!({
            "model": self.model, "block": block.name, "layer": layer.name, "rows": block.rows, "columns": block.columns,
            "maps": maps, "cka": self.cka.map(rows_of),
        })
    }

    /// For a notebook with Plotly's own extension: the first head's maps, beside one another.
    fn plotly(&self, colors: &[Colors]) -> Option<Value> {
        let (block, layer) = self.shown()?;
        let head = self.first.heads.first().copied().unwrap_or(0);
        let kinds: Vec<usize> = (0..self.kinds.len()).filter(|&kind| layer.values[kind].is_some()).collect();
        let cells = block.rows.len() * block.columns.len();
        if cells * kinds.len() > MOST_PLOTLY || kinds.is_empty() {
            return None;
        }
        let maps = kinds.iter().filter_map(|&kind| {
            Some(super::plotly::Map {
                title: self.kinds[kind].title.clone(),
                rows: block.rows,
                columns: block.columns,
                values: layer.map(kind, head)?,
                colors: &colors[kind],
                axes: self.axes,
            })
        });
        Some(super::plotly::heat_maps(&self.title, &maps.collect::<Vec<_>>()))
    }
}

impl Layer<'_> {
    fn numbers(&self) -> usize {
        self.values.iter().flatten().map(|values| values.data().len()).sum()
    }
}

/// Tokens as a page carries them.
pub(super) fn shown(tokens: &[String]) -> Vec<String> {
    tokens.iter().map(|token| escape::clipped(&visible(token), TOKEN_LETTERS)).collect()
}

/// Nearest words by row as a chunk of JSON: text and score.
pub(super) fn words<'a>(nearest: impl Iterator<Item = &'a Vec<Near>>, chunks: &mut Chunks) -> usize {
    let word =
        |near: &Near| json!([escape::clipped(&visible(&near.text), 60), (f64::from(near.score) * 1e3).round() / 1e3]);
    let rows: Vec<Vec<Value>> = nearest.map(|row| row.iter().map(word).collect()).collect();
    chunks.once(crate::figure::chunks::deflated(json!(rows).to_string().as_bytes()))
}

fn described((kind, colors): (&Kindred, &Colors)) -> payload::MapKind {
    payload::MapKind { name: kind.name, title: kind.title.clone(), scale: colors.into() }
}

fn rows_of(array: &Array) -> Vec<Vec<Option<f32>>> {
    let width = array.shape().last().copied().unwrap_or(1).max(1);
    array.data().chunks(width).map(pack::finite).collect()
}
