//! The retry policy of an upstream.
//!
//! Three things bound retries: the attempts of one call (`max_attempts`), the latest deadline of its waiters, and a
//! budget per upstream. The budget keeps retries from multiplying an outage: they may add a fifth to the calls that
//! succeed, plus a few a second. A timeout costs more of it than a broken connection, because it may have been billed
//! and kept the upstream busy. Waits grow exponentially with full jitter, so that calls that failed together do not
//! come back together (Brooker, "Exponential Backoff And Jitter", 2015). The provider's `Retry-After` is added to them.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::{Instant, sleep};
use tower::retry::Policy;

use super::budget::{BudgetSettings, SharedBudget};
use super::call::{Call, RetryMode, Scores};
use super::error::UpstreamError;
use super::load::LoadStats;
use super::response_class::{MAX_WAITED_HINT, ResponseClass};
use crate::telemetry::metrics::UpstreamMetrics;

/// Upper bound of the first wait after a failure.
const BACKOFF_BASE: Duration = Duration::from_millis(50);
/// Upper bound of the first wait after "too many requests", besides `Retry-After`.
const THROTTLED_BACKOFF_BASE: Duration = Duration::from_secs(1);
/// Upper bound of every wait, besides `Retry-After`.
const BACKOFF_MAX: Duration = Duration::from_secs(5);
/// Retries may be a fifth of the calls that succeed, and three a second besides, over a window of ten seconds.
const RETRY_BUDGET: BudgetSettings =
    BudgetSettings { share: 0.2, per_second: 3.0, window: Duration::from_secs(10), max_saved: 100.0 };

/// The retry policy of one upstream. Clones share the budget and the source of jitter.
#[derive(Clone, Debug)]
pub(super) struct RetryPolicy {
    /// Attempts of one call, the first included.
    max_attempts: u32,
    budget: Arc<SharedBudget>,
    /// Source of jitter.
    random: Arc<Mutex<Rng>>,
    /// Latencies, by which a retry is left out that could not end in time.
    load_stats: Arc<LoadStats>,
    metrics: Arc<UpstreamMetrics>,
}

impl RetryPolicy {
    pub(super) fn new(
        max_attempts: u32,
        load_stats: Arc<LoadStats>,
        metrics: Arc<UpstreamMetrics>,
        random: Rng,
    ) -> Self {
        let budget = Arc::new(SharedBudget::new(RETRY_BUDGET));
        Self { max_attempts, budget, random: Arc::new(Mutex::new(random)), load_stats, metrics }
    }

    /// The wait before the next attempt; `None` if there must be none. The budget is not asked yet.
    fn wait(&self, call: &Call, error: &UpstreamError, now: Instant) -> Option<Duration> {
        if !error.retryable || call.attempt >= self.max_attempts {
            return None;
        }
        // The next attempt shows another key, so there is nothing to wait for.
        if error.class.has_next_key() {
            return Some(Duration::ZERO);
        }
        let hint = error.retry_after.unwrap_or_default();
        let wait = match call.waiters.retry_mode() {
            // Jitter is added to the hint too: without it, all callers would come back at the same moment.
            RetryMode::Wait if hint <= MAX_WAITED_HINT => {
                hint + max_backoff(call.attempt, error.class).mul_f64(self.random.lock().f64())
            }
            // Another target is ready: a broken connection is worth one immediate retry, but no wait.
            RetryMode::FailFast if call.attempt == 1 && hint.is_zero() && may_pass_at_once(error.class) => {
                Duration::ZERO
            }
            RetryMode::Wait | RetryMode::FailFast => return None,
        };
        // The median latency must fit before the deadline, or the retry would more likely fail than not.
        let median = self.load_stats.quantile(call.payload.bytes(), 0.5).unwrap_or_default();
        (now + wait + median < call.waiters.deadline()).then_some(wait)
    }
}

impl Policy<Call, Scores, UpstreamError> for RetryPolicy {
    type Future = BoxFuture<'static, ()>;

    fn retry(&mut self, call: &mut Call, result: &mut Result<Scores, UpstreamError>) -> Option<BoxFuture<'static, ()>> {
        let now = Instant::now();
        let Err(error) = result else {
            self.budget.deposit(call.waiters.scope(), 1.0, now);
            return None;
        };
        // A retry that the guard refused was never sent: the caller gets the failure before it.
        if error.class == ResponseClass::NotSent
            && let Some(before) = call.failure.take()
        {
            *error = before;
            return None;
        }
        let wait = self.wait(call, error, now)?;
        if !self.budget.withdraw(call.waiters.scope(), cost(error.class), now) {
            self.metrics.retry_denied();
            return None;
        }
        call.attempt += 1;
        call.failure = Some(error.clone());
        self.metrics.retry();
        let retry_notice =
            if wait.is_zero() { None } else { Some(call.waiters.notify_retry(error.of_upstream(self.metrics.name()))) };
        Some(Box::pin(async move {
            sleep(wait).await;
            // Held over the wait, in which waiters in a hurry can go elsewhere.
            drop(retry_notice);
        }))
    }

    fn clone_request(&mut self, call: &Call) -> Option<Call> {
        Some(call.clone())
    }
}

/// The cost of a retry after such a failure, in units of the budget.
const fn cost(class: ResponseClass) -> f64 {
    match class {
        // It may have been billed, and kept the upstream busy.
        ResponseClass::TimedOut => 2.0,
        ResponseClass::RateLimited { .. } => 0.5,
        _ => 1.0,
    }
}

/// Returns true for failures that another connection or another machine may not have.
const fn may_pass_at_once(class: ResponseClass) -> bool {
    matches!(
        class,
        ResponseClass::NoReply | ResponseClass::Overloaded | ResponseClass::Failed | ResponseClass::InvalidReply
    )
}

/// The upper bound of the random wait after an attempt, counted from 1. It doubles with each.
fn max_backoff(attempt: u32, class: ResponseClass) -> Duration {
    let base = match class {
        ResponseClass::RateLimited { .. } => THROTTLED_BACKOFF_BASE,
        _ => BACKOFF_BASE,
    };
    let factor = 1u32.checked_shl(attempt - 1).unwrap_or(u32::MAX);
    base.saturating_mul(factor).min(BACKOFF_MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use bytes::Bytes;
    use tower::{ServiceBuilder, ServiceExt, service_fn};

    use super::*;
    use crate::cache::key::CacheScope;
    use crate::error::ErrorKind;
    use crate::upstream::call::{AttemptCounter, Payload, Waiter, Waiters};
    use crate::upstream::circuits::OpenCircuit;
    use crate::upstream::last_failures::LastFailures;

    fn metrics() -> Arc<UpstreamMetrics> {
        Arc::new(crate::telemetry::metrics::Metrics::new().upstream("test"))
    }

    fn policy(max_attempts: u32) -> RetryPolicy {
        RetryPolicy::new(max_attempts, Arc::default(), metrics(), Rng::with_seed(1))
    }

    fn call(deadline: Duration, retry_mode: RetryMode) -> Call {
        Call {
            payload: Payload::Body(Bytes::new()),
            url: None,
            passages: 0,
            scale: crate::provider::ScoreScale::Probability,
            tokens: 0,
            waiters: Arc::new(Waiters::of(Waiter {
                deadline: Instant::now() + deadline,
                retry_mode,
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

    /// Runs one call against an upstream that fails `failures` in turn and then succeeds; returns the times of the
    /// attempts.
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
        let (result, times) =
            attempts(&policy, call(BACKOFF_MAX, RetryMode::Wait), vec![unavailable(), unavailable()]).await;
        assert!(result.is_ok());
        assert_eq!(times.len(), 3);
        assert!(times[2] <= BACKOFF_BASE * 3, "{times:?}");
        let (result, times) = attempts(&policy, call(BACKOFF_MAX, RetryMode::Wait), vec![unavailable(); 3]).await;
        assert!(result.is_err(), "three attempts at most");
        assert_eq!(times.len(), 3);
    }

    #[tokio::test(start_paused = true)]
    async fn law_10_retry_after_is_a_floor_and_the_deadline_a_ceiling() {
        let hint = |seconds| vec![failure(ErrorKind::UpstreamRateLimited, Some(Duration::from_secs(seconds)))];
        let policy = policy(3);
        let (result, times) = attempts(&policy, call(Duration::from_secs(30), RetryMode::Wait), hint(7)).await;
        assert!(result.is_ok() && times[1] >= Duration::from_secs(7), "{times:?}");
        let (result, times) = attempts(&policy, call(Duration::from_secs(5), RetryMode::Wait), hint(7)).await;
        assert!(result.is_err() && times.len() == 1, "no attempt that the deadline cannot afford");
        let (result, times) = attempts(&policy, call(Duration::from_mins(10), RetryMode::Wait), hint(90)).await;
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
            let (_, times) =
                attempts(&policy, call(BACKOFF_MAX, RetryMode::FailFast), vec![failure(kind, hint); 9]).await;
            assert_eq!(times.len(), tries, "{kind:?}");
            assert!(start.elapsed() <= Duration::from_millis(1), "no time passes: {:?}", start.elapsed());
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_mend_is_not_retried() {
        let policy = policy(3);
        let refused = UpstreamError { retryable: false, ..failure(ErrorKind::UpstreamRejected, None) };
        let (result, times) = attempts(&policy, call(BACKOFF_MAX, RetryMode::Wait), vec![refused.clone()]).await;
        assert_eq!((result, times.len()), (Err(refused), 1));
    }

    /// The refusal of a circuit that "too many requests" opened replaced the failure of the call itself.
    #[tokio::test(start_paused = true)]
    async fn retry_that_the_guard_refuses_returns_the_failure_before() {
        let last_failures = LastFailures::default();
        for kind in [ErrorKind::UpstreamUnavailable, ErrorKind::UpstreamRateLimited] {
            last_failures.failed(CacheScope::SHARED, &failure(kind, None), Instant::now());
            let quoted = last_failures.quoted(CacheScope::SHARED, OpenCircuit::Own, Instant::now());
            let refusal = UpstreamError::circuit_open(Duration::from_secs(1), quoted.as_ref());
            let before = failure(ErrorKind::UpstreamInvalidReply, None);
            let call = call(BACKOFF_MAX, RetryMode::Wait);
            let (result, times) = attempts(&policy(3), call, vec![before.clone(), refusal]).await;
            assert_eq!((result, times.len()), (Err(before), 2), "{kind:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn law_10_the_budget_bounds_retries_in_an_outage() {
        let policy = policy(3);
        let mut tried = 0;
        for _ in 0..1_000 {
            let unavailable = vec![failure(ErrorKind::UpstreamUnavailable, None); 9];
            tried += attempts(&policy, call(Duration::from_secs(1), RetryMode::FailFast), unavailable).await.1.len();
        }
        let reserve = 30; // the income of RETRY_BUDGET over its window
        assert!((1_000..=1_000 + reserve).contains(&tried), "{tried} attempts for 1,000 calls");
    }

    #[test]
    fn waits_are_bounded() {
        for attempt in 1..80 {
            assert!(max_backoff(attempt, ResponseClass::RateLimited { has_next_key: false }) <= BACKOFF_MAX);
        }
    }
}
