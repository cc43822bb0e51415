//! Figures of plain data that no model would give: what a stranger's file may hold.

use flowlens::attention::Attention;
use flowlens::experiment::{Axis, Candidate, CellAnswers, EffectKind, Effects, PairTokens};
use flowlens::flow::{FlowGraph, Published, Target};
use flowlens::lens::LogitLens;
use flowlens::{Array, Figure, Gallery};

use super::TEXTS;

fn cycled(count: usize) -> Vec<String> {
    TEXTS.iter().cycle().take(count).cloned().collect()
}

pub fn figures() -> Vec<(&'static str, Figure)> {
    let weights = crate::attention::random(3, 2, 2, TEXTS.len(), TEXTS.len(), true);
    let named = Attention::new(TEXTS.iter(), weights).unwrap().named(TEXTS.concat());
    vec![
        ("named_head", named.head_view().build().unwrap()),
        ("named_model", named.model_view().build().unwrap()),
        ("flow_published", flow_graph().figure()),
        ("effects", effects(EffectKind::Patched).figure().unwrap()),
        ("effects_noised", effects(EffectKind::Noised).figure().unwrap()),
    ]
}

/// A logit lens whose words are these.
pub fn lens(words: &[String], model: &str) -> LogitLens {
    let mut lens = crate::sample::lens(&words[0]);
    lens.model = model.to_owned();
    for row in &mut lens.rows {
        for (cell, word) in row.cells.iter_mut().zip(words.iter().cycle()) {
            cell.top.text.clone_from(word);
            cell.target.text.clone_from(word);
            cell.others.iter_mut().for_each(|other| other.text.clone_from(word));
        }
    }
    lens.tokens.iter_mut().zip(words.iter().cycle()).for_each(|(token, word)| token.clone_from(word));
    lens
}

/// Every text as the name of a model: in titles, and in the title of the page.
pub fn names() -> Gallery {
    Gallery::new(TEXTS.iter().map(|text| lens(std::slice::from_ref(text), text).figure()))
}

/// A graph in VISIT's form with a text wherever one can stand.
fn flow_graph() -> FlowGraph {
    let mut graph = crate::sample::graph("layers");
    let mut texts = TEXTS.iter().cycle().cloned();
    let mut next = || texts.next().unwrap();
    let meta = &mut graph.meta;
    (meta.model, meta.line, meta.family) = (next(), TEXTS.concat(), next());
    meta.tokens = cycled(meta.tokens.len());
    meta.encoder_tokens = TEXTS.clone();
    meta.targets = (0..).zip(TEXTS.iter()).map(|(id, text)| Target { id, text: text.clone() }).collect();
    meta.notes = TEXTS.clone();
    let legend = meta.published.as_mut().unwrap();
    for (color, meaning) in legend.rank_colors.iter_mut().chain(&mut legend.link_colors) {
        (*color, *meaning) = (next(), next());
    }
    legend.width_means = next();
    for node in graph.graphs.iter_mut().flat_map(|graph| &mut graph.nodes) {
        node.published = Some(Published { label: next(), color: next(), hover: vec![next(), next()] });
    }
    for link in graph.graphs.iter_mut().flat_map(|graph| &mut graph.links) {
        link.published = Some(Published { label: next(), color: next(), hover: vec![next()] });
    }
    graph
}

fn axis(name: &str, labels: Vec<String>) -> Axis {
    Axis { name: name.to_owned(), labels }
}

/// Effects with axes that objects have names for, and every text as label, token and answer.
fn effects(kind: EffectKind) -> Effects {
    let (rows, columns, others) = (5, TEXTS.len(), 2);
    let axes = vec![
        axis("__proto__", cycled(others)),
        axis("constructor", TEXTS[40..40 + others].to_vec()),
        axis("layer", cycled(rows)),
        axis(&TEXTS[3], TEXTS.clone()),
    ];
    let cells = others * others * rows * columns;
    let candidates = |at: usize| {
        let candidate = |token: &String| Candidate { token: token.clone(), prob: 0.5 };
        TEXTS.iter().cycle().skip(at).take(3).map(candidate).collect::<Vec<_>>()
    };
    let pair = |_| PairTokens {
        clean: TEXTS.clone(),
        corrupted: TEXTS.iter().rev().cloned().collect(),
        right: TEXTS.clone(),
        wrong: TEXTS.clone(),
        position: 3,
        ..Default::default()
    };
    let answers = CellAnswers {
        pair: 0,
        clean: candidates(0),
        corrupted: candidates(3),
        cells: (0..cells).map(candidates).collect(),
    };
    let values = (0..2 * cells).map(|at| ((at * 7919) % 101) as f32 / 50.0 - 1.0).collect();
    Effects {
        name: TEXTS[4].clone(),
        model: TEXTS[5].clone(),
        metric: Default::default(),
        kind,
        axes,
        values: Array::new(&[2, others, others, rows, columns], values).unwrap(),
        clean: vec![1.0, 2.0],
        corrupted: vec![-1.0, -2.0],
        pairs: (0..2).map(pair).collect(),
        answers: vec![answers],
    }
}
