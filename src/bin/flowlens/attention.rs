//! `flowlens head-view` and `model-view`

use std::path::{Path, PathBuf};

use flowlens::attention::{Attention, AttentionView, View};
use flowlens::{Error, Figure, Site, Trace};

use crate::args::ViewArgs;
use crate::output::{Done, print, write_whole};

pub fn head_view(args: ViewArgs) -> Done {
    match &args.attention {
        Some(file) => draw(read(file, args.tokens.as_deref())?.head_view(), args),
        None => draw(run(&args)?.head_view(), args),
    }
}

pub fn model_view(args: ViewArgs) -> Done {
    match &args.attention {
        Some(file) => draw(read(file, args.tokens.as_deref())?.model_view(), args),
        None => draw(run(&args)?.model_view(), args),
    }
}

/// The run that the arguments ask for; it keeps what views of weights need.
fn run(args: &ViewArgs) -> Result<Trace, Error> {
    let model = args.model.as_ref().ok_or_else(|| {
        Error::Input("neither --model with --text nor --attention with --tokens is given; give one of them".to_owned())
    })?;
    let input = args.input.read()?;
    let model = model.load()?;
    let patterns = |site: &Site| matches!(site.plain(), Site::Pattern(_) | Site::Value(_));
    let keep: Vec<Site> = model.sites().into_iter().filter(patterns).collect();
    model.watch(input).keep(keep).run()
}

fn draw<K: View>(mut view: AttentionView<'_, K>, args: ViewArgs) -> Done {
    if let Some(layers) = args.layers {
        view = view.layers(layers.0);
    }
    if let Some(heads) = args.heads {
        view = view.heads(heads.0);
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
    if let Some(block) = args.block {
        view = view.block(block);
    }
    if let Some(position) = args.second_text_at {
        view = view.second_text_at(position);
    }
    write(&view.build()?, args.html, args.json, args.svg)
}

/// Writes the figure to the files that were asked for, or says what it shows.
fn write(figure: &Figure, html: Option<PathBuf>, json: Option<PathBuf>, svg: Option<PathBuf>) -> Done {
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
