use std::path::Path;

use super::*;
use crate::model::Model;

fn model(name: &str) -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(name);
    Model::load(folder.to_str().unwrap()).unwrap()
}

fn tensor(numbers: &[f32], shape: &[i64]) -> Tensor {
    Tensor::from_slice(numbers).reshape(shape)
}

#[test]
fn a_bias_takes_its_shortest_form() {
    let by_distance = tensor(&[3., 4., 5., 2., 3., 4.], &[1, 2, 3]);
    let found = Bias::of(&by_distance).unwrap();
    assert_eq!(found.form, Form::Distance);
    assert_eq!(Vec::<f32>::try_from(found.values.get(0)).unwrap(), [2., 3., 4., 5.]);
    // A padded position at the front: the places of the others count on from it.
    let by_place = tensor(&[0., 0., 1., 0., 0., 1., -1., -1., 0.], &[1, 3, 3]);
    let found = Bias::of(&by_place).unwrap();
    assert_eq!(found.form, Form::Place);
    assert_eq!(Vec::<f32>::try_from(found.values.get(0)).unwrap(), [0., 0., 1.]);
    let none = tensor(&[0., 1., 1., 1.], &[1, 2, 2]);
    assert_eq!(Bias::of(&none).unwrap().form, Form::Full);
    for full in [by_distance, by_place, none] {
        let apart = (Bias::of(&full).unwrap().of_head(0).unwrap() - full.get(0)).abs().max();
        assert_eq!(apart.double_value(&[]), 0.0);
    }
}

#[test]
fn heads_of_a_group_share_a_key_head() {
    let trace = model("llama_gqa").run([5, 17, 3, 29]).unwrap();
    let chosen = trace.neuron_view().layers([1]).heads([5, 2, 3]).chosen().unwrap();
    let neurons = Neurons::of(&trace, &chosen.blocks[0], &chosen.blocks[0].layers[0]).unwrap();
    let serves = 6 / model("llama_gqa").architecture().main.blocks[1].attention.kv_heads;
    let read: Vec<usize> = neurons.key_of.iter().map(|&place| neurons.key_heads[place]).collect();
    assert_eq!(read, [5 / serves, 2 / serves, 3 / serves]);
    assert_eq!(neurons.key.size()[0], neurons.key_heads.len() as i64);
    assert!(neurons.error < 1e-6, "{}", neurons.error);
}

#[test]
fn says_which_sites_are_missing() {
    let bloom = model("bloom");
    let patterns = (0..bloom.layers()).map(Site::Pattern);
    let bare = bloom.watch([5, 17, 3]).keep(patterns.clone()).run().unwrap();
    let problem = bare.neuron_view().chosen().unwrap_err().to_string();
    assert!(
        problem.contains("no Site::Query(0), Site::Key(0), Site::Value(0), Site::PositionBias(0); add them"),
        "{problem}"
    );
    // A layer that was kept whole is there; another one that is named is an error.
    let sites = [Site::Query(1), Site::Key(1), Site::Value(1), Site::PositionBias(1)];
    let one = bloom.watch([5, 17, 3]).keep(patterns.chain(sites)).run().unwrap();
    let chosen = one.neuron_view().chosen().unwrap();
    assert_eq!(chosen.blocks[0].layers(), [1]);
    let other = one.neuron_view().layers([0]).chosen().unwrap();
    let problem = Neurons::of(&one, &other.blocks[0], &other.blocks[0].layers[0]).err().unwrap().to_string();
    assert!(problem.contains("Site::Query(0)"), "{problem}");
}
