//! The pickle inside a `pytorch_model.bin`, read as data.
//!
//! A pickle is a program for a small stack machine, and Python's machine may import and call anything. This one knows
//! the instructions that `torch.save` writes for a dictionary of tensors, and four callables, which it describes instead
//! of calling; everything else is refused by name.

use std::collections::BTreeMap;

use super::bytes::Bytes;

mod finished;

pub(super) use finished::Finished;

/// A tensor as the pickle describes it: a view into a storage that lies beside it in the archive.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Described {
    /// `FloatStorage`, `HalfStorage`, ..
    pub storage: String,
    /// The record of the archive, `data/<key>`.
    pub key: String,
    pub offset: u64,
    pub shape: Vec<u64>,
    pub strides: Vec<u64>,
}

/// More values than any checkpoint describes: a tensor takes about fifteen.
const MOST_VALUES: usize = 2 << 20;

/// Open brackets at one time; `torch.save` needs four.
const DEEPEST: usize = 1000;

/// Index of a value on the heap. Values refer to one another by index, so that nothing nested deeply can overflow the
/// program's own stack.
type At = usize;

#[derive(Debug, Clone)]
enum Value {
    None,
    Bool(bool),
    Integer(i64),
    Float,
    Text(String),
    Tuple(Vec<At>),
    List(Vec<At>),
    Dict(Vec<(At, At)>),
    Global(Callable),
    Storage { kind: String, key: String },
    Tensor(Box<Described>),
}

#[derive(Debug, Clone)]
enum Callable {
    OrderedDict,
    RebuildTensor,
    RebuildParameter,
    Storage(String),
}

struct Machine<'a> {
    code: Bytes<'a>,
    heap: Vec<Value>,
    stack: Vec<At>,
    marks: Vec<usize>,
    memo: BTreeMap<u64, At>,
    storages: BTreeMap<String, String>,
}

/// The tensors of the dictionary that the pickle makes, by name, in its order.
pub(super) fn tensors(bytes: &[u8]) -> Result<Vec<(String, Described)>, String> {
    Finished::run(bytes)?.tensors()
}

impl<'a> Machine<'a> {
    fn run(&mut self) -> Result<At, String> {
        loop {
            let place = self.code.at;
            let code = self.code.fixed::<1>()?[0];
            if code == b'.' {
                return self.pop();
            }
            self.step(code).map_err(|problem| format!("{problem} (at byte {place} of its pickle)"))?;
        }
    }

    fn step(&mut self, code: u8) -> Result<(), String> {
        if self.constant(code)? { Ok(()) } else { self.structure(code) }
    }

    /// Instructions that bring a number, a text or another constant; whether it was one.
    fn constant(&mut self, code: u8) -> Result<bool, String> {
        match code {
            // PROTO, FRAME
            0x80 => self.code.take(1).map(drop)?,
            0x95 => self.code.take(8).map(drop)?,
            b'N' => self.push(Value::None)?,
            // NEWTRUE, NEWFALSE
            0x88 | 0x89 => self.push(Value::Bool(code == 0x88))?,
            b'J' => {
                let number = i32::from_le_bytes(self.code.fixed()?);
                self.push(Value::Integer(number.into()))?;
            }
            b'K' => {
                let number = self.code.fixed::<1>()?[0];
                self.push(Value::Integer(number.into()))?;
            }
            b'M' => {
                let number = u16::from_le_bytes(self.code.fixed()?);
                self.push(Value::Integer(number.into()))?;
            }
            0x8a => {
                let number = self.long()?;
                self.push(Value::Integer(number))?;
            }
            b'G' => {
                self.code.take(8)?;
                self.push(Value::Float)?;
            }
            b'X' => {
                let length = u32::from_le_bytes(self.code.fixed()?);
                self.text(length as usize)?;
            }
            0x8c => {
                let length = self.code.fixed::<1>()?[0];
                self.text(length.into())?;
            }
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Instructions that make something of what is there.
    fn structure(&mut self, code: u8) -> Result<(), String> {
        match code {
            b')' => self.push(Value::Tuple(Vec::new()))?,
            b']' => self.push(Value::List(Vec::new()))?,
            b'}' => self.push(Value::Dict(Vec::new()))?,
            b'(' if self.marks.len() == DEEPEST => return Err("it is nested absurdly deep".to_owned()),
            b'(' => self.marks.push(self.stack.len()),
            b't' => {
                let items = self.pop_to_mark()?;
                self.push(Value::Tuple(items))?;
            }
            0x85..=0x87 => {
                let start = self.stack.len().checked_sub(usize::from(code - 0x84)).ok_or("its stack is empty")?;
                let items = self.stack.split_off(start);
                self.push(Value::Tuple(items))?;
            }
            b'a' => {
                let item = self.pop()?;
                self.append(vec![item])?;
            }
            b'e' => {
                let items = self.pop_to_mark()?;
                self.append(items)?;
            }
            b's' => {
                let value = self.pop()?;
                let key = self.pop()?;
                self.insert(vec![key, value])?;
            }
            b'u' => {
                let items = self.pop_to_mark()?;
                self.insert(items)?;
            }
            b'q' => {
                let key = self.code.fixed::<1>()?[0];
                self.remember(key.into())?;
            }
            b'r' => {
                let key = u32::from_le_bytes(self.code.fixed()?);
                self.remember(key.into())?;
            }
            0x94 => self.remember(self.memo.len() as u64)?,
            b'h' => {
                let key = self.code.fixed::<1>()?[0];
                self.recall(key.into())?;
            }
            b'j' => {
                let key = u32::from_le_bytes(self.code.fixed()?);
                self.recall(key.into())?;
            }
            b'c' => {
                let (module, name) = (self.line()?, self.line()?);
                self.global(module, name)?;
            }
            0x93 => {
                let (name, module) = (self.pop_text()?, self.pop_text()?);
                self.global(&module, &name)?;
            }
            b'Q' => self.persistent()?,
            b'R' => self.call()?,
            b'b' => self.build()?,
            other => {
                return Err(format!(
                    "its pickle uses the instruction 0x{other:02x}, which no dictionary of tensors needs"
                ));
            }
        }
        Ok(())
    }

    fn long(&mut self) -> Result<i64, String> {
        let length = usize::from(self.code.fixed::<1>()?[0]);
        let bytes = self.code.take(length)?;
        if length > 8 {
            return Err("a number is absurdly large".to_owned());
        }
        let fill = if bytes.last().is_some_and(|byte| byte & 0x80 != 0) { 0xff } else { 0 };
        let mut whole = [fill; 8];
        whole[..length].copy_from_slice(bytes);
        Ok(i64::from_le_bytes(whole))
    }

    fn text(&mut self, length: usize) -> Result<(), String> {
        let text = std::str::from_utf8(self.code.take(length)?).map_err(|_| "a text is not UTF-8")?;
        self.push(Value::Text(text.to_owned()))
    }

    fn line(&mut self) -> Result<&'a str, String> {
        let rest = &self.code.bytes[self.code.at..];
        let length = rest.iter().position(|&byte| byte == b'\n').ok_or("its pickle ends early")?;
        self.code.at += length + 1;
        std::str::from_utf8(&rest[..length]).map_err(|_| "a name is not UTF-8".to_owned())
    }

    fn push(&mut self, value: Value) -> Result<(), String> {
        if self.heap.len() == MOST_VALUES {
            return Err(format!("it describes more than {MOST_VALUES} values"));
        }
        self.stack.push(self.heap.len());
        self.heap.push(value);
        Ok(())
    }

    fn pop(&mut self) -> Result<At, String> {
        let floor = self.marks.last().copied().unwrap_or(0);
        if self.stack.len() <= floor {
            return Err("its stack is empty".to_owned());
        }
        self.stack.pop().ok_or_else(|| "its stack is empty".to_owned())
    }

    fn pop_text(&mut self) -> Result<String, String> {
        let at = self.pop()?;
        match &self.heap[at] {
            Value::Text(text) => Ok(text.clone()),
            _ => Err("a name is not a text".to_owned()),
        }
    }

    fn pop_to_mark(&mut self) -> Result<Vec<At>, String> {
        let mark = self.marks.pop().ok_or("a mark is missing")?;
        if mark > self.stack.len() {
            return Err("a mark is missing".to_owned());
        }
        Ok(self.stack.split_off(mark))
    }

    fn top(&mut self) -> Result<&mut Value, String> {
        let at = self.stack.last().ok_or("its stack is empty")?;
        Ok(&mut self.heap[*at])
    }

    fn append(&mut self, new: Vec<At>) -> Result<(), String> {
        match self.top()? {
            Value::List(items) => items.extend(new),
            _ => return Err("it appends to what is no list".to_owned()),
        }
        Ok(())
    }

    fn insert(&mut self, new: Vec<At>) -> Result<(), String> {
        match self.top()? {
            Value::Dict(pairs) => pairs.extend(new.as_chunks().0.iter().map(|&[key, value]| (key, value))),
            _ => return Err("it sets items of what is no dictionary".to_owned()),
        }
        Ok(())
    }

    fn remember(&mut self, key: u64) -> Result<(), String> {
        let top = *self.stack.last().ok_or("its stack is empty")?;
        self.memo.insert(key, top);
        Ok(())
    }

    fn recall(&mut self, key: u64) -> Result<(), String> {
        let at = *self.memo.get(&key).ok_or("it recalls what it never remembered")?;
        if self.stack.len() == MOST_VALUES {
            return Err(format!("it describes more than {MOST_VALUES} values"));
        }
        self.stack.push(at);
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Result<(), String> {
        let callable = match (module, name) {
            ("collections", "OrderedDict") => Callable::OrderedDict,
            ("torch._utils", "_rebuild_tensor_v2") => Callable::RebuildTensor,
            ("torch._utils", "_rebuild_parameter") => Callable::RebuildParameter,
            ("torch", _) if name.ends_with("Storage") => Callable::Storage(name.to_owned()),
            _ => {
                return Err(format!(
                    "its pickle asks for {module}.{name}, which no dictionary of tensors needs: reading it with Python \
                     could run a program. Flowlens runs none"
                ));
            }
        };
        self.push(Value::Global(callable))
    }

    /// `("storage", torch.FloatStorage, "0", "cpu", numel)`: a record of the archive. Before PyTorch 1.6 there was a
    /// sixth item for a view into another storage, which no release has written for a dictionary of tensors.
    fn persistent(&mut self) -> Result<(), String> {
        let at = self.pop()?;
        let storage = match self.items(at) {
            Some([_, _, _, _, _, view, ..]) if !matches!(self.heap[*view], Value::None) => {
                return Err("a storage is a view into another one".to_owned());
            }
            Some([tag, kind, key, ..]) => match (&self.heap[*tag], &self.heap[*kind], &self.heap[*key]) {
                (Value::Text(tag), Value::Global(Callable::Storage(kind)), Value::Text(key)) if tag == "storage" => {
                    Some(Value::Storage { kind: kind.clone(), key: key.clone() })
                }
                _ => None,
            },
            _ => None,
        };
        let storage = storage.ok_or("it refers to something outside that is no storage")?;
        if let Value::Storage { kind, key } = &storage {
            self.storages.insert(key.clone(), kind.clone());
        }
        self.push(storage)
    }

    fn call(&mut self) -> Result<(), String> {
        let (arguments, callable) = (self.pop()?, self.pop()?);
        let Value::Global(callable) = self.heap[callable].clone() else {
            return Err("it calls what is no callable".to_owned());
        };
        let items = self.items(arguments).ok_or("it calls without a tuple of arguments")?;
        let value = match callable {
            Callable::OrderedDict => Value::Dict(match items {
                [] => Vec::new(),
                [list] => self.pairs(*list).ok_or("an OrderedDict is not made of pairs")?,
                _ => return Err("an OrderedDict is not made of pairs".to_owned()),
            }),
            Callable::RebuildTensor => {
                Value::Tensor(Box::new(self.tensor(items).ok_or("a tensor is not described as one")?))
            }
            Callable::RebuildParameter => match items.first().map(|&at| &self.heap[at]) {
                Some(Value::Tensor(tensor)) => Value::Tensor(tensor.clone()),
                _ => return Err("a parameter is not made of a tensor".to_owned()),
            },
            Callable::Storage(kind) => return Err(format!("it calls torch.{kind}")),
        };
        self.push(value)
    }

    /// The state of an OrderedDict (`_metadata`) says nothing about tensors; nothing else has one.
    fn build(&mut self) -> Result<(), String> {
        self.pop()?;
        match self.top()? {
            Value::Dict(_) => Ok(()),
            _ => Err("it sets the state of what is no dictionary".to_owned()),
        }
    }

    /// (storage, offset, size, stride, requires_grad, hooks)
    fn tensor(&self, items: &[At]) -> Option<Described> {
        let [storage, offset, shape, strides, ..] = items else { return None };
        let (Value::Storage { kind, key }, Value::Integer(offset)) = (&self.heap[*storage], &self.heap[*offset]) else {
            return None;
        };
        let sizes = |at: At| -> Option<Vec<u64>> {
            self.items(at)?
                .iter()
                .map(|&at| match self.heap[at] {
                    Value::Integer(n) => u64::try_from(n).ok(),
                    _ => None,
                })
                .collect()
        };
        let (shape, strides) = (sizes(*shape)?, sizes(*strides)?);
        (shape.len() == strides.len()).then_some(())?;
        Some(Described {
            storage: kind.clone(),
            key: key.clone(),
            offset: u64::try_from(*offset).ok()?,
            shape,
            strides,
        })
    }

    fn items(&self, at: At) -> Option<&[At]> {
        match &self.heap[at] {
            Value::Tuple(items) => Some(items),
            _ => None,
        }
    }

    fn pairs(&self, at: At) -> Option<Vec<(At, At)>> {
        let (Value::List(items) | Value::Tuple(items)) = &self.heap[at] else { return None };
        let pair = |&at: &At| match &self.heap[at] {
            Value::Tuple(pair) | Value::List(pair) => <[At; 2]>::try_from(pair.as_slice()).ok().map(|[k, v]| (k, v)),
            _ => None,
        };
        items.iter().map(pair).collect()
    }
}

#[cfg(test)]
mod tests;
