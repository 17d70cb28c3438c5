//! Readers of JSON values whose errors name the field and the kind of value expected, and never quote the body.
//!
//! `serde` quotes the value it did not expect ("invalid type: string \"…\""), which could put a passage into an error
//! message. So fields are first taken as raw slices of the body, at no cost, and then read here.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use faststr::FastStr;
use rerankd_core::error::{Error, ErrorKind};
use rerankd_core::text::{ForeignWord, foreign_word};
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer};
use serde_json::error::Category;
use serde_json::value::RawValue;

use super::unescape::unescaped;

/// One valid JSON value without blanks around it, as a slice of the body.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Raw<'a> {
    json: &'a str,
    has_escapes: bool,
}

impl<'a> Raw<'a> {
    /// A value whose strings hold an escape only if `has_escapes`.
    pub(super) fn new(json: &'a str, has_escapes: bool) -> Self {
        Self { json, has_escapes }
    }

    /// The JSON of the value.
    pub(super) fn get(self) -> &'a str {
        self.json
    }

    /// The characters of a string, which are those of the JSON if there are no escapes. `None` for a value that is no
    /// string, and for one that holds half of a surrogate pair.
    pub(super) fn characters(self) -> Option<Cow<'a, str>> {
        let inner = unquoted(self.json)?;
        if self.has_escapes { Some(Cow::Owned(unescaped(inner)?)) } else { Some(Cow::Borrowed(inner)) }
    }

    /// Returns true if a string in the value, or the name of a field, holds an escape.
    pub(super) fn has_escapes(self) -> bool {
        self.has_escapes
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Raw<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let json = <&'de RawValue>::deserialize(deserializer)?.get();
        Ok(Self::new(json, memchr::memchr(b'\\', json.as_bytes()).is_some()))
    }
}

/// Deepest nesting of a document, in levels. Documents are sent back with their results, and most JSON readers give up
/// at this depth or soon after it.
pub(super) const MAX_NESTING: usize = 128;
/// Longest string that is compared with [`ABSENT_WORDS`], in bytes of JSON: the words with blanks around them. A longer
/// one is no such word, and is not unescaped to find that out.
const MAX_WORD_BYTES: usize = 128;
/// Strings that some clients write for a value that they do not have. Upper and lower case count as the same.
const ABSENT_WORDS: [&str; 3] = ["null", "none", "undefined"];

/// The kind of a JSON value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum JsonKind {
    Null,
    Boolean,
    Number,
    String,
    List,
    Object,
}

impl JsonKind {
    /// The kind of a valid JSON value without blanks around it, by its first byte.
    pub(super) fn of(json: &str) -> Self {
        match json.as_bytes().first() {
            Some(b'"') => Self::String,
            Some(b'{') => Self::Object,
            Some(b'[') => Self::List,
            Some(b't' | b'f') => Self::Boolean,
            Some(b'n') => Self::Null,
            _ => Self::Number,
        }
    }

    /// Returns true for a list or an object, which hold other values.
    pub(super) fn is_container(self) -> bool {
        matches!(self, Self::List | Self::Object)
    }
}

/// The words for a kind in messages, with the article.
impl fmt::Display for JsonKind {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(match self {
            Self::Null => "null",
            Self::Boolean => "a boolean",
            Self::Number => "a number",
            Self::String => "a string",
            Self::List => "a list",
            Self::Object => "an object",
        })
    }
}

/// The field that an object has twice, if it has one. The seed that finds it tells [`object`] here, because an error
/// of serde's carries nothing but a message.
#[derive(Default)]
pub(super) struct RepeatedField(Cell<Option<&'static str>>);

impl RepeatedField {
    /// Keeps the name of the field and returns the error that ends the reading.
    pub(super) fn found<E: serde::de::Error>(&self, field: &'static str) -> E {
        self.0.set(Some(field));
        E::duplicate_field(field)
    }
}

/// The place of some JSON in a body.
#[derive(Clone, Copy)]
pub(super) struct JsonIn<'a> {
    /// The whole body. Errors give lines and columns of it.
    pub(super) body: &'a str,
    /// The JSON, which must be a slice of `body`.
    pub(super) json: &'a str,
    /// The JSON pointer to it; empty for the body itself.
    pub(super) pointer: &'a str,
}

/// Reads a body, or an object in it, with `seed`, which tells `repeated` of a field that appears twice.
///
/// # Errors
/// `invalid_json` with line and column; `invalid_request` if a field appears twice or the value is not an object.
pub(super) fn object<'a, S: DeserializeSeed<'a>>(
    seed: S,
    repeated: &RepeatedField,
    at: JsonIn<'a>,
) -> Result<S::Value, Error> {
    let mut reader = serde_json::Deserializer::from_str(at.json);
    let value = seed.deserialize(&mut reader).map_err(|error| object_error(at, repeated, &error))?;
    reader.end().map_err(|error| object_error(at, repeated, &error))?;
    Ok(value)
}

/// The error for JSON that is not valid, has a field twice, or is not the object that was expected.
fn object_error(at: JsonIn<'_>, repeated: &RepeatedField, error: &serde_json::Error) -> Error {
    let JsonIn { body, json, pointer } = at;
    if error.classify() != Category::Data {
        let message = format!("the body is not valid JSON: {}", fault(body, json, error));
        return Error::new(ErrorKind::InvalidJson, message);
    }
    let subject = if pointer.is_empty() { "the body".to_owned() } else { name_of(pointer) };
    match repeated.0.get() {
        Some(field) => Error::invalid_field(format!("{pointer}/{field}"), format!("{subject} has {field} twice")),
        None => Error::invalid_field(pointer, format!("{subject} must be a JSON object")),
    }
}

/// The reason why JSON is not valid, with its line and column in the body.
fn fault(body: &str, json: &str, error: &serde_json::Error) -> String {
    // `json` is a slice of `body`, so the distance of their addresses is its index. The second arm is never taken.
    let start = match (json.as_ptr() as usize).checked_sub(body.as_ptr() as usize) {
        Some(start) if start <= body.len() => start,
        _ => 0,
    };
    let before = &body[..start];
    let line = before.matches('\n').count() + error.line();
    let last_line = before.rsplit('\n').next().unwrap_or_default();
    // serde_json counts columns from the start of `json`, which may be in the middle of a line of the body.
    let column = if error.line() == 1 { last_line.len() + error.column() } else { error.column() };
    let line_start = if line == 1 { 0 } else { body.match_indices('\n').nth(line - 2).map_or(0, |(at, _)| at + 1) };
    if let Some(ForeignWord { word, column, instead }) = foreign_word(&body.as_bytes()[line_start..], column) {
        return format!("{word} at line {line} column {column} is not JSON; send {instead}");
    }
    let message = error.to_string();
    // The position at the end of the message is one in `json`.
    let reason = match message.rsplit_once(" at line ") {
        Some((reason, _)) => reason,
        None => &message,
    };
    format!("{reason} at line {line} column {column}")
}

/// Checks that objects and lists are nested at most [`MAX_NESTING`] levels deep.
///
/// # Errors
/// `invalid_request` with the name of the document if they are nested deeper.
pub(super) fn check_nesting(json: &str, pointer: &str) -> Result<(), Error> {
    // Most documents have fewer brackets than that in all, which is cheaper to find out.
    if memchr::memchr2_iter(b'{', b'[', json.as_bytes()).nth(MAX_NESTING).is_none() {
        return Ok(());
    }
    let mut depth = 0usize;
    let mut in_string = false;
    let mut is_escaped = false;
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
            // Valid JSON has backslashes in strings alone.
            b'\\' => is_escaped = true,
            b'"' => in_string = !in_string,
            b'{' | b'[' if !in_string => depth += 1,
            b'}' | b']' if !in_string => depth = depth.saturating_sub(1),
            _ => {}
        }
        if depth > MAX_NESTING {
            let message = format!("{} is nested more than {MAX_NESTING} levels deep", name_of(pointer));
            return Err(Error::invalid_field(pointer, message));
        }
    }
    Ok(())
}

/// Returns true for `null`, which counts as absent in an optional field.
pub(super) fn is_null(raw: Raw<'_>) -> bool {
    JsonKind::of(raw.get()) == JsonKind::Null
}

/// Returns true for a blank string and for one of [`ABSENT_WORDS`]. Form builders and templates send these for a field
/// that was not filled in.
pub(super) fn is_absent_word(raw: Raw<'_>) -> bool {
    if JsonKind::of(raw.get()) != JsonKind::String || raw.get().len() > MAX_WORD_BYTES {
        return false;
    }
    let Some(text) = raw.characters() else { return false };
    let word = text.trim();
    word.is_empty() || is_one_of(word, &ABSENT_WORDS)
}

/// The characters between the quotes of a JSON string, with their escapes. `None` for any other value.
pub(super) fn unquoted(json: &str) -> Option<&str> {
    json.strip_prefix('"')?.strip_suffix('"')
}

/// The text of a JSON string. Without escapes it is a slice of `body`, from which `raw` must have been parsed.
pub(super) fn text(body: &FastStr, raw: Raw<'_>, pointer: &str) -> Result<FastStr, Error> {
    if JsonKind::of(raw.get()) != JsonKind::String {
        return Err(wrong(pointer, raw, "a string"));
    }
    string(body, raw).ok_or_else(|| lone_surrogate(pointer))
}

/// The same text; `None` for a value that is no string, and for one that holds half of a surrogate pair.
pub(super) fn string(body: &FastStr, raw: Raw<'_>) -> Option<FastStr> {
    match raw.characters()? {
        Cow::Borrowed(inner) => Some(body.slice_ref(inner)),
        Cow::Owned(text) => Some(text.into()),
    }
}

/// The error for a string that is valid JSON but not text, because it holds a lone surrogate.
pub(super) fn lone_surrogate(pointer: &str) -> Error {
    let message = format!("{} holds a \\u escape that is half of a surrogate pair", name_of(pointer));
    Error { pointer: Some(pointer.to_owned()), ..Error::new(ErrorKind::InvalidJson, message) }
}

/// The text of a string, or of a number or a boolean as it is written. Anything else is an error.
pub(super) fn scalar(body: &FastStr, raw: Raw<'_>, pointer: &str) -> Result<FastStr, Error> {
    match JsonKind::of(raw.get()) {
        JsonKind::Number | JsonKind::Boolean => Ok(body.slice_ref(raw.get())),
        _ => text(body, raw, pointer),
    }
}

/// A whole number from 0 to `max`. A larger one counts as `max`. `5.0`, `5e0` and `"5"` are whole numbers too, because
/// some clients write numbers as strings.
pub(super) fn count(raw: Raw<'_>, pointer: &str, max: u32) -> Result<u32, Error> {
    let literal = raw.get().trim_matches('"').trim();
    let is_number =
        !literal.is_empty() && literal.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let found = match literal.parse::<f64>() {
        // An f64 holds every `u32` exactly, and anything larger counts as `max`.
        Ok(number) if is_number && number >= 0.0 && (number.fract() == 0.0 || number.is_infinite()) => {
            return Ok(clamped(number, max));
        }
        Ok(number) if is_number && number.is_finite() && number.fract() != 0.0 => "a fraction".to_owned(),
        Ok(_) if is_number => "out of range".to_owned(),
        _ => JsonKind::of(raw.get()).to_string(),
    };
    let message = format!("{} is {found}; it must be a whole number from 0 to {max}", name_of(pointer));
    Err(Error::invalid_field(pointer, message))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole, and between 0 and `max`")]
fn clamped(number: f64, max: u32) -> u32 {
    number.min(f64::from(max)) as u32
}

/// A boolean, or a string or number that stands for one. Forms write `"on"` and `"1"`, and servers in Python take them.
pub(super) fn flag(raw: Raw<'_>, pointer: &str) -> Result<bool, Error> {
    let word = raw.get().trim_matches('"').trim();
    if is_one_of(word, &["true", "1", "yes", "on"]) {
        Ok(true)
    } else if is_one_of(word, &["false", "0", "no", "off"]) {
        Ok(false)
    } else {
        Err(wrong(pointer, raw, "true or false"))
    }
}

fn is_one_of(word: &str, known: &[&str]) -> bool {
    known.iter().any(|known| word.eq_ignore_ascii_case(known))
}

/// The error for a value of the wrong kind.
pub(super) fn wrong(pointer: &str, raw: Raw<'_>, expected: &str) -> Error {
    let kind = JsonKind::of(raw.get());
    Error::invalid_field(pointer, format!("{} is {kind}; it must be {expected}", name_of(pointer)))
}

/// The name of a JSON pointer in messages: `documents[3].text` for `/documents/3/text`.
pub(super) fn name_of(pointer: &str) -> String {
    let mut name = String::new();
    for part in pointer.split('/').skip(1) {
        if part.bytes().all(|byte| byte.is_ascii_digit()) {
            name.push_str(&format!("[{part}]"));
        } else {
            if !name.is_empty() {
                name.push('.');
            }
            name.push_str(part);
        }
    }
    name
}
