//! Reading a table key by key, so that every fault is found and named, not only the first.
//!
//! Each key is named where it is read and nowhere else; what is left over is unknown, and the keys that were asked for are what
//! suggestions are made from.

use std::cell::RefCell;
use std::fmt;
use std::ops::RangeInclusive;
use std::time::Duration;

use toml::{Table, Value};

use crate::suggestion::suggestion;

/// What the limits of many keys are made of.
pub(super) const MILLISECOND: Duration = Duration::from_millis(1);
pub(super) const HOUR: Duration = Duration::from_hours(1);
pub(super) const MEBIBYTE: usize = 1 << 20;

/// One thing that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The key, from the root: `upstreams.cohere.api_key`.
    pub path: String,
    /// What is wrong with it and what would be right.
    pub message: String,
}

impl fmt::Display for Fault {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.message)
    }
}

/// Collects faults while reading goes on.
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
    /// What the item says, if it is right.
    pub(super) fn read<T>(&self, parse: impl Fn(&Value) -> Result<T, String>) -> Option<T> {
        parse(self.value).map_err(|message| self.faults.add(&self.path, message)).ok()
    }
}

/// One table that is being read.
pub(super) struct Section<'a> {
    path: String,
    table: &'a Table,
    asked: RefCell<Vec<&'static str>>,
    faults: &'a Faults,
}

impl<'a> Section<'a> {
    pub(super) fn root(table: &'a Table, faults: &'a Faults) -> Self {
        Self { path: String::new(), table, asked: RefCell::default(), faults }
    }

    /// Where this table or one of its keys stands.
    pub(super) fn path_of(&self, key: &str) -> String {
        let quoted = if key.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '-')) {
            key.to_owned()
        } else {
            format!("{key:?}")
        };
        if self.path.is_empty() { quoted } else { format!("{}.{quoted}", self.path) }
    }

    /// Says that `key` is wrong.
    pub(super) fn fault(&self, key: &str, message: impl Into<String>) {
        self.faults.add(self.path_of(key), message);
    }

    /// The value of `key`, if there is one and it is right.
    pub(super) fn read<T>(&self, key: &'static str, parse: impl Fn(&Value) -> Result<T, String>) -> Option<T> {
        self.asked.borrow_mut().push(key);
        let value = self.table.get(key)?;
        parse(value).map_err(|message| self.fault(key, message)).ok()
    }

    /// The value of `key`, which must be there.
    pub(super) fn require<T>(&self, key: &'static str, parse: impl Fn(&Value) -> Result<T, String>) -> Option<T> {
        if !self.table.contains_key(key) {
            self.fault(key, "is missing");
        }
        self.read(key, parse)
    }

    /// Whether `key` stands in the table, right or wrong.
    pub(super) fn has(&self, key: &str) -> bool {
        self.table.contains_key(key)
    }

    /// Whether `key` is a list without items.
    pub(super) fn is_empty_list(&self, key: &str) -> bool {
        self.table.get(key).and_then(Value::as_array).is_some_and(Vec::is_empty)
    }

    /// The table at `key`; an empty one if it is missing or not a table.
    pub(super) fn section(&self, key: &'static str) -> Section<'a> {
        self.asked.borrow_mut().push(key);
        self.child(key)
    }

    /// Every table in this one, whose keys are names that the user chose.
    pub(super) fn entries(&self) -> Vec<(&'a str, Section<'a>)> {
        let child = |name: &'a String| {
            let child = self.child(name);
            self.table[name].is_table().then_some((name.as_str(), child))
        };
        self.table.keys().filter_map(child).collect()
    }

    fn child(&self, key: &str) -> Section<'a> {
        static EMPTY: std::sync::LazyLock<Table> = std::sync::LazyLock::new(Table::new);
        let table = match self.table.get(key) {
            Some(Value::Table(table)) => table,
            Some(_) => {
                self.fault(key, "must be a table");
                &EMPTY
            }
            None => &EMPTY,
        };
        Section { path: self.path_of(key), table, asked: RefCell::default(), faults: self.faults }
    }

    /// The list of tables at `key`.
    pub(super) fn tables(&self, key: &'static str) -> Vec<Section<'a>> {
        let table = |item| match item {
            Item::Table(section) => Some(section),
            Item::Plain(item) => item.read(|_| Err("must be a table".into())),
        };
        self.items(key, "a list of tables such as [{ upstream = \"local\" }]").into_iter().filter_map(table).collect()
    }

    /// The items of the list at `key`, which must be `what`.
    pub(super) fn items(&self, key: &'static str, what: &str) -> Vec<Item<'a>> {
        self.asked.borrow_mut().push(key);
        let Some(Value::Array(items)) = self.table.get(key) else {
            let verb = if self.has(key) { "must be" } else { "is missing; it must be" };
            self.fault(key, format!("{verb} {what}"));
            return Vec::new();
        };
        let item = |(index, value): (usize, &'a Value)| {
            let path = format!("{}[{index}]", self.path_of(key));
            match value {
                Value::Table(table) => {
                    Item::Table(Section { path, table, asked: RefCell::default(), faults: self.faults })
                }
                value => Item::Plain(ItemValue { path, value, faults: self.faults }),
            }
        };
        items.iter().enumerate().map(item).collect()
    }

    /// Reports every key that nobody asked for.
    pub(super) fn finish(self) {
        let asked = self.asked.borrow();
        for key in self.table.keys().filter(|key| !asked.contains(&key.as_str())) {
            self.fault(key, format!("unknown key{}", suggestion(key, asked.iter().copied())));
        }
    }
}

/// The names that would have been right, and the one that was probably meant.
pub(super) fn known_names(word: &str, names: &[&str]) -> String {
    format!("known are {}{}", names.join(", "), suggestion(word, names.iter().copied()))
}

pub(super) fn text(value: &Value) -> Result<String, String> {
    value.as_str().map(str::to_owned).ok_or_else(|| "must be a text".into())
}

pub(super) fn texts(value: &Value) -> Result<Vec<String>, String> {
    let items = value.as_array().ok_or("must be a list of texts")?;
    items.iter().map(|item| item.as_str().map(str::to_owned).ok_or_else(|| "must be a list of texts".into())).collect()
}

/// A truth value; `"true"` and `"false"` too, because the environment holds only texts.
pub(super) fn boolean(value: &Value) -> Result<bool, String> {
    let from_text = || value.as_str()?.parse().ok();
    value.as_bool().or_else(from_text).ok_or_else(|| "must be true or false".into())
}

/// A whole number in a range; as a text too, because the environment holds only texts.
pub(super) fn count(range: RangeInclusive<usize>) -> impl Fn(&Value) -> Result<usize, String> {
    move |value| {
        let from_text = || value.as_str()?.parse().ok();
        let number: Option<i64> = value.as_integer().or_else(from_text);
        let number = number.and_then(|number| usize::try_from(number).ok()).filter(|number| range.contains(number));
        number.ok_or_else(|| format!("must be a whole number from {} to {}", range.start(), range.end()))
    }
}

/// A non-negative number.
pub(super) fn price(value: &Value) -> Result<f64, String> {
    number(value).filter(|number| *number >= 0.0).ok_or_else(|| "must be a number of at least 0".into())
}

/// A part of a whole.
pub(super) fn share(value: &Value) -> Result<f64, String> {
    number(value).filter(|number| (0.0..=1.0).contains(number)).ok_or_else(|| "must be a number from 0 to 1".into())
}

/// A finite number; as a text too, because the environment holds only texts.
fn number(value: &Value) -> Option<f64> {
    #[expect(clippy::cast_precision_loss, reason = "prices and shares are small")]
    let number = value.as_float().or_else(|| value.as_integer().map(|number| number as f64));
    number.or_else(|| value.as_str()?.parse().ok()).filter(|number| number.is_finite())
}

/// A duration such as `"250ms"`, within limits.
pub(super) fn duration(range: RangeInclusive<Duration>) -> impl Fn(&Value) -> Result<Duration, String> {
    move |value| {
        let parsed = value.as_str().and_then(|text| humantime::parse_duration(text).ok());
        parsed.filter(|duration| range.contains(duration)).ok_or_else(|| {
            let limit = |limit: &Duration| humantime::format_duration(*limit).to_string();
            let (least, most) = (limit(range.start()), limit(range.end()));
            format!("must be a duration such as \"250ms\" or \"2s\", from {least} to {most}")
        })
    }
}

/// One of a closed set of words.
pub(super) fn one_of<T>(
    names: &'static [&'static str],
    by_name: fn(&str) -> Option<T>,
) -> impl Fn(&Value) -> Result<T, String> {
    move |value| {
        value.as_str().and_then(by_name).ok_or_else(|| {
            let hint = value.as_str().map_or_else(String::new, |word| suggestion(word, names.iter().copied()));
            format!("must be one of {}{hint}", names.join(", "))
        })
    }
}
