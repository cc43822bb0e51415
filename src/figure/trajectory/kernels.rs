//! Position kernels: what each head adds to a score for a distance, whatever stands there.

use serde_json::{Value, json};

use super::{kernels_svg, missing, pack, payload, plotly, title};
use crate::Result;
use crate::figure::chart::{Colors, Kind};
use crate::figure::chunks::Chunks;
use crate::figure::{Figure, Panel, escape};
use crate::text::list;
use crate::trajectory::{Kernel, KernelKind, PositionKernels};

/// Heads whose curves are drawn first.
const CURVES: usize = 3;

impl PositionKernels {
    /// Draws the kernels; opens on the first, with the curves of the heads that vary most.
    pub fn figure(&self) -> Figure {
        self.opened(0, None)
    }

    /// Draws the kernels, opened on the first that a layer of a block has, with the curves of some heads; of those
    /// that vary most where none are given.
    ///
    /// # Errors
    /// When there is no such block, layer or head.
    pub fn figure_of(&self, block: &str, layer: usize, heads: &[usize]) -> Result<Figure> {
        let place = self.kernels.iter().position(|it| it.block == block && it.layers.contains(&layer));
        let names: Vec<String> = self.kernels.iter().map(name).collect();
        let place = place.ok_or_else(|| missing("kernel", &format!("of {block}, layer {layer}"), &names))?;
        let all = heads_of(&self.kernels[place]);
        if let Some(head) = heads.iter().find(|&&head| head >= all) {
            return Err(missing("head", &head.to_string(), &[format!("0 to {}", all.saturating_sub(1))]));
        }
        Ok(self.opened(place, (!heads.is_empty()).then(|| heads.to_vec())))
    }

    fn opened(&self, place: usize, heads: Option<Vec<usize>>) -> Figure {
        let fits = |kernel: &&Kernel| {
            let (width, numbers) = (kernel.offsets.len(), kernel.values.data().len());
            let spread = kernel.spread.as_ref().is_none_or(|spread| spread.data().len() == numbers);
            width > 0 && numbers > 0 && numbers.is_multiple_of(width) && spread
        };
        let kernels: Vec<&Kernel> = self.kernels.iter().filter(fits).collect();
        let place = place.min(kernels.len().saturating_sub(1));
        let colors: Vec<Colors> = kernels.iter().map(|kernel| scale(&kernels, kernel.kind)).collect();
        let heads = heads.or_else(|| kernels.get(place).map(|kernel| liveliest(kernel))).unwrap_or_default();
        let mut chunks = Chunks::default();
        let described = kernels.iter().zip(&colors).map(|(kernel, colors)| describe(kernel, colors, &mut chunks));
        let page = payload::Kernels {
            model: escape::model_name(&self.model),
            kernels: described.collect(),
            kernel: place,
            heads: heads.clone(),
        };
        let opened = kernels.get(place).zip(colors.get(place));
        Figure {
            view: "position-kernels",
            title: title("Position kernels", &self.model),
            caption: caption(&kernels, self.kernels.len()),
            panels: vec![match opened {
                Some((kernel, colors)) => kernels_svg::picture(kernel, &name(kernel), &heads, colors),
                None => Panel::drawn("Position kernels", 300.0, 20.0, ""),
            }],
            legend: Vec::new(),
            data: serde_json::to_value(page).unwrap_or_default(),
            packed: chunks.0.into(),
            plotly: opened.map(|(kernel, _)| curves(self, kernel, &heads)),
            json: numbers(self, &kernels),
        }
    }
}

pub(super) fn heads_of(kernel: &Kernel) -> usize {
    kernel.values.data().len().checked_div(kernel.offsets.len()).unwrap_or(0)
}

/// One scale for all kernels of a kind.
fn scale(kernels: &[&Kernel], kind: KernelKind) -> Colors {
    let alike = kernels.iter().filter(move |kernel| kernel.kind == kind);
    Colors::of(Kind::Signed, alike.flat_map(|kernel| kernel.values.data().iter().copied()))
}

/// The heads whose kernels vary most.
fn liveliest(kernel: &Kernel) -> Vec<usize> {
    let range = |head: usize| {
        let row = kernel.values.data().chunks(kernel.offsets.len()).nth(head).unwrap_or(&[]);
        let finite = row.iter().copied().filter(|it| it.is_finite());
        finite.clone().fold(f32::MIN, f32::max) - finite.fold(f32::MAX, f32::min)
    };
    let mut heads: Vec<usize> = (0..heads_of(kernel)).collect();
    heads.sort_by(|&a, &b| range(b).total_cmp(&range(a)));
    heads.truncate(CURVES);
    heads.sort_unstable();
    heads
}

/// `encoder, layers 0 to 5: a learned bias by distance`.
fn name(kernel: &Kernel) -> String {
    let block = if kernel.block == "all" { String::new() } else { format!("{}, ", kernel.block) };
    let layers = match kernel.layers.as_slice() {
        [one] => format!("layer {one}"),
        many => format!("layers {}", list(many)),
    };
    format!("{block}{layers}: {}", kernel.kind)
}

fn describe(kernel: &Kernel, colors: &Colors, chunks: &mut Chunks) -> payload::Kernel {
    let shape = [heads_of(kernel), kernel.offsets.len()];
    payload::Kernel {
        name: name(kernel),
        block: kernel.block.clone(),
        layers: kernel.layers.clone(),
        kind: kernel.kind.to_string(),
        offsets: kernel.offsets.clone(),
        values: pack::numbers(kernel.values.data(), &shape, chunks),
        spread: kernel.spread.as_ref().map(|spread| pack::numbers(spread.data(), &shape, chunks)),
        counts: kernel.counts.clone(),
        causal: kernel.causal,
        scale: colors.into(),
    }
}

fn caption(kernels: &[&Kernel], all: usize) -> String {
    let has = |kind| kernels.iter().any(|kernel| kernel.kind == kind);
    let mut text = String::from(
        "Each head's score by the distance from query to key: a row of the map is a head, and the curves below are those \
         of some. Distances stand on a symmetric-log axis, negative ones before the query.",
    );
    if has(KernelKind::Mean) {
        text.push_str(" A mean score over a text holds its content as well; the other kernels are position alone.");
    }
    if has(KernelKind::Rotation) {
        text.push_str(" What rotation leaves is a share of the product at distance 0, no score.");
    }
    if kernels.iter().any(|kernel| kernel.spread.is_some()) {
        text.push_str(" Bands are one standard deviation over content wide on each side.");
    }
    text.push_str(
        " “If content were constant” is the softmax of a kernel over a window: where the head would look if all keys were \
         alike.",
    );
    if all > kernels.len() {
        text.push_str(&format!(
            " {} kernels whose numbers do not fit their distances are not drawn.",
            all - kernels.len()
        ));
    }
    text
}

fn curves(whole: &PositionKernels, kernel: &Kernel, heads: &[usize]) -> Value {
    let curve = |&head: &usize| plotly::Line {
        kind: "scatter",
        mode: "lines",
        name: format!("head {head}"),
        x: kernel.offsets.iter().map(|&offset| offset as f64).collect(),
        y: pack::finite(kernel.values.data().chunks(kernel.offsets.len()).nth(head).unwrap_or(&[])),
    };
    let title = format!("{}, {}", title("Position kernels", &whole.model), name(kernel));
    plotly::lines(&title, heads.iter().map(curve).collect(), "distance from query to key")
}

fn numbers(whole: &PositionKernels, kernels: &[&Kernel]) -> Value {
    let kernel = |kernel: &&Kernel| {
        let rows = |values: &[f32]| values.chunks(kernel.offsets.len()).map(pack::finite).collect::<Vec<_>>();
        json!({
            "block": kernel.block, "layers": kernel.layers, "kind": kernel.kind.to_string(), "offsets": kernel.offsets,
            "values": rows(kernel.values.data()), "spread": kernel.spread.as_ref().map(|spread| rows(spread.data())),
            "counts": kernel.counts, "causal": kernel.causal,
        })
    };
    json!({ "model": whole.model, "kernels": kernels.iter().map(kernel).collect::<Vec<_>>() })
}
