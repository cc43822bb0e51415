//! What a kernel process works with: a folder of its own, and the environment that evcxr, cargo and rustc go by.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::process::CommandExt as _;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tempfile::TempDir;

use crate::front;
use crate::install::built::Built;
use crate::install::engine::{IN_USE, LIBRARY};
use crate::install::folders::Spec;
use crate::install::sources;
use crate::install::toolchain::Toolchain;

/// Every kernel's own folder begins with this, in TMPDIR.
const PREFIX: &str = "flowlens-kernel-";

/// A kernel's folder and what to say about the state it was found in. Removed with everything in it when dropped.
pub struct Environment {
    /// The folder of this kernel: cells are compiled in it.
    pub private: PathBuf,
    /// Two bytes: has the person asked to stop, and is a call running that looks at that.
    pub interrupt: PathBuf,
    /// Where the library puts displays.
    pub displays: PathBuf,
    /// To be executed before the person's first cell. Empty where Flowlens cannot be used.
    pub first_cell: String,
    /// Said once; the kernel works on.
    pub notice: Option<String>,
    /// Why Flowlens cannot be used in this kernel, and the command that mends it.
    pub stale: Option<String>,
    // Held for as long as the kernel lives, so that nobody takes its folder or its engine away.
    _alive: File,
    _engine: Option<File>,
    _folder: TempDir,
}

impl Environment {
    /// Makes the folder and sets this process's environment. To be called while the program has one thread.
    ///
    /// # Errors
    /// Where no folder can be made for the cells.
    pub fn prepare(resource_dir: &Path) -> Result<Environment> {
        let environment = Self::prepare_any(resource_dir, true)?;
        set("FLOWLENS_DISPLAYS", &environment.displays);
        Ok(environment)
    }

    /// The same for stock evcxr_jupyter: it gets the first cell by its own `init.evcxr`, and no displays of its own.
    ///
    /// # Errors
    /// As [`Environment::prepare`].
    pub fn prepare_stock(resource_dir: &Path) -> Result<Environment> {
        let environment = Self::prepare_any(resource_dir, false)?;
        let spec = Spec::at(resource_dir);
        let config = environment.private.join("config");
        // evcxr empties Cargo.lock with its first build. A lesson's `:dep flowlens = { path = ".." }` then has cargo ask
        // the network for versions, unless the project's own file stands there again.
        let lock = format!(
            "!cp '{}' '{}' || true\n",
            spec.sources().join("Cargo.lock.whole").display(),
            environment.private.join("Cargo.lock").display()
        );
        let own = fs::read_to_string(config.join("init.evcxr")).unwrap_or_default();
        fs::write(config.join("init.evcxr"), format!("{own}\n{lock}{}", environment.first_cell))?;
        // SAFETY: the program has one thread.
        unsafe { std::env::remove_var("FLOWLENS_DISPLAYS") };
        Ok(environment)
    }

    fn prepare_any(resource_dir: &Path, with_front: bool) -> Result<Environment> {
        let spec = Spec::at(resource_dir);
        let (folder, alive) = make_folder()?;
        let private = folder.path().to_owned();
        let (interrupt, displays) = (private.join("interrupt"), private.join("displays"));
        fs::write(&interrupt, "00")?;
        fs::create_dir(&displays)?;
        let mut notice = write_configuration(&private.join("config"))?;

        let built = Built::read(&spec);
        let found = Toolchain::find(built.as_ref().ok());
        let stale = stale(&spec, &built, found.as_ref());
        set("EVCXR_TMPDIR", &private);
        set("EVCXR_CONFIG_DIR", private.join("config"));
        set("RUST_SRC_PATH", spec.library());
        set("FLOWLENS_INTERRUPT", &interrupt);
        if std::env::var_os("OMP_WAIT_POLICY").is_none() {
            // libtorch's threads otherwise spin while they wait, and take the time from the compiler's.
            set("OMP_WAIT_POLICY", "passive");
        }
        if let Some(toolchain) = &found {
            toolchain.put_first();
        }
        let (mut engine, mut first_cell) = (None, String::new());
        if let (Ok(built), None) = (&built, &stale) {
            engine = Some(hold(&spec.engine(&built.engine))?);
            let front = found.as_ref().filter(|_| with_front && std::env::var_os("FLOWLENS_NO_FRONT").is_none());
            let placed =
                front.is_some_and(|toolchain| front::place(&private, &toolchain.sysroot, &spec.sources()).is_ok());
            use_engine(&spec, built, found.as_ref(), if placed { "flowlens" } else { "flowlens_engine" })?;
            // Behind the front Flowlens is there: a command that does nothing.
            first_cell = if placed { ":version\n".to_owned() } else { dependency(&spec.sources()) };
            notice = notice.or_else(|| newer_sources(&spec, built));
        }
        if let Some(stale) = &stale {
            set(
                "CARGO_ENCODED_RUSTFLAGS",
                ["-Cprefer-dynamic", "--cfg", "flowlens_prebuilt", "--cfg", "flowlens_stale"].join("\u{1f}"),
            );
            set("FLOWLENS_STALE", stale);
        }
        Ok(Environment {
            private,
            interrupt,
            displays,
            first_cell,
            notice,
            stale,
            _alive: alive,
            _engine: engine,
            _folder: folder,
        })
    }
}

/// `:dep` for the kernel's copy of the sources.
fn dependency(sources: &Path) -> String {
    let path = sources.display().to_string().replace('\\', "\\\\").replace('"', "\\\"");
    format!(":dep flowlens = {{ path = \"{path}\" }}\n")
}

fn set(name: &str, value: impl AsRef<OsStr>) {
    // SAFETY: `prepare` is called while the program has one thread.
    unsafe { std::env::set_var(name, value) };
}

/// What keeps Flowlens from working here, and the command that mends it.
fn stale(spec: &Spec, built: &Result<Built>, found: Option<&Toolchain>) -> Option<String> {
    let built = match built {
        Ok(built) => built,
        Err(error) => return Some(format!("{error:#}")),
    };
    let then = built.rustc.lines().next().unwrap_or_default();
    let what = match found {
        None => "no rustc was found, which compiles the cells".to_owned(),
        Some(found) if found.version != built.rustc => {
            let now = found.version.lines().next().unwrap_or_default();
            format!("rustc changed since the kernel's engine was compiled (then {then}, now {now})")
        }
        _ if !spec.engine(&built.engine).join(LIBRARY).exists() => "the kernel's compiled engine is gone".to_owned(),
        _ if !built.libtorch(spec).join("lib/libtorch_cpu.so").exists() => {
            format!("libtorch is missing in {}", built.libtorch(spec).display())
        }
        _ if !spec.library().join("core/src/lib.rs").exists() => {
            "the sources of Rust's standard library are missing, which types come from".to_owned()
        }
        _ if !spec.sources().join("src/lib.rs").exists() => "the kernel's copy of the sources is missing".to_owned(),
        _ => return None,
    };
    Some(format!("{what}. {}", built.mend(spec)))
}

fn newer_sources(spec: &Spec, built: &Built) -> Option<String> {
    let project = built.project(spec);
    let now = sources::digest(&project).ok()?;
    (now != built.sources).then(|| {
        format!("The sources in {} changed since this kernel's engine was compiled; the kernel goes on with what it has. {}", project.display(), built.mend(spec))
    })
}

/// How cells come to link the engine, under this name: the sources' own crate hands `flowlens_engine` on.
fn use_engine(spec: &Spec, built: &Built, found: Option<&Toolchain>, name: &str) -> Result<()> {
    let engine = spec.engine(&built.engine);
    let libtorch = built.libtorch(spec);
    let text = |path: &Path| {
        path.to_str().map(str::to_owned).with_context(|| format!("the path {} is not UTF-8", path.display()))
    };
    let flags = [
        "-Cprefer-dynamic".to_owned(),
        "--cfg".to_owned(),
        "flowlens_prebuilt".to_owned(),
        "--extern".to_owned(),
        format!("{name}={}", text(&engine.join(LIBRARY))?),
        format!("-Ldependency={}", text(&engine)?),
        format!("-Lnative={}", text(&libtorch.join("lib"))?),
    ];
    set("CARGO_ENCODED_RUSTFLAGS", flags.join("\u{1f}"));
    set("LIBTORCH", &libtorch);
    let mut libraries = vec![engine, libtorch.join("lib")];
    libraries.extend(found.map(Toolchain::libraries));
    libraries.extend(std::env::var_os("LD_LIBRARY_PATH").iter().flat_map(std::env::split_paths));
    set("LD_LIBRARY_PATH", std::env::join_paths(libraries).context("a path of the kernel holds a colon")?);
    Ok(())
}

/// What this program is called as where it removes the folder of a kernel that ended.
pub const SWEEPER: &str = "flowlens-sweep";

impl Drop for Environment {
    /// The session's thread may still be writing when the kernel ends: what is removed once would come back. So another
    /// process removes it once more when this one is gone.
    fn drop(&mut self) {
        if let Ok(program) = std::env::current_exe() {
            let null = std::process::Stdio::null;
            let mut sweeper = Command::new(program);
            sweeper.arg0(SWEEPER).arg(&self.private).current_dir("/").process_group(0);
            let _ = sweeper.stdin(null()).stdout(null()).stderr(null()).spawn();
        }
    }
}

/// Removes a kernel's folder as soon as the process that started this one has ended.
pub fn sweep_after_parent(private: &Path) {
    let own = private.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PREFIX));
    let parent = std::os::unix::process::parent_id();
    for _ in 0..1000 {
        if std::os::unix::process::parent_id() != parent || parent == 1 {
            break;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    if own {
        let _ = fs::remove_dir_all(private);
    }
}

/// Makes this kernel's folder, and takes away those of kernels that are gone.
fn make_folder() -> Result<(TempDir, File)> {
    let mut place = std::env::temp_dir();
    // evcxr hands the paths of cells over in words: a blank would end them.
    if !place.is_absolute() || place.to_string_lossy().contains(char::is_whitespace) {
        place = PathBuf::from("/tmp");
    }
    sweep(&place);
    let hint = || {
        format!(
            "no folder for compiled cells can be made in {}. With TMPDIR=/another/folder in the environment of Jupyter they go elsewhere",
            place.display()
        )
    };
    let folder = tempfile::Builder::new().prefix(PREFIX).tempdir_in(&place).with_context(hint)?;
    // The lock is there, and held, before it has its name: no other kernel finds it open in between.
    let part = folder.path().join("alive.part");
    let alive = File::create(&part).with_context(hint)?;
    alive.lock().with_context(hint)?;
    fs::rename(part, folder.path().join("alive")).with_context(hint)?;
    Ok((folder, alive))
}

/// Removes the folders of kernels that were killed: nobody holds their lock.
fn sweep(place: &Path) {
    let Ok(entries) = fs::read_dir(place) else { return };
    for entry in entries.flatten().filter(|entry| entry.file_name().to_string_lossy().starts_with(PREFIX)) {
        // One without a lock was written into after it had been removed.
        let old = entry.metadata().and_then(|about| about.modified()).is_ok_and(|then| {
            then.elapsed().is_ok_and(|age| age > Duration::from_secs(60)) && !entry.path().join("alive").exists()
        });
        if old || File::open(entry.path().join("alive")).is_ok_and(|alive| alive.try_lock().is_ok()) {
            let _ = fs::remove_dir_all(entry.path());
        }
    }
}

/// Keeps the engine from being removed by an installation while this kernel runs.
fn hold(engine: &Path) -> Result<File> {
    let lock = File::open(engine.join(IN_USE)).with_context(|| format!("cannot open {}", engine.display()))?;
    if lock.try_lock_shared().is_err() {
        bail!("the kernel's engine is being replaced; start the kernel again");
    }
    Ok(lock)
}

/// The person's own configuration of evcxr, but for what would keep the kernel from starting. Says what was left out.
fn write_configuration(target: &Path) -> Result<Option<String>> {
    fs::create_dir(target)?;
    let mut notice = None;
    let mut settings = toml::Table::new();
    if let Some(own) = own_configuration() {
        for name in ["init.evcxr", "prelude.rs"] {
            let _ = fs::copy(own.join(name), target.join(name));
        }
        let file = own.join("evcxr.toml");
        if let Ok(text) = fs::read_to_string(&file) {
            match toml::from_str(&text) {
                Ok(table) => settings = table,
                Err(error) => {
                    notice = Some(format!("{} cannot be read and is left out: {}", file.display(), error.message()))
                }
            }
        }
    }
    let evcxr = settings.entry("evcxr").or_insert_with(|| toml::Table::new().into());
    if let Some(evcxr) = evcxr.as_table_mut() {
        // Two kernels never share a folder.
        evcxr.remove("tmpdir");
        // The work is done in the engine: optimising a cell costs a second and gains nothing.
        evcxr.entry("opt_level").or_insert_with(|| "0".into());
    }
    fs::write(target.join("evcxr.toml"), toml::to_string(&settings)?)?;
    Ok(notice)
}

/// Where evcxr would look for the person's configuration.
pub fn own_configuration() -> Option<PathBuf> {
    if let Some(folder) = std::env::var_os("EVCXR_CONFIG_DIR") {
        return Some(folder.into());
    }
    let base = std::env::var_os("XDG_CONFIG_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    base.or_else(|| std::env::home_dir().map(|home| home.join(".config"))).map(|base| base.join("evcxr"))
}
