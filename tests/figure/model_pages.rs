//! Pages of model views for `tests/browser/test_model_view.py`, which repeats the weights.

use flowlens::attention::Attention;
use flowlens::prelude::ModelView;
use flowlens::{Array, Gallery};

use super::folder;

/// The layer and head that look at the previous token.
const PREVIOUS: (usize, usize) = (4, 2);

/// Weights by a formula, each row of them summing to 1.
fn weights(layers: usize, heads: usize, rows: usize, columns: usize, causal: bool) -> Vec<Array> {
    let row = |layer: usize, head: usize, i: usize| {
        let weight = |j: usize| match j {
            _ if causal && j > i => 0,
            _ if (layer, head) == PREVIOUS && j + 1 == i => 2001 + (layer * 7 + head * 13 + i * 31 + j * 17) % 23,
            _ => 1 + (layer * 7 + head * 13 + i * 31 + j * 17) % 23,
        };
        let sum: usize = (0..columns).map(weight).sum();
        (0..columns).map(move |j| weight(j) as f32 / sum as f32).collect::<Vec<f32>>()
    };
    let layer = |layer: usize| {
        let rows_of = |head: usize| (0..rows).flat_map(move |i| row(layer, head, i));
        Array::new(&[heads, rows, columns], (0..heads).flat_map(rows_of).collect()).unwrap()
    };
    (0..layers).map(layer).collect()
}

fn words() -> Vec<&'static str> {
    "The Ġcat Ġsat Ġon Ġthe Ġmat Ġand Ġthen Ġit Ġlooked Ġat Ġme".split(' ').collect()
}

#[test]
fn writes_pages_of_model_views() {
    let folder = folder("figures");
    let model = ModelView::new(words(), weights(6, 8, 12, 12, false)).unwrap();
    model.save(folder.join("model.html")).unwrap();
    model.save(folder.join("model.svg")).unwrap();
    let figures = [model.build().unwrap(), model.build().unwrap()];
    Gallery::new(figures).save(folder.join("model_two.html")).unwrap();
    let pair = model.second_text_at(5);
    pair.save(folder.join("model_pair.html")).unwrap();
    pair.save(folder.join("model_pair.svg")).unwrap();

    let three = Attention::encoder_decoder(
        words(),
        words().into_iter().take(7),
        weights(6, 8, 12, 12, false),
        weights(3, 4, 7, 7, true),
        weights(3, 4, 7, 12, false),
    );
    three.unwrap().model_view().save(folder.join("model_seq2seq.html")).unwrap();

    let tokens: Vec<String> = (0..512).map(|at| format!("Ġw{at}")).collect();
    ModelView::new(tokens, weights(3, 12, 512, 512, false)).unwrap().save(folder.join("model_long.html")).unwrap();
}

/// What the browser opens at 12 x 12 heads must stay small.
#[test]
fn a_page_of_512_tokens_has_at_most_ten_megabytes() {
    let tokens: Vec<String> = (0..512).map(|at| format!("Ġw{at}")).collect();
    let page = ModelView::new(tokens, weights(12, 12, 512, 512, false)).unwrap().build().unwrap().html();
    assert!(page.len() < 10_000_000, "{} bytes", page.len());
}
