//! JSON objects, one per line, borrowed from the line as far as possible.
//!
//! serde's message about a value of the wrong type quotes the value, and values are passages. So every type is accepted
//! here, and the reader of each field checks it with a message of its own.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Formatter};
use std::path::Path;

use rerankd_core::text::{ForeignWord, foreign_word, with_lone_surrogates_replaced};
use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::input_error::CollectionError;
use super::lines::each_line;

/// Bytes of the longest label. Longer values of `metadata` are texts.
const MAX_LABEL_BYTES: usize = 100;

/// Any JSON value.
#[derive(Debug, PartialEq)]
pub(super) enum Json<'line> {
    Null,
    Bool(bool),
    /// A number without a fraction or an exponent, within 64 bits: `i128` holds both `i64` and `u64`.
    Whole(i128),
    /// A number with a fraction or an exponent, or one beyond 64 bits.
    Fraction(f64),
    Text(Cow<'line, str>),
    List(Vec<Json<'line>>),
    Object(Object<'line>),
}

/// The fields of an object in their order, repeated names included.
#[derive(Debug, PartialEq)]
pub(super) struct Object<'line>(pub(super) Vec<(Cow<'line, str>, Json<'line>)>);

/// Calls `each` with the number, from 1, and the object of every line that is not blank. Returns the number of lines in
/// which a lone surrogate was read as U+FFFD.
///
/// # Errors
/// The file cannot be read, a line is no JSON object, or `each` refuses it.
pub(super) fn each_object(
    path: &Path,
    mut each: impl FnMut(usize, Object<'_>) -> Result<(), String>,
) -> Result<usize, CollectionError> {
    let mut replaced_lines = 0;
    each_line(path, |number, line| match with_lone_surrogates_replaced(line) {
        None => each(number, object(line)?),
        Some((replaced, _)) => {
            replaced_lines += 1;
            each(number, object(&replaced)?)
        }
    })?;
    Ok(replaced_lines)
}

/// Reads a line that must be an object.
fn object(line: &str) -> Result<Object<'_>, String> {
    match serde_json::from_str(line) {
        Ok(Json::Object(object)) => Ok(object),
        Ok(_) => Err("must be a JSON object".to_owned()),
        Err(error) => Err(fault(line, &error)),
    }
}

/// The reason why a line is no JSON, without quoting it.
fn fault(line: &str, error: &serde_json::Error) -> String {
    if let Some(ForeignWord { word, column, instead }) = foreign_word(line.as_bytes(), error.column()) {
        return format!("is not valid JSON (byte {column}: {word}; write {instead})");
    }
    // serde_json has no other sign of this error than its message.
    if error.to_string().starts_with("recursion limit exceeded") {
        return "is nested more than 127 levels deep".to_owned();
    }
    format!("is not valid JSON (byte {})", error.column())
}

impl<'line> Object<'line> {
    /// Takes a field out; the last one if several have this name, as `serde_json`'s own maps do. An earlier one stays,
    /// and a second call would find it.
    pub(super) fn take(&mut self, name: &str) -> Option<Json<'line>> {
        let at = self.0.iter().rposition(|(field, _)| field == name)?;
        Some(self.0.remove(at).1)
    }

    /// Takes a field that must be there.
    pub(super) fn need(&mut self, name: &str) -> Result<Json<'line>, String> {
        self.take(name).ok_or_else(|| format!("\"{name}\" is missing"))
    }

    /// Takes a text that must be there.
    pub(super) fn text(&mut self, name: &str) -> Result<Cow<'line, str>, String> {
        self.need(name)?.text().ok_or_else(|| format!("\"{name}\" must be a string"))
    }

    /// Takes a text that must hold more than blanks.
    pub(super) fn written_text(&mut self, name: &str) -> Result<Cow<'line, str>, String> {
        let text = self.text(name)?;
        if text.trim().is_empty() { Err(format!("\"{name}\" is blank")) } else { Ok(text) }
    }

    /// Takes a text that may be missing or null, and is then empty.
    pub(super) fn optional_text(&mut self, name: &str) -> Result<Cow<'line, str>, String> {
        match self.take(name) {
            None | Some(Json::Null) => Ok(Cow::Borrowed("")),
            Some(value) => value.text().ok_or_else(|| format!("\"{name}\" must be a string")),
        }
    }

    /// Takes the short values of the object `metadata`; none if it is missing or not an object.
    pub(super) fn labels(&mut self) -> BTreeMap<String, String> {
        let Some(Json::Object(Object(fields))) = self.take("metadata") else { return BTreeMap::new() };
        let mut labels = BTreeMap::new();
        for (name, value) in fields {
            if let Some(label) = value.label() {
                labels.insert(name.into_owned(), label);
            }
        }
        labels
    }
}

impl<'line> Json<'line> {
    fn text(self) -> Option<Cow<'line, str>> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// The value as an id: a text, or a whole number in decimal digits.
    pub(super) fn id(self, name: &str) -> Result<Cow<'line, str>, String> {
        match self {
            Self::Text(text) if text.is_empty() => Err(format!("\"{name}\" is empty")),
            Self::Text(text) => Ok(text),
            Self::Whole(number) => Ok(Cow::Owned(number.to_string())),
            _ => Err(format!("\"{name}\" must be a string or a whole number")),
        }
    }

    /// The value as a label; `None` of lists, objects and null, and of a text that is no label.
    fn label(self) -> Option<String> {
        let label = match self {
            Self::Text(text) => text.into_owned(),
            Self::Whole(number) => number.to_string(),
            Self::Fraction(number) => number.to_string(),
            Self::Bool(truth) => truth.to_string(),
            Self::Null | Self::List(_) | Self::Object(_) => return None,
        };
        is_label(&label).then_some(label)
    }
}

/// Returns true if a value is neither empty nor too long to be a label.
pub(super) fn is_label(value: &str) -> bool {
    (1..=MAX_LABEL_BYTES).contains(&value.len())
}

impl<'de> Deserialize<'de> for Json<'de> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(AnyValue)
    }
}

struct AnyValue;

impl<'de> Visitor<'de> for AnyValue {
    type Value = Json<'de>;

    fn expecting(&self, out: &mut Formatter<'_>) -> fmt::Result {
        out.write_str("any JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json<'de>, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Json<'de>, E> {
        Ok(Json::Bool(value))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Json<'de>, E> {
        Ok(Json::Whole(value.into()))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Json<'de>, E> {
        Ok(Json::Whole(value.into()))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Json<'de>, E> {
        Ok(Json::Fraction(value))
    }

    fn visit_borrowed_str<E>(self, value: &'de str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Borrowed(value)))
    }

    fn visit_str<E>(self, value: &str) -> Result<Json<'de>, E> {
        Ok(Json::Text(Cow::Owned(value.to_owned())))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Json<'de>, A::Error> {
        let mut list = Vec::new();
        while let Some(item) = items.next_element()? {
            list.push(item);
        }
        Ok(Json::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Json<'de>, A::Error> {
        let mut fields = Vec::new();
        // The name is read as a `Json` too, because a `Cow` would always be owned.
        while let Some((name, value)) = entries.next_entry::<Json<'de>, Json<'de>>()? {
            if let Some(name) = name.text() {
                fields.push((name, value));
            }
        }
        Ok(Json::Object(Object(fields)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_texts_are_borrowed_and_escaped_ones_read() {
        let mut line = object(r#"{"a": "plain", "b": "t\u0077o", "c": 7, "c": 8}"#).unwrap();
        assert!(matches!(line.text("a"), Ok(Cow::Borrowed("plain"))));
        assert_eq!(line.text("b").unwrap(), "two");
        assert_eq!(line.take("c").unwrap().id("c").unwrap(), "8", "the last one, as elsewhere");
        assert_eq!(line.text("c").unwrap_err(), "\"c\" must be a string");
        assert_eq!(line.text("d").unwrap_err(), "\"d\" is missing");
    }

    #[test]
    fn nothing_wrong_is_quoted() {
        assert_eq!(object("[\"secret\"]").unwrap_err(), "must be a JSON object");
        assert_eq!(object("{\"a\": secret}").unwrap_err(), "is not valid JSON (byte 7)");
        assert_eq!(object("{\"a\": 1} secret").unwrap_err(), "is not valid JSON (byte 10)");
        assert_eq!(object("{\"a\": NaN}").unwrap_err(), "is not valid JSON (byte 7: NaN; write null)");
        let deep = format!("{{\"a\":{}{}}}", "[".repeat(100_000), "]".repeat(100_000));
        assert_eq!(object(&deep).unwrap_err(), "is nested more than 127 levels deep");
    }

    #[test]
    fn labels_are_short_and_single_values() {
        let line = format!(
            r#"{{"metadata": {{"a": "x", "b": 2, "c": true, "d": [1], "e": null, "f": "", "g": "{:200}"}}}}"#,
            ""
        );
        let labels = object(&line).unwrap().labels();
        let labels: Vec<_> = labels.iter().map(|(name, value)| format!("{name}={value}")).collect();
        assert_eq!(labels, ["a=x", "b=2", "c=true"]);
        assert!(object(r#"{"metadata": "x"}"#).unwrap().labels().is_empty());
    }
}
