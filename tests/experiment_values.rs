//! Experiments against what Python `transformers` gives.
//!
//! A file of `tests/fixtures/experiments` holds pairs of prompts for a tiny checkpoint of `tests/fixtures/parity` and the
//! arrays of every experiment on them. `tools/make_experiment_fixtures.py` makes them and says what each array is.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use flowlens::experiment::{Ablation, Pairs, Sweep};
use flowlens::{Array, Input, Model, Site};
use safetensors::{Dtype, SafeTensors};

/// Of 1 + the largest value of an array.
const TOLERANCE: f64 = 1e-4;
/// Gradients run through more arithmetic.
const TOLERANCE_OF_GRADIENTS: f64 = 1e-3;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures")
}

/// A file's arrays by name; of token ids (N,T) or (N) the rows.
struct File {
    arrays: BTreeMap<String, Array>,
    ids: BTreeMap<String, Vec<Vec<i64>>>,
}

impl File {
    fn read(path: &Path) -> File {
        let bytes = std::fs::read(path).unwrap();
        let (mut arrays, mut ids) = (BTreeMap::new(), BTreeMap::new());
        for (name, view) in SafeTensors::deserialize(&bytes).unwrap().iter() {
            let (name, shape, data) = (name.to_owned(), view.shape(), view.data());
            if view.dtype() == Dtype::F32 {
                let data = data.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
                arrays.insert(name, Array::new(shape, data).unwrap());
            } else {
                let data: Vec<i64> = data.chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect();
                let width = shape.get(1).copied().unwrap_or(1);
                ids.insert(name, data.chunks_exact(width).map(<[i64]>::to_vec).collect());
            }
        }
        File { arrays, ids }
    }

    /// The first tokens of a clean prompt; of an encoder-decoder's decoder, with the whole source.
    fn clean(&self, pair: usize, count: usize) -> Input {
        let ids = Input::from(&self.ids["clean"][pair][..count]);
        match self.ids.get("source_clean") {
            Some(source) => Input::from(source[pair].clone()).target(ids),
            None => ids,
        }
    }

    fn length(&self) -> usize {
        self.ids["clean"][0].len()
    }
}

fn list(numbers: &[f32]) -> Array {
    Array::new(&[numbers.len()], numbers.to_vec()).unwrap()
}

fn site(name: &str) -> fn(usize) -> Site {
    match name {
        "resid_pre" => Site::ResidPre,
        "resid_mid" => Site::ResidMid,
        "attn_out" => Site::AttnOut,
        "mlp_out" => Site::MlpOut,
        "post" => Site::Neurons,
        "z" => Site::HeadMix,
        "q" => Site::Query,
        "k" => Site::Key,
        "v" => Site::Value,
        "pattern" => Site::Pattern,
        "encoder_resid_pre" => Site::EncoderResidPre,
        "cross_z" => Site::CrossHeadMix,
        "cross_q" => Site::CrossQuery,
        "cross_k" => Site::CrossKey,
        "cross_v" => Site::CrossValue,
        "cross_pattern" => Site::CrossPattern,
        other => panic!("there is no site {other}"),
    }
}

/// The sweep whose result has this name, if it is one's.
fn sweep(model: &Model, pairs: &Pairs, name: &str) -> Option<Sweep> {
    let sweep = model.sweep(pairs);
    match *name.split('.').collect::<Vec<&str>>() {
        ["patch", at] => Some(sweep.patch(site(at))),
        ["noising", at] => Some(sweep.patch(site(at)).noising()),
        ["ablate", "zero", at] => Some(sweep.ablate(site(at), Ablation::Zero)),
        ["ablate", "mean", at] => Some(sweep.ablate(site(at), Ablation::MeanByPosition)),
        _ => None,
    }
}

/// What the library gives under the names of a file's arrays.
fn found(model: &Model, pairs: &Pairs, file: &File) -> BTreeMap<String, Array> {
    let mut found = BTreeMap::new();
    for name in file.arrays.keys() {
        let Some(sweep) = sweep(model, pairs, name) else { continue };
        let effects = sweep.run().unwrap();
        assert!(effects.name == *name || name == "ablate.mean.z", "{name} is called {}", effects.name);
        found.insert("metric.clean".to_owned(), list(&effects.clean));
        found.insert("metric.corrupted".to_owned(), list(&effects.corrupted));
        found.insert(name.clone(), effects.values);
    }
    let estimates = model.attribution_patching(pairs).site(Site::ResidPre).and(Site::AttnOut).and(Site::MlpOut);
    let estimates = estimates.and(Site::HeadMix).run_all().unwrap();
    let paths = model.path_patching(pairs).run().unwrap();
    found.extend(estimates.into_iter().chain([paths]).map(|effects| (effects.name, effects.values)));
    let steered = model.steering(pairs).unwrap().sweep([2.0]).unwrap().values;
    found.insert("steer".to_owned(), Array::new(&steered.shape()[..2], steered.data().to_vec()).unwrap());
    if file.arrays.contains_key("attribute.edges") {
        found.insert("attribute.edges".to_owned(), model.attribution_patching(pairs).edges().unwrap().values);
    }
    if file.arrays.contains_key("direct.embed") {
        let direct = model.logit_attribution(pairs).unwrap();
        found.insert("direct.embed".to_owned(), list(&direct.embed));
        found.insert("direct_constant".to_owned(), list(&direct.constant));
        let parts = direct.sublayers.into_iter().chain(direct.heads);
        found.extend(parts.map(|(name, values)| (format!("direct.{name}"), values)));
    }
    let prefixes = [3, 6, file.length()].map(|count| file.clean(0, count));
    let rows: Vec<Vec<f32>> = model.run_all(prefixes).unwrap().iter().map(last_logits).collect();
    found.insert("batch.logits".to_owned(), Array::new(&[3, rows[0].len()], rows.concat()).unwrap());
    found
}

/// The logits at the last position.
fn last_logits(trace: &flowlens::Trace) -> Vec<f32> {
    trace.get(Site::Logits).unwrap().row(trace.len() - 1).unwrap().data().to_vec()
}

/// The largest difference, in tolerances.
fn distance(name: &str, found: &Array, wanted: &Array) -> f64 {
    assert_eq!(found.shape(), wanted.shape(), "{name}");
    let largest = wanted.data().iter().fold(0.0, |most: f64, value| most.max(f64::from(value.abs())));
    let tolerance = if name.starts_with("attribute.") { TOLERANCE_OF_GRADIENTS } else { TOLERANCE };
    let both = found.data().iter().zip(wanted.data()).filter(|(a, b)| !(a.is_nan() && b.is_nan()));
    // Where one alone is not a number they do not agree, and the largest of all would pass over it.
    let apart =
        both.map(|(a, b)| f64::from(a - b).abs()).map(|apart| if apart.is_nan() { f64::INFINITY } else { apart });
    apart.fold(0.0, f64::max) / (tolerance * (1.0 + largest))
}

fn generated(model: &Model, file: &File) -> Vec<Vec<i64>> {
    let Some(wanted) = file.ids.get("generate.ids") else { return Vec::new() };
    let continued = |pair: usize| {
        let run = model.generate(file.clean(pair, file.length())).max_tokens(wanted[pair].len()).run().unwrap();
        run.ids.into_iter().map(i64::from).collect()
    };
    (0..wanted.len()).map(continued).collect()
}

fn load(name: &str) -> Model {
    Model::load(fixtures().join("parity").join(name).to_str().unwrap()).unwrap()
}

/// Compares one model; the names of arrays that differ, and the worst difference in tolerances.
fn compare(path: &Path) -> (Vec<String>, f64) {
    let model = load(path.file_stem().unwrap().to_str().unwrap());
    let pairs = Pairs::read(&model, path).unwrap();
    let file = File::read(path);
    let found = found(&model, &pairs, &file);
    let (mut wrong, mut worst) = (Vec::new(), 0.0f64);
    for (name, wanted) in &file.arrays {
        let found = found.get(name).unwrap_or_else(|| panic!("{}: nothing gives {name}", path.display()));
        let distance = distance(name, found, wanted);
        if distance > 1.0 {
            wrong.push(format!("{}: {name} is {distance:.2} tolerances off", path.display()));
        }
        worst = worst.max(distance);
    }
    if file.ids.get("generate.ids").is_some_and(|wanted| *wanted != generated(&model, &file)) {
        wrong.push(format!("{}: generate.ids", path.display()));
    }
    (wrong, worst)
}

#[test]
fn every_experiment_gives_what_python_gives() {
    let entries = std::fs::read_dir(fixtures().join("experiments")).unwrap();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    paths.sort();
    assert!(paths.len() >= 36, "{} models", paths.len());
    let mut wrong = Vec::new();
    for path in paths {
        let (differ, worst) = compare(&path);
        println!("{:28} {worst:.3} of the tolerance", path.file_stem().unwrap().to_string_lossy());
        wrong.extend(differ);
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

/// What `flowlens sweep --all` writes.
#[test]
fn all_experiments_go_to_one_file() {
    for name in ["bart", "llama_gqa"] {
        let path = fixtures().join("experiments").join(format!("{name}.safetensors"));
        let (model, wanted) = (load(name), File::read(&path));
        let out = std::env::temp_dir().join(format!("flowlens-all-{name}-{}.safetensors", std::process::id()));
        Pairs::read(&model, &path).unwrap().save_experiments(&out).unwrap();
        let found = File::read(&out);
        std::fs::remove_file(&out).unwrap();
        assert_eq!(found.ids, wanted.ids, "{name}");
        // Experiments that it does not hold.
        let beside = ["noising", "path", "ablate.zero.post", "patch.resid_mid", "patch.cross_q", "patch.cross_k"];
        let beside = [&beside[..], &["patch.cross_v", "patch.cross_pattern"]].concat();
        let held = wanted.arrays.iter().filter(|(name, _)| !beside.iter().any(|other| name.starts_with(other)));
        let held: BTreeMap<&String, &Array> = held.collect();
        assert_eq!(found.arrays.keys().collect::<Vec<_>>(), held.keys().copied().collect::<Vec<_>>(), "{name}");
        for (array, wanted) in held {
            let distance = distance(array, &found.arrays[array], wanted);
            assert!(distance <= 1.0, "{name} {array}: {distance:.2} tolerances off");
        }
    }
}
