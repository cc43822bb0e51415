//! Colours of the exact graph: the target's rank on nodes, the kind of flow on links.

use crate::colors::{Color, ColorMap};
use crate::flow::{LinkKind, Palette, Style};

/// Link kinds in the order of the legend, with what they mean.
const MEANINGS: [(LinkKind, &str); 8] = [
    (LinkKind::Residual, "past a sub-block, unchanged"),
    (LinkKind::Norm, "read, or passed through a norm"),
    (LinkKind::Score, "attention"),
    (LinkKind::Add, "added into a sum"),
    (LinkKind::Promote, "neuron writes along its row"),
    (LinkKind::Suppress, "neuron writes against its row"),
    (LinkKind::Bias, "bias"),
    (LinkKind::Skip, "layers left out"),
];

/// How a rank becomes a colour.
#[derive(Debug, Clone)]
enum Ranks {
    /// From the best over the middle to the last.
    Scale(ColorMap),
    /// A colour for ranks 1, 10, 100, 1,000 and all from 10,000 on, and one for the last.
    Decades(ColorMap, Color),
}

/// The colours of one graph, those that were asked for taken in.
#[derive(Debug, Clone)]
pub(super) struct Scheme {
    rank: Ranks,
    links: Vec<(LinkKind, String)>,
    /// The stream past an MLP.
    past_mlp: String,
    /// How much a link covers of what lies below it.
    alpha: f64,
    /// Links of keys and values by their attention, where that was asked for.
    attention: Option<ColorMap>,
    /// What is added by its entropy, where that was asked for.
    entropy: Option<ColorMap>,
    /// Nodes without a target.
    pub plain: String,
    /// Nodes of biases.
    pub bias: String,
}

impl Scheme {
    pub fn new(style: &Style) -> Scheme {
        let (decades, last, plain, alpha) = match style.palette {
            Palette::Standard => (["#0f8a43", "#7cc242", "#e3c52f", "#d9a98a", "#9a9fa6"], "#d64545", "#8a8f98", 0.45),
            Palette::Light => (["#0b6b33", "#5fa32b", "#c9a90f", "#c7977a", "#8c959f"], "#b3261e", "#57606a", 0.40),
            Palette::Dark => (["#1fd17a", "#a5e05a", "#f2dd55", "#cfa58d", "#7d8590"], "#ff6b6b", "#b1bac4", 0.50),
            Palette::ColorBlind => {
                (["#0072b2", "#56b4e9", "#8fd9d0", "#d8d3ae", "#9a9fa6"], "#d55e00", "#8a8f98", 0.45)
            }
        };
        let scale = |stops: &Option<Vec<String>>| stops.as_ref().and_then(|stops| ColorMap::new(stops).ok());
        let sheer = |color: Color| sheer(color, alpha);
        let asked =
            |kind: LinkKind| style.links.iter().find(|(known, _)| *known == kind).map(|(_, color)| color.as_str());
        let own = |kind: LinkKind, standard: &'static str| {
            let color = asked(kind).and_then(Color::parse).or_else(|| Color::parse(standard));
            (kind, color.map(sheer).unwrap_or_default())
        };
        let links = vec![
            own(LinkKind::Residual, "#7b8794"),
            own(LinkKind::Norm, "#8e6bbf"),
            own(LinkKind::Score, "#c9a227"),
            own(LinkKind::Add, "#4f9d9d"),
            own(LinkKind::Promote, "#0072b2"),
            own(LinkKind::Suppress, "#d55e00"),
            own(LinkKind::Bias, "#cc79a7"),
            own(LinkKind::Skip, "#5b6470"),
            (LinkKind::Invisible, "rgba(0, 0, 0, 0.0)".to_owned()),
        ];
        let past_mlp = style.past_mlp.as_deref().and_then(Color::parse).map(sheer);
        Scheme {
            rank: match scale(&style.ranks) {
                Some(scale) => Ranks::Scale(scale),
                None => Ranks::Decades(
                    ColorMap::new(&decades).unwrap_or_default(),
                    Color::parse(last).unwrap_or(Color::GREY),
                ),
            },
            past_mlp: past_mlp.unwrap_or_else(|| links[0].1.clone()),
            links,
            alpha,
            attention: scale(&style.attention),
            entropy: scale(&style.entropy),
            plain: style.node.clone().unwrap_or_else(|| plain.to_owned()),
            bias: style.bias.clone().unwrap_or_else(|| "#cc79a7".to_owned()),
        }
    }

    /// The colour of a rank among `vocabulary` tokens. Of ours ranks 1, 10, 100, 1,000 and 10,000 have a colour each and
    /// what lies between is mixed of two; the last ranks are red. A configuration's own scale is logarithmic from both
    /// ends: rank 1 and the last rank stand at the ends, half-way down the list is the middle.
    pub fn rank(&self, rank: usize, vocabulary: usize) -> String {
        let place = rank_place(rank, vocabulary);
        let color = match &self.rank {
            Ranks::Scale(scale) => scale.at(place),
            Ranks::Decades(decades, last) => {
                let half = (vocabulary as f64 + 1.) / 2.;
                let good = decades.at((rank.max(1) as f64).min(half.max(1.)).log10() / 4.);
                if place > 0.5 { good.mixed(*last, 2. * place - 1.) } else { good }
            }
        };
        color.css()
    }

    /// The colour of a kind of link.
    pub fn link(&self, kind: LinkKind) -> String {
        self.links.iter().find(|(known, _)| *known == kind).map(|(_, color)| color.clone()).unwrap_or_default()
    }

    /// The colour of the stream that goes on past an MLP.
    pub fn past_mlp(&self) -> String {
        self.past_mlp.clone()
    }

    /// The colour of a key's or value's link, where it was asked for by attention.
    pub fn attention(&self, attention: f64) -> Option<String> {
        self.attention.as_ref().map(|scale| sheer(scale.at(attention), self.alpha))
    }

    /// The colour of what is added, where it was asked for by the entropy of its words, in bits.
    pub fn entropy(&self, bits: f64) -> Option<String> {
        self.entropy.as_ref().map(|scale| sheer(scale.at(bits / 30.), self.alpha))
    }

    /// The node colours with their meaning, best rank first.
    pub fn rank_legend(&self, vocabulary: usize) -> Vec<(String, String)> {
        let mut legend = Vec::new();
        let mut rank = 1;
        while rank <= vocabulary / 4 {
            legend.push((self.rank(rank, vocabulary), format!("rank {rank}")));
            rank *= 10;
        }
        legend.push((self.rank(vocabulary.div_ceil(2), vocabulary), "middle".to_owned()));
        legend.push((self.rank(vocabulary, vocabulary), format!("last ({vocabulary})")));
        legend
    }

    /// The colours of the kinds that occur in a graph, with their meaning.
    pub fn link_legend(&self, occurs: impl Fn(LinkKind) -> bool) -> Vec<(String, String)> {
        let mut legend = Vec::new();
        for (kind, meaning) in MEANINGS.iter().filter(|(kind, _)| occurs(*kind)) {
            let scores = [0., 0.5, 1.].map(|score| Some((self.attention(score)?, format!("attention {score}"))));
            let bits = [0., 15.].map(|bits| Some((self.entropy(bits)?, format!("added, of entropy {bits} bits"))));
            match kind {
                LinkKind::Score if self.attention.is_some() => legend.extend(scores.into_iter().flatten()),
                LinkKind::Add if self.entropy.is_some() => legend.extend(bits.into_iter().flatten()),
                _ => legend.push((self.link(*kind), (*meaning).to_owned())),
            }
            if *kind == LinkKind::Residual && self.past_mlp != self.link(*kind) {
                legend.push((self.past_mlp.clone(), "past an MLP, unchanged".to_owned()));
            }
        }
        legend
    }
}

/// A link's colour: links cross, and what lies below must stay visible.
fn sheer(color: Color, alpha: f64) -> String {
    Color { alpha: if color.alpha == 1. { alpha } else { color.alpha }, ..color }.css()
}

/// 0 for rank 1, 0.5 for the middle, 1 for the last rank.
fn rank_place(rank: usize, vocabulary: usize) -> f64 {
    let half = (vocabulary as f64 + 1.) / 2.;
    let rank = (rank as f64).clamp(1., vocabulary.max(1) as f64);
    if half <= 1. {
        return 0.5;
    }
    let good = |rank: f64| 0.5 * rank.ln() / half.ln();
    if rank <= half { good(rank) } else { 1. - good(vocabulary as f64 + 1. - rank) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranks_run_from_best_over_the_middle_to_last_and_mirror() {
        assert_eq!(rank_place(1, 999), 0.);
        assert_eq!(rank_place(500, 999), 0.5);
        assert_eq!(rank_place(999, 999), 1.);
        assert!((rank_place(10, 999) + rank_place(990, 999) - 1.).abs() < 1e-12);
        let places: Vec<f64> = (1..=999).map(|rank| rank_place(rank, 999)).collect();
        assert!(places.windows(2).all(|pair| pair[0] < pair[1]));
        assert_eq!(rank_place(1, 1), 0.5);
    }

    /// So far apart that nobody looks twice: hue and lightness, as a distance in CIE Lab.
    #[test]
    fn ranks_of_each_power_of_ten_differ_at_first_glance() {
        for palette in [Palette::Standard, Palette::Light, Palette::Dark, Palette::ColorBlind] {
            let scheme = Scheme::new(&Style { palette, ..Style::default() });
            let colors: Vec<[f64; 3]> =
                [1, 10, 100, 1_000, 20_000, 50_000].map(|rank| lab(&scheme.rank(rank, 50_000))).to_vec();
            for (at, one) in colors.iter().enumerate() {
                for other in &colors[..at] {
                    let distance = one.iter().zip(other).map(|(a, b)| (a - b).powi(2)).sum::<f64>().sqrt();
                    assert!(distance > 20., "{palette}: {distance}, {one:?} and {other:?}");
                }
            }
        }
    }

    fn lab(css: &str) -> [f64; 3] {
        let color = Color::parse(css).unwrap();
        let linear = |part: f64| if part <= 0.04045 { part / 12.92 } else { ((part + 0.055) / 1.055).powf(2.4) };
        let [r, g, b] = [color.red, color.green, color.blue].map(linear);
        let [x, y, z] = [
            (0.4124 * r + 0.3576 * g + 0.1805 * b) / 0.9505,
            0.2126 * r + 0.7152 * g + 0.0722 * b,
            (0.0193 * r + 0.1192 * g + 0.9505 * b) / 1.089,
        ]
        .map(|part| if part > 0.008856 { part.cbrt() } else { 7.787 * part + 16. / 116. });
        [116. * y - 16., 500. * (x - y), 200. * (y - z)]
    }

    #[test]
    fn colours_that_were_asked_for_go_first() {
        let plain = Scheme::new(&Style { palette: Palette::ColorBlind, ..Style::default() });
        assert_eq!(plain.rank(1, 100), "rgba(0, 114, 178, 1.0)");
        assert_eq!(plain.rank_legend(5000).len(), 6);
        assert_eq!((plain.attention(0.5), plain.entropy(3.)), (None, None));
        let texts = |list: &[&str]| Some(list.iter().map(|&text| text.to_owned()).collect());
        let own = Scheme::new(&Style {
            ranks: texts(&["purple", "yellow"]),
            links: vec![(LinkKind::Promote, "green".to_owned())],
            attention: texts(&["black", "white"]),
            past_mlp: Some("rgba(0,0,255,0.3)".to_owned()),
            ..Style::default()
        });
        assert_eq!(own.rank(1, 100), "rgba(128, 0, 128, 1.0)");
        assert_eq!(own.link(LinkKind::Promote), "rgba(0, 128, 0, 0.45)");
        assert_eq!(own.attention(1.).unwrap(), "rgba(255, 255, 255, 0.45)");
        assert_eq!(own.past_mlp(), "rgba(0, 0, 255, 0.3)");
        assert_eq!(own.link_legend(|_| true).len(), 11);
    }

    #[test]
    fn every_kind_but_the_invisible_one_has_a_place_in_the_legend() {
        let scheme = Scheme::new(&Style { palette: Palette::Light, ..Style::default() });
        assert_eq!(scheme.link_legend(|_| true).len(), 8);
        assert_eq!(scheme.link_legend(|kind| kind == LinkKind::Skip).len(), 1);
    }
}
