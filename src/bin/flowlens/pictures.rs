//! The files that a figure goes to, the same for every command that draws one.

use std::path::PathBuf;

use clap::{ArgGroup, Args};
use flowlens::{Error, Export, Figure};

use crate::output::{Done, check_output, to_write, write_file};

/// Static pictures.
#[derive(Args)]
#[command(group = ArgGroup::new("picture").multiple(true).args(["svg", "pdf", "png"]))]
pub struct Pictures {
    /// Write a static picture
    #[arg(long, value_name = "FILE", value_parser = to_write())]
    pub svg: Option<PathBuf>,
    /// Write a static picture for papers: lines and letters, fonts embedded
    #[arg(long, value_name = "FILE", value_parser = to_write())]
    pub pdf: Option<PathBuf>,
    /// Write a static picture in dots
    #[arg(long, value_name = "FILE", value_parser = to_write())]
    pub png: Option<PathBuf>,
    /// Pictures on light paper, which .pdf and .png have anyway; without it an .svg follows its reader's system
    #[arg(long, requires = "picture", conflicts_with = "dark")]
    pub light: bool,
    /// Pictures on dark paper
    #[arg(long, requires = "picture")]
    pub dark: bool,
    /// Dots of a .png for each pixel of the page, across and down [default: 2]
    #[arg(long, value_name = "X", requires = "png", value_parser = positive, allow_negative_numbers = true)]
    pub scale: Option<f64>,
    /// The same in dots per inch; 96 is a scale of 1
    #[arg(long, value_name = "N", requires = "png", conflicts_with = "scale", value_parser = positive, allow_negative_numbers = true)]
    pub dpi: Option<f64>,
}

impl Pictures {
    /// Whether one is asked for.
    pub fn any(&self) -> bool {
        self.svg.is_some() || self.pdf.is_some() || self.png.is_some()
    }
}

/// A scale: a number above nothing.
fn positive(text: &str) -> Result<f64, String> {
    let number: f64 = text.parse().map_err(|error| format!("{error}"))?;
    if number.is_finite() && number > 0.0 { Ok(number) } else { Err("it must be above 0".to_owned()) }
}

/// Writes the figure to the files that were asked for.
pub fn write(figure: &Figure, html: Option<PathBuf>, json: Option<PathBuf>, pictures: &Pictures) -> Done {
    check_output([&html, &json, &pictures.svg, &pictures.pdf, &pictures.png])?;
    let mut export = figure.export();
    if pictures.dark {
        export = export.dark();
    }
    export = pictures.scale.into_iter().fold(export, Export::scale);
    export = pictures.dpi.into_iter().fold(export, Export::dpi);
    let settled = pictures.light || pictures.dark;
    let write = |path: &Option<PathBuf>, content: &dyn Fn() -> Result<Vec<u8>, Error>| match path {
        Some(path) => write_file(path, &content()?),
        None => Ok(()),
    };
    write(&html, &|| Ok(figure.html().into_bytes()))?;
    write(&json, &|| Ok(figure.json().into_bytes()))?;
    write(&pictures.svg, &|| Ok(if settled { export.svg()? } else { figure.svg() }.into_bytes()))?;
    write(&pictures.pdf, &|| export.pdf())?;
    write(&pictures.png, &|| export.png())?;
    Ok(())
}
