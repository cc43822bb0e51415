//! The script reads every name as it is written here.

use serde_json::Value;

use crate::Array;
use crate::experiment::{Axis, CellAnswers, EffectKind, Effects, Metric, PairTokens};

/// The names that a typedef of the scripts has, in their order.
fn typedef(name: &str) -> Vec<String> {
    let text = include_str!("../assets/src/effects/payload.js");
    let start = text.find(&format!("@typedef {{object}} {name}\n"));
    let start = start.or_else(|| text.find(&format!("@typedef {{object}} {name} ")));
    let lines = text[start.unwrap_or_else(|| panic!("no typedef {name}"))..].lines().skip(1);
    let properties = lines.take_while(|line| line.contains("@property"));
    properties.map(|line| line.split("} ").nth(1).unwrap().split_whitespace().next().unwrap().to_owned()).collect()
}

fn assert_known(name: &str, value: &Value) {
    let mut names: Vec<String> = value.as_object().unwrap().keys().cloned().collect();
    let mut known = typedef(name);
    names.sort();
    known.sort();
    assert_eq!(names, known, "{name}");
}

fn effects(kind: EffectKind) -> Effects {
    let tokens = |word: &str| PairTokens {
        clean: vec!["a".to_owned(), word.to_owned()],
        corrupted: vec!["a".to_owned(), "c".to_owned()],
        ..PairTokens::default()
    };
    Effects {
        name: "patch.z".to_owned(),
        model: "m".to_owned(),
        metric: Metric::Prob,
        kind,
        // Position 0 was left out.
        axes: vec![
            Axis { name: "layer".to_owned(), labels: vec!["0".to_owned(), "1".to_owned()] },
            Axis { name: "position".to_owned(), labels: vec!["1 b".to_owned()] },
        ],
        values: Array::new(&[2, 2, 1], vec![0.1, 0.2, 0.3, 0.5]).unwrap(),
        clean: vec![0.5, 0.6],
        corrupted: vec![0.1, 0.1],
        pairs: vec![tokens("b"), tokens("d")],
        answers: vec![CellAnswers { cells: vec![Vec::new(); 2], ..CellAnswers::default() }],
    }
}

#[test]
fn scripts_know_what_a_page_carries() {
    let data = effects(EffectKind::Patched).figure().unwrap().data;
    assert_known("Effects", &data);
    for (name, list) in [("Axis", "axes"), ("Show", "shows"), ("Pair", "pairs"), ("Answers", "answers")] {
        assert_known(name, &data[list][0]);
    }
    let names: Vec<&str> =
        data["shows"].as_array().unwrap().iter().map(|show| show["name"].as_str().unwrap()).collect();
    assert_eq!(names, ["normalised", "effect", "value", "p"]);
    assert_eq!(data["axes"][1]["tokens"], serde_json::json!(["b, d"]));
    // Each pair's own tokens, at the positions that were swept.
    assert_eq!(data["pairs"][1]["axes"][1]["tokens"], serde_json::json!(["d"]));
    assert_eq!(data["pairs"][1]["axes"][1]["corrupted"], serde_json::json!(["c"]));
    assert_eq!(data["first"], serde_json::json!([1, 0]));
}

#[test]
fn every_kind_has_its_baseline_and_its_way() {
    let of = |kind| {
        let data = effects(kind).figure().unwrap().data;
        let number = |name: &str| data["pairs"][0][name].as_f64().map(|number| (number * 10.0).round() / 10.0);
        (number("base"), number("way"), data["shows"].as_array().unwrap().len())
    };
    assert_eq!(of(EffectKind::Patched), (Some(0.1), Some(0.4), 4));
    assert_eq!(of(EffectKind::Noised), (Some(0.5), Some(-0.4), 4));
    assert_eq!(of(EffectKind::Ablated), (Some(0.5), None, 3));
    assert_eq!(of(EffectKind::Estimated), (Some(0.0), Some(0.4), 3));
    assert_eq!(of(EffectKind::Direct), (Some(0.0), None, 2));
}

#[test]
fn what_does_not_fit_is_an_error_and_no_picture() {
    let short = Effects { clean: vec![0.5], ..effects(EffectKind::Patched) };
    assert!(short.figure().unwrap_err().to_string().contains("patch.z"));
}
