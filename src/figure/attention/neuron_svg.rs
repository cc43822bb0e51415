//! The static picture of a neuron view: the weights of the row that is opened.

use std::fmt::Write;

use super::{Opened, escape, panel};
use crate::Result;
use crate::array::Numbers;
use crate::attention::Neurons;
use crate::figure::Panel;

/// Keys that the picture shows: those of the largest weights.
const MOST_KEYS: usize = 40;
const ROW: f64 = 20.0;
const TOP: f64 = 34.0;
const LEFT: f64 = 170.0;
const WIDTH: f64 = 300.0;

pub(super) fn picture(opened: &Opened, neurons: &Neurons) -> Result<Panel> {
    let block = opened.block;
    let (head, token) = (opened.head.unwrap_or_default(), opened.token.unwrap_or_default());
    let heads = &block.layer(opened.layer)?.heads;
    let place = heads.iter().position(|&number| number == head).unwrap_or_default();
    let row = neurons.pattern(place)?.f_get(token as i64)?;
    let weights = Numbers::of(&row)?;
    let mut keys: Vec<(usize, f32)> = weights.data().iter().copied().enumerate().collect();
    keys.sort_by(|a, b| b.1.total_cmp(&a.1));
    keys.truncate(MOST_KEYS);
    keys.sort_by_key(|&(key, _)| key);
    let most = keys.iter().fold(f32::MIN_POSITIVE, |most, (_, weight)| most.max(*weight));
    let shown = |text: &str| escape::html(&escape::label(text, 22));
    let asking = block.queries.get(token).map(|token| shown(&token.shown)).unwrap_or_default();
    let mut body = format!(
        "<g font-size=\"12\" fill=\"var(--fl-ink)\"><text x=\"14\" y=\"16\" fill=\"var(--fl-muted)\">layer {}, head \
         {head}: weights of {asking}</text>",
        opened.layer
    );
    for (line, (key, weight)) in keys.iter().enumerate() {
        let y = TOP + line as f64 * ROW;
        let text = block.keys.get(*key).map(|token| shown(&token.shown)).unwrap_or_default();
        let width = f64::from(weight / most) * WIDTH;
        let _ = write!(
            body,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{text}</text><rect x=\"{LEFT}\" y=\"{}\" width=\"{width:.1}\" \
             height=\"14\" fill=\"#0072b2\"/><text x=\"{:.1}\" y=\"{}\" fill=\"var(--fl-muted)\">{weight:.4}</text>",
            LEFT - 8.0,
            y + 4.0,
            y - 7.0,
            LEFT + width + 6.0,
            y + 4.0
        );
    }
    body.push_str("</g>");
    let mut height = TOP + keys.len() as f64 * ROW;
    if keys.len() < block.keys.len() {
        let _ = write!(
            body,
            "<text x=\"14\" y=\"{}\" font-size=\"12\" fill=\"var(--fl-muted)\">the {MOST_KEYS} largest of {} keys</text>",
            height + 4.0,
            block.keys.len()
        );
        height += 18.0;
    }
    Ok(panel("Neuron view", LEFT + WIDTH + 80.0, height, &body))
}
