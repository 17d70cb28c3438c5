//! JSON objects, one a line, borrowed from the line where they can be.
//!
//! What serde says of a value of the wrong type quotes it, and values are passages. Here everything is taken in, and each field
//! says for itself what it must be.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt::{self, Formatter};
use std::path::Path;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};

use super::error::CollectionError;
use super::lines::each_line;
use crate::text::{ForeignWord, foreign_word, with_halves_replaced};

/// Longer values of `metadata` are texts, not labels; in bytes.
const LONGEST_LABEL: usize = 100;

/// Any JSON value.
#[derive(Debug, PartialEq)]
pub(super) enum Json<'line> {
    Null,
    Bool(bool),
    /// A number without a fraction.
    Whole(i128),
    /// Any other number.
    Fraction(f64),
    Text(Cow<'line, str>),
    List(Vec<Json<'line>>),
    Object(Object<'line>),
}

/// The fields of an object, as they came.
#[derive(Debug, PartialEq)]
pub(super) struct Object<'line>(pub(super) Vec<(Cow<'line, str>, Json<'line>)>);

/// Calls `each` with the object of every line that is not blank and the line's number. Says in how many lines half of a
/// surrogate pair was read as U+FFFD.
pub(super) fn each_object(
    path: &Path,
    mut each: impl FnMut(usize, Object<'_>) -> Result<(), String>,
) -> Result<usize, CollectionError> {
    let mut replaced_lines = 0;
    each_line(path, |number, line| match with_halves_replaced(line) {
        None => each(number, object(line)?),
        Some((line, _)) => {
            replaced_lines += 1;
            each(number, object(&line)?)
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

fn fault(line: &str, error: &serde_json::Error) -> String {
    if let Some(ForeignWord { word, column, instead }) = foreign_word(line.as_bytes(), error.column()) {
        return format!("is not valid JSON (byte {column}: {word}; write {instead})");
    }
    // serde_json says no more than this.
    if error.to_string().starts_with("recursion limit exceeded") {
        return "is nested more than 127 levels deep".to_owned();
    }
    format!("is not valid JSON (byte {})", error.column())
}

impl<'line> Object<'line> {
    /// Takes a field out; the last one, should there be several of this name.
    pub(super) fn take(&mut self, name: &str) -> Option<Json<'line>> {
        let at = self.0.iter().rposition(|(field, _)| field == name)?;
        Some(self.0.remove(at).1)
    }

    /// A field that must be there.
    pub(super) fn need(&mut self, name: &str) -> Result<Json<'line>, String> {
        self.take(name).ok_or_else(|| format!("\"{name}\" is missing"))
    }

    /// A text that must be there.
    pub(super) fn text(&mut self, name: &str) -> Result<Cow<'line, str>, String> {
        self.need(name)?.text().ok_or_else(|| format!("\"{name}\" must be a string"))
    }

    /// A text that holds more than blanks.
    pub(super) fn written_text(&mut self, name: &str) -> Result<Cow<'line, str>, String> {
        let text = self.text(name)?;
        if text.trim().is_empty() { Err(format!("\"{name}\" is blank")) } else { Ok(text) }
    }

    /// A text that may be missing, or null.
    pub(super) fn optional_text(&mut self, name: &str) -> Result<Cow<'line, str>, String> {
        match self.take(name) {
            None | Some(Json::Null) => Ok(Cow::Borrowed("")),
            Some(value) => value.text().ok_or_else(|| format!("\"{name}\" must be a string")),
        }
    }

    /// The short values of the object `metadata`; none if it is missing or something else.
    pub(super) fn labels(&mut self) -> BTreeMap<String, String> {
        let Some(Json::Object(Object(fields))) = self.take("metadata") else { return BTreeMap::new() };
        fields.into_iter().filter_map(|(name, value)| Some((name.into_owned(), value.label()?))).collect()
    }
}

impl<'line> Json<'line> {
    fn text(self) -> Option<Cow<'line, str>> {
        if let Self::Text(text) = self { Some(text) } else { None }
    }

    /// An id: a text, or a whole number as it is written.
    pub(super) fn id(self, name: &str) -> Result<Cow<'line, str>, String> {
        match self {
            Self::Text(text) if text.is_empty() => Err(format!("\"{name}\" is empty")),
            Self::Text(text) => Ok(text),
            Self::Whole(number) => Ok(Cow::Owned(number.to_string())),
            _ => Err(format!("\"{name}\" must be a string or a whole number")),
        }
    }

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

/// Whether a value is short enough to be a label.
pub(super) fn is_label(value: &str) -> bool {
    (1..=LONGEST_LABEL).contains(&value.len())
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
        while let Some((name, value)) = entries.next_entry::<Json<'de>, Json<'de>>()? {
            fields.extend(name.text().map(|name| (name, value)));
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
