//! Lesson 5.

use flowlens::{Change, Site, Trace, check};

use super::{best, length, not_yet, numbers, right, row, run, smollm};

/// Shares of the answer's logit by layer (attention, MLP), and by layer and head, from a lens whose scale is held fixed.
fn shares(trace: &Trace) -> (Vec<(f64, f64)>, Vec<Vec<f64>>) {
    let (model, last) = (trace.model(), trace.len() - 1);
    let answer = trace.next_tokens(1).unwrap()[0].id;
    let end = trace.get(Site::ResidPost(model.layers() - 1)).unwrap().row(last).unwrap();
    let lens = model.lens().unwrap().frozen(&end).unwrap().targets([answer]);
    let of = |array: flowlens::Array| f64::from(lens.read(&array).unwrap()[0].targets[0].logit);
    let site = |site: Site| of(trace.get(site).unwrap().row(last).unwrap());
    let layers = (0..model.layers()).map(|layer| (site(Site::AttnOut(layer)), site(Site::MlpOut(layer)))).collect();
    let heads = (0..model.layers()).map(|layer| {
        let written = trace.get(Site::HeadOutput(layer)).unwrap();
        (0..written.shape()[0]).map(|head| of(written.row(head).unwrap().row(last).unwrap())).collect()
    });
    (layers, heads.collect())
}

#[test]
fn the_share_of_a_layer() {
    let trace = run();
    let (layers, _) = shares(&trace);
    let check = |answer: f64, layer: usize| check::share_of_layer(answer, layer, &trace);
    for (layer, &(attention, mlp)) in layers.iter().enumerate() {
        right(check(attention + mlp, layer));
        not_yet(check(0.0, layer), "added up");
    }
    let layer = best(layers.iter().map(|(a, b)| a.abs().min(b.abs())));
    let (attention, mlp) = layers[layer];
    not_yet(check(attention, layer), "attention's share");
    not_yet(check(mlp, layer), "MLP's share");
    not_yet(check(-attention - mlp, layer), "not its sign");
    not_yet(check(f64::NAN, layer), "not a number");
    not_yet(check(1.0, 3), "no layer 3");
    let changed = trace.model().watch(" she sells").change(Change::zero_head(0, 0)).run().unwrap();
    // Of a changed run as well: what adds up there.
    let (layers, _) = shares(&changed);
    right(check::share_of_layer(layers[1].0 + layers[1].1, 1, &changed));
}

#[test]
fn the_head_that_says_most() {
    let trace = run();
    let (_, heads) = shares(&trace);
    let place = |index: usize| (index / 6, index % 6);
    let truth = place(best(heads.concat()));
    let check = |answer| check::head_that_says_most(answer, &trace);
    right(check(truth));
    if truth.0 != truth.1 && truth.1 < 3 {
        not_yet(check((truth.1, truth.0)), "The layer first");
    }
    let worst = place(best(heads.concat().iter().map(|share| -share)));
    assert!(!check(worst).unwrap().is_right());
    let longest = place(best((0..18).map(|index| {
        let written = trace.get(Site::HeadOutput(index / 6)).unwrap().row(index % 6).unwrap();
        length(&numbers(&written.row(trace.len() - 1).unwrap()))
    })));
    if longest != truth {
        not_yet(check(longest), "longest vector");
    }
    not_yet(check((3, 0)), "no layer 3");
    not_yet(check((0, 6)), "no head 6");
    assert_eq!(row(&trace, Site::AttnOut(0), 0).len(), 48);
}

#[test]
fn one_head_that_turns_the_answer() {
    let trace = run();
    let (model, text) = (trace.model(), trace.prompt().unwrap());
    let answer = trace.next_tokens(1).unwrap()[0].id;
    let (mut turned, mut kept) = (None, None);
    for index in 0..18 {
        for factor in [0.0, 8.0, -8.0, 40.0, -40.0] {
            let change = Change::scale(Site::HeadMix(index / 6), factor).head(index % 6);
            let changed = model.watch(text).change(change).run().unwrap();
            let same = changed.next_tokens(1).unwrap()[0].id == answer;
            if same { kept = Some(changed) } else { turned = Some(changed) }
        }
    }
    right(check::one_head_turns_the_answer(&turned.unwrap(), &trace));
    not_yet(check::one_head_turns_the_answer(&kept.unwrap(), &trace), "The answer is still");
    not_yet(check::one_head_turns_the_answer(&trace, &trace), "Nothing was changed");
    let other = model.watch(" she sells").change(Change::zero_head(0, 0)).run().unwrap();
    not_yet(check::one_head_turns_the_answer(&other, &trace), "another text");
    let all = model.watch(text).change(Change::zero(Site::HeadMix(0))).run().unwrap();
    not_yet(check::one_head_turns_the_answer(&all, &trace), "more than a head");
    let two = model.watch(text).change(Change::zero_head(0, 0)).change(Change::zero_head(0, 1)).run().unwrap();
    not_yet(check::one_head_turns_the_answer(&two, &trace), "2 changes");
    assert!(check::one_head_turns_the_answer(&trace, &two).unwrap_err().to_string().contains("changed by hand"));
}

#[test]
#[ignore = "needs the starter models"]
fn solutions_of_the_lesson() {
    let model = smollm();
    let text = "The capital of Japan is the city of";
    let trace = model.run(text).unwrap();
    // As the table of section 5 has them, with two digits.
    right(check::share_of_layer(0.37 + 5.07, 28, &trace));
    not_yet(check::share_of_layer(5.07, 28, &trace), "MLP's share");
    not_yet(check::share_of_layer(0.37, 28, &trace), "attention's share");
    not_yet(check::share_of_layer(9.60, 28, &trace), "all layers so far");
    right(check::head_that_says_most((29, 1), &trace));
    not_yet(check::head_that_says_most((23, 4), &trace), "another head puts more");
    not_yet(check::head_that_says_most((1, 29), &trace), "The layer first");
    not_yet(check::head_that_says_most((0, 0), &trace), "");
    let france = model.run("The capital of France is the city of").unwrap();
    let patched = model.watch(text).change(Change::patch_head(23, 4, &france).unwrap()).run().unwrap();
    right(check::one_head_turns_the_answer(&patched, &trace));
    let silent = model.watch(text).change(Change::zero_head(23, 4)).run().unwrap();
    not_yet(check::one_head_turns_the_answer(&silent, &trace), "The answer is still");
    not_yet(check::one_head_turns_the_answer(&france, &trace), "another text");
    not_yet(check::one_head_turns_the_answer(&trace, &trace), "Nothing was changed");
}
