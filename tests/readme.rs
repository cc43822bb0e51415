//! The README says what the code does: its tour runs, and its table of families is the code's. With
//! `FLOWLENS_UPDATE_README` set the table is written anew.

use std::path::Path;

use flowlens::model::families;

const HEAD: &str = "| kind | family (`model_type`) | known for |\n|---|---|---|\n";

fn readme() -> String {
    std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap()
}

#[test]
fn the_table_of_families_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = readme();
    let rows =
        families().iter().map(|family| format!("| {} | `{}` | {} |\n", family.kind, family.name, family.known_for));
    let wanted = HEAD.to_owned() + &rows.collect::<String>();
    let start = text.find(HEAD).expect("README.md has the table's head");
    let end = start + text[start..].find("\n\n").expect("an empty line ends the table") + 1;
    if std::env::var_os("FLOWLENS_UPDATE_README").is_some() {
        std::fs::write(&path, format!("{}{wanted}{}", &text[..start], &text[end..])).unwrap();
        return;
    }
    assert!(
        text[start..end] == wanted,
        "README.md lists other families than the code; FLOWLENS_UPDATE_README=1 cargo test --test readme mends it"
    );
}

/// The tour on tiny models with random weights, which need no network.
mod tour {
    use flowlens::prelude::*;

    /// Stands in for [`flowlens::Model`] to give the README's names to fixtures.
    struct Model;

    impl Model {
        fn load(name: &str) -> flowlens::Result<flowlens::Model> {
            let fixture = match name {
                "smollm2-135m" => "llama_gqa",
                "minilm-l6" => "bert",
                "google/flan-t5-small" => "t5_gated",
                other => panic!("the tour has no fixture for {other}"),
            };
            flowlens::Model::load(format!("{}/tests/fixtures/parity/{fixture}", env!("CARGO_MANIFEST_DIR")))
        }
    }

    // The README's results have names for the reader's sake.
    #[allow(unused_variables)]
    pub fn run() -> flowlens::Result<()> {
        // README {
        let model = Model::load("smollm2-135m")?;
        let trace = model.run("The capital of Japan is the city of")?;
        trace.flow_graph().layers([1, 2]).build()?;
        trace.logit_lens()?;
        trace.head_view().layer(2).build()?;
        trace.model_view().build()?;
        trace.neuron_view().layer(2).head(0).build()?;
        trace.rollout_view().build()?;

        let pattern = trace.get(Site::Pattern(2))?;
        trace.save("run.safetensors")?;
        let again = Trace::load("run.safetensors", &model)?;
        let neurons = model.neurons(2)?;

        let narrow = model.watch("Hello").keep([Site::ResidPost(2), Site::Logits]);
        println!("{}", narrow.estimate()?);

        let prompt = "The capital of Japan is the city of";
        let without = model.watch(prompt).change(Change::zero_head(2, 3)).run()?;
        let halved = model.watch(prompt).change(Change::scale(Site::MlpOut(1), 0.5).positions(2..5)).run()?;
        let patch = Change::patch(Site::ResidPost(1), &trace)?.position(3);
        let patched = model.watch("The capital of Italy is the city of").change(patch).run()?;

        let italy = model.run("The capital of Italy is the city of")?;
        let answers = (trace.next_tokens(1)?[0].id, italy.next_tokens(1)?[0].id);
        let pair = Pair::new(prompt, "The capital of Italy is the city of").right(answers.0).wrong(answers.1);
        let pairs = model.pairs([pair])?;
        model.sweep(&pairs).patch(Site::ResidPre).run()?;
        model.sweep(&pairs).ablate(Site::HeadMix, Ablation::Zero).run()?;
        model.attribution_patching(&pairs).site(Site::HeadMix).check(20)?;
        model.logit_attribution(&pairs)?.by_head()?;
        model.generate(prompt).change(model.steering(&pairs)?.layer(2)? * 2.0).run()?;

        let attention = trace.attention()?;
        attention.find(Measure::Previous, 5)?;
        attention.norm_weighted()?.head_view().build()?;
        attention.words()?.model_view().build()?;
        attention.rollout(true)?;
        Attention::compare(&attention, &without.attention()?)?.head_view().build()?;
        let weights = flowlens::ndarray::array![[[1.0f32, 0.0], [0.25, 0.75]]];
        HeadView::new(["to", "be"], [weights])?.build()?;

        let bert = Model::load("minilm-l6")?;
        let pair = bert.run(("The cat sat on the mat.", "A feline rested on the rug."))?;
        let t5 = Model::load("google/flan-t5-small")?;
        let both = t5.run(Seq2Seq { source: "translate English to German: Good day.", target: "Guten" })?;
        let cross = both.get(Site::CrossPattern(1))?;
        let text = model.generate("Once upon a time").max_tokens(30).temperature(0.8).seed(7).run()?.text;

        t5.position_kernels()?;
        both.attention_maps().layers([0]).build()?;
        trace.similarity_maps().build()?;
        trace.walk().without_first().build()?;
        trace.decoding()?;
        // } README
        Ok(())
    }
}

/// Code without comments and blanks.
fn bare(code: &str) -> String {
    let code = code.lines().map(|line| line.split("// ").next().unwrap_or_default());
    code.flat_map(str::chars).filter(|letter| !letter.is_whitespace()).collect()
}

#[test]
fn the_tour_is_what_the_readme_shows() {
    let text = readme();
    let blocks = text.split("```rust\n").skip(1).map(|rest| rest.split("```").next().unwrap());
    let shown = bare(&blocks.collect::<String>());
    let shown = shown.strip_prefix("useflowlens::prelude::*;").expect("the tour begins with the prelude");
    let own = include_str!("readme.rs");
    let start = own.find("// README {\n").unwrap() + "// README {\n".len();
    let end = own.find("// } README\n").unwrap();
    let run = bare(&own[start..end]);
    let same = shown.chars().zip(run.chars()).take_while(|(a, b)| a == b).count();
    let from = |code: &str| code.chars().skip(same).take(80).collect::<String>();
    assert!(shown == run, "README.md goes on with {:?}, its test with {:?}", from(shown), from(&run));
}

#[test]
fn the_tour_runs() {
    // It saves a run into the current folder; the other tests name theirs in full.
    let folder = std::env::temp_dir().join(format!("flowlens-readme-{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    std::env::set_current_dir(&folder).unwrap();
    let result = tour::run();
    std::fs::remove_dir_all(&folder).unwrap();
    result.unwrap();
}
