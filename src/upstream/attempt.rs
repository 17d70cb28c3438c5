//! One attempt: under its own time limit, and counted.
//!
//! `tower::timeout` would box the error; this keeps it typed. The request's own deadline is not looked at here: when it passes,
//! the whole call is dropped, and the attempt is counted as cancelled. It stands inside the concurrency limit, so waiting for a place is not blamed on the upstream.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout};
use tower::{Layer, Service};

use super::call::{Call, Scores};
use super::error::UpstreamError;
use crate::error::ErrorKind;
use crate::telemetry::metrics::UpstreamMetrics;

/// The outcome of an attempt whose request ended before it: the deadline passed, or the client left.
const CANCELLED: &str = "cancelled";

/// Puts [`Attempt`] around a service.
#[derive(Clone, Debug)]
pub(super) struct AttemptLayer {
    pub(super) timeout: Duration,
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
        let AttemptLayer { timeout: limit, metrics } = self.layer.clone();
        call.attempts.increment();
        let attempt = self.inner.call(call);
        let started = Instant::now();
        Box::pin(async move {
            let mut record = Record { metrics, started, outcome: CANCELLED };
            let result = timeout(limit, attempt).await.unwrap_or_else(|_| {
                let what = format!("did not answer within {} ms (attempt_timeout)", limit.as_millis());
                Err(UpstreamError::passing(ErrorKind::UpstreamTimeout, what))
            });
            record.outcome = result.as_ref().map_or_else(|error| error.kind.code(), |_| "ok");
            result
        })
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
