//! JSON with a value changed, taken away, doubled or moved.

use fastrand::Rng;
use serde_json::{Value, json};

/// The text with one to three changes; `None` where it is no JSON.
pub fn changed(text: &[u8], rng: &mut Rng) -> Option<Vec<u8>> {
    let mut value: Value = serde_json::from_slice(text).ok()?;
    for _ in 0..rng.u8(1..4) {
        change(&mut value, rng);
    }
    serde_json::to_vec(&value).ok()
}

/// Changes one value, wherever it is.
pub fn change(value: &mut Value, rng: &mut Rng) {
    let count = count(value);
    let other = node(value, &mut rng.usize(0..count)).cloned().unwrap_or_default();
    let Some(place) = node(value, &mut rng.usize(0..count)) else { return };
    match rng.u8(0..8) {
        0 | 1 => *place = hostile(rng),
        2 | 3 => *place = near(place, rng),
        4 => *place = other,
        5 => remove(place, rng),
        6 => double(place, rng),
        _ => *place = json!([place.take()]),
    }
}

fn count(value: &Value) -> usize {
    1 + match value {
        Value::Array(list) => list.iter().map(count).sum(),
        Value::Object(map) => map.values().map(count).sum(),
        _ => 0,
    }
}

/// The value of this number, counted from the top.
fn node<'a>(value: &'a mut Value, number: &mut usize) -> Option<&'a mut Value> {
    if *number == 0 {
        return Some(value);
    }
    *number -= 1;
    match value {
        Value::Array(list) => list.iter_mut().find_map(|value| node(value, number)),
        Value::Object(map) => map.values_mut().find_map(|value| node(value, number)),
        _ => None,
    }
}

fn hostile(rng: &mut Rng) -> Value {
    let numbers = [
        json!(0),
        json!(-1),
        json!(1),
        json!(2),
        json!(3),
        json!(7),
        json!(255),
        json!(65536),
        json!(i32::MAX),
        json!(1u64 << 32),
        json!(i64::MAX),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1u64 << 53),
        json!(0.5),
        json!(-0.0),
        json!(1e308),
        json!(-1e308),
        json!(1e-308),
        json!(1e20),
    ];
    let texts = [
        "",
        " ",
        "\0",
        "a",
        "<script>alert(1)</script>",
        "\u{1b}[31m",
        "../../etc/passwd",
        "{}",
        "NaN",
        "\u{202e}x",
        "한",
        "\u{d7ff}\u{10ffff}",
        "gelu",
        "relu",
        "float16",
        "linear",
        "dynamic",
        "(a*)*b",
        "[",
        "\u{fffd}",
    ];
    match rng.u8(0..16) {
        0 => Value::Null,
        1 => json!(rng.bool()),
        2 => json!([]),
        3 => json!({}),
        4 => json!(vec![rng.i64(-2..100); rng.usize(0..200)]),
        5 => json!("x".repeat(rng.usize(0..5000))),
        6 => (0..rng.u8(1..100)).fold(json!(1), |inside, _| json!([inside])),
        7 => json!({"type": rng.choice(["BPE", "Sequence", "Split", "Metaspace", "linear", "yarn"])}),
        8..12 => json!(rng.choice(texts)),
        _ => rng.choice(numbers).unwrap_or_default(),
    }
}

/// A value of the same kind.
fn near(value: &Value, rng: &mut Rng) -> Value {
    match value {
        Value::Bool(value) => json!(!value),
        Value::Number(number) => match number.as_i64() {
            Some(number) => {
                let other = [
                    number.wrapping_add(1),
                    number.wrapping_sub(1),
                    number.wrapping_mul(2),
                    number / 2,
                    number.wrapping_neg(),
                    number.wrapping_mul(1000),
                ];
                json!(other[rng.usize(0..other.len())])
            }
            None => json!(number.as_f64().unwrap_or_default() * [-1., 0.5, 2., 1e9, 1e-9][rng.usize(0..5)]),
        },
        Value::String(text) => {
            let mut letters: Vec<char> = text.chars().collect();
            let at = rng.usize(0..letters.len() + 1);
            match rng.bool() || at == letters.len() {
                true => letters.insert(at, rng.char(..)),
                false => drop(letters.remove(at)),
            }
            json!(letters.into_iter().collect::<String>())
        }
        _ => hostile(rng),
    }
}

fn remove(place: &mut Value, rng: &mut Rng) {
    match place {
        Value::Array(list) if !list.is_empty() => drop(list.remove(rng.usize(0..list.len()))),
        Value::Object(map) if !map.is_empty() => {
            let key = map.keys().nth(rng.usize(0..map.len())).cloned().unwrap_or_default();
            map.remove(&key);
        }
        other => *other = Value::Null,
    }
}

fn double(place: &mut Value, rng: &mut Rng) {
    match place {
        Value::Array(list) if !list.is_empty() => {
            let item = list[rng.usize(0..list.len())].clone();
            for _ in 0..[1, 1, 2, 50][rng.usize(0..4)] {
                list.insert(rng.usize(0..list.len()), item.clone());
            }
        }
        Value::Object(map) if !map.is_empty() => {
            let key = map.keys().nth(rng.usize(0..map.len())).cloned().unwrap_or_default();
            let value = map.get(&key).cloned().unwrap_or_default();
            map.insert(format!("{key}{}", rng.choice(["_", "s", "\u{1b}", "0", ".0"]).unwrap_or_default()), value);
        }
        Value::String(text) => *text = text.repeat(rng.usize(2..20)),
        other => *other = json!([other, other]),
    }
}
