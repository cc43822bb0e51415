//! The README's table of families is the code's; with `FLOWLENS_UPDATE_README` set it is written anew.

use std::path::Path;

use flowlens::model::families;

const HEAD: &str = "| kind | family (`model_type`) | known for |\n|---|---|---|\n";

#[test]
fn the_table_of_families_is_that_of_the_code() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md");
    let text = std::fs::read_to_string(&path).unwrap();
    let rows =
        families().iter().map(|family| format!("| {} | `{}` | {} |\n", family.kind, family.name, family.known_for));
    let wanted = HEAD.to_owned() + &rows.collect::<String>();
    let start = text.find(HEAD).expect("README.md has the table's head");
    let end = start + text[start..].find("\n\n").expect("an empty line ends the table") + 1;
    if std::env::var_os("FLOWLENS_UPDATE_README").is_some() {
        std::fs::write(&path, format!("{}{wanted}{}", &text[..start], &text[end..])).unwrap();
        return;
    }
    assert!(
        text[start..end] == wanted,
        "README.md lists other families than the code; FLOWLENS_UPDATE_README=1 cargo test --test readme mends it"
    );
}
