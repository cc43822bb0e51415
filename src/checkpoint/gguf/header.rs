//! The head of a GGUF file: metadata and the list of tensors.

use std::collections::BTreeMap;
use std::ops::Range;

use super::quant::Quant;
use crate::checkpoint::bytes::Bytes;
use crate::checkpoint::stored::Stored;

/// One metadata value. Integers of all widths are one kind, as are floats.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Item {
    Integer(i64),
    Float(f64),
    Bool(bool),
    Text(String),
    Integers(Vec<i64>),
    Floats(Vec<f64>),
    Texts(Vec<String>),
    /// An array of something that no model setting is made of.
    Other,
}

/// All metadata of a file, by key.
pub(crate) type Metadata = BTreeMap<String, Item>;

/// A tensor as the file declares it; `shape` in the order of PyTorch (the last axis is contiguous).
pub(super) struct Declared {
    pub name: String,
    pub shape: Vec<usize>,
    pub stored: Stored,
    pub bytes: Range<usize>,
}

/// The head of a file.
pub(super) struct Header {
    pub metadata: Metadata,
    pub tensors: Vec<Declared>,
    /// Where the tensors begin.
    data: usize,
    /// What each tensor's place is a multiple of.
    alignment: usize,
}

impl Header {
    /// Bytes of a file of `length` that belong to no tensor and are more than what fills up to the next one's place.
    pub fn uncovered(&self, length: usize) -> usize {
        let mut ranges: Vec<&Range<usize>> = self.tensors.iter().map(|tensor| &tensor.bytes).collect();
        ranges.sort_unstable_by_key(|range| range.start);
        let (mut end, mut uncovered) = (self.data, 0);
        let file_end = length..length;
        for range in ranges.into_iter().chain([&file_end]) {
            let gap = range.start.saturating_sub(end);
            uncovered += if gap >= self.alignment { gap } else { 0 };
            end = end.max(range.end);
        }
        uncovered
    }
}

/// Reads the head of a file. Every count and length is checked against the bytes that are left before memory is taken
/// for it; every tensor is checked to lie inside the file.
pub(super) fn read(bytes: &[u8]) -> Result<Header, String> {
    let mut reader = Reader(Bytes::new(bytes));
    if reader.0.take(4)? != b"GGUF" {
        return Err("it does not start with \"GGUF\"".to_owned());
    }
    let version = reader.u32()?;
    if !(2..=3).contains(&version) {
        return Err(match version.swap_bytes() {
            2 | 3 => "it was written for a big-endian machine".to_owned(),
            _ => format!("GGUF version {version}; Flowlens reads 2 and 3, convert the file with a current llama.cpp"),
        });
    }
    let tensors = reader.count("tensors", 24)?;
    let keys = reader.count("metadata keys", 13)?;

    let mut metadata = Metadata::new();
    for _ in 0..keys {
        let key = reader.text()?;
        let kind = reader.u32()?;
        let item = reader.item(kind).map_err(|problem| format!("metadata {key:?}: {problem}"))?;
        metadata.insert(key, item);
    }
    let alignment = match metadata.get("general.alignment") {
        None => 32,
        Some(Item::Integer(n)) if (1..=1 << 20).contains(n) => *n as usize,
        Some(other) => return Err(format!("general.alignment is {other:?}, expected a small number of bytes")),
    };

    let mut heads = Vec::with_capacity(tensors);
    for _ in 0..tensors {
        let name = reader.text()?;
        let axes = reader.u32()?;
        if axes > 4 {
            return Err(format!("tensor {name:?} claims {axes} axes, at most 4 are possible"));
        }
        let mut shape = Vec::with_capacity(4);
        for _ in 0..axes {
            shape.push(reader.u64()?);
        }
        shape.reverse();
        heads.push((name, shape, reader.u32()?, reader.u64()?));
    }
    let data = reader.0.at.next_multiple_of(alignment);
    let declared = heads
        .into_iter()
        .map(|(name, shape, kind, offset)| {
            declare(&shape, kind, offset, data, bytes.len())
                .map(|(shape, stored, bytes)| Declared { name: name.clone(), shape, stored, bytes })
                .map_err(|problem| format!("tensor {name:?} {problem}"))
        })
        .collect::<Result<_, String>>()?;
    Ok(Header { metadata, tensors: declared, data, alignment })
}

/// Checks type, shape and place of one tensor.
fn declare(
    shape: &[u64],
    kind: u32,
    offset: u64,
    data: usize,
    length: usize,
) -> Result<(Vec<usize>, Stored, Range<usize>), String> {
    let stored = stored(kind)?;
    let (numbers, bytes) = stored.block();
    let columns = shape.last().copied().unwrap_or(1);
    if columns % numbers as u64 != 0 {
        return Err(format!("has rows of {columns} numbers, which are no whole blocks of {stored}"));
    }
    let absurd = || format!("claims the shape {shape:?} at offset {offset}, but the file has {length} bytes");
    let total = shape.iter().try_fold(1u64, |product, &n| product.checked_mul(n)).ok_or_else(absurd)?;
    let size = (total / numbers as u64).checked_mul(bytes as u64).ok_or_else(absurd)?;
    let start = offset.checked_add(data as u64).ok_or_else(absurd)?;
    let end = start.checked_add(size).filter(|&end| end <= length as u64).ok_or_else(absurd)?;
    // With `end` inside the file every number below fits.
    Ok((shape.iter().map(|&n| n as usize).collect(), stored, start as usize..end as usize))
}

fn stored(kind: u32) -> Result<Stored, String> {
    Ok(match kind {
        0 => Stored::F32,
        1 => Stored::F16,
        2 => Stored::Quantised(Quant::Q4_0),
        3 => Stored::Quantised(Quant::Q4_1),
        6 => Stored::Quantised(Quant::Q5_0),
        7 => Stored::Quantised(Quant::Q5_1),
        8 => Stored::Quantised(Quant::Q8_0),
        12 => Stored::Quantised(Quant::Q4_K),
        13 => Stored::Quantised(Quant::Q5_K),
        14 => Stored::Quantised(Quant::Q6_K),
        28 => Stored::F64,
        30 => Stored::BF16,
        other => {
            let name = match other {
                9 => "Q8_1",
                10 => "Q2_K",
                11 => "Q3_K",
                15 => "Q8_K",
                16..=23 | 29 => "one of the IQ formats",
                24..=27 => "integers",
                34 | 35 => "one of the TQ formats",
                39 => "MXFP4",
                _ => "unknown",
            };
            return Err(format!(
                "is stored in type {other} ({name}); Flowlens reads F32, F16, BF16, Q8_0, Q4_0, Q4_1, Q5_0, Q5_1, Q4_K, Q5_K \
                 and Q6_K: take a file in one of these"
            ));
        }
    })
}

/// The parts of a header.
struct Reader<'a>(Bytes<'a>);

impl Reader<'_> {
    fn u32(&mut self) -> Result<u32, String> {
        self.0.fixed().map(u32::from_le_bytes)
    }

    fn u64(&mut self) -> Result<u64, String> {
        self.0.fixed().map(u64::from_le_bytes)
    }

    /// A number of things of at least `each` bytes, refused when the rest of the file cannot hold them.
    fn count(&mut self, what: &str, each: usize) -> Result<usize, String> {
        let count = self.u64()?;
        let room = (self.0.bytes.len() - self.0.at) / each;
        usize::try_from(count)
            .ok()
            .filter(|&count| count <= room)
            .ok_or_else(|| format!("it claims {count} {what}, more than its {} bytes can hold", self.0.bytes.len()))
    }

    fn text(&mut self) -> Result<String, String> {
        let length = self.count("characters", 1)?;
        let bytes = self.0.take(length)?;
        String::from_utf8(bytes.to_vec()).map_err(|_| format!("the text before byte {} is not UTF-8", self.0.at))
    }

    fn item(&mut self, kind: u32) -> Result<Item, String> {
        Ok(match kind {
            0..=5 | 10 | 11 => Item::Integer(self.integer(kind)?),
            6 | 12 => Item::Float(self.float(kind)?),
            7 => Item::Bool(self.0.fixed::<1>()? != [0]),
            8 => Item::Text(self.text()?),
            9 => {
                let kind = self.u32()?;
                let each = match kind {
                    0 | 1 | 7 => 1,
                    2 | 3 => 2,
                    4..=6 => 4,
                    8 | 10..=12 => 8,
                    9 => return Err("an array of arrays, which no GGUF key is".to_owned()),
                    other => return Err(format!("type {other} is unknown")),
                };
                let count = self.count("entries", each)?;
                match kind {
                    8 => Item::Texts((0..count).map(|_| self.text()).collect::<Result<_, _>>()?),
                    6 | 12 => Item::Floats((0..count).map(|_| self.float(kind)).collect::<Result<_, _>>()?),
                    7 => {
                        self.0.take(count)?;
                        Item::Other
                    }
                    _ => Item::Integers((0..count).map(|_| self.integer(kind)).collect::<Result<_, _>>()?),
                }
            }
            other => return Err(format!("type {other} is unknown")),
        })
    }

    fn integer(&mut self, kind: u32) -> Result<i64, String> {
        Ok(match kind {
            0 => self.0.fixed::<1>()?[0].into(),
            1 => i8::from_le_bytes(self.0.fixed()?).into(),
            2 => u16::from_le_bytes(self.0.fixed()?).into(),
            3 => i16::from_le_bytes(self.0.fixed()?).into(),
            4 => self.u32()?.into(),
            5 => i32::from_le_bytes(self.0.fixed()?).into(),
            10 => i64::try_from(self.u64()?).map_err(|_| "the number is absurdly large".to_owned())?,
            _ => i64::from_le_bytes(self.0.fixed()?),
        })
    }

    /// A 32-bit float becomes the shortest decimal that reads back as itself: 1e-5, not 9.99999974e-6, as the
    /// `config.json` had it that the file was made from.
    fn float(&mut self, kind: u32) -> Result<f64, String> {
        if kind == 12 {
            return self.0.fixed().map(f64::from_le_bytes);
        }
        let single = self.0.fixed().map(f32::from_le_bytes)?;
        Ok(single.to_string().parse().unwrap_or(f64::from(single)))
    }
}
