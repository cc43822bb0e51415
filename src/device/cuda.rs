//! CUDA at run time: nothing links against it, so one build serves machines with and without a GPU.

use std::path::PathBuf;

use crate::{Error, Result};

/// Loads libtorch's CUDA half and checks that GPU `index` is there.
pub(super) fn prepare(index: usize) -> Result<()> {
    let missing = |problem: String| Error::Device { device: format!("cuda:{index}"), problem };
    if !tch::Cuda::is_available() {
        load_library().map_err(&missing)?;
    }
    if !tch::Cuda::is_available() {
        return Err(missing(
            "libtorch found no usable NVIDIA card; check `nvidia-smi`, and that the driver fits CUDA 13. Use cpu meanwhile".into(),
        ));
    }
    let cards = tch::Cuda::device_count();
    if index as i64 >= cards {
        return Err(missing(format!("this machine has {cards} card(s), cuda:0 to cuda:{}", cards - 1)));
    }
    Ok(())
}

/// `libtorch_cuda.so` registers itself with the libtorch in this process when it is loaded.
fn load_library() -> std::result::Result<(), String> {
    let name = "libtorch_cuda.so";
    let path = torch_folder().map_or_else(|| PathBuf::from(name), |folder| folder.join(name));
    let way_out =
        "install the full libtorch with `make build CUDA=1`, or set LIBTORCH to one of version 2.11 with CUDA";
    // SAFETY: the library is the other half of the libtorch that already runs here; its initialisers only register
    // operators. It is never unloaded.
    match unsafe { libloading::os::unix::Library::open(Some(&path), libc_flags()) } {
        Ok(library) => {
            std::mem::forget(library);
            Ok(())
        }
        Err(problem) => Err(format!("{} cannot be loaded ({problem}); {way_out}", path.display())),
    }
}

/// Resolve now, and let the libraries that it brings find each other.
fn libc_flags() -> std::os::raw::c_int {
    libloading::os::unix::RTLD_NOW | libloading::os::unix::RTLD_GLOBAL
}

/// Where the `libtorch_cpu.so` of this process lies, links followed.
fn torch_folder() -> Option<PathBuf> {
    let maps = std::fs::read_to_string("/proc/self/maps").ok()?;
    let line = maps.lines().find(|line| line.contains("libtorch_cpu.so"))?;
    let path = &line[line.find('/')?..];
    PathBuf::from(path).parent().map(PathBuf::from)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_a_card_the_error_says_what_is_missing() {
        if tch::Cuda::is_available() {
            return;
        }
        let text = prepare(0).unwrap_err().to_string();
        assert!(
            text.starts_with("device cuda:0") && (text.contains("CUDA=1") || text.contains("nvidia-smi")),
            "{text}"
        );
    }
}
