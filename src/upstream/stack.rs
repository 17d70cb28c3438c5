//! The stack of one upstream, outermost first.

use std::sync::Arc;
use std::time::Duration;

use tower::util::BoxCloneSyncService;
use tower::{Service, ServiceBuilder};

use super::attempt::AttemptLayer;
use super::call::{Call, Scores};
use super::error::UpstreamError;
use super::guard::{Guard, GuardLayer};
use super::retry::RetryPolicy;
use super::vitals::Vitals;
use crate::telemetry::metrics::UpstreamMetrics;

/// A call in, checked scores out.
pub(super) type Stack = BoxCloneSyncService<Call, Scores, UpstreamError>;

/// What a stack is made of beside its leaf.
#[derive(Clone, Debug)]
pub(super) struct Parts {
    pub(super) max_attempts: u32,
    pub(super) attempt_timeout: Duration,
    pub(super) guard: Arc<Guard>,
    pub(super) vitals: Arc<Vitals>,
    pub(super) metrics: Arc<UpstreamMetrics>,
}

/// Builds the stack. The order matters, so each line says why it stands where it does.
pub(super) fn stack<T>(transport: T, parts: Parts) -> Stack
where
    T: Service<Call, Response = Scores, Error = UpstreamError> + Clone + Send + Sync + 'static,
    T::Future: Send + 'static,
{
    let Parts { max_attempts, attempt_timeout, guard, vitals, metrics } = parts;
    let stack = ServiceBuilder::new()
        // Outermost, so that time asleep between attempts holds no place below, and each attempt is judged anew.
        .retry(RetryPolicy::new(max_attempts, vitals.clone(), metrics.clone()))
        // Next, so that only attempts really under way take a place: breaker, places, rate limit.
        .layer(GuardLayer { guard, metrics: metrics.clone() })
        // Innermost, so that waiting for a place is not blamed on the upstream.
        .layer(AttemptLayer { timeout: attempt_timeout, vitals, metrics })
        .service(transport);
    BoxCloneSyncService::new(stack)
}
