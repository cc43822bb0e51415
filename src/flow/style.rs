//! The colours that were asked for. What they are is the figure's matter.

use std::fmt;
use std::str::FromStr;

use super::graph::LinkKind;
use crate::{Error, Result};

/// A set of colours for a graph.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum Palette {
    /// Green over grey to red, readable on light and on dark ground.
    #[default]
    Standard,
    /// The same, darker, for light ground.
    Light,
    /// The same, brighter, for dark ground.
    Dark,
    /// Blue over grey to orange, told apart also by eyes that do not see green and red as different.
    ColorBlind,
}

impl fmt::Display for Palette {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Palette::Standard => "standard",
            Palette::Light => "light",
            Palette::Dark => "dark",
            Palette::ColorBlind => "color_blind",
        })
    }
}

impl FromStr for Palette {
    type Err = Error;

    /// Reads `standard`, `light`, `dark`, `color_blind` (also spelt with `colour` or hyphens).
    fn from_str(text: &str) -> Result<Palette> {
        match text.to_ascii_lowercase().replace('-', "_").replace("colour", "color").as_str() {
            "standard" => Ok(Palette::Standard),
            "light" => Ok(Palette::Light),
            "dark" => Ok(Palette::Dark),
            "color_blind" => Ok(Palette::ColorBlind),
            _ => Err(Error::FlowGraph(format!("{text:?} is no palette; write standard, light, dark or color_blind"))),
        }
    }
}

/// The colours of a graph as they were asked for, each a CSS name, `#rrggbb` or `rgba(..)`; those that were not are the
/// palette's.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Style {
    /// The set that all else is taken from.
    pub palette: Palette,
    /// Nodes by the target's rank, from the best to the worst: colours at equal distances.
    pub ranks: Option<Vec<String>>,
    /// Nodes where no target is followed.
    pub node: Option<String>,
    /// Nodes of biases.
    pub bias: Option<String>,
    /// Links by their kind.
    pub links: Vec<(LinkKind, String)>,
    /// The stream past an MLP, where it is to have another colour than past attention.
    pub past_mlp: Option<String>,
    /// Links of keys and values by their attention, from 0 to 1: colours at equal distances.
    pub attention: Option<Vec<String>>,
    /// What is added, by the entropy of the words it says, from 0 to 30 bits.
    pub entropy: Option<Vec<String>>,
}
