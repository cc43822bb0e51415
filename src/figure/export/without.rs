//! What stands in for the drawing where the feature is off.

use super::Scheme;
use crate::figure::Figure;
use crate::{Error, Result};

fn refused<T>(file: &str) -> Result<T> {
    Err(Error::Figure(format!(
        "cannot draw {file}: this flowlens was compiled without its feature `export`; compile it with that, or save an \
         .html page or the .svg of Figure::save"
    )))
}

pub(super) fn svg(_: &Figure, _: Scheme) -> Result<String> {
    refused("an .svg of settled colours")
}

pub(super) fn pdf(_: &[Figure], _: Scheme) -> Result<Vec<u8>> {
    refused("a .pdf")
}

pub(super) fn png(_: &Figure, _: Scheme, _: f64) -> Result<Vec<u8>> {
    refused("a .png")
}
