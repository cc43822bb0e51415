//! Draws every kind of figure into `docs/pictures/gallery` and writes `docs/gallery.md`: `make gallery`.
//!
//! What the page shows as a figure's call is the code that drew it.

use std::error::Error;
use std::fs;
use std::path::Path;

use flowlens::prelude::*;

const PROMPT: &str = "The capital of Japan is the city of";
const PAIR: (&str, &str) = ("The cat sat on the mat.", "The mat was red and the cat was asleep.");

/// A figure, what it is called, what it shows, and the call that made it.
struct Shown {
    name: &'static str,
    about: &'static str,
    call: String,
    figure: Figure,
}

/// A figure's own code as the text of its call: `stringify!` has lost the line breaks, chains get them back.
fn call(code: &str) -> String {
    let code = code.split_whitespace().collect::<Vec<_>>().join(" ").replace(" ?", "?").replace("? .", "?.");
    let code = code.trim_end_matches('?').trim_end_matches(".figure()").trim_end_matches(".build()?");
    code.trim_end_matches(".build()").to_owned()
}

macro_rules! figures {
    ($($name:literal, $about:literal: $figure:expr;)*) => {
        vec![$(Shown { name: $name, about: $about, call: call(stringify!($figure)), figure: $figure }),*]
    };
}

fn flow(trace: &Trace) -> flowlens::Result<Vec<Shown>> {
    Ok(figures! {
        "Flow graph, overview", "What attention and MLP of every layer add to the stream, read as words; the colour is the rank of the answer.":
            trace.flow_graph().overview().build()?.figure();
        "Flow graph, one layer", "Heads, what they look at and hand over, neurons and what they write. At each sum, what comes in adds up to what goes out.":
            trace.flow_graph().layers([23]).build()?.figure();
        "Flow graph, layers side by side", "Two layers in one graph; a link between them carries what the layers in between added.":
            trace.flow_graph().layers([23, 28]).chain(true).heads(Heads::ByTarget(3)).neurons(4, 2).build()?.figure();
        "Logit lens", "What the stream says after each layer, at each position.": trace.logit_lens()?.figure();
        "Probabilities of the text", "How probable the model found each token of the text, and what it would have said.":
            trace.decoding()?.figure();
    })
}

fn attention(trace: &Trace, pair: &Trace, without: &Trace) -> flowlens::Result<Vec<Shown>> {
    Ok(figures! {
        "Head view", "Where each head of a layer looks.": trace.head_view().layer(17).build()?;
        "Head view of a pair of sentences", "An encoder reads both ways; the chooser shows each sentence's attention to the other.":
            pair.head_view().layer(2).build()?;
        "Model view", "Every head of every layer, small; here of six layers.": trace.model_view().layers(14..20).build()?;
        "Neuron view", "How a weight comes about, from query and key on, with rotation, bias and what the value writes.":
            trace.neuron_view().layers([17]).head(5).build()?;
        "Rollout view", "From a token back through all layers.": trace.rollout_view().layer(3).build()?;
        "Two runs and their difference", "Any two runs with the same tokens, side by side.":
            Attention::compare(&trace.attention()?, &without.attention()?)?.head_view().layer(20).build()?;
    })
}

fn trajectories(trace: &Trace, t5: &Trace) -> flowlens::Result<Vec<Shown>> {
    Ok(figures! {
        "Position kernels", "What distance alone adds to the scores of each head, from the weights.": t5.model().position_kernels()?.figure();
        "Attention maps", "Scores before the softmax, split into content and position.":
            t5.attention_maps().block("encoder").layers([0]).heads([0, 4]).build()?.figure();
        "Similarity maps", "Which positions are alike, at every depth.":
            trace.similarity_maps().sites([Site::Embedding, Site::ResidPost(15), Site::FinalNorm]).without_first().build()?.figure();
        "Walk", "How a position's vector moves through the layers.": trace.walk().without_first().build()?.figure();
    })
}

fn experiments(model: &Model) -> flowlens::Result<Vec<Shown>> {
    let pairs = model.pairs([(PROMPT, "The capital of France is the city of", " Tokyo", " Paris")])?;
    Ok(figures! {
        "Patching, layer by position", "Which value of the clean run brings the answer back into the corrupted one.":
            model.sweep(&pairs).patch(Site::ResidPre).run()?.figure()?;
        "Ablation, layer by head", "What is lost without a head.":
            model.sweep(&pairs).ablate(Site::HeadMix, Ablation::Zero).run()?.figure()?;
        "Steering", "A direction of some strength, layer by layer.":
            model.steering(&pairs)?.sweep([-4.0, -2.0, -1.0, 1.0, 2.0, 4.0])?.figure()?;
    })
}

/// The name of a picture's file.
fn file(name: &str) -> String {
    name.to_lowercase().replace(',', "").replace(' ', "_")
}

fn write(groups: &[(&str, Vec<Shown>)], folder: &Path) -> Result<(), Box<dyn Error>> {
    let mut page = "# Gallery\n\nEvery kind of figure, with the call that draws it. In a notebook a figure shows itself and can be touched: \
         point at something, click, use the keys. Here are still pictures, as `figure.export().save(\"name.png\")` writes them. \
         `make gallery` draws this page anew (`examples/gallery.rs`).\n\n```rust\n"
        .to_owned();
    page.push_str(&format!(
        "use flowlens::prelude::*;\n\nlet model = Model::load(\"smollm2-135m\")?;\nlet trace = model.run({PROMPT:?})?;\n\
         let without = model.watch({PROMPT:?}).change(Change::zero_head(16, 0)).run()?;\n\
         let pair = Model::load(\"minilm-l6\")?.run({PAIR:?})?;\n\
         let t5 = Model::load(\"notebooks/models/t5-verses\")?.run(Seq2Seq {{ source: ..., target: ... }})?;\n\
         let pairs = model.pairs([({PROMPT:?}, \"The capital of France is the city of\", \" Tokyo\", \" Paris\")])?;\n```\n"
    ));
    for (title, figures) in groups {
        page.push_str(&format!("\n## {title}\n"));
        for Shown { name, about, call, figure } in figures {
            let file = file(name);
            let save = |path: &str, export: Export| export.scale(1.0).save(folder.join("pictures/gallery").join(path));
            save(&format!("{file}.png"), figure.export())?;
            save(&format!("{file}_dark.png"), figure.export().dark())?;
            page.push_str(&format!(
                "\n### {name}\n\n{about}\n\n```rust\n{call}\n```\n\n<picture><source media=\"(prefers-color-scheme: dark)\" \
                 srcset=\"pictures/gallery/{file}_dark.png\"><img src=\"pictures/gallery/{file}.png\" alt=\"{}\"></picture>\n",
                figure.title().replace('"', "&quot;")
            ));
            println!("{name}");
        }
    }
    fs::write(folder.join("gallery.md"), page)?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    let model = Model::load("smollm2-135m")?;
    let trace = model.run(PROMPT)?;
    let without = model.watch(PROMPT).change(Change::zero_head(16, 0)).run()?;
    let pair = Model::load("minilm-l6")?.run(PAIR)?;
    let t5 = Model::load("notebooks/models/t5-verses")?.run(Seq2Seq {
        source: "And Ruth said, Intreat me not to leave thee, or to return from following after thee: for whither thou goest, I will go;",
        target: "Ruth said, \"Don't urge me to leave you, and to return from following you, for where you go, I will go;",
    })?;
    let groups = [
        ("What flows", flow(&trace)?),
        ("Where heads look", attention(&trace, &pair, &without)?),
        ("Position, similarity, movement", trajectories(&trace, &t5)?),
        ("Changing a run", experiments(&model)?),
    ];
    fs::create_dir_all("docs/pictures/gallery")?;
    write(&groups, Path::new("docs"))
}
