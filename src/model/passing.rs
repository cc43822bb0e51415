//! What a run needs for a moment, beside what is kept of it.

use super::architecture::{Block, Stack};
use super::{Model, Tokens};

/// Numbers of scores and patterns are float32 while they are made.
const SCORE_BYTES: u64 = 4;
/// Of scores (H,T,S): as they are, masked, and as probabilities.
const SCORES: u64 = 3;
/// Of an MLP's neurons (T,I): gate, up, and their product.
const NEURONS: u64 = 3;

impl Model {
    /// The most bytes that pass by at once while `queries` positions of a text of these tokens are run.
    ///
    /// Attention makes them: heads x T x T numbers several times over, which is 97 GB for 30,000 tokens of a small model.
    pub(crate) fn passing_bytes(&self, tokens: &Tokens, queries: usize) -> u64 {
        let plan = self.architecture();
        let size = self.dtype().bytes() as u64;
        let source = tokens.source.as_ref().map_or(0, |source| source.len());
        let main = largest(&plan.main, size, queries, tokens.len(), source);
        let encoder = plan.encoder.as_ref().map_or(0, |encoder| largest(encoder, size, source, source, 0));
        main.max(encoder)
    }
}

/// Of a stack's layers the one that takes most.
fn largest(stack: &Stack, size: u64, queries: usize, keys: usize, source: usize) -> u64 {
    let of_block = |block: &Block| {
        let scores = |heads: usize, keys: usize, more: u64| {
            product(&[heads, queries, keys]).saturating_mul((SCORES + more) * SCORE_BYTES)
        };
        // Matrices for distances give two more of the scores' size.
        let relative = if block.attention.relative.is_some() { 2 } else { 0 };
        let own = scores(block.attention.heads, keys, relative);
        let cross = block.cross.as_ref().map_or(0, |cross| scores(cross.attention.heads, source, 0));
        let neurons = product(&[queries, block.mlp.neurons()]).saturating_mul(NEURONS * size);
        own.max(cross).max(neurons)
    };
    let mut windows: Vec<Option<usize>> = stack.blocks.iter().map(|block| block.attention.window).collect();
    windows.sort_unstable();
    windows.dedup();
    // A mask for each window, a byte for each pair of positions, made as a list first.
    let masks = product(&[queries, keys, windows.len() + 1]);
    stack.blocks.iter().map(of_block).max().unwrap_or(0).saturating_add(masks)
}

fn product(sizes: &[usize]) -> u64 {
    sizes.iter().fold(1, |product: u64, &size| product.saturating_mul(size as u64))
}
