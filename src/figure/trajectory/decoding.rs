//! Decoding: how sure the model is along a text.

use serde_json::json;

use super::{pack, payload, plotly, title};
use crate::figure::chart::{self, Anchor, Axis, Frame, Sheet};
use crate::figure::{Figure, Panel, escape};
use crate::trajectory::Decoding;

/// Width of the still picture's charts, at most.
const WIDTH: f64 = 860.0;
const HEIGHT: f64 = 84.0;

/// A curve along the text, of numbers as they are drawn.
struct Curve {
    name: String,
    values: Vec<f64>,
    color: &'static str,
    /// Whether the axis is logarithmic: its values are.
    logarithmic: bool,
}

impl Decoding {
    /// Draws probability, rank, entropy and count along the text.
    pub fn figure(&self) -> Figure {
        let page = payload::Decoding {
            model: escape::model_name(&self.model),
            tokens: super::maps::shown(&self.tokens),
            probability: pack::finite(&self.probability),
            rank: self.rank.clone(),
            entropy: pack::finite(&self.entropy),
            count: self.top_count.clone(),
            p: self.top_p,
        };
        let json = json!({
            "model": self.model, "tokens": self.tokens, "probability": page.probability, "rank": page.rank,
            "entropy": page.entropy, "top_count": page.count, "top_p": self.top_p,
        });
        Figure {
            view: "decoding",
            title: title("Decoding", &self.model),
            caption: format!(
                "At each token: the probability of the token that follows in the text and its rank (1 is the model's own \
                 choice), the entropy of the distribution in bits, and how many tokens make up {} % of it.",
                chart::number(f64::from(self.top_p) * 100.0)
            ),
            panels: vec![self.picture()],
            legend: Vec::new(),
            data: serde_json::to_value(page).unwrap_or_default(),
            packed: [].into(),
            plotly: Some(self.plotly()),
            json,
        }
    }

    fn curves(&self) -> [Curve; 4] {
        let log = |values: &[usize]| values.iter().map(|&it| (it.max(1) as f64).log10()).collect();
        let plain = |values: &[f32]| values.iter().map(|&it| f64::from(it)).collect();
        let curve =
            |name: &str, values, color, logarithmic| Curve { name: name.to_owned(), values, color, logarithmic };
        [
            curve("Probability of the token that follows", plain(&self.probability), "var(--fl-head-0)", false),
            curve("Its rank", log(&self.rank), "var(--fl-head-1)", true),
            curve("Entropy, in bits", plain(&self.entropy), "var(--fl-head-2)", false),
            curve(
                &format!("Tokens that make up {} %", chart::number(f64::from(self.top_p) * 100.0)),
                log(&self.top_count),
                "var(--fl-head-3)",
                true,
            ),
        ]
    }

    fn picture(&self) -> Panel {
        let mut sheet = Sheet::default();
        sheet.add(&crate::figure::theme::head_styles(&[0, 1, 2, 3]));
        let count = self.tokens.len();
        let width = (count as f64 * 26.0).clamp(240.0, WIDTH);
        let across = [-0.5, count.max(1) as f64 - 0.5];
        let below = chart::tokens("", &self.tokens, width);
        let mut top = 24.0;
        let curves = self.curves();
        for (at, curve) in curves.iter().enumerate() {
            let finite = curve.values.iter().copied().filter(|value| value.is_finite());
            let most = finite.fold(if curve.logarithmic { 1.0 } else { 1e-6 }, f64::max);
            let most = if at == 0 { 1.0 } else { most * 1.05 };
            let frame = Frame { left: 54.0, top, width, height: HEIGHT, across, down: [most, 0.0] };
            let beside = if curve.logarithmic { powers(most) } else { Axis::numbers("", 0.0, most, 3) };
            sheet.text(frame.left, top - 8.0, Anchor::Start, &curve.name);
            let last = at + 1 == curves.len();
            let (axes, lowest) = frame.axes(last.then_some(&below), Some(&beside));
            sheet.add(&axes);
            let points: Vec<(f64, f64)> = curve.values.iter().enumerate().map(|(at, &it)| (at as f64, it)).collect();
            sheet.add(&chart::line(&frame, &points, curve.color, 1.5));
            if count <= 160 {
                let dots: Vec<_> = points.iter().map(|&(x, y)| (x, y, curve.color.to_owned())).collect();
                sheet.add(&chart::marks(&frame, &dots, 2.0));
            }
            sheet.reach(frame.right() + 14.0, lowest + 6.0);
            top = lowest + 30.0;
        }
        if count == 0 {
            sheet.muted(14.0, 14.0, Anchor::Start, "no tokens");
        }
        sheet.panel("Decoding along the text")
    }

    fn plotly(&self) -> serde_json::Value {
        let line = |name: &str, values: Vec<Option<f32>>| plotly::Line {
            kind: "scatter",
            mode: "lines+markers",
            name: name.to_owned(),
            x: (0..values.len()).map(|at| at as f64).collect(),
            y: values,
        };
        let lines = vec![
            line("probability", pack::finite(&self.probability)),
            line("entropy, bits", pack::finite(&self.entropy)),
        ];
        plotly::lines(&title("Decoding", &self.model), lines, "token")
    }
}

/// Labels at powers of ten of an axis of logarithms.
fn powers(most: f64) -> Axis {
    let labels = (0..=most.floor() as i32).take(10).map(|power| (f64::from(power), chart::number(10f64.powi(power))));
    Axis::named("", labels.collect())
}
