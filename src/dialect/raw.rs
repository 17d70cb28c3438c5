//! Readers of JSON values whose errors name the field and the kind of value expected, and never quote the body.
//!
//! `serde` quotes the value it did not expect ("invalid type: string \"…\""), which could put a passage into an error
//! message. So fields are first taken as raw slices of the body, at no cost, and then read here.

use std::borrow::Cow;
use std::marker::PhantomData;

use bytestring::ByteString;
use serde::Deserialize;
use serde::de::DeserializeSeed;
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::error::{Error, ErrorKind};
use crate::text::{ForeignWord, foreign_word};

/// One JSON value, as a slice of the body.
pub(super) type Raw<'a> = &'a RawValue;

/// Deepest nesting of a document, in levels. Documents are sent back with their results, and most JSON readers give up
/// at this depth or soon after it.
pub(super) const MAX_NESTING: usize = 128;
/// Longest string that may be a word for nothing, in bytes of JSON.
const MAX_WORD_BYTES: usize = 128;

/// Reads a body, or an object in it, into a type whose fields are [`Raw`].
///
/// # Errors
/// The same as [`object_by`].
pub(super) fn object<'a, T: Deserialize<'a>>(body: &str, json: &'a str, pointer: &str) -> Result<T, Error> {
    object_by(PhantomData, body, json, pointer)
}

/// Reads a body, or an object in it, with `seed`. `json` must be a slice of `body`, so that errors can give lines and
/// columns of the body.
///
/// # Errors
/// `invalid_json` with line and column; `invalid_request` if a key appears twice or the value is not an object.
pub(super) fn object_by<'a, S: DeserializeSeed<'a>>(
    seed: S,
    body: &str,
    json: &'a str,
    pointer: &str,
) -> Result<S::Value, Error> {
    let mut reader = serde_json::Deserializer::from_str(json);
    let value = seed.deserialize(&mut reader).map_err(|error| not_an_object(body, json, pointer, &error))?;
    reader.end().map_err(|error| not_an_object(body, json, pointer, &error))?;
    Ok(value)
}

/// The error for JSON that is not valid or not the object that was expected.
fn not_an_object(body: &str, json: &str, pointer: &str, error: &serde_json::Error) -> Error {
    if error.classify() != Category::Data {
        let message = format!("the body is not valid JSON: {}", fault(body, json, error));
        return Error::new(ErrorKind::InvalidJson, message);
    }
    let subject = if pointer.is_empty() { "the body".to_owned() } else { name_of(pointer) };
    // This is the one message of serde's that may be read: it holds nothing but the name of a field of ours.
    let message = error.to_string();
    if let Some(quoted) = message.strip_prefix("duplicate field `")
        && let Some(field) = quoted.split('`').next()
    {
        return Error::invalid_field(format!("{pointer}/{field}"), format!("{subject} has {field} twice"));
    }
    Error::invalid_field(pointer, format!("{subject} must be a JSON object"))
}

/// The reason why JSON is not valid, with its line and column in the body.
fn fault(body: &str, json: &str, error: &serde_json::Error) -> String {
    // `json` is a slice of `body`, so the distance of their addresses is its index.
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

/// The kind of a JSON value, with its article.
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

/// Returns true for `null`, which counts as absent in an optional field.
pub(super) fn is_null(raw: Raw<'_>) -> bool {
    raw.get() == "null"
}

/// Returns true for a blank string or a word for nothing. Form builders and templates send these for a field that was
/// not filled in.
pub(super) fn says_nothing(raw: Raw<'_>) -> bool {
    if kind(raw) != "a string" || raw.get().len() > MAX_WORD_BYTES {
        return false;
    }
    let Ok(text) = serde_json::from_str::<Cow<'_, str>>(raw.get()) else { return false };
    let word = text.trim();
    word.is_empty() || is_one_of(word, &["null", "none", "undefined"])
}

/// The characters between the quotes of a JSON string, with their escapes. `None` for any other value.
pub(super) fn unquoted(json: &str) -> Option<&str> {
    json.strip_prefix('"')?.strip_suffix('"')
}

/// The text of a JSON string. Without escapes it is a slice of `body`, from which `raw` must have been parsed.
pub(super) fn text(body: &ByteString, raw: Raw<'_>, pointer: &str) -> Result<ByteString, Error> {
    let literal = raw.get();
    let Some(inner) = unquoted(literal) else { return Err(wrong(pointer, raw, "a string")) };
    if memchr::memchr(b'\\', inner.as_bytes()).is_none() {
        return Ok(body.slice_ref(inner));
    }
    // Half of a surrogate pair is the only fault left in a string that has been parsed already.
    let Ok(unescaped) = serde_json::from_str::<String>(literal) else { return Err(half_surrogate(pointer)) };
    Ok(unescaped.into())
}

/// The error for a string that is valid JSON but not text.
pub(super) fn half_surrogate(pointer: &str) -> Error {
    let message = format!("{} holds a \\u escape that is half of a surrogate pair", name_of(pointer));
    Error { pointer: Some(pointer.to_owned()), ..Error::new(ErrorKind::InvalidJson, message) }
}

/// The text of a string, or of a number or a boolean as it is written.
pub(super) fn single(body: &ByteString, raw: Raw<'_>, pointer: &str) -> Result<ByteString, Error> {
    match kind(raw) {
        "a number" | "a boolean" => Ok(body.slice_ref(raw.get())),
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
        Ok(number) if is_number && number.is_finite() && number.fract() != 0.0 => "a fraction",
        Ok(_) if is_number => "out of range",
        _ => kind(raw),
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
    Error::invalid_field(pointer, format!("{} is {}; it must be {expected}", name_of(pointer), kind(raw)))
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
