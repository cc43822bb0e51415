//! One direction: a room of `src` knows the rooms to its left and none to its right.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// The rooms from left to right, as docs/architecture.md lists them; those of a line do not know each other.
fn rooms() -> Vec<Vec<&'static str>> {
    let page = include_str!("../docs/architecture.md");
    let (_, list) = page.split_once("```rooms\n").expect("docs/architecture.md lists the rooms");
    let (list, _) = list.split_once("```").expect("the list of rooms ends");
    list.lines().map(|line| line.split_whitespace().collect()).collect()
}

/// Names at the top of the crate, and the rooms that they come from.
const NAMES: &[(&str, &str)] = &[
    ("Error", "error"),
    ("Result", "error"),
    ("Array", "array"),
    ("DType", "device"),
    ("Device", "device"),
    ("Site", "site"),
    ("Model", "model"),
    ("Input", "model"),
    ("Seq2Seq", "model"),
    ("Change", "run"),
    ("Estimate", "run"),
    ("Trace", "run"),
    ("Export", "figure"),
    ("Figure", "figure"),
    ("Gallery", "figure"),
];

/// What rooms must not know although it is no room to their right.
const FORBIDDEN: &[(&str, &[&str])] = &[("figure", &["tch", "model", "run", "checkpoint"])];

fn place(room: &str) -> Option<usize> {
    rooms().iter().position(|group| group.contains(&room))
}

/// Every first name behind `crate::` and, of crates, behind `use` or in a path; comments are left out.
fn names(source: &str) -> Vec<String> {
    let code: String =
        source.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    let mut found = Vec::new();
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        match rest.strip_prefix('{') {
            None => found.push(word(rest)),
            Some(list) => {
                let mut depth = 0;
                let mut start = true;
                for (at, letter) in list.char_indices() {
                    if start && depth == 0 && letter.is_alphabetic() {
                        found.push(word(&list[at..]));
                    }
                    start = matches!(letter, ',' | '{') || (start && letter.is_whitespace());
                    depth += i32::from(letter == '{') - i32::from(letter == '}');
                    if depth < 0 {
                        break;
                    }
                }
            }
        }
    }
    // Not the end of a longer name.
    let begins = |at: usize| !code[..at].ends_with(|letter: char| letter.is_alphanumeric() || letter == '_');
    if code.match_indices("tch::").any(|(at, _)| begins(at)) {
        found.push("tch".to_owned());
    }
    found
}

fn word(text: &str) -> String {
    text.chars().take_while(|letter| letter.is_alphanumeric() || *letter == '_').collect()
}

/// What a file of `room` knows and must not.
fn arrows(room: &str, source: &str) -> Vec<String> {
    let own = place(room)
        .unwrap_or_else(|| panic!("{room} is not in the list of docs/architecture.md; give it its place there"));
    let forbidden = FORBIDDEN.iter().find(|(name, _)| *name == room).map_or(&[][..], |(_, list)| list);
    let wrong = |name: &String| {
        let known = NAMES.iter().find(|(top, _)| top == name).map_or(name.as_str(), |(_, room)| room);
        let right = place(known).is_some_and(|place| place > own || (place == own && known != room));
        right || forbidden.contains(&known)
    };
    names(source).into_iter().filter(wrong).collect()
}

fn files(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        match path.is_dir() {
            true => files(&path, found),
            false if path.extension().is_some_and(|ending| ending == "rs") => found.push(path),
            false => {}
        }
    }
}

#[test]
fn no_arrow_leads_to_the_right() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut all = Vec::new();
    files(&root, &mut all);
    let mut found: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in all {
        let inside = path.strip_prefix(&root).unwrap();
        let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
        let room = first.trim_end_matches(".rs");
        if !["lib", "bin"].contains(&room) {
            let arrows = arrows(room, &std::fs::read_to_string(&path).unwrap());
            if !arrows.is_empty() {
                found.insert(inside.display().to_string(), arrows);
            }
        }
    }
    assert!(found.is_empty(), "arrows to the right: {found:#?}\ndocs/architecture.md lists the rooms in their order");
}

#[test]
fn every_module_of_the_crate_has_its_place() {
    let lib = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("src/lib.rs")).unwrap();
    let modules =
        lib.lines().filter_map(|line| line.trim().strip_suffix(';')?.rsplit_once("mod ").map(|(_, name)| name));
    let mut modules: Vec<&str> = modules.collect();
    let mut listed: Vec<&str> = rooms().concat();
    modules.sort_unstable();
    listed.sort_unstable();
    assert_eq!(listed, modules, "docs/architecture.md lists the rooms on the left, src/lib.rs those on the right");
}

#[test]
fn an_arrow_to_the_right_is_found() {
    assert_eq!(arrows("model", "use crate::site::Site;\nuse crate::{Error, Trace};"), ["Trace"]);
    assert_eq!(arrows("lens", "fn f() -> crate::figure::Figure { crate::flow::x() }"), ["figure", "flow"]);
    assert_eq!(arrows("attention", "use crate::flow::FlowGraph;"), ["flow"]);
    assert_eq!(arrows("run", "use crate::{\n    Result,\n    figure::{Figure, Panel},\n};"), ["figure"]);
    assert_eq!(arrows("figure", "use tch::Tensor;\nuse crate::lens::Lens;"), ["tch"]);
    assert!(arrows("site", "// crate::figure\nuse crate::error::Error;").is_empty());
}
