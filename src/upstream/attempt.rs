//! One attempt: under its own time limit, counted and timed.
//!
//! `tower::timeout` would box the error; this keeps it typed. The request's own deadline is not looked at here: when it passes,
//! the whole call is dropped, and the attempt is counted as cancelled. It stands inside the guard, so waiting for a place is not blamed on
//! the upstream.
//!
//! The limit is `attempt_timeout`. Where somebody else stands ready to answer it is less, if it is known what is usual: a black hole
//! should cost three times what an answer takes, not ten seconds.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout};
use tower::{Layer, Service};

use super::call::{Call, Patience, Scores};
use super::error::UpstreamError;
use super::guard::UNUSUAL_FACTOR;
use super::vitals::Vitals;
use crate::error::ErrorKind;
use crate::telemetry::metrics::UpstreamMetrics;

/// The outcome of an attempt whose request ended before it: the deadline passed, or the client left.
const CANCELLED: &str = "cancelled";
/// Least that an attempt is waited for where somebody else stands ready.
pub(super) const HURRIED_LEAST: Duration = Duration::from_millis(300);

/// Puts [`Attempt`] around a service.
#[derive(Clone, Debug)]
pub(super) struct AttemptLayer {
    pub(super) timeout: Duration,
    pub(super) vitals: Arc<Vitals>,
    pub(super) metrics: Arc<UpstreamMetrics>,
}

/// A service whose calls end in time and are counted.
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
        let AttemptLayer { vitals, metrics, .. } = self.layer.clone();
        let limit = self.layer.limit(&call);
        let bytes = call.body.len();
        let interest = call.interest.clone();
        call.attempts.increment();
        let attempt = self.inner.call(call);
        let started = Instant::now();
        Box::pin(async move {
            let mut record = Record { metrics, started, outcome: CANCELLED };
            let under_way = vitals.enter();
            let result = timeout(limit, attempt).await.unwrap_or_else(|_| {
                let what = format!("did not answer within {} ms (attempt_timeout)", limit.as_millis());
                Err(UpstreamError::passing(ErrorKind::UpstreamTimeout, what))
            });
            drop(under_way);
            match &result {
                Ok(_) => {
                    let allowed = interest.deadline().saturating_duration_since(started);
                    vitals.succeeded(bytes, started.elapsed(), allowed, Instant::now());
                }
                Err(error)
                    if error.kind == ErrorKind::UpstreamRejected
                        || error.size_refusal.is_some()
                        || error.is_rotated => {}
                Err(error) => {
                    let caller = (!error.is_overload()).then_some(interest.scope());
                    vitals.failed(error.retry_after, caller, Instant::now());
                }
            }
            record.outcome = result.as_ref().map_or_else(|error| error.kind.code(), |_| "ok");
            result
        })
    }
}

impl AttemptLayer {
    fn limit(&self, call: &Call) -> Duration {
        if call.interest.patience() == Patience::Wait {
            return self.timeout;
        }
        let usual = self.vitals.usual(call.body.len());
        usual.map_or(self.timeout, |usual| (usual * UNUSUAL_FACTOR).max(HURRIED_LEAST).min(self.timeout))
    }
}

/// Counts an attempt when it is over, also when nobody waits for it any more.
struct Record {
    metrics: Arc<UpstreamMetrics>,
    started: Instant,
    outcome: &'static str,
}

impl Drop for Record {
    fn drop(&mut self) {
        self.metrics.attempt(self.outcome, self.started.elapsed());
    }
}
