//! Lesson 9.

use flowlens::{Array, Model, Seq2Seq, Site, Trace, check};

use crate::{not_yet, refused, right, tiny};

fn mean(vectors: &Array) -> Vec<f64> {
    let rows = vectors.shape()[0];
    let row = |i: usize| vectors.row(i).unwrap();
    (0..vectors.shape()[1]).map(|i| (0..rows).map(|r| f64::from(row(r).data()[i])).sum::<f64>() / rows as f64).collect()
}

fn cosine(a: &[f64], b: &[f64]) -> f64 {
    let dot = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

fn alike(a: &Trace, b: &Trace) -> f64 {
    cosine(&mean(&a.get(Site::FinalNorm).unwrap()), &mean(&b.get(Site::FinalNorm).unwrap()))
}

#[test]
fn the_same_words_nearer_than_a_paraphrase() {
    let model = tiny("bert");
    let sentence = model.run("one two three four").unwrap();
    let (orders, far) =
        (["four three two one", "two one three four", "one three two four"], ["zzz", "qqq www", "a b c d e f"]);
    let mut kinds = [0; 2];
    for paraphrase in far.iter().chain(&orders).map(|text| model.run(*text).unwrap()) {
        for order in orders {
            let nearer = alike(&sentence, &model.run(order).unwrap()) - alike(&sentence, &paraphrase);
            if nearer.abs() < 1e-5 {
                continue;
            }
            kinds[usize::from(nearer > 0.0)] += 1;
            let verdict = check::same_words_yet_nearer(order, &sentence, &paraphrase);
            match nearer > 0.0 {
                true => right(verdict),
                false => not_yet(verdict, "Disturb the order less"),
            }
        }
    }
    assert!(kinds.iter().all(|&count| count > 0), "both answers are met: {kinds:?}");
    let other = model.run("five").unwrap();
    not_yet(check::same_words_yet_nearer("one two three four", &sentence, &other), "the same text");
    not_yet(check::same_words_yet_nearer("one two three four zzz", &sentence, &other), "Not the same words");
    not_yet(check::same_words_yet_nearer("one two three", &sentence, &other), "Not the same words");
    not_yet(check::same_words_yet_nearer("four three two one one", &sentence, &other), "as many of each");
    let llama = tiny("llama_gqa").run("one two").unwrap();
    refused(check::same_words_yet_nearer("two one", &llama, &llama), "both ways");
}

#[test]
fn the_nearest_sentence() {
    let model = tiny("bert");
    let texts = ["one two three", "four", "five six seven", "one two nine", "a b c", "two three one"];
    let runs: Vec<Trace> = texts.iter().map(|text| model.run(*text).unwrap()).collect();
    let nearest = |number: &dyn Fn(&Trace) -> f64| {
        (1..runs.len()).max_by(|&a, &b| number(&runs[a]).total_cmp(&number(&runs[b]))).unwrap()
    };
    let by_meaning = nearest(&|run| alike(&runs[0], run));
    let embedding = |run: &Trace| mean(&run.get(Site::Embedding).unwrap());
    let by_words = nearest(&|run| cosine(&embedding(&runs[0]), &embedding(run)));
    for answer in 1..runs.len() {
        let verdict = check::nearest_sentence(answer, &runs);
        match answer {
            _ if answer == by_meaning => right(verdict),
            _ if answer == by_words => not_yet(verdict, "shares the words"),
            _ => not_yet(verdict, "mean over"),
        }
    }
    not_yet(check::nearest_sentence(0, &runs), "the sentence itself");
    not_yet(check::nearest_sentence(6, &runs), "There is no sentence 6");
    refused(check::nearest_sentence(1, &runs[..2]), "three sentences");
}

#[test]
fn where_the_decoder_reads() {
    let model = tiny("t5_tied");
    let trace = model.run(Seq2Seq { source: "one two three four five", target: "six seven eight" }).unwrap();
    let weights = trace.get(Site::CrossPattern(1)).unwrap();
    let (queries, keys) = (weights.shape()[1], weights.shape()[2]);
    let looks = |query: usize| {
        let sum = |key: usize| (0..4).map(|head| weights.get(&[head, query, key]).unwrap()).sum::<f32>();
        (0..keys).max_by(|&a, &b| sum(a).total_cmp(&sum(b))).unwrap()
    };
    for written in 1..queries {
        right(check::reads_from(looks(written - 1), written, &trace));
        for key in (0..keys).filter(|&key| key != looks(written - 1)) {
            let hint = match key {
                _ if key == looks(written) => "one position earlier",
                _ if key == written => "*decoder's* text",
                _ => "summed over heads",
            };
            not_yet(check::reads_from(key, written, &trace), hint);
        }
    }
    not_yet(check::reads_from(keys, 1, &trace), "There is no position of the source");
    refused(check::reads_from(0, 0, &trace), "nothing is written");
    refused(check::reads_from(0, queries + 1, &trace), "nothing is written");
    assert!(check::reads_from(0, 1, &tiny("llama_gqa").run("one").unwrap()).is_err());
}

#[test]
#[ignore = "needs the starter models"]
fn the_solutions_of_the_lesson() {
    let bert = Model::load("minilm-l6").unwrap();
    let texts = [
        "How can I learn to swim?",
        "How can I learn to cook?",
        "Where are swimming lessons given?",
        "I can swim to the island.",
        "Can fish learn?",
        "Teaching children to cook is fun.",
    ];
    let sentences = bert.run_all(texts).unwrap();
    right(check::nearest_sentence(2, &sentences));
    not_yet(check::nearest_sentence(1, &sentences), "shares the words");
    let (bitten, hound) =
        (bert.run("The dog bit the man.").unwrap(), bert.run("A hound sank its teeth into a person.").unwrap());
    right(check::same_words_yet_nearer("The man bit the dog.", &bitten, &hound));
    right(check::same_words_yet_nearer("man the bit dog The.", &bitten, &hound));
    not_yet(check::same_words_yet_nearer("The dog bit a man.", &bitten, &hound), "Not the same words");
    let t5 = Model::load("notebooks/models/t5-verses").unwrap();
    let source = "And Ruth said, Intreat me not to leave thee, or to return from following after thee: for whither thou goest, I will go;";
    let target =
        "Ruth said, \"Don't urge me to leave you, and to return from following you, for where you go, I will go;";
    let read = t5.run(Seq2Seq { source, target }).unwrap();
    right(check::reads_from(8, 11, &read));
    not_yet(check::reads_from(10, 11, &read), "one position earlier");
    not_yet(check::reads_from(11, 11, &read), "*decoder's* text");
}
