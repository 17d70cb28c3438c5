//! Several tables on top of each other.

use toml::{Table, Value};

use super::Environment;

/// Environment variables with this prefix are configuration.
const PREFIX: &str = "RERANKD__";

/// Lays `over` on `table`: tables are merged, anything else is replaced.
pub(super) fn overlay(table: &mut Table, over: Table) {
    for (key, value) in over {
        match (table.get_mut(&key), value) {
            (Some(Value::Table(below)), Value::Table(above)) => overlay(below, above),
            (_, value) => drop(table.insert(key, value)),
        }
    }
}

/// Lays every table of `entries` on a copy of `defaults`.
pub(super) fn inherit(entries: &mut Table, defaults: &Table) {
    for (_, entry) in entries.iter_mut() {
        if let Value::Table(entry) = entry {
            let own = std::mem::replace(entry, defaults.clone());
            overlay(entry, own);
        }
    }
}

/// Lays `RERANKD__SECTION__KEY=value` variables on `table`. Names are matched to existing keys whatever their case, `_` for `-`.
/// Values are texts, which the reader turns into numbers and truth values where it wants them; lists and tables are TOML.
pub(super) fn overlay_environment(table: &mut Table, environment: &Environment) {
    for (name, value) in environment {
        let Some(path) = name.strip_prefix(PREFIX) else { continue };
        let mut place = &mut *table;
        let mut segments = path.split("__").peekable();
        while let Some(segment) = segments.next() {
            let key = existing_key(place, segment);
            if segments.peek().is_none() {
                place.insert(key, environment_value(value));
                break;
            }
            let below = place.entry(key).or_insert_with(|| Value::Table(Table::new()));
            if !below.is_table() {
                *below = Value::Table(Table::new());
            }
            let Value::Table(below) = below else { break };
            place = below;
        }
    }
}

/// Leaves of the table at `key` only what differs from `base`.
pub(super) fn keep_changes(table: &mut Table, key: &str, base: &Table) {
    match (table.get_mut(key), base.get(key)) {
        (Some(Value::Table(own)), Some(Value::Table(base))) => {
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

fn existing_key(table: &Table, segment: &str) -> String {
    let plain = |name: &str| name.to_ascii_lowercase().replace('-', "_");
    let existing = table.keys().find(|key| plain(key) == plain(segment));
    existing.cloned().unwrap_or_else(|| segment.to_ascii_lowercase())
}

/// A value as a variable has it. Quotation marks around it are those of a file for `docker --env-file`, which hands them on.
fn environment_value(text: &str) -> Value {
    let quoted = ['"', '\''].iter().find_map(|mark| text.strip_prefix(*mark)?.strip_suffix(*mark));
    let text = quoted.unwrap_or(text);
    let structured = text.starts_with(['[', '{']).then(|| format!("value = {text}").parse::<Table>().ok()).flatten();
    structured.and_then(|mut table| table.remove("value")).unwrap_or_else(|| Value::String(text.to_owned()))
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
        overlay_environment(&mut table, &environment);
        let expected = "[server]\nlisten = 'b'\nmax_documents = '50'\napi_keys = ['env:KEY']\n[upstreams.my-tei]\nprovider = 'tei'\nmax_passages = '8'\n\
                        [models.default]\ntargets = [{ upstream = 'local' }]";
        assert_eq!(table, expected.parse::<Table>().unwrap());
    }
}
