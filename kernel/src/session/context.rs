//! evcxr's context, made ready for the first cell.

use std::path::{Path, PathBuf};

use evcxr::{CommandContext, EvalContext};

use super::Settings;
use crate::child;
use crate::output::pipes::Pipes;
use crate::output::pump::{self, Drain};

/// The context with what belongs to it.
pub struct Ready {
    pub context: CommandContext,
    /// To be said to the person once.
    pub notices: Vec<String>,
}

/// Starts the output's thread.
///
/// # Errors
/// Where the system gives no more descriptors.
pub fn pipes(settings: &Settings) -> std::io::Result<(Drain, std::process::Command)> {
    let Pipes { stdout, stderr, passed_on } = Pipes::new()?;
    let folder = std::env::current_dir().unwrap_or_else(|_| PathBuf::from("/"));
    let command = child::command(stdout.write.try_clone()?, stderr.write.try_clone()?, passed_on.read, &folder)?;
    let drain = pump::start(
        settings.cell.clone(),
        settings.iopub.clone(),
        stdout,
        stderr,
        passed_on.write,
        settings.displays.clone(),
        settings.crates.clone(),
    )?;
    Ok((drain, command))
}

/// Makes the context and executes what comes before the person's first cell.
///
/// # Errors
/// Where evcxr cannot be brought to run a cell; the text is for the person.
pub fn make(settings: &Settings, command: std::process::Command) -> Result<Ready, String> {
    let mut notices: Vec<String> = settings.notice.iter().cloned().collect();
    let folder = std::env::current_dir();
    if let Some(problem) = unreadable(Path::new("evcxr.toml")) {
        // evcxr would not start with it. It is read from the working folder, so that folder is another one meanwhile.
        notices.push(problem);
        let _ = std::env::set_current_dir(&settings.private);
    }
    let made = EvalContext::with_subprocess_command(command);
    let (evaluation, _) = made.map_err(|error| format!("the session could not be started: {error}"))?;
    let mut context = CommandContext::with_eval_context(evaluation);
    if !settings.first_cell.is_empty()
        && let Err(error) = context.execute(&settings.first_cell)
    {
        notices.push(format!("Flowlens could not be made ready: {error}"));
    }
    if let Err(error) = context.execute(":load_config --quiet") {
        notices.push(format!("The configuration of evcxr in your own folder could not be executed: {error}"));
    }
    if let Ok(folder) = folder {
        let _ = std::env::set_current_dir(folder);
    }
    Ok(Ready { context, notices })
}

fn unreadable(file: &Path) -> Option<String> {
    let text = std::fs::read_to_string(file).ok()?;
    let error = toml::from_str::<toml::Table>(&text).err()?;
    Some(format!("{} in this folder cannot be read and is left out: {}", file.display(), error.message()))
}
