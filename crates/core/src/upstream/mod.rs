//! Upstreams: configured providers, each behind its stack of policies, and the embedded scorer.

mod attempt;
pub mod breaker;
pub mod budget;
pub mod call;
pub mod call_address;
pub mod circuits;
pub mod concurrency;
pub mod endpoint;
mod error;
mod error_texts;
mod events;
mod failure_rules;
mod failure_window;
pub mod free_refreshes;
mod guard;
mod guarded_attempt;
pub mod http_client;
pub mod in_process;
pub mod key_reader;
pub mod key_ring;
mod last_failures;
pub mod learned_limits;
pub mod load;
mod local_scorer;
pub mod model_versions;
mod path_template;
mod penalty;
pub mod rate;
pub mod redact;
mod reply;
pub mod response_class;
pub mod retirement;
mod retry;
mod retry_after;
mod scoring_stack;
pub mod settings;
pub mod size;
pub mod size_evidence;
pub mod size_refusal;
mod stack;
mod transport;
pub mod unanswered;
pub mod waiters;

use std::sync::Arc;

use secrecy::ExposeSecret;
use tokio::time::Instant;
use tower::Service;
use url::Url;

use self::breaker::CircuitState;
use self::budget::{SPLIT_BUDGET, SharedBudget};
use self::call::{Call, CallFormat, Scores};
use self::call_address::CallAddress;
use self::circuits::Circuits;
use self::concurrency::ConcurrencyLimit;
pub use self::error::UpstreamError;
use self::events::UpstreamEvents;
use self::failure_rules::FailureRules;
use self::free_refreshes::FreeRefreshes;
use self::guard::Guard;
use self::in_process::PairReader;
use self::key_ring::KeyRing;
use self::last_failures::LastFailures;
use self::learned_limits::LearnedLimits;
use self::load::LoadStats;
pub use self::local_scorer::LocalScorer;
use self::model_versions::ModelVersions;
use self::rate::Rate;
use self::stack::{Stack, StackParts, stack};
use self::transport::{Transport, TransportConfig};
use self::unanswered::UnansweredCalls;
use crate::cache::key::CacheScope;
use crate::embedded::{LocalModel, PairModel};
use crate::provider::ProviderFacts;
use crate::telemetry::metrics::{Metrics, UpstreamMetrics};
use crate::upstream::settings::{LongPassages, StackSettings, UpstreamSettings};

/// A configured source of scores.
#[derive(Debug)]
pub struct Upstream {
    /// Name in the configuration, in answers and in metrics.
    pub name: String,
    /// Source of its scores.
    pub backend: Backend,
    /// True if only `UPSTREAM/MODEL` leads to it: nobody declared it, and its key may be there for something else.
    pub by_name_only: bool,
}

/// The way to an upstream's scores.
#[derive(Debug)]
pub enum Backend {
    /// Calls through a stack of policies: a provider over HTTP, or the embedded cross-encoder.
    Stack(Arc<ScoringStack>),
    /// The embedded scorer, which ranks lists in this process.
    Local(Box<LocalScorer>),
}

/// The scorer behind an upstream's stack, for those who compare answers of different days.
#[derive(Clone, Debug)]
pub enum ScorerIdentity {
    /// The address of a provider's calls.
    Address(Url),
    /// A model in this process.
    Model(Arc<dyn PairModel>),
}

/// A scorer behind its stack of policies: a provider over HTTP, or the embedded cross-encoder.
pub struct ScoringStack {
    /// Format of its calls.
    pub format: CallFormat,
    /// Facts about the provider, with the upstream's own overrides.
    pub facts: ProviderFacts,
    /// The scorer itself.
    pub identity: ScorerIdentity,
    /// Address of calls, if each model has its own.
    pub model_address: Option<CallAddress>,
    /// Tells how much of a passage is read; `None` for a provider, of which that is not known.
    pub pair_reader: Option<PairReader>,
    /// Treatment of passages that are too long for the model.
    pub long_passages: LongPassages,
    /// Callers whose calls carry no known pairs for now.
    pub free_refreshes: FreeRefreshes,
    /// Limits on the size of calls, learnt from refusals.
    pub learned_limits: LearnedLimits,
    /// Versions of its models, as far as replies tell them.
    pub model_versions: ModelVersions,
    /// Budget of calls that search for the passages to blame for a refusal.
    pub split_budget: SharedBudget,
    /// True if tokens per minute are limited, so that calls must estimate theirs.
    pub counts_tokens: bool,
    /// Latencies and failures so far.
    pub load_stats: Arc<LoadStats>,
    /// Breakers, concurrency limit and rate limit; the one that `service` asks.
    guard: Arc<Guard>,
    metrics: Arc<UpstreamMetrics>,
    /// Keys of the provider, for which messages are searched; none for the cross-encoder.
    keys: Arc<KeyRing>,
    /// The stack itself. Each call takes a clone.
    service: Stack,
}

impl Upstream {
    /// A provider over HTTP.
    ///
    /// # Errors
    /// A sentence: no client can be made of the settings.
    pub fn over_http(settings: &UpstreamSettings, metrics: &Metrics) -> Result<Self, String> {
        let ring = KeyRing::new(&settings.api_keys, &settings.wire.call().key)?
            .of_upstream(&settings.label, settings.key_setting);
        let keys = Arc::new(ring.read_again_by(settings.key_reader.clone()));
        if let Some(proxy) = &settings.proxy
            && settings.url.scheme() == "http"
        {
            let name = &settings.name;
            tracing::warn!(
                upstream.name = name,
                "calls to upstreams.{name} go through the proxy {proxy} without encryption: \
                 it sees key, query and passages; \
                 use https in base_url, or name the host in NO_PROXY"
            );
        }
        let transport = Transport::new(TransportConfig {
            wire: settings.wire.clone(),
            url: settings.url.clone(),
            shown_path: settings.shown_path.clone(),
            proxy: settings.proxy.clone(),
            keys: keys.clone(),
            connect_timeout: settings.connect_timeout,
            max_response_bytes: settings.max_response_bytes,
            failure_rules: FailureRules {
                retry_statuses: settings.facts.retry_statuses.clone(),
                error_rules: settings.facts.error_rules.clone(),
                words: settings.refusal_words.clone(),
            },
        })?;
        Ok(Self { by_name_only: settings.by_name_only, ..Self::behind(transport, settings.stack(), metrics, keys) })
    }

    /// An upstream whose calls go through its stack to `transport`. `keys` are those that the transport shows: messages
    /// of the upstream are searched for them.
    pub fn behind<T>(transport: T, settings: StackSettings, metrics: &Metrics, keys: Arc<KeyRing>) -> Self
    where
        T: Service<Call, Response = Scores, Error = UpstreamError> + Clone + Send + Sync + 'static,
        T::Future: Send + 'static,
    {
        let metrics = Arc::new(metrics.upstream(&settings.label));
        let load_stats = Arc::new(LoadStats::default());
        let mut random = fastrand::Rng::new();
        let guard = Arc::new(Guard {
            circuits: Circuits::new(settings.breaker, random.fork()),
            unanswered: UnansweredCalls::new(settings.breaker),
            rate: Rate::new(settings.rate),
            concurrency: ConcurrencyLimit::new(settings.max_concurrency, settings.max_queue),
            load_stats: load_stats.clone(),
            attempt_timeout: settings.attempt_timeout,
            last_failures: LastFailures::default(),
            events: UpstreamEvents::of(&settings.label),
        });
        let parts = StackParts {
            max_attempts: settings.max_attempts,
            attempt_timeout: settings.attempt_timeout,
            guard: guard.clone(),
            load_stats: load_stats.clone(),
            metrics: metrics.clone(),
            random,
        };
        let scoring_stack = ScoringStack {
            format: settings.format,
            facts: settings.facts,
            identity: settings.identity,
            model_address: settings.model_address,
            pair_reader: settings.pair_reader,
            long_passages: settings.long_passages,
            free_refreshes: FreeRefreshes::default(),
            learned_limits: LearnedLimits::default(),
            model_versions: ModelVersions::default(),
            split_budget: SharedBudget::new(SPLIT_BUDGET),
            counts_tokens: settings.rate.tokens_per_minute.is_some(),
            load_stats,
            guard,
            metrics,
            keys,
            service: stack(transport, parts),
        };
        Self { name: settings.name, backend: Backend::Stack(Arc::new(scoring_stack)), by_name_only: false }
    }

    /// The names of the models that this upstream is known to have.
    #[must_use]
    pub fn models(&self) -> Vec<&str> {
        match &self.backend {
            Backend::Stack(stack) => stack.facts.models.keys().map(String::as_str).collect(),
            Backend::Local(embedded) => embedded.models().map(LocalModel::name).collect(),
        }
    }

    /// The provider's default model.
    #[must_use]
    pub fn usual_model(&self) -> Option<&str> {
        match &self.backend {
            Backend::Stack(stack) => stack.facts.default_model.as_deref(),
            Backend::Local(embedded) => embedded.models().next().map(LocalModel::name),
        }
    }

    /// Returns true if the model may be asked for by its bare name. Names of local models always need their prefix.
    pub(crate) fn lists(&self, model: &str) -> bool {
        matches!(self.backend, Backend::Stack(_)) && self.models().contains(&model)
    }

    /// The names of its models as requests may always give them, `UPSTREAM/MODEL`.
    pub(crate) fn addresses(&self) -> Vec<String> {
        self.models().into_iter().map(|model| format!("{}/{model}", self.name)).collect()
    }

    /// The provider's message about a failure, shortened. `None` if there is none, if the failure is about a key, or if
    /// the message quotes a key or one of `texts` ([`redact`]).
    #[must_use]
    pub fn quotable<'a>(
        &self,
        error: &UpstreamError,
        texts: &(impl Iterator<Item = &'a str> + Clone),
    ) -> Option<String> {
        let secrets = match &self.backend {
            Backend::Stack(stack) => stack.keys.secrets(),
            Backend::Local(_) => Vec::new(),
        };
        let plain: Vec<&str> = secrets.iter().map(ExposeSecret::expose_secret).collect();
        redact::quotable(error, texts, &plain)
    }

    /// Name of the setting that holds the keys; `None` for the embedded scorer, which has none.
    pub(crate) fn key_setting(&self) -> Option<&'static str> {
        match &self.backend {
            Backend::Stack(stack) => Some(stack.keys.setting()),
            Backend::Local(_) => None,
        }
    }

    /// Returns true if the circuit breakers would admit a call for `caller`. Uses nothing up.
    #[must_use]
    pub fn admits_calls(&self, caller: CacheScope, now: Instant) -> bool {
        match &self.backend {
            Backend::Stack(stack) => stack.guard.admits_calls(caller, now),
            Backend::Local(_) => true,
        }
    }

    /// Sets the gauges of the circuit breaker and the concurrency limit. Called at each scrape, as an ejection ends by
    /// itself.
    pub fn set_gauges(&self) {
        match &self.backend {
            Backend::Stack(stack) => {
                let Guard { circuits, concurrency, .. } = &*stack.guard;
                stack.metrics.set_guard(circuits.is_open_for_any_caller(Instant::now()), concurrency.limit());
            }
            Backend::Local(embedded) => {
                if let Some(cross_encoder) = &embedded.cross_encoder {
                    cross_encoder.set_gauges();
                }
            }
        }
    }

    /// Returns true if calls of `caller` meet closed circuit breakers, so that even one that is not needed may be made.
    #[must_use]
    pub fn has_closed_circuit(&self, caller: CacheScope, now: Instant) -> bool {
        match &self.backend {
            Backend::Stack(stack) => stack.guard.circuits.state(caller, now) == CircuitState::Closed,
            Backend::Local(_) => true,
        }
    }

    /// Estimated cost of one more call for `caller`, in seconds times calls in flight. Only good for comparing
    /// upstreams.
    #[must_use]
    pub fn load(&self, caller: CacheScope, now: Instant) -> f64 {
        match &self.backend {
            Backend::Stack(stack) => stack.load_stats.load(caller, now),
            Backend::Local(_) => 0.0,
        }
    }
}
