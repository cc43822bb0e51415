//! Titles and captions of effects.

use crate::experiment::{EffectKind, Effects, Metric};
use crate::figure::chart::number;
use crate::figure::escape;

/// `Patching resid_pre of a model, by layer and position`.
pub(super) fn title(effects: &Effects) -> String {
    let (deed, site) = effects.name.split_once('.').unwrap_or((&effects.name, ""));
    let what = match (deed, site.split_once('.')) {
        ("patch", _) => format!("Patching {site}"),
        ("noising", _) => format!("Noising {site}"),
        ("trace", _) => format!("Causal tracing, {site}"),
        ("attribute", _) => format!("Attribution patching, {site}"),
        ("direct", _) => format!("Direct logit attribution, {site}"),
        ("path", Some((site, receivers))) => format!("Path patching, {site} {}", receivers.replace('_', " ")),
        ("path", None) => format!("Path patching, {site}"),
        ("steer", _) => "Steering".to_owned(),
        ("ablate", Some((kind, site))) => format!("Ablation ({}), {site}", kind.replace(['_', '-'], " ")),
        _ => effects.name.clone(),
    };
    let axes: Vec<&str> = effects.axes.iter().map(|axis| axis.name.as_str()).collect();
    let by = match axes.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, before)) => format!("{} and {last}", before.join(", ")),
        None => String::new(),
    };
    let what = escape::short(&what, 60);
    format!("{what} of {}, by {}", escape::model_name(&effects.model), escape::short(&by, 60))
}

/// The metric as a noun with its article.
fn named(metric: Metric) -> String {
    format!("the {metric}")
}

/// What a cell stands for, what its numbers mean, and of how many pairs.
pub(super) fn caption(effects: &Effects, normalized: &Result<crate::Array, crate::Error>) -> String {
    let place = effects.axes.iter().map(|axis| axis.name.as_str()).collect::<Vec<&str>>().join(", ");
    let place = escape::short(&place, 60);
    let metric = named(effects.metric);
    let [clean, corrupted] = [mean(&effects.clean), mean(&effects.corrupted)];
    let ends = |none: &str, none_is: f64, all: &str, all_is: f64| {
        let (none_is, all_is) = (number(none_is), number(all_is));
        match normalized {
            Ok(_) => format!(
                " Normalised: 0 is {metric} of the {none} ({none_is}), 1 that of the {all} ({all_is}); colours end at \u{2212}1 and 1."
            ),
            Err(_) => format!(" Not normalised: {metric} of both baselines is {none_is}."),
        }
    };
    let mut text = match effects.kind {
        EffectKind::Patched => format!(
            "Each cell is the corrupted run with the clean run's values in one place ({place}): what brings the answer back \
             is enough for it.{}",
            ends("corrupted run", corrupted, "clean one", clean)
        ),
        EffectKind::Noised => format!(
            "Each cell is the clean run with the corrupted run's values in one place ({place}): what loses the answer is \
             needed for it.{}",
            ends("clean run", clean, "corrupted one", corrupted)
        ),
        EffectKind::Estimated => format!(
            "Each cell is an estimate by gradients, not a run: how far the clean run's values in one place ({place}) would \
             take the corrupted run.{}",
            ends("corrupted run", corrupted, "clean one", clean)
        ),
        EffectKind::Direct => format!(
            "Each cell is what a part of the model ({place}) writes towards {metric}, which is {}, through the residual \
             stream alone; what later layers make of it is not in it.",
            number(clean)
        ),
        _ => format!(
            "Each cell is the clean run with a change in one place ({place}). The effect is {metric} less that of the \
             unchanged run ({}).",
            number(clean)
        ),
    };
    if effects.len() > 1 {
        text.push_str(&format!(" Means over {} pairs.", effects.len()));
    }
    if effects.values.data().iter().any(|value| value.is_nan()) {
        let of_positions = effects.axes.iter().any(|axis| axis.name.ends_with("position"));
        text.push_str(match of_positions {
            true => " Positions beyond a prompt's end are blank, and no mean counts them.",
            false => " Where the model has no such place the map is blank.",
        });
    }
    text
}

/// What is said of a cell that has no answers.
pub(super) fn silent(kind: EffectKind) -> &'static str {
    match kind {
        EffectKind::Estimated => "An estimate: no run was made for this cell.",
        EffectKind::Direct => "A part of one run: nothing was changed for this cell.",
        _ => "The answers of this cell's run were not kept.",
    }
}

/// What a way to look is called over a map.
pub(super) fn show(name: &str, effects: &Effects) -> String {
    let (metric, kind) = (effects.metric.to_string(), effects.kind);
    let upper: String = metric.chars().take(1).flat_map(char::to_uppercase).chain(metric.chars().skip(1)).collect();
    match (name, kind) {
        ("normalised", EffectKind::Estimated) => format!("{upper}, estimated and normalised"),
        ("normalised", _) => format!("{upper}, normalised"),
        ("effect", EffectKind::Estimated) => format!("Estimated change of the {metric}"),
        ("effect", EffectKind::Direct) => format!("Part of the {metric}"),
        ("effect", _) => format!("Change of the {metric}"),
        ("value", _) => upper,
        _ => "p-value of the sign-flip test, not corrected for the number of cells".to_owned(),
    }
}

fn mean(numbers: &[f32]) -> f64 {
    numbers.iter().map(|&number| f64::from(number)).sum::<f64>() / numbers.len().max(1) as f64
}
