//! `server.api_keys`: references by themselves, or tables that bind a dialect to a key.

use toml::Value;

use super::reader::{Item, Section, suggestion, text};
use super::settings::ApiKey;
use super::{Environment, secret};
use crate::dialect;

pub(super) fn api_keys(section: &Section<'_>, environment: &Environment) -> Option<Vec<ApiKey>> {
    let key = |value: &Value| secret::resolve(&text(value)?, environment);
    let read = |item| match item {
        Item::Table(section) => bound(section, key),
        Item::Plain(value) => {
            let key = key(value).map_err(|message| section.fault("api_keys", message)).ok()?;
            Some(ApiKey { key, dialect: None })
        }
    };
    let keys: Vec<_> = section.items("api_keys", "a list of references or tables").into_iter().map(read).collect();
    keys.into_iter().collect()
}

fn bound(section: Section<'_>, key: impl Fn(&Value) -> Result<secrecy::SecretString, String>) -> Option<ApiKey> {
    let key = section.require("key", key);
    let dialect = section.require("dialect", |value| {
        let word = text(value)?;
        let names = dialect::choose::names();
        dialect::by_name(&word).ok_or_else(|| {
            let hint = suggestion(&word, names.iter().copied());
            format!("no such dialect; known are {}{hint}", names.join(", "))
        })
    });
    section.finish();
    Some(ApiKey { key: key?, dialect: Some(dialect?) })
}
