//! Trajectories against numpy, and what each family gives of them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use flowlens::trajectory::{Kernel, KernelKind, PositionKernels, ReadAs};
use flowlens::{Change, Input, Model, Site, Trace};
use safetensors::{Dtype, SafeTensors};

fn parity(name: &str) -> PathBuf {
    Path::new("tests/fixtures/parity").join(name)
}

/// Numbers of either type, with the shape.
fn numbers(file: &SafeTensors, name: &str) -> (Vec<usize>, Vec<f64>) {
    let view = file.tensor(name).unwrap_or_else(|_| panic!("no array {name}"));
    let data = view.data();
    let numbers = match view.dtype() {
        Dtype::F32 => data.chunks(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect(),
        Dtype::I64 => data.chunks(8).map(|b| i64::from_le_bytes(b.try_into().unwrap()) as f64).collect(),
        other => panic!("{name} is {other:?}"),
    };
    (view.shape().to_vec(), numbers)
}

/// Ids of nearest words may change places where their scores are equal within rounding.
fn compare_ids(name: &str, scores: &[f64], ours: &[f64], theirs: &[f64]) {
    for (place, (a, b)) in ours.iter().zip(theirs).enumerate() {
        let near =
            |other: usize| scores.get(other).is_some_and(|s| (s - scores[place]).abs() < 1e-4 * s.abs().max(1.0));
        let tied = near(place + 1) || place.checked_sub(1).is_some_and(near) || place % 5 == 4;
        assert!(a == b || tied, "{name} at {place}: {a}, not {b}");
    }
}

#[test]
fn every_array_is_what_numpy_gives() {
    let folder = Path::new("tests/fixtures/trajectories");
    let mut compared = 0;
    for entry in std::fs::read_dir(folder).unwrap() {
        let file = entry.unwrap().path();
        let model = file.file_stem().unwrap().to_str().unwrap().to_owned();
        let input = Input::from_file(parity(&model).join("expected.safetensors")).unwrap();
        let written = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("trajectories-{model}.safetensors"));
        Model::load(parity(&model).to_str().unwrap()).unwrap().run(input).unwrap().save_trajectories(&written).unwrap();
        let (ours, theirs) = (std::fs::read(written).unwrap(), std::fs::read(&file).unwrap());
        let (ours, theirs) = (SafeTensors::deserialize(&ours).unwrap(), SafeTensors::deserialize(&theirs).unwrap());
        for name in theirs.names() {
            let ((shape, found), (wanted_shape, wanted)) = (numbers(&ours, name), numbers(&theirs, name));
            assert_eq!(shape, wanted_shape, "{model} {name}");
            if name.ends_with("_ids") {
                let scores = numbers(&theirs, &name.replace("_ids", "_ip")).1;
                compare_ids(&format!("{model} {name}"), &scores, &found, &wanted);
                continue;
            }
            for (place, (a, b)) in found.iter().zip(&wanted).enumerate() {
                let same = (a - b).abs() <= 1e-4 + 1e-4 * b.abs() || (a.is_nan() && b.is_nan());
                assert!(same, "{model} {name} at {place}: {a}, not {b}");
            }
            compared += 1;
        }
    }
    assert!(compared > 300, "{compared} arrays");
}

/// A fixture's model and a run of its input.
fn run_of(folder: &Path) -> Option<(Model, Trace)> {
    let model = Model::load(folder.to_str()?).ok()?;
    let trace = model.run(Input::from_file(folder.join("expected.safetensors")).unwrap()).unwrap();
    Some((model, trace))
}

fn folders() -> Vec<PathBuf> {
    let entries = std::fs::read_dir("tests/fixtures/parity").unwrap();
    let mut folders: Vec<PathBuf> = entries.map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

/// Content and bias sum to the score, and what the weights say of positions is what the run added.
fn check_maps(name: &str, trace: &Trace, kernels: Option<&PositionKernels>) {
    for block in trace.attention_maps().build().unwrap().blocks {
        let (t, s) = (block.queries.len(), block.keys.len());
        for layer in &block.layers {
            assert_eq!(layer.visible.len(), t * s, "{name}");
            let Some(bias) = &layer.bias else {
                assert_eq!(layer.content, layer.scores, "{name}");
                continue;
            };
            let parts = layer.content.data().iter().zip(bias.data()).zip(layer.scores.data());
            assert!(parts.clone().all(|((c, b), s)| (c + b - s).abs() <= 1e-4 * s.abs().max(1.0)), "{name}");
            let own = |kernel: &&Kernel| {
                kernel.block == block.name
                    && kernel.layers.contains(&layer.number)
                    && kernel.kind != KernelKind::Distances
            };
            let Some(kernel) = kernels.and_then(|kernels| kernels.kernels.iter().find(own)) else { continue };
            for (place, bias) in bias.data().iter().enumerate() {
                let (head, query, key) = (place / (t * s), place / s % t, place % s);
                if !layer.visible[query * s + key] {
                    continue;
                }
                let offset = key as i64 - query as i64;
                let at = kernel.offsets.iter().position(|&own| own == offset).unwrap();
                let wanted = kernel.row(head)[at];
                // Falcon rounds slope times place to bfloat16, so that its differences stray from slope times distance.
                let off = if name.starts_with("falcon") { 1.0 / 16.0 } else { 1e-4 };
                assert!((wanted - bias).abs() < off * wanted.abs().max(1.0), "{name} {offset}: {bias}, not {wanted}");
            }
        }
    }
}

/// Every position is like itself, and what sublayers have of a move sums to all of it.
fn check_walk(name: &str, trace: &Trace) -> &'static str {
    let maps = trace.similarity_maps().build().unwrap();
    for map in &maps.maps {
        for row in 0..maps.rows.len() {
            let own = map.values.get(&[row, row]).unwrap();
            assert!((own - 1.0).abs() < 1e-5 || own == 0.0, "{name} {}: {own}", map.name);
        }
    }
    let walk = trace.walk().build().unwrap();
    let Some(first) = walk.shares.first() else { return "yes, without shares" };
    for (place, length) in walk.step_length.data().iter().enumerate().take(first.values.data().len()) {
        let sum: f32 = walk.shares.iter().map(|share| share.values.data()[place]).sum();
        assert!((sum - 1.0).abs() < 1e-3 || *length < 1e-6, "{name}: shares sum to {sum}");
    }
    "yes"
}

/// What every family gives, on all its fixtures; docs/trajectories.md shows it. With FLOWLENS_UPDATE_DOCS set the table
/// is written anew.
#[test]
fn the_documentation_says_what_each_family_gives() {
    let mut found: BTreeMap<&str, [BTreeSet<String>; 5]> = BTreeMap::new();
    for folder in folders() {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let Some((model, trace)) = run_of(&folder) else { panic!("{name} does not load") };
        let row = found.entry(model.architecture().family).or_default();
        let padded = trace.attention_maps().build().unwrap().blocks.iter().any(|block| {
            let first = &block.layers[0].visible;
            block.name != "cross"
                && !first.is_empty()
                && (0..block.keys.len()).any(|key| !first[key * block.keys.len() + key])
        });
        let exact = model.position_kernels();
        // Slopes count real tokens, kernels places.
        check_maps(&name, &trace, exact.as_ref().ok().filter(|_| !padded));
        let kernels = trace.position_kernels().unwrap().kernels;
        row[0].insert("yes".to_owned());
        row[1].extend(
            kernels.iter().map(|kernel| kernel.kind.to_string()).filter(|kind| kind != &KernelKind::Mean.to_string()),
        );
        if let Err(error) = exact {
            assert!(error.to_string().contains("position kernels do not"), "{name}: {error}");
        }
        row[2].insert(check_walk(&name, &trace).to_owned());
        row[3].insert(match trace.decoding() {
            Ok(_) => "yes".to_owned(),
            Err(error) if error.to_string().contains("reads both ways") => "no: reads both ways".to_owned(),
            Err(_) => "no: no head in the file".to_owned(),
        });
        row[4].insert(trace.attribution_maps().map_or_else(|error| error.to_string(), |_| "yes".to_owned()));
    }
    let mut table = String::from(
        "| family | attention maps | position kernels beside the mean score | similarity maps, walk | decoding | attribution |\n|---|---|---|---|---|---|\n",
    );
    for family in flowlens::model::families() {
        let cells = found.get(family.name).unwrap_or_else(|| panic!("no fixture of {}", family.name));
        let cells: Vec<String> = cells
            .iter()
            .map(|cell| match cell.is_empty() {
                true => "none: nothing tells the distance".to_owned(),
                false => cell.iter().cloned().collect::<Vec<_>>().join("; "),
            })
            .collect();
        table.push_str(&format!("| {} | {} |\n", family.name, cells.join(" | ")));
    }
    let page = std::fs::read_to_string("docs/trajectories.md").unwrap();
    let (before, rest) = page.split_once("<!-- families -->\n").unwrap();
    let (_, after) = rest.split_once("<!-- end -->").unwrap();
    let wanted = format!("{before}<!-- families -->\n{table}<!-- end -->{after}");
    if std::env::var_os("FLOWLENS_UPDATE_DOCS").is_some() {
        std::fs::write("docs/trajectories.md", wanted).unwrap();
    } else {
        assert_eq!(page, wanted, "FLOWLENS_UPDATE_DOCS=1 cargo test --test trajectories mends docs/trajectories.md");
    }
}

/// With a stream of zeros only distance is left in what XLNet and DeBERTa add to the scores.
#[test]
fn kernels_of_distances_are_what_is_left_without_content() {
    let mut checked = 0;
    for name in [
        "xlnet",
        "xlnet_clamped",
        "deberta_both",
        "deberta_c2p",
        "deberta_v2",
        "deberta_v2_p2c",
        "deberta_v2_odd_buckets",
    ] {
        let model = Model::load(parity(name).to_str().unwrap()).unwrap();
        let ids: Vec<i64> = (3..12).collect();
        let site = Site::PositionBias(0);
        let trace = model.watch(ids).change(Change::zero(Site::ResidPre(0))).keep([site]).run().unwrap();
        let bias = trace.get(site).unwrap();
        let kernels = model.position_kernels_to(8).unwrap();
        let kernel = kernels.kernels.iter().find(|kernel| kernel.layers.contains(&0)).unwrap();
        assert_eq!(kernel.kind, KernelKind::Distances);
        let [heads, t, s] = bias.shape() else { panic!("{:?}", bias.shape()) };
        for (head, query, key) in (0..*heads).flat_map(|h| (0..*t).flat_map(move |q| (0..*s).map(move |k| (h, q, k)))) {
            let at = kernel.offsets.iter().position(|&own| own == key as i64 - query as i64).unwrap();
            let (found, wanted) = (bias.get(&[head, query, key]).unwrap(), kernel.row(head)[at]);
            assert!((found - wanted).abs() < 1e-4 * wanted.abs().max(1.0), "{name}: {found}, not {wanted}");
            checked += 1;
        }
    }
    assert!(checked > 1_000);
}

/// The last stream read through the final norm, and what left that norm, are the same words.
#[test]
fn what_left_the_final_norm_is_not_normed_again() {
    for name in ["llama_gqa", "gpt2", "t5_gated"] {
        let model = Model::load(parity(name).to_str().unwrap()).unwrap();
        let maps =
            model.run(vec![5, 6, 7, 1]).unwrap().similarity_maps().nearest(3, ReadAs::FinalNorm).build().unwrap();
        let [.., stream, normed] = &maps.maps[..] else { panic!("{maps}") };
        assert_eq!(normed.name, "final norm");
        for (a, b) in stream.nearest.iter().flatten().zip(normed.nearest.iter().flatten()) {
            assert!(a.id == b.id && (a.score - b.score).abs() < 1e-4 * a.score.abs().max(1.0), "{name}: {a:?}, {b:?}");
        }
    }
}
