//! What a pickle made, once it was read to its end.

use std::collections::BTreeMap;

use super::super::bytes::Bytes;
use super::{At, Described, Machine, Value};

/// A pickle that was read to its end.
pub(in super::super) struct Finished {
    heap: Vec<Value>,
    result: At,
    /// Bytes that it took; what follows them is not its own.
    pub length: usize,
    /// Every storage that it refers to, by its key, and what its numbers are.
    pub storages: BTreeMap<String, String>,
}

impl Finished {
    /// Reads the pickle at the front of some bytes.
    pub fn run(bytes: &[u8]) -> Result<Finished, String> {
        let mut machine = Machine {
            code: Bytes::new(bytes),
            heap: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: BTreeMap::new(),
            storages: BTreeMap::new(),
        };
        let result = machine.run()?;
        Ok(Finished { heap: machine.heap, result, length: machine.code.at, storages: machine.storages })
    }

    /// The tensors of a dictionary, by name, in its order.
    pub fn tensors(&self) -> Result<Vec<(String, Described)>, String> {
        let Value::Dict(pairs) = &self.heap[self.result] else {
            return Err("it does not hold a dictionary of tensors; save the model's state_dict()".to_owned());
        };
        let mut tensors = Vec::new();
        for &(key, value) in pairs {
            if let (Value::Text(name), Value::Tensor(tensor)) = (&self.heap[key], &self.heap[value]) {
                tensors.push((name.clone(), (**tensor).clone()));
            }
        }
        if tensors.is_empty() {
            return Err("its dictionary holds no tensors at the top level; save the model's state_dict()".to_owned());
        }
        Ok(tensors)
    }

    /// A list of texts.
    pub fn texts(&self) -> Option<Vec<&str>> {
        let Value::List(items) = &self.heap[self.result] else { return None };
        let text = |&at: &At| match &self.heap[at] {
            Value::Text(text) => Some(text.as_str()),
            _ => None,
        };
        items.iter().map(text).collect()
    }

    /// A whole number.
    pub fn integer(&self) -> Option<i64> {
        match self.heap[self.result] {
            Value::Integer(number) => Some(number),
            _ => None,
        }
    }

    /// What a dictionary says under a name, when that is yes or no.
    pub fn flag(&self, name: &str) -> Option<bool> {
        let Value::Dict(pairs) = &self.heap[self.result] else { return None };
        pairs.iter().find_map(|&(key, value)| match (&self.heap[key], &self.heap[value]) {
            (Value::Text(text), Value::Bool(flag)) if text == name => Some(*flag),
            _ => None,
        })
    }
}
