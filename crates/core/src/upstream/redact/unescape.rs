//! Removal of escapes from a text: those of JSON and programming languages, of HTML, and of URLs.

use std::borrow::Cow;

/// Longest name or number of an HTML entity that is recognised.
const MAX_ENTITY_BYTES: usize = 10;
/// Longest `\u{…}`, which has up to eight digits.
const MAX_BRACED_BYTES: usize = 12;

/// `text` with one layer of escapes removed.
pub(super) fn unescape(text: &str) -> Cow<'_, str> {
    if !text.contains(['\\', '&', '%']) {
        return Cow::Borrowed(text);
    }
    let mut plain = Vec::with_capacity(text.len());
    let mut rest = text;
    while let Some(at) = rest.find(['\\', '&', '%']) {
        plain.extend_from_slice(&rest.as_bytes()[..at]);
        rest = &rest[at..];
        if let Some(length) = escape(rest, &mut plain) {
            rest = &rest[length..];
        } else {
            // No escape after all: the character stands for itself.
            plain.push(rest.as_bytes()[0]);
            rest = &rest[1..];
        }
    }
    plain.extend_from_slice(rest.as_bytes());
    // Escaped bytes may be no UTF-8.
    Cow::Owned(String::from_utf8_lossy(&plain).into_owned())
}

/// Adds the meaning of the escape at the beginning of `text` to `plain`. Returns its length in bytes; `None`, with
/// nothing added, if it is no escape.
fn escape(text: &str, plain: &mut Vec<u8>) -> Option<usize> {
    match text.as_bytes()[0] {
        b'\\' => backslash(text, plain),
        b'&' => entity(text, plain),
        _ => {
            plain.push(u8::try_from(hexadecimal(text.get(1..3)?)?).ok()?);
            Some(3)
        }
    }
}

/// Adds the meaning of an escape with a backslash, such as `\n`, `\u0041` or `\x41`. Returns as [`escape`] does.
fn backslash(text: &str, plain: &mut Vec<u8>) -> Option<usize> {
    let kind = text[1..].chars().next()?;
    match kind {
        'n' | 'r' | 't' | 'b' | 'f' | 'v' => plain.push(b' '),
        'x' => {
            plain.push(u8::try_from(hexadecimal(text.get(2..4)?)?).ok()?);
            return Some(4);
        }
        'u' if text[2..].starts_with('{') => {
            let end = text.bytes().take(MAX_BRACED_BYTES).position(|byte| byte == b'}')?;
            push(hexadecimal(&text[3..end])?, plain);
            return Some(end + 1);
        }
        'u' => {
            let first = hexadecimal(text.get(2..6)?)?;
            // A letter outside of the basic plane is written as a pair of surrogates.
            let second = if text.get(6..8) == Some("\\u") { text.get(8..12).and_then(hexadecimal) } else { None };
            if let (0xd800..0xdc00, Some(second @ 0xdc00..0xe000)) = (first, second) {
                push(0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00), plain);
                return Some(12);
            }
            push(first, plain);
            return Some(6);
        }
        'U' => {
            push(hexadecimal(text.get(2..10)?)?, plain);
            return Some(10);
        }
        '0'..='7' => {
            let digits = text.get(1..4)?;
            plain.push(u8::from_str_radix(digits, 8).ok()?);
            return Some(4);
        }
        other => plain.extend_from_slice(other.encode_utf8(&mut [0; 4]).as_bytes()),
    }
    Some(1 + kind.len_utf8())
}

/// Adds the meaning of an HTML entity, such as `&lt;` or `&#65;`. Returns as [`escape`] does.
fn entity(text: &str, plain: &mut Vec<u8>) -> Option<usize> {
    // Besides the name there are `&` and `;`.
    let end = text.bytes().take(MAX_ENTITY_BYTES + 2).position(|byte| byte == b';')?;
    let name = &text[1..end];
    if let Some(number) = name.strip_prefix('#') {
        let code = match number.strip_prefix(['x', 'X']) {
            Some(digits) => hexadecimal(digits)?,
            None => number.parse().ok()?,
        };
        push(code, plain);
    } else if name == "amp" {
        plain.push(b'&');
    } else if !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        // The others that matter are quotation marks, brackets and blanks.
        plain.push(b' ');
    } else {
        return None;
    }
    Some(end + 1)
}

/// The number that hexadecimal digits spell; `None` for any other text.
fn hexadecimal(digits: &str) -> Option<u32> {
    // `from_str_radix` would accept a sign.
    if !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u32::from_str_radix(digits, 16).ok()
}

/// Adds the character of a code point; U+FFFD for one that is none, as a lone surrogate.
fn push(code: u32, plain: &mut Vec<u8>) {
    let letter = char::from_u32(code).unwrap_or(char::REPLACEMENT_CHARACTER);
    plain.extend_from_slice(letter.encode_utf8(&mut [0; 4]).as_bytes());
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_customary_escape_is_taken_away() {
        for (escaped, plain) in [
            (r"\u0063a\u0074", "cat"),
            (r"\ud83d\ude00 \ud83d", "\u{1f600} \u{fffd}"),
            (r"\u{63}\x61\U00000074", "cat"),
            (r"\143\141\164", "cat"),
            (r#"a\nb\t\"c\\d"#, "a b \"c\\d"),
            ("&#99;&#x61;&#X74;&quot;&amp;lt;&nbsp;", "cat &lt; "),
            ("%63%61%74 %ed%8c%a8 100% %zz", "cat \u{d328} 100% %zz"),
            ("AT&T; R&D \\", "AT  R&D \\"),
        ] {
            assert_eq!(unescape(escaped), plain, "{escaped}");
        }
    }

    proptest! {
        #[test]
        fn no_text_panics(text in "[\\\\&%#;ux{}0-9a-f\u{e9}\u{d328} ]{0,40}") {
            let plain = unescape(&text);
            prop_assert!(plain.len() <= 3 * text.len());
        }
    }
}
