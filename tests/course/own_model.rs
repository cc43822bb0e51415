//! Lesson 10.

use std::path::PathBuf;

use flowlens::{Change, Model, Seq2Seq, Site, check};
use safetensors::SafeTensors;

use crate::{not_yet, refused, right, tiny};

#[test]
fn how_much_it_takes() {
    let model = tiny("llama_gqa");
    let file = std::fs::read("tests/fixtures/parity/llama_gqa/model.safetensors").unwrap();
    let tensors = SafeTensors::deserialize(&file).unwrap();
    let numbers: usize = tensors.iter().map(|(_, tensor)| tensor.shape().iter().product::<usize>()).sum();
    let text = "one two three";
    let (weights, run) = (4e-6 * numbers as f64, 1e-6 * model.run(text).unwrap().bytes() as f64);
    right(check::megabytes_needed(weights + run, &model, text));
    right(check::megabytes_needed((weights + run) * 1.005, &model, text));
    not_yet(check::megabytes_needed(weights, &model, text), "Those are the weights");
    not_yet(check::megabytes_needed(run, &model, text), "have to be there as well");
    not_yet(check::megabytes_needed((weights + run) * 1e6, &model, text), "A megabyte");
    not_yet(check::megabytes_needed(0, &model, text), "divide by a million");
    not_yet(check::megabytes_needed(f64::NAN, &model, text), "divide by a million");
    refused(check::megabytes_needed(weights, &tiny("llama_deep"), text), "no tokenizer.json");
}

struct Folder(PathBuf);

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[test]
fn what_was_saved() {
    let folder = Folder(std::env::temp_dir().join(format!("flowlens-course-{}", std::process::id())));
    std::fs::create_dir_all(&folder.0).unwrap();
    let at = |name: &str| folder.0.join(name);
    let model = tiny("llama_gqa");
    let trace = model.run("one two three").unwrap();
    trace.save(at("run.safetensors")).unwrap();
    right(check::numbers_saved(at("run.safetensors"), &trace));
    trace.head_view().save(at("heads.html")).unwrap();
    not_yet(check::numbers_saved(at("heads.html"), &trace), "a picture");
    not_yet(check::numbers_saved(at("nothing.safetensors"), &trace), "There is no file");
    std::fs::write(at("table.csv"), trace.attention().unwrap().block("all").unwrap().csv(0, 0).unwrap()).unwrap();
    not_yet(check::numbers_saved(at("table.csv"), &trace), "cannot be read as a run");
    model.run("one two four").unwrap().save(at("other.safetensors")).unwrap();
    not_yet(check::numbers_saved(at("other.safetensors"), &trace), "another text");
    model.watch("one two three").keep([Site::Pattern(0)]).run().unwrap().save(at("part.safetensors")).unwrap();
    not_yet(check::numbers_saved(at("part.safetensors"), &trace), "of the");
    let changed = model.watch("one two three").change(Change::zero(Site::AttnOut(0))).run().unwrap();
    changed.save(at("changed.safetensors")).unwrap();
    not_yet(check::numbers_saved(at("changed.safetensors"), &trace), "another run");
    let t5 = tiny("t5_tied").run(Seq2Seq { source: "one two", target: "three" }).unwrap();
    not_yet(check::numbers_saved(at("run.safetensors"), &t5), "cannot be read as a run");
    t5.save(at("both.safetensors")).unwrap();
    right(check::numbers_saved(at("both.safetensors"), &t5));
}

#[test]
fn what_was_kept() {
    let model = tiny("llama_gqa");
    let text = "one two three";
    let limit = 3.0 * 4e-6 * model.run(text).unwrap().get(Site::Pattern(1)).unwrap().data().len() as f64;
    let keep = |sites: &[Site]| model.watch(text).keep(sites.iter().copied()).run().unwrap();
    right(check::keeps_little(&keep(&[Site::Pattern(1)]), Site::Pattern(1), limit));
    not_yet(check::keeps_little(&model.run(text).unwrap(), Site::Pattern(1), limit), "What else");
    not_yet(check::keeps_little(&keep(&[Site::Pattern(0)]), Site::Pattern(1), limit), "did not keep");
    not_yet(check::keeps_little(&keep(&[Site::Pattern(1), Site::Logits]), Site::Pattern(1), limit), "What else");
    let t5 = tiny("t5_tied")
        .watch(Seq2Seq { source: "one two", target: "three" })
        .keep([Site::CrossPattern(0)])
        .run()
        .unwrap();
    right(check::keeps_little(&t5, Site::CrossPattern(0), limit));
}

#[test]
#[ignore = "needs the starter models"]
fn the_solutions_of_the_lesson() {
    let model = Model::load("smollm2-135m").unwrap();
    let table = std::fs::read_to_string("notebooks/models/t5-verses/held_out.tsv").unwrap();
    let verses: Vec<&str> = table.lines().take(5).map(|line| line.split('\t').nth(2).unwrap()).collect();
    let both = (model.weight_bytes() + model.estimate(verses[0]).unwrap().bytes()) as f64 / 1e6;
    right(check::megabytes_needed(both, &model, verses[0]));
    not_yet(check::megabytes_needed(98.4, &model, verses[0]), "packed");
    let five = verses.join(" ");
    right(check::keeps_little(&model.watch(&five).keep([Site::Pattern(18)]).run().unwrap(), Site::Pattern(18), 2.0));
    not_yet(check::keeps_little(&model.run(&five).unwrap(), Site::Pattern(18), 2.0), "What else");
}
