//! `flowlens-kernel doctor`: what the kernel needs, what is there, and what mends the rest.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};

use anyhow::Result;
use clap::Args;

use super::built::Built;
use super::engine::{Engine, LIBRARY};
use super::folders::Spec;
use super::place::Place;
use super::steps::version_of;
use super::toolchain::Toolchain;
use super::{library, sources};
use crate::environment::own_configuration;

/// Says what the kernel needs, what is missing, and the command that mends it
#[derive(Args, Debug)]
pub struct Doctor {
    #[command(flatten)]
    place: Place,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Kind {
    Good,
    /// The kernel works, with something lacking.
    Warning,
    /// The kernel does not work.
    Stops,
}

#[derive(Debug)]
struct Finding {
    kind: Kind,
    text: String,
}

fn good(text: impl Into<String>) -> Finding {
    Finding { kind: Kind::Good, text: text.into() }
}

fn warning(text: impl Into<String>) -> Finding {
    Finding { kind: Kind::Warning, text: text.into() }
}

fn stops(text: impl Into<String>) -> Finding {
    Finding { kind: Kind::Stops, text: text.into() }
}

/// Looks at everything and prints a line for each; exit code 1 where something stops the kernel.
///
/// # Errors
/// Where the kernel's folder cannot be told.
pub fn doctor(options: &Doctor) -> Result<ExitCode> {
    let spec = spec_of(options)?;
    println!("the kernel in {}", spec.folder().display());
    let built = Built::read(&spec);
    let toolchain = Toolchain::find(built.as_ref().ok());
    let mut findings = vec![compiler(toolchain.as_ref())];
    match &built {
        Ok(built) => findings.extend(installed(&spec, built, toolchain.as_ref())),
        Err(error) => findings.push(stops(error.to_string())),
    }
    findings.extend([kernelspec(&spec, options), temporary_folder()]);
    findings.extend(configurations());
    for finding in &findings {
        let word = match finding.kind {
            Kind::Good => "ok     ",
            Kind::Warning => "warning",
            Kind::Stops => "MISSING",
        };
        println!("{word} {}", finding.text);
    }
    let count = findings.iter().filter(|finding| finding.kind == Kind::Stops).count();
    if count == 0 {
        println!("the kernel can start");
        return Ok(ExitCode::SUCCESS);
    }
    println!("{count} of these stop the kernel");
    Ok(ExitCode::FAILURE)
}

/// The kernel that this program belongs to, unless another is named.
fn spec_of(options: &Doctor) -> Result<Spec> {
    let own = std::env::current_exe().ok().and_then(|program| program.parent().map(Path::to_owned));
    match own {
        Some(folder) if options.place.is_default() && folder.join("built.json").exists() => Ok(Spec::at(&folder)),
        _ => options.place.spec(),
    }
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or_default()
}

fn compiler(toolchain: Option<&Toolchain>) -> Finding {
    let Some(toolchain) = toolchain else {
        return stops("no rustc was found, which compiles the cells. Install Rust: https://rustup.rs");
    };
    let cargo = toolchain.cargo(Path::new("/")).arg("--version").output();
    match cargo {
        Ok(done) if done.status.success() => {
            good(format!("{}, {}", first_line(&toolchain.version), String::from_utf8_lossy(&done.stdout).trim()))
        }
        _ => stops("no cargo was found beside rustc. Install Rust: https://rustup.rs"),
    }
}

/// All that hangs on what the installation left.
fn installed(spec: &Spec, built: &Built, toolchain: Option<&Toolchain>) -> Vec<Finding> {
    let mend = built.mend(spec);
    let mut findings = Vec::new();
    if let Some(now) = toolchain.filter(|now| now.version != built.rustc) {
        let (then, now) = (first_line(&built.rustc), first_line(&now.version));
        findings.push(stops(format!("the engine was compiled by {then}, cells would be by {now}. {mend}")));
    }
    findings.push(standard_library(spec, toolchain, &mend));
    let libtorch = built.libtorch(spec);
    let (then, now) = (&built.libtorch_version, version_of(&libtorch));
    let has_libtorch = libtorch.join("lib/libtorch_cpu.so").exists();
    findings.push(if !has_libtorch {
        stops(format!(
            "libtorch is missing in {}. In a terminal: cd '{}' && make libtorch",
            libtorch.display(),
            built.project(spec).display()
        ))
    } else if *then != now {
        stops(format!("libtorch in {} is {now}, the engine was compiled with {then}. {mend}", libtorch.display()))
    } else {
        good(format!("libtorch {now} in {}", libtorch.display()))
    });
    let engine = spec.engine(&built.engine);
    if Engine::read(&engine).is_err() {
        findings.push(stops(format!("the compiled engine is gone from {}. {mend}", engine.display())));
    } else if let Some(toolchain) = toolchain.filter(|toolchain| has_libtorch && toolchain.version == built.rustc) {
        findings.push(cell(&engine, &libtorch, toolchain, &mend));
    } else {
        findings.push(good(format!("an engine is in {}", engine.display())));
    }
    findings.push(own_sources(spec, built, &mend));
    findings
}

fn standard_library(spec: &Spec, toolchain: Option<&Toolchain>, mend: &str) -> Finding {
    if spec.library().join("core/src/lib.rs").exists() {
        return good("the sources of Rust's standard library, which types come from");
    }
    let first = match toolchain.and_then(library::find) {
        Some(_) => "",
        None => "In a terminal: rustup component add rust-src (or Debian's package rust-src). ",
    };
    stops(format!("the sources of Rust's standard library are missing, which types come from. {first}{mend}"))
}

fn own_sources(spec: &Spec, built: &Built, mend: &str) -> Finding {
    if !spec.sources().join("src/lib.rs").exists() {
        return stops(format!("the kernel's copy of Flowlens's sources is missing. {mend}"));
    }
    let project = built.project(spec);
    match sources::digest(&project) {
        Ok(now) if now == built.sources => good("the engine is of the project's present sources"),
        Ok(_) => warning(format!("the sources in {} changed since the engine was compiled. {mend}", project.display())),
        Err(_) => warning(format!(
            "{} is not the folder of Flowlens any more. The kernel works without it; to build a new one: \
             flowlens-kernel install --project FOLDER",
            project.display()
        )),
    }
}

/// Compiles and runs what a cell is: nothing tells better whether compiler, linker, engine and libtorch fit.
fn cell(engine: &Path, libtorch: &Path, toolchain: &Toolchain, mend: &str) -> Finding {
    let Ok(folder) = tempfile::tempdir() else { return warning("the engine was not tried: there is no room for it") };
    let code = "use flowlens_engine::prelude::*; fn main() { let _ = Model::load(\"no such folder/\").is_err(); println!(\"engine\") }";
    let (source, program) = (folder.path().join("cell.rs"), folder.path().join("cell"));
    if fs::write(&source, code).is_err() {
        return warning("the engine was not tried: there is no room for it");
    }
    let libraries = [engine.to_owned(), libtorch.join("lib"), toolchain.libraries()];
    let libraries = std::env::join_paths(libraries).unwrap_or_default();
    let mut external = std::ffi::OsString::from("flowlens_engine=");
    external.push(engine.join(LIBRARY));
    let mut dependencies = std::ffi::OsString::from("-Ldependency=");
    dependencies.push(engine);
    let mut rustc = Command::new(toolchain.sysroot.join("bin/rustc"));
    rustc.args(["--edition", "2024", "-Cprefer-dynamic", "--extern"]).arg(external).arg(dependencies);
    rustc.arg("-L").arg(libtorch.join("lib"));
    rustc.arg(&source).arg("-o").arg(&program).env("LD_LIBRARY_PATH", &libraries).current_dir(folder.path());
    match rustc.output() {
        Err(error) => return stops(format!("rustc cannot be started: {error}")),
        Ok(done) if !done.status.success() => {
            let said = String::from_utf8_lossy(&done.stderr).into_owned();
            if said.contains("linker `") && said.contains("not found") {
                return stops("no C linker (cc) was found. Debian or Ubuntu: sudo apt-get install build-essential");
            }
            return stops(format!("a cell does not compile against the engine: {}. {mend}", first_line(&said)));
        }
        Ok(_) => {}
    }
    let ran = Command::new(&program).env("LD_LIBRARY_PATH", &libraries).stderr(Stdio::piped()).output();
    match ran {
        Ok(done) if done.status.success() => good("a cell compiles, links and loads the engine"),
        Ok(done) => {
            stops(format!("the engine does not load: {}. {mend}", first_line(&String::from_utf8_lossy(&done.stderr))))
        }
        Err(error) => stops(format!("the engine does not load: {error}. {mend}")),
    }
}

/// Does Jupyter see the kernel?
fn kernelspec(spec: &Spec, options: &Doctor) -> Finding {
    if !spec.folder().join("kernel.json").exists() {
        return stops(format!(
            "{} has no kernel.json: Jupyter does not see the kernel. Install it: flowlens-kernel install",
            spec.folder().display()
        ));
    }
    let own = options.place.prefix().map(|prefix| prefix.join("bin/jupyter"));
    // In a Python environment its own Jupyter is the one that counts.
    let around = spec.folder().ancestors().nth(4).map(|prefix| prefix.join("bin/jupyter"));
    let jupyter =
        own.into_iter().chain(around).find(|program| program.exists()).unwrap_or_else(|| PathBuf::from("jupyter"));
    let answer = Command::new(&jupyter).args(["kernelspec", "list", "--json"]).stderr(Stdio::null()).output();
    let Ok(answer) = answer else {
        return warning("no Jupyter was found to ask for its kernels (`jupyter` is not on PATH)");
    };
    let listed: serde_json::Value = serde_json::from_slice(&answer.stdout).unwrap_or_default();
    let folders = listed["kernelspecs"]
        .as_object()
        .into_iter()
        .flatten()
        .filter_map(|(_, kernel)| kernel["resource_dir"].as_str());
    let own = spec.folder().canonicalize().ok();
    if folders.into_iter().any(|folder| Path::new(folder).canonicalize().ok() == own) {
        return good(format!("Jupyter sees the kernel ({})", jupyter.display()));
    }
    let data = spec.folder().ancestors().nth(2).unwrap_or(spec.folder());
    warning(format!(
        "{} does not see the kernel. With JUPYTER_PATH='{}' in its environment it does",
        jupyter.display(),
        data.display()
    ))
}

/// Cells are compiled in a folder there.
fn temporary_folder() -> Finding {
    let place = std::env::temp_dir();
    let hint = "With TMPDIR=/another/folder in the environment of Jupyter the kernel uses that";
    let tried = tempfile::NamedTempFile::new_in(&place).and_then(|mut file| file.write_all(&[0; 1 << 16]));
    if let Err(error) = tried {
        return stops(format!("nothing can be written in {}: {error}. {hint}", place.display()));
    }
    match free_space(&place) {
        Some(free) if free < 100 << 20 => {
            stops(format!("{} has {} MB left; a kernel takes about 100. {hint}", place.display(), free >> 20))
        }
        Some(free) => good(format!("{} can be written and has {:.1} GB left", place.display(), free as f64 / 1e9)),
        None => good(format!("{} can be written", place.display())),
    }
}

#[allow(clippy::unnecessary_cast)]
fn free_space(place: &Path) -> Option<u64> {
    use std::os::unix::ffi::OsStrExt;
    let name = std::ffi::CString::new(place.as_os_str().as_bytes()).ok()?;
    let mut answer = std::mem::MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `name` ends with a zero, and `answer` is read only where statvfs says that it filled it.
    let answer = unsafe { (libc::statvfs(name.as_ptr(), answer.as_mut_ptr()) == 0).then(|| answer.assume_init()) }?;
    Some(answer.f_bavail as u64 * answer.f_frsize as u64)
}

/// A broken configuration of evcxr: the person's own is left out by the kernel; one in the notebook's folder is not.
fn configurations() -> Vec<Finding> {
    let own = own_configuration().map(|folder| folder.join("evcxr.toml"));
    let here = std::env::current_dir().ok().map(|folder| folder.join("evcxr.toml"));
    let mut findings = Vec::new();
    for (file, kind, then) in
        [(own, Kind::Warning, "the kernel leaves it out"), (here, Kind::Stops, "correct or remove it")]
    {
        let Some(file) = file.filter(|file| file.exists()) else { continue };
        let broken = fs::read_to_string(&file).map_err(|error| error.to_string());
        let broken =
            broken.and_then(|text| toml::from_str::<toml::Table>(&text).map_err(|error| error.message().to_owned()));
        findings.push(match broken {
            Ok(_) => good(format!("{} can be read", file.display())),
            Err(error) => Finding { kind, text: format!("{} cannot be read: {error}; {then}", file.display()) },
        });
    }
    findings
}
