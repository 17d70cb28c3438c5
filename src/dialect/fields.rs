//! The fields of a body that some dialect reads, as raw slices of the body.
//!
//! The body is scanned once. The names of its fields tell the dialect ([`super::choose`]), and that dialect then reads
//! their values. Unknown fields are skipped, however large.
//!
//! What counts as absent depends on what is asked for; each step adds to the one before:
//!
//! | function | absent |
//! | --- | --- |
//! | `entry` | a path that is not there |
//! | `present` | `null`; a blank string for a list or an object |
//! | `plain`, `list` | the same |
//! | `plain_unless_null_word` | a blank string, a string such as `"null"` |

use std::fmt;
use std::time::Duration;

use faststr::FastStr;
use rerankd_core::error::Error;
use rerankd_core::types::request::{RerankRequest, ScoringOptions};

use super::entries::{self, Entries, Items, Value, find};
use super::field_errors::{missing, name, not_a_list, not_plain, pointer_to};
use super::passage::{ListDocuments, PassageList, PassageRules, Words};
use super::query;
use super::rank_fields::RankFields;
use super::raw::{self, JsonKind, Raw, name_of};
use super::request_fields::{
    EXPLAIN, Field, INSTRUCTION, MAX_TOKENS_PER_DOC, MODEL, RANK_FIELDS, RAW_SCORES, TIMEOUT_MS,
};
use super::unread_fields::UnreadFields;

/// The names of a list of passages. A body may hold only one of them.
const PASSAGE_LISTS: [&str; 4] = ["documents", "texts", "passages", "input"];
/// Cost of reading a byte of an object, relative to a byte of a plain string. An object is read again level by level
/// and then laid out as text.
const OBJECT_WORK: usize = 4;
/// The same relative cost with `rank_fields`, which may name fields below other objects.
const RANKED_OBJECT_WORK: usize = 8;

/// The known fields of one body, borrowed from it.
pub struct Fields<'a> {
    /// The whole body, of which texts without escapes are slices.
    body: &'a FastStr,
    entries: Entries<'a>,
    unread: UnreadFields<'a>,
    /// Returns false to end the reading of documents.
    is_wanted: &'a dyn Fn() -> bool,
}

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Fields").field("entries", &self.entries).finish_non_exhaustive()
    }
}

impl<'a> Fields<'a> {
    /// Scans a body once and keeps its known fields.
    ///
    /// # Errors
    /// `invalid_json` with line and column; `invalid_request` if a field appears twice or the body is not an object.
    pub fn read(body: &'a FastStr) -> Result<Self, Error> {
        let (entries, unread) = entries::of_body(body)?;
        Ok(Self { body, entries, unread, is_wanted: &|| true })
    }

    /// The fields that no dialect reads.
    pub(super) fn unread(&self) -> &UnreadFields<'a> {
        &self.unread
    }

    /// The paths of the fields that some dialect reads, and that the one which has read these did not.
    pub(super) fn ignored(&self) -> Vec<String> {
        entries::ignored(&self.entries)
    }

    /// The same fields, read only as long as `is_wanted` returns true. It is called before each document that is not a
    /// plain string.
    #[must_use]
    pub fn wanted_while(self, is_wanted: &'a dyn Fn() -> bool) -> Self {
        Self { is_wanted, ..self }
    }

    /// Estimated work of reading the passages, in bytes of plain strings.
    #[must_use]
    pub fn work_bytes(&self) -> usize {
        let factor = if self.has_value(RANK_FIELDS.path) { RANKED_OBJECT_WORK } else { OBJECT_WORK };
        let mut bytes = 0;
        for name in PASSAGE_LISTS {
            let Some(items) = self.items(name) else { continue };
            for item in items.iter() {
                let json = item.get();
                bytes += if JsonKind::of(json).is_container() { factor * json.len() } else { json.len() };
            }
        }
        bytes
    }

    /// Returns true if the body has this field at its top level and it does not count as absent. The field does not
    /// count as read.
    #[must_use]
    pub fn has_value(&self, top_level_name: &str) -> bool {
        find(&self.entries, top_level_name).is_some_and(|entry| !entry.value.is_absent())
    }

    /// Returns true if the body has this field at its top level, even as `null`.
    #[must_use]
    pub fn has_key(&self, top_level_name: &str) -> bool {
        find(&self.entries, top_level_name).is_some()
    }

    /// Returns true if this field is an object. It does not count as read.
    #[must_use]
    pub fn is_object(&self, name: &str) -> bool {
        find(&self.entries, name).is_some_and(|entry| matches!(entry.value, Value::Object(_)))
    }

    /// The part of a request that all dialects share, without its passages. `query` is the path of the query, where
    /// `input/query` means `query` in the object `input`.
    ///
    /// # Errors
    /// `invalid_request`; the message never quotes the body.
    pub fn request(&self, query: &str) -> Result<RerankRequest, Error> {
        let Some(value) = self.present(query) else { return Err(self.missing(query)) };
        let Value::Plain(raw) = value else { return Err(not_plain(query)) };
        let pointer = pointer_to(query);
        let words = query::words(self.body, *raw, &pointer)?;
        self.request_about_words(words, &pointer)
    }

    /// The same for a dialect that has already read the query. Errors name the query by `pointer`.
    ///
    /// # Errors
    /// `invalid_request`; the message never quotes the body.
    pub fn request_about(&self, query: FastStr, pointer: &str) -> Result<RerankRequest, Error> {
        self.request_about_words(query::plain_words(query, pointer)?, pointer)
    }

    /// The same for a query whose pictures were left out.
    fn request_about_words(&self, query: Words, pointer: &str) -> Result<RerankRequest, Error> {
        // Both names are read even where the first has a value: a wrong value is an error under either. A blank or 0
        // under one name must not hide the value under the other; 0 is how vLLM's clients say "no limit".
        let named_limit = self.count(MAX_TOKENS_PER_DOC.path)?.filter(|tokens| *tokens > 0);
        let other_limit = self.count("max_doc_length")?.filter(|tokens| *tokens > 0);
        let named_instruction = unless_blank(self.text(INSTRUCTION.path)?);
        let other_instruction = unless_blank(self.text("instruct")?);
        let mut warnings = Vec::new();
        if query.has_picture {
            warnings.push(format!("{} holds a picture, which is not searched for", name_of(pointer)));
        }
        Ok(RerankRequest {
            model: unless_blank(self.text(MODEL.path)?),
            query: query.text,
            options: ScoringOptions {
                instruction: named_instruction.or(other_instruction),
                max_tokens_per_doc: named_limit.or(other_limit),
            },
            raw_scores: self.flag_of(&RAW_SCORES)?,
            explain: self.flag_of(&EXPLAIN)?,
            timeout: self.count(TIMEOUT_MS.path)?.map(|milliseconds| Duration::from_millis(milliseconds.into())),
            warnings,
            ..RerankRequest::default()
        })
    }

    /// The list of passages at `path`, of which each may itself be one of these `lists`.
    ///
    /// # Errors
    /// `invalid_request` if the list is missing, is not a list, is not the only one, or holds a value that is not a
    /// passage.
    pub fn passages(&self, path: &str, lists: ListDocuments) -> Result<PassageList, Error> {
        let Some(items) = self.list(path)? else {
            // A blank string counts as absent, but "missing" would mislead a client that did send it.
            if let Some(Value::Blank) = self.entry(path) {
                return Err(not_a_list(path, JsonKind::String));
            }
            return Err(self.missing(path));
        };
        // In `input/documents`, `input` is the name that the list goes by.
        let own_name = path.split('/').next();
        for other in PASSAGE_LISTS {
            if Some(other) != own_name && self.has_value(other) {
                let message = format!("the body has {} and {other}; send one of them", name(path));
                return Err(Error::invalid_field(pointer_to(path), message));
            }
        }
        if let Some(names) = self.list(RANK_FIELDS.path)? {
            RankFields::check_count(names.len())?;
        }
        let rank_fields = RankFields::new(self.texts(RANK_FIELDS.path)?.unwrap_or_default())?;
        let rules = PassageRules { rank_fields, lists, is_wanted: self.is_wanted };
        rules.read(self.body, items, &pointer_to(path))
    }

    /// The number of results to return, from the dialect's `own` field or else the `other` one. A client that sends
    /// both means its own dialect's.
    ///
    /// # Errors
    /// `invalid_request` if either of them is not a whole number.
    pub fn top_n(&self, own: &str, other: &str) -> Result<Option<usize>, Error> {
        let own_count = self.count(own)?;
        let other_count = self.count(other)?;
        let Some(count) = own_count.or(other_count) else { return Ok(None) };
        // Where a `usize` is shorter than that, all results are as good.
        Ok(usize::try_from(count).ok())
    }

    /// The string at `path`; `None` if it is absent.
    ///
    /// # Errors
    /// `invalid_request` if the value is not a string.
    pub fn text(&self, path: &str) -> Result<Option<FastStr>, Error> {
        let Some(raw) = self.plain(path)? else { return Ok(None) };
        Ok(Some(raw::text(self.body, raw, &pointer_to(path))?))
    }

    /// The whole number at `path`; `None` if it is absent, a blank string or a string such as `"null"`.
    ///
    /// # Errors
    /// `invalid_request` if the value is not a whole number.
    pub fn count(&self, path: &str) -> Result<Option<u32>, Error> {
        let Some(raw) = self.plain_unless_null_word(path)? else { return Ok(None) };
        Ok(Some(raw::count(raw, &pointer_to(path), u32::MAX)?))
    }

    /// The boolean at `path`; `None` if it is absent, a blank string or a string such as `"null"`.
    ///
    /// # Errors
    /// `invalid_request` if the value does not stand for a boolean.
    pub fn flag(&self, path: &str) -> Result<Option<bool>, Error> {
        let Some(raw) = self.plain_unless_null_word(path)? else { return Ok(None) };
        Ok(Some(raw::flag(raw, &pointer_to(path))?))
    }

    /// The boolean of `field`, or its default if it is absent.
    ///
    /// # Errors
    /// The same as [`Self::flag`].
    pub(super) fn flag_of(&self, field: &Field) -> Result<bool, Error> {
        Ok(self.flag(field.path)?.unwrap_or(field.flag_default()))
    }

    /// The list of strings at `path`; `None` if it is absent.
    ///
    /// # Errors
    /// `invalid_request` if the value is not a list, or an item is not a string.
    pub fn texts(&self, path: &str) -> Result<Option<Vec<FastStr>>, Error> {
        let Some(items) = self.list(path)? else { return Ok(None) };
        let list = pointer_to(path);
        // No capacity in advance: a body has room for millions of items, and the first wrong one ends the reading.
        let mut texts = Vec::new();
        for (index, raw) in items.iter().enumerate() {
            texts.push(raw::text(self.body, raw, &format!("{list}/{index}"))?);
        }
        Ok(Some(texts))
    }

    /// Returns true if the value is a number below 0, perhaps in a string, which is how some clients say "all".
    #[must_use]
    pub fn is_negative(&self, path: &str) -> bool {
        let Some(Value::Plain(raw)) = self.present(path) else { return false };
        let number: Result<f64, _> = raw.get().trim_matches('"').trim().parse();
        number.is_ok_and(|number| number < 0.0)
    }

    /// The error for a field that must be there. It names the field that was probably meant to be this one.
    fn missing(&self, path: &str) -> Error {
        let own_name = path.rsplit('/').next().unwrap_or(path);
        missing(path, self.unread.instead_of(own_name))
    }

    /// The value at `path`; `None` if it is absent, `null`, or a blank string where a list or an object was expected.
    fn present(&self, path: &str) -> Option<&Value<'a>> {
        self.entry(path).filter(|value| !value.is_absent())
    }

    /// The value at `path`, even if it counts as absent.
    fn entry(&self, path: &str) -> Option<&Value<'a>> {
        let Some((outer, inner)) = path.split_once('/') else { return Some(find(&self.entries, path)?.read()) };
        match find(&self.entries, outer)?.read() {
            Value::Object(entries) => Some(find(entries, inner)?.read()),
            _ => None,
        }
    }

    /// The items of the list `name`, or of `documents` in the object `name`, as in DashScope's `input`. `None` if there
    /// is no such list.
    fn items(&self, name: &str) -> Option<&Items<'a>> {
        match &find(&self.entries, name)?.value {
            Value::List(items) => Some(items),
            Value::Object(entries) => match &find(entries, "documents")?.value {
                Value::List(items) => Some(items),
                _ => None,
            },
            _ => None,
        }
    }

    /// The value at `path`; `None` also for a blank string or a string such as `"null"`.
    fn plain_unless_null_word(&self, path: &str) -> Result<Option<Raw<'a>>, Error> {
        match self.plain(path)? {
            Some(raw) if !raw::is_absent_word(raw) => Ok(Some(raw)),
            _ => Ok(None),
        }
    }

    /// The value at `path` as it stands in the body; `None` if it is absent. It may be a list or an object, which the
    /// readers in [`raw`] refuse; a field whose list is opened (`entries.rs`) is refused here.
    fn plain(&self, path: &str) -> Result<Option<Raw<'a>>, Error> {
        match self.present(path) {
            None => Ok(None),
            Some(Value::Plain(raw)) => Ok(Some(*raw)),
            Some(_) => Err(not_plain(path)),
        }
    }

    /// The items of the list at `path`; `None` if it is absent. Any other value is an error.
    fn list(&self, path: &str) -> Result<Option<&Items<'a>>, Error> {
        let kind = match self.present(path) {
            None => return Ok(None),
            Some(Value::List(items)) => return Ok(Some(items)),
            Some(Value::Plain(raw)) => JsonKind::of(raw.get()),
            Some(Value::Object(_)) => JsonKind::Object,
            Some(Value::Other(kind)) => *kind,
            Some(Value::Blank) => JsonKind::String,
        };
        Err(not_a_list(path, kind))
    }
}

/// The same text; `None` if it is blank. Templates leave a blank string for a variable that is not set.
pub(super) fn unless_blank(text: Option<FastStr>) -> Option<FastStr> {
    text.filter(|text| !text.trim().is_empty())
}
