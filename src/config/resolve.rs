//! Merged tables to [`Settings`].
//!
//! Every key of a section is read before any of them decides the section's fate, so that one pass finds all faults.

use std::collections::BTreeMap;
use std::net::{Ipv6Addr, SocketAddr};
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use toml::{Table, Value};

use super::reader::{Faults, Section, boolean, count, duration, known_names, one_of, text};
use super::settings::{CacheSettings, OnFailure, ServerSettings, Settings, TelemetrySettings, UpstreamSettings};
use super::{Environment, detect, facts, keys, models, secret};
use crate::local;
use crate::provider::{self, PROVIDERS, Provider, ProviderFacts};
use crate::telemetry::logging::{LogFormat, parse_filter};
use crate::upstream::endpoint::endpoint;

const ZERO: Duration = Duration::ZERO;
const MILLISECOND: Duration = Duration::from_millis(1);
const HOUR: Duration = Duration::from_secs(3600);
const YEAR: Duration = Duration::from_secs(31_557_600); // 365.25 days, which is printed as "1year"
const MEBIBYTE: usize = 1 << 20;

type Facts = BTreeMap<String, ProviderFacts>;

pub(super) fn settings(table: &Table, environment: &Environment, faults: &Faults) -> Option<Settings> {
    let root = Section::root(table, faults);
    let server = server(root.section("server"), environment);
    let cache = cache(root.section("cache"));
    let telemetry = telemetry(root.section("telemetry"));
    let facts = providers(&root.section("providers"));
    let upstreams = Upstreams { table, environment, facts: &facts }.read(&root.section("upstreams"));
    let on_failure = model_defaults(root.section("model_defaults"));
    let declared = models::Declared { usable: &upstreams, table };
    let models = models::models(&root.section("models"), &declared, on_failure.unwrap_or(OnFailure::Error));
    let defaults = root.section("upstream_defaults");
    Numbers::read(&defaults);
    defaults.finish();
    root.finish();
    Some(Settings { server: server?, cache: cache?, telemetry: telemetry?, upstreams, models })
}

fn server(section: Section<'_>, environment: &Environment) -> Option<ServerSettings> {
    let listen = section.require("listen", addresses);
    let request_timeout = section.require("request_timeout", duration(MILLISECOND..=HOUR));
    let max_body_bytes = section.require("max_body_bytes", count(1_024..=4_096 * MEBIBYTE));
    let max_documents = section.require("max_documents", count(1..=1_000_000));
    let api_keys = keys::api_keys(&section, environment);
    let always_return_documents = section.require("always_return_documents", boolean);
    let drain_delay = section.require("drain_delay", duration(ZERO..=HOUR));
    let shutdown_timeout = section.require("shutdown_timeout", duration(ZERO..=HOUR));
    section.finish();
    let (listen, listen_also) = listen?;
    Some(ServerSettings {
        listen,
        listen_also,
        request_timeout: request_timeout?,
        max_body_bytes: max_body_bytes?,
        max_documents: max_documents?,
        api_keys: api_keys?,
        always_return_documents: always_return_documents?,
        drain_delay: drain_delay?,
        shutdown_timeout: shutdown_timeout?,
    })
}

/// An address, and the other one that `localhost` means.
fn addresses(value: &Value) -> Result<(SocketAddr, Option<SocketAddr>), String> {
    let word = text(value)?;
    let is_localhost = word.starts_with("localhost:");
    let address: SocketAddr = word.replace("localhost:", "127.0.0.1:").parse().map_err(|_| {
        "must be an IP address and a port such as \"127.0.0.1:8787\" or \"[::1]:8787\", or \"localhost:8787\" for both"
    })?;
    Ok((address, is_localhost.then(|| (Ipv6Addr::LOCALHOST, address.port()).into())))
}

fn cache(section: Section<'_>) -> Option<CacheSettings> {
    let enabled = section.require("enabled", boolean);
    let max_bytes = section.require("max_bytes", count(MEBIBYTE..=1 << 44));
    let time_to_live = section.require("ttl", duration(MILLISECOND..=YEAR));
    let shared_between_callers = section.require("shared_between_callers", boolean);
    section.finish();
    Some(CacheSettings {
        enabled: enabled?,
        max_bytes: max_bytes?,
        time_to_live: time_to_live?,
        shared_between_callers: shared_between_callers?,
    })
}

fn telemetry(section: Section<'_>) -> Option<TelemetrySettings> {
    let log_format = section.require(
        "log_format",
        one_of(&["text", "json"], |name| match name {
            "text" => Some(LogFormat::Text),
            "json" => Some(LogFormat::Json),
            _ => None,
        }),
    );
    let log_filter = section.require("log_filter", |value| {
        let filter = text(value)?;
        parse_filter(&filter).map(|_| filter)
    });
    section.finish();
    Some(TelemetrySettings { log_format: log_format?, log_filter: log_filter? })
}

fn providers(section: &Section<'_>) -> Facts {
    let known = |name: &str| provider::by_name(name).is_some();
    let mut facts = Facts::new();
    for (name, entry) in section.entries() {
        if !known(name) {
            section.fault(name, format!("no such provider; {}", provider_names(name)));
        } else if let Some(provider) = facts::provider(entry) {
            facts.insert(name.to_owned(), provider);
        }
    }
    facts
}

fn provider_names(word: &str) -> String {
    known_names(word, &PROVIDERS.map(Provider::name))
}

fn model_defaults(section: Section<'_>) -> Option<OnFailure> {
    let on_failure = section.require("on_failure", one_of(&OnFailure::NAMES, OnFailure::by_name));
    section.finish();
    on_failure
}

/// The keys of an upstream that `[upstream_defaults]` holds too.
struct Numbers {
    attempt_timeout: Option<Duration>,
    connect_timeout: Option<Duration>,
    max_attempts: Option<usize>,
    max_concurrency: Option<usize>,
    max_response_bytes: Option<usize>,
}

impl Numbers {
    fn read(section: &Section<'_>) -> Self {
        Self {
            attempt_timeout: section.require("attempt_timeout", duration(MILLISECOND..=HOUR)),
            connect_timeout: section.require("connect_timeout", duration(MILLISECOND..=HOUR)),
            max_attempts: section.require("max_attempts", count(1..=10)),
            max_concurrency: section.require("max_concurrency", count(1..=100_000)),
            max_response_bytes: section.require("max_response_bytes", count(1_024..=1_024 * MEBIBYTE)),
        }
    }
}

/// What reading an upstream depends on.
struct Upstreams<'a> {
    table: &'a Table,
    environment: &'a Environment,
    facts: &'a Facts,
}

impl Upstreams<'_> {
    fn read(&self, section: &Section<'_>) -> Vec<UpstreamSettings> {
        let mut upstreams = Vec::new();
        for (name, entry) in section.entries() {
            if name == local::NAME {
                section.fault(name, "is the embedded scorer, which is always there; choose another name");
            } else if name.is_empty() || name.contains('/') {
                section.fault(name, "a name must not be empty or hold a slash");
            } else {
                upstreams.extend(self.upstream(name, entry));
            }
        }
        upstreams
    }

    fn upstream(&self, name: &str, section: Section<'_>) -> Option<UpstreamSettings> {
        let provider = section.require("provider", |value| {
            let word = text(value)?;
            provider::by_name(&word).ok_or_else(|| format!("no such provider; {}", provider_names(&word)))
        });
        let facts = provider.and_then(|provider| self.facts.get(provider.name()).cloned());
        let base_url = section.read("base_url", text);
        let api_key = section.read("api_key", |value| secret::resolve(&text(value)?, self.environment));
        let has_key = section.has("api_key");
        let numbers = Numbers::read(&section);
        let max_passages = section.read("max_passages", count(1..=100_000));
        let (provider, mut facts) = (provider?, facts?);
        let own_host = base_url.is_none() && !section.has("base_url");
        let api_key =
            api_key.or_else(|| (own_host && !has_key).then(|| self.customary_key(provider, &section)).flatten());
        let url = match base_url.or_else(|| default_base_url(&facts, api_key.as_ref())) {
            Some(base_url) => {
                endpoint(&base_url, provider.path()).map_err(|message| section.fault("base_url", message)).ok()
            }
            None if own_host => {
                section
                    .fault("base_url", format!("is missing: {} is software that you run, say where", provider.name()));
                None
            }
            None => None,
        };
        section.finish();
        facts.max_passages = max_passages.unwrap_or(facts.max_passages);
        Some(UpstreamSettings {
            name: name.to_owned(),
            provider,
            url: url?,
            api_key,
            connect_timeout: numbers.connect_timeout?,
            attempt_timeout: numbers.attempt_timeout?,
            max_attempts: u32::try_from(numbers.max_attempts?).unwrap_or(u32::MAX),
            max_concurrency: numbers.max_concurrency?,
            max_response_bytes: numbers.max_response_bytes?,
            facts,
        })
    }

    /// The key in the provider's customary variable. Only for the provider's own host: a key goes nowhere else unasked.
    fn customary_key(&self, provider: &dyn Provider, section: &Section<'_>) -> Option<SecretString> {
        let facts = self.facts.get(provider.name()).filter(|facts| facts.base_url.is_some())?;
        let Some(variable) = detect::key_variable(self.table, provider.name(), self.environment) else {
            let variables = facts.key_variables.join(" or ");
            section.fault("api_key", format!("is missing: say \"env:NAME\" or \"file:/path\", or set {variables}"));
            return None;
        };
        let key = secret::resolve(&format!("env:{variable}"), self.environment);
        key.map_err(|message| section.fault("api_key", message)).ok()
    }
}

fn default_base_url(facts: &ProviderFacts, api_key: Option<&SecretString>) -> Option<String> {
    let by_key = api_key.and_then(|key| {
        let host = facts.key_hosts.iter().find(|(prefix, _)| key.expose_secret().starts_with(prefix.as_str()));
        host.map(|(_, base_url)| base_url.clone())
    });
    by_key.or_else(|| facts.base_url.clone())
}
