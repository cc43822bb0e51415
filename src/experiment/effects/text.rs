//! Effects as a short text.

use std::fmt;

use super::{Cell, Effects};

/// Cells that a short text lists.
const CELLS: usize = 8;

impl Effects {
    /// `24 layers x 9 positions`.
    pub(crate) fn size_text(&self) -> String {
        let plural = |name: &str, count: usize| match (count, name.strip_suffix('y')) {
            (1, _) => name.to_owned(),
            (_, Some(start)) => format!("{start}ies"),
            _ => format!("{name}s"),
        };
        let axes =
            self.axes.iter().map(|axis| format!("{} {}", axis.labels.len(), plural(&axis.name, axis.labels.len())));
        axes.collect::<Vec<String>>().join(" x ")
    }

    /// The means of both baselines: `clean 3.552, corrupted -3.552`.
    pub(crate) fn baselines_text(&self) -> String {
        let mean = |numbers: &[f32]| {
            let sum: f64 = numbers.iter().map(|&number| f64::from(number)).sum();
            format!("{:.3}", sum / numbers.len().max(1) as f64)
        };
        match self.corrupted.is_empty() {
            true => format!("clean {}", mean(&self.clean)),
            false => format!("clean {}, corrupted {}", mean(&self.clean), mean(&self.corrupted)),
        }
    }

    fn row(&self, cell: &Cell) -> Vec<String> {
        let number = |number: Option<f32>| number.map_or_else(|| "-".to_owned(), |number| format!("{number:.3}"));
        let interval = cell.interval.map_or_else(|| "-".to_owned(), |(low, high)| format!("{low:.3} to {high:.3}"));
        let mut row = cell.place.clone();
        row.extend([number(Some(cell.effect)), number(cell.normalized), interval, format!("{:.2e}", cell.p)]);
        row
    }
}

impl fmt::Display for Effects {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pairs = if self.len() == 1 { "pair" } else { "pairs" };
        write!(f, "{} of {}: {}, {} {pairs}", self.name, self.model, self.size_text(), self.len())?;
        write!(f, "\nmean {}: {}", self.metric, self.baselines_text())?;
        let cells = match self.top(CELLS) {
            Ok(cells) => cells,
            Err(problem) => return write!(f, "\n{problem}"),
        };
        let mut rows = vec![self.axes.iter().map(|axis| axis.name.clone()).collect::<Vec<String>>()];
        rows[0].extend(["effect", "normalised", "95 % interval", "p"].map(str::to_owned));
        rows.extend(cells.iter().map(|cell| self.row(cell)));
        let width =
            |column: usize| rows.iter().filter_map(|row| row.get(column)).map(|text| text.chars().count()).max();
        for row in &rows {
            let cells = row.iter().enumerate().map(|(column, text)| {
                let blanks = width(column).unwrap_or_default() - text.chars().count();
                format!("{text}{}", " ".repeat(blanks))
            });
            write!(f, "\n{}", cells.collect::<Vec<String>>().join("  ").trim_end())?;
        }
        Ok(())
    }
}
