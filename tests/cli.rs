//! The command line, from outside: what people and scripts meet.
#![cfg(feature = "cli")]

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use flowlens::tch::Tensor;
use serde_json::{Value, json};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

fn parity(name: &str) -> String {
    fixture("parity").join(name).display().to_string()
}

fn read_json(path: impl AsRef<Path>) -> Value {
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// A fresh folder for one test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("cli").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

/// A copy of a parity model that a test may damage.
fn copy_of(model: &str, name: &str) -> PathBuf {
    let folder = folder(name);
    for entry in std::fs::read_dir(parity(model)).unwrap() {
        let entry = entry.unwrap();
        std::fs::copy(entry.path(), folder.join(entry.file_name())).unwrap();
    }
    folder
}

fn flowlens(args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_flowlens")).args(args).stdin(Stdio::null()).output().unwrap()
}

fn works(args: &[&str]) -> String {
    let output = flowlens(args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(output.status.success(), "{args:?}: {said}");
    assert!(!said.contains("error"), "{args:?}: {said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Fails with code 1 (or 2 for a wrong command line), nothing on standard output, and one paragraph that holds `parts`.
fn fails(args: &[&str], parts: &[&str]) {
    let output = flowlens(args);
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(matches!(output.status.code(), Some(1 | 2)), "{args:?}: {:?} {said}", output.status);
    assert!(output.stdout.is_empty(), "{args:?} wrote to standard output");
    assert!(said.starts_with("error: ") && said.lines().count() == 1, "{args:?}: {said:?}");
    assert!(!said.contains("failed where it should not"), "{args:?}: {said:?}");
    // A run of blanks comes from a source line that was broken inside the text.
    assert!(!said.contains("  "), "{args:?}: {said:?}");
    for part in parts {
        assert!(said.contains(part), "{args:?}: {part:?} is not in {said:?}");
    }
}

fn tensors(path: &Path) -> std::collections::BTreeMap<String, Tensor> {
    Tensor::read_safetensors(path).unwrap().into_iter().collect()
}

#[test]
fn traces_in_the_layout_of_transformers() {
    let out = folder("trace").join("new").join("run.safetensors");
    let inputs = format!("{}/expected.safetensors", parity("llama_gqa"));
    let model = parity("llama_gqa");
    let out_text = out.display().to_string();
    let trace = ["trace", "--model", &model, "--out", &out_text];
    let printed = works(&[&trace[..], &["--inputs", &inputs, "--layout", "transformers"]].concat());
    assert!(printed.is_empty());
    let (expected, found) = (tensors(Path::new(&inputs)), tensors(&out));
    for (name, expected) in &expected {
        let found = found.get(name).unwrap_or_else(|| panic!("{name} is missing"));
        assert_eq!(found.size(), expected.size(), "{name}");
        let off = (found - expected).abs() / (expected.abs() + 1.0);
        assert!(off.max().double_value(&[]) <= 1e-4, "{name}");
    }

    works(&[&trace[..], &["--ids", "5,6,7", "--sites", "blocks.*.attn.hook_pattern,logits"]].concat());
    let found = tensors(&out);
    let names: Vec<_> = found.keys().map(String::as_str).collect();
    let patterns: Vec<_> = (0..3).map(|layer| format!("blocks.{layer}.attn.hook_pattern")).collect();
    assert_eq!(names, [patterns.iter().map(String::as_str).collect(), vec!["input_ids", "logits"]].concat());
    assert_eq!(found["blocks.1.attn.hook_pattern"].size(), [6, 3, 3]);

    fails(
        &[&trace[..], &["--ids", "5", "--sites", "blocks.99.hook_resid_pre"]].concat(),
        &["blocks.99.hook_resid_pre", "3 layers (0 to 2)"],
    );
    fails(
        &[&trace[..], &["--ids", "5", "--sites", "blocks.1.nothing"]].concat(),
        &["blocks.1.nothing", "no such site"],
    );
    fails(&[&trace[..], &["--ids", "5", "--decoder-ids", "1"]].concat(), &["decoder"]);
    fails(&[&trace[..], &["--ids", "5", "--memory-limit", "0"]].concat(), &["0 MB", "keep fewer sites"]);
    fails(&trace, &["--text", "--ids", "--inputs"]);
    fails(&[&trace[..], &["--ids", "5", "--text", "x"]].concat(), &["cannot be used with"]);
    fails(&[&trace[..], &["--inputs", "nowhere.safetensors"]].concat(), &["nowhere.safetensors"]);
}

#[test]
fn shows_tokens() {
    let model = parity("gpt2");
    let printed = works(&["tokens", "--model", &model, "--text", "the cat  sat", "--json"]);
    let list: Value = serde_json::from_str(&printed).unwrap();
    let pieces: Vec<&str> = list[0]["pieces"].as_array().unwrap().iter().map(|piece| piece.as_str().unwrap()).collect();
    assert_eq!(pieces.concat(), "the cat  sat");
    assert_eq!((&list[0]["text"], list[0]["ids"].as_array().unwrap().len()), (&json!("the cat  sat"), pieces.len()));

    let file = folder("tokens").join("lines.txt");
    std::fs::write(&file, "one\n\n<b>three</b>\n").unwrap();
    let printed = works(&["tokens", "--model", &model, "--file", &file.display().to_string(), "--json"]);
    let list: Value = serde_json::from_str(&printed).unwrap();
    let texts: Vec<_> = list.as_array().unwrap().iter().map(|line| line["text"].as_str().unwrap()).collect();
    assert_eq!(texts, ["one", "", "<b>three</b>"]);
    assert_eq!(list[1], json!({"text": "", "ids": [], "pieces": []}));
    std::fs::write(&file, [0xff, 0xfe]).unwrap();
    fails(&["tokens", "--model", &model, "--file", &file.display().to_string()], &["lines.txt", "not UTF-8"]);
    fails(&["tokens", "--model", &model, "--file", "nowhere.txt"], &["nowhere.txt"]);
    assert!(works(&["tokens", "--model", &model, "--text", " x\n"]).contains("\\n"));
}

#[test]
fn says_what_comes_next_and_goes_on() {
    let model = parity("qwen2");
    let printed = works(&["next", "--model", &model, "--text", "the cat", "--top", "4", "--json"]);
    let next: Value = serde_json::from_str(&printed).unwrap();
    let probs: Vec<f64> = next.as_array().unwrap().iter().map(|next| next["prob"].as_f64().unwrap()).collect();
    assert_eq!(probs.len(), 4);
    assert!(probs.is_sorted_by(|a, b| a >= b) && probs.iter().sum::<f64>() <= 1.0, "{probs:?}");
    assert!(next[0]["logit"].is_f64() && next[0]["token"].is_string());
    assert_eq!(works(&["next", "--model", &model, "--text", "the cat", "--top", "4"]).lines().count(), 5);

    let generate = ["generate", "--model", &model, "--text", "the cat", "--max-tokens", "5", "--json"];
    let greedy: Value = serde_json::from_str(&works(&generate)).unwrap();
    assert_eq!(greedy["ids"][0], next[0]["id"]);
    let drawn = |seed| works(&[&generate[..], &["--temperature", "2", "--seed", seed]].concat());
    assert_eq!(drawn("7"), drawn("7"));
    fails(&[&generate[..], &["--temperature", "-1"]].concat(), &["temperature -1"]);
    let narrow = |extra: [&str; 2]| works(&[&generate[..], &["--temperature", "2", "--seed", "3"], &extra].concat());
    let best = works(&generate);
    assert_eq!((narrow(["--top-k", "1"]), narrow(["--top-p", "0.000001"])), (best.clone(), best));
    fails(&[&generate[..], &["--top-k", "3"]].concat(), &["temperature(1.0)"]);
    fails(&[&generate[..], &["--temperature", "1", "--top-p", "-2"]].concat(), &["top_p -2"]);
    assert_eq!(works(&[&generate[..], &["--temperature", "1e-300"]].concat()), works(&generate));
    fails(&[&generate[..], &["--temperature", "NaN"]].concat(), &["temperature NaN"]);
    let text = greedy["text"].as_str().unwrap();
    let stop: String = text.chars().skip(1).take(2).collect();
    let stopped: Value = serde_json::from_str(&works(&[&generate[..], &["--stop", &stop]].concat())).unwrap();
    assert_eq!(stopped["text"].as_str().unwrap(), &text[..text.find(&stop).unwrap()]);
}

#[test]
fn goes_on_from_every_row_of_a_file() {
    for (name, target) in [("llama_gqa", false), ("bart", true)] {
        let (model, file) = (parity(name), folder("rows").join(format!("{name}.safetensors")));
        let rows = [[5i64, 17, 9], [2, 33, 21]];
        let row = |row: [i64; 3]| Tensor::from_slice(&row);
        let ids = Tensor::stack(&[row(rows[0]), row(rows[1])], 0);
        let mut tensors = vec![("input_ids", ids.shallow_clone())];
        tensors.extend(target.then(|| ("decoder_input_ids", ids.flip([0i64].as_slice()))));
        Tensor::write_safetensors(&tensors, &file).unwrap();
        let path = file.display().to_string();
        let generate = ["generate", "--model", &model, "--max-tokens", "4", "--json"];
        let together: Value = serde_json::from_str(&works(&[&generate[..], &["--inputs", &path]].concat())).unwrap();
        let list = |row: [i64; 3]| row.map(|id| id.to_string()).join(",");
        for (index, row) in rows.into_iter().enumerate() {
            let (ids, decoder) = (list(row), list(rows[1 - index]));
            let decoder: &[&str] = if target { &["--decoder-ids", &decoder] } else { &[] };
            let alone = works(&[&generate[..], &["--ids", &ids], decoder].concat());
            assert_eq!(together[index], serde_json::from_str::<Value>(&alone).unwrap(), "{name}");
        }
        fails(&["next", "--model", &model, "--inputs", &path], &["2 rows", "one input"]);
        Tensor::write_safetensors(&[("input_ids", ids.shallow_clone()), ("attention_mask", row(rows[0]))], &file)
            .unwrap();
        fails(&[&generate[..], &["--inputs", &path]].concat(), &["attention_mask has 1 rows", "give as many"]);
    }
}

#[test]
fn draws_the_decoder_of_an_encoder_decoder() {
    let (model, file) = (parity("bart"), folder("flow_graph_of_two").join("graph.json"));
    let out = file.display().to_string();
    let draw = ["flow-graph", "--model", &model, "--line", "the cat sat", "--json", &out];
    let graph = |more: &[&str]| -> Value {
        works(&[&draw[..], more].concat());
        serde_json::from_slice(&std::fs::read(&file).unwrap()).unwrap()
    };
    let tokens = |graph: &Value| graph["meta"]["tokens"].as_array().unwrap().len();
    let (bare, told) = (graph(&["--layers", "0"]), graph(&["--decoder-text", "the dog", "--layers", "0,1", "--chain"]));
    assert!(tokens(&bare) == 1 && tokens(&told) > 1, "the start token alone unless told");
    assert_eq!(told["meta"]["line"], "the cat sat");
    let kinds: Vec<&str> =
        told["graphs"][0]["nodes"].as_array().unwrap().iter().map(|node| node["kind"].as_str().unwrap()).collect();
    for kind in ["cross_query", "cross_key", "cross_value", "cross_head", "cross_out", "normed_resid"] {
        assert!(kinds.contains(&kind), "{kind}");
    }
    let read = told["meta"]["encoder_tokens"].as_array().unwrap().len();
    let keys = told["graphs"][0]["nodes"].as_array().unwrap().iter().filter(|node| node["kind"] == "cross_key");
    assert!(keys.into_iter().all(|key| key["source_position"].as_u64().unwrap() < read as u64));
}

#[test]
fn a_masked_model_predicts_its_masks() {
    let model = parity("bert");
    let next = |more: &[&str]| -> Value {
        let args = [&["next", "--model", &model, "--top", "2", "--json", "--ids", "2,40,4,41,3"][..], more].concat();
        serde_json::from_str(&works(&args)).unwrap()
    };
    assert_eq!(next(&[]), next(&["--position", "2"]), "[MASK] is the token 4");
    assert_ne!(next(&[]), next(&["--position", "1"]));
    fails(&["next", "--model", &model, "--ids", "2,40,3"], &["reads both ways", "--position"]);
    fails(&["next", "--model", &model, "--ids", "2,40,3", "--position", "3"], &["position 3"]);
}

#[test]
fn reads_a_source_and_what_the_decoder_has_written() {
    let (model, out) = (parity("bart"), folder("two_stacks").join("run.safetensors"));
    let inputs = format!("{model}/expected.safetensors");
    let bytes = std::fs::read(&inputs).unwrap();
    let texts = safetensors::SafeTensors::read_metadata(&bytes).unwrap().1.metadata().clone().unwrap();
    let both = ["--text", &texts["text"], "--decoder-text", &texts["decoder_text"]];
    let out_text = out.display().to_string();
    works(&[&["trace", "--model", &model, "--out", &out_text, "--layout", "transformers"][..], &both[..]].concat());
    let (expected, found) = (tensors(Path::new(&inputs)), tensors(&out));
    for name in ["input_ids", "decoder_input_ids"] {
        assert_eq!(found[name], expected[name], "{name}");
    }
    let off = (&found["cross_attentions.1"] - &expected["cross_attentions.1"]).abs().max().double_value(&[]);
    assert!(off < 1e-4, "{off}");

    let sites = ["--sites", "encoder.blocks.*.attn.hook_pattern,decoder.blocks.0.cross_attn.scores"];
    works(&[&["trace", "--model", &model, "--out", &out_text][..], &both[..], &sites[..]].concat());
    let patterns = (0..2).map(|layer| format!("encoder.blocks.{layer}.attn.hook_pattern"));
    let names: Vec<String> =
        tensors(&out).into_keys().filter(|name| !name.ends_with("ids") && !name.ends_with("mask")).collect();
    assert_eq!(
        names,
        ["decoder.blocks.0.cross_attn.scores".to_owned()]
            .into_iter()
            .chain(patterns)
            .chain(["last_logits".to_owned()])
            .collect::<Vec<_>>()
    );
    let next = |more: &[&str]| -> Value {
        let args = [&["next", "--model", &model, "--text", "the cat", "--top", "1", "--json"][..], more].concat();
        serde_json::from_str(&works(&args)).unwrap()
    };
    let generate = ["generate", "--model", &model, "--text", "the cat", "--max-tokens", "2", "--json"];
    let written: Value = serde_json::from_str(&works(&generate)).unwrap();
    assert_eq!(written["ids"][0], next(&[])[0]["id"]);
    let so_far = format!("2,{}", written["ids"][0]);
    assert_eq!(written["ids"][1], next(&["--decoder-ids", &so_far])[0]["id"]);
    assert!(works(&["info", "--model", &model, "--text", "the cat"]).contains("2 + 2 layers"));
}

#[test]
fn shows_cards_and_lists() {
    let model = parity("qwen3");
    let card = works(&["info", "--model", &model, "--text", "the cat"]);
    for part in ["qwen3", "float32 on cpu", "MB", "hook_pattern"] {
        assert!(card.contains(part), "{part:?} is not in {card}");
    }
    let list = works(&["models"]);
    assert!(list.contains("smollm2-135m") && list.contains("Apache-2.0") && list.contains("gpt_neox"));
    let list: Value = serde_json::from_str(&works(&["models", "--json"])).unwrap();
    assert_eq!(list["starters"][0]["name"], "smollm2-135m");
}

#[test]
fn draws_flow_graphs_by_our_words_and_by_those_of_visit() {
    let out = folder("graph");
    let name = |file: &str| out.join(file).display().to_string();
    let model = parity("gpt2");
    let (html, json, svg) = (name("new/graph.html"), name("graph.json"), name("graph.svg"));
    let ours = ["flow-graph", "--model", &model, "--line", "the cat sat", "--layers", "0,2", "--method", "visit"];
    assert!(works(&[&ours[..], &["--html", &html, "--json", &json, "--svg", &svg]].concat()).is_empty());
    let graph = read_json(&json);
    let layers: Vec<&Value> = graph["graphs"].as_array().unwrap().iter().map(|graph| &graph["layers"]).collect();
    assert_eq!(layers, [&json!([0]), &json!([2])]);
    let first = &graph["graphs"][0];
    assert!(first["nodes"][0]["label"].is_string() && first["links"][0]["weight"].is_number());
    assert!(
        std::fs::read_to_string(&html).unwrap().contains("<!DOCTYPE html>")
            || std::fs::read_to_string(&html).unwrap().contains("<!doctype html>")
    );
    assert!(std::fs::read_to_string(&svg).unwrap().starts_with("<svg"));

    // Without a file the graph is told in words.
    assert!(works(&ours).contains("nodes"));
    let theirs = name("theirs.json");
    works(&[
        "flow-graph",
        "--model_name",
        &model,
        "--line",
        "the cat sat",
        "--layers_to_check",
        "[0, 2]",
        "--target_token",
        "AUTO",
        "--model_revision",
        "main",
        "--graph_config_path",
        "flow_graph_configs/flow_graph_config_basic.json",
        "--method",
        "visit",
        "--json",
        &theirs,
        "--save_html",
        &name("theirs.html"),
    ]);
    assert_eq!(read_json(&theirs)["graphs"].as_array().unwrap().len(), 2);
    works(&[&ours[..], &["--chain", "--json", &json, "--position", "-2", "--target", " dog"]].concat());
    let graph = read_json(&json);
    assert_eq!(
        (&graph["graphs"][0]["layers"], &graph["meta"]["position"]),
        (&json!([0, 2]), &json!(graph["meta"]["tokens"].as_array().unwrap().len() - 2))
    );

    let with = |more: &[&'static str]| [&["flow-graph", "--model", model.as_str(), "--line", "the cat"], more].concat();
    fails(&with(&["--layers", "7"]), &["layer 7", "3 layers (0 to 2)"]);
    fails(&with(&["--layers", "x"]), &["\"x\" is no layer"]);
    fails(&with(&["--layers", "0", "--position", "99"]), &["position 99"]);
    fails(&with(&["--layers", "0", "--config", "nowhere.json"]), &["nowhere.json"]);
    fails(&with(&["--layers", "0", "--method", "other"]), &["exact", "visit"]);
    fails(&["flow-graph", "--model", &model, "--line", ""], &["empty"]);
}

#[test]
fn bad_input_is_a_clear_error() {
    let model = parity("gpt2");
    fails(&["next", "--model", &model, "--text", ""], &["prompt is empty"]);
    fails(&["next", "--model", &model, "--text", &"the cat ".repeat(2000)], &["tokens", "at most"]);
    fails(&["next", "--model", &model, "--ids", "1,99999"], &["99999", "vocabulary"]);
    fails(&["next", "--model", &model, "--ids", "-1"], &["-1"]);
    fails(&["next", "--model", "./nowhere", "--text", "x"], &["./nowhere", "no such folder"]);
    fails(&["next", "--model", "owner/name", "--text", "x", "--offline"], &["owner/name", "offline"]);
    fails(&["next", "--model", &model, "--text", "x", "--device", "gpu"], &["gpu", "cuda:0"]);
    fails(&["next", "--model", &model, "--text", "x", "--dtype", "int4"], &["int4", "float32"]);
    fails(&["next", "--text", "x"], &["--model"]);
    fails(&["nonsense"], &["nonsense"]);
    // Whatever a terminal would act upon is shown, not sent.
    fails(&["next", "--model", "./no\u{1b}[2Jwhere", "--text", "x"], &["./no\\u{1b}[2Jwhere"]);
    fails(&["next", "--model", &model, "--text", "x", "--device", "\u{1b}]0;gpu\u{7}"], &["\\u{1b}]0;gpu\\u{7}"]);
    fails(
        &["next", "--model", &parity("bert_bare"), "--ids", "5,6", "--position", "0"],
        &["no language-model head", "load one that was saved with its head"],
    );
    fails(
        &["next", "--model", &fixture("gguf/tokenizers.json").display().to_string(), "--text", "x"],
        &["not a model"],
    );

    let next = |folder: &Path, parts: &[&str]| {
        fails(&["next", "--model", &folder.display().to_string(), "--ids", "1,2"], parts);
    };
    let broken = copy_of("gpt2", "config");
    let config = std::fs::read_to_string(broken.join("config.json")).unwrap();
    let change = |from: &str, to: &str| {
        let mut keys: Value = serde_json::from_str(&config).unwrap();
        let value: Value = serde_json::from_str(to).unwrap();
        match value {
            Value::Null => drop(keys.as_object_mut().unwrap().remove(from)),
            value => keys[from] = value,
        }
        std::fs::write(broken.join("config.json"), keys.to_string()).unwrap();
    };
    for (key, value, part) in [
        ("n_layer", "1000000000", "n_layer"),
        ("n_layer", "null", "n_layer"),
        ("n_layer", "-3", "n_layer"),
        ("n_layer", "4", "not in"),
        ("n_head", "0", "n_head"),
        ("n_head", "7", "n_head"),
        ("n_embd", "1e300", "n_embd"),
        ("n_embd", "16777216", "config.json asks for"),
        ("vocab_size", "\"many\"", "vocab_size"),
        ("layer_norm_epsilon", "-1", "layer_norm_epsilon"),
        ("layer_norm_epsilon", "1e308", "layer_norm_epsilon"),
        ("model_type", "\"gtp2\"", "\"gpt2\""),
        ("model_type", "null", "model_type"),
    ] {
        change(key, value);
        next(&broken, &[part]);
    }
    std::fs::write(broken.join("config.json"), "{\"model_type\": ").unwrap();
    next(&broken, &["config.json", "not valid JSON"]);
    std::fs::remove_file(broken.join("config.json")).unwrap();
    next(&broken, &["no config.json"]);

    let broken = copy_of("gpt2", "weights");
    let file = broken.join("model.safetensors");
    let whole = std::fs::read(&file).unwrap();
    for bytes in [&whole[..whole.len() - 1], &whole[..whole.len() / 2], &whole[..5], b""] {
        std::fs::write(&file, bytes).unwrap();
        next(&broken, &["model.safetensors", "download it again"]);
    }
    let mut hostile = whole.clone();
    hostile[..8].copy_from_slice(&(u64::MAX - 7).to_le_bytes());
    std::fs::write(&file, &hostile).unwrap();
    next(&broken, &["18446744073709551608 bytes"]);
    std::fs::remove_file(&file).unwrap();
    next(&broken, &["no weights found"]);
    std::fs::copy(fixture("bin/hostile.bin"), broken.join("pytorch_model.bin")).unwrap();
    next(&broken, &["posix.system"]);
    assert!(!Path::new("/tmp/flowlens-was-here").exists());
    fails(&["tokens", "--model", &parity("gpt2_bin"), "--text", "x"], &["tokenizer"]);

    let broken = copy_of("gpt2", "tokenizer");
    works(&["tokens", "--model", &broken.display().to_string(), "--text", "x"]);
    let mut template: Value = read_json(broken.join("tokenizer.json"));
    let piece = json!({ "SpecialToken": { "id": "[SEP]", "type_id": 0 } });
    template["post_processor"] =
        json!({ "type": "TemplateProcessing", "single": [piece], "pair": [], "special_tokens": {} });
    std::fs::write(broken.join("tokenizer.json"), template.to_string()).unwrap();
    next(&broken, &["\"[SEP]\"", "special_tokens", "download the file again"]);
    std::fs::write(broken.join("tokenizer.json"), "{").unwrap();
    fails(&["tokens", "--model", &broken.display().to_string(), "--text", "x"], &["tokenizer.json"]);

    let whole = std::fs::read(fixture("gguf/llama.gguf")).unwrap();
    let file = folder("gguf").join("model.gguf");
    for bytes in
        [&whole[..whole.len() / 2], &whole[..9], b"GGUF\x03\0\0\0\xff\xff\xff\xff\xff\xff\xff\xff\0\0\0\0\0\0\0\0"]
    {
        std::fs::write(&file, bytes).unwrap();
        next(&file, &["model.gguf", "not a whole GGUF file"]);
    }
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_flowlens"))
        .arg("models")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{output:?}");
}

#[test]
fn draws_views_of_a_run_and_of_weights_from_files() {
    let folder = folder("views");
    let page = folder.join("page.html").display().to_string();
    let numbers = folder.join("numbers.json").display().to_string();
    for view in ["head-view", "model-view", "neuron-view"] {
        let run =
            [view, "--model", &parity("llama_gqa"), "--ids", "5,6,7", "--layers", "0,2", "--layer", "2", "--head", "3"];
        works(&[&run[..], &["--html", &page, "--json", &numbers]].concat());
        assert!(
            std::fs::read_to_string(&page).unwrap().contains(&format!("data-view=\"{}\"", &view[..view.len() - 5]))
        );
        let read = read_json(&numbers);
        assert_eq!(read["first"]["layer"], 2, "{view}");
        assert_eq!(read["blocks"][0]["layers"].as_array().unwrap().len(), 2, "{view}");
    }
    let weights = folder.join("weights.safetensors");
    let even = Tensor::full([1, 2, 4, 4], 0.25, (flowlens::tch::Kind::Float, flowlens::tch::Device::Cpu));
    Tensor::write_safetensors(&[("attentions.0", &even), ("attentions.1", &even)], &weights).unwrap();
    let tokens = folder.join("tokens.json");
    std::fs::write(&tokens, r#"["\ud83d", "</script><img src=x onerror=alert(1)>", "\u2028\u202e", ""]"#).unwrap();
    let (weights, tokens) = (weights.display().to_string(), tokens.display().to_string());
    works(&["model-view", "--attention", &weights, "--tokens", &tokens, "--html", &page, "--json", &numbers]);
    let text = std::fs::read_to_string(&page).unwrap();
    assert!(!text.contains("<img src=x") && !text.contains('\u{202e}') && !text.contains('\u{2028}'));
    let read = read_json(&numbers);
    assert_eq!(read["blocks"][0]["queries"][0], "\\u{d83d}");
    assert_eq!(read["blocks"][0]["queries"][3], "∅");

    fails(&["head-view", "--html", &page], &["neither --model with --text nor --attention"]);
    fails(&["head-view", "--attention", &weights, "--html", &page], &["--tokens"]);
    fails(&["neuron-view", "--attention", &weights, "--tokens", &tokens], &["give --model, not --attention"]);
    fails(&["head-view", "--attention", &tokens, "--tokens", &tokens], &["tokens.json"]);
    fails(&["head-view", "--attention", &weights, "--tokens", &tokens, "--layers", "5"], &["layers 5 are not there"]);
    fails(&["model-view", "--model", &parity("llama_gqa"), "--ids", "5", "--heads", "9"], &["has no head 9"]);
    std::fs::write(folder.join("three.json"), r#"["a", "b", 3]"#).unwrap();
    let three = folder.join("three.json").display().to_string();
    fails(&["head-view", "--attention", &weights, "--tokens", &three], &["three.json", "list of strings"]);
}

#[test]
#[cfg(feature = "export")]
fn draws_pictures_for_papers() {
    let out = folder("pictures");
    let name = |file: &str| out.join(file).display().to_string();
    let starts =
        |file: &str, bytes: &[u8]| assert!(std::fs::read(out.join(file)).unwrap().starts_with(bytes), "{file}");
    let model = parity("gpt2");
    let graph = ["flow-graph", "--model", &model, "--line", "the cat sat", "--layers", "0"];
    let view = |command: &'static str| vec![command, "--model", model.as_str(), "--text", "the cat sat"];

    works(&[&graph[..], &["--pdf", &name("new/graph.pdf"), "--png", &name("graph.png"), "--dark"]].concat());
    starts("new/graph.pdf", b"%PDF");
    starts("graph.png", b"\x89PNG");
    for command in ["head-view", "model-view", "neuron-view"] {
        works(&[&view(command)[..], &["--svg", &name("view.svg"), "--light", "--pdf", &name("view.pdf")]].concat());
        starts("view.pdf", b"%PDF");
        let svg = std::fs::read_to_string(out.join("view.svg")).unwrap();
        assert!(svg.contains("#fff") && !svg.contains("var(") && !svg.contains("@media"), "{command}");
    }
    let width = |more: &[&str]| {
        let png = name("width.png");
        works(&[&view("head-view")[..], &["--png", &png], more].concat());
        // The width of a PNG stands in its bytes 16 to 19.
        u32::from_be_bytes(std::fs::read(&png).unwrap()[16..20].try_into().unwrap())
    };
    assert_eq!([width(&[]), width(&["--scale", "1.5"]), width(&["--dpi", "96"])], [1400, 1050, 700]);

    let refused = |more: &[&str], parts: &[&str]| fails(&[&view("head-view")[..], more].concat(), parts);
    refused(&["--png", &name("no.png"), "--scale", "0"], &["--scale", "above 0"]);
    refused(&["--png", &name("no.png"), "--scale", "1000"], &["too large", "scale of"]);
    refused(&["--pdf", &name("no.pdf"), "--scale", "2"], &["--png"]);
    refused(&["--html", &name("no.html"), "--dark"], &["--pdf"]);
    refused(&["--pdf", &name("no.pdf"), "--dark", "--light"], &["--light"]);
    let left: Vec<_> = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert!(left.iter().all(|name| !name.to_string_lossy().contains("no.")), "{left:?}");
}

/// The files of a folder of figures, but for its index.
fn figures_in(folder: &Path) -> Vec<String> {
    let names = std::fs::read_dir(folder).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<String> = names.filter(|name| name != "figures.json").collect();
    names.sort();
    names
}

#[test]
fn figures_of_a_model_are_made_once() {
    let out = folder("figures");
    let (model, place) = (parity("t5_tied"), out.display().to_string());
    let said = |command: &[&str]| {
        let output = flowlens(&[command, &["--model", &model, "--out", &place, "--format", "svg"]].concat());
        let said = String::from_utf8(output.stderr).unwrap();
        assert!(output.status.success(), "{command:?}: {said}");
        said
    };
    let maps = ["attention-maps", "--ids", "5,6,7,1", "--layers", "0,1", "--heads", "2", "--block", "encoder"];
    assert!(said(&maps).contains("2 figures written"));
    let first = "t5-tied-attention-maps-encoder-layer-0-head-2.svg";
    assert_eq!(figures_in(&out), [first, "t5-tied-attention-maps-encoder-layer-1-head-2.svg"]);
    assert!(said(&maps).contains("0 figures written") && said(&maps).contains("2 were there already"));
    // As after an interruption, one is missing; and what was made of other choices is no longer right.
    std::fs::remove_file(out.join(first)).unwrap();
    assert!(said(&maps).contains("1 figures written"));
    assert!(
        said(&["attention-maps", "--ids", "5,6,1", "--layers", "0", "--heads", "2", "--block", "encoder"])
            .contains("1 figures")
    );
    std::fs::write(out.join("figures.json"), "{").unwrap();
    assert!(said(&maps).contains("2 figures written"));
    assert!(said(&["position-kernels"]).contains("2 figures written"), "one for each stack, without a text");
    assert!(said(&["walk", "--ids", "5,6,7,1"]).contains("2 figures written"));
    assert!(
        said(&["similarity-maps", "--ids", "5,6,7,1", "--block", "encoder", "--layers", "1"])
            .contains("figures written")
    );
    let walk = ["walk", "--ids", "5,6,7,1", "--block", "encoder"];
    let chosen = [&walk[..], &["--without-first", "--unit-norm", "--sublayers", "--positions", "1-3"]].concat();
    assert!(said(&chosen).contains("1 figures written"), "other choices are other figures");
    assert!(said(&chosen).contains("1 were there already"));
    let drawn = std::fs::read_to_string(out.join("t5-tied-walk-encoder.svg")).unwrap();
    assert!(drawn.contains("final norm"), "it walks from norm to norm");
    // Rotation is the same for all heads.
    let rotary = parity("llama_gqa");
    let kernels = ["position-kernels", "--model", &rotary, "--ids", "5,6,7", "--heads", "3", "--layers", "0"];
    works(&[&kernels[..], &["--format", "svg", "--out", &place]].concat());
    let rotation = "llama-gqa-position-kernels-all-layer-0-rotation-of-an-equal-query-and-key.svg".to_owned();
    assert!(figures_in(&out).contains(&rotation));
    let names = figures_in(&out);
    for name in [
        "position-kernels-decoder-layer-0-learned-bias-by-distance",
        "walk-encoder",
        "similarity-maps-encoder-cosine-final-norm",
    ] {
        assert!(names.contains(&format!("t5-tied-{name}.svg")), "{names:?}");
    }
    assert!(names.iter().all(|name| name.ends_with(".svg")), "no half file: {names:?}");
}

#[test]
fn figures_that_cannot_be_made_say_why() {
    let out = folder("no-figures").join("inside").display().to_string();
    let t5 = parity("t5_tied");
    let with = |args: &[&str], parts: &[&str]| fails(&[args, &["--out", &out]].concat(), parts);
    with(&["walk", "--model", &t5, "--ids", "5,1", "--block", "middle"], &["block \"middle\"", "encoder, decoder"]);
    with(&["attention-maps", "--model", &t5, "--ids", "5,1", "--layers", "9"], &["layer 9", "layers 0 to 1"]);
    with(&["attention-maps", "--model", &t5, "--ids", "5,1", "--heads", "9"], &["head 9", "heads 0 to 3"]);
    with(&["similarity-maps", "--model", &t5], &["no text was given"]);
    with(&["position-kernels", "--model", &t5, "--layers", "9"], &["layer 9", "layers 0 to 1"]);
    with(&["position-kernels", "--model", &parity("llama_gqa")], &["positions turn queries and keys", "in a run"]);
}

#[test]
fn what_is_kept_can_be_listed_and_cleared() {
    let results = folder("results");
    std::fs::write(results.join(format!("near-words-{}.result", "0".repeat(64))), [0; 2_000_000]).unwrap();
    std::fs::write(results.join("mine.txt"), "stays").unwrap();
    let run = |args: &[&str]| {
        let output =
            Command::new(env!("CARGO_BIN_EXE_flowlens")).args(args).env("FLOWLENS_CACHE", &results).output().unwrap();
        String::from_utf8(output.stdout).unwrap()
    };
    assert!(
        run(&["cache"]).starts_with("1 results in ") && run(&["cache"]).contains("2.00 MB     0 days ago  near words")
    );
    assert!(run(&["cache", "--clear"]).starts_with("removed 2.0 MB"));
    assert_eq!(figures_in(&results), ["mine.txt"]);
}
