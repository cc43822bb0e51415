//! Lesson 1.

use flowlens::check;

use super::{dot, length, not_yet, numbers, right, run, smollm, tiny};

#[test]
fn a_word_that_is_one_token() {
    let model = tiny("llama_gqa");
    right(check::one_token(" the", 3, &model));
    not_yet(check::one_token("the", 3, &model), "blank in front");
    not_yet(check::one_token(" shipwreck", 3, &model), "It is cut into");
    not_yet(check::one_token(" the", 4, &model), "It has 3 letters");
    not_yet(check::one_token("", 3, &model), "Type a word");
    not_yet(check::one_token("</s>", 3, &model), "Letters only");
    not_yet(check::one_token(" the the", 3, &model), "Letters only");
    not_yet(check::one_token(" unending", 3, &model), "It is cut into");
    not_yet(check::one_token(&"x".repeat(5000), 3, &model), "It is cut into");
}

#[test]
fn the_cosine_of_two_rows() {
    let model = tiny("llama_gqa");
    let table = model.token_table().unwrap();
    let of = |word: &str| {
        let ids = model.tokenizer().unwrap().encode(word, false).unwrap();
        assert_eq!(ids.len(), 1, "{word}");
        numbers(&table.row(ids[0] as usize).unwrap())
    };
    let (a, b) = (of(" the"), of(" she"));
    let (product, lengths) = (dot(&a, &b), length(&a) * length(&b));
    let check = |answer: f64| check::cosine_of_tokens(answer, " the", " she", &model);
    right(check(product / lengths));
    right(check((product / lengths * 1000.0).round() / 1000.0));
    right(check::cosine_of_tokens((product / lengths) as f32, " the", " she", &model));
    not_yet(check(0.0), "Multiply the two rows");
    not_yet(check(product), "inner product");
    not_yet(check(product / length(&a)), "Divided by one length");
    not_yet(check(product / lengths / lengths), "squares of the lengths");
    let apart: Vec<f64> = a.iter().zip(&b).map(|(a, b)| a - b).collect();
    not_yet(check(length(&apart)), "how far apart");
    not_yet(check(f64::NAN), "not a number");
    not_yet(check(7.0), "between -1 and 1");
    // With another blank in front the word has other pieces.
    let s = of("s");
    not_yet(check(dot(&a, &s) / (length(&a) * length(&s))), "two other tokens");
    not_yet(check::cosine_of_tokens(0.5, " the", " shipwreck", &model), "Rows belong to tokens");
    not_yet(check::cosine_of_tokens(0.5, "", " she", &model), "is 0 tokens");
}

#[test]
fn positions_that_start_alike() {
    let trace = run();
    let pieces = trace.pieces();
    let found: Vec<usize> = (0..pieces.len()).filter(|&i| pieces[i] == " the").collect();
    let check = |a, b| check::positions_that_start_alike((a, b), &trace);
    right(check(found[0], found[1]));
    right(check(found[1], found[0]));
    not_yet(check(found[0], found[0]), "different positions");
    not_yet(check(found[0] + 1, found[1] + 1), "counted from 0");
    not_yet(check(found[0], found[0] + 1), "two rows of the table");
    not_yet(check(0, 99), "no position 99");
    let cased = tiny("gpt2").run(" the s S").unwrap();
    not_yet(check::positions_that_start_alike((0, 1), &cased), "No two positions");
    // BERT adds positions.
    let bert = tiny("bert").run("rain rain rain").unwrap();
    not_yet(check::positions_that_start_alike((1, 2), &bert), "No two positions");
}

#[test]
fn a_word_with_a_capital_is_another_token() {
    let model = tiny("llama_gqa");
    let trace = model.run("a A a").unwrap();
    let (pieces, plain) = (trace.pieces(), |piece: &String| piece.trim().to_lowercase());
    let pair = (0..pieces.len())
        .flat_map(|a| (0..a).map(move |b| (a, b)))
        .find(|&(a, b)| pieces[a] != pieces[b] && plain(&pieces[a]) == plain(&pieces[b]));
    let repeated = model.run("a A a a a").unwrap();
    let pair = pair.unwrap_or_else(|| panic!("{pieces:?}"));
    not_yet(check::positions_that_start_alike(pair, &repeated), "A person reads the same word");
}

#[test]
#[ignore = "needs the starter models"]
fn solutions_of_the_lesson() {
    let model = smollm();
    for word in [" international", " characteristics", " understanding"] {
        right(check::one_token(word, 12, &model));
    }
    not_yet(check::one_token("Tokyo", 5, &model), "blank in front");
    not_yet(check::one_token("Tokyo", 12, &model), "It has 5 letters");
    not_yet(check::one_token(" antidisestablishmentarianism", 12, &model), "It is cut into 5");
    let table = model.token_table().unwrap();
    let of =
        |word: &str| numbers(&table.row(model.tokenizer().unwrap().encode(word, false).unwrap()[0] as usize).unwrap());
    let (hot, cold) = (of(" hot"), of(" cold"));
    right(check::cosine_of_tokens(dot(&hot, &cold) / (length(&hot) * length(&cold)), " hot", " cold", &model));
    not_yet(check::cosine_of_tokens(0.0, " hot", " cold", &model), "Multiply");
    let cats = model.run("The cat saw the other cat. Cat, the cat said.").unwrap();
    for answer in [(1, 5), (3, 9), (5, 10)] {
        right(check::positions_that_start_alike(answer, &cats));
    }
    not_yet(check::positions_that_start_alike((0, 3), &cats), "A person reads the same word");
    not_yet(check::positions_that_start_alike((1, 7), &cats), "A person reads the same word");
    not_yet(check::positions_that_start_alike((2, 6), &cats), "counted from 0");
}
