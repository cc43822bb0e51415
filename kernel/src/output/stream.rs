//! The bytes of one stream, cut into text and lines that mean something.

use super::markers::{self, Line};

/// A line that is longer than this is text, whatever it holds.
const LONGEST: usize = 1 << 20;

/// What came out of a stream.
#[derive(Debug, PartialEq)]
pub enum Piece {
    /// Printed text, as it was printed.
    Text(String),
    /// A line that is no text.
    Line(Line),
}

/// One of the two streams of the cells' process.
#[derive(Default)]
pub struct Stream {
    rest: Vec<u8>,
    /// How much of `rest` is known to hold no newline.
    searched: usize,
}

impl Stream {
    /// Takes bytes as they were read and gives what is complete of them. `verbatim`: half lines wait too (inside of a bundle).
    pub fn push(&mut self, bytes: &[u8], verbatim: bool) -> Vec<Piece> {
        self.rest.extend_from_slice(bytes);
        let mut pieces = Vec::new();
        let mut start = 0;
        while let Some(length) = self.rest[self.searched.max(start)..].iter().position(|&byte| byte == b'\n') {
            let end = self.searched.max(start) + length + 1;
            whole_line(&self.rest[start..end], &mut pieces);
            start = end;
            self.searched = 0;
        }
        self.rest.drain(..start);
        self.searched = self.rest.len();
        if !verbatim && (!markers::may_become(&self.rest) || self.rest.len() > LONGEST) {
            // Half a character waits for its other half.
            let whole = self.rest.len() - unfinished(&self.rest);
            if whole > 0 {
                text(String::from_utf8_lossy(&self.rest[..whole]).into_owned(), &mut pieces);
                self.rest.drain(..whole);
                self.searched = self.rest.len();
            }
        }
        pieces
    }
}

fn whole_line(bytes: &[u8], pieces: &mut Vec<Piece>) {
    let line = String::from_utf8_lossy(bytes);
    match markers::find(line.strip_suffix('\n').unwrap_or(&line)) {
        Some((start, found)) => {
            if start > 0 {
                text(line[..start].to_owned(), pieces);
            }
            pieces.push(Piece::Line(found));
        }
        None => text(line.into_owned(), pieces),
    }
}

fn text(more: String, pieces: &mut Vec<Piece>) {
    match pieces.last_mut() {
        Some(Piece::Text(text)) => text.push_str(&more),
        _ => pieces.push(Piece::Text(more)),
    }
}

/// How many bytes at the end are the beginning of a character.
fn unfinished(bytes: &[u8]) -> usize {
    match std::str::from_utf8(bytes) {
        Err(error) if error.error_len().is_none() => bytes.len() - error.valid_up_to(),
        // Earlier bytes that are no text hide the end: look at it alone.
        Err(_) => (1..=bytes.len().min(3))
            .find(|&length| {
                let end = &bytes[bytes.len() - length..];
                end[0] >= 0xc0 && std::str::from_utf8(end).is_err_and(|error| error.error_len().is_none())
            })
            .unwrap_or(0),
        Ok(_) => 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(chunks: &[&[u8]]) -> Vec<Piece> {
        let mut stream = Stream::default();
        chunks.iter().flat_map(|chunk| stream.push(chunk, false)).collect()
    }

    #[test]
    fn half_lines_are_text_at_once() {
        assert_eq!(pieces(&[b"10%\r"]), [Piece::Text("10%\r".into())]);
        assert_eq!(pieces(&[b"a\nb"]), [Piece::Text("a\nb".into())]);
    }

    #[test]
    fn marks_are_found_in_any_cut() {
        let text = "a\u{1e}flowlens-display 3\u{1e}\nb\n";
        let mark = || Piece::Line(Line::Mark { word: "display".into(), rest: "3".into() });
        for cut in 0..text.len() {
            let (one, two) = text.as_bytes().split_at(cut);
            let found = pieces(&[one, two]);
            let printed: String = found
                .iter()
                .filter_map(|piece| if let Piece::Text(text) = piece { Some(&**text) } else { None })
                .collect();
            assert_eq!(printed, "ab\n");
            assert!(found.contains(&mark()), "{cut}: {found:?}");
        }
    }

    #[test]
    fn characters_are_not_torn() {
        for cut in 0..=6 {
            let (one, two) = "aé€".as_bytes().split_at(cut);
            let printed: String = pieces(&[one, two])
                .into_iter()
                .map(|piece| if let Piece::Text(text) = piece { text } else { String::new() })
                .collect();
            assert_eq!(printed, "aé€");
        }
    }

    #[test]
    fn bytes_that_are_no_text_pass() {
        assert_eq!(pieces(&[b"\xff\xfe\n"]), [Piece::Text("\u{fffd}\u{fffd}\n".into())]);
    }
}
