//! The configuration, checked and typed, as the rest of the program sees it.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::num::NonZeroUsize;
use std::sync::Arc;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::proxy::ProxySettings;
use crate::dialect::Dialect;
use crate::local::cross_encoder::ModelDirectory;
use crate::local::hybrid::{Mix, Scripts};
use crate::provider::{Provider, ProviderFacts};
use crate::route::alias::Alias;
use crate::telemetry::logging::LogFormat;
use crate::upstream::breaker::BreakerSettings;
use crate::upstream::rate::RateSettings;
use crate::upstream::size_refusal::RefusalWords;

/// The whole configuration.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The HTTP server.
    pub server: ServerSettings,
    /// The score cache.
    pub cache: CacheSettings,
    /// Logs.
    pub telemetry: TelemetrySettings,
    /// The embedded scorer.
    pub local: LocalSettings,
    /// Services that score, in the order of the configuration; the embedded scorer is not among them.
    pub upstreams: Vec<UpstreamSettings>,
    /// The providers without an upstream of their name, by that name.
    pub absent_upstreams: BTreeMap<&'static str, AbsentUpstream>,
    /// Public models; always holds `default`.
    pub models: Vec<ModelSettings>,
}

/// `[server]`
#[derive(Clone, Debug)]
pub struct ServerSettings {
    /// Address and port.
    pub listen: SocketAddr,
    /// The other loopback address, if `localhost` was asked for and the system has it.
    pub listen_also: Option<SocketAddr>,
    /// End-to-end deadline of a request.
    pub request_timeout: Duration,
    /// Longest body.
    pub max_body_bytes: usize,
    /// Most documents of a request.
    pub max_documents: usize,
    /// Most requests under way at once.
    pub max_requests: usize,
    /// Most connections at once; `None` for what the descriptors of the process allow, 4,096 at most.
    pub max_connections: Option<usize>,
    /// Most bytes of requests and answers in memory at once; `None` for what the memory of the container allows.
    pub max_body_bytes_in_flight: Option<usize>,
    /// Longest time to the end of a request's headers.
    pub header_timeout: Duration,
    /// Longest time between two requests of a connection.
    pub idle_timeout: Duration,
    /// Longest time in which an answer gets no further because its client does not read it.
    pub write_timeout: Duration,
    /// Names, beside those of this machine, that requests may have in `Host` where no key is needed; none means any
    /// where others are listened to.
    pub allowed_hosts: Vec<String>,
    /// Origins whose web pages may ask where no key is needed.
    pub allowed_origins: Vec<String>,
    /// Keys of which a request must show one; if empty, no key is needed.
    pub api_keys: Vec<ApiKey>,
    /// True if results carry their document even if the client does not ask.
    pub always_return_documents: bool,
    /// Time for which the server announces its end before it stops accepting.
    pub drain_delay: Duration,
    /// Longest time that requests under way may take to finish.
    pub shutdown_timeout: Duration,
}

/// One entry of `server.api_keys`.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// The key that the caller sends.
    pub key: SecretString,
    /// The dialect of its requests, unless they say otherwise themselves.
    pub dialect: Option<&'static dyn Dialect>,
}

/// `[cache]`
#[derive(Clone, Copy, Debug)]
pub struct CacheSettings {
    /// False if no score is kept.
    pub enabled: bool,
    /// Memory for known scores, bookkeeping included.
    pub max_bytes: usize,
    /// Time for which a score is fresh.
    pub time_to_live: Duration,
    /// Time after that for which a stale score is used if no upstream answers.
    pub max_stale: Duration,
    /// Time before the end of its freshness in which a score may be computed afresh in the background.
    pub refresh_ahead: Duration,
    /// True if callers with different keys share scores.
    pub shared_between_callers: bool,
}

/// `[telemetry]`
#[derive(Clone, Debug)]
pub struct TelemetrySettings {
    /// Text or JSON.
    pub log_format: LogFormat,
    /// The events that are logged: a level, or directives such as `rerankd=debug,warn`.
    pub log_filter: String,
}

/// A provider that has no upstream of its name.
#[derive(Clone, Debug)]
pub struct AbsentUpstream {
    /// The way to get one, in words.
    pub way_out: String,
    /// The models that it would have.
    pub models: Vec<String>,
}

/// `[local]`
#[derive(Clone, Debug)]
pub struct LocalSettings {
    /// The cross-encoder, if its weights are at hand.
    pub cross_encoder: Option<CrossEncoderSettings>,
    /// True if none is wanted, even if there are weights.
    pub is_declined: bool,
    /// The mix of its scores with those of the lexical scorer.
    pub mix: Mix,
    /// The scripts of the queries that it is asked about.
    pub scripts: Scripts,
}

/// The keys of `[local]` that matter to the cross-encoder alone.
#[derive(Clone, Debug)]
pub struct CrossEncoderSettings {
    /// The directory of the weights.
    pub directory: ModelDirectory,
    /// Pairs that are read at once, each by one thread; `None` for as many as there are processors.
    pub threads: Option<NonZeroUsize>,
    /// Most calls, of two pairs each, that may wait for a thread.
    pub max_queue: usize,
    /// Longest pair in tokens of the model; the longer text of the two is cut first.
    pub max_tokens: usize,
}

/// `[upstreams.NAME]`
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// The table's name.
    pub name: String,
    /// The name in metrics: a shadow's calls are not counted as the traffic's.
    pub label: String,
    /// The wire shape.
    pub provider: &'static dyn Provider,
    /// Address of the call.
    pub url: Url,
    /// The proxy that calls go through.
    pub proxy: Option<ProxySettings>,
    /// Bearer tokens: the first is sent, and if it is refused the next.
    pub api_keys: Vec<SecretString>,
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
    /// Longest reply.
    pub max_response_bytes: usize,
    /// Words by which refusals for size are recognised.
    pub refusal_words: Arc<RefusalWords>,
    /// The facts about the provider, with this upstream's overrides.
    pub facts: ProviderFacts,
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

/// `[models.NAME]`
#[derive(Clone, Debug)]
pub struct ModelSettings {
    /// The table's name.
    pub name: String,
    /// Other names of the model.
    pub aliases: Vec<Alias>,
    /// The targets in the order in which they are asked.
    pub targets: Vec<TargetSettings>,
    /// The answer when every target failed.
    pub on_failure: OnFailure,
    /// The answer when the deadline passes and some scores are there.
    pub on_deadline: OnDeadline,
    /// The conditions under which slow calls are sent twice.
    pub hedge: HedgeSettings,
    /// The target that is asked the same in the background, to be compared.
    pub shadow: Option<(TargetSettings, ShadowSettings)>,
}

/// `shadow` of a model, beside its target: how often and how dearly it may be asked.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ShadowSettings {
    /// Share of the queries that are compared, 0 to 1.
    pub sample: f64,
    /// Most comparisons under way at once.
    pub max_concurrency: usize,
    /// Most that a day's comparisons may cost, in US dollars at list price, as far as that is known.
    pub max_usd_per_day: f64,
}

/// `hedge` of a model: when a slow call is sent to another target of the same scores too.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HedgeSettings {
    /// False if no call is sent twice.
    pub enabled: bool,
    /// A call is slow when this share of the calls of its size are faster, 0 to 1.
    pub after_quantile: f64,
    /// Most second calls, as a share of all calls, 0 to 1.
    pub max_calls: f64,
    /// Most that second calls may cost, as a share of what all calls cost, 0 to 1.
    pub max_spend: f64,
}

/// One entry of a model's `targets`.
#[derive(Clone, Debug)]
pub struct TargetSettings {
    /// Name of the upstream.
    pub upstream: String,
    /// The upstream's name for the model.
    pub model: String,
    /// The operator's mark for a model that changed behind its name.
    pub revision: String,
    /// The name of the scores, if other targets give the same.
    pub scores: Option<String>,
    /// Share of the requests among targets of the same scores.
    pub weight: u32,
}

/// The answer when the deadline passes and some scores are there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnDeadline {
    /// The same as on any failure, by [`OnFailure`].
    Error,
    /// The client gets the scored documents, best first, and the others after them.
    Partial,
}

impl OnDeadline {
    /// The names in the configuration.
    pub const NAMES: [&'static str; 2] = ["error", "partial"];

    /// The policy of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "error" => Some(Self::Error),
            "partial" => Some(Self::Partial),
            _ => None,
        }
    }
}

/// The answer when every target failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OnFailure {
    /// The client gets the error.
    Error,
    /// The client gets its documents back in input order, marked as not reranked.
    OriginalOrder,
}

impl OnFailure {
    /// The names in the configuration.
    pub const NAMES: [&'static str; 2] = ["error", "original_order"];

    /// The policy of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        match name {
            "error" => Some(Self::Error),
            "original_order" => Some(Self::OriginalOrder),
            _ => None,
        }
    }
}
