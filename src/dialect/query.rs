//! The text of a query. It is read as a document's is ([`super::passage`]), but something must be left to search for.

use faststr::FastStr;
use rerankd_core::error::Error;

use super::document::Document;
use super::passage::{Words, text_of, without_file};
use super::rank_fields::RankFields;
use super::raw::{self, JsonIn, JsonKind, Raw, name_of, wrong};

/// The text of a query that is a string, a number, a boolean, or an object with a text.
///
/// # Errors
/// `invalid_request` for any other value, and for a picture without text.
pub(super) fn words(body: &FastStr, raw: Raw<'_>, pointer: &str) -> Result<Words, Error> {
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
pub(super) fn plain_words(query: FastStr, pointer: &str) -> Result<Words, Error> {
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

#[cfg(test)]
mod tests {
    use faststr::FastStr;
    use serde_json::json;

    use crate::dialect::DIALECTS;
    use crate::dialect::fields::Fields;

    #[test]
    fn the_warning_about_a_picture_in_the_query_is_kept_by_every_dialect() {
        let query = format!("cat data:image/png;base64,iVBORw0KGgo{}", "A".repeat(400));
        for dialect in DIALECTS {
            let body = match dialect.name() {
                "tei" => json!({ "query": query, "texts": ["a"] }),
                "mixedbread" => json!({ "query": query, "input": ["a"] }),
                "deepinfra" => json!({ "queries": [query], "documents": ["a"] }),
                "nvidia" => json!({ "query": { "text": query }, "passages": [{ "text": "a" }] }),
                "dashscope" => json!({ "input": { "query": query, "documents": ["a"] } }),
                "pinecone" => json!({ "query": query, "documents": [{ "text": "a" }] }),
                _ => json!({ "query": query, "documents": ["a"] }),
            };
            let text = FastStr::from(body.to_string());
            let request = dialect.decode(&Fields::read(&text).unwrap()).unwrap();
            let [warning] = &request.warnings[..] else { panic!("{}: {:?}", dialect.name(), request.warnings) };
            assert!(warning.ends_with(" holds a picture, which is not searched for"), "{}: {warning}", dialect.name());
        }
    }
}
