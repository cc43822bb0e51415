//! From a figure to the bytes of a file.

use resvg::usvg::{ImageHrefResolver, Options, Tree};

use super::resolved::resolved;
use super::{Scheme, fonts};
use crate::figure::Figure;
use crate::{Error, Result};

pub(super) fn svg(figure: &Figure, scheme: Scheme) -> Result<String> {
    resolved(&figure.svg(), scheme)
}

pub(super) fn pdf(figures: &[Figure], scheme: Scheme) -> Result<Vec<u8>> {
    let trees = figures.iter().map(|figure| tree(figure, scheme)).collect::<Result<Vec<_>>>()?;
    let titles: Vec<&str> = figures.iter().map(Figure::title).collect();
    super::pdf::document(&titles.join(", "), &trees)
}

pub(super) fn png(figure: &Figure, scheme: Scheme, scale: f64) -> Result<Vec<u8>> {
    super::png::picture(&tree(figure, scheme)?, scale)
}

/// The picture as what is to be painted.
fn tree(figure: &Figure, scheme: Scheme) -> Result<Tree> {
    let svg = svg(figure, scheme)?;
    let options = Options {
        font_family: fonts::family(),
        fontdb: fonts::for_text(&svg),
        font_resolver: fonts::resolver(),
        // Images stand in the picture itself; nothing is read from anywhere else.
        image_href_resolver: ImageHrefResolver {
            resolve_string: Box::new(|_, _| None),
            ..ImageHrefResolver::default()
        },
        ..Options::default()
    };
    Tree::from_str(&svg, &options).map_err(|error| Error::Figure(format!("cannot draw the figure: {error}")))
}
