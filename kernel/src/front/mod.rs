//! A front for cargo, which evcxr and its rust-analyzer call two dozen times before the first cell has run, and once more
//! for every cell.
//!
//! The kernel puts links to this program, named `cargo` and `rustup`, into its private folder and before all others into
//! PATH. What is asked about the cells' own package is answered here where the answer is known: a cell without other
//! crates goes straight to rustc, and rust-analyzer is told from the beginning that Flowlens is there, so that it reads
//! the standard library once and not again after a `:dep`. Everything else goes to the real program, as if there were no
//! front.

mod metadata;
mod rustc;

use std::ffi::{OsStr, OsString};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

use crate::environment::{SWEEPER, sweep_after_parent};

/// The kernel's private folder: where the front works, and whether there is one.
pub const PRIVATE: &str = "FLOWLENS_FRONT";
/// The toolchain's folder.
pub const SYSROOT: &str = "FLOWLENS_FRONT_SYSROOT";
/// The kernel's copy of Flowlens's sources.
pub const SOURCES: &str = "FLOWLENS_FRONT_SOURCES";
/// What CARGO_HOME was before, empty where it was not set.
pub const CARGO_HOME: &str = "FLOWLENS_FRONT_CARGO_HOME";

/// What the kernel told the front about its surroundings.
struct Front {
    private: PathBuf,
    sysroot: PathBuf,
    sources: PathBuf,
}

/// Where this program was called by another name, as `cargo` or `rustup`: does what was asked, and gives the exit code.
pub fn run_if_called() -> Option<ExitCode> {
    let mut arguments = std::env::args_os();
    let name = PathBuf::from(arguments.next()?).file_name()?.to_owned();
    if name == SWEEPER {
        sweep_after_parent(Path::new(&arguments.next()?));
        return Some(ExitCode::SUCCESS);
    }
    if name != "cargo" && name != "rustup" {
        return None;
    }
    let folder = |name| std::env::var_os(name).map(PathBuf::from);
    let front = Front { private: folder(PRIVATE)?, sysroot: folder(SYSROOT)?, sources: folder(SOURCES)? };
    let arguments: Vec<OsString> = arguments.collect();
    Some(if name == "cargo" { front.cargo(&arguments) } else { front.rustup(&arguments) })
}

impl Front {
    fn cargo(&self, arguments: &[OsString]) -> ExitCode {
        let words: Vec<&str> = arguments.iter().map(|word| word.to_str().unwrap_or("\u{0}")).collect();
        let here = std::env::current_dir().is_ok_and(|folder| folder == self.private);
        let answered = if here { self.known(&words) } else { None };
        answered.unwrap_or_else(|| run_instead(&self.real_cargo(arguments)))
    }

    /// What can be answered without cargo. The calls are those of evcxr 0.22 and its rust-analyzer, word for word; others
    /// are not known.
    fn known(&self, words: &[&str]) -> Option<ExitCode> {
        let manifest = self.private.join("Cargo.toml");
        match words {
            ["locate-project", "--workspace", "--manifest-path", path] if Path::new(path) == manifest => {
                println!("{}", serde_json::json!({ "root": manifest }));
                Some(ExitCode::SUCCESS)
            }
            ["rustc", "-Z", "unstable-options", "--print", what, "--target", target, "--", rest @ ..] => {
                let mut rustc = self.rustc();
                rustc.args(["--print", what, "--target", target]).args(rest);
                Some(run_instead(&rustc))
            }
            ["metadata", rest @ ..] => metadata::answer(self, rest),
            ["build" | "check", "--target", target, "--message-format=json"] => {
                rustc::cell(self, words[0] == "check", target).map(|rustc| run_instead(&rustc))
            }
            _ => None,
        }
    }

    fn rustup(&self, arguments: &[OsString]) -> ExitCode {
        let words: Vec<&str> = arguments.iter().filter_map(|word| word.to_str()).collect();
        match words[..] {
            ["which", "cargo"] => println!("{}", self.private.join("front/bin/cargo").display()),
            ["which", "rustc"] => println!("{}", self.sysroot.join("bin/rustc").display()),
            _ => return self.real_rustup(arguments),
        }
        ExitCode::SUCCESS
    }

    fn rustc(&self) -> Command {
        Command::new(self.sysroot.join("bin/rustc"))
    }

    /// The real cargo with the environment that the person has.
    fn real_cargo<Word: AsRef<OsStr>>(&self, arguments: &[Word]) -> Command {
        let mut cargo = Command::new(self.sysroot.join("bin/cargo"));
        cargo.args(arguments);
        with_own_home(&mut cargo);
        cargo
    }

    fn real_rustup(&self, arguments: &[OsString]) -> ExitCode {
        let own = self.private.join("front/bin");
        let paths = std::env::var_os("PATH").unwrap_or_default();
        let mut places =
            std::env::split_paths(&paths).filter(|folder| *folder != own).map(|folder| folder.join("rustup"));
        let Some(program) = places.find(|program| program.is_file()) else { return ExitCode::from(127) };
        let mut rustup = Command::new(program);
        rustup.args(arguments);
        with_own_home(&mut rustup);
        run_instead(&rustup)
    }
}

/// Gives a program that is started inside of a kernel the CARGO_HOME that the person has.
pub fn with_own_home(command: &mut Command) {
    match std::env::var_os(CARGO_HOME) {
        Some(home) if home.is_empty() => command.env_remove("CARGO_HOME"),
        Some(home) => command.env("CARGO_HOME", home),
        None => command,
    };
}

/// Puts the front before cargo and rustup. To be called while the program has one thread, with the toolchain in PATH.
///
/// # Errors
/// Where it cannot be written into the private folder.
pub fn place(private: &Path, sysroot: &Path, sources: &Path) -> std::io::Result<()> {
    let program = std::env::current_exe()?;
    let home = private.join("front");
    let folder = home.join("bin");
    std::fs::create_dir_all(&folder)?;
    for name in ["cargo", "rustup"] {
        std::os::unix::fs::symlink(&program, folder.join(name))?;
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    let paths = std::iter::once(folder).chain(std::env::split_paths(&paths));
    let paths = std::env::join_paths(paths).map_err(std::io::Error::other)?;
    let before = std::env::var_os("CARGO_HOME").unwrap_or_default();
    // rust-analyzer takes the cargo in CARGO_HOME before the one in PATH.
    let all: [(&str, &OsStr); 6] = [
        ("PATH", &paths),
        (CARGO_HOME, &before),
        ("CARGO_HOME", home.as_os_str()),
        (PRIVATE, private.as_os_str()),
        (SYSROOT, sysroot.as_os_str()),
        (SOURCES, sources.as_os_str()),
    ];
    for (name, value) in all {
        // SAFETY: the program has one thread.
        unsafe { std::env::set_var(name, value) };
    }
    Ok(())
}

/// Becomes the other program; comes back only where it cannot be started.
fn run_instead(command: &Command) -> ExitCode {
    let mut again = Command::new(command.get_program());
    again.args(command.get_args());
    for (name, value) in command.get_envs() {
        match value {
            Some(value) => again.env(name, value),
            None => again.env_remove(name),
        };
    }
    let error = again.exec();
    eprintln!("error: {}: {error}", command.get_program().to_string_lossy());
    ExitCode::from(127)
}
