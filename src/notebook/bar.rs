//! How far something is, in words and as a bar.

use std::fmt;
use std::time::Duration;

use super::Bundle;
use super::kernel::{Displays, Lasting};

/// How far something that takes a while is.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    pub what: String,
    pub unit: Unit,
    /// Steps that were done before it began: of a download that goes on.
    pub before: u64,
    pub done: u64,
    pub total: Option<u64>,
    pub took: Duration,
    pub state: State,
}

/// What is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unit {
    /// Bytes, said as megabytes.
    Bytes,
    /// Things by their name: `layers`.
    Count(&'static str),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum State {
    Going,
    Done,
    /// Interrupted or failed.
    Stopped,
}

impl Unit {
    pub fn amount(self, count: u64) -> String {
        match self {
            Unit::Bytes => format!("{:.1} MB", count as f64 / 1e6),
            Unit::Count(name) => format!("{count} {name}"),
        }
    }

    /// The number alone, where the name stands behind a second one.
    fn number(self, count: u64) -> String {
        match self {
            Unit::Bytes => self.amount(count),
            Unit::Count(_) => count.to_string(),
        }
    }
}

impl Progress {
    /// From 0 to 1, where the end is known.
    pub fn part(&self) -> Option<f64> {
        let total = self.total.filter(|&total| total > 0)?;
        Some((self.done as f64 / total as f64).min(1.0))
    }

    /// `12 of 50 tokens`.
    pub fn amount(&self) -> String {
        match self.total {
            Some(total) => format!("{} of {}", self.unit.number(self.done), self.unit.amount(total)),
            None => self.unit.amount(self.done),
        }
    }

    /// `3.1 MB/s`, of bytes.
    pub fn speed(&self) -> Option<String> {
        let new = self.done.saturating_sub(self.before) as f64;
        (self.unit == Unit::Bytes).then(|| format!("{:.1} MB/s", new / 1e6 / self.took.as_secs_f64().max(1e-3)))
    }

    /// Seconds to the end at the speed so far.
    fn left(&self) -> Option<f64> {
        let new = self.done.saturating_sub(self.before);
        let rest = self.total?.saturating_sub(self.done);
        (new > 0 && self.took > Duration::from_secs(1)).then(|| self.took.as_secs_f64() * rest as f64 / new as f64)
    }

    /// What stands beside the bar.
    fn details(&self) -> String {
        let took = format!("{:.1} s", self.took.as_secs_f64());
        match self.state {
            State::Done => format!("{} in {took}", self.unit.amount(self.total.unwrap_or(self.done))),
            State::Stopped => format!("stopped after {}, {took}", self.amount()),
            State::Going => {
                let parts = [Some(self.amount()), self.speed(), self.left().map(|left| format!("{left:.0} s left"))];
                parts.into_iter().flatten().collect::<Vec<_>>().join(", ")
            }
        }
    }

    fn html(&self) -> String {
        let escape = |text: &str| text.replace('&', "&amp;").replace('<', "&lt;").replace('"', "&quot;");
        let percent = self.part().map_or(String::new(), |part| format!("{:.0}", part * 100.0));
        // A bar of the browser's own cleans up to nothing in a notebook that is not trusted; two boxes stay.
        let bar = match self.state {
            State::Going => format!(
                "<span style=\"display:inline-block;width:14em;height:0.55em;margin:0 0.8em;border-radius:0.3em;overflow:hidden;\
                 background:rgba(128,128,128,0.28)\"><span style=\"display:block;height:100%;border-radius:0.3em;\
                 width:{}%;background:#2f7fd0\"></span></span>",
                if percent.is_empty() { "100" } else { &percent }
            ),
            State::Done | State::Stopped => " ".to_owned(),
        };
        format!(
            "<div class=\"flowlens-progress\" role=\"progressbar\" aria-label=\"{what}\" aria-valuemin=\"0\" \
             aria-valuemax=\"100\" aria-valuenow=\"{percent}\" style=\"font:13px system-ui,sans-serif;\
             color:var(--jp-ui-font-color2,#777)\">{what}{bar}<span style=\"font-variant-numeric:tabular-nums\">{}</span></div>",
            escape(&self.details()),
            what = escape(&self.what),
        )
    }

    /// Shows the bar, or changes the one that is there under this name.
    pub fn show(&self, displays: &Displays, id: &str, update: bool) {
        let mut bundle = Bundle::new(self.to_string());
        bundle.add("text/html", self.html());
        displays.show(&bundle, Some(Lasting { id, update }));
    }
}

impl fmt::Display for Progress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.what, self.details())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn progress(unit: Unit, done: u64, state: State) -> Progress {
        let what = "generating <b>".to_owned();
        Progress { what, unit, before: 0, done, total: Some(50), took: Duration::from_secs(3), state }
    }

    #[test]
    fn says_how_far_it_is() {
        let tokens = Unit::Count("tokens");
        assert_eq!(progress(tokens, 12, State::Going).to_string(), "generating <b>: 12 of 50 tokens, 10 s left");
        assert_eq!(progress(tokens, 50, State::Done).to_string(), "generating <b>: 50 tokens in 3.0 s");
        assert_eq!(
            progress(tokens, 12, State::Stopped).to_string(),
            "generating <b>: stopped after 12 of 50 tokens, 3.0 s"
        );
        let bytes = Progress { total: Some(12_000_000), ..progress(Unit::Bytes, 6_000_000, State::Going) };
        assert_eq!(bytes.to_string(), "generating <b>: 6.0 MB of 12.0 MB, 2.0 MB/s, 3 s left");
        let endless = Progress { total: None, ..progress(tokens, 12, State::Going) };
        assert_eq!(endless.to_string(), "generating <b>: 12 tokens");
    }

    #[test]
    fn what_it_says_is_no_markup() {
        let html = progress(Unit::Count("tokens"), 12, State::Going).html();
        assert!(html.contains("generating &lt;b>"), "{html}");
        assert!(html.contains("width:24%"), "{html}");
    }
}
