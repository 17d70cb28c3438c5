//! A document that is an object, read in one pass.

use std::borrow::Cow;

use rerankd_core::error::Error;
use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::pictures;
use super::rank_fields::{FoundFields, RankFields};
use super::raw::{self, JsonIn, JsonKind, Raw, RepeatedField, is_null};
use super::scan::each_field;

/// The fields of an object that decide its text and its id. Values are raw slices of the body. `null` is kept too,
/// so that a field that stands there again is found.
#[derive(Default)]
pub(super) struct Document<'a> {
    pub(super) id: Option<Raw<'a>>,
    pub(super) text: Option<Raw<'a>>,
    pub(super) page_content: Option<Raw<'a>>,
    pub(super) content: Option<Raw<'a>>,
    /// The fields that `rank_fields` names.
    pub(super) ranked: FoundFields<'a>,
    /// True if a field of the object itself holds a picture. The address of a picture is a text and does not count.
    pub(super) has_picture: bool,
    /// True if the object holds nothing but a picture, or its address, and perhaps fields that describe it.
    pub(super) is_picture: bool,
}

impl<'a> Document<'a> {
    /// Reads an object, in which `rank_fields` are looked for.
    ///
    /// # Errors
    /// `invalid_json` with line and column; `invalid_request` if a field of [`Document`] appears twice or the value is
    /// not an object.
    pub(super) fn read(rank_fields: &RankFields, at: JsonIn<'a>) -> Result<Self, Error> {
        if let Some(document) = Self::scanned(rank_fields, at.json) {
            return Ok(document);
        }
        let repeated = RepeatedField::default();
        raw::object(ReadDocument { rank_fields, repeated: &repeated }, &repeated, at)
    }

    /// The same of JSON that is one value. `None` if it has a fault, which `serde_json` is then asked to name.
    fn scanned(rank_fields: &RankFields, json: &'a str) -> Option<Self> {
        let mut reading = Reading::new(rank_fields);
        each_field(json, |name, value| reading.note(&name, value).ok())?;
        Some(reading.done())
    }
}

/// A document of which some fields have been read.
struct Reading<'f, 'a> {
    rank_fields: &'f RankFields,
    document: Document<'a>,
    /// True if a field holds a picture or its address.
    has_media: bool,
    /// True if a field holds something else than a picture and what describes it.
    has_words: bool,
}

impl<'f, 'a> Reading<'f, 'a> {
    fn new(rank_fields: &'f RankFields) -> Self {
        let document = Document { ranked: rank_fields.nothing_found(), ..Document::default() };
        Self { rank_fields, document, has_media: false, has_words: false }
    }

    /// Notes the next field. The error is the name of a field of [`Document`] that appears for the second time.
    fn note(&mut self, name: &str, value: Raw<'a>) -> Result<(), &'static str> {
        let document = &mut self.document;
        let known = match name {
            "id" => Some(("id", &mut document.id)),
            "text" => Some(("text", &mut document.text)),
            "page_content" => Some(("page_content", &mut document.page_content)),
            "content" => Some(("content", &mut document.content)),
            _ => None,
        };
        if let Some((field, slot)) = known
            && slot.replace(value).is_some()
        {
            return Err(field);
        }
        self.rank_fields.note(name, value, &mut document.ranked);
        let is_file = pictures::is_file_in(name, value.get());
        let is_media = is_file || pictures::is_media(name) && !is_null(value);
        // The address of a picture is a text that can be scored; an object or a list around it is not.
        document.has_picture |= is_file || is_media && JsonKind::of(value.get()).is_container();
        self.has_media |= is_media;
        self.has_words |= !is_media && !is_null(value) && !pictures::is_description(name);
        Ok(())
    }

    fn done(self) -> Document<'a> {
        Document { is_picture: self.has_media && !self.has_words, ..self.document }
    }
}

/// A seed that reads a [`Document`].
struct ReadDocument<'f> {
    rank_fields: &'f RankFields,
    repeated: &'f RepeatedField,
}

impl<'de> DeserializeSeed<'de> for ReadDocument<'_> {
    type Value = Document<'de>;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Self::Value, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for ReadDocument<'_> {
    type Value = Document<'de>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut reading = Reading::new(self.rank_fields);
        while let Some(Name(name)) = map.next_key::<Name<'de>>()? {
            reading.note(&name, map.next_value()?).map_err(|field| self.repeated.found(field))?;
        }
        Ok(reading.done())
    }
}

/// All fields of an object, in the order of the JSON. A name that appears twice is kept twice.
pub(super) struct Entries<'a>(pub(super) Vec<(Cow<'a, str>, &'a RawValue)>);

impl<'de: 'a, 'a> Deserialize<'de> for Entries<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_map(EntriesVisitor)
    }
}

struct EntriesVisitor;

impl<'de> Visitor<'de> for EntriesVisitor {
    type Value = Entries<'de>;

    fn expecting(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.write_str("an object")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
        let mut entries = Vec::new();
        while let Some((Name(name), value)) = map.next_entry()? {
            entries.push((name, value));
        }
        Ok(Entries(entries))
    }
}

/// The name of a field, borrowed from the JSON if it holds no escapes.
#[derive(Deserialize)]
pub(super) struct Name<'a>(#[serde(borrow)] pub(super) Cow<'a, str>);
