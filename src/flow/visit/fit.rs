//! What a configuration says to a model: whether it fits its family, and what each of the methods takes from it.

use super::super::amounts::{Amounts, Heads};
use super::super::graph::LinkKind;
use super::super::style::Style;
use super::config::{Config, Css, SHIPPED, texts};
use crate::model::families;
use crate::{Error, Result};

/// Fields that only the published method knows, and why the exact one cannot follow them.
const PUBLISHED_ONLY: [(&str, &str); 11] = [
    ("round_digits", "exact numbers are not rounded"),
    ("default_weight", "the width of every exact link is the length of a vector"),
    ("factor_neuron", "the width of every exact link is the length of a vector"),
    ("factor_attn_score", "the width of every exact link is the length of a vector"),
    ("factor_head_output", "the width of every exact link is the length of a vector"),
    ("factor_head_norm", "the width of every exact link is the length of a vector"),
    ("factor_memory", "the width of every exact link is the length of a vector"),
    ("compact_mlp_nodes", "the exact graph keeps what a neuron reads and what it writes apart"),
    ("compact_attn_nodes", "the exact graph keeps keys and values apart"),
    ("invisible_link_color", "the exact graph has no invisible links"),
    ("abstract_color", "the exact graph has no node for joined heads"),
];

/// The keys whose values name modules of a Python model.
const PATHS: [&str; 11] = [
    "layer_format",
    "layer_mlp_format",
    "layer_attn_format",
    "ln1",
    "attn_q",
    "attn_k",
    "attn_v",
    "attn_o",
    "ln2",
    "mlp_ff1",
    "mlp_ff2",
];

impl Config {
    /// VISIT's own configuration for a family, where it has one.
    pub fn of_family(family: &str) -> Option<Config> {
        let name = families::families().iter().find(|known| known.name == family)?.visit_form?;
        SHIPPED.iter().find(|(file, _)| *file == name).and_then(|(_, text)| Config::parse(text).ok())
    }

    /// The configuration of a published graph: the file's, fitted to the family, or else VISIT's own for it.
    pub fn published(file: Option<Config>, family: &str) -> Result<Config> {
        let Some(own) = Config::of_family(family) else {
            return Err(Error::FlowGraph(format!(
                "VISIT has no form for {family} models, only for {}; leave out the method visit",
                names_with(|_| true).join(", ")
            )));
        };
        let config = file.map_or(Ok(own), |file| file.fitted(family))?;
        if config.sets("palette") {
            return Err(Error::FlowGraph(
                "palette is of the exact method; the method visit takes rank_colors, score_colors and entropy_colors"
                    .to_owned(),
            ));
        }
        Ok(config)
    }

    /// A file for an exact graph, fitted to the family; what the exact method cannot follow is refused by name.
    pub fn exact(self, family: &str) -> Result<Config> {
        let config = self.fitted(family)?;
        if let Some((field, why)) = PUBLISHED_ONLY.iter().find(|(field, _)| config.given.contains_key(field)) {
            let key = &config.given[field];
            return Err(Error::FlowGraph(format!("{key} is of the method visit: {why}; leave it out")));
        }
        let own = Config::of_family(family);
        let layout = |config: &Config| {
            [
                ("include_mlp_bias", config.include_mlp_bias),
                ("include_attn_bias", config.include_attn_bias),
                ("transpose_attn_o", config.transpose_attn_o),
                ("parallel", config.parallel),
            ]
        };
        let true_to_model = own.as_ref().map(layout);
        for (index, (field, value)) in layout(&config).into_iter().enumerate() {
            if let Some(key) = config.given.get(field)
                && true_to_model.is_none_or(|own| own[index].1 != value)
            {
                return Err(Error::FlowGraph(format!(
                    "{key} is {value}, and the exact method draws {family} models as they are; leave it out"
                )));
            }
        }
        Ok(config)
    }

    /// How much an exact graph shows: what the file says, else what keeps the picture readable.
    pub fn amounts(&self) -> Result<Amounts> {
        let given = |field: &str, number: i64, usual: usize| match (self.given.get(field), usize::try_from(number)) {
            (None, _) => Ok(usual),
            (_, Ok(number)) => Ok(number),
            (Some(key), Err(_)) => Err(Error::FlowGraph(format!("{key} is {number}; write 0 or more"))),
        };
        let heads = match (self.sets("heads"), usize::try_from(self.heads)) {
            (false, _) => Heads::Top(6),
            (true, Ok(count @ 1..)) => Heads::Top(count),
            (true, _) => Heads::All,
        };
        Ok(Amounts {
            heads,
            values_per_head: given("values_per_head", self.values_per_head, 2)?,
            top_neurons: given("top_neurons", self.top_neurons, 6)?,
            bottom_neurons: given("bottom_neurons", self.bottom_neurons, 4)?,
        })
    }

    /// The colours that the file asks for.
    pub fn style(&self) -> Style {
        let one = |field: &str, Css(color): &Css| self.sets(field).then(|| color.clone());
        let scale = |field: &str, colors: &[Css]| self.sets(field).then(|| texts(colors));
        let links = [
            ("attn_residual_color", &self.attn_residual_color, LinkKind::Residual),
            ("norm_color", &self.norm_color, LinkKind::Norm),
            ("promote_color", &self.promote_color, LinkKind::Promote),
            ("suppress_color", &self.suppress_color, LinkKind::Suppress),
            ("bias_color", &self.bias_color, LinkKind::Bias),
        ];
        let links = links.into_iter().filter_map(|(field, color, kind)| Some((kind, one(field, color)?)));
        Style {
            palette: self.palette.unwrap_or_default(),
            ranks: scale("rank_colors", &self.rank_colors),
            node: one("default_color", &self.default_color),
            bias: one("bias_color", &self.bias_color),
            links: links.collect(),
            past_mlp: one("mlp_residual_color", &self.mlp_residual_color),
            attention: scale("score_colors", &self.score_colors),
            entropy: scale("entropy_colors", &self.entropy_colors),
        }
    }

    /// Checks the module paths against the family of the model. A file without any fits every family; what it does
    /// not say about the layout of the family then comes from VISIT's own file for it.
    pub fn fitted(mut self, family: &str) -> Result<Config> {
        let given: Vec<&str> = PATHS.iter().copied().filter(|path| self.sets(path)).collect();
        let Some(own) = Config::of_family(family) else {
            return match given.first() {
                Some(key) => Err(Error::FlowGraph(self.misfit(key, family, None))),
                None => Ok(self),
            };
        };
        if given.is_empty() {
            for path in PATHS {
                self.set(path, &own.path(path).into()).map_err(Error::FlowGraph)?;
            }
            let keep = |field: &str, given: bool, own: bool| if self.sets(field) { given } else { own };
            (self.include_mlp_bias, self.include_attn_bias, self.transpose_attn_o, self.parallel) = (
                keep("include_mlp_bias", self.include_mlp_bias, own.include_mlp_bias),
                keep("include_attn_bias", self.include_attn_bias, own.include_attn_bias),
                keep("transpose_attn_o", self.transpose_attn_o, own.transpose_attn_o),
                keep("parallel", self.parallel, own.parallel),
            );
            return Ok(self);
        }
        for key in PATHS {
            if !self.sets(key) {
                let wanted = own.path(key);
                return Err(Error::FlowGraph(format!(
                    "the configuration names some modules but not {key}; for {family} it is {wanted:?} (or leave all out)"
                )));
            }
            if self.path(key) != own.path(key) {
                return Err(Error::FlowGraph(self.misfit(key, family, Some(own.path(key)))));
            }
        }
        Ok(self)
    }

    fn misfit(&self, key: &str, family: &str, wanted: Option<&str>) -> String {
        let found = self.path(key);
        let owners = names_with(|config| config.path(key) == found);
        let belongs = match owners.as_slice() {
            [] => "fits no family that VISIT knows".to_owned(),
            owners => format!("belongs to {}", owners.join(", ")),
        };
        let wanted = wanted.map(|wanted| format!(", where it is {wanted:?}")).unwrap_or_default();
        format!(
            "{key} {found:?} {belongs}; this model is of the family {family}{wanted}. \
             Without a configuration, or with one that names no modules, the right one is chosen by the model"
        )
    }

    fn path(&self, key: &str) -> &str {
        match key {
            "layer_format" => &self.layer_format,
            "layer_mlp_format" => &self.layer_mlp_format,
            "layer_attn_format" => &self.layer_attn_format,
            "ln1" => &self.ln1,
            "attn_q" => &self.attn_q,
            "attn_k" => &self.attn_k,
            "attn_v" => &self.attn_v,
            "attn_o" => &self.attn_o,
            "ln2" => &self.ln2,
            "mlp_ff1" => &self.mlp_ff1,
            _ => &self.mlp_ff2,
        }
    }
}

/// The families that VISIT has a form for which `fits`.
fn names_with(fits: impl Fn(&Config) -> bool) -> Vec<&'static str> {
    let names = families::families().iter().map(|family| family.name);
    names.filter(|name| Config::of_family(name).is_some_and(|config| fits(&config))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn refuses_by_name_what_would_change_nothing() {
        for key in ["font_size", "backgroud_color", "background_color", "n_layer"] {
            let error = Config::parse(&format!("{{\"{key}\": 12}}")).unwrap_err();
            assert!(error.starts_with(key) && error.contains("leave it out"), "{error}");
        }
        for (text, key) in [
            (r#"{"defualt_weight": 9}"#, "defualt_weight"),
            (r#"{"factor_attn_score": 9}"#, "factor_attn_score"),
            (r#"{"compact_mlp_nodes": true}"#, "compact_mlp_nodes"),
            (r#"{"round_digits": 1}"#, "round_digits"),
            (r#"{"include_mlp_bias": false}"#, "include_mlp_bias"),
            (r#"{"parallel_attn_mlp_architecture": true}"#, "parallel_attn_mlp_architecture"),
        ] {
            assert!(Config::published(Some(Config::parse(text).unwrap()), "gpt2").is_ok(), "{key}");
            let error = Config::parse(text).unwrap().exact("gpt2").unwrap_err().to_string();
            assert!(error.contains(key) && error.contains("leave it out"), "{error}");
        }
        // Those of the colours and amounts take effect in both, and VISIT's own files fit their family.
        for (name, text) in SHIPPED {
            let family = if name.contains("neo") {
                "gpt_neo"
            } else if name.contains("gptj") {
                "gptj"
            } else if name.contains("llama") {
                "llama"
            } else {
                "gpt2"
            };
            let config = Config::parse(text).unwrap().exact(family);
            assert!(config.is_ok(), "{name}: {}", config.unwrap_err());
        }
        let palette = Config::parse(r#"{"palette": "dark"}"#).unwrap();
        let error = Config::published(Some(palette), "gpt2").unwrap_err().to_string();
        assert!(error.contains("palette is of the exact method"), "{error}");
        let bloom = Config::parse(r#"{"include_attn_bias": true}"#).unwrap().exact("bloom").unwrap_err().to_string();
        assert!(bloom.contains("include_attn_bias is true"), "{bloom}");
        let color = Config::parse(r#"{"norm_color": "reddish"}"#).unwrap_err();
        assert!(color.contains("norm_color must be a colour") && color.contains("reddish"), "{color}");
    }

    #[test]
    fn refuses_modules_of_another_family() {
        let error = Config::of_family("llama").unwrap().fitted("gpt2").unwrap_err().to_string();
        assert!(
            error.contains("layer_format \"model.layers.{}\" belongs to llama") && error.contains("gpt2"),
            "{error}"
        );
        let error = Config::of_family("gpt2").unwrap().fitted("gpt_neox").unwrap_err().to_string();
        assert!(error.contains("belongs to gpt2, gpt_neo, gptj") && error.contains("gpt_neox"), "{error}");
        let plain = Config::parse(r#"{"heads": 3}"#).unwrap().fitted("gptj").unwrap();
        assert!(plain.parallel && !plain.include_attn_bias && plain.heads == 3);
        assert!(Config::parse(r#"{"heads": 3}"#).unwrap().fitted("gpt_neox").is_ok());
    }
}
