//! The text of a query. It is read as a document's is ([`super::passage`]), but something must be left to search for.

use bytestring::ByteString;
use rerankd_core::error::Error;

use super::document::Document;
use super::passage::{Words, text_of, without_file};
use super::rank_fields::RankFields;
use super::raw::{self, JsonIn, JsonKind, Raw, name_of, wrong};

/// The text of a query that is a string, a number, a boolean, or an object with a text.
///
/// # Errors
/// `invalid_request` for any other value, and for a picture without text.
pub(super) fn words(body: &ByteString, raw: Raw<'_>, pointer: &str) -> Result<Words, Error> {
    match JsonKind::of(raw.get()) {
        JsonKind::Object => {
            let document = Document::read(&RankFields::default(), JsonIn { body, json: raw.get(), pointer })?;
            match text_of(body, &document, pointer)? {
                Some(words) => unless_only_picture(words, pointer),
                None if document.has_picture || document.is_picture => Err(picture_query(pointer)),
                None => Err(Error::invalid_field(pointer, format!("{} has no text", name_of(pointer)))),
            }
        }
        JsonKind::List | JsonKind::Null => Err(wrong(pointer, raw, "a string")),
        JsonKind::Boolean | JsonKind::Number | JsonKind::String => {
            plain_words(raw::scalar(body, raw, pointer)?, pointer)
        }
    }
}

/// The text of a query that is a string.
///
/// # Errors
/// `invalid_request` if it is a picture without text.
pub(super) fn plain_words(query: ByteString, pointer: &str) -> Result<Words, Error> {
    unless_only_picture(without_file(query), pointer)
}

/// The words of a query, unless it is a picture without text.
fn unless_only_picture(words: Words, pointer: &str) -> Result<Words, Error> {
    if words.has_picture && words.text.trim().is_empty() { Err(picture_query(pointer)) } else { Ok(words) }
}

/// The error for a query that is a picture.
fn picture_query(pointer: &str) -> Error {
    Error::invalid_field(pointer, format!("{} is a picture; only text can be searched for", name_of(pointer)))
}
