//! Documents that are sent back with their results.

use serde::Serialize;
use serde_json::value::RawValue;

use super::document::Entries;
use super::raw_json;
use crate::rerank::request::Passage;

/// How a document looks that is sent back.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DocumentForm {
    /// The object as it came, or `{"text": …}`.
    Object,
    /// An object that has a `text` whatever came: clients read it unasked.
    WithText,
    /// The text.
    Text,
}

/// A document that is sent back.
#[derive(Serialize)]
#[serde(untagged)]
pub(super) enum Document<'a> {
    /// As it came.
    Object(&'a RawValue),
    /// As it came, and the text that was scored.
    Extended(Box<RawValue>),
    /// The text of a plain string, as an object.
    Wrapped {
        /// The text.
        text: &'a str,
    },
    /// The text.
    Text(&'a str),
}

impl DocumentForm {
    /// The document of `passage` in this form.
    pub(super) fn of(self, passage: &Passage) -> Document<'_> {
        let wrapped = Document::Wrapped { text: &passage.text };
        match (self, passage.object.as_deref()) {
            (Self::Text, _) => Document::Text(&passage.text),
            (_, None) => wrapped,
            (Self::WithText, Some(object)) if !object.has_text => {
                with_text(&object.source, &passage.text).map_or(wrapped, Document::Extended)
            }
            (_, Some(object)) => raw_json(&object.source).map_or(wrapped, Document::Object),
        }
    }
}

/// The JSON of an object with `text` in front, in place of one that it may have.
fn with_text(source: &str, text: &str) -> Option<Box<RawValue>> {
    let Entries(entries) = serde_json::from_str(source).ok()?;
    let mut json = format!("{{\"text\":{}", serde_json::to_string(text).ok()?);
    for (name, value) in entries.iter().filter(|(name, _)| name != "text") {
        json.push_str(&format!(",{}:{}", serde_json::to_string(name).ok()?, value.get()));
    }
    json.push('}');
    RawValue::from_string(json).ok()
}
