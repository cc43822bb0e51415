//! Attention as data: from runs and from arrays, and what the views say about input that does not fit.

use flowlens::attention::Attention;
use flowlens::{Model, Seq2Seq, Site};

fn model(name: &str) -> Model {
    Model::load(format!("tests/fixtures/parity/{name}")).unwrap()
}

fn problem<T>(result: flowlens::Result<T>) -> String {
    result.err().expect("an error").to_string()
}

#[test]
fn a_run_has_the_weights_of_its_patterns() {
    let trace = model("llama_gqa").run(vec![5, 6, 7, 5]).unwrap();
    let attention = trace.attention().unwrap();
    assert_eq!(attention.names(), ["all"]);
    let pattern = trace.get(Site::Pattern(1)).unwrap();
    for head in 0..6 {
        assert_eq!(attention.weights("all", 1, head).unwrap(), pattern.row(head).unwrap());
    }
    let csv = attention.block("all").unwrap().csv(1, 0).unwrap();
    assert_eq!(csv.lines().count(), 5);
    assert!(csv.lines().nth(1).unwrap().ends_with(",1,0,0,0"), "{csv}");
}

#[test]
fn an_encoder_decoder_has_three_blocks_of_their_own_depth() {
    let model = model("bart_uneven");
    let source: Vec<i64> = vec![4, 5, 6, 7, 8];
    let trace = model.run(Seq2Seq { source, target: vec![2, 9, 10] }).unwrap();
    let attention = trace.attention().unwrap();
    assert_eq!(attention.names(), ["encoder", "decoder", "cross"]);
    let sizes = |name: &str| {
        let block = attention.block(name).unwrap();
        (block.layers().len(), block.queries().len(), block.keys().len())
    };
    assert_eq!(sizes("encoder"), (model.encoder_layers(), 5, 5));
    assert_eq!(sizes("decoder"), (model.layers(), 3, 3));
    assert_eq!(sizes("cross"), (model.layers(), 3, 5));
    assert_ne!(model.encoder_layers(), model.layers());
    assert!(problem(attention.block("all")).contains("there are: encoder, decoder, cross"));
    let only_deep = model.layers().max(model.encoder_layers()) - 1;
    let figure = trace.head_view().layers([only_deep]).build().unwrap();
    let json: serde_json::Value = serde_json::from_str(&figure.json()).unwrap();
    let names: Vec<&str> = json["blocks"].as_array().unwrap().iter().map(|it| it["name"].as_str().unwrap()).collect();
    let deep = if model.encoder_layers() > model.layers() { vec!["encoder"] } else { vec!["decoder", "cross"] };
    assert_eq!(names, deep, "a stack without such a layer is left out");
}

#[test]
fn views_say_what_is_not_there() {
    let trace = model("llama_gqa").run(vec![5, 6, 7]).unwrap();
    let view = || trace.head_view();
    assert!(problem(view().layers([0, 9]).build()).contains("no layer 9; there are 0 to 2"));
    assert!(problem(view().layers([9]).build()).contains("layers 9 are not there; there are 0 to 2"));
    assert!(problem(view().heads([6]).build()).contains("has no head 6; it has 0 to 5"));
    assert!(problem(view().layers([0]).layer(1).build()).contains("no layer 1; there are 0"));
    assert!(problem(view().heads([1, 2]).head(0).build()).contains("no head 0; there are 1 to 2"));
    assert!(problem(view().heads_on([7]).build()).contains("no head 7"));
    assert!(problem(view().token(3).build()).contains("no token 3; there are 3, counted from 0"));
    assert!(problem(view().block("cross").build()).contains("no block \"cross\"; there are: all"));
    for place in [0, 3, 99] {
        assert!(problem(view().second_text_at(place).build()).contains("give 1 to 2"), "{place}");
    }
    let none: [usize; 0] = [];
    assert!(problem(view().layers(none).build()).contains("empty"));
    assert!(problem(view().heads(none).build()).contains("empty"));
    let narrow = model("llama_gqa").watch(vec![5, 6]).keep([Site::Logits]).run().unwrap();
    assert!(problem(narrow.model_view().build()).contains("keep Site::Pattern"));
}

#[test]
fn a_filter_keeps_original_numbers() {
    let trace = model("llama_gqa").run(vec![5, 6, 7]).unwrap();
    let figure = trace.model_view().layers([2, 0]).heads([5, 1]).head(1).build().unwrap();
    let json: serde_json::Value = serde_json::from_str(&figure.json()).unwrap();
    let layers = &json["blocks"][0]["layers"];
    assert_eq!((&layers[0]["layer"], &layers[1]["layer"]), (&2.into(), &0.into()));
    assert_eq!(layers[0]["heads"], serde_json::json!([5, 1]));
    assert_eq!(json["first"]["head"], 1);
}

#[test]
fn a_pair_knows_where_its_second_text_begins() {
    let model = model("bert");
    let trace = model.run(("a b", "c d")).unwrap();
    // [CLS] and [SEP] are 2 and 3 here; the second text begins after the first [SEP].
    let first_end = trace.ids().iter().position(|&id| id == 3).unwrap();
    assert_eq!(trace.second_text(), Some(first_end + 1));
    assert_eq!(trace.attention().unwrap().block("all").unwrap().second(), Some(first_end + 1));
    let trace = model.run(vec![2, 5, 3, 6, 3]).unwrap();
    let figure = trace.head_view().second_text_at(3).build().unwrap();
    let json: serde_json::Value = serde_json::from_str(&figure.json()).unwrap();
    assert_eq!(json["blocks"][0]["second"], 3);
    assert!(figure.caption().contains("its rows do not sum to 1"));
}

#[test]
fn the_same_run_gives_the_same_page_and_another_run_another_number() {
    let model = model("llama_gqa");
    let page = |ids: Vec<i64>| model.run(ids).unwrap().head_view().build().unwrap().html();
    assert_eq!(page(vec![5, 6, 7]), page(vec![5, 6, 7]));
    let run = |ids: Vec<i64>| -> String {
        let json = model.run(ids).unwrap().model_view().build().unwrap().json();
        serde_json::from_str::<serde_json::Value>(&json).unwrap()["run"].as_str().unwrap().to_owned()
    };
    assert_eq!(run(vec![5, 6, 7]), run(vec![5, 6, 7]));
    assert_ne!(run(vec![5, 6, 7]), run(vec![5, 6, 8]));
}

#[test]
fn too_long_texts_are_cut_down_or_refused_with_the_way_out() {
    // 4 layers of 16 heads over 1,100 tokens: 77 million weights.
    let (heads, t) = (16, 1_100);
    let layer = || ndarray::Array3::from_elem((heads, t, t), 1.0f32 / t as f32);
    let tokens: Vec<String> = (0..t).map(|it| it.to_string()).collect();
    let attention = Attention::new(tokens, vec![layer(), layer(), layer(), layer()]).unwrap();
    let heads_view = attention.head_view().layer(2).build().unwrap();
    let json: serde_json::Value = serde_json::from_str(&heads_view.json()).unwrap();
    let kept: Vec<u64> =
        json["blocks"][0]["layers"].as_array().unwrap().iter().map(|it| it["layer"].as_u64().unwrap()).collect();
    assert!(kept.contains(&2) && kept.len() == 3, "{kept:?}");
    assert!(heads_view.caption().contains("only layers"), "{}", heads_view.caption());
    let all = attention.model_view().build().unwrap();
    assert!(all.caption().contains("the largest of 2 x 2 weights"), "{}", all.caption());
    let json: serde_json::Value = serde_json::from_str(&all.json()).unwrap();
    assert_eq!(json["blocks"][0]["layers"].as_array().unwrap().len(), 4);
}
