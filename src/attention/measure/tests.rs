use super::*;
use ndarray::{Array3, array};

fn only(attention: &Attention, measure: Measure) -> Vec<Vec<f32>> {
    attention.blocks()[0].measure(measure).unwrap()
}

fn near(got: &[f32], expected: &[f32]) {
    assert_eq!(got.len(), expected.len());
    assert!(got.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-5), "{got:?}, expected {expected:?}");
}

/// A text that says something twice, seen by a causal head.
fn causal() -> Attention {
    let weights = array![[
        [1.0f32, 0.0, 0.0, 0.0, 0.0],
        [0.5, 0.5, 0.0, 0.0, 0.0],
        [0.2, 0.7, 0.1, 0.0, 0.0],
        [0.1, 0.3, 0.4, 0.2, 0.0],
        [0.3, 0.2, 0.1, 0.25, 0.15],
    ]];
    Attention::new(["<s>", "a", "b", "a", "b"], [weights]).unwrap()
}

#[test]
fn shares_are_means_over_the_queries_that_have_such_a_place() {
    let attention = causal();
    near(&only(&attention, Measure::Previous)[0], &[(0.5 + 0.7 + 0.4 + 0.25) / 4.0]);
    near(&only(&attention, Measure::Itself)[0], &[(0.5 + 0.1 + 0.2 + 0.15) / 4.0]);
    near(&only(&attention, Measure::First)[0], &[(0.5 + 0.2 + 0.1 + 0.3) / 4.0]);
    near(&only(&attention, Measure::SameToken)[0], &[(0.3 + 0.1) / 2.0]);
    // After the first "a" came "b" (2), after the first "b" came "a" (3).
    near(&only(&attention, Measure::Induction)[0], &[(0.4 + 0.25) / 2.0]);
    let far = [0.0, 0.5, 0.4 + 0.7, 0.3 + 0.6 + 0.4, 1.2 + 0.6 + 0.2 + 0.25];
    near(&only(&attention, Measure::Distance)[0], &[far.iter().sum::<f32>() / 5.0]);
}

#[test]
fn entropy_is_in_bits() {
    let weights = array![
        [[0.25f32, 0.25, 0.25, 0.25], [0.0, 1.0, 0.0, 0.0], [0.5, 0.0, 0.0, 0.5], [0.0, 0.0, 0.0, 0.0]],
        [[1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0], [1.0, 0.0, 0.0, 0.0]],
    ];
    let attention = Attention::new(["a", "b", "c", "d"], [weights.clone()]).unwrap();
    // The last query of the first head sees nothing, and is left out.
    near(&only(&attention, Measure::Entropy)[0], &[1.0, 0.0]);
    // Rows that sum to anything are measured as if they summed to 1.
    let weighted = Attention::weighted(["a", "b", "c", "d"], [weights * 7.0]).unwrap();
    near(&only(&weighted, Measure::Entropy)[0], &[1.0, 0.0]);
    near(&only(&weighted, Measure::First)[0], &[0.25, 1.0]);
}

#[test]
fn an_encoder_looks_both_ways_and_has_separators() {
    let even = Array3::from_elem((1, 4, 4), 0.25f32);
    let attention = Attention::new(["[CLS]", "x", "x", "[SEP]"], [even]).unwrap();
    near(&only(&attention, Measure::Next)[0], &[0.25]);
    near(&only(&attention, Measure::SameToken)[0], &[0.25]);
    near(&only(&attention, Measure::Separator)[0], &[0.25]);
    let block = &attention.blocks()[0];
    // Nothing followed the first "x" but the second itself.
    assert!(!block.measures().unwrap().contains(&Measure::Induction));
}

#[test]
fn says_what_does_not_fit() {
    let problem = |attention: &Attention, measure| attention.blocks()[0].measure(measure).unwrap_err().to_string();
    let text = problem(&causal(), Measure::Next);
    assert!(text.contains("block all cannot be measured by next") && text.contains("one of: entropy"), "{text}");
    let cross = Attention::between(["a", "b"], ["a", "</s>"], [Array3::from_elem((1, 2, 2), 0.5f32)]).unwrap();
    let fitting = [Measure::Entropy, Measure::First, Measure::SameToken, Measure::Separator];
    assert_eq!(cross.blocks()[0].measures().unwrap(), fitting);
    near(&only(&cross, Measure::Separator)[0], &[0.5]);
    near(&only(&cross, Measure::SameToken)[0], &[0.5]);
    let mut difference = causal();
    difference.blocks[0].kind = Quantity::Difference;
    assert!(problem(&difference, Measure::Entropy).contains("holds differences"));
    assert!(difference.find(Measure::Entropy, 1).is_err());
    assert_eq!(difference.blocks[0].measured(&Measure::ALL).unwrap(), []);
}

#[test]
fn finds_heads_by_what_they_do() {
    let even = |heads| Array3::from_elem((heads, 3, 3), 1.0f32 / 3.0);
    let mut last = even(2);
    last.slice_mut(ndarray::s![1, 1.., ..]).assign(&array![[0.9, 0.1, 0.0], [0.0, 0.8, 0.2]]);
    let attention = Attention::new(["a", "b", "c"], [even(2), last]).unwrap();
    let found = attention.find(Measure::Previous, 2).unwrap();
    assert_eq!((found.len(), found[0].layer, found[0].head), (2, 1, 1));
    near(&[found[0].value], &[0.85]);
    let table = found.to_string();
    assert!(
        table.starts_with("Previous token: The share") && table.contains("layer  1  head  1    85.00 %"),
        "{table}"
    );
    assert_eq!(attention.find(Measure::Previous, 99).unwrap().len(), 4);
    assert!(attention.find(Measure::Induction, 1).is_err());
}

#[test]
fn names_lead_back() {
    for measure in Measure::ALL {
        assert_eq!(measure.name().parse::<Measure>().unwrap(), measure);
    }
    assert!("entrope".parse::<Measure>().unwrap_err().to_string().contains("there are: entropy, distance"));
}
