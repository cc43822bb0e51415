//! Vocabulary words near a vector.

use tch::{Kind, Tensor};

use crate::array::Numbers;
use crate::cache::Key;
use crate::lens::multiply;
use crate::progress::Task;
use crate::site::{Part, Site};
use crate::{Array, Model, Result};

/// How a vector is read as words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ReadAs {
    /// Through the final norm of its stack, against the rows of the head: the logit lens. What has left that norm is not
    /// normed again.
    #[default]
    FinalNorm,
    /// As it is, against the rows of the token table: no norm, so this is not the logit lens.
    Raw,
}

/// A vocabulary word near a vector.
#[derive(Debug, Clone, PartialEq)]
pub struct Near {
    /// Its id.
    pub id: u32,
    /// The token as text, blanks included.
    pub text: String,
    /// The inner product of the vector, read as told, with the word's row.
    pub score: f32,
}

/// Products held at one time: 32 MB.
const CHUNK: usize = 8_000_000;

/// Multiplications that take about two seconds on two cores; shorter work is not worth a place in the cache.
const LONG: f64 = 5e10;

/// The `count` words nearest to each vector (N,D) of a site, best first.
pub(super) fn nearest(
    model: &Model,
    site: Site,
    vectors: &Tensor,
    read: ReadAs,
    count: usize,
) -> Result<Vec<Vec<Near>>> {
    let network = model.network();
    let stack =
        if site.part() == Part::Encoder { network.encoder.as_ref().unwrap_or(&network.main) } else { &network.main };
    let device = stack.embedding.tokens.device();
    let vectors = vectors.f_to_device(device)?.f_to_kind(Kind::Float)?;
    let (read, table) = match read {
        ReadAs::Raw => (vectors, &stack.embedding.tokens),
        ReadAs::FinalNorm => {
            // What left the stack has been through both.
            let inside = site.plain() != Site::FinalNorm;
            let normed = match stack.final_norm.as_ref().filter(|_| inside) {
                Some(norm) => norm.in_float()?.forward(&vectors)?,
                None => vectors,
            };
            let projected = match stack.project.as_ref().filter(|_| inside) {
                Some(project) => project.in_float()?.forward(&normed)?,
                None => normed,
            };
            let head = model.head()?;
            (head.in_float()?.transformed(&projected)?, &head.weight)
        }
    };
    if read.size()[1] != table.size()[1] {
        return Err(crate::Error::Trajectory {
            what: "nearest words".to_owned(),
            problem: format!(
                "need vectors as wide as the rows they are compared with, {} and not {}; read through the final norm \
                 (ReadAs::FinalNorm), or vectors of the embedding",
                table.size()[1],
                read.size()[1]
            ),
        });
    }
    let (ids, scores) = best(&read, table, count)?;
    let near = |(&id, &score): (&u32, &f32)| Near { id, text: model.piece(id), score };
    let all: Vec<Near> = ids.iter().zip(&scores).map(near).collect();
    Ok(all.chunks((all.len() / (read.size()[0] as usize).max(1)).max(1)).map(<[Near]>::to_vec).collect())
}

/// Ids and inner products of the `count` rows of `table` (V,D) that are best for each of `read` (N,D). What takes seconds is
/// kept for the next time.
fn best(read: &Tensor, table: &Tensor, count: usize) -> Result<(Vec<u32>, Vec<f32>)> {
    let products = read.size()[0] as f64 * table.numel() as f64;
    let key = (products > LONG).then(|| key(read, table, count)).transpose()?;
    if let Some(kept) = key.as_ref().and_then(Key::fetch) {
        let numbers = |bytes: &[u8]| <[u8; 4]>::try_from(bytes).unwrap_or_default();
        let (ids, scores) = kept.split_at(kept.len() / 2);
        let ids = ids.chunks(4).map(|bytes| u32::from_le_bytes(numbers(bytes))).collect();
        return Ok((ids, scores.chunks(4).map(|bytes| f32::from_le_bytes(numbers(bytes))).collect()));
    }
    let table = table.f_to_kind(Kind::Float)?;
    let (rows, vocab) = (read.size()[0], table.size()[0]);
    let chunk = (CHUNK / (vocab as usize).max(1)).max(1) as i64;
    let (mut ids, mut scores): (Vec<u32>, Vec<f32>) = (Vec::new(), Vec::new());
    let task = Task::begin("finding the nearest words", rows as usize, "vectors");
    for start in (0..rows).step_by(chunk as usize) {
        task.at(start as u64)?;
        let products = multiply(&read.f_narrow(0, start, chunk.min(rows - start))?, &table)?;
        let (best, places) = products.f_topk((count as i64).min(vocab), -1, true, true)?;
        scores.extend(Array::from_tensor(&best)?.data());
        let places: Vec<i64> = Vec::try_from(places.f_to_device(tch::Device::Cpu)?.f_flatten(0, -1)?)?;
        ids.extend(places.into_iter().map(|id| id as u32));
    }
    task.finish();
    if let Some(key) = key {
        let ids = ids.iter().flat_map(|id| id.to_le_bytes());
        key.store(&ids.chain(scores.iter().flat_map(|score| score.to_le_bytes())).collect::<Vec<u8>>());
    }
    Ok((ids, scores))
}

/// The name of a result in the cache: vectors and table themselves, so that it is never out of date.
fn key(read: &Tensor, table: &Tensor, count: usize) -> Result<Key> {
    let shape = format!("{:?} {:?} {count} {:?}", read.size(), table.size(), read.device());
    let key = Key::new("near-words").with(shape.as_bytes());
    Ok(key.with_numbers(Numbers::of(read)?.data()).with_numbers(Numbers::of(table)?.data()))
}
