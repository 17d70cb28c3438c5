//! `server.api_keys`: references by themselves, or tables that bind a dialect to a key.

use secrecy::{ExposeSecret, SecretString};
use toml::Value;

use super::reader::{Section, known_names, text};
use super::{Environment, secret};
use crate::dialect::{self, Dialect};
use crate::http::settings::ApiKey;

/// The keys that callers may show, without those that are wrong. Reports each that stands there again.
pub(super) fn api_keys(section: &Section<'_>, environment: &Environment) -> Vec<ApiKey> {
    let items = section.items(
        "api_keys",
        "a list of references or tables",
        |table| bound_key(table, environment),
        |value| Ok(ApiKey { key: resolve(value, environment)?, dialect: None }),
    );
    let mut keys: Vec<ApiKey> = Vec::with_capacity(items.len());
    for (index, item) in items.into_iter().enumerate() {
        let Some(key) = item else { continue };
        // The same key twice could name two dialects.
        if keys.iter().any(|earlier| earlier.key.expose_secret() == key.key.expose_secret()) {
            section.fault("api_keys", format!("item {index} is the same key as one before it"));
        }
        keys.push(key);
    }
    keys
}

/// Parses a reference to a secret, and reads the secret.
fn resolve(value: &Value, environment: &Environment) -> Result<SecretString, String> {
    Ok(secret::resolve(&text(value)?, environment)?)
}

/// `{ key = …, dialect = … }`
fn bound_key(section: &Section<'_>, environment: &Environment) -> Option<ApiKey> {
    let key = section.require("key", |value| resolve(value, environment));
    let dialect = section.require("dialect", dialect_of);
    Some(ApiKey { key: key?, dialect: Some(dialect?) })
}

fn dialect_of(value: &Value) -> Result<&'static dyn Dialect, String> {
    let name = text(value)?;
    dialect::by_name(&name).ok_or_else(|| format!("no such dialect; {}", known_names(&name, &dialect::choose::names())))
}
