//! Places that score: a configured provider behind its stack, or the embedded scorer.

pub mod allowance;
mod attempt;
pub mod breaker;
pub mod call;
pub mod circuits;
pub mod endpoint;
mod error;
mod guard;
pub mod interest;
pub(crate) mod keys;
pub mod learned_limits;
pub mod places;
pub mod rate;
pub mod redact;
mod reply;
mod retry;
mod retry_after;
pub mod size;
pub mod size_evidence;
pub mod size_refusal;
mod stack;
mod transport;
pub mod unanswered;
pub mod vitals;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::Instant;
use tower::{Service, ServiceExt};
use url::Url;

use self::allowance::{AllowanceSettings, SharedAllowance};
use self::breaker::Position;
use self::call::{Call, Scores};
use self::circuits::Circuits;
pub use self::error::UpstreamError;
use self::guard::Guard;
use self::keys::KeyRing;
use self::learned_limits::LearnedLimits;
use self::places::Places;
use self::rate::Rate;
pub(crate) use self::reply::read_scores;
use self::stack::{Parts, Stack, stack};
use self::transport::{Transport, TransportConfig};
use self::unanswered::Unanswered;
use self::vitals::Vitals;
use crate::cache::key::CacheScope;
use crate::config::settings::{LocalSettings, LongPassages, UpstreamSettings};
use crate::error::ErrorKind;
use crate::local::workers::Workers;
use crate::provider::{Provider, ProviderFacts};
use crate::telemetry::metrics::{Metrics, UpstreamMetrics};

/// Calls that look for the passages to blame for a refusal may be as many as the calls that succeed, and three a second besides, reckoned over ten
/// seconds. To find one passage among a thousand takes about ten.
const SPLIT_BUDGET: AllowanceSettings =
    AllowanceSettings { share: 1.0, per_second: 3.0, window: Duration::from_secs(10), most_saved: 100.0 };

/// A configured place that scores.
#[derive(Debug)]
pub struct Upstream {
    /// Its name in the configuration, in answers and in metrics.
    pub name: String,
    /// Where its scores come from.
    pub backend: Backend,
}

/// Where scores come from.
#[derive(Debug)]
pub enum Backend {
    /// A provider over HTTP.
    Remote(Box<Remote>),
    /// The scorer inside this process.
    Local(Box<Embedded>),
}

/// The scorer inside this process.
#[derive(Debug)]
pub struct Embedded {
    /// How its two models are put together, and for which queries.
    pub settings: LocalSettings,
    /// Its cross-encoder behind a stack of its own, if there are weights.
    pub cross_encoder: Option<Arc<Upstream>>,
    /// As many as there are processors, for long lists that are scored lexically.
    pub workers: Workers,
}

/// A provider behind its stack.
pub struct Remote {
    /// The wire shape.
    pub provider: &'static dyn Provider,
    /// What is known of the provider, with the upstream's own overrides.
    pub facts: ProviderFacts,
    /// Where its calls go; of the embedded cross-encoder, what it is made of.
    pub address: Url,
    /// What becomes of long passages.
    pub long_passages: LongPassages,
    /// Limits on the size of calls that refusals taught.
    pub learned_limits: LearnedLimits,
    /// Budget of calls that look for the passages to blame for a refusal.
    pub split_budget: SharedAllowance,
    /// Whether calls must know their tokens: they are limited by the minute.
    pub counts_tokens: bool,
    /// How it does.
    pub vitals: Arc<Vitals>,
    guard: Arc<Guard>,
    metrics: Arc<UpstreamMetrics>,
    keys: Arc<KeyRing>,
    stack: Stack,
}

impl Upstream {
    /// A provider over HTTP.
    ///
    /// # Errors
    /// A sentence that says why no client can be made of the settings.
    pub fn remote(settings: &UpstreamSettings, metrics: &Metrics) -> Result<Self, String> {
        let keys = Arc::new(KeyRing::new(&settings.api_keys)?);
        if let Some(proxy) = settings.proxy.as_ref().filter(|_| settings.url.scheme() == "http") {
            let name = &settings.name;
            tracing::warn!(
                upstream.name = name,
                "calls to upstreams.{name} go through the proxy {proxy} without encryption: it sees key, query and passages; \
                 use https in base_url, or name the host in NO_PROXY"
            );
        }
        let transport = Transport::new(TransportConfig {
            provider: settings.provider,
            url: settings.url.clone(),
            proxy: settings.proxy.clone(),
            keys: keys.clone(),
            connect_timeout: settings.connect_timeout,
            max_response_bytes: settings.max_response_bytes,
            retry_statuses: settings.facts.retry_statuses.clone(),
            refusal_words: settings.refusal_words.clone(),
        })?;
        Ok(Self::behind(transport, settings, metrics, keys))
    }

    /// Puts the upstream's stack before what makes its calls.
    pub(crate) fn behind<T>(transport: T, settings: &UpstreamSettings, metrics: &Metrics, keys: Arc<KeyRing>) -> Self
    where
        T: Service<Call, Response = Scores, Error = UpstreamError> + Clone + Send + Sync + 'static,
        T::Future: Send + 'static,
    {
        let metrics = Arc::new(metrics.upstream(&settings.label));
        let vitals = Arc::new(Vitals::default());
        let guard = Arc::new(Guard::new(
            Circuits::new(settings.breaker),
            Unanswered::new(settings.breaker),
            Rate::new(settings.rate),
            Places::new(settings.max_concurrency, settings.max_queue),
            vitals.clone(),
            settings.attempt_timeout,
        ));
        let parts = Parts {
            max_attempts: settings.max_attempts,
            attempt_timeout: settings.attempt_timeout,
            guard: guard.clone(),
            vitals: vitals.clone(),
            metrics: metrics.clone(),
        };
        let remote = Remote {
            provider: settings.provider,
            facts: settings.facts.clone(),
            address: settings.url.clone(),
            long_passages: settings.long_passages,
            learned_limits: LearnedLimits::default(),
            split_budget: SharedAllowance::new(SPLIT_BUDGET),
            counts_tokens: settings.rate.tokens_per_minute.is_some(),
            vitals,
            guard,
            metrics,
            keys,
            stack: stack(transport, parts),
        };
        Self { name: settings.name.clone(), backend: Backend::Remote(Box::new(remote)) }
    }
}

impl Upstream {
    /// The provider's words about a failure, shortened, unless they quote the key or one of `texts`. Of what is about the key (401, 402, 403)
    /// nothing is told: such messages quote it in forms that nobody foresees.
    #[must_use]
    pub fn quotable<'a>(
        &self,
        error: &UpstreamError,
        texts: &(impl Iterator<Item = &'a str> + Clone),
    ) -> Option<String> {
        let said = error.said.as_ref().map(|said| &*said.message).filter(|message| !message.is_empty())?;
        if matches!(error.kind, ErrorKind::UpstreamUnauthorized | ErrorKind::UpstreamQuotaExhausted) {
            return None;
        }
        let secrets: Vec<&str> = match &self.backend {
            Backend::Remote(remote) => remote.keys.secrets().collect(),
            Backend::Local(_) => Vec::new(),
        };
        (!redact::quotes(said, texts, &secrets)).then(|| redact::shortened(said))
    }

    /// Whether a call for `caller` would be let through now: the circuit breaker is not open.
    #[must_use]
    pub fn is_open_for_calls(&self, caller: CacheScope, now: Instant) -> bool {
        match &self.backend {
            Backend::Remote(remote) => remote.guard.is_open_for_calls(caller, now),
            Backend::Local(_) => true,
        }
    }

    /// Tells the metrics how the upstream stands now.
    pub fn observe(&self) {
        match &self.backend {
            Backend::Remote(remote) => {
                let Guard { circuits, places, .. } = &*remote.guard;
                remote.metrics.guard(circuits.is_open_for_somebody(Instant::now()), places.limit());
            }
            Backend::Local(embedded) => {
                if let Some(cross_encoder) = &embedded.cross_encoder {
                    cross_encoder.observe();
                }
            }
        }
    }

    /// Whether nothing speaks against one more call than needed: the circuit breaker is closed.
    #[must_use]
    pub fn is_well(&self, caller: CacheScope, now: Instant) -> bool {
        match &self.backend {
            Backend::Remote(remote) => remote.guard.circuits.position(caller, now) == Position::Closed,
            Backend::Local(_) => true,
        }
    }

    /// What one more call for `caller` is likely to cost here, to be compared with other upstreams: seconds, weighed by what is under way.
    #[must_use]
    pub fn load(&self, caller: CacheScope, now: Instant) -> f64 {
        match &self.backend {
            Backend::Remote(remote) => remote.vitals.load(caller, now),
            Backend::Local(_) => 0.0,
        }
    }
}

impl Remote {
    /// Attempts that may be under way at once.
    #[must_use]
    pub fn places(&self) -> usize {
        self.guard.places.limit()
    }

    /// How long is unusually long for a call of so many bytes, if that is known.
    #[must_use]
    pub fn unusual(&self, bytes: usize) -> Option<Duration> {
        self.guard.unusual(bytes).map(|unusual| unusual.max(attempt::HURRIED_LEAST))
    }

    /// Scores one batch, with all retries.
    ///
    /// # Errors
    /// The last failure.
    pub async fn score(&self, call: Call) -> Result<Scores, UpstreamError> {
        self.stack.clone().oneshot(call).await
    }
}

impl std::fmt::Debug for Remote {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Remote").field("provider", &self.provider.name()).finish_non_exhaustive()
    }
}
