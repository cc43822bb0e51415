//! Sources without the bodies of functions: rust-analyzer takes types from signatures, and reads half as much.

use ra_ap_syntax::ast::{self, AstNode as _};
use ra_ap_syntax::{Edition, SourceFile};

/// As short as this, a body may as well stay; those that say how long an array is are.
const SHORT: usize = 60;

/// The text with empty bodies. Those stay that a type may come from: of functions that return `impl ..`.
pub fn without(text: &str) -> String {
    let file = SourceFile::parse(text, Edition::Edition2024).tree();
    let mut kept = String::with_capacity(text.len());
    let mut end = 0;
    for function in file.syntax().descendants().filter_map(ast::Fn::cast) {
        let Some(body) = function.body() else { continue };
        let range = body.syntax().text_range();
        let (from, to) = (usize::from(range.start()), usize::from(range.end()));
        let opaque = function
            .ret_type()
            .is_some_and(|ty| ty.syntax().descendants().any(|node| ast::ImplTraitType::can_cast(node.kind())));
        // A function inside of another that is gone already lies before `end`.
        if from < end || to - from < SHORT || opaque {
            continue;
        }
        kept.push_str(&text[end..from]);
        kept.push_str("{ loop {} }");
        end = to;
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
        assert_eq!(without(&text), kept);
    }

    #[test]
    fn a_body_that_is_a_type_stays() {
        let text = "fn f(values: Vec<u8>) -> impl Iterator<Item = u8> { let a = 1; values.into_iter().map(move |value| value + a) }\n";
        assert_eq!(without(&text), text);
    }

    #[test]
    fn functions_within_functions_go_with_them() {
        let text = format!("fn outer() {{ fn inner(values: &[&str]) -> usize {LONG} inner(&[]); }}\nfn last() {{}}\n");
        assert_eq!(without(&text), "fn outer() { loop {} }\nfn last() {}\n");
    }

    #[test]
    fn what_does_not_parse_keeps_its_rest() {
        assert!(without("fn f( -> {\n struct A;").contains("struct A;"));
    }
}
