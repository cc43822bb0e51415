//! PNG: the picture in dots.

use png::{BitDepth, ColorType, Compression, Encoder, PixelDimensions, SrgbRenderingIntent, Unit};
use resvg::tiny_skia::{Pixmap, Transform};
use resvg::usvg::Tree;

use super::PIXELS;
use crate::{Error, Result};

/// Dots that a picture may have, 400 MB while it is drawn.
const MOST_DOTS: f64 = 1e8;
const INCHES_IN_A_METRE: f64 = 39.370_078_740_157_48;

pub(super) fn picture(tree: &Tree, scale: f64) -> Result<Vec<u8>> {
    if !scale.is_finite() || scale <= 0.0 {
        return Err(Error::Figure(format!("a scale of {scale} is none; take a number above 0, e.g. 2")));
    }
    let dots = |pixels: f32| (f64::from(pixels) * scale).ceil().max(1.0);
    let (width, height) = (dots(tree.size().width()), dots(tree.size().height()));
    let map = (width * height <= MOST_DOTS).then(|| Pixmap::new(width as u32, height as u32)).flatten();
    let mut map = map.ok_or_else(|| {
        let fits = (MOST_DOTS / (width * height)).sqrt() * scale;
        Error::Figure(format!(
            "a .png of {width} x {height} dots is too large; take a scale of {:.2} ({:.0} dpi) or less, or a .pdf",
            (fits * 100.0).floor() / 100.0,
            (fits * PIXELS).floor()
        ))
    })?;
    // To the last dot, where the sides are no whole numbers of them.
    let whole = Transform::from_scale(width as f32 / tree.size().width(), height as f32 / tree.size().height());
    resvg::render(tree, whole, &mut map.as_mut());
    encoded(&map, scale).map_err(|error| Error::Figure(format!("cannot write the figure as PNG: {error}")))
}

/// The bytes of the file. The paper covers all of it, so no dot lets anything through.
fn encoded(map: &Pixmap, scale: f64) -> std::result::Result<Vec<u8>, png::EncodingError> {
    let colors: Vec<u8> = map.pixels().iter().flat_map(|dot| [dot.red(), dot.green(), dot.blue()]).collect();
    let mut file = Vec::new();
    let mut encoder = Encoder::new(&mut file, map.width(), map.height());
    encoder.set_color(ColorType::Rgb);
    encoder.set_depth(BitDepth::Eight);
    encoder.set_compression(Compression::Default);
    encoder.set_source_srgb(SrgbRenderingIntent::Perceptual);
    // LaTeX goes by this: a picture of 300 dpi is as large as one of 96.
    let density = (scale * PIXELS * INCHES_IN_A_METRE).round() as u32;
    encoder.set_pixel_dims(Some(PixelDimensions { xppu: density, yppu: density, unit: Unit::Meter }));
    let mut writer = encoder.write_header()?;
    writer.write_image_data(&colors)?;
    writer.finish()?;
    Ok(file)
}
