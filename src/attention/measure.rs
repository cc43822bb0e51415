//! What a head does, in one number: how spread its attention is, how far it looks, and what share goes to places of
//! one kind.

use std::collections::HashMap;
use std::fmt;
use std::ops::Deref;
use std::str::FromStr;

use rayon::prelude::*;

use super::{Attention, Block, Quantity, Token};
use crate::array::Numbers;
use crate::progress::Task;
use crate::{Error, Result};

/// A way to measure what a head does.
///
/// Each is a mean over queries. A share is that of a query's attention that goes to one kind of place, from 0 to 1,
/// and its mean is over the queries that have such a place among the keys that they can see: a head that always looks
/// at the preceding token has [`Previous`](Measure::Previous) 1, although the first token has none before it. Special
/// tokens are never the same token as another: padding would count for all else.
///
/// [`Induction`](Measure::Induction) is the prefix matching score of Olsson et al. 2022 (arXiv 2209.11895), measured on
/// the given text instead of repeated random tokens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Measure {
    /// How spread a query's attention is: −Σ p log2 p, in bits. 0 where all goes to one token.
    Entropy,
    /// How far away the keys are, weighted by attention: Σ p |i − j|, in tokens.
    Distance,
    /// The share on the preceding token.
    Previous,
    /// The share on the following token.
    Next,
    /// The share on the query itself.
    Itself,
    /// The share on the first position, of the queries after it.
    First,
    /// The share on other tokens of the same text.
    SameToken,
    /// The share on special tokens, such as `[SEP]`, after the first position, which is [`First`](Measure::First).
    Separator,
    /// The share on tokens that followed an earlier occurrence of the query's token.
    Induction,
}

impl Measure {
    /// All of them.
    pub const ALL: [Measure; 9] = [
        Measure::Entropy,
        Measure::Distance,
        Measure::Previous,
        Measure::Next,
        Measure::Itself,
        Measure::First,
        Measure::SameToken,
        Measure::Separator,
        Measure::Induction,
    ];

    /// Its name, e.g. `same-token`.
    pub fn name(self) -> &'static str {
        match self {
            Measure::Entropy => "entropy",
            Measure::Distance => "distance",
            Measure::Previous => "previous",
            Measure::Next => "next",
            Measure::Itself => "itself",
            Measure::First => "first",
            Measure::SameToken => "same-token",
            Measure::Separator => "separator",
            Measure::Induction => "induction",
        }
    }

    /// Its name as a title, e.g. `Same token`.
    pub fn title(self) -> &'static str {
        match self {
            Measure::Entropy => "Entropy",
            Measure::Distance => "Distance",
            Measure::Previous => "Previous token",
            Measure::Next => "Next token",
            Measure::Itself => "Itself",
            Measure::First => "First position",
            Measure::SameToken => "Same token",
            Measure::Separator => "Separator",
            Measure::Induction => "Induction",
        }
    }

    /// The unit in which its numbers are shown; shares are shown in percent.
    pub fn unit(self) -> &'static str {
        match self {
            Measure::Entropy => "bits",
            Measure::Distance => "tokens",
            _ => "%",
        }
    }

    /// What it means, in one sentence.
    pub fn about(self) -> &'static str {
        match self {
            Measure::Entropy => "How spread the attention of a token is: 0 bits where all of it goes to one token.",
            Measure::Distance => "How far away the tokens are that a token attends to, weighted by attention.",
            Measure::Previous => "The share of attention on the token before.",
            Measure::Next => "The share of attention on the token after.",
            Measure::Itself => "The share of attention that a token pays to itself.",
            Measure::First => {
                "The share of attention on the first position, where heads with nothing to do often look."
            }
            Measure::SameToken => "The share of attention on other occurrences of the same token.",
            Measure::Separator => "The share of attention on special tokens other than the first position.",
            Measure::Induction => "The share of attention on what followed an earlier occurrence of the same token.",
        }
    }

    /// Whether it is a part of all attention, from 0 to 1.
    fn is_share(self) -> bool {
        !matches!(self, Measure::Entropy | Measure::Distance)
    }

    /// What its numbers are multiplied by to be shown in its unit.
    pub(crate) fn scale(self) -> f32 {
        if self.is_share() { 100.0 } else { 1.0 }
    }
}

impl fmt::Display for Measure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Measure {
    type Err = Error;

    fn from_str(name: &str) -> Result<Measure> {
        Measure::ALL.into_iter().find(|measure| measure.name() == name).ok_or_else(|| {
            Error::Attention(format!("there is no measure {name:?}; there are: {}", names(&Measure::ALL)))
        })
    }
}

fn names(measures: &[Measure]) -> String {
    measures.iter().map(|measure| measure.name()).collect::<Vec<_>>().join(", ")
}

/// A head and its value.
#[derive(Debug, Clone, PartialEq)]
pub struct HeadScore {
    /// The name of its block.
    pub block: String,
    /// Its layer's number.
    pub layer: usize,
    /// Its number.
    pub head: usize,
    /// Bits, tokens, or a share from 0 to 1.
    pub value: f32,
}

/// Heads in the order of a measure, the largest first; prints as a table.
#[derive(Clone, PartialEq)]
pub struct HeadScores {
    /// What they are measured by.
    pub measure: Measure,
    /// The heads.
    pub heads: Vec<HeadScore>,
}

impl IntoIterator for HeadScores {
    type Item = HeadScore;
    type IntoIter = std::vec::IntoIter<HeadScore>;

    fn into_iter(self) -> Self::IntoIter {
        self.heads.into_iter()
    }
}

impl Deref for HeadScores {
    type Target = [HeadScore];

    fn deref(&self) -> &[HeadScore] {
        &self.heads
    }
}

impl fmt::Display for HeadScores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.measure.title(), self.measure.about())?;
        let one_block = self.heads.iter().all(|head| head.block == self.heads[0].block);
        let wide = self.heads.iter().map(|head| head.block.chars().count()).max().unwrap_or_default();
        for HeadScore { block, layer, head, value } in &self.heads {
            f.write_str("\n  ")?;
            if !one_block {
                write!(f, "{block:wide$}  ")?;
            }
            let value = value * self.measure.scale();
            write!(f, "layer {layer:>2}  head {head:>2}  {value:>7.2} {}", self.measure.unit())?;
        }
        Ok(())
    }
}

impl fmt::Debug for HeadScores {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl Attention {
    /// The `count` heads of all blocks with the largest values of a measure, largest first: a search for heads that
    /// attend, say, to the previous token.
    ///
    /// ```
    /// # fn main() -> flowlens::Result<()> {
    /// use flowlens::attention::{Attention, Measure};
    ///
    /// // Head 1 looks at the token before.
    /// let weights = flowlens::ndarray::array![[[1.0f32, 0.0], [0.5, 0.5]], [[1.0, 0.0], [0.9, 0.1]]];
    /// let found = Attention::new(["to", "be"], [weights])?.find(Measure::Previous, 1)?;
    /// assert_eq!((found[0].head, found[0].value), (1, 0.9));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// When no block can be measured so: see [`Block::measures`].
    pub fn find(&self, measure: Measure, count: usize) -> Result<HeadScores> {
        let mut heads = Vec::new();
        for block in &self.blocks {
            let Some((_, values)) = block.measured(&[measure])?.pop() else { continue };
            for (layer, values) in block.layers.iter().zip(values) {
                let score = |(&head, value)| HeadScore { block: block.name.clone(), layer: layer.number, head, value };
                heads.extend(layer.heads.iter().zip(values).map(score));
            }
        }
        if heads.is_empty() {
            return Err(match self.blocks.first() {
                Some(block) => block.not_measured(measure)?,
                None => Error::Attention("there are no blocks to search; give at least one".to_owned()),
            });
        }
        heads.sort_by(|a, b| b.value.total_cmp(&a.value));
        heads.truncate(count);
        Ok(HeadScores { measure, heads })
    }
}

impl Block {
    /// What its heads can be measured by. Differences by nothing; cross attention, whose sides are different texts, not
    /// by what is told from positions; shares only where a query has such a place among the keys that it can see.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn measures(&self) -> Result<Vec<Measure>> {
        if self.kind == Quantity::Difference {
            return Ok(Vec::new());
        }
        let causal = self.is_causal()?;
        Ok(Measure::ALL.into_iter().filter(|&measure| self.places(measure, causal).is_some()).collect())
    }

    /// The value of each head of each layer, in the order of [`layers`](Block::layers) and
    /// [`heads`](Block::heads): bits, tokens, or shares from 0 to 1.
    ///
    /// Rows of [`Quantity::Weight`] are brought to sum 1 first; queries that see nothing are left out.
    ///
    /// # Errors
    /// When the block cannot be measured so: see [`measures`](Block::measures).
    pub fn measure(&self, measure: Measure) -> Result<Vec<Vec<f32>>> {
        match self.measured(&[measure])?.pop() {
            Some((_, values)) => Ok(values),
            None => Err(self.not_measured(measure)?),
        }
    }

    fn not_measured(&self, measure: Measure) -> Result<Error> {
        let name = &self.name;
        Ok(Error::Attention(match self.measures()?[..] {
            [] => format!("block {name} holds differences, which no measure fits; measure each side by itself"),
            ref possible => format!(
                "block {name} cannot be measured by {measure}: no query has such a place among the keys that it sees; \
                 take another text, or one of: {}",
                names(possible)
            ),
        }))
    }

    /// The values of those measures that fit, each by layer and head.
    pub(crate) fn measured(&self, measures: &[Measure]) -> Result<Vec<(Measure, Vec<Vec<f32>>)>> {
        if self.kind == Quantity::Difference {
            return Ok(Vec::new());
        }
        let causal = self.is_causal()?;
        let places = |&measure: &Measure| Some((measure, self.places(measure, causal)?));
        let looked_for: Vec<(Measure, Places)> = measures.iter().filter_map(places).collect();
        let numbers = self.layers.iter().map(|layer| Numbers::of(&layer.weights)).collect::<Result<Vec<Numbers>>>()?;
        let layers: Vec<&[f32]> = numbers.iter().map(Numbers::data).collect();
        let shape = (self.queries.len(), self.keys.len());
        let (kind, looked_for) = (self.kind, &looked_for);
        let task = Task::begin("measuring heads", layers.len(), "layers");
        let of_layer = |layer: &&[f32]| -> Result<Vec<Vec<f32>>> {
            task.advance()?;
            let heads = layer.chunks(shape.0 * shape.1).map(|weights| Head::of(weights, shape, causal, kind));
            let means = |head: Head| looked_for.iter().map(|(measure, places)| head.mean(*measure, places)).collect();
            Ok(heads.map(means).collect())
        };
        // By layer, head and measure.
        let values: Vec<Vec<Vec<f32>>> = layers.par_iter().map(of_layer).collect::<Result<_>>()?;
        task.finish();
        let of_measure = |place: usize| -> Vec<Vec<f32>> {
            values.iter().map(|layer| layer.iter().map(|head| head[place]).collect()).collect()
        };
        Ok(looked_for.iter().enumerate().map(|(place, (measure, _))| (*measure, of_measure(place))).collect())
    }

    /// Whether no query attends to what comes later.
    pub(crate) fn is_causal(&self) -> Result<bool> {
        let (queries, keys) = (self.queries.len(), self.keys.len());
        if !self.to_itself {
            return Ok(false);
        }
        for layer in &self.layers {
            let numbers = Numbers::of(&layer.weights)?;
            let later = |(place, row): (usize, &[f32])| row[place % queries + 1..].iter().any(|&weight| weight != 0.0);
            if numbers.data().chunks(keys).enumerate().any(later) {
                return Ok(false);
            }
        }
        Ok(true)
    }

    /// Where the queries find what the measure looks for; `None` where none does.
    fn places(&self, measure: Measure, causal: bool) -> Option<Places> {
        let positions = matches!(
            measure,
            Measure::Distance | Measure::Previous | Measure::Next | Measure::Itself | Measure::Induction
        );
        if positions && !self.to_itself {
            return None;
        }
        let (queries, keys) = (self.queries.len(), self.keys.len());
        let (asking, answering) = self.same_texts();
        let special: Vec<bool> = self.keys.iter().map(|token| token.special).collect();
        let same = |query: usize, key: usize| asking[query].is_some() && asking[query] == answering[key];
        let looked_for = |i: usize, j: usize| match measure {
            Measure::Entropy | Measure::Distance => false,
            Measure::Previous => j + 1 == i,
            Measure::Next => j == i + 1,
            // The first query of a causal text has no choice.
            Measure::Itself => i == j && !(causal && i == 0),
            Measure::First => j == 0 && !(self.to_itself && i == 0),
            Measure::SameToken => same(i, j) && !(self.to_itself && i == j),
            Measure::Separator => j > 0 && special[j],
            Measure::Induction => j > 0 && j < i && same(i, j - 1),
        };
        let mut places = Places { found: Vec::new(), asked: Vec::with_capacity(queries) };
        for i in 0..queries {
            let before = places.found.len();
            let seen = if causal { i + 1 } else { keys };
            places.found.extend((0..seen).filter(|&j| looked_for(i, j)).map(|j| i * keys + j));
            let part = !measure.is_share() || places.found.len() > before;
            places.asked.push(f32::from(u8::from(part)));
        }
        places.asked.contains(&1.0).then_some(places)
    }

    /// A number for the text of each query and of each key: the same for the same text, none for special tokens.
    fn same_texts(&self) -> (Vec<Option<usize>>, Vec<Option<usize>>) {
        let mut known = HashMap::new();
        let mut number = |token: &Token| {
            let next = known.len();
            // Parts of characters have the same raw text, but are shown as different bytes.
            let key = (token.text.clone(), token.shown.clone());
            (!token.special).then(|| *known.entry(key).or_insert(next))
        };
        (self.queries.iter().map(&mut number).collect(), self.keys.iter().map(&mut number).collect())
    }
}

/// Where the queries of a block find what a measure looks for.
struct Places {
    /// Those places of (T,S), in order.
    found: Vec<usize>,
    /// (T): 1 for the queries that are part of the mean.
    asked: Vec<f32>,
}

/// The weights of one head.
struct Head<'a> {
    /// (T,S).
    weights: &'a [f32],
    keys: usize,
    causal: bool,
    /// (T).
    sums: Vec<f32>,
    /// (T): what brings a row to sum 1.
    scales: Vec<f32>,
}

impl<'a> Head<'a> {
    fn of(weights: &'a [f32], (queries, keys): (usize, usize), causal: bool, kind: Quantity) -> Head<'a> {
        let mut head = Head { weights, keys, causal, sums: Vec::new(), scales: Vec::new() };
        head.sums = (0..queries).map(|query| head.row(query).iter().sum()).collect();
        let scale = |&sum: &f32| if kind == Quantity::Probability || sum == 0.0 { 1.0 } else { 1.0 / sum };
        head.scales = head.sums.iter().map(scale).collect();
        head
    }

    /// What a query sees.
    fn row(&self, query: usize) -> &[f32] {
        let start = query * self.keys;
        &self.weights[start..start + if self.causal { query + 1 } else { self.keys }]
    }

    fn mean(&self, measure: Measure, places: &Places) -> f32 {
        let seeing = |&query: &usize| self.sums[query] != 0.0;
        let queries = (0..self.sums.len()).filter(seeing);
        let count: f32 = queries.clone().map(|query| places.asked[query]).sum();
        let total: f64 = match measure {
            Measure::Entropy => queries.map(|query| f64::from(self.entropy(query))).sum(),
            Measure::Distance => queries.map(|query| f64::from(self.scales[query] * self.distance(query))).sum(),
            _ => {
                let share = |&place: &usize| f64::from(self.weights[place] * self.scales[place / self.keys]);
                places.found.iter().map(share).sum()
            }
        };
        (total / f64::from(count.max(1.0))) as f32
    }

    /// log Σ w − (Σ w log w) / Σ w, in bits: rows need not sum to 1.
    fn entropy(&self, query: usize) -> f32 {
        let weighted = |&weight: &f32| if weight > 0.0 { weight * weight.log2() } else { 0.0 };
        let sum = self.sums[query];
        (sum.log2() - self.row(query).iter().map(weighted).sum::<f32>() / sum).max(0.0)
    }

    fn distance(&self, query: usize) -> f32 {
        self.row(query).iter().enumerate().map(|(key, weight)| weight * query.abs_diff(key) as f32).sum()
    }
}

#[cfg(test)]
mod tests;
