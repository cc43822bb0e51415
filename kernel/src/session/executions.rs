//! Which cells were run: the library asks whether the output that brought plotly.js to the page is still there.

use std::io::Write;
use std::path::Path;

use serde_json::{Value, json};

use crate::server::wire::Request;

/// Adds a line to `cells.jsonl`, the present cell's. Front ends name cells in the metadata of the request.
pub fn note(displays: &Path, request: &Request) {
    let file = std::fs::OpenOptions::new().create(true).append(true).open(displays.join("cells.jsonl"));
    // Without it a page has the library twice.
    let _ = file.and_then(|mut file| writeln!(file, "{}", line(request.session(), &request.metadata)));
}

fn line(session: &str, metadata: &Value) -> Value {
    let deleted = metadata["deletedCells"].as_array().cloned().unwrap_or_default();
    json!({ "session": session, "cell": metadata["cellId"].as_str(), "deleted": deleted })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_names_the_cell_where_the_front_end_does() {
        let metadata = json!({ "cellId": "a", "deletedCells": ["b"], "trusted": true });
        assert_eq!(line("s", &metadata), json!({ "session": "s", "cell": "a", "deleted": ["b"] }));
        assert_eq!(line("s", &Value::Null), json!({ "session": "s", "cell": null, "deleted": [] }));
    }
}
