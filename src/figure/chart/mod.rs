//! The still form of charts: axes, ticks, heat maps, lines, and the strip that is colour legend and histogram in one.
//!
//! Our own and not `plotters`: that crate writes each colour as a fixed `#rrggbb`, so its SVG could follow no theme, has
//! no heat map with blanks, and measures text with a font that it would have to find. What is needed here is small.

mod axis;
mod colors;
mod heat_map;
mod lines;
mod strip;

use std::fmt::Write;

pub(super) use axis::{Axis, Frame, number, symlog, symlog_ticks, thinned, token, tokens};
pub(super) use colors::{Colors, Kind};
pub(super) use heat_map::{Grid, heat_map};
pub(super) use lines::{band, line, marks};
pub(super) use strip::{STRIP, strip};

use super::{Panel, escape};

/// A picture that grows.
#[derive(Default)]
pub(super) struct Sheet {
    pub body: String,
    pub width: f64,
    pub height: f64,
}

/// Where a text is held.
#[derive(Clone, Copy, PartialEq)]
pub(super) enum Anchor {
    Start,
    End,
}

impl Sheet {
    /// A text of the picture; it is escaped here.
    pub(super) fn text(&mut self, x: f64, y: f64, anchor: Anchor, text: &str) {
        self.styled(x, y, anchor, "fill=\"var(--fl-ink)\"", text);
    }

    /// A text that says what something is.
    pub(super) fn muted(&mut self, x: f64, y: f64, anchor: Anchor, text: &str) {
        self.styled(x, y, anchor, "fill=\"var(--fl-muted)\"", text);
    }

    fn styled(&mut self, x: f64, y: f64, anchor: Anchor, style: &str, text: &str) {
        let anchor = match anchor {
            Anchor::Start => "",
            Anchor::End => " text-anchor=\"end\"",
        };
        let text = escape::html(text);
        let _ = write!(self.body, "<text x=\"{x:.1}\" y=\"{y:.1}\" font-size=\"11\"{anchor} {style}>{text}</text>");
    }

    pub(super) fn add(&mut self, svg: &str) {
        self.body.push_str(svg);
    }

    /// Makes room up to a corner.
    pub(super) fn reach(&mut self, x: f64, y: f64) {
        self.width = self.width.max(x);
        self.height = self.height.max(y);
    }

    pub(super) fn panel(self, name: &str) -> Panel {
        Panel::drawn(name, self.width.ceil(), self.height.ceil(), &self.body)
    }
}
