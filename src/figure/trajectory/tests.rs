//! The scripts read every name as it is written here; odd data is drawn or named.

use serde_json::Value;

use super::payload::tests::assert_known;
use crate::Array;
use crate::figure::Figure;
use crate::site::Site;
use crate::trajectory::{
    AttentionMaps, AttributionBlock, AttributionMaps, Decoding, Kernel, KernelKind, LayerMaps, MapBlock, Near,
    PositionKernels, ReadAs, Share, Similarity, SimilarityMap, SimilarityMaps, Treatment, Walk, WalkStep,
};

fn array(shape: &[usize], number: impl Fn(usize) -> f32) -> Array {
    Array::new(shape, (0..shape.iter().product()).map(number).collect()).unwrap()
}

/// A number between -1 and 1 that looks like chance: nothing deflates it.
fn noise(seed: usize) -> f32 {
    let mixed =
        (seed as u64 + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}

fn tokens(count: usize) -> Vec<String> {
    (0..count).map(|at| format!(" t{at}")).collect()
}

fn attention(count: usize, layers: usize, heads: usize) -> AttentionMaps {
    let cells = count * count;
    let content = array(&[heads, count, count], |at| noise(at) * 5.0);
    let bias = array(&[heads, count, count], |at| (at % cells % count) as f32 * 0.1);
    let scores = array(&[heads, count, count], |at| content.data()[at] + bias.data()[at]);
    let layer = |number| LayerMaps {
        number,
        heads: (0..heads).collect(),
        content: content.clone(),
        bias: Some(bias.clone()),
        scores: scores.clone(),
        probabilities: array(&[heads, count, count], |at| noise(at + 7).abs()),
        visible: (0..cells).map(|at| at % count <= at / count).collect(),
    };
    let (queries, keys) = (tokens(count), tokens(count));
    let layers = (0..layers).map(layer).collect();
    AttentionMaps {
        model: "m".to_owned(),
        blocks: vec![MapBlock { name: "all".to_owned(), queries, keys, layers, left_out: vec![9] }],
    }
}

fn similarity() -> SimilarityMaps {
    let nearest = vec![vec![Near { id: 1, text: " x".to_owned(), score: 2.0 }]; 3];
    let map = |layer| SimilarityMap {
        name: format!("after layer {layer}"),
        site: Some(Site::ResidPost(layer)),
        values: array(&[3, 3], |at| at as f32 / 9.0),
        nearest: nearest.clone(),
    };
    SimilarityMaps {
        model: String::new(),
        block: "all".to_owned(),
        measure: Similarity::Dot,
        treatment: Treatment { centred: true, ..Treatment::default() },
        rows: tokens(3),
        columns: tokens(3),
        maps: vec![map(0), map(1)],
        cka: Some(array(&[2, 2], |_| 1.0)),
        read: ReadAs::Raw,
    }
}

fn walk(positions: usize, steps: usize) -> Walk {
    let by = |rows: usize| array(&[rows, positions], |at| at as f32 * 0.1);
    Walk {
        model: "m".to_owned(),
        block: "all".to_owned(),
        treatment: Treatment::default(),
        positions: (0..positions).collect(),
        tokens: tokens(positions),
        steps: (0..steps).map(|at| WalkStep { name: format!("after layer {at}"), site: Site::ResidPost(at) }).collect(),
        coordinates: array(&[steps, positions, 3], |at| at as f32),
        given: None,
        explained: vec![0.5, 0.25, 0.125],
        axes: array(&[3, 2], |_| 0.0),
        mean: array(&[2], |_| 0.0),
        norm: by(steps),
        step_length: by(steps - 1),
        angle: by(steps - 1),
        turning: by(steps.saturating_sub(2)),
        radial: by(steps - 1),
        angle_from_start: by(steps),
        angle_to_end: by(steps),
        path_length: vec![1.0; positions],
        straightness: vec![f32::NAN; positions],
        anisotropy: vec![0.5; steps],
        shares: vec![Share { sublayer: "MLP".to_owned(), values: by(steps - 1) }],
        nearest: Vec::new(),
        read: ReadAs::FinalNorm,
    }
}

fn kernels() -> PositionKernels {
    let kernel = Kernel {
        block: "encoder".to_owned(),
        layers: vec![0, 1],
        kind: KernelKind::Mean,
        offsets: vec![-1, 0, 1],
        values: array(&[2, 3], |at| if at == 2 { f32::NAN } else { at as f32 }),
        spread: Some(array(&[2, 3], |_| 0.5)),
        counts: Some(vec![1, 2, 1]),
        causal: false,
    };
    PositionKernels { model: "m".to_owned(), kernels: vec![kernel] }
}

fn decoding() -> Decoding {
    Decoding {
        model: "m".to_owned(),
        tokens: tokens(3),
        ids: vec![0, 1, 2],
        probability: vec![0.5, f32::NAN],
        rank: vec![1, 40],
        entropy: vec![1.0, 2.0, 3.0],
        top_count: vec![1, 2, 300],
        top_p: 0.9,
    }
}

/// Every object of a page has the names of its typedef.
fn known(figure: &Figure, name: &str, parts: &[(&str, &str)]) {
    assert_known(name, &figure.data);
    for (typedef, pointer) in parts {
        assert_known(typedef, figure.data.pointer(pointer).unwrap_or(&Value::Null));
    }
}

#[test]
fn scripts_know_every_name_by_the_same_spelling() {
    let maps = [
        ("MapKind", "/kinds/0"),
        ("Scale", "/kinds/0/scale"),
        ("MapBlock", "/blocks/0"),
        ("MapLayer", "/blocks/0/layers/0"),
        ("Numbers", "/blocks/0/layers/0/values/0"),
        ("First", "/first"),
    ];
    known(&attention(3, 1, 1).figure(), "Maps", &maps);
    known(&similarity().figure(), "Maps", &maps);
    known(&kernels().figure(), "Kernels", &[("Kernel", "/kernels/0"), ("Numbers", "/kernels/0/spread")]);
    known(&walk(2, 3).figure(), "Walk", &[("Quantity", "/quantities/0"), ("Numbers", "/coordinates")]);
    known(&decoding().figure(), "Decoding", &[]);
}

#[test]
fn a_sum_is_not_packed_and_equal_numbers_are_packed_once() {
    let figure = attention(6, 3, 2).figure();
    let layers = figure.data["blocks"][0]["layers"].as_array().unwrap();
    assert!(layers.iter().all(|layer| layer["sums"] == true && layer["values"][2].is_null()));
    assert_eq!(figure.packed.len(), 3, "content, bias and probabilities are the same in all layers");
    assert!(figure.caption.contains("Layers 9 of \"all\" were not taken"), "{}", figure.caption);
    let mut odd = attention(6, 1, 2);
    odd.blocks[0].layers[0].scores = array(&[2, 6, 6], |at| at as f32);
    let figure = odd.figure();
    assert_eq!(figure.data["blocks"][0]["layers"][0]["sums"], false, "scores that are capped are no sum");
}

#[test]
fn what_is_too_much_for_a_page_is_thinned_evenly_and_said() {
    let figure = attention(256, 24, 16).figure_of("all", 5, &[3]).unwrap();
    let letters: usize = figure.packed.iter().map(String::len).sum();
    assert!(letters < 3_000_000, "{letters}");
    let layers = figure.data["blocks"][0]["layers"].as_array().unwrap();
    assert!(layers.iter().any(|layer| layer["number"] == 5 && layer["heads"].as_array().unwrap().contains(&3.into())));
    assert!(figure.caption.contains("this page holds those of all: layer") && figure.caption.contains("figure_of(..)"));
    assert!(figure.caption.contains("rounded to 63 levels"), "{}", figure.caption);
    assert!(figure.plotly.is_none() && figure.json.to_string().len() < 3_000_000);
}

#[test]
fn names_that_are_not_there_are_refused_with_those_that_are() {
    let maps = attention(3, 2, 2);
    let told = |error: crate::Result<Figure>| error.unwrap_err().to_string().replace("figure: ", "");
    assert_eq!(told(maps.figure_of("cross", 0, &[])), "no block cross in this figure; there are all");
    assert_eq!(told(maps.figure_of("all", 7, &[])), "no layer 7 in this figure; there are 0, 1");
    assert_eq!(told(maps.figure_of("all", 1, &[5])), "no head 5 in this figure; there are 0, 1");
    assert!(told(kernels().figure_of("encoder", 4, &[])).contains("encoder, layers 0 to 1: mean score"));
    assert!(told(kernels().figure_of("encoder", 1, &[2])).contains("no head 2"));
    assert!(told(similarity().figure_of("after layer 2")).contains("\"after layer 1\""));
}

#[test]
fn odd_data_is_drawn_too() {
    let mut maps = attention(3, 2, 2);
    maps.blocks[0].layers[0].content = array(&[1, 2], |_| 0.0);
    let figure = maps.figure();
    assert!(
        figure.caption.contains("Not drawn, since its numbers do not fit its tokens: layer 0"),
        "{}",
        figure.caption
    );
    assert_eq!(figure.data["first"]["layer"], 1);
    maps.blocks.clear();
    assert!(maps.figure().html().contains("attention-maps"));
    let mut none = kernels();
    none.kernels[0].offsets.pop();
    none.kernels[0].offsets.pop();
    none.kernels[0].offsets.pop();
    assert!(none.figure().caption().contains("1 kernels whose numbers do not fit"));
    let blank = AttributionMaps {
        model: String::new(),
        blocks: vec![AttributionBlock {
            name: "all".to_owned(),
            queries: tokens(2),
            keys: tokens(2),
            layers: vec![(0, array(&[2, 2], |_| f32::NAN))],
        }],
    };
    let empty = Walk { positions: Vec::new(), tokens: Vec::new(), ..walk(2, 1) };
    let nothing = Decoding {
        tokens: Vec::new(),
        probability: Vec::new(),
        rank: Vec::new(),
        entropy: Vec::new(),
        top_count: Vec::new(),
        ..decoding()
    };
    for figure in [blank.figure(), empty.figure(), nothing.figure(), walk(1, 1).figure(), walk(100, 4).figure()] {
        assert!(!figure.svg().contains("NaN") && !figure.svg().contains("inf"), "{}", figure.title);
        assert!(figure.json().starts_with('{'));
    }
}

#[test]
fn captions_name_what_was_done_to_vectors_and_how_words_are_read() {
    let caption = similarity().figure().caption;
    assert!(caption.contains("the mean vector is subtracted at each depth"), "{caption}");
    assert!(caption.contains("raw, without the final norm: this is no logit lens: “x” for “t0”"), "{caption}");
    assert!(!walk(2, 3).figure().caption.contains("Before that"));
}

#[test]
fn what_was_written_is_told_from_what_was_given() {
    let figure = Walk { given: Some(2), ..walk(16, 3) }.figure();
    let caption = &figure.caption;
    assert!(caption.contains("Given: “t0”, “t1”. Written by the model, in heavier lines: “t2”, “t3”, "), "{caption}");
    assert!(caption.contains("“t13” and 2 more."), "{caption}");
    assert_eq!((&figure.data["given"], figure.svg().matches("stroke-width=\"3\"").count()), (&2.into(), 4));
    for given in [None, Some(16), Some(99)] {
        let figure = Walk { given, ..walk(16, 3) }.figure();
        assert!(!figure.caption.contains("Given") && !figure.svg().contains("stroke-width=\"3\""), "{given:?}");
        assert!(figure.data["given"].is_null(), "{given:?}");
    }
}

#[test]
fn one_scale_serves_all_layers_of_a_kind() {
    let mut maps = attention(4, 2, 1);
    maps.blocks[0].layers[1].content = array(&[1, 4, 4], |_| -300.0);
    let figure = maps.figure();
    assert_eq!(figure.data["kinds"][0]["scale"]["high"], 300.0);
    let cosine = SimilarityMaps { measure: Similarity::Cosine, ..similarity() }.figure();
    assert_eq!(
        (&cosine.data["kinds"][0]["scale"]["low"], &cosine.data["kinds"][0]["scale"]["high"]),
        (&(-1.0).into(), &1.0.into())
    );
}
