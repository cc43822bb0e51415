//! Progress in a terminal: a line that redraws itself.

use std::sync::LazyLock;
use std::time::Duration;

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};

use super::{Progress, State};

static BARS: LazyLock<MultiProgress> = LazyLock::new(MultiProgress::new);

/// The line of one task.
pub(crate) struct Terminal(ProgressBar);

impl Terminal {
    pub fn begin(progress: &Progress) -> Terminal {
        let bar = BARS.add(ProgressBar::new(progress.total.unwrap_or(0)));
        let style = match progress.total {
            Some(_) => ProgressStyle::with_template("{wide_msg} [{bar:24}]"),
            None => ProgressStyle::with_template("{spinner} {wide_msg}"),
        };
        if let Ok(style) = style {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.enable_steady_tick(Duration::from_millis(200));
        let terminal = Terminal(bar);
        terminal.show(progress);
        terminal
    }

    pub fn show(&self, progress: &Progress) {
        match progress.state {
            State::Going => {
                self.0.set_message(progress.to_string());
                self.0.set_position(progress.done);
            }
            State::Done | State::Stopped => {
                self.0.finish_and_clear();
                Terminal::say(&progress.to_string());
            }
        }
    }

    /// A line above the bars.
    pub fn say(line: &str) {
        BARS.suspend(|| eprintln!("{line}"));
    }
}
