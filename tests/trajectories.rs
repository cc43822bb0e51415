//! Trajectories against numpy, and what each family gives of them.

use std::path::{Path, PathBuf};

use flowlens::{Input, Model};
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
        let near = |other: usize| scores.get(other).is_some_and(|s| (s - scores[place]).abs() < 1e-4 * s.abs().max(1.0));
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
