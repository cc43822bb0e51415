//! Numbers and texts that a page carries packed: deflated, in base64.

use std::io::Write;

use flate2::Compression;
use flate2::write::DeflateEncoder;

use super::base64::base64;

/// Texts of a page's `fl-packed` scripts, told by their number.
#[derive(Debug, Default)]
pub(super) struct Chunks(pub Vec<String>);

impl Chunks {
    pub(super) fn add(&mut self, text: String) -> usize {
        self.0.push(text);
        self.0.len() - 1
    }

    /// Adds a packed text; one that is there already counts.
    pub(super) fn once(&mut self, text: String) -> usize {
        let known = self.0.iter().position(|other| *other == text);
        known.unwrap_or_else(|| self.add(text))
    }

    /// Adds float32 numbers; they come back bit by bit.
    pub(super) fn floats(&mut self, numbers: &[f32]) -> usize {
        // Bytes of the same weight stand together: exponents are alike, and deflate sees it.
        let planes = (0..4).flat_map(|plane| numbers.iter().map(move |number| number.to_le_bytes()[plane]));
        let text = deflated(&planes.collect::<Vec<u8>>());
        self.add(text)
    }
}

pub(super) fn deflated(bytes: &[u8]) -> String {
    let mut encoder = DeflateEncoder::new(Vec::with_capacity(bytes.len() / 4), Compression::new(6));
    // Writing into memory does not fail.
    let packed = encoder.write_all(bytes).and_then(|()| encoder.finish());
    base64(&packed.unwrap_or_default())
}

/// What [`deflated`] packed.
#[cfg(test)]
pub(super) fn unpacked(text: &str) -> Vec<u8> {
    use std::io::Read;
    let letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut bits = text.bytes().filter(|&letter| letter != b'=').flat_map(|letter| {
        let value = letters.iter().position(|&it| it == letter).unwrap();
        (0..6).rev().map(move |bit| (value >> bit & 1) as u8)
    });
    let mut bytes = Vec::new();
    loop {
        let next: Vec<u8> = bits.by_ref().take(8).collect();
        if next.len() < 8 {
            break;
        }
        bytes.push(next.iter().fold(0, |byte, bit| byte << 1 | bit));
    }
    let mut plain = Vec::new();
    flate2::read::DeflateDecoder::new(&bytes[..]).read_to_end(&mut plain).unwrap();
    plain
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_bytes_come_back(bytes in prop::collection::vec(any::<u8>(), 0..600)) {
            prop_assert_eq!(unpacked(&deflated(&bytes)), bytes);
        }

        #[test]
        fn letters_are_those_that_a_page_may_hold(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            let text = base64(&bytes);
            let plain = text.trim_end_matches('=');
            prop_assert!(plain.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'+' || byte == b'/'), "{text}");
            prop_assert_eq!((text.len(), plain.len()), (bytes.len().div_ceil(3) * 4, (bytes.len() * 4).div_ceil(3)));
        }
    }

    #[test]
    fn floats_come_back_bit_by_bit() {
        let numbers = [1.5f32, -2.25e-7, f32::MIN_POSITIVE];
        let mut chunks = Chunks::default();
        chunks.floats(&numbers);
        let bytes = unpacked(&chunks.0[0]);
        let back = (0..3).map(|at| f32::from_le_bytes([bytes[at], bytes[3 + at], bytes[6 + at], bytes[9 + at]]));
        assert!(back.eq(numbers));
    }
}
