//! The neuron view's pages: from the floats that a page carries, every weight of every family is computed once more and
//! compared with what Python `transformers` gives.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};

use flowlens::{Array, Change, Figure, Input, Model, Site};
use safetensors::SafeTensors;
use serde_json::Value;

const TOLERANCE: f64 = 1e-4;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity")
}

/// What a page holds beside its picture.
struct Page {
    data: Value,
    packed: Vec<String>,
}

impl Page {
    fn of(figure: &Figure) -> Page {
        let html = figure.html();
        let scripts = |class: &str| -> Vec<String> {
            let start = format!("class=\"{class}\">");
            html.split(&start).skip(1).map(|part| part.split_once("</script>").unwrap().0.to_owned()).collect()
        };
        Page { data: serde_json::from_str(&scripts("fl-data")[0]).unwrap(), packed: scripts("fl-packed") }
    }

    fn blocks(&self) -> &Vec<Value> {
        self.data["blocks"].as_array().unwrap()
    }

    /// The numbers of a chunk: four planes of bytes, lowest first, deflated, in base64.
    fn floats(&self, chunk: &Value) -> Vec<f64> {
        let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
        let text = self.packed[chunk.as_u64().unwrap() as usize].trim_end_matches('=');
        let mut values = [0u8; 256];
        letters.iter().zip(0..).for_each(|(letter, value)| values[usize::from(*letter)] = value);
        let mut bytes = Vec::new();
        for group in text.as_bytes().chunks(4) {
            let value = |at: usize| group.get(at).map_or(0, |letter| u32::from(values[usize::from(*letter)]));
            let bits = value(0) << 18 | value(1) << 12 | value(2) << 6 | value(3);
            bytes.extend(&bits.to_be_bytes()[1..group.len()]);
        }
        let mut planes = Vec::new();
        flate2::read::DeflateDecoder::new(&bytes[..]).read_to_end(&mut planes).unwrap();
        let count = planes.len() / 4;
        let number = |at: usize| f32::from_le_bytes([0, 1, 2, 3].map(|plane| planes[plane * count + at]));
        (0..count).map(|at| f64::from(number(at))).collect()
    }
}

fn integers(list: &Value) -> Vec<usize> {
    list.as_array().unwrap().iter().map(|number| number.as_u64().unwrap() as usize).collect()
}

/// The weights (heads,T,S) of a layer of a page.
fn weights(page: &Page, block: &Value, layer: &Value) -> Vec<f64> {
    let queries = block["queries"].as_array().unwrap().len();
    let keys = block["keys"].as_array().map_or(queries, Vec::len);
    let (query, key) = (page.floats(&layer["query"]), page.floats(&layer["key"]));
    let width = layer["width"].as_u64().unwrap() as usize;
    let (scale, cap) = (layer["scale"].as_f64().unwrap(), layer["cap"].as_f64());
    let bias = (!layer["bias"].is_null()).then(|| page.floats(&layer["bias"]["chunk"]));
    let added = |head: usize, i: usize, j: usize| {
        let Some(bias) = &bias else { return 0.0 };
        match layer["bias"]["kind"].as_str().unwrap() {
            "distance" => bias[head * (queries + keys - 1) + j + queries - 1 - i],
            "place" => bias[head * keys + j] - bias[head * keys + i],
            _ => bias[(head * queries + i) * keys + j],
        }
    };
    let mask = &layer["mask"];
    let (from, to, padded) = (integers(&mask["from"]), integers(&mask["to"]), integers(&mask["padded"]));
    let mut all = Vec::new();
    for (head, key_head) in integers(&layer["keyOf"]).into_iter().enumerate() {
        for i in 0..queries {
            let logit = |j: usize| {
                let (q, k) = ((head * queries + i) * width, (key_head * keys + j) * width);
                let dot: f64 = query[q..q + width].iter().zip(&key[k..k + width]).map(|(q, k)| q * k).sum();
                let logit = scale * dot + added(head, i, j);
                cap.map_or(logit, |cap| cap * (logit / cap).tanh())
            };
            let seen: Vec<usize> = (from[i]..to[i]).filter(|key| !padded.contains(key)).collect();
            let logits: Vec<f64> = seen.iter().map(|&key| logit(key)).collect();
            let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = logits.iter().map(|logit| (logit - most).exp()).sum();
            let mut row = vec![if seen.is_empty() { 1.0 / keys as f64 } else { 0.0 }; keys];
            seen.iter().zip(&logits).for_each(|(&key, logit)| row[key] = (logit - most).exp() / sum);
            all.extend(row);
        }
    }
    all
}

/// Python's patterns by name, and its masks.
struct Expected {
    patterns: BTreeMap<String, Vec<f64>>,
    mask: Option<Vec<i64>>,
    decoder_mask: Option<Vec<i64>>,
}

impl Expected {
    fn read(folder: &Path) -> Expected {
        let bytes = std::fs::read(folder.join("expected.safetensors")).unwrap();
        let file = SafeTensors::deserialize(&bytes).unwrap();
        let floats = |data: &[u8]| -> Vec<f64> {
            data.chunks_exact(4).map(|b| f64::from(f32::from_le_bytes(b.try_into().unwrap()))).collect()
        };
        let patterns = file.iter().filter(|(name, _)| name.contains("attentions."));
        let mask = |name: &str| {
            let view = file.tensor(name).ok()?;
            Some(view.data().chunks_exact(8).map(|b| i64::from_le_bytes(b.try_into().unwrap())).collect())
        };
        Expected {
            patterns: patterns.map(|(name, view)| (name.to_owned(), floats(view.data()))).collect(),
            mask: mask("attention_mask"),
            decoder_mask: mask("decoder_attention_mask"),
        }
    }
}

/// How far the weights of a folder's page are from Python's at most, queries that are padded left out.
fn distance(folder: &Path) -> f64 {
    let model = Model::load(folder.to_str().unwrap()).unwrap();
    let trace = model.run(Input::from_file(folder.join("expected.safetensors")).unwrap()).unwrap();
    let page = Page::of(&trace.neuron_view().build().unwrap());
    let expected = Expected::read(folder);
    let mut seen = BTreeSet::new();
    let mut worst = 0f64;
    for block in page.blocks() {
        let (prefix, mask) = match block["name"].as_str().unwrap() {
            "encoder" => ("encoder_", &expected.mask),
            "decoder" => ("decoder_", &expected.decoder_mask),
            "cross" => ("cross_", &expected.decoder_mask),
            _ => ("", &expected.mask),
        };
        let queries = block["queries"].as_array().unwrap().len();
        let keys = block["keys"].as_array().map_or(queries, Vec::len);
        for layer in block["layers"].as_array().unwrap() {
            let name = format!("{prefix}attentions.{}", layer["layer"]);
            let (found, wanted) = (weights(&page, block, layer), &expected.patterns[&name]);
            assert_eq!(found.len(), wanted.len(), "{name}");
            for (place, (found, wanted)) in found.iter().zip(wanted).enumerate() {
                if mask.as_ref().is_none_or(|mask| mask[place / keys % queries] == 1) {
                    let apart = (found - wanted).abs();
                    worst = if apart.is_nan() { f64::INFINITY } else { worst.max(apart) };
                }
            }
            assert!(layer["error"].as_f64().unwrap() < TOLERANCE, "{name}: {}", layer["error"]);
            seen.insert(name);
        }
    }
    assert_eq!(seen, expected.patterns.into_keys().collect(), "{}", folder.display());
    worst
}

#[test]
fn pages_of_every_fixture_give_pythons_weights() {
    let mut folders: Vec<PathBuf> = std::fs::read_dir(fixtures()).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let mut failed = Vec::new();
    for folder in folders {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let worst = distance(&folder);
        println!("{name:28} {worst:.1e}");
        if worst > TOLERANCE {
            failed.push(format!("{name}: {worst:e} away"));
        }
    }
    assert!(failed.is_empty(), "{} folders differ:\n{}", failed.len(), failed.join("\n"));
}

fn model(name: &str) -> Model {
    Model::load(fixtures().join(name).to_str().unwrap()).unwrap()
}

#[test]
fn a_page_opens_where_it_was_told_to() {
    let trace = model("llama_gqa").run([5, 17, 3, 29]).unwrap();
    let figure = trace.neuron_view().layers([2, 1]).heads([5, 0]).layer(1).head(0).token(2).build().unwrap();
    let page = Page::of(&figure);
    let first = &page.data["first"];
    assert_eq!((&first["layer"], &first["head"], &first["token"]), (&1.into(), &0.into(), &2.into()));
    let layers = page.blocks()[0]["layers"].as_array().unwrap();
    assert_eq!(layers.iter().map(|layer| layer["layer"].as_u64().unwrap()).collect::<Vec<_>>(), [2, 1]);
    assert_eq!(integers(&layers[0]["heads"]), [5, 0]);
    // The numbers of the opened row, for other programs.
    let numbers: Value = serde_json::from_str(&figure.json()).unwrap();
    let pattern = trace.get(Site::Pattern(1)).unwrap();
    for (key, weight) in numbers["row"]["weights"].as_array().unwrap().iter().enumerate() {
        assert!((weight.as_f64().unwrap() - f64::from(pattern.get(&[0, 2, key]).unwrap())).abs() < 1e-6);
    }
    assert!(numbers["blocks"][0]["layers"][0].get("query").is_none());
}

#[test]
fn says_what_is_not_there() {
    let trace = model("t5_uneven").run(Input::from([5, 17, 3, 29]).target([0, 4])).unwrap();
    let view = || trace.neuron_view();
    let told = |view: flowlens::attention::NeuronView, part: &str| {
        let problem = view.build().unwrap_err().to_string();
        assert!(problem.contains(part), "{problem}");
    };
    told(view().layers([9]), "layers 9 are not there");
    told(view().layer(9), "no layer 9");
    told(view().head(99), "no head 99");
    told(view().heads([]), "empty");
    told(view().token(4), "no token 4");
    told(view().block("decoder").token(2), "block decoder has no token 2; it has 2");
    told(view().block("all"), "encoder, decoder, cross");
}

#[test]
fn a_page_says_how_far_its_numbers_are_from_the_runs() {
    let model = model("gpt2");
    let plain = model.run([5, 17, 3]).unwrap().neuron_view().build().unwrap();
    assert!(plain.caption().contains("e-7 of the run") || plain.caption().contains("e-8 of the run"), "{plain}");
    assert!(!plain.caption().contains("changed"), "{plain}");
    let heads = model.architecture().main.blocks[0].attention.heads;
    let even = Array::new(&[heads, 3, 3], vec![1.0 / 3.0; heads * 9]).unwrap();
    let changed = model.watch([5, 17, 3]).change(Change::replace(Site::Pattern(0), even)).run();
    let changed = changed.unwrap().neuron_view().build().unwrap();
    assert!(changed.caption().contains("attention was changed in this run"), "{changed}");
    assert!(Page::of(&changed).blocks()[0]["layers"][0]["error"].as_f64().unwrap() > 0.1);
}

/// XLNet's position terms are a number for each pair of tokens.
#[test]
fn a_long_text_leaves_layers_out_and_says_so() {
    let model = model("xlnet");
    let sites = model.sites().into_iter().filter(|site| {
        let site = site.plain();
        let numbers = matches!(site, Site::Query(_) | Site::Key(_) | Site::Value(_));
        numbers || matches!(site, Site::PositionBias(_) | Site::Pattern(_))
    });
    let tokens: Vec<i64> = (0..600).map(|place| place * place % 61).collect();
    let trace = model.watch(tokens).keep(sites).run().unwrap();
    let there = |figure: &Figure| -> Vec<u64> {
        let page = Page::of(figure);
        page.blocks()[0]["layers"].as_array().unwrap().iter().map(|it| it["layer"].as_u64().unwrap()).collect()
    };
    let some = trace.neuron_view().layer(1).build().unwrap();
    assert_eq!(there(&some), [1]);
    assert!(
        some.caption().contains("Only some layers are in this page, as many as 8 MB of numbers hold: 1 of 0 to 2;"),
        "{some}"
    );
    let all = trace.neuron_view().layers(0..trace.model().layers()).build().unwrap();
    assert_eq!(there(&all), [0, 1, 2]);
    assert!(!all.caption().contains("Only some"), "{all}");
}
