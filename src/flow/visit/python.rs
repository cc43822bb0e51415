//! Numbers and strings as Python writes them: VISIT's hover texts are made with `round` and `repr`.

/// `round(x, digits)`: to the nearest decimal, exact ties (of the binary value) to the even one.
pub(super) fn round(x: f64, digits: i64) -> f64 {
    if !x.is_finite() || digits > 323 {
        return x;
    }
    if digits < 0 {
        let Ok(power) = i32::try_from(-digits) else { return 0. };
        let unit = 10f64.powi(power);
        return if unit.is_finite() { (x / unit).round_ties_even() * unit } else { 0. };
    }
    format!("{x:.*}", digits as usize).parse().unwrap_or(x)
}

/// `repr` of a float: the shortest text that reads back, always with a point or an exponent.
pub(super) fn float(x: f64) -> String {
    if x.is_nan() {
        return "nan".to_owned();
    }
    if x.is_infinite() {
        return if x > 0. { "inf" } else { "-inf" }.to_owned();
    }
    let scientific = format!("{x:e}");
    let Some((digits, exponent)) = scientific.split_once('e') else { return scientific };
    let power: i32 = exponent.parse().unwrap_or(0);
    if (-4..16).contains(&power) {
        let plain = format!("{x}");
        return if plain.contains('.') { plain } else { plain + ".0" };
    }
    format!("{digits}e{}{:02}", if power < 0 { '-' } else { '+' }, power.abs())
}

/// `repr` of a string.
pub(super) fn string(text: &str) -> String {
    let quote = if text.contains('\'') && !text.contains('"') { '"' } else { '\'' };
    let mut out = String::with_capacity(text.len() + 2);
    out.push(quote);
    for c in text.chars() {
        match c {
            '\\' => out.push_str("\\\\"),
            '\n' => out.push_str("\\n"),
            '\r' => out.push_str("\\r"),
            '\t' => out.push_str("\\t"),
            c if c == quote => out.extend(['\\', c]),
            c if printable(c) => out.push(c),
            c => match c as u32 {
                code @ ..=0xff => out.push_str(&format!("\\x{code:02x}")),
                code @ ..=0xffff => out.push_str(&format!("\\u{code:04x}")),
                code => out.push_str(&format!("\\U{code:08x}")),
            },
        }
    }
    out.push(quote);
    out
}

/// `repr` of a list of strings.
pub(super) fn list<'a>(texts: impl IntoIterator<Item = &'a str>) -> String {
    format!("[{}]", texts.into_iter().map(string).collect::<Vec<_>>().join(", "))
}

/// `str.isprintable`: Rust's own escaping follows the same Unicode categories, save that it also escapes a combining
/// mark at the start of a text, hence the letter before it.
fn printable(c: char) -> bool {
    if c.is_ascii() {
        return !c.is_ascii_control();
    }
    !format!("a{c}").escape_debug().to_string().starts_with("a\\u{")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounds_half_to_even_on_the_binary_value() {
        for (x, digits, wanted) in [
            (0.0625, 3, 0.062),
            (0.1875, 3, 0.188),
            (2.675, 2, 2.67),
            (0.5, 0, 0.),
            (1.5, 0, 2.),
            (2.5, 0, 2.),
            (-0.0625, 3, -0.062),
            (12345.6, -2, 12300.),
            (25., -1, 20.),
            (1e300, 3, 1e300),
        ] {
            assert_eq!(round(x, digits), wanted, "{x} {digits}");
        }
    }

    #[test]
    fn writes_floats_like_repr() {
        for (x, wanted) in [
            (0., "0.0"),
            (-0., "-0.0"),
            (12.346, "12.346"),
            (100., "100.0"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (1.5e-7, "1.5e-07"),
            (1e15, "1000000000000000.0"),
            (1e16, "1e+16"),
            (1.25e100, "1.25e+100"),
            (2.839 * 0.2, "0.5678"),
            (1.72 * 10. / 10., "1.72"),
            (0.1 + 0.2, "0.30000000000000004"),
        ] {
            assert_eq!(float(x), wanted);
        }
    }

    #[test]
    fn writes_strings_like_repr() {
        for (text, wanted) in [
            (" of", "' of'"),
            ("'s", "\"'s\""),
            ("'\"", "'\\'\"'"),
            ("\"", "'\"'"),
            ("a\\\n\t\r", "'a\\\\\\n\\t\\r'"),
            ("\u{17}\u{7f}\u{a0}", "'\\x17\\x7f\\xa0'"),
            ("\u{200b}\u{3000}", "'\\u200b\\u3000'"),
            ("\u{e0001}", "'\\U000e0001'"),
            ("\u{0}", "'\\x00'"),
            ("\u{301}é東\u{fffd}😀", "'\u{301}é東\u{fffd}😀'"),
        ] {
            assert_eq!(string(text), wanted);
        }
        assert_eq!(list(["a", "'"]), "['a', \"'\"]");
    }
}
