//! `[upstreams]`: places that score.

use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use toml::Table;
use url::Url;

use super::facts::{Facts, provider_names};
use super::proxy::proxy_for;
use super::reader::{HOUR, MEBIBYTE, MILLISECOND, Section, count, duration, one_of, share, text, texts};
use super::settings::{LongPassages, UpstreamSettings};
use super::{Environment, detect, secret};
use crate::local;
use crate::provider::{self, Provider, ProviderFacts};
use crate::upstream::breaker::BreakerSettings;
use crate::upstream::endpoint::{EndpointPart, endpoint, endpoint_at};
use crate::upstream::rate::RateSettings;
use crate::upstream::size_refusal::RefusalWords;

/// The keys of an upstream that `[upstream_defaults]` holds too.
pub(super) struct Numbers {
    attempt_timeout: Option<Duration>,
    connect_timeout: Option<Duration>,
    max_attempts: Option<usize>,
    max_concurrency: Option<usize>,
    max_queue: Option<usize>,
    requests_per_minute: Option<usize>,
    tokens_per_minute: Option<usize>,
    breaker: Option<BreakerSettings>,
    long_passages: Option<Mode>,
    max_response_bytes: Option<usize>,
}

/// `long_passages`, as it is written.
#[derive(Clone, Copy)]
enum Mode {
    Provider,
    Truncate,
    ChunkMax,
}

impl Mode {
    fn by_name(name: &str) -> Option<Self> {
        match name {
            "provider" => Some(Self::Provider),
            "truncate" => Some(Self::Truncate),
            "chunk_max" => Some(Self::ChunkMax),
            _ => None,
        }
    }
}

const TOKENS: RangeInclusive<usize> = 16..=1_000_000;
const PER_MINUTE: RangeInclusive<usize> = 0..=1_000_000_000;

impl Numbers {
    pub(super) fn read(section: &Section<'_>) -> Self {
        Self {
            attempt_timeout: section.require("attempt_timeout", duration(MILLISECOND..=HOUR)),
            connect_timeout: section.require("connect_timeout", duration(MILLISECOND..=HOUR)),
            max_attempts: section.require("max_attempts", count(1..=10)),
            max_concurrency: section.require("max_concurrency", count(1..=100_000)),
            max_queue: section.require("max_queue", count(0..=1_000_000)),
            requests_per_minute: section.require("requests_per_minute", count(PER_MINUTE)),
            tokens_per_minute: section.require("tokens_per_minute", count(PER_MINUTE)),
            breaker: breaker(section.section("breaker")),
            long_passages: section
                .require("long_passages", one_of(&["provider", "truncate", "chunk_max"], Mode::by_name)),
            max_response_bytes: section.require("max_response_bytes", count(1_024..=1_024 * MEBIBYTE)),
        }
    }
}

fn breaker(section: Section<'_>) -> Option<BreakerSettings> {
    let consecutive_failures = section.require("consecutive_failures", count(0..=1_000_000));
    let min_success_rate = section.require("min_success_rate", share);
    let min_calls = section.require("min_calls", count(1..=1_000_000));
    let window = section.require("window", duration(MILLISECOND..=HOUR));
    let ejection = section.require("ejection", duration(MILLISECOND..=HOUR));
    let max_ejection = section.require("max_ejection", duration(MILLISECOND..=HOUR));
    if ejection.zip(max_ejection).is_some_and(|(first, most)| first > most) {
        section.fault("max_ejection", "must be at least ejection");
    }
    section.finish();
    Some(BreakerSettings {
        consecutive_failures: consecutive_failures?,
        min_success_rate: min_success_rate?,
        min_calls: min_calls?,
        window: window?,
        ejection: ejection?,
        max_ejection: max_ejection?,
    })
}

/// `long_passages` with its limit.
fn long_passages(section: &Section<'_>, mode: Option<Mode>, max_tokens: Option<usize>) -> Option<LongPassages> {
    match (mode?, max_tokens) {
        (Mode::Provider, None) => Some(LongPassages::Provider),
        (Mode::Provider, Some(_)) => {
            section.fault("max_passage_tokens", "means nothing with long_passages = \"provider\"");
            None
        }
        (Mode::Truncate, Some(most)) => Some(LongPassages::Truncate(most)),
        (Mode::ChunkMax, Some(most)) => Some(LongPassages::ChunkMax(most)),
        (_, None) => {
            if !section.has("max_passage_tokens") {
                section.fault("max_passage_tokens", "is missing: long_passages needs to know what is long");
            }
            None
        }
    }
}

/// 0 is no limit.
fn per_minute(number: usize) -> Option<NonZeroU32> {
    NonZeroU32::new(u32::try_from(number).unwrap_or(u32::MAX))
}

/// What reading an upstream depends on.
pub(super) struct Upstreams<'a> {
    pub(super) table: &'a Table,
    pub(super) environment: &'a Environment,
    pub(super) facts: &'a Facts,
    pub(super) refusal_words: Arc<RefusalWords>,
}

impl Upstreams<'_> {
    pub(super) fn read(&self, section: &Section<'_>) -> Vec<UpstreamSettings> {
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
        let path = section.read("path", text);
        let api_keys = self.api_keys(&section);
        let has_key = section.has("api_key") || section.has("api_keys");
        let numbers = Numbers::read(&section);
        let max_passage_tokens = section.read("max_passage_tokens", count(TOKENS));
        let long_passages = long_passages(&section, numbers.long_passages, max_passage_tokens);
        let max_passages = section.read("max_passages", count(1..=100_000));
        let (Some(provider), Some(mut facts)) = (provider, facts) else {
            section.finish(); // its other faults are faults whatever the provider
            return None;
        };
        let own_host = base_url.is_none() && !section.has("base_url");
        let api_keys =
            if own_host && !has_key { self.customary_key(provider, &section).into_iter().collect() } else { api_keys };
        let url = match base_url.or_else(|| default_base_url(&facts, api_keys.first())) {
            Some(base_url) => {
                address(&base_url, path.as_deref(), provider).map_err(|(key, message)| section.fault(key, message)).ok()
            }
            None if own_host => {
                section
                    .fault("base_url", format!("is missing: {} is software that you run, say where", provider.name()));
                None
            }
            None => None,
        };
        let proxy = url.as_ref().map(|url| proxy_for(url, self.environment));
        let proxy = proxy.transpose().map_err(|message| section.fault("base_url", message)).ok().flatten();
        section.finish();
        facts.max_passages = max_passages.unwrap_or(facts.max_passages);
        Some(UpstreamSettings {
            name: name.to_owned(),
            label: name.to_owned(),
            provider,
            url: url?,
            proxy: proxy?,
            api_keys,
            connect_timeout: numbers.connect_timeout?,
            attempt_timeout: numbers.attempt_timeout?,
            max_attempts: u32::try_from(numbers.max_attempts?).unwrap_or(u32::MAX),
            max_concurrency: numbers.max_concurrency?,
            max_queue: numbers.max_queue?,
            rate: RateSettings {
                requests_per_minute: per_minute(numbers.requests_per_minute?),
                tokens_per_minute: per_minute(numbers.tokens_per_minute?),
            },
            breaker: numbers.breaker?,
            long_passages: long_passages?,
            max_response_bytes: numbers.max_response_bytes?,
            refusal_words: self.refusal_words.clone(),
            facts,
        })
    }

    /// `api_key`, or the several of `api_keys`.
    fn api_keys(&self, section: &Section<'_>) -> Vec<SecretString> {
        let one = section.read("api_key", |value| secret::resolve(&text(value)?, self.environment));
        let several = section.read("api_keys", |value| {
            let references = texts(value)?;
            references.iter().map(|reference| secret::resolve(reference, self.environment)).collect()
        });
        if section.has("api_key") && section.has("api_keys") {
            section.fault("api_keys", "api_key is given too; put all keys here");
        }
        several.unwrap_or_else(|| Vec::from_iter(one))
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

/// Where calls go: to the provider's documented path under `base_url`, or to the one that is given.
fn address(base_url: &str, path: Option<&str>, provider: &dyn Provider) -> Result<Url, (&'static str, String)> {
    let Some(path) = path else {
        return endpoint(base_url, provider.path()).map_err(|message| ("base_url", message));
    };
    endpoint_at(base_url, path).map_err(|(part, message)| match part {
        EndpointPart::Base => ("base_url", message),
        EndpointPart::Path => ("path", message),
    })
}

fn default_base_url(facts: &ProviderFacts, api_key: Option<&SecretString>) -> Option<String> {
    let by_key = api_key.and_then(|key| {
        let host = facts.key_hosts.iter().find(|(prefix, _)| key.expose_secret().starts_with(prefix.as_str()));
        host.map(|(_, base_url)| base_url.clone())
    });
    by_key.or_else(|| facts.base_url.clone())
}
