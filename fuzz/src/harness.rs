//! What counts as a fault: a panic that nobody catches, one request for more than 1 GB, 1 GB more in use after a case
//! than before it, more than 5 s of the processor. What never comes back libFuzzer ends.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::RefCell;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::targets::{Target, find};

/// No file below 10 MB may take more.
const LIMIT: u64 = 1 << 30;

/// Of the processor's time: on a busy machine the clock tells of others.
const SECONDS: f64 = 5.0;

static TARGET: OnceLock<Target> = OnceLock::new();
static PEAK: AtomicU64 = AtomicU64::new(0);

thread_local! {
    static LAST_PANIC: RefCell<String> = const { RefCell::new(String::new()) };
}

/// The target that runs.
pub fn target() -> &'static Target {
    TARGET.get().expect("start() comes first")
}

/// Sets the target up; once, before the first case.
pub fn start() {
    // libfuzzer-sys ends the program at every panic. Flowlens catches some: those of tokenizers that contradict
    // themselves, and those of work that is shared between cores.
    std::panic::set_hook(Box::new(|panic| {
        let trace = std::backtrace::Backtrace::capture();
        LAST_PANIC.set(format!("{panic}\n{trace}"));
    }));
    let name = std::env::var("FLOWLENS_FUZZ").unwrap_or_default();
    let target = find(&name);
    if let Some(folder) = std::env::var_os("FLOWLENS_FUZZ_SEEDS") {
        for (name, bytes) in (target.seeds)() {
            std::fs::write(Path::new(&folder).join(name), bytes).expect("the folder of seeds takes them");
        }
        std::process::exit(0);
    }
    // What is loaded once (libtorch, models) is no case's.
    for (_, seed) in (target.seeds)().into_iter().take(1) {
        (target.run)(&seed);
    }
    PEAK.store(usage().0, Ordering::Relaxed);
    assert!(TARGET.set(target).is_ok(), "started twice");
}

/// Runs one case.
pub fn case(bytes: &[u8]) {
    let start = usage().1;
    if catch_unwind(AssertUnwindSafe(|| (target().run)(bytes))).is_err() {
        LAST_PANIC.with_borrow(|panic| eprintln!("== found: a panic\n{panic}"));
        std::process::abort();
    }
    let (peak, end) = usage();
    let before = PEAK.fetch_max(peak, Ordering::Relaxed);
    if peak.saturating_sub(before) > LIMIT {
        eprintln!("== found: this case took {} MB", (peak - before) / 1_000_000);
        std::process::abort();
    }
    if end - start > SECONDS {
        eprintln!("== found: this case took {:.1} s", end - start);
        std::process::abort();
    }
}

/// The most bytes of memory that the program had at any time, and the seconds that it computed.
fn usage() -> (u64, f64) {
    // SAFETY: getrusage fills the structure that it is given.
    let usage = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        libc::getrusage(libc::RUSAGE_SELF, &mut usage);
        usage
    };
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 * 1e-6;
    // Linux counts in kilobytes, macOS in bytes.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    (usage.ru_maxrss as u64 * unit, seconds(usage.ru_utime) + seconds(usage.ru_stime))
}

/// A folder of this process, in memory where the system offers that; empty at the start.
pub fn folder(name: &str) -> PathBuf {
    let root = std::env::var_os("FLOWLENS_FUZZ_FOLDER").map(PathBuf::from).unwrap_or_else(|| {
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() { memory.to_owned() } else { std::env::temp_dir() };
        root.join("flowlens-fuzz")
    });
    let folder = root.join(std::process::id().to_string()).join(name);
    std::fs::create_dir_all(&folder).expect("a folder for the cases");
    folder
}

/// Writes a file of a case.
pub fn write(path: &Path, bytes: &[u8]) {
    // A new file each time: one that is still mapped must not change under who reads it.
    let _ = std::fs::remove_file(path);
    std::fs::write(path, bytes).expect("the folder of the cases takes the file");
}

/// A file of tests/fixtures.
pub fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/fixtures")).join(name)
}

/// The system's memory, with an eye on what is asked for: memory that was never touched is not counted by the system.
struct Watched;

fn watch(bytes: usize) {
    if bytes as u64 > LIMIT {
        // Nothing here may take memory.
        let message = b"== found: one request for more than 1 GB\n";
        // SAFETY: the message is as long as it says.
        unsafe { libc::write(2, message.as_ptr().cast(), message.len()) };
        std::process::abort();
    }
}

// SAFETY: hands everything on to the system's.
unsafe impl GlobalAlloc for Watched {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        watch(layout.size());
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        unsafe { System.dealloc(at, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        watch(layout.size());
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        watch(size);
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static MEMORY: Watched = Watched;
