//! `flowlens flow-graph`

use flowlens::{Input, flow};

use crate::args::FlowGraphArgs;
use crate::output::{Done, print};
use crate::pictures::write;

pub fn run(args: FlowGraphArgs) -> Done {
    let model = args.model.load()?;
    // VISIT takes blanks off the end of the prompt before it runs it.
    let as_published = args.method.is_some_and(|method| flow::Method::from(method) == flow::Method::Visit);
    let line: Input = if as_published { args.line.trim_end() } else { &args.line }.into();
    let input = args.decoder_text.into_iter().fold(line, |line, text| line.target(text));
    // A graph of some layers needs little of a run, so a long prompt fits.
    let fits = |layers: &&Vec<usize>| layers.iter().all(|&layer| layer < model.layers());
    let trace = match args.layers.as_ref().map(|layers| &layers.0).filter(fits) {
        Some(layers) => model.watch(input).keep(flow::sites(&model, layers.iter().copied())).run()?,
        None => model.run(input)?,
    };
    let mut builder = trace.flow_graph().chain(args.chain).position(args.position);
    if let Some(layers) = args.layers {
        builder = builder.layers(layers.0);
    }
    for target in args.target {
        builder = builder.target(target);
    }
    if let Some(file) = args.config {
        builder = builder.config(file);
    }
    if let Some(method) = args.method {
        builder = builder.method(method.into());
    }
    let graph = builder.build()?;
    if args.html.is_none() && args.json.is_none() && !args.pictures.any() {
        return print(&format!("{graph}\n"));
    }
    write(&graph.figure(), args.html, args.json, &args.pictures)
}
