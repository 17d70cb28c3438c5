//! The stack of policies of one upstream, outermost first.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder};

use super::attempt::AttemptLayer;
use super::call::{Call, Scores};
use super::error::UpstreamError;
use super::guard::{Guard, GuardLayer};
use super::load::LoadStats;
use super::retry::RetryPolicy;
use crate::telemetry::metrics::UpstreamMetrics;

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
