//! Figures of experiments, from made-up effects; `tests/browser/test_effects.py` knows the formulas.

use flowlens::attention::{HeadScore, HeadScores, Measure};
use flowlens::experiment::{Axis, Candidate, CellAnswers, EffectKind, Effects, Metric, PairTokens};
use flowlens::{Array, Figure, Model};

fn axis(name: &str, labels: impl IntoIterator<Item = String>) -> Axis {
    Axis { name: name.to_owned(), labels: labels.into_iter().collect() }
}

fn numbers(name: &str, count: usize) -> Axis {
    axis(name, (0..count).map(|number| number.to_string()))
}

fn positions(tokens: &[String]) -> Axis {
    axis("position", tokens.iter().enumerate().map(|(place, token)| format!("{place} {token}")))
}

fn words(text: &str) -> Vec<String> {
    text.split(' ').enumerate().map(|(at, word)| if at == 0 { word.to_owned() } else { format!("␣{word}") }).collect()
}

fn pair(clean: &str, corrupted: &str, right: &str, wrong: &str) -> PairTokens {
    let (clean, corrupted) = (words(clean), words(corrupted));
    let position = clean.len() - 1;
    PairTokens {
        clean,
        corrupted,
        right: vec![right.to_owned()],
        wrong: vec![wrong.to_owned()],
        position,
        ..Default::default()
    }
}

/// What patching layer `l` at position `p` brings back of the answer: at the subject in early layers, at the end in late.
fn brought(layer: usize, position: usize, last: usize) -> f32 {
    let late = 1.0 / (1.0 + (-(layer as f32 - 5.0)).exp());
    match position {
        1 => 1.0 - late,
        at if at == last => late,
        at if at < 1 => 0.0,
        at => 0.04 * ((layer * 7 + at * 3) % 5) as f32 - 0.08,
    }
}

fn candidates(names: &[(&str, f32)]) -> Vec<Candidate> {
    names.iter().map(|&(token, prob)| Candidate { token: token.to_owned(), prob }).collect()
}

/// Patches of twelve layers and seven positions; the second pair is a token shorter.
pub fn patched(pairs: usize) -> Effects {
    let texts = [
        pair("The Eiffel Tower is in the city", "The Space Tower is in the city", "␣Paris", "␣Seattle"),
        pair("The Kremlin is in the city", "The Pentagon is in the city", "␣Moscow", "␣Washington"),
        pair("The Louvre Museum is in the city", "The Prado Museum is in the city", "␣Paris", "␣Madrid"),
    ];
    let texts = &texts[..pairs];
    let (layers, count) = (12, 7);
    let (clean, corrupted) = ([4.0f32, 3.0, 5.0], [-2.0f32, -1.0, -3.0]);
    let mut values = Vec::new();
    for (at, text) in texts.iter().enumerate() {
        for layer in 0..layers {
            for position in 0..count {
                let there = position < text.clean.len();
                let part = brought(layer, position, text.clean.len() - 1) + 0.02 * at as f32;
                values.push(if there { corrupted[at] + part * (clean[at] - corrupted[at]) } else { f32::NAN });
            }
        }
    }
    let cell = |cell: usize| {
        let part = brought(cell / count, cell % count, 6).clamp(0.0, 1.0);
        candidates(&[("␣Paris", 0.6 * part), ("␣Seattle", 0.6 * (1.0 - part)), ("␣of", 0.2), ("</td><b>", 0.01)])
    };
    let answers = CellAnswers {
        pair: 0,
        clean: candidates(&[("␣Paris", 0.6), ("␣of", 0.2)]),
        corrupted: candidates(&[("␣Seattle", 0.6), ("␣of", 0.2)]),
        cells: (0..layers * count).map(cell).collect(),
    };
    Effects {
        name: "patch.resid_pre".to_owned(),
        model: "made/up".to_owned(),
        metric: Metric::LogitDiff,
        kind: EffectKind::Patched,
        axes: vec![numbers("layer", layers), positions(&texts[0].clean)],
        values: Array::new(&[pairs, layers, count], values).unwrap(),
        clean: clean[..pairs].to_vec(),
        corrupted: corrupted[..pairs].to_vec(),
        pairs: texts.to_vec(),
        answers: vec![answers],
    }
}

/// Another experiment with the first pair's texts: its values by cell.
fn other(name: &str, kind: EffectKind, axes: Vec<Axis>, value: impl Fn(usize) -> f32) -> Effects {
    let shape: Vec<usize> = std::iter::once(1).chain(axes.iter().map(|axis| axis.labels.len())).collect();
    let values = (0..shape.iter().product()).map(value).collect();
    let corrupted = if matches!(kind, EffectKind::Direct | EffectKind::Ablated) { Vec::new() } else { vec![-2.0] };
    Effects {
        name: name.to_owned(),
        kind,
        axes,
        values: Array::new(&shape, values).unwrap(),
        corrupted,
        answers: Vec::new(),
        ..patched(1)
    }
}

/// Heads by layer, head and position.
pub fn heads() -> Effects {
    let tokens = words("The Eiffel Tower is in the city");
    let axes = vec![numbers("layer", 6), numbers("head", 4), positions(&tokens)];
    other("patch.z", EffectKind::Patched, axes, |at| {
        let (layer, head, position) = (at / 28, at / 7 % 4, at % 7);
        if (layer, head, position) == (4, 2, 6) { 2.5 } else { -2.0 + 0.03 * ((at * 13) % 11) as f32 }
    })
}

pub fn layers() -> Effects {
    let axes = vec![numbers("layer", 12)];
    let effect = |layer: usize| if layer == 0 { -4.0 } else { 1.5 * (layer as f32).sin() };
    let one = other("ablate.mean.mlp_out", EffectKind::Ablated, axes, |layer| 4.0 + effect(layer));
    let [a, b] =
        [0.0f32, 0.5].map(|more| one.values.data().iter().map(move |value| value + more).collect::<Vec<f32>>());
    Effects {
        values: Array::new(&[2, 12], [a, b].concat()).unwrap(),
        clean: vec![4.0, 4.2],
        pairs: vec![one.pairs[0].clone(), one.pairs[0].clone()],
        ..one
    }
}

pub fn direct() -> Effects {
    let sublayers = axis("sublayer", ["attn_out", "mlp_out"].map(str::to_owned));
    other("direct.sublayers", EffectKind::Direct, vec![numbers("layer", 12), sublayers], |at| (at as f32 * 0.7).sin())
}

/// As many neurons as a small model has.
pub fn neurons() -> Effects {
    other("attribute.neurons", EffectKind::Estimated, vec![numbers("layer", 30), numbers("neuron", 1536)], |at| {
        if at == 12_345 { 3.0 } else { 0.01 * ((at * 7919) % 101) as f32 - 0.5 }
    })
}

fn scores() -> HeadScores {
    let head =
        |at: usize| HeadScore { block: String::new(), layer: at / 9, head: at % 9, value: (at % 10) as f32 / 10.0 };
    HeadScores { measure: Measure::Induction, heads: (0..54).map(head).collect() }
}

pub fn all() -> Vec<(&'static str, Figure)> {
    let figure = |effects: Effects| effects.figure().unwrap();
    vec![
        ("effects", figure(patched(3))),
        ("effects_one", figure(patched(1))),
        ("effects_heads", figure(heads())),
        ("effects_layers", figure(layers())),
        ("effects_direct", figure(direct())),
        ("effects_neurons", figure(neurons())),
        ("effects_scores", scores().figure()),
    ]
}

#[test]
fn writes_effects() {
    let folder = super::folder("figures");
    for (name, figure) in all() {
        figure.save(folder.join(format!("{name}.html"))).unwrap();
        figure.save(folder.join(format!("{name}.svg"))).unwrap();
    }
}

#[test]
fn pages_of_effects_need_no_library_and_stay_small() {
    for (name, figure) in all() {
        let page = figure.html();
        assert!(!page.contains("data-flowlens-plotly>"), "{name}");
        let most = if name == "effects_neurons" { 400_000 } else { 100_000 };
        assert!(page.len() < most, "{name}: {}", page.len());
        assert!(!figure.svg().contains("NaN"), "{name}");
    }
}

#[test]
fn captions_say_what_the_ends_are() {
    let caption = |effects: Effects| effects.figure().unwrap().caption().to_owned();
    let text = caption(patched(3));
    assert!(
        text.contains("0 is the logit difference of the corrupted run (−2), 1 that of the clean one (4)"),
        "{text}"
    );
    assert!(text.contains("Means over 3 pairs.") && text.contains("are blank"), "{text}");
    let text = caption(layers());
    assert!(text.contains("less that of the unchanged run (4.1)") && !text.contains("Normalised"), "{text}");
    let equal = Effects { clean: vec![-2.0], ..heads() };
    let text = caption(equal);
    assert!(text.contains("Not normalised: the logit difference of both baselines is −2."), "{text}");
    assert!(caption(neurons()).contains("an estimate by gradients, not a run"));
}

#[test]
fn still_pictures_hold_axes_tokens_and_the_largest() {
    let svg = patched(1).figure().unwrap().svg();
    for text in [
        ">1 Eiffel / Space<",
        ">6 city<",
        ">Logit difference, normalised<",
        ">Largest<",
        "layer 0, position 1 Eiffel / Space<",
    ] {
        assert!(svg.contains(text), "{text}");
    }
    assert_eq!(svg.matches("class=\"fl-strip\"").count(), 1);
    let svg = heads().figure().unwrap().svg();
    assert!(
        svg.contains(", head 2<") && svg.contains("layer 4, head 2, position 6 city"),
        "opens on the strongest head"
    );
    let svg = layers().figure().unwrap().svg();
    assert_eq!(
        svg.matches("<path fill=\"var(--fl-less)\"").count() + svg.matches("<path fill=\"var(--fl-more)\"").count(),
        12
    );
    assert_eq!(svg.matches("<path stroke=\"var(--fl-ink)\"").count(), 12, "an interval for each");
    assert!(neurons().figure().unwrap().svg().contains("data:image/png;base64,"));
}

#[test]
fn effects_save_as_pictures_pages_and_numbers() {
    let folder = super::folder("figures/saved_effects");
    let start = |name: &str| {
        let path = folder.join(name);
        patched(3).save(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        std::fs::remove_file(&path).unwrap();
        String::from_utf8_lossy(&bytes[..5]).into_owned()
    };
    assert_eq!(["a.html", "a.svg", "a.json", "a.csv"].map(start), ["<!doc", "<svg ", "{\"nam", "pair,"]);
    if cfg!(feature = "export") {
        assert_eq!(start("a.pdf"), "%PDF-");
        assert!(start("a.png").contains("PNG"));
    }
    let refused = patched(3).save(folder.join("a.xlsx")).unwrap_err().to_string();
    assert!(refused.contains(".html, .svg, .pdf, .png, .json, .csv and .safetensors"), "{refused}");
    assert_eq!(std::fs::read_dir(&folder).unwrap().count(), 0);
}

#[test]
fn a_runs_parts_and_its_heads_are_drawn() {
    let model = Model::load("tests/fixtures/parity/llama_gqa").unwrap();
    let parts = model.run("one two three").unwrap().logit_attribution(5, 6).unwrap().figures().unwrap();
    let titles: Vec<&str> = parts.figures().iter().map(Figure::title).collect();
    assert!(
        titles[0].starts_with("Direct logit attribution, sublayers of") && titles[1].ends_with("by layer and head")
    );
    let scores = model.induction_scores(4, 1, 0).unwrap().figure();
    assert!(scores.svg().contains(">Induction, %<"), "{}", scores.svg());
}
