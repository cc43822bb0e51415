//! Every family and every option that changes numbers, against what Python `transformers` computes.
//!
//! A folder of `tests/fixtures/parity` is a tiny checkpoint with `expected.safetensors`: an input and the tensors that
//! Python returns for it. `tools/make_fixtures.py` makes them. With `FLOWLENS_PARITY` set, the folders there are
//! compared instead.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flowlens::model::families;
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

/// Float tensors by name, and the masks that were given.
struct Expected {
    arrays: BTreeMap<String, Array>,
    mask: Option<Vec<i64>>,
    decoder_mask: Option<Vec<i64>>,
}

fn expected(folder: &Path) -> Expected {
    let bytes = std::fs::read(folder.join("expected.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
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
    Expected { arrays, mask: mask("attention_mask"), decoder_mask: mask("decoder_attention_mask") }
}

/// The largest difference in tolerances. Rows at padded positions are left out; columns are not.
fn distance(name: &str, found: &Array, expected: &Array, mask: Option<&[i64]>) -> Result<f64, String> {
    if found.shape() != expected.shape() {
        return Err(format!("{name}: shape {:?}, expected {:?}", found.shape(), expected.shape()));
    }
    // Positions are the last axis but one, in (1,T,x) as in (1,H,T,x).
    let shape = expected.shape();
    let (positions, width) = (shape[shape.len() - 2], shape[shape.len() - 1]);
    let mut worst = 0.0f64;
    for (index, (&a, &b)) in found.data().iter().zip(expected.data()).enumerate() {
        if mask.is_some_and(|mask| mask[index / width % positions] == 0) {
            continue;
        }
        let (a, b) = (f64::from(a), f64::from(b));
        let ratio = (a - b).abs() / (TOLERANCE * (1.0 + b.abs()));
        worst = worst.max(if ratio.is_finite() { ratio } else { f64::INFINITY });
    }
    Ok(worst)
}

fn check(folder: &Path) -> Result<String, String> {
    let text = |error: flowlens::Error| error.to_string();
    let model = Model::load(folder.to_str().unwrap()).map_err(text)?;
    let input = Input::from_file(folder.join("expected.safetensors")).map_err(text)?;
    let trace = model.run(input).map_err(text)?;
    let found: BTreeMap<String, Array> = trace.transformers().map_err(text)?.into_iter().collect();
    let Expected { arrays: expected, mask, decoder_mask } = expected(folder);
    let (encoder, main) = (model.encoder_layers(), model.layers());
    let with_head = usize::from(model.sites().contains(&Site::Logits));
    // Hidden states and attentions of every stack, cross attention, logits.
    let stacks = if encoder > 0 { 1 + encoder + encoder + main } else { 0 } + 1 + main + main;
    let listed = |name: &&String| ["logits", "hidden_states", "attentions"].iter().any(|part| name.contains(part));
    if expected.keys().filter(listed).count() != stacks + with_head {
        return Err(format!("the fixture holds other layers than the model's {encoder} + {main}, or another head"));
    }
    let mut worst = (0.0, "");
    for (name, wanted) in &expected {
        let array = found.get(name).ok_or_else(|| format!("{name}: missing"))?;
        // A decoder's rows stand for its own positions; keys and values of cross attention for the encoder's.
        let of_decoder = name.starts_with("decoder_") || (encoder > 0 && name.as_str() == "logits");
        let of_queries = ["cross_q", "cross_attentions"].iter().any(|start| name.starts_with(start));
        let mask = if of_decoder || of_queries { &decoder_mask } else { &mask };
        let ratio = distance(name, array, wanted, mask.as_deref())?;
        if ratio > 1.0 {
            return Err(format!("{name}: {ratio:.1} tolerances away"));
        }
        if ratio > worst.0 {
            worst = (ratio, name);
        }
    }
    Ok(format!("{} tensors, worst {:.3} at {}", expected.len(), worst.0, worst.1))
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
