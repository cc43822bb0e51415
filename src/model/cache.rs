//! What a run has computed of a text that grows: keys and values, so that a step runs its new positions only.

use std::cell::RefCell;

use tch::Tensor;

use crate::Result;

/// Keys and values of every layer of a decoder, and what its encoder gave it.
///
/// Gradients do not go through it.
#[derive(Debug)]
pub(crate) struct Cache {
    /// How many positions it holds.
    len: usize,
    /// The encoder's output (S,D), once it has run.
    pub source: Option<Tensor>,
    attention: Vec<Past>,
    cross: Vec<Past>,
}

impl Cache {
    pub(crate) fn new(layers: usize) -> Cache {
        let empty = || (0..layers).map(|_| Past::default()).collect();
        Cache { len: 0, source: None, attention: empty(), cross: empty() }
    }

    /// The number of positions that need not run again.
    pub(crate) fn len(&self) -> usize {
        self.len
    }

    /// After a step: the positions up to `len` are there.
    pub(crate) fn holds(&mut self, len: usize) {
        self.len = len;
    }

    /// Has all positions run again; what an encoder gave stays.
    pub(crate) fn rewind(&mut self) {
        self.len = 0;
    }

    /// What attention of `layer` left of earlier positions.
    pub(crate) fn attention(&self, layer: usize) -> &Past {
        &self.attention[layer]
    }

    /// What cross attention of `layer` reads.
    pub(crate) fn cross(&self, layer: usize) -> &Past {
        &self.cross[layer]
    }
}

/// The keys and values of one layer's attention, as they meet queries: normed and rotated.
///
/// Filled while a run goes through the layer, which otherwise writes to nothing.
#[derive(Debug, Default)]
pub(crate) struct Past(RefCell<Option<(Rows, Rows)>>);

impl Past {
    /// Keys and values (K,S,d) of all positions, of which `key` and `value` are those from `first` on.
    pub(crate) fn join(&self, first: usize, key: &Tensor, value: &Tensor) -> Result<(Tensor, Tensor)> {
        let mut past = self.0.borrow_mut();
        let (keys, values) = match past.as_mut() {
            Some(rows) => rows,
            None => past.insert((Rows::like(key)?, Rows::like(value)?)),
        };
        Ok((keys.put(first as i64, key)?, values.put(first as i64, value)?))
    }

    /// Keys and values (K,S,d) that do not grow, once they were computed.
    pub(crate) fn fixed(&self) -> Option<(Tensor, Tensor)> {
        self.0.borrow().as_ref().map(|(keys, values)| (keys.buffer.shallow_clone(), values.buffer.shallow_clone()))
    }
}

/// Rows (K,room,d) with room behind them: a step copies its own rows, not those that are there.
#[derive(Debug)]
struct Rows {
    buffer: Tensor,
}

impl Rows {
    /// No rows, and exactly the room for `rows`.
    fn like(rows: &Tensor) -> Result<Rows> {
        Ok(Rows { buffer: rows.f_new_empty(rows.size(), (rows.kind(), rows.device()))? })
    }

    /// Writes `rows` (K,n,d) from `first` on, and gives all rows (K,first+n,d), a view.
    fn put(&mut self, first: i64, rows: &Tensor) -> Result<Tensor> {
        let mut shape = rows.size();
        let axis = shape.len() - 2;
        let (end, room) = (first + shape[axis], self.buffer.size()[axis]);
        if end > room {
            shape[axis] = end.max(2 * room);
            let larger = self.buffer.f_new_empty(&shape, (rows.kind(), rows.device()))?;
            larger.f_narrow(-2, 0, first)?.f_copy_(&self.buffer.f_narrow(-2, 0, first)?)?;
            self.buffer = larger;
        }
        self.buffer.f_narrow(-2, first, end - first)?.f_copy_(rows)?;
        Ok(self.buffer.f_narrow(-2, 0, end)?)
    }
}

#[cfg(test)]
mod tests {
    use tch::{Device, Kind};

    use super::*;

    #[test]
    fn rows_are_written_behind_those_that_are_there_and_moved_seldom() {
        let all = Tensor::arange(2 * 50 * 3, (Kind::Float, Device::Cpu)).reshape([2, 50, 3]);
        let mut rows = Rows::like(&all.narrow(1, 0, 5)).unwrap();
        let mut moves = 0;
        let mut place = rows.buffer.data_ptr();
        for (first, count) in [(0, 5)].into_iter().chain((5..50).map(|first| (first, 1))) {
            let seen = rows.put(first, &all.narrow(1, first, count)).unwrap();
            assert!(seen.equal(&all.narrow(1, 0, first + count)), "{first}");
            moves += i32::from(rows.buffer.data_ptr() != place);
            place = rows.buffer.data_ptr();
        }
        assert_eq!(moves, 4, "room doubles: 5, 10, 20, 40, 80");
        // A step that is made again takes the place of the first.
        let again = rows.put(3, &all.narrow(1, 20, 2)).unwrap();
        assert!(again.narrow(1, 3, 2).equal(&all.narrow(1, 20, 2)) && again.size()[1] == 5);
    }
}
