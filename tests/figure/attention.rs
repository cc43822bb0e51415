//! Pages of attention views for the browser, of weights that are the same at every run.

use std::fs;

use flowlens::Gallery;
use flowlens::attention::{Attention, HeadView};
use flowlens::ndarray::Array3;

const TEXT: &str = "The ▁capital ▁of ▁Japan ▁is ▁the ▁city ▁of ▁Tokyo , ▁antidisestablishment arian";

/// Layers of softmax rows over numbers that a small generator draws.
pub fn random(seed: u64, layers: usize, heads: usize, queries: usize, keys: usize, causal: bool) -> Vec<Array3<f32>> {
    let mut state = seed;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1 << 24) as f32
    };
    let layer = |_| {
        let mut weights = Array3::from_shape_fn((heads, queries, keys), |(_, query, key)| {
            let number = draw();
            if causal && key > query { 0.0 } else { (6.0 * number).exp() }
        });
        for mut row in weights.rows_mut() {
            let sum = row.sum();
            row /= sum;
        }
        weights
    };
    (0..layers).map(layer).collect()
}

/// Words of a text of any length, with a class token and separators where they are wanted.
fn words(count: usize, separators: &[usize]) -> Vec<String> {
    let text: Vec<&str> = TEXT.split(' ').collect();
    let word = |place: usize| match separators.iter().position(|&it| it == place) {
        Some(0) => "[CLS]".to_owned(),
        Some(_) => "[SEP]".to_owned(),
        None => text[place % text.len()].to_owned(),
    };
    (0..count).map(word).collect()
}

#[test]
fn writes_head_views() {
    let folder = super::folder("figures");
    let page = |name: &str| folder.join(format!("{name}.html"));

    let layers = random(1, 4, 12, 10, 10, false);
    let exact: Vec<Vec<f32>> = layers.iter().map(|layer| layer.iter().copied().collect()).collect();
    fs::write(folder.join("head_weights.json"), serde_json::to_string(&exact).unwrap()).unwrap();
    let attention = Attention::new(words(10, &[0, 9]), layers).unwrap();
    attention.head_view().layer(1).save(page("head")).unwrap();
    attention.head_view().layer(1).save(folder.join("head.svg")).unwrap();
    let figure = || attention.head_view().build().unwrap();
    Gallery::new([figure(), figure()]).save(page("head_two")).unwrap();
    Gallery::new([figure(), attention.model_view().build().unwrap()]).save(page("head_linked")).unwrap();

    let pair = HeadView::new(words(14, &[0, 7, 13]), random(2, 3, 4, 14, 14, false)).unwrap();
    pair.second_text_at(8).save(page("head_pair")).unwrap();

    let three = Attention::encoder_decoder(
        words(12, &[]),
        words(7, &[]),
        random(3, 4, 6, 12, 12, false),
        random(4, 2, 4, 7, 7, true),
        random(5, 2, 4, 7, 12, false),
    );
    three.unwrap().head_view().save(page("head_seq2seq")).unwrap();

    let one = |seed| Attention::new(words(10, &[]), random(seed, 2, 4, 10, 10, true)).unwrap();
    one(9).minus(&one(10)).unwrap().head_view().save(page("head_difference")).unwrap();

    let long = HeadView::new(words(512, &[]), random(6, 2, 12, 512, 512, true)).unwrap();
    long.save(page("head_long")).unwrap();
    HeadView::new(words(64, &[]), random(7, 2, 12, 64, 64, true)).unwrap().save(folder.join("head_64.svg")).unwrap();
}
