//! A body taken apart into the fields that any dialect reads, each still as it stands in the body.
//!
//! The body is scanned once. Which fields are there says which dialect it is ([`super::choose`]), and that dialect then reads their
//! values. Unknown fields are skipped, however large, and `null` is as good as absent.

use std::time::Duration;

use bytestring::ByteString;

use super::entries::{Entries, Object, Value};
use super::passage::{self, PassageRules};
use super::raw::{self, Raw, name_of};
use crate::error::Error;
use crate::rerank::request::{Passage, RerankRequest, ScoringOptions};

/// The names that a list of passages goes by; a body holds one of them.
const PASSAGE_LISTS: [&str; 4] = ["documents", "texts", "passages", "input"];
/// Largest number that a count may be.
const MOST: u64 = u32::MAX as u64;
/// Most names in `rank_fields`; each is looked up in every document.
const MAX_RANK_FIELDS: usize = 32;
/// Most dots in one of them; each is a step into an object, which is read again.
const MAX_RANK_FIELD_STEPS: usize = 4;

/// The fields of a body.
#[derive(Debug)]
pub struct Fields<'a> {
    body: &'a ByteString,
    entries: Entries<'a>,
}

impl<'a> Fields<'a> {
    /// Takes a body apart.
    ///
    /// # Errors
    /// `invalid_json` with line and column, or `invalid_request` for a doubled field or a body that is not an object.
    pub fn read(body: &'a ByteString) -> Result<Self, Error> {
        let Object(entries) = raw::object(body, "")?;
        Ok(Self { body, entries })
    }

    /// Whether the body has this field, and it is not `null`.
    #[must_use]
    pub fn has_value(&self, name: &str) -> bool {
        self.value(name).is_some()
    }

    /// Whether the body has this field, be it `null`.
    #[must_use]
    pub fn has(&self, name: &str) -> bool {
        find(&self.entries, name).is_some()
    }

    /// Whether this field is an object.
    #[must_use]
    pub fn is_object(&self, name: &str) -> bool {
        matches!(self.value(name), Some(Value::Object(_)))
    }

    /// What all dialects read alike; the passages are left to the dialect. A path such as `input/query` means `query` in `input`.
    ///
    /// # Errors
    /// `invalid_request`; the message never quotes the body.
    pub fn request(&self, query: &str) -> Result<RerankRequest, Error> {
        let raw = self.value(query).ok_or_else(|| missing(query))?;
        let Value::Plain(raw) = raw else { return Err(not_plain(query)) };
        self.request_about(passage::query_text(self.body, raw, &pointer(query))?)
    }

    /// The same where the query does not stand alone.
    ///
    /// # Errors
    /// `invalid_request`; the message never quotes the body.
    pub fn request_about(&self, query: ByteString) -> Result<RerankRequest, Error> {
        let not_empty = |text: &ByteString| !text.is_empty();
        let tokens = self.count("max_tokens_per_doc")?.or(self.count("max_doc_length")?);
        let instruction = self.text("instruction")?.or(self.text("instruct")?);
        Ok(RerankRequest {
            model: self.text("model")?.filter(not_empty),
            query,
            options: ScoringOptions {
                instruction: instruction.filter(not_empty),
                // 0 is how vLLM's clients say "no limit".
                max_tokens_per_doc: tokens.filter(|tokens| *tokens > 0),
            },
            raw_scores: self.flag("raw_scores")?.unwrap_or(false),
            explain: self.flag("explain")?.unwrap_or(false),
            timeout: self.count("timeout_ms")?.map(|milliseconds| Duration::from_millis(milliseconds.into())),
            ..RerankRequest::default()
        })
    }

    /// The list of passages at `path`. With `lists`, a passage may be a list too.
    ///
    /// # Errors
    /// `invalid_request` if it is missing, not a list, not the only one, or holds something that is not a passage.
    pub fn passages(&self, path: &str, lists: bool) -> Result<Vec<Passage>, Error> {
        let items = self.list(path)?.ok_or_else(|| missing(path))?;
        let own = path.split('/').next();
        if let Some(other) = PASSAGE_LISTS.iter().find(|name| Some(**name) != own && self.value(name).is_some()) {
            return Err(Error::invalid_field(
                pointer(path),
                format!("the body has {path} and {other}; send one of them"),
            ));
        }
        PassageRules { rank_fields: self.rank_fields()?, lists }.read(self.body, items, &pointer(path))
    }

    /// The first of two names for the cut, or else the second. A client that sends both means its own dialect's.
    ///
    /// # Errors
    /// `invalid_request` if one of them is not a whole number.
    pub fn top_n(&self, own: &str, other: &str) -> Result<Option<usize>, Error> {
        let (own, other) = (self.count(own)?, self.count(other)?);
        Ok(own.or(other).and_then(|count| usize::try_from(count).ok()))
    }

    /// A text.
    ///
    /// # Errors
    /// `invalid_request` if it is something else.
    pub fn text(&self, path: &str) -> Result<Option<ByteString>, Error> {
        self.plain(path)?.map(|raw| raw::text(self.body, raw, &pointer(path))).transpose()
    }

    /// A whole number.
    ///
    /// # Errors
    /// `invalid_request` if it is something else.
    pub fn count(&self, path: &str) -> Result<Option<u32>, Error> {
        let count = self.plain(path)?.map(|raw| raw::count(raw, &pointer(path), MOST)).transpose()?;
        Ok(count.and_then(|count| u32::try_from(count).ok()))
    }

    /// A truth value.
    ///
    /// # Errors
    /// `invalid_request` if it is something else.
    pub fn flag(&self, path: &str) -> Result<Option<bool>, Error> {
        self.plain(path)?.map(|raw| raw::flag(raw, &pointer(path))).transpose()
    }

    /// The items of a list that are texts.
    ///
    /// # Errors
    /// `invalid_request` if it is no list, or an item is no text.
    pub fn texts(&self, path: &str) -> Result<Option<Vec<ByteString>>, Error> {
        let read = |(index, raw): (usize, &Raw<'_>)| raw::text(self.body, raw, &format!("{}/{index}", pointer(path)));
        self.list(path)?.map(|items| items.iter().enumerate().map(read).collect()).transpose()
    }

    /// How a value is written, if it is neither a list nor an object.
    #[must_use]
    pub fn literal(&self, path: &str) -> Option<&'a str> {
        match self.value(path)? {
            Value::Plain(raw) => Some(raw.get()),
            _ => None,
        }
    }

    fn rank_fields(&self) -> Result<Vec<ByteString>, Error> {
        let names = self.texts("rank_fields")?.unwrap_or_default();
        if names.len() > MAX_RANK_FIELDS {
            let message = format!("rank_fields has {} names; it may have {MAX_RANK_FIELDS}", names.len());
            return Err(Error::invalid_field("/rank_fields", message));
        }
        let is_deep = |name: &ByteString| name.bytes().filter(|byte| *byte == b'.').count() > MAX_RANK_FIELD_STEPS;
        if let Some(index) = names.iter().position(is_deep) {
            let message = format!("rank_fields[{index}] has more than {MAX_RANK_FIELD_STEPS} dots");
            return Err(Error::invalid_field(format!("/rank_fields/{index}"), message));
        }
        // Twice the same field would be twice its text.
        let mut distinct = Vec::with_capacity(names.len());
        for name in names {
            if !distinct.contains(&name) {
                distinct.push(name);
            }
        }
        Ok(distinct)
    }

    /// The value at `path`, unless it is `null`.
    fn value(&self, path: &str) -> Option<&Value<'a>> {
        let value = match path.split_once('/') {
            None => find(&self.entries, path),
            Some((outer, inner)) => match find(&self.entries, outer)? {
                Value::Object(entries) => find(entries, inner),
                _ => None,
            },
        };
        match value? {
            Value::Plain(raw) if raw::is_null(raw) => None,
            Value::Not("null") => None,
            value => Some(value),
        }
    }

    fn plain(&self, path: &str) -> Result<Option<Raw<'a>>, Error> {
        match self.value(path) {
            None => Ok(None),
            Some(Value::Plain(raw)) => Ok(Some(raw)),
            Some(_) => Err(not_plain(path)),
        }
    }

    fn list(&self, path: &str) -> Result<Option<&[Raw<'a>]>, Error> {
        let kind = match self.value(path) {
            None => return Ok(None),
            Some(Value::List(items)) => return Ok(Some(items)),
            Some(Value::Plain(raw)) => raw::kind(raw),
            Some(Value::Object(_)) => "an object",
            Some(Value::Not(kind)) => kind,
        };
        Err(Error::invalid_field(pointer(path), format!("{} is {kind}; it must be a list", name(path))))
    }
}

fn find<'e, 'a>(entries: &'e Entries<'a>, name: &str) -> Option<&'e Value<'a>> {
    entries.iter().find(|(known, _)| *known == name).map(|(_, value)| value)
}

fn pointer(path: &str) -> String {
    format!("/{path}")
}

fn name(path: &str) -> String {
    name_of(&pointer(path))
}

fn not_plain(path: &str) -> Error {
    Error::invalid_field(pointer(path), format!("{} must be a single value", name(path)))
}

fn missing(path: &str) -> Error {
    Error::invalid_field(pointer(path), format!("{} is missing", name(path)))
}
