//! One look for all figures. Every colour stands in `assets/palette.json`: scripts are bundled with it, style sheets name
//! its entries, and the static pictures take theirs from here.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// What the palette holds; colours are written `#rrggbb`.
#[derive(Deserialize, Default)]
struct Palette {
    /// Ink, muted ink, lines, paper and accent, where the host does not name its own.
    ui: Schemes<HashMap<String, String>>,
    /// The colour of the n-th head; after the last one they begin anew.
    heads: Schemes<Vec<String>>,
    /// Magnitudes, sampled at equal distances: readable for colour-blind people, and in grey.
    cividis: Vec<String>,
    /// Signed values.
    signed: Schemes<Signed>,
}

/// For light and for dark paper.
#[derive(Deserialize, Default)]
struct Schemes<T> {
    light: T,
    dark: T,
}

/// Below and above nothing, each half-way and whole.
#[derive(Deserialize, Default)]
struct Signed {
    full: [String; 2],
}

static PALETTE: LazyLock<Palette> =
    LazyLock::new(|| serde_json::from_str(include_str!("assets/palette.json")).unwrap_or_default());

/// A style sheet with the palette's colours in the place of their names.
fn styled(css: &str) -> String {
    let mut css = css.to_owned();
    let light = ("light", &PALETTE.ui.light, &PALETTE.signed.light);
    for (scheme, colors, signed) in [light, ("dark", &PALETTE.ui.dark, &PALETTE.signed.dark)] {
        let sides = ["less", "more"].into_iter().zip(&signed.full);
        for (name, color) in colors.iter().map(|(name, color)| (name.as_str(), color)).chain(sides) {
            css = css.replace(&format!("${scheme}.{name}"), color);
        }
    }
    css
}

/// The style sheet: colours are the host's (JupyterLab, VS Code) where it names them, else they follow the system.
pub(super) fn css() -> &'static str {
    static CSS: LazyLock<String> = LazyLock::new(|| styled(include_str!("assets/theme.css")));
    &CSS
}

/// What a standalone SVG needs of the style sheet; there is no host to ask.
pub(super) fn svg_css() -> &'static str {
    static CSS: LazyLock<String> = LazyLock::new(|| styled(include_str!("assets/svg.css")));
    &CSS
}

/// The paper of a page of its own, light and dark.
pub(super) fn papers() -> [&'static str; 2] {
    [&PALETTE.ui.light, &PALETTE.ui.dark].map(|colors| colors.get("paper").map_or("", String::as_str))
}

/// The colour of the n-th head as a variable of [`head_styles`].
pub(super) fn head(index: usize) -> String {
    format!("var(--fl-head-{})", index % PALETTE.heads.light.len().max(1))
}

/// The colours of heads for a picture, light and dark: those that a page has.
pub(super) fn head_styles(heads: &[usize]) -> String {
    let variables = |colors: &[String]| -> String {
        let color = |&head: &usize| {
            let at = head % colors.len().max(1);
            colors.get(at).map(|color| format!("--fl-head-{at}:{color};")).unwrap_or_default()
        };
        heads.iter().map(color).collect()
    };
    let (light, dark) = (variables(&PALETTE.heads.light), variables(&PALETTE.heads.dark));
    format!("<style>svg{{{light}}}@media (prefers-color-scheme:dark){{svg{{{dark}}}}}</style>")
}

/// The colours of the two sides of a signed value, below nothing and above, on light paper.
pub(super) fn sides() -> [[u8; 3]; 2] {
    [bytes(&PALETTE.signed.light.full[0]), bytes(&PALETTE.signed.light.full[1])]
}

/// A colour as a style sheet writes it.
pub(super) fn hex([r, g, b]: [u8; 3]) -> String {
    format!("#{r:02x}{g:02x}{b:02x}")
}

fn bytes(hex: &str) -> [u8; 3] {
    [1, 3, 5].map(|at| hex.get(at..at + 2).and_then(|digits| u8::from_str_radix(digits, 16).ok()).unwrap_or_default())
}

/// The colour of a magnitude between 0 and 1, and whether it wants dark ink on it.
pub(super) fn cividis(magnitude: f64) -> (String, bool) {
    let [r, g, b] = cividis_bytes(magnitude);
    (hex([r, g, b]), 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b) > 128.0)
}

/// The colour of a magnitude between 0 and 1 as red, green and blue.
pub(super) fn cividis_bytes(magnitude: f64) -> [u8; 3] {
    static SAMPLES: LazyLock<Vec<[u8; 3]>> = LazyLock::new(|| PALETTE.cividis.iter().map(|hex| bytes(hex)).collect());
    let last = SAMPLES.len().saturating_sub(1).max(1);
    let place = magnitude.clamp(0.0, 1.0) * last as f64;
    let low = (place.floor() as usize).min(last - 1);
    let part = place - low as f64;
    let at = |place: usize, channel: usize| SAMPLES.get(place).map_or(0.0, |sample| f64::from(sample[channel]));
    [0, 1, 2].map(|channel| {
        let (a, b) = (at(low, channel), at(low + 1, channel));
        (a + (b - a) * part).round() as u8
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cividis_runs_from_blue_to_yellow() {
        assert_eq!(cividis(0.0), ("#00204c".to_owned(), false));
        assert_eq!(cividis(1.0), ("#ffe945".to_owned(), true));
        assert_eq!(cividis(f64::NAN).0.len(), 7);
        assert_eq!(cividis(7.0), cividis(1.0));
    }

    #[test]
    fn the_palette_is_whole() {
        let palette: Palette = serde_json::from_str(include_str!("assets/palette.json")).unwrap();
        assert_eq!((palette.heads.light.len(), palette.heads.dark.len()), (32, 32));
        assert_ne!(sides()[0], sides()[1]);
        for css in [css(), svg_css()] {
            assert!(!css.contains('$'), "a name that the palette does not have");
        }
    }

    /// Style sheets have names and no colours of their own but shadows and what is clear.
    #[test]
    fn style_sheets_take_every_colour_from_the_palette() {
        for css in [include_str!("assets/theme.css"), include_str!("assets/svg.css")] {
            let colors: Vec<&str> = css.split('#').skip(1).collect();
            assert!(colors.is_empty(), "{colors:?}");
        }
    }

    #[test]
    fn heads_have_a_colour_for_light_and_one_for_dark() {
        let styles = head_styles(&[0, 33]);
        assert!(styles.contains("--fl-head-0:#0072b2;") && styles.contains("--fl-head-0:#4aa3e8;"), "{styles}");
        assert_eq!(head(33), "var(--fl-head-1)");
        assert!(styles.contains("--fl-head-1:#d55e00;"), "{styles}");
    }
}
