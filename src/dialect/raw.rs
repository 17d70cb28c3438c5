//! Reading JSON fields whose errors name the field, its place and what was expected, and never quote it.
//!
//! `serde` quotes what it did not expect ("invalid type: string \"…\""), which could put a passage into an error message. So
//! fields are first taken as raw slices of the body, at no cost, and then read here.

use bytestring::ByteString;
use serde::Deserialize;
use serde_json::error::Category;
use serde_json::value::RawValue;

use crate::error::{Error, ErrorKind};

/// One JSON value as it stands in the body.
pub(super) type Raw<'a> = &'a RawValue;

/// A body, or an object in it, whose fields are [`Raw`].
///
/// # Errors
/// `invalid_json` with line and column, or `invalid_request` for a doubled key or something that is not an object.
pub(super) fn object<'a, T: Deserialize<'a>>(json: &'a str, pointer: &str) -> Result<T, Error> {
    serde_json::from_str(json).map_err(|error| match error.classify() {
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
        _ => Error::new(ErrorKind::InvalidJson, format!("the body is not valid JSON: {error}")),
    })
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

/// The text of a string. Without escapes it is a slice of `body`, which must be what `raw` was parsed from.
pub(super) fn text(body: &ByteString, raw: Raw<'_>, pointer: &str) -> Result<ByteString, Error> {
    let literal = raw.get();
    let Some(inner) = literal.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return Err(wrong(pointer, raw, "a string"));
    };
    if !inner.as_bytes().contains(&b'\\') {
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

/// A whole number from 0 to `most`, which is what a larger one counts as. `5.0` and `"5"` are some:
/// some clients write numbers as texts.
pub(super) fn count(raw: Raw<'_>, pointer: &str, most: u64) -> Result<u64, Error> {
    let literal = raw.get().trim_matches('"');
    let whole = literal
        .split_once('.')
        .map_or(literal, |(whole, fraction)| if fraction.bytes().all(|digit| digit == b'0') { whole } else { literal });
    let digits = !whole.is_empty() && whole.bytes().all(|digit| digit.is_ascii_digit());
    digits.then(|| whole.parse().unwrap_or(most).min(most)).ok_or_else(|| {
        let what = if kind(raw) == "a number" { "out of range" } else { kind(raw) };
        Error::invalid_field(
            pointer,
            format!("{} is {what}; it must be a whole number from 0 to {most}", name_of(pointer)),
        )
    })
}

/// A truth value; `"true"` and `"false"` too, because some clients send them so.
pub(super) fn flag(raw: Raw<'_>, pointer: &str) -> Result<bool, Error> {
    let word = raw.get().trim_matches('"');
    if word.eq_ignore_ascii_case("true") {
        Ok(true)
    } else if word.eq_ignore_ascii_case("false") {
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
