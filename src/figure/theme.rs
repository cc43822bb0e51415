//! One look for all figures: style sheet and palettes.

/// The style sheet: colours are the host's (JupyterLab, VS Code) where it names them, else they follow the system.
pub(super) const CSS: &str = include_str!("assets/theme.css");

/// What a standalone SVG needs of the style sheet; there is no host to ask.
pub(super) const SVG_CSS: &str = include_str!("assets/svg.css");

/// Cividis, sampled at equal distances: readable for colour-blind people, and in grey.
const CIVIDIS: [[u8; 3]; 18] = [
    [0, 32, 76],
    [0, 42, 102],
    [0, 52, 110],
    [39, 63, 108],
    [60, 74, 107],
    [76, 85, 107],
    [91, 95, 109],
    [104, 106, 112],
    [117, 117, 117],
    [131, 129, 120],
    [146, 140, 120],
    [161, 152, 118],
    [176, 165, 114],
    [192, 177, 109],
    [209, 191, 102],
    [225, 204, 92],
    [243, 219, 79],
    [255, 233, 69],
];

/// The colour of a magnitude between 0 and 1, and whether it wants dark ink on it.
pub(super) fn cividis(magnitude: f64) -> (String, bool) {
    let [r, g, b] = cividis_bytes(magnitude);
    (format!("#{r:02x}{g:02x}{b:02x}"), 0.299 * f64::from(r) + 0.587 * f64::from(g) + 0.114 * f64::from(b) > 128.0)
}

/// The colour of a magnitude between 0 and 1 as red, green and blue.
pub(super) fn cividis_bytes(magnitude: f64) -> [u8; 3] {
    let last = CIVIDIS.len() - 1;
    let place = magnitude.clamp(0.0, 1.0) * last as f64;
    let low = (place.floor() as usize).min(last - 1);
    let part = place - low as f64;
    let mix = |channel: usize| {
        let (a, b) = (f64::from(CIVIDIS[low][channel]), f64::from(CIVIDIS[low + 1][channel]));
        (a + (b - a) * part).round() as u8
    };
    [mix(0), mix(1), mix(2)]
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
}
