//! Writing on: drawing, stop texts, listening, padding.

use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use flowlens::{Change, Input, Model, Seq2Seq, Site};

fn model(name: &str) -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(name);
    Model::load(folder.to_str().unwrap()).unwrap()
}

/// Numbers are drawn from one source of the process, so who draws waits for the others.
fn turn() -> MutexGuard<'static, ()> {
    static TURN: Mutex<()> = Mutex::new(());
    TURN.lock().unwrap_or_else(PoisonError::into_inner)
}

/// What was handed to a listener, and the listener.
fn heard() -> (Arc<Mutex<Vec<String>>>, impl FnMut(&str) + Send + 'static) {
    let pieces = Arc::new(Mutex::new(Vec::new()));
    let copy = pieces.clone();
    (pieces, move |piece: &str| copy.lock().unwrap().push(piece.to_owned()))
}

#[test]
fn pieces_are_the_text_and_a_stop_text_ends_it() {
    let _turn = turn();
    for name in ["gpt2", "bloom", "t5_tied"] {
        let model = model(name);
        let generate = || model.generate("the cat sat on the bank").max_tokens(24).temperature(3.0).seed(4);
        let plain = generate().run().unwrap();
        let (pieces, listener) = heard();
        let listened = generate().on_token(listener).run().unwrap();
        assert_eq!((&listened.text, &listened.ids), (&plain.text, &plain.ids), "{name}");
        let pieces = pieces.lock().unwrap().clone();
        assert_eq!(pieces.concat(), plain.text, "{name}");
        assert!(pieces.len() > 5 && pieces.iter().all(|piece| !piece.is_empty()), "{name}: {pieces:?}");

        // A stop text that begins within one piece and ends in a later one.
        let half = |text: &str| text.char_indices().nth(text.chars().count() / 2).map_or(0, |(place, _)| place);
        let (from, to) = (pieces[..2].concat().len() + half(&pieces[2]), pieces[..4].concat().len());
        let stop = &plain.text[from..to];
        let place = plain.text.find(stop).unwrap();
        let (pieces, listener) = heard();
        let stopped = generate().stop(["nowhere to be found", stop]).on_token(listener).run().unwrap();
        assert_eq!(stopped.text, plain.text[..place], "{name}: {stop:?}");
        assert_eq!(pieces.lock().unwrap().concat(), stopped.text, "{name}: nothing of {stop:?} is handed on");
        assert!(plain.ids.starts_with(&stopped.ids) && stopped.ids.len() < plain.ids.len(), "{name}");
    }
}

#[test]
fn top_k_1_and_a_tiny_top_p_are_greedy() {
    let _turn = turn();
    let model = model("llama_gqa");
    let ids = [5i64, 17, 9, 40];
    let greedy = model.generate(ids).max_tokens(10).run().unwrap().ids;
    assert_eq!(model.generate(ids).max_tokens(10).temperature(2.0).top_k(1).run().unwrap().ids, greedy);
    assert_eq!(model.generate(ids).max_tokens(10).temperature(2.0).top_p(1e-9).run().unwrap().ids, greedy);
    let free = |seed| model.generate(ids).max_tokens(10).temperature(2.0).top_p(0.99).seed(seed).run().unwrap().ids;
    assert!((0..5).any(|seed| free(seed) != greedy));
}

#[test]
fn what_cannot_be_written_is_refused() {
    let says = |result: flowlens::Result<flowlens::run::Generation>, part: &str| {
        let error = result.unwrap_err().to_string();
        assert!(error.contains(part), "{error}");
    };
    let model = model("gpt2");
    says(model.generate("the").stop([""]).run(), "a stop text is empty");
    says(model.generate("the").top_k(0).temperature(1.0).run(), "top_k 0");
    says(model.generate("the").top_p(1.5).temperature(1.0).run(), "top_p 1.5");
    says(model.generate("the").top_k(4).run(), "set temperature(1.0)");
    says(model.generate("the").change(Change::zero_head(99, 0)).run(), "blocks.99");
    says(model.generate("the").change(Change::zero(Site::MlpOut(0)).position(40)).run(), "position 40 does not exist");
    let silent = Model::load(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity/gpt_neo_local").to_str().unwrap(),
    );
    says(silent.unwrap().generate([5i64, 6]).stop(["x"]).run(), "no text for stop");
}

#[test]
fn padding_before_a_prompt_changes_nothing_that_is_written() {
    for name in ["gpt2", "llama_gqa", "bloom", "opt_pre"] {
        let model = model(name);
        let ids = [5i64, 17, 9, 40];
        let plain = model.generate(ids).max_tokens(8).run().unwrap().ids;
        let padded = Input::from([1i64, 1, 5, 17, 9, 40]).attention_mask([0, 0, 1, 1, 1, 1]);
        let masked = model.generate(padded).max_tokens(8).run().unwrap().ids;
        // GPT-2 numbers padded positions, too: there the padding shifts the text.
        if name != "gpt2" {
            assert_eq!(masked, plain, "{name}");
        }
    }
}

#[test]
fn an_encoder_decoder_goes_on_from_what_its_decoder_has_read() {
    let model = model("bart");
    let first = model.generate(Seq2Seq { source: "the bank", target: "" }).max_tokens(6).run().unwrap();
    let ids: Vec<i64> =
        model.run("the bank").unwrap().ids().into_iter().chain(first.ids[..3].to_vec()).map(i64::from).collect();
    let rest = model.generate(Input::from("the bank").target(ids)).max_tokens(3).run().unwrap();
    assert_eq!([&first.ids[..3], &rest.ids].concat(), first.ids);
}
