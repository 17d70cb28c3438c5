//! What a document that is not a plain string says: which text of an object is scored.
//!
//! 1. with `rank_fields`: the values of those fields in that order, a line each; a field may be a path (`metadata.title`);
//! 2. `text`, or `page_content`, as LangChain's documents have it;
//! 3. the `text` parts of `content` (`[{"type": "text", "text": "…"}]`, the multimodal form of vLLM);
//! 4. the whole object, laid out as [`super::layout`] says.
//!
//! The result is a function of the document alone, so the same document is the same pair in the cache.

use std::borrow::Cow;

use bytestring::ByteString;
use serde::Deserialize;
use serde::de::{Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;

use super::layout::laid_out;
use super::raw::{self, Raw, is_null, kind, name_of, wrong};
use crate::error::Error;
use crate::rerank::request::{Passage, PassageObject};

/// How documents are read.
pub(super) struct PassageRules {
    /// The fields of an object to score; none means what the module says.
    pub(super) rank_fields: Vec<ByteString>,
    /// Whether a document may be a list.
    pub(super) lists: bool,
}

/// A passage, and whether it had what was looked for.
struct Found(Passage, bool);

/// The fields of a document that is an object.
#[derive(Deserialize)]
struct Document<'a> {
    #[serde(borrow)]
    id: Option<Raw<'a>>,
    #[serde(borrow)]
    text: Option<Raw<'a>>,
    #[serde(borrow)]
    page_content: Option<Raw<'a>>,
    #[serde(borrow)]
    content: Option<Raw<'a>>,
}

impl PassageRules {
    /// Reads the documents at `pointer`.
    ///
    /// # Errors
    /// `invalid_request` that names the document, or `rank_fields` if no object has any of them.
    pub(super) fn read(&self, body: &ByteString, items: &[Raw<'_>], pointer: &str) -> Result<Vec<Passage>, Error> {
        let (mut passages, mut found, mut missed) = (Vec::with_capacity(items.len()), false, false);
        for (index, raw) in items.iter().enumerate() {
            let literal = raw.get();
            if literal.starts_with('"') && !literal.as_bytes().contains(&b'\\') {
                // The usual case, kept free of formatting.
                passages.push(Passage { text: body.slice_ref(&literal[1..literal.len() - 1]), object: None });
                continue;
            }
            let Found(passage, has_fields) = self.passage(body, raw, &format!("{pointer}/{index}"))?;
            found |= has_fields && passage.object.is_some();
            missed |= !has_fields;
            passages.push(passage);
        }
        if missed && !found {
            let message = format!("none of the {} has any of the fields in rank_fields", name_of(pointer));
            return Err(Error::invalid_field("/rank_fields", message));
        }
        Ok(passages)
    }

    fn passage(&self, body: &ByteString, raw: Raw<'_>, pointer: &str) -> Result<Found, Error> {
        let literal = raw.get();
        let object = |id: Option<Raw<'_>>, has_text| {
            let id = id.filter(|id| !is_null(id)).map(|id| body.slice_ref(id.get()));
            Some(Box::new(PassageObject { id, source: body.slice_ref(literal), has_text }))
        };
        match kind(raw) {
            "a string" => Ok(Found(Passage { text: raw::text(body, raw, pointer)?, object: None }, true)),
            "an object" => {
                let document: Document<'_> = raw::object(literal, pointer)?;
                let text = match &self.rank_fields[..] {
                    [] => Some(match text_of(body, &document, pointer)? {
                        Some(text) => text,
                        None => whole(literal, pointer)?,
                    }),
                    names => ranked_text(literal, names, pointer)?,
                };
                let object = object(document.id, document.text.is_some_and(|text| !is_null(text)));
                let has_fields = text.is_some();
                Ok(Found(Passage { text: text.unwrap_or_default(), object }, has_fields))
            }
            "a list" if self.lists => {
                Ok(Found(Passage { text: laid_out_at(literal, pointer)?, object: object(None, true) }, true))
            }
            _ => Err(wrong(pointer, raw, "a string or an object")),
        }
    }
}

/// A document by itself: a JSON object. `None` if it is anything else.
pub(crate) fn document(json: &ByteString) -> Option<Passage> {
    let raw: Raw<'_> = serde_json::from_str(json).ok()?;
    let rules = PassageRules { rank_fields: Vec::new(), lists: false };
    rules.passage(json, raw, "").ok().map(|Found(passage, _)| passage).filter(|passage| passage.object.is_some())
}

/// The text of a query: a string, or an object with a text.
///
/// # Errors
/// `invalid_request` for anything else.
pub(super) fn query_text(body: &ByteString, raw: Raw<'_>, pointer: &str) -> Result<ByteString, Error> {
    match kind(raw) {
        "an object" => {
            let document: Document<'_> = raw::object(raw.get(), pointer)?;
            let none = || Error::invalid_field(pointer, format!("{} has no text", name_of(pointer)));
            text_of(body, &document, pointer)?.ok_or_else(none)
        }
        "a string" => raw::text(body, raw, pointer),
        _ => Err(wrong(pointer, raw, "a string")),
    }
}

/// The `text` of an object, or that of its `content`.
fn text_of(body: &ByteString, document: &Document<'_>, pointer: &str) -> Result<Option<ByteString>, Error> {
    if let Some(text) = document.text.filter(|text| !is_null(text)) {
        return raw::text(body, text, &format!("{pointer}/text")).map(Some);
    }
    if let Some(text) = document.page_content.filter(|text| kind(text) == "a string") {
        return raw::text(body, text, &format!("{pointer}/page_content")).map(Some);
    }
    let parts = document.content.and_then(|content| serde_json::from_str::<Vec<Part<'_>>>(content.get()).ok());
    let Some(parts) = parts.filter(|parts| !parts.is_empty()) else { return Ok(None) };
    let texts: Option<Vec<_>> = parts.iter().map(|part| part.text.as_deref()).collect();
    texts.map(|texts| Some(texts.join("\n").into())).ok_or_else(|| not_text(pointer))
}

/// One part of a multimodal document.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "type", borrow)]
    _kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<Cow<'a, str>>,
}

fn not_text(pointer: &str) -> Error {
    Error::invalid_field(pointer, format!("{} holds an image; only text can be scored", name_of(pointer)))
}

fn whole(literal: &str, pointer: &str) -> Result<ByteString, Error> {
    let Entries(entries) = raw::object(literal, pointer)?;
    let is_image = |name: &str| matches!(name, "image" | "image_url");
    let is_all = entries.iter().all(|(name, _)| is_image(name) || name == "type");
    if is_all && entries.iter().any(|(name, _)| is_image(name)) {
        return Err(not_text(pointer));
    }
    laid_out_at(literal, pointer)
}

/// The values of the named fields, a line each. Fields that are missing are left out; `None` if all are.
fn ranked_text(literal: &str, names: &[ByteString], pointer: &str) -> Result<Option<ByteString>, Error> {
    let Entries(entries) = raw::object(literal, pointer)?;
    let values: Vec<_> = names.iter().filter_map(|name| field(&entries, name)).collect();
    let lines: Vec<_> = values.iter().map(|value| laid_out_at(value, pointer)).collect::<Result<_, _>>()?;
    Ok((!lines.is_empty()).then(|| lines.join("\n").into()))
}

/// The JSON of the field of this name, or of the one that a path of names with dots leads to.
fn field<'a>(entries: &[(Cow<'a, str>, Raw<'a>)], name: &str) -> Option<&'a str> {
    let exact = |entries: &[(Cow<'a, str>, Raw<'a>)], name: &str| {
        entries.iter().find(|(known, _)| known == name).map(|(_, raw)| *raw).filter(|raw| !is_null(raw))
    };
    let (mut value, mut rest) = match exact(entries, name) {
        Some(raw) => return Some(raw.get()),
        None => name.split_once('.').and_then(|(outer, rest)| Some((exact(entries, outer)?, rest)))?,
    };
    loop {
        let Entries(entries) = serde_json::from_str(value.get()).ok()?;
        if let Some(raw) = exact(&entries, rest) {
            return Some(raw.get());
        }
        let (outer, inner) = rest.split_once('.')?;
        (value, rest) = (exact(&entries, outer)?, inner);
    }
}

fn laid_out_at(json: &str, pointer: &str) -> Result<ByteString, Error> {
    laid_out(json).map(ByteString::from).ok_or_else(|| raw::half_surrogate(pointer))
}

/// All fields of an object, in their order.
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

/// A name, borrowed where it holds no escapes.
#[derive(Deserialize)]
struct Name<'a>(#[serde(borrow)] Cow<'a, str>);
