//! The time limit, metrics and latency of one attempt.
//!
//! `tower::timeout` would box the error; this keeps it typed. The request's own deadline is not checked here: when it
//! passes, the whole call is dropped. The metrics count its attempt as cancelled; whether that was late is decided in
//! [`super::guarded_attempt`]. The layer is inside the guard, so time in the queue does not count as the upstream's
//! latency.
//!
//! The limit is `attempt_timeout`. It is shorter if another target is ready and the usual latency is known: an upstream
//! that does not answer should then cost three times that latency, not ten seconds.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout};
use tower::{Layer, Service};

use super::call::{Call, RetryMode, Scores};
use super::error::UpstreamError;
use super::error_texts;
use super::load::LoadStats;
use crate::error::ErrorKind;
use crate::telemetry::metrics::UpstreamMetrics;
use crate::types::outcomes::AttemptOutcome;

/// Shortest time limit of an attempt while another target is ready, and shortest wait before a hedge. A fast upstream
/// must not lose its calls to a pause of some milliseconds.
pub(super) const FAIL_FAST_TIMEOUT_MIN: Duration = Duration::from_millis(300);

/// Puts [`Attempt`] around a service.
#[derive(Clone, Debug)]
pub(super) struct AttemptLayer {
    /// Longest attempt, `attempt_timeout`.
    pub(super) timeout: Duration,
    pub(super) load_stats: Arc<LoadStats>,
    pub(super) metrics: Arc<UpstreamMetrics>,
}

/// A service with a time limit and metrics for each attempt.
#[derive(Clone, Debug)]
pub(super) struct Attempt<S> {
    inner: S,
    layer: AttemptLayer,
}

impl<S> Layer<S> for AttemptLayer {
    type Service = Attempt<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Attempt { inner, layer: self.clone() }
    }
}

impl<S> Service<Call> for Attempt<S>
where
    S: Service<Call, Response = Scores, Error = UpstreamError>,
    S::Future: Send + 'static,
{
    type Response = Scores;
    type Error = UpstreamError;
    type Future = BoxFuture<'static, Result<Scores, UpstreamError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let AttemptLayer { load_stats, metrics, .. } = self.layer.clone();
        let limit = self.layer.limit(&call);
        let bytes = call.payload.bytes();
        let waiters = call.waiters.clone();
        call.attempts.increment();
        let attempt = self.inner.call(call);
        let started = Instant::now();
        Box::pin(async move {
            // Stays `Cancelled` if this future is dropped before its end.
            let mut attempt_metrics = AttemptMetricsGuard { metrics, started, outcome: AttemptOutcome::Cancelled };
            let in_flight = load_stats.enter();
            let result = if let Ok(result) = timeout(limit, attempt).await {
                result
            } else {
                Err(UpstreamError::passing(ErrorKind::UpstreamTimeout, error_texts::timed_out(limit)))
            };
            drop(in_flight);
            let now = Instant::now();
            match &result {
                Ok(_) => {
                    let allowed = waiters.deadline().saturating_duration_since(started);
                    load_stats.succeeded(bytes, now - started, allowed, now);
                    attempt_metrics.outcome = AttemptOutcome::Scored;
                }
                Err(error) => {
                    if let Some(scope) = error.class.failure_scope() {
                        load_stats.failed(error.retry_after, scope, waiters.scope(), now);
                    }
                    attempt_metrics.outcome = AttemptOutcome::Failed(error.kind);
                }
            }
            result
        })
    }
}

impl AttemptLayer {
    /// Time limit of an attempt of `call`.
    fn limit(&self, call: &Call) -> Duration {
        match call.waiters.retry_mode() {
            RetryMode::Wait => self.timeout,
            RetryMode::FailFast => {
                self.load_stats.late_between(call.payload.bytes(), FAIL_FAST_TIMEOUT_MIN, self.timeout)
            }
        }
    }
}

/// Reports an attempt to the metrics when it is dropped, so that cancelled attempts are counted too.
struct AttemptMetricsGuard {
    metrics: Arc<UpstreamMetrics>,
    started: Instant,
    outcome: AttemptOutcome,
}

impl Drop for AttemptMetricsGuard {
    fn drop(&mut self) {
        self.metrics.attempt(self.outcome, self.started.elapsed());
    }
}
