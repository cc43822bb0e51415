//! `flowlens-kernel install`.

use std::fs::{self, File};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::Args;
use serde_json::json;

use super::built::Built;
use super::engine::{self, Engine};
use super::folders::Spec;
use super::place::Place;
use super::toolchain::Toolchain;
use super::{files, library, sources};

/// Installs the kernel, or brings an installed one up to date
#[derive(Args, Debug)]
pub struct Install {
    #[command(flatten)]
    place: Place,
    /// The folder of Flowlens [default: the current one, or where this program was built]
    #[arg(long, value_name = "FOLDER")]
    project: Option<PathBuf>,
    /// Takes the compiled engine of another kernel (its folder engine/HASH) instead of compiling it
    #[arg(long, value_name = "FOLDER")]
    engine_from: Option<PathBuf>,
    /// Also where another kernel of that name is installed, which is then gone
    #[arg(long)]
    replace: bool,
    /// A second kernel beside, stock evcxr_jupyter with the same engine
    #[arg(long)]
    evcxr: bool,
}

/// Installs what `options` say.
///
/// # Errors
/// Where something is missing; the message names the command that brings it.
pub fn install(options: &Install) -> Result<()> {
    let spec = options.place.spec()?;
    refuse_foreign(&spec, options)?;
    let project = find_project(options.project.as_deref())?;
    let toolchain = Toolchain::current(&project)
        .context("rustc is missing, which compiles the cells. Install Rust: https://rustup.rs, then again")?;
    let libtorch = find_libtorch(&project)?;
    fs::create_dir_all(spec.folder()).with_context(|| format!("cannot write {}", spec.folder().display()))?;
    // Two installations at once would take each other's files.
    let lock =
        File::create(spec.folder().join(LOCK)).with_context(|| format!("cannot write {}", spec.folder().display()))?;
    lock.lock()?;

    library::keep(&spec, &toolchain)?;
    let digest = sources::digest(&project)?;
    let mut made = Engine { rustc: toolchain.version.clone(), sources: digest.clone() };
    let before = Built::read(&spec).ok();
    let name = match (&options.engine_from, made.kept(&spec)) {
        (Some(from), _) => {
            let (name, taken) = engine::take(&spec, from, &toolchain)?;
            made = taken;
            name
        }
        (None, Some(name)) => name,
        (None, None) => engine::build(&spec, &project, &toolchain, &made)?,
    };
    sources::keep(&spec, &project, &digest)?;
    let built = Built {
        engine: name,
        rustc: made.rustc,
        sysroot: toolchain.sysroot.clone(),
        libtorch: relative(&spec, &project, &libtorch),
        libtorch_version: version_of(&libtorch),
        project: relative(&spec, &project, &project),
        sources: made.sources,
        command: command(&spec, &project, options),
    };
    write_spec(&spec, &built)?;
    if options.evcxr {
        install_evcxr(&spec, options, &project, &toolchain)?;
    }
    engine::forget_others(&spec, &built.engine);
    if before.as_ref() != Some(&built) {
        println!("installed the Jupyter kernel \"{DISPLAY_NAME}\" in {}", spec.folder().display());
    }
    Ok(())
}

const DISPLAY_NAME: &str = "Rust (Flowlens)";
pub(super) const LOCK: &str = "install.lock";
pub(super) const PROGRAM: &str = "flowlens-kernel";
pub(super) const EVCXR: &str = "evcxr_jupyter";
pub(super) const LOGOS: [(&str, &[u8]); 3] = [
    ("logo-32x32.png", include_bytes!("logos/logo-32x32.png")),
    ("logo-64x64.png", include_bytes!("logos/logo-64x64.png")),
    ("logo-svg.svg", include_bytes!("logos/logo-svg.svg")),
];
/// What earlier kernels of Flowlens left in their folder.
const FORMER: [&str; 8] =
    ["start", "built", "version.txt", "kernel.js", "lint.js", "lint.css", "lint-LICENSE", "logo-LICENSE.md"];

/// A kernel of that name that somebody else installed stays.
fn refuse_foreign(spec: &Spec, options: &Install) -> Result<()> {
    let Ok(text) = fs::read_to_string(spec.folder().join("kernel.json")) else { return Ok(()) };
    let kernel: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
    let first = kernel["argv"][0].as_str().unwrap_or_default();
    let ours = first.ends_with(PROGRAM) || first == "{resource_dir}/start" || spec.built().exists();
    if ours || options.replace {
        return Ok(());
    }
    bail!(
        "{} holds another kernel ({}). With --name flowlens this one is installed beside it, with --replace in its place.",
        spec.folder().display(),
        kernel["display_name"].as_str().unwrap_or("without a name"),
    )
}

fn find_project(given: Option<&Path>) -> Result<PathBuf> {
    let is_flowlens = |folder: &Path| {
        fs::read_to_string(folder.join("Cargo.toml"))
            .is_ok_and(|text| text.lines().any(|line| line.trim() == "name = \"flowlens\""))
    };
    if let Some(folder) = given {
        if !is_flowlens(folder) {
            bail!("--project {}: its Cargo.toml is not that of Flowlens", folder.display());
        }
        return Ok(folder.canonicalize()?);
    }
    let current = std::env::current_dir()?;
    let built_in = Path::new(env!("CARGO_MANIFEST_DIR")).parent();
    let mut places = current.ancestors().chain(built_in);
    let found = places.find(|folder| is_flowlens(folder));
    Ok(found.context("the folder of Flowlens was not found. Name it: --project FOLDER")?.canonicalize()?)
}

fn find_libtorch(project: &Path) -> Result<PathBuf> {
    let own = project.join(".libtorch");
    let given = std::env::var_os("LIBTORCH").map(PathBuf::from);
    let mut places = std::iter::once(own).chain(given);
    let found = places.find(|folder| folder.join("lib/libtorch_cpu.so").exists());
    found.with_context(|| format!("libtorch is missing. In a terminal: cd '{}' && make libtorch", project.display()))
}

/// The version that a libtorch says of itself.
pub fn version_of(libtorch: &Path) -> String {
    fs::read_to_string(libtorch.join("build-version"))
        .map_or_else(|_| "unknown".to_owned(), |text| text.trim().to_owned())
}

/// Inside of the project paths are relative, so that it can be moved with its kernel.
fn relative(spec: &Spec, project: &Path, target: &Path) -> PathBuf {
    let folder = spec.folder().canonicalize().unwrap_or_else(|_| spec.folder().to_owned());
    match (folder.strip_prefix(project), target.strip_prefix(project)) {
        (Ok(down), Ok(rest)) => down.components().map(|_| "..").collect::<PathBuf>().join(rest),
        _ => target.to_owned(),
    }
}

/// What to type, in the project's folder, to install this kernel again.
fn command(spec: &Spec, project: &Path, options: &Install) -> String {
    if spec.folder() == project.join(".venv/share/jupyter/kernels/rust") {
        return "make kernel".to_owned();
    }
    let place = options.place.prefix().map_or_else(
        || "--user".to_owned(),
        |prefix| format!("--prefix '{}'", std::path::absolute(prefix).unwrap_or_else(|_| prefix.to_owned()).display()),
    );
    format!("'{}' install {place} --name {}", spec.folder().join(PROGRAM).display(), options.place.name)
}

/// The small files, kernel.json last: with it Jupyter sees the kernel.
fn write_spec(spec: &Spec, built: &Built) -> Result<()> {
    copy_program(&std::env::current_exe()?, &spec.folder().join(PROGRAM))?;
    for (name, bytes) in LOGOS {
        files::write(&spec.folder().join(name), bytes)?;
    }
    files::write(&spec.built(), &serde_json::to_vec_pretty(built)?)?;
    let kernel = json!({
        "argv": [format!("{{resource_dir}}/{PROGRAM}"), "run", "{connection_file}"],
        "display_name": DISPLAY_NAME,
        "language": "rust",
        "interrupt_mode": "message",
    });
    files::write(&spec.folder().join("kernel.json"), &serde_json::to_vec_pretty(&kernel)?)?;
    for name in FORMER {
        let _ = fs::remove_file(spec.folder().join(name));
    }
    Ok(())
}

fn copy_program(from: &Path, to: &Path) -> Result<()> {
    let same = || {
        Ok::<_, std::io::Error>(
            fs::metadata(from)?.len() == fs::metadata(to)?.len() && fs::read(from)? == fs::read(to)?,
        )
    };
    if same().unwrap_or(false) { Ok(()) } else { files::copy(from, to) }
}

/// Stock evcxr_jupyter, started by our program: it takes the same engine.
fn install_evcxr(spec: &Spec, options: &Install, project: &Path, toolchain: &Toolchain) -> Result<()> {
    let beside = std::env::current_exe()?.with_file_name(EVCXR);
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let mut places = std::iter::once(beside).chain(std::env::split_paths(&paths).map(|folder| folder.join(EVCXR)));
    let program = places.find(|place| place.is_file()).context(
        "evcxr_jupyter is missing. In a terminal: cargo install --locked evcxr_jupyter@0.22.0, or build the kernel with --features stock",
    )?;
    copy_program(&program, &spec.folder().join(EVCXR))?;
    // A lesson's `:dep flowlens = { path = ".." }` looks at the crates of all platforms: with them here it never asks the network.
    toolchain.cargo(project).args(["fetch", "--quiet", "--locked"]).status().context("cargo cannot be started")?;
    let folder = evcxr_folder(spec, &options.place)?;
    fs::create_dir_all(&folder).with_context(|| format!("cannot write {}", folder.display()))?;
    let kernel = json!({
        "argv": [format!("{{resource_dir}}/../{}/{PROGRAM}", options.place.name), "stock", "{connection_file}"],
        "display_name": "Rust (evcxr)",
        "language": "rust",
        "interrupt_mode": "signal",
    });
    files::write(&folder.join("kernel.json"), &serde_json::to_vec_pretty(&kernel)?)
}

/// The folder of the second kernel.
pub(super) fn evcxr_folder(spec: &Spec, place: &Place) -> Result<PathBuf> {
    let kernels = spec.folder().parent().context("a kernel's folder has one around it")?;
    Ok(kernels.join(format!("{}-evcxr", place.name)))
}
