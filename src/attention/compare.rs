//! Two runs or two models side by side, and their difference.

use super::{Attention, Block, Layer, Quantity, Token};
use crate::text::{list, model_name};
use crate::{Error, Result};

impl Attention {
    /// Two attentions in one: the blocks of `a` and those of `b` under the names of their models, and where they fit,
    /// their difference. For the same text in two models, two texts of one length in one model, or a run before and
    /// after a [`Change`](crate::Change).
    ///
    /// Blocks are called `smollm2: all` and so on, the difference `smollm2 − gpt2: all`; runs of one model are called
    /// `A` and `B` unless [`named`](Attention::named).
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn compare(a: &Attention, b: &Attention) -> Result<Attention> {
        let (left, right) = match (model_name(&a.model), model_name(&b.model)) {
            (left, right) if left == right || left.is_empty() || right.is_empty() => ("A", "B"),
            names => names,
        };
        let under = |name: &str, blocks: &[Block]| -> Vec<Block> {
            let named = |block: &Block| Block { name: format!("{name}: {}", block.name), ..block.clone() };
            blocks.iter().map(named).collect()
        };
        let mut blocks = under(left, &a.blocks);
        blocks.extend(under(right, &b.blocks));
        for block in &a.blocks {
            // Without a partner that fits, the two still stand beside each other.
            let fitting = b.blocks.iter().find(|other| other.name == block.name && fit(block, other).is_none());
            if let Some(other) = fitting {
                blocks.extend(under(&format!("{left} − {right}"), &[difference(block, other)?]));
            }
        }
        Attention::of_blocks(format!("{left} and {right}"), blocks)
    }

    /// This less the other, weight by weight: [`Quantity::Difference`]. Where the texts of two tokens differ, the token
    /// shows both, as in `France/Japan`.
    ///
    /// # Errors
    /// When the two differ in blocks, layers, heads or numbers of tokens; the first that does not fit is named.
    pub fn minus(&self, other: &Attention) -> Result<Attention> {
        if self.names() != other.names() {
            let (left, right) = (self.names().join(", "), other.names().join(", "));
            return Err(Error::Attention(format!(
                "one side has the blocks {left} and the other {right}; take the difference of models of one kind"
            )));
        }
        let subtract = |(block, other)| match fit(block, other) {
            Some(problem) => Err(Error::Attention(format!("block {}: {problem}", block.name))),
            None => difference(block, other),
        };
        let blocks = self.blocks.iter().zip(&other.blocks).map(subtract).collect::<Result<_>>()?;
        let model = match (model_name(&self.model), model_name(&other.model)) {
            (left, right) if left == right => format!("{left}, difference").trim_start_matches(", ").to_owned(),
            (left, right) => format!("{left} − {right}"),
        };
        Attention::of_blocks(model, blocks)
    }
}

/// The first thing in which two blocks do not fit.
fn fit(a: &Block, b: &Block) -> Option<String> {
    let way_out = "choose the same ones of both, or look at the two beside each other with Attention::compare";
    let differ = |what: &str, left: String, right: String| Some(format!("{what}: {left} and {right}; {way_out}"));
    let (left, right) = (a.layers(), b.layers());
    for (what, left, right) in [("tokens", &a.queries, &b.queries), ("keys", &a.keys, &b.keys)] {
        if left.len() != right.len() {
            return differ(&format!("different numbers of {what}"), left.len().to_string(), right.len().to_string());
        }
    }
    if left != right {
        return differ("different layers", list(&left), list(&right));
    }
    let uneven = a.layers.iter().zip(&b.layers).find(|(left, right)| left.heads != right.heads);
    let (left, right) = uneven?;
    differ(&format!("layer {} has different heads", left.number), list(&left.heads), list(&right.heads))
}

fn difference(a: &Block, b: &Block) -> Result<Block> {
    let both = |left: &[Token], right: &[Token]| -> Vec<Token> {
        let one = |(left, right): (&Token, &Token)| match left.shown == right.shown {
            true => left.clone(),
            false => Token {
                text: format!("{}/{}", left.text, right.text.trim_start()),
                shown: format!("{}/{}", left.shown, right.shown.trim_start_matches('␣')),
                ..*left
            },
        };
        left.iter().zip(right).map(one).collect()
    };
    let subtract = |(left, right): (&Layer, &Layer)| -> Result<Layer> {
        let weights = left.weights.f_sub(&right.weights)?.f_contiguous()?;
        Ok(Layer { weights, written: None, ..left.clone() })
    };
    Ok(Block {
        kind: Quantity::Difference,
        queries: both(&a.queries, &b.queries),
        keys: both(&a.keys, &b.keys),
        second: a.second.filter(|_| a.second == b.second),
        layers: a.layers.iter().zip(&b.layers).map(subtract).collect::<Result<_>>()?,
        ..a.clone()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, array};

    fn of(tokens: [&str; 2], weights: Array3<f32>) -> Attention {
        Attention::new(tokens, [weights]).unwrap()
    }

    fn problem(a: &Attention, b: &Attention) -> String {
        a.minus(b).unwrap_err().to_string()
    }

    #[test]
    fn a_difference_shows_both_tokens() {
        let a = of(["of", "ĠFrance"], array![[[1.0f32, 0.0], [0.25, 0.75]]]).named("gpt2");
        let b = of(["of", "ĠJapan"], array![[[1.0f32, 0.0], [0.75, 0.25]]]).named("gpt2");
        let difference = a.minus(&b).unwrap();
        assert_eq!(difference.weights("all", 0, 0).unwrap().data(), [0.0, 0.0, -0.5, 0.5]);
        let block = &difference.blocks()[0];
        assert_eq!((block.kind(), block.keys()[1].shown.as_str()), (Quantity::Difference, "␣France/Japan"));
        assert_eq!(difference.model, "gpt2, difference");
    }

    #[test]
    fn says_what_does_not_fit() {
        let even = |heads, tokens| Array3::from_elem((heads, tokens, tokens), 1.0f32 / tokens as f32);
        let a = of(["a", "b"], even(2, 2));
        let longer = Attention::new(["a", "b", "c"], [even(2, 3)]).unwrap();
        assert!(problem(&a, &longer).contains("block all: different numbers of tokens: 2 and 3"));
        let deeper = Attention::new(["a", "b"], [even(2, 2), even(2, 2)]).unwrap();
        assert!(problem(&a, &deeper).contains("different layers: 0 and 0 to 1"));
        assert!(problem(&a, &of(["a", "b"], even(3, 2))).contains("layer 0 has different heads: 0 to 1 and 0 to 2"));
        let cross = Attention::between(["a", "b"], ["a", "b"], [even(2, 2)]).unwrap();
        assert!(problem(&a, &cross).contains("the blocks all and the other cross"));
    }

    #[test]
    fn two_models_stand_beside_each_other() {
        let a = of(["a", "b"], array![[[1.0f32, 0.0], [0.25, 0.75]]]).named("/models/one");
        let b = of(["a", "b"], array![[[1.0f32, 0.0], [0.5, 0.5]]]).named("two/b");
        let both = Attention::compare(&a, &b).unwrap();
        assert_eq!(both.names(), ["one: all", "two/b: all", "one − two/b: all"]);
        assert_eq!(both.weights("one − two/b: all", 0, 0).unwrap().data(), [0.0, 0.0, -0.25, 0.25]);
        assert_eq!(both.blocks()[0].kind(), Quantity::Probability);
        // Runs of one model have no names to tell them apart; another shape has no difference.
        let longer = Attention::new(["a", "b", "c"], [Array3::from_elem((1, 3, 3), 1.0f32 / 3.0)]).unwrap();
        let beside = Attention::compare(&a, &longer.named("/models/one")).unwrap();
        assert_eq!(beside.names(), ["A: all", "B: all"]);
    }
}
