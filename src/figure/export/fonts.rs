//! The fonts of exported figures. They come with Flowlens, so that a figure looks the same on every machine.

use std::sync::{Arc, LazyLock};

use resvg::usvg::FontResolver;
use resvg::usvg::fontdb::{Database, FaceInfo, ID, Source, Stretch};
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

/// How a letter that a font lacks finds another one.
pub(super) fn resolver() -> FontResolver<'static> {
    FontResolver {
        select_font: FontResolver::default_font_selector(),
        select_fallback: Box::new(|letter, tried, fonts| next(letter, tried, fonts)),
    }
}

/// Of the fonts that have the letter one of ours, else the one that is most like the first that was tried.
fn next(letter: char, tried: &[ID], fonts: &Database) -> Option<ID> {
    let first = fonts.face(*tried.first()?)?;
    let draws = |face: &&FaceInfo| {
        let has = |data: &[u8], index| Face::parse(data, index).is_ok_and(|face| face.glyph_index(letter).is_some());
        !tried.contains(&face.id) && fonts.with_face_data(face.id, has).unwrap_or_default()
    };
    let apart = |face: &&FaceInfo| {
        // Only ours are in memory.
        let foreign = !matches!(face.source, Source::Binary(_));
        (foreign, face.style != first.style, face.stretch != Stretch::Normal, face.weight.0.abs_diff(first.weight.0))
    };
    fonts.faces().filter(draws).min_by_key(apart).map(|face| face.id)
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
    fn another_font_of_ours_has_what_the_first_lacks() {
        let sans = OWN.faces().next().unwrap().id;
        let signs = next('␣', &[sans], &OWN).unwrap();
        assert_eq!(OWN.face(signs).unwrap().families[0].0, "Flowlens Signs");
        assert_eq!(next('東', &[sans, signs], &OWN), None);
    }

    #[test]
    fn semi_bold_is_bold() {
        let query = Query { families: &[Family::SansSerif], weight: Weight(600), ..Query::default() };
        let face = OWN.face(OWN.query(&query).unwrap()).unwrap();
        assert_eq!((face.weight, face.families[0].0.as_str()), (Weight::BOLD, FAMILY));
    }
}
