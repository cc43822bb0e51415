//! `flowlens models` and `cache`

use flowlens::hub::{StarterFile, starters};
use flowlens::model::families;
use serde_json::json;

use crate::output::{Done, print};

pub fn models(as_json: bool) -> Done {
    if as_json {
        let starters: Vec<_> = starters()
            .iter()
            .map(|starter| {
                let file =
                    |file: &StarterFile| json!({"member": file.member, "sha256": file.sha256, "bytes": file.bytes});
                let files: Vec<_> = starter.files.iter().map(file).collect();
                json!({
                    "name": starter.name, "about": starter.about, "hub_id": starter.hub_id, "package": starter.package,
                    "version": starter.version, "files": files, "licence": starter.licence,
                })
            })
            .collect();
        let families: Vec<_> = families()
            .iter()
            .map(|family| json!({"name": family.name, "kind": family.kind.to_string(), "known_for": family.known_for}))
            .collect();
        return print(&format!("{:#}\n", json!({"starters": starters, "families": families})));
    }
    let mut text = "Starter models, fetched when first used:\n".to_owned();
    for starter in starters() {
        text.push_str(&format!(
            "  {:<14} {} ({:.0} MB, {})\n  {:<14} from PyPI {} {}; its original is {} on the Hub\n",
            starter.name,
            starter.about,
            starter.wheel_bytes as f64 / 1e6,
            starter.licence,
            "",
            starter.package,
            starter.version,
            starter.hub_id,
        ));
    }
    text.push_str("\nFamilies, from a folder, a .gguf file or the Hugging Face Hub:\n");
    for family in families() {
        text.push_str(&format!("  {:<14} {:<16} {}\n", family.name, family.kind.to_string(), family.known_for));
    }
    print(&text)
}

pub fn cache(clear: bool) -> Done {
    let Some(folder) = flowlens::cache::folder() else {
        return print("nothing is kept: FLOWLENS_CACHE is off, or there is no home folder\n");
    };
    let place = folder.display();
    if clear {
        let freed = flowlens::cache::clear()?;
        return print(&format!("removed {:.1} MB of results from {place}\n", freed as f64 / 1e6));
    }
    let entries = flowlens::cache::entries()?;
    let mut text = format!("{} results in {place}, the last used first\n", entries.len());
    for entry in &entries {
        let days = entry.used.elapsed().map_or(0, |since| since.as_secs() / 86_400);
        text.push_str(&format!("  {:8.2} MB  {days:4} days ago  {}\n", entry.bytes as f64 / 1e6, entry.what));
    }
    print(&text)
}
