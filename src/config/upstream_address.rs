//! The address of an upstream's calls: its own keys, the provider's host and path, and the values in it.

use std::collections::BTreeMap;

use rerankd_core::provider::ProviderFacts;
use rerankd_core::upstream::call_address::{CallAddress, CallPath};
use rerankd_core::upstream::endpoint::EndpointPart;
use secrecy::{ExposeSecret, SecretString};
use url::Url;

use super::provider_facts::KnownProvider;
use super::reader::{Section, text};
use super::upstreams::Upstreams;
use super::values::pairs;

/// The keys of an upstream that are about its address.
pub(super) struct GivenAddress {
    /// `base_url`
    base_url: Option<String>,
    /// `path`
    path: Option<String>,
    /// `path_values`
    values: Vec<(String, String)>,
}

impl GivenAddress {
    pub(super) fn read(section: &Section<'_>) -> Self {
        Self {
            base_url: section.read("base_url", text),
            path: section.read("path", text),
            values: section.read("path_values", pairs).unwrap_or_default(),
        }
    }
}

impl Upstreams<'_> {
    /// The address of the upstream's calls; `None` if it has no host, which is reported. `api_key` decides between the
    /// hosts of some providers.
    pub(super) fn address(
        &self,
        name: &str,
        section: &Section<'_>,
        given: GivenAddress,
        provider: &KnownProvider,
        api_key: Option<&SecretString>,
    ) -> Option<CallAddress> {
        let KnownProvider { about, wire, facts } = provider;
        let Some(base_url) = given.base_url.or_else(|| default_base_url(facts, api_key)) else {
            // A base_url that is there and wrong has been reported where it was read.
            if !section.has("base_url") {
                let message = format!("is missing: {} is software that you run, say where", wire.name());
                section.fault("base_url", message);
            }
            return None;
        };
        let path = match given.path {
            Some(path) => CallPath::Given(path),
            None => CallPath::Documented(wire.call().path.clone()),
        };
        let variables: BTreeMap<_, _> = about.path_variables.iter().cloned().collect();
        Some(CallAddress {
            upstream: name.to_owned(),
            base_url,
            path,
            values: self.path_values(given.values, &variables),
            variables,
            query_parameters: wire.call().query_parameters.iter().cloned().collect(),
        })
    }

    /// The values of a path: those `given`, and those of customary variables.
    fn path_values(
        &self,
        given: Vec<(String, String)>,
        variables: &BTreeMap<String, String>,
    ) -> BTreeMap<String, String> {
        let mut values = BTreeMap::new();
        for (name, variable) in variables {
            if let Some(value) = self.environment.get(variable) {
                values.insert(name.clone(), value.to_owned());
            }
        }
        values.extend(given);
        values
    }
}

/// Reports an address that is missing or wrong; `None` if it is.
pub(super) fn checked_url(section: &Section<'_>, address: &CallAddress) -> Option<Url> {
    match address.url(MODEL_IN_URL) {
        Ok(url) => Some(url),
        Err((part, message)) => {
            let key = match part {
                EndpointPart::Base => "base_url",
                EndpointPart::Path => "path",
                EndpointPart::Values => "path_values",
                // Its row has them.
                EndpointPart::Parameters | EndpointPart::Model => "provider",
            };
            section.fault(key, message);
            None
        }
    }
}

/// A stand-in for the model's name, in the address of an upstream whose models have their own.
const MODEL_IN_URL: &str = "MODEL";

/// The base URL of the provider's hosted service, which for some providers depends on the key. `None` for software that
/// one runs oneself.
fn default_base_url(facts: &ProviderFacts, api_key: Option<&SecretString>) -> Option<String> {
    if let Some(api_key) = api_key {
        for (prefix, base_url) in &facts.key_hosts {
            if api_key.expose_secret().starts_with(prefix.as_str()) {
                return Some(base_url.clone());
            }
        }
    }
    facts.base_url.clone()
}
