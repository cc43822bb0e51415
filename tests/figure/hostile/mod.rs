//! Fifty texts that mean to do harm, in every view and wherever a text can stand: `tests/browser/test_hostile.py` goes over
//! the pages, this module over what can be told without a browser.

mod data;
mod made;
#[cfg(feature = "export")]
mod written;

use std::fs;
use std::sync::LazyLock;

use flowlens::Figure;
use serde_json::{Value, json};

/// The texts, which the browser's tests read too. Each that comes alive calls `__pwned`.
pub static TEXTS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let path = format!("{}/tests/fixtures/hostile.json", env!("CARGO_MANIFEST_DIR"));
    serde_json::from_str(&fs::read_to_string(path).unwrap()).unwrap()
});

/// Every view, by the name of its page.
pub static FIGURES: LazyLock<Vec<(&str, Figure)>> =
    LazyLock::new(|| made::decoder().into_iter().chain(made::encoder_decoder()).chain(data::figures()).collect());

#[test]
fn writes_hostile_pages() {
    let folder = super::folder("figures/hostile");
    for (name, figure) in FIGURES.iter() {
        figure.save(folder.join(format!("{name}.html"))).unwrap();
        figure.save(folder.join(format!("{name}.svg"))).unwrap();
    }
    data::names().save(folder.join("names.html")).unwrap();
    // One list of MIME type and content for each output.
    let mut outputs: Vec<Vec<Value>> = Vec::new();
    for (mime, content) in super::kernel_blocks("hostile::prints_hostile_outputs") {
        if mime == "text/plain" {
            outputs.push(Vec::new());
        }
        outputs.last_mut().unwrap().push(json!([mime, content]));
    }
    assert_eq!(outputs.len(), FIGURES.len());
    let named = FIGURES.iter().map(|(name, _)| *name).zip(outputs);
    let text = serde_json::to_string(&named.collect::<Vec<_>>()).unwrap();
    fs::write(folder.join("outputs.json"), text).unwrap();
}

#[test]
#[ignore = "prints what a kernel reads"]
fn prints_hostile_outputs() {
    FIGURES.iter().for_each(|(_, figure)| figure.evcxr_display());
}

/// What stands in a page's scripts and attributes is no markup.
fn markup(page: &str) -> usize {
    page.matches('<').count()
}

#[test]
fn every_view_has_all_the_texts_and_none_as_markup() {
    let plain = data::lens(&["word".to_owned()], "model").figure();
    for text in TEXTS.iter() {
        let figure = data::lens(std::slice::from_ref(text), text).figure();
        for (hostile, harmless) in [(figure.html(), plain.html()), (figure.svg(), plain.svg())] {
            assert_eq!(markup(&hostile), markup(&harmless), "{text:?}");
        }
    }
    for (name, figure) in FIGURES.iter() {
        for text in [figure.html(), figure.svg()] {
            for piece in ["<img src=x", "<script>__pwned", "<b>bold", "<a href", "\u{2028}", "\u{202e}", "\u{0}"] {
                assert!(!text.contains(piece), "{name}: {piece:?}");
            }
        }
        let numbers: Value = serde_json::from_str(&figure.json()).unwrap();
        assert!(numbers.to_string().contains("__pwned"), "{name}: no hostile text came here");
    }
}

#[test]
fn what_a_terminal_prints_holds_nothing_that_moves_it() {
    for (name, figure) in FIGURES.iter() {
        let text = figure.to_string();
        let moves =
            |c: char| (c.is_control() && c != '\n') || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
        assert!(!text.contains(moves), "{name}: {text:?}");
        assert!(text.chars().count() < 6_000, "{name}: {}", text.chars().count());
    }
}
