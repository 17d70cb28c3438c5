//! `[upstreams]`: the services that score.
//!
//! Every key of a table is read before the first `?`, so that one pass over the configuration finds all faults.

use std::collections::BTreeMap;
use std::num::NonZeroU32;
use std::ops::RangeInclusive;
use std::sync::Arc;
use std::time::Duration;

use rerankd_core::embedded;
use rerankd_core::types::lifecycle::Lifecycle;
use rerankd_core::upstream::breaker::BreakerSettings;
use rerankd_core::upstream::call_address::CallAddress;
use rerankd_core::upstream::rate::RateSettings;
use rerankd_core::upstream::settings::{LongPassages, UpstreamSettings};
use rerankd_core::upstream::size_refusal::RefusalWords;
use toml::{Table, Value};

use super::call_limits::UpstreamLimits;
use super::compiled_in::is_compiled_in;
use super::provider_facts::{KnownProvider, Providers, no_such_provider};
use super::proxy_for;
use super::reader::{HOUR, MEBIBYTE, MILLISECOND, Section, boolean, bytes, count, duration, one_of, share, text};
use super::upstream_address::{GivenAddress, checked_url};
use super::{Environment, detect};

/// The keys of an upstream that `[upstream_defaults]` holds too. A field is `None` if its key is wrong.
pub(super) struct UpstreamDefaults {
    attempt_timeout: Option<Duration>,
    connect_timeout: Option<Duration>,
    max_attempts: Option<usize>,
    max_concurrency: Option<usize>,
    max_queue: Option<usize>,
    requests_per_minute: Option<usize>,
    tokens_per_minute: Option<usize>,
    breaker: Option<BreakerSettings>,
    long_passages: Option<LongPassageMode>,
    max_response_bytes: Option<usize>,
}

/// The word of `long_passages`, without the limit that belongs to it.
#[derive(Clone, Copy)]
pub(super) enum LongPassageMode {
    Provider,
    Truncate,
    ChunkMax,
}

/// The words of `long_passages`.
pub(super) const LONG_PASSAGES: [(&str, LongPassageMode); 3] = [
    ("provider", LongPassageMode::Provider),
    ("truncate", LongPassageMode::Truncate),
    ("chunk_max", LongPassageMode::ChunkMax),
];

/// Range of `max_passage_tokens`.
const PASSAGE_TOKENS: RangeInclusive<usize> = 16..=1_000_000;
/// Range of `requests_per_minute` and `tokens_per_minute`; 0 is no limit.
const PER_MINUTE: RangeInclusive<usize> = 0..=1_000_000_000;

impl UpstreamDefaults {
    pub(super) fn read(section: &Section<'_>) -> Self {
        Self {
            attempt_timeout: section.require("attempt_timeout", duration(MILLISECOND..=HOUR)),
            connect_timeout: section.require("connect_timeout", duration(MILLISECOND..=HOUR)),
            max_attempts: section.require("max_attempts", count(1..=10)),
            max_concurrency: section.require("max_concurrency", count(1..=100_000)),
            max_queue: section.require("max_queue", count(0..=1_000_000)),
            requests_per_minute: section.require("requests_per_minute", count(PER_MINUTE)),
            tokens_per_minute: section.require("tokens_per_minute", count(PER_MINUTE)),
            breaker: section.section("breaker", breaker),
            long_passages: section.require("long_passages", one_of(&LONG_PASSAGES)),
            max_response_bytes: section.require("max_response_bytes", bytes(1_024..=1_024 * MEBIBYTE)),
        }
    }
}

fn breaker(section: &Section<'_>) -> Option<BreakerSettings> {
    let consecutive_failures = section.require("consecutive_failures", count(0..=1_000_000));
    let min_success_rate = section.require("min_success_rate", share);
    let min_calls = section.require("min_calls", count(1..=1_000_000));
    let window = section.require("window", duration(MILLISECOND..=HOUR));
    let ejection = section.require("ejection", duration(MILLISECOND..=HOUR));
    let max_ejection = section.require("max_ejection", duration(MILLISECOND..=HOUR));
    if let Some(ejection) = ejection
        && let Some(max_ejection) = max_ejection
        && ejection > max_ejection
    {
        section.fault("max_ejection", "must be at least ejection");
    }
    Some(BreakerSettings {
        consecutive_failures: consecutive_failures?,
        min_success_rate: min_success_rate?,
        min_calls: min_calls?,
        window: window?,
        ejection: ejection?,
        max_ejection: max_ejection?,
    })
}

/// The treatment of long passages with its limit in tokens; `None` if one of the two keys is wrong or they contradict
/// each other.
fn long_passages(
    section: &Section<'_>,
    mode: Option<LongPassageMode>,
    max_tokens: Option<usize>,
) -> Option<LongPassages> {
    match (mode?, max_tokens) {
        (LongPassageMode::Provider, None) => Some(LongPassages::Provider),
        (LongPassageMode::Provider, Some(_)) => {
            section.fault("max_passage_tokens", "means nothing with long_passages = \"provider\"");
            None
        }
        (LongPassageMode::Truncate, Some(max_tokens)) => Some(LongPassages::Truncate(max_tokens)),
        (LongPassageMode::ChunkMax, Some(max_tokens)) => Some(LongPassages::ChunkMax(max_tokens)),
        (_, None) => {
            // A limit that is there and wrong has been reported where it was read.
            if !section.has("max_passage_tokens") {
                section.fault("max_passage_tokens", "is missing: long_passages needs to know what is long");
            }
            None
        }
    }
}

/// A limit a minute, in the range [`PER_MINUTE`]; `None` for 0, which is no limit.
fn per_minute(number: usize) -> Option<NonZeroU32> {
    NonZeroU32::new(u32::try_from(number).unwrap_or(u32::MAX))
}

/// The fault of an upstream's name; `None` if it has none. A slash would part upstream and model in `UPSTREAM/MODEL`.
fn name_fault(name: &str) -> Option<String> {
    if name == embedded::NAME {
        Some("is the embedded scorer, which is always there; choose another name".to_owned())
    } else if name.is_empty() || name.contains('/') {
        Some("a name must not be empty or hold a slash".to_owned())
    } else {
        None
    }
}

/// The context in which upstreams are read.
pub(super) struct Upstreams<'a> {
    pub(super) table: &'a Table,
    pub(super) environment: &'a Environment,
    pub(super) providers: &'a Providers,
    /// The upstreams of the environment that lead by their names only.
    pub(super) others: &'a Table,
    pub(super) refusal_words: Arc<RefusalWords>,
}

/// The upstreams of a configuration, without those that are wrong.
#[derive(Default)]
pub(super) struct ReadUpstreams {
    pub(super) usable: Vec<UpstreamSettings>,
    pub(super) left_out: Vec<LeftOutUpstream>,
    /// The upstreams of the environment that have a fault, by name, each with what it is.
    pub(super) unusable: BTreeMap<String, String>,
}

/// An upstream, or the reason to leave it out.
pub(super) type UsableOrNot = Result<UpstreamSettings, LeftOutUpstream>;

/// An optional upstream without a key.
pub(super) struct LeftOutUpstream {
    pub(super) name: String,
    pub(super) provider: String,
    /// The reason for which there is no key, in words.
    pub(super) reason: String,
}

impl Upstreams<'_> {
    /// The names in `[wires]`, those with faults included.
    fn own_providers(&self) -> Vec<&str> {
        match self.table.get("wires") {
            Some(Value::Table(wires)) => wires.keys().map(String::as_str).collect(),
            _ => Vec::new(),
        }
    }

    pub(super) fn read(&self, section: &Section<'_>) -> ReadUpstreams {
        let mut upstreams = ReadUpstreams::default();
        for entry in section.entries(name_fault, |name, entry| self.upstream(name, entry)) {
            match entry {
                Some(Ok(usable)) => upstreams.usable.push(usable),
                Some(Err(left_out)) => upstreams.left_out.push(left_out),
                None => {}
            }
        }
        upstreams
    }

    /// The name of a provider.
    ///
    /// # Errors
    /// There is none of this name. The faults of its own table are reported where that is read.
    fn provider_name(&self, word: &str) -> Result<String, String> {
        let own = self.own_providers();
        if is_compiled_in(word) || own.contains(&word) {
            Ok(word.to_owned())
        } else {
            Err(no_such_provider(word, &own))
        }
    }

    /// The upstream, or the reason to leave it out; `None` if it has faults.
    pub(super) fn upstream(&self, name: &str, section: &Section<'_>) -> Option<UsableOrNot> {
        let is_optional = section.read_or("optional", false, boolean).unwrap_or_default();
        let provider = section.require("provider", |value| self.provider_name(&text(value)?));
        let given = GivenAddress::read(section);
        let declared_keys = self.declared_keys(section, is_optional);
        let inherited = UpstreamDefaults::read(section);
        let max_passage_tokens = section.read("max_passage_tokens", count(PASSAGE_TOKENS));
        let long_passages = long_passages(section, inherited.long_passages, max_passage_tokens);
        let limits = UpstreamLimits::read(section);
        let provider = self.providers.get(&provider?)?;
        let KnownProvider { wire, facts, .. } = provider;
        let mut facts = facts.clone();
        // A customary key is for the provider's own host and goes to no other unasked. A provider without a host of its
        // own has those that operators name.
        let is_own_host = match &facts.base_url {
            Some(_) => !section.has("base_url"),
            None => detect::key_variable(self.table, wire.name(), self.environment).is_some(),
        };
        let keys = if is_own_host && !section.has("api_key") && !section.has("api_keys") {
            self.customary_key(wire, &facts, section, is_optional)
        } else {
            declared_keys
        };
        let address = self.address(name, section, given, provider, keys.found.first());
        let url = address.as_ref().and_then(|address| checked_url(section, address));
        let proxy = match &url {
            Some(url) => section.value_or_fault("base_url", proxy_for(url, self.environment)),
            None => None,
        };
        limits.override_in(&mut facts);
        if !is_own_host {
            // The end of the hosted service is none of a copy's.
            facts.service_lifecycle = Lifecycle::default();
        }
        if let Some(reason) = keys.reason_to_leave_out(section) {
            return Some(Err(LeftOutUpstream { name: name.to_owned(), provider: wire.name().to_owned(), reason }));
        }
        Some(Ok(UpstreamSettings {
            name: name.to_owned(),
            label: name.to_owned(),
            wire: wire.clone(),
            url: url?,
            shown_path: address.as_ref().map(CallAddress::shown_path)?,
            model_address: address.filter(CallAddress::holds_model),
            proxy: proxy?,
            key_setting: if section.has("api_keys") { "api_keys" } else { "api_key" },
            key_reader: keys.reader(),
            api_keys: keys.found,
            connect_timeout: inherited.connect_timeout?,
            attempt_timeout: inherited.attempt_timeout?,
            max_attempts: u32::try_from(inherited.max_attempts?).unwrap_or(u32::MAX),
            max_concurrency: inherited.max_concurrency?,
            max_queue: inherited.max_queue?,
            rate: RateSettings {
                requests_per_minute: per_minute(inherited.requests_per_minute?),
                tokens_per_minute: per_minute(inherited.tokens_per_minute?),
            },
            breaker: inherited.breaker?,
            long_passages: long_passages?,
            max_response_bytes: inherited.max_response_bytes?,
            refusal_words: self.refusal_words.clone(),
            facts,
            by_name_only: self.others.contains_key(name),
        }))
    }
}
