//! A cell, compiled without cargo.

use std::fs;
use std::process::Command;

use super::Front;

/// What evcxr's manifest holds beside the level of optimisation, where a cell has no other crates.
const PLAIN: &str = include_str!("plain.toml");

/// The command that compiles the cell as cargo would; none where its manifest is not the plain one or a wrapper is set.
pub fn cell(front: &Front, check: bool, target: &str) -> Option<Command> {
    let manifest = fs::read_to_string(front.private.join("Cargo.toml")).ok()?;
    let level = plain_level(&manifest)?;
    if std::env::var_os("RUSTC_WRAPPER").is_some() || std::env::var_os("EVCXR_CACHE_ENABLED").is_some() {
        return None;
    }
    let folder = front.private.join("target").join(target).join("debug/deps");
    let incremental = front.private.join("target").join(target).join("debug/incremental");
    fs::create_dir_all(&folder).and_then(|()| fs::create_dir_all(&incremental)).ok()?;
    if !check {
        // Here evcxr looks first for what was compiled, and only after rustc has said that it went well.
        fs::write(std::env::var_os("EVCXR_EXECUTION_SO_PATH")?, folder.join("libctx.so").to_str()?).ok()?;
    }
    let mut rustc = front.rustc();
    rustc.args(["--crate-name", "ctx", "--edition=2024", "src/lib.rs", "--crate-type", "cdylib"]);
    rustc.args([
        "--error-format=json",
        "--json=diagnostic-rendered-ansi",
        if check { "--emit=metadata" } else { "--emit=link" },
    ]);
    rustc.args(["-Cembed-bitcode=no", "-Ccodegen-units=16", "-Cstrip=debuginfo", "-Crpath", "-Cpanic=unwind"]);
    rustc.args(["-Cdebug-assertions=on", "-Coverflow-checks=on", "--target", target]);
    rustc.arg(format!("-Copt-level={level}")).arg("--out-dir").arg(&folder);
    rustc.arg(format!("-Cincremental={}", incremental.to_str()?));
    let flags = std::env::var("CARGO_ENCODED_RUSTFLAGS").ok()?;
    rustc.args(flags.split('\u{1f}').filter(|flag| !flag.is_empty()));
    rustc.env("CARGO_PKG_NAME", "ctx").env("CARGO_PKG_VERSION", "1.0.0").env("CARGO_CRATE_NAME", "ctx");
    rustc.env("CARGO_MANIFEST_DIR", &front.private);
    Some(rustc)
}

/// The level of optimisation of a manifest that is evcxr's plain one to the letter.
pub fn plain_level(manifest: &str) -> Option<&str> {
    let (before, after) = PLAIN.split_once("LEVEL")?;
    let level = manifest.trim().strip_prefix(before.trim_start())?.strip_suffix(after.trim_end())?;
    matches!(level, "0" | "1" | "2" | "3" | "\"s\"" | "\"z\"").then(|| level.trim_matches('"'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_plain_manifest_is_known() {
        let plain = PLAIN.replace("LEVEL", "2");
        assert_eq!(plain_level(&plain), Some("2"));
        assert_eq!(plain_level(&format!("\n{plain}\n\n")), Some("2"));
        assert_eq!(plain_level(&format!("{plain}serde = \"1\"\n")), None);
        assert_eq!(plain_level(&plain.replace("lto = false", "lto = true")), None);
        assert_eq!(plain_level(&PLAIN.replace("LEVEL", "2\nlto = true")), None);
    }
}
