//! Checks of the course's exercises: `check::name(answer, ..)` says right, or what is amiss, and never the answer.
//!
//! A check does not know its answer: it works it out from the model or the run that it is given, so it holds as well for
//! another model or another text. The lessons are in `notebooks/`; each has a file here.
//!
//! ```
//! use flowlens::prelude::*;
//!
//! # fn main() -> flowlens::Result<()> {
//! let model = Model::load("tests/fixtures/parity/llama_gqa")?;
//! let trace = model.run("one two three")?;
//! assert!(!check::numbers_in_the_stream(0, &trace)?.is_right());
//! assert!(check::numbers_in_the_stream(trace.get(Site::ResidPost(0))?.data().len(), &trace)?.is_right());
//! # Ok(()) }
//! ```

use std::fmt;

mod attention;
mod changes;
mod encoders;
mod graph;
mod neurons;
mod numbers;
mod own_model;
mod position;
mod stream;
mod tokens;
mod walk;

pub use attention::*;
pub use changes::*;
pub use encoders::*;
pub use graph::*;
pub use neurons::*;
pub use own_model::*;
pub use position::*;
pub use stream::*;
pub use tokens::*;
pub use walk::*;

/// What a check says of an answer.
#[derive(Clone, PartialEq, Eq)]
#[must_use = "end the cell with the check, without `;`, and it shows what it says"]
pub struct Verdict {
    right: bool,
    says: String,
}

impl Verdict {
    /// Right, and what the right answer tells.
    fn right(says: impl Into<String>) -> Verdict {
        Verdict { right: true, says: says.into() }
    }

    /// Not right, and where to look. It must not tell the answer.
    fn not_yet(says: impl Into<String>) -> Verdict {
        Verdict { right: false, says: says.into() }
    }

    /// Whether the answer is right.
    pub fn is_right(&self) -> bool {
        self.right
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        write!(f, "{} {}", if self.right { "Right." } else { "Not yet." }, self.says)
    }
}

/// As in the sentence: what a cell ends with may be shown by its `Debug` text.
impl fmt::Debug for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}
