//! Fields of a body that are not read. Clients send many that no dialect reads, and most mean nothing; one whose name
//! is nearly that of a field that is read was probably mistyped. One that another dialect reads was meant to do
//! something.

use rerankd_core::error::{Error, ErrorKind};
use rerankd_core::suggestion::nearest;

use super::Dialect;
use super::entries::known_names;
use super::field_errors::{name, pointer_to};

/// Header that turns every field that is not read into an error.
pub(crate) const STRICT_HEADER: &str = "x-rerankd-strict";
/// Most names that are kept. A body has room for many, and each costs a comparison with every known name.
const MAX_NAMES: usize = 8;
/// Longest name that is kept, in bytes. No field that is read has a name of this length.
const MAX_NAME_BYTES: usize = 24;
/// Fields that clients of one of the dialects send on purpose, and that nothing here depends on. Their names are near
/// to those of fields that are read.
const NO_MISTAKES: [&str; 4] = ["truncate", "return_len", "max_input_length", "return_embeddings"];
/// Names that other interfaces have for a field that is read, with that field's name. Every dialect reads `top_n`.
const SYNONYMS: [(&str, &str); 8] = [
    ("limit", "top_n"),
    ("k", "top_n"),
    ("n", "top_n"),
    ("num_results", "top_n"),
    ("top", "top_n"),
    ("topK", "top_n"),
    ("return_docs", "return_documents"),
    ("max_chunks_per_doc", "max_tokens_per_doc"),
];

/// The names of a body's fields that no dialect reads.
#[derive(Debug, Default, PartialEq)]
pub(super) struct UnreadFields<'a> {
    /// Those that look like names of fields, in the order of the body.
    names: Vec<&'a str>,
    /// True if there are others.
    has_more: bool,
}

impl<'a> UnreadFields<'a> {
    /// Adds a name; `None` stands for one with escapes.
    pub(super) fn add(&mut self, name: Option<&'a str>) {
        match name {
            Some(name) if self.names.len() < MAX_NAMES && is_plain(name) => self.names.push(name),
            _ => self.has_more = true,
        }
    }

    /// A warning for each field that was probably mistyped.
    pub(super) fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        for name in &self.names {
            if let Some(meant) = meant_by(name) {
                warnings.push(format!("{name} was ignored; did you mean {meant}?"));
            }
        }
        warnings
    }

    /// The error about the first of the fields, for a client that wants no field ignored. `None` if there are none.
    pub(super) fn refusal(&self) -> Option<Error> {
        let Some(name) = self.names.first() else {
            return self.has_more.then(|| {
                let message =
                    format!("the body has a field that is not read; leave it out, or leave out {STRICT_HEADER}");
                Error::new(ErrorKind::InvalidRequest, message)
            });
        };
        let hint = match meant_by(name) {
            Some(meant) => format!("; did you mean {meant}?"),
            None => format!("; leave it out, or leave out {STRICT_HEADER}"),
        };
        Some(Error::invalid_field(format!("/{name}"), format!("{name} is not read{hint}")))
    }

    /// The field that was probably meant to be the `missing` one: a name that is near, or short for it.
    pub(super) fn instead_of(&self, missing: &str) -> Option<&'a str> {
        let near = nearest(missing, self.names.iter().copied());
        near.or_else(|| self.names.iter().copied().find(|name| is_short_for(name, missing)))
    }
}

/// The warning about the field at `path`, which only other dialects than `dialect` read.
pub(super) fn warning_of_ignored(path: &str, dialect: &dyn Dialect) -> String {
    format!("{} was ignored: it is no field of the dialect {}", name(path), dialect.name())
}

/// The error about the same field, for a client that wants no field ignored.
pub(super) fn refusal_of_ignored(path: &str, dialect: &dyn Dialect) -> Error {
    let message = format!(
        "{} is no field of the dialect {}; leave it out, or leave out {STRICT_HEADER}",
        name(path),
        dialect.name()
    );
    Error::invalid_field(pointer_to(path), message)
}

/// The field that `name` was probably meant to be.
fn meant_by(name: &str) -> Option<&'static str> {
    if NO_MISTAKES.contains(&name) {
        return None;
    }
    match SYNONYMS.iter().find(|(synonym, _)| *synonym == name) {
        Some((_, meant)) => Some(meant),
        None => nearest(name, known_names()),
    }
}

/// Returns true for what can be quoted: it looks like the name of a field, and not like a text.
fn is_plain(name: &str) -> bool {
    !name.is_empty()
        && name.len() <= MAX_NAME_BYTES
        && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
}

/// Returns true if `name` begins like `word` and all its letters stand there in this order: `docs` for `documents`.
fn is_short_for(name: &str, word: &str) -> bool {
    let mut rest = word.bytes();
    name.bytes().next() == word.bytes().next() && name.bytes().all(|letter| rest.any(|other| other == letter))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn unread<'a>(names: &[&'a str]) -> UnreadFields<'a> {
        let mut fields = UnreadFields::default();
        for name in names {
            fields.add(Some(name));
        }
        fields
    }

    #[test]
    fn only_names_near_to_a_field_are_warned_of() {
        for (name, meant) in [
            ("topn", Some("top_n")),
            ("topN", Some("top_n")),
            ("Top_N", Some("top_n")),
            ("TOP_K", Some("top_k")),
            ("top-n", Some("top_n")),
            ("document", Some("documents")),
            ("quary", Some("query")),
            ("modle", Some("model")),
            ("return_document", Some("return_documents")),
            ("returnDocuments", Some("return_documents")),
            ("max_token_per_doc", Some("max_tokens_per_doc")),
            ("truncate", None),
            ("return_len", None),
            ("user", None),
            ("overlap_tokens", None),
            ("encoding_format", None),
            ("truncate_prompt_tokens", None),
            ("truncation_direction", None),
            ("truncation_side", None),
            ("additional_data", None),
            ("activation", None),
            ("softmax", None),
            ("priority", None),
        ] {
            assert_eq!(meant_by(name), meant, "{name}");
        }
        for (synonym, meant) in SYNONYMS {
            assert_eq!(meant_by(synonym), Some(meant), "{synonym}");
            assert!(known_names().any(|name| name == meant), "{meant}");
        }
    }

    #[test]
    fn a_missing_field_is_sought_among_names_that_are_near_or_short_for_it() {
        assert_eq!(unread(&["user", "docs"]).instead_of("documents"), Some("docs"));
        assert_eq!(unread(&["user", "document"]).instead_of("documents"), Some("document"));
        assert_eq!(unread(&["q"]).instead_of("query"), Some("q"));
        assert_eq!(unread(&["text", "data"]).instead_of("documents"), None);
    }

    #[test]
    fn names_that_are_compared_are_bounded() {
        let many = unread(&["topn"; 1000]);
        assert_eq!(many.warnings().len(), MAX_NAMES);
        assert!(many.has_more);
    }

    #[test]
    fn names_that_could_be_texts_are_not_quoted() {
        let secret = unread(&["the query itself"]);
        assert!(secret.warnings().is_empty());
        assert!(!secret.refusal().unwrap().message.contains("itself"));
        assert_eq!(unread(&["nonsense"]).refusal().unwrap().pointer.as_deref(), Some("/nonsense"));
        assert!(UnreadFields::default().refusal().is_none());
    }
}
