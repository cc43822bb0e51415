//! `flowlens trace`, `tokens`, `next`, `generate` and `info`

use flowlens::files::{LARGEST_TEXT, prepare_folder, read_text_within};
use flowlens::model::checkpoint;
use flowlens::text::{Tokenizer, visible};
use flowlens::{Error, Site, Trace, hub};
use serde::Serialize;

use crate::args::{GenerateArgs, InfoArgs, Layout, NextArgs, TokensArgs, TraceArgs};
use crate::output::{Done, json, print, print_list, wrote};

pub fn trace(args: TraceArgs) -> Done {
    let input = args.input.read()?;
    let model = args.model.load()?;
    let mut watch = model.watch(input);
    match (&args.sites, args.layout) {
        (Some(names), _) => {
            for name in names {
                watch = watch.keep(model.sites_named(name.trim())?);
            }
        }
        (None, Layout::Transformers) => watch = watch.keep(model.sites_of_transformers()),
        (None, Layout::Sites) => {}
    }
    let trace = watch.run()?;
    prepare_folder(&args.out)?;
    match args.layout {
        Layout::Sites => trace.save(&args.out)?,
        Layout::Transformers => trace.save_transformers(&args.out)?,
    }
    wrote(&args.out, &format!(" ({} tokens, {} sites)", trace.len(), trace.sites().len()));
    Ok(())
}

#[derive(Serialize)]
struct Encoded<'a> {
    text: &'a str,
    ids: Vec<u32>,
    pieces: Vec<String>,
}

pub fn tokens(args: TokensArgs) -> Done {
    let path = hub::find(&args.model.model, &args.model.hub_options())?;
    let tokenizer = checkpoint(&path)?.tokenizer()?;
    let tokenizer = tokenizer.ok_or_else(|| Error::Tokenizer(format!("{} has none", path.display())))?;
    let tokenizer = Tokenizer::new(tokenizer)?;
    let whole;
    let lines: Vec<&str> = match (&args.source.text, &args.source.file) {
        (Some(text), _) => vec![text],
        (None, Some(file)) => {
            whole = read_text_within(file, LARGEST_TEXT)?;
            whole.lines().collect()
        }
        (None, None) => Vec::new(),
    };
    let encode = |text| -> Result<Encoded, Error> {
        let ids = tokenizer.encode(text, true)?;
        let pieces = ids.iter().map(|&id| tokenizer.piece(id)).collect();
        Ok(Encoded { text, ids, pieces })
    };
    let encoded: Vec<Encoded> = lines.into_iter().map(encode).collect::<Result<_, _>>()?;
    if args.json {
        return print_list(&encoded);
    }
    let mut text = String::new();
    for line in &encoded {
        for &id in &line.ids {
            text.push_str(&format!("{id:>8}  {}\n", tokenizer.shown(id)));
        }
        text.push_str(&format!("{:>8}  tokens: {}\n", line.ids.len(), visible(line.text)));
    }
    print(&text)
}

#[derive(Serialize)]
struct Next {
    id: u32,
    token: String,
    logit: f32,
    prob: f32,
}

pub fn next(args: NextArgs) -> Done {
    let input = args.input.read()?;
    let model = args.model.load()?;
    let keep = args.position.map(|_| Site::Logits);
    let trace = model.watch(input).keep(keep).run()?;
    let next = match args.position.or_else(|| masked_position(&trace)) {
        Some(position) => trace.predictions(position, args.top)?,
        None if model.architecture().reads_both_ways() => {
            let family = model.architecture().family;
            let problem = format!("{family} reads both ways, and no position is masked; choose one with --position");
            return Err(flowlens::Error::Input(problem).into());
        }
        None => trace.next_tokens(args.top)?,
    };
    if args.json {
        let next: Vec<Next> = next
            .into_iter()
            .map(|next| Next { id: next.id, token: next.token, logit: next.logit, prob: next.prob })
            .collect();
        return print_list(&next);
    }
    let mut text = format!("{:>8}  {:>8}  {:>9}  token\n", "id", "prob", "logit");
    for next in next {
        let shown = model.tokenizer().map_or_else(|| visible(&next.token), |tokenizer| tokenizer.shown(next.id));
        text.push_str(&format!("{:>8}  {:>8.4}  {:>9.3}  {shown}\n", next.id, next.prob, next.logit));
    }
    print(&text)
}

/// The first masked position of a model that reads both ways.
fn masked_position(trace: &Trace) -> Option<usize> {
    if !trace.model().architecture().reads_both_ways() {
        return None;
    }
    let tokenizer = trace.model().tokenizer()?;
    trace.ids().iter().position(|&id| tokenizer.is_mask(id))
}

#[derive(Serialize)]
struct Generated {
    text: String,
    ids: Vec<u32>,
}

pub fn generate(args: GenerateArgs) -> Done {
    let inputs = args.input.read_rows()?;
    let model = args.model.load()?;
    let generate = |input| -> Result<Generated, Error> {
        let mut generate = model.generate(input).max_tokens(args.max_tokens).seed(args.seed).stop(&args.stop);
        generate = generate.temperature(args.temperature);
        generate = args.top_k.into_iter().fold(generate, |generate, count| generate.top_k(count));
        generate = args.top_p.into_iter().fold(generate, |generate, part| generate.top_p(part));
        let generation = generate.run()?;
        Ok(Generated { text: generation.text, ids: generation.ids })
    };
    let written = inputs.into_iter().map(generate).collect::<Result<Vec<_>, _>>()?;
    match (args.json, written.as_slice()) {
        (true, [written]) => print(&format!("{}\n", json(written)?)),
        (true, written) => print_list(written),
        (false, written) => written.iter().try_for_each(|written| match model.tokenizer() {
            Some(_) => print(&format!("{}\n", written.text)),
            None => print(&format!("{}\n", json(&written.ids)?)),
        }),
    }
}

pub fn info(args: InfoArgs) -> Done {
    let model = args.model.load()?;
    let mut text = format!("{model}\n  from {}\n", model.path().display());
    if let Some(prompt) = &args.text {
        let estimate = model.estimate(prompt)?;
        text.push_str(&format!("\na run of this text that keeps everything:\n{estimate}"));
    }
    print(&text)
}
