//! Which values show themselves when they end a cell, and how.

use std::fmt;

use super::{Bundle, first_time};
use crate::attention::{HeadView, ModelView, NeuronView, RolloutView};
use crate::flow::{FlowGraph, FlowGraphBuilder};
use crate::lens::LogitLens;
use crate::trajectory::{
    AttentionMaps, AttentionMapsBuilder, AttributionMaps, Decoding, PositionKernels, SimilarityMaps,
    SimilarityMapsBuilder, Walk, WalkBuilder,
};
use crate::{Figure, Gallery, Result};

/// The first output of a kernel that needs plotly.js brings it.
fn with_library(wanted: bool) -> bool {
    wanted && first_time("plotly")
}

fn send(text: &dyn fmt::Display, forms: Vec<(&'static str, String)>) {
    let mut bundle = Bundle::new(text.to_string());
    forms.into_iter().for_each(|(mime, content)| bundle.add(mime, content));
    bundle.send();
}

impl Figure {
    /// Shows the figure in an evcxr notebook; the kernel calls this for a cell's last expression.
    pub fn evcxr_display(&self) {
        send(self, self.forms(with_library(self.wants_plotly())));
    }
}

impl Gallery {
    /// Shows the figures in an evcxr notebook; the kernel calls this for a cell's last expression.
    pub fn evcxr_display(&self) {
        send(self, self.forms(with_library(self.wants_plotly())));
    }
}

/// Shows a figure, or says why there is none.
fn show(figure: Result<Figure>) {
    match figure {
        Ok(figure) => figure.evcxr_display(),
        Err(error) => eprintln!("error: {error}"),
    }
}

macro_rules! shows_its_figure {
    ($($Value:ty => |$value:ident| $figure:expr;)*) => {$(
        impl $Value {
            /// Shows itself in an evcxr notebook, or says why it cannot; the kernel calls this for a cell's last
            /// expression.
            pub fn evcxr_display(&self) {
                let $value = self;
                show($figure);
            }
        }
    )*};
}

shows_its_figure! {
    FlowGraph => |graph| Ok(graph.figure());
    FlowGraphBuilder => |builder| builder.figure();
    LogitLens => |lens| Ok(lens.figure());
    HeadView => |view| view.build();
    ModelView => |view| view.build();
    NeuronView => |view| view.build();
    RolloutView => |view| view.build();
    PositionKernels => |kernels| Ok(kernels.figure());
    AttentionMaps => |maps| Ok(maps.figure());
    AttentionMapsBuilder => |builder| builder.build().map(|maps| maps.figure());
    SimilarityMaps => |maps| Ok(maps.figure());
    SimilarityMapsBuilder => |builder| builder.build().map(|maps| maps.figure());
    Walk => |walk| Ok(walk.figure());
    WalkBuilder => |builder| builder.build().map(|walk| walk.figure());
    Decoding => |decoding| Ok(decoding.figure());
    AttributionMaps => |maps| Ok(maps.figure());
}
