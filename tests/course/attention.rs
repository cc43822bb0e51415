//! Lesson 3.

use flowlens::attention::Measure;
use flowlens::{Change, Site, check};

use super::{best, dot, not_yet, numbers, prob, right, run, smollm, tiny};

#[test]
fn the_head_with_most() {
    let trace = run();
    let (count, mut shares) = (trace.len(), Vec::new());
    for layer in 0..3 {
        let pattern = trace.get(Site::Pattern(layer)).unwrap();
        for head in 0..6 {
            let share: f64 = (1..count).map(|i| f64::from(pattern.get(&[head, i, i - 1]).unwrap())).sum();
            shares.push(((layer, head), share / (count - 1) as f64));
        }
    }
    let truth = shares[best(shares.iter().map(|(_, share)| *share))].0;
    let check = |answer| check::head_with_most(Measure::Previous, answer, &trace);
    right(check(truth));
    if truth.0 != truth.1 {
        not_yet(check((truth.1, truth.0)), "The layer first");
    }
    let least = shares[best(shares.iter().map(|(_, share)| -share))].0;
    assert!(!check(least).unwrap().is_right());
    not_yet(check((7, 0)), "no layer 7");
    not_yet(check((2, 6)), "no head 6");
    let first = trace.attention().unwrap().find(Measure::First, 1).unwrap()[0].clone();
    let verdict = check((first.layer, first.head)).unwrap();
    assert!(verdict.is_right() || verdict.to_string().contains("That is the head with the largest"), "{verdict}");
}

#[test]
fn the_head_that_is_needed() {
    let trace = run();
    let id = trace.next_tokens(1).unwrap()[0].id;
    let mut seen = (false, false);
    for layer in 0..3 {
        let text = trace.prompt().unwrap();
        let without =
            |head: usize| prob(&trace.model().watch(text).change(Change::zero_head(layer, head)).run().unwrap(), id);
        let probs: Vec<f64> = (0..6).map(without).collect();
        let truth = best(probs.iter().map(|prob| -prob));
        for (head, own) in probs.iter().enumerate() {
            let verdict = check::head_needed_most((layer, head), &trace);
            match head {
                _ if head == truth && *own < prob(&trace, id) => right(verdict),
                _ if *own >= prob(&trace, id) => {
                    seen.0 = true;
                    not_yet(verdict, "less likely");
                }
                _ => {
                    seen.1 = true;
                    not_yet(verdict, "it falls further");
                }
            }
        }
        not_yet(check::head_needed_most((layer, 6), &trace), "no head 6");
    }
    assert!(seen.0 || seen.1);
    not_yet(check::head_needed_most((3, 0), &trace), "no layer 3");
    let changed = trace.model().watch(" she sells").change(Change::zero_head(0, 0)).run().unwrap();
    assert!(check::head_needed_most((0, 0), &changed).unwrap_err().to_string().contains("changed by hand"));
    // A model without next tokens says so.
    let bert = tiny("bert").run("rain rain").unwrap();
    assert!(check::head_needed_most((0, 0), &bert).unwrap_err().to_string().contains("reads both ways"));
}

#[test]
fn heads_that_rest_on_the_first_token() {
    let trace = run();
    let mean_first = |layer: usize, head: usize| {
        let pattern = trace.get(Site::Pattern(layer)).unwrap();
        let rows = 1..trace.len();
        rows.clone().map(|i| f64::from(pattern.get(&[head, i, 0]).unwrap())).sum::<f64>() / rows.len() as f64
    };
    let shares: Vec<f64> = (0..18).map(|head| mean_first(head / 6, head % 6)).collect();
    let mut sorted = shares.clone();
    sorted.sort_by(f64::total_cmp);
    let share = (sorted[11] + sorted[12]) / 2.0;
    right(check::heads_resting_on_first(6, share, &trace));
    not_yet(check::heads_resting_on_first(12, share, &trace), "Those are the others");
    not_yet(check::heads_resting_on_first(0, share, &trace), "");
    not_yet(check::heads_resting_on_first(17, share, &trace), "There are fewer");
    not_yet(check::heads_resting_on_first(400, share, &trace), "only 18 heads");
    right(check::heads_resting_on_first(0, 2.0, &trace));
}

#[test]
fn a_score_by_hand() {
    let trace = run();
    let (layer, head, query, key) = (1, 4, 5, 2);
    // Six query heads on two key heads: head 4 reads the second.
    let at = |site: Site, head: usize, position: usize| {
        numbers(&trace.get(site).unwrap().row(head).unwrap().row(position).unwrap())
    };
    let product = |q: Site, k: Site, key_head: usize| dot(&at(q, head, query), &at(k, key_head, key));
    let (turned, plain) =
        ((Site::RotatedQuery(layer), Site::RotatedKey(layer)), (Site::Query(layer), Site::Key(layer)));
    let root = 8f64.sqrt();
    let truth = product(turned.0, turned.1, 1) / root;
    let check = |answer: f64| check::score_by_hand(answer, (layer, head), (query, key), &trace);
    right(check(truth));
    right(check::score_by_hand(truth as f32, (layer, head), (query, key), &trace));
    not_yet(check(0.0), "add up, and scale");
    not_yet(check(truth * root), "has to be scaled");
    not_yet(check(product(plain.0, plain.1, 1) / root), "not been rotated");
    not_yet(check(product(turned.0, turned.1, 0) / root), "keys of another head");
    let pattern = trace.get(Site::Pattern(layer)).unwrap();
    not_yet(check(f64::from(pattern.get(&[head, query, key]).unwrap())), "after the softmax");
    let exchanged = dot(&at(turned.0, head, key), &at(turned.1, 1, query)) / root;
    not_yet(check(exchanged), "exchanged");
    not_yet(check(f64::INFINITY), "not a number");
    not_yet(check::score_by_hand(1.0, (layer, 6), (query, key), &trace), "no head 6");
    not_yet(check::score_by_hand(1.0, (layer, 0), (query, 99), &trace), "no position 99");
    assert!(check::score_by_hand(1.0, (9, 0), (query, key), &trace).is_err());
    // Without rotation.
    let gpt2 = tiny("gpt2").run(" she sells").unwrap();
    let score = f64::from(gpt2.get(Site::Scores(0)).unwrap().get(&[1, 1, 0]).unwrap());
    right(check::score_by_hand(score, (0, 1), (1, 0), &gpt2));
    assert!(!check::score_by_hand(score + 1.0, (0, 1), (1, 0), &gpt2).unwrap().is_right());
}

#[test]
#[ignore = "needs the starter models"]
fn solutions_of_the_lesson() {
    let model = smollm();
    let text = "The keys to the old cabinet are on the table. The keys to the old cabinet are";
    let trace = model.run(text).unwrap();
    let itself = |answer| check::head_with_most(Measure::Itself, answer, &trace);
    right(itself((11, 6)));
    not_yet(itself((6, 11)), "The layer first");
    not_yet(itself((16, 0)), "largest previous token");
    not_yet(itself((0, 0)), "another head has more");
    right(check::head_needed_most((17, 1), &trace));
    right(check::head_needed_most((20, 6), &trace));
    right(check::score_by_hand(1.15, (16, 4), (14, 13), &trace));
    not_yet(check::head_needed_most((20, 0), &trace), "no less likely");
    not_yet(check::head_needed_most((20, 1), &trace), "falls further");
    not_yet(check::head_needed_most((17, 5), &trace), "no less likely");
    let shares = trace.attention().unwrap().block("all").unwrap().measure(Measure::First).unwrap().concat();
    let resting = shares.iter().filter(|share| **share > 0.5).count();
    right(check::heads_resting_on_first(resting, 0.5, &trace));
    not_yet(check::heads_resting_on_first(270 - resting, 0.5, &trace), "Those are the others");
    not_yet(check::heads_resting_on_first(0, 0.5, &trace), "There are more");
    not_yet(check::heads_resting_on_first(271, 0.5, &trace), "only 270");
    let vector =
        |site: Site, position: usize| numbers(&trace.get(site).unwrap().row(0).unwrap().row(position).unwrap());
    let score = dot(&vector(Site::RotatedQuery(16), 5), &vector(Site::RotatedKey(16), 4));
    let plain = dot(&vector(Site::Query(16), 5), &vector(Site::Key(16), 4));
    let check = |answer: f64| check::score_by_hand(answer, (16, 0), (5, 4), &trace);
    right(check(score / 8.0));
    right(check((score / 8.0 * 100.0).round() / 100.0));
    not_yet(check(score), "has to be scaled");
    not_yet(check(plain / 8.0), "not been rotated");
    not_yet(check(0.0), "add up, and scale");
}
