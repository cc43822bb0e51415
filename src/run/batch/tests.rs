//! Together and alone, for every fixture.

use std::path::{Path, PathBuf};

use super::*;
use crate::{DType, Device};

fn fixtures() -> Vec<PathBuf> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/parity");
    let mut folders: Vec<PathBuf> = std::fs::read_dir(root).unwrap().map(|entry| entry.unwrap().path()).collect();
    folders.sort();
    folders
}

/// A part of a text, with at least one token that is no padding.
fn part(tokens: &Tokens, length: usize) -> Tokens {
    let length = length.clamp(1, tokens.len());
    let real = |range: &Range<usize>| range.clone().any(|position| !tokens.is_padding(position));
    let ranges = (0..=tokens.len() - length).map(|start| start..start + length);
    let range = ranges.into_iter().find(real).unwrap();
    let cut = |list: &Option<Vec<i64>>| list.as_ref().map(|list| list[range.clone()].to_vec());
    Tokens {
        ids: tokens.ids[range.clone()].to_vec(),
        attention_mask: cut(&tokens.attention_mask),
        token_type_ids: cut(&tokens.token_type_ids),
        languages: cut(&tokens.languages),
        source: tokens.source.as_ref().map(|source| Box::new(part(source, length + 1))),
        ..Tokens::default()
    }
}

/// Three texts of different lengths from that of a fixture.
fn texts(tokens: &Tokens) -> Vec<Tokens> {
    let length = tokens.len().min(40);
    let mut last = part(tokens, length / 2);
    last.ids.reverse();
    vec![part(tokens, length * 2 / 3), part(tokens, length), last]
}

/// Compares every trace with the run of its text alone.
fn assert_same(what: &str, all: &WatchAll, texts: &[Tokens]) {
    let traces = all.run_texts(texts).unwrap();
    assert_eq!(traces.len(), texts.len());
    for (index, (found, tokens)) in traces.iter().zip(texts).enumerate() {
        let wanted = all.watch.run_tokens(tokens.clone()).unwrap();
        assert_eq!(found.tokens(), tokens, "{what}");
        assert_eq!(found.sites(), wanted.sites(), "{what}");
        let logits = found.logits().zip(wanted.logits()).map(|pair| (Site::Logits, pair.0, pair.1));
        let sites = wanted.kept().iter().map(|(&site, wanted)| (site, &found.kept()[&site], wanted));
        for (site, found, wanted) in sites.chain(logits) {
            assert_eq!(found.size(), wanted.size(), "{what}: {site}");
            let off = ((found - wanted).abs() / (wanted.abs() + 1.0)).max().double_value(&[]);
            assert!(off < 1e-4, "{what}, text {index}: {site} is {off} off");
        }
    }
}

#[test]
fn every_text_is_as_if_alone_changed_or_not() {
    let mut shared = 0;
    for folder in fixtures() {
        let name = folder.file_name().unwrap().to_string_lossy().into_owned();
        let model = Model::options(folder.to_str().unwrap()).device(Device::Cpu).dtype(DType::F32).load().unwrap();
        let input = Input::from_file(folder.join("expected.safetensors")).unwrap();
        let texts = texts(&model.read_tokens(input).unwrap());
        shared += usize::from(packed(&texts.iter().collect::<Vec<_>>()).len() == 1);
        let all = || model.watch_all([] as [Input; 0]);
        assert_same(&name, &all().keep(model.sites()), &texts);
        assert_same(&name, &all().keep([]), &texts);
        let head = model.architecture().main.blocks[0].attention.heads - 1;
        let mut changed = all().keep([Site::ResidPost(0), Site::FinalNorm, Site::Pattern(0)]);
        let changes = [
            Change::zero_head(0, head),
            Change::scale(Site::MlpOut(0), 2.0).position(0),
            Change::zero(Site::Pattern(0)).neuron(0),
            Change::set(Site::Pattern(0), 0.5).position(0),
            Change::scale(Site::Value(0), 2.0),
            Change::scale(Site::ResidPre(0), 0.5).position(0).in_encoder(),
            Change::scale(Site::Key(0), 0.5).position(0).in_cross(),
            Change::zero(Site::Pattern(0)).neuron(0).in_cross(),
        ];
        for change in changes.into_iter().filter(|change| model.check_site(change.site()).is_ok()) {
            changed = changed.change(change);
        }
        assert_same(&format!("{name}, changed"), &changed, &texts);
    }
    assert!(shared > 180, "{shared} fixtures whose texts share a pass");
}

#[test]
fn passes_are_filled_in_order() {
    let text = |length: usize, types: bool| Tokens {
        token_type_ids: types.then(|| vec![0; length]),
        ..Tokens::from_ids(vec![1; length])
    };
    let lengths = [100, 28, 1, 200, 5, 60, 60, 60];
    let texts: Vec<Tokens> = lengths.into_iter().map(|length| text(length, length == 5)).collect();
    assert_eq!(packed(&texts.iter().collect::<Vec<_>>()), [0..2, 2..3, 3..4, 4..5, 5..7, 7..8]);
    assert!(packed(&[]).is_empty());
}

#[test]
fn an_error_says_which_input_it_is_about() {
    let folder = fixtures().into_iter().find(|folder| folder.ends_with("gpt2")).unwrap();
    let model = Model::load(folder.to_str().unwrap()).unwrap();
    let error = model.run_all([vec![5i64, 6], vec![7, 999_999]]).unwrap_err().to_string();
    assert!(error.contains("number 1") && error.contains("999999"), "{error}");
    let error = model.watch_all([vec![5i64; 8], vec![7; 8]]).memory_limit_mb(0).run().unwrap_err().to_string();
    assert!(error.contains("limit is 0 MB"), "{error}");
    assert!(model.run_all([] as [Vec<i64>; 0]).unwrap().is_empty());
}
