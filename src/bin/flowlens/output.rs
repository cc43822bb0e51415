//! Standard output, and the ways in which a command fails.

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

/// Why a command ended early.
pub enum Failure {
    /// Something to tell.
    Error(flowlens::Error),
    /// Nobody reads standard output any more (`flowlens .. | head`): no error, but no use in going on.
    Unread,
}

impl From<flowlens::Error> for Failure {
    fn from(error: flowlens::Error) -> Failure {
        Failure::Error(error)
    }
}

pub type Done = Result<(), Failure>;

/// Writes to standard output.
pub fn print(text: &str) -> Done {
    let mut out = io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Err(Failure::Unread),
        Err(source) => Err(flowlens::Error::Io { path: "standard output".into(), source }.into()),
    }
}

/// Writes a list as JSON, an entry a line.
pub fn print_list<T: Serialize>(entries: &[T]) -> Done {
    let lines: Vec<String> = entries.iter().map(json).collect::<Result<_, _>>()?;
    print(&format!("[{}]\n", lines.join(",\n ")))
}

pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value)
        .map_err(|error| flowlens::Error::Io { path: "standard output".into(), source: error.into() }.into())
}

/// Makes the folder of a file that is going to be written.
pub fn prepare_folder(path: &Path) -> Result<(), flowlens::Error> {
    match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
        Some(parent) => {
            std::fs::create_dir_all(parent).map_err(|source| flowlens::Error::Io { path: parent.to_owned(), source })
        }
        None => Ok(()),
    }
}

/// Writes a file under a temporary name, then renames it: nobody meets half of it.
pub fn write_whole(path: &Path, content: &[u8]) -> Result<(), flowlens::Error> {
    prepare_folder(path)?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let temporary = path.with_file_name(format!(".{name}.{}.part", std::process::id()));
    let written = std::fs::write(&temporary, content).and_then(|()| std::fs::rename(&temporary, path));
    written.map_err(|source| {
        let _ = std::fs::remove_file(&temporary);
        flowlens::Error::Io { path: path.to_owned(), source }
    })
}
