//! Upstreams that nobody declared: every provider whose customary key variable is set.

use std::collections::BTreeMap;

use toml::{Table, Value};

use super::Environment;
use super::facts::Facts;
use super::settings::{AbsentUpstream, UpstreamSettings};
use crate::provider::{PROVIDERS, Provider};

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

/// What would make an upstream of each provider that has none of its name. `detects`: whether keys in the environment do.
pub(super) fn absent_upstreams(
    upstreams: &[UpstreamSettings],
    facts: &Facts,
    detects: bool,
) -> BTreeMap<&'static str, AbsentUpstream> {
    let names = PROVIDERS.into_iter().map(Provider::name);
    let absent = names.filter(|name| !upstreams.iter().any(|upstream| upstream.name == *name));
    let way_out = |name: &'static str| {
        let variables = facts.get(name).map(|facts| alternatives(&facts.key_variables)).unwrap_or_default();
        if let Some(other) = upstreams.iter().find(|upstream| upstream.provider.name() == name) {
            format!("the upstream of this provider is called {0}, as in {0}/MODEL", other.name)
        } else if variables.is_empty() {
            format!("declare [upstreams.{name}] with provider = \"{name}\" and its base_url")
        } else if detects {
            format!("set {variables} in rerankd's environment")
        } else {
            format!(
                "declare [upstreams.{name}] with provider = \"{name}\" and api_key, or {variables} in rerankd's environment"
            )
        }
    };
    let models = |name| facts.get(name).map(|facts| facts.models.keys().cloned().collect()).unwrap_or_default();
    absent.map(|name| (name, AbsentUpstream { way_out: way_out(name), models: models(name) })).collect()
}

/// `A, B or C`
fn alternatives(names: &[String]) -> String {
    match names {
        [] => String::new(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}
