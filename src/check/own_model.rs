//! Lesson 10: your own model and your own text.

use std::path::Path;

use super::Verdict;
use super::numbers::near;
use crate::{Input, Model, Result, Site, Trace};

/// How many megabytes do the weights and what a run of `input` keeps take together?
///
/// # Errors
/// When the model cannot run the input.
pub fn megabytes_needed(answer: impl Into<f64>, model: &Model, input: impl Into<Input>) -> Result<Verdict> {
    let answer = answer.into();
    let (weights, run) = (model.weight_bytes() as f64 / 1e6, model.estimate(input)?.bytes() as f64 / 1e6);
    let both = weights + run;
    let file = bytes_of(model.path()) as f64 / 1e6;
    Ok(if near(answer, both, 0.01) {
        Verdict::right(
            "Beside that a run needs room for what it computes with, and libtorch has some hundred megabytes of its own.",
        )
    } else if near(answer, both * 1e6, 0.01) {
        Verdict::not_yet("In bytes, yes. A megabyte is a million of them.")
    } else if near(answer, weights, 0.005) {
        Verdict::not_yet("Those are the weights. What does the run keep beside them?")
    } else if near(answer, run, 0.01) {
        Verdict::not_yet("That is what the run keeps. The weights have to be there as well.")
    } else if near(answer, file, 0.01) || near(answer, file + run, 0.01) {
        Verdict::not_yet("The file has its numbers packed. The run computes in float32: `model.weight_bytes()`.")
    } else {
        Verdict::not_yet("Add `model.weight_bytes()` and `model.estimate(text)?.bytes()`, and divide by a million.")
    })
}

/// Does a file hold all numbers of a run, for another day or another program?
///
/// # Errors
/// None of its own: a file that cannot be read is an answer that is not right yet.
pub fn numbers_saved(path: impl AsRef<Path>, trace: &Trace) -> Result<Verdict> {
    let path = path.as_ref();
    let ending = path.extension().map(|ending| ending.to_string_lossy().to_lowercase()).unwrap_or_default();
    if !path.is_file() {
        return Ok(Verdict::not_yet(format!("There is no file {} here.", path.display())));
    }
    if matches!(ending.as_str(), "html" | "svg" | "pdf" | "png") {
        return Ok(Verdict::not_yet(
            "That is a picture, for people. The numbers of a run go into a .safetensors file.",
        ));
    }
    let loaded = match Trace::load(path, trace.model()) {
        Ok(loaded) => loaded,
        Err(problem) => return Ok(Verdict::not_yet(format!("It cannot be read as a run: {problem}"))),
    };
    if loaded.ids() != trace.ids() || loaded.encoder_ids() != trace.encoder_ids() {
        return Ok(Verdict::not_yet("It holds a run, but of another text."));
    }
    let sites = trace.sites();
    for &site in &sites {
        match loaded.get(site) {
            Ok(values) if same(&values, &trace.get(site)?) => {}
            Ok(_) => {
                return Ok(Verdict::not_yet(format!("{site} has other numbers there: it is another run of the text.")));
            }
            Err(_) => {
                let there = loaded.sites().iter().filter(|site| sites.contains(site)).count();
                return Ok(Verdict::not_yet(format!("It holds {there} of the {} sites of this run.", sites.len())));
            }
        }
    }
    Ok(Verdict::right(format!("{} sites, and each comes back as it was.", sites.len())))
}

/// Does a run keep what stands at `site`, in no more than so many megabytes?
///
/// # Errors
/// None of its own: a run that kept something else is an answer that is not right yet.
pub fn keeps_little(trace: &Trace, site: Site, megabytes: f64) -> Result<Verdict> {
    let kept = trace.bytes() as f64 / 1e6;
    Ok(if trace.get(site).is_err() {
        Verdict::not_yet(format!("This run did not keep {site}: name it in `.keep([..])`."))
    } else if kept > megabytes {
        Verdict::not_yet(format!("It keeps {site}, and {kept:.1} MB in all. What else is in it?"))
    } else {
        Verdict::right(format!("{kept:.2} MB, where everything would take {:.1}.", everything(trace)?))
    })
}

/// Megabytes of a run that keeps all that runs usually keep.
fn everything(trace: &Trace) -> Result<f64> {
    Ok(trace.model().estimate(crate::experiment::input(trace.tokens()))?.bytes() as f64 / 1e6)
}

/// Bit by bit: what is no number equals itself.
fn same(a: &crate::Array, b: &crate::Array) -> bool {
    a.shape() == b.shape() && a.data().iter().zip(b.data()).all(|(a, b)| a.to_bits() == b.to_bits())
}

fn bytes_of(path: &Path) -> u64 {
    let of_folder = || {
        let files = std::fs::read_dir(path).into_iter().flatten().flatten();
        let weights = files
            .filter(|file| file.path().extension().is_some_and(|ending| ending == "safetensors" || ending == "bin"));
        weights.filter_map(|file| file.metadata().ok()).map(|file| file.len()).sum()
    };
    if path.is_dir() { of_folder() } else { path.metadata().map_or(0, |file| file.len()) }
}
