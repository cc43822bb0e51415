//! evcxr's own way: blocks on standard output, one of each MIME type, shown when the cell ends.

use std::io::{self, Write};

use super::Bundle;

pub(super) fn send(bundle: &Bundle) {
    // Nobody reads a closed output: there is nothing to tell.
    let _ = write(bundle, &mut io::stdout().lock());
}

/// Each form in one write, so that nothing else that is printed can come between its lines.
fn write(bundle: &Bundle, out: &mut impl Write) -> io::Result<()> {
    for (mime, content) in &bundle.parts {
        let block = format!("EVCXR_BEGIN_CONTENT {mime}\n{}\nEVCXR_END_CONTENT\n", guarded(content));
        out.write_all(block.as_bytes())?;
    }
    out.flush()
}

/// Content in which no line can be taken for one of the kernel's own.
fn guarded(content: &str) -> String {
    content.replace('\r', "").replace("EVCXR_", "EVCXR\u{200b}_")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn writes_what_the_kernel_reads() {
        let mut bundle = Bundle::new("a\nEVCXR_END_CONTENT\nb".to_owned());
        bundle.add("text/html", "<p>x</p>".to_owned());
        let mut out = Vec::new();
        write(&bundle, &mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        assert_eq!(
            text,
            "EVCXR_BEGIN_CONTENT text/plain\na\nEVCXR\u{200b}_END_CONTENT\nb\nEVCXR_END_CONTENT\n\
             EVCXR_BEGIN_CONTENT text/html\n<p>x</p>\nEVCXR_END_CONTENT\n"
        );
    }
}
