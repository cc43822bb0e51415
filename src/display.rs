//! Which values show themselves in a notebook, and how.

use std::fmt::{self, Debug};

use crate::attention::{Attention, HeadScores, HeadView, ModelView, NeuronView, RolloutView};
use crate::check::Verdict;
use crate::experiment::{Effects, LogitAttribution, Pairs, SweepEstimate};
use crate::flow::{FlowGraph, FlowGraphBuilder};
use crate::lens::LogitLens;
use crate::notebook::{Bundle, library_wanted};
use crate::run::Generation;
use crate::trajectory::{
    AttentionMaps, AttentionMapsBuilder, AttributionMaps, Decoding, PositionKernels, SimilarityMaps,
    SimilarityMapsBuilder, Walk, WalkBuilder,
};
use crate::{Array, Estimate, Figure, Gallery, Model, Result, Trace};

/// What a notebook can show: figures, what draws itself as one, and what is a text.
pub trait Show {
    /// Its forms, from plain text to HTML.
    #[doc(hidden)]
    fn bundle(&self) -> Result<Shown>;
}

/// The forms of a value that is to be shown.
#[doc(hidden)]
pub struct Shown(Bundle);

/// Shows a value at this place of a cell's output, as often as a cell likes.
///
/// In a notebook on Flowlens's own kernel it is there at once, among what the cell prints. Stock evcxr shows one output
/// a cell when the cell ends, so of several the last. A program that is no notebook prints the value's text. A view that
/// cannot be drawn says why.
///
/// ```
/// use flowlens::prelude::*;
///
/// # fn main() -> flowlens::Result<()> {
/// let model = Model::load("tests/fixtures/parity/llama_gqa")?;
/// let trace = model.run("one two three")?;
/// for layer in 0..2 {
///     println!("layer {layer}");
///     display(&trace.head_view().layer(layer));
/// }
/// # Ok(()) }
/// ```
pub fn display<T: Show + ?Sized>(value: &T) {
    match value.bundle() {
        Ok(shown) => shown.0.display(),
        Err(error) => eprintln!("error: {error}"),
    }
}

/// What a cell ends with is shown through this when it has no picture: evcxr looks for a method of this name first, and
/// compiles the cell a second time where there is none.
pub trait ShowDebug {
    /// Shows the value's `Debug` text; the kernel calls this for a cell's last expression.
    #[doc(hidden)]
    fn evcxr_display(&self);
}

impl<T: Debug + ?Sized> ShowDebug for T {
    fn evcxr_display(&self) {
        // A loop or a statement that ends a cell has nothing to show.
        if std::any::type_name::<T>() != "()" {
            Bundle::new(format!("{self:?}")).send();
        }
    }
}

/// Heads that are told one by one.
const MOST_LISTED: usize = 24;

fn forms(text: &dyn fmt::Display, forms: Vec<(&'static str, String)>) -> Shown {
    let mut bundle = Bundle::new(text.to_string());
    forms.into_iter().for_each(|(mime, content)| bundle.add(mime, content));
    Shown(bundle)
}

impl Show for Figure {
    fn bundle(&self) -> Result<Shown> {
        Ok(forms(self, self.forms(self.wants_plotly() && library_wanted())))
    }
}

impl Show for Gallery {
    fn bundle(&self) -> Result<Shown> {
        Ok(forms(self, self.forms(self.wants_plotly() && library_wanted())))
    }
}

impl Show for str {
    fn bundle(&self) -> Result<Shown> {
        Ok(Shown(Bundle::new(self.to_owned())))
    }
}

impl Show for String {
    fn bundle(&self) -> Result<Shown> {
        self.as_str().bundle()
    }
}

impl Show for LogitAttribution {
    fn bundle(&self) -> Result<Shown> {
        self.figures()?.bundle()
    }
}

/// A few heads are a table, many a map.
impl Show for HeadScores {
    fn bundle(&self) -> Result<Shown> {
        if self.heads.len() > MOST_LISTED { self.figure().bundle() } else { Ok(Shown(Bundle::new(self.to_string()))) }
    }
}

/// Values that are texts, and values that draw themselves.
macro_rules! shows {
    (text: $($Text:ty),*; figure: $($Value:ty => |$value:ident| $figure:expr;)*) => {
        $(impl Show for $Text {
            fn bundle(&self) -> Result<Shown> {
                Ok(Shown(Bundle::new(self.to_string())))
            }
        })*
        $(impl Show for $Value {
            fn bundle(&self) -> Result<Shown> {
                let $value = self;
                let figure: Result<Figure> = $figure;
                figure?.bundle()
            }
        })*
        shows_itself! { $($Text,)* $($Value,)* Figure, Gallery, HeadScores, LogitAttribution }
    };
}

macro_rules! shows_itself {
    ($($Value:ty),*) => {$(
        impl $Value {
            /// Shows itself in a notebook, or says why it cannot; the kernel calls this for a cell's last expression.
            pub fn evcxr_display(&self) {
                match self.bundle() {
                    Ok(shown) => shown.0.send(),
                    Err(error) => eprintln!("error: {error}"),
                }
            }
        }
    )*};
}

shows! {
    text: Array, Attention, Estimate, Generation, Model, Pairs, SweepEstimate, Trace, Verdict;
    figure:
    FlowGraph => |graph| Ok(graph.figure());
    FlowGraphBuilder => |builder| builder.figure();
    LogitLens => |lens| Ok(lens.figure());
    HeadView => |view| view.build();
    ModelView => |view| view.build();
    NeuronView => |view| view.build();
    RolloutView => |view| view.build();
    PositionKernels => |kernels| Ok(kernels.figure());
    AttentionMaps => |maps| Ok(maps.figure());
    AttentionMapsBuilder => |builder| builder.build().map(|made| made.figure());
    SimilarityMaps => |maps| Ok(maps.figure());
    SimilarityMapsBuilder => |builder| builder.build().map(|made| made.figure());
    Walk => |walk| Ok(walk.figure());
    WalkBuilder => |builder| builder.build().map(|made| made.figure());
    Decoding => |decoding| Ok(decoding.figure());
    AttributionMaps => |maps| Ok(maps.figure());
    Effects => |effects| effects.figure();
}
