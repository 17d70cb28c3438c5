//! `server.api_keys`: references by themselves, or tables that bind a dialect to a key.

use secrecy::{ExposeSecret, SecretString};
use toml::Value;

use super::reader::{Item, Section, known_names, text};
use super::settings::ApiKey;
use super::{Environment, secret};
use crate::dialect::{self, Dialect};

pub(super) fn api_keys(section: &Section<'_>, environment: &Environment) -> Option<Vec<ApiKey>> {
    let key = |value: &Value| secret::resolve(&text(value)?, environment);
    let read = |item| match item {
        Item::Table(section) => bound(section, key),
        Item::Plain(item) => item.read(key).map(|key| ApiKey { key, dialect: None }),
    };
    let keys: Vec<_> = section.items("api_keys", "a list of references or tables").into_iter().map(read).collect();
    let keys: Vec<_> = keys.into_iter().collect::<Option<_>>()?;
    let same = |left: &ApiKey, right: &ApiKey| left.key.expose_secret() == right.key.expose_secret();
    let twice = keys.iter().enumerate().find(|(index, key)| keys[..*index].iter().any(|earlier| same(earlier, key)));
    if let Some((index, _)) = twice {
        section.fault("api_keys", format!("item {index} is the same key as one before it"));
        return None;
    }
    Some(keys)
}

fn bound(section: Section<'_>, key: impl Fn(&Value) -> Result<SecretString, String>) -> Option<ApiKey> {
    let key = section.require("key", key);
    let dialect = section.require("dialect", dialect_of);
    section.finish();
    Some(ApiKey { key: key?, dialect: Some(dialect?) })
}

fn dialect_of(value: &Value) -> Result<&'static dyn Dialect, String> {
    let word = text(value)?;
    dialect::by_name(&word).ok_or_else(|| format!("no such dialect; {}", known_names(&word, &dialect::choose::names())))
}
