//! Upstreams without a declaration: one for every provider whose customary key variable is set.

use std::collections::BTreeMap;

use rerankd_core::provider::PROVIDERS;
use rerankd_core::route::settings::AbsentUpstream;
use rerankd_core::text::list_in_words;
use rerankd_core::upstream::settings::UpstreamSettings;
use toml::{Table, Value};

use super::Environment;
use super::provider_facts::Facts;
use super::upstreams::LeftOutUpstream;

/// Adds an upstream for each provider with a key in the environment. The key itself is read with the upstream, which
/// may yet get another host, to which the key must not go.
pub(super) fn add_upstreams(table: &mut Table, environment: &Environment) {
    for provider in PROVIDERS {
        let name = provider.name();
        if key_variable(table, name, environment).is_none() {
            continue;
        }
        let upstream = Table::from_iter([("provider".to_owned(), Value::from(name))]);
        // `default.toml` has the table. Anything else in its place is reported where it is read.
        if let Some(Value::Table(upstreams)) = table.get_mut("upstreams") {
            upstreams.insert(name.to_owned(), upstream.into());
        }
    }
}

/// The first customary variable of a provider that is set and not blank.
pub(super) fn key_variable(table: &Table, provider: &str, environment: &Environment) -> Option<String> {
    let variables = table.get("providers")?.get(provider)?.get("key_variables")?.as_array()?;
    for variable in variables {
        if let Some(name) = variable.as_str()
            && let Some(value) = environment.get(name)
            && !value.trim().is_empty()
        {
            return Some(name.to_owned());
        }
    }
    None
}

/// The providers without an upstream of their name and the upstreams that are left out, each with the way to get one.
/// `upstreams_are_detected` is true if keys in the environment make upstreams.
pub(super) fn absent_upstreams(
    upstreams: &[UpstreamSettings],
    left_out: &[LeftOutUpstream],
    facts: &Facts,
    upstreams_are_detected: bool,
) -> BTreeMap<String, AbsentUpstream> {
    let mut absent = BTreeMap::new();
    for provider in PROVIDERS {
        let name = provider.name();
        if upstreams.iter().any(|upstream| upstream.name == name) {
            continue;
        }
        let way_out = way_out(name, upstreams, facts, upstreams_are_detected);
        let entry = AbsentUpstream { is_left_out: false, way_out, models: models_of(name, facts) };
        absent.insert(name.to_owned(), entry);
    }
    for LeftOutUpstream { name, provider, reason } in left_out {
        let way_out = format!("upstreams.{name} is optional and has no key: {reason}");
        let entry = AbsentUpstream { is_left_out: true, way_out, models: models_of(provider, facts) };
        absent.insert(name.clone(), entry);
    }
    absent
}

/// The models that a provider is known to have.
fn models_of(provider: &str, facts: &Facts) -> Vec<String> {
    match facts.get(provider) {
        Some(facts) => facts.models.keys().cloned().collect(),
        None => Vec::new(),
    }
}

/// The way to get an upstream of a provider's name, in words.
fn way_out(name: &str, upstreams: &[UpstreamSettings], facts: &Facts, upstreams_are_detected: bool) -> String {
    let variables = match facts.get(name) {
        Some(facts) => list_in_words(&facts.key_variables, "or"),
        None => String::new(),
    };
    if let Some(other) = upstreams.iter().find(|upstream| upstream.provider.name() == name) {
        format!("the upstream of this provider is called {0}, as in {0}/MODEL", other.name)
    } else if variables.is_empty() {
        // Software that one runs oneself has no customary key and no address of its own.
        format!("declare [upstreams.{name}] with provider = \"{name}\" and its base_url")
    } else if upstreams_are_detected {
        format!("set {variables} in rerankd's environment")
    } else {
        format!(
            "declare [upstreams.{name}] with provider = \"{name}\" and api_key, or {variables} in rerankd's environment"
        )
    }
}
