//! `flowlens head-view`, `model-view` and `neuron-view`

use std::path::Path;

use flowlens::attention::{Attention, HeadView, ModelView, NeuronView};
use flowlens::{Error, Figure, Model, Site, Trace};

use crate::args::ViewArgs;
use crate::output::{Done, print};
use crate::pictures::write;

/// A view with the choices of the command line: the same setters on views of different types.
macro_rules! chosen {
    ($view:expr, $args:expr) => {{
        let (mut view, args) = ($view, $args);
        if let Some(layers) = &args.layers {
            view = view.layers(layers.0.iter().copied());
        }
        if let Some(heads) = &args.heads {
            view = view.heads(heads.0.iter().copied());
        }
        if let Some(layer) = args.layer {
            view = view.layer(layer);
        }
        if let Some(head) = args.head {
            view = view.head(head);
        }
        if let Some(token) = args.token {
            view = view.token(token);
        }
        if let Some(block) = &args.block {
            view = view.block(block);
        }
        if let Some(position) = args.second_text_at {
            view = view.second_text_at(position);
        }
        view
    }};
}

pub fn head_view(args: ViewArgs) -> Done {
    let view = match &args.attention {
        Some(file) => read(file, args.tokens.as_deref())?.head_view(),
        None => run(&args, HeadView::sites)?.head_view(),
    };
    tell(&chosen!(view, &args).build()?, args)
}

pub fn model_view(args: ViewArgs) -> Done {
    let view = match &args.attention {
        Some(file) => read(file, args.tokens.as_deref())?.model_view(),
        None => run(&args, ModelView::sites)?.model_view(),
    };
    tell(&chosen!(view, &args).build()?, args)
}

pub fn neuron_view(args: ViewArgs) -> Done {
    if args.attention.is_some() {
        let problem = "the neuron view computes weights from queries and keys: give --model, not --attention";
        return Err(Error::Input(problem.to_owned()).into());
    }
    tell(&chosen!(run(&args, NeuronView::sites)?.neuron_view(), &args).build()?, args)
}

/// The run that the arguments ask for; it keeps what the view needs.
fn run(args: &ViewArgs, needed: fn(&Model) -> Vec<Site>) -> Result<Trace, Error> {
    let model = args.model.as_ref().ok_or_else(|| {
        Error::Input("neither --model with --text nor --attention with --tokens is given; give one of them".to_owned())
    })?;
    let input = args.input.read()?;
    let model = model.load()?;
    model.watch(input).keep(needed(&model)).run()
}

/// Writes the figure to the files that were asked for, or says what it shows.
fn tell(figure: &Figure, args: ViewArgs) -> Done {
    if args.html.is_none() && args.json.is_none() && !args.pictures.any() {
        return print(&format!("{figure}\n"));
    }
    write(figure, args.html, args.json, &args.pictures)
}

/// Attention from files.
fn read(weights: &Path, tokens: Option<&Path>) -> Result<Attention, Error> {
    let tokens = tokens.ok_or_else(|| Error::Input("--attention needs --tokens".to_owned()))?;
    Attention::from_files(weights, tokens)
}
