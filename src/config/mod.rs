//! From files, environment and flags to [`Settings`].
//!
//! ```text
//!  default.toml ◀─ file ◀─ environment ◀─ flags      layers: plain tables, laid on each other
//!        │
//!        ▼ reader: key by key, all faults collected
//!     Settings                                       resolve: checked and typed
//! ```

pub mod about_provider;
mod api_keys;
pub mod availability;
mod call_limits;
mod compiled_in;
mod detect;
mod environment;
mod equivalent_targets;
mod error_rules;
mod foreign_keys;
mod layers;
mod local;
mod models;
mod places;
pub mod provider_facts;
mod proxy;
mod reader;
mod refusal_words;
mod resolve;
mod secret;
pub mod settings;
mod stray_variables;
mod targets;
mod upstream_address;
mod upstream_keys;
mod upstreams;
mod values;
mod wire_shape;

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use toml::{Table, Value};

use rerankd_core::route::settings::WrittenIn;
use rerankd_core::text::counted;
use rerankd_core::types::date::Date;

pub use self::compiled_in::{DEFAULT_TOML, PROVIDER_FILES, REFUSALS_TOML, providers};
pub use self::environment::Environment;
use self::places::{Lines, Places};
pub(crate) use self::proxy::proxy_for;
pub use self::reader::Fault;
use self::reader::Faults;
use self::resolve::{Manner, Merged};
use crate::config::settings::Settings;

/// The sources of a configuration, beside what is compiled in.
#[derive(Clone, Debug, Default)]
pub struct Sources {
    /// The file to read; without one, upstreams are made from customary key variables.
    pub file: Option<PathBuf>,
    /// The process's environment.
    pub environment: Environment,
    /// `--listen`.
    pub listen: Option<String>,
}

/// A valid configuration.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The checked and typed form.
    pub settings: Settings,
    /// The merged tables, without the facts and words that are as compiled in. They hold references to secrets, never
    /// secrets.
    pub effective: Table,
    /// Things that the operator should know: upstreams that were left out, variables that mean nothing.
    pub warnings: Vec<Fault>,
}

/// The reason for which a configuration is refused.
#[derive(Debug)]
pub enum ConfigError {
    /// The file cannot be read, or is not TOML; with its place and the reason.
    File(String, String),
    /// All wrong keys; never empty.
    Faults(Vec<Fault>),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(place, reason) => write!(formatter, "{place}: {}", reason.trim_end()),
            Self::Faults(faults) => {
                write!(formatter, "the configuration has {}", counted(faults.len(), "fault", "faults"))?;
                for fault in faults {
                    write!(formatter, "\n  {fault}")?;
                }
                Ok(())
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// Reads and checks the configuration.
///
/// # Errors
/// The file cannot be read, or keys are wrong: then every fault at once.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut table = compiled_in::table().clone();
    let mut places = Places::default();
    if let Some(path) = &sources.file {
        layers::overlay(&mut table, read_file(path, &mut places)?);
    }
    let upstreams_are_detected = !has_entries(&table, "upstreams");
    // Before the environment is laid on top, so that it can change the upstreams that are found here.
    if upstreams_are_detected {
        detect::add_upstreams(&mut table, &sources.environment);
    }
    layers::overlay_environment(&mut table, &sources.environment, &mut places);
    let today = Date::of(SystemTime::now());
    // After it, so that what the environment declares is not found here.
    let mut others = if upstreams_are_detected {
        detect::take_others(&mut table, &sources.environment, today)
    } else {
        Table::new()
    };
    let manner = Manner {
        upstreams_are_detected,
        nothing_is_configured: !has_entries(&table, "upstreams") && !has_entries(&table, "models"),
        written_in: if sources.file.is_some() { WrittenIn::File } else { WrittenIn::Environment },
    };
    if let Some(listen) = &sources.listen {
        let server = Table::from_iter([("listen".to_owned(), listen.clone().into())]);
        layers::overlay(&mut table, Table::from_iter([("server".to_owned(), server.into())]));
        places.add_override("server.listen".to_owned(), "--listen");
    }
    layers::inherit(&mut others, &defaults_in(&table, "upstream_defaults"));
    inherit(&mut table, "upstreams", "upstream_defaults");
    inherit(&mut table, "models", "model_defaults");
    let faults = Faults::default();
    let merged = Merged { table: &table, others: &others, environment: &sources.environment, today };
    let settings = resolve::settings(&merged, manner, &faults);
    stray_variables::warn_of_stray_variables(&table, &sources.environment, &faults);
    let (mut faults, mut warnings) = faults.into_parts();
    places.put_into(&mut faults);
    places.put_into(&mut warnings);
    match settings {
        Some(settings) if faults.is_empty() => {
            layers::keep_changes(&mut table, "providers", compiled_in::table());
            layers::keep_changes(&mut table, "refusals", compiled_in::table());
            Ok(Loaded { settings, effective: table, warnings })
        }
        // Never empty: settings are missing only if something was reported.
        _ => Err(ConfigError::Faults(faults)),
    }
}

/// Returns true if the table at `key` has an entry.
fn has_entries(table: &Table, key: &str) -> bool {
    matches!(table.get(key), Some(Value::Table(entries)) if !entries.is_empty())
}

/// Lays every table in the one at `entries_key` on a copy of the table at `defaults_key`.
fn inherit(table: &mut Table, entries_key: &str, defaults_key: &str) {
    let defaults = defaults_in(table, defaults_key);
    if let Some(Value::Table(entries)) = table.get_mut(entries_key) {
        layers::inherit(entries, &defaults);
    }
}

/// The table at `key`.
fn defaults_in(table: &Table, key: &str) -> Table {
    match table.get(key) {
        Some(Value::Table(defaults)) => defaults.clone(),
        // Anything else is reported where it is read.
        _ => Table::new(),
    }
}

/// Reads a configuration file, and adds its keys to `places`.
///
/// # Errors
/// The reason for which it cannot be read, or the place of a syntax error.
fn read_file(path: &Path, places: &mut Places) -> Result<Table, ConfigError> {
    let unreadable = |reason: &str| ConfigError::File(path.display().to_string(), reason.to_owned());
    let bytes = std::fs::read(path).map_err(|error| unreadable(&format!("cannot be read: {error}")))?;
    let text = rerankd_core::text::of_file(bytes).map_err(unreadable)?;
    places.add_file(path, &text);
    text.parse().map_err(|error| syntax_error(&Lines { file: path, text: &text }, &error))
}

/// A syntax error with its place.
fn syntax_error(lines: &Lines<'_>, error: &toml::de::Error) -> ConfigError {
    // The error's own text shows the line, which may hold a secret.
    let start = match error.span() {
        Some(span) => span.start,
        None => 0,
    };
    ConfigError::File(lines.place(start), format!("is not valid TOML: {}", error.message()))
}

/// The words of `[refusals]` as they are compiled in.
#[cfg(test)]
pub(crate) fn refusal_words() -> rerankd_core::upstream::size_refusal::RefusalWords {
    let faults = Faults::default();
    reader::Section::root(compiled_in::table(), &faults, |root| root.section("refusals", refusal_words::words))
}

#[cfg(test)]
mod tests;
