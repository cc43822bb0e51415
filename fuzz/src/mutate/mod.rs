//! Changes that get past the door: those of random bytes alone would mostly be refused as no JSON, or no header.

mod json;
mod tensors;

use fastrand::Rng;
use libfuzzer_sys::fuzzer_mutate;

/// What the bytes of a target's cases are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Form {
    /// Anything.
    Bytes,
    /// JSON text.
    Json,
    /// A safetensors file.
    Tensors,
    /// JSON text, a zero byte, a safetensors file.
    JsonAndTensors,
    /// The ending of a file (`json`, `csv`, `safetensors`), a line break, the file.
    Ending,
}

/// Changes a case in place and says how long it is then. Mostly by its form, sometimes as if it had none.
pub fn mutate(form: Form, data: &mut [u8], size: usize, most: usize, seed: u32) -> usize {
    let mut rng = Rng::with_seed(u64::from(seed));
    let changed = if rng.u8(0..8) == 0 { None } else { shaped(form, &data[..size], most, &mut rng) };
    match changed {
        Some(changed) if changed.len() <= most && changed != data[..size] => {
            data[..changed.len()].copy_from_slice(&changed);
            changed.len()
        }
        _ => fuzzer_mutate(data, size, most),
    }
}

fn shaped(form: Form, data: &[u8], most: usize, rng: &mut Rng) -> Option<Vec<u8>> {
    match form {
        Form::Bytes => None,
        Form::Json => json::changed(data, rng),
        Form::Tensors => tensors::changed(data, most, rng),
        Form::JsonAndTensors => {
            let end = data.iter().position(|&byte| byte == 0)?;
            let (text, file) = (&data[..end], &data[end + 1..]);
            Some(match rng.bool() {
                true => [&json::changed(text, rng)?, &[0][..], file].concat(),
                false => [text, &[0], &tensors::changed(file, most.checked_sub(end + 1)?, rng)?].concat(),
            })
        }
        Form::Ending => {
            let end = data.iter().position(|&byte| byte == b'\n')? + 1;
            let (ending, file) = (&data[..end], &data[end..]);
            let changed = match ending {
                b"json\n" => json::changed(file, rng)?,
                b"safetensors\n" => tensors::changed(file, most.checked_sub(end)?, rng)?,
                _ => return None,
            };
            Some([ending, &changed].concat())
        }
    }
}

/// Bytes with a few changes of libFuzzer's.
fn raw(bytes: &[u8], most: usize) -> Vec<u8> {
    let mut data = bytes.to_vec();
    data.resize(most.max(bytes.len()), 0);
    let size = fuzzer_mutate(&mut data, bytes.len(), most);
    data.truncate(size);
    data
}
