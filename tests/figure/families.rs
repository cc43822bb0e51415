//! The attention views of every family, for the browser: it compares the weights that a page gives back with those of
//! Python's `transformers`.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use flowlens::{Figure, Input, Model};

/// One fixture of each family, and all of those whose attention is odd in some way.
fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity");
    let mut folders: Vec<PathBuf> = fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    let mut seen = BTreeSet::new();
    folders.retain(|folder| {
        let config: serde_json::Value = serde_json::from_slice(&fs::read(folder.join("config.json")).unwrap()).unwrap();
        let name = folder.file_name().unwrap().to_string_lossy();
        let odd = ["padded", "uneven", "local", "window", "alibi", "yarn", "long"].iter().any(|it| name.contains(it));
        seen.insert(config["model_type"].as_str().unwrap().to_owned()) || odd
    });
    folders
}

#[test]
fn writes_views_of_every_family() {
    let pages = super::folder("figures/families");
    let mut names = Vec::new();
    for folder in fixtures() {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let model = Model::load(folder.to_str().unwrap()).unwrap();
        let trace = model.run(Input::from_file(folder.join("expected.safetensors")).unwrap()).unwrap();
        let save = |figure: Figure, view: &str| figure.save(pages.join(format!("{name}.{view}.html"))).unwrap();
        save(trace.head_view().build().unwrap(), "head");
        save(trace.model_view().build().unwrap(), "model");
        save(trace.neuron_view().build().unwrap(), "neuron");
        save(trace.rollout_view().build().unwrap(), "rollout");
        names.push(name);
    }
    fs::write(pages.join("names.json"), serde_json::to_string(&names).unwrap()).unwrap();
    assert!(names.len() > 45);
}
