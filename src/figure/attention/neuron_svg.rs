//! The static picture of a neuron view: how the weights of the row that is opened come about.

use std::fmt::Write;

use super::{Opened, escape};
use crate::Result;
use crate::attention::{Neurons, Token};
use crate::figure::Panel;

/// Keys that the picture shows: those of the largest weights.
const MOST_KEYS: usize = 16;
/// Bars that a vector has at most; of a wider one each stands for the largest of some neighbours.
const MOST_BARS: usize = 128;
const ROW: f64 = 22.0;
const TOP: f64 = 76.0;
const BARS: f64 = 128.0;
/// Where the columns are: from the left the query and its vector, the key and its vector, the product.
const QUERY: f64 = 112.0;
const KEY_NAME: f64 = 290.0;
const KEY: f64 = 392.0;
const PRODUCT: f64 = 532.0;
/// And the right edges of the numbers.
const DOT: f64 = 716.0;
const LOGIT: f64 = 776.0;
const WEIGHT: f64 = 900.0;
const WRITES: f64 = 956.0;
/// Colours that both light and dark paper bear; a bar's strength is its opacity.
const NEGATIVE: &str = "var(--fl-less)";
const POSITIVE: &str = "var(--fl-more)";
const STEPS: usize = 4;

pub(super) fn picture(opened: &Opened, neurons: &Neurons) -> Result<Panel> {
    let block = opened.block;
    let (head, token) = (opened.head.unwrap_or_default(), opened.token.unwrap_or_default());
    let heads = &block.layer(opened.layer)?.heads;
    let place = heads.iter().position(|&number| number == head).unwrap_or_default();
    let row = neurons.row(place, token)?;
    let (query, keys, weights) = (row.query.as_slice(), row.keys.as_slice(), row.weights.as_slice());
    let of_key = |key: usize| &keys[key * query.len()..(key + 1) * query.len()];

    let visible = &neurons.visible;
    let sees = |key: &usize| visible.ranges[token].contains(key) && !visible.padded[*key];
    let mut shown: Vec<usize> = (0..weights.len()).filter(sees).collect();
    let seen = shown.len();
    if shown.is_empty() {
        shown = (0..weights.len()).collect();
    }
    shown.sort_by(|&a, &b| weights[b].total_cmp(&weights[a]));
    shown.truncate(MOST_KEYS);
    shown.sort_unstable();
    let products: Vec<Vec<f32>> =
        shown.iter().map(|&key| of_key(key).iter().zip(query).map(|(k, q)| k * q).collect()).collect();

    let middle = |line: usize| TOP + ROW * (line as f64 + 0.5);
    let asking = TOP + ROW * shown.len() as f64 / 2.0;
    let mut bars = Bars::default();
    bars.add(query, strong(query), QUERY, asking);
    let strong_key = strong(keys);
    // Products have longer tails than their factors.
    let strong_product = 2.0 * strong(&products.concat());
    for (line, &key) in shown.iter().enumerate() {
        bars.add(of_key(key), strong_key, KEY, middle(line));
        bars.add(&products[line], strong_product, PRODUCT, middle(line));
    }

    let most = shown.iter().fold(f32::MIN_POSITIVE, |most, &key| most.max(weights[key]));
    let mut lines = String::new();
    let mut text = String::new();
    text.push_str(&heading(opened, neurons, head, seen, weights.len()));
    let name = block.queries.get(token).map(name).unwrap_or_default();
    let _ = write!(
        text,
        "<text x=\"{:.0}\" y=\"{:.0}\" text-anchor=\"end\" font-weight=\"600\">{name}</text>",
        QUERY - 8.0,
        asking + 4.0
    );
    for (line, &key) in shown.iter().enumerate() {
        let y = middle(line);
        let part = weights[key] / most;
        let (from, to) = (QUERY + BARS + 4.0, KEY_NAME - 6.0);
        let between = (from + to) / 2.0;
        let _ = write!(
            lines,
            "<path d=\"M{from} {asking:.0}C{between} {asking:.0} {between} {y:.0} {to} {y:.0}\" stroke-opacity=\"{:.2}\"/>\
             <path d=\"M{:.0} {y:.0}h{:.1}\" stroke-width=\"10\"/>",
            0.06 + 0.9 * part.sqrt(),
            LOGIT + 22.0,
            part * 54.0
        );
        let dot: f64 = products[line].iter().map(|&product| f64::from(product)).sum();
        let name = block.keys.get(key).map(self::name).unwrap_or_default();
        let y = y + 4.0;
        let _ = write!(text, "<text x=\"{KEY_NAME}\" y=\"{y:.0}\">{name}</text><g text-anchor=\"end\">");
        let written = f64::from(weights[key] * row.written_lengths[key]);
        let cells = [(DOT, dot), (LOGIT, f64::from(row.logits[key])), (WRITES, written)];
        for (x, number) in cells {
            let _ = write!(text, "<text x=\"{x}\" y=\"{y:.0}\">{}</text>", short(number));
        }
        let _ = write!(text, "<text x=\"{WEIGHT}\" y=\"{y:.0}\" font-weight=\"600\">{:.3}</text></g>", weights[key]);
    }
    let body = format!(
        "<g font-size=\"12\" fill=\"var(--fl-ink)\">{text}</g><g fill=\"none\" stroke=\"{NEGATIVE}\" \
         stroke-width=\"1.5\">{lines}</g>{}",
        bars.paths()
    );
    Ok(Panel::drawn("Neuron view", WRITES + 14.0, TOP + ROW * shown.len() as f64 + 6.0, &body))
}

/// What is shown and computed, and the names of the columns.
fn heading(opened: &Opened, neurons: &Neurons, head: usize, seen: usize, all: usize) -> String {
    let keys = match seen {
        0 => "the query sees no key".to_owned(),
        seen if seen > MOST_KEYS => format!("the {MOST_KEYS} strongest of the {seen} keys that the query sees"),
        seen => format!("the {seen} of {all} keys that the query sees"),
    };
    let mut heading = format!(
        "<text x=\"14\" y=\"16\">layer {}, head {head}: {}</text><text x=\"14\" y=\"34\" fill=\"var(--fl-muted)\">{keys}; \
         blue is negative, orange positive</text><g fill=\"var(--fl-muted)\">",
        opened.layer,
        formula(neurons)
    );
    for (x, anchor, name) in [
        (QUERY, "start", "query"),
        (KEY, "start", "key"),
        (PRODUCT, "start", "q × k"),
        (DOT, "end", "q · k"),
        (LOGIT, "end", "logit"),
        (WEIGHT, "end", "weight"),
        (WRITES, "end", "writes"),
    ] {
        let _ = write!(heading, "<text x=\"{x}\" y=\"{}\" text-anchor=\"{anchor}\">{name}</text>", TOP - 12.0);
    }
    heading + "</g>"
}

fn formula(neurons: &Neurons) -> String {
    let plain = |number: f64| format!("{number:.4}").trim_end_matches('0').trim_end_matches('.').to_owned();
    let mut scores = match neurons.scale {
        1.0 => "q·k".to_owned(),
        scale => format!("{}·q·k", plain(scale)),
    };
    if let Some(name) = neurons.bias_name.filter(|_| neurons.bias.is_some()) {
        scores = format!("{scores} + {name}");
    }
    if let Some(cap) = neurons.soft_cap.map(plain) {
        scores = format!("{cap}·tanh(({scores})/{cap})");
    }
    format!("weight = softmax({scores})")
}

fn name(token: &Token) -> String {
    let shown = token.shown.strip_prefix('␣').filter(|rest| !rest.is_empty()).unwrap_or(&token.shown);
    escape::html(&escape::label(shown, 13))
}

fn short(number: f64) -> String {
    let places = match number.abs() {
        size if size < 9.995 => 2,
        size if size < 99.95 => 1,
        _ => 0,
    };
    let text = format!("{number:.places$}");
    if text.trim_matches(['-', '0', '.']).is_empty() { text.replace('-', "") } else { text.replace('-', "−") }
}

/// A size that gets a strong colour: three times the median, so that a few large numbers do not wash out the rest.
fn strong(numbers: &[f32]) -> f32 {
    let mut sizes: Vec<f32> = numbers.iter().map(|number| number.abs()).collect();
    sizes.sort_unstable_by(f32::total_cmp);
    let median = sizes.get(sizes.len() / 2).copied().unwrap_or_default();
    if median > 0.0 { 3.0 * median } else { sizes.last().copied().filter(|&size| size > 0.0).unwrap_or(1.0) }
}

/// Bars of vectors, those of one strength in one path: a picture has thousands.
#[derive(Default)]
struct Bars {
    /// Negative and positive, from faint to strong.
    paths: [[String; STEPS]; 2],
    frames: String,
}

impl Bars {
    fn add(&mut self, vector: &[f32], strong: f32, x: f64, y: f64) {
        let _ = write!(self.frames, "M{x} {:.0}h{BARS}v16h-{BARS}z", y - 8.0);
        let group = vector.len().div_ceil(MOST_BARS);
        let width = BARS / vector.len().div_ceil(group) as f64;
        for (place, numbers) in vector.chunks(group).enumerate() {
            let number =
                numbers.iter().fold(0f32, |most, &number| if number.abs() > most.abs() { number } else { most });
            let step = ((number / strong).tanh().abs() * STEPS as f32).round() as usize;
            if step > 0 {
                let path = &mut self.paths[usize::from(number > 0.0)][step - 1];
                let _ = write!(path, "M{} {y:.0}h{}", tenths(x + place as f64 * width), tenths(width));
            }
        }
    }

    fn paths(&self) -> String {
        let mut svg = String::from("<g fill=\"none\" stroke-width=\"16\">");
        for (color, paths) in [NEGATIVE, POSITIVE].iter().zip(&self.paths) {
            for (step, path) in paths.iter().enumerate().filter(|(_, path)| !path.is_empty()) {
                let opacity = (step + 1) as f64 / STEPS as f64;
                let _ = write!(svg, "<path stroke=\"{color}\" stroke-opacity=\"{opacity}\" d=\"{path}\"/>");
            }
        }
        let frames = &self.frames;
        svg + &format!("<path stroke=\"var(--fl-line)\" stroke-opacity=\".5\" stroke-width=\"1\" d=\"{frames}\"/></g>")
    }
}

/// One decimal, where there is one.
fn tenths(number: f64) -> f64 {
    (number * 10.0).round() / 10.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strong_is_what_outliers_do_not_move() {
        assert_eq!(strong(&[1.0, -1.0, 1.0, 1000.0]), 3.0);
        assert_eq!(strong(&[0.0, 0.0, 0.0, -2.0]), 2.0);
        assert_eq!(strong(&[]), 1.0);
    }

    #[test]
    fn numbers_are_short() {
        assert_eq!(["1.23", "−12.3", "123", "0.00"].map(str::to_owned), [1.234, -12.34, 123.4, -0.001].map(short));
    }

    #[test]
    fn wide_vectors_show_the_largest_of_neighbours() {
        let mut bars = Bars::default();
        let mut vector = vec![0.0; 256];
        vector[7] = -5.0;
        bars.add(&vector, 1.0, 0.0, 8.0);
        assert_eq!(bars.paths[0][STEPS - 1], "M3 8h1");
        assert!(bars.paths[1].iter().all(String::is_empty));
    }
}
