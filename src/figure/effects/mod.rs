//! Figures of experiments: what each changed place did to the answer, as a map or as bars.
//!
//! A still picture, and the numbers, packed, for a script that draws them by itself: a page needs no library.

mod heads;
mod page;
mod payload;
mod svg;
#[cfg(test)]
mod tests;
mod words;

use std::path::Path;

use page::{Chart, Shown, shares, shown};
use payload::Axis;

use super::chart::{Colors, Kind};
use super::save::{ending, unknown_ending};
use super::{Figure, Gallery, escape};
use crate::experiment::{self, EffectKind, Effects, LogitAttribution, Metric, PairTokens};
use crate::text::visible;
use crate::{Array, Result, files};

/// Letters of an axis's name.
const NAME_LETTERS: usize = 60;

/// Numbers of single pairs that a page carries.
const MOST_OF_PAIRS: usize = 60_000;
/// Cells times pairs whose intervals and p-values are computed for a figure: half a second's work.
const MOST_TESTED: usize = 60_000;

impl Effects {
    /// Draws the effects: two axes as a map, one as bars, of three one at a time.
    ///
    /// # Errors
    /// When the values do not fit the axes and the baselines.
    pub fn figure(&self) -> Result<Figure> {
        let normalized = self.normalized();
        let mean = self.mean()?;
        let mut shows = Vec::new();
        if let Ok(normalized) = &normalized {
            shows.push(self.shown("normalised", normalized, shares(normalized.data())));
        }
        let effect = self.mean_effect()?;
        shows.push(self.shown("effect", &effect, Colors::of(Kind::Signed, effect.data().iter().copied())));
        if matches!(self.kind, EffectKind::Patched | EffectKind::Noised | EffectKind::Ablated) {
            shows.push(self.shown("value", &mean, Colors::of(self.metric_kind(), mean.data().iter().copied())));
        }
        let mut interval = None;
        if self.len() > 1 && self.values.data().len() <= MOST_TESTED {
            let (low, high) = self.interval(0.95)?;
            interval = Some([low.data().to_vec(), high.data().to_vec()]);
            shows.push(self.shown("p", &self.p_values()?, Colors::fixed(Kind::Root, 0.0, 1.0)));
        }
        let carried = if self.len() > 1 { (MOST_OF_PAIRS / self.cells().max(1)).min(self.len()) } else { self.len() };
        let pairs = (0..carried).map(|pair| self.page_of(pair)).collect::<Result<Vec<_>>>()?;
        let pair_values = self.values.data().get(..carried * self.cells()).unwrap_or_default();
        self.scale_pairs(&mut shows, &pairs, pair_values);
        let mut caption = words::caption(self, &normalized);
        if carried < self.len() {
            caption.push_str(&format!(" Single pairs: the first {carried}; a saved .safetensors has all."));
        }
        let alone = (self.len() == 1).then_some(0);
        let chart = Chart {
            view: "effects",
            title: words::title(self),
            caption,
            model: &self.model,
            axes: self.axes.iter().map(|axis| self.axis(axis, alone)).collect(),
            shows,
            interval,
            pairs,
            pair_values: pair_values.to_vec(),
            answers: &self.answers,
            silent: words::silent(self.kind),
            json: self.json(),
        };
        Ok(chart.figure())
    }

    /// Saves by the ending of the name. The figure: `.html` (a page, one file, works offline), `.svg`, `.pdf` or `.png` (a
    /// still picture of it as it opens). The numbers: `.json` (everything), `.csv` (one row for each cell and pair, with
    /// both baselines) or `.safetensors` (`values` (N,axes..), `clean` (N), `corrupted` (N), and the rest as JSON in the
    /// metadata). A file of that name is replaced only by a whole one. What has no ending and is no file of its own, such as
    /// `/dev/stdout`, gets what `.json` does.
    ///
    /// # Errors
    /// When the ending is another, the parts do not fit each other, or the file cannot be written.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        match ending(path).as_str() {
            "json" | "csv" | "safetensors" => self.save_numbers(path),
            "html" | "htm" | "svg" | "pdf" | "png" => self.figure()?.save(path),
            "" if files::is_stream(path) => self.save_numbers(path),
            _ => Err(unknown_ending(path, ".html, .svg, .pdf, .png, .json, .csv and .safetensors")),
        }
    }

    fn shown(&self, name: &'static str, values: &Array, colors: Colors) -> Shown {
        Shown::new(name, words::show(name, self), values.data().to_vec(), colors)
    }

    /// How values of the metric become colours: a difference has two sides.
    fn metric_kind(&self) -> Kind {
        if self.metric == Metric::LogitDiff { Kind::Signed } else { Kind::Magnitude }
    }

    /// A pair as a page names it, with its baseline and its way.
    fn page_of(&self, number: usize) -> Result<payload::Pair> {
        let clean = self.clean.get(number).copied();
        let corrupted = self.corrupted.get(number).copied();
        let (base, end) = match self.kind {
            EffectKind::Patched => (corrupted, clean),
            EffectKind::Noised => (clean, corrupted),
            EffectKind::Estimated => (Some(0.0), clean.zip(corrupted).map(|(clean, corrupted)| clean - corrupted)),
            EffectKind::Direct => (Some(0.0), None),
            _ => (clean, None),
        };
        // Without a way of its own the pair has no normalised values.
        let has_way = self.pair(number)?.normalized().is_ok();
        let way = end.zip(base).map(|(end, base)| end - base).filter(|_| has_way);
        let axes = self.axes.iter().map(|axis| {
            let own = self.axis(axis, Some(number));
            own.tokens.is_some().then_some(own)
        });
        Ok(payload::Pair { name: self.pair_name(number), base, way, axes: axes.collect() })
    }

    /// `0: Paris / London`, by its answers, or by its text where it has none.
    fn pair_name(&self, number: usize) -> String {
        let Some(PairTokens { right, wrong, clean, .. }) = self.pairs.get(number) else { return number.to_string() };
        let first = |list: &[String]| list.first().map(|token| escape::clipped(&visible(token), 24));
        let told = match (first(right), first(wrong)) {
            (Some(right), Some(wrong)) => format!("{right} / {wrong}"),
            (Some(right), None) => right,
            _ => escape::clipped(&visible(&clean.concat()), 32),
        };
        format!("{number}: {}", told.replace('␣', " ").replace("  ", " ").trim())
    }

    /// An axis with a pair's tokens, or with those of all pairs.
    fn axis(&self, axis: &experiment::Axis, pair: Option<usize>) -> Axis {
        let name = escape::short(&axis.name, NAME_LETTERS);
        if !axis.name.ends_with("position") {
            let labels = axis.labels.iter().map(|label| shown(label)).collect();
            return Axis { name, labels, tokens: None, corrupted: None };
        }
        let labelled = pair.map_or_else(|| axis.clone(), |pair| self.axis_of(axis, pair));
        let parts = labelled.labels.iter().map(|label| match label.split_once(' ') {
            Some((place, token)) => (place.to_owned(), Some(shown(token))),
            None => (shown(label), None),
        });
        let (labels, mut tokens): (Vec<String>, Vec<Option<String>>) = parts.unzip();
        if pair.is_none() {
            let all: Vec<experiment::Axis> = (0..self.pairs.len()).map(|pair| self.axis_of(axis, pair)).collect();
            for (place, token) in tokens.iter_mut().enumerate() {
                let of_pairs = all.iter().filter_map(|axis| Some(axis.labels.get(place)?.split_once(' ')?.1));
                *token = several(of_pairs).or_else(|| token.take());
            }
        }
        let corrupted = pair.and_then(|pair| self.pairs.get(pair)).map(|pair| {
            let of = if axis.name == experiment::Axis::SOURCE_POSITION {
                (&pair.source_clean, &pair.source_corrupted)
            } else {
                (&pair.clean, &pair.corrupted)
            };
            let other = |place: &String| {
                let place: usize = place.parse().ok()?;
                let (clean, corrupted) = (of.0.get(place)?, of.1.get(place)?);
                (clean != corrupted).then(|| shown(corrupted))
            };
            labels.iter().map(other).collect()
        });
        Axis { name, labels, tokens: Some(tokens), corrupted }
    }

    /// Scales that serve all single pairs.
    fn scale_pairs(&self, shows: &mut [Shown], pairs: &[payload::Pair], values: &[f32]) {
        let cells = self.cells().max(1);
        let rows = || pairs.iter().zip(values.chunks(cells));
        let effects: Vec<f32> =
            rows().flat_map(|(pair, row)| row.iter().map(|value| value - pair.base.unwrap_or(f32::NAN))).collect();
        let parts: Vec<f32> = pairs
            .iter()
            .zip(effects.chunks(cells))
            .flat_map(|(pair, row)| row.iter().map(|effect| effect / pair.way.unwrap_or(f32::NAN)))
            .collect();
        for shown in shows {
            shown.of_pairs = match shown.name {
                "normalised" => shares(&parts),
                "effect" => Colors::of(Kind::Signed, effects.iter().copied()),
                "value" => Colors::of(self.metric_kind(), values.iter().copied()),
                _ => shown.colors,
            };
        }
    }
}

impl LogitAttribution {
    /// Draws what sublayers and heads add, one figure each.
    ///
    /// # Errors
    /// None that a caller could cause.
    pub fn figures(&self) -> Result<Gallery> {
        let mut figures = vec![self.by_sublayer()?.figure()?, self.by_head()?.figure()?];
        if self.heads.len() > 1 {
            figures.push(self.by_cross_head()?.figure()?);
        }
        Ok(Gallery::new(figures))
    }
}

/// The tokens of several pairs at one position: the one that all have, or the first few.
fn several<'a>(tokens: impl Iterator<Item = &'a str>) -> Option<String> {
    const MOST: usize = 3;
    let mut different: Vec<&str> = Vec::new();
    for token in tokens {
        if !different.contains(&token) {
            different.push(token);
        }
    }
    let first = shown(different.first()?);
    if different.len() == 1 {
        return Some(first);
    }
    let named = different.iter().take(MOST).map(|token| shown(token.strip_prefix('␣').unwrap_or(token)));
    let rest = if different.len() > MOST { ", …" } else { "" };
    Some(format!("{}{rest}", named.collect::<Vec<String>>().join(", ")))
}
