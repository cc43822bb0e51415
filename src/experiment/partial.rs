//! What of a sweep is done: in memory, and in a file to go on from.

use std::collections::HashMap;
use std::path::Path;

use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::answers::{Answered, BEST};
use crate::files::{LARGEST_TEXT, read_within, write_whole};
use crate::{Error, Result};

const MADE_BY: &str = "flowlens.sweep";

/// The values that are there already; those that are not are NaN with `done` false.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Partial {
    /// What sweep they are of: its model, pairs, sites and everything else that numbers depend on.
    pub of: String,
    pub cells: usize,
    pub pairs: usize,
    /// Cell by cell, pairs inside.
    pub values: Vec<f32>,
    pub done: Vec<bool>,
    pub answered: Answered,
}

impl Partial {
    /// Nothing yet, of so many cells and pairs, these as often as noise is drawn.
    pub(super) fn new(of: String, cells: usize, pairs: usize, samples: usize) -> Partial {
        let count = cells * pairs * samples;
        let answered = Answered::new(cells, pairs);
        Partial { of, cells, pairs: pairs * samples, values: vec![f32::NAN; count], done: vec![false; count], answered }
    }

    pub(super) fn is_done(&self, cell: usize, pair: usize) -> bool {
        self.done[cell * self.pairs + pair]
    }

    pub(super) fn put(&mut self, cell: usize, pair: usize, value: f32) {
        self.values[cell * self.pairs + pair] = value;
        self.done[cell * self.pairs + pair] = true;
    }

    /// How many values are there.
    pub(super) fn count(&self) -> usize {
        self.done.iter().filter(|done| **done).count()
    }

    /// Writes the file, whole or not at all.
    pub(super) fn save(&self, path: &Path) -> Result<()> {
        let values: Vec<u8> = self.values.iter().flat_map(|value| value.to_le_bytes()).collect();
        let done: Vec<u8> = self.done.iter().map(|&done| u8::from(done)).collect();
        let shape = [self.cells, self.pairs];
        let view = |dtype, shape: &[usize], bytes| {
            TensorView::new(dtype, shape.to_vec(), bytes).map_err(|problem| Error::file(path, problem.to_string()))
        };
        let ids: Vec<u8> = self.answered.ids.iter().flat_map(|id| id.to_le_bytes()).collect();
        let probs: Vec<u8> = self.answered.probs.iter().flat_map(|prob| prob.to_le_bytes()).collect();
        let answers = self.answers_shape();
        let tensors = [
            ("values", view(Dtype::F32, &shape, &values)?),
            ("done", view(Dtype::U8, &shape, &done)?),
            ("answers", view(Dtype::U32, &answers, &ids)?),
            ("probabilities", view(Dtype::F32, &answers, &probs)?),
        ];
        let metadata = HashMap::from([(MADE_BY.to_owned(), self.of.clone())]);
        let bytes = safetensors::serialize(tensors, Some(metadata));
        write_whole(path, &bytes.map_err(|problem| Error::file(path, problem.to_string()))?)
    }

    /// Reads the file of a sweep that this one is; none where there is no such file.
    ///
    /// # Errors
    /// When the file is damaged, or of another sweep. It stays as it is.
    pub(super) fn read(&self, path: &Path) -> Result<Option<Partial>> {
        let bytes = match read_within(path, self.most_bytes()) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            bytes => bytes?,
        };
        let way_out = "give another file to resume(..), or remove this one to begin anew";
        let damaged = |what: String| Error::file(path, format!("cannot be gone on from: {what}; {way_out}"));
        let (_, header) = SafeTensors::read_metadata(&bytes).map_err(|problem| damaged(problem.to_string()))?;
        let of = header.metadata().as_ref().and_then(|metadata| metadata.get(MADE_BY));
        let of = of.ok_or_else(|| damaged("it was not written by a sweep".to_owned()))?;
        if *of != self.of {
            return Err(damaged(format!("it is of another sweep ({of}; this one is {})", self.of)));
        }
        let file = SafeTensors::deserialize(&bytes).map_err(|problem| damaged(problem.to_string()))?;
        let (shape, answers) = ([self.cells, self.pairs], self.answers_shape());
        let tensor = |name: &str, dtype, shape: &[usize]| {
            let view = file.tensor(name).map_err(|problem| damaged(problem.to_string()))?;
            if view.shape() != shape || view.dtype() != dtype {
                return Err(damaged(format!("{name} has shape {:?}", view.shape())));
            }
            Ok(view)
        };
        let floats = |name: &str, shape: &[usize]| -> Result<Vec<f32>> {
            Ok(fours(tensor(name, Dtype::F32, shape)?.data()).map(f32::from_le_bytes).collect())
        };
        let done = tensor("done", Dtype::U8, &shape)?.data().iter().map(|&byte| byte != 0).collect();
        let ids = fours(tensor("answers", Dtype::U32, &answers)?.data()).map(u32::from_le_bytes).collect();
        let answered = Answered { ids, probs: floats("probabilities", &answers)?, ..self.answered };
        Ok(Some(Partial { values: floats("values", &shape)?, done, answered, ..self.clone() }))
    }

    /// Bytes of this sweep's file, and so many more that the file of another sweep is known as such.
    fn most_bytes(&self) -> u64 {
        let answers: usize = self.answers_shape().iter().product();
        LARGEST_TEXT + 5 * self.values.len() as u64 + 8 * answers as u64
    }

    fn answers_shape(&self) -> [usize; 3] {
        [self.cells, self.answered.pairs, BEST]
    }
}

fn fours(bytes: &[u8]) -> impl Iterator<Item = [u8; 4]> {
    bytes.chunks_exact(4).map(|four| [four[0], four[1], four[2], four[3]])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_leads_back_and_others_are_refused() {
        let path = std::env::temp_dir().join(format!("flowlens-{}-sweep.safetensors", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let mut partial = Partial::new("patch of a".to_owned(), 3, 2, 1);
        assert_eq!(partial.read(&path).unwrap(), None);
        partial.put(1, 0, 0.1 + 0.2);
        partial.put(2, 1, f32::NAN);
        partial.answered.put(2, 1, &[(7, 0.5), (3, 0.25)]);
        partial.save(&path).unwrap();
        let back = Partial::new("patch of a".to_owned(), 3, 2, 1).read(&path).unwrap().unwrap();
        assert_eq!((back.done.clone(), back.values[2], back.count()), (partial.done.clone(), 0.1 + 0.2, 2));
        assert_eq!(back.answered, partial.answered);
        let other = Partial::new("patch of b".to_owned(), 3, 2, 1).read(&path).unwrap_err().to_string();
        assert!(other.contains("another sweep") && other.contains("remove this one"), "{other}");
        let bytes = std::fs::read(&path).unwrap();
        for end in [0, 7, 20, bytes.len() - 1] {
            std::fs::write(&path, &bytes[..end]).unwrap();
            let damaged = partial.read(&path).unwrap_err().to_string();
            assert!(damaged.contains("sweep.safetensors") && damaged.contains("cannot be gone on from"), "{damaged}");
            assert_eq!(std::fs::read(&path).unwrap().len(), end, "the file was touched");
        }
        std::fs::remove_file(&path).unwrap();
    }
}
