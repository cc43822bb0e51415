//! Answers that need no session.

use serde_json::{Value, json};

use crate::session::code::{Whole, whole};

/// What the kernel says about itself.
pub fn kernel_info() -> Value {
    json!({
        "status": "ok",
        "protocol_version": "5.4",
        "implementation": "flowlens-kernel",
        "implementation_version": env!("CARGO_PKG_VERSION"),
        "language_info": {
            "name": "rust",
            "version": "2024",
            "mimetype": "text/rust",
            "file_extension": ".rs",
            "pygments_lexer": "rust",
            "codemirror_mode": "rust",
        },
        "banner": "Rust (Flowlens): `use flowlens::prelude::*;` and it is there; other crates by `:dep`, more commands by `:help`.",
        "debugger": false,
        "help_links": [
            {"text": "Flowlens", "url": "https://docs.rs/flowlens"},
            {"text": "The Rust Book", "url": "https://doc.rust-lang.org/book/"},
            {"text": "Rust's standard library", "url": "https://doc.rust-lang.org/std/"},
            {"text": "evcxr", "url": "https://github.com/evcxr/evcxr"},
        ],
    })
}

/// Whether code is a whole cell; consoles ask that.
pub fn is_complete(code: &str) -> Value {
    match whole(code) {
        Whole::Complete => json!({"status": "complete"}),
        Whole::Incomplete(indent) => json!({"status": "incomplete", "indent": " ".repeat(indent)}),
        Whole::Invalid => json!({"status": "invalid"}),
    }
}
