//! Standard output, and the ways in which a command fails.

use std::io::{self, Write};
use std::path::{Path, PathBuf};

use clap::builder::{PathBufValueParser, TypedValueParser};
use flowlens::files::{prepare_folder, write_whole};
use serde::Serialize;

/// What errors call it, those of the library too.
const SELF: &str = "standard output";

/// Why a command ended early.
pub enum Failure {
    /// Something to tell.
    Error(flowlens::Error),
    /// Nobody reads standard output any more (`flowlens .. | head`): no error, but no use in going on.
    Unread,
}

impl From<flowlens::Error> for Failure {
    fn from(error: flowlens::Error) -> Failure {
        match &error {
            flowlens::Error::Io { path, source }
                if path == Path::new(SELF) && source.kind() == io::ErrorKind::BrokenPipe =>
            {
                Failure::Unread
            }
            _ => Failure::Error(error),
        }
    }
}

pub type Done = Result<(), Failure>;

/// Writes to standard output.
pub fn print(text: &str) -> Done {
    let mut out = io::stdout().lock();
    let written = out.write_all(text.as_bytes()).and_then(|()| out.flush());
    Ok(written.map_err(|source| flowlens::Error::Io { path: SELF.into(), source })?)
}

/// Writes a list as JSON, an entry a line.
pub fn print_list<T: Serialize>(entries: &[T]) -> Done {
    let lines: Vec<String> = entries.iter().map(json).collect::<Result<_, _>>()?;
    print(&format!("[{}]\n", lines.join(",\n ")))
}

pub fn json<T: Serialize + ?Sized>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|error| flowlens::Error::Io { path: SELF.into(), source: error.into() }.into())
}

/// What `-` stands for among the files to write: the library knows it by the name that the system has for it.
const OUTPUT: &str = "/dev/stdout";

/// A file to write, as the command line names it.
pub fn to_write() -> impl TypedValueParser<Value = PathBuf> {
    PathBufValueParser::new().map(|path| if path == Path::new("-") { OUTPUT.into() } else { path })
}

/// Whether a file to write is standard output, which then says nothing else.
pub fn is_output(path: &Path) -> bool {
    path == Path::new(OUTPUT)
}

/// At most one file goes to standard output.
pub fn check_output<'a>(files: impl IntoIterator<Item = &'a Option<PathBuf>>) -> Result<(), flowlens::Error> {
    match files.into_iter().flatten().filter(|path| is_output(path)).count() {
        0 | 1 => Ok(()),
        count => Err(flowlens::Error::Input(format!(
            "{count} files are to go to standard output (-), one behind the other; name files for all but one"
        ))),
    }
}

/// Writes a file, in a folder that need not be there yet.
pub fn write_file(path: &Path, content: &[u8]) -> Result<(), flowlens::Error> {
    prepare_folder(path)?;
    write_whole(path, content)
}

/// Says which file was written.
pub fn wrote(path: &Path, what: &str) {
    if !is_output(path) {
        eprintln!("wrote {}{what}", path.display());
    }
}
