//! Attention flow: how much can reach a position from a token of the input, by whatever ways.

use std::collections::VecDeque;
use std::ops::Range;

use rayon::prelude::*;
use tch::Tensor;

use super::rollout::{computed, nothing_to_itself, steps};
use super::{Attention, Block, Layer, Quantity};
use crate::array::Numbers;
use crate::progress::Task;
use crate::{Error, Result};

/// Tokens up to which every query is followed, and up to which one is: the time goes with their fourth and third power.
const MOST_TOKENS: usize = 64;
const MOST_OF_ONE: usize = 256;

impl Attention {
    /// Attention flow after Abnar & Zuidema 2020, "Quantifying attention flow in transformers" (arXiv 2005.00928): the
    /// heads' mean of each layer as pipes whose capacities are the weights, and the largest flow from each position
    /// behind the last layer down to each token of the input. With `residual` weights are ½ A + ½ I, as in
    /// [`rollout`](Attention::rollout); layers' rows sum to 1.
    ///
    /// The block `flow` (of an encoder-decoder `encoder flow` and `decoder flow`) has one layer, the last, of one head.
    /// Each number is a maximum in itself, so that rows do not sum to 1 ([`Quantity::Weight`]).
    ///
    /// # Errors
    /// When a layer is missing, a block holds differences, or a text has more than 64 tokens:
    /// [`flow_from`](Attention::flow_from) takes 256.
    pub fn flow(&self, residual: bool) -> Result<Attention> {
        let all = |block: &Block| flow(block, 0..block.queries.len(), residual);
        let blocks: Vec<Block> = self.blocks.iter().filter(|block| block.to_itself).map(all).collect::<Result<_>>()?;
        if blocks.is_empty() {
            return Err(nothing_to_itself());
        }
        Attention::of_blocks(self.model.clone(), blocks)
    }

    /// The [`flow`](Attention::flow) from one query of a block: a block of that query alone (1,S).
    ///
    /// # Errors
    /// When there is no such block or query, its text does not attend to itself or has more than 256 tokens, and as
    /// [`flow`](Attention::flow).
    pub fn flow_from(&self, block: &str, query: usize, residual: bool) -> Result<Attention> {
        let block = self.block(block)?;
        if !block.to_itself {
            return Err(nothing_to_itself());
        }
        if query >= block.queries.len() {
            let (name, there) = (&block.name, block.queries.len());
            return Err(Error::Attention(format!(
                "block {name} has no token {query}; there are {there}, counted from 0"
            )));
        }
        Attention::of_blocks(self.model.clone(), vec![flow(block, query..query + 1, residual)?])
    }
}

fn flow(block: &Block, queries: Range<usize>, residual: bool) -> Result<Block> {
    let tokens = block.queries.len();
    let (limit, way_out) = match queries.len() {
        1 => (MOST_OF_ONE, "rollout(..) has no limit"),
        _ => (MOST_TOKENS, "take one query with flow_from(..), merge tokens with words(), or use rollout(..)"),
    };
    if tokens > limit {
        return Err(Error::Attention(format!(
            "block {} has {tokens} tokens, and flow would take too long with more than {limit}; {way_out}",
            block.name
        )));
    }
    let steps = steps(block, residual)?;
    let Some(last) = block.layers.last() else { return Ok(block.clone()) };
    let mut pipes = Vec::with_capacity(steps.len() * tokens * tokens);
    for step in steps.iter().rev() {
        pipes.extend(Numbers::of(step)?.data().iter().map(|&weight| capacity(weight)));
    }
    let task = Task::begin("attention flow", queries.len(), "queries");
    let row = |network: &mut Network, query: usize| -> Result<Vec<f32>> {
        let one = |key| task.check().map(|()| weight(network.most(query, key)));
        let row = (0..tokens).map(one).collect::<Result<Vec<f32>>>()?;
        task.advance()?;
        Ok(row)
    };
    let rows = queries.clone().into_par_iter().map_init(|| Network::new(tokens, &pipes), row);
    let rows: Vec<Vec<f32>> = rows.collect::<Result<_>>()?;
    task.finish();
    let weights = Tensor::f_from_slice(&rows.concat())?.f_view([1, queries.len() as i64, tokens as i64])?;
    Ok(Block {
        name: computed(&block.name, "flow"),
        kind: Quantity::Weight,
        to_itself: queries.len() == tokens,
        second: block.second.filter(|_| queries.len() == tokens),
        queries: block.queries[queries].to_vec(),
        layers: vec![Layer { number: last.number, heads: vec![0], key_heads: vec![0], weights, written: None }],
        ..block.clone()
    })
}

/// Flows are whole numbers of 2^-32: they end, where fractions would leave crumbs.
const ONE: f64 = 4_294_967_296.0;

fn capacity(weight: f32) -> i64 {
    (f64::from(weight) * ONE).round() as i64
}

fn weight(flow: i64) -> f32 {
    (flow as f64 / ONE) as f32
}

/// Positions above positions: L+1 rows of T nodes, the input at the bottom, with pipes from each row to the next.
///
/// The largest flow is found after Dinic: on shortest ways only, as much as goes, until no way is left. Water may be
/// sent back up where it flows, which makes longer ways.
struct Network<'a> {
    tokens: usize,
    rows: usize,
    /// (L,T,T): what each pipe holds; from the upper node, to the lower.
    pipes: &'a [i64],
    /// The same less what flows.
    left: Vec<i64>,
    /// (L,T,T): what flows; by the lower node, then the upper.
    flows: Vec<i64>,
    /// Steps from each node to the sink.
    steps: Vec<usize>,
    /// The neighbour of each node that is tried next: T below, then T above.
    next: Vec<usize>,
}

impl<'a> Network<'a> {
    fn new(tokens: usize, pipes: &'a [i64]) -> Network<'a> {
        let rows = pipes.len() / (tokens * tokens) + 1;
        let nodes = rows * tokens;
        let (left, flows) = (pipes.to_vec(), vec![0; pipes.len()]);
        Network { tokens, rows, pipes, left, flows, steps: vec![0; nodes], next: vec![0; nodes] }
    }

    /// The largest flow from a position at the top to one at the bottom.
    fn most(&mut self, query: usize, key: usize) -> i64 {
        self.left.copy_from_slice(self.pipes);
        self.flows.fill(0);
        let (source, sink) = (query, (self.rows - 1) * self.tokens + key);
        let mut total = 0;
        while self.measure(source, sink) {
            self.next.fill(0);
            total += self.fill(source, sink);
        }
        total
    }

    /// The neighbour of a node, and the place of the pipe in `left` (down) or `flows` (up).
    fn neighbour(&self, node: usize, number: usize) -> Option<(usize, usize)> {
        let (tokens, row, place) = (self.tokens, node / self.tokens, node % self.tokens);
        if number < tokens {
            let down = (row + 1) * tokens + number;
            (row + 1 < self.rows).then_some((down, (row * tokens + place) * tokens + number))
        } else {
            let number = number - tokens;
            let above = row.checked_sub(1)?;
            Some((above * tokens + number, (above * tokens + place) * tokens + number))
        }
    }

    fn room(&self, number: usize, pipe: usize) -> i64 {
        if number < self.tokens { self.left[pipe] } else { self.flows[pipe] }
    }

    /// Counts the steps from each node to the sink; whether the source has a way.
    fn measure(&mut self, source: usize, sink: usize) -> bool {
        self.steps.fill(usize::MAX);
        self.steps[sink] = 0;
        let mut queue = VecDeque::from([sink]);
        while let Some(node) = queue.pop_front() {
            if node == source {
                return true;
            }
            let steps = self.steps[node] + 1;
            for number in 0..2 * self.tokens {
                // Against the stream: who is above needs room downwards, who is below a flow to send back.
                let Some((other, _)) = self.neighbour(node, number) else { continue };
                if self.steps[other] != usize::MAX {
                    continue;
                }
                let back = node % self.tokens + if number < self.tokens { self.tokens } else { 0 };
                let room = self.neighbour(other, back).is_some_and(|(_, pipe)| self.room(back, pipe) > 0);
                if room {
                    self.steps[other] = steps;
                    queue.push_back(other);
                }
            }
        }
        false
    }

    /// Sends as much as goes on ways of the measured length.
    fn fill(&mut self, source: usize, sink: usize) -> i64 {
        let mut total = 0;
        let mut way: Vec<(usize, usize, usize)> = Vec::new();
        let mut node = source;
        loop {
            if node == sink {
                let most = way.iter().map(|&(_, number, pipe)| self.room(number, pipe)).min().unwrap_or_default();
                total += most;
                for &(from, number, pipe) in &way {
                    self.send(from, number, pipe, most);
                }
                // On from where the first pipe is full now.
                let full = way.iter().position(|&(_, number, pipe)| self.room(number, pipe) == 0).unwrap_or_default();
                node = way[full].0;
                way.truncate(full);
                continue;
            }
            let mut onward = None;
            while self.next[node] < 2 * self.tokens {
                let number = self.next[node];
                let nearer =
                    |other: usize| self.steps[other] != usize::MAX && self.steps[other] + 1 == self.steps[node];
                if let Some((other, pipe)) = self.neighbour(node, number)
                    && nearer(other)
                    && self.room(number, pipe) > 0
                {
                    onward = Some((other, number, pipe));
                    break;
                }
                self.next[node] += 1;
            }
            match (onward, way.pop()) {
                (Some((other, number, pipe)), before) => {
                    way.extend(before);
                    way.push((node, number, pipe));
                    node = other;
                }
                (None, Some((before, _, _))) => {
                    self.next[before] += 1;
                    node = before;
                }
                (None, None) => return total,
            }
        }
    }

    /// Sends through a pipe, or back.
    fn send(&mut self, from: usize, number: usize, pipe: usize, amount: i64) {
        let (tokens, place) = (self.tokens, from % self.tokens);
        let layer = pipe / (tokens * tokens);
        if number < tokens {
            self.left[pipe] -= amount;
            self.flows[(layer * tokens + number) * tokens + place] += amount;
        } else {
            self.flows[pipe] -= amount;
            self.left[(layer * tokens + (number - tokens)) * tokens + place] += amount;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, array};

    /// The smallest cut, by trying all.
    fn cut(tokens: usize, pipes: &[i64], query: usize, key: usize) -> i64 {
        let rows = pipes.len() / (tokens * tokens) + 1;
        let (source, sink) = (query, (rows - 1) * tokens + key);
        let cuts = (0..1usize << (rows * tokens)).filter(|set| set >> source & 1 == 1 && set >> sink & 1 == 0);
        let size = |set: usize| {
            let crosses = |&place: &usize| {
                let (row, upper, lower) = (place / (tokens * tokens), place / tokens % tokens, place % tokens);
                set >> (row * tokens + upper) & 1 == 1 && set >> ((row + 1) * tokens + lower) & 1 == 0
            };
            (0..pipes.len()).filter(crosses).map(|place| pipes[place]).sum::<i64>()
        };
        cuts.map(size).min().unwrap()
    }

    #[test]
    fn the_largest_flow_is_the_smallest_cut() {
        let mut seed = 12345u64;
        let mut random = move || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 40) as i64
        };
        for (tokens, layers) in [(2, 2), (3, 2), (3, 3), (2, 5), (4, 2), (1, 4)] {
            for _ in 0..8 {
                // Small numbers and many zeros: ways that must give way to others.
                let pipes: Vec<i64> = (0..layers * tokens * tokens).map(|_| (random() % 9 - 3).max(0)).collect();
                let mut network = Network::new(tokens, &pipes);
                for query in 0..tokens {
                    for key in 0..tokens {
                        let (got, expected) = (network.most(query, key), cut(tokens, &pipes, query, key));
                        assert_eq!(got, expected, "{query} to {key} of {tokens} tokens through {pipes:?}");
                    }
                }
            }
        }
    }

    #[test]
    fn one_layer_lets_through_what_it_weighs() {
        let weights = array![[[1.0f32, 0.0], [0.25, 0.75]]];
        let attention = Attention::new(["a", "b"], [weights]).unwrap();
        let plain = attention.flow(false).unwrap();
        assert_eq!(plain.names(), ["flow"]);
        assert_eq!(plain.weights("flow", 0, 0).unwrap().data(), [1.0, 0.0, 0.25, 0.75]);
        assert_eq!(attention.flow(true).unwrap().weights("flow", 0, 0).unwrap().data(), [1.0, 0.0, 0.125, 0.875]);
    }

    #[test]
    fn layers_flow_by_all_ways() {
        let first = array![[[0.5f32, 0.5], [0.25, 0.75]]];
        let last = array![[[0.5f32, 0.5], [0.125, 0.875]]];
        let attention = Attention::new(["a", "b"], [first, last]).unwrap();
        let flow = attention.flow(false).unwrap();
        // From "b" behind layer 1 to "a": min(1/8, 1/2) by "a" and min(7/8, 1/4) by "b".
        assert_eq!(flow.weights("flow", 1, 0).unwrap().row(1).unwrap().data(), [0.375, 0.875]);
        let one = attention.flow_from("all", 1, false).unwrap();
        assert_eq!(one.weights("flow", 1, 0).unwrap().shape(), [1, 2]);
        assert_eq!(one.weights("flow", 1, 0).unwrap().data(), [0.375, 0.875]);
        assert_eq!(one.blocks()[0].queries()[0].text, "b");
        assert!(attention.flow_from("all", 2, false).unwrap_err().to_string().contains("no token 2; there are 2"));
    }

    #[test]
    fn refuses_what_would_take_too_long() {
        let long = |tokens: usize| {
            let even = Array3::from_elem((1, tokens, tokens), 1.0 / tokens as f32);
            Attention::new((0..tokens).map(|it| it.to_string()), [even]).unwrap()
        };
        let problem = long(65).flow(true).unwrap_err().to_string();
        assert!(problem.contains("65 tokens") && problem.contains("flow_from(..)"), "{problem}");
        assert!(long(65).flow_from("all", 3, true).is_ok());
        assert!(long(257).flow_from("all", 3, true).unwrap_err().to_string().contains("rollout(..)"));
    }
}
