//! Reading a table key by key, so that every fault is found and named, not only the first.
//!
//! Each key is named where it is read and nowhere else. A key that nobody read is unknown; the keys that were read are
//! the ones that may be suggested for it.

use std::cell::RefCell;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::{Table, Value};

use crate::suggestion::suggestion;

/// Lower bound of durations that must not be zero.
pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
/// Upper bound of most durations.
pub(super) const HOUR: Duration = Duration::from_hours(1);
/// One mebibyte, in bytes.
pub(super) const MEBIBYTE: usize = 1 << 20;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key, from the root: `upstreams.cohere.api_key`.
    pub path: String,
    /// A sentence that names the error and the way to mend it.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.message)
    }
}

/// The faults found so far. Shared by all sections, hence the cell.
#[derive(Debug, Default)]
pub(super) struct Faults(RefCell<Vec<Fault>>);

impl Faults {
    pub(super) fn add(&self, path: impl Into<String>, message: impl Into<String>) {
        self.0.borrow_mut().push(Fault { path: path.into(), message: message.into() });
    }

    pub(super) fn into_vec(self) -> Vec<Fault> {
        self.0.into_inner()
    }
}

/// One item of a list.
pub(super) enum Item<'a> {
    Table(Section<'a>),
    Plain(ItemValue<'a>),
}

/// One item of a list that is no table.
pub(super) struct ItemValue<'a> {
    path: String,
    value: &'a Value,
    faults: &'a Faults,
}

impl ItemValue<'_> {
    /// The parsed item; `None` if it is wrong, which is reported.
    pub(super) fn read<T>(&self, parse: impl Fn(&Value) -> Result<T, String>) -> Option<T> {
        match parse(self.value) {
            Ok(parsed) => Some(parsed),
            Err(message) => {
                self.fault(message);
                None
            }
        }
    }

    fn fault(&self, message: impl Into<String>) {
        self.faults.add(&self.path, message);
    }
}

/// One table that is being read.
pub(super) struct Section<'a> {
    path: String,
    table: &'a Table,
    /// The keys that were read so far, whether or not they are there.
    asked: RefCell<Vec<&'static str>>,
    faults: &'a Faults,
}

impl<'a> Section<'a> {
    pub(super) fn root(table: &'a Table, faults: &'a Faults) -> Self {
        Self { path: String::new(), table, asked: RefCell::default(), faults }
    }

    /// A table somewhere below this one.
    fn nested(&self, path: String, table: &'a Table) -> Section<'a> {
        Section { path, table, asked: RefCell::default(), faults: self.faults }
    }

    /// The path from the root to one of this table's keys, quoted where TOML wants it.
    pub(super) fn path_of(&self, key: &str) -> String {
        let is_bare = key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-'));
        let quoted = if is_bare { key.to_owned() } else { format!("{key:?}") };
        if self.path.is_empty() { quoted } else { format!("{}.{quoted}", self.path) }
    }

    /// Reports that `key` is wrong.
    pub(super) fn fault(&self, key: &str, message: impl Into<String>) {
        self.faults.add(self.path_of(key), message);
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
        self.asked.borrow_mut().push(key);
        let value = self.table.get(key)?;
        self.value_or_fault(key, parse(value))
    }

    /// The value of `key`; `None` if it is missing or wrong, both of which are reported.
    pub(super) fn require<T>(&self, key: &'static str, parse: impl Fn(&Value) -> Result<T, String>) -> Option<T> {
        if !self.table.contains_key(key) {
            self.fault(key, "is missing");
        }
        self.read(key, parse)
    }

    /// Returns true if `key` stands in the table, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Returns true if `key` is a list without items.
    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        matches!(self.table.get(key), Some(Value::Array(items)) if items.is_empty())
    }

    /// The table at `key`; an empty one if it is missing or not a table.
    pub(super) fn section(&self, key: &'static str) -> Section<'a> {
        static EMPTY: std::sync::LazyLock<Table> = std::sync::LazyLock::new(Table::new);
        self.asked.borrow_mut().push(key);
        // An empty table stands in, so that the keys that must be there are reported as missing.
        let table = match self.table.get(key) {
            Some(Value::Table(table)) => table,
            Some(_) => {
                self.fault(key, "must be a table");
                &EMPTY
            }
            None => &EMPTY,
        };
        self.nested(self.path_of(key), table)
    }

    /// Every table in this one, whose keys are names that the user chose.
    pub(super) fn entries(&self) -> Vec<(&'a str, Section<'a>)> {
        let mut entries = Vec::with_capacity(self.table.len());
        for (name, value) in self.table {
            match value {
                Value::Table(table) => entries.push((name.as_str(), self.nested(self.path_of(name), table))),
                _ => self.fault(name, "must be a table"),
            }
        }
        entries
    }

    /// The list of tables at `key`; other items are reported and left out.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Section<'a>> {
        let mut tables = Vec::new();
        for item in self.items(key, "a list of tables such as [{ upstream = \"local\" }]") {
            match item {
                Item::Table(section) => tables.push(section),
                Item::Plain(item) => item.fault("must be a table"),
            }
        }
        tables
    }

    /// The items of the list at `key`, which must be `what`.
    pub(super) fn items(&self, key: &'static str, what: &str) -> Vec<Item<'a>> {
        self.asked.borrow_mut().push(key);
        let Some(Value::Array(values)) = self.table.get(key) else {
            let verb = if self.has(key) { "must be" } else { "is missing; it must be" };
            self.fault(key, format!("{verb} {what}"));
            return Vec::new();
        };
        let mut items = Vec::with_capacity(values.len());
        for (index, value) in values.iter().enumerate() {
            let path = format!("{}[{index}]", self.path_of(key));
            items.push(match value {
                Value::Table(table) => Item::Table(self.nested(path, table)),
                value => Item::Plain(ItemValue { path, value, faults: self.faults }),
            });
        }
        items
    }

    /// Reports every key that was not read.
    pub(super) fn finish(self) {
        let asked = self.asked.borrow();
        for key in self.table.keys() {
            if !asked.contains(&key.as_str()) {
                self.fault(key, format!("unknown key{}", suggestion(key, asked.iter().copied())));
            }
        }
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

/// An amount of US dollars: a number of at least 0.
pub(super) fn price(value: &Value) -> Result<f64, String> {
    match number(value) {
        Some(price) if price >= 0.0 => Ok(price),
        _ => Err("must be a number of at least 0".into()),
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

/// One of a closed set of words.
pub(super) fn one_of<T>(
    names: &'static [&'static str],
    by_name: fn(&str) -> Option<T>,
) -> impl Fn(&Value) -> Result<T, String> {
    move |value| {
        let word = value.as_str();
        if let Some(found) = word.and_then(by_name) {
            return Ok(found);
        }
        let hint = match word {
            Some(word) => suggestion(word, names.iter().copied()),
            None => String::new(),
        };
        Err(format!("must be one of {}{hint}", names.join(", ")))
    }
}
