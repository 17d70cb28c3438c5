//! Upstreams without a declaration: one for every provider whose customary key variable is set.

use std::collections::BTreeMap;

use rerankd_core::route::settings::AbsentUpstream;
use rerankd_core::text::list_in_words;
use rerankd_core::upstream::settings::UpstreamSettings;
use toml::{Table, Value};

use super::Environment;
use super::provider_facts::Providers;
use super::upstreams::LeftOutUpstream;

/// The providers whose keys make upstreams, in this order: the first one is the default.
const FIRST: [&str; 4] = ["cohere", "jina", "voyage", "mixedbread"];

/// Adds an upstream for each provider with a key in the environment. The key itself is read with the upstream, which
/// may yet get another host, to which the key must not go.
pub(super) fn add_upstreams(table: &mut Table, environment: &Environment) {
    for name in FIRST {
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
    providers: &Providers,
    upstreams_are_detected: bool,
) -> BTreeMap<String, AbsentUpstream> {
    let mut absent = BTreeMap::new();
    for name in providers.keys() {
        if upstreams.iter().any(|upstream| upstream.name == *name) {
            continue;
        }
        let way_out = way_out(name, upstreams, providers, upstreams_are_detected);
        let entry = AbsentUpstream { is_left_out: false, way_out, models: models_of(name, providers) };
        absent.insert(name.clone(), entry);
    }
    for LeftOutUpstream { name, provider, reason } in left_out {
        let way_out = format!("upstreams.{name} is optional and has no key: {reason}");
        let entry = AbsentUpstream { is_left_out: true, way_out, models: models_of(provider, providers) };
        absent.insert(name.clone(), entry);
    }
    absent
}

/// The models that a provider is known to have.
fn models_of(provider: &str, providers: &Providers) -> Vec<String> {
    match providers.get(provider) {
        Some(known) => known.facts.models.keys().cloned().collect(),
        None => Vec::new(),
    }
}

/// The way to get an upstream of a provider's name, in words.
fn way_out(name: &str, upstreams: &[UpstreamSettings], providers: &Providers, upstreams_are_detected: bool) -> String {
    let variables = match providers.get(name) {
        Some(known) => list_in_words(&known.facts.key_variables, "or"),
        None => String::new(),
    };
    if let Some(other) = upstreams.iter().find(|upstream| upstream.wire.name() == name) {
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
