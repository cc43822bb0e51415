//! Two stacks: what each reads, the sites of both and of the attention between them, changes, generation.

use std::collections::HashMap;
use std::path::Path;

use flowlens::{Array, Change, Error, Input, Model, Seq2Seq, Site, Trace};
use safetensors::SafeTensors;

fn folder(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(name).to_str().unwrap().to_owned()
}

fn model(name: &str) -> Model {
    Model::load(folder(name)).unwrap()
}

/// The texts that a kit was made from.
fn texts(name: &str) -> HashMap<String, String> {
    let bytes = std::fs::read(Path::new(&folder(name)).join("expected.safetensors")).unwrap();
    SafeTensors::read_metadata(&bytes).unwrap().1.metadata().clone().unwrap()
}

const KITS: [&str; 5] = ["t5_tied", "t5_gated", "mt5", "bart", "marian"];

fn run(model: &Model) -> Trace {
    model.run(Seq2Seq { source: [9, 4, 30, 11, 1], target: [0, 7, 21] }).unwrap()
}

fn of_head(array: &Array, head: usize) -> &[f32] {
    let one = array.data().len() / array.shape()[0];
    &array.data()[head * one..(head + 1) * one]
}

#[track_caller]
fn assert_close(found: &[f32], wanted: &[f32]) {
    assert_eq!(found.len(), wanted.len());
    let far = found.iter().zip(wanted).map(|(a, b)| (a - b).abs() / (1.0 + b.abs())).fold(0.0, f32::max);
    assert!(far < 2e-5, "{far}");
}

fn sum(parts: [Array; 2]) -> Vec<f32> {
    parts[0].data().iter().zip(parts[1].data()).map(|(a, b)| a + b).collect()
}

#[test]
fn texts_become_what_python_reads() {
    for kit in KITS {
        let (model, texts) = (model(kit), texts(kit));
        let from_text = model.run(Seq2Seq { source: &texts["text"], target: &texts["decoder_text"] }).unwrap();
        let from_ids =
            model.run(Input::from_file(Path::new(&folder(kit)).join("expected.safetensors")).unwrap()).unwrap();
        assert_eq!(from_text.ids(), from_ids.ids(), "{kit}");
        let output = |trace: &Trace| trace.get(Site::EncoderFinalNorm).unwrap();
        assert_eq!(output(&from_text).shape(), output(&from_ids).shape(), "{kit}");
        let logits = |trace: &Trace| trace.get(Site::Logits).unwrap();
        assert_close(logits(&from_text).data(), logits(&from_ids).data());
    }
}

#[test]
fn every_site_of_both_stacks_has_its_shape() {
    let model = model("t5_gated");
    let trace = run(&model);
    let shape = |site| trace.get(site).unwrap().shape().to_vec();
    let (heads, d, width, s, t) = (3, 8, 40, 5, 3);
    assert_eq!((model.encoder_layers(), model.layers()), (3, 2));
    assert_eq!(shape(Site::EncoderResidPre(2)), [s, width]);
    assert_eq!(shape(Site::EncoderPattern(2)), [heads, s, s]);
    assert_eq!(shape(Site::EncoderPositionBias(2)), [heads, s, s]);
    assert_eq!(shape(Site::EncoderMlpGate(0)), [s, 72]);
    assert_eq!(shape(Site::Pattern(1)), [heads, t, t]);
    assert_eq!(shape(Site::CrossQuery(1)), [heads, t, d]);
    assert_eq!(shape(Site::CrossKey(1)), [heads, s, d]);
    assert_eq!(shape(Site::CrossScores(1)), [heads, t, s]);
    assert_eq!(shape(Site::CrossHeadOutput(0)), [heads, t, width]);
    assert_eq!(shape(Site::EncoderHeadOutput(0)), [heads, s, width]);
    assert_eq!(shape(Site::ResidMidCross(0)), [t, width]);
    assert_eq!(shape(Site::Logits), [t, 144]);
    for site in model.sites() {
        assert!(trace.get(site).is_ok(), "{site}");
    }
    let error = trace.get(Site::Pattern(2)).unwrap_err().to_string();
    assert!(error.contains("2 layers"), "the decoder's, not the encoder's: {error}");
    for name in
        ["encoder.blocks.2.attn.hook_pattern", "decoder.blocks.1.cross_attn.hook_pattern", "blocks.1.hook_resid_mid"]
    {
        assert_eq!(model.sites_named(name).unwrap().len(), 1, "{name}");
    }
}

/// Scores without the mask, bias apart, what each adds to the stream.
#[test]
fn the_parts_of_the_decoder_add_up() {
    for kit in KITS {
        let trace = run(&model(kit));
        let get = |site| trace.get(site).unwrap();
        let post_norm = kit == "bart" || kit == "marian";
        let after_attention = if post_norm { Site::AttnNorm(0) } else { Site::ResidMid(0) };
        assert_close(get(Site::ResidMid(0)).data(), &sum([get(Site::ResidPre(0)), get(Site::AttnOut(0))]));
        assert_close(get(Site::ResidMidCross(0)).data(), &sum([get(after_attention), get(Site::CrossOut(0))]));
        let after_cross = if post_norm { Site::CrossNorm(0) } else { Site::ResidMidCross(0) };
        assert_close(get(Site::ResidPost(0)).data(), &sum([get(after_cross), get(Site::MlpOut(0))]));
        for site in [Site::EncoderPattern(0), Site::Pattern(0), Site::CrossPattern(0)] {
            let pattern = get(site);
            for row in pattern.data().chunks(*pattern.shape().last().unwrap()) {
                assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5, "{kit} {site}");
            }
        }
        assert_eq!(get(Site::Pattern(0)).data()[1], 0.0, "the decoder sees nothing later");
        assert!(get(Site::Scores(0)).data()[1] > -1e4, "scores carry no mask");
    }
}

#[test]
fn heads_of_every_attention_can_be_silenced() {
    for kit in ["t5_tied", "bart"] {
        let model = model(kit);
        let watch = || model.watch(Seq2Seq { source: [9, 4, 30, 11, 1], target: [0, 7, 21] });
        let plain = run(&model);
        for (change, mix, untouched) in [
            (Change::zero_head(1, 2).in_encoder(), Site::EncoderHeadMix(1), Site::EncoderHeadMix(0)),
            (Change::zero_head(0, 2), Site::HeadMix(0), Site::EncoderFinalNorm),
            (Change::zero_head(1, 2).in_cross(), Site::CrossHeadMix(1), Site::CrossPattern(1)),
        ] {
            let changed = watch().change(change).keep([mix, untouched, Site::Logits]).run().unwrap();
            let (before, after) = (plain.get(mix).unwrap(), changed.get(mix).unwrap());
            assert!(of_head(&after, 2).iter().all(|&number| number == 0.0), "{kit} {mix}");
            assert_eq!(of_head(&after, 1), of_head(&before, 1), "{kit} {mix}");
            assert_eq!(
                changed.get(untouched).unwrap().data(),
                plain.get(untouched).unwrap().data(),
                "{kit} {untouched}"
            );
            let logits = |trace: &Trace| trace.get(Site::Logits).unwrap();
            let moved = logits(&changed)
                .data()
                .iter()
                .zip(logits(&plain).data())
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(moved > 1e-3, "{kit} {mix}: logits moved by {moved}");
        }
    }
}

/// What the encoder wrote carries all that the decoder knows of the source.
#[test]
fn a_patched_encoder_stands_in_for_another_source() {
    let model = model("marian");
    let other = model.run(Seq2Seq { source: [40, 41, 42, 43, 0], target: [143, 5] }).unwrap();
    let patch = Change::patch(Site::EncoderFinalNorm, &other).unwrap();
    let patched = model.watch(Seq2Seq { source: [9, 4, 30, 11, 0], target: [143, 5] }).change(patch).run().unwrap();
    assert_eq!(patched.get(Site::Logits).unwrap().data(), other.get(Site::Logits).unwrap().data());
}

#[test]
fn a_decoder_begins_with_its_start_token_and_goes_on() {
    let mut longer = 0;
    for (kit, start) in [("t5_tied", 0), ("bart", 2), ("marian", 143)] {
        let model = model(kit);
        let trace = model.run("the bank").unwrap();
        assert_eq!(trace.ids(), [start], "{kit}");
        let shown = trace.to_string();
        assert!(shown.contains(" source tokens: ") && shown.contains("\n1 tokens: "), "{shown}");
        let best = trace.next_tokens(1).unwrap()[0].id;
        let written = model.generate("the bank").max_tokens(3).run().unwrap().ids;
        assert_eq!(written[0], best, "{kit}");
        // The second token is what a run of its own says after the first; a kit may end its text before it.
        if let [first, second, ..] = written[..] {
            let target = vec![i64::from(start), i64::from(first)];
            let trace = model.run(Seq2Seq { source: "the bank", target }).unwrap();
            assert_eq!(trace.next_tokens(1).unwrap()[0].id, second, "{kit}");
            longer += 1;
        }
    }
    assert!(longer > 0, "no kit wrote a second token");
}

#[test]
fn what_does_not_fit_is_said() {
    let message = |result: flowlens::Result<Trace>| match result.unwrap_err() {
        Error::Input(message) => message,
        other => panic!("{other}"),
    };
    let decoder = model("gpt2");
    assert!(message(decoder.run(Seq2Seq { source: [1, 2], target: [3] })).contains("no decoder beside them"));
    let model = model("marian_two_vocabularies");
    assert!(model.run(Seq2Seq { source: [52], target: [30] }).is_ok());
    assert!(
        message(model.run(Seq2Seq { source: [52], target: [31] })).contains("0 to 30"),
        "the target's own vocabulary"
    );
    let long: Vec<i64> = vec![1; 33];
    assert!(message(model.run(Seq2Seq { source: long, target: [3] })).contains("at most 32"));
}
