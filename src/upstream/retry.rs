//! Whether and when to try again.
//!
//! Three things bound retries: the attempts of one call (`max_attempts`), the deadline of whoever waits, and an allowance per upstream.
//! The allowance is what keeps an outage from being multiplied: retries may add a fifth to the calls that succeed, plus a few
//! a second, whatever each call would like; a time-out, which may have been billed and kept the upstream busy, costs more than a
//! connection that broke. Waits grow exponentially with full jitter, so that callers who failed together do not return
//! together (Brooker, "Exponential Backoff And Jitter", 2015); the provider's `Retry-After` is a floor under them.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::{Instant, sleep};
use tower::retry::Policy;

use super::allowance::{AllowanceSettings, SharedAllowance};
use super::call::{Call, Patience, Scores};
use super::error::UpstreamError;
use super::vitals::Vitals;
use crate::error::ErrorKind;
use crate::telemetry::metrics::UpstreamMetrics;

/// First upper bound of a wait after a failure.
const BASE: Duration = Duration::from_millis(50);
/// First upper bound of a wait after "too many requests", beside the hint.
const THROTTLED_BASE: Duration = Duration::from_secs(1);
/// Highest upper bound of a wait.
const CAP: Duration = Duration::from_secs(5);
/// A provider that asks for more than this is not waited for: its circuit breaker opens until then.
pub(super) const LONGEST_HINT: Duration = Duration::from_mins(1);
/// Retries may be a fifth of the calls that succeed, and three a second besides, reckoned over ten seconds.
const ALLOWANCE: AllowanceSettings =
    AllowanceSettings { share: 0.2, per_second: 3.0, window: Duration::from_secs(10), most_saved: 100.0 };

/// The retry policy of one upstream. Clones share the allowance.
#[derive(Clone, Debug)]
pub(super) struct RetryPolicy {
    max_attempts: u32,
    allowance: Arc<SharedAllowance>,
    vitals: Arc<Vitals>,
    metrics: Arc<UpstreamMetrics>,
}

impl RetryPolicy {
    pub(super) fn new(max_attempts: u32, vitals: Arc<Vitals>, metrics: Arc<UpstreamMetrics>) -> Self {
        Self { max_attempts, allowance: Arc::new(SharedAllowance::new(ALLOWANCE)), vitals, metrics }
    }

    /// The wait before the next attempt, or `None` if there must be none.
    fn wait(&self, call: &Call, error: &UpstreamError) -> Option<Duration> {
        if !error.retryable || call.attempt >= self.max_attempts {
            return None;
        }
        if error.is_rotated {
            return Some(Duration::ZERO);
        }
        let hint = error.retry_after.unwrap_or_default();
        let wait = match call.interest.patience() {
            // Jitter above the hint too: it brings everybody back at the same moment.
            Patience::Wait if hint <= LONGEST_HINT => hint + jittered(call.attempt, error.kind),
            // A target stands ready: a broken connection is worth one more try at once, a wait is not.
            Patience::Hurry if call.attempt == 1 && hint.is_zero() && mends_at_once(error.kind) => Duration::ZERO,
            Patience::Wait | Patience::Hurry => return None,
        };
        let now = Instant::now();
        // What half of the attempts do not reach before the deadline is not worth another.
        let usual = self.vitals.quantile(call.body.len(), 0.5).unwrap_or_default();
        (now + wait + usual < call.interest.deadline()).then_some(wait)
    }
}

impl Policy<Call, Scores, UpstreamError> for RetryPolicy {
    type Future = BoxFuture<'static, ()>;

    fn retry(&mut self, call: &mut Call, result: &mut Result<Scores, UpstreamError>) -> Option<BoxFuture<'static, ()>> {
        match result {
            Ok(_) => {
                self.allowance.pay_in(call.interest.scope(), 1.0, Instant::now());
                None
            }
            Err(error) => {
                // A retry that was not sent says nothing of the failure that it was to mend.
                if matches!(error.kind, ErrorKind::Overloaded | ErrorKind::UpstreamCircuitOpen)
                    && let Some(before) = call.failure.take()
                {
                    *error = before;
                    return None;
                }
                let wait = self.wait(call, error)?;
                if !self.allowance.take_out(call.interest.scope(), cost(error.kind), Instant::now()) {
                    self.metrics.retry_denied();
                    return None;
                }
                call.attempt += 1;
                call.failure = Some(error.clone());
                self.metrics.retry();
                let set_back = || call.interest.set_back(error.of_upstream(self.metrics.name()));
                let setback = (!wait.is_zero()).then(set_back);
                Some(Box::pin(async move {
                    sleep(wait).await;
                    drop(setback);
                }))
            }
        }
    }

    fn clone_request(&mut self, call: &Call) -> Option<Call> {
        Some(call.clone())
    }
}

/// What a retry after such a failure takes out of the allowance.
fn cost(kind: ErrorKind) -> f64 {
    match kind {
        ErrorKind::UpstreamTimeout => 2.0,
        ErrorKind::UpstreamRateLimited => 0.5,
        _ => 1.0,
    }
}

/// Failures that are over as soon as another connection or another machine is tried.
fn mends_at_once(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::UpstreamUnavailable | ErrorKind::UpstreamInvalidReply)
}

/// A random wait below a bound that doubles with each attempt.
fn jittered(attempt: u32, kind: ErrorKind) -> Duration {
    let base = if kind == ErrorKind::UpstreamRateLimited { THROTTLED_BASE } else { BASE };
    let bound = base.saturating_mul(1u32.checked_shl(attempt - 1).unwrap_or(u32::MAX)).min(CAP);
    bound.mul_f64(fastrand::f64())
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bytes::Bytes;
    use tower::{ServiceBuilder, ServiceExt, service_fn};

    use super::*;
    use crate::cache::key::CacheScope;
    use crate::upstream::call::{AttemptCounter, Interest, Waiter};

    fn metrics() -> Arc<UpstreamMetrics> {
        Arc::new(crate::telemetry::metrics::Metrics::new().upstream("test"))
    }

    fn policy(max_attempts: u32) -> RetryPolicy {
        RetryPolicy::new(max_attempts, Arc::default(), metrics())
    }

    fn call(deadline: Duration, patience: Patience) -> Call {
        Call {
            body: Bytes::new(),
            passages: 0,
            scale: crate::provider::ScoreScale::Probability,
            tokens: 0,
            interest: Arc::new(Interest::of(Waiter {
                deadline: Instant::now() + deadline,
                patience,
                store: true,
                scope: CacheScope::SHARED,
            })),
            attempt: 1,
            failure: None,
            attempts: AttemptCounter::default(),
        }
    }

    fn failure(kind: ErrorKind, retry_after: Option<Duration>) -> UpstreamError {
        UpstreamError { retry_after, ..UpstreamError::passing(kind, "test") }
    }

    /// Runs one call against an upstream that fails `failures` in turn and then succeeds; returns the times of the attempts.
    async fn attempts(
        policy: &RetryPolicy,
        call: Call,
        failures: Vec<UpstreamError>,
    ) -> (Result<Scores, UpstreamError>, Vec<Duration>) {
        let start = Instant::now();
        let times = Arc::new(Mutex::new(Vec::new()));
        let script = Arc::new(Mutex::new(failures.into_iter()));
        let upstream = service_fn(|_: Call| {
            times.lock().unwrap().push(start.elapsed());
            std::future::ready(script.lock().unwrap().next().map_or_else(|| Ok(Scores::default()), Err))
        });
        let result = ServiceBuilder::new().retry(policy.clone()).service(upstream).oneshot(call).await;
        let times = times.lock().unwrap().clone();
        (result, times)
    }

    #[tokio::test(start_paused = true)]
    async fn a_passing_failure_is_retried_after_a_short_wait() {
        let unavailable = || failure(ErrorKind::UpstreamUnavailable, None);
        let policy = policy(3);
        let (result, times) = attempts(&policy, call(CAP, Patience::Wait), vec![unavailable(), unavailable()]).await;
        assert!(result.is_ok());
        assert_eq!(times.len(), 3);
        assert!(times[2] <= BASE * 3, "{times:?}");
        let (result, times) = attempts(&policy, call(CAP, Patience::Wait), vec![unavailable(); 3]).await;
        assert!(result.is_err(), "three attempts at most");
        assert_eq!(times.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn law_10_retry_after_is_a_floor_and_the_deadline_a_ceiling() {
        let hint = |seconds| vec![failure(ErrorKind::UpstreamRateLimited, Some(Duration::from_secs(seconds)))];
        let policy = policy(3);
        let (result, times) = attempts(&policy, call(Duration::from_secs(30), Patience::Wait), hint(7)).await;
        assert!(result.is_ok() && times[1] >= Duration::from_secs(7), "{times:?}");
        let (result, times) = attempts(&policy, call(Duration::from_secs(5), Patience::Wait), hint(7)).await;
        assert!(result.is_err() && times.len() == 1, "no attempt that the deadline cannot afford");
        let (result, times) = attempts(&policy, call(Duration::from_mins(10), Patience::Wait), hint(90)).await;
        assert!(result.is_err() && times.len() == 1, "over a minute is not waited for");
    }

    #[tokio::test(start_paused = true)]
    async fn law_10_a_fallback_is_never_kept_waiting() {
        let policy = policy(5);
        for (kind, hint, tries) in [
            (ErrorKind::UpstreamUnavailable, None, 2),
            (ErrorKind::UpstreamUnavailable, Some(Duration::from_secs(1)), 1),
            (ErrorKind::UpstreamRateLimited, None, 1),
            (ErrorKind::UpstreamTimeout, None, 1),
        ] {
            let start = Instant::now();
            let (_, times) = attempts(&policy, call(CAP, Patience::Hurry), vec![failure(kind, hint); 9]).await;
            assert_eq!(times.len(), tries, "{kind:?}");
            assert!(start.elapsed() <= Duration::from_millis(1), "no time passes: {:?}", start.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_mend_is_not_retried() {
        let policy = policy(3);
        let refused = UpstreamError { retryable: false, ..failure(ErrorKind::UpstreamRejected, None) };
        let (result, times) = attempts(&policy, call(CAP, Patience::Wait), vec![refused.clone()]).await;
        assert_eq!((result, times.len()), (Err(refused), 1));
    }

    #[tokio::test(start_paused = true)]
    async fn law_10_the_budget_bounds_retries_in_an_outage() {
        let policy = policy(3);
        let mut tried = 0;
        for _ in 0..1_000 {
            let unavailable = vec![failure(ErrorKind::UpstreamUnavailable, None); 9];
            tried += attempts(&policy, call(Duration::from_secs(1), Patience::Hurry), unavailable).await.1.len();
        }
        let reserve = 30; // the income of ALLOWANCE over its window
        assert!((1_000..=1_000 + reserve).contains(&tried), "{tried} attempts for 1,000 calls");
    }

    #[test]
    fn waits_are_bounded() {
        for attempt in 1..80 {
            assert!(jittered(attempt, ErrorKind::UpstreamRateLimited) <= CAP);
        }
    }
}
