//! `flowlens attention-maps`, `position-kernels`, `similarity-maps` and `walk`: all of a model's figures into a folder.

mod folder;

use std::collections::BTreeMap;

use flowlens::model::architecture::Stack;
use flowlens::site::Part;
use flowlens::trajectory::{AttentionMaps, PositionKernels, SimilarityMaps, Walk, WalkBuilder};
use flowlens::{Array, Error, Input, Model, Site, Trace};

use crate::args::{FiguresArgs, Format, HeadFiguresArgs, Layers, VectorFiguresArgs, WalkArgs};
use crate::output::Done;
use folder::Folder;

/// Bytes that the runs of a command keep at a time.
const ROOM: u64 = 1_000_000_000;

/// What a command reads, and what its figures are named after.
#[derive(Default)]
struct Read {
    /// Empty where there is only one.
    name: String,
    /// The whole of it, to tell it from others.
    stamp: String,
    input: Input,
}

fn inputs(args: &FiguresArgs) -> Vec<Read> {
    let target = |input: Input| match &args.decoder_text {
        Some(text) => input.target(text),
        None => input,
    };
    let behind = args.decoder_text.as_deref().unwrap_or_default();
    if let Some(ids) = &args.ids {
        return vec![Read {
            name: String::new(),
            stamp: format!("{ids:?} {behind:?}"),
            input: target(ids.clone().into()),
        }];
    }
    let many = args.text.len() > 1;
    let read = |(place, text): (usize, &String)| Read {
        name: if many { format!("text {}", place + 1) } else { String::new() },
        stamp: format!("{text:?} {behind:?}"),
        input: target(text.into()),
    };
    args.text.iter().enumerate().map(read).collect()
}

fn some_input(args: &FiguresArgs) -> Result<Vec<Read>, Error> {
    match inputs(args) {
        inputs if inputs.is_empty() => {
            Err(Error::Input("no text was given; give one with --text, or --ids".to_owned()))
        }
        inputs => Ok(inputs),
    }
}

/// The blocks with a stream of their own, or all that attend.
fn blocks(args: &FiguresArgs, model: &Model, cross: bool) -> Result<Vec<&'static str>, Error> {
    let all: &[&str] = match (&model.architecture().encoder, cross) {
        (Some(_), true) => &["encoder", "decoder", "cross"],
        (Some(_), false) => &["encoder", "decoder"],
        (None, _) => &["all"],
    };
    match &args.block {
        None => Ok(all.to_vec()),
        Some(name) => match all.iter().find(|own| *own == name) {
            Some(own) => Ok(vec![own]),
            None => Err(Error::Trajectory {
                what: format!("block {name:?}"),
                problem: format!("is not there; give one of {}", all.join(", ")),
            }),
        },
    }
}

fn stack<'a>(model: &'a Model, block: &str) -> &'a Stack {
    let plan = model.architecture();
    if block == "encoder" { plan.encoder.as_ref().unwrap_or(&plan.main) } else { &plan.main }
}

/// The layers of a block to draw: those asked for that it has.
fn layers(args: &FiguresArgs, model: &Model, block: &str) -> Result<Vec<usize>, Error> {
    let (count, deepest) = (stack(model, block).blocks.len(), model.layers().max(model.encoder_layers()));
    let Some(asked) = &args.layers else { return Ok((0..count).collect()) };
    if let Some(layer) = asked.0.iter().find(|&&layer| layer >= deepest) {
        let problem = format!("is not there; the model has layers 0 to {}", deepest.saturating_sub(1));
        return Err(Error::Trajectory { what: format!("layer {layer}"), problem });
    }
    Ok(asked.0.iter().copied().filter(|&layer| layer < count).collect())
}

/// Runs an input for some layers at a time and hands over each run with its layers, so that no run keeps more than
/// [`ROOM`]. `sites` are those that the figures of some layers need.
fn in_portions(
    model: &Model,
    input: &Input,
    layers: &[usize],
    sites: impl Fn(&[usize]) -> Vec<Site>,
    mut draw: impl FnMut(&Trace, &[usize]) -> Result<(), Error>,
) -> Result<(), Error> {
    let Some(&first) = layers.first() else { return Ok(()) };
    let one = model.watch(input.clone()).keep(sites(&[first])).estimate()?.bytes().max(1);
    for portion in layers.chunks((ROOM / one).max(1) as usize) {
        let trace = model.watch(input.clone()).keep(sites(portion)).run()?;
        draw(&trace, portion)?;
    }
    Ok(())
}

pub fn attention_maps(args: &HeadFiguresArgs) -> Done {
    let (heads, args) = (&args.heads, &args.figures);
    let inputs = some_input(args)?;
    let model = args.model.load()?;
    let mut folder = Folder::open(args, &model)?;
    for read in &inputs {
        for block in blocks(args, &model, true)? {
            let part = part(block);
            let mut wanted = BTreeMap::new();
            for layer in layers(args, &model, block)? {
                for (name, heads) in views_of_heads(args, heads.as_ref(), heads_of(&model, block, layer)) {
                    let names = ["attention maps", &read.name, block, &format!("layer {layer}"), &name];
                    if let Some(file) = folder.wanted(&format!("{} {heads:?}", read.stamp), &names) {
                        wanted.entry(layer).or_insert_with(Vec::new).push((heads, file));
                    }
                }
            }
            let missing: Vec<usize> = wanted.keys().copied().collect();
            let sites = |layers: &[usize]| {
                AttentionMaps::sites(&model, layers.iter().copied())
                    .into_iter()
                    .filter(|site| site.part() == part)
                    .collect()
            };
            in_portions(&model, &read.input, &missing, sites, |trace, layers| {
                for layer in layers {
                    for (heads, file) in wanted.remove(layer).unwrap_or_default() {
                        let maps = trace
                            .attention_maps()
                            .block(block)
                            .layers([*layer])
                            .heads(heads.iter().copied())
                            .build()?;
                        folder.write(file, &maps.figure())?;
                    }
                }
                Ok(())
            })?;
        }
    }
    folder.done()
}

/// The heads that go into one figure: all into a page, one into each picture.
fn views_of_heads(args: &FiguresArgs, asked: Option<&Layers>, count: usize) -> Vec<(String, Vec<usize>)> {
    let heads = asked.map_or_else(|| (0..count).collect(), |heads| heads.0.clone());
    match args.format {
        Format::Html => vec![(String::new(), heads)],
        _ => heads.into_iter().map(|head| (format!("head {head}"), vec![head])).collect(),
    }
}

fn heads_of(model: &Model, block: &str, layer: usize) -> usize {
    let Some(plan) = stack(model, block).blocks.get(layer) else { return 0 };
    match (&plan.cross, block) {
        (Some(cross), "cross") => cross.attention.heads,
        _ => plan.attention.heads,
    }
}

fn part(block: &str) -> Part {
    match block {
        "encoder" => Part::Encoder,
        "cross" => Part::Cross,
        _ => Part::Main,
    }
}

pub fn position_kernels(args: &HeadFiguresArgs) -> Done {
    let (heads, args) = (&args.heads, &args.figures);
    let model = args.model.load()?;
    let mut folder = Folder::open(args, &model)?;
    let chosen = blocks(args, &model, false)?;
    chosen.iter().try_for_each(|block| layers(args, &model, block).map(drop))?;
    let inputs = inputs(args);
    if inputs.is_empty() {
        let kernels = model.position_kernels()?;
        write_kernels(args, heads.as_ref(), &model, &mut folder, (&Read::default(), kernels))?;
    }
    for read in &inputs {
        let of_chosen = |site: &Site| {
            let here = chosen.iter().any(|block| part(block) == site.part());
            let asked =
                args.layers.as_ref().is_none_or(|layers| site.layer().is_some_and(|layer| layers.0.contains(&layer)));
            here && asked && matches!(site.plain(), Site::Scores(_))
        };
        let sites = model.sites().into_iter().filter(of_chosen);
        let kernels = model.watch(read.input.clone()).keep(sites).run()?.position_kernels()?;
        write_kernels(args, heads.as_ref(), &model, &mut folder, (read, kernels))?;
    }
    folder.done()
}

/// One figure for each kernel.
fn write_kernels(
    args: &FiguresArgs,
    heads: Option<&Layers>,
    model: &Model,
    folder: &mut Folder,
    (read, kernels): (&Read, PositionKernels),
) -> Result<(), Error> {
    let chosen = blocks(args, model, false)?;
    for kernel in kernels.kernels {
        let asked = args.layers.as_ref().is_none_or(|asked| kernel.layers.iter().any(|layer| asked.0.contains(layer)));
        let (block, layer) = (kernel.block.clone(), kernel.layers.first().copied().unwrap_or_default());
        if !asked || !chosen.contains(&block.as_str()) {
            continue;
        }
        let names = ["position kernels", &read.name, &block, &format!("layer {layer}"), &kernel.kind.to_string()];
        // Where all heads have the same kernel there is none to choose.
        let heads = heads.filter(|_| kernel.heads() > 1).map(|heads| heads.0.clone()).unwrap_or_default();
        if let Some(file) = folder.wanted(&format!("{} {heads:?}", read.stamp), &names) {
            let single = PositionKernels { model: kernels.model.clone(), kernels: vec![kernel] };
            folder.write(file, &single.figure_of(&block, layer, &heads)?)?;
        }
    }
    Ok(())
}

pub fn similarity_maps(args: &VectorFiguresArgs) -> Done {
    let (without_first, centred) = (args.without_first, args.centred);
    let args = &args.figures;
    let inputs = some_input(args)?;
    let model = args.model.load()?;
    let mut folder = Folder::open(args, &model)?;
    for read in &inputs {
        let trace = model.watch(read.input.clone()).keep(SimilarityMaps::sites(&model)).run()?;
        for block in blocks(args, &model, false)? {
            let own = layers(args, &model, block)?;
            for measure in ["cosine", "dot product"] {
                let builder = trace.similarity_maps().block(block);
                let builder = if without_first { builder.without_first() } else { builder };
                let builder = if centred { builder.centred() } else { builder };
                let maps = if measure == "cosine" { builder.build()? } else { builder.dot().build()? };
                let maps = only(maps, &own);
                let names: Vec<String> = match args.format {
                    Format::Html => vec![String::new()],
                    _ => maps.maps.iter().map(|map| map.name.clone()).collect(),
                };
                for name in names {
                    let parts = ["similarity maps", &read.name, block, measure, &name];
                    if let Some(file) =
                        folder.wanted(&format!("{} {own:?} {without_first} {centred}", read.stamp), &parts)
                    {
                        let figure = if name.is_empty() { maps.figure() } else { maps.figure_of(&name)? };
                        folder.write(file, &figure)?;
                    }
                }
            }
        }
    }
    folder.done()
}

/// The maps of some layers, and those before the first and after the last.
fn only(mut maps: SimilarityMaps, layers: &[usize]) -> SimilarityMaps {
    let places: Vec<usize> = (0..maps.maps.len())
        .filter(|&place| match maps.maps[place].site.and_then(Site::layer) {
            Some(layer) => layers.contains(&layer),
            None => true,
        })
        .collect();
    maps.cka = maps.cka.and_then(|cka| {
        let values = places.iter().flat_map(|&row| places.iter().map(move |&column| (row, column)));
        let values = values.filter_map(|(row, column)| cka.get(&[row, column])).collect();
        Array::new(&[places.len(), places.len()], values).ok()
    });
    maps.maps = places.iter().map(|&place| maps.maps[place].clone()).collect();
    maps
}

pub fn walk(walk: &WalkArgs) -> Done {
    let args = &walk.vectors.figures;
    let inputs = some_input(args)?;
    let model = args.model.load()?;
    if args.layers.is_some() {
        return Err(Error::Input("a walk goes through all layers; leave out --layers".to_owned()).into());
    }
    let mut folder = Folder::open(args, &model)?;
    for read in &inputs {
        let mut trace = None;
        for block in blocks(args, &model, false)? {
            let (WalkArgs { unit_norm, sublayers, positions, .. }, vectors) = (walk, &walk.vectors);
            let chosen = format!("{unit_norm} {sublayers} {positions:?} {} {}", vectors.without_first, vectors.centred);
            if let Some(file) = folder.wanted(&format!("{} {chosen}", read.stamp), &["walk", &read.name, block]) {
                let trace = match &mut trace {
                    Some(trace) => trace,
                    none => none.insert(model.watch(read.input.clone()).keep(Walk::sites(&model)).run()?),
                };
                folder.write(file, &chosen_walk(walk, trace).block(block).build()?.figure())?;
            }
        }
    }
    folder.done()
}

fn chosen_walk(args: &WalkArgs, trace: &Trace) -> WalkBuilder {
    let mut builder = trace.walk();
    if let Some(positions) = &args.positions {
        builder = builder.positions(positions.0.iter().copied());
    }
    if args.vectors.without_first {
        builder = builder.without_first();
    }
    if args.vectors.centred {
        builder = builder.centred();
    }
    if args.unit_norm {
        builder = builder.unit_norm();
    }
    if args.sublayers { builder.sublayers() } else { builder }
}
