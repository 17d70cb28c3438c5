//! Reading a table key by key, so that every fault is found and named, not only the first.
//!
//! Each key is named where it is read and nowhere else. A key that nobody read is unknown; the keys that were read are
//! the ones that may be suggested for it. Ranges are wide: they catch slips of the pen, not choices that are unwise.

use std::cell::RefCell;
use std::fmt;
use std::sync::LazyLock;
use std::time::Duration;

use rerankd_core::suggestion::suggestion;
use toml::{Table, Value};

use super::foreign_keys::instead_of;
pub(super) use super::values::{boolean, bytes, count, date, duration, known_names, one_of, price, share, text, texts};

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
    pub(super) fn of<T>(path: String, table: &'a Table, faults: &'a Faults, read: impl FnOnce(&Self) -> T) -> T {
        let section = Self { path, table, asked: RefCell::default(), faults };
        let value = read(&section);
        let asked = section.asked.borrow();
        for key in table.keys() {
            if !asked.contains(&key.as_str()) {
                let hint = match instead_of(&section.path, key) {
                    Some(instead) => format!("; use {instead}"),
                    None => suggestion(key, asked.iter().copied()),
                };
                section.fault(key, format!("unknown key{hint}"));
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

    /// Reports that `key` of the table at `section` is wrong.
    pub(super) fn fault_below(&self, section: &str, key: &str, message: impl Into<String>) {
        self.faults.add(path_below(&self.path_of(section), key), message);
    }

    /// Number of faults reported so far, of all sections.
    pub(super) fn fault_count(&self) -> usize {
        self.faults.faults.borrow().len()
    }

    /// Returns true if `key` of the table at `section`, or that table itself, was reported as wrong.
    pub(super) fn is_faulty_below(&self, section: &str, key: &str) -> bool {
        let table = self.path_of(section);
        let paths = [path_below(&table, key), table];
        self.faults.faults.borrow().iter().any(|fault| paths.contains(&fault.path))
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
