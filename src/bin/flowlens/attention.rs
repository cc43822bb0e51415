//! `flowlens head-view`, `model-view` and `neuron-view`

use std::path::{Path, PathBuf};

use flowlens::attention::{Attention, AttentionView, View};
use flowlens::{Error, Figure, Site, Trace};

use crate::args::ViewArgs;
use crate::output::{Done, print, write_whole};

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
    match &args.attention {
        Some(file) => draw(read(file, args.tokens.as_deref())?.head_view(), args),
        None => draw(run(&args, is_weight)?.head_view(), args),
    }
}

pub fn model_view(args: ViewArgs) -> Done {
    match &args.attention {
        Some(file) => draw(read(file, args.tokens.as_deref())?.model_view(), args),
        None => draw(run(&args, is_weight)?.model_view(), args),
    }
}

/// What views of weights need; values tell how much a weight moves.
fn is_weight(site: Site) -> bool {
    matches!(site, Site::Pattern(_) | Site::Value(_))
}

pub fn neuron_view(args: ViewArgs) -> Done {
    if args.attention.is_some() {
        let problem = "the neuron view computes weights from queries and keys: give --model, not --attention";
        return Err(Error::Input(problem.to_owned()).into());
    }
    let needed = |site: Site| {
        matches!(
            site,
            Site::Query(_)
                | Site::Key(_)
                | Site::Value(_)
                | Site::RotatedQuery(_)
                | Site::RotatedKey(_)
                | Site::PositionBias(_)
                | Site::Pattern(_)
        )
    };
    let trace = run(&args, needed)?;
    write(&chosen!(trace.neuron_view(), &args).build()?, args)
}

/// The run that the arguments ask for; it keeps what the view needs, told by the sites of a single stack.
fn run(args: &ViewArgs, needed: fn(Site) -> bool) -> Result<Trace, Error> {
    let model = args.model.as_ref().ok_or_else(|| {
        Error::Input("neither --model with --text nor --attention with --tokens is given; give one of them".to_owned())
    })?;
    let input = args.input.read()?;
    let model = model.load()?;
    let keep: Vec<Site> = model.sites().into_iter().filter(|site| needed(site.plain())).collect();
    model.watch(input).keep(keep).run()
}

fn draw<K: View>(view: AttentionView<'_, K>, args: ViewArgs) -> Done {
    write(&chosen!(view, &args).build()?, args)
}

/// Writes the figure to the files that were asked for, or says what it shows.
fn write(figure: &Figure, args: ViewArgs) -> Done {
    let ViewArgs { html, json, svg, .. } = args;
    if html.is_none() && json.is_none() && svg.is_none() {
        return print(&format!("{figure}\n"));
    }
    let write = |path: Option<PathBuf>, content: &dyn Fn() -> String| match path {
        Some(path) => write_whole(&path, &content()),
        None => Ok(()),
    };
    write(html, &|| figure.html())?;
    write(json, &|| figure.json())?;
    write(svg, &|| figure.svg())?;
    Ok(())
}

/// Attention from files.
fn read(weights: &Path, tokens: Option<&Path>) -> Result<Attention, Error> {
    let tokens = tokens.ok_or_else(|| Error::Input("--attention needs --tokens".to_owned()))?;
    Attention::from_files(weights, tokens)
}
