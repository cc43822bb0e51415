//! A run that was saved is the same run when it is loaded.

use flowlens::{Change, Model, Seq2Seq, Site, Trace};

fn model(name: &str) -> Model {
    Model::load(format!("{}/tests/fixtures/parity/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
}

fn through_a_file(trace: &Trace, name: &str) -> Trace {
    let path = std::env::temp_dir().join(format!("flowlens-saved-{name}-{}.safetensors", std::process::id()));
    trace.save(&path).unwrap();
    let again = Trace::load(&path, trace.model()).unwrap();
    std::fs::remove_file(path).unwrap();
    again
}

fn same(one: &Trace, other: &Trace) {
    assert_eq!(one.sites(), other.sites());
    for site in one.sites() {
        assert_eq!(one.get(site).unwrap(), other.get(site).unwrap(), "{site}");
    }
    assert_eq!((one.ids(), one.prompt()), (other.ids(), other.prompt()));
    assert_eq!((one.encoder_ids(), one.second_text()), (other.encoder_ids(), other.second_text()));
    assert_eq!(one.changes(), other.changes());
    assert_eq!(one.to_string(), other.to_string());
}

#[test]
fn runs_of_every_kind_come_back_whole() {
    let gpt2 = model("gpt2").watch("the city of").change(Change::zero(Site::HeadMix(1)).head(2).positions(1..3));
    let gpt2 = gpt2.keep(model("gpt2").sites()).run().unwrap();
    assert!(gpt2.sites().contains(&Site::HeadOutput(0)) && gpt2.changes().len() == 1);
    same(&gpt2, &through_a_file(&gpt2, "gpt2"));
    let pair = model("bert").run(("the city", "of the sea")).unwrap();
    assert!(pair.second_text().is_some());
    same(&pair, &through_a_file(&pair, "bert"));
    let t5 = model("t5_gated").run(Seq2Seq { source: "the city of", target: "the" }).unwrap();
    same(&t5, &through_a_file(&t5, "t5"));
}

#[test]
fn what_was_not_kept_is_not_made_up() {
    let narrow = model("llama_gqa").watch("the city of").keep([Site::Pattern(1)]).run().unwrap();
    let again = through_a_file(&narrow, "narrow");
    same(&narrow, &again);
    assert_eq!(narrow.next_tokens(5).unwrap(), again.next_tokens(5).unwrap());
    assert!(again.get(Site::Logits).unwrap_err().to_string().contains("was not kept"));
    assert_eq!(
        again.flow_graph().layers([1]).build().unwrap_err().to_string(),
        narrow.flow_graph().layers([1]).build().unwrap_err().to_string()
    );
}

#[test]
fn a_run_of_another_model_is_refused_by_name() {
    let path = std::env::temp_dir().join(format!("flowlens-saved-other-{}.safetensors", std::process::id()));
    model("gpt2").run([1, 2, 3]).unwrap().save(&path).unwrap();
    let family = Trace::load(&path, &model("bloom")).unwrap_err().to_string();
    assert!(family.contains("gpt2") && family.contains("bloom"), "{family}");
    let shape = Trace::load(&path, &model("gpt2_own_head")).unwrap_err().to_string();
    assert!(shape.contains("shape") && shape.contains("load the model that ran"), "{shape}");
    std::fs::write(&path, b"nothing").unwrap();
    let broken = Trace::load(&path, &model("gpt2")).unwrap_err().to_string();
    assert!(broken.contains("not a whole safetensors file"), "{broken}");
    std::fs::remove_file(path).unwrap();
}
