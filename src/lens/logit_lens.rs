//! The logit lens: what the model would say if it ended after each layer.

use tch::Tensor;

use super::{TargetScore, TokenScore};
use crate::run::Trace;
use crate::{Error, Result, Site, interrupt};

/// The residual stream read as words, layer by layer and position by position (nostalgebraist 2020).
///
/// Rows follow the computation: first what enters the first block, then the stream after every block, in post-norm
/// models after its last norm; the last row is what the model itself says.
#[derive(Debug, Clone, PartialEq)]
pub struct LogitLens {
    /// Name of the model.
    pub model: String,
    /// The run's tokens, as text: the columns.
    pub tokens: Vec<String>,
    /// The readings.
    pub rows: Vec<LensRow>,
    /// The token that all cells rank; `None` when every column ranks the model's own next token.
    pub target: Option<TokenScore>,
}

/// The stream at one depth.
#[derive(Debug, Clone, PartialEq)]
pub struct LensRow {
    /// Where the stream is read.
    pub site: Site,
    /// One for each position.
    pub cells: Vec<LensCell>,
}

/// The stream at one depth and position.
#[derive(Debug, Clone, PartialEq)]
pub struct LensCell {
    /// The best token.
    pub top: TokenScore,
    /// The next best, best first: four, or what a small vocabulary has.
    pub others: Vec<TokenScore>,
    /// Entropy of the whole distribution, in bits.
    pub entropy: f32,
    /// The rank, logit and probability of the target here.
    pub target: TargetScore,
}

impl Trace {
    /// Reads the residual stream after every layer as words. Each column ranks the token that the model itself
    /// puts first there, which shows at what depth the answer appears.
    ///
    /// ```no_run
    /// # fn main() -> flowlens::Result<()> {
    /// let model = flowlens::Model::load("smollm2-135m")?;
    /// let lens = model.run("The capital of Japan is the city of")?.logit_lens()?;
    /// let last = &lens.rows[25].cells[7];
    /// println!("after layer 24: {:?}, the answer is at rank {}", last.top.text, last.target.rank);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When the run did not keep the residual stream of every layer.
    pub fn logit_lens(&self) -> Result<LogitLens> {
        self.read_depths(None)
    }

    /// [`logit_lens`](Trace::logit_lens), ranking one token everywhere.
    ///
    /// # Errors
    /// As [`logit_lens`](Trace::logit_lens), and when `target` is outside the vocabulary.
    pub fn logit_lens_of(&self, target: u32) -> Result<LogitLens> {
        self.read_depths(Some(target))
    }

    fn read_depths(&self, target: Option<u32>) -> Result<LogitLens> {
        interrupt::during("the logit lens", || self.read_depths_now(target))
    }

    fn read_depths_now(&self, target: Option<u32>) -> Result<LogitLens> {
        let model = self.model();
        let lens = model.lens()?.top(5).bottom(0);
        let sites: Vec<Site> = std::iter::once(Site::ResidPre(0))
            .chain((0..model.layers()).map(|layer| model.stream_after(layer)))
            .collect();
        let streams = sites.iter().map(|&site| self.tensor(site)).collect::<Result<Vec<Tensor>>>()?;
        let last = streams.last().map(Tensor::shallow_clone).unwrap_or_else(Tensor::new);
        let targets: Vec<u32> = match target {
            Some(id) => vec![id; self.len()],
            None => {
                let own = lens.read_tensor(&last)?;
                own.iter().map(|reading| reading.top.first().map_or(0, |token| token.id)).collect()
            }
        };
        let all_targets: Vec<u32> = sites.iter().flat_map(|_| targets.iter().copied()).collect();
        let mut readings = lens.read_each(&Tensor::f_cat(&streams, 0)?, &all_targets)?.into_iter();
        let mut rows = Vec::with_capacity(sites.len());
        for site in sites {
            let mut cells = Vec::with_capacity(self.len());
            for reading in readings.by_ref().take(self.len()) {
                let mut tops = reading.top.into_iter();
                let (Some(top), Some(target)) = (tops.next(), reading.targets.into_iter().next()) else {
                    return Err(Error::site(
                        site,
                        "holds something that is not a number; check the weights and the changes of this run",
                    ));
                };
                cells.push(LensCell { top, others: tops.collect(), entropy: reading.entropy, target });
            }
            rows.push(LensRow { site, cells });
        }
        let target = target.and_then(|_| rows.last()?.cells.last()).map(|cell| {
            let TargetScore { id, text, logit, prob, .. } = cell.target.clone();
            TokenScore { id, text, logit, prob }
        });
        Ok(LogitLens { model: model.name().to_owned(), tokens: self.pieces(), rows, target })
    }
}

impl LogitLens {
    /// A short name for the depth of each row: `in`, then the number of the block that came before.
    pub fn row_names(&self) -> Vec<String> {
        self.rows
            .iter()
            .map(|row| match row.site {
                Site::ResidPre(_) => "in".to_owned(),
                site => site.layer().map_or_else(String::new, |layer| layer.to_string()),
            })
            .collect()
    }
}

impl std::fmt::Display for LogitLens {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let short = |text: &str| -> String {
            let shown = crate::text::visible(text);
            if shown.chars().count() > 10 { shown.chars().take(9).chain(['…']).collect() } else { shown }
        };
        write!(f, "{:>4}", "")?;
        for token in &self.tokens {
            write!(f, " {:>10}", short(token))?;
        }
        for (name, row) in self.row_names().iter().zip(&self.rows) {
            write!(f, "\n{name:>4}")?;
            for cell in &row.cells {
                write!(f, " {:>10}", short(&cell.top.text))?;
            }
        }
        Ok(())
    }
}
