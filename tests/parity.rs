//! Every family and every option that changes numbers, against what Python `transformers` computes.
//!
//! A folder of `tests/fixtures/parity` is a tiny checkpoint with `expected.safetensors`: an input and the tensors that
//! Python returns for it, and `sites.safetensors`: what it computes at all other sites. `tools/make_fixtures.py` and
//! `tools/make_site_fixtures.py` make them. Every site of every model is compared, without exception. With `FLOWLENS_PARITY` set, the folders there are
//! compared instead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flowlens::model::families;
use flowlens::site::Part;
use flowlens::{Array, Input, Model, Site};
use safetensors::{Dtype, SafeTensors};

const TOLERANCE: f64 = 1e-4;

fn folders() -> Vec<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity");
    let root = std::env::var_os("FLOWLENS_PARITY").map_or(here, PathBuf::from);
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

/// The float tensors of a file by name, and the masks that were given.
struct Expected {
    arrays: BTreeMap<String, Array>,
    mask: Option<Vec<i64>>,
    decoder_mask: Option<Vec<i64>>,
}

fn expected(file: &Path) -> Result<Expected, String> {
    let bytes = std::fs::read(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| error.to_string())?;
    let arrays = file
        .iter()
        .filter(|(_, view)| view.dtype() == Dtype::F32)
        .map(|(name, view)| {
            let data = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
            (name.to_owned(), Array::new(view.shape(), data).unwrap())
        })
        .collect();
    let mask = |name: &str| {
        let view = file.tensor(name).ok()?;
        Some(view.data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect())
    };
    Ok(Expected { arrays, mask: mask("attention_mask"), decoder_mask: mask("decoder_attention_mask") })
}

/// The largest difference in tolerances. Padded positions are left out as rows, the last axis but one, and where
/// `columns` gives a mask as columns too.
fn distance(
    name: &str,
    found: &Array,
    expected: &Array,
    rows: Option<&[i64]>,
    columns: Option<&[i64]>,
) -> Result<f64, String> {
    if found.shape() != expected.shape() {
        return Err(format!("{name}: shape {:?}, expected {:?}", found.shape(), expected.shape()));
    }
    let shape = expected.shape();
    let (positions, width) = (shape[shape.len() - 2], shape[shape.len() - 1]);
    let mut worst = 0.0f64;
    for (index, (&a, &b)) in found.data().iter().zip(expected.data()).enumerate() {
        let padded = |mask: Option<&[i64]>, place: usize| mask.is_some_and(|mask| mask[place] == 0);
        let (row, column) = (index / width % positions, index % width);
        if padded(rows, row) || padded(columns, column) {
            continue;
        }
        if b.is_nan() && column > row && name.contains(".attn.") {
            continue; // Python computes no number: see `tools/fixture_sites.py`
        }
        let (a, b) = (f64::from(a), f64::from(b));
        let ratio = (a - b).abs() / (TOLERANCE * (1.0 + b.abs()));
        worst = worst.max(if ratio.is_finite() { ratio } else { f64::INFINITY });
    }
    Ok(worst)
}

/// Compares every site of the model: `expected.safetensors` holds those that Python returns under its own names,
/// `sites.safetensors` all others under ours.
fn check(folder: &Path) -> Result<String, String> {
    let text = |error: flowlens::Error| error.to_string();
    let model = Model::load(folder.to_str().unwrap()).map_err(text)?;
    let input = Input::from_file(folder.join("expected.safetensors")).map_err(text)?;
    let trace = model.watch(input).keep(model.sites()).run().map_err(text)?;
    let python = model.sites_of_transformers();
    let mut named = trace.transformers().map_err(text)?.into_iter();
    let Expected { arrays: mut returned, mask, decoder_mask } = expected(&folder.join("expected.safetensors"))?;
    let mut others = expected(&folder.join("sites.safetensors"))?.arrays;
    let mut worst = (0.0, String::new());
    let mut wrong = Vec::new();
    for site in model.sites() {
        let our_name = model.site_name(site);
        let theirs = if python.contains(&site) { named.next() } else { None };
        let (name, found, wanted) = match theirs {
            Some((name, found)) if returned.contains_key(&name) => {
                let wanted = returned.remove(&name);
                (name, found, wanted)
            }
            _ => {
                let wanted = others.remove(&our_name);
                (our_name, trace.get(site).map_err(text)?, wanted)
            }
        };
        let Some(wanted) = wanted else {
            wrong.push(format!("{name}: not in the fixture"));
            continue;
        };
        // A decoder's rows stand for its own positions; keys and values of cross attention for the encoder's.
        let of_source = |part| part == Part::Encoder || model.encoder_layers() == 0;
        let mask_of = |source: bool| if source { mask.as_deref() } else { decoder_mask.as_deref() };
        let of_keys = matches!(site, Site::CrossKey(_) | Site::CrossValue(_));
        let rows = mask_of(of_source(site.part()) || of_keys);
        // What stands at a padded key before the mask depends on vectors that are not compared.
        let columns = match site.plain() {
            Site::Scores(_) | Site::PositionBias(_) => mask_of(of_source(site.part()) || site.part() == Part::Cross),
            _ => None,
        };
        match distance(&name, &found, &wanted, rows, columns) {
            Err(line) => wrong.push(line),
            Ok(ratio) if ratio > 1.0 => wrong.push(format!("{name}: {ratio:.1} tolerances away")),
            Ok(ratio) if ratio > worst.0 => worst = (ratio, name),
            Ok(_) => {}
        }
    }
    let left = returned.keys().chain(others.keys()).map(|name| format!("{name}: no site of the model"));
    wrong.extend(left);
    if !wrong.is_empty() {
        return Err(wrong.join("\n    "));
    }
    Ok(format!("{} sites, worst {:.3} at {}", model.sites().len(), worst.0, worst.1))
}

#[test]
fn every_fixture_matches_transformers() {
    let mut failed = Vec::new();
    for folder in folders() {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        match check(&folder) {
            Ok(line) => println!("{name:28} {line}"),
            Err(line) => failed.push(format!("{name:28} {line}")),
        }
    }
    assert!(failed.is_empty(), "{} folders differ:\n{}", failed.len(), failed.join("\n"));
}

#[test]
fn every_family_has_a_fixture_and_every_fixture_a_family() {
    let mut seen = std::collections::BTreeSet::new();
    for folder in folders() {
        let config: serde_json::Value =
            serde_json::from_slice(&std::fs::read(folder.join("config.json")).unwrap()).unwrap();
        seen.insert(config["model_type"].as_str().unwrap().to_owned());
    }
    let known: std::collections::BTreeSet<String> = families().iter().map(|family| family.name.to_owned()).collect();
    let older = |name: &String| families().iter().any(|family| family.other_names.contains(&name.as_str()));
    seen.retain(|name| !older(name));
    assert_eq!(seen, known);
}
