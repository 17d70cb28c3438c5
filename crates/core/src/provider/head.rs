//! A reader of the first bytes of a JSON text. It builds no values, and reads a text that breaks off as far as it goes.

use memchr::memchr2;

/// Longest name of a member that is kept, in bytes; all names with a meaning are shorter.
const MAX_NAME_BYTES: usize = 64;

/// A position in the first bytes of a JSON text.
pub(super) struct Head<'a> {
    bytes: &'a [u8],
    /// Index of the next byte; beyond the end if the text broke off within an escape.
    at: usize,
}

impl<'a> Head<'a> {
    /// The position before the first byte.
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { bytes, at: 0 }
    }

    /// Skips blanks and returns the next byte without consuming it.
    pub(super) fn peek(&mut self) -> Option<u8> {
        while self.bytes.get(self.at).is_some_and(u8::is_ascii_whitespace) {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    /// Consumes the opening bracket of an object or a list, which must be next.
    pub(super) fn enter(&mut self) {
        self.at += 1;
    }

    /// Returns true if another item of the list or object follows. If not, consumes the closing bracket.
    pub(super) fn has_item(&mut self) -> bool {
        // Missing items are skipped with their commas: the text need not be valid.
        while self.peek() == Some(b',') {
            self.at += 1;
        }
        match self.peek() {
            Some(b']' | b'}') => {
                self.at += 1;
                false
            }
            next => next.is_some(),
        }
    }

    /// Consumes the name and the colon of the object's next member. `None` if the object has ended.
    pub(super) fn member(&mut self) -> Option<String> {
        if !self.has_item() {
            return None;
        }
        if self.peek() != Some(b'"') {
            self.give_up();
            return None;
        }
        let name = self.string(MAX_NAME_BYTES);
        if self.peek() != Some(b':') {
            self.give_up();
            return None;
        }
        self.at += 1;
        Some(name)
    }

    /// Consumes the string whose quotation mark is next. Returns its first `max_bytes`, or fewer if it breaks off.
    pub(super) fn string(&mut self, max_bytes: usize) -> String {
        self.at += 1;
        let mut text = Vec::new();
        while let Some(&byte) = self.bytes.get(self.at) {
            self.at += 1;
            match byte {
                b'"' => break,
                b'\\' => {
                    let unescaped = self.escape();
                    let mut buffer = [0; 4];
                    text.extend_from_slice(unescaped.encode_utf8(&mut buffer).as_bytes());
                }
                byte => text.push(byte),
            }
            if text.len() >= max_bytes {
                self.skip_string();
                // An escape can add four bytes at once.
                text.truncate(max_bytes);
                break;
            }
        }
        String::from_utf8_lossy(&text).into_owned()
    }

    /// Consumes the next value. Returns a string or a number as text, cut to `max_bytes`, and `None` for any other
    /// value.
    pub(super) fn scalar(&mut self, max_bytes: usize) -> Option<String> {
        match self.peek()? {
            b'"' => Some(self.string(max_bytes)),
            b'-' | b'0'..=b'9' => {
                let start = self.at;
                self.skip();
                let number = &self.bytes[start..self.at.min(start + max_bytes)];
                Some(String::from_utf8_lossy(number).into_owned())
            }
            _ => {
                self.skip();
                None
            }
        }
    }

    /// Consumes the next value, with all that it contains.
    pub(super) fn skip(&mut self) {
        // A counter instead of recursion: a body of brackets alone cannot exhaust the stack.
        let mut depth = 0_usize;
        while let Some(byte) = self.peek() {
            match byte {
                b'"' => {
                    self.at += 1;
                    self.skip_string();
                }
                b'[' | b'{' => {
                    depth += 1;
                    self.at += 1;
                    continue;
                }
                b']' | b'}' => {
                    if depth == 0 {
                        return; // a value is missing
                    }
                    depth -= 1;
                    self.at += 1;
                }
                b',' | b':' if depth > 0 => {
                    self.at += 1;
                    continue;
                }
                b',' => return, // a value is missing
                b':' => self.at += 1,
                _ => self.skip_word(),
            }
            if depth == 0 {
                return;
            }
        }
    }

    /// Goes to the end, because what follows is not JSON.
    fn give_up(&mut self) {
        self.at = self.bytes.len();
    }

    /// Consumes the rest of a string, with its closing quotation mark.
    fn skip_string(&mut self) {
        while let Some(offset) = memchr2(b'"', b'\\', self.rest()) {
            let is_end = self.bytes[self.at + offset] == b'"';
            self.at += offset + if is_end { 1 } else { 2 };
            if is_end {
                return;
            }
        }
        self.give_up();
    }

    /// Consumes a number or a word.
    fn skip_word(&mut self) {
        let rest = self.rest();
        self.at += rest.iter().position(|byte| ends_word(*byte)).unwrap_or(rest.len());
    }

    /// Consumes an escape after its backslash and returns its character. A lone surrogate is U+FFFD.
    fn escape(&mut self) -> char {
        let Some(&kind) = self.bytes.get(self.at) else { return char::REPLACEMENT_CHARACTER };
        self.at += 1;
        match kind {
            b'b' => '\u{8}',
            b'f' => '\u{c}',
            b'n' => '\n',
            b'r' => '\r',
            b't' => '\t',
            b'u' => self.unicode_escape(),
            other => char::from(other),
        }
    }

    /// Consumes the digits of a `\u` escape, with those of the next one if the two are a surrogate pair.
    fn unicode_escape(&mut self) -> char {
        let Some(first) = self.hexadecimal() else { return char::REPLACEMENT_CHARACTER };
        if !(0xd800..0xdc00).contains(&first) || !self.rest().starts_with(b"\\u") {
            return char::from_u32(first).unwrap_or(char::REPLACEMENT_CHARACTER);
        }
        let before = self.at;
        self.at += b"\\u".len();
        if let Some(second @ 0xdc00..0xe000) = self.hexadecimal() {
            let joined = 0x1_0000 + ((first - 0xd800) << 10) + (second - 0xdc00);
            return char::from_u32(joined).unwrap_or(char::REPLACEMENT_CHARACTER);
        }
        // The second escape is no other half; it is read by itself.
        self.at = before;
        char::REPLACEMENT_CHARACTER
    }

    /// Consumes four hexadecimal digits, or nothing if there are fewer.
    fn hexadecimal(&mut self) -> Option<u32> {
        let digits = self.bytes.get(self.at..self.at + 4)?;
        let mut number = 0;
        for digit in digits {
            number = number << 4 | char::from(*digit).to_digit(16)?;
        }
        self.at += 4;
        Some(number)
    }

    /// The bytes from the next one on. Empty at the end and beyond.
    fn rest(&self) -> &'a [u8] {
        &self.bytes[self.at.min(self.bytes.len())..]
    }
}

/// Returns true for bytes that cannot belong to a number or a word.
fn ends_word(byte: u8) -> bool {
    matches!(byte, b',' | b':' | b']' | b'}' | b'[' | b'{' | b'"') || byte.is_ascii_whitespace()
}
#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn texts_are_unescaped_and_may_break_off() {
        for (json, text) in [
            (r#""a\"\\\/\n\t""#, "a\"\\/\n\t"),
            (r#""\u00e9\ud83d\ude00""#, "\u{e9}\u{1f600}"),
            (r#""\ud83d!\ude00\ud83d\u0041""#, "\u{fffd}!\u{fffd}\u{fffd}A"),
            (r#""broken of"#, "broken of"),
            (r#""broken \"#, "broken \u{fffd}"),
            (r#""broken \u00"#, "broken \u{fffd}00"),
        ] {
            assert_eq!(Head::new(json.as_bytes()).string(100), text, "{json}");
        }
        let mut head = Head::new(br#""0123456789","next""#);
        assert_eq!(head.string(4), "0123");
        assert!(head.has_item());
        assert_eq!(head.string(4), "next");
    }

    #[test]
    fn values_are_left_behind_whole() {
        for value in ["null", "-1e5", "\"a ] \\\" }\"", "[]", "{}", "[1,[2,{\"a\":\"]\"}],3]", "{\"a\":{\"b\":[1,2]}}"]
        {
            let json = format!("[ {value} , 7 ]");
            let mut head = Head::new(json.as_bytes());
            head.enter();
            head.skip();
            assert!(head.has_item(), "{value}");
            assert_eq!(head.scalar(9).as_deref(), Some("7"), "{value}");
            assert!(!head.has_item(), "{value}");
            assert_eq!(head.peek(), None, "{value}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_come_to_an_end(bytes in "[\\[\\]{},:\"\\\\u0-9a ]{0,60}") {
            let mut head = Head::new(bytes.as_bytes());
            head.skip();
            let mut head = Head::new(bytes.as_bytes());
            head.enter();
            while head.has_item() {
                let before = head.at;
                head.skip();
                if head.at == before {
                    break;
                }
            }
            let mut head = Head::new(bytes.as_bytes());
            head.enter();
            while head.member().is_some() {
                head.skip();
            }
        }
    }
}
