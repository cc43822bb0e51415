//! Lesson 8.

use flowlens::experiment::{Ablation, Effects, Pair, Pairs};
use flowlens::{Change, Model, Site, Trace, check};

use crate::{not_yet, refused, right, tiny};

const CLEAN: [i64; 6] = [3, 14, 15, 92, 65, 35];
const CORRUPTED: [i64; 6] = [3, 27, 15, 92, 65, 35];

fn pairs(model: &Model) -> Pairs {
    model.pairs([Pair::new(CLEAN, CORRUPTED).right(89u32).wrong(79u32)]).unwrap()
}

fn difference(run: &Trace) -> f32 {
    let logits = run.get(Site::Logits).unwrap().row(run.len() - 1).unwrap();
    logits.data()[89] - logits.data()[79]
}

/// The head with the largest number, among layers 1 and 2 of six heads.
fn best(number: impl Fn(usize, usize) -> f32) -> (usize, usize) {
    let heads = (1..3).flat_map(|layer| (0..6).map(move |head| (layer, head)));
    heads.max_by(|a, b| number(a.0, a.1).total_cmp(&number(b.0, b.1))).unwrap()
}

#[test]
fn the_head_that_carries() {
    let model = tiny("llama_gqa");
    let pairs = pairs(&model);
    let map = model.sweep(&pairs).patch(Site::HeadMix).layers(1..3).run().unwrap();
    let (clean, corrupted) = (model.run(CLEAN).unwrap(), model.run(CORRUPTED).unwrap());
    let span = difference(&clean) - difference(&corrupted);
    let (layer, head) = best(|layer, head| {
        let patch = Change::patch_head(layer, head, &clean).unwrap();
        (difference(&model.watch(CORRUPTED).change(patch).run().unwrap()) - difference(&corrupted)) / span
    });
    right(check::carrying_head((layer, head), &map));
    for layer_of in 1..3 {
        for head_of in (0..6).filter(|&head_of| (layer_of, head_of) != (layer, head)) {
            not_yet(check::carrying_head((layer_of, head_of), &map), "");
        }
    }
    if layer != head {
        not_yet(check::carrying_head((head, layer), &map), "");
    }
    not_yet(check::carrying_head((layer - 1, head), &map), "row");
    not_yet(check::carrying_head((9, 1), &map), "not on this map");
    let by_position = model.sweep(&pairs).patch(Site::ResidPre).run().unwrap();
    refused(check::carrying_head((1, 1), &by_position), "by layer and head");
    let ablated = model.sweep(&pairs).ablate(Site::HeadMix, Ablation::Zero).run().unwrap();
    refused(check::carrying_head((1, 1), &ablated), "of patches");
}

/// A map whose numbers are given, of layers 2 and 3.
fn given(values: &[f32]) -> Effects {
    let model = tiny("llama_gqa");
    let mut map = model.sweep(&pairs(&model)).patch(Site::HeadMix).layers(1..3).run().unwrap();
    map.axes[0].labels = ["2", "3"].map(str::to_owned).to_vec();
    (map.clean, map.corrupted) = (vec![1.0], vec![0.0]);
    map.values = flowlens::Array::new(&[1, 2, 6], values.to_vec()).unwrap();
    map
}

#[test]
fn what_students_type_for_a_head() {
    let map = given(&[0.0, 0.1, 0.0, 0.0, 0.0, 0.0, -0.9, 0.0, 0.7, 0.0, 0.0, 0.0]);
    right(check::carrying_head((3, 2), &map));
    not_yet(check::carrying_head((2, 3), &map), "layer comes first");
    not_yet(check::carrying_head((1, 2), &map), "begins at layer 2");
    not_yet(check::carrying_head((3, 0), &map), "speaks against");
    not_yet(check::carrying_head((2, 1), &map), "+0.10");
    not_yet(check::carrying_head((3, 5), &map), "next to none");
}

#[test]
fn the_head_that_is_missed() {
    let model = tiny("llama_gqa");
    let pairs = pairs(&model);
    let map = model.sweep(&pairs).ablate(Site::HeadMix, Ablation::Zero).layers(1..3).run().unwrap();
    let without = |layer, head| difference(&model.watch(CLEAN).change(Change::zero_head(layer, head)).run().unwrap());
    let (layer, head) = best(|layer, head| -without(layer, head));
    let helped = best(without);
    right(check::costliest_head((layer, head), &map));
    not_yet(check::costliest_head(helped, &map), "grows");
    not_yet(check::costliest_head((layer - 1, head), &map), "row");
    not_yet(check::costliest_head((5, 0), &map), "not on this map");
    let patched = model.sweep(&pairs).patch(Site::HeadMix).run().unwrap();
    refused(check::costliest_head((1, 1), &patched), "of ablations");
}

#[test]
fn where_induction_looks() {
    let trace = tiny("llama_gqa").run([5i64, 6, 7, 8, 5, 6, 7]).unwrap();
    right(check::induction_target(2, 5, &trace));
    not_yet(check::induction_target(1, 5, &trace), "*after*");
    not_yet(check::induction_target(0, 5, &trace), "came before");
    not_yet(check::induction_target(5, 5, &trace), "query itself");
    not_yet(check::induction_target(6, 5, &trace), "after the query");
    not_yet(check::induction_target(4, 5, &trace), "earlier");
    not_yet(check::induction_target(0, 7, &trace), "There is no position 7");
    refused(check::induction_target(0, 3, &trace), "first time");
}

#[test]
fn steering_that_is_cheap() {
    let model = tiny("llama_gqa");
    let steering = model.steering(&pairs(&model)).unwrap();
    let plain = model.run([100i64, 4, 8, 60, 33, 12]).unwrap();
    let nats = |run: &Trace| {
        let nats: Vec<f64> = run.decoding().unwrap().probability.iter().map(|&p| -f64::from(p).ln()).collect();
        nats.iter().sum::<f64>() / nats.len() as f64
    };
    let clean = difference(&model.run(CLEAN).unwrap());
    let apart = clean - difference(&model.run(CORRUPTED).unwrap());
    let mut seen = [0; 4];
    for layer in 1..3 {
        for strength in [-8.0, -1.0, 0.01, 0.05, 0.1, 0.3, 0.5, 1.0, 2.0, 8.0] {
            let change = || steering.layer(layer).unwrap() * strength;
            let steered = difference(&model.watch(CLEAN).change(change()).run().unwrap());
            let effect = (steered - clean) / apart;
            let cost = nats(&model.watch([100i64, 4, 8, 60, 33, 12]).change(change()).run().unwrap()) - nats(&plain);
            let verdict = check::cheap_steering((layer, strength), &steering, &plain);
            let kind = match () {
                () if effect < 0.0 => 0,
                () if effect < 0.25 => 1,
                () if cost > 0.1 => 2,
                () => 3,
            };
            seen[kind] += 1;
            match kind {
                0 => not_yet(verdict, "the other way"),
                1 => not_yet(verdict, "Too weak"),
                2 => not_yet(verdict, "Strong enough, but"),
                _ => right(verdict),
            }
        }
    }
    assert!(seen.iter().all(|&count| count > 0), "each answer is met: {seen:?}");
    not_yet(check::cheap_steering((1, f64::NAN), &steering, &plain), "A strength is a number");
    refused(check::cheap_steering((9, 1.0), &steering, &plain), "no layer 9");
}

#[test]
#[ignore = "needs the starter models"]
fn the_solutions_of_the_lesson() {
    let model = Model::load("smollm2-135m").unwrap();
    let opposites = model
        .pairs([
            ("The opposite of hot is", "The opposite of big is", " cold", " small"),
            ("The opposite of big is", "The opposite of hot is", " small", " cold"),
        ])
        .unwrap();
    let carriers = model.sweep(&opposites).patch(Site::HeadMix).layers(16..30).run().unwrap();
    right(check::carrying_head((22, 8), &carriers));
    not_yet(check::carrying_head((6, 8), &carriers), "begins at layer 16");
    not_yet(check::carrying_head((23, 4), &carriers), "");
    let silenced = model.sweep(&opposites).ablate(Site::HeadMix, Ablation::Zero).layers(8..30).run().unwrap();
    right(check::costliest_head((10, 6), &silenced));
    not_yet(check::costliest_head((22, 8), &silenced), "Another costs more");
    let listed = model.run(" apple river seven green stone paper apple river seven green stone paper").unwrap();
    right(check::induction_target(3, 8, &listed));
    not_yet(check::induction_target(2, 8, &listed), "*after*");
    let pairs = model
        .pairs([
            ("I loved this film. It was", "I hated this film. It was", " great", " terrible"),
            ("A wonderful day. It was", "A horrible day. It was", " great", " terrible"),
            ("The food is excellent. It was", "The food is awful. It was", " great", " terrible"),
            ("She is happy. It was", "She is angry. It was", " great", " terrible"),
        ])
        .unwrap();
    let steering = model.steering(&pairs).unwrap();
    let train = "The train leaves at nine in the morning and arrives at noon, and the next one leaves two hours later.";
    let plain = model.run(train).unwrap();
    right(check::cheap_steering((17, 2.0), &steering, &plain));
    not_yet(check::cheap_steering((29, 4.0), &steering, &plain), "Strong enough, but");
    not_yet(check::cheap_steering((2, 2.0), &steering, &plain), "Too weak");
}
