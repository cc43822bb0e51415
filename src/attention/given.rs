//! Attention from arrays of any source, checked.

use tch::Tensor;

use super::{Attention, Block, Layer, Quantity, Token};
use crate::text::{visible, word_starts};
use crate::{Array, Error, Result};

/// How far a row of probabilities may be from 1: half-precision numbers come near to it.
const ROW_SUM: f32 = 0.02;

/// Attention layers of any source: each an array (H,T,S), or (1,H,T,S) as Python's `transformers` has them.
///
/// Made with `into()` from `ndarray` arrays: a list of them, one layer, or all layers in one (L,H,T,S) or (L,1,H,T,S); and
/// from a list of [`Array`]s.
#[derive(Debug, Clone)]
pub struct Matrices(Vec<Array>);

impl From<Vec<Array>> for Matrices {
    fn from(layers: Vec<Array>) -> Matrices {
        Matrices(layers)
    }
}

impl<D: ndarray::Dimension> From<Vec<ndarray::Array<f32, D>>> for Matrices {
    fn from(layers: Vec<ndarray::Array<f32, D>>) -> Matrices {
        Matrices(layers.iter().map(|layer| array(layer.view().into_dyn())).collect())
    }
}

impl<D: ndarray::Dimension, const N: usize> From<[ndarray::Array<f32, D>; N]> for Matrices {
    fn from(layers: [ndarray::Array<f32, D>; N]) -> Matrices {
        Vec::from(layers).into()
    }
}

/// One layer, or several side by side: an array of one axis more than a layer has.
impl<D: ndarray::Dimension> From<ndarray::Array<f32, D>> for Matrices {
    fn from(layers: ndarray::Array<f32, D>) -> Matrices {
        let all = layers.into_dyn();
        // (H,T,S) or (1,H,T,S) is a layer of its own; a batch of one with several layers is (L,1,H,T,S).
        if all.ndim() < 4 || (all.ndim() == 4 && all.shape()[0] == 1) {
            return Matrices(vec![array(all.view())]);
        }
        Matrices(all.outer_iter().map(array).collect())
    }
}

fn array(layer: ndarray::ArrayViewD<'_, f32>) -> Array {
    let shape = layer.shape().to_vec();
    Array::new(&shape, layer.iter().copied().collect()).expect("an ndarray's shape fits its numbers")
}

impl Attention {
    /// Attention of `tokens` over themselves, from anywhere; the block's name is `all`.
    ///
    /// Tokens may be written as byte-level vocabularies (`Ġthe`), SentencePiece (`▁the`) or XLM (`the</w>`) have them.
    ///
    /// # Errors
    /// When there is no layer, a layer has another shape than the tokens ask for or holds more than one sequence, a
    /// number is negative or not finite, or a row does not sum to 1 (or to 0, where a query sees nothing). Numbers
    /// whose rows have no fixed sum are taken by [`Attention::weighted`].
    pub fn new(tokens: impl IntoIterator<Item = impl Into<String>>, layers: impl Into<Matrices>) -> Result<Attention> {
        let tokens = shown(tokens);
        given("all", Quantity::Probability, tokens.clone(), tokens, true, layers.into())
    }

    /// As [`new`](Attention::new), of numbers of 0 and more whose rows need not sum to 1.
    ///
    /// # Errors
    /// As [`new`](Attention::new), except that sums are not checked.
    pub fn weighted(
        tokens: impl IntoIterator<Item = impl Into<String>>,
        layers: impl Into<Matrices>,
    ) -> Result<Attention> {
        let tokens = shown(tokens);
        given("all", Quantity::Weight, tokens.clone(), tokens, true, layers.into())
    }

    /// Attention of `queries` over `keys`, such as a decoder's over its encoder; the block's name is `cross`.
    ///
    /// # Errors
    /// As [`new`](Attention::new).
    pub fn between(
        queries: impl IntoIterator<Item = impl Into<String>>,
        keys: impl IntoIterator<Item = impl Into<String>>,
        layers: impl Into<Matrices>,
    ) -> Result<Attention> {
        given("cross", Quantity::Probability, shown(queries), shown(keys), false, layers.into())
    }

    /// The three blocks of an encoder-decoder, whose stacks may differ in depth, heads and length.
    ///
    /// # Errors
    /// As [`new`](Attention::new), each block by its name.
    pub fn encoder_decoder(
        encoder_tokens: impl IntoIterator<Item = impl Into<String>>,
        decoder_tokens: impl IntoIterator<Item = impl Into<String>>,
        encoder: impl Into<Matrices>,
        decoder: impl Into<Matrices>,
        cross: impl Into<Matrices>,
    ) -> Result<Attention> {
        let (source, target) = (shown(encoder_tokens), shown(decoder_tokens));
        let blocks = [
            given("encoder", Quantity::Probability, source.clone(), source.clone(), true, encoder.into())?,
            given("decoder", Quantity::Probability, target.clone(), target.clone(), true, decoder.into())?,
            given("cross", Quantity::Probability, target, source, false, cross.into())?,
        ];
        Attention::of_blocks(String::new(), blocks.into_iter().flat_map(|one| one.blocks).collect())
    }
}

fn given(
    name: &str,
    kind: Quantity,
    queries: Vec<Token>,
    keys: Vec<Token>,
    to_itself: bool,
    layers: Matrices,
) -> Result<Attention> {
    if queries.is_empty() || keys.is_empty() {
        return Err(Error::Attention(format!("block {name} has no tokens; give one for each position")));
    }
    if layers.0.is_empty() {
        return Err(Error::Attention(format!(
            "block {name} has no layers; Python's transformers returns none unless the model was loaded with \
             attn_implementation=\"eager\" and called with output_attentions=True"
        )));
    }
    let layer = |(number, array): (usize, Array)| {
        let heads = check(&array, queries.len(), keys.len(), kind)
            .map_err(|problem| Error::Attention(format!("block {name}, layer {number}: {problem}")))?;
        let shape = [heads as i64, queries.len() as i64, keys.len() as i64];
        let weights = Tensor::f_from_slice(array.data())?.f_view(shape)?;
        Ok(Layer { number, heads: (0..heads).collect(), key_heads: (0..heads).collect(), weights, written: None })
    };
    let layers = layers.0.into_iter().enumerate().map(layer).collect::<Result<_>>()?;
    let block = Block { name: name.to_owned(), kind, queries, keys, to_itself, second: None, layers };
    Attention::of_blocks(String::new(), vec![block])
}

/// The number of heads, or what is wrong with a layer.
fn check(layer: &Array, queries: usize, keys: usize, kind: Quantity) -> Result<usize, String> {
    let (heads, rows, columns) = match *layer.shape() {
        [heads, rows, columns] | [1, heads, rows, columns] => (heads, rows, columns),
        [batch, ..] if layer.shape().len() == 4 => {
            return Err(format!("holds a batch of {batch} sequences; select one of them"));
        }
        _ => return Err(format!("has shape {:?}, expected (heads, queries, keys)", layer.shape())),
    };
    if heads == 0 {
        return Err("has no heads".to_owned());
    }
    if (rows, columns) != (queries, keys) {
        return Err(format!("is {rows} x {columns}, but there are {queries} query tokens and {keys} key tokens"));
    }
    for (place, row) in layer.data().chunks(columns).enumerate() {
        let here = format!("head {}, query {}", place / rows, place % rows);
        if let Some(odd) = row.iter().find(|weight| !weight.is_finite() || **weight < 0.0) {
            return Err(format!("{here} holds {odd}; attention weights are finite numbers of 0 and more"));
        }
        let sum: f32 = row.iter().sum();
        if kind == Quantity::Probability && sum != 0.0 && (sum - 1.0).abs() > ROW_SUM {
            return Err(format!(
                "{here} sums to {sum}, not to 1; if these are not probabilities use Attention::weighted, and give \
                 weights after the softmax, not scores"
            ));
        }
    }
    Ok(heads)
}

/// Tokens as a person sees them, whatever vocabulary they come from.
fn shown(tokens: impl IntoIterator<Item = impl Into<String>>) -> Vec<Token> {
    let texts: Vec<String> = tokens.into_iter().map(Into::into).collect();
    let byte_level = texts.iter().any(|text| text.starts_with('Ġ'));
    let special = |text: &str| {
        let closed = [("[", "]"), ("<", ">"), ("<|", "|>")];
        let known = ["CLS", "SEP", "PAD", "MASK", "UNK", "s", "/s", "pad", "unk", "mask", "cls", "sep", "eos", "bos"];
        closed.iter().any(|(open, close)| {
            let inner = text.strip_prefix(open).and_then(|rest| rest.strip_suffix(close));
            inner.is_some_and(|inner| known.contains(&inner) || inner == "endoftext")
        })
    };
    let specials: Vec<bool> = texts.iter().map(|text| special(text)).collect();
    let begins = word_starts(&texts, &specials);
    let token = |(place, text): (usize, String)| {
        let (special, begins) = (specials[place], begins[place]);
        let bytes = byte_level.then(|| crate::text::byte_level(&text)).flatten();
        let plain = match bytes.map(String::from_utf8) {
            Some(Ok(text)) => text,
            Some(Err(bytes)) => {
                let bytes: Vec<String> = bytes.as_bytes().iter().map(|byte| format!("{byte:02X}")).collect();
                let shown = format!("<{}>", bytes.join(" "));
                return Token { text, shown, special, begins };
            }
            None => match text.strip_suffix("</w>") {
                Some(word) if !word.is_empty() => word.replace('▁', " "),
                _ => text.replace('▁', " "),
            },
        };
        let shown = if plain.is_empty() { "∅".to_owned() } else { visible(&plain) };
        Token { text: plain, shown, special, begins }
    };
    texts.into_iter().enumerate().map(token).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn even(heads: usize, rows: usize, columns: usize) -> ndarray::Array3<f32> {
        ndarray::Array3::from_elem((heads, rows, columns), 1.0 / columns as f32)
    }

    fn problem(result: Result<Attention>) -> String {
        result.unwrap_err().to_string()
    }

    #[test]
    fn takes_every_usual_shape() {
        let tokens = ["a", "b", "c"];
        assert_eq!(Attention::new(tokens, even(2, 3, 3)).unwrap().blocks[0].layers(), [0]);
        assert_eq!(
            Attention::new(tokens, [even(2, 3, 3), even(4, 3, 3)]).unwrap().blocks[0].heads(1).unwrap(),
            [0, 1, 2, 3]
        );
        let python = even(2, 3, 3).insert_axis(ndarray::Axis(0));
        assert_eq!(Attention::new(tokens, vec![python.clone(), python]).unwrap().blocks[0].layers(), [0, 1]);
        let stacked = ndarray::Array5::from_elem((5, 1, 2, 3, 3), 1.0f32 / 3.0);
        assert_eq!(Attention::new(tokens, stacked).unwrap().blocks[0].layers.len(), 5);
    }

    #[test]
    fn says_what_is_wrong_and_the_way_out() {
        let none: Vec<ndarray::Array3<f32>> = Vec::new();
        assert!(problem(Attention::new(["a"], none)).contains("attn_implementation=\"eager\""));
        assert!(problem(Attention::new(["a", "b"], even(2, 3, 3))).contains("is 3 x 3, but there are 2 query tokens"));
        let batch = vec![ndarray::Array4::from_elem((2, 1, 1, 1), 1.0f32)];
        assert!(problem(Attention::new(["a"], batch)).contains("a batch of 2 sequences"));
        let mut nan = even(1, 2, 2);
        nan[[0, 1, 0]] = f32::NAN;
        assert!(problem(Attention::new(["a", "b"], nan)).contains("layer 0: head 0, query 1 holds NaN"));
        let scores = even(1, 2, 2) * 6.0;
        assert!(problem(Attention::new(["a", "b"], scores.clone())).contains("sums to 6, not to 1"));
        assert!(Attention::weighted(["a", "b"], scores).is_ok());
        let empty: [&str; 0] = [];
        assert!(problem(Attention::new(empty, even(1, 0, 0))).contains("no tokens"));
        let flat = vec![ndarray::Array2::from_elem((2, 2), 0.5f32)];
        assert!(problem(Attention::new(["a", "b"], flat)).contains("expected (heads, queries, keys)"));
    }

    #[test]
    fn a_query_may_see_nothing() {
        let mut padded = even(1, 2, 2);
        padded.row_mut_zero();
        assert!(Attention::new(["a", "b"], padded).is_ok());
    }

    trait Zeroed {
        fn row_mut_zero(&mut self);
    }

    impl Zeroed for ndarray::Array3<f32> {
        fn row_mut_zero(&mut self) {
            self.slice_mut(ndarray::s![0, 0, ..]).fill(0.0);
        }
    }

    #[test]
    fn stacks_may_differ_in_depth_heads_and_length() {
        let all = Attention::encoder_decoder(
            ["a", "b", "c"],
            ["x", "y"],
            [even(4, 3, 3), even(4, 3, 3)],
            [even(2, 2, 2)],
            [even(2, 2, 3)],
        );
        let all = all.unwrap();
        assert_eq!(all.names(), ["encoder", "decoder", "cross"]);
        assert_eq!(all.block("cross").unwrap().weights(0, 1).unwrap().shape(), [2, 3]);
        assert!(problem(Attention::between(["a"], ["b"], even(1, 2, 1))).contains("block cross, layer 0: is 2 x 1"));
    }

    #[test]
    fn shows_tokens_of_every_vocabulary() {
        let shown = |tokens: &[&str]| -> Vec<String> {
            super::shown(tokens.iter().copied()).into_iter().map(|token| token.shown).collect()
        };
        assert_eq!(shown(&["The", "Ġcat", "Ċ", "Ã©", "æĹ"]), ["The", "␣cat", "\\n", "é", "<E6 97>"]);
        assert_eq!(shown(&["▁The", "cat</w>", "</w>", ""]), ["␣The", "cat", "</w>", "∅"]);
        assert!(super::shown(["[CLS]", "<|endoftext|>", "</s>"]).iter().all(|token| token.special));
        assert!(!super::shown(["s", "[x]"]).iter().any(|token| token.special));
    }
}
