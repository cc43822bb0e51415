//! Watching and changing a run: every site of every family, ablation, patching, estimates, generation.

use std::path::Path;

use flowlens::{Array, Change, Error, Input, Model, Site, Trace};
use safetensors::SafeTensors;

fn folder(name: &str) -> String {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity").join(name).to_str().unwrap().to_owned()
}

fn model(name: &str) -> Model {
    Model::load(folder(name)).unwrap()
}

const IDS: [i64; 7] = [5, 17, 9, 40, 2, 33, 21];

/// A tensor of a safetensors file as numbers.
fn stored(path: &Path, name: &str) -> (Vec<usize>, Vec<f32>) {
    let bytes = std::fs::read(path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let view = file.tensor(name).unwrap_or_else(|_| panic!("{name} is not in {}", path.display()));
    let data = view.data().chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    (view.shape().to_vec(), data)
}

#[track_caller]
fn assert_close(found: &[f32], wanted: &[f32], what: &str) {
    assert_eq!(found.len(), wanted.len(), "{what}");
    let largest = wanted.iter().fold(1.0f32, |largest, number| largest.max(number.abs()));
    for (index, (a, b)) in found.iter().zip(wanted).enumerate() {
        assert!((a - b).abs() <= 2e-5 * largest, "{what}: number {index} is {a}, expected {b}");
    }
}

fn sum(parts: &[&Array]) -> Vec<f32> {
    let mut total = vec![0.0; parts[0].data().len()];
    for part in parts {
        total.iter_mut().zip(part.data()).for_each(|(total, number)| *total += number);
    }
    total
}

/// Sizes as the folder's config.json has them, and what its family is made of.
struct Sizes {
    name: &'static str,
    width: usize,
    heads: usize,
    kv_heads: usize,
    head: usize,
    inner: usize,
    vocab: usize,
    layers: usize,
    sequential: bool,
    rotary: bool,
    gated: bool,
}

#[rustfmt::skip]
const FAMILIES: [Sizes; 8] = [
    Sizes { name: "gpt2", width: 48, heads: 4, kv_heads: 4, head: 12, inner: 192, vocab: 290, layers: 3, sequential: true, rotary: false, gated: false },
    Sizes { name: "gpt_neo", width: 48, heads: 4, kv_heads: 4, head: 12, inner: 192, vocab: 290, layers: 3, sequential: true, rotary: false, gated: false },
    Sizes { name: "gptj", width: 48, heads: 3, kv_heads: 3, head: 16, inner: 192, vocab: 290, layers: 3, sequential: false, rotary: true, gated: false },
    Sizes { name: "gpt_neox", width: 64, heads: 4, kv_heads: 4, head: 16, inner: 160, vocab: 290, layers: 2, sequential: false, rotary: true, gated: false },
    Sizes { name: "llama_gqa", width: 48, heads: 6, kv_heads: 2, head: 8, inner: 96, vocab: 290, layers: 3, sequential: true, rotary: true, gated: true },
    Sizes { name: "mistral", width: 48, heads: 4, kv_heads: 2, head: 12, inner: 96, vocab: 290, layers: 3, sequential: true, rotary: true, gated: true },
    Sizes { name: "qwen2", width: 48, heads: 4, kv_heads: 2, head: 12, inner: 96, vocab: 290, layers: 3, sequential: true, rotary: true, gated: true },
    Sizes { name: "qwen3", width: 40, heads: 4, kv_heads: 2, head: 16, inner: 96, vocab: 290, layers: 3, sequential: true, rotary: true, gated: true },
];

#[test]
fn every_family_has_its_sites_in_the_shapes_of_the_design() {
    let t = IDS.len();
    for sizes in FAMILIES {
        let Sizes { width, heads, kv_heads, head, inner, vocab, layers, .. } = sizes;
        let trace = model(sizes.name).run(IDS).unwrap();
        let mut wanted = vec![(Site::Embedding, vec![t, width])];
        if !sizes.rotary {
            wanted.push((Site::PositionEmbedding, vec![t, width]));
        }
        for layer in 0..layers {
            wanted.extend([
                (Site::ResidPre(layer), vec![t, width]),
                (Site::AttnNorm(layer), vec![t, width]),
                (Site::Query(layer), vec![heads, t, head]),
                (Site::Key(layer), vec![kv_heads, t, head]),
                (Site::Value(layer), vec![kv_heads, t, head]),
            ]);
            if sizes.rotary {
                wanted.extend([
                    (Site::RotatedQuery(layer), vec![heads, t, head]),
                    (Site::RotatedKey(layer), vec![kv_heads, t, head]),
                ]);
            }
            wanted.extend([
                (Site::Scores(layer), vec![heads, t, t]),
                (Site::Pattern(layer), vec![heads, t, t]),
                (Site::HeadMix(layer), vec![heads, t, head]),
                (Site::AttnOut(layer), vec![t, width]),
            ]);
            if sizes.sequential {
                wanted.push((Site::ResidMid(layer), vec![t, width]));
            }
            wanted.extend([(Site::MlpNorm(layer), vec![t, width]), (Site::MlpPre(layer), vec![t, inner])]);
            if sizes.gated {
                wanted.push((Site::MlpGate(layer), vec![t, inner]));
            }
            wanted.extend([
                (Site::Neurons(layer), vec![t, inner]),
                (Site::MlpOut(layer), vec![t, width]),
                (Site::ResidPost(layer), vec![t, width]),
            ]);
        }
        wanted.extend([(Site::FinalNorm, vec![t, width]), (Site::Logits, vec![t, vocab])]);
        let found: Vec<(Site, Vec<usize>)> =
            trace.sites().into_iter().map(|site| (site, trace.get(site).unwrap().shape().to_vec())).collect();
        assert_eq!(found, wanted, "{}", sizes.name);
        for layer in 0..layers {
            assert_eq!(trace.get(Site::HeadOutput(layer)).unwrap().shape(), [heads, t, width], "{}", sizes.name);
            assert!(trace.get(Site::PositionBias(layer)).is_err(), "{}", sizes.name);
        }
        assert!(trace.get(Site::ResidPre(layers)).unwrap_err().to_string().contains(&format!("0 to {}", layers - 1)));
    }
}

#[test]
fn sites_add_up() {
    for sizes in FAMILIES {
        let trace = model(sizes.name).run(IDS).unwrap();
        let get = |site| trace.get(site).unwrap();
        for layer in 0..sizes.layers {
            let what = format!("{} layer {layer}", sizes.name);
            let (pre, attn, mlp) = (get(Site::ResidPre(layer)), get(Site::AttnOut(layer)), get(Site::MlpOut(layer)));
            assert_close(&sum(&[&pre, &attn, &mlp]), get(Site::ResidPost(layer)).data(), &what);
            if sizes.sequential {
                assert_close(&sum(&[&pre, &attn]), get(Site::ResidMid(layer)).data(), &what);
            }
            if layer > 0 {
                assert_eq!(pre, get(Site::ResidPost(layer - 1)), "{what}");
            }
            check_attention(&trace, &sizes, layer, &what);
        }
    }
}

/// Scores to pattern, pattern and values to mix, heads to output: computed here number by number.
fn check_attention(trace: &Trace, sizes: &Sizes, layer: usize, what: &str) {
    let get = |site| trace.get(site).unwrap();
    let (t, d) = (IDS.len(), sizes.head);
    let (scores, pattern) = (get(Site::Scores(layer)), get(Site::Pattern(layer)));
    let (value, mix) = (get(Site::Value(layer)), get(Site::HeadMix(layer)));
    let by_head = get(Site::HeadOutput(layer));
    let at = |array: &Array, index: [usize; 3]| array.get(&index).unwrap();
    for head in 0..sizes.heads {
        let kv_head = head / (sizes.heads / sizes.kv_heads);
        for query in 0..t {
            // Which keys are seen is the mask's business (parity tests it); among those the softmax must hold.
            let seen: Vec<usize> = (0..t).filter(|&key| at(&pattern, [head, query, key]) > 0.0).collect();
            assert!(seen.contains(&query) && seen.iter().all(|&key| key <= query), "{what}");
            let total: f32 = seen.iter().map(|&key| at(&scores, [head, query, key]).exp()).sum();
            for &key in &seen {
                let wanted = at(&scores, [head, query, key]).exp() / total;
                assert!((at(&pattern, [head, query, key]) - wanted).abs() < 1e-5, "{what}");
            }
            for place in 0..d {
                let wanted: f32 =
                    seen.iter().map(|&key| at(&pattern, [head, query, key]) * at(&value, [kv_head, key, place])).sum();
                assert!((at(&mix, [head, query, place]) - wanted).abs() < 1e-4 * (1.0 + wanted.abs()), "{what}");
            }
        }
    }
    // What the heads leave of the attention output is its bias: the same at every position.
    let out = get(Site::AttnOut(layer));
    let left = |query: usize, place: usize| -> f32 {
        let heads: f32 = (0..sizes.heads).map(|head| at(&by_head, [head, query, place])).sum();
        out.get(&[query, place]).unwrap() - heads
    };
    for place in 0..sizes.width {
        for query in 1..t {
            assert!(
                (left(query, place) - left(0, place)).abs() < 2e-5 * (1.0 + out.get(&[query, place]).unwrap().abs()),
                "{what}"
            );
        }
    }
}

#[test]
fn a_saved_trace_reads_back_under_the_names_of_the_sites() {
    let trace = model("qwen3").run(IDS).unwrap();
    let path = std::env::temp_dir().join(format!("flowlens-saved-trace-{}.safetensors", std::process::id()));
    trace.save(&path).unwrap();
    for site in trace.sites() {
        let (shape, data) = stored(&path, &site.to_string());
        assert_eq!(Array::new(&shape, data).unwrap(), trace.get(site).unwrap(), "{site}");
    }
    let bytes = std::fs::read(&path).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    assert_eq!(file.len(), trace.sites().len() + 1);
    assert!(file.tensor("blocks.2.attn.hook_rot_k").is_ok());
    let ids: Vec<u8> = IDS.iter().flat_map(|id| id.to_le_bytes()).collect();
    assert_eq!(file.tensor("input_ids").unwrap().data(), ids);
    std::fs::remove_file(path).unwrap();
}

/// A head is silenced by a change, and by hand: its part of the saved mix is set to zero, the output matrix of the
/// checkpoint is applied to what is left, and the sum goes back in as the attention output.
#[test]
fn ablating_a_head_both_ways_gives_the_same_logits() {
    for (name, layer, head, matrix, rows_are_inputs) in [
        ("gpt2", 1, 2, "transformer.h.1.attn.c_proj", true),
        ("gpt_neox", 0, 3, "gpt_neox.layers.0.attention.dense", false),
        ("llama_gqa", 2, 4, "model.layers.2.self_attn.o_proj", false),
    ] {
        let model = model(name);
        let plain = model.run(IDS).unwrap();
        let changed = model.watch(IDS).change(Change::zero_head(layer, head)).run().unwrap();
        assert!(
            changed.get(Site::HeadMix(layer)).unwrap().row(head).unwrap().data().iter().all(|&number| number == 0.0)
        );

        let weights = Path::new(&folder(name)).join("model.safetensors");
        let (shape, matrix_data) = stored(&weights, &format!("{matrix}.weight"));
        let mix = plain.get(Site::HeadMix(layer)).unwrap();
        let (heads, t, d, width) =
            (mix.shape()[0], mix.shape()[1], mix.shape()[2], shape[usize::from(rows_are_inputs)]);
        let bias = match name {
            "llama_gqa" => vec![0.0; width],
            _ => stored(&weights, &format!("{matrix}.bias")).1,
        };
        let weight = |input: usize, output: usize| match rows_are_inputs {
            true => matrix_data[input * width + output],
            false => matrix_data[output * heads * d + input],
        };
        let mut out = Vec::new();
        for position in 0..t {
            for (output, constant) in bias.iter().enumerate() {
                let parts =
                    (0..heads).filter(|&other| other != head).flat_map(|other| (0..d).map(move |place| (other, place)));
                let sum: f32 = parts
                    .map(|(other, place)| {
                        mix.get(&[other, position, place]).unwrap() * weight(other * d + place, output)
                    })
                    .sum();
                out.push(sum + constant);
            }
        }
        let out = Array::new(&[t, width], out).unwrap();
        let by_hand = model.watch(IDS).change(Change::replace(Site::AttnOut(layer), out)).run().unwrap();
        let logits = |trace: &Trace| trace.get(Site::Logits).unwrap();
        assert_close(logits(&changed).data(), logits(&by_hand).data(), name);
        let moved = logits(&changed).data().iter().zip(logits(&plain).data()).any(|(a, b)| (a - b).abs() > 0.01);
        assert!(moved, "{name}: silencing the head changed nothing");
    }
}

#[test]
fn heads_can_be_silenced_where_their_output_is() {
    let model = model("gpt2");
    let t = IDS.len();
    let by_mix = model.watch(IDS).change(Change::zero_head(1, 2)).run().unwrap();
    let mut outputs = model.run(IDS).unwrap().get(Site::HeadOutput(1)).unwrap().data().to_vec();
    outputs[2 * t * 48..3 * t * 48].fill(0.0);
    let outputs = Array::new(&[4, t, 48], outputs).unwrap();
    let by_output = model.watch(IDS).change(Change::replace(Site::HeadOutput(1), outputs)).run().unwrap();
    assert_close(by_output.get(Site::Logits).unwrap().data(), by_mix.get(Site::Logits).unwrap().data(), "head output");
}

#[test]
fn patching_the_stream_from_another_run_gives_the_other_runs_logits() {
    let model = model("mistral");
    let other_ids = [3, 3, 80, 2, 200, 7, 8];
    let (one, other) = (model.run(IDS).unwrap(), model.run(other_ids).unwrap());
    let logits = |trace: &Trace| trace.get(Site::Logits).unwrap();
    let whole = model.watch(IDS).change(Change::patch(Site::ResidPre(1), &other).unwrap()).run().unwrap();
    assert_close(logits(&whole).data(), logits(&other).data(), "whole stream");
    // One position: earlier ones stay as they were, since nothing looks ahead.
    let part = model.watch(IDS).change(Change::patch_position(Site::ResidPost(0), 4, &other).unwrap()).run().unwrap();
    let vocab = 290;
    assert_close(&logits(&part).data()[..4 * vocab], &logits(&one).data()[..4 * vocab], "before the patch");
    let differ = |a: &Array, b: &Array| a.data().iter().zip(b.data()).any(|(a, b)| (a - b).abs() > 0.01);
    assert!(differ(&logits(&part), &logits(&one)) && differ(&logits(&part), &logits(&other)));
    let neuron = model.watch(IDS).change(Change::zero_neuron(2, 5)).run().unwrap();
    let neurons = neuron.get(Site::Neurons(2)).unwrap();
    assert!((0..IDS.len()).all(|position| neurons.get(&[position, 5]) == Some(0.0)));
    assert!(differ(&logits(&neuron), &logits(&one)));
}

#[test]
fn changes_that_do_not_fit_are_refused_before_the_run() {
    let model = model("gpt2");
    let refuse = |change: Change, words: &[&str]| {
        let text = model.watch(IDS).change(change).run().unwrap_err().to_string();
        assert!(words.iter().all(|word| text.contains(word)), "{text}");
    };
    refuse(Change::zero_head(9, 0), &["blocks.9.attn.hook_z", "3 layers (0 to 2)"]);
    refuse(Change::zero_head(1, 4), &["head 4", "there are 4 (0 to 3)"]);
    refuse(Change::zero_neuron(1, 192), &["neuron 192"]);
    refuse(Change::zero_position(Site::ResidPre(0), 7), &["position 7"]);
    let values = Array::new(&[2, 48], vec![0.0; 96]).unwrap();
    refuse(Change::replace(Site::ResidPre(0), values), &["[2, 48]", "[7, 48]"]);
    let narrow = model.watch(IDS).keep([Site::Logits]).run().unwrap();
    let missing = Change::patch(Site::ResidPre(0), &narrow).unwrap_err().to_string();
    assert!(missing.contains("was not kept"), "{missing}");
}

#[test]
fn an_estimate_is_what_a_run_keeps() {
    for sizes in FAMILIES {
        let model = model(sizes.name);
        let estimate = model.estimate(IDS).unwrap();
        let trace = model.run(IDS).unwrap();
        assert_eq!(estimate.bytes(), trace.bytes(), "{}", sizes.name);
        for (site, bytes) in &estimate.sites {
            assert_eq!(*bytes, 4 * trace.get(*site).unwrap().data().len() as u64, "{} {site}", sizes.name);
        }
        let some = [Site::Pattern(0), Site::HeadOutput(1)];
        let (estimate, trace) =
            (model.watch(IDS).keep(some).estimate().unwrap(), model.watch(IDS).keep(some).run().unwrap());
        assert_eq!((estimate.bytes(), trace.sites()), (trace.bytes(), some.to_vec()));
    }
}

#[test]
fn a_run_past_its_limit_is_refused_with_the_way_out() {
    let model = model("gpt2");
    let ids: Vec<i64> = (0..60).collect();
    let error = model.watch(ids.clone()).memory_limit_mb(0).run().unwrap_err();
    assert!(matches!(error, Error::Memory { .. }));
    let text = error.to_string();
    assert!(["keep(", "memory_limit_mb(", "blocks.*."].iter().all(|word| text.contains(word)), "{text}");
    // What passes by counts as well.
    let passing = model.watch(ids.clone()).memory_limit_mb(0).keep([]).run().unwrap_err().to_string();
    assert!(passing.contains("0 MB are kept, and 1 MB pass by") && passing.contains("shorten the prompt"), "{passing}");
    assert!(model.watch(ids.clone()).memory_limit_mb(1).keep([]).run().is_ok());
    assert!(model.watch(ids).memory_limit_mb(50).run().is_ok());
}

#[test]
fn a_plain_run_says_the_same_as_a_watched_one() {
    for sizes in FAMILIES {
        let model = model(sizes.name);
        let (watched, plain) = (model.run(IDS).unwrap(), model.watch(IDS).keep([]).run().unwrap());
        assert!(plain.sites().is_empty());
        let scores =
            |trace: &Trace| -> Vec<f32> { trace.next_tokens(290).unwrap().iter().map(|token| token.logit).collect() };
        assert_close(&scores(&plain), &scores(&watched), sizes.name);
        let probabilities: f32 = plain.next_tokens(1000).unwrap().iter().map(|token| token.prob).sum();
        assert!((probabilities - 1.0).abs() < 1e-5);
    }
}

#[test]
fn greedy_generation_is_the_best_token_again_and_again() {
    let model = model("llama_gqa");
    let mut ids = IDS.to_vec();
    for _ in 0..6 {
        let logits = model.run(ids.clone()).unwrap().get(Site::Logits).unwrap();
        let last = logits.row(ids.len() - 1).unwrap();
        let best = (0..290).max_by(|&a, &b| last.data()[a].total_cmp(&last.data()[b])).unwrap();
        ids.push(best as i64);
    }
    let written = model.generate(IDS).max_tokens(6).keep([Site::Pattern(0)]).run().unwrap();
    let wanted: Vec<u32> = ids[IDS.len()..].iter().map(|&id| id as u32).collect();
    assert_eq!(written.ids, wanted[..written.ids.len()]);
    assert!(written.ids.len() == 6 || written.ids.last() == Some(&2), "only the end of text (2) stops it earlier");
    for (step, trace) in written.traces.iter().enumerate() {
        let t = IDS.len() + step;
        assert_eq!(trace.get(Site::Pattern(0)).unwrap().shape(), [6, t, t]);
    }
    let silent = model.generate(IDS).max_tokens(6).run().unwrap();
    assert_eq!((silent.ids, silent.text, silent.traces.len()), (written.ids, written.text, 0));
}

#[test]
fn drawing_with_a_seed_is_repeatable() {
    let model = model("gpt2");
    let draw = |seed| model.generate(IDS).max_tokens(12).temperature(1.5).seed(seed).run().unwrap().ids;
    assert_eq!(draw(7), draw(7));
    assert!((8..12).any(|seed| draw(seed) != draw(7)));
    assert!(model.generate(IDS).temperature(-1.0).run().is_err());
}

#[test]
fn padding_on_the_right_does_not_change_what_stands_before_it() {
    let model = model("qwen2");
    let plain = model.run(IDS).unwrap().get(Site::Logits).unwrap();
    let padded: Vec<i64> = IDS.iter().copied().chain([1, 1]).collect();
    let mask = [1, 1, 1, 1, 1, 1, 1, 0, 0];
    let padded = model.run(Input::from(padded).attention_mask(mask)).unwrap().get(Site::Logits).unwrap();
    assert_close(&padded.data()[..plain.data().len()], plain.data(), "padded");
    let error = model.run(Input::from(&IDS[..]).attention_mask([1, 1])).unwrap_err().to_string();
    assert!(error.contains("2 entries for 7 tokens"), "{error}");
}
