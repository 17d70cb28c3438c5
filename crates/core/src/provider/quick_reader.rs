//! The quick reader of replies that are written as providers document them: results of a position and a score each, and
//! names without escapes.
//!
//! Reading a list of results by serde costs more than planning, claiming, landing and ranking its passages. This reader
//! takes half of that, and only takes in what [`super::reader`] would read alike. At whatever else it meets it gives
//! up, without a word about the reason: the reply is then read from its start by `reader`, which alone decides what is
//! refused.

use serde_json::value::RawValue;

use super::WireReply;
use super::counts::Group;
use super::readout::{Beside, Readout, readout};
use super::reply_template::{Element, MemberNames, ReplyTemplate};
use crate::text::bytes_without_mark;

/// Most digits of which any number is exact as `f64`, and a position sure to be one.
const EXACT_DIGITS: usize = 15;
/// Powers of ten, all of them exact.
const POWERS_OF_TEN: [f64; EXACT_DIGITS + 1] =
    [1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15];

/// Reads the results of a reply, and what stands beside them.
pub(super) fn read(template: &ReplyTemplate, reply: &WireReply) -> Option<Readout> {
    let Element::Members(names) = &template.element else { return None };
    let mut reader = Reader::of(reply)?;
    reader.skip_blanks();
    if reader.rest.first() == Some(&b'[') {
        if !template.is_flat_list_at_root() {
            return None;
        }
        let results = reader.results(names, reply.passages)?;
        reader.expect_end()?;
        return Some(readout(template, reply, results, &Beside::default()));
    }
    let list = template.flat_list.as_deref()?;
    let mut results = None;
    let mut beside = Beside::default();
    reader.expect(b'{')?;
    loop {
        let name = reader.name()?;
        reader.expect(b':')?;
        if name != list {
            let value = reader.value()?;
            let group = Group::Root.member(name);
            if group != Group::Nowhere || template.others.iter().any(|other| other == name) {
                beside.add(template, group, name.into(), value);
            }
        } else if results.is_none() {
            results = Some(reader.results(names, reply.passages)?);
        } else {
            return None;
        }
        if reader.ends(b'}')? {
            break;
        }
    }
    reader.expect_end()?;
    Some(readout(template, reply, results?, &beside))
}

/// The rest of a text of JSON. Each function reads on, and returns `None` at what it does not read.
struct Reader<'a> {
    rest: &'a [u8],
}

impl<'a> Reader<'a> {
    /// A reader at the beginning of a reply, which must be UTF-8.
    fn of(reply: &'a WireReply) -> Option<Self> {
        let text = str::from_utf8(bytes_without_mark(&reply.body)).ok()?;
        Some(Self { rest: text.as_bytes() })
    }

    /// The list of results, of which there should be as many as `passages`.
    fn results(&mut self, names: &MemberNames, passages: usize) -> Option<Vec<(i64, f64)>> {
        let mut results = Vec::with_capacity(passages);
        self.expect(b'[')?;
        loop {
            let result = match self.usual_result(names) {
                Some(usual) => usual,
                None => self.result(names)?,
            };
            results.push(result);
            if self.ends(b']')? {
                return Some(results);
            }
        }
    }

    /// One result: its position and its score, without blanks and in this order, as most providers write it. Reads
    /// nothing if it is written otherwise.
    fn usual_result(&mut self, names: &MemberNames) -> Option<(i64, f64)> {
        let before = self.rest;
        let result = self.index_and_score(names);
        if result.is_none() {
            self.rest = before;
        }
        result
    }

    fn index_and_score(&mut self, names: &MemberNames) -> Option<(i64, f64)> {
        if !self.skip(&names.before_index) {
            return None;
        }
        let index = self.index()?;
        if !self.skip(&names.before_score) {
            return None;
        }
        let score = self.number()?;
        self.skip(b"}").then_some((index, score))
    }

    /// One result: its position and its score, in either order and nothing else.
    fn result(&mut self, names: &MemberNames) -> Option<(i64, f64)> {
        let mut index = None;
        let mut score = None;
        self.expect(b'{')?;
        loop {
            self.skip_blanks();
            if index.is_none() && self.skip(&names.quoted_index) {
                self.expect(b':')?;
                index = Some(self.index()?);
            } else if score.is_none() && self.skip(&names.quoted_score) {
                self.expect(b':')?;
                score = Some(self.number()?);
            } else {
                return None;
            }
            if self.ends(b'}')? {
                return Some((index?, score?));
            }
        }
    }

    /// A name without escapes.
    fn name(&mut self) -> Option<&'a str> {
        self.expect(b'"')?;
        let length = self.rest.iter().position(|byte| matches!(byte, b'"' | b'\\' | ..b' '))?;
        let name = self.take(length)?;
        if self.skip(b"\"") { str::from_utf8(name).ok() } else { None }
    }

    /// Any value, by serde.
    fn value(&mut self) -> Option<&'a RawValue> {
        let mut values = serde_json::Deserializer::from_slice(self.rest).into_iter();
        let value = values.next()?.ok()?;
        self.take(values.byte_offset())?;
        Some(value)
    }

    /// A position without sign, fraction and exponent.
    fn index(&mut self) -> Option<i64> {
        self.skip_blanks();
        let mut index = 0;
        let digits = self.digits(&mut index)?;
        if digits > EXACT_DIGITS { None } else { i64::try_from(index).ok() }
    }

    /// A number within the range of `f64`, rounded to the nearest as `serde_json` does with `float_roundtrip`.
    fn number(&mut self) -> Option<f64> {
        self.skip_blanks();
        let start = self.rest;
        let is_negative = self.skip(b"-");
        let mut significand = 0;
        let mut digits = self.digits(&mut significand)?;
        let mut decimals = 0;
        if self.skip(b".") {
            decimals = self.more_digits(&mut significand)?;
            digits += decimals;
        }
        let has_exponent = self.skip(b"e") || self.skip(b"E");
        if has_exponent {
            if !self.skip(b"+") {
                self.skip(b"-");
            }
            self.more_digits(&mut 0)?;
        }
        if digits > EXACT_DIGITS || has_exponent {
            let spelt = &start[..start.len() - self.rest.len()];
            let number: f64 = str::from_utf8(spelt).ok()?.parse().ok()?;
            return number.is_finite().then_some(number);
        }
        // The quotient of two numbers that are exact is rounded once, so it is the nearest.
        #[expect(clippy::cast_precision_loss, reason = "exact with so few digits")]
        let magnitude = significand as f64 / POWERS_OF_TEN[decimals];
        Some(if is_negative { -magnitude } else { magnitude })
    }

    /// At least one digit, and no zero before another: `01` is no number of JSON. As [`Self::more_digits`].
    fn digits(&mut self, number: &mut u64) -> Option<usize> {
        if let [b'0', b'0'..=b'9', ..] = self.rest { None } else { self.more_digits(number) }
    }

    /// At least one digit. Appends them to `number`, which wraps beyond its range, and returns how many they are.
    fn more_digits(&mut self, number: &mut u64) -> Option<usize> {
        let before = self.rest.len();
        while let [digit @ b'0'..=b'9', rest @ ..] = self.rest {
            *number = number.wrapping_mul(10).wrapping_add(u64::from(digit - b'0'));
            self.rest = rest;
        }
        let count = before - self.rest.len();
        if count == 0 { None } else { Some(count) }
    }

    /// After an item of a list or an object: false behind a comma, true behind `end`.
    fn ends(&mut self, end: u8) -> Option<bool> {
        self.skip_blanks();
        match self.take(1)? {
            b"," => Some(false),
            [byte] if *byte == end => Some(true),
            _ => None,
        }
    }

    /// Reads `byte` behind blanks.
    fn expect(&mut self, byte: u8) -> Option<()> {
        self.skip_blanks();
        if self.skip(&[byte]) { Some(()) } else { None }
    }

    /// Reads the end of the text behind blanks.
    fn expect_end(&mut self) -> Option<()> {
        self.skip_blanks();
        if self.rest.is_empty() { Some(()) } else { None }
    }

    /// Passes over `word`, if it stands here.
    fn skip(&mut self, word: &[u8]) -> bool {
        let Some(rest) = self.rest.strip_prefix(word) else { return false };
        self.rest = rest;
        true
    }

    fn skip_blanks(&mut self) {
        while let [b' ' | b'\n' | b'\r' | b'\t', rest @ ..] = self.rest {
            self.rest = rest;
        }
    }

    fn take(&mut self, length: usize) -> Option<&'a [u8]> {
        let (taken, rest) = self.rest.split_at_checked(length)?;
        self.rest = rest;
        Some(taken)
    }
}
