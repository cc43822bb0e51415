//! How the process of the cells came to its end, in words.

/// Of evcxr's text, which ends with the status as Rust prints it.
pub fn of_text(text: &str) -> String {
    let number = |before: &str| {
        let rest = &text[text.rfind(before)? + before.len()..];
        rest.split(|character: char| !character.is_ascii_digit()).next()?.parse().ok()
    };
    match (number("signal: "), number("exit status: ")) {
        (Some(signal), _) => of_signal(signal),
        (None, Some(code)) => of_code(code),
        (None, None) => text.trim().to_owned(),
    }
}

fn of_code(code: i32) -> String {
    format!("the code ended its process (exit status {code})")
}

fn of_signal(signal: i32) -> String {
    let words = match signal {
        libc::SIGSEGV => "it accessed memory that is not its own (segmentation fault, SIGSEGV)",
        libc::SIGBUS => "it accessed memory that is not there (SIGBUS)",
        libc::SIGILL => "it came to an illegal instruction (SIGILL)",
        libc::SIGFPE => "it divided integers by zero (SIGFPE)",
        libc::SIGABRT => "it aborted (SIGABRT)",
        libc::SIGKILL => "it was killed from outside (SIGKILL); where memory ran out, the system did it",
        libc::SIGTERM => "it was asked from outside to end (SIGTERM)",
        _ => return format!("it was ended by signal {signal}"),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_are_said_in_words() {
        assert!(
            of_text("half\nSubprocess terminated with status: signal: 11 (SIGSEGV) (core dumped)")
                .contains("segmentation")
        );
        assert!(of_text("Subprocess terminated with status: exit status: 3").contains("exit status 3"));
        assert!(of_text("Subprocess terminated with status: signal: 9 (SIGKILL)").contains("memory ran out"));
    }
}
