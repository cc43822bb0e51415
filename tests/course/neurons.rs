//! Lesson 4.

use flowlens::{Change, Site, check};

use super::{best, dot, length, not_yet, numbers, prob, right, row, run, smollm, tiny};

fn silu(x: f64) -> f64 {
    x / (1.0 + (-x).exp())
}

#[test]
fn an_activation_by_hand() {
    let trace = run();
    let vectors = trace.model().neurons(1).unwrap();
    let (gates, neuron, position) = (vectors.gate.unwrap(), 17, 4);
    let along =
        |site: Site, rows: &flowlens::Array| dot(&row(&trace, site, position), &numbers(&rows.row(neuron).unwrap()));
    let (gate, up) = (along(Site::MlpNorm(1), &gates), along(Site::MlpNorm(1), &vectors.up));
    let check = |answer: f64| check::activation_by_hand(answer, (1, neuron), position, &trace);
    right(check(silu(gate) * up));
    right(check::activation_by_hand((silu(gate) * up) as f32, (1, neuron), position, &trace));
    not_yet(check(0.0), "Two inner products");
    not_yet(check(gate * up), "through the activation function first");
    not_yet(check(silu(gate)), "the gate, opened");
    not_yet(check(gate), "before its activation function");
    not_yet(check(up), "up product alone");
    not_yet(check(gate * silu(up)), "The other one");
    not_yet(check(f64::from(trace.get(Site::Neurons(1)).unwrap().get(&[2, neuron]).unwrap())), "another position");
    let (gate, up) = (along(Site::ResidMid(1), &gates), along(Site::ResidMid(1), &vectors.up));
    not_yet(check(silu(gate) * up), "through its norm");
    not_yet(check(f64::NAN), "not a number");
    not_yet(check::activation_by_hand(1.0, (1, 96), position, &trace), "no neuron 96");
    not_yet(check::activation_by_hand(1.0, (1, 0), 99, &trace), "no position 99");
    assert!(check::activation_by_hand(1.0, (3, 0), 0, &trace).is_err());
}

#[test]
fn a_neuron_without_a_gate() {
    let trace = tiny("gpt2").run(" she sells").unwrap();
    let truth = f64::from(trace.get(Site::Neurons(0)).unwrap().get(&[1, 3]).unwrap());
    let before = f64::from(trace.get(Site::MlpPre(0)).unwrap().get(&[1, 3]).unwrap());
    right(check::activation_by_hand(truth, (0, 3), 1, &trace));
    not_yet(check::activation_by_hand(before, (0, 3), 1, &trace), "up product alone");
    assert!(!check::activation_by_hand(truth + 1.0, (0, 3), 1, &trace).unwrap().is_right());
}

#[test]
fn the_neuron_that_adds_most() {
    let trace = run();
    let (layer, mut hints) = (2, 0);
    let down = trace.model().neurons(layer).unwrap().down;
    let lengths: Vec<f64> = (0..96).map(|neuron| length(&numbers(&down.row(neuron).unwrap()))).collect();
    for position in 0..trace.len() {
        let active: Vec<f64> = row(&trace, Site::Neurons(layer), position).iter().map(|x| x.abs()).collect();
        let added = |position: usize| {
            let active = row(&trace, Site::Neurons(layer), position);
            best(active.iter().zip(&lengths).map(|(active, length)| active.abs() * length))
        };
        let truth = added(position);
        let check = |neuron| check::neuron_that_adds_most(neuron, layer, position, &trace);
        right(check(truth));
        let most_active = best(active.iter().copied());
        if most_active != truth {
            hints += 1;
            not_yet(check(most_active), "most active one");
        }
        let elsewhere = (0..trace.len()).map(added).find(|&neuron| neuron != truth && neuron != most_active);
        if let Some(neuron) = elsewhere {
            hints += 1;
            not_yet(check(neuron), "another position");
        }
        let least = best(active.iter().zip(&lengths).map(|(active, length)| -active * length));
        assert!(!check(least).unwrap().is_right());
        not_yet(check(96), "no neuron 96");
    }
    assert!(hints > 0);
}

#[test]
fn the_effect_of_a_neuron() {
    let trace = run();
    let id = trace.next_tokens(1).unwrap()[0].id;
    let (before, text) = (prob(&trace, id), trace.prompt().unwrap());
    let after =
        |neuron: usize| prob(&trace.model().watch(text).change(Change::zero_neuron(2, neuron)).run().unwrap(), id);
    let neuron = best((0..96).map(|neuron| (after(neuron) - before).abs()));
    let truth = after(neuron) - before;
    let check = |answer: f64| check::effect_of_neuron(answer, (2, neuron), &trace);
    right(check(truth));
    not_yet(check(-truth), "which sign");
    not_yet(check(100.0 * truth), "in percent");
    not_yet(check(after(neuron)), "probability without it");
    not_yet(check(0.0), "neuron silenced");
    not_yet(check(f64::NAN), "not a number");
    let direct = trace.logit_attribution(id, 5).unwrap();
    assert!(direct.by_neuron().is_ok());
    not_yet(check::effect_of_neuron(0.1, (2, 96), &trace), "no neuron 96");
    let changed = trace.model().watch(text).change(Change::zero_head(0, 0)).run().unwrap();
    assert!(check::effect_of_neuron(0.1, (2, 0), &changed).unwrap_err().to_string().contains("changed by hand"));
}

#[test]
#[ignore = "needs the starter models"]
fn solutions_of_the_lesson() {
    let model = smollm();
    let trace = model.run("The capital of Japan is the city of").unwrap();
    let vectors = model.neurons(23).unwrap();
    let input = row(&trace, Site::MlpNorm(23), 7);
    let along = |rows: &flowlens::Array| dot(&input, &numbers(&rows.row(420).unwrap()));
    let (gate, up) = (along(vectors.gate.as_ref().unwrap()), along(&vectors.up));
    let check = |answer: f64| check::activation_by_hand(answer, (23, 420), 7, &trace);
    right(check(silu(gate) * up));
    not_yet(check(gate * up), "through the activation function first");
    not_yet(check(up), "up product alone");
    not_yet(check(0.0), "Two inner products");
    right(check::neuron_that_adds_most(258, 28, 7, &trace));
    not_yet(check::neuron_that_adds_most(1095, 28, 7, &trace), "most active one");
    not_yet(check::neuron_that_adds_most(0, 28, 7, &trace), "adds a longer one");
    not_yet(check::neuron_that_adds_most(1536, 28, 7, &trace), "no neuron");
    let tokyo = trace.next_tokens(1).unwrap()[0].id;
    let silent = model.watch("The capital of Japan is the city of").change(Change::zero_neuron(28, 258)).run().unwrap();
    let change = prob(&silent, tokyo) - prob(&trace, tokyo);
    let check = |answer: f64| check::effect_of_neuron(answer, (28, 258), &trace);
    right(check(change));
    not_yet(check(-change), "which sign");
    not_yet(check(100.0 * change), "in percent");
    not_yet(check(0.0), "neuron silenced");
}
