//! The lens itself: final norm and head, applied to a batch of vectors at once.

use std::collections::HashMap;

use tch::{Kind, Tensor};

use super::scan::scan_rows;
use super::{Reading, TargetScore, TokenScore};
use crate::array::Numbers;
use crate::model::layers::{Linear, Norm};
use crate::model::{Head, Model};
use crate::progress::Task;
use crate::site::is_finite;
use crate::text::Tokenizer;
use crate::{Array, Error, Result, Site};

/// Logits held at one time: 32 MB of float32, so that a long batch over a large vocabulary stays small. The C library
/// keeps blocks up to that size for the next chunk; larger ones would be fresh pages each time.
const CHUNK: usize = 8_000_000;

/// What stands between the stream and the logits.
#[derive(Debug)]
pub(crate) struct Readout {
    /// The final norm, in float32; `None` where the model has none.
    pub norm: Option<Norm>,
    /// A map after the norm, in float32, where the head is narrower than the model.
    pub project: Option<Linear>,
    /// The model's head, its matrix in the type of the model.
    pub head: Head,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Through {
    /// The final norm as the model applies it.
    Norm,
    /// No norm: the vector meets the head as it is.
    Head,
    /// The final norm with its root taken from another vector: linear, so that parts add up.
    Frozen { root: f64 },
}

/// Reads vectors of the model's width as vocabulary words: through the final norm and the head.
///
/// All vectors of a call go to the vocabulary together; equal ones are projected once. Everything is float32,
/// whatever the model's own type. Ranks are by logit; of equal logits the smaller id comes first.
///
/// ```no_run
/// # fn main() -> flowlens::Result<()> {
/// use flowlens::{Model, Site};
/// let model = Model::load("smollm2-135m")?;
/// let trace = model.run("The capital of Japan is the city of")?;
/// let stream = trace.get(Site::ResidPost(20))?;              // positions x width
/// for reading in model.lens()?.top(3).read(&stream)? {
///     println!("{:?}", reading.top[0].text);
/// }
/// # Ok(()) }
/// ```
#[derive(Debug)]
#[must_use]
pub struct Lens {
    readout: Readout,
    words: Option<Tokenizer>,
    through: Through,
    top: usize,
    bottom: usize,
    targets: Vec<u32>,
}

impl Lens {
    pub(crate) fn new(readout: Readout, words: Option<Tokenizer>) -> Lens {
        Lens { readout, words, through: Through::Norm, top: 5, bottom: 5, targets: Vec::new() }
    }

    /// How many of the best tokens a reading lists; 5 by default.
    pub fn top(mut self, count: usize) -> Lens {
        self.top = count;
        self
    }

    /// How many of the worst tokens a reading lists; 5 by default.
    pub fn bottom(mut self, count: usize) -> Lens {
        self.bottom = count;
        self
    }

    /// Tokens whose logit, probability and rank every reading gives.
    pub fn targets(mut self, ids: impl IntoIterator<Item = u32>) -> Lens {
        self.targets = ids.into_iter().collect();
        self
    }

    /// Leaves out the final norm: the vector goes into the head as it is.
    pub fn without_norm(mut self) -> Lens {
        self.through = Through::Head;
        self
    }

    /// Takes the final norm's scale from `stream` (one vector of the model's width, usually the last residual stream)
    /// and leaves all biases and the soft cap out: logits become linear, so that those of parts add up to that of
    /// their sum. Known as direct logit attribution.
    ///
    /// # Errors
    /// When `stream` is not one vector of the model's width, or the head has a non-linear layer before its matrix
    /// (masked language models).
    pub fn frozen(mut self, stream: &Array) -> Result<Lens> {
        self.check_linear()?;
        let stream = self.batch(&stream.to_tensor())?;
        if stream.size()[0] != 1 {
            return Err(Error::Input(format!(
                "the lens freezes its scale at one vector, got {}; give one row",
                stream.size()[0]
            )));
        }
        let divisor = |norm: &Norm| Ok::<f64, Error>(norm.divisor(&stream)?.f_double_value(&[0, 0])?);
        self.through = Through::Frozen { root: self.readout.norm.as_ref().map_or(Ok(1.), divisor)? };
        Ok(self)
    }

    /// Number of entries in the vocabulary.
    pub fn vocabulary(&self) -> usize {
        self.readout.head.weight.size()[0] as usize
    }

    /// Width of the vectors that it reads.
    pub fn width(&self) -> usize {
        let Readout { project, head, .. } = &self.readout;
        let own = head.transform.as_ref().map_or(&head.weight, |transform| transform.matrix());
        project.as_ref().map_or(own, |project| &project.weight).size()[1] as usize
    }

    /// Reads `vectors`, (N,D) or one (D): a reading for each.
    ///
    /// # Errors
    /// When the last axis is not the model's width, or a target is outside the vocabulary.
    pub fn read(&self, vectors: &Array) -> Result<Vec<Reading>> {
        self.read_tensor(&vectors.to_tensor())
    }

    /// [`read`](Lens::read) for a tensor on any device.
    pub(crate) fn read_tensor(&self, vectors: &Tensor) -> Result<Vec<Reading>> {
        let _guard = tch::no_grad_guard();
        let (distinct, place) = distinct_rows(&self.batch(vectors)?)?;
        let targets: &[u32] = &self.targets;
        let readings = self.read_rows(&distinct, |_| targets)?;
        Ok(place.into_iter().map(|index| readings[index].clone()).collect())
    }

    /// [`read_tensor`](Lens::read_tensor) with a target of its own for every vector.
    pub(crate) fn read_each(&self, vectors: &Tensor, targets: &[u32]) -> Result<Vec<Reading>> {
        let _guard = tch::no_grad_guard();
        let vectors = self.batch(vectors)?;
        if targets.len() as i64 != vectors.size()[0] {
            return Err(Error::Input(format!(
                "{} targets for {} vectors; give one for each",
                targets.len(),
                vectors.size()[0]
            )));
        }
        self.read_rows(&vectors, |row| std::slice::from_ref(&targets[row]))
    }

    /// Reads the rows of (N,D), chunk by chunk, with the targets of each.
    fn read_rows<'a>(&self, vectors: &Tensor, targets: impl Fn(usize) -> &'a [u32] + Sync) -> Result<Vec<Reading>> {
        let rows = vectors.size()[0];
        let outside = |id: &&u32| **id as usize >= self.vocabulary();
        if let Some(id) = (0..rows as usize).flat_map(&targets).find(outside) {
            return Err(Error::Input(format!(
                "target {id} is outside the vocabulary of {} tokens; give a smaller id",
                self.vocabulary()
            )));
        }
        let head = self.readout.head.weight.f_to_kind(Kind::Float)?;
        let mut words = HashMap::new();
        let mut readings = Vec::new();
        let most = (CHUNK / self.vocabulary().max(1)).max(1) as i64;
        let chunk = (rows as u64).div_ceil((rows as u64).div_ceil(most as u64).max(1)).max(1) as i64;
        let task = Task::begin("reading vectors as words", rows as usize, "vectors");
        for start in (0..rows).step_by(chunk as usize) {
            task.at(start as u64)?;
            let part = vectors.f_narrow(0, start, chunk.min(rows - start))?;
            readings.extend(self.chunk(&part, &head, |row| targets(row + start as usize), &mut words)?);
        }
        task.finish();
        Ok(readings)
    }

    /// Logits (N,V) of a batch (N,D), float32.
    #[cfg(test)]
    pub(crate) fn logits(&self, vectors: &Tensor) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        self.project(&self.batch(vectors)?, &self.readout.head.weight.f_to_kind(Kind::Float)?)
    }

    /// The direction (D) whose dot product with a part of the last stream is what that part puts onto the logit of `id`
    /// with the norm frozen at `stream` (D).
    pub(crate) fn attribution(&self, id: u32, stream: &Tensor) -> Result<Tensor> {
        if id as usize >= self.vocabulary() {
            return Err(Error::Input(format!(
                "target {id} is outside the vocabulary of {} tokens; give a smaller id",
                self.vocabulary()
            )));
        }
        self.frozen_direction(self.readout.head.weight.f_get(i64::from(id))?.f_to_kind(Kind::Float)?, stream)
    }

    /// What the biases of the final norm, of the map after it and of the head put onto the logit of `id`, whatever the
    /// stream: what [`attribution`](Lens::attribution) leaves out. Logits are those before a soft cap.
    pub(crate) fn attribution_bias(&self, id: u32) -> Result<f64> {
        let _guard = tch::no_grad_guard();
        let mut direction = self.readout.head.weight.f_get(i64::from(id))?.f_to_kind(Kind::Float)?;
        let along = |bias: Option<&Tensor>, direction: &Tensor| -> Result<f64> {
            let Some(bias) = bias else { return Ok(0.0) };
            Ok(bias.f_to_kind(Kind::Float)?.f_dot(direction)?.f_double_value(&[])?)
        };
        let mut sum = 0.0;
        if let Some(project) = &self.readout.project {
            sum += along(project.bias.as_ref(), &direction)?;
            direction = project.weight.f_tr()?.f_mv(&direction)?;
        }
        if let Some(norm) = &self.readout.norm {
            sum += along(norm.bias.as_ref(), &direction)?;
        }
        let own = match &self.readout.head.bias {
            Some(bias) => bias.f_double_value(&[i64::from(id)])?,
            None => 0.0,
        };
        Ok(sum * self.readout.head.scale + own)
    }

    /// [`attribution`](Lens::attribution) for the average token: what raises all logits alike changes no probability.
    pub(crate) fn average_attribution(&self, stream: &Tensor) -> Result<Tensor> {
        let average = self.readout.head.weight.f_mean_dim([0i64].as_slice(), false, Kind::Float)?;
        self.frozen_direction(average, stream)
    }

    /// A direction (E) of what the head's matrix reads as one (D) before the final norm, the norm frozen at `stream`
    /// (D).
    fn frozen_direction(&self, mut direction: Tensor, stream: &Tensor) -> Result<Tensor> {
        let _guard = tch::no_grad_guard();
        self.check_linear()?;
        if let Some(project) = &self.readout.project {
            direction = project.weight.f_tr()?.f_mv(&direction)?;
        }
        if let Some(norm) = &self.readout.norm {
            direction = norm.pull_back(&direction, &norm.divisor(&self.batch(stream)?.f_get(0)?)?)?;
        }
        self.readout.head.scaled(direction)
    }

    /// Refuses a head that is not linear even with the norm's scale held fixed.
    fn check_linear(&self) -> Result<()> {
        match self.readout.head.transform {
            None => Ok(()),
            Some(_) => Err(Error::Input(
                "this head has a non-linear layer before its matrix, as masked language models have, so that the \
                 logits of parts do not add up to that of their sum"
                    .to_owned(),
            )),
        }
    }

    /// Brings vectors to (N,D), float32, on the head's device.
    fn batch(&self, vectors: &Tensor) -> Result<Tensor> {
        let shape = vectors.size();
        let width = self.width() as i64;
        if shape.is_empty() || shape[shape.len() - 1] != width {
            return Err(Error::Input(format!(
                "the lens reads vectors of width {width}, got an array of shape {shape:?}"
            )));
        }
        let rows: i64 = shape[..shape.len() - 1].iter().product();
        // As a stream: nothing of it may be infinite.
        if !is_finite(Site::FinalNorm, vectors)? {
            return Err(Error::Input(
                "the vectors hold numbers that are infinite or none, and nothing can be read out of those".to_owned(),
            ));
        }
        Ok(vectors.f_to_device(self.readout.head.weight.device())?.f_to_kind(Kind::Float)?.f_reshape([rows, width])?)
    }

    fn chunk<'a>(
        &self,
        vectors: &Tensor,
        head: &Tensor,
        targets: impl Fn(usize) -> &'a [u32] + Sync,
        words: &mut HashMap<u32, String>,
    ) -> Result<Vec<Reading>> {
        let logits = self.project(vectors, head)?;
        let probs = logits.f_softmax(-1, Kind::Float)?;
        let largest = Array::from_tensor(&logits.f_amax([-1i64].as_slice(), false)?)?;
        let best_prob = Array::from_tensor(&probs.f_amax([-1i64].as_slice(), false)?)?;
        let (logits, probs) = (Numbers::of(&logits)?, Numbers::of(&probs)?);
        let (logits, width) = (logits.data(), self.vocabulary());
        let found = scan_rows(logits, width, self.top, self.bottom, &targets)?;
        let mut readings = Vec::with_capacity(found.len());
        for (row, found) in found.into_iter().enumerate() {
            let place = row * width..(row + 1) * width;
            let (largest, best_prob) = (largest.data()[row], best_prob.data()[row]);
            let entropy = entropy(&logits[place.clone()], &probs.data()[place.clone()], largest, best_prob);
            let logit = |id: usize| logits[place.start + id];
            // Shifted by the largest logit first: logits near -100 would lose digits against one log-sum.
            let prob = |id: usize| (logit(id) - largest).exp() * best_prob;
            let mut token = |id: usize| -> TokenScore {
                TokenScore { id: id as u32, text: self.word(id as u32, words), logit: logit(id), prob: prob(id) }
            };
            let top = found.top.iter().map(|&id| token(id)).collect();
            let bottom = found.bottom.iter().map(|&id| token(id)).collect();
            let targets = targets(row).iter().zip(found.ranks);
            let targets = targets
                .map(|(&id, rank)| {
                    let TokenScore { id, text, logit, prob } = token(id as usize);
                    TargetScore { id, text, logit, prob, rank }
                })
                .collect();
            readings.push(Reading { top, bottom, entropy, targets });
        }
        Ok(readings)
    }

    fn word(&self, id: u32, words: &mut HashMap<u32, String>) -> String {
        let Some(tokenizer) = &self.words else { return format!("#{id}") };
        words.entry(id).or_insert_with(|| tokenizer.piece(id)).clone()
    }

    /// Logits of a batch (N,D), `head` being the head in float32.
    fn project(&self, vectors: &Tensor, head: &Tensor) -> Result<Tensor> {
        let normed = match (&self.readout.norm, self.through) {
            (Some(norm), Through::Norm) => norm.forward(vectors)?,
            (Some(norm), Through::Frozen { root }) => {
                norm.linear(vectors, &Tensor::f_from_slice(&[root as f32])?.f_to_device(vectors.device())?)?
            }
            (_, Through::Head) | (None, _) => vectors.shallow_clone(),
        };
        if matches!(self.through, Through::Frozen { .. }) {
            let projected = match &self.readout.project {
                Some(project) => normed.f_linear(&project.weight, None::<&Tensor>)?,
                None => normed,
            };
            return self.readout.head.scaled(multiply(&projected, head)?);
        }
        let projected = match &self.readout.project {
            Some(project) => project.forward(&normed)?,
            None => normed,
        };
        let read = self.readout.head.transformed(&projected)?;
        self.readout.head.finish(multiply(&read, head)?)
    }
}

impl Model {
    /// The lens of this model: reads vectors of its width through its final norm and head.
    ///
    /// # Errors
    /// When memory for a float32 copy of the final norm runs out.
    pub fn lens(&self) -> Result<Lens> {
        let (stack, head) = (self.stack(), self.head()?);
        let readout = Readout {
            norm: stack.final_norm.as_ref().map(Norm::in_float).transpose()?,
            project: stack.project.as_ref().map(Linear::in_float).transpose()?,
            head: head.in_float()?,
        };
        Ok(Lens::new(readout, self.tokenizer().cloned()))
    }
}

/// Logits (N,V) of normed rows (N,D) and a head (V,D). For many rows oneDNN takes two thirds of the time that libtorch's
/// usual product takes on AMD processors.
pub(crate) fn multiply(rows: &Tensor, head: &Tensor) -> Result<Tensor> {
    const MANY: i64 = 32;
    if rows.device() == tch::Device::Cpu && rows.size()[0] >= MANY && tch::utils::has_mkldnn() {
        let product = rows.f_to_mkldnn(Kind::Float)?.f_mkldnn_linear(head, None::<&Tensor>)?;
        return Ok(product.f_to_dense(Kind::Float, false)?);
    }
    Ok(rows.f_matmul(&head.f_tr()?)?)
}

/// Bits of a row: the largest logit and its probability give the log of the sum.
fn entropy(logits: &[f32], probs: &[f32], largest: f32, best_prob: f32) -> f32 {
    const LANES: usize = 8;
    let mut sum = 0f64;
    // Short sums of eight at once, so that the processor's vectors are used and no digits are lost.
    for (logits, probs) in logits.chunks(64 * LANES).zip(probs.chunks(64 * LANES)) {
        let mut lanes = [0f32; LANES];
        for (logits, probs) in logits.chunks(LANES).zip(probs.chunks(LANES)) {
            for ((lane, logit), prob) in lanes.iter_mut().zip(logits).zip(probs) {
                *lane += prob * (logit - largest);
            }
        }
        sum += lanes.iter().map(|&lane| f64::from(lane)).sum::<f64>();
    }
    ((-f64::from(best_prob).ln() - sum) / std::f64::consts::LN_2).max(0.) as f32
}

/// The different rows of (N,D), and for each of the N its place among them. Equal means equal to the bit.
fn distinct_rows(vectors: &Tensor) -> Result<(Tensor, Vec<usize>)> {
    let numbers = Array::from_tensor(vectors)?;
    let width = numbers.shape()[1].max(1);
    let bits: Vec<u32> = numbers.data().iter().map(|x| x.to_bits()).collect();
    let mut seen: HashMap<&[u32], usize> = HashMap::new();
    let mut first = Vec::new();
    let place = bits
        .chunks_exact(width)
        .enumerate()
        .map(|(row, bits)| {
            *seen.entry(bits).or_insert_with(|| {
                first.push(row as i64);
                first.len() - 1
            })
        })
        .collect();
    let index = Tensor::f_from_slice(&first)?.f_to_device(vectors.device())?;
    Ok((vectors.f_index_select(0, &index)?, place))
}

#[cfg(test)]
mod tests;
