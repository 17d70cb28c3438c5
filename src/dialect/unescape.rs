//! The text of JSON strings that hold escapes.

/// The text between the quotes of a valid JSON string. `None` if an escape is half of a surrogate pair, which is no
/// text.
pub(super) fn unescaped(inner: &str) -> Option<String> {
    // An escape is never shorter than its character.
    let mut text = String::with_capacity(inner.len());
    let mut rest = inner;
    while let Some(at) = memchr::memchr(b'\\', rest.as_bytes()) {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        // Where letters are written as escapes, many follow each other.
        while let Some(escape) = rest.strip_prefix('\\') {
            let (character, after) = read(escape)?;
            text.push(character);
            rest = after;
        }
    }
    text.push_str(rest);
    // It may be half as long where it was Chinese, and is kept as long as the request.
    text.shrink_to_fit();
    Some(text)
}

/// The character of an escape, from behind its backslash, and the text behind it.
fn read(escape: &str) -> Option<(char, &str)> {
    let kind = *escape.as_bytes().first()?;
    let after = escape.get(1..)?;
    let character = match kind {
        b'b' => '\u{8}',
        b'f' => '\u{c}',
        b'n' => '\n',
        b'r' => '\r',
        b't' => '\t',
        b'u' => return read_units(after),
        // A quotation mark, a slash or a backslash.
        _ => char::from(kind),
    };
    Some((character, after))
}

/// The character of one or two UTF-16 units, from behind the first `\u`, and the text behind it.
fn read_units(digits: &str) -> Option<(char, &str)> {
    let (first, after) = unit(digits)?;
    if let Some(character) = char::from_u32(first) {
        return Some((character, after));
    }
    let (second, after_both) = unit(after.strip_prefix("\\u")?)?;
    let mut characters = char::decode_utf16([u16::try_from(first).ok()?, u16::try_from(second).ok()?]);
    let Ok(character) = characters.next()? else { return None };
    Some((character, after_both))
}

/// The number that four hexadecimal digits stand for, and the text behind them.
fn unit(text: &str) -> Option<(u32, &str)> {
    let digits = text.as_bytes().first_chunk::<4>()?;
    let mut unit = 0;
    for digit in digits {
        unit = unit << 4 | char::from(*digit).to_digit(16)?;
    }
    Some((unit, text.get(digits.len()..)?))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn any_string_is_read_as_serde_json_reads_it(parts in proptest::collection::vec(prop_oneof![
            "[a-c é한😀\u{7f}/]{0,12}",
            r"\\u[0-9a-fA-F]{4}",
            r"\\u[dD][89abcdefCF][0-9a-fA-F]{2}",
            r#"\\["\\/bfnrt]"#,
        ], 0..12)) {
            let inner = parts.concat();
            let expected = serde_json::from_str::<String>(&format!("\"{inner}\"")).ok();
            prop_assert_eq!(unescaped(&inner), expected);
        }
    }
}
