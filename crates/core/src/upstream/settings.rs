//! Settings of an upstream: `[upstreams.NAME]`.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::ScorerIdentity;
use super::breaker::BreakerSettings;
use super::call::CallFormat;
use super::call_address::CallAddress;
use super::in_process::PairReader;
use super::key_reader::KeyReader;
use super::rate::RateSettings;
use super::size_refusal::RefusalWords;
use crate::provider::{ProviderFacts, Wire};

/// `[upstreams.NAME]`
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// The table's name.
    pub name: String,
    /// The name in metrics: a shadow's calls are not counted as the traffic's.
    pub label: String,
    /// The wire shape.
    pub wire: Arc<Wire>,
    /// Address of the call; of one to a model called `MODEL`, if each model has its own.
    pub url: Url,
    /// Its path as messages for clients may show it: without the values of its placeholders.
    pub shown_path: String,
    /// Address of calls, if each model has its own.
    pub model_address: Option<CallAddress>,
    /// The proxy that calls go through; `None` for a direct connection.
    pub proxy: Option<ProxySettings>,
    /// Keys: the first is sent, and if it is refused the next.
    pub api_keys: Vec<SecretString>,
    /// Name of the setting that holds them: `api_key` or `api_keys`.
    pub key_setting: &'static str,
    /// Reads a key again that was refused; `None` if no key comes from a file.
    pub key_reader: Option<KeyReader>,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest attempt.
    pub attempt_timeout: Duration,
    /// Attempts of one call, the first included.
    pub max_attempts: u32,
    /// Most attempts under way at once.
    pub max_concurrency: usize,
    /// Most attempts that may wait for a permit.
    pub max_queue: usize,
    /// Most requests and tokens a minute.
    pub rate: RateSettings,
    /// The thresholds and times of the circuit breaker.
    pub breaker: BreakerSettings,
    /// The treatment of long passages.
    pub long_passages: LongPassages,
    /// Longest reply with a success status, in bytes after decompression.
    pub max_response_bytes: usize,
    /// Words by which refusals for size are recognised.
    pub refusal_words: Arc<RefusalWords>,
    /// The facts about the provider, with this upstream's overrides.
    pub facts: ProviderFacts,
    /// True if only `UPSTREAM/MODEL` leads to it.
    pub by_name_only: bool,
}

/// The settings of an upstream's stack, whatever carries its calls: HTTP or a function call.
#[derive(Clone, Debug)]
pub struct StackSettings {
    /// The upstream's name.
    pub name: String,
    /// The name in metrics.
    pub label: String,
    /// Longest attempt.
    pub attempt_timeout: Duration,
    /// Attempts of one call, the first included.
    pub max_attempts: u32,
    /// Most attempts under way at once.
    pub max_concurrency: usize,
    /// Most attempts that may wait for a permit.
    pub max_queue: usize,
    /// Most requests and tokens a minute.
    pub rate: RateSettings,
    /// The thresholds and times of the circuit breaker.
    pub breaker: BreakerSettings,
    /// The treatment of long passages.
    pub long_passages: LongPassages,
    /// The facts about the scorer.
    pub facts: ProviderFacts,
    /// The format of its calls.
    pub format: CallFormat,
    /// The scorer itself, for those who compare answers of different days.
    pub identity: ScorerIdentity,
    /// Address of calls, if each model has its own.
    pub model_address: Option<CallAddress>,
    /// Tells how much of a passage is read; `None` for a provider, of which that is not known.
    pub pair_reader: Option<PairReader>,
}

impl UpstreamSettings {
    /// The part that concerns the stack.
    #[must_use]
    pub fn stack(&self) -> StackSettings {
        StackSettings {
            name: self.name.clone(),
            label: self.label.clone(),
            attempt_timeout: self.attempt_timeout,
            max_attempts: self.max_attempts,
            max_concurrency: self.max_concurrency,
            max_queue: self.max_queue,
            rate: self.rate,
            breaker: self.breaker,
            long_passages: self.long_passages,
            facts: self.facts.clone(),
            format: CallFormat::Body(self.wire.clone()),
            identity: ScorerIdentity::Address(self.url.clone()),
            model_address: self.model_address.clone(),
            pair_reader: None,
        }
    }
}

/// The treatment of a passage that is longer than a limit, in tokens as rerankd estimates them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LongPassages {
    /// It is sent as it is; the provider decides.
    Provider,
    /// Its beginning is sent.
    Truncate(usize),
    /// It is cut into chunks that are scored one by one; its score is that of the best chunk.
    ChunkMax(usize),
}

/// The address of a proxy, and the credentials for it.
#[derive(Clone, Debug)]
pub struct ProxySettings {
    /// Scheme, host and port; without credentials.
    pub url: Url,
    /// User name and password, if it wants them.
    pub credentials: Option<(String, SecretString)>,
}

impl fmt::Display for ProxySettings {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str(self.url.as_str().trim_end_matches('/'))
    }
}
