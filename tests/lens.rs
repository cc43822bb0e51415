//! The lens on real runs.

use std::path::Path;

use flowlens::{Input, Model, Site};

fn model(name: &str) -> Model {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/visit").join(name);
    Model::load(folder.to_str().unwrap()).unwrap()
}

#[test]
fn its_last_row_is_the_models_own_in_every_fixture_with_a_head() {
    let folders = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity");
    let mut wrong = Vec::new();
    for folder in std::fs::read_dir(folders).unwrap().map(|entry| entry.unwrap().path()) {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let model = Model::load(folder.to_str().unwrap()).unwrap();
        if !model.sites().contains(&Site::Logits) {
            continue;
        }
        let trace = model.run(Input::from_file(folder.join("expected.safetensors")).unwrap()).unwrap();
        let lens = trace.logit_lens().unwrap();
        assert_eq!(lens.row_names().last().unwrap(), &(model.layers() - 1).to_string());
        let logits = trace.get(Site::Logits).unwrap();
        for (position, cell) in lens.rows.last().unwrap().cells.iter().enumerate() {
            // Some models set the vectors of padded positions to 0 on the way.
            if trace.get(Site::FinalNorm).unwrap().row(position).unwrap().data().iter().all(|&x| x == 0.) {
                continue;
            }
            let row = logits.row(position).unwrap();
            let (best, own) = (row.data().iter().copied().fold(f32::MIN, f32::max), row.data()[cell.top.id as usize]);
            let away = (cell.top.logit - best).abs().max((own - best).abs()) / best.abs().max(1.);
            if away.is_nan() || away > 1e-4 {
                wrong.push(format!("{name}, position {position}: {} {best}", cell.top.logit));
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_last_row_of_the_logit_lens_is_what_the_model_says() {
    for name in ["tiny_gpt2", "tiny_gpt_neo", "tiny_gptj", "tiny_llama"] {
        let model = model(name);
        let trace = model.run("The capital of Japan is the city of").unwrap();
        let lens = trace.logit_lens().unwrap();
        assert_eq!(lens.rows.len(), model.layers() + 1);
        let logits = trace.get(Site::Logits).unwrap();
        for (position, cell) in lens.rows.last().unwrap().cells.iter().enumerate() {
            let row = logits.row(position).unwrap();
            let best = row.data().iter().copied().fold(f32::MIN, f32::max);
            assert!((cell.top.logit - best).abs() < 1e-4 * best.abs().max(1.), "{name} {} {best}", cell.top.logit);
            assert_eq!(row.get(&[cell.top.id as usize]), Some(best), "{name}");
            let sum: f64 = row.data().iter().map(|&x| f64::from(x - best).exp()).sum();
            assert!((f64::from(cell.top.prob) - 1. / sum).abs() < 1e-5);
            assert_eq!((cell.target.id, cell.target.rank), (cell.top.id, 1));
        }
        let targets: Vec<u32> = lens.rows[0].cells.iter().map(|cell| cell.target.id).collect();
        let best: Vec<u32> = lens.rows.last().unwrap().cells.iter().map(|cell| cell.top.id).collect();
        assert_eq!(targets, best, "every column ranks the model's own token");
    }
}

#[test]
fn one_target_is_ranked_everywhere() {
    let trace = model("tiny_gpt2").run("The capital of Japan").unwrap();
    let lens = trace.logit_lens_of(262).unwrap();
    assert_eq!(lens.target.as_ref().unwrap().text, " the");
    for row in &lens.rows {
        let stream = trace.get(row.site).unwrap();
        let readings = trace.model().lens().unwrap().targets([262]).read(&stream).unwrap();
        for (cell, reading) in row.cells.iter().zip(readings) {
            assert_eq!(cell.target.rank, reading.targets[0].rank);
            assert_eq!(cell.top.id, reading.top[0].id);
        }
    }
    assert!(lens.to_string().starts_with("    "));
    assert!(trace.logit_lens_of(5000).unwrap_err().to_string().contains("5000"));
}

#[test]
fn a_run_that_kept_too_little_says_what_to_keep() {
    let trace = model("tiny_gpt2").watch("The capital").keep([Site::Pattern(0)]).run().unwrap();
    let error = trace.logit_lens().unwrap_err().to_string();
    assert!(error.contains("blocks.0.hook_resid_pre") && error.contains("keep"), "{error}");
}
