//! Figures as files for papers and slides, drawn without a browser: `.pdf`, `.png`, and `.svg` whose colours are settled.

#[cfg(feature = "export")]
mod css;
#[cfg(feature = "export")]
mod drawn;
#[cfg(not(feature = "export"))]
#[path = "without.rs"]
mod drawn;
#[cfg(feature = "export")]
mod fonts;
#[cfg(feature = "export")]
mod pdf;
#[cfg(feature = "export")]
mod png;
#[cfg(feature = "export")]
mod resolved;

use std::path::Path;

use super::{Figure, Gallery, save};
use crate::{Error, Result, files, interrupt};

/// Dots of a `.png` for a pixel of the page, where nothing else is asked for: sharp on any screen.
const SCALE: f64 = 2.0;
/// Pixels of a page in an inch, as CSS has it.
const PIXELS: f64 = 96.0;
/// What can be exported.
const ENDINGS: &str = ".pdf, .png and .svg";

/// The paper and the colours that go with it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Scheme {
    Light,
    Dark,
}

/// How a figure becomes a file for a paper or a slide; begins with [`Figure::export`] or [`Gallery::export`].
///
/// A picture on light paper, unless [`dark`](Self::dark) is asked for. It looks the same on every machine: the fonts come
/// with Flowlens, and a `.pdf` carries what it uses of them. Only for scripts that they lack (Chinese, Arabic and others)
/// the machine's own are looked through. A pixel of the page is 1/96 inch.
///
/// ```
/// # fn save(figure: flowlens::Figure) -> flowlens::Result<()> {
/// figure.export().dark().save("figure.pdf")?;
/// figure.export().dpi(300.0).save("figure.png")?;
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone)]
pub struct Export {
    figures: Vec<Figure>,
    scheme: Scheme,
    scale: f64,
}

impl Figure {
    /// Begins an export with choices; [`save`](Figure::save) makes one without.
    pub fn export(&self) -> Export {
        Export::of(std::slice::from_ref(self))
    }
}

impl Gallery {
    /// Begins an export of all figures: a `.pdf` with a page for each.
    pub fn export(&self) -> Export {
        Export::of(self.figures())
    }
}

impl Export {
    fn of(figures: &[Figure]) -> Export {
        Export { figures: figures.to_vec(), scheme: Scheme::Light, scale: SCALE }
    }

    /// Dark paper and the colours that go with it.
    #[must_use]
    pub fn dark(mut self) -> Export {
        self.scheme = Scheme::Dark;
        self
    }

    /// Dots of a `.png` for each pixel of the page, across and down; without this 2. A `.pdf` and an `.svg` have no dots.
    #[must_use]
    pub fn scale(mut self, scale: f64) -> Export {
        self.scale = scale;
        self
    }

    /// The same in dots per inch: 192 is a [`scale`](Self::scale) of 2.
    #[must_use]
    pub fn dpi(self, dpi: f64) -> Export {
        self.scale(dpi / PIXELS)
    }

    /// Saves by the ending of the name: `.pdf`, `.png` or `.svg`.
    ///
    /// # Errors
    /// For another ending, as [`pdf`](Self::pdf), [`png`](Self::png) and [`svg`](Self::svg), or when the file cannot be
    /// written. A file that was there before stays as it was then.
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let content = match save::ending(path).as_str() {
            "pdf" => self.pdf()?,
            "png" => self.png()?,
            "svg" => self.svg()?.into_bytes(),
            _ => return Err(save::unknown_ending(path, ENDINGS)),
        };
        files::write_whole(path, &content)
    }

    /// A PDF with a page for each figure, lines and letters as such, fonts embedded.
    ///
    /// # Errors
    /// When Flowlens was compiled without its feature `export`, or a figure has more than a PDF can hold.
    pub fn pdf(&self) -> Result<Vec<u8>> {
        interrupt::during("drawing a PDF", || drawn::pdf(&self.figures, self.scheme))
    }

    /// A PNG of the figure.
    ///
    /// # Errors
    /// When Flowlens was compiled without its feature `export`, for several figures, and when the scale is no positive
    /// number or makes the picture too large.
    pub fn png(&self) -> Result<Vec<u8>> {
        drawn::png(self.only("a .png")?, self.scheme, self.scale)
    }

    /// An SVG that stands alone: every colour is settled, so that LaTeX and Inkscape show it as a browser does.
    /// [`Figure::svg`] follows its reader's system instead.
    ///
    /// # Errors
    /// When Flowlens was compiled without its feature `export`, and for several figures.
    pub fn svg(&self) -> Result<String> {
        drawn::svg(self.only("an .svg")?, self.scheme)
    }

    /// The figure, where there is one.
    fn only(&self, file: &str) -> Result<&Figure> {
        match self.figures.as_slice() {
            [figure] => Ok(figure),
            figures => Err(Error::Figure(format!(
                "cannot draw {} figures into {file}, which holds one; export each of figures(), or all as .pdf",
                figures.len()
            ))),
        }
    }
}
