//! Lesson 7.

use flowlens::{Change, Model, Site, Trace, check};

use crate::{not_yet, refused, right, tiny};

fn run(model: &Model, ids: &[i64]) -> Trace {
    model.run(ids).unwrap()
}

/// The last position's vector before the first layer and after each.
fn way(trace: &Trace) -> Vec<Vec<f64>> {
    let sites = std::iter::once(Site::ResidPre(0)).chain((0..trace.model().layers()).map(Site::ResidPost));
    let last = |site| trace.get(site).unwrap().row(trace.len() - 1).unwrap();
    sites.map(|site| last(site).data().iter().map(|&x| f64::from(x)).collect()).collect()
}

#[test]
fn the_sharpest_turn() {
    let trace = run(&tiny("llama_deep"), &[3, 14, 15, 9, 26, 5]);
    let way = way(&trace);
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let cosine = |step: &usize| {
        dot(&way[*step], &way[step + 1]) / (dot(&way[*step], &way[*step]) * dot(&way[step + 1], &way[step + 1])).sqrt()
    };
    let long = |step: &usize| {
        let step: Vec<f64> = way[step + 1].iter().zip(&way[*step]).map(|(a, b)| a - b).collect();
        dot(&step, &step)
    };
    let turns = (0..9).min_by(|a, b| cosine(a).total_cmp(&cosine(b))).unwrap();
    let longest = (0..9).max_by(|a, b| long(a).total_cmp(&long(b))).unwrap();
    assert_ne!(turns, longest, "take another text: the hint would not be tried");
    let walk = trace.walk().build().unwrap();
    right(check::sharpest_turn(turns, &walk));
    right(check::sharpest_turn(turns, &trace.walk().positions([5]).build().unwrap()));
    not_yet(check::sharpest_turn(longest, &walk), "longest step");
    for layer in (0..9).filter(|&layer| layer != turns) {
        not_yet(check::sharpest_turn(layer, &walk), "");
    }
    not_yet(check::sharpest_turn(9, &walk), "There is no layer 9");
    refused(check::sharpest_turn(turns, &trace.walk().sublayers().build().unwrap()), "without sublayers");
}

#[test]
fn where_the_answer_arrives() {
    let model = tiny("llama_deep");
    let best = |run: &Trace| run.next_tokens(1).unwrap()[0].id;
    let trace = run(&model, &[3, 14, 15, 9, 26, 5]);
    let mut donors = (0..37).map(|first| run(&model, &[first, 20, 15, 9, 26, 5]));
    let donor = donors.find(|donor| best(donor) != best(&trace)).unwrap();
    let brings = |layer: usize| {
        let patch = Change::patch_position(Site::ResidPost(layer), 5, &donor).unwrap();
        best(&model.watch([3i64, 14, 15, 9, 26, 5]).change(patch).run().unwrap()) == best(&donor)
    };
    assert!(brings(8), "the last vector is all that the head reads");
    for layer in 0..9 {
        let verdict = check::answer_arrives(layer, &trace, &donor);
        match (brings(layer), layer > 0 && brings(layer - 1)) {
            (true, false) => right(verdict),
            (true, true) => not_yet(verdict, "so does the layer before"),
            (false, _) => not_yet(verdict, &format!("Exchanged after layer {layer}")),
        }
    }
    not_yet(check::answer_arrives(9, &trace, &donor), "There is no layer 9");
    refused(check::answer_arrives(0, &trace, &trace), "the same answer");
    assert!(check::answer_arrives(8, &trace, &run(&model, &[20, 15])).is_err());
    let bert = tiny("bert").run("one two three").unwrap();
    refused(check::answer_arrives(0, &bert, &bert), "no next token");
    let changed = model.watch([3i64, 14]).change(Change::zero(Site::AttnOut(0))).run().unwrap();
    refused(check::answer_arrives(0, &changed, &donor), "changed by hand");
}

#[test]
#[ignore = "needs the starter models"]
fn the_solutions_of_the_lesson() {
    let model = Model::load("smollm2-135m").unwrap();
    let (hot, big) = (model.run("The opposite of hot is").unwrap(), model.run("The opposite of big is").unwrap());
    right(check::answer_arrives(25, &hot, &big));
    not_yet(check::answer_arrives(21, &hot, &big), "with this vector yet");
    not_yet(check::answer_arrives(23, &hot, &big), "its own is lost");
    not_yet(check::answer_arrives(27, &hot, &big), "so does the layer before");
    let bert = Model::load("minilm-l6").unwrap();
    let steps = bert.run("The cat sat on the mat.").unwrap().walk().build().unwrap();
    right(check::sharpest_turn(5, &steps));
    not_yet(check::sharpest_turn(4, &steps), "longest step");
    not_yet(check::sharpest_turn(6, &steps), "There is no layer 6");
}
