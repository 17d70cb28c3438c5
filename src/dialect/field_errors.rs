//! The errors about fields of a body, by the paths of the fields. None quotes a value.

use rerankd_core::error::Error;

use super::raw::{JsonKind, name_of};

/// The JSON pointer (RFC 6901) to a path.
pub(super) fn pointer_to(path: &str) -> String {
    format!("/{path}")
}

/// The name of a path in messages: `input.query` for `input/query`.
pub(super) fn name(path: &str) -> String {
    name_of(&pointer_to(path))
}

/// The error for another value where a list must be.
pub(super) fn not_a_list(path: &str, kind: JsonKind) -> Error {
    Error::invalid_field(pointer_to(path), format!("{} is {kind}; it must be a list", name(path)))
}

/// The error for a list or an object that was opened where one value is to be read.
pub(super) fn not_plain(path: &str) -> Error {
    Error::invalid_field(pointer_to(path), format!("{} must be a single value", name(path)))
}

/// The error for a field that must be there. `instead` is the field that was probably meant to be this one.
pub(super) fn missing(path: &str, instead: Option<&str>) -> Error {
    let mut message = format!("{} is missing", name(path));
    if let Some(other) = instead {
        message.push_str(&format!("; the body has {other} instead"));
    }
    Error::invalid_field(pointer_to(path), message)
}
