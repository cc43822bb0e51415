//! `config.json`, read with care: sizes are bounded, and an option nobody reads cannot pass unnoticed.

use std::ops::RangeInclusive;

use serde_json::{Map, Value};

use super::architecture::Activation;
use crate::{Error, Result};

/// Sizes above this are a broken or hostile file: the largest published models stay a thousand times below.
const LARGEST: usize = 1 << 24;
/// The reciprocal, the square and the product of two of these are finite in float32; published models stay far within.
const POSITIVE: RangeInclusive<f64> = 1e-9..=1e12;
/// Deeper than any published model.
const DEEPEST: usize = 2048;

/// The keys of one `config.json`.
#[derive(Clone, Copy)]
pub(crate) struct Config<'a> {
    keys: &'a Map<String, Value>,
}

impl<'a> Config<'a> {
    pub(crate) fn new(keys: &'a Map<String, Value>) -> Config<'a> {
        Config { keys }
    }

    /// The value of the last of `names` that is there and not null: a family's own name stands first and the common
    /// one, which goes before it in `transformers`, after it.
    fn find(&self, names: &[&'static str]) -> Option<(&'static str, &'a Value)> {
        names
            .iter()
            .rev()
            .find_map(|&name| self.keys.get(name).filter(|value| !value.is_null()).map(|value| (name, value)))
    }

    /// All of it.
    pub(crate) fn keys(&self) -> &'a Map<String, Value> {
        self.keys
    }

    /// Whether there is no key at all.
    pub(crate) fn is_empty(&self) -> bool {
        self.keys.is_empty()
    }

    /// A size from 1 to 2^24 under one of its `names`, if any is there.
    pub(crate) fn optional_size(&self, names: &[&'static str]) -> Result<Option<usize>> {
        let Some((name, value)) = self.find(names) else { return Ok(None) };
        match value.as_u64() {
            Some(size) if (1..=LARGEST as u64).contains(&size) => Ok(Some(size as usize)),
            _ => Err(Error::config(name, format!("found {value}, expected a whole number from 1 to {LARGEST}"))),
        }
    }

    /// A size that must be there.
    pub(crate) fn size(&self, names: &[&'static str]) -> Result<usize> {
        self.optional_size(names)?.ok_or_else(|| {
            Error::config(
                names[0],
                "missing; expected a whole number. Is this the config.json that belongs to the model?",
            )
        })
    }

    /// The number of layers: bounded more tightly, since each takes memory before any tensor is looked at.
    pub(crate) fn layers(&self, names: &[&'static str]) -> Result<usize> {
        self.depth(names[0], self.size(names)?)
    }

    /// `layers`, unless `name` makes them too many.
    pub(crate) fn depth(&self, name: &'static str, layers: usize) -> Result<usize> {
        if layers > DEEPEST {
            return Err(Error::config(name, format!("found {layers}, expected at most {DEEPEST} layers")));
        }
        Ok(layers)
    }

    /// The number of layers, or `default`.
    pub(crate) fn layers_or(&self, names: &[&'static str], default: usize) -> Result<usize> {
        if self.find(names).is_some() { self.layers(names) } else { Ok(default) }
    }

    /// A whole number from 0 on, or `default`.
    pub(crate) fn whole(&self, names: &[&'static str], default: usize) -> Result<usize> {
        let Some((name, value)) = self.find(names) else { return Ok(default) };
        match value.as_u64() {
            Some(number) if number <= LARGEST as u64 => Ok(number as usize),
            _ => Err(Error::config(name, format!("found {value}, expected a whole number from 0 to {LARGEST}"))),
        }
    }

    /// A size, of which 0 and whatever is below mean none.
    pub(crate) fn count(&self, name: &'static str) -> Result<Option<usize>> {
        match self.value(name).and_then(Value::as_i64) {
            Some(number) if number <= 0 => Ok(None),
            _ => self.optional_size(&[name]),
        }
    }

    /// A number within `range`, or `default`.
    pub(crate) fn within(&self, names: &[&'static str], range: RangeInclusive<f64>, default: f64) -> Result<f64> {
        let Some((name, value)) = self.find(names) else { return Ok(default) };
        value.as_f64().filter(|number| range.contains(number)).ok_or_else(|| {
            let (least, most) = range.into_inner();
            Error::config(name, format!("found {value}, expected a number from {least:e} to {most:e}"))
        })
    }

    /// A number above 0 that float32 can be computed with, or `default`.
    pub(crate) fn positive(&self, names: &[&'static str], default: f64) -> Result<f64> {
        self.within(names, POSITIVE, default)
    }

    /// What a norm adds to a variance, or `default`. Published models have 1e-12 to 1e-3.
    pub(crate) fn eps(&self, names: &[&'static str], default: f64) -> Result<f64> {
        self.within(names, 1e-20..=1.0, default)
    }

    /// A truth value, or `default`.
    pub(crate) fn flag(&self, name: &'static str, default: bool) -> Result<bool> {
        match self.find(&[name]) {
            None => Ok(default),
            Some((_, Value::Bool(flag))) => Ok(*flag),
            Some((_, other)) => Err(Error::config(name, format!("found {other}, expected true or false"))),
        }
    }

    /// A text, or `default`.
    pub(crate) fn text(&self, name: &'static str, default: &'a str) -> Result<&'a str> {
        match self.find(&[name]) {
            None => Ok(default),
            Some((_, Value::String(text))) => Ok(text),
            Some((_, other)) => Err(Error::config(name, format!("found {other}, expected a text"))),
        }
    }

    /// Whether the key is there at all, null or not.
    pub(crate) fn has(&self, name: &str) -> bool {
        self.keys.contains_key(name)
    }

    /// Whatever stands under `name`, unless it is absent or null.
    pub(crate) fn value(&self, name: &'static str) -> Option<&'a Value> {
        self.find(&[name]).map(|(_, value)| value)
    }

    /// An object under `name`.
    pub(crate) fn object(&self, name: &'static str) -> Result<Option<Config<'a>>> {
        match self.find(&[name]) {
            None => Ok(None),
            Some((_, Value::Object(keys))) => Ok(Some(Config { keys })),
            Some((_, other)) => Err(Error::config(name, format!("found {other}, expected an object"))),
        }
    }

    /// A list of texts under `name`, which must have one entry for each layer.
    pub(crate) fn per_layer(&self, name: &'static str, layers: usize) -> Result<Option<Vec<&'a str>>> {
        let Some((_, value)) = self.find(&[name]) else { return Ok(None) };
        let list: Option<Vec<&str>> = value.as_array().and_then(|list| list.iter().map(Value::as_str).collect());
        match list {
            Some(list) if list.len() == layers => Ok(Some(list)),
            Some(list) => Err(Error::config(
                name,
                format!("found {} entries, expected one for each of {layers} layers", list.len()),
            )),
            None => Err(Error::config(name, format!("found {value}, expected a list of names"))),
        }
    }

    /// A list of `count` numbers above 0, which must be there; bounded as [`positive`](Config::positive).
    pub(crate) fn numbers(&self, name: &'static str, count: usize) -> Result<Vec<f64>> {
        let list: Option<Vec<f64>> =
            self.value(name).and_then(Value::as_array).and_then(|list| list.iter().map(Value::as_f64).collect());
        match list {
            Some(list) if list.len() == count && list.iter().all(|number| POSITIVE.contains(number)) => Ok(list),
            _ => Err(Error::config(
                name,
                format!("expected a list of {count} numbers from {:e} to {:e}", POSITIVE.start(), POSITIVE.end()),
            )),
        }
    }

    /// Refuses the model when `name`, which is on unless set, is switched off.
    pub(crate) fn refuse_without(&self, name: &'static str) -> Result<()> {
        match self.find(&[name]) {
            Some((_, Value::Bool(false))) => Err(Error::config(
                name,
                "found false: Flowlens does not compute this option, so its numbers would be wrong",
            )),
            _ => Ok(()),
        }
    }

    /// Refuses the model when `name` is switched on: what it asks for changes numbers and is not done here.
    pub(crate) fn refuse(&self, name: &'static str) -> Result<()> {
        match self.find(&[name]) {
            None | Some((_, Value::Bool(false))) => Ok(()),
            Some((_, value)) => Err(Error::config(
                name,
                format!("found {value}: Flowlens does not compute this option, so its numbers would be wrong"),
            )),
        }
    }

    /// The non-linearity under one of `names`.
    pub(crate) fn activation(&self, name: &'static str, default: &'a str) -> Result<Activation> {
        Ok(match self.text(name, default)? {
            "gelu" | "gelu_python" => Activation::Gelu,
            "gelu_new" | "gelu_fast" | "gelu_pytorch_tanh" | "gelu_python_tanh" | "gelu_accurate" => {
                Activation::GeluTanh
            }
            "quick_gelu" => Activation::QuickGelu,
            "relu" => Activation::Relu,
            "relu2" => Activation::Relu2,
            "relu6" => Activation::Relu6,
            "leaky_relu" => Activation::LeakyRelu,
            "gelu_10" => Activation::ClippedGelu,
            "mish" => Activation::Mish,
            "hardswish" => Activation::HardSwish,
            "laplace" => Activation::Laplace,
            "sqrtsoftplus" => Activation::SqrtSoftplus,
            "silu" | "swish" => Activation::Silu,
            "tanh" => Activation::Tanh,
            "sigmoid" => Activation::Sigmoid,
            "linear" => Activation::Identity,
            other => {
                return Err(Error::config(
                    name,
                    format!(
                        "activation {other:?} is not known; known are gelu, gelu_new, gelu_fast, gelu_pytorch_tanh, \
                         quick_gelu, gelu_10, relu, relu2, relu6, leaky_relu, silu, swish, mish, hardswish, tanh, sigmoid, \
                         laplace, sqrtsoftplus, linear"
                    ),
                ));
            }
        })
    }
}

/// `part` of `whole`, which must divide evenly.
pub(crate) fn divide(whole: (&str, usize), part: (&str, usize)) -> Result<usize> {
    if !whole.1.is_multiple_of(part.1) {
        return Err(Error::config(part.0, format!("{} does not divide {} ({})", part.1, whole.0, whole.1)));
    }
    Ok(whole.1 / part.1)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys(text: &str) -> Map<String, Value> {
        serde_json::from_str(text).unwrap()
    }

    #[test]
    fn absurd_and_missing_numbers_are_named() {
        let keys = keys(r#"{"n_embd": 0, "n_head": -3, "n_layer": 1000000, "eps": "x", "null": null}"#);
        let config = Config::new(&keys);
        for (result, name) in [
            (config.size(&["n_embd"]), "n_embd"),
            (config.size(&["n_head"]), "n_head"),
            (config.layers(&["n_layer"]), "n_layer"),
            (config.size(&["null"]), "null"),
        ] {
            let text = result.unwrap_err().to_string();
            assert!(text.contains(name) && text.contains("expected"), "{text}");
        }
        assert!(config.positive(&["eps"], 1.0).is_err());
        assert_eq!(config.optional_size(&["null"]).unwrap(), None);
    }

    #[test]
    fn an_option_that_is_not_computed_is_refused_only_when_on() {
        let keys = keys(r#"{"off": false, "on": true}"#);
        let config = Config::new(&keys);
        assert!(config.refuse("off").is_ok() && config.refuse("absent").is_ok());
        assert!(config.refuse("on").unwrap_err().to_string().contains("on"));
    }
}
