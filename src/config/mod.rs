//! From files, environment and flags to [`Settings`].
//!
//! ```text
//!  default.toml ◀─ file ◀─ environment ◀─ flags      layers: plain tables, laid on each other
//!        │
//!        ▼ reader: key by key, all faults collected
//!     Settings                                       resolve: checked and typed
//! ```

mod detect;
mod facts;
mod keys;
mod layers;
mod local;
mod models;
pub mod proxy;
mod reader;
mod refusals;
mod resolve;
mod secret;
pub mod settings;
mod upstreams;

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::Table;

pub use self::reader::Fault;
use self::reader::Faults;
use self::settings::Settings;

/// The reference of every key; also the lowest layer.
pub const DEFAULT_TOML: &str = include_str!("../../config/default.toml");
/// What is known about providers; the lowest layer of `[providers]`.
pub const PROVIDERS_TOML: &str = include_str!("../../config/providers.toml");

/// How providers word refusals for size; the lowest layer of `[refusals]`.
pub const REFUSALS_TOML: &str = include_str!("../../config/refusals.toml");

/// Environment variables by name.
pub type Environment = BTreeMap<String, String>;

/// Where configuration comes from, beside what is compiled in.
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
    /// Checked and typed.
    pub settings: Settings,
    /// The merged tables, of what is known about providers only the changes. Holds references to secrets, never secrets.
    pub effective: Table,
}

/// Why there is no configuration.
#[derive(Debug)]
pub enum ConfigError {
    /// The file cannot be read, or is not TOML; with the reason.
    File(PathBuf, String),
    /// Keys are wrong; never empty.
    Faults(Vec<Fault>),
}

impl fmt::Display for ConfigError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path, reason) => write!(formatter, "{}: {}", path.display(), reason.trim_end()),
            Self::Faults(faults) => {
                write!(
                    formatter,
                    "the configuration has {} fault{}",
                    faults.len(),
                    if faults.len() == 1 { "" } else { "s" }
                )?;
                faults.iter().try_for_each(|fault| write!(formatter, "\n  {fault}"))
            }
        }
    }
}

impl std::error::Error for ConfigError {}

/// Reads and checks the configuration.
///
/// # Errors
/// Every fault at once.
pub fn load(sources: &Sources) -> Result<Loaded, ConfigError> {
    let mut table = compiled_in();
    if let Some(path) = &sources.file {
        layers::overlay(&mut table, read_file(path)?);
    }
    let declares_none = table.get("upstreams").and_then(toml::Value::as_table).is_none_or(Table::is_empty);
    if declares_none {
        detect::add_upstreams(&mut table, &sources.environment);
    }
    layers::overlay_environment(&mut table, &sources.environment);
    if let Some(listen) = &sources.listen {
        let flags = Table::from_iter([(
            "server".to_owned(),
            Table::from_iter([("listen".to_owned(), listen.clone().into())]).into(),
        )]);
        layers::overlay(&mut table, flags);
    }
    for (entries, defaults) in [("upstreams", "upstream_defaults"), ("models", "model_defaults")] {
        let defaults = table.get(defaults).and_then(toml::Value::as_table).cloned().unwrap_or_default();
        if let Some(toml::Value::Table(entries)) = table.get_mut(entries) {
            layers::inherit(entries, &defaults);
        }
    }
    let faults = Faults::default();
    let settings = resolve::settings(&table, &sources.environment, declares_none, &faults);
    match (settings, faults.into_vec()) {
        (Some(settings), faults) if faults.is_empty() => {
            layers::keep_changes(&mut table, "providers", &compiled_in());
            layers::keep_changes(&mut table, "refusals", &compiled_in());
            Ok(Loaded { settings, effective: table })
        }
        (_, faults) => Err(ConfigError::Faults(faults)),
    }
}

fn read_file(path: &Path) -> Result<Table, ConfigError> {
    let unusable = |reason: String| ConfigError::File(path.to_owned(), reason);
    let bytes = std::fs::read(path).map_err(|error| unusable(format!("cannot be read: {error}")))?;
    let text = crate::text::of_file(bytes).map_err(|reason| unusable(reason.to_owned()))?;
    text.parse().map_err(|error: toml::de::Error| {
        // The error's own text shows the line, which may hold a secret.
        let before = error.span().and_then(|span| text.get(..span.start)).unwrap_or_default();
        let (line, column) =
            (before.matches('\n').count() + 1, before.chars().rev().take_while(|c| *c != '\n').count() + 1);
        unusable(format!("is not valid TOML: line {line}, column {column}: {}", error.message()))
    })
}

/// The lowest layer.
fn compiled_in() -> Table {
    let parse = |text: &str| text.parse::<Table>().unwrap_or_default();
    let mut table = parse(DEFAULT_TOML);
    for (section, text) in [("providers", PROVIDERS_TOML), ("refusals", REFUSALS_TOML)] {
        layers::overlay(&mut table, Table::from_iter([(section.to_owned(), parse(text).into())]));
    }
    table
}

/// The words of `[refusals]` as they are compiled in.
#[cfg(test)]
pub(crate) fn refusal_words() -> crate::upstream::size_refusal::RefusalWords {
    let faults = Faults::default();
    refusals::words(reader::Section::root(&compiled_in(), &faults).section("refusals"))
}

#[cfg(test)]
mod tests;
