//! Configuration files: VISIT's keys with its defaults, each also under a plain name of ours.

use std::collections::BTreeSet;
use std::path::Path;

use serde_json::{Map, Value};

use super::graph::Method;
use super::palette::Palette;

use crate::{Error, Result};

/// VISIT's files by the names they were published under; found by these names from any working directory.
const SHIPPED: [(&str, &str); 9] = [
    ("flow_graph_config_basic.json", include_str!("../../flow_graph_configs/flow_graph_config_basic.json")),
    (
        "flow_graph_config_basic_color_palette2.json",
        include_str!("../../flow_graph_configs/flow_graph_config_basic_color_palette2.json"),
    ),
    ("flow_graph_config_gpt2.json", include_str!("../../flow_graph_configs/flow_graph_config_gpt2.json")),
    ("flow_graph_config_gpt_neo.json", include_str!("../../flow_graph_configs/flow_graph_config_gpt_neo.json")),
    ("flow_graph_config_gptj.json", include_str!("../../flow_graph_configs/flow_graph_config_gptj.json")),
    ("flow_graph_config_llama2_7B.json", include_str!("../../flow_graph_configs/flow_graph_config_llama2_7B.json")),
    ("light.json", include_str!("../../flow_graph_configs/light.json")),
    ("dark.json", include_str!("../../flow_graph_configs/dark.json")),
    ("color_blind.json", include_str!("../../flow_graph_configs/color_blind.json")),
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

impl Setting for Vec<String> {
    const KIND: &'static str = "a list of texts";
    fn read(value: &Value) -> Option<Vec<String>> {
        value.as_array()?.iter().map(String::read).collect()
    }
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
        pub(super) struct Config {
            $(pub $name: $kind,)*
            /// Fields that the file set, by their names here.
            given: BTreeSet<&'static str>,
        }

        impl Default for Config {
            fn default() -> Config {
                Config { $($name: $default,)* given: BTreeSet::new() }
            }
        }

        /// Every key that a file may hold.
        const KEYS: &[&str] = &[$($($key),+),*];

        impl Config {
            /// Sets the field that `key` stands for.
            fn set(&mut self, key: &str, value: &Value) -> std::result::Result<(), String> {
                match key {
                    $($($key)|+ => {
                        let read = <$kind as Setting>::read(value);
                        let wrong = || format!("{key} must be {}, found {value}", <$kind as Setting>::KIND);
                        self.$name = read.ok_or_else(wrong)?;
                        if !self.given.insert(stringify!($name)) {
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

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|&name| name.to_owned()).collect()
}

fn rank_stops() -> Vec<String> {
    let runs =
        [("lime", 1), ("greenyellow", 1), ("yellow", 3), ("dimgrey", 53), ("orangered", 3), ("red", 4), ("darkred", 5)];
    runs.iter().flat_map(|&(name, count)| std::iter::repeat_n(name.to_owned(), count)).collect()
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
    n_layer: String = "n_layer".to_owned(), "n_layer";
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
    rank_colors: Vec<String> = rank_stops(), "cmap_node_rank_target" | "rank_colors";
    score_colors: Vec<String> = names(&["khaki", "yellow", "green"]), "cmap_attn_score" | "score_colors";
    entropy_colors: Vec<String> = names(&["darkslategrey", "lightgrey", "lightgrey"]), "cmap_entropy" | "entropy_colors";
    background_color: String = "black".to_owned(), "backgroud_color" | "background_color";
    invisible_link_color: String = "black".to_owned(), "invisible_link_color";
    abstract_color: String = "white".to_owned(), "color_for_abstract";
    default_color: String = "white".to_owned(), "default_color";
    norm_color: String = "darkviolet".to_owned(), "link_with_normalizer" | "norm_color";
    bias_color: String = "pink".to_owned(), "color_for_bias_vector" | "bias_color";
    promote_color: String = "blue".to_owned(), "positive_activation" | "promote_color";
    suppress_color: String = "red".to_owned(), "negative_activation" | "suppress_color";
    attn_residual_color: String = "rgba(102,0,204,0.3)".to_owned(), "color_attn_residual" | "residual_color";
    mlp_residual_color: String = "rgba(51,102,153,0.3)".to_owned(), "color_mlp_residual";
    font_size: i64 = 12, "font_size";
    palette: Option<Palette> = None, "palette";
    method: Option<Method> = None, "method";
}

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
    /// Reads a file; a shipped one is found by its name from any working directory.
    pub fn read(path: &Path) -> Result<Config> {
        let text = match std::fs::read_to_string(path) {
            Ok(text) => text,
            Err(error) => {
                let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
                let shipped =
                    SHIPPED.iter().find(|(file, _)| *file == name && error.kind() == std::io::ErrorKind::NotFound);
                shipped.map(|(_, text)| (*text).to_owned()).ok_or_else(|| Error::io(path, error))?
            }
        };
        Config::parse(&text).map_err(|problem| Error::file(path, problem))
    }

    /// Reads the text of a file.
    fn parse(text: &str) -> std::result::Result<Config, String> {
        let value: Value = serde_json::from_str(text).map_err(|error| format!("not JSON: {error}"))?;
        let keys: &Map<String, Value> = value.as_object().ok_or("a configuration is a JSON object, {..}")?;
        let mut config = Config::default();
        for (key, value) in keys {
            config.set(key, value)?;
        }
        Ok(config)
    }

    /// VISIT's own configuration for a family.
    pub fn of_family(family: &str) -> Option<Config> {
        let name = match family {
            "gpt2" => "flow_graph_config_gpt2.json",
            "gpt_neo" => "flow_graph_config_gpt_neo.json",
            "gptj" => "flow_graph_config_gptj.json",
            "llama" | "mistral" | "qwen2" | "qwen3" => "flow_graph_config_llama2_7B.json",
            _ => return None,
        };
        SHIPPED.iter().find(|(file, _)| *file == name).and_then(|(_, text)| Config::parse(text).ok())
    }

    /// Whether the file set this field (by its name in [`Config`]).
    pub fn sets(&self, field: &str) -> bool {
        self.given.contains(field)
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
        let owners: Vec<&str> = ["gpt2", "gpt_neo", "gptj", "llama"]
            .into_iter()
            .filter(|other| Config::of_family(other).is_some_and(|config| config.path(key) == found))
            .collect();
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
            if name.starts_with("flow_graph_config") {
                assert!(PATHS.iter().all(|path| config.sets(path)), "{name}");
            }
        }
        for family in ["gpt2", "gpt_neo", "gptj", "llama"] {
            let config = Config::of_family(family).unwrap();
            assert_eq!(config.clone().fitted(family).unwrap(), config);
        }
        let palette = Config::read(Path::new("elsewhere/flow_graph_config_basic_color_palette2.json")).unwrap();
        assert_eq!(palette.promote_color, "green");
        assert_eq!(Config::default().rank_colors.len(), 70);
    }

    #[test]
    fn takes_misspelt_and_plain_keys_but_not_both() {
        let config = Config::parse(r#"{"defualt_weight": 9, "backgroud_color": "white", "heads": 3}"#).unwrap();
        assert_eq!((config.default_weight, config.background_color.as_str(), config.heads), (9., "white", 3));
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
