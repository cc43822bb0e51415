//! GGML's blocks of few-bit integers, back to floats.
//!
//! The arrangements are those of llama.cpp's `ggml-quants.c`; results are equal to those of the `gguf` Python package bit by
//! bit (`tools/make_gguf_fixtures.py`).

use std::fmt;

use half::{bf16, f16};

/// A block format of GGML: how many numbers a block holds, in how many bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[allow(non_camel_case_types, reason = "the formats' own names")]
#[non_exhaustive]
pub enum Quant {
    /// 4 bits, scale; 32 numbers a block.
    Q4_0,
    /// 4 bits, scale and minimum; 32 numbers a block.
    Q4_1,
    /// 5 bits, scale; 32 numbers a block.
    Q5_0,
    /// 5 bits, scale and minimum; 32 numbers a block.
    Q5_1,
    /// 8 bits, scale; 32 numbers a block.
    Q8_0,
    /// 4 bits, two levels of scale and minimum; 256 numbers a block.
    Q4_K,
    /// 5 bits, two levels of scale and minimum; 256 numbers a block.
    Q5_K,
    /// 6 bits, two levels of scale; 256 numbers a block.
    Q6_K,
}

impl fmt::Display for Quant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self, f)
    }
}

impl Quant {
    /// Numbers and bytes of one block.
    pub(crate) fn block(self) -> (usize, usize) {
        match self {
            Quant::Q4_0 => (32, 18),
            Quant::Q4_1 => (32, 20),
            Quant::Q5_0 => (32, 22),
            Quant::Q5_1 => (32, 24),
            Quant::Q8_0 => (32, 34),
            Quant::Q4_K => (256, 144),
            Quant::Q5_K => (256, 176),
            Quant::Q6_K => (256, 210),
        }
    }

    /// Writes the numbers of whole blocks; `to` must hold as many as the blocks of `from` do.
    pub(crate) fn unpack(self, from: &[u8], to: &mut [f32]) {
        match self {
            Quant::Q4_0 => blocks(from, to, q4_0),
            Quant::Q4_1 => blocks(from, to, q4_1),
            Quant::Q5_0 => blocks(from, to, q5_0),
            Quant::Q5_1 => blocks(from, to, q5_1),
            Quant::Q8_0 => blocks(from, to, q8_0),
            Quant::Q4_K => blocks(from, to, q4_k),
            Quant::Q5_K => blocks(from, to, q5_k),
            Quant::Q6_K => blocks(from, to, q6_k),
        }
    }
}

/// float16 numbers, little-endian.
pub(crate) fn unpack_f16(from: &[u8], to: &mut [f32]) {
    for (bytes, value) in from.as_chunks().0.iter().zip(to) {
        *value = f16::from_le_bytes(*bytes).to_f32();
    }
}

/// bfloat16 numbers, little-endian.
pub(crate) fn unpack_bf16(from: &[u8], to: &mut [f32]) {
    for (bytes, value) in from.as_chunks().0.iter().zip(to) {
        *value = bf16::from_le_bytes(*bytes).to_f32();
    }
}

/// float32 numbers, little-endian.
pub(crate) fn unpack_f32(from: &[u8], to: &mut [f32]) {
    for (bytes, value) in from.as_chunks().0.iter().zip(to) {
        *value = f32::from_le_bytes(*bytes);
    }
}

#[inline]
fn blocks<const BYTES: usize, const NUMBERS: usize>(
    from: &[u8],
    to: &mut [f32],
    unpack: impl Fn(&[u8; BYTES], &mut [f32; NUMBERS]),
) {
    for (block, numbers) in from.as_chunks().0.iter().zip(to.as_chunks_mut().0) {
        unpack(block, numbers);
    }
}

#[inline]
fn scale(block: &[u8], at: usize) -> f32 {
    f16::from_le_bytes([block[at], block[at + 1]]).to_f32()
}

fn q4_0(block: &[u8; 18], to: &mut [f32; 32]) {
    let d = scale(block, 0);
    for (i, byte) in block[2..].iter().enumerate() {
        to[i] = d * (i32::from(byte & 15) - 8) as f32;
        to[i + 16] = d * (i32::from(byte >> 4) - 8) as f32;
    }
}

fn q4_1(block: &[u8; 20], to: &mut [f32; 32]) {
    let (d, m) = (scale(block, 0), scale(block, 2));
    for (i, byte) in block[4..].iter().enumerate() {
        to[i] = d * f32::from(byte & 15) + m;
        to[i + 16] = d * f32::from(byte >> 4) + m;
    }
}

/// The fifth bits of a block: one for each number, the first lowest.
#[inline]
fn fifth_bits(block: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([block[at], block[at + 1], block[at + 2], block[at + 3]])
}

fn q5_0(block: &[u8; 22], to: &mut [f32; 32]) {
    let (d, high) = (scale(block, 0), fifth_bits(block, 2));
    for (i, &byte) in block[6..].iter().enumerate() {
        let low = u32::from(byte & 15) | (high >> i & 1) << 4;
        let next = u32::from(byte >> 4) | (high >> (i + 16) & 1) << 4;
        to[i] = d * (low as i32 - 16) as f32;
        to[i + 16] = d * (next as i32 - 16) as f32;
    }
}

fn q5_1(block: &[u8; 24], to: &mut [f32; 32]) {
    let (d, m, high) = (scale(block, 0), scale(block, 2), fifth_bits(block, 4));
    for (i, &byte) in block[8..].iter().enumerate() {
        let low = u32::from(byte & 15) | (high >> i & 1) << 4;
        let next = u32::from(byte >> 4) | (high >> (i + 16) & 1) << 4;
        to[i] = d * low as f32 + m;
        to[i + 16] = d * next as f32 + m;
    }
}

fn q8_0(block: &[u8; 34], to: &mut [f32; 32]) {
    let d = scale(block, 0);
    for (value, &byte) in to.iter_mut().zip(&block[2..]) {
        *value = d * f32::from(byte as i8);
    }
}

/// The 6-bit scales and minima of the eight parts of a `Q4_K` or `Q5_K` block, packed in 12 bytes.
#[inline]
fn scales_and_minima(packed: &[u8]) -> [(f32, f32); 8] {
    std::array::from_fn(|part| {
        let (scale, minimum) = if part < 4 {
            (packed[part] & 63, packed[part + 4] & 63)
        } else {
            let low = packed[part + 4];
            (low & 15 | packed[part - 4] >> 6 << 4, low >> 4 | packed[part] >> 6 << 4)
        };
        (f32::from(scale), f32::from(minimum))
    })
}

fn q4_k(block: &[u8; 144], to: &mut [f32; 256]) {
    let (d, dmin) = (scale(block, 0), scale(block, 2));
    let parts = scales_and_minima(&block[4..16]);
    for (pair, bytes) in block[16..].chunks_exact(32).enumerate() {
        let [(d1, m1), (d2, m2)] = [parts[2 * pair], parts[2 * pair + 1]].map(|(s, m)| (d * s, dmin * m));
        let (low, high) = to[64 * pair..64 * pair + 64].split_at_mut(32);
        for ((byte, low), high) in bytes.iter().zip(low).zip(high) {
            *low = d1 * f32::from(byte & 15) - m1;
            *high = d2 * f32::from(byte >> 4) - m2;
        }
    }
}

fn q5_k(block: &[u8; 176], to: &mut [f32; 256]) {
    let (d, dmin) = (scale(block, 0), scale(block, 2));
    let parts = scales_and_minima(&block[4..16]);
    let fifth = &block[16..48];
    for (pair, bytes) in block[48..].chunks_exact(32).enumerate() {
        let [(d1, m1), (d2, m2)] = [parts[2 * pair], parts[2 * pair + 1]].map(|(s, m)| (d * s, dmin * m));
        let (low, high) = to[64 * pair..64 * pair + 64].split_at_mut(32);
        for (((byte, fifth), low), high) in bytes.iter().zip(fifth).zip(low).zip(high) {
            *low = d1 * f32::from(byte & 15 | (fifth >> (2 * pair) & 1) << 4) - m1;
            *high = d2 * f32::from(byte >> 4 | (fifth >> (2 * pair + 1) & 1) << 4) - m2;
        }
    }
}

fn q6_k(block: &[u8; 210], to: &mut [f32; 256]) {
    let d = scale(block, 208);
    let (low, rest) = block.split_at(128);
    let (high, rest) = rest.split_at(64);
    let scales: [f32; 16] = std::array::from_fn(|part| d * f32::from(rest[part] as i8));
    for half in 0..2 {
        for i in 0..32 {
            let bits = high[32 * half + i];
            let (first, second) = (low[64 * half + i], low[64 * half + 32 + i]);
            let values = [
                first & 15 | (bits & 3) << 4,
                second & 15 | (bits >> 2 & 3) << 4,
                first >> 4 | (bits >> 4 & 3) << 4,
                second >> 4 | (bits >> 6) << 4,
            ];
            for (quarter, value) in values.into_iter().enumerate() {
                let place = 128 * half + 32 * quarter + i;
                to[place] = scales[place / 16] * (i32::from(value) - 32) as f32;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Every format with where its scales lie, and how many steps of the scale and of the minimum a number may be.
    const FORMATS: [(Quant, usize, Option<usize>, f32, f32); 8] = [
        (Quant::Q4_0, 0, None, 8.0, 0.0),
        (Quant::Q4_1, 0, Some(2), 15.0, 1.0),
        (Quant::Q5_0, 0, None, 16.0, 0.0),
        (Quant::Q5_1, 0, Some(2), 31.0, 1.0),
        (Quant::Q8_0, 0, None, 128.0, 0.0),
        (Quant::Q4_K, 0, Some(2), 63.0 * 15.0, 63.0),
        (Quant::Q5_K, 0, Some(2), 63.0 * 31.0, 63.0),
        (Quant::Q6_K, 208, None, 128.0 * 32.0, 0.0),
    ];

    fn finite() -> impl Strategy<Value = f16> {
        any::<u16>().prop_map(f16::from_bits).prop_filter("finite", |scale| scale.is_finite())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn blocks_of_finite_scales_decode_within_them(
            bytes in prop::collection::vec(any::<u8>(), 2 * 210),
            scale in finite(),
            minimum in finite(),
        ) {
            for (quant, at, minimum_at, steps, minima) in FORMATS {
                let (numbers, size) = quant.block();
                let mut blocks = bytes[..2 * size].to_vec();
                for block in blocks.chunks_mut(size) {
                    block[at..at + 2].copy_from_slice(&scale.to_le_bytes());
                    if let Some(at) = minimum_at {
                        block[at..at + 2].copy_from_slice(&minimum.to_le_bytes());
                    }
                }
                let mut decoded = vec![f32::NAN; 2 * numbers];
                quant.unpack(&blocks, &mut decoded);
                let most = scale.to_f32().abs() * steps + minimum.to_f32().abs() * minima;
                for number in decoded {
                    prop_assert!(number.is_finite() && number.abs() <= most * 1.000_001, "{quant}: {number} of {most}");
                }
            }
        }

        /// A block by itself gives the numbers that it gives among others.
        #[test]
        fn blocks_do_not_see_each_other(bytes in prop::collection::vec(any::<u8>(), 3 * 210)) {
            for (quant, ..) in FORMATS {
                let (numbers, size) = quant.block();
                let mut all = vec![0.0; 3 * numbers];
                quant.unpack(&bytes[..3 * size], &mut all);
                let mut second = vec![0.0; numbers];
                quant.unpack(&bytes[size..2 * size], &mut second);
                let bits = |list: &[f32]| list.iter().map(|number| number.to_bits()).collect::<Vec<u32>>();
                prop_assert_eq!(bits(&all[numbers..2 * numbers]), bits(&second), "{}", quant);
            }
        }
    }
}
