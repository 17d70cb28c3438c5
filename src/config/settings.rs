//! The configuration, checked and typed. What the rest of the program sees.

use std::net::SocketAddr;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::dialect::Dialect;
use crate::provider::{Provider, ProviderFacts};
use crate::route::alias::Alias;
use crate::telemetry::logging::LogFormat;

/// Everything.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The HTTP server.
    pub server: ServerSettings,
    /// The score cache.
    pub cache: CacheSettings,
    /// Logs.
    pub telemetry: TelemetrySettings,
    /// Places that score, in the order of the configuration; the embedded scorer is not among them.
    pub upstreams: Vec<UpstreamSettings>,
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
    /// Keys of which a request must show one; none means everybody may ask.
    pub api_keys: Vec<ApiKey>,
    /// Whether results carry their document even if the client does not ask.
    pub always_return_documents: bool,
    /// How long the server announces its end before it stops accepting.
    pub drain_delay: Duration,
    /// How long requests under way may take to finish.
    pub shutdown_timeout: Duration,
}

/// One entry of `server.api_keys`.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// What the caller shows.
    pub key: SecretString,
    /// The dialect of its requests, unless they say otherwise themselves.
    pub dialect: Option<&'static dyn Dialect>,
}

/// `[cache]`
#[derive(Clone, Copy, Debug)]
pub struct CacheSettings {
    /// Whether anything is remembered.
    pub enabled: bool,
    /// Memory for known scores, bookkeeping included.
    pub max_bytes: usize,
    /// How long a score is known.
    pub time_to_live: Duration,
    /// Whether callers with different keys share scores.
    pub shared_between_callers: bool,
}

/// `[telemetry]`
#[derive(Clone, Debug)]
pub struct TelemetrySettings {
    /// How log lines look.
    pub log_format: LogFormat,
    /// Which events are logged.
    pub log_filter: String,
}

/// `[upstreams.NAME]`
#[derive(Clone, Debug)]
pub struct UpstreamSettings {
    /// The table's name.
    pub name: String,
    /// The wire shape.
    pub provider: &'static dyn Provider,
    /// Address of the call.
    pub url: Url,
    /// Shown as a bearer token.
    pub api_key: Option<SecretString>,
    /// Longest wait for a connection.
    pub connect_timeout: Duration,
    /// Longest attempt.
    pub attempt_timeout: Duration,
    /// Attempts of one call, the first included.
    pub max_attempts: u32,
    /// Most attempts under way at once.
    pub max_concurrency: usize,
    /// Longest reply.
    pub max_response_bytes: usize,
    /// What is known of the provider, with this upstream's overrides.
    pub facts: ProviderFacts,
}

/// `[models.NAME]`
#[derive(Clone, Debug)]
pub struct ModelSettings {
    /// The table's name.
    pub name: String,
    /// Other names of the model.
    pub aliases: Vec<Alias>,
    /// Where to ask, best first.
    pub targets: Vec<TargetSettings>,
    /// What happens when every target failed.
    pub on_failure: OnFailure,
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
}

/// What happens when every target failed.
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
