//! A body taken apart into the fields that any dialect reads, each still as it stands in the body.
//!
//! The body is scanned once. Which fields are there says which dialect it is ([`super::choose`]), and that dialect then reads their
//! values. Unknown fields are skipped, however large, and `null` is as good as absent.

use std::fmt;
use std::time::Duration;

use bytestring::ByteString;

use super::entries::{Entries, Object, Value};
use super::passage::{self, PassageList, PassageRules, Words};
use super::rank_fields::RankFields;
use super::raw::{self, Raw, name_of};
use crate::error::Error;
use crate::rerank::request::{RerankRequest, ScoringOptions};

/// The names that a list of passages goes by; a body holds one of them.
const PASSAGE_LISTS: [&str; 4] = ["documents", "texts", "passages", "input"];
/// How many times the work of a plain string an object is, byte for byte: it is read again, level by level, and laid
/// out.
const OBJECT_WORK: usize = 4;
/// The same where fields of it are looked for, which may stand below other objects.
const RANKED_OBJECT_WORK: usize = 8;

/// The fields of a body.
pub struct Fields<'a> {
    body: &'a ByteString,
    entries: Entries<'a>,
    is_wanted: &'a dyn Fn() -> bool,
}

impl fmt::Debug for Fields<'_> {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Fields").field("entries", &self.entries).finish_non_exhaustive()
    }
}

impl<'a> Fields<'a> {
    /// Takes a body apart.
    ///
    /// # Errors
    /// `invalid_json` with line and column, or `invalid_request` for a doubled field or a body that is not an object.
    pub fn read(body: &'a ByteString) -> Result<Self, Error> {
        let Object(entries) = raw::object(body, body, "")?;
        Ok(Self { body, entries, is_wanted: &|| true })
    }

    /// The same for somebody who may leave: reading documents ends once the body is not wanted any more.
    #[must_use]
    pub fn wanted_while(self, is_wanted: &'a dyn Fn() -> bool) -> Self {
        Self { is_wanted, ..self }
    }

    /// How much work it is to read the passages, in bytes of plain strings.
    #[must_use]
    pub fn work_bytes(&self) -> usize {
        let factor = if self.has_value("rank_fields") { RANKED_OBJECT_WORK } else { OBJECT_WORK };
        let work = |item: &Raw<'_>| match item.get().as_bytes().first() {
            Some(b'{' | b'[') => factor * item.get().len(),
            _ => item.get().len(),
        };
        PASSAGE_LISTS.iter().map(|name| self.items(name).iter().map(work).sum::<usize>()).sum()
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
        let pointer = pointer(query);
        let words = passage::query_words(self.body, raw, &pointer)?;
        self.request_about_words(words, &pointer)
    }

    /// The same where the query does not stand alone, but at `pointer`.
    ///
    /// # Errors
    /// `invalid_request`; the message never quotes the body.
    pub fn request_about(&self, query: ByteString, pointer: &str) -> Result<RerankRequest, Error> {
        self.request_about_words(passage::plain_query_words(query, pointer)?, pointer)
    }

    fn request_about_words(&self, query: Words, pointer: &str) -> Result<RerankRequest, Error> {
        let has_words = |text: &ByteString| !text.trim().is_empty();
        let told = || format!("{} holds a picture, which is not searched for", name_of(pointer));
        let tokens = self.count("max_tokens_per_doc")?.or(self.count("max_doc_length")?);
        let instruction = self.text("instruction")?.or(self.text("instruct")?);
        Ok(RerankRequest {
            model: self.text("model")?.filter(has_words),
            query: query.text,
            options: ScoringOptions {
                instruction: instruction.filter(has_words),
                // 0 is how vLLM's clients say "no limit".
                max_tokens_per_doc: tokens.filter(|tokens| *tokens > 0),
            },
            raw_scores: self.flag("raw_scores")?.unwrap_or(false),
            explain: self.flag("explain")?.unwrap_or(false),
            timeout: self.count("timeout_ms")?.map(|milliseconds| Duration::from_millis(milliseconds.into())),
            warnings: query.has_picture.then(told).into_iter().collect(),
            ..RerankRequest::default()
        })
    }

    /// The list of passages at `path`. With `lists`, a passage may be a list too.
    ///
    /// # Errors
    /// `invalid_request` if it is missing, not a list, not the only one, or holds something that is not a passage.
    pub fn passages(&self, path: &str, lists: bool) -> Result<PassageList, Error> {
        let Some(items) = self.list(path)? else {
            let is_blank = matches!(self.entry(path), Some(Value::Blank));
            return Err(if is_blank { not_a_list(path, "a string") } else { missing(path) });
        };
        let own = path.split('/').next();
        if let Some(other) = PASSAGE_LISTS.iter().find(|name| Some(**name) != own && self.value(name).is_some()) {
            return Err(Error::invalid_field(
                pointer(path),
                format!("the body has {path} and {other}; send one of them"),
            ));
        }
        // Before they are read: a body has room for millions.
        RankFields::check_count(self.list("rank_fields")?.map_or(0, <[_]>::len))?;
        let mut names = self.texts("rank_fields")?.unwrap_or_default();
        names.retain(|name| !name.trim().is_empty());
        let rank_fields = RankFields::new(names)?;
        PassageRules { rank_fields, lists, is_wanted: self.is_wanted }.read(self.body, items, &pointer(path))
    }

    /// The first of two names for the cut, or else the second. A client that sends both means its own dialect's.
    ///
    /// # Errors
    /// `invalid_request` if one of them is not a whole number.
    pub fn top_n(&self, own: &str, other: &str) -> Result<Option<usize>, Error> {
        let preferred = self.count(own)?;
        let count = preferred.or(self.count(other)?);
        Ok(count.and_then(|count| usize::try_from(count).ok()))
    }

    /// A text.
    ///
    /// # Errors
    /// `invalid_request` if it is something else.
    pub fn text(&self, path: &str) -> Result<Option<ByteString>, Error> {
        self.plain(path)?.map(|raw| raw::text(self.body, raw, &pointer(path))).transpose()
    }

    /// A whole number. A blank text or a word for nothing is as good as absent.
    ///
    /// # Errors
    /// `invalid_request` if it is something else.
    pub fn count(&self, path: &str) -> Result<Option<u32>, Error> {
        self.filled_in(path)?.map(|raw| raw::count(raw, &pointer(path), u32::MAX)).transpose()
    }

    /// A truth value. A blank text or a word for nothing is as good as absent.
    ///
    /// # Errors
    /// `invalid_request` if it is something else.
    pub fn flag(&self, path: &str) -> Result<Option<bool>, Error> {
        self.filled_in(path)?.map(|raw| raw::flag(raw, &pointer(path))).transpose()
    }

    /// The items of a list that are texts.
    ///
    /// # Errors
    /// `invalid_request` if it is no list, or an item is no text.
    pub fn texts(&self, path: &str) -> Result<Option<Vec<ByteString>>, Error> {
        let read = |(index, raw): (usize, &Raw<'_>)| raw::text(self.body, raw, &format!("{}/{index}", pointer(path)));
        self.list(path)?.map(|items| items.iter().enumerate().map(read).collect()).transpose()
    }

    /// Whether a number is below 0, which is how some clients say "all".
    #[must_use]
    pub fn is_negative(&self, path: &str) -> bool {
        matches!(self.value(path), Some(Value::Plain(raw)) if raw.get().trim_matches('"').trim_start().starts_with('-'))
    }

    /// The value at `path`, unless it is `null`.
    fn value(&self, path: &str) -> Option<&Value<'a>> {
        match self.entry(path)? {
            Value::Plain(raw) if raw::is_null(raw) => None,
            Value::Not("null") | Value::Blank => None,
            value => Some(value),
        }
    }

    /// The value at `path`, whatever it is.
    fn entry(&self, path: &str) -> Option<&Value<'a>> {
        match path.split_once('/') {
            None => find(&self.entries, path),
            Some((outer, inner)) => match find(&self.entries, outer)? {
                Value::Object(entries) => find(entries, inner),
                _ => None,
            },
        }
    }

    /// The documents under a name of the body, or in the object there.
    fn items(&self, name: &str) -> &[Raw<'a>] {
        match find(&self.entries, name) {
            Some(Value::List(items)) => items,
            Some(Value::Object(entries)) => match find(entries, "documents") {
                Some(Value::List(items)) => items,
                _ => &[],
            },
            _ => &[],
        }
    }

    /// A single value, unless nobody filled it in.
    fn filled_in(&self, path: &str) -> Result<Option<Raw<'a>>, Error> {
        Ok(self.plain(path)?.filter(|raw| !raw::says_nothing(raw)))
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
            Some(Value::Blank) => "a string",
        };
        Err(not_a_list(path, kind))
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

fn not_a_list(path: &str, kind: &str) -> Error {
    Error::invalid_field(pointer(path), format!("{} is {kind}; it must be a list", name(path)))
}

fn not_plain(path: &str) -> Error {
    Error::invalid_field(pointer(path), format!("{} must be a single value", name(path)))
}

fn missing(path: &str) -> Error {
    Error::invalid_field(pointer(path), format!("{} is missing", name(path)))
}
