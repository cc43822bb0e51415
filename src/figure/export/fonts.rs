//! The fonts of exported figures. They come with Flowlens, so that a figure looks the same on every machine.

use std::sync::{Arc, LazyLock};

use resvg::usvg::fontdb::{Database, Source};
use ttf_parser::Face;

const FAMILY: &str = "Flowlens Sans";
/// Made by `tools/make_fonts.py`. The first one that has a letter draws it.
const FONTS: [&[u8]; 3] = [
    include_bytes!("fonts/FlowlensSans-Regular.ttf"),
    include_bytes!("fonts/FlowlensSans-Bold.ttf"),
    include_bytes!("fonts/FlowlensSigns-Regular.ttf"),
];

static OWN: LazyLock<Arc<Database>> = LazyLock::new(|| Arc::new(own()));
/// Finding the machine's fonts takes a while: only a text that needs them has them looked for.
static ALL: LazyLock<Arc<Database>> = LazyLock::new(|| {
    let mut all = own();
    all.load_system_fonts();
    // A machine's fonts must not take the place of ours.
    name_families(&mut all);
    Arc::new(all)
});

fn own() -> Database {
    let mut fonts = Database::new();
    FONTS.iter().for_each(|&font| drop(fonts.load_font_source(Source::Binary(Arc::new(font)))));
    name_families(&mut fonts);
    fonts
}

/// Whatever kind of font a picture asks for, it gets ours.
fn name_families(fonts: &mut Database) {
    fonts.set_sans_serif_family(FAMILY);
    fonts.set_serif_family(FAMILY);
    fonts.set_monospace_family(FAMILY);
    fonts.set_cursive_family(FAMILY);
    fonts.set_fantasy_family(FAMILY);
}

/// The family for texts that ask for none.
pub(super) fn family() -> String {
    FAMILY.to_owned()
}

/// The fonts for a picture: our own, and where those lack one of its letters the machine's behind them.
pub(super) fn for_text(svg: &str) -> Arc<Database> {
    let mut foreign = svg.chars().filter(|letter| !letter.is_ascii());
    if foreign.all(|letter| letter.is_control() || has(letter)) { OWN.clone() } else { ALL.clone() }
}

/// Whether our own fonts have a letter.
fn has(letter: char) -> bool {
    static FACES: LazyLock<Vec<Face>> =
        LazyLock::new(|| FONTS.iter().filter_map(|font| Face::parse(font, 0).ok()).collect());
    FACES.iter().any(|face| face.glyph_index(letter).is_some())
}

#[cfg(test)]
mod tests {
    use super::*;
    use resvg::usvg::fontdb::{Family, Query, Weight};

    #[test]
    fn have_what_figures_write() {
        let written = "AZaz09äßéłőş ΑΩαω АЯая ␣…−×·÷→←↑↓≤≥≈≠√∞Σ∂“”‘’„–—•°²³₀\u{fffd}";
        let missing: String = written.chars().filter(|&letter| !has(letter)).collect();
        assert_eq!(missing, "");
        assert!(!has('東'));
    }

    #[test]
    fn semi_bold_is_bold() {
        let query = Query { families: &[Family::SansSerif], weight: Weight(600), ..Query::default() };
        let face = OWN.face(OWN.query(&query).unwrap()).unwrap();
        assert_eq!((face.weight, face.families[0].0.as_str()), (Weight::BOLD, FAMILY));
    }
}
