//! A folder of figures that an interrupted command goes on with.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::UNIX_EPOCH;

use flowlens::files::{LARGEST_TEXT, prepare_folder, read_within};
use flowlens::text::slug;
use flowlens::{Error, Figure, Model};

use crate::args::{FiguresArgs, Format};
use crate::output::{Done, write_file};

/// The file in the folder that says which figure was made of what.
const INDEX: &str = "figures.json";

/// A figure to make.
pub struct Wanted {
    pub file: String,
    /// What it is made of: two figures of the same are the same.
    stamp: String,
}

/// Where the figures of a command go, one after the other.
pub struct Folder<'a> {
    args: &'a FiguresArgs,
    /// The start of every file name.
    stem: String,
    /// What every figure is made of.
    model: String,
    made: BTreeMap<String, String>,
    written: usize,
    kept: usize,
}

impl<'a> Folder<'a> {
    pub fn open(args: &'a FiguresArgs, model: &Model) -> Result<Folder<'a>, Error> {
        let index = args.out.join(INDEX);
        prepare_folder(&index)?;
        // An index that cannot be read costs the work of making figures again, nothing else.
        let made = read_within(index, LARGEST_TEXT)
            .ok()
            .and_then(|index| serde_json::from_slice(&index).ok())
            .unwrap_or_default();
        let (path, version) = (model.path(), env!("CARGO_PKG_VERSION"));
        let paper = if args.dark { "dark" } else { "light" };
        let model_stamp = format!("{version} {} {} {} {paper}", path.display(), changed(path), model.dtype());
        let shown = path.file_name().filter(|_| Path::new(model.name()).exists());
        let stem = slug(&shown.map_or_else(|| model.name().to_owned(), |name| name.to_string_lossy().into_owned()));
        Ok(Folder { args, stem, model: model_stamp, made, written: 0, kept: 0 })
    }

    /// A figure of an input, unless it is there already.
    pub fn wanted(&mut self, input: &str, parts: &[&str]) -> Option<Wanted> {
        let parts = parts.iter().filter(|part| !part.is_empty()).map(|part| slug(part));
        let name: Vec<String> = std::iter::once(self.stem.clone()).chain(parts).collect();
        let file = format!("{}.{}", name.join("-"), self.args.format.ending());
        let stamp = format!("{} | {input}", self.model);
        if self.made.get(&file) == Some(&stamp) && self.args.out.join(&file).is_file() {
            self.kept += 1;
            return None;
        }
        Some(Wanted { file, stamp })
    }

    pub fn write(&mut self, wanted: Wanted, figure: &Figure) -> Result<(), Error> {
        let path = self.args.out.join(&wanted.file);
        let export = if self.args.dark { figure.export().dark() } else { figure.export() };
        match self.args.format {
            Format::Html => figure.save(&path)?,
            _ => export.save(&path)?,
        }
        self.made.insert(wanted.file, wanted.stamp);
        let index = serde_json::to_string_pretty(&self.made).unwrap_or_default();
        write_file(&self.args.out.join(INDEX), index.as_bytes())?;
        self.written += 1;
        eprintln!("wrote {}", path.display());
        Ok(())
    }

    pub fn done(self) -> Done {
        let there = if self.kept > 0 { format!(", {} were there already", self.kept) } else { String::new() };
        eprintln!("{} figures written to {}{there}", self.written, self.args.out.display());
        Ok(())
    }
}

/// When a model's files last changed, in seconds.
fn changed(path: &Path) -> u64 {
    let seconds = |path: &Path| {
        let time = std::fs::metadata(path).and_then(|about| about.modified()).ok();
        time.and_then(|time| time.duration_since(UNIX_EPOCH).ok()).map_or(0, |since| since.as_secs())
    };
    let inside = std::fs::read_dir(path).into_iter().flatten().flatten().map(|file| seconds(&file.path()));
    inside.chain([seconds(path)]).max().unwrap_or_default()
}
