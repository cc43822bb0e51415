use super::*;
use crate::Seq2Seq;

fn model(name: &str) -> Model {
    Model::load(format!("{}/tests/fixtures/parity/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn problem<T>(result: Result<T>) -> String {
    result.err().expect("refused").to_string()
}

/// Two texts that differ in one token, and two single tokens to answer with.
fn texts(model: &Model) -> (String, String, Vec<String>) {
    let tokenizer = model.tokenizer().unwrap();
    let words: Vec<String> = ["a", "b", "c", "e", "t"].map(str::to_owned).into();
    assert!(words.iter().all(|word| tokenizer.encode(word, false).unwrap().len() == 1));
    ("a!b!c".to_owned(), "a!e!c".to_owned(), words)
}

#[test]
fn pairs_are_read_token_by_token() {
    let model = model("llama_gqa");
    let (clean, corrupted, words) = texts(&model);
    let (right, wrong) = (words[1].as_str(), words[2].as_str());
    let pairs = model.pairs([(clean.as_str(), corrupted.as_str(), right, wrong)]).unwrap();
    let case = &pairs.cases()[0];
    let other = case.corrupted.as_ref().unwrap();
    assert_eq!(case.position, case.clean.len() - 1);
    assert_eq!(case.clean.ids.iter().zip(&other.ids).filter(|(a, b)| a != b).count(), 1);
    assert_eq!(case.right, model.tokenizer().unwrap().encode(right, false).unwrap());
    pairs.both().unwrap();
    let text = pairs.to_string();
    assert!(text.contains("right: b, wrong: c, read at position 5"), "{text}");
    let rows: Vec<&str> = text.lines().filter(|line| line.contains(" | ")).collect();
    assert_eq!(rows.len(), 2, "{text}");
    let bars = |line: &str| line.match_indices('|').map(|(at, _)| line[..at].chars().count()).collect::<Vec<_>>();
    assert_eq!(bars(rows[0]), bars(rows[1]), "{text}");
    let axis = pairs.positions(false);
    assert_eq!((axis.labels.len(), axis.labels[1].as_str()), (case.clean.len(), "1 a"), "{axis:?}");
}

#[test]
fn texts_of_unequal_length_show_where_they_part() {
    let model = model("llama_gqa");
    let found = problem(model.pairs([("a!b!c", "a!eee!c", "b", "c")]));
    assert!(found.starts_with("experiment: pair 0: the clean text has 6 tokens and the corrupted one 8"), "{found}");
    assert!(
        found.contains("part at position 3, where the clean one has b and the corrupted one e | e | e."),
        "{found}"
    );
    assert!(found.contains("\n  clean:     <s> | a | ! | b | ! | c\n  corrupted: <s> | a | ! | e"), "{found}");
    let shorter = problem(model.pairs([("a!b!b", "a!b", "b", "c")]));
    assert!(shorter.contains("and the corrupted one nothing"), "{shorter}");
}

#[test]
fn answers_are_single_tokens_of_the_vocabulary() {
    let model = model("llama_gqa");
    let with = |right: Answers| model.pairs([Pair::only("a!b").right(right)]);
    let several = problem(with("xyz!".into()));
    assert!(several.contains("\"xyz!\" must be one token and is") && several.contains(" | "), "{several}");
    assert!(problem(with("".into())).contains("must be one token and is 0"));
    let vocab = model.architecture().vocab() as u32;
    assert!(problem(with(vocab.into())).contains(&format!("from 0 to {}", vocab - 1)));
    assert_eq!(with([7, 9, 7].into()).unwrap().cases()[0].right, [7, 9], "each once");
    assert_eq!(with(["a", "b"].into()).unwrap().cases()[0].right.len(), 2);
    let both = problem(model.pairs([Pair::only("a!b").right(["a", "b"]).wrong("b")]));
    assert!(both.contains("b is among the right answers and among the wrong ones"), "{both}");
}

#[test]
fn what_is_missing_is_said() {
    let model = model("llama_gqa");
    assert!(problem(model.pairs(Vec::<Pair>::new())).contains("give at least one"));
    let alone = model.pairs(["a!b", "a"]).unwrap();
    assert!(problem(alone.both()).contains("pair 0 has no corrupted prompt"));
    use crate::experiment::Metric;
    assert!(problem(Metric::LogitDiff.check(&alone)).contains("pair 0 has no right answer"));
    let right = model.pairs([Pair::only("a!b").right("a")]).unwrap();
    assert!(problem(Metric::LogitDiff.check(&right)).contains("no wrong answer"));
    Metric::Prob.check(&right).unwrap();
    Metric::Kl.check(&alone).unwrap();
    Metric::Loss.check(&alone).unwrap();
    let one = model.pairs([Pair::only([5])]).unwrap();
    assert!(problem(Metric::Loss.check(&one)).contains("pair 0 is one token long"));
    let far = problem(model.pairs([Pair::only("a!b").position(4)]));
    assert!(far.contains("no token at position 4") && far.contains("from 0 to 3"), "{far}");
    assert!(problem(model.pairs([""])).contains("pair 0: input: the prompt is empty"));
}

#[test]
fn padding_is_no_place_for_an_answer() {
    let model = model("llama_gqa");
    let padded = |mask: [i64; 4]| Input::from([5, 6, 7, 7]).attention_mask(mask);
    let pairs = model.pairs([Pair::new(padded([1, 1, 1, 0]), padded([1, 1, 1, 0]))]).unwrap();
    assert_eq!(pairs.cases()[0].position, 2);
    assert!(problem(model.pairs([Pair::only(padded([1, 1, 1, 0])).position(3)])).contains("no token at position 3"));
    let unlike = problem(model.pairs([Pair::new(padded([1, 1, 1, 0]), padded([1, 1, 1, 1]))]));
    assert!(unlike.contains("position 3 is padding in one"), "{unlike}");
}

#[test]
fn a_masked_model_answers_at_its_mask() {
    let model = model("bert");
    let tokenizer = model.tokenizer().unwrap();
    let mask = tokenizer.id("[MASK]").expect("the fixture has a mask token");
    assert!(tokenizer.is_mask(mask));
    let mask = i64::from(mask);
    let pairs = model.pairs([Pair::new([5, 6, mask, 8], [5, 7, mask, 8])]).unwrap();
    assert_eq!(pairs.cases()[0].position, 2);
    assert!(problem(model.pairs([Pair::only([5, 6, 7])])).contains("has 0 mask tokens"));
    assert_eq!(model.pairs([Pair::only([5, 6, 7]).position(1)]).unwrap().cases()[0].position, 1);
    let elsewhere = problem(model.pairs([Pair::new([5, mask, 8], [mask, 5, 8])]));
    assert!(elsewhere.contains("[1] of the clean text and [0] of the corrupted one"), "{elsewhere}");
    let metric = crate::experiment::Metric::Loss;
    assert!(problem(metric.check(&pairs)).contains("reads both ways"));
}

#[test]
fn an_encoder_decoder_compares_both_sides() {
    let model = model("t5_tied");
    let input = |source: &[i64], target: &[i64]| Input::from(Seq2Seq { source, target });
    let pairs = model.pairs([Pair::new(input(&[5, 6, 7], &[0, 4]), input(&[5, 9, 7], &[0, 8]))]).unwrap();
    let case = &pairs.cases()[0];
    assert_eq!((case.position, case.clean.source.as_ref().unwrap().len()), (1, 3));
    assert_eq!((pairs.positions(true).labels.len(), pairs.positions(false).labels.len()), (3, 2));
    let unequal = problem(model.pairs([Pair::new(input(&[5, 6, 7], &[0, 4]), input(&[5, 9], &[0, 8]))]));
    assert!(unequal.contains("the clean source text has 3 tokens and the corrupted one 2"), "{unequal}");
}

#[test]
fn the_fingerprint_changes_with_all_that_is_read() {
    let model = model("llama_gqa");
    let base = || Pair::new([5, 6, 7], [5, 8, 7]).right(3).wrong(4);
    let print = |pair: Pair| model.pairs([pair]).unwrap().fingerprint();
    let first = print(base());
    assert_eq!(first, print(base()));
    let others = [
        base().right(4u32).wrong(3u32),
        base().right([3, 9]),
        base().position(1),
        Pair::new([5, 8, 7], [5, 6, 7]).right(3).wrong(4),
        Pair::only([5, 6, 7]).right(3).wrong(4),
        Pair::new(Input::from([5, 6, 7]).attention_mask([1, 1, 1]), [5, 8, 7]).right(3).wrong(4),
    ];
    let mut prints: Vec<String> = others.into_iter().map(print).collect();
    prints.push(model.pairs([base(), base()]).unwrap().fingerprint());
    prints.push(first);
    let unique: std::collections::BTreeSet<&String> = prints.iter().collect();
    assert_eq!(unique.len(), prints.len(), "{prints:?}");
}

/// Reads pairs from a file of this name and content.
fn read(model: &Model, name: &str, content: &str) -> Result<Pairs> {
    let path = std::env::temp_dir().join(format!("flowlens-pairs-{}-{name}", std::process::id()));
    std::fs::write(&path, content).unwrap();
    let pairs = Pairs::read(model, &path);
    std::fs::remove_file(&path).unwrap();
    pairs
}

#[test]
fn json_and_csv_say_the_same() {
    let model = model("llama_gqa");
    let json = r#"[{"clean": "a!b", "corrupted": "a!e", "right": " t", "wrong": [3, "b"]},
                   {"clean": [5, 6, 7], "position": 1, "right": 9}]"#;
    let csv = "wrong,clean,corrupted,right,position\n\"[3, \"\"b\"\"]\",a!b,a!e, t,\n,\"[5, 6, 7]\",,[9],1\n";
    let tokenizer = model.tokenizer().unwrap();
    if tokenizer.encode(" t", false).unwrap().len() != 1 {
        panic!("the fixture has a token for ' t'");
    }
    let (from_json, from_csv) = (read(&model, "a.json", json).unwrap(), read(&model, "a.csv", csv).unwrap());
    assert_eq!(from_json.cases(), from_csv.cases());
    assert_eq!(from_json.cases()[0].wrong, [3, tokenizer.encode("b", false).unwrap()[0]]);
    assert_eq!((from_json.cases()[1].position, from_json.cases()[1].right.as_slice()), (1, &[9u32][..]));
}

#[test]
fn files_of_encoder_decoders_share_what_is_said_once() {
    let model = model("t5_tied");
    let json = r#"[{"source_clean": [5, 6, 7], "source_corrupted": [5, 8, 7], "clean": [0, 4]}]"#;
    let pairs = read(&model, "b.json", json).unwrap();
    let case = &pairs.cases()[0];
    let corrupted = case.corrupted.as_ref().unwrap();
    assert_eq!((corrupted.ids.as_slice(), &case.clean.ids), (&[0, 4][..], &corrupted.ids));
    assert_eq!(corrupted.source.as_ref().unwrap().ids, [5, 8, 7]);
}

#[test]
fn a_file_that_is_none_is_refused() {
    let model = model("llama_gqa");
    let typo = problem(read(&model, "c.json", r#"[{"clean": "a!b", "corupted": "a!e"}]"#));
    assert!(typo.contains("corupted") && typo.contains("source_clean"), "{typo}");
    assert!(problem(read(&model, "d.csv", "clean,corupted\na,b\n")).contains("corupted"));
    assert!(problem(read(&model, "e.json", "{")).contains("is not a JSON list"));
    assert!(problem(read(&model, "f.json", "[]")).contains("there is no pair"));
    assert!(problem(read(&model, "g.json", r#"[{"right": 3}]"#)).contains("pair 0 has no clean prompt"));
    assert!(problem(read(&model, "h.txt", "a")).contains(".json, .csv and .safetensors"));
    assert!(problem(read(&model, "i.safetensors", "a")).contains("i.safetensors"));
    assert!(problem(Pairs::read(&model, "/nowhere/pairs.csv")).contains("/nowhere/pairs.csv"));
}

#[test]
fn safetensors_hold_rows_of_ids() {
    let model = model("llama_gqa");
    let path = std::env::temp_dir().join(format!("flowlens-pairs-{}.safetensors", std::process::id()));
    let list = |name: &str, shape: &[usize], numbers: &[i64]| (name.to_owned(), shape.to_vec(), numbers.to_vec());
    let write = |lists: &[(String, Vec<usize>, Vec<i64>)]| {
        crate::run::write(&path, &[], lists, std::collections::HashMap::new()).unwrap();
        let pairs = Pairs::read(&model, &path);
        std::fs::remove_file(&path).unwrap();
        pairs
    };
    let clean = list("clean", &[2, 3], &[5, 6, 7, 8, 9, 10]);
    let corrupted = list("corrupted", &[2, 3], &[5, 7, 7, 8, 7, 10]);
    let pairs = write(&[clean.clone(), corrupted, list("right", &[2], &[3, 4]), list("wrong", &[2, 2], &[4, 5, 6, 7])])
        .unwrap();
    let case = &pairs.cases()[1];
    assert_eq!((case.clean.ids.as_slice(), case.right.as_slice()), (&[8, 9, 10][..], &[4][..]));
    assert_eq!(
        (case.corrupted.as_ref().unwrap().ids.as_slice(), case.wrong.as_slice()),
        (&[8, 7, 10][..], &[6, 7][..])
    );
    assert!(problem(write(&[clean.clone(), list("right", &[3], &[3, 4, 5])])).contains("expected 2 rows"));
    assert!(problem(write(&[clean.clone(), list("right", &[2], &[3, -4])])).contains("holds -4"));
    assert!(problem(write(&[list("right", &[2], &[3, 4])])).contains("no tensor clean"));
}
