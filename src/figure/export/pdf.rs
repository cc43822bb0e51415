//! PDF: a page for each picture, as large as the picture.

use pdf_writer::{Content, Finish, Name, Pdf, Rect, Ref, TextStr};
use resvg::usvg::Tree;
use svg2pdf::ConversionOptions;

use super::PIXELS;
use crate::{Error, Result};

/// Points, the unit of PDF, in a pixel of the page.
const POINTS: f64 = 72.0 / PIXELS;
/// The longest side in points that every reader takes; a longer page is shrunk to it.
const LONGEST: f64 = 14_400.0;
/// The name under which a page knows its picture.
const PICTURE: Name = Name(b"P");

pub(super) fn document(title: &str, pictures: &[Tree]) -> Result<Vec<u8>> {
    let mut next = Ref::new(1);
    let mut pdf = Pdf::new();
    let (catalog, pages, info) = (next.bump(), next.bump(), next.bump());
    let mut kids = Vec::new();
    for picture in pictures {
        // No options but the usual ones: text stays text, and its fonts are embedded.
        let (chunk, object) = svg2pdf::to_chunk(picture, ConversionOptions::default())
            .map_err(|error| Error::Figure(format!("cannot write the figure as PDF: {error}")))?;
        let mut numbers = std::collections::HashMap::new();
        let chunk = chunk.renumber(|old| *numbers.entry(old).or_insert_with(|| next.bump()));
        let object = *numbers.get(&object).ok_or_else(|| Error::Figure("the PDF lost its picture".to_owned()))?;
        pdf.extend(&chunk);

        let (width, height) = size(f64::from(picture.size().width()), f64::from(picture.size().height()));
        let (page, content) = (next.bump(), next.bump());
        kids.push(page);
        let mut paint = Content::new();
        // The picture is one unit wide and high, whatever it shows.
        paint.transform([width, 0.0, 0.0, height, 0.0, 0.0]).x_object(PICTURE);
        pdf.stream(content, &paint.finish());
        let mut written = pdf.page(page);
        written.media_box(Rect::new(0.0, 0.0, width, height)).parent(pages).contents(content);
        written.resources().x_objects().pair(PICTURE, object);
        let mut group = written.group();
        group.transparency().isolated(true).color_space().srgb();
        group.finish();
        written.finish();
    }
    let count = i32::try_from(kids.len()).unwrap_or(i32::MAX);
    pdf.catalog(catalog).pages(pages);
    pdf.pages(pages).kids(kids).count(count);
    pdf.document_info(info).title(TextStr(title)).producer(TextStr(concat!("Flowlens ", env!("CARGO_PKG_VERSION"))));
    Ok(pdf.finish())
}

/// The size of a page in points.
fn size(width: f64, height: f64) -> (f32, f32) {
    let points = POINTS.min(LONGEST / width.max(height));
    ((width * points) as f32, (height * points) as f32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_are_as_large_as_pictures_until_readers_give_up() {
        assert_eq!(size(96.0, 48.0), (72.0, 36.0));
        assert_eq!(size(38_400.0, 96.0), (14_400.0, 36.0));
    }
}
