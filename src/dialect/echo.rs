//! Documents that are sent back with their results.

use rerankd_core::types::passages::Passage;
use serde::Serialize;
use serde_json::value::RawValue;

use super::document::Entries;
use super::raw_json;

/// The form in which a document is sent back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DocumentForm {
    /// The object as it came, or `{"text": …}` for a string.
    Object,
    /// An object that always has a `text`, because clients read it without checking.
    WithText,
    /// The text that was scored.
    Text,
}

/// A document that is sent back.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Document<'a> {
    /// The object as it came.
    Object(&'a RawValue),
    /// The object as it came, with the text that was scored as its `text`.
    Extended(Box<RawValue>),
    /// An object with nothing but the text that was scored.
    Wrapped { text: &'a str },
    /// The text that was scored.
    Text(&'a str),
}

impl DocumentForm {
    /// The document of `passage` in this form.
    pub(super) fn of(self, passage: Passage<'_>) -> Document<'_> {
        let wrapped = Document::Wrapped { text: passage.text };
        match (self, passage.object) {
            (Self::Text, _) => Document::Text(passage.text),
            (_, None) => wrapped,
            (Self::WithText, Some(object)) if !object.has_text => match with_text(&object.source, passage.text) {
                Some(extended) => Document::Extended(extended),
                None => wrapped,
            },
            (_, Some(object)) => match raw_json(&object.source) {
                Some(source) => Document::Object(source),
                None => wrapped,
            },
        }
    }
}

/// The JSON of an object with `text` as its first field. A `text` that it has already is dropped.
fn with_text(source: &str, text: &str) -> Option<Box<RawValue>> {
    let Entries(entries) = serde_json::from_str(source).ok()?;
    let mut json = format!("{{\"text\":{}", serde_json::to_string(text).ok()?);
    for (name, value) in &entries {
        if name == "text" {
            // It is not a string, or the object would be sent back as it came.
            continue;
        }
        json.push_str(&format!(",{}:{}", serde_json::to_string(name).ok()?, value.get()));
    }
    json.push('}');
    RawValue::from_string(json).ok()
}
