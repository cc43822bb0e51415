//! The walk: the residual stream of positions on its way through the layers.

use serde_json::{Value, json};

use super::maps::{shown, words};
use super::{pack, payload, plotly, read_as, title, treated, walk_svg};
use crate::Array;
use crate::figure::chart::{self, Colors, Kind, number};
use crate::figure::chunks::Chunks;
use crate::figure::{Figure, escape};
use crate::trajectory::Walk;

/// Tokens that a caption lists.
const MOST_LISTED: usize = 12;

/// A number of every step, with its scale.
pub(super) struct Quantity<'a> {
    pub name: String,
    pub title: String,
    about: &'static str,
    pub rows: Vec<String>,
    pub values: &'a [f32],
    pub colors: Colors,
}

impl Walk {
    /// Draws the walk; opens with all steps shown and the angles beside them.
    pub fn figure(&self) -> Figure {
        let quantities = quantities(self);
        let mut chunks = Chunks::default();
        let (steps, positions) = (self.steps.len(), self.positions.len());
        let described: Vec<payload::Quantity> =
            quantities.iter().map(|it| describe(it, positions, &mut chunks)).collect();
        let nearest = (!self.nearest.is_empty()).then(|| {
            // One list: steps, then positions.
            words(self.nearest.iter().flatten(), &mut chunks)
        });
        let page = payload::Walk {
            model: escape::model_name(&self.model),
            block: self.block.clone(),
            positions: self.positions.clone(),
            tokens: shown(&self.tokens),
            steps: self.steps.iter().map(|step| step.name.clone()).collect(),
            coordinates: pack::numbers(self.coordinates.data(), &[steps, positions, 3], &mut chunks),
            explained: self.explained.clone(),
            quantities: described,
            straightness: pack::finite(&self.straightness),
            path: pack::finite(&self.path_length),
            anisotropy: pack::finite(&self.anisotropy),
            nearest,
            words: read_as(self.read),
            given: given(self),
        };
        Figure {
            view: "walk",
            title: title("The walk through the layers", &self.model),
            caption: caption(self),
            panels: vec![walk_svg::picture(self, &quantities)],
            legend: Vec::new(),
            data: serde_json::to_value(page).unwrap_or_default(),
            packed: chunks.0.into(),
            plotly: Some(self.plotly()),
            json: self.json(&quantities),
        }
    }

    fn plotly(&self) -> Value {
        let path = |place: usize| {
            let column = |axis: usize| -> Vec<Option<f32>> {
                (0..self.steps.len()).map(|step| coordinate(self, step, place, axis)).collect()
            };
            json!({
                "type": "scatter3d", "mode": "lines+markers", "marker": { "size": 2.5 },
                "name": escape::plotly(&escape::label(&self.tokens[place], 24)),
                "x": column(0), "y": column(1), "z": column(2),
                "text": self.steps.iter().map(|step| &step.name).collect::<Vec<_>>(),
            })
        };
        let paths = (0..self.positions.len().min(self.tokens.len()).min(64)).map(path).collect();
        plotly::paths(&title("The walk", &self.model), paths, &[0, 1, 2].map(|axis| axis_name(self, axis)))
    }

    fn json(&self, quantities: &[Quantity]) -> Value {
        let rows = |values: &[f32]| values.chunks(self.positions.len().max(1)).map(pack::finite).collect::<Vec<_>>();
        let mut json = json!({
            "model": self.model, "block": self.block, "positions": self.positions, "tokens": self.tokens,
            "steps": self.steps.iter().map(|step| &step.name).collect::<Vec<_>>(),
            "coordinates": self.coordinates.data().chunks(3).map(pack::finite).collect::<Vec<_>>(),
            "given": given(self), "explained": self.explained, "path_length": pack::finite(&self.path_length),
            "straightness": pack::finite(&self.straightness), "anisotropy": pack::finite(&self.anisotropy),
        });
        for quantity in quantities {
            json[&quantity.name] = json!(rows(quantity.values));
        }
        json
    }
}

/// How many positions were given, where any was written.
pub(super) fn given(walk: &Walk) -> Option<usize> {
    walk.given.filter(|&given| given < walk.positions.len().min(walk.tokens.len()))
}

/// A coordinate of a step and position, by place.
pub(super) fn coordinate(walk: &Walk, step: usize, place: usize, axis: usize) -> Option<f32> {
    let at = (step * walk.positions.len() + place) * 3 + axis;
    walk.coordinates.data().get(at).copied().filter(|value| value.is_finite())
}

/// `PC 1 (34 % of the variance)`.
pub(super) fn axis_name(walk: &Walk, axis: usize) -> String {
    match walk.explained.get(axis) {
        Some(&part) => format!("PC {} ({} % of the variance)", axis + 1, number(f64::from(part) * 100.0)),
        None => format!("PC {}", axis + 1),
    }
}

/// The numbers of steps that are there and fit the positions.
fn quantities(walk: &Walk) -> Vec<Quantity<'_>> {
    use Kind::{Magnitude, Signed};
    let steps: Vec<String> = walk.steps.iter().map(|step| step.name.clone()).collect();
    let later = |from: usize| steps.get(from..).unwrap_or(&[]).to_vec();
    let turns = || steps.get(1..steps.len().saturating_sub(1)).unwrap_or(&[]).to_vec();
    let mut all = vec![
        quantity(
            "angle",
            "Angle",
            "how far each step turns the vector, in radians: what the next norm leaves of it",
            later(1),
            &walk.angle,
            Magnitude,
        ),
        quantity("norm", "Norm", "how long the vector is", later(0), &walk.norm, Magnitude),
        quantity(
            "step",
            "Step",
            "how far each step moves the vector: growth and turning together",
            later(1),
            &walk.step_length,
            Magnitude,
        ),
        quantity(
            "turning",
            "Turning",
            "the angle between a step and the next, in radians",
            turns(),
            &walk.turning,
            Magnitude,
        ),
        quantity(
            "radial",
            "Radial part",
            "the cosine between a vector and its next step: 1 outwards, 0 across",
            later(1),
            &walk.radial,
            Signed,
        ),
        quantity(
            "from-start",
            "Angle from start",
            "the angle to the first point, in radians",
            later(0),
            &walk.angle_from_start,
            Magnitude,
        ),
        quantity(
            "to-end",
            "Angle to end",
            "the angle to the last point, in radians",
            later(0),
            &walk.angle_to_end,
            Magnitude,
        ),
    ];
    let about = "the part of each move that points along it, as a share of its length";
    for share in &walk.shares {
        let rows = (0..share.values.shape().first().copied().unwrap_or(0)).map(|layer| format!("layer {layer}"));
        let title = format!("Share of {}", share.sublayer);
        all.push(quantity(&share.sublayer, &title, about, rows.collect(), &share.values, Signed));
    }
    all.retain(|it| !it.values.is_empty() && it.values.len() == it.rows.len() * walk.positions.len());
    all
}

fn quantity<'a>(
    name: &str,
    title: &str,
    about: &'static str,
    rows: Vec<String>,
    values: &'a Array,
    kind: Kind,
) -> Quantity<'a> {
    let colors = match name {
        "radial" => Colors::fixed(kind, -1.0, 1.0),
        _ => Colors::of(kind, values.data().iter().copied()),
    };
    Quantity { name: name.to_owned(), title: title.to_owned(), about, rows, values: values.data(), colors }
}

fn describe(quantity: &Quantity, positions: usize, chunks: &mut Chunks) -> payload::Quantity {
    payload::Quantity {
        name: quantity.name.clone(),
        title: quantity.title.clone(),
        about: quantity.about,
        rows: quantity.rows.clone(),
        values: pack::numbers(quantity.values, &[quantity.rows.len(), positions], chunks),
        scale: (&quantity.colors).into(),
    }
}

fn caption(walk: &Walk) -> String {
    let shown: f32 = walk.explained.iter().sum();
    format!(
        "Each line is a position's vector on its way from the first step to the last, in the three directions that tell \
         most of all their differences ({} % of the variance; the rest is not in the picture). Colours go with depth. The \
         map below tells each step in numbers of the whole space, which no projection bends.{}{}",
        number(f64::from(shown) * 100.0),
        treated(&walk.treatment),
        given(walk).map(|given| writing(walk, given)).unwrap_or_default()
    )
}

/// Which tokens were given and which written.
fn writing(walk: &Walk, given: usize) -> String {
    let (read, written) = walk.tokens.split_at(given);
    format!(
        " Given: {}. Written by the model, in heavier lines: {}. No run has read the last token that it wrote, so that one \
         has no line.",
        listed(read),
        listed(written)
    )
}

/// `“The”, “cat” and 12 more`.
fn listed(tokens: &[String]) -> String {
    let quoted = |token: &String| format!("“{}”", chart::token(token));
    let named: Vec<String> = tokens.iter().take(MOST_LISTED).map(quoted).collect();
    match tokens.len() - named.len() {
        _ if tokens.is_empty() => "none of these".to_owned(),
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
