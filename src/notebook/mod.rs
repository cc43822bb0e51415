//! How the library speaks to the person in front of it, wherever that is: in a notebook on our kernel, in one on stock
//! evcxr, or in a terminal.
//!
//! Our kernel shows a display when it is made, as many as a cell wants, and changes one that is there. evcxr shows one
//! output a cell when the cell ends. Both are known by the environment that they give to the process of the cells.

mod bar;
mod evcxr;
mod kernel;
mod library;
mod lines;
mod stream;
#[cfg(feature = "cli")]
mod terminal;

use std::sync::LazyLock;

pub(crate) use bar::{Progress, State, Unit};
pub(crate) use library::library_wanted;
pub(crate) use lines::Lines;
pub(crate) use stream::Stream;
#[cfg(feature = "cli")]
pub(crate) use terminal::Terminal;

/// Where a display or a line about progress goes.
pub(crate) enum Place {
    /// A notebook on the kernel of this project.
    Kernel(kernel::Displays),
    /// A notebook on stock evcxr.
    Evcxr,
    /// A program of its own.
    Elsewhere,
}

static PLACE: LazyLock<Place> = LazyLock::new(|| match std::env::var_os("FLOWLENS_DISPLAYS") {
    Some(folder) => Place::Kernel(kernel::Displays::new(folder.into())),
    // evcxr marks the process that cells run in.
    None if std::env::var_os("EVCXR_IS_RUNTIME").is_some() => Place::Evcxr,
    None => Place::Elsewhere,
});

pub(crate) fn place() -> &'static Place {
    &PLACE
}

/// One output of a cell in several forms; the notebook shows the richest that it knows.
#[derive(Debug, Clone)]
pub(crate) struct Bundle {
    parts: Vec<(&'static str, String)>,
}

impl Bundle {
    /// A bundle with its plainest form.
    pub(crate) fn new(text: String) -> Bundle {
        Bundle { parts: vec![("text/plain", text)] }
    }

    /// Adds a form; there is one of each MIME type.
    pub(crate) fn add(&mut self, mime: &'static str, content: String) {
        self.parts.push((mime, content));
    }

    /// Shows the value that ends a cell: a text as the cell's result, in evcxr's own blocks; a figure, where the kernel
    /// can, as a display, which nothing that is printed can break up.
    pub(crate) fn send(&self) {
        match place() {
            Place::Kernel(displays) if self.parts.len() > 1 => displays.show(self, None),
            Place::Kernel(_) | Place::Evcxr | Place::Elsewhere => evcxr::send(self),
        }
    }

    /// Shows the bundle at this place among what is printed.
    pub(crate) fn display(&self) {
        match place() {
            Place::Kernel(displays) => displays.show(self, None),
            Place::Evcxr => evcxr::send(self),
            Place::Elsewhere => println!("{}", self.text()),
        }
    }

    fn text(&self) -> &str {
        self.parts.first().map_or("", |(_, text)| text)
    }
}
