//! What a document that is not a plain string says: which text of an object is scored.
//!
//! 1. with `rank_fields`: the values of those fields in that order, a line each; a field may be a path (`metadata.title`);
//! 2. `text`, or `page_content`, as LangChain's documents have it;
//! 3. the `text` parts of `content` (`[{"type": "text", "text": "…"}]`, the multimodal form of vLLM);
//! 4. the whole object, laid out as [`super::layout`] says.
//!
//! Pictures are left out of all of them ([`super::pictures`]). `null` is a blank passage; a number and a truth value
//! are the text that they are written as. The result is a function of the document alone, so the same document is the
//! same pair in the cache.

use std::borrow::Cow;

use bytestring::ByteString;
use serde::Deserialize;

use super::document::{Document, ReadDocument};
use super::layout::{Layout, laid_out};
use super::picture_warning::PictureWarning;
use super::pictures;
use super::rank_fields::RankFields;
use super::raw::{self, Raw, is_null, kind, name_of, wrong};
use super::read::out_of_time;
use crate::error::Error;
use crate::rerank::request::{Passage, PassageObject, RerankRequest};
use crate::text::{ForeignWord, foreign_word, has_half};

/// How documents are read.
pub(super) struct PassageRules<'a> {
    /// The fields of an object to score; none means what the module says.
    pub(super) rank_fields: RankFields,
    /// Whether a document may be a list.
    pub(super) lists: bool,
    /// Whether anybody still waits, which is asked before each document that is not a plain string.
    pub(super) is_wanted: &'a dyn Fn() -> bool,
}

/// Documents, read.
#[derive(Debug, Default, PartialEq)]
pub struct PassageList {
    /// The passages, in the client's order.
    pub passages: Vec<Passage>,
    /// What could not be read as it was sent, in a sentence each.
    pub warnings: Vec<String>,
}

impl PassageList {
    /// The request with these passages, and with what is to be told of them behind what is to be told of it.
    pub(super) fn added_to(self, request: RerankRequest) -> RerankRequest {
        let mut warnings = request.warnings;
        warnings.extend(self.warnings);
        RerankRequest { passages: self.passages, warnings, ..request }
    }
}

/// A document, read.
struct Found {
    passage: Passage,
    /// Whether it had what was looked for.
    has_fields: bool,
    /// Whether it holds a picture.
    has_picture: bool,
}

/// What of a document or of a query is read.
#[derive(Default)]
pub(super) struct Words {
    pub(super) text: ByteString,
    /// Whether there was a picture.
    pub(super) has_picture: bool,
}

impl PassageRules<'_> {
    /// Reads the documents at `pointer`.
    ///
    /// # Errors
    /// `invalid_request` that names the document, or `rank_fields` if no object has any of them; `deadline_exceeded` if
    /// nobody waits any more.
    pub(super) fn read(&self, body: &ByteString, items: &[Raw<'_>], pointer: &str) -> Result<PassageList, Error> {
        let has_pictures_inside = pictures::may_be_inside(body);
        let mut passages = Vec::with_capacity(items.len());
        let mut pictures = PictureWarning::default();
        let mut found = false;
        let mut missed = false;
        for (index, raw) in items.iter().enumerate() {
            let literal = raw.get();
            if let Some(text) = plain(literal)
                && !(has_pictures_inside && pictures::may_be_inside(text))
            {
                // The usual case, kept free of formatting.
                passages.push(Passage { text: body.slice_ref(text), object: None });
                continue;
            }
            if !(self.is_wanted)() {
                return Err(out_of_time());
            }
            let read = self.passage(body, raw, &format!("{pointer}/{index}"))?;
            found |= read.has_fields && read.passage.object.is_some();
            missed |= !read.has_fields;
            if read.has_picture {
                pictures.note(index, &read.passage.text);
            }
            passages.push(read.passage);
        }
        if missed && !found {
            let message = format!("none of the {} has any of the fields in rank_fields", name_of(pointer));
            return Err(Error::invalid_field("/rank_fields", message));
        }
        let list = name_of(pointer);
        let warning = pictures.told(&list, |index| format!("{list}[{index}]"));
        Ok(PassageList { passages, warnings: warning.into_iter().collect() })
    }

    fn passage(&self, body: &ByteString, raw: Raw<'_>, pointer: &str) -> Result<Found, Error> {
        let literal = raw.get();
        let kind = kind(raw);
        if matches!(kind, "an object" | "a list") {
            raw::check_nesting(literal, pointer)?;
            if has_half(literal) {
                // Also where it is only sent back: not every reader of JSON takes it.
                return Err(raw::half_surrogate(pointer));
            }
        }
        match kind {
            "an object" => self.object(body, literal, pointer),
            "a list" if self.lists => {
                let Words { text, has_picture } = list_words(body, raw, pointer)?;
                let object = PassageObject { id: None, source: body.slice_ref(literal), has_text: true };
                Ok(Found { passage: Passage { text, object: Some(Box::new(object)) }, has_fields: true, has_picture })
            }
            "a list" => match parts(body, raw, pointer)? {
                Some(Words { text, has_picture }) => {
                    Ok(Found { passage: Passage { text, object: None }, has_fields: true, has_picture })
                }
                None => Err(wrong(pointer, raw, "a string or an object")),
            },
            _ => {
                let Words { text, has_picture } = single_words(body, raw, pointer)?;
                Ok(Found { passage: Passage { text, object: None }, has_fields: true, has_picture })
            }
        }
    }

    fn object(&self, body: &ByteString, literal: &str, pointer: &str) -> Result<Found, Error> {
        let document: Document<'_> = raw::object_by(ReadDocument(&self.rank_fields), body, literal, pointer)?;
        let words = if self.rank_fields.is_empty() {
            Some(match text_of(body, &document, pointer)? {
                Some(words) => words,
                None => whole(&document, literal, pointer)?,
            })
        } else {
            self.ranked_words(&document, pointer)?
        };
        let object = PassageObject {
            id: document.id.filter(|id| !is_null(id)).map(|id| body.slice_ref(id.get())),
            source: body.slice_ref(literal),
            has_text: document.text.is_some_and(|text| kind(text) == "a string"),
        };
        let has_fields = words.is_some();
        let Words { text, has_picture } = words.unwrap_or_default();
        Ok(Found { passage: Passage { text, object: Some(Box::new(object)) }, has_fields, has_picture })
    }

    /// The values of the named fields, a line each. Fields that are missing are left out; `None` if all are.
    fn ranked_words(&self, document: &Document<'_>, pointer: &str) -> Result<Option<Words>, Error> {
        let mut lines = Vec::new();
        let mut has_picture = false;
        let mut has_fields = false;
        for (name, value) in self.rank_fields.named(&document.ranked) {
            has_fields = true;
            if pictures::is_file_in(name, value.get()) {
                has_picture = true;
                continue;
            }
            let Layout { text, pictures } = laid_out_at(value.get(), pointer)?;
            has_picture |= pictures > 0;
            if pictures == 0 || !text.is_empty() {
                lines.push(text);
            }
        }
        Ok(has_fields.then(|| Words { text: lines.join("\n").into(), has_picture }))
    }
}

/// A document by itself.
pub(crate) struct LoneDocument {
    pub(crate) passage: Passage,
    /// Whether it holds a picture, which is left out of its text.
    pub(crate) has_picture: bool,
}

/// A text by itself.
pub(crate) fn plain_document(text: ByteString) -> LoneDocument {
    let Words { text, has_picture } = without_file(text);
    LoneDocument { passage: Passage { text, object: None }, has_picture }
}

/// Reads a document by itself, which must be a JSON object. Errors call it `name`.
///
/// # Errors
/// What is wrong with it.
pub(crate) fn document(json: &ByteString, name: &str) -> Result<LoneDocument, String> {
    let raw =
        serde_json::from_str::<Raw<'_>>(json).map_err(|error| match foreign_word(json.as_bytes(), error.column()) {
            Some(ForeignWord { word, column, instead }) => {
                format!("{name}, column {column}: {word} is not JSON; write {instead}")
            }
            None => format!("{name} must be a JSON object"),
        })?;
    if kind(raw) != "an object" {
        return Err(format!("{name} must be a JSON object"));
    }
    let rules = PassageRules { rank_fields: RankFields::default(), lists: false, is_wanted: &|| true };
    let read = rules.passage(json, raw, &format!("/{name}")).map_err(|error| error.message)?;
    Ok(LoneDocument { passage: read.passage, has_picture: read.has_picture })
}

/// The words of a query: of a string, a number or a truth value, or of an object with a text.
///
/// # Errors
/// `invalid_request` for anything else, and for a picture alone.
pub(super) fn query_words(body: &ByteString, raw: Raw<'_>, pointer: &str) -> Result<Words, Error> {
    match kind(raw) {
        "an object" => {
            let document: Document<'_> =
                raw::object_by(ReadDocument(&RankFields::default()), body, raw.get(), pointer)?;
            match text_of(body, &document, pointer)? {
                Some(words) => about_text(words, pointer),
                None if document.has_picture || document.is_picture => Err(picture_query(pointer)),
                None => Err(Error::invalid_field(pointer, format!("{} has no text", name_of(pointer)))),
            }
        }
        "a list" | "null" => Err(wrong(pointer, raw, "a string")),
        _ => plain_query_words(raw::single(body, raw, pointer)?, pointer),
    }
}

/// The words of a query that is a text.
///
/// # Errors
/// `invalid_request` if it is a picture alone.
pub(super) fn plain_query_words(query: ByteString, pointer: &str) -> Result<Words, Error> {
    about_text(without_file(query), pointer)
}

fn about_text(words: Words, pointer: &str) -> Result<Words, Error> {
    if words.has_picture && words.text.trim().is_empty() { Err(picture_query(pointer)) } else { Ok(words) }
}

fn picture_query(pointer: &str) -> Error {
    Error::invalid_field(pointer, format!("{} is a picture; only text can be searched for", name_of(pointer)))
}

/// The text between the quotes of a string that needs no second look: neither escapes nor the looks of a file.
fn plain(literal: &str) -> Option<&str> {
    let text = literal.strip_prefix('"')?.strip_suffix('"')?;
    (memchr::memchr(b'\\', text.as_bytes()).is_none() && !pictures::is_file(text)).then_some(text)
}

/// The words of a single value; `null` has none.
fn single_words(body: &ByteString, raw: Raw<'_>, pointer: &str) -> Result<Words, Error> {
    if is_null(raw) {
        return Ok(Words::default());
    }
    raw::single(body, raw, pointer).map(without_file)
}

/// The words of a text that may be a picture, or hold some.
fn without_file(text: ByteString) -> Words {
    let words = match pictures::words_beside(&text) {
        None => None,
        Some(Cow::Borrowed(words)) => Some(text.slice_ref(words)),
        Some(Cow::Owned(words)) => Some(words.into()),
    };
    let has_picture = words.is_some();
    Words { text: words.unwrap_or(text), has_picture }
}

/// The `text` of an object, or that of its `content`.
fn text_of(body: &ByteString, document: &Document<'_>, pointer: &str) -> Result<Option<Words>, Error> {
    let beside = |words: Words| Words { has_picture: words.has_picture | document.has_picture, ..words };
    if let Some(text) = document.text.filter(|text| !is_null(text)) {
        return single_words(body, text, &format!("{pointer}/text")).map(|words| Some(beside(words)));
    }
    if let Some(text) = document.page_content.filter(|text| kind(text) == "a string") {
        return single_words(body, text, &format!("{pointer}/page_content")).map(|words| Some(beside(words)));
    }
    match document.content.map(|content| parts(body, content, pointer)).transpose()?.flatten() {
        Some(words) => Ok(Some(beside(words))),
        None => Ok(None),
    }
}

/// One part of a multimodal document.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<Raw<'a>>,
}

/// The words of a list of parts; a part that has none is a picture. `None` if it is no such list.
fn parts(body: &ByteString, list: Raw<'_>, pointer: &str) -> Result<Option<Words>, Error> {
    let Ok(parts) = serde_json::from_str::<Vec<Part<'_>>>(list.get()) else { return Ok(None) };
    if parts.is_empty() {
        return Ok(None);
    }
    let mut texts = Vec::new();
    let mut has_picture = false;
    for part in parts {
        let Some(text) = part.text else {
            has_picture |= !part.kind.ends_with("text");
            continue;
        };
        if matches!(kind(text), "an object" | "a list") {
            return Ok(None);
        }
        let words = single_words(body, text, pointer)?;
        has_picture |= words.has_picture;
        if !words.has_picture || !words.text.is_empty() {
            texts.push(words.text);
        }
    }
    Ok(Some(Words { text: texts.join("\n").into(), has_picture }))
}

/// The words of a document that is a list: of parts, if there is a picture among them, or of anything.
fn list_words(body: &ByteString, list: Raw<'_>, pointer: &str) -> Result<Words, Error> {
    if let Some(words) = parts(body, list, pointer)?.filter(|words| words.has_picture) {
        return Ok(words);
    }
    let Layout { text, pictures } = laid_out_at(list.get(), pointer)?;
    Ok(Words { text: text.into(), has_picture: pictures > 0 })
}

fn whole(document: &Document<'_>, literal: &str, pointer: &str) -> Result<Words, Error> {
    if document.is_picture {
        return Ok(Words { text: ByteString::new(), has_picture: true });
    }
    let Layout { text, pictures } = laid_out_at(literal, pointer)?;
    Ok(Words { text: text.into(), has_picture: pictures > 0 })
}

fn laid_out_at(json: &str, pointer: &str) -> Result<Layout, Error> {
    laid_out(json).ok_or_else(|| raw::half_surrogate(pointer))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::fields::Fields;
    use super::super::{Dialect, mixedbread};
    use super::*;

    /// JSON of any form, in which any text may be a picture.
    fn with_pictures() -> impl Strategy<Value = serde_json::Value> {
        let url = format!("data:image/png;base64,{}", "QUJD".repeat(30));
        let leaf = prop_oneof![Just(json!("words")), Just(json!(url)), Just(json!(7))];
        let name = prop_oneof!["[a-c]", Just("type".to_owned()), Just("text".to_owned()), Just("content".to_owned())];
        leaf.prop_recursive(10, 40, 4, move |inner| {
            prop_oneof![
                proptest::collection::vec(inner.clone(), 0..4).prop_map(Into::into),
                proptest::collection::btree_map(name.clone(), inner, 0..4)
                    .prop_map(|fields| serde_json::Value::Object(fields.into_iter().collect())),
            ]
        })
    }

    proptest! {
        #[test]
        fn no_picture_is_sent_wherever_it_stands(document in with_pictures(), ranked in any::<bool>()) {
            let rank_fields: &[&str] = if ranked { &["a", "b.c", "a.type", "text"] } else { &[] };
            let body = json!({ "query": "q", "input": ["x", document], "rank_fields": rank_fields }).to_string();
            let body = ByteString::from(body);
            if let Ok(request) = mixedbread::Mixedbread.decode(&Fields::read(&body).unwrap()) {
                let text = &request.passages[1].text;
                prop_assert!(!text.contains("QUJDQUJD") && !text.contains("base64"), "{}", text);
            }
        }
    }
}
