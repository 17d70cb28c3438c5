//! Text from outside: byte order marks, UTF-16, lone surrogates, and words of other languages in JSON. Text for people:
//! lists and causes of errors.
//!
//! JavaScript counts in UTF-16, so a string that it cuts may end in half of a surrogate pair (`"a cat \ud83d"`). That
//! is valid JSON, but no valid text. Unicode calls such a half a lone surrogate. [`with_lone_surrogates_replaced`]
//! writes U+FFFD for it, as JavaScript's own encoder does. That escape is as long as the one it replaces, so every
//! other byte stays where it was.

use std::error::Error;

/// The mark that Windows and spreadsheets write before a text.
const BYTE_ORDER_MARK: char = '\u{FEFF}';
/// Bytes of a surrogate that is encoded as if it were a character.
const SURROGATE_BYTES: usize = 3;
/// The escape of U+FFFD, the replacement character. As long as every other `\u` escape.
const REPLACEMENT: &str = "\\ufffd";

/// The text after its byte order marks, and after blanks before a mark; unchanged without a mark. Concatenated files
/// have several.
#[must_use]
pub fn without_mark(text: &str) -> &str {
    let mut text = text;
    while let Some(rest) = text.trim_ascii_start().strip_prefix(BYTE_ORDER_MARK) {
        text = rest;
    }
    text
}

/// A list as it stands in a sentence, such as `a, b or c` with the conjunction `or`.
#[must_use]
pub fn list_in_words(words: &[String], conjunction: &str) -> String {
    match words {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} {conjunction} {last}", first.join(", ")),
    }
}

/// Digits in groups of three: `12,408`.
#[must_use]
pub fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let first = digits.len() % 3;
    let mut text = digits[..first].to_owned();
    for group in digits.as_bytes()[first..].chunks(3) {
        if !text.is_empty() {
            text.push(',');
        }
        for &digit in group {
            text.push(char::from(digit));
        }
    }
    text
}

/// `count` with its noun in the singular or plural: `1 query`, `1,200 queries`.
#[must_use]
pub fn counted(count: usize, one: &str, many: &str) -> String {
    let noun = if count == 1 { one } else { many };
    format!("{} {noun}", grouped(count))
}

/// The message of an error's innermost cause. Those of the outer ones of an HTTP client repeat the address.
#[must_use]
pub fn root_cause(error: &dyn Error) -> String {
    let mut cause = error;
    while let Some(source) = cause.source() {
        cause = source;
    }
    cause.to_string()
}

/// The bytes of a UTF-8 text after its byte order mark.
#[must_use]
pub fn bytes_without_mark(bytes: &[u8]) -> &[u8] {
    bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes)
}

/// The text from its first visible character on.
#[must_use]
pub fn from_first_visible(text: &str) -> &str {
    text.trim_start_matches(is_invisible)
}

/// Returns true for characters without a glyph: blanks, controls, joiners, marks of direction and fillers. Beyond
/// blanks and controls these are most of Unicode's `Default_Ignorable_Code_Point`, and Braille's blank (U+2800).
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

/// Returns true if bytes start like UTF-16: with its byte order mark, or with exactly one zero in the first two bytes,
/// as every text that begins with an ASCII character does.
#[must_use]
pub fn is_utf_16(bytes: &[u8]) -> bool {
    match bytes {
        [0xFF, 0xFE, ..] | [0xFE, 0xFF, ..] => true,
        [first, second, ..] => (*first == 0) != (*second == 0),
        _ => false,
    }
}

/// The text of bytes that are UTF-8 except for surrogates of three bytes each (CESU-8), with the number of lone ones,
/// each replaced by U+FFFD. `None` if the bytes are malformed in any other way.
#[must_use]
pub fn with_surrogates_read(bytes: &[u8]) -> Option<(String, usize)> {
    let mut text = String::with_capacity(bytes.len());
    let mut lone = 0;
    let mut rest = bytes;
    loop {
        let valid = match std::str::from_utf8(rest) {
            Ok(valid) => {
                text.push_str(valid);
                return Some((text, lone));
            }
            Err(error) => error.valid_up_to(),
        };
        text.push_str(std::str::from_utf8(&rest[..valid]).ok()?);
        let first = surrogate(&rest[valid..])?;
        rest = &rest[valid + SURROGATE_BYTES..];
        if let Some(character) = surrogate(rest).and_then(|second| joined(first, second)) {
            rest = &rest[SURROGATE_BYTES..];
            text.push(character);
        } else {
            // The second surrogate stays in `rest`: it may start a pair of its own.
            lone += 1;
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
}

/// The character of a surrogate pair; `None` if the two are no pair.
fn joined(first: u16, second: u16) -> Option<char> {
    char::decode_utf16([first, second]).next()?.ok()
}

/// The UTF-16 code unit of the surrogate that `bytes` begin with, encoded as if it were a character; `None` if they
/// begin with anything else.
fn surrogate(bytes: &[u8]) -> Option<u16> {
    match bytes {
        // The three bytes of U+D800 to U+DFFF by the scheme of UTF-8, which forbids them.
        [0xED, second @ 0xA0..=0xBF, third @ 0x80..=0xBF, ..] => {
            Some(0xD000 | u16::from(second & 0x3F) << 6 | u16::from(third & 0x3F))
        }
        _ => None,
    }
}

/// The text of a file, without its byte order mark.
///
/// # Errors
/// The defect of the file, worded to follow its name: `is not valid UTF-8`.
pub fn of_file(bytes: Vec<u8>) -> Result<String, &'static str> {
    if is_utf_16(&bytes) {
        return Err("is UTF-16; save it as UTF-8");
    }
    let text = String::from_utf8(bytes).map_err(|_| "is not valid UTF-8")?;
    let unmarked = without_mark(&text);
    // Without a mark, the usual case, the file is not copied.
    if unmarked.len() == text.len() {
        return Ok(text);
    }
    Ok(unmarked.to_owned())
}

/// Returns true if `json` has a lone surrogate, as a `\u` escape.
#[must_use]
pub fn has_lone_surrogate(json: &str) -> bool {
    LoneSurrogates { json: json.as_bytes(), at: 0 }.next().is_some()
}

/// The same JSON with U+FFFD for every lone surrogate, and their number. `None` if there are none.
#[must_use]
pub fn with_lone_surrogates_replaced(json: &str) -> Option<(String, usize)> {
    let mut replaced = String::new();
    let mut count = 0;
    // End of the part of `json` that is in `replaced`.
    let mut copied = 0;
    for start in (LoneSurrogates { json: json.as_bytes(), at: 0 }) {
        replaced.push_str(&json[copied..start]);
        replaced.push_str(REPLACEMENT);
        copied = start + REPLACEMENT.len();
        count += 1;
    }
    if count == 0 {
        return None;
    }
    replaced.push_str(&json[copied..]);
    Some((replaced, count))
}

/// A word of another language in JSON, such as Python's `None`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ForeignWord {
    /// The word in its usual form.
    pub word: &'static str,
    /// The column of its first byte, from 1.
    pub column: usize,
    /// The word that JSON has for it.
    pub instead: &'static str,
}

/// The word of another language that covers `column`, in bytes from 1, in a line of JSON: Python's and JavaScript's
/// words for `null`, `true` and `false`, and their numbers that are not finite.
#[must_use]
pub fn foreign_word(line: &[u8], column: usize) -> Option<ForeignWord> {
    let at = column.checked_sub(1)?;
    if !is_word_byte(*line.get(at)?) {
        return None;
    }
    // Parsers report the byte at which they gave up, which may lie anywhere in the word.
    let mut start = at;
    while start > 0 && is_word_byte(line[start - 1]) {
        start -= 1;
    }
    let mut end = at;
    while end < line.len() && is_word_byte(line[end]) {
        end += 1;
    }
    let found = &line[start..end];
    let (word, instead) = match found {
        b"None" => ("None", "null"),
        b"NULL" => ("NULL", "null"),
        b"Null" => ("Null", "null"),
        b"undefined" => ("undefined", "null"),
        b"True" => ("True", "true"),
        b"TRUE" => ("TRUE", "true"),
        b"False" => ("False", "false"),
        b"FALSE" => ("FALSE", "false"),
        _ => match found.to_ascii_lowercase().as_slice() {
            b"nan" | b"-nan" | b"+nan" => ("NaN", "null"),
            b"inf" | b"infinity" | b"+inf" | b"+infinity" => ("Infinity", "null"),
            b"-inf" | b"-infinity" => ("-Infinity", "null"),
            _ => return None,
        },
    };
    Some(ForeignWord { word, column: start + 1, instead })
}

/// Returns true for bytes of a word or of a sign before it.
fn is_word_byte(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'-' | b'+')
}

/// An iterator over the byte positions of the `\u` escapes that are lone surrogates.
struct LoneSurrogates<'a> {
    json: &'a [u8],
    /// Position up to which `json` was searched; never inside an escape. May be past the end.
    at: usize,
}

impl Iterator for LoneSurrogates<'_> {
    type Item = usize;

    fn next(&mut self) -> Option<usize> {
        loop {
            let start = self.at + memchr::memchr(b'\\', self.json.get(self.at..)?)?;
            let Some(unit) = escaped_unit(self.json, start) else {
                // Two bytes: the second may be a backslash, which starts no escape here.
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

/// The UTF-16 code unit of the `\u` escape at `start`, if there is one.
fn escaped_unit(json: &[u8], start: usize) -> Option<u16> {
    let digits = json.get(start..start + REPLACEMENT.len())?.strip_prefix(b"\\u")?;
    let mut unit = 0;
    // `from_str_radix` would accept a sign.
    for digit in digits {
        unit = unit << 4 | char::from(*digit).to_digit(16)?;
    }
    u16::try_from(unit).ok()
}

/// `text` on one line, with each control character replaced by one that can be seen.
#[must_use]
pub fn printable(text: &str) -> String {
    text.chars().map(visible).collect()
}

/// `character`, or a visible substitute if it would act instead of being read: control characters steer a terminal, and
/// bidirectional overrides reorder the text after them. Neither these nor noncharacters are allowed in a page.
#[must_use]
pub fn visible(character: char) -> char {
    match character {
        '\t' | '\n' | '\u{b}' | '\u{c}' | '\r' | '\u{85}' | '\u{2028}' | '\u{2029}' => ' ',
        // U+2400 begins Unicode's pictures of the control characters, in the same order.
        '\0'..='\u{1f}' => char::from_u32(0x2400 + u32::from(character)).unwrap_or(' '),
        '\u{7f}' => '␡',
        '\u{80}'..='\u{9f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}' | '\u{fdd0}'..='\u{fdef}' => '\u{fffd}',
        // The last two code points of each plane are noncharacters.
        _ if u32::from(character) & 0xfffe == 0xfffe => '\u{fffd}',
        _ => character,
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn counts_have_their_noun_and_large_ones_are_grouped() {
        assert_eq!(counted(1, "query", "queries"), "1 query");
        assert_eq!(counted(0, "query", "queries"), "0 queries");
        assert_eq!(counted(12_408, "passage", "passages"), "12,408 passages");
        assert_eq!(
            [0, 12, 999, 1000, 12_408, 1_234_567].map(grouped),
            ["0", "12", "999", "1,000", "12,408", "1,234,567"]
        );
    }

    #[test]
    fn control_characters_are_made_visible() {
        assert_eq!(printable("a\u{1b}[2Jb\nc\u{202e}d\0\u{7f}\u{9b}\u{fffe}"), "a␛[2Jb c\u{fffd}d␀␡\u{fffd}\u{fffd}");
        assert_eq!(printable("日本語 العربية 👩‍💻"), "日本語 العربية 👩‍💻");
    }

    #[test]
    fn lone_surrogates_are_replaced_and_pairs_stay() {
        for (json, expected, count) in [
            (r#""a \ud83d""#, r#""a \ufffd""#, 1),
            (r#""\uDC00\ud83d\ude00""#, r#""\ufffd\ud83d\ude00""#, 1),
            (r#""\ud83d\ud83d\ude00\ud83d""#, r#""\ufffd\ud83d\ude00\ufffd""#, 2),
            (r#"{"\ud800":"\\ud83d \\\ud83d"}"#, r#"{"\ufffd":"\\ud83d \\\ufffd"}"#, 2),
        ] {
            assert_eq!(with_lone_surrogates_replaced(json), Some((expected.to_owned(), count)), "{json}");
            assert!(has_lone_surrogate(json));
        }
        for json in [r#""\ud83d\ude00""#, r#""\\ud83d""#, r#""\u00e9\ufffd""#, r"\ud8", r"\u+d83", "\\", "", "é\\"] {
            assert_eq!(with_lone_surrogates_replaced(json), None, "{json}");
            assert!(!has_lone_surrogate(json));
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
        /// Surrogates in bytes are read like those in escapes; other malformed bytes are refused.
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
            let lone = char::decode_utf16(units.iter().copied()).filter(Result::is_err).count();
            prop_assert_eq!(read, (String::from_utf16_lossy(&units), lone));
            bytes.push(0xFF);
            prop_assert_eq!(with_surrogates_read(&bytes), None);
        }

        /// For all units that JavaScript may write, the result is a valid text and as long as before.
        #[test]
        fn what_is_left_is_a_text(units in proptest::collection::vec(
            prop_oneof![0xD800u16..=0xDFFF, Just(0x41u16), Just(0x5Cu16)], 0..12
        )) {
            let escapes = units.iter().map(|unit| format!("\\u{unit:04x}")).collect::<Vec<_>>().concat();
            let json = format!("\"{escapes}\"");
            let mended = with_lone_surrogates_replaced(&json).map_or(json.clone(), |(mended, _)| mended);
            prop_assert_eq!(mended.len(), json.len());
            let text: String = serde_json::from_str(&mended).unwrap();
            prop_assert_eq!(text, String::from_utf16_lossy(&units));
        }
    }
}
