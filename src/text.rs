//! Text as it comes in: byte order marks, UTF-16, and JSON escapes that are half of a surrogate pair.
//!
//! JavaScript counts in UTF-16, so a text that it cuts may end in half of a pair (`"a cat \ud83d"`). That is valid JSON
//! and no text. [`with_halves_replaced`] writes U+FFFD for the half, as JavaScript's own encoder does; the escape is as
//! long, so that every byte stays where it was.

/// What Windows and spreadsheets write before a text.
const BYTE_ORDER_MARK: char = '\u{FEFF}';
/// The escape of U+FFFD, which stands for what cannot be read.
const REPLACEMENT: &str = "\\ufffd";

/// The text behind a byte order mark, or the whole of it where there is none.
#[must_use]
pub fn without_mark(text: &str) -> &str {
    text.strip_prefix(BYTE_ORDER_MARK).unwrap_or(text)
}

/// Whether bytes begin with the mark of UTF-16.
#[must_use]
pub fn is_utf_16(bytes: &[u8]) -> bool {
    bytes.starts_with(&[0xFF, 0xFE]) || bytes.starts_with(&[0xFE, 0xFF])
}

/// The text of a file, without its byte order mark.
///
/// # Errors
/// What is wrong with the file, to be put behind its name.
pub fn of_file(bytes: Vec<u8>) -> Result<String, &'static str> {
    if is_utf_16(&bytes) {
        return Err("is UTF-16; save it as UTF-8");
    }
    let text = String::from_utf8(bytes).map_err(|_| "is not valid UTF-8")?;
    Ok(match text.strip_prefix(BYTE_ORDER_MARK) {
        Some(rest) => rest.to_owned(),
        None => text,
    })
}

/// Whether a `\u` escape in `json` is half of a surrogate pair.
#[must_use]
pub fn has_half(json: &str) -> bool {
    Halves { json: json.as_bytes(), at: 0 }.next().is_some()
}

/// The same JSON with U+FFFD for every half, and how many there were. `None` if there is none.
#[must_use]
pub fn with_halves_replaced(json: &str) -> Option<(String, usize)> {
    let mut replaced = String::new();
    let mut count = 0;
    let mut copied = 0;
    for half in (Halves { json: json.as_bytes(), at: 0 }) {
        replaced.push_str(&json[copied..half]);
        replaced.push_str(REPLACEMENT);
        copied = half + REPLACEMENT.len();
        count += 1;
    }
    if count == 0 {
        return None;
    }
    replaced.push_str(&json[copied..]);
    Some((replaced, count))
}

/// The word that some writers of JSON have for what is not a number, if a line has one at `column`, and the column of
/// its first letter. Columns are bytes, from 1.
#[must_use]
pub fn not_a_number(line: &[u8], column: usize) -> Option<(&'static str, usize)> {
    let is_part = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'+');
    let at = column.checked_sub(1).filter(|at| line.get(*at).is_some_and(is_part))?;
    let start = line.get(..at)?.iter().rposition(|byte| !is_part(byte)).map_or(0, |before| before + 1);
    let word = &line[start..];
    let word = &word[..word.iter().position(|byte| !is_part(byte)).unwrap_or(word.len())];
    let name = match word.to_ascii_lowercase().as_slice() {
        b"nan" | b"-nan" | b"+nan" => "NaN",
        b"inf" | b"infinity" | b"+inf" | b"+infinity" => "Infinity",
        b"-inf" | b"-infinity" => "-Infinity",
        _ => return None,
    };
    Some((name, start + 1))
}

/// Where in JSON the escapes stand that are half of a surrogate pair.
struct Halves<'a> {
    json: &'a [u8],
    at: usize,
}

impl Iterator for Halves<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        loop {
            let start = self.at + memchr::memchr(b'\\', self.json.get(self.at..)?)?;
            let Some(unit) = escaped_unit(self.json, start) else {
                self.at = start + 2;
                continue;
            };
            self.at = start + REPLACEMENT.len();
            match unit {
                0xD800..=0xDBFF if matches!(escaped_unit(self.json, self.at), Some(0xDC00..=0xDFFF)) => {
                    self.at += REPLACEMENT.len();
                }
                0xD800..=0xDFFF => return Some(start),
                _ => {}
            }
        }
    }
}

/// The UTF-16 code unit that the escape at `start` stands for, if one stands there.
fn escaped_unit(json: &[u8], start: usize) -> Option<u16> {
    let digits = json.get(start..start + REPLACEMENT.len())?.strip_prefix(b"\\u")?;
    let mut unit = 0;
    for digit in digits {
        unit = unit << 4 | char::from(*digit).to_digit(16)?;
    }
    u16::try_from(unit).ok()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn halves_are_replaced_and_pairs_stay() {
        for (json, expected, count) in [
            (r#""a \ud83d""#, r#""a \ufffd""#, 1),
            (r#""\uDC00\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#, 1),
            (r#""\ud83d\ud83d\ude00\ud83d""#, r#""\ufffd\ud83d\ude00\ufffd""#, 2),
            (r#"{"\ud800":"\\ud83d \\\ud83d"}"#, r#"{"\ufffd":"\\ud83d \\\ufffd"}"#, 2),
        ] {
            assert_eq!(with_halves_replaced(json), Some((expected.to_owned(), count)), "{json}");
            assert!(has_half(json));
        }
        for json in [r#""\ud83d\ude00""#, r#""\\ud83d""#, r#""\u00e9\ufffd""#, r"\ud8", r"\u+d83", "\\", "", "é\\"] {
            assert_eq!(with_halves_replaced(json), None, "{json}");
            assert!(!has_half(json));
        }
    }

    #[test]
    fn files_are_utf_8_with_or_without_a_mark() {
        assert_eq!(of_file(b"\xEF\xBB\xBFa".to_vec()), Ok("a".to_owned()));
        assert_eq!(of_file("a\u{FEFF}".into()), Ok("a\u{FEFF}".to_owned()));
        assert_eq!(of_file(b"\xFF\xFEa\0".to_vec()), Err("is UTF-16; save it as UTF-8"));
        assert_eq!(of_file(b"\xFE\xFF\0a".to_vec()), Err("is UTF-16; save it as UTF-8"));
        assert_eq!(of_file(b"a\xFF".to_vec()), Err("is not valid UTF-8"));
    }

    #[test]
    fn words_for_what_is_not_a_number_are_known() {
        for (line, column, expected) in [
            ("[NaN]", 2, Some(("NaN", 2))),
            ("[1,nan]", 5, Some(("NaN", 4))),
            ("[ -Infinity]", 4, Some(("-Infinity", 3))),
            ("inf", 1, Some(("Infinity", 1))),
            ("[nans]", 3, None),
            ("[null]", 3, None),
            ("nan ", 4, None),
            ("", 1, None),
            ("nan", 0, None),
        ] {
            assert_eq!(not_a_number(line.as_bytes(), column), expected, "{line}");
        }
    }

    proptest! {
        /// Whatever units JavaScript writes, the result is a text and as long as before.
        #[test]
        fn what_is_left_is_a_text(units in proptest::collection::vec(
            prop_oneof![0xD800u16..=0xDFFF, Just(0x41u16), Just(0x5Cu16)], 0..12
        )) {
            let escapes = units.iter().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat();
            let json = format!("\"{escapes}\"");
            let mended = with_halves_replaced(&json).map_or(json.clone(), |(mended, _)| mended);
            prop_assert_eq!(mended.len(), json.len());
            let text: String = serde_json::from_str(&mended).unwrap();
            prop_assert_eq!(text, String::from_utf16_lossy(&units));
        }
    }
}
