//! What the hover texts and labels of an exact graph say.

use crate::Site;
use crate::flow::{Facts, Firing, Graph, Link, LinkKind, Meta, Node, NodeKind, Score};
use crate::lens::{Reading, TokenScore};
use crate::text::visible;

/// Said where parts go through a norm of what is written.
const WRITTEN_NORM: &str = "through the norm of what is written, its scale held fixed";

/// Said of queries of cross attention: they meet what is made from the encoder's output.
const OF_ENCODER: &str =
    "a direction of the encoder's output, which the head was not trained to read: its words are a guess";

/// Writes about the nodes and links of a graph.
pub(super) struct Words<'a> {
    pub meta: &'a Meta,
    pub graph: &'a Graph,
}

impl Words<'_> {
    /// The short text beside a node: what it stands for, or its first word.
    pub fn label(&self, index: usize) -> String {
        let node = &self.graph.nodes[index];
        let word = || match node.reading.as_ref().and_then(|reading| reading.top.first()) {
            Some(best) => short(&self.shown(best.id, &best.text)),
            None => "?".to_owned(),
        };
        match (&node.facts, node.kind) {
            (Facts::Change, _) => "change".to_owned(),
            (Facts::OtherHeads(heads), _) => format!("+{}", count(heads.len(), head_name(node))),
            (Facts::OtherMemories { count: others, .. }, _) => format!("+{}", count(*others, "token")),
            (Facts::OtherNeurons(others), _) => format!("+{}", count(*others, "neuron")),
            (Facts::Key(_), _) => format!("«{}»", self.source(node)),
            (_, NodeKind::Bias) => "bias".to_owned(),
            (_, NodeKind::Head) => format!("H{} {}", node.head.unwrap_or_default(), word()),
            (_, NodeKind::CrossHead) => format!("C{} {}", node.head.unwrap_or_default(), word()),
            // Where its parts are not shown, nothing else tells them apart.
            (Facts::Reads(_), NodeKind::AttnOut) => format!("attn: {}", word()),
            (Facts::Reads(_), NodeKind::CrossOut) => format!("cross: {}", word()),
            (Facts::Reads(_), NodeKind::MlpOut) => format!("MLP: {}", word()),
            _ => word(),
        }
    }

    /// The lines about a node.
    pub fn node(&self, index: usize) -> Vec<String> {
        let node = &self.graph.nodes[index];
        let mut lines = vec![self.name(node)];
        if let Some(reading) = &node.reading {
            lines.push(format!("says {}", self.tokens(&reading.top)));
            // What is added speaks against words too; the stream itself only says what comes next.
            if !matches!(node.kind, NodeKind::Resid | NodeKind::NormedResid | NodeKind::Normed) {
                lines.push(format!("least {}", self.tokens(&reading.bottom)));
            }
            lines.extend(reading.targets.iter().map(|target| {
                let (rank, of, prob) = (target.rank, self.meta.vocabulary, percent(f64::from(target.prob)));
                format!("{}: rank {rank} of {of}, {prob}", self.quoted(target.id, &target.text))
            }));
            lines.extend(self.puts(reading, &node.contributions, node.average_contribution));
            lines.push(format!("length {}, entropy {:.1} bits", number(node.norm), reading.entropy));
        }
        lines.extend(facts(node));
        lines
    }

    /// The line about a link.
    pub fn link(&self, link: &Link) -> String {
        let (Some(source), Some(target)) = (self.graph.nodes.get(link.source), self.graph.nodes.get(link.target))
        else {
            return String::new();
        };
        let mut text = self.what_flows(link, source, target);
        if let Some(share) = link.share {
            text.push_str(&format!(", {:.1} % of the sum", 100. * share));
        }
        if let Some(skipped) = &link.skipped {
            text.push_str(&format!(": says {}", self.tokens(&skipped.reading.top)));
            self.puts(&skipped.reading, &skipped.contributions, skipped.average_contribution)
                .for_each(|share| text.push_str(&format!("; {share}")));
        }
        text
    }

    fn what_flows(&self, link: &Link, source: &Node, target: &Node) -> String {
        let length = number(link.value.abs());
        if let Some(skipped) = &link.skipped {
            let (first, last) = skipped.layers;
            let changed = if skipped.changed { ", with what was changed there by hand," } else { "" };
            return match first == last {
                true => {
                    format!("layer {first}, not shown,{} adds a vector of length {length}", changed.trim_matches(','))
                }
                false => {
                    format!(
                        "layers {first} to {last}, not shown,{} add a vector of length {length}",
                        changed.trim_matches(',')
                    )
                }
            };
        }
        match (link.kind, target.kind, &target.facts) {
            (LinkKind::Residual, ..) => format!("the residual stream goes on, a vector of length {length}"),
            (LinkKind::Norm, NodeKind::NormedResid, _) => {
                format!("the residual stream goes on through a norm, a vector of length {length}")
            }
            (LinkKind::Norm, kind, Facts::Reads(site)) => {
                let who = match kind {
                    NodeKind::AttnOut => "attention",
                    NodeKind::CrossOut => "cross attention",
                    _ => "the MLP",
                };
                let normed = matches!(site, Site::AttnNorm(_) | Site::CrossNorm(_) | Site::MlpNorm(_));
                let through = if normed && source.site != Some(*site) { " through a norm" } else { "" };
                format!("{who} reads the stream{through}")
            }
            (LinkKind::Norm, ..) => "read through a norm".to_owned(),
            (LinkKind::Score, _, Facts::Key(Score { attention, .. }) | Facts::Value { attention, .. }) => {
                format!("{} gives {attention:.3} of its attention to {}", self.who(target), self.from(target))
            }
            (LinkKind::Score, _, Facts::OtherMemories { count: others, attention }) => {
                let others = count(*others, "token");
                format!("{} gives {attention:.3} of its attention to the other {others}", self.who(target))
            }
            (LinkKind::Score, _, Facts::OtherHeads(_)) => "read by the heads not shown".to_owned(),
            (LinkKind::Score, ..) => format!("{} makes its query", self.who(target)),
            (LinkKind::Add, _, Facts::OtherNeurons(_)) => "read by the neurons not shown".to_owned(),
            (LinkKind::Promote | LinkKind::Suppress, _, Facts::Neuron(firing)) => {
                format!("{} fires with {}{}", neuron_name(target, firing), number(firing.activation), product(firing))
            }
            (LinkKind::Promote, ..) => format!("adds a vector of length {length}, along the neuron's row"),
            (LinkKind::Suppress, ..) => format!("adds a vector of length {length}, against the neuron's row"),
            _ => format!("adds a vector of length {length}"),
        }
    }

    /// What a node is.
    fn name(&self, node: &Node) -> String {
        let layer = node.layer;
        let others = |others: usize, of: &str| format!("what the other {} write together", count(others, of));
        let what = match (&node.facts, node.kind) {
            (Facts::Change, _) => ": what was changed here by hand in this run".to_owned(),
            (Facts::OtherHeads(heads), _) => format!(": {}", others(heads.len(), head_name(node))),
            (Facts::OtherMemories { count, .. }, _) => format!(", {}: {}", self.who(node), others(*count, "token")),
            (Facts::OtherNeurons(count), _) => format!(": {}", others(*count, "neuron")),
            (Facts::Neuron(firing), kind) => {
                let side = if firing.activation < 0. { "against" } else { "along" };
                let what = match kind {
                    NodeKind::NeuronGate => "what opens its gate".to_owned(),
                    NodeKind::NeuronKey if firing.gate.is_some() => "what its up row looks for".to_owned(),
                    NodeKind::NeuronKey => "what it looks for".to_owned(),
                    _ => format!("what it writes, {side} its row"),
                };
                format!(", {}: {what}", neuron_name(node, firing))
            }
            (_, NodeKind::Query) => format!(", {}: what its query looks for", self.who(node)),
            (_, NodeKind::CrossQuery) => {
                format!(", {}: what its query looks for in the encoder's output", self.who(node))
            }
            (_, NodeKind::Key | NodeKind::CrossKey) => {
                format!(", {}: the key of {}", self.who(node), self.from(node))
            }
            (_, NodeKind::Value | NodeKind::CrossValue) => {
                format!(", {}: what {} would write", self.who(node), self.from(node))
            }
            (_, NodeKind::Head | NodeKind::CrossHead) => format!(", {}: what it writes", self.who(node)),
            (_, NodeKind::Bias) => {
                let of = match node.part_of {
                    Some(Site::AttnOut(_)) => "attention's output",
                    Some(Site::CrossOut(_)) => "cross attention's output",
                    _ => "the MLP's output",
                };
                format!(": the bias of {of}")
            }
            (_, kind) => format!(": {}", of_site(kind, node.site)),
        };
        format!("layer {layer}{what}")
    }

    /// `head 3`, `cross head 3`.
    fn who(&self, node: &Node) -> String {
        format!("{} {}", head_name(node), node.head.unwrap_or_default())
    }

    /// The place that a memory comes from.
    fn from(&self, node: &Node) -> String {
        let place = if of_cross(node) { "the encoder's position" } else { "position" };
        format!("“{}” at {place} {}", self.source(node), node.source_position.unwrap_or_default())
    }

    /// The token that a memory comes from.
    fn source(&self, node: &Node) -> String {
        let (tokens, ids) = match of_cross(node) {
            true => (&self.meta.encoder_tokens, &self.meta.encoder_token_ids),
            false => (&self.meta.tokens, &self.meta.token_ids),
        };
        let Some(position) = node.source_position else { return String::new() };
        let Some(text) = tokens.get(position) else { return String::new() };
        short(&ids.get(position).map_or_else(|| visible(text), |&id| self.shown(id, text)))
    }

    /// What a vector puts onto the logit of each target. Beside it the difference to the average token, because what
    /// raises all logits alike changes no probability.
    fn puts<'a>(
        &'a self,
        reading: &'a Reading,
        contributions: &'a [f64],
        average: Option<f64>,
    ) -> impl Iterator<Item = String> + 'a {
        reading.targets.iter().zip(contributions).map(move |(target, &share)| {
            let word = self.quoted(target.id, &target.text);
            let against = signed(share - average.unwrap_or_default());
            format!("puts {} onto the logit of {word}, {against} against the average token", signed(share))
        })
    }

    fn tokens(&self, tokens: &[TokenScore]) -> String {
        let word =
            |token: &TokenScore| format!("{} {}", self.quoted(token.id, &token.text), percent(f64::from(token.prob)));
        tokens.iter().map(word).collect::<Vec<_>>().join(", ")
    }

    fn shown(&self, id: u32, text: &str) -> String {
        self.meta.partial_tokens.get(&id).cloned().unwrap_or_else(|| visible(text))
    }

    fn quoted(&self, id: u32, text: &str) -> String {
        format!("“{}”", self.shown(id, text))
    }
}

/// The lines with the numbers behind a node.
fn facts(node: &Node) -> Vec<String> {
    let normed = |normed: bool| normed.then(|| WRITTEN_NORM.to_owned());
    match (&node.facts, node.kind) {
        (Facts::Head { normed: through }, _) => normed(*through).into_iter().collect(),
        (Facts::Key(score), _) => score_facts(score),
        (Facts::Value { attention, added }, _) => {
            vec![format!("attention {attention:.3}, so a vector of length {} is added", number(*added))]
        }
        (Facts::Neuron(firing), NodeKind::NeuronGate) => {
            vec![format!("gate open by {}", number(firing.gate.unwrap_or_default()))]
        }
        (Facts::Neuron(firing), NodeKind::NeuronKey) => {
            vec![format!("input along this row, with bias: {}", number(firing.pre))]
        }
        (Facts::Neuron(firing), _) => [
            format!("activation {}{}", number(firing.activation), product(firing)),
            format!("a vector of length {} is added", number(firing.added)),
        ]
        .into_iter()
        .chain(normed(firing.normed))
        .collect(),
        (Facts::Experts(experts), _) => {
            let experts = experts.iter().map(|(expert, weight)| match expert {
                Some(expert) => format!("expert {expert} with weight {}", number(*weight)),
                None => format!("the shared expert with weight {}", number(*weight)),
            });
            vec![format!("written by {}", experts.collect::<Vec<_>>().join(", "))]
        }
        (Facts::OtherHeads(heads), _) => {
            vec![format!("heads {}", heads.iter().map(usize::to_string).collect::<Vec<_>>().join(", "))]
        }
        (Facts::OtherMemories { attention, .. }, _) => vec![format!("attention {attention:.3} in all")],
        (_, NodeKind::CrossQuery) => vec![OF_ENCODER.to_owned()],
        _ => Vec::new(),
    }
}

/// How a key's score comes about: from content, from positions, and held below a cap.
fn score_facts(score: &Score) -> Vec<String> {
    let product = format!(
        "{} · (input along this direction {} {} from biases)",
        number(score.scale),
        number(score.along),
        signed(score.offset)
    );
    let attention = format!("attention {:.3}", score.attention);
    if score.by_position.is_none() && score.soft_cap.is_none() {
        return vec![attention, format!("score {} = {product}", number(score.score()))];
    }
    let position = score.by_position.map_or(String::new(), |bias| format!(", {} from position", signed(bias)));
    let cap = score.soft_cap.map_or(String::new(), |cap| format!(", held below {} by a soft cap", number(cap)));
    vec![
        attention,
        format!("score {}: {} from content{position}{cap}", number(score.score()), number(score.content())),
        format!("content {} = {product}", number(score.content())),
    ]
}

/// How a neuron's activation comes about.
fn product(firing: &Firing) -> String {
    let mut product = match firing.gate {
        Some(gate) => format!(" = gate {} x up {}", number(gate), number(firing.pre)),
        None => format!(", before the activation function {}", number(firing.pre)),
    };
    if let Some(share) = firing.share {
        product.push_str(&format!(" x the expert's weight {}", number(share)));
    }
    product
}

fn neuron_name(node: &Node, firing: &Firing) -> String {
    match firing.expert {
        None => format!("neuron {}", node.neuron.unwrap_or_default()),
        Some((Some(expert), neuron)) => format!("expert {expert}, neuron {neuron}"),
        Some((None, neuron)) => format!("shared expert, neuron {neuron}"),
    }
}

/// What the vector of a site is.
fn of_site(kind: NodeKind, site: Option<Site>) -> &'static str {
    let goes_on = kind == NodeKind::NormedResid;
    match site {
        Some(Site::ResidPre(_)) => "the residual stream before the block",
        Some(Site::ResidMid(_)) => "the residual stream after attention",
        Some(Site::ResidMidCross(_)) => "the residual stream after cross attention",
        Some(Site::ResidPost(_)) => "the residual stream after the block",
        Some(Site::AttnNorm(_)) if goes_on => "the residual stream through attention's norm",
        Some(Site::CrossNorm(_)) if goes_on => "the residual stream through cross attention's norm",
        Some(Site::MlpNorm(_)) if goes_on => "the residual stream through the MLP's norm",
        Some(Site::AttnNorm(_)) => "what attention reads",
        Some(Site::CrossNorm(_)) => "what cross attention reads",
        Some(Site::MlpNorm(_)) => "what the MLP reads",
        Some(Site::AttnOut(_)) => "what attention writes",
        Some(Site::CrossOut(_)) => "what cross attention writes",
        _ => "what the MLP writes",
    }
}

/// Whether a node is a part of cross attention.
fn of_cross(node: &Node) -> bool {
    let kinds = [NodeKind::CrossQuery, NodeKind::CrossKey, NodeKind::CrossValue, NodeKind::CrossHead];
    kinds.contains(&node.kind) || matches!(node.part_of, Some(Site::CrossOut(_)))
}

/// What a head is called.
fn head_name(node: &Node) -> &'static str {
    if of_cross(node) { "cross head" } else { "head" }
}

/// A word for a label: without its leading blank where something is left.
fn short(shown: &str) -> String {
    match shown.trim_start_matches('␣') {
        "" => shown.to_owned(),
        rest => rest.to_owned(),
    }
}

/// `1 head`, `2 heads`.
fn count(number: usize, of: &str) -> String {
    format!("{number} {of}{}", if number == 1 { "" } else { "s" })
}

/// A number with three digits that matter.
fn number(x: f64) -> String {
    match x.abs() {
        0. => "0".to_owned(),
        size if !(1e-3..1e5).contains(&size) => format!("{x:.2e}"),
        size if size >= 100. => format!("{x:.0}"),
        size if size >= 10. => format!("{x:.1}"),
        size if size >= 1. => format!("{x:.2}"),
        _ => format!("{x:.3}"),
    }
}

/// A number with its sign.
fn signed(x: f64) -> String {
    format!("{}{}", if x < 0. { "" } else { "+" }, number(x))
}

fn percent(share: f64) -> String {
    match 100. * share {
        percent if percent >= 10. => format!("{percent:.0} %"),
        percent if percent >= 0.1 => format!("{percent:.1} %"),
        percent if percent >= 0.001 => format!("{percent:.3} %"),
        _ => "<0.001 %".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_short_and_words_lose_their_blank() {
        assert_eq!([0.1234, 1.234, -12.34, 1234., 1e-5].map(number), ["0.123", "1.23", "-12.3", "1234", "1.00e-5"]);
        assert_eq!([signed(0.5), signed(-0.5)], ["+0.500", "-0.500"]);
        assert_eq!([percent(0.854), percent(0.0123), percent(1e-7)], ["85 %", "1.2 %", "<0.001 %"]);
        assert_eq!([short("␣Tokyo"), short("␣␣"), short("a␣")], ["Tokyo", "␣␣", "a␣"]);
    }
}
