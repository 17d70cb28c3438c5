//! One attempt: under its own time limit, and counted.
//!
//! `tower::timeout` would box the error; this keeps it typed, and also ends the attempt when the call's own deadline comes first.
//! It stands inside the concurrency limit, so waiting for a place is not blamed on the upstream.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, timeout_at};
use tower::{Layer, Service};

use super::call::{Call, Scores};
use super::error::UpstreamError;
use crate::error::ErrorKind;
use crate::telemetry::metrics::UpstreamMetrics;

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
        let AttemptLayer { timeout, metrics } = self.layer.clone();
        let started = Instant::now();
        let end = call.deadline.min(started + timeout);
        call.attempts.increment();
        let attempt = self.inner.call(call);
        Box::pin(async move {
            let result = timeout_at(end, attempt).await.unwrap_or_else(|_| {
                let waited = end.duration_since(started).as_millis();
                Err(UpstreamError::passing(ErrorKind::UpstreamTimeout, format!("did not answer within {waited} ms")))
            });
            let outcome = result.as_ref().map_or_else(|error| error.kind.code(), |_| "ok");
            metrics.attempt(outcome, started.elapsed());
            result
        })
    }
}
