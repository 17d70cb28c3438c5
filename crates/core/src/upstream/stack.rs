//! The stack of policies of one upstream, outermost first.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use fastrand::Rng;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder, ServiceExt};

use super::ScoringStack;
use super::attempt::{AttemptLayer, FAIL_FAST_TIMEOUT_MIN};
use super::call::{Call, Scores};
use super::error::UpstreamError;
use super::guard::{Guard, GuardLayer};
use super::load::LoadStats;
use super::retry::RetryPolicy;
use tokio::time::Instant;
use crate::telemetry::metrics::UpstreamMetrics;
use crate::types::date::Date;

/// A service that answers calls with checked scores.
pub(super) type Stack = BoxCloneSyncService<Call, Scores, UpstreamError>;

/// Settings and shared state of a stack, besides its transport.
#[derive(Clone, Debug)]
pub(super) struct StackParts {
    /// Attempts of one call, the first included.
    pub(super) max_attempts: u32,
    /// Longest attempt.
    pub(super) attempt_timeout: Duration,
    pub(super) guard: Arc<Guard>,
    /// Statistics that the three layers share; the guard must hold the same.
    pub(super) load_stats: Arc<LoadStats>,
    pub(super) metrics: Arc<UpstreamMetrics>,
    /// Source of the jitter of retries.
    pub(super) random: Rng,
}

/// Builds the stack. The order of the layers matters, and each comes with its reason.
pub(super) fn stack<T>(transport: T, parts: StackParts) -> Stack
where
    T: Service<Call, Response = Scores, Error = UpstreamError> + Clone + Send + Sync + 'static,
    T::Future: Send + 'static,
{
    let StackParts { max_attempts, attempt_timeout, guard, load_stats, metrics, random } = parts;
    let stack = ServiceBuilder::new()
        // Outermost: the wait between attempts must hold no permit, and the guard must admit each attempt anew.
        .retry(RetryPolicy::new(max_attempts, load_stats.clone(), metrics.clone(), random))
        // Next, so that only attempts in flight take a permit: breaker, concurrency limit, rate limit.
        .layer(GuardLayer { guard, metrics: metrics.clone() })
        // Innermost: time in the queue must not count as the upstream's latency.
        .layer(AttemptLayer { timeout: attempt_timeout, load_stats, metrics })
        .service(transport);
    BoxCloneSyncService::new(stack)
}

impl ScoringStack {
    /// Limit on attempts in flight at the moment, from 1 to `max_concurrency`.
    #[must_use]
    pub fn concurrency_limit(&self) -> usize {
        self.guard.concurrency.limit()
    }

    /// The time after which a call with a body of `bytes` is late, at least 300 ms; `None` if too few calls of its size
    /// are known.
    #[must_use]
    pub fn late_after(&self, bytes: usize) -> Option<Duration> {
        Some(self.load_stats.late_after(bytes)?.max(FAIL_FAST_TIMEOUT_MIN))
    }

    /// Logs, once a day, that the upstream does not serve `model` any more. `advice` says so, with the way out. `model`
    /// is `None` if the registry does not list it.
    pub(crate) fn tell_model_retired(&self, model: Option<&str>, advice: &str) {
        self.guard.events.model_retired(model, advice, Date::of(SystemTime::now()));
    }

    /// The longest wait for the first answer to a call with a body of `bytes` while another target is ready, at least
    /// `least`; `None` if enough calls of its size are known, whose attempts end by [`Self::late_after`].
    #[must_use]
    pub fn first_wait(&self, bytes: usize, least: Duration) -> Option<Duration> {
        self.load_stats.first_wait(bytes, least)
    }

    /// Returns true if a call got its scores at `since` or later.
    #[must_use]
    pub fn has_answered_since(&self, since: Instant) -> bool {
        self.load_stats.has_answered_since(since)
    }

    /// Scores one batch. Retries are included.
    ///
    /// # Errors
    /// The failure of the last attempt.
    pub async fn score(&self, call: Call) -> Result<Scores, UpstreamError> {
        self.service.clone().oneshot(call).await
    }
}

impl fmt::Debug for ScoringStack {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("ScoringStack").field("provider", &self.format.name()).finish_non_exhaustive()
    }
}
