//! From lines of compiled code back to lines of cells.

/// Cells that ran, with the numbers people see.
#[derive(Default)]
pub struct Sources {
    cells: Vec<(u32, String)>,
}

/// A place in a cell. Lines and columns from 1.
#[derive(Debug, PartialEq)]
pub struct Place<'source> {
    pub cell: u32,
    pub line: usize,
    pub column: usize,
    pub text: &'source str,
}

impl Sources {
    /// Adds a cell, before it is compiled.
    pub fn add(&mut self, count: u32, code: &str) {
        self.cells.push((count, code.to_owned()));
    }

    /// Finds a line of the compiled code in the newest cell that has it; evcxr puts every statement on lines of its own.
    pub fn find(&self, compiled: &str, line: usize, column: usize) -> Option<Place<'_>> {
        let lines: Vec<&str> = compiled.lines().collect();
        let text = lines.get(line.checked_sub(1)?)?;
        let wanted = text.trim();
        if wanted.is_empty() {
            return None;
        }
        // The same line may stand there several times, in the same order.
        let nth = lines[..line - 1].iter().filter(|other| other.trim() == wanted).count();
        let (cell, code) = self.cells.iter().rev().find(|(_, code)| code.contains(wanted))?;
        let hits: Vec<(usize, &str)> = code.lines().enumerate().filter(|(_, line)| line.contains(wanted)).collect();
        let (at, found) = *hits.get(nth).or(hits.first())?;
        let indent = text.len() - text.trim_start().len();
        let start = found[..found.find(wanted)?].chars().count();
        Some(Place { cell: *cell, line: at + 1, column: (column + start).saturating_sub(indent).max(1), text: found })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_found_again() {
        let mut sources = Sources::default();
        sources.add(1, "fn f(v: &[i32]) -> i32 {\n    v[9]\n}");
        sources.add(2, "let a = 1; f(&[a])\n// x\nf(&[1]);\nf(&[1]);");
        let compiled = "generated\n    v[9]\nlet a = 1;\nf(&[a])\nf(&[1]);\n  f(&[1]);\n";
        let place =
            |line, column| sources.find(compiled, line, column).map(|place| (place.cell, place.line, place.column));
        assert_eq!(place(2, 5), Some((1, 2, 5)));
        assert_eq!(place(4, 1), Some((2, 1, 12)));
        assert_eq!(place(5, 1), Some((2, 3, 1)));
        assert_eq!(place(6, 3), Some((2, 4, 1)));
        assert_eq!(place(1, 1), None);
    }
}
