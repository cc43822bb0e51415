//! The command line: what the library does, for shells and scripts.
//!
//! Results go to standard output, everything else to standard error. The exit code is 0, 1 after an error, or 2 when
//! the command line itself makes no sense.

mod args;
mod attention;
mod figures;
mod flow_graph;
mod list;
mod output;
mod pictures;
mod run;
mod signals;
mod sweep;
mod trajectories;

use std::process::ExitCode;
use std::sync::{Mutex, PoisonError};

use clap::Parser;
use clap::error::ErrorKind;

use args::{Cli, Command};
use output::Failure;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return usage(&error),
    };
    // Told at the end, if it gets there: some panics of other crates are caught on the way and become errors.
    std::panic::set_hook(Box::new(|panic| {
        let place = panic.location().map(|place| format!(" ({}:{})", place.file(), place.line())).unwrap_or_default();
        let payload = panic.payload();
        let text = payload.downcast_ref::<String>().map(String::as_str).or(payload.downcast_ref::<&str>().copied());
        let text = text.and_then(|text| text.lines().next()).unwrap_or("no message");
        *PANIC.lock().unwrap_or_else(PoisonError::into_inner) = format!("{text}{place}");
    }));
    signals::listen();
    flowlens::progress::show_in_terminal();
    let done = std::panic::catch_unwind(|| match cli.command {
        Command::FlowGraph(args) => flow_graph::run(args),
        Command::HeadView(args) => attention::head_view(args),
        Command::ModelView(args) => attention::model_view(args),
        Command::NeuronView(args) => attention::neuron_view(args),
        Command::Trace(args) => run::trace(args),
        Command::Trajectories(args) => trajectories::arrays(args),
        Command::AttentionMaps(args) => figures::attention_maps(&args),
        Command::PositionKernels(args) => figures::position_kernels(&args),
        Command::SimilarityMaps(args) => figures::similarity_maps(&args),
        Command::Walk(args) => figures::walk(&args),
        Command::Sweep(args) => sweep::run(*args),
        Command::Cache { clear } => list::cache(clear),
        Command::Tokens(args) => run::tokens(args),
        Command::Next(args) => run::next(args),
        Command::Generate(args) => run::generate(args),
        Command::Info(args) => run::info(args),
        Command::Models { json } => list::models(json),
    });
    match done {
        Ok(Ok(()) | Err(Failure::Unread)) => ExitCode::SUCCESS,
        Ok(Err(Failure::Error(error))) => {
            eprintln!("error: {}", one_paragraph(&error.to_string()));
            ExitCode::FAILURE
        }
        Err(_) => {
            let said = PANIC.lock().unwrap_or_else(PoisonError::into_inner);
            eprintln!("error: Flowlens failed where it should not: {said}; please report it with the command");
            ExitCode::FAILURE
        }
    }
}

/// What the last panic said.
static PANIC: Mutex<String> = Mutex::new(String::new());

/// Help goes out as it is, a mistake as one paragraph.
fn usage(error: &clap::Error) -> ExitCode {
    let text = error.render().to_string();
    if !error.use_stderr() {
        return match output::print(&text) {
            Ok(()) | Err(Failure::Unread) => ExitCode::SUCCESS,
            Err(Failure::Error(_)) => ExitCode::FAILURE,
        };
    }
    if error.kind() == ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand {
        eprint!("{text}");
        return ExitCode::from(2);
    }
    let said = text.split("\n\nUsage:").next().unwrap_or(&text);
    let said = one_paragraph(said);
    eprintln!("{said}; `flowlens --help` and `flowlens <command> --help` list what there is");
    ExitCode::from(2)
}

/// The lines of a text one behind the other; blanks inside a line stay as they are, and what a terminal would act upon
/// becomes escapes.
fn one_paragraph(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let letter = |letter: char| if letter.is_control() { letter.escape_default().to_string() } else { letter.into() };
    lines.join(" ").chars().map(letter).collect()
}
