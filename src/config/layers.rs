//! Tables laid on each other, the later over the earlier.

use toml::{Table, Value};

use super::Environment;
use super::places::Places;
use super::reader::path_below;

/// Environment variables with this prefix are configuration.
pub(super) const PREFIX: &str = "RERANKD__";

/// Lays `over` on `table`: tables are merged, anything else is replaced.
pub(super) fn overlay(table: &mut Table, over: Table) {
    for (key, value) in over {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => overlay(below, above),
            (_, other) => drop(table.insert(key, other)),
        }
    }
}

/// Lays every table of `entries` on a copy of `defaults`.
pub(super) fn inherit(entries: &mut Table, defaults: &Table) {
    for (_, value) in entries.iter_mut() {
        if let Value::Table(entry) = value {
            let own = std::mem::replace(entry, defaults.clone());
            overlay(entry, own);
        }
    }
}

/// Lays `RERANKD__SECTION__KEY=value` variables on `table`. Names are matched to existing keys whatever their case,
/// with `_` for `-`. Values are texts, which the reader turns into numbers and truth values; lists and tables are TOML.
/// Each key that was set goes to `places`.
pub(super) fn overlay_environment(table: &mut Table, environment: &Environment, places: &mut Places) {
    for (name, value) in environment.iter() {
        let Some(path) = name.strip_prefix(PREFIX) else { continue };
        let mut current = &mut *table;
        let mut key_path = String::new();
        let mut segments = path.split("__").peekable();
        while let Some(segment) = segments.next() {
            let key = existing_key(current, segment);
            key_path = path_below(&key_path, &key);
            if segments.peek().is_none() {
                current.insert(key, environment_value(value));
                places.add_override(key_path, name);
                break;
            }
            let below = current.entry(key).or_insert_with(|| Value::Table(Table::new()));
            // The environment lies on top: its table replaces a value of another kind.
            if !below.is_table() {
                *below = Value::Table(Table::new());
            }
            let Value::Table(below) = below else { break };
            current = below;
        }
    }
}

/// Reduces the table at `key` to the values that differ from `base`.
pub(super) fn keep_changes(table: &mut Table, key: &str, base: &Table) {
    match (table.get_mut(key), base.get(key)) {
        (Some(Value::Table(own)), Some(Value::Table(base))) => {
            // A copy of the keys, because the table shrinks on the way.
            let keys: Vec<String> = own.keys().cloned().collect();
            for key in &keys {
                keep_changes(own, key, base);
            }
            if own.is_empty() {
                table.remove(key);
            }
        }
        (Some(own), Some(base)) if own == base => drop(table.remove(key)),
        _ => {}
    }
}

/// The key of `table` that a part of a variable's name means; a new one in lower case if there is none.
fn existing_key(table: &Table, segment: &str) -> String {
    let wanted = plain_name(segment);
    for key in table.keys() {
        if plain_name(key) == wanted {
            return key.clone();
        }
    }
    segment.to_ascii_lowercase()
}

/// A name without the differences that names of variables cannot express.
pub(super) fn plain_name(name: &str) -> String {
    name.to_ascii_lowercase().replace('-', "_")
}

/// The value of a variable: a list or a table if it is one in TOML, else a text.
fn environment_value(quoted: &str) -> Value {
    let text = without_quotation_marks(quoted);
    if text.starts_with(['[', '{'])
        && let Ok(mut table) = format!("value = {text}").parse::<Table>()
        && let Some(value) = table.remove("value")
    {
        return value;
    }
    Value::String(text.to_owned())
}

/// A text without the quotation marks of a file for `docker --env-file`, which hands them on.
fn without_quotation_marks(text: &str) -> &str {
    for mark in ['"', '\''] {
        if let Some(rest) = text.strip_prefix(mark)
            && let Some(inner) = rest.strip_suffix(mark)
        {
            return inner;
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_environment_lies_on_top() {
        let mut table: Table = "[server]\nlisten = 'a'\n[upstreams.my-tei]\nprovider = 'tei'".parse().unwrap();
        let environment = [
            ("RERANKD__SERVER__LISTEN", "b"),
            ("RERANKD__UPSTREAMS__MY_TEI__MAX_PASSAGES", "8"),
            ("RERANKD__MODELS__DEFAULT__TARGETS", "[{ upstream = 'local' }]"),
            ("RERANKD__SERVER__MAX_DOCUMENTS", "\"50\""),
            ("RERANKD__SERVER__API_KEYS", "'[\"env:KEY\"]'"),
            ("RERANKD_CONFIG", "elsewhere"),
            ("PATH", "x"),
        ];
        let environment = environment.map(|(name, value)| (name.to_owned(), value.to_owned())).into();
        overlay_environment(&mut table, &environment, &mut Places::default());
        let expected = "[server]\nlisten = 'b'\nmax_documents = '50'\napi_keys = ['env:KEY']\n\
                        [upstreams.my-tei]\nprovider = 'tei'\nmax_passages = '8'\n\
                        [models.default]\ntargets = [{ upstream = 'local' }]";
        assert_eq!(table, expected.parse::<Table>().unwrap());
    }
}
