//! Safetensors files whose header still fits them, or nearly.

use fastrand::Rng;
use serde_json::{Value, json};

use super::{json, raw};

/// The file with a change; `None` where it has no header.
pub fn changed(file: &[u8], most: usize, rng: &mut Rng) -> Option<Vec<u8>> {
    let length = usize::try_from(u64::from_le_bytes(*file.first_chunk()?)).ok()?;
    let header = file.get(8..8usize.checked_add(length)?)?;
    let body = &file[8 + length..];
    let mut value: Value = serde_json::from_slice(header).ok()?;
    match rng.u8(0..8) {
        0 | 1 => return Some(joined(header, &raw(body, most.checked_sub(8 + length)?.max(body.len())))),
        2 | 3 => json::change(&mut value, rng),
        4 => {
            numbers(&mut value, rng);
        }
        _ => {
            json::change(&mut value, rng);
            let body = fitted(&mut value, body);
            return Some(joined(&serde_json::to_vec(&value).ok()?, &body));
        }
    }
    Some(joined(&serde_json::to_vec(&value).ok()?, body))
}

fn joined(header: &[u8], body: &[u8]) -> Vec<u8> {
    [&(header.len() as u64).to_le_bytes()[..], header, body].concat()
}

/// Offsets that are near, or absurd.
fn numbers(header: &mut Value, rng: &mut Rng) -> Option<()> {
    let tensors = header.as_object_mut()?;
    let at = rng.usize(0..tensors.len().max(1));
    let offsets = tensors.values_mut().nth(at)?.get_mut("data_offsets")?.as_array_mut()?;
    let offset = offsets.get_mut(rng.usize(0..2))?;
    let old = offset.as_u64().unwrap_or_default();
    *offset = json!([old.wrapping_add(1), old.wrapping_sub(1), u64::MAX, u64::MAX - 7, 0, old / 2][rng.usize(0..6)]);
    Some(())
}

/// Gives every tensor the place that its shape needs, so that the file is whole again; the numbers are the old ones.
fn fitted(header: &mut Value, body: &[u8]) -> Vec<u8> {
    let mut fitted = Vec::new();
    for (name, tensor) in header.as_object_mut().into_iter().flatten() {
        if name == "__metadata__" {
            continue;
        }
        let Some(bytes) = bytes_of(tensor).filter(|&bytes| bytes <= 1 << 16) else { continue };
        let start = fitted.len();
        let old = tensor["data_offsets"].get(0).and_then(Value::as_u64).unwrap_or_default() as usize;
        let from = body.get(old.min(body.len())..).filter(|rest| !rest.is_empty()).unwrap_or(&[0]);
        fitted.extend(from.iter().cycle().take(bytes));
        if let Some(tensor) = tensor.as_object_mut() {
            tensor.insert("data_offsets".to_owned(), json!([start, fitted.len()]));
        }
    }
    fitted
}

fn bytes_of(tensor: &Value) -> Option<usize> {
    let size = match tensor.get("dtype")?.as_str()? {
        "F64" | "I64" | "U64" => 8,
        "F32" | "I32" | "U32" => 4,
        "F16" | "BF16" | "I16" | "U16" => 2,
        _ => 1,
    };
    let shape = tensor.get("shape")?.as_array()?;
    shape.iter().try_fold(size, |bytes: usize, n| bytes.checked_mul(usize::try_from(n.as_u64()?).ok()?))
}
