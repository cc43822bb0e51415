//! `cargo metadata` of the cells' package, with Flowlens among its dependencies.

use std::fs;
use std::path::Path;
use std::process::ExitCode;

use serde_json::{Value, json};

use super::Front;
use super::rustc::plain_level;

/// Prints the answer; none where cargo shall give its own.
pub fn answer(front: &Front, words: &[&str]) -> Option<ExitCode> {
    let manifest = fs::read_to_string(front.private.join("Cargo.toml")).ok()?;
    if !manifest.contains("\nname = \"ctx\"\n") {
        return None;
    }
    let mut all = if plain_level(&manifest).is_some() { cells(&front.private) } else { of_cargo(front, words)? };
    add_flowlens(&mut all, &front.sources)?;
    println!("{all}");
    Some(ExitCode::SUCCESS)
}

/// What the real cargo says.
fn of_cargo(front: &Front, words: &[&str]) -> Option<Value> {
    let mut all = vec!["metadata"];
    all.extend(words);
    // A failure is cargo's to say: it is asked once more, with nothing in between.
    let done = front.real_cargo(&all).output().ok().filter(|done| done.status.success())?;
    serde_json::from_slice(&done.stdout).ok()
}

/// The package of cells without other crates.
fn cells(folder: &Path) -> Value {
    let id = id(folder, "ctx", "1.0.0");
    let package = package(folder, "ctx", "1.0.0", "cdylib", &json!({}));
    json!({
        "packages": [package],
        "workspace_members": [id],
        "workspace_default_members": [id],
        "resolve": { "nodes": [{ "id": id, "dependencies": [], "deps": [], "features": [] }], "root": id },
        "target_directory": folder.join("target"),
        "build_directory": folder.join("target"),
        "version": 1,
        "workspace_root": folder,
        "metadata": null,
    })
}

/// Puts Flowlens among the packages, and among the dependencies of the cells.
fn add_flowlens(all: &mut Value, sources: &Path) -> Option<()> {
    let manifest: toml::Table = toml::from_str(&fs::read_to_string(sources.join("Cargo.toml")).ok()?).ok()?;
    let version = manifest.get("package")?.get("version")?.as_str()?.to_owned();
    let features = serde_json::to_value(manifest.get("features")?).ok()?;
    let names: Vec<&String> = features.as_object()?.keys().collect();
    let own = id(sources, "flowlens", &version);
    let node = json!({ "id": own, "dependencies": [], "deps": [], "features": names });
    let packages = all.get_mut("packages")?.as_array_mut()?;
    if packages.iter().any(|package| package["name"] == "flowlens") {
        return Some(());
    }
    let cells = packages.iter().position(|package| package["name"] == "ctx")?;
    let dependency = json!({
        "name": "flowlens", "source": null, "req": "*", "kind": null, "rename": null, "optional": false,
        "uses_default_features": true, "features": [], "target": null, "registry": null, "path": sources,
    });
    packages[cells]["dependencies"].as_array_mut()?.push(dependency);
    packages.push(package(sources, "flowlens", &version, "lib", &features));
    // `--no-deps` resolves nothing.
    if let Some(nodes) = all["resolve"]["nodes"].as_array_mut() {
        let root = nodes.iter().position(|node| node["id"].as_str().is_some_and(|id| id.contains("#ctx@")))?;
        nodes[root]["dependencies"].as_array_mut()?.push(json!(own));
        let kinds = json!([{ "kind": null, "target": null }]);
        nodes[root]["deps"].as_array_mut()?.push(json!({ "name": "flowlens", "pkg": own, "dep_kinds": kinds }));
        nodes.push(node);
    }
    Some(())
}

fn id(folder: &Path, name: &str, version: &str) -> String {
    format!("path+file://{}#{name}@{version}", folder.display())
}

fn package(folder: &Path, name: &str, version: &str, kind: &str, features: &Value) -> Value {
    json!({
        "name": name, "version": version, "id": id(folder, name, version),
        "license": null, "license_file": null, "description": null, "source": null, "dependencies": [],
        "targets": [{
            "kind": [kind], "crate_types": [kind], "name": name, "src_path": folder.join("src/lib.rs"),
            "edition": "2024", "doc": true, "doctest": kind == "lib", "test": true,
        }],
        "features": features,
        "manifest_path": folder.join("Cargo.toml"),
        "metadata": null, "publish": null, "authors": [], "categories": [], "keywords": [], "readme": null,
        "repository": null, "homepage": null, "documentation": null, "edition": "2024", "links": null,
        "default_run": null, "rust_version": null,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn flowlens_is_added_to_what_the_cells_ask_for() {
        let sources = tempfile::tempdir().unwrap();
        let manifest = "[package]\nname = \"flowlens\"\nversion = \"0.2.0\"\n[features]\nhub = []\n";
        fs::write(sources.path().join("Cargo.toml"), manifest).unwrap();
        let mut all = cells(Path::new("/private"));
        add_flowlens(&mut all, sources.path()).unwrap();
        assert_eq!(all["packages"].as_array().unwrap().len(), 2);
        let node = &all["resolve"]["nodes"][0];
        assert_eq!(node["deps"][0]["name"], "flowlens");
        assert_eq!(node["dependencies"][0], all["packages"][1]["id"]);
        assert_eq!(all["resolve"]["nodes"][1]["features"], json!(["hub"]));
        // A person's own dependency of that name is left as it is.
        let before = all.clone();
        add_flowlens(&mut all, sources.path()).unwrap();
        assert_eq!(all, before);
    }
}
