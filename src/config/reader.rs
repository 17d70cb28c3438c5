//! Reading a table key by key, so that every fault is found and named, not only the first.
//!
//! Each key is named where it is read and nowhere else. A key that nobody read is unknown; the keys that were read are
//! the ones that may be suggested for it. Ranges are wide: they catch slips of the pen, not choices that are unwise.

use std::cell::RefCell;
use std::fmt;
use std::ops::RangeInclusive;
use std::sync::LazyLock;
use std::time::Duration;

use rerankd_core::suggestion::suggestion;
use rerankd_core::types::facts::Date;
use toml::{Table, Value};

/// Lower bound of durations that must not be zero.
pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
/// Upper bound of most durations.
pub(super) const HOUR: Duration = Duration::from_hours(1);
/// One mebibyte, in bytes.
pub(super) const MEBIBYTE: usize = 1 << 20;

/// One thing that is wrong, or that the operator should know.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The place where it was written: `rerankd.toml:12:9`, or the name of a variable; `None` if it is not known.
    pub place: Option<String>,
    /// The key, from the root: `upstreams.cohere.api_key`.
    pub path: String,
    /// A sentence that names the error and the way to mend it.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(place) = &self.place {
            write!(formatter, "{place}: ")?;
        }
        write!(formatter, "{}: {}", self.path, self.message)
    }
}

/// The faults and warnings found so far. Shared by all sections, hence the cells.
#[derive(Debug, Default)]
pub(super) struct Faults {
    faults: RefCell<Vec<Fault>>,
    warnings: RefCell<Vec<Fault>>,
}

impl Faults {
    pub(super) fn add(&self, path: impl Into<String>, message: impl Into<String>) {
        self.faults.borrow_mut().push(Fault { place: None, path: path.into(), message: message.into() });
    }

    /// Adds a warning, which does not make the configuration invalid.
    pub(super) fn warn(&self, path: impl Into<String>, message: impl Into<String>) {
        self.warnings.borrow_mut().push(Fault { place: None, path: path.into(), message: message.into() });
    }

    /// The faults, then the warnings.
    pub(super) fn into_parts(self) -> (Vec<Fault>, Vec<Fault>) {
        (self.faults.into_inner(), self.warnings.into_inner())
    }
}

/// The path from the root to `key` of the table at `path`, quoted where TOML wants it.
pub(super) fn path_below(path: &str, key: &str) -> String {
    let is_bare = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
    let quoted = if is_bare { key.to_owned() } else { format!("{key:?}") };
    if path.is_empty() { quoted } else { format!("{path}.{quoted}") }
}

/// One table that is being read. It exists only while a reader's function runs, so that its unknown keys are always
/// reported.
pub(super) struct Section<'a> {
    /// Path from the root; empty for the root itself.
    path: String,
    table: &'a Table,
    /// The keys that were read so far, whether or not they are there.
    asked: RefCell<Vec<&'a str>>,
    faults: &'a Faults,
}

impl<'a> Section<'a> {
    /// The value that `read` makes of the root table.
    pub(super) fn root<T>(table: &'a Table, faults: &'a Faults, read: impl FnOnce(&Self) -> T) -> T {
        Self::of(String::new(), table, faults, read)
    }

    /// The value that `read` makes of a table. Reports every key that it did not read.
    fn of<T>(path: String, table: &'a Table, faults: &'a Faults, read: impl FnOnce(&Self) -> T) -> T {
        let section = Self { path, table, asked: RefCell::default(), faults };
        let value = read(&section);
        let asked = section.asked.borrow();
        for key in table.keys() {
            if !asked.contains(&key.as_str()) {
                section.fault(key, format!("unknown key{}", suggestion(key, asked.iter().copied())));
            }
        }
        value
    }

    /// Marks `key` as known.
    fn ask(&self, key: &'a str) {
        self.asked.borrow_mut().push(key);
    }

    /// The path from the root to one of this table's keys.
    pub(super) fn path_of(&self, key: &str) -> String {
        path_below(&self.path, key)
    }

    /// Reports that `key` is wrong.
    pub(super) fn fault(&self, key: &str, message: impl Into<String>) {
        self.faults.add(self.path_of(key), message);
    }

    /// Reports something about `key` that the operator should know.
    pub(super) fn warn(&self, key: &str, message: impl Into<String>) {
        self.faults.warn(self.path_of(key), message);
    }

    /// Reports something about this table that the operator should know.
    pub(super) fn warn_of_table(&self, message: impl Into<String>) {
        self.faults.warn(self.path.as_str(), message);
    }

    /// The value of a result; an error is reported as a fault of `key`.
    pub(super) fn value_or_fault<T>(&self, key: &str, result: Result<T, String>) -> Option<T> {
        match result {
            Ok(value) => Some(value),
            Err(message) => {
                self.fault(key, message);
                None
            }
        }
    }

    /// The value of `key`; `None` if it is missing or wrong, of which only the latter is reported.
    pub(super) fn read<T>(&self, key: &'static str, parse: impl Fn(&Value) -> Result<T, String>) -> Option<T> {
        self.ask(key);
        let value = self.table.get(key)?;
        self.value_or_fault(key, parse(value))
    }

    /// The value of `key`, or `default` if it is missing; `None` if it is wrong, which is reported.
    pub(super) fn read_or<T>(
        &self,
        key: &'static str,
        default: T,
        parse: impl Fn(&Value) -> Result<T, String>,
    ) -> Option<T> {
        if self.has(key) { self.read(key, parse) } else { Some(default) }
    }

    /// The value of `key`; `None` if it is missing or wrong, both of which are reported.
    pub(super) fn require<T>(&self, key: &'static str, parse: impl Fn(&Value) -> Result<T, String>) -> Option<T> {
        if !self.table.contains_key(key) {
            self.fault(key, "is missing");
        }
        self.read(key, parse)
    }

    /// Returns true if `key` stands in the table, right or wrong. Counts as read, so that an optional table can be
    /// suggested for a misspelled key.
    pub(super) fn has(&self, key: &'static str) -> bool {
        self.ask(key);
        self.table.contains_key(key)
    }

    /// Returns true if `key` is a list without items.
    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        matches!(self.table.get(key), Some(Value::Array(items)) if items.is_empty())
    }

    /// The value that `read` makes of the table at `key`; of an empty one if it is missing or not a table.
    pub(super) fn section<T>(&self, key: &'static str, read: impl FnOnce(&Self) -> T) -> T {
        static EMPTY: LazyLock<Table> = LazyLock::new(Table::new);
        self.ask(key);
        // An empty table stands in, so that the keys that must be there are reported as missing.
        let table = match self.table.get(key) {
            Some(Value::Table(table)) => table,
            Some(_) => {
                self.fault(key, "must be a table");
                &EMPTY
            }
            None => &EMPTY,
        };
        Self::of(self.path_of(key), table, self.faults, read)
    }

    /// The values that `read` makes of the tables in this one, whose keys are names that the user chose. A table whose
    /// name has a fault by `name_fault` is reported and left out.
    pub(super) fn entries<T>(
        &self,
        name_fault: impl Fn(&str) -> Option<String>,
        read: impl Fn(&'a str, &Self) -> T,
    ) -> Vec<T> {
        let mut entries = Vec::with_capacity(self.table.len());
        for (name, value) in self.table {
            self.ask(name);
            let Value::Table(table) = value else {
                self.fault(name, "must be a table");
                continue;
            };
            match name_fault(name) {
                Some(message) => self.fault(name, message),
                None => {
                    entries.push(Self::of(self.path_of(name), table, self.faults, |section| read(name, section)));
                }
            }
        }
        entries
    }

    /// The values that `read` makes of the tables in the list at `key`; `None` for an item that is wrong, which is
    /// reported.
    pub(super) fn tables<T>(&self, key: &'static str, read: impl Fn(&Self) -> Option<T>) -> Vec<Option<T>> {
        let what = "a list of tables such as [{ upstream = \"local\" }]";
        self.items(key, what, read, |_| Err("must be a table".to_owned()))
    }

    /// The values that `read` makes of the tables, and `parse` of the other items, in the list at `key`, which must be
    /// `what`; `None` for an item that is wrong, which is reported.
    pub(super) fn items<T>(
        &self,
        key: &'static str,
        what: &str,
        read: impl Fn(&Self) -> Option<T>,
        parse: impl Fn(&Value) -> Result<T, String>,
    ) -> Vec<Option<T>> {
        self.ask(key);
        let Some(Value::Array(values)) = self.table.get(key) else {
            let verb = if self.has(key) { "must be" } else { "is missing; it must be" };
            self.fault(key, format!("{verb} {what}"));
            return Vec::new();
        };
        let mut items = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            let path = format!("{}[{index}]", self.path_of(key));
            items.push(match value {
                Value::Table(table) => Self::of(path, table, self.faults, &read),
                _ => match parse(value) {
                    Ok(item) => Some(item),
                    Err(message) => {
                        self.faults.add(path, message);
                        None
                    }
                },
            });
        }
        items
    }
}

/// A list of the names that would have been right, with the one that was probably meant.
pub(super) fn known_names(word: &str, names: &[&str]) -> String {
    format!("known are {}{}", names.join(", "), suggestion(word, names.iter().copied()))
}

pub(super) fn text(value: &Value) -> Result<String, String> {
    match value {
        Value::String(text) => Ok(text.clone()),
        _ => Err("must be a text".into()),
    }
}

pub(super) fn texts(value: &Value) -> Result<Vec<String>, String> {
    let items = value.as_array().ok_or("must be a list of texts")?;
    let mut texts = Vec::with_capacity(items.len());
    for item in items {
        let text = item.as_str().ok_or("must be a list of texts")?;
        texts.push(text.to_owned());
    }
    Ok(texts)
}

/// A truth value; `"true"` and `"false"` too, because the environment holds only texts.
pub(super) fn boolean(value: &Value) -> Result<bool, String> {
    let truth = match value {
        Value::String(text) => text.parse().ok(),
        other => other.as_bool(),
    };
    truth.ok_or_else(|| "must be true or false".into())
}

/// A whole number in a range; as a text too, because the environment holds only texts.
pub(super) fn count(range: RangeInclusive<usize>) -> impl Fn(&Value) -> Result<usize, String> {
    move |value| {
        let number: Option<i64> = match value {
            Value::String(text) => text.parse().ok(),
            other => other.as_integer(),
        };
        if let Some(number) = number
            && let Ok(count) = usize::try_from(number)
            && range.contains(&count)
        {
            return Ok(count);
        }
        Err(format!("must be a whole number from {} to {}", range.start(), range.end()))
    }
}

/// The units of a size, with their bytes.
const SIZE_UNITS: [(&str, usize); 9] = [
    ("kB", 1_000),
    ("KB", 1_000),
    ("KiB", 1 << 10),
    ("MB", 1_000_000),
    ("MiB", 1 << 20),
    ("GB", 1_000_000_000),
    ("GiB", 1 << 30),
    ("TB", 1_000_000_000_000),
    ("TiB", 1 << 40),
];

/// A size in bytes, in a range: a whole number, or a text such as `"256MB"` (10^6 bytes each) or `"64MiB"` (2^20).
pub(super) fn bytes(range: RangeInclusive<usize>) -> impl Fn(&Value) -> Result<usize, String> {
    move |value| {
        let size = match value {
            Value::String(text) => size_of(text),
            _ => count(0..=usize::MAX)(value).ok(),
        };
        match size {
            Some(size) if range.contains(&size) => Ok(size),
            _ => Err(format!(
                "must be a size in bytes such as 1048576, \"256MB\" or \"64MiB\", from {} to {}",
                range.start(),
                range.end()
            )),
        }
    }
}

/// The bytes of a size in words; `None` if it is none, or too large to count.
fn size_of(text: &str) -> Option<usize> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let unit = &text[digits.len()..];
    let number: usize = digits.trim().parse().ok()?;
    if unit.is_empty() || unit == "B" {
        return Some(number);
    }
    let (_, factor) = SIZE_UNITS.iter().find(|(name, _)| *name == unit)?;
    number.checked_mul(*factor)
}

/// An amount of US dollars: a number of at least 0.
pub(super) fn price(value: &Value) -> Result<f64, String> {
    match number(value) {
        Some(price) if price >= 0.0 => Ok(price),
        _ => Err("must be a number of at least 0".into()),
    }
}

/// A calendar date.
pub(super) fn date(value: &Value) -> Result<Date, String> {
    match value.as_str().and_then(Date::parse) {
        Some(date) => Ok(date),
        None => Err("must be a date as a text, such as \"2026-11-28\"".into()),
    }
}

/// A part of a whole, 0 to 1.
pub(super) fn share(value: &Value) -> Result<f64, String> {
    match number(value) {
        Some(share) if (0.0..=1.0).contains(&share) => Ok(share),
        _ => Err("must be a number from 0 to 1".into()),
    }
}

/// A finite number; as a text too, because the environment holds only texts.
fn number(value: &Value) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "prices and shares are small")]
    let number = match value {
        Value::Float(number) => *number,
        Value::Integer(number) => *number as f64,
        Value::String(text) => text.parse().ok()?,
        _ => return None,
    };
    // TOML and Rust both know "inf" and "nan".
    number.is_finite().then_some(number)
}

/// A duration such as `"250ms"`, in a range.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&Value) -> Result<Duration, String> {
    move |value| {
        if let Some(text) = value.as_str()
            && let Ok(duration) = humantime::parse_duration(text)
            && range.contains(&duration)
        {
            return Ok(duration);
        }
        let min = humantime::format_duration(*range.start());
        let max = humantime::format_duration(*range.end());
        Err(format!("must be a duration such as \"250ms\" or \"2s\", from {min} to {max}"))
    }
}

/// One of a closed set of words, each with its value.
pub(super) fn one_of<T: Copy>(words: &[(&'static str, T)]) -> impl Fn(&Value) -> Result<T, String> {
    move |value| {
        let word = value.as_str();
        for (name, meaning) in words {
            if word == Some(name) {
                return Ok(*meaning);
            }
        }
        let names: Vec<&str> = words.iter().map(|(name, _)| *name).collect();
        let hint = match word {
            Some(word) => suggestion(word, names.iter().copied()),
            None => String::new(),
        };
        Err(format!("must be one of {}{hint}", names.join(", ")))
    }
}
