//! Made-up runs whose shapes are those of real ones; `tests/browser/test_trajectory.py` knows the formulas.

use flowlens::trajectory::{
    AttentionMaps, AttributionBlock, AttributionMaps, Decoding, Kernel, KernelKind, LayerMaps, MapBlock, Near,
    PositionKernels, ReadAs, Share, Similarity, SimilarityMap, SimilarityMaps, Treatment, Walk, WalkStep,
};
use flowlens::{Array, Site};

pub fn words(count: usize) -> Vec<String> {
    let text: Vec<&str> = "The cat sat on the mat and then it looked at me for a while".split(' ').collect();
    (0..count).map(|place| format!(" {}", text[place % text.len()])).collect()
}

/// A number between -1 and 1 that looks like chance and is the same everywhere.
fn noise(seed: usize) -> f32 {
    let mixed = (seed as u64).wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(23).wrapping_mul(0xd6e8_feb8_6659_fd93);
    (mixed >> 40) as f32 / (1u64 << 23) as f32 - 1.0
}

fn array(shape: &[usize], number: impl Fn(usize) -> f32) -> Array {
    Array::new(shape, (0..shape.iter().product()).map(number).collect()).unwrap()
}

/// Two of T5's kind, of eight heads, and the mean of scores by distance for two layers of another.
pub fn kernels() -> PositionKernels {
    let bias = |block: &str, causal: bool| {
        let offsets: Vec<i64> = (-128..=if causal { 0 } else { 128 }).collect();
        let width = offsets.len();
        let value = |at: usize| {
            let (head, offset) = ((at / width) as f32, offsets[at % width] as f32);
            let near = -(1.0 + offset.abs()).ln() * (head - 2.0) * 0.6;
            let side = if offset > 0.0 { 0.4 * head } else { 0.0 };
            near + side + if offset == -1.0 && head == 5.0 { 6.0 } else { 0.0 }
        };
        let values = array(&[8, width], value);
        let layers = (0..6).collect();
        Kernel {
            block: block.to_owned(),
            layers,
            kind: KernelKind::Bias,
            offsets,
            values,
            spread: None,
            counts: None,
            causal,
        }
    };
    let mean = |layer: usize| {
        let offsets: Vec<i64> = (-15..=0).collect();
        let values = array(&[4, 16], |at| {
            if at == 16 { f32::NAN } else { ((at % 16) as f32 / 4.0).sin() * (1 + layer + at / 16) as f32 }
        });
        let spread = array(&[4, 16], |at| if at == 16 { f32::NAN } else { 0.3 + 0.05 * (at % 16) as f32 });
        let counts = Some((1..=16).collect());
        let (spread, block) = (Some(spread), "all".to_owned());
        Kernel { block, layers: vec![layer], kind: KernelKind::Mean, offsets, values, spread, counts, causal: true }
    };
    let kernels = vec![bias("encoder", false), bias("decoder", true), mean(0), mean(3)];
    PositionKernels { model: "made-up/kernels".to_owned(), kernels }
}

fn layer(number: usize, heads: usize, sides: [usize; 2], causal: bool, biased: bool) -> LayerMaps {
    let [t, s] = sides;
    let place = |at: usize| (at / (t * s), at / s % t, at % s);
    let content = array(&[heads, t, s], |at| {
        let (head, i, j) = place(at);
        2.0 * noise(number * 7919 + head * 613 + i * 31 + j) + if (i + j + head) % 7 == 0 { 2.5 } else { 0.0 }
    });
    let bias = array(&[heads, t, s], |at| {
        let (head, i, j) = place(at);
        -0.25 * (head as f32 - 1.0) * (1.0 + i.abs_diff(j) as f32).ln()
    });
    let visible: Vec<bool> = (0..t * s).map(|at| !causal || at % s <= at / s).collect();
    let scores = array(&[heads, t, s], |at| content.data()[at] + if biased { bias.data()[at] } else { 0.0 });
    let mut shares = scores.data().to_vec();
    for (at, row) in shares.chunks_mut(s).enumerate() {
        let seen = &visible[at % t * s..(at % t + 1) * s];
        row.iter_mut().zip(seen).for_each(|(it, &seen)| *it = if seen { it.exp() } else { 0.0 });
        let sum: f32 = row.iter().sum();
        row.iter_mut().for_each(|it| *it /= sum);
    }
    let probabilities = Array::new(&[heads, t, s], shares).unwrap();
    LayerMaps {
        number,
        heads: (0..heads).collect(),
        content,
        bias: biased.then_some(bias),
        scores,
        probabilities,
        visible,
    }
}

/// Encoder, decoder and cross attention; the decoder reads the text's first part. The last is without a bias.
pub fn attention(text: &[String], layers: usize, heads: usize) -> AttentionMaps {
    let part = text[..text.len().div_ceil(2)].to_vec();
    let block = |name: &str, queries: &[String], keys: &[String], causal, biased| MapBlock {
        name: name.to_owned(),
        queries: queries.to_vec(),
        keys: keys.to_vec(),
        left_out: Vec::new(),
        layers: (0..layers).map(|number| layer(number, heads, [queries.len(), keys.len()], causal, biased)).collect(),
    };
    let mut blocks = vec![block("encoder", text, text, false, true)];
    if text.len() < 400 {
        blocks.push(block("decoder", &part, &part, true, true));
        blocks.push(block("cross", &part, text, false, false));
    }
    AttentionMaps { model: "made-up/t5".to_owned(), blocks }
}

fn nearest(token: &str) -> Vec<Near> {
    let near = |id, text: &str, score| Near { id, text: text.to_owned(), score };
    vec![near(1, token, 12.5), near(2, " dog", 7.25), near(3, "<b>", -1.5)]
}

pub fn similarity(text: &[String], layers: usize) -> SimilarityMaps {
    let n = text.len();
    let map = |layer: usize| {
        let values = array(&[n, n], |at| {
            let (i, j) = (at / n, at % n);
            let near = (-(i.abs_diff(j) as f32) / (1.0 + layer as f32)).exp();
            if i == j {
                1.0
            } else {
                (0.8 * near + 0.3 * noise(layer * 977 + i.min(j) * 131 + i.max(j))).clamp(-1.0, 1.0)
            }
        });
        let name = if layer == 0 { "embeddings".to_owned() } else { format!("after layer {}", layer - 1) };
        let site = if layer == 0 { Some(Site::ResidPre(0)) } else { Some(Site::ResidPost(layer - 1)) };
        SimilarityMap { name, site, values, nearest: text.iter().map(|token| nearest(token)).collect() }
    };
    SimilarityMaps {
        model: "made-up/similar".to_owned(),
        block: "all".to_owned(),
        measure: Similarity::Cosine,
        treatment: Treatment { centred: true, without_first: true, ..Treatment::default() },
        rows: text.to_vec(),
        columns: text.to_vec(),
        maps: (0..layers).map(map).collect(),
        cka: Some(array(&[layers, layers], |at| 1.0 - (at / layers).abs_diff(at % layers) as f32 / layers as f32)),
        read: ReadAs::FinalNorm,
    }
}

pub fn walk(text: &[String], steps: usize) -> Walk {
    let p = text.len();
    let coordinate = |at: usize| {
        let (step, place, axis) = ((at / 3 / p) as f32, at / 3 % p, at % 3);
        let turn = 0.4 * step + place as f32;
        let far = (1.0 + step) * [1.0, 0.7, 0.4][axis];
        far * [turn.cos(), turn.sin(), 0.5 * step - 1.0 + noise(place)][axis]
    };
    let by = |rows: usize, scale: f32| array(&[rows, p], |at| scale * (1.2 + (at / p) as f32 / 4.0 + 0.5 * noise(at)));
    let name = |step: usize| if step == 0 { "in".to_owned() } else { format!("after layer {}", step - 1) };
    let site = |step: usize| if step == 0 { Site::ResidPre(0) } else { Site::ResidPost(step - 1) };
    let share = |sublayer: &str| {
        let side = if sublayer == "MLP" { -0.4 } else { 0.4 };
        Share { sublayer: sublayer.to_owned(), values: array(&[steps - 1, p], |at| 0.5 + side * noise(at)) }
    };
    Walk {
        model: "made-up/walker".to_owned(),
        block: "all".to_owned(),
        positions: (0..p).collect(),
        tokens: text.to_vec(),
        given: None,
        steps: (0..steps).map(|step| WalkStep { name: name(step), site: site(step) }).collect(),
        coordinates: array(&[steps, p, 3], coordinate),
        explained: vec![0.51, 0.2, 0.08],
        norm: by(steps, 10.0),
        step_length: by(steps - 1, 4.0),
        angle: by(steps - 1, 0.3),
        turning: by(steps - 2, 0.5),
        radial: array(&[steps - 1, p], noise),
        path_length: (0..p).map(|place| 20.0 + place as f32).collect(),
        straightness: (0..p).map(|place| 0.5 + 0.3 * noise(place)).collect(),
        anisotropy: (0..steps).map(|step| 0.2 + 0.6 * step as f32 / steps as f32).collect(),
        angle_from_start: by(steps, 0.2),
        angle_to_end: by(steps, 0.25),
        shares: ["attention", "MLP"].map(share).to_vec(),
        treatment: Treatment::default(),
        axes: array(&[3, 4], noise),
        mean: array(&[4], noise),
        read: ReadAs::FinalNorm,
        nearest: (0..steps).map(|_| text.iter().map(|token| nearest(token)).collect()).collect(),
    }
}

pub fn decoding(text: &[String]) -> Decoding {
    let n = text.len();
    let probability: Vec<f32> = (0..n - 1).map(|at| (0.5 + 0.5 * noise(at)).powi(2)).collect();
    Decoding {
        model: "made-up/decoder".to_owned(),
        tokens: text.to_vec(),
        ids: (0..n as u32).collect(),
        rank: probability.iter().map(|&it| (1.0 / it.max(1e-4)) as usize).map(|rank| rank.max(1)).collect(),
        probability,
        entropy: (0..n).map(|at| 4.0 + 3.0 * noise(at + 40)).collect(),
        top_count: (0..n).map(|at| 1 + (30.0 * (1.0 + noise(at + 80))) as usize).collect(),
        top_p: 0.9,
    }
}

pub fn attribution(text: &[String], layers: usize) -> AttributionMaps {
    let map = |layer: usize| {
        let n = text.len();
        let mut rows: Vec<f32> = (0..n * n).map(|at| (1.0 + noise(layer * 31 + at)).powi(2)).collect();
        for row in rows.chunks_mut(n) {
            let sum: f32 = row.iter().sum();
            row.iter_mut().for_each(|it| *it /= sum);
        }
        (layer, Array::new(&[n, n], rows).unwrap())
    };
    let block = |name: &str| AttributionBlock {
        name: name.to_owned(),
        queries: text.to_vec(),
        keys: text.to_vec(),
        layers: (0..layers).map(map).collect(),
    };
    AttributionMaps { model: "made-up/t5".to_owned(), blocks: vec![block("encoder"), block("decoder")] }
}
