//! Text as it comes in: byte order marks, UTF-16, and JSON escapes that are half of a surrogate pair.
//!
//! JavaScript counts in UTF-16, so a text that it cuts may end in half of a pair (`"a cat \ud83d"`). That is valid JSON
//! and no text. [`with_halves_replaced`] writes U+FFFD for the half, as JavaScript's own encoder does; the escape is as
//! long, so that every byte stays where it was.

/// What Windows and spreadsheets write before a text.
const BYTE_ORDER_MARK: char = '\u{FEFF}';
/// Bytes of a surrogate in what would be UTF-8.
const SURROGATE_BYTES: usize = 3;
/// The escape of U+FFFD, which stands for what cannot be read.
const REPLACEMENT: &str = "\\ufffd";

/// The text behind byte order marks, of which files that were put together have several, or the whole of it where there
/// is none. Blanks before a mark go with it.
#[must_use]
pub fn without_mark(text: &str) -> &str {
    let mut text = text;
    while let Some(rest) = text.trim_ascii_start().strip_prefix(BYTE_ORDER_MARK) {
        text = rest;
    }
    text
}

/// A text from the first character on that anybody can see.
#[must_use]
pub fn from_first_visible(text: &str) -> &str {
    text.trim_start_matches(is_invisible)
}

/// Whether a letter shows nothing: blanks, and what is there for others' sake or for none (controls, joiners, marks of direction, fillers).
#[must_use]
pub fn is_invisible(letter: char) -> bool {
    letter.is_whitespace()
        || letter.is_control()
        || matches!(
            letter,
            '\u{ad}'
                | '\u{34f}'
                | '\u{61c}'
                | '\u{115f}'
                | '\u{1160}'
                | '\u{180b}'..='\u{180f}'
                | '\u{200b}'..='\u{200f}'
                | '\u{202a}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{2800}'
                | '\u{3164}'
                | '\u{fe00}'..='\u{fe0f}'
                | BYTE_ORDER_MARK
                | '\u{ffa0}'
                | '\u{e0000}'..='\u{e01ef}'
        )
}

/// Whether bytes begin as UTF-16 does: with its mark, or with the halves of a unit of which one is 0.
#[must_use]
pub fn is_utf_16(bytes: &[u8]) -> bool {
    match bytes {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => true,
        [first, second, ..] => (*first == 0) != (*second == 0),
        _ => false,
    }
}

/// The text of bytes that are UTF-8 but for surrogates of three bytes each (CESU-8), and how many of them were half of a
/// pair, for which U+FFFD stands. `None` if something else is wrong with them.
#[must_use]
pub fn with_surrogates_read(bytes: &[u8]) -> Option<(String, usize)> {
    let mut text = String::with_capacity(bytes.len());
    let mut halves = 0;
    let mut rest = bytes;
    loop {
        let valid = match std::str::from_utf8(rest) {
            Ok(valid) => {
                text.push_str(valid);
                return Some((text, halves));
            }
            Err(error) => error.valid_up_to(),
        };
        text.push_str(std::str::from_utf8(&rest[..valid]).ok()?);
        let high = surrogate(&rest[valid..])?;
        rest = &rest[valid + SURROGATE_BYTES..];
        let pair = surrogate(rest).and_then(|low| char::decode_utf16([high, low]).next()?.ok());
        if pair.is_some() {
            rest = &rest[SURROGATE_BYTES..];
        } else {
            halves += 1;
        }
        text.push(pair.unwrap_or(char::REPLACEMENT_CHARACTER));
    }
}

/// The surrogate that bytes begin with.
fn surrogate(bytes: &[u8]) -> Option<u16> {
    match bytes {
        [0xED, second @ 0xA0..=0xBF, third @ 0x80..=0xBF, ..] => {
            Some(0xD000 | u16::from(second & 0x3F) << 6 | u16::from(third & 0x3F))
        }
        _ => None,
    }
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
    let length = without_mark(&text).len();
    Ok(if length < text.len() { text[text.len() - length..].to_owned() } else { text })
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

/// A word that stands in JSON and is none of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignWord {
    /// The word, in its usual form.
    pub word: &'static str,
    /// The column of its first letter, in bytes from 1.
    pub column: usize,
    /// What JSON has for it.
    pub instead: &'static str,
}

/// The word of another language that a line of JSON has at `column`, in bytes from 1: what is not a number, and what
/// Python and JavaScript write where JSON has `null`, `true` and `false`.
#[must_use]
pub fn foreign_word(line: &[u8], column: usize) -> Option<ForeignWord> {
    let is_part = |byte: &u8| byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'+');
    let at = column.checked_sub(1).filter(|at| line.get(*at).is_some_and(is_part))?;
    let start = line.get(..at)?.iter().rposition(|byte| !is_part(byte)).map_or(0, |before| before + 1);
    let word = &line[start..];
    let word = &word[..word.iter().position(|byte| !is_part(byte)).unwrap_or(word.len())];
    let (word, instead) = match word {
        b"None" => ("None", "null"),
        b"NULL" => ("NULL", "null"),
        b"Null" => ("Null", "null"),
        b"undefined" => ("undefined", "null"),
        b"True" => ("True", "true"),
        b"TRUE" => ("TRUE", "true"),
        b"False" => ("False", "false"),
        b"FALSE" => ("FALSE", "false"),
        _ => match word.to_ascii_lowercase().as_slice() {
            b"nan" | b"-nan" | b"+nan" => ("NaN", "null"),
            b"inf" | b"infinity" | b"+inf" | b"+infinity" => ("Infinity", "null"),
            b"-inf" | b"-infinity" => ("-Infinity", "null"),
            _ => return None,
        },
    };
    Some(ForeignWord { word, column: start + 1, instead })
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
        assert_eq!(of_file("\u{FEFF}\u{FEFF} a".into()), Ok(" a".to_owned()));
        assert_eq!(of_file(b"a\0\n\0".to_vec()), Err("is UTF-16; save it as UTF-8"));
        assert_eq!(of_file(b"\0a\0\n".to_vec()), Err("is UTF-16; save it as UTF-8"));
        assert_eq!(of_file(b"\xFF\xFEa\0".to_vec()), Err("is UTF-16; save it as UTF-8"));
        assert_eq!(of_file(b"\xFE\xFF\0a".to_vec()), Err("is UTF-16; save it as UTF-8"));
        assert_eq!(of_file(b"a\xFF".to_vec()), Err("is not valid UTF-8"));
    }

    #[test]
    fn words_of_other_languages_are_known() {
        for (line, column, expected) in [
            ("[NaN]", 2, Some(("NaN", 2, "null"))),
            ("[1,nan]", 5, Some(("NaN", 4, "null"))),
            ("[ -Infinity]", 4, Some(("-Infinity", 3, "null"))),
            ("inf", 1, Some(("Infinity", 1, "null"))),
            ("[None]", 2, Some(("None", 2, "null"))),
            ("[True]", 2, Some(("True", 2, "true"))),
            ("[FALSE,", 2, Some(("FALSE", 2, "false"))),
            ("[none]", 2, None),
            ("[nans]", 3, None),
            ("[null]", 3, None),
            ("nan ", 4, None),
            ("", 1, None),
            ("nan", 0, None),
        ] {
            let found = foreign_word(line.as_bytes(), column);
            assert_eq!(found.map(|found| (found.word, found.column, found.instead)), expected, "{line}");
        }
    }

    proptest! {
        /// Surrogates in bytes are read as those in escapes are; what else is wrong is refused.
        #[test]
        fn surrogates_in_bytes_are_read_as_units_are(units in proptest::collection::vec(
            prop_oneof![0xD7F0u16..=0xE00F, Just(0x41u16)], 0..12
        )) {
            let mut bytes = Vec::new();
            for unit in &units {
                match unit {
                    0..=0x7F => bytes.push(u8::try_from(*unit).unwrap()),
                    _ => bytes.extend([0xE0 | unit >> 12, 0x80 | unit >> 6 & 0x3F, 0x80 | unit & 0x3F]
                        .map(|byte| u8::try_from(byte).unwrap())),
                }
            }
            let read = with_surrogates_read(&bytes).unwrap();
            let halves = char::decode_utf16(units.iter().copied()).filter(Result::is_err).count();
            prop_assert_eq!(read, (String::from_utf16_lossy(&units), halves));
            bytes.push(0xFF);
            prop_assert_eq!(with_surrogates_read(&bytes), None);
        }

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
