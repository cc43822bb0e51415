//! Lesson 2.

use flowlens::{Change, Site, check};

use super::{best, length, not_yet, right, row, run, smollm};

#[test]
fn numbers_in_the_stream() {
    let trace = run();
    let positions = trace.len();
    right(check::numbers_in_the_stream(positions * 48, &trace));
    not_yet(check::numbers_in_the_stream(48, &trace), "How many are there?");
    not_yet(check::numbers_in_the_stream(positions, &trace), "How many numbers has each?");
    not_yet(check::numbers_in_the_stream(0, &trace), "its shape is");
}

#[test]
fn the_longest_addition() {
    let trace = run();
    let sites: Vec<Site> = (0..3).flat_map(|layer| [Site::AttnOut(layer), Site::MlpOut(layer)]).collect();
    let longest = |position: usize| sites[best(sites.iter().map(|&site| length(&row(&trace, site, position))))];
    let (first, last) = (longest(0), longest(trace.len() - 1));
    right(check::longest_addition(first, 0, &trace));
    right(check::longest_addition(last, trace.len() - 1, &trace));
    let shortest = sites[best(sites.iter().map(|&site| -length(&row(&trace, site, 0))))];
    not_yet(check::longest_addition(shortest, 0, &trace), "It");
    not_yet(check::longest_addition(Site::ResidPost(2), 0, &trace), "not what a sublayer adds");
    not_yet(check::longest_addition(Site::MlpOut(3), 0, &trace), "counted from 0 to 2");
    not_yet(check::longest_addition(first, 99, &trace), "no position 99");
    // Where the longest differs from position to position.
    if let Some(position) = (1..trace.len()).find(|&position| longest(position) != first) {
        not_yet(check::longest_addition(longest(position), 0, &trace), "another position");
    }
}

#[test]
fn since_when_the_answer_leads() {
    // Of several texts, so that the answer comes at different depths.
    for text in [" she sells the shells", " and the sea", " to the wall", " she waved and waved and", " all in one"] {
        let trace = run().model().run(text).unwrap();
        let lens = trace.model().lens().unwrap().top(1);
        let says =
            |layer: usize| lens.read(&trace.get(Site::ResidPost(layer)).unwrap()).unwrap().pop().unwrap().top[0].id;
        let answer = trace.next_tokens(1).unwrap()[0].id;
        let truth = (0..3).find(|&from| (from..3).all(|layer| says(layer) == answer)).unwrap();
        for layer in 0..3 {
            let verdict = check::answer_leads_from(layer, &trace);
            match layer {
                _ if layer == truth => right(verdict),
                _ if layer > truth => not_yet(verdict, "and before as well"),
                _ if says(layer) == answer => not_yet(verdict, "something else first"),
                _ => not_yet(verdict, "After that layer the lens says"),
            }
        }
        not_yet(check::answer_leads_from(3, &trace), "no layer 3");
    }
}

#[test]
fn a_lens_that_is_overruled() {
    let trace = run();
    not_yet(check::lens_is_overruled(2, &trace), "After the last layer");
    not_yet(check::lens_is_overruled(9, &trace), "no layer 9");
    let changed = trace.model().watch(" she sells").change(Change::zero_head(0, 0)).run().unwrap();
    let error = check::lens_is_overruled(1, &changed).unwrap_err().to_string();
    assert!(error.contains("changed by hand"), "{error}");
    // Random weights are sure of nothing.
    let verdict = check::lens_is_overruled(1, &trace).unwrap();
    assert!(!verdict.is_right() && (verdict.to_string().contains("agree") || verdict.to_string().contains("% sure")));
}

#[test]
#[ignore = "needs the starter models"]
fn solutions_of_the_lesson() {
    let model = smollm();
    let trace = model.run("The capital of Japan is the city of").unwrap();
    right(check::numbers_in_the_stream(8 * 576, &trace));
    right(check::longest_addition(Site::MlpOut(11), 0, &trace));
    right(check::longest_addition(Site::MlpOut(29), 7, &trace));
    not_yet(check::longest_addition(Site::AttnOut(0), 0, &trace), "something adds a longer one");
    not_yet(check::longest_addition(Site::MlpOut(29), 0, &trace), "another position");
    not_yet(check::longest_addition(Site::ResidPost(12), 0, &trace), "not what a sublayer adds");
    right(check::answer_leads_from(29, &trace));
    right(check::answer_leads_from(28, &model.run("The capital of Italy is the city of").unwrap()));
    not_yet(check::answer_leads_from(28, &trace), "After that layer the lens says");
    not_yet(check::answer_leads_from(30, &trace), "no layer 30");
    let tom = model.run("When Tom and Anna went to the park, Tom gave the ball to").unwrap();
    right(check::lens_is_overruled(28, &tom));
    not_yet(check::lens_is_overruled(29, &tom), "After the last layer");
    not_yet(check::lens_is_overruled(28, &trace), "% sure");
    let hamlet = model.run("The author of Hamlet is William").unwrap();
    not_yet(check::lens_is_overruled(28, &hamlet), "agree");
}
