//! The layers that keep calls from an upstream which should not get them: the circuit breaker, the rate limit and the places.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::{Layer, Service};

use super::breaker::{Admission, Breaker, Position, Verdict};
use super::call::{Call, Interest, Scores};
use super::error::UpstreamError;
use super::places::{Place, Places, Sign};
use super::rate::Rate;
use super::retry::LONGEST_HINT;
use super::vitals::Vitals;
use crate::error::ErrorKind;
use crate::telemetry::metrics::UpstreamMetrics;

/// What is usual: the latency below which this share of the attempts stays.
pub(super) const USUAL: f64 = 0.99;
/// How many times that is unusual.
pub(super) const UNUSUAL_FACTOR: u32 = 3;
/// What is late at least…
const LATE: Duration = Duration::from_millis(100);
/// …and if nobody knows what is usual.
const LATE_IF_UNKNOWN: Duration = Duration::from_secs(1);

/// What guards one upstream.
#[derive(Debug)]
pub struct Guard {
    /// Leaves it alone when it fails.
    pub breaker: Breaker,
    /// Keeps to the contract.
    pub rate: Rate,
    /// Keeps to what it can bear.
    pub places: Places,
    /// Knows what is usual.
    pub vitals: Arc<Vitals>,
    /// What it last did wrong, in our words.
    last_failure: Mutex<Option<(ErrorKind, String)>>,
}

/// Puts [`Guarded`] around a service.
#[derive(Clone, Debug)]
pub(super) struct GuardLayer {
    pub(super) guard: Arc<Guard>,
    pub(super) metrics: Arc<UpstreamMetrics>,
}

/// A service behind its guard: breaker, then place, then rate; what is turned away by one costs nothing at the next.
#[derive(Clone, Debug)]
pub(super) struct Guarded<S> {
    inner: S,
    layer: GuardLayer,
}

impl<S> Layer<S> for GuardLayer {
    type Service = Guarded<S>;

    fn layer(&self, inner: S) -> Self::Service {
        Guarded { inner, layer: self.clone() }
    }
}

impl<S> Service<Call> for Guarded<S>
where
    S: Service<Call, Response = Scores, Error = UpstreamError> + Clone + Send + 'static,
    S::Future: Send + 'static,
{
    type Response = Scores;
    type Error = UpstreamError;
    type Future = BoxFuture<'static, Result<Scores, UpstreamError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, call: Call) -> Self::Future {
        let GuardLayer { guard, metrics } = self.layer.clone();
        let ready = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, ready);
        Box::pin(async move {
            let mut admission = guard.admit(&metrics)?;
            let place = guard.places.take(&call.interest).await.map_err(|none| {
                metrics.shed("queue_full");
                UpstreamError::shed(
                    "has as many calls waiting as it can answer in time (max_concurrency, max_queue)",
                    none.0,
                )
            })?;
            // The circuit may have opened while this waited for its place: a queue must not be emptied into an upstream that fails.
            if !admission.is_current() {
                admission = guard.admit(&metrics)?;
            }
            // Last, so that what finds no place is not taken out of the minute's allowance.
            guard.rate.take(call.tokens).map_err(|wait| {
                metrics.shed("rate_limit");
                UpstreamError::shed("has had its share of this minute (requests_per_minute, tokens_per_minute)", wait)
            })?;
            let mut watched = Watched::new(&guard, admission, place, &call);
            let result = inner.call(call).await;
            let failure = result.as_ref().err().map(|error| (error.kind, error.what.clone()));
            watched.end(verdict(&result), sign(&result), failure);
            result
        })
    }
}

/// An attempt under way, as the guard sees it.
///
/// An attempt that everybody gave up says nothing about the upstream: clients leave. But if it was given up because the last deadline passed, and had
/// taken unusually long by then, it is a failure: where deadlines are shorter than `attempt_timeout` a black hole would never be
/// noticed otherwise.
struct Watched<'a> {
    guard: &'a Guard,
    held: Option<(Admission<'a>, Place)>,
    interest: Arc<Interest>,
    bytes: usize,
    started: Instant,
}

impl<'a> Watched<'a> {
    fn new(guard: &'a Guard, admission: Admission<'a>, place: Place, call: &Call) -> Self {
        let (interest, bytes, started) = (call.interest.clone(), call.body.len(), Instant::now());
        Self { guard, held: Some((admission, place)), interest, bytes, started }
    }

    fn end(&mut self, verdict: Verdict, sign: Option<Sign>, failure: Option<(ErrorKind, String)>) {
        let Some((admission, place)) = self.held.take() else { return };
        if matches!(verdict, Verdict::Failure | Verdict::Unavailable(_)) {
            *self.guard.last_failure.lock() = failure;
        }
        // In this order: whoever gets the place next must find the breaker as it is now.
        admission.tell(verdict, Instant::now());
        place.give_back(sign);
    }

    fn is_late(&self, now: Instant) -> bool {
        let late = self.guard.unusual(self.bytes).map_or(LATE_IF_UNKNOWN, |unusual| unusual.max(LATE));
        now >= self.interest.deadline() && now - self.started >= late
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        let now = Instant::now();
        if self.held.is_some() && self.is_late(now) {
            self.guard.vitals.failed(None, now);
            let what = "did not answer before the deadline of anybody who waited".to_owned();
            self.end(Verdict::Failure, Some(Sign::Overload), Some((ErrorKind::UpstreamTimeout, what)));
        } else {
            self.end(Verdict::Neutral, None, None);
        }
    }
}

fn verdict(result: &Result<Scores, UpstreamError>) -> Verdict {
    match result {
        Ok(_) => Verdict::Success,
        // It is well, it only does not take this.
        Err(error) if error.kind == ErrorKind::UpstreamRejected || error.size_refusal.is_some() => Verdict::Success,
        // Another key will do.
        Err(error) if error.is_rotated => Verdict::Neutral,
        Err(UpstreamError { retry_after: Some(hint), .. }) if *hint > LONGEST_HINT => Verdict::Unavailable(*hint),
        Err(_) => Verdict::Failure,
    }
}

fn sign(result: &Result<Scores, UpstreamError>) -> Option<Sign> {
    match result {
        Ok(_) => Some(Sign::Well),
        Err(error) if error.is_rotated || error.size_refusal.is_some() => None,
        Err(error) => match error.kind {
            ErrorKind::UpstreamRateLimited | ErrorKind::UpstreamTimeout | ErrorKind::UpstreamUnavailable => {
                Some(Sign::Overload)
            }
            _ => None,
        },
    }
}

impl Guard {
    /// A guard that has seen nothing yet.
    #[must_use]
    pub fn new(breaker: Breaker, rate: Rate, places: Places, vitals: Arc<Vitals>) -> Self {
        Self { breaker, rate, places, vitals, last_failure: Mutex::default() }
    }

    /// How long is unusually long for a call of so many bytes, if that is known.
    pub(super) fn unusual(&self, bytes: usize) -> Option<Duration> {
        Some(self.vitals.quantile(bytes, USUAL)? * UNUSUAL_FACTOR)
    }

    fn admit(&self, metrics: &UpstreamMetrics) -> Result<Admission<'_>, UpstreamError> {
        self.breaker.admit(Instant::now()).map_err(|rest| {
            metrics.shed("circuit_open");
            UpstreamError::left_alone(rest, self.last_failure.lock().as_ref())
        })
    }

    /// Whether a call would be let through, as far as the breaker is concerned.
    #[must_use]
    pub fn is_open_for_calls(&self, now: Instant) -> bool {
        self.breaker.position(now) != Position::Open
    }
}

impl UpstreamError {
    /// Our own refusal, while the breaker is open.
    fn left_alone(rest: Duration, last_failure: Option<&(ErrorKind, String)>) -> Self {
        // Whoever is limited has clients that know what to do about "too many requests".
        let (kind, last) = match last_failure {
            Some((ErrorKind::UpstreamRateLimited, what)) => (ErrorKind::UpstreamRateLimited, what.as_str()),
            Some((_, what)) => (ErrorKind::UpstreamCircuitOpen, what.as_str()),
            None => (ErrorKind::UpstreamCircuitOpen, "failed"),
        };
        let what = format!("failed so often that it is left alone for now (circuit breaker); last, it {last}");
        Self { retry_after: Some(rest), ..Self::lasting(kind, what) }
    }

    /// Our own refusal, because there is more to do than can be done.
    fn shed(what: &str, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..Self::lasting(ErrorKind::Overloaded, what) }
    }
}
