//! Small images within pictures.

use std::io::Write;

use flate2::write::ZlibEncoder;
use flate2::{Compression, Crc};

/// A PNG of numbered colours.
pub(super) fn png(width: usize, height: usize, dots: &[u8], palette: &[[u8; 4]]) -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut part = |name: &[u8; 4], content: &[u8]| {
        png.extend((content.len() as u32).to_be_bytes());
        let mut crc = Crc::new();
        crc.update(name);
        crc.update(content);
        png.extend(name);
        png.extend(content);
        png.extend(crc.sum().to_be_bytes());
    };
    let [width_bytes, height_bytes] = [width, height].map(|side| (side as u32).to_be_bytes());
    // Eight bits a dot, colours by number, neither filters nor interlacing.
    part(b"IHDR", &[&width_bytes[..], &height_bytes[..], &[8, 3, 0, 0, 0]].concat());
    part(b"PLTE", &palette.iter().flat_map(|&[r, g, b, _]| [r, g, b]).collect::<Vec<u8>>());
    part(b"tRNS", &palette.iter().map(|color| color[3]).collect::<Vec<u8>>());
    let mut packed = ZlibEncoder::new(Vec::new(), Compression::new(7));
    for line in dots.chunks(width) {
        // Writing to memory does not fail.
        let _ = packed.write_all(&[0]);
        let _ = packed.write_all(line);
    }
    part(b"IDAT", &packed.finish().unwrap_or_default());
    part(b"IEND", &[]);
    png
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn png_is_what_decoders_read() {
        let png = png(2, 1, &[0, 1], &[[0; 4], [255, 0, 0, 255]]);
        assert_eq!(&png[..8], b"\x89PNG\r\n\x1a\n");
        // The checksum of an empty IEND is known.
        assert_eq!(&png[png.len() - 4..], [0xae, 0x42, 0x60, 0x82]);
    }
}
