//! How much of a block is shown.

/// Which heads of a layer are shown; the others are summed into one remainder.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Heads {
    /// All of them.
    All,
    /// The ones that write the longest vectors.
    Top(usize),
    /// The ones that move the first target's logit most against the average token's, up or down.
    ByTarget(usize),
}

/// How much of a block is shown.
#[derive(Debug, Clone, Copy)]
pub(super) struct Amounts {
    pub heads: Heads,
    pub values_per_head: usize,
    pub top_neurons: usize,
    pub bottom_neurons: usize,
}
