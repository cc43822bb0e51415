//! Sources for rust-analyzer, without what says nothing about types: it reads them at every start.

use ra_ap_syntax::ast::{self, AstNode as _, AstToken as _};
use ra_ap_syntax::{Edition, SourceFile, SyntaxNode, TextRange};

/// As short as this, a body may as well stay; those that say how long an array is are.
const SHORT: usize = 60;

/// The text with empty bodies, all else as it is: help comes from the comments. Bodies stay that a type may come from, of
/// functions that return `impl ..`.
pub fn without_bodies(text: &str) -> String {
    let mut edits = Vec::new();
    empty_bodies(SourceFile::parse(text, Edition::Edition2024).tree().syntax(), &mut edits);
    apply(text, edits)
}

/// Of the standard library comments and attributes go as well, where no macro asks for them.
pub fn standard_library(text: &str) -> String {
    let file = SourceFile::parse(text, Edition::Edition2024).tree();
    let mut edits = Vec::new();
    empty_bodies(file.syntax(), &mut edits);
    for attribute in file.syntax().descendants().filter_map(ast::Attr::cast) {
        if is_noise(&attribute.syntax().text().to_string()) {
            edits.push((attribute.syntax().text_range(), ""));
        }
    }
    for token in file.syntax().descendants_with_tokens().filter_map(|element| element.into_token()) {
        // In the call of a macro a comment on an item is an argument.
        if ast::Comment::can_cast(token.kind())
            && !token.parent_ancestors().any(|node| ast::MacroCall::can_cast(node.kind()))
        {
            edits.push((token.text_range(), ""));
        }
    }
    // Types of crates that are not read: with such a field it would not know whether a HashMap has a size.
    for field in file.syntax().descendants().filter_map(ast::RecordField::cast) {
        if let Some(ty) = field.ty().filter(|ty| ty.syntax().text().to_string().starts_with("base::")) {
            edits.push((ty.syntax().text_range(), "()"));
        }
    }
    let kept = apply(text, edits);
    kept.lines().filter(|line| !line.trim().is_empty()).flat_map(|line| [line, "\n"]).collect()
}

fn empty_bodies(file: &SyntaxNode, edits: &mut Vec<(TextRange, &'static str)>) {
    for function in file.descendants().filter_map(ast::Fn::cast) {
        let opaque = |ty: ast::RetType| ty.syntax().descendants().any(|node| ast::ImplTraitType::can_cast(node.kind()));
        let body = function.body().map(|body| body.syntax().text_range());
        if let Some(range) = body.filter(|range| usize::from(range.len()) >= SHORT)
            && !function.ret_type().is_some_and(opaque)
        {
            edits.push((range, "{ loop {} }"));
        }
    }
}

fn is_noise(attribute: &str) -> bool {
    const NAMES: [&str; 6] = ["doc", "stable", "unstable", "must_use", "inline", "rustc_const_"];
    let name = attribute.trim_start_matches(['#', '!', '[', ' ']);
    NAMES.iter().any(|noise| name.starts_with(noise)) && !name.starts_with("doc(")
}

/// What is inside of a range that was replaced goes with it.
fn apply(text: &str, mut edits: Vec<(TextRange, &'static str)>) -> String {
    edits.sort_by_key(|(range, _)| (range.start(), std::cmp::Reverse(range.end())));
    let (mut kept, mut end) = (String::with_capacity(text.len()), 0);
    for (range, new) in edits {
        let (from, to) = (usize::from(range.start()), usize::from(range.end()));
        if from >= end {
            kept.push_str(&text[end..from]);
            kept.push_str(new);
            end = to;
        }
    }
    kept.push_str(&text[end..]);
    kept
}

#[cfg(test)]
mod tests {
    use super::*;

    const LONG: &str = "{ let mut sum = 0; for value in values { sum += value.len() } sum + 1 }";

    #[test]
    fn long_bodies_go_and_signatures_stay() {
        let text = format!(
            "struct A;\nimpl A {{\n    /// Says.\n    pub fn f(&self, values: &[&str]) -> usize {LONG}\n    fn short() -> u8 {{ 1 }}\n}}\n"
        );
        let kept = "struct A;\nimpl A {\n    /// Says.\n    pub fn f(&self, values: &[&str]) -> usize { loop {} }\n    fn short() -> u8 { 1 }\n}\n";
        assert_eq!(without_bodies(&text), kept);
    }

    #[test]
    fn a_body_that_is_a_type_stays() {
        let text = "fn f(values: Vec<u8>) -> impl Iterator<Item = u8> { let a = 1; values.into_iter().map(move |value| value + a) }\n";
        assert_eq!(without_bodies(text), text);
    }

    #[test]
    fn functions_within_functions_go_with_them() {
        let text = format!("fn outer() {{ fn inner(values: &[&str]) -> usize {LONG} inner(&[]); }}\nfn last() {{}}\n");
        assert_eq!(without_bodies(&text), "fn outer() { loop {} }\nfn last() {}\n");
    }

    #[test]
    fn what_does_not_parse_keeps_its_rest() {
        assert!(without_bodies("fn f( -> {\n struct A;").contains("struct A;"));
    }

    #[test]
    fn comments_and_stability_go_from_the_standard_library() {
        let text = "//! A module.\n#![stable(feature = \"a\", since = \"1\")]\n\n/// Says so.\n#[inline]\n#[stable(\n  feature = \"c\",\n  since = \"3\",\n)]\n\
                    #[lang = \"add\"]\npub const fn one() -> u8 { 1 } // one\nstruct M<K> { base: base::Map<K> }\n";
        let kept = "#[lang = \"add\"]\npub const fn one() -> u8 { 1 } \nstruct M<K> { base: () }\n";
        assert_eq!(standard_library(text), kept);
    }

    #[test]
    fn what_a_macro_is_called_with_stays() {
        let text =
            "nonzero! {\n    #[stable(feature = \"nonzero\", since = \"1.28.0\")]\n    /// u8\n    type A = u8;\n}\n";
        assert_eq!(standard_library(text), text);
    }
}
