//! With the cache and without, for every fixture that can continue a text.

use std::path::{Path, PathBuf};

use super::*;
use crate::model::{Input, Model};
use crate::{Array, DType, Device};

/// Tokens that are added to the prompt of a fixture.
const STEPS: usize = 8;

fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

/// Every fixture that reads from left to right, its input, and its texts: the prompt, and with each step a token more.
fn each(mut test: impl FnMut(&str, &Model, &Input, &[Tokens])) {
    let mut cached = 0;
    for folder in fixtures() {
        let options = Model::options(folder.to_str().unwrap()).device(Device::Cpu).dtype(DType::F32);
        let model = options.load().unwrap();
        let plan = model.architecture();
        if plan.reads_both_ways() {
            continue;
        }
        let input = Input::from_file(folder.join("expected.safetensors")).unwrap();
        let mut texts = vec![model.read_tokens(input.clone()).unwrap()];
        while texts.len() <= STEPS && plan.main.context.is_none_or(|context| texts[0].len() + texts.len() <= context) {
            let last = texts.last().unwrap();
            let id = (last.ids[0] + 3 * last.len() as i64) % plan.vocab() as i64;
            texts.push(last.followed_by(id, plan).unwrap());
        }
        cached += usize::from(model.stack().can_be_cached());
        test(&folder.file_name().unwrap().to_string_lossy(), &model, &input, &texts);
    }
    assert!(cached > 100, "{cached} fixtures of decoders with a cache");
}

fn worst(found: &Tensor, wanted: &Tensor) -> f64 {
    assert_eq!(found.size(), wanted.size());
    if found.numel() == 0 {
        return 0.0;
    }
    ((found - wanted).abs() / (wanted.abs() + 1.0)).max().double_value(&[])
}

/// Compares logits and whatever is kept of each run with the run of the whole text; whether the cache was used.
fn assert_same(what: &str, watch: &Watch, texts: &[Tokens]) -> bool {
    let mut growing = Growing::new(watch.clone()).unwrap();
    for (step, tokens) in texts.iter().enumerate() {
        let (found, wanted) = (growing.run(tokens.clone()).unwrap(), watch.run_tokens(tokens.clone()).unwrap());
        assert_eq!(found.sites(), wanted.sites(), "{what}");
        if let (Some(found), Some(wanted)) = (found.logits(), wanted.logits()) {
            let off = worst(found, wanted);
            assert!(off < 1e-4, "{what}, step {step}: logits are {off} off");
        }
        for (site, wanted) in wanted.kept() {
            let off = worst(&found.kept()[site], wanted);
            assert!(off < 1e-4, "{what}, step {step}: {site} is {off} off");
        }
    }
    growing.can_be_cached(&texts[0])
}

#[test]
fn every_step_leaves_what_a_run_of_the_whole_text_leaves() {
    each(|name, model, input, texts| {
        let open = |site: &Site| matches!(site, Site::Scores(_) | Site::PositionBias(_));
        let sites: Vec<Site> = model.sites().into_iter().filter(|site| !open(site)).collect();
        let padded = (0..texts[0].len()).any(|position| texts[0].is_padding(position));
        let cached = assert_same(name, &model.watch(input.clone()).keep(sites), texts);
        assert_eq!(cached, model.stack().can_be_cached() && !padded, "{name}");
        assert_same(name, &model.watch(input.clone()), texts);
        // Nothing kept but the final vectors, for models without a head, with padding too.
        let plain = model.watch(input.clone()).keep([]);
        assert_eq!(assert_same(name, &plain, texts), model.stack().can_be_cached(), "{name}");
    });
}

#[test]
fn two_families_run_whole() {
    let mut whole = std::collections::BTreeSet::new();
    each(|_, model, _, _| {
        whole.extend((!model.stack().can_be_cached()).then(|| model.architecture().family));
    });
    assert_eq!(whole.into_iter().collect::<Vec<_>>(), ["xlm", "xlnet"]);
}

/// Changes that a model can have, each of them alone, and what they are called.
fn changes(model: &Model, texts: &[Tokens], input: &Input) -> Vec<(String, Change)> {
    let (last, plan) = (model.layers() - 1, model.architecture());
    let (width, head) = (plan.main.width, plan.main.blocks[0].attention.heads - 1);
    let some = 0..texts[0].len().min(2);
    let mut other = texts[0].clone();
    other.ids.reverse();
    let donor = model.watch(input.clone()).run_tokens(other).unwrap();
    let numbers = |count: usize| (0..count).map(|index| (index as f32).sin()).collect::<Vec<f32>>();
    let direction = || Array::new(&[width], numbers(width)).unwrap();
    let shape = if some.len() == 1 { vec![width] } else { vec![some.len(), width] };
    let rows = Array::new(&shape, numbers(some.len() * width)).unwrap();
    let place = texts[0].len() - 1;
    let mut changes = vec![
        Change::zero_head(0, head),
        Change::patch_position(Site::ResidPre(last), place, &donor).unwrap(),
        Change::patch(Site::MlpOut(0), &donor).unwrap().positions(some.clone()),
        Change::scale(Site::MlpOut(last), 0.5),
        Change::scale(Site::Value(0), 1.5).positions(some.clone()),
        Change::zero(Site::Key(last)),
        Change::add(Site::ResidPre(last), direction()),
        Change::add(Site::AttnOut(0), direction()).positions(some.clone()),
        Change::replace(Site::ResidPre(0), rows).positions(some),
        Change::scale(Site::Logits, 2.0),
        Change::zero(Site::Pattern(0)).neuron(0),
        Change::set(Site::Pattern(last), 0.25),
        Change::set(Site::Scores(0), 1.0).head(head).position(place),
        Change::scale(Site::RotatedKey(0), 0.5).neuron(1),
        Change::zero(Site::PositionBias(0)),
        Change::scale(Site::HeadOutput(last), 2.0).head(0),
    ];
    if plan.encoder.is_some() {
        changes.extend([
            Change::zero_head(0, head).in_cross(),
            Change::scale(Site::Key(0), 2.0).in_cross().position(0),
            Change::scale(Site::Pattern(0), 0.5).in_cross(),
            Change::scale(Site::ResidPre(0), 0.5).in_encoder().position(0),
        ]);
    }
    changes.retain(|change| model.check_site(change.site()).is_ok());
    changes.into_iter().map(|change| (format!("{:?}", change.scope()), change)).collect()
}

#[test]
fn a_change_is_the_same_with_the_cache() {
    let mut worked = 0;
    each(|name, model, input, texts| {
        for (what, change) in changes(model, texts, input) {
            let open = change.site() == Site::Pattern(model.layers() - 1) && change.scope().neuron.is_none()
                || change.site() == Site::Logits && (0..texts[0].len()).any(|place| texts[0].is_padding(place));
            let plain = model.watch(input.clone()).keep([]);
            let before = plain.run_tokens(texts[0].clone()).unwrap();
            let watch = plain.change(change);
            let cached = assert_same(&format!("{name}, {what}"), &watch, &texts[..texts.len().min(2)]);
            assert_eq!(cached, model.stack().can_be_cached() && !open, "{name}, {what}");
            let after = watch.run_tokens(texts[0].clone()).unwrap();
            if let (Some(before), Some(after)) = (before.logits(), after.logits()) {
                let last = |logits: &Tensor| logits.select(0, logits.size()[0] - 1);
                worked += usize::from(worst(&last(after), &last(before)) > 1e-3);
            }
        }
    });
    assert!(worked > 1000, "only {worked} changes moved the logits");
}
