//! The places where keys were written, so that a fault can say where to look.

use std::collections::BTreeMap;
use std::path::Path;

use toml::de::{DeTable, DeValue};

use super::reader::{Fault, path_below};

/// The place of each key that was written, by its path: `FILE:LINE:COLUMN`, or the name of a variable or flag.
#[derive(Debug, Default)]
pub(super) struct Places(BTreeMap<String, String>);

impl Places {
    /// Adds the keys of a file in TOML; none if it has a syntax error.
    pub(super) fn add_file(&mut self, file: &Path, text: &str) {
        let Ok(document) = DeTable::parse(text) else { return };
        let lines = Lines { file, text };
        self.add_table("", document.get_ref(), &lines);
    }

    /// Adds a key that `name` set, which takes the place of what was written before.
    pub(super) fn add_override(&mut self, path: String, name: &str) {
        let below = |written: &str| matches!(written.strip_prefix(&path), Some(rest) if rest.starts_with(['.', '[']));
        self.0.retain(|written, _| !below(written));
        self.0.insert(path, name.to_owned());
    }

    /// Puts its place into each of `faults`.
    pub(super) fn put_into(&self, faults: &mut [Fault]) {
        for fault in faults {
            fault.place = self.of(&fault.path);
        }
    }

    /// The place of a key, or of the nearest table or list around it.
    fn of(&self, path: &str) -> Option<String> {
        let mut around = path;
        loop {
            if let Some(place) = self.0.get(around) {
                return Some(place.clone());
            }
            around = &around[..around.rfind(['.', '['])?];
        }
    }

    fn add_table(&mut self, path: &str, table: &DeTable<'_>, lines: &Lines<'_>) {
        for (key, value) in table {
            let own_path = path_below(path, key.get_ref());
            self.0.insert(own_path.clone(), lines.place(key.span().start));
            self.add_value(&own_path, value.get_ref(), lines);
        }
    }

    fn add_value(&mut self, path: &str, value: &DeValue<'_>, lines: &Lines<'_>) {
        match value {
            DeValue::Table(table) => self.add_table(path, table, lines),
            DeValue::Array(items) => {
                for (index, item) in items.iter().enumerate() {
                    let item_path = format!("{path}[{index}]");
                    self.0.insert(item_path.clone(), lines.place(item.span().start));
                    self.add_value(&item_path, item.get_ref(), lines);
                }
            }
            _ => {}
        }
    }
}

/// A file, by whose lines places are told.
pub(super) struct Lines<'a> {
    pub(super) file: &'a Path,
    pub(super) text: &'a str,
}

impl Lines<'_> {
    /// `FILE:LINE:COLUMN` of the byte at `index`; lines and columns count from 1, columns in characters.
    pub(super) fn place(&self, index: usize) -> String {
        let before = self.text.get(..index).unwrap_or_default();
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        format!("{}:{line}:{column}", self.file.display())
    }
}
