//! Vocabulary words near a vector.

use tch::{Kind, Tensor};

use crate::site::Part;
use crate::{Array, Model, Result};

/// How a vector is read as words.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum ReadAs {
    /// Through the final norm of its stack, against the rows of the head: the logit lens.
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

/// Logits held at one time: 64 MB of float64.
const CHUNK: usize = 8_000_000;

/// The `count` words nearest to each vector (N,D) of a part's stream, best first.
pub(super) fn nearest(
    model: &Model,
    part: Part,
    vectors: &Tensor,
    read: ReadAs,
    count: usize,
) -> Result<Vec<Vec<Near>>> {
    let network = model.network();
    let stack = if part == Part::Encoder { network.encoder.as_ref().unwrap_or(&network.main) } else { &network.main };
    let device = stack.embedding.tokens.device();
    let vectors = vectors.f_to_device(device)?.f_to_kind(Kind::Float)?;
    let (read, table) = match read {
        ReadAs::Raw => (vectors, &stack.embedding.tokens),
        ReadAs::FinalNorm => {
            let normed = match &stack.final_norm {
                Some(norm) => norm.in_float()?.forward(&vectors)?,
                None => vectors,
            };
            let projected = match &stack.project {
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
    let table = table.f_to_kind(Kind::Float)?.f_tr()?;
    let (rows, vocab) = (read.size()[0], table.size()[1]);
    let chunk = (CHUNK / (vocab as usize).max(1)).max(1) as i64;
    let count = (count as i64).min(vocab);
    let mut found = Vec::with_capacity(rows as usize);
    for start in (0..rows).step_by(chunk as usize) {
        let products = read.f_narrow(0, start, chunk.min(rows - start))?.f_matmul(&table)?;
        let (best, ids) = products.f_topk(count, -1, true, true)?;
        let best = Array::from_tensor(&best)?;
        let ids: Vec<i64> = Vec::try_from(ids.f_to_device(tch::Device::Cpu)?.f_flatten(0, -1)?)?;
        let near = |(&id, &score): (&i64, &f32)| Near { id: id as u32, text: model.piece(id as u32), score };
        let all: Vec<Near> = ids.iter().zip(best.data()).map(near).collect();
        found.extend(all.chunks(count.max(1) as usize).map(<[Near]>::to_vec));
    }
    Ok(found)
}
