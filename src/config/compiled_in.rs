//! The lowest layer of every configuration, which is compiled in.

use std::sync::LazyLock;

use toml::Table;

use super::provider_facts::{self, Providers};
use super::reader::{Faults, Section};

/// The reference of every key; also the lowest layer.
pub const DEFAULT_TOML: &str = include_str!("../../config/default.toml");
/// The words in which providers refuse for size; the lowest layer of `[refusals]`.
pub const REFUSALS_TOML: &str = include_str!("../../config/refusals.toml");

// `PROVIDER_FILES`: the name and the text of each file in `config/providers`, by name.
include!(concat!(env!("OUT_DIR"), "/provider_files.rs"));

/// The lowest layer.
pub(super) fn table() -> &'static Table {
    static TABLE: LazyLock<Table> = LazyLock::new(|| {
        let mut table = parsed(DEFAULT_TOML);
        let mut providers = Table::new();
        for (name, text) in PROVIDER_FILES {
            providers.insert((*name).to_owned(), parsed(text).into());
        }
        table.insert("providers".to_owned(), providers.into());
        table.insert("refusals".to_owned(), parsed(REFUSALS_TOML).into());
        table
    });
    &TABLE
}

fn parsed(text: &str) -> Table {
    // The tests parse these texts, so the default is never used.
    text.parse().unwrap_or_default()
}

/// The providers that are compiled in, without anybody's overrides.
#[must_use]
pub fn providers() -> Providers {
    let faults = Faults::default();
    // What it reports is about keys that are read elsewhere.
    Section::root(table(), &faults, provider_facts::providers)
}

/// The names of the providers that are compiled in, by the alphabet.
pub(super) fn provider_names() -> impl Iterator<Item = &'static str> {
    PROVIDER_FILES.iter().map(|(name, _)| *name)
}

/// Returns true for the name of a provider that is compiled in.
pub(super) fn is_compiled_in(name: &str) -> bool {
    provider_names().any(|known| known == name)
}
