//! Reading JSON fields whose errors name the field, its place and what was expected, and never quote it.
//!
//! `serde` quotes what it did not expect ("invalid type: string \"…\""), which could put a passage into an error message. So
//! fields are first taken as raw slices of the body, at no cost, and then read here.

use std::borrow::Cow;
use std::marker::PhantomData;

use bytestring::ByteString;
use serde::Deserialize;
use serde::de::DeserializeSeed;
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::error::{Error, ErrorKind};
use crate::text::{ForeignWord, foreign_word};

/// One JSON value as it stands in the body.
pub(super) type Raw<'a> = &'a RawValue;

/// Deepest that a document may be nested, in levels. What comes back with its result must be read by clients, and most
/// readers of JSON end here or not far below.
pub(super) const MAX_NESTING: usize = 128;
/// Longest string that is looked at for a word, in bytes of JSON.
const MAX_WORD_BYTES: usize = 128;

/// A body whose fields are [`Raw`].
///
/// # Errors
/// As [`object_by`].
pub(super) fn object<'a, T: Deserialize<'a>>(body: &str, json: &'a str, pointer: &str) -> Result<T, Error> {
    object_by(PhantomData, body, json, pointer)
}

/// A body, or an object in it, read by `seed`. `json` is a slice of `body`, and so places are told as they are in the
/// body.
///
/// # Errors
/// `invalid_json` with line and column, or `invalid_request` for a doubled key or something that is not an object.
pub(super) fn object_by<'a, S: DeserializeSeed<'a>>(
    seed: S,
    body: &str,
    json: &'a str,
    pointer: &str,
) -> Result<S::Value, Error> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let read = seed.deserialize(&mut reader).and_then(|value| reader.end().map(|()| value));
    read.map_err(|error| match error.classify() {
        Category::Data => {
            // Of the messages that serde makes, this one holds nothing but the name of a field of ours.
            let message = error.to_string();
            let subject = if pointer.is_empty() { "the body".to_owned() } else { name_of(pointer) };
            let doubled = message.strip_prefix("duplicate field `").and_then(|rest| rest.split('`').next());
            match doubled {
                Some(field) => {
                    Error::invalid_field(format!("{pointer}/{field}"), format!("{subject} has {field} twice"))
                }
                None => Error::invalid_field(pointer, format!("{subject} must be a JSON object")),
            }
        }
        _ => Error::new(ErrorKind::InvalidJson, format!("the body is not valid JSON: {}", fault(body, json, &error))),
    })
}

/// What is wrong with JSON, and where in the body.
fn fault(body: &str, json: &str, error: &serde_json::Error) -> String {
    let start = (json.as_ptr() as usize).checked_sub(body.as_ptr() as usize).filter(|start| *start <= body.len());
    let before = &body[..start.unwrap_or(0)];
    let line = before.matches('\n').count() + error.line();
    let last_line = before.rfind('\n').map_or(0, |at| at + 1);
    let column = if error.line() == 1 { before.len() - last_line + error.column() } else { error.column() };
    let line_start = if line == 1 { 0 } else { body.match_indices('\n').nth(line - 2).map_or(0, |(at, _)| at + 1) };
    if let Some(ForeignWord { word, column, instead }) = foreign_word(&body.as_bytes()[line_start..], column) {
        return format!("{word} at line {line} column {column} is not JSON; send {instead}");
    }
    let message = error.to_string();
    let message = message.rsplit_once(" at line ").map_or(&*message, |(message, _)| message);
    format!("{message} at line {line} column {column}")
}

/// The error for JSON with more than [`MAX_NESTING`] objects and lists around each other.
pub(super) fn check_nesting(json: &str, pointer: &str) -> Result<(), Error> {
    // Most documents have not even so many brackets.
    if memchr::memchr2_iter(b'{', b'[', json.as_bytes()).nth(MAX_NESTING).is_none() {
        return Ok(());
    }
    let mut depth = 0usize;
    let mut in_string = false;
    let mut is_escaped = false;
    for byte in json.bytes() {
        match byte {
            _ if is_escaped => is_escaped = false,
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

/// What kind of value `raw` is, with its article.
pub(super) fn kind(raw: Raw<'_>) -> &'static str {
    match raw.get().as_bytes().first() {
        Some(b'"') => "a string",
        Some(b'{') => "an object",
        Some(b'[') => "a list",
        Some(b't' | b'f') => "a boolean",
        Some(b'n') => "null",
        _ => "a number",
    }
}

/// Whether `raw` is `null`, which for an optional field means absent.
pub(super) fn is_null(raw: Raw<'_>) -> bool {
    raw.get() == "null"
}

/// Whether `raw` is a text without a letter, or one of the words for nothing: form builders and templates send such for
/// what nobody filled in.
pub(super) fn says_nothing(raw: Raw<'_>) -> bool {
    if kind(raw) != "a string" || raw.get().len() > MAX_WORD_BYTES {
        return false;
    }
    let Ok(text) = serde_json::from_str::<Cow<'_, str>>(raw.get()) else { return false };
    let word = text.trim();
    word.is_empty() || ["null", "none", "undefined"].iter().any(|nothing| word.eq_ignore_ascii_case(nothing))
}

/// The text of a string. Without escapes it is a slice of `body`, which must be what `raw` was parsed from.
pub(super) fn text(body: &ByteString, raw: Raw<'_>, pointer: &str) -> Result<ByteString, Error> {
    let literal = raw.get();
    let Some(inner) = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Err(wrong(pointer, raw, "a string"));
    };
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Ok(body.slice_ref(inner));
    }
    let unescaped: Result<String, _> = serde_json::from_str(literal);
    unescaped.map(ByteString::from).map_err(|_| half_surrogate(pointer))
}

/// The error for a string that is valid JSON and no text.
pub(super) fn half_surrogate(pointer: &str) -> Error {
    let message = format!("{} holds a \\u escape that is half of a surrogate pair", name_of(pointer));
    Error { pointer: Some(pointer.to_owned()), ..Error::new(ErrorKind::InvalidJson, message) }
}

/// The text of a single value: of a string, or of a number or truth value as it is written.
pub(super) fn single(body: &ByteString, raw: Raw<'_>, pointer: &str) -> Result<ByteString, Error> {
    match kind(raw) {
        "a number" | "a boolean" => Ok(body.slice_ref(raw.get())),
        _ => text(body, raw, pointer),
    }
}

/// A whole number from 0 to `most`, which is what a larger one counts as. `5.0`, `5e0` and `"5"` are some: some clients
/// write numbers as texts.
pub(super) fn count(raw: Raw<'_>, pointer: &str, most: u32) -> Result<u32, Error> {
    let literal = raw.get().trim_matches('"').trim();
    let is_number =
        !literal.is_empty() && literal.bytes().all(|byte| byte.is_ascii_digit() || b"+-.eE".contains(&byte));
    let what = match literal.parse::<f64>() {
        // Exact as far as counts go; beyond that it is `most` anyway.
        Ok(number) if is_number && number >= 0.0 && (number.fract() == 0.0 || number.is_infinite()) => {
            return Ok(clamped(number, most));
        }
        Ok(number) if is_number && number.is_finite() && number.fract() != 0.0 => "a fraction",
        Ok(_) if is_number => "out of range",
        _ => kind(raw),
    };
    let message = format!("{} is {what}; it must be a whole number from 0 to {most}", name_of(pointer));
    Err(Error::invalid_field(pointer, message))
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole, and between 0 and `most`")]
fn clamped(number: f64, most: u32) -> u32 {
    number.min(f64::from(most)) as u32
}

/// A truth value. The texts and numbers for one, too: forms write `"on"` and `"1"`, and servers in Python take them.
pub(super) fn flag(raw: Raw<'_>, pointer: &str) -> Result<bool, Error> {
    let word = raw.get().trim_matches('"').trim();
    let is_one_of = |words: &[&str]| words.iter().any(|known| word.eq_ignore_ascii_case(known));
    if is_one_of(&["true", "1", "yes", "on"]) {
        Ok(true)
    } else if is_one_of(&["false", "0", "no", "off"]) {
        Ok(false)
    } else {
        Err(wrong(pointer, raw, "true or false"))
    }
}

/// The error for a value of the wrong kind.
pub(super) fn wrong(pointer: &str, raw: Raw<'_>, expected: &str) -> Error {
    Error::invalid_field(pointer, format!("{} is {}; it must be {expected}", name_of(pointer), kind(raw)))
}

/// The way people write a place: `documents[3].text` for `/documents/3/text`.
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
