//! One pass over a body that keeps the fields which some dialect reads and skips all others.
//!
//! ```text
//! body ─▶ Scanner ─▶ entries
//!            └─ does not go on ─▶ entries_by_serde ─▶ entries, or the error with line and column
//! ```

use std::borrow::Cow;
use std::cell::Cell;

use rerankd_core::error::Error;

use super::entries_by_serde;
use super::raw::{JsonKind, Raw, is_absent_word, is_null, unquoted};
use super::scan::Scanner;
use super::unread_fields::UnreadFields;

/// Fields whose values are kept as slices of the body. A field that a dialect reads must stand here or in [`OPENED`],
/// by its name in its own object: for the dialects no other exists.
const RAW_FIELDS: [&str; 16] = [
    "model",
    "query",
    "property",
    "top_n",
    "top_k",
    "return_documents",
    "return_input",
    "return_text",
    "raw_scores",
    "truncation",
    "instruction",
    "instruct",
    "max_tokens_per_doc",
    "max_doc_length",
    "timeout_ms",
    "explain",
];
/// Fields that hold a list or an object, which is opened in the same pass.
const OPENED: [&str; 7] = ["documents", "texts", "passages", "input", "queries", "parameters", "rank_fields"];

/// Fields that give a client away, and that no dialect reads further.
const HINTS: [&str; 2] = ["property", "truncation"];

/// Known fields, in the order of the body. Each name appears once.
pub(super) type Entries<'a> = Vec<Entry<'a>>;

/// A known field.
#[derive(Debug, PartialEq)]
pub(super) struct Entry<'a> {
    pub(super) name: &'static str,
    pub(super) value: Value<'a>,
    /// True once the dialect has asked for the field.
    was_read: Cell<bool>,
}

/// The value of a field.
#[derive(Debug, PartialEq)]
pub(super) enum Value<'a> {
    /// A slice of the body.
    Plain(Raw<'a>),
    /// The items of a list, as slices of the body.
    List(Items<'a>),
    /// The known fields of an object.
    Object(Entries<'a>),
    /// The kind of a value that stands where a list or an object was expected.
    Other(JsonKind),
    /// A blank string that stands where a list or an object was expected. It counts as absent.
    Blank,
}

/// The items of a list. A body has room for millions, so each takes no more than a slice and a bit.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Items<'a> {
    json: Vec<&'a str>,
    /// [`Raw::has_escapes`] of 64 items in each number, the first in its lowest bit.
    escapes: Vec<u64>,
}

impl<'a> Items<'a> {
    pub(super) fn len(&self) -> usize {
        self.json.len()
    }

    pub(super) fn push(&mut self, item: Raw<'a>) {
        let bit = self.json.len() % 64;
        if bit == 0 {
            self.escapes.push(0);
            // Room for a usual list, which is then copied less often as it grows.
            self.json.reserve(64);
        }
        if let Some(last) = self.escapes.last_mut() {
            *last |= u64::from(item.has_escapes()) << bit;
        }
        self.json.push(item.get());
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = Raw<'a>> {
        self.json.iter().enumerate().map(|(index, json)| {
            let has_escapes = self.escapes[index / 64] >> (index % 64) & 1 == 1;
            Raw::new(json, has_escapes)
        })
    }
}

impl<'a> Entry<'a> {
    pub(super) fn new(name: &'static str, value: Value<'a>) -> Self {
        Self { name, value, was_read: Cell::new(false) }
    }

    /// The value, for a dialect that reads it.
    pub(super) fn read(&self) -> &Value<'a> {
        self.was_read.set(true);
        &self.value
    }
}

impl Value<'_> {
    /// Returns true for `null`, and for a blank string where a list or an object was expected.
    pub(super) fn is_absent(&self) -> bool {
        match self {
            Self::Plain(raw) => is_null(*raw),
            Self::Other(JsonKind::Null) | Self::Blank => true,
            Self::List(_) | Self::Object(_) | Self::Other(_) => false,
        }
    }
}

/// The field `name`, if it is there.
pub(super) fn find<'e, 'a>(entries: &'e Entries<'a>, name: &str) -> Option<&'e Entry<'a>> {
    entries.iter().find(|entry| entry.name == name)
}

/// The paths of the fields that hold a value and that the dialect did not read, in the order of the body.
pub(super) fn ignored(entries: &Entries<'_>) -> Vec<String> {
    let mut paths = Vec::new();
    for entry in entries {
        match &entry.value {
            value if value.is_absent() || HINTS.contains(&entry.name) => {}
            Value::Plain(raw) if is_absent_word(*raw) => {}
            Value::Object(inner) if entry.was_read.get() => {
                paths.extend(ignored(inner).into_iter().map(|name| format!("{}/{name}", entry.name)));
            }
            _ if !entry.was_read.get() => paths.push(entry.name.to_owned()),
            _ => {}
        }
    }
    paths
}

/// Reads the known fields of a body.
///
/// # Errors
/// `invalid_json` with line and column; `invalid_request` if a field appears twice or the body is not an object.
pub(super) fn of_body(body: &str) -> Result<(Entries<'_>, UnreadFields<'_>), Error> {
    match scanned(body) {
        Some(read) => Ok(read),
        None => entries_by_serde::of_body(body),
    }
}

/// The known fields of a body. `None` if it has a fault, or a form so rare that it is left to `serde_json`.
pub(super) fn scanned(body: &str) -> Option<(Entries<'_>, UnreadFields<'_>)> {
    let mut scanner = Scanner::new(body);
    let mut unread = UnreadFields::default();
    let entries = object(&mut scanner, true, &mut unread)?;
    scanner.peek().is_none().then_some((entries, unread))
}

/// The known fields of the next object; the others go to `unread`. In the body itself no field may appear twice.
fn object<'a>(scanner: &mut Scanner<'a>, is_body: bool, unread: &mut UnreadFields<'a>) -> Option<Entries<'a>> {
    // Room for what clients usually send.
    let mut entries = Entries::with_capacity(8);
    let mut has_more = scanner.open(b'{', b'}')?;
    while has_more {
        let name = scanner.name()?.characters()?;
        match known_name(&name) {
            Some(name) if find(&entries, name).is_none() => {
                let value =
                    if is_opened(name) { opened(scanner, is_body, unread)? } else { Value::Plain(scanner.value()?) };
                entries.push(Entry::new(name, value));
            }
            Some(_) if is_body => return None,
            // Most fields of an inner object are not meant for us, so a repeated one is no error.
            Some(_) => {
                scanner.value()?;
            }
            None => {
                let plain = match name {
                    Cow::Borrowed(plain) => Some(plain),
                    Cow::Owned(_) => None,
                };
                // A field that is null counts as absent; some clients send all that they know.
                if scanner.value()?.get() != "null" {
                    unread.add(plain);
                }
            }
        }
        has_more = scanner.next(b'}')?;
    }
    Some(entries)
}

/// The items of the next value if it is a list, or its known fields if it is an object in the body itself.
fn opened<'a>(scanner: &mut Scanner<'a>, in_body: bool, unread: &mut UnreadFields<'a>) -> Option<Value<'a>> {
    match scanner.peek()? {
        b'[' => {
            let mut items = Items::default();
            let mut has_more = scanner.open(b'[', b']')?;
            while has_more {
                items.push(scanner.value()?);
                has_more = scanner.next(b']')?;
            }
            return Some(Value::List(items));
        }
        b'{' if in_body => return Some(Value::Object(object(scanner, false, unread)?)),
        _ => {}
    }
    let value = scanner.value()?;
    match JsonKind::of(value.get()) {
        // serde_json refuses halves of surrogate pairs here, and numbers that are out of range.
        JsonKind::Number => None,
        _ if value.has_escapes() => None,
        JsonKind::String => Some(of_text(unquoted(value.get())?)),
        kind => Some(Value::Other(kind)),
    }
}

/// The names of all fields that some dialect reads.
pub(super) fn known_names() -> impl Iterator<Item = &'static str> {
    RAW_FIELDS.iter().chain(&OPENED).copied()
}

/// The name itself, if it is a known one.
pub(super) fn known_name(name: &str) -> Option<&'static str> {
    known_names().find(|known| *known == name)
}

/// Returns true for the name of a field that holds a list or an object.
pub(super) fn is_opened(name: &str) -> bool {
    OPENED.contains(&name)
}

/// The value of a string that stands where a list or an object was expected.
pub(super) fn of_text(text: &str) -> Value<'static> {
    if text.trim().is_empty() { Value::Blank } else { Value::Other(JsonKind::String) }
}
