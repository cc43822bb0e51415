//! The legend, once in words for HTML and once drawn for a saved SVG.

use std::fmt::Write;

use super::escape;

/// A row of the legend: what it is about, and what each colour means.
#[derive(Debug, Clone)]
pub(super) struct Keys {
    pub title: String,
    /// Colour and meaning; a note without colours when this is empty.
    pub entries: Vec<(String, String)>,
    /// Whether the colours are of links, not of nodes.
    pub bands: bool,
}

pub(super) fn html(rows: &[Keys]) -> String {
    let mut html = String::from("<div class=\"fl-legend\">");
    for row in rows {
        let _ = write!(html, "<p class=\"fl-keys\"><b>{}</b>", escape::html(&row.title));
        let class = if row.bands { " class=\"fl-band\"" } else { "" };
        for (color, meaning) in &row.entries {
            let (color, meaning) = (escape::color(color), escape::html(meaning));
            // The blank parts the words where a host takes the styles away.
            let _ = write!(html, " <span class=\"fl-key\"><i{class} style=\"background:{color}\"></i>{meaning}</span>");
        }
        html.push_str("</p>");
    }
    html.push_str("</div>");
    html
}

/// Rows drawn from `top` on within `width`; the markup and where it ends.
pub(super) fn svg(rows: &[Keys], caption: &str, top: f64, width: f64) -> (String, f64) {
    const LETTER: f64 = 5.9;
    let mut svg = String::from("<g font-size=\"11\" fill=\"var(--fl-ink)\">");
    let mut y = top;
    for row in rows {
        y += 17.0;
        let mut x = 14.0;
        let title = escape::html(&row.title);
        let _ = write!(svg, "<text x=\"{x}\" y=\"{y}\" fill=\"var(--fl-muted)\" font-weight=\"600\">{title}</text>");
        x += row.title.chars().count() as f64 * LETTER + 16.0;
        // On dark paper they are brighter, as the links are.
        let class = if row.bands { " class=\"fl-links\"" } else { "" };
        for (color, meaning) in &row.entries {
            let wide = meaning.chars().count() as f64 * LETTER + 32.0;
            if x + wide > width {
                y += 16.0;
                x = 26.0;
            }
            let (color, meaning) = (escape::color(color), escape::html(meaning));
            let _ = write!(
                svg,
                "<rect{class} x=\"{x:.1}\" y=\"{:.1}\" width=\"12\" height=\"11\" rx=\"2\" fill=\"{color}\" \
                 stroke=\"var(--fl-line)\" stroke-width=\".6\"/><text x=\"{:.1}\" y=\"{y}\">{meaning}</text>",
                y - 9.5,
                x + 17.0
            );
            x += wide;
        }
    }
    y += 6.0;
    for part in wrapped(caption, ((width - 28.0) / LETTER) as usize) {
        y += 15.0;
        let _ = write!(svg, "<text x=\"14\" y=\"{y}\">{}</text>", escape::html(&part));
    }
    svg.push_str("</g>");
    (svg, y + 12.0)
}

/// A text in lines of about `limit` letters.
fn wrapped(text: &str, limit: usize) -> Vec<String> {
    let limit = limit.max(20);
    let mut lines = vec![String::new()];
    let mut length = 0;
    for word in text.split(' ') {
        let letters: Vec<char> = word.chars().collect();
        for part in if letters.is_empty() { vec![&letters[..]] } else { letters.chunks(limit).collect() } {
            if length + part.len() + 1 > limit && length > 0 {
                lines.push(String::new());
                length = 0;
            }
            if let Some(line) = lines.last_mut() {
                if length > 0 {
                    line.push(' ');
                }
                line.extend(part);
                length += part.len() + 1;
            }
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wraps_words_and_breaks_endless_ones() {
        let lines = wrapped(&format!("one two {} three", "x".repeat(45)), 20);
        assert!(lines.iter().all(|line| line.chars().count() <= 20), "{lines:?}");
        assert_eq!(lines[0], "one two");
        assert_eq!(lines.concat().matches('x').count(), 45);
    }
}
