//! The targets: what each does with the bytes of a case, and what it begins with.

mod checkpoints;
mod models;
mod runs;
mod texts;
mod views;

use std::path::Path;

use crate::harness::fixture;
use crate::mutate::Form;

/// Named inputs.
pub type Seeds = Vec<(String, Vec<u8>)>;

/// One way into Flowlens.
#[derive(Clone, Copy)]
pub struct Target {
    pub name: &'static str,
    pub form: Form,
    /// Valid inputs, made of the fixtures.
    pub seeds: fn() -> Seeds,
    pub run: fn(&[u8]),
}

/// All of them. `tools/fuzz.py` reads the names here.
#[rustfmt::skip]
const TARGETS: [Target; 18] = [
    Target { name: "safetensors", form: Form::Tensors, seeds: checkpoints::safetensors_seeds, run: checkpoints::safetensors },
    Target { name: "index", form: Form::Json, seeds: checkpoints::index_seeds, run: checkpoints::index },
    Target { name: "gguf", form: Form::Bytes, seeds: models::gguf_seeds, run: models::gguf },
    Target { name: "bin", form: Form::Bytes, seeds: checkpoints::bin_seeds, run: checkpoints::bin },
    Target { name: "pickle", form: Form::Bytes, seeds: checkpoints::pickle_seeds, run: checkpoints::pickle },
    Target { name: "legacy", form: Form::Bytes, seeds: checkpoints::legacy_seeds, run: checkpoints::legacy },
    Target { name: "config", form: Form::Json, seeds: models::config_seeds, run: models::config },
    Target { name: "tokenizer", form: Form::Json, seeds: texts::tokenizer_seeds, run: texts::tokenizer },
    Target { name: "vocabulary", form: Form::Json, seeds: texts::vocabulary_seeds, run: texts::vocabulary },
    Target { name: "text", form: Form::Bytes, seeds: texts::text_seeds, run: texts::text },
    Target { name: "inputs", form: Form::Tensors, seeds: runs::input_seeds, run: runs::inputs },
    Target { name: "pairs", form: Form::Ending, seeds: runs::pair_seeds, run: runs::pairs },
    Target { name: "trace", form: Form::Tensors, seeds: runs::trace_seeds, run: runs::trace },
    Target { name: "resume", form: Form::Tensors, seeds: runs::resume_seeds, run: runs::resume },
    Target { name: "effects", form: Form::Ending, seeds: runs::effect_seeds, run: runs::effects },
    Target { name: "attention", form: Form::JsonAndTensors, seeds: views::attention_seeds, run: views::attention },
    Target { name: "flow_config", form: Form::Json, seeds: views::config_seeds, run: views::config },
    Target { name: "tokens", form: Form::Json, seeds: views::token_seeds, run: views::tokens },
];

/// The target of this name.
pub fn find(name: &str) -> Target {
    TARGETS.into_iter().find(|target| target.name == name).unwrap_or_else(|| {
        let names = TARGETS.map(|target| target.name).join(", ");
        eprintln!("FLOWLENS_FUZZ names the target, and {name:?} is none; there are {names}");
        std::process::exit(2);
    })
}

fn read(path: impl AsRef<Path>) -> Vec<u8> {
    let path = path.as_ref();
    std::fs::read(path).unwrap_or_else(|problem| panic!("{}: {problem}", path.display()))
}

/// Files of the fixtures as seeds, under names that are no paths.
fn fixtures(names: &[&str]) -> Seeds {
    names.iter().map(|name| (name.replace('/', "-"), read(fixture(name)))).collect()
}

/// A tiny trained model of the fixtures.
fn model(name: &str) -> flowlens::Model {
    let folder = fixture("parity").join(name);
    flowlens::Model::load(folder.to_string_lossy()).unwrap_or_else(|problem| panic!("{name}: {problem}"))
}

/// A safetensors file of 32-bit floats and 64-bit integers.
fn tensors(floats: &[(&str, &[usize], Vec<f32>)], integers: &[(&str, &[usize], Vec<i64>)]) -> Vec<u8> {
    use safetensors::tensor::{Dtype, TensorView};
    let floats = floats.iter().map(|(name, shape, numbers)| {
        (*name, Dtype::F32, shape.to_vec(), numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())
    });
    let integers = integers.iter().map(|(name, shape, numbers)| {
        (*name, Dtype::I64, shape.to_vec(), numbers.iter().flat_map(|number| number.to_le_bytes()).collect::<Vec<u8>>())
    });
    let all: Vec<_> = floats.chain(integers).collect();
    let views = all.iter().map(|(name, dtype, shape, bytes)| {
        (*name, TensorView::new(*dtype, shape.clone(), bytes).expect("the numbers fit their shape"))
    });
    safetensors::serialize(views, None).expect("tensors have a file")
}
