//! What a person brings to runs and experiments, and what these left behind.

use std::path::{Path, PathBuf};

use flowlens::experiment::{By, Effects, Pair, Pairs};
use flowlens::{Input, Model, Seq2Seq, Site, Trace};

use super::{Seeds, model, read, tensors};
use crate::harness::{folder, write};

thread_local! {
    static DECODER: Model = model("llama_gqa");
    static BOTH: Model = model("t5_gated");
}

/// Lets a function write a file, and reads it.
fn written(name: &str, save: impl FnOnce(&Path) -> flowlens::Result<()>) -> Vec<u8> {
    let path = folder("seeds").join(name);
    save(&path).unwrap_or_else(|problem| panic!("{problem}"));
    read(path)
}

/// The place of a case's file, whose first line is its ending; `None` for another one.
fn with_ending<'a>(name: &str, bytes: &'a [u8]) -> Option<(PathBuf, &'a [u8])> {
    let end = bytes.iter().position(|&byte| byte == b'\n')?;
    let ending = [&b"json"[..], b"csv", b"safetensors"].into_iter().find(|&ending| ending == &bytes[..end])?;
    let file = format!("case.{}", String::from_utf8_lossy(ending));
    Some((folder(name).join(file), &bytes[end + 1..]))
}

pub fn input_seeds() -> Seeds {
    let row = || vec![3, 5, 7, 9];
    let plain = tensors(&[], &[("input_ids", &[4], row()), ("attention_mask", &[4], vec![1; 4])]);
    let rows = tensors(&[], &[("input_ids", &[2, 2], row()), ("attention_mask", &[2, 2], vec![0, 1, 1, 1])]);
    let both = tensors(
        &[],
        &[
            ("input_ids", &[1, 4], row()),
            ("decoder_input_ids", &[1, 2], vec![0, 3]),
            ("decoder_attention_mask", &[1, 2], vec![1, 1]),
            ("token_type_ids", &[1, 4], vec![0, 0, 1, 1]),
            ("langs", &[1, 4], vec![0; 4]),
        ],
    );
    vec![("plain".to_owned(), plain), ("rows".to_owned(), rows), ("both".to_owned(), both)]
}

pub fn inputs(bytes: &[u8]) {
    let path = folder("inputs").join("case.safetensors");
    write(&path, bytes);
    let _ = Input::from_file(&path);
    let Ok(rows) = Input::rows_from_file(&path) else { return };
    for row in rows.into_iter().take(3) {
        for model in [&DECODER, &BOTH] {
            // A long input is no fault; what it may take is the limit's to say.
            let run = model.with(|model| model.watch(row.clone()).memory_limit_mb(100).run());
            let _ = run.map(|trace| trace.next_tokens(1));
        }
    }
}

pub fn pair_seeds() -> Seeds {
    let json = r#"json
[{"clean": "the city of", "corrupted": "the sea of", "right": " the", "wrong": [" of", 7], "position": 1},
 {"clean": [5, 6, 7], "corrupted": [5, 8, 7], "right": 9, "wrong": 10},
 {"clean": "the", "source_clean": "of the city", "source_corrupted": "of the sea", "right": 3}]"#;
    let csv = "csv\nclean,corrupted,right,wrong,position\nthe city of,the sea of, the,\"[5, 6]\",1\n\"a, b\",c, d,,\n";
    let ids = tensors(
        &[],
        &[
            ("clean", &[2, 3], vec![5, 6, 7, 8, 9, 10]),
            ("corrupted", &[2, 3], vec![5, 8, 7, 8, 11, 10]),
            ("right", &[2], vec![3, 4]),
            ("wrong", &[2, 2], vec![5, 6, 7, 8]),
            ("position", &[2], vec![1, 2]),
        ],
    );
    let ids = [b"safetensors\n", &ids[..]].concat();
    vec![("json".to_owned(), json.into()), ("csv".to_owned(), csv.into()), ("safetensors".to_owned(), ids)]
}

pub fn pairs(bytes: &[u8]) {
    let Some((path, file)) = with_ending("pairs", bytes) else { return };
    write(&path, file);
    for model in [&DECODER, &BOTH] {
        let _ = model.with(|model| Pairs::read(model, &path).map(|pairs| pairs.len()));
    }
}

pub fn trace_seeds() -> Seeds {
    let plain = DECODER.with(|model| model.run("the city of").expect("a run"));
    let both = BOTH.with(|model| model.run(Seq2Seq { source: "the city", target: "of" }).expect("a run"));
    let saved = |name: &str, trace: &Trace| (name.to_owned(), written(name, |path| trace.save(path)));
    vec![saved("decoder", &plain), saved("both", &both)]
}

pub fn trace(bytes: &[u8]) {
    let path = folder("trace").join("case.safetensors");
    write(&path, bytes);
    for model in [&DECODER, &BOTH] {
        let Ok(trace) = model.with(|model| Trace::load(&path, model)) else { continue };
        let _ = (trace.to_string(), trace.pieces(), trace.next_tokens(3), trace.predictions(1, 2));
        for site in trace.sites() {
            let _ = trace.get(site);
        }
        let _ = trace.head_view().build().map(|figure| figure.svg().len());
    }
}

/// A sweep of few cells over one pair, as [`resume`] makes it.
fn sweep(path: &Path) -> flowlens::Result<Effects> {
    DECODER.with(|model| {
        let pair = Pair::new(vec![5i64, 6, 7], vec![5i64, 8, 7]).right(9).wrong(10);
        let pairs = model.pairs([pair])?;
        model.sweep(&pairs).patch(Site::ResidPre).by(By::Layer).resume(path).run()
    })
}

pub fn resume_seeds() -> Seeds {
    vec![("whole".to_owned(), written("sweep.safetensors", |path| sweep(path).map(drop)))]
}

pub fn resume(bytes: &[u8]) {
    let path = folder("resume").join("case.safetensors");
    write(&path, bytes);
    let _ = sweep(&path);
}

pub fn effect_seeds() -> Seeds {
    let path = folder("seeds").join("none.safetensors");
    let _ = std::fs::remove_file(&path);
    let effects = sweep(&path).expect("a sweep");
    let saved = |ending: &str| {
        let file = written(&format!("effects.{ending}"), |path| effects.save(path));
        (ending.to_owned(), [ending.as_bytes(), b"\n", &file].concat())
    };
    vec![saved("json"), saved("safetensors")]
}

pub fn effects(bytes: &[u8]) {
    let Some((path, file)) = with_ending("effects", bytes) else { return };
    write(&path, file);
    let Ok(effects) = Effects::read(&path) else { return };
    let _ = (effects.to_string(), effects.mean(), effects.effects(), effects.normalized(), effects.pair(0));
    let _ = effects.figure().map(|figure| figure.svg().len());
}
