//! Files of weights, opened and read to the last number.

use std::io::{Cursor, Write};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use flowlens::checkpoint::Checkpoint;
use flowlens::{DType, Device};
use zip::write::SimpleFileOptions;

use super::{Seeds, fixtures, read, tensors};
use crate::harness::{fixture, folder, write};

/// A folder with a configuration, and the file in it that cases are written to.
fn place(name: &str, file: &str) -> PathBuf {
    let folder = folder(name);
    write(&folder.join("config.json"), br#"{"model_type": "gpt2"}"#);
    folder.join(file)
}

/// Opens the folder of a file and reads every tensor.
fn open(file: &Path) {
    if let Ok(checkpoint) = Checkpoint::open(file.parent().expect("a file in a folder")) {
        every_tensor(&checkpoint);
    }
}

/// Reads every tensor, of a file with very many the first.
pub fn every_tensor(checkpoint: &Checkpoint) {
    for name in checkpoint.names().take(300) {
        let shape = checkpoint.shape(name);
        if let Ok(tensor) = checkpoint.tensor(name, DType::F32, Device::Cpu) {
            let shape: Vec<i64> = shape.into_iter().flatten().map(|&n| n as i64).collect();
            assert_eq!(tensor.size(), shape, "{name}");
            // Every number is looked at: a tensor that reached past its file would end here.
            let sum = tensor.sum(flowlens::tch::Kind::Double);
            assert!(sum.numel() == 1);
        }
    }
}

pub fn safetensors_seeds() -> Seeds {
    let kinds = fixtures(&["bin/tensors.safetensors", "gguf/quants.safetensors", "trajectories/gpt2.safetensors"]);
    let empty = ("empty".to_owned(), tensors(&[("a", &[0, 3], vec![])], &[("b", &[], vec![1])]));
    kinds.into_iter().filter(|(_, bytes)| bytes.len() < 20_000).chain([empty]).collect()
}

pub fn safetensors(bytes: &[u8]) {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    let file = FILE.get_or_init(|| place("safetensors", "model.safetensors"));
    write(file, bytes);
    open(file);
}

pub fn index_seeds() -> Seeds {
    let index = br#"{"metadata": {"total_size": 32}, "weight_map": {"a": "one.safetensors", "b": "two.safetensors", "c": "two.safetensors"}}"#;
    vec![("two_shards".to_owned(), index.to_vec())]
}

pub fn index(bytes: &[u8]) {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    let file = FILE.get_or_init(|| {
        let file = place("index", "model.safetensors.index.json");
        write(&file.with_file_name("one.safetensors"), &tensors(&[("a", &[2], vec![1., 2.])], &[]));
        write(&file.with_file_name("two.safetensors"), &tensors(&[("b", &[1], vec![3.])], &[("c", &[1], vec![4])]));
        file
    });
    write(file, bytes);
    open(file);
}

pub fn bin_seeds() -> Seeds {
    fixtures(&["bin/tensors.bin", "bin/legacy.bin", "bin/hostile.bin"])
}

pub fn bin(bytes: &[u8]) {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    let file = FILE.get_or_init(|| place("bin", "pytorch_model.bin"));
    write(file, bytes);
    open(file);
}

pub fn pickle_seeds() -> Seeds {
    let pickle = |name: &str| {
        let mut archive = zip::ZipArchive::new(Cursor::new(read(fixture(name)))).expect("an archive");
        let record = archive.file_names().find(|name| name.ends_with("/data.pkl")).expect("a pickle").to_owned();
        let mut bytes = Vec::new();
        let mut record = archive.by_name(&record).expect("a record");
        std::io::copy(&mut record, &mut bytes).expect("a whole record");
        (name.replace('/', "-"), bytes)
    };
    ["bin/tensors.bin", "bin/hostile.bin"].map(pickle).into()
}

/// A pickle in an archive that is whole, with 64 bytes for each of sixteen storages.
pub fn pickle(bytes: &[u8]) {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    let file = FILE.get_or_init(|| place("pickle", "pytorch_model.bin"));
    let mut archive = zip::ZipWriter::new(Cursor::new(Vec::new()));
    let plain = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    let mut put = |name: &str, bytes: &[u8]| {
        archive.start_file(format!("archive/{name}"), plain).expect("a record");
        archive.write_all(bytes).expect("memory takes it");
    };
    put("data.pkl", bytes);
    for key in 0..16 {
        put(&format!("data/{key}"), &[key; 64]);
    }
    write(file, archive.finish().expect("an archive").get_ref());
    open(file);
}

/// What all files of before PyTorch 1.6 begin with: the magic number, the protocol, facts about the machine.
fn legacy_start() -> &'static [u8] {
    static START: OnceLock<Vec<u8>> = OnceLock::new();
    START.get_or_init(|| {
        let whole = read(fixture("bin/legacy.bin"));
        // Each pickle begins with 0x80 0x02, and the fourth part describes the tensors.
        let starts: Vec<usize> = (0..whole.len() - 1).filter(|&at| whole[at..at + 2] == [0x80, 2]).collect();
        whole[..starts[3]].to_vec()
    })
}

pub fn legacy_seeds() -> Seeds {
    vec![("legacy.bin".to_owned(), read(fixture("bin/legacy.bin"))[legacy_start().len()..].to_vec())]
}

pub fn legacy(bytes: &[u8]) {
    static FILE: OnceLock<PathBuf> = OnceLock::new();
    let file = FILE.get_or_init(|| place("legacy", "pytorch_model.bin"));
    write(file, &[legacy_start(), bytes].concat());
    open(file);
}
