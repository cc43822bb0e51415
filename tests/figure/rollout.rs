//! Pages of rollout views for the browser, of weights that `tests/browser/test_rollout_view.py` repeats.

use flowlens::Gallery;
use flowlens::attention::Attention;
use flowlens::ndarray::Array3;

/// Layers of two heads, with rows of sum 1.
fn layers(count: usize, tokens: usize, causal: bool) -> Vec<Array3<f32>> {
    let layer = |layer: usize| {
        let mut weights = Array3::from_shape_fn((2, tokens, tokens), |(head, i, j)| {
            let weight = 1 + (layer * 7 + head * 13 + i * 31 + j * 17) % 23;
            if causal && j > i { 0.0 } else { weight as f32 }
        });
        for mut row in weights.rows_mut() {
            let sum = row.sum();
            row /= sum;
        }
        weights
    };
    (0..count).map(layer).collect()
}

fn words(count: usize) -> Vec<String> {
    let text: Vec<&str> = "The cat sat on the mat and then it looked at me".split(' ').collect();
    (0..count).map(|place| text[place % text.len()].to_owned()).collect()
}

#[test]
fn writes_rollout_views() {
    let folder = super::folder("figures");
    let page = |name: &str| folder.join(format!("{name}.html"));
    let attention = |count, tokens, causal| Attention::new(words(tokens), layers(count, tokens, causal)).unwrap();

    attention(5, 12, false).rollout_view().save(page("rollout")).unwrap();
    attention(5, 12, false).rollout_view().save(folder.join("rollout.svg")).unwrap();
    attention(5, 12, true).rollout_view().layer(2).token(7).residual(false).save(page("rollout_causal")).unwrap();
    attention(30, 8, true).rollout_view().save(page("rollout_deep")).unwrap();
    attention(12, 512, true).rollout_view().save(page("rollout_long")).unwrap();
    let both = attention(5, 12, false);
    Gallery::new([both.rollout_view().build().unwrap(), both.model_view().build().unwrap()])
        .save(page("rollout_linked"))
        .unwrap();
}
