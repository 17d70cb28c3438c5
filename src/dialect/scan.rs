//! A scanner of JSON (RFC 8259) that finds where values begin and end, in one pass and without memory of its own.
//!
//! Each reader returns `None` where it does not go on, and the scanner is of no further use then. It goes on only where
//! `serde_json` does. The other way round it need not: nesting deeper than [`MAX_DEPTH`] is left to `serde_json`, and
//! so is the message about JSON that is not valid.

use std::borrow::Cow;

use super::raw::Raw;

/// Deepest nesting of lists and objects that is scanned, in levels. It bounds the recursion.
const MAX_DEPTH: usize = 128;
/// Bytes that [`least`] takes at a time: four registers of the oldest x86-64.
const BLOCK_BYTES: usize = 64;

/// A place in JSON, which moves from token to token.
pub(super) struct Scanner<'a> {
    json: &'a str,
    /// Index of the next byte.
    at: usize,
}

/// Gives `take` the name and the value of each field of a JSON object, as long as it returns `Some`. `None` if it did
/// not, or if the scanner did not go on.
pub(super) fn each_field<'a>(json: &'a str, mut take: impl FnMut(Cow<'a, str>, Raw<'a>) -> Option<()>) -> Option<()> {
    let mut scanner = Scanner::new(json);
    let mut has_more = scanner.open(b'{', b'}')?;
    while has_more {
        let name = scanner.name()?.characters()?;
        take(name, scanner.value()?)?;
        has_more = scanner.next(b'}')?;
    }
    Some(())
}

impl<'a> Scanner<'a> {
    /// A scanner at the beginning of `json`.
    pub(super) fn new(json: &'a str) -> Self {
        Self { json, at: 0 }
    }

    /// The first byte of the next token, which is not taken. `None` at the end.
    pub(super) fn peek(&mut self) -> Option<u8> {
        let bytes = self.json.as_bytes();
        while let Some(byte) = bytes.get(self.at) {
            if !matches!(byte, b' ' | b'\n' | b'\r' | b'\t') {
                return Some(*byte);
            }
            self.at += 1;
        }
        None
    }

    /// Takes `opening` and, if nothing stands between them, `closing`. Returns true if items follow.
    pub(super) fn open(&mut self, opening: u8, closing: u8) -> Option<bool> {
        self.take(opening)?;
        let is_empty = self.peek()? == closing;
        self.at += usize::from(is_empty);
        Some(!is_empty)
    }

    /// Takes the comma after an item, or `closing`. Returns true if more items follow.
    pub(super) fn next(&mut self, closing: u8) -> Option<bool> {
        let byte = self.peek()?;
        self.at += 1;
        if byte == b',' {
            return Some(true);
        }
        (byte == closing).then_some(false)
    }

    /// The name of a field, with its quotes. The colon is taken too.
    pub(super) fn name(&mut self) -> Option<Raw<'a>> {
        self.peek()?;
        let start = self.at;
        let has_escapes = self.string()?;
        let name = Raw::new(&self.json[start..self.at], has_escapes);
        self.take(b':')?;
        Some(name)
    }

    /// The next value.
    pub(super) fn value(&mut self) -> Option<Raw<'a>> {
        self.peek()?;
        let start = self.at;
        let has_escapes = self.skip(0)?;
        Some(Raw::new(&self.json[start..self.at], has_escapes))
    }

    /// Takes one token of one byte.
    fn take(&mut self, token: u8) -> Option<()> {
        if self.peek()? != token {
            return None;
        }
        self.at += 1;
        Some(())
    }

    /// Skips the next value, `depth` lists and objects below the one that [`Self::value`] returns. Returns true if a
    /// string in it holds an escape.
    fn skip(&mut self, depth: usize) -> Option<bool> {
        if depth > MAX_DEPTH {
            return None;
        }
        let mut has_escapes = false;
        match self.peek()? {
            b'"' => has_escapes = self.string()?,
            b'[' => {
                let mut has_more = self.open(b'[', b']')?;
                while has_more {
                    has_escapes |= self.skip(depth + 1)?;
                    has_more = self.next(b']')?;
                }
            }
            b'{' => {
                let mut has_more = self.open(b'{', b'}')?;
                while has_more {
                    has_escapes |= self.name()?.has_escapes();
                    has_escapes |= self.skip(depth + 1)?;
                    has_more = self.next(b'}')?;
                }
            }
            b't' => self.word("true")?,
            b'f' => self.word("false")?,
            b'n' => self.word("null")?,
            _ => self.number()?,
        }
        Some(has_escapes)
    }

    /// Skips `word`.
    fn word(&mut self, word: &str) -> Option<()> {
        let is_there = self.json.as_bytes()[self.at..].starts_with(word.as_bytes());
        self.at += word.len();
        is_there.then_some(())
    }

    /// Skips a number. What follows it is looked at by whoever takes the next token, so `01` fails there.
    fn number(&mut self) -> Option<()> {
        let bytes = self.json.as_bytes();
        self.at += usize::from(bytes.get(self.at) == Some(&b'-'));
        if bytes.get(self.at) == Some(&b'0') {
            self.at += 1;
        } else {
            self.digits()?;
        }
        if bytes.get(self.at) == Some(&b'.') {
            self.at += 1;
            self.digits()?;
        }
        if let Some(b'e' | b'E') = bytes.get(self.at) {
            self.at += 1;
            self.at += usize::from(matches!(bytes.get(self.at), Some(b'+' | b'-')));
            self.digits()?;
        }
        Some(())
    }

    /// Skips digits, of which there must be one.
    fn digits(&mut self) -> Option<()> {
        let start = self.at;
        let bytes = self.json.as_bytes();
        while bytes.get(self.at).is_some_and(u8::is_ascii_digit) {
            self.at += 1;
        }
        (self.at > start).then_some(())
    }

    /// Skips a string. Returns true if it holds an escape.
    fn string(&mut self) -> Option<bool> {
        let bytes = self.json.as_bytes();
        if bytes.get(self.at) != Some(&b'"') {
            return None;
        }
        self.at += 1;
        let mut has_escapes = false;
        loop {
            let rest = bytes.get(self.at..)?;
            let length = plain_length(rest)?;
            self.at += length + 1;
            if rest[length] == b'"' {
                return Some(has_escapes);
            }
            has_escapes = true;
            self.escape()?;
        }
    }

    /// Skips what follows the backslash of an escape. Halves of surrogate pairs pass, as in `serde_json`.
    fn escape(&mut self) -> Option<()> {
        match self.json.as_bytes().get(self.at..)? {
            [b'"' | b'\\' | b'/' | b'b' | b'f' | b'n' | b'r' | b't', ..] => self.at += 1,
            [b'u', a, b, c, d, ..] if [a, b, c, d].into_iter().all(u8::is_ascii_hexdigit) => self.at += 5,
            _ => return None,
        }
        Some(())
    }
}

/// Number of bytes before the first quotation mark or backslash. `None` if there is none, or if a control character
/// stands before it.
fn plain_length(rest: &[u8]) -> Option<usize> {
    const ONES: u64 = u64::MAX / 255;
    const HIGHS: u64 = ONES << 7;
    let mut checked = 0;
    // Most names end within the first eight bytes, and where letters are written as escapes, so does all that stands
    // between two of them. A call of `memchr2` costs more than that. In each of the three terms the lowest bit that is
    // set is right; a borrow can set wrong ones above it (Mycroft's test, as in serde_json).
    if let Some(first) = rest.first_chunk::<8>() {
        let bytes = u64::from_le_bytes(*first);
        let quotes = bytes ^ (ONES * u64::from(b'"'));
        let backslashes = bytes ^ (ONES * u64::from(b'\\'));
        let controls = bytes.wrapping_sub(ONES * 0x20) & !bytes;
        let ends = quotes.wrapping_sub(ONES) & !quotes | backslashes.wrapping_sub(ONES) & !backslashes;
        let found = (ends | controls) & HIGHS;
        if found != 0 {
            let length = found.trailing_zeros() as usize / 8;
            return (first[length] >= b' ').then_some(length);
        }
        checked = first.len();
    }
    let unchecked = &rest[checked..];
    let length = memchr::memchr2(b'"', b'\\', unchecked)?;
    (least(&unchecked[..length]) >= b' ').then_some(checked + length)
}

/// The least of some bytes; 255 if there are none. Written so that the compiler uses wide registers to the last byte.
fn least(bytes: &[u8]) -> u8 {
    let Some(last_block) = bytes.last_chunk::<BLOCK_BYTES>() else {
        return bytes.iter().fold(u8::MAX, |least, byte| least.min(*byte));
    };
    let mut block_least = *last_block;
    // The last block overlaps the one before, which does no harm to a minimum.
    for block in bytes.as_chunks::<BLOCK_BYTES>().0 {
        for (least, byte) in block_least.iter_mut().zip(block) {
            *least = (*least).min(*byte);
        }
    }
    block_least.into_iter().fold(u8::MAX, u8::min)
}
