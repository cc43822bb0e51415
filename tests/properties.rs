//! What must hold for any input, on tiny models and on text of any kind.

use std::sync::{LazyLock, Mutex};

use flowlens::attention::{Attention, Matrices};
use flowlens::text::{slug, visible};
use flowlens::{Change, Input, Model, Seq2Seq, Site, Trace};
use proptest::prelude::*;

fn load(name: &str) -> Model {
    Model::load(format!("{}/tests/fixtures/parity/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

static GPT2: LazyLock<Model> = LazyLock::new(|| load("gpt2"));
static BERT: LazyLock<Model> = LazyLock::new(|| load("bert"));
static T5: LazyLock<Model> = LazyLock::new(|| load("t5_gated"));

/// Few cases: each runs a model.
fn few() -> ProptestConfig {
    ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() }
}

fn many() -> ProptestConfig {
    ProptestConfig { failure_persistence: None, ..ProptestConfig::default() }
}

/// Ids with a mask that leaves at least one of them.
fn masked() -> impl Strategy<Value = (Vec<i64>, Vec<i64>)> {
    prop::collection::vec((1i64..50, 0i64..2), 1..9).prop_map(|list| {
        let (ids, mut mask): (Vec<i64>, Vec<i64>) = list.into_iter().unzip();
        if mask.iter().all(|&seen| seen == 0) {
            mask[0] = 1;
        }
        (ids, mask)
    })
}

/// Every row of a pattern is of probabilities whose sum is 1.
fn rows_sum_to_one(trace: &Trace) -> Result<(), TestCaseError> {
    let mut rows = 0;
    for site in trace.sites().into_iter().filter(|site| site.to_string().ends_with("hook_pattern")) {
        let pattern = trace.get(site).unwrap();
        let keys = *pattern.shape().last().unwrap();
        for row in pattern.data().chunks(keys) {
            let sum: f64 = row.iter().map(|&weight| f64::from(weight)).sum();
            prop_assert!(row.iter().all(|weight| (0.0..=1.0).contains(weight)), "{site}: {row:?}");
            prop_assert!((sum - 1.0).abs() < 1e-5, "{site}: a row sums to {sum}");
            rows += 1;
        }
    }
    prop_assert!(rows > 0, "no pattern was kept");
    Ok(())
}

/// Saved and loaded again, a run is the same in everything that can be asked of it.
fn comes_back(trace: &Trace) -> Result<(), TestCaseError> {
    static NAMES: Mutex<u32> = Mutex::new(0);
    let number = {
        let mut names = NAMES.lock().unwrap();
        *names += 1;
        *names
    };
    let path = std::env::temp_dir().join(format!("flowlens-property-{}-{number}.safetensors", std::process::id()));
    trace.save(&path).unwrap();
    let again = Trace::load(&path, trace.model());
    std::fs::remove_file(&path).unwrap();
    let again = again.unwrap();
    prop_assert_eq!(again.sites(), trace.sites());
    for site in trace.sites() {
        prop_assert_eq!(again.get(site).unwrap(), trace.get(site).unwrap(), "{}", site);
    }
    prop_assert_eq!((again.ids(), again.encoder_ids()), (trace.ids(), trace.encoder_ids()));
    prop_assert_eq!((again.prompt(), again.second_text()), (trace.prompt(), trace.second_text()));
    prop_assert_eq!(again.changes(), trace.changes());
    prop_assert_eq!(again.to_string(), trace.to_string());
    let predicted =
        |trace: &Trace| trace.next_tokens(3).map(|next| next.iter().map(|it| it.id).collect::<Vec<_>>()).ok();
    prop_assert_eq!(predicted(&again), predicted(trace));
    Ok(())
}

proptest! {
    #![proptest_config(few())]

    #[test]
    fn measured_rows_sum_to_one_whatever_is_masked((ids, mask) in masked(), (target, _) in masked()) {
        for model in [&GPT2, &BERT] {
            let run = model.watch(Input::from(ids.clone()).attention_mask(mask.clone()));
            rows_sum_to_one(&run.keep(model.sites()).run().unwrap())?;
        }
        let both = Seq2Seq { source: Input::from(ids).attention_mask(mask), target: Input::from(target) };
        rows_sum_to_one(&T5.watch(both).keep(T5.sites()).run().unwrap())?;
    }

    #[test]
    fn saved_runs_come_back_whole(
        (ids, mask) in masked(),
        text in "\\PC{1,12}",
        sites in prop::collection::vec(any::<prop::sample::Index>(), 1..6),
        head in 0usize..2,
    ) {
        let some = |model: &Model| sites.iter().map(|site| *site.get(&model.sites())).collect::<Vec<Site>>();
        let masked = GPT2.watch(Input::from(ids.clone()).attention_mask(mask)).change(Change::zero_head(1, head));
        comes_back(&masked.keep(some(&GPT2)).run().unwrap())?;
        if let Ok(trace) = GPT2.watch(text.as_str()).keep(some(&GPT2)).run() {
            comes_back(&trace)?;
        }
        comes_back(&BERT.watch((text.as_str(), "of the sea")).keep(some(&BERT)).run().unwrap())?;
        let both = Seq2Seq { source: text.as_str(), target: "the" };
        comes_back(&T5.watch(both).keep(some(&T5)).run().unwrap())?;
        comes_back(&T5.watch(Seq2Seq { source: ids.clone(), target: ids }).keep(some(&T5)).run().unwrap())?;
    }
}

proptest! {
    #![proptest_config(many())]

    /// Given attention is kept as it is, or refused.
    #[test]
    fn given_rows_sum_to_one_or_are_refused(
        weights in prop::collection::vec(0.0f32..1.0, 16),
        odd in prop_oneof![Just(None), (0usize..16, prop_oneof![Just(f32::NAN), Just(-0.5), 1.5f32..1e9]).prop_map(Some)],
    ) {
        let mut rows: Vec<f32> = weights
            .chunks(4)
            .flat_map(|row| row.iter().map(|weight| weight / row.iter().sum::<f32>().max(1e-20)).collect::<Vec<f32>>())
            .collect();
        if let Some((place, weight)) = odd {
            rows[place] = weight;
        }
        let matrix = ndarray::Array3::from_shape_vec((1, 4, 4), rows.clone()).unwrap();
        let given = Attention::new(["a", "b", "c", "d"], Matrices::from(matrix));
        prop_assert_eq!(given.is_ok(), odd.is_none(), "{:?}", rows);
        if let Ok(given) = given {
            let kept = given.block("all").unwrap().weights(0, 0).unwrap();
            prop_assert_eq!(kept.data(), &rows[..]);
        }
    }

    #[test]
    fn names_of_files_are_safe_everywhere(text in any::<String>()) {
        let name = slug(&text);
        prop_assert!((1..=100).contains(&name.len()), "{name:?}");
        prop_assert!(name.bytes().all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-')), "{name:?}");
        prop_assert!(!name.starts_with('-') && !name.ends_with('-') && !name.contains("--"), "{name:?}");
        prop_assert_eq!(slug(&name), name);
    }

    #[test]
    fn what_is_shown_hides_nothing(text in any::<String>()) {
        let shown = visible(&text);
        let hidden = |c: char| c.is_control() || (c.is_whitespace() && c != ' ') || matches!(c, '\u{200b}'..='\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{feff}');
        prop_assert!(!shown.contains(hidden), "{shown:?}");
        prop_assert!(!shown.starts_with(' ') && !shown.ends_with(' ') && !shown.contains("  "), "{shown:?}");
        prop_assert_eq!(shown.is_empty(), text.is_empty());
    }
}
