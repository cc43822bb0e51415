//! Figures: what they are made of. How they behave in a browser is tested in `tests/browser`, with the pages that
//! `writes_pages_for_the_browser` leaves in `target/figures`.

mod sample;

use std::fs;
use std::path::{Path, PathBuf};

use flowlens::Gallery;
use sample::{graph, hostile};

fn pages() -> PathBuf {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/figures");
    fs::create_dir_all(&folder).unwrap();
    folder
}

#[test]
fn writes_pages_for_the_browser() {
    let folder = pages();
    for name in ["layers", "chain", "parallel"] {
        let graph = graph(name);
        graph.save(folder.join(format!("{name}.html"))).unwrap();
        graph.save(folder.join(format!("{name}.svg"))).unwrap();
    }
    hostile().save(folder.join("hostile.html")).unwrap();
    hostile().save(folder.join("hostile.svg")).unwrap();
    let two = Gallery::new([graph("layers").figure(), graph("parallel").figure()]);
    two.save(folder.join("two.html")).unwrap();
}
