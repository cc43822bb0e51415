//! Reading weight files, whole and broken.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use flowlens::checkpoint::{Checkpoint, Stored};
use flowlens::tch::{Kind, Tensor};
use flowlens::{DType, Device};
use safetensors::tensor::{Dtype, TensorView};

/// A fresh folder for one test.
fn folder(name: &str) -> PathBuf {
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join("checkpoint").join(name);
    let _ = std::fs::remove_dir_all(&folder);
    std::fs::create_dir_all(&folder).unwrap();
    folder
}

fn write(path: impl AsRef<Path>, bytes: impl AsRef<[u8]>) {
    std::fs::write(path, bytes).unwrap();
}

/// A safetensors file of these tensors.
fn tensors(list: &[(&str, Dtype, &[usize], Vec<u8>)]) -> Vec<u8> {
    let views: Vec<_> = list
        .iter()
        .map(|(name, dtype, shape, bytes)| (*name, TensorView::new(*dtype, shape.to_vec(), bytes).unwrap()))
        .collect();
    safetensors::serialize(views, None::<HashMap<String, String>>).unwrap()
}

fn floats(values: &[f32]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

fn values(tensor: &Tensor) -> Vec<f32> {
    Vec::<f32>::try_from(tensor.contiguous().view(-1)).unwrap()
}

/// The error's text, which must hold all of `parts`.
fn refused(path: &Path, parts: &[&str]) {
    let text = Checkpoint::open(path).expect_err("should be refused").to_string();
    for part in parts {
        assert!(text.contains(part), "{part:?} is not in {text:?}");
    }
}

#[test]
fn reads_each_float_type_and_maps_what_it_can() {
    let folder = folder("types");
    write(folder.join("config.json"), r#"{"model_type": "gpt2", "n_layer": 2}"#);
    let half: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|v| half::f16::from_f32(*v).to_le_bytes()).collect();
    let brain: Vec<u8> = [1.5f32, -2.0].iter().flat_map(|v| half::bf16::from_f32(*v).to_le_bytes()).collect();
    let double: Vec<u8> = [1.5f64, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    let bytes = tensors(&[
        ("single", Dtype::F32, &[2, 3], floats(&[0., 1., 2., 3., 4., 5.])),
        ("half", Dtype::F16, &[2], half),
        ("brain", Dtype::BF16, &[2, 1], brain),
        ("double", Dtype::F64, &[1, 2], double),
        ("scalar", Dtype::F32, &[], floats(&[7.])),
        ("empty", Dtype::F32, &[0, 3], Vec::new()),
        ("count", Dtype::I64, &[1], vec![0; 8]),
    ]);
    write(folder.join("model.safetensors"), bytes);

    let checkpoint = Checkpoint::open(&folder).unwrap();
    assert_eq!(checkpoint.config()["n_layer"], 2);
    assert_eq!(
        checkpoint.names().collect::<Vec<_>>(),
        ["brain", "count", "double", "empty", "half", "scalar", "single"]
    );
    assert_eq!(checkpoint.shape("single"), Some([2, 3].as_slice()));
    assert_eq!(checkpoint.dtype("brain"), Some(Stored::BF16));
    assert!(!checkpoint.contains("nothing") && checkpoint.tokenizer().unwrap().is_none());

    let get = |name: &str| checkpoint.tensor(name, DType::F32, Device::Cpu).unwrap();
    for name in ["half", "brain", "double"] {
        assert_eq!(values(&get(name)), [1.5, -2.0], "{name}");
    }
    assert_eq!((get("scalar").size(), values(&get("scalar"))), (vec![], vec![7.]));
    assert_eq!(get("empty").size(), [0, 3]);
    let single = get("single");
    assert_eq!((single.size(), values(&single)), (vec![2, 3], vec![0., 1., 2., 3., 4., 5.]));
    assert_eq!(single.data_ptr(), get("single").data_ptr(), "float32 on the CPU is the file, not a copy");
    assert_eq!(checkpoint.tensor("single", DType::BF16, Device::Cpu).unwrap().kind(), Kind::BFloat16);

    let text = checkpoint.tensor("count", DType::F32, Device::Cpu).unwrap_err().to_string();
    assert!(text.contains("count") && text.contains("int64"), "{text}");
    let text = checkpoint.tensor("h.0.single", DType::F32, Device::Cpu).unwrap_err().to_string();
    assert!(text.contains("h.0.single") && text.contains("7 tensors"), "{text}");

    // A tensor outlives its checkpoint, and writing to it leaves the file alone.
    drop(checkpoint);
    let mut single = single;
    let _ = single.fill_(9.);
    assert_eq!(values(&single), [9.; 6]);
    let again = Checkpoint::open(&folder).unwrap();
    assert_eq!(values(&again.tensor("single", DType::F32, Device::Cpu).unwrap()), [0., 1., 2., 3., 4., 5.]);
}

#[test]
fn reads_shards_and_keeps_them_in_the_folder() {
    let folder = folder("shards");
    write(folder.join("config.json"), "{}");
    write(folder.join("a.safetensors"), tensors(&[("one", Dtype::F32, &[1], floats(&[1.]))]));
    write(folder.join("b.safetensors"), tensors(&[("two", Dtype::F32, &[1], floats(&[2.]))]));
    let index = folder.join("model.safetensors.index.json");
    write(&index, r#"{"metadata": {}, "weight_map": {"one": "a.safetensors", "two": "b.safetensors"}}"#);
    let checkpoint = Checkpoint::open(&folder).unwrap();
    for (name, value) in [("one", 1.), ("two", 2.)] {
        assert_eq!(values(&checkpoint.tensor(name, DType::F32, Device::Cpu).unwrap()), [value]);
    }

    write(&index, r#"{"weight_map": {"one": "../../a.safetensors"}}"#);
    refused(&folder, &["one", "../../a.safetensors", "same folder"]);
    write(&index, r#"{"weight_map": {"one": "a.safetensors", "three": "b.safetensors"}}"#);
    refused(&folder, &["b.safetensors", "three", "lacks"]);
    write(&index, r#"{"weight_map": {"one": "c.safetensors"}}"#);
    refused(&folder, &["c.safetensors"]);
    write(&index, r#"{"weight_map": ["a"]}"#);
    refused(&folder, &["weight_map"]);
}

#[test]
fn refuses_what_is_missing_or_broken() {
    let folder = folder("broken");
    refused(&folder.join("nowhere"), &["nowhere", "No such file"]);
    refused(&folder, &["config.json"]);
    write(folder.join("config.json"), "[1]");
    write(folder.join("model.safetensors"), tensors(&[("one", Dtype::F32, &[4], floats(&[1.; 4]))]));
    refused(&folder, &["config.json", "object"]);
    write(folder.join("config.json"), "{\"n_layer\": ");
    refused(&folder, &["config.json", "not valid JSON"]);
    write(folder.join("config.json"), "{}");

    let file = folder.join("model.safetensors");
    let whole = std::fs::read(&file).unwrap();
    for length in 1..whole.len() {
        write(&file, &whole[..length]);
        refused(&folder, &["model.safetensors", "download it again"]);
    }
    write(&file, "");
    refused(&folder, &["empty"]);
    let header = |json: &str| [(json.len() as u64).to_le_bytes().as_slice(), json.as_bytes(), &[0; 16]].concat();
    write(&file, [u64::MAX.to_le_bytes().as_slice(), &[0; 64]].concat());
    refused(&folder, &["18446744073709551615 bytes"]);
    write(&file, header(r#"{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,16]}}"#));
    refused(&folder, &["absurdly large"]);
    write(&file, header(r#"{"a":{"dtype":"F32","shape":[9223372036854775808,0],"data_offsets":[0,0]}}"#));
    refused(&folder, &["model.safetensors"]);
    write(&file, header(r#"{"a":{"dtype":"F32","shape":[4],"data_offsets":[16,32]}}"#));
    refused(&folder, &["lies where it cannot"]);
    write(&file, header(r#"{"a":{"dtype":"F32","shape":[400],"data_offsets":[0,1600]}}"#));
    refused(&folder, &["promises another length"]);
    write(&file, "version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 1\n");
    refused(&folder, &["git lfs pull"]);
    std::fs::remove_file(&file).unwrap();
    refused(&folder, &["no weights found", "model.safetensors"]);
}

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures").join(name)
}

/// The views, shared storages and types of a file that `torch.save` wrote, whole and damaged.
fn reads_a_pytorch_file(name: &str) {
    let folder = folder(name);
    write(folder.join("config.json"), "{}");
    let file = folder.join("pytorch_model.bin");
    std::fs::copy(fixture(&format!("bin/{name}.bin")), &file).unwrap();
    let checkpoint = Checkpoint::open(&folder).unwrap();
    let expected = Tensor::read_safetensors(fixture("bin/tensors.safetensors")).unwrap();
    assert_eq!(checkpoint.names().count(), expected.len() + 1, "`count` comes on top, `note` is no tensor");
    for (name, expected) in expected {
        let found = checkpoint.tensor(&name, DType::F32, Device::Cpu).unwrap();
        assert!(found.size() == expected.size() && found.equal(&expected), "{name}: {found} is not {expected}");
        let narrow = checkpoint.tensor(&name, DType::BF16, Device::Cpu).unwrap();
        assert!(narrow.equal(&expected.to_kind(Kind::BFloat16)), "{name}");
    }
    assert!(checkpoint.tensor("count", DType::F32, Device::Cpu).unwrap_err().to_string().contains("int64"));

    let whole = std::fs::read(&file).unwrap();
    for length in (1..whole.len()).step_by(37) {
        write(&file, &whole[..length]);
        refused(&folder, &["pytorch_model.bin"]);
    }
    // A shape that reaches past its record: (6, 4) becomes (6, 5).
    let at = whole.windows(4).position(|bytes| bytes == b"K\x06K\x04").unwrap();
    let mut longer = whole.clone();
    longer[at + 3] = 5;
    write(&file, longer);
    refused(&folder, &["tensor plain", "does not fit"]);
    // Wherever a byte is wrong, the answer is an error or tensors, never a panic.
    for place in (0..whole.len()).step_by(11) {
        let mut changed = whole.clone();
        changed[place] ^= 0x5a;
        write(&file, changed);
        if let Ok(checkpoint) = Checkpoint::open(&folder) {
            for name in checkpoint.names() {
                let _ = checkpoint.tensor(name, DType::F32, Device::Cpu);
            }
        }
    }
}

#[test]
fn reads_a_pytorch_file_without_running_it() {
    reads_a_pytorch_file("tensors");
    let folder = folder("hostile");
    write(folder.join("config.json"), "{}");
    std::fs::copy(fixture("bin/hostile.bin"), folder.join("pytorch_model.bin")).unwrap();
    refused(&folder, &["posix.system", "runs none"]);
    assert!(!Path::new("/tmp/flowlens-was-here").exists());
    write(folder.join("pytorch_model.bin"), "neither");
    refused(&folder, &["not in a format", "safetensors"]);
}

#[test]
fn reads_a_pytorch_file_from_before_1_6() {
    reads_a_pytorch_file("legacy");
    let folder = folder("legacy-other");
    write(folder.join("config.json"), "{}");
    let whole = std::fs::read(fixture("bin/legacy.bin")).unwrap();
    let place = |part: &[u8]| whole.windows(part.len()).position(|bytes| bytes == part).unwrap();
    let changed = |at: usize, byte: u8| {
        let mut changed = whole.clone();
        changed[at] = byte;
        write(folder.join("pytorch_model.bin"), changed);
    };
    // The protocol 1001, "little_endian": True, and the place of the view: None.
    changed(place(b"M\xe9\x03.") + 1, 0xe8);
    refused(&folder, &["protocol is not 1001"]);
    changed(place(b"\x88X\x0a\0\0\0type_sizes"), 0x89);
    refused(&folder, &["big-endian"]);
    changed(place(b"Nt"), 0x88);
    refused(&folder, &["view into another"]);
}

#[test]
fn reads_sharded_pytorch_files() {
    let folder = folder("bin-shards");
    write(folder.join("config.json"), "{}");
    std::fs::copy(fixture("bin/tensors.bin"), folder.join("a.bin")).unwrap();
    write(folder.join("pytorch_model.bin.index.json"), r#"{"weight_map": {"plain": "a.bin"}}"#);
    let checkpoint = Checkpoint::open(&folder).unwrap();
    assert_eq!(checkpoint.shape("plain"), Some([6, 4].as_slice()));
}

#[test]
fn builds_gpt2s_tokenizer_from_its_two_files() {
    let folder = folder("two-files");
    write(folder.join("model.safetensors"), tensors(&[("one", Dtype::F32, &[1], floats(&[1.]))]));
    write(folder.join("config.json"), r#"{"model_type": "gpt2"}"#);
    let whole: serde_json::Value =
        serde_json::from_slice(&std::fs::read(fixture("parity/gpt2/tokenizer.json")).unwrap()).unwrap();
    let mut vocab = whole["model"]["vocab"].as_object().unwrap().clone();
    for token in whole["added_tokens"].as_array().unwrap() {
        vocab.insert(token["content"].as_str().unwrap().to_owned(), token["id"].clone());
    }
    let merges: Vec<String> = whole["model"]["merges"]
        .as_array()
        .unwrap()
        .iter()
        .map(|merge| match merge.as_array() {
            Some(pair) => format!("{} {}", pair[0].as_str().unwrap(), pair[1].as_str().unwrap()),
            None => merge.as_str().unwrap().to_owned(),
        })
        .collect();
    write(folder.join("vocab.json"), serde_json::to_vec(&vocab).unwrap());
    write(folder.join("merges.txt"), format!("#version: 0.2\n{}\n", merges.join("\n")));
    let built = flowlens::model::checkpoint(&folder).unwrap().tokenizer().unwrap().unwrap();
    let expected = flowlens::model::checkpoint(&fixture("parity/gpt2")).unwrap().tokenizer().unwrap().unwrap();
    for text in ["the cat  sat on 1999 mats", "naïve\n\n日本 <|endoftext|> it's", " "] {
        let ids = |tokenizer: &tokenizers::Tokenizer| tokenizer.encode(text, false).unwrap().get_ids().to_vec();
        assert_eq!(ids(&built), ids(&expected), "{text:?}");
    }
    write(folder.join("tokenizer_config.json"), r#"{"tokenizer_class": "Qwen2Tokenizer"}"#);
    assert!(flowlens::model::checkpoint(&folder).unwrap().tokenizer().unwrap().is_none());
    std::fs::remove_file(folder.join("tokenizer_config.json")).unwrap();
    vocab.insert("gap".to_owned(), 100_000.into());
    write(folder.join("vocab.json"), serde_json::to_vec(&vocab).unwrap());
    let text = flowlens::model::checkpoint(&folder).unwrap().tokenizer().unwrap_err().to_string();
    assert!(text.contains("vocab.json") && text.contains("gap"), "{text}");
}
