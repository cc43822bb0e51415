//! Figures of trajectories: position kernels, attention and similarity maps, walks, decoding, attribution maps.
//!
//! Each is a still picture of how it opens, and its numbers, packed, for the script that draws it with Plotly.

mod attention_maps;
mod attribution_maps;
mod decoding;
mod kernels;
mod kernels_svg;
mod maps;
mod maps_svg;
pub(super) mod pack;
pub(super) mod payload;
mod plotly;
mod similarity_maps;
#[cfg(test)]
mod tests;
mod walk;
mod walk_svg;

use super::escape;
use crate::trajectory::{ReadAs, Treatment};

/// The views that the script of trajectories draws, all of them with Plotly.
pub(super) const VIEWS: [&str; 6] =
    ["position-kernels", "attention-maps", "similarity-maps", "walk", "decoding", "attribution-maps"];

/// Every figure's way to a file.
macro_rules! saves_its_figure {
    ($Value:ty) => {
        impl $Value {
            /// Saves the figure by the ending of the name: `.html` (a page, one file, works offline), `.svg` (a static
            /// picture of it as it opens), `.pdf` or `.png` (that picture on light paper) or `.json` (the numbers of what
            /// it opens on).
            ///
            /// # Errors
            /// As [`Figure::save`](crate::Figure::save).
            pub fn save(&self, path: impl AsRef<std::path::Path>) -> crate::Result<()> {
                self.figure().save(path)
            }
        }
    };
}

saves_its_figure!(crate::trajectory::PositionKernels);
saves_its_figure!(crate::trajectory::AttentionMaps);
saves_its_figure!(crate::trajectory::SimilarityMaps);
saves_its_figure!(crate::trajectory::Walk);
saves_its_figure!(crate::trajectory::Decoding);
saves_its_figure!(crate::trajectory::AttributionMaps);

/// `what of the model`, where it is known.
fn title(what: &str, model: &str) -> String {
    if model.is_empty() { what.to_owned() } else { format!("{what} of {}", escape::model_name(model)) }
}

/// The error for a name that a figure does not have.
fn missing(what: &str, wanted: &str, there: &[String]) -> crate::Error {
    crate::Error::Figure(format!("no {what} {wanted} in this figure; there are {}", there.join(", ")))
}

/// How vectors were read as words.
fn read_as(read: ReadAs) -> &'static str {
    match read {
        ReadAs::Raw => "raw, without the final norm: this is no logit lens",
        _ => "through the final norm",
    }
}

/// What was done to vectors before they were compared.
fn treated(treatment: &Treatment) -> String {
    let steps = [
        (treatment.without_first, "the first token is left out"),
        (treatment.centred, "the mean vector is subtracted at each depth"),
        (treatment.unit_norm, "vectors are scaled to length 1"),
    ];
    let steps: Vec<&str> = steps.into_iter().filter_map(|(on, step)| on.then_some(step)).collect();
    if steps.is_empty() { String::new() } else { format!(" Before that, {}.", steps.join(", ")) }
}
