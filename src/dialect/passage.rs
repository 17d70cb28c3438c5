//! The text of a document that is not a plain string.
//!
//! An object is scored by the first of these texts that it has:
//!
//! 1. with `rank_fields`: those fields in that order, a line each; a field may be a path (`metadata.title`);
//! 2. `text`, or `page_content`, as LangChain's documents have it;
//! 3. the `text` parts of `content` (`[{"type": "text", "text": "…"}]`, the multimodal form of vLLM);
//! 4. the whole object, laid out as [`super::layout`] says.
//!
//! Pictures are left out of all of them ([`super::pictures`]). `null` is a blank passage; a number or a boolean is the
//! text it is written as. The text depends on the document alone, so equal documents are equal pairs in the cache.

use std::borrow::Cow;

use faststr::FastStr;
use rerankd_core::error::Error;
use rerankd_core::text::{ForeignWord, foreign_word, has_lone_surrogate};
use rerankd_core::types::passages::{OwnedPassage, PassageObject, Passages};
use rerankd_core::types::request::RerankRequest;
use serde::Deserialize;

use super::document::Document;
use super::entries::Items;
use super::layout::{Layout, to_yaml_text};
use super::picture_warning::PictureWarning;
use super::pictures;
use super::rank_fields::RankFields;
use super::raw::{self, JsonIn, JsonKind, Raw, is_null, name_of, wrong};
use super::read::out_of_time;

/// Bytes that a JSON string may be longer than its text and an eighth to be passed on as it came. Clients that write
/// every letter outside ASCII as an escape send twice the bytes, and limits on the size of calls count texts.
const MAX_ESCAPE_BYTES: usize = 16;

/// Rules by which the documents of one body are read.
pub(super) struct PassageRules<'a> {
    /// Fields of an object to score. If empty, the text is chosen as the module's documentation says.
    pub(super) rank_fields: RankFields,
    pub(super) lists: ListDocuments,
    /// Called before each document that is not a plain string. Returns false to end the reading.
    pub(super) is_wanted: &'a dyn Fn() -> bool,
}

/// The lists that may be documents.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListDocuments {
    /// Lists of multimodal parts, whose texts are scored and sent back.
    PartsOnly,
    /// All lists. They are laid out as text, unless they are parts with a picture, and sent back as they came.
    Any,
}

/// The passages of one request.
#[derive(Debug, Default, PartialEq)]
pub struct PassageList {
    /// The passages, in the client's order.
    pub passages: Passages,
    /// One sentence for each kind of content that could not be read as it was sent.
    pub warnings: Vec<String>,
}

impl PassageList {
    /// The request with these passages. The warnings of the passages follow those of the request.
    pub(super) fn added_to(self, request: RerankRequest) -> RerankRequest {
        let mut warnings = request.warnings;
        warnings.extend(self.warnings);
        RerankRequest { passages: self.passages, warnings, ..request }
    }
}

/// One document after reading.
struct ReadPassage {
    passage: OwnedPassage,
    /// True if it has at least one of the fields in `rank_fields`, or if none are asked for.
    has_fields: bool,
    /// True if a picture was left out of its text.
    has_picture: bool,
}

/// The text to score, without its pictures.
#[derive(Default)]
pub(super) struct Words {
    pub(super) text: FastStr,
    /// True if a picture was left out.
    pub(super) has_picture: bool,
}

impl PassageRules<'_> {
    /// Reads the documents at `pointer`.
    ///
    /// # Errors
    /// `invalid_request` with the name of the document, or of `rank_fields` if no object has any of them;
    /// `deadline_exceeded` once the request is no longer wanted.
    pub(super) fn read(&self, body: &FastStr, items: &Items<'_>, pointer: &str) -> Result<PassageList, Error> {
        let mut passages = Passages::of_body(body.clone(), items.len());
        let mut pictures = PictureWarning::default();
        let mut any_has_fields = false;
        let mut any_lacks_fields = false;
        for (index, raw) in items.iter().enumerate() {
            let literal = raw.get();
            if is_plain(raw) {
                // The usual case and the hot path: it formats no pointer and copies no text.
                passages.push_plain(literal);
                continue;
            }
            if !(self.is_wanted)() {
                return Err(out_of_time());
            }
            let read = match raw::string(body, raw) {
                // Only errors tell a pointer, and these are behind it.
                Some(text) => without_object(without_file(text)),
                None => self.passage(body, raw, &format!("{pointer}/{index}"))?,
            };
            any_has_fields |= read.has_fields && read.passage.object.is_some();
            any_lacks_fields |= !read.has_fields;
            if read.has_picture {
                pictures.note(index, &read.passage.text);
            }
            // A string has escapes here. Without a picture to leave out, its text is all of it.
            let is_whole_string = JsonKind::of(literal) == JsonKind::String && !read.has_picture;
            let is_compact = literal.len() <= read.passage.text.len() / 8 * 9 + MAX_ESCAPE_BYTES;
            passages.push(read.passage, (is_whole_string && is_compact).then_some(literal));
        }
        // Among others, an object without the fields is a blank passage. If all objects lack them, the names are wrong.
        if any_lacks_fields && !any_has_fields {
            let message = format!("none of the {} has any of the fields in rank_fields", name_of(pointer));
            return Err(Error::invalid_field("/rank_fields", message));
        }
        let list = name_of(pointer);
        let warning = pictures.sentence(&list, |index| format!("{list}[{index}]"));
        Ok(PassageList { passages, warnings: warning.into_iter().collect() })
    }

    /// Reads one document, of any kind.
    fn passage(&self, body: &FastStr, raw: Raw<'_>, pointer: &str) -> Result<ReadPassage, Error> {
        let literal = raw.get();
        let kind = JsonKind::of(literal);
        if kind.is_container() {
            raw::check_nesting(literal, pointer)?;
            if raw.has_escapes() && has_lone_surrogate(literal) {
                // Refused even where the object is only sent back, because some JSON readers reject it.
                return Err(raw::lone_surrogate(pointer));
            }
        }
        match kind {
            JsonKind::Object => self.object(body, literal, pointer),
            JsonKind::List if self.lists == ListDocuments::Any => {
                let Words { text, has_picture } = list_text(body, raw, pointer)?;
                // A list has no place for the `text` that would otherwise be added where it is sent back.
                let object = PassageObject { id: None, source: body.slice_ref(literal), has_text: true };
                let passage = OwnedPassage { text, object: Some(object) };
                Ok(ReadPassage { passage, has_fields: true, has_picture })
            }
            JsonKind::List => match text_of_parts(body, raw, pointer)? {
                Some(words) => Ok(without_object(words)),
                None => Err(wrong(pointer, raw, "a string or an object")),
            },
            JsonKind::Null | JsonKind::Boolean | JsonKind::Number | JsonKind::String => {
                Ok(without_object(scalar_text(body, raw, pointer)?))
            }
        }
    }

    fn object(&self, body: &FastStr, literal: &str, pointer: &str) -> Result<ReadPassage, Error> {
        let document = Document::read(&self.rank_fields, JsonIn { body, json: literal, pointer })?;
        let words = if self.rank_fields.is_empty() {
            match text_of(body, &document, pointer)? {
                Some(words) => Some(words),
                None if document.is_picture => Some(Words { text: FastStr::empty(), has_picture: true }),
                None => Some(laid_out_text(literal, pointer)?),
            }
        } else {
            self.ranked_text(&document, pointer)?
        };
        let id = match document.id {
            Some(id) if !is_null(id) => Some(body.slice_ref(id.get())),
            _ => None,
        };
        let has_text = document.text.is_some_and(is_string);
        let object = PassageObject { id, source: body.slice_ref(literal), has_text };
        let has_fields = words.is_some();
        let Words { text, has_picture } = words.unwrap_or_default();
        let passage = OwnedPassage { text, object: Some(object) };
        Ok(ReadPassage { passage, has_fields, has_picture })
    }

    /// The values of the fields in `rank_fields`, one line each, without those that are missing. `None` if all are.
    fn ranked_text(&self, document: &Document<'_>, pointer: &str) -> Result<Option<Words>, Error> {
        let mut lines = Vec::new();
        let mut has_picture = false;
        let mut has_fields = false;
        for (name, value) in self.rank_fields.named(&document.ranked) {
            has_fields = true;
            if pictures::is_file_in(name, value.get()) {
                has_picture = true;
                continue;
            }
            let Layout { text, pictures } = yaml_text_at(value.get(), pointer)?;
            has_picture |= pictures > 0;
            // A blank field keeps its line; a field that was nothing but pictures loses it.
            if pictures == 0 || !text.is_empty() {
                lines.push(text);
            }
        }
        Ok(has_fields.then(|| Words { text: lines.join("\n").into(), has_picture }))
    }
}

/// The passage of a document that is no object.
fn without_object(words: Words) -> ReadPassage {
    let Words { text, has_picture } = words;
    ReadPassage { passage: OwnedPassage { text, object: None }, has_fields: true, has_picture }
}

/// A document that does not come from a body, such as a line of a file.
pub(crate) struct LoneDocument {
    pub(crate) passage: OwnedPassage,
    /// True if a picture was left out of its text.
    pub(crate) has_picture: bool,
}

/// A document that is plain text.
pub(crate) fn plain_document(text: FastStr) -> LoneDocument {
    let Words { text, has_picture } = without_file(text);
    LoneDocument { passage: OwnedPassage { text, object: None }, has_picture }
}

/// Reads a document that must be a JSON object. Errors call it `name`.
///
/// # Errors
/// A sentence that says what is wrong with it.
pub(crate) fn document(json: &FastStr, name: &str) -> Result<LoneDocument, String> {
    let raw = match serde_json::from_str::<Raw<'_>>(json) {
        Ok(raw) if JsonKind::of(raw.get()) == JsonKind::Object => raw,
        Ok(_) => return Err(format!("{name} must be a JSON object")),
        Err(error) => {
            let Some(ForeignWord { word, column, instead }) = foreign_word(json.as_bytes(), error.column()) else {
                return Err(format!("{name} must be a JSON object"));
            };
            return Err(format!("{name}, column {column}: {word} is not JSON; write {instead}"));
        }
    };
    let rules =
        PassageRules { rank_fields: RankFields::default(), lists: ListDocuments::PartsOnly, is_wanted: &|| true };
    // As a pointer, from which the errors make the name again.
    let read = rules.passage(json, raw, &format!("/{name}")).map_err(|error| error.message)?;
    Ok(LoneDocument { passage: read.passage, has_picture: read.has_picture })
}

/// Returns true for a JSON string that has no escapes, does not look like a file and holds none.
fn is_plain(raw: Raw<'_>) -> bool {
    let Some(text) = raw::unquoted(raw.get()) else { return false };
    !raw.has_escapes() && !pictures::is_file(text) && !pictures::may_be_inside(text)
}

fn is_string(raw: Raw<'_>) -> bool {
    JsonKind::of(raw.get()) == JsonKind::String
}

/// The text of a string, a number or a boolean. Empty for `null`.
fn scalar_text(body: &FastStr, raw: Raw<'_>, pointer: &str) -> Result<Words, Error> {
    if is_null(raw) {
        return Ok(Words::default());
    }
    Ok(without_file(raw::scalar(body, raw, pointer)?))
}

/// The text without the files that it is or holds.
pub(super) fn without_file(text: FastStr) -> Words {
    let Some(words) = pictures::words_beside(&text) else { return Words { text, has_picture: false } };
    let text = match words {
        Cow::Borrowed(words) => text.slice_ref(words),
        Cow::Owned(words) => words.into(),
    };
    Words { text, has_picture: true }
}

/// The `text` of an object, or its `page_content`, or the text parts of its `content`. `None` if it has none of them.
pub(super) fn text_of(body: &FastStr, document: &Document<'_>, pointer: &str) -> Result<Option<Words>, Error> {
    let text = document.text.filter(|text| !is_null(*text));
    // A list or an object as `text` is an error below. As `page_content`, which only LangChain has, it is a field like
    // others.
    let page_content = document.page_content.filter(|text| is_string(*text));
    let found = match (text, page_content, document.content) {
        (Some(text), _, _) => Some(scalar_text(body, text, &format!("{pointer}/text"))?),
        (None, Some(text), _) => Some(scalar_text(body, text, &format!("{pointer}/page_content"))?),
        (None, None, Some(content)) => text_of_parts(body, content, pointer)?,
        (None, None, None) => None,
    };
    let Some(mut words) = found else { return Ok(None) };
    // The picture may stand in a field beside the text.
    words.has_picture |= document.has_picture;
    Ok(Some(words))
}

/// One part of a multimodal document, as vLLM and others write it. An element without `type` makes the list no list of
/// parts.
#[derive(Deserialize)]
struct Part<'a> {
    #[serde(rename = "type", borrow)]
    kind: Cow<'a, str>,
    #[serde(borrow)]
    text: Option<Raw<'a>>,
}

/// The joined texts of a list of [`Part`]s. Parts without text count as pictures. `None` if the value is no such list.
fn text_of_parts(body: &FastStr, list: Raw<'_>, pointer: &str) -> Result<Option<Words>, Error> {
    let Ok(parts) = serde_json::from_str::<Vec<Part<'_>>>(list.get()) else { return Ok(None) };
    if parts.is_empty() {
        return Ok(None);
    }
    let mut texts = Vec::new();
    let mut has_picture = false;
    for part in parts {
        let Some(text) = part.text else {
            // `text`, or OpenAI's `input_text` and `output_text`.
            has_picture |= !part.kind.ends_with("text");
            continue;
        };
        if JsonKind::of(text.get()).is_container() {
            // Some other list, which happens to have the names.
            return Ok(None);
        }
        let words = scalar_text(body, text, pointer)?;
        has_picture |= words.has_picture;
        // A blank part keeps its line; a part that was nothing but a picture loses it.
        if !words.has_picture || !words.text.is_empty() {
            texts.push(words.text);
        }
    }
    Ok(Some(Words { text: texts.join("\n").into(), has_picture }))
}

/// The text of a document that is a list. If it is a list of parts with a picture, only the texts of the parts count.
fn list_text(body: &FastStr, list: Raw<'_>, pointer: &str) -> Result<Words, Error> {
    match text_of_parts(body, list, pointer)? {
        Some(words) if words.has_picture => Ok(words),
        _ => laid_out_text(list.get(), pointer),
    }
}

fn laid_out_text(json: &str, pointer: &str) -> Result<Words, Error> {
    let Layout { text, pictures } = yaml_text_at(json, pointer)?;
    Ok(Words { text: text.into(), has_picture: pictures > 0 })
}

fn yaml_text_at(json: &str, pointer: &str) -> Result<Layout, Error> {
    to_yaml_text(json).ok_or_else(|| raw::lone_surrogate(pointer))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::super::fields::Fields;
    use super::super::{Dialect, mixedbread};
    use super::*;

    /// JSON of any form in which any string may be a picture.
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
            let body = FastStr::from(body);
            if let Ok(request) = mixedbread::Mixedbread.decode(&Fields::read(&body).unwrap()) {
                let text = request.passages.get(1).text;
                prop_assert!(!text.contains("QUJDQUJD") && !text.contains("base64"), "{}", text);
            }
        }
    }
}
