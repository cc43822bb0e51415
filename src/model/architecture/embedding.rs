//! How tokens become vectors.

use std::collections::BTreeSet;

use super::{Activation, Linear, Norm};

/// How tokens become vectors: a sum of table rows, normed and mapped to the model's width where the family does so.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Embedding {
    /// The rows of tokens.
    pub tokens: Table,
    /// A factor for token rows.
    pub scale: f64,
    /// The rows of positions, where positions are added to the stream.
    pub positions: Option<PositionTable>,
    /// How token types enter.
    pub segments: Segments,
    /// The rows of languages (XLM).
    pub languages: Option<Table>,
    /// The norm of the sum.
    pub norm: Option<Norm>,
    /// A map to the model's width, and where it is.
    pub project: Option<(Linear, Place)>,
    /// How padded positions are treated.
    pub padding: Padding,
    /// A convolution of the embedded rows, added to the stream after the first block (DeBERTa v2).
    pub neighbours: Option<Convolution>,
}

impl Embedding {
    /// Plain token rows with nothing added.
    pub fn of(tokens: Table) -> Embedding {
        Embedding {
            tokens,
            scale: 1.0,
            positions: None,
            segments: Segments::None,
            languages: None,
            norm: None,
            project: None,
            padding: Padding::Hidden,
            neighbours: None,
        }
    }
}

impl Embedding {
    /// Width of the sum of token, position and other rows.
    pub fn summed_width(&self) -> usize {
        match &self.project {
            Some((linear, Place::BeforePositions)) => linear.outputs,
            _ => self.tokens.width,
        }
    }
}

/// A matrix whose rows are looked up.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Table {
    /// Its name.
    pub name: String,
    /// Names that some files have instead; token tables may have some until a file is there to settle it.
    pub other_names: Vec<String>,
    /// Number of rows.
    pub rows: usize,
    /// Length of a row.
    pub width: usize,
}

impl Table {
    /// A table that all files call by one name.
    pub fn new(name: impl Into<String>, rows: usize, width: usize) -> Table {
        Table { name: name.into(), other_names: Vec::new(), rows, width }
    }

    /// Whether both are the same matrix: known by the same names, whichever stands first.
    pub fn is(&self, other: &Table) -> bool {
        let names = |table: &Table| -> BTreeSet<String> {
            [&table.name].into_iter().chain(&table.other_names).cloned().collect()
        };
        names(self) == names(other)
    }
}

/// Where the map to the model's width is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Place {
    /// Token rows are mapped before positions are added (OPT).
    BeforePositions,
    /// The sum is mapped, then normed (DeBERTa).
    BeforeNorm,
    /// The normed sum is mapped (ALBERT, ELECTRA).
    AfterNorm,
}

/// Vectors of positions.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum PositionTable {
    /// Rows of the file.
    Learned {
        /// The rows.
        table: Table,
        /// Which row a position has.
        index: PositionIndex,
    },
    /// Sines in the first half, cosines in the second, of the position over 10000^(2i/width); not in the file.
    Sinusoidal {
        /// Numbers of a position.
        width: usize,
        /// Which angle a position has.
        index: PositionIndex,
    },
    /// Rows of the file, or [`Sinusoidal`](Self::Sinusoidal) ones where it holds none (Marian, Pegasus).
    StoredSinusoidal {
        /// The rows.
        table: Table,
        /// Which row or angle a position has.
        index: PositionIndex,
    },
}

/// Which row a position has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum PositionIndex {
    /// Its place plus this number.
    Place(usize),
    /// The number of real tokens before it, by the attention mask, plus this number; padded positions have the row
    /// before that (OPT).
    RealTokens(usize),
    /// The number of tokens up to it that are not this one, plus this one's id; this token itself has the row of its
    /// id (RoBERTa, MPNet).
    AfterPadding(usize),
}

/// How token types (`token_type_ids`) enter.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Segments {
    /// The family has none, or does not read them.
    None,
    /// A type is looked up in the token table, when types are given (GPT-2).
    TokenTable,
    /// A row is added; type 0 where none is given (BERT).
    Table(Table),
    /// Attention distinguishes the same type from another, when types are given (XLNet).
    Relative,
}

/// How padded positions are treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Padding {
    /// No other position sees them.
    Hidden,
    /// Their vectors are set to 0 after the embedding and after every block, too.
    Zeroed {
        /// Where no attention mask is given, as many positions at the end are padding as the input has tokens of this
        /// id (XLM).
        unmarked: Option<i64>,
    },
}

/// A convolution over neighbouring positions, and the norm of the stream that it is added to.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Convolution {
    /// Name of weight (D,D/groups,kernel) and bias.
    pub name: String,
    /// How many positions it mixes; an odd number.
    pub kernel: usize,
    /// The number of groups into which the stream's width is divided, each mixed separately.
    pub groups: usize,
    /// The non-linearity.
    pub activation: Activation,
    /// The norm.
    pub norm: Norm,
}
