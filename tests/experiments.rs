//! What must hold of every experiment in every family, on every tiny checkpoint that has what it takes.

use std::path::{Path, PathBuf};

use flowlens::experiment::{Ablation, By, Effects, Metric, Noise, Pair, Pairs};
use flowlens::model::Input;
use flowlens::{Change, Error, Model, Seq2Seq, Site};

fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

fn model(name: &str) -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(name);
    Model::load(folder.to_str().unwrap()).unwrap()
}

/// Prompts of some length and their answers. Ids are drawn from the middle of the vocabulary, where no family has tokens
/// that it treats apart.
struct Prompts {
    clean: Input,
    corrupted: Input,
    /// The corrupted decoder's text with the clean source; where there is no encoder the corrupted text.
    half_corrupted: Input,
    right: u32,
    wrong: u32,
    position: usize,
}

fn ids(seed: usize, count: usize, vocab: usize) -> Vec<i64> {
    (0..count).map(|place| (8 + (seed * 31 + place * 17 + place * place * 5) % (vocab - 16)) as i64).collect()
}

fn changed(ids: &[i64], places: &[usize], vocab: usize) -> Vec<i64> {
    let mut ids = ids.to_vec();
    for &place in places {
        ids[place] = 8 + (ids[place] - 8 + 13) % (vocab as i64 - 16);
    }
    ids
}

/// Two of different lengths; none where the model has no head.
fn prompts(model: &Model) -> Vec<Prompts> {
    if model.sites().last() != Some(&Site::Logits) {
        return Vec::new();
    }
    let plan = model.architecture();
    let vocab = plan.vocab().min(plan.main.embedding.tokens.rows);
    let of_length = |(seed, length): (usize, usize)| {
        let clean = ids(seed, length, vocab);
        let corrupted = changed(&clean, &[1, length / 2], vocab);
        let (clean, corrupted, half_corrupted): (Input, Input, Input) = match &plan.encoder {
            Some(encoder) => {
                let vocab = encoder.embedding.tokens.rows.min(vocab);
                let source = ids(seed + 3, length + 1, vocab);
                let other = changed(&source, &[2], vocab);
                let both = |source: Vec<i64>, target: Vec<i64>| Seq2Seq { source, target }.into();
                (both(source.clone(), clean), both(other, corrupted.clone()), both(source, corrupted))
            }
            None => (clean.into(), corrupted.clone().into(), corrupted.into()),
        };
        let answers = ids(seed + 7, 2, vocab);
        // A model that reads both ways answers at a position of the text.
        let position = if plan.reads_both_ways() { length - 2 } else { length - 1 };
        Prompts { clean, corrupted, half_corrupted, right: answers[0] as u32, wrong: answers[1] as u32, position }
    };
    [(1, 7), (2, 5)].map(of_length).into()
}

fn pairs(model: &Model, of: impl Fn(&Prompts) -> Pair) -> Pairs {
    let prompts = prompts(model);
    let pair = |prompts: &Prompts| of(prompts).right(prompts.right).wrong(prompts.wrong).position(prompts.position);
    model.pairs(prompts.iter().map(pair)).unwrap()
}

fn both(prompts: &Prompts) -> Pair {
    Pair::new(prompts.clean.clone(), prompts.corrupted.clone())
}

fn for_all(mut check: impl FnMut(&str, &Model)) {
    let mut checked = 0;
    for folder in fixtures() {
        let model = Model::load(folder.to_str().unwrap()).unwrap();
        if !prompts(&model).is_empty() {
            check(&folder.file_name().unwrap().to_string_lossy(), &model);
            checked += 1;
        }
    }
    assert!(checked > 150, "{checked} checkpoints");
}

fn near(a: f32, b: f32) -> bool {
    (a - b).abs() < 1e-4 * (1.0 + a.abs().max(b.abs()))
}

/// The values of one pair.
fn of_pair(effects: &Effects, pair: usize) -> Vec<f32> {
    effects.values.row(pair).unwrap().data().to_vec()
}

#[test]
fn patching_all_of_the_first_layer_gives_the_clean_run() {
    let mut alike = 0;
    for_all(|name, model| {
        // The decoder of an encoder-decoder also reads its encoder, which must be the clean one beside its own stream.
        let pairs = pairs(model, |prompts| Pair::new(prompts.clean.clone(), prompts.half_corrupted.clone()));
        let effects = model.sweep(&pairs).patch(Site::ResidPre).by(By::Layer).layers(0..1).run().unwrap();
        for pair in 0..2 {
            let (value, clean, corrupted) = (of_pair(&effects, pair)[0], effects.clean[pair], effects.corrupted[pair]);
            assert!(near(value, clean), "{name}: {value} instead of {clean}");
            alike += usize::from(clean == corrupted);
        }
    });
    // Where windows are one token wide, nothing of the change reaches the answer.
    assert!(alike < 10, "{alike} clean and corrupted runs are alike, which shows nothing");
}

#[test]
fn patching_a_run_into_itself_changes_nothing() {
    for_all(|name, model| {
        let same = pairs(model, |prompts| Pair::new(prompts.clean.clone(), prompts.clean.clone()));
        for site in [Site::ResidPre as fn(usize) -> Site, Site::HeadMix, Site::Key, Site::MlpOut] {
            let effects = model.sweep(&same).patch(site).run().unwrap();
            for pair in 0..2 {
                for value in of_pair(&effects, pair).into_iter().filter(|value| !value.is_nan()) {
                    let clean = effects.clean[pair];
                    assert!(near(value, clean), "{name} {}: {value} instead of {clean}", effects.name);
                }
            }
        }
    });
}

/// What a run with one change by hand gives.
fn by_hand(model: &Model, prompts: &Prompts, change: Change) -> f32 {
    let trace = model.watch(prompts.corrupted.clone()).keep([Site::Logits]).change(change).run().unwrap();
    let logits = trace.get(Site::Logits).unwrap();
    let logit = |id: u32| logits.get(&[prompts.position, id as usize]).unwrap();
    logit(prompts.right) - logit(prompts.wrong)
}

#[test]
fn a_cell_is_what_a_run_by_hand_gives() {
    for_all(|name, model| {
        let (pairs, prompts) = (pairs(model, both), prompts(model));
        let (last, head) = (model.layers() - 1, model.architecture().main.blocks[0].attention.heads - 1);
        let streams = model.sweep(&pairs).patch(Site::AttnOut).run().unwrap();
        let heads = model.sweep(&pairs).patch(Site::HeadMix).run().unwrap();
        for (pair, prompts) in prompts.iter().enumerate() {
            let clean = model.watch(prompts.clean.clone()).run().unwrap();
            let position = prompts.position - 1;
            let change = Change::patch_position(Site::AttnOut(last), position, &clean).unwrap();
            let (value, wanted) =
                (streams.values.get(&[pair, last, position]).unwrap(), by_hand(model, prompts, change));
            assert!(near(value, wanted), "{name} attn_out: {value} instead of {wanted}");
            let change = Change::patch_head(0, head, &clean).unwrap();
            let (value, wanted) = (heads.values.get(&[pair, 0, head]).unwrap(), by_hand(model, prompts, change));
            assert!(near(value, wanted), "{name} z: {value} instead of {wanted}");
        }
        // The second text is shorter: it has no such position.
        let beyond = streams.values.get(&[1, last, prompts[0].position + 1 - 1]).unwrap();
        assert!(beyond.is_nan() || model.architecture().reads_both_ways(), "{name}: {beyond}");
    });
}

#[test]
fn parts_add_up_to_the_difference_of_logits() {
    let mut checked = 0;
    for_all(|name, model| {
        let pairs = pairs(model, both);
        // Masked language models have a layer before their matrix that is not linear, and say so.
        let direct = match model.logit_attribution(&pairs) {
            Ok(direct) => direct,
            Err(error) => return assert!(error.to_string().contains("non-linear"), "{name}: {error}"),
        };
        for pair in 0..2 {
            let of = |list: &[(String, flowlens::Array)]| -> f64 {
                list.iter().flat_map(|(_, array)| array.row(pair).unwrap().data().to_vec()).map(f64::from).sum()
            };
            let sum = f64::from(direct.embed[pair]) + of(&direct.sublayers) + f64::from(direct.constant[pair]);
            let wanted = f64::from(direct.difference[pair]);
            assert!((sum - wanted).abs() < 1e-4 * (1.0 + wanted.abs()), "{name}: {sum} instead of {wanted}");
        }
        checked += 1;
    });
    assert!(checked > 100, "{checked} checkpoints");
}

#[test]
fn integrated_gradients_add_up_to_the_way_between_both_runs() {
    for name in ["gpt2", "llama_gqa", "gemma2", "opt_projected"] {
        let model = model(name);
        let effects = model.attribution_patching(&pairs(&model, both)).steps(500).run().unwrap();
        for pair in 0..2 {
            // All of the first stream is all that differs.
            let sum: f32 =
                effects.values.row(pair).unwrap().row(0).unwrap().data().iter().filter(|v| !v.is_nan()).sum();
            let way = effects.clean[pair] - effects.corrupted[pair];
            assert!((sum - way).abs() < 0.02 * way.abs() + 0.005, "{name}: {sum} of {way}");
        }
    }
}

/// What a writer does is what it does through all that reads it.
#[test]
fn the_edges_of_a_writer_add_up_to_its_attribution() {
    let mut checked = 0;
    for_all(|name, model| {
        let attribution = model.attribution_patching(&pairs(model, both));
        let edges = match attribution.edges() {
            Ok(edges) => edges,
            Err(error) => return assert!(error.to_string().contains("stream"), "{name}: {error}"),
        };
        let heads = attribution.clone().site(Site::HeadMix).run().unwrap();
        let mlps = attribution.site(Site::MlpOut).by(By::Layer).run().unwrap();
        let sums = |pair: usize| -> Vec<f32> {
            let rows = edges.values.row(pair).unwrap();
            let sum = |row: usize| rows.row(row).unwrap().data().iter().filter(|value| !value.is_nan()).sum();
            (0..rows.shape()[0]).map(sum).collect()
        };
        for pair in 0..2 {
            for (writer, sum) in edges.axes[0].labels.iter().zip(sums(pair)) {
                let wanted = match writer.split_once(' ') {
                    Some(("head", place)) => {
                        let (layer, head) = place.split_once('.').unwrap();
                        heads.values.get(&[pair, layer.parse().unwrap(), head.parse().unwrap()])
                    }
                    Some((_, layer)) => mlps.values.get(&[pair, layer.parse().unwrap()]),
                    None => continue,
                };
                let wanted = wanted.unwrap();
                assert!(
                    (sum - wanted).abs() < 1e-3 * (1.0 + wanted.abs()),
                    "{name} {writer}: {sum} instead of {wanted}"
                );
            }
        }
        checked += 1;
    });
    assert!(checked > 120, "{checked} checkpoints");
}

#[test]
fn an_interrupted_sweep_goes_on_with_the_same_numbers() {
    let folder = std::env::temp_dir().join(format!("flowlens-resume-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let file = folder.join("sweep.safetensors");
    let model = model("llama_gqa");
    let pairs = pairs(&model, both);
    let whole = model.sweep(&pairs).patch(Site::ResidPre).run().unwrap();
    // An estimate makes the first few runs only, and keeps them.
    let sweep = || model.sweep(&pairs).patch(Site::ResidPre).resume(&file);
    let estimate = sweep().estimate().unwrap();
    let all = whole.values.data().iter().filter(|value| !value.is_nan()).count();
    assert!(estimate.runs > 0 && estimate.runs < whole.values.data().len(), "{estimate}");
    assert!(estimate.passes > 0 && estimate.bytes > 0 && all > estimate.runs / 2, "{estimate}");
    let resumed = sweep().run().unwrap();
    let bits = |effects: &Effects| effects.values.data().iter().map(|value| value.to_bits()).collect::<Vec<u32>>();
    assert_eq!(bits(&resumed), bits(&whole));
    // Whatever else is asked for does not go on from it.
    let other = model.sweep(&pairs).patch(Site::AttnOut).resume(&file).run().unwrap_err().to_string();
    assert!(other.contains("another sweep") && other.contains("resume(..)"), "{other}");
    std::fs::write(&file, "not a file of ours").unwrap();
    let damaged = sweep().run().unwrap_err().to_string();
    assert!(damaged.contains("cannot be gone on from"), "{damaged}");
    assert_eq!(std::fs::read_to_string(&file).unwrap(), "not a file of ours", "the file was touched");
    std::fs::remove_dir_all(&folder).unwrap();
}

#[test]
fn ablations_put_in_what_they_say() {
    let model = model("gpt2");
    let pairs = pairs(&model, both);
    let prompts = prompts(&model);
    let zero = model.sweep(&pairs).ablate(Site::HeadMix, Ablation::Zero).run().unwrap();
    let silent = model.watch(prompts[0].clean.clone()).change(Change::zero_head(1, 2)).run().unwrap();
    let logit = |id: u32| silent.next_tokens(usize::MAX).unwrap().into_iter().find(|next| next.id == id).unwrap().logit;
    let wanted = logit(prompts[0].right) - logit(prompts[0].wrong);
    let value = zero.values.get(&[0, 1, 2]).unwrap();
    assert!(near(value, wanted), "{value} instead of {wanted}");
    // Of one text the mean by position is the text's own value.
    let one = model.pairs([both(&prompts[0]).right(prompts[0].right).wrong(prompts[0].wrong)]).unwrap();
    let own = model.sweep(&one).ablate(Site::HeadMix, Ablation::MeanByPosition).run().unwrap();
    assert!(own.values.data().iter().all(|value| near(*value, own.clean[0])));
    let mean = model.sweep(&one).ablate(Site::HeadMix, Ablation::Mean).run().unwrap();
    assert!(mean.values.data().iter().any(|value| !near(*value, mean.clean[0])));
    let alone = model.sweep(&pairs).ablate(Site::HeadMix, Ablation::Resample).run().unwrap_err().to_string();
    assert!(alone.contains("only one of its length"), "{alone}");
    let masked = model.sweep(&pairs).ablate(Site::Pattern, Ablation::Mean).run().unwrap_err().to_string();
    assert!(masked.contains("length"), "{masked}");
}

#[test]
fn noise_is_repeatable_and_patching_it_away_gives_the_clean_run() {
    let model = model("gpt2");
    let pairs = pairs(&model, both);
    let traced = |seed| {
        let noise = Noise { samples: 3, seed, ..Noise::default() };
        model.sweep(&pairs).patch(Site::ResidPre).noise(noise).metric(Metric::Prob).run().unwrap()
    };
    let (first, again, other) = (traced(0), traced(0), traced(1));
    let data = |effects: &Effects| effects.values.data().iter().map(|v| v.to_bits()).collect::<Vec<u32>>();
    assert_eq!(data(&first), data(&again));
    assert_ne!(data(&first), data(&other));
    assert_eq!(first.values.shape(), [2, model.layers(), 7]);
    let all = Noise { samples: 2, ..Noise::at(0..5) };
    let all = model.sweep(&pairs).patch(Site::ResidPre).noise(all).by(By::Layer).layers(0..1).run().unwrap();
    for pair in 0..2 {
        assert!(near(of_pair(&all, pair)[0], all.clean[pair]) && !near(all.corrupted[pair], all.clean[pair]));
    }
    // The other way round all of the noisy stream gives the noisy run, and none of it the clean one.
    let noise = || Noise { samples: 2, ..Noise::at(0..5) };
    let back =
        model.sweep(&pairs).patch(Site::ResidPre).noising().noise(noise()).by(By::Layer).layers(0..1).run().unwrap();
    let last = model.sweep(&pairs).patch(Site::HeadMix).noising().noise(noise()).positions(0..1);
    let last = last.by(By::LayerHeadPosition).layers(0..1).run().unwrap();
    for pair in 0..2 {
        assert!(near(of_pair(&back, pair)[0], back.corrupted[pair]) && near(back.corrupted[pair], all.corrupted[pair]));
        let away = (of_pair(&last, pair)[0] - last.clean[pair]).abs();
        assert!(
            away < (last.corrupted[pair] - last.clean[pair]).abs(),
            "one head at one position is not the whole run"
        );
    }
    let ablated =
        model.sweep(&pairs).ablate(Site::HeadMix, Ablation::Zero).noise(noise()).run().unwrap_err().to_string();
    assert!(ablated.contains("noise"), "{ablated}");
}

#[test]
fn windows_of_layers_change_all_that_lie_in_them() {
    let model = model("gpt2");
    let pairs = pairs(&model, both);
    let all = model.sweep(&pairs).patch(Site::MlpOut).by(By::Layer).window(2 * model.layers()).run().unwrap();
    let values = of_pair(&all, 0);
    assert!(values.iter().all(|value| near(*value, values[0])), "each window holds all layers: {values:?}");
    let one = model.sweep(&pairs).patch(Site::MlpOut).by(By::Layer).run().unwrap();
    assert!(of_pair(&one, 0).iter().any(|value| !near(*value, values[0])));
}

#[test]
fn a_path_to_the_end_from_the_last_layer_is_the_patch_itself() {
    for name in ["gpt2", "llama_gqa", "gptj", "t5_gated"] {
        let model = model(name);
        let pairs = pairs(&model, both);
        let last = model.layers() - 1;
        let paths = model.path_patching(&pairs).run().unwrap();
        let patches = model.sweep(&pairs).patch(Site::HeadMix).noising().run().unwrap();
        let heads = paths.axes[1].labels.len();
        for pair in 0..2 {
            for head in 0..heads {
                let (path, patch) = (paths.values.get(&[pair, last, head]), patches.values.get(&[pair, last, head]));
                // Beside the heads of attention those of cross attention are held, which a patch lets go on.
                let same = near(path.unwrap(), patch.unwrap()) || model.encoder_layers() > 0;
                assert!(same, "{name}: {path:?} instead of {patch:?}");
            }
        }
        // A receiver in the first layer gets nothing from any head.
        let none = model.path_patching(&pairs).to(Site::Query, [(0, 0)]).run().unwrap();
        assert!((0..2).all(|pair| of_pair(&none, pair).iter().all(|value| near(*value, none.clean[pair]))), "{name}");
        let some = model.path_patching(&pairs).to(Site::Value, [(last, 0)]).run().unwrap();
        assert!((0..2).any(|pair| of_pair(&some, pair).iter().any(|value| !near(*value, some.clean[pair]))), "{name}");
    }
}

#[test]
fn steering_by_nothing_changes_nothing_and_a_direction_is_a_change() {
    let model = model("gpt2");
    let pairs = pairs(&model, both);
    let steering = model.steering(&pairs).unwrap();
    let effects = steering.sweep([0.0, 3.0]).unwrap();
    let prompts = prompts(&model);
    for layer in 0..model.layers() {
        assert!(near(effects.values.get(&[0, layer, 0]).unwrap(), effects.clean[0]));
        let direction = steering.layer(layer).unwrap() * 3.0;
        let trace = model.watch(prompts[0].clean.clone()).keep([Site::Logits]).change(direction).run().unwrap();
        let logits = trace.get(Site::Logits).unwrap();
        let logit = |id: u32| logits.get(&[prompts[0].position, id as usize]).unwrap();
        let wanted = logit(prompts[0].right) - logit(prompts[0].wrong);
        let value = effects.values.get(&[0, layer, 1]).unwrap();
        assert!(near(value, wanted), "layer {layer}: {value} instead of {wanted}");
    }
    let beyond = steering.layer(99).unwrap_err().to_string();
    assert!(beyond.contains("99") && beyond.contains("0 to"), "{beyond}");
}

#[test]
fn a_check_measures_what_was_estimated() {
    let model = model("gpt2");
    let pairs = pairs(&model, both);
    let attribution = model.attribution_patching(&pairs).site(Site::HeadMix);
    let agreement = attribution.check(4).unwrap();
    let measured = model.sweep(&pairs).patch(Site::HeadMix).run().unwrap().mean_effect().unwrap();
    let estimated = attribution.run().unwrap().mean_effect().unwrap();
    assert_eq!(agreement.cells.len(), 4);
    for (place, estimate, found) in &agreement.cells {
        let index: Vec<usize> = place.iter().map(|label| label.parse().unwrap()).collect();
        assert!(near(*estimate, estimated.get(&index).unwrap()) && near(*found, measured.get(&index).unwrap()));
    }
    assert!(agreement.correlation.abs() <= 1.0 + 1e-6, "{agreement}");
}

#[test]
fn a_run_may_begin_at_a_layer_and_gradients_are_slopes() {
    let model = model("llama_gqa");
    let prompts = prompts(&model);
    let whole = model.run(prompts[0].clean.clone()).unwrap();
    let last = model.layers() - 1;
    let late = model.watch(prompts[0].clean.clone()).start_at(last, &whole).run().unwrap();
    let ends = |trace: &flowlens::Trace| trace.get(Site::FinalNorm).unwrap();
    assert!(ends(&late).data().iter().zip(ends(&whole).data()).all(|(a, b)| near(*a, *b)));
    assert!(late.get(Site::ResidPre(last)).is_ok() && late.get(Site::Embedding).is_err());
    let other = model.watch(prompts[1].clean.clone()).start_at(last, &whole).run().unwrap_err().to_string();
    assert!(other.contains("another input"), "{other}");
    let before = Change::zero(Site::AttnOut(0));
    let early = model.watch(prompts[0].clean.clone()).start_at(last, &whole).change(before).run();
    assert!(matches!(early, Err(Error::Site { .. })));
    let right = i64::from(prompts[0].right);
    let number = |logits: &flowlens::tch::Tensor| Ok(logits.f_get(0)?.f_get(right)?);
    let watch = || model.watch(prompts[0].clean.clone()).keep([Site::MlpOut(0)]);
    let slopes = watch().gradients(number).unwrap().gradient(Site::MlpOut(0)).unwrap();
    let moved = |step: f32| {
        let along =
            flowlens::Array::new(slopes.shape(), slopes.data().iter().map(|slope| slope * step).collect()).unwrap();
        let trace = watch().change(Change::add(Site::MlpOut(0), along)).run().unwrap();
        let next = trace.next_tokens(usize::MAX).unwrap();
        f64::from(next.into_iter().find(|next| i64::from(next.id) == right).unwrap().logit)
    };
    let square: f64 = slopes.data().iter().map(|slope| f64::from(*slope).powi(2)).sum();
    let step = 0.02 / square.sqrt() as f32;
    let measured = (moved(step) - moved(-step)) / f64::from(2.0 * step);
    assert!((measured - square).abs() < 0.02 * square, "{measured} instead of {square}");
    let nothing = model.watch(prompts[0].clean.clone()).keep([]).gradients(number).unwrap_err().to_string();
    assert!(nothing.contains("keep"), "{nothing}");
    let many = watch().gradients(|logits| Ok(logits.shallow_clone())).unwrap_err().to_string();
    assert!(many.contains("one number"), "{many}");
    let huge = watch().memory_limit_mb(0).gradients(number);
    assert!(matches!(huge, Err(Error::Memory { .. })));
}

#[test]
fn what_cannot_be_swept_is_refused_with_a_way_out() {
    let model = model("gpt2");
    let pairs = pairs(&model, both);
    let said = |result: flowlens::Result<Effects>| result.unwrap_err().to_string();
    assert!(said(model.sweep(&pairs).run()).contains("patch(site)"));
    assert!(said(model.sweep(&pairs).patch(|_| Site::Embedding).run()).contains("no layer"));
    assert!(said(model.sweep(&pairs).patch(Site::CrossHeadMix).run()).contains("no such site"));
    assert!(said(model.sweep(&pairs).patch(Site::ResidPre).by(By::LayerHead).run()).contains("no heads"));
    assert!(said(model.sweep(&pairs).patch(Site::ResidPre).layers(1..99).run()).contains("1..99"));
    assert!(said(model.sweep(&pairs).patch(Site::ResidPre).positions(3..3).run()).contains("3..3"));
    assert!(said(model.sweep(&pairs).patch(Site::ResidPre).window(0).run()).contains("window"));
    assert!(said(model.path_patching(&pairs).to(Site::Query, [(0, 99)]).run()).contains("99"));
    assert!(said(model.path_patching(&pairs).to(Site::ResidPre, [(0, 0)]).run()).contains("receives nothing"));
    assert!(said(model.attribution_patching(&pairs).steps(0).run()).contains("steps"));
    let same = self::pairs(&model, |prompts| Pair::new(prompts.clean.clone(), prompts.clean.clone()));
    let effects = model.sweep(&same).patch(Site::ResidPre).run().unwrap();
    let equal = effects.normalized().unwrap_err().to_string();
    assert!(equal.contains("same") || equal.contains("equal") || equal.contains("0"), "{equal}");
}
