//! Upstreams that nobody declared: every provider whose customary key variable is set.

use toml::{Table, Value};

use super::Environment;
use crate::provider::PROVIDERS;

/// Adds an upstream for each provider with a key in the environment. The key itself is left to whoever reads the upstream: it may yet get
/// another host, to which the key must not go.
pub(super) fn add_upstreams(table: &mut Table, environment: &Environment) {
    for provider in PROVIDERS {
        if key_variable(table, provider.name(), environment).is_none() {
            continue;
        }
        let upstream = Table::from_iter([("provider".to_owned(), Value::from(provider.name()))]);
        if let Some(Value::Table(upstreams)) = table.get_mut("upstreams") {
            upstreams.insert(provider.name().to_owned(), upstream.into());
        }
    }
}

/// The first customary variable of a provider that is set and not blank.
pub(super) fn key_variable(table: &Table, provider: &str, environment: &Environment) -> Option<String> {
    let variables = table.get("providers")?.get(provider)?.get("key_variables")?.as_array()?;
    let set = |variable: &&str| environment.get(*variable).is_some_and(|value| !value.trim().is_empty());
    variables.iter().filter_map(Value::as_str).find(set).map(str::to_owned)
}
