//! Progress line by line: readable in a log, a notebook and a terminal alike.

use std::time::{Duration, Instant};

use super::{Progress, State};

/// Which lines of one task were said.
#[derive(Debug)]
pub(crate) struct Lines {
    next_part: u64,
    last: Instant,
}

impl Lines {
    /// The first line.
    pub fn begin(progress: &Progress, say: &mut dyn FnMut(&str)) -> Lines {
        let size = progress.total.map(|total| format!(" ({})", progress.unit.amount(total))).unwrap_or_default();
        let resumed = match progress.before {
            0 => String::new(),
            before => format!(", going on at {}", progress.unit.amount(before)),
        };
        say(&format!("{}{size}{resumed}", progress.what));
        Lines { next_part: tenth(progress) + 1, last: Instant::now() }
    }

    /// A line each tenth and each two seconds, and the last one.
    pub fn show(&mut self, progress: &Progress, say: &mut dyn FnMut(&str)) {
        match progress.state {
            State::Going => {
                let late = self.last.elapsed() >= Duration::from_secs(2);
                let step = progress.total.is_some() && tenth(progress) >= self.next_part;
                if !(late || step) || progress.total == Some(progress.done) {
                    return;
                }
                self.last = Instant::now();
                self.next_part = tenth(progress) + 1;
                let percent = progress.part().map(|part| format!("{:.0} %", (part * 100.0).floor()));
                let parts = [percent, Some(progress.amount()), progress.speed()];
                say(&format!("  {}", parts.into_iter().flatten().collect::<Vec<_>>().join(", ")));
            }
            State::Done => {
                let speed = progress.speed().map(|speed| format!(", {speed}")).unwrap_or_default();
                let amount = progress.unit.amount(progress.done);
                say(&format!("  100 %, {amount} in {:.1} s{speed}", progress.took.as_secs_f64()));
            }
            State::Stopped => say(&format!("  stopped after {}", progress.amount())),
        }
    }
}

fn tenth(progress: &Progress) -> u64 {
    progress.part().map_or(0, |part| (part * 10.0) as u64)
}
