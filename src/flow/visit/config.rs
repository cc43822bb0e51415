//! Configuration files: VISIT's keys with its defaults, each also under a plain name of ours, and a few of our own.

use std::collections::BTreeMap;
use std::path::Path;

use serde_json::{Map, Value};

use super::super::graph::Method;
use super::super::style::Palette;
use crate::colors::Color;
use crate::{Error, Result, files};

/// Bytes that a configuration may have; it is written by hand.
const LARGEST: u64 = 1 << 20;

/// VISIT's files by the names they were published under; found by these names from any working directory.
pub(super) const SHIPPED: [(&str, &str); 9] = [
    ("flow_graph_config_basic.json", include_str!("../../../flow_graph_configs/flow_graph_config_basic.json")),
    (
        "flow_graph_config_basic_color_palette2.json",
        include_str!("../../../flow_graph_configs/flow_graph_config_basic_color_palette2.json"),
    ),
    ("flow_graph_config_gpt2.json", include_str!("../../../flow_graph_configs/flow_graph_config_gpt2.json")),
    ("flow_graph_config_gpt_neo.json", include_str!("../../../flow_graph_configs/flow_graph_config_gpt_neo.json")),
    ("flow_graph_config_gptj.json", include_str!("../../../flow_graph_configs/flow_graph_config_gptj.json")),
    ("flow_graph_config_llama2_7B.json", include_str!("../../../flow_graph_configs/flow_graph_config_llama2_7B.json")),
    ("light.json", include_str!("../../../flow_graph_configs/light.json")),
    ("dark.json", include_str!("../../../flow_graph_configs/dark.json")),
    ("color_blind.json", include_str!("../../../flow_graph_configs/color_blind.json")),
];

/// How a value of a key is read.
trait Setting: Sized {
    const KIND: &'static str;
    fn read(value: &Value) -> Option<Self>;
}

impl Setting for bool {
    const KIND: &'static str = "true or false";
    fn read(value: &Value) -> Option<bool> {
        value.as_bool()
    }
}

impl Setting for i64 {
    const KIND: &'static str = "a whole number";
    fn read(value: &Value) -> Option<i64> {
        value.as_i64()
    }
}

impl Setting for f64 {
    const KIND: &'static str = "a number";
    fn read(value: &Value) -> Option<f64> {
        value.as_f64()
    }
}

impl Setting for String {
    const KIND: &'static str = "a text";
    fn read(value: &Value) -> Option<String> {
        value.as_str().map(str::to_owned)
    }
}

/// A colour, checked to be one, as it was written: VISIT hands it on like that.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Css(pub String);

impl Setting for Css {
    const KIND: &'static str = "a colour, a CSS name, #rrggbb or rgba(..)";
    fn read(value: &Value) -> Option<Css> {
        let text = value.as_str()?;
        Color::parse(text).map(|_| Css(text.to_owned()))
    }
}

impl Setting for Vec<Css> {
    const KIND: &'static str = "a list of two or more colours, each a CSS name, #rrggbb or rgba(..)";
    fn read(value: &Value) -> Option<Vec<Css>> {
        value.as_array()?.iter().map(Css::read).collect::<Option<Vec<_>>>().filter(|colors| colors.len() > 1)
    }
}

/// The texts of a list of colours.
pub(crate) fn texts(colors: &[Css]) -> Vec<String> {
    colors.iter().map(|Css(text)| text.clone()).collect()
}

impl Setting for Option<Palette> {
    const KIND: &'static str = "standard, light, dark or color_blind";
    fn read(value: &Value) -> Option<Option<Palette>> {
        Some(Some(value.as_str()?.parse().ok()?))
    }
}

impl Setting for Option<Method> {
    const KIND: &'static str = "exact or visit";
    fn read(value: &Value) -> Option<Option<Method>> {
        Some(Some(value.as_str()?.parse().ok()?))
    }
}

macro_rules! settings {
    ($($name:ident: $kind:ty = $default:expr, $($key:literal)|+;)*) => {
        /// What a configuration file can say. Field names are ours; VISIT's spelling of a key, where it differs,
        /// is read as well.
        #[derive(Debug, Clone, PartialEq)]
        pub(crate) struct Config {
            $(pub $name: $kind,)*
            /// Fields that the file set, by their names here, and under which key.
            pub(super) given: BTreeMap<&'static str, String>,
        }

        impl Default for Config {
            fn default() -> Config {
                Config { $($name: $default,)* given: BTreeMap::new() }
            }
        }

        /// Every key that a file may hold.
        const KEYS: &[&str] = &[$($($key),+),*];

        impl Config {
            /// Sets the field that `key` stands for.
            pub(super) fn set(&mut self, key: &str, value: &Value) -> std::result::Result<(), String> {
                if let Some((_, why)) = MEANINGLESS.iter().find(|(known, _)| *known == key) {
                    return Err(format!("{key} would change nothing: {why}"));
                }
                match key {
                    $($($key)|+ => {
                        let read = <$kind as Setting>::read(value);
                        let wrong = || format!("{key} must be {}, found {value}", <$kind as Setting>::KIND);
                        self.$name = read.ok_or_else(wrong)?;
                        if self.given.insert(stringify!($name), key.to_owned()).is_some() {
                            return Err(format!("{key} is given twice, the second time under another name"));
                        }
                    })*
                    _ => return Err(unknown(key)),
                }
                Ok(())
            }
        }
    };
}

pub(super) fn css(name: &str) -> Css {
    Css(name.to_owned())
}

fn names(list: &[&str]) -> Vec<Css> {
    list.iter().copied().map(css).collect()
}

fn rank_stops() -> Vec<Css> {
    let runs =
        [("lime", 1), ("greenyellow", 1), ("yellow", 3), ("dimgrey", 53), ("orangered", 3), ("red", 4), ("darkred", 5)];
    runs.iter().flat_map(|&(name, count)| std::iter::repeat_n(css(name), count)).collect()
}

settings! {
    layer_format: String = String::new(), "layer_format";
    layer_mlp_format: String = String::new(), "layer_mlp_format";
    layer_attn_format: String = String::new(), "layer_attn_format";
    ln1: String = String::new(), "ln1";
    attn_q: String = String::new(), "attn_q";
    attn_k: String = String::new(), "attn_k";
    attn_v: String = String::new(), "attn_v";
    attn_o: String = String::new(), "attn_o";
    ln2: String = String::new(), "ln2";
    mlp_ff1: String = String::new(), "mlp_ff1";
    mlp_ff2: String = String::new(), "mlp_ff2";
    include_mlp_bias: bool = true, "include_mlp_bias";
    include_attn_bias: bool = true, "include_attn_bias";
    transpose_attn_o: bool = false, "transpose_attn_o";
    name: String = "default_v2".to_owned(), "config_name" | "name";
    round_digits: i64 = 3, "round_digits";
    top_neurons: i64 = 18, "number_of_top_neurons" | "top_neurons";
    bottom_neurons: i64 = 7, "number_of_bottom_neurons" | "bottom_neurons";
    default_weight: f64 = 7., "defualt_weight" | "default_weight";
    factor_neuron: f64 = 1.5, "factor_weight_mlp_key_value_link";
    values_per_head: i64 = 2, "n_values_per_head" | "values_per_head";
    factor_attn_score: f64 = 10., "factor_attn_score";
    factor_head_output: f64 = 1.8, "factor_head_output";
    factor_head_norm: f64 = 0.2, "factor_head_norm";
    factor_memory: f64 = 1.3, "factor_for_memory_to_head_values";
    heads: i64 = 10, "n_heads_to_add" | "heads";
    compact_mlp_nodes: bool = false, "compact_mlp_nodes";
    compact_attn_nodes: bool = false, "compact_attn_k_v_nodes";
    parallel: bool = false, "parallel_attn_mlp_architecture";
    rank_colors: Vec<Css> = rank_stops(), "cmap_node_rank_target" | "rank_colors";
    score_colors: Vec<Css> = names(&["khaki", "yellow", "green"]), "cmap_attn_score" | "score_colors";
    entropy_colors: Vec<Css> = names(&["darkslategrey", "lightgrey", "lightgrey"]), "cmap_entropy" | "entropy_colors";
    invisible_link_color: Css = css("black"), "invisible_link_color";
    abstract_color: Css = css("white"), "color_for_abstract";
    default_color: Css = css("white"), "default_color";
    norm_color: Css = css("darkviolet"), "link_with_normalizer" | "norm_color";
    bias_color: Css = css("pink"), "color_for_bias_vector" | "bias_color";
    promote_color: Css = css("blue"), "positive_activation" | "promote_color";
    suppress_color: Css = css("red"), "negative_activation" | "suppress_color";
    attn_residual_color: Css = css("rgba(102,0,204,0.3)"), "color_attn_residual" | "residual_color";
    mlp_residual_color: Css = css("rgba(51,102,153,0.3)"), "color_mlp_residual";
    palette: Option<Palette> = None, "palette";
    method: Option<Method> = None, "method";
}

/// VISIT's keys that mean nothing here: they are refused, not ignored.
const MEANINGLESS: [(&str, &str); 4] = [
    ("n_layer", "VISIT itself never reads it; leave it out"),
    ("font_size", "the picture's letters have the size that its places are made for; leave it out"),
    ("backgroud_color", "the ground is that of the page that shows the graph; leave it out"),
    ("background_color", "the ground is that of the page that shows the graph; leave it out"),
];

impl Config {
    /// Reads a file; a shipped one is found by its name from any working directory.
    pub fn read(path: &Path) -> Result<Config> {
        let text = match files::read_text_within(path, LARGEST) {
            Err(Error::Io { source, .. }) if source.kind() == std::io::ErrorKind::NotFound => {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let shipped = SHIPPED.iter().find(|(file, _)| *file == name);
                shipped.map(|(_, text)| (*text).to_owned()).ok_or_else(|| Error::io(path, source))?
            }
            text => text?,
        };
        Config::parse(&text).map_err(|problem| Error::file(path, problem))
    }

    /// Reads the text of a file.
    pub(super) fn parse(text: &str) -> std::result::Result<Config, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        let keys: &Map<String, Value> = value.as_object().ok_or("a configuration is a JSON object, {..}")?;
        let mut config = Config::default();
        for (key, value) in keys {
            config.set(key, value)?;
        }
        Ok(config)
    }

    /// Whether the file set this field (by its name in [`Config`]).
    pub fn sets(&self, field: &str) -> bool {
        self.given.contains_key(field)
    }
}

/// What to say about a key that does not exist.
fn unknown(key: &str) -> String {
    let nearest = KEYS.iter().min_by_key(|known| strsim::levenshtein(key, known)).copied().unwrap_or_default();
    format!("unknown key {key:?}; the nearest known one is {nearest:?}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_shipped_file_reads_and_visits_own_name_their_family() {
        for (name, text) in SHIPPED {
            let config = Config::parse(text).unwrap_or_else(|problem| panic!("{name}: {problem}"));
            assert_eq!(config.sets("mlp_ff2"), name.starts_with("flow_graph_config"), "{name}");
        }
        for family in ["gpt2", "gpt_neo", "gptj", "llama"] {
            let config = Config::of_family(family).unwrap();
            assert_eq!(config.clone().fitted(family).unwrap(), config);
        }
        let palette = Config::read(Path::new("elsewhere/flow_graph_config_basic_color_palette2.json")).unwrap();
        assert_eq!(palette.promote_color, css("green"));
        assert_eq!(Config::default().rank_colors.len(), 70);
    }

    #[test]
    fn takes_misspelt_and_plain_keys_but_not_both() {
        let config = Config::parse(r#"{"defualt_weight": 9, "color_for_abstract": "grey", "heads": 3}"#).unwrap();
        assert_eq!((config.default_weight, config.abstract_color, config.heads), (9., css("grey"), 3));
        let twice = Config::parse(r#"{"defualt_weight": 9, "default_weight": 9}"#).unwrap_err();
        assert!(twice.contains("default_weight is given twice"), "{twice}");
    }

    #[test]
    fn names_what_is_wrong() {
        let unknown = Config::parse(r#"{"number_of_top_neuron": 3}"#).unwrap_err();
        assert!(
            unknown.contains("\"number_of_top_neuron\"") && unknown.contains("\"number_of_top_neurons\""),
            "{unknown}"
        );
        let kind = Config::parse(r#"{"heads": "three"}"#).unwrap_err();
        assert!(kind.contains("heads must be a whole number, found \"three\""), "{kind}");
        assert!(Config::parse("[1]").unwrap_err().contains("JSON object"));
        assert!(Config::parse("{").unwrap_err().contains("not JSON"));
        let lost = Config::read(Path::new("nowhere/mine.json")).unwrap_err().to_string();
        assert!(lost.contains("mine.json"), "{lost}");
    }
}
