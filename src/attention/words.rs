//! Attention of words in place of tokens.

use tch::Tensor;

use super::derived::{matrix, normalised};
use super::{Attention, Block, Layer, Quantity, Token};
use crate::Result;

impl Attention {
    /// The same with the tokens of each word as one: what a word gets is the sum over its tokens, what it gives the
    /// mean over them, so that rows of distributions still sum to 1.
    ///
    /// A word begins where the vocabulary marks it (`Ġthe`, `▁the`), in WordPiece with each token without `##`, and
    /// after a special token; a punctuation mark without a blank before it belongs to the word, except in WordPiece.
    /// Tokens of a text without any mark stay as they are.
    ///
    /// # Errors
    /// When libtorch fails.
    pub fn words(&self) -> Result<Attention> {
        self.each_block("words", |block| {
            let queries = Words::of(&block.queries, block.second);
            let keys = if block.to_itself { queries.clone() } else { Words::of(&block.keys, None) };
            let (rows, columns) = (queries.means()?, keys.sums()?);
            let merge = |layer: &Layer| -> Result<Layer> {
                let weights = rows.f_matmul(&layer.weights)?.f_matmul(&columns)?;
                // Rows of queries that see nothing took their part in the means.
                let weights = if block.kind == Quantity::Probability { normalised(&weights)? } else { weights };
                Ok(Layer { weights: weights.f_contiguous()?, written: None, ..layer.clone() })
            };
            Ok(Block {
                queries: queries.tokens(&block.queries),
                keys: keys.tokens(&block.keys),
                second: block.second.map(|second| queries.0.iter().filter(|first| **first < second).count()),
                layers: block.layers.iter().map(merge).collect::<Result<_>>()?,
                ..block.clone()
            })
        })
    }
}

/// Where each word begins, and after the last one the number of tokens.
#[derive(Clone)]
struct Words(Vec<usize>);

impl Words {
    fn of(tokens: &[Token], second: Option<usize>) -> Words {
        let begins = |&place: &usize| place == 0 || tokens[place].begins || second == Some(place);
        Words((0..tokens.len()).filter(begins).chain([tokens.len()]).collect())
    }

    /// First and last+1 token of each word.
    fn ranges(&self) -> impl Iterator<Item = std::ops::Range<usize>> + '_ {
        self.0.windows(2).map(|ends| ends[0]..ends[1])
    }

    fn len(&self) -> usize {
        self.0.len() - 1
    }

    fn tokens(&self, tokens: &[Token]) -> Vec<Token> {
        let word = |range: std::ops::Range<usize>| {
            let mut word = tokens[range.start].clone();
            for token in &tokens[range.start + 1..range.end] {
                let plain =
                    |text: &str| text.strip_prefix("##").filter(|rest| !rest.is_empty()).unwrap_or(text).to_owned();
                word.text.push_str(&plain(&token.text));
                word.shown.push_str(&plain(&token.shown));
            }
            word
        };
        self.ranges().map(word).collect()
    }

    /// (words,T): what averages rows.
    fn means(&self) -> Result<Tensor> {
        let tokens = self.0[self.len()];
        let row = |range: std::ops::Range<usize>| {
            let part = 1.0 / range.len() as f32;
            (0..tokens).map(move |place| if range.contains(&place) { part } else { 0.0 })
        };
        matrix(&self.ranges().flat_map(row).collect::<Vec<f32>>(), self.len())
    }

    /// (S,words): what sums columns.
    fn sums(&self) -> Result<Tensor> {
        Ok(self.means()?.f_gt(0.0)?.f_to_kind(tch::Kind::Float)?.f_transpose(0, 1)?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array3, array};

    fn shown(tokens: &[Token]) -> Vec<&str> {
        tokens.iter().map(|token| token.shown.as_str()).collect()
    }

    #[test]
    fn words_get_sums_and_give_means() {
        let weights = array![[[1.0f32, 0.0, 0.0], [0.25, 0.75, 0.0], [0.5, 0.25, 0.25]]];
        let words = Attention::new(["The", "Ġc", "at"], [weights]).unwrap().words().unwrap();
        let block = &words.blocks()[0];
        assert_eq!(shown(block.keys()), ["The", "␣cat"]);
        assert_eq!(words.weights("all", 0, 0).unwrap().data(), [1.0, 0.0, 0.375, 0.625]);
        assert_eq!(block.kind(), Quantity::Probability);
    }

    #[test]
    fn a_word_piece_loses_its_mark_and_the_second_text_moves_along() {
        let even = Array3::from_elem((1, 6, 6), 1.0f32 / 6.0);
        let mut pair = Attention::new(["[CLS]", "un", "##known", "[SEP]", "##x", "[SEP]"], [even]).unwrap();
        pair.blocks[0].second = Some(4);
        let words = pair.words().unwrap();
        let block = &words.blocks()[0];
        assert_eq!(shown(block.queries()), ["[CLS]", "unknown", "[SEP]", "##x", "[SEP]"]);
        assert_eq!(block.second(), Some(3));
        assert!((words.weights("all", 0, 0).unwrap().get(&[3, 1]).unwrap() - 2.0 / 6.0).abs() < 1e-6);
    }

    #[test]
    fn sides_of_cross_attention_merge_each_by_itself() {
        let even = Array3::from_elem((2, 2, 3), 1.0f32 / 3.0);
        let words = Attention::between(["x", "y"], ["▁c", "at", "</s>"], [even]).unwrap().words().unwrap();
        assert_eq!(words.weights("cross", 0, 1).unwrap().shape(), [2, 2]);
        let row = words.weights("cross", 0, 1).unwrap().row(0).unwrap();
        assert!((row.get(&[0]).unwrap() - 2.0 / 3.0).abs() < 1e-6);
    }

    #[test]
    fn a_run_knows_its_words() {
        let model = crate::Model::load("tests/fixtures/parity/llama_gqa").unwrap();
        let attention = model.run("The capital of Japan is the city of").unwrap().attention().unwrap();
        let words = attention.words().unwrap();
        let block = &words.blocks()[0];
        assert!(block.queries().len() < attention.blocks()[0].queries().len(), "{:?}", shown(block.queries()));
        let weights = words.weights("all", 1, 0).unwrap();
        for row in weights.data().chunks(block.keys().len()) {
            assert!((row.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        }
    }
}
