//! The guard of one upstream: a tower layer that refuses calls before they are sent.
//!
//! ```text
//!                  refused if open   refused if the queue is full   refused if used up
//!                         ▲                       ▲                         ▲
//!  call ─────────▶ circuit breakers ─────▶ concurrency limit ─────────▶ rate limit ─────▶ attempt
//!                         ▲                       ▲                                          │
//!                         └───────────────────────┴───────── result of the attempt ──────────┘
//! ```
//!
//! The three are one layer because breakers and limit learn from the same result ([`super::guarded_attempt`]), and
//! because a call that is refused must use up nothing at the next. Beside the breakers stands a memory of calls that
//! got no reply before their own deadlines ([`super::unanswered`]): it refuses calls with no more time than those had.
//!
//! The errors of refusals have the class [`NotSent`](super::response_class::ResponseClass::NotSent), and name their
//! reason and the time after which to try again.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use tokio::time::Instant;
use tower::{Layer, Service};

use super::breaker::{CircuitState, TimeLeft};
use super::call::{Call, Scores};
use super::circuits::{CircuitAdmission, Circuits};
use super::concurrency::{ConcurrencyLimit, Permit};
use super::error::UpstreamError;
use super::error_texts;
use super::events::UpstreamEvents;
use super::guarded_attempt::GuardedAttempt;
use super::last_failures::LastFailures;
use super::load::LoadStats;
use super::rate::Rate;
use super::unanswered::UnansweredCalls;
use crate::cache::key::CacheScope;
use crate::telemetry::metrics::UpstreamMetrics;
use crate::types::outcomes::ShedReason;

/// The state of one upstream's guard. All clones of its stack share it.
#[derive(Debug)]
pub(super) struct Guard {
    /// Circuit breakers, one for each caller and one for all.
    pub circuits: Circuits,
    /// Memory of calls that were cut off. Refuses calls that have no more time than those had.
    pub unanswered: UnansweredCalls,
    /// Requests and tokens per minute, as the operator configured them.
    pub rate: Rate,
    /// Limit on attempts in flight. It adapts to signs of overload.
    pub concurrency: ConcurrencyLimit,
    /// Latencies and failures seen so far.
    pub load_stats: Arc<LoadStats>,
    /// Longest time that one attempt may take.
    pub(super) attempt_timeout: Duration,
    /// Failures that refusals of an open circuit quote.
    pub(super) last_failures: LastFailures,
    /// Teller of changes, in the log.
    pub(super) events: UpstreamEvents,
}

/// Puts [`Guarded`] around a service.
#[derive(Clone, Debug)]
pub(super) struct GuardLayer {
    pub(super) guard: Arc<Guard>,
    pub(super) metrics: Arc<UpstreamMetrics>,
}

/// A service behind its guard.
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
        // The service that was polled ready makes the call; its clone may not be ready.
        let clone = self.inner.clone();
        let mut inner = std::mem::replace(&mut self.inner, clone);
        Box::pin(async move {
            let mut admission = guard.admit(&call, &metrics, Instant::now())?;
            let permit = guard.acquire_permit(&call, &metrics).await?;
            // The circuit may have opened while this call was queued: a queue must not drain into a failing upstream.
            if !admission.is_current() {
                // Dropped first, so that one of its circuits can admit the call again as the probe.
                drop(admission);
                admission = guard.admit(&call, &metrics, Instant::now())?;
            }
            guard.check_unanswered(&call, &metrics, Instant::now(), UnansweredCalls::check)?;
            // After the permit, so that calls refused by a full queue do not use up the minute's rate.
            guard.check_rate(&call, &metrics)?;
            // Last, because this may use up the one trial that is allowed in a while.
            guard.check_unanswered(&call, &metrics, Instant::now(), UnansweredCalls::admit)?;
            if admission.is_probe() {
                guard.events.circuit_half_open(call.waiters.scope());
            }
            let attempt = GuardedAttempt::new(&guard, admission, permit, &call, Instant::now());
            let result = inner.call(call).await;
            attempt.end(&result, Instant::now());
            result
        })
    }
}

impl Guard {
    /// Asks the circuit breakers for admission, and the memory of unanswered calls without using up its trial.
    fn admit(&self, call: &Call, metrics: &UpstreamMetrics, now: Instant) -> Result<CircuitAdmission, UpstreamError> {
        let caller = call.waiters.scope();
        let is_short = call.waiters.deadline().saturating_duration_since(now) < self.attempt_timeout;
        let time_left = if is_short { TimeLeft::Short } else { TimeLeft::Enough };
        let admission = match self.circuits.admit(caller, time_left, now) {
            Ok(admission) => admission,
            Err(refusal) => {
                metrics.shed(ShedReason::CircuitOpen);
                let last_failure = self.last_failures.quoted(caller, refusal.open, now);
                return Err(UpstreamError::circuit_open(refusal.retry_after, last_failure.as_ref()));
            }
        };
        // Checked before the queue, so that a call that would be refused after it does not wait.
        self.check_unanswered(call, metrics, now, UnansweredCalls::check)?;
        Ok(admission)
    }

    /// Waits for a permit of the concurrency limit, no longer than the deadline of `call` allows.
    async fn acquire_permit(&self, call: &Call, metrics: &UpstreamMetrics) -> Result<Permit, UpstreamError> {
        match self.concurrency.acquire(&call.waiters).await {
            Ok(permit) => Ok(permit),
            Err(queue_full) => {
                metrics.shed(ShedReason::QueueFull);
                Err(UpstreamError::overloaded(error_texts::QUEUE_FULL, queue_full.retry_after))
            }
        }
    }

    /// Takes one request and its tokens out of the rate limit.
    fn check_rate(&self, call: &Call, metrics: &UpstreamMetrics) -> Result<(), UpstreamError> {
        let Err(retry_after) = self.rate.take(call.tokens) else { return Ok(()) };
        metrics.shed(ShedReason::RateLimit);
        Err(UpstreamError::overloaded(error_texts::RATE_LIMIT_REACHED, retry_after))
    }

    /// Refuses a call that has no more time than recent calls that got no reply. `check` is [`UnansweredCalls::check`],
    /// or [`UnansweredCalls::admit`] if the attempt follows at once.
    fn check_unanswered(
        &self,
        call: &Call,
        metrics: &UpstreamMetrics,
        now: Instant,
        check: fn(&UnansweredCalls, CacheScope, usize, Duration, Instant) -> Result<(), Duration>,
    ) -> Result<(), UpstreamError> {
        let time_left = call.waiters.deadline().saturating_duration_since(now);
        let checked = check(&self.unanswered, call.waiters.scope(), call.payload.bytes(), time_left, now);
        let Err(retry_after) = checked else { return Ok(()) };
        metrics.shed(ShedReason::CircuitOpen);
        Err(UpstreamError::too_little_time(time_left, retry_after))
    }

    /// Returns true if the circuit breakers would admit a call for `caller`, as a probe or otherwise. Uses nothing up.
    #[must_use]
    pub(super) fn admits_calls(&self, caller: CacheScope, now: Instant) -> bool {
        self.circuits.state(caller, now) != CircuitState::Open
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    use bytes::Bytes;
    use parking_lot::Mutex;
    use tokio::time::timeout;
    use tower::{ServiceBuilder, ServiceExt};

    use super::super::attempt::AttemptLayer;
    use super::super::breaker::BreakerSettings;
    use super::super::call::{AttemptCounter, Payload, RetryMode, Waiter, Waiters};
    use super::super::rate::RateSettings;
    use super::*;
    use crate::error::ErrorKind;

    const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
    /// An hour, in milliseconds.
    const NEVER: u64 = 3_600_000;
    const BREAKER: BreakerSettings = BreakerSettings::DEFAULT;

    /// Result of a call at its deadline.
    #[derive(Debug, PartialEq)]
    enum Answer {
        Scores,
        Refused(ErrorKind),
        Nothing,
    }

    /// An upstream behind its guard, with a latency and a failure that tests set.
    struct Rig {
        guard: Arc<Guard>,
        metrics: Arc<UpstreamMetrics>,
        milliseconds: Arc<AtomicU64>,
        failure: Arc<Mutex<Option<UpstreamError>>>,
        calls: Arc<AtomicUsize>,
    }

    impl Rig {
        fn new(milliseconds: u64) -> Self {
            Self::with_permits(milliseconds, 64)
        }

        fn with_permits(milliseconds: u64, permits: usize) -> Self {
            Self::with_queue(milliseconds, permits, 64)
        }

        fn with_queue(milliseconds: u64, permits: usize, queue: usize) -> Self {
            let load_stats = Arc::new(LoadStats::default());
            let rate = Rate::new(RateSettings { requests_per_minute: None, tokens_per_minute: None });
            let unanswered = UnansweredCalls::new(BREAKER);
            let guard = Guard {
                circuits: Circuits::new(BREAKER, fastrand::Rng::with_seed(1)),
                unanswered,
                rate,
                concurrency: ConcurrencyLimit::new(permits, queue),
                load_stats,
                attempt_timeout: ATTEMPT_TIMEOUT,
                last_failures: LastFailures::default(),
                events: UpstreamEvents::of("test"),
            };
            Self {
                guard: Arc::new(guard),
                metrics: Arc::new(crate::telemetry::metrics::Metrics::new().upstream("test")),
                milliseconds: Arc::new(AtomicU64::new(milliseconds)),
                failure: Arc::default(),
                calls: Arc::default(),
            }
        }

        fn takes(&self, milliseconds: u64) {
            self.milliseconds.store(milliseconds, Ordering::Relaxed);
        }

        fn fails(&self, kind: ErrorKind) {
            *self.failure.lock() = Some(UpstreamError::passing(kind, "failed as it was told"));
        }

        fn calls(&self) -> usize {
            self.calls.load(Ordering::Relaxed)
        }

        /// One call with a deadline in so many milliseconds, of a caller without other targets.
        async fn ask(&self, milliseconds: u64) -> Answer {
            self.ask_as(CacheScope::SHARED, milliseconds).await
        }

        async fn ask_as(&self, scope: CacheScope, milliseconds: u64) -> Answer {
            let time_allowed = Duration::from_millis(milliseconds);
            let deadline = Instant::now() + time_allowed;
            let waiter = Waiter { deadline, retry_mode: RetryMode::Wait, store: true, scope };
            let call = Call {
                payload: Payload::Body(Bytes::from_static(b"{}")),
                url: None,
                passages: 0,
                tokens: 0,
                scale: crate::provider::ScoreScale::Probability,
                waiters: Arc::new(Waiters::of(waiter)),
                attempt: 1,
                failure: None,
                attempts: AttemptCounter::default(),
            };
            let milliseconds = self.milliseconds.clone();
            let failure = self.failure.clone();
            let calls = self.calls.clone();
            let upstream = tower::service_fn(move |_: Call| {
                calls.fetch_add(1, Ordering::Relaxed);
                let latency = Duration::from_millis(milliseconds.load(Ordering::Relaxed));
                let answer = failure.lock().clone().map_or_else(|| Ok(Scores::default()), Err);
                async move {
                    tokio::time::sleep(latency).await;
                    answer
                }
            });
            let load_stats = self.guard.load_stats.clone();
            let metrics = self.metrics.clone();
            let stack = ServiceBuilder::new()
                .layer(GuardLayer { guard: self.guard.clone(), metrics: metrics.clone() })
                .layer(AttemptLayer { timeout: ATTEMPT_TIMEOUT, load_stats, metrics })
                .service(upstream);
            match timeout(time_allowed, stack.oneshot(call)).await {
                Ok(Ok(_)) => Answer::Scores,
                Ok(Err(error)) => Answer::Refused(error.kind),
                Err(_) => Answer::Nothing,
            }
        }

        fn position(&self) -> CircuitState {
            self.guard.circuits.state(CacheScope::SHARED, Instant::now())
        }
    }

    const PATIENT: u64 = 30_000;

    fn is_answered(answer: &Answer) -> bool {
        *answer == Answer::Scores
    }

    fn is_sent_away(answer: &Answer) -> bool {
        *answer == Answer::Refused(ErrorKind::UpstreamCircuitOpen)
    }

    /// Attack 3: calls with enough time are answered in any order, and nothing counts against the upstream.
    #[tokio::test(start_paused = true)]
    async fn a_callers_own_deadline_is_nothing_against_the_upstream() {
        let rig = Rig::new(1_500);
        for round in 0..20 {
            for _ in 0..5 {
                assert!(!is_answered(&rig.ask(1_010).await));
            }
            let now = Instant::now();
            assert_eq!((rig.position(), rig.guard.concurrency.limit()), (CircuitState::Closed, 64), "round {round}");
            assert!(rig.guard.load_stats.load(CacheScope::SHARED, now) < 2.0, "no penalty");
            assert!(is_answered(&rig.ask(PATIENT).await), "round {round}");
            assert!(is_answered(&rig.ask(2_000).await), "a little more time is enough");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_upstream_that_had_three_times_what_is_usual_failed() {
        let rig = Rig::new(50);
        for _ in 0..20 {
            assert!(is_answered(&rig.ask(PATIENT).await));
        }
        rig.takes(NEVER);
        for _ in 0..4 {
            assert_eq!(rig.ask(120).await, Answer::Nothing, "not three times what is usual");
        }
        assert_eq!((rig.position(), rig.guard.concurrency.limit()), (CircuitState::Closed, 64));
        for _ in 0..5 {
            assert_eq!(rig.ask(400).await, Answer::Nothing);
        }
        assert_eq!(rig.position(), CircuitState::Open);
        assert!(rig.guard.concurrency.limit() < 64);
        assert!(is_sent_away(&rig.ask(PATIENT).await));
    }

    /// A black hole is noticed although all callers are in a hurry and no latency is known, and so is its end.
    #[tokio::test(start_paused = true)]
    async fn a_black_hole_is_noticed_where_everybody_is_in_a_hurry() {
        let rig = Rig::new(NEVER);
        let started = Instant::now();
        let mut asked = 0;
        while started.elapsed() < Duration::from_mins(2) {
            rig.ask(300).await;
            tokio::time::sleep(Duration::from_millis(100)).await;
            asked += 1;
        }
        assert!(asked > 1_000 && rig.calls() < 15, "{} calls for {asked} requests", rig.calls());
        assert_eq!(rig.position(), CircuitState::Closed, "for whoever has more time");
        let calls = rig.calls();
        assert_eq!(rig.ask(400).await, Answer::Nothing);
        assert_eq!(rig.calls(), calls + 1, "a caller with more time is not kept away");
        rig.takes(20);
        let well = Instant::now();
        while !is_answered(&rig.ask(300).await) {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        assert!(well.elapsed() <= BREAKER.max_ejection + Duration::from_secs(1), "{:?}", well.elapsed());
        for _ in 0..50 {
            assert!(is_answered(&rig.ask(300).await));
        }
    }

    /// A caller in a hurry cannot fail the one probe that others wait for, nor keep them from making one.
    #[tokio::test(start_paused = true)]
    async fn a_probe_is_made_by_somebody_who_waits_for_it() {
        let rig = Rig::new(50);
        for _ in 0..20 {
            assert!(is_answered(&rig.ask(PATIENT).await));
        }
        rig.takes(NEVER);
        for _ in 0..5 {
            assert_eq!(rig.ask(1_000).await, Answer::Nothing);
        }
        rig.takes(3_000); // it is back, slower than before
        tokio::time::sleep(BREAKER.ejection).await;
        let hurried = async {
            for _ in 0..3 {
                assert!(!is_answered(&rig.ask(1_000).await));
            }
        };
        let patient = async {
            tokio::time::sleep(Duration::from_millis(500)).await;
            assert_eq!(rig.position(), CircuitState::HalfOpen);
            assert!(is_answered(&rig.ask(PATIENT).await), "it probes beside the one in a hurry");
        };
        tokio::join!(hurried, patient);
        assert_eq!(rig.position(), CircuitState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn what_short_deadlines_let_through_is_not_what_is_usual() {
        let rig = Rig::new(500);
        for _ in 0..50 {
            rig.takes(500);
            assert!(!is_answered(&rig.ask(60).await));
            rig.takes(10);
            assert!(is_answered(&rig.ask(60).await));
        }
        assert_eq!(rig.guard.load_stats.usual_latency(2), None);
    }

    /// A refusal of what was sent is an answer; "too many requests" is a failure and a sign of overload.
    #[tokio::test(start_paused = true)]
    async fn failures_are_told_from_refusals_and_overload_from_both() {
        for (kind, position, is_overload) in [
            (ErrorKind::UpstreamRejected, CircuitState::Closed, false),
            (ErrorKind::UpstreamUnauthorized, CircuitState::Open, false),
            (ErrorKind::UpstreamInvalidReply, CircuitState::Open, false),
            (ErrorKind::UpstreamRateLimited, CircuitState::Open, true),
            (ErrorKind::UpstreamUnavailable, CircuitState::Open, true),
            (ErrorKind::UpstreamTimeout, CircuitState::Open, true),
        ] {
            let rig = Rig::new(1);
            rig.fails(kind);
            for _ in 0..5 {
                assert_eq!(rig.ask(PATIENT).await, Answer::Refused(kind));
            }
            assert_eq!((rig.position(), rig.guard.concurrency.limit() < 64), (position, is_overload), "{kind:?}");
        }
    }

    /// A status 500 provoked by one caller's texts took permits from everybody: it is a failure, and no sign of
    /// overload.
    #[tokio::test(start_paused = true)]
    async fn only_statuses_of_overload_are_signs_of_it() {
        for (status, is_sign) in [
            (Some(500), false),
            (Some(501), false),
            (Some(505), false),
            (Some(520), false),
            (Some(409), false),
            (Some(424), false),
            (Some(502), true),
            (Some(503), true),
            (Some(504), true),
            (Some(524), true),
            (Some(529), true),
            (Some(408), true),
            (None, true),
        ] {
            let rig = Rig::new(1);
            let kind = ErrorKind::UpstreamUnavailable;
            *rig.failure.lock() = Some(match status {
                Some(status) => UpstreamError::of_status(status, kind, None, "failed"),
                None => UpstreamError::passing(kind, "failed"),
            });
            for _ in 0..5 {
                rig.ask(PATIENT).await;
            }
            assert_eq!(rig.position(), CircuitState::Open, "{status:?}");
            assert_eq!(rig.guard.concurrency.limit() < 64, is_sign, "{status:?}");
        }
    }

    /// One caller's last failure turned another's 503 into a 429.
    #[tokio::test(start_paused = true)]
    async fn a_caller_hears_of_its_own_failures() {
        let rig = Rig::new(1);
        let ordinary = CacheScope::of_caller("ordinary");
        rig.fails(ErrorKind::UpstreamInvalidReply);
        for _ in 0..5 {
            rig.ask_as(ordinary, PATIENT).await;
        }
        rig.fails(ErrorKind::UpstreamRateLimited);
        rig.ask_as(CacheScope::of_caller("hostile"), PATIENT).await;
        assert!(is_sent_away(&rig.ask_as(ordinary, PATIENT).await));
        for _ in 0..4 {
            rig.ask_as(CacheScope::of_caller("hostile"), PATIENT).await;
        }
        let new = rig.ask_as(CacheScope::of_caller("new"), PATIENT).await;
        assert_eq!(new, Answer::Refused(ErrorKind::UpstreamRateLimited), "others' last, who has none");
    }

    /// A caller was told of its own "too many requests" of the day before, although failures of others kept it away.
    #[tokio::test(start_paused = true)]
    async fn own_failure_is_quoted_until_a_success_or_for_an_hour() {
        for is_answered_since in [true, false] {
            let rig = Rig::new(1);
            let caller = CacheScope::of_caller("caller");
            rig.fails(ErrorKind::UpstreamRateLimited);
            assert_eq!(rig.ask_as(caller, PATIENT).await, Answer::Refused(ErrorKind::UpstreamRateLimited));
            if is_answered_since {
                *rig.failure.lock() = None;
                assert_eq!(rig.ask_as(caller, PATIENT).await, Answer::Scores);
            } else {
                tokio::time::advance(Duration::from_hours(24)).await;
            }
            rig.fails(ErrorKind::UpstreamInvalidReply);
            for name in ["one", "two"] {
                for _ in 0..5 {
                    rig.ask_as(CacheScope::of_caller(name), PATIENT).await;
                }
            }
            assert!(is_sent_away(&rig.ask_as(caller, PATIENT).await), "{is_answered_since}");
        }
    }

    /// Failures of a caller can open its circuit although calls succeed in between, so a success is not their end.
    #[tokio::test(start_paused = true)]
    async fn own_circuit_quotes_the_callers_failure_although_calls_succeeded_since() {
        let rig = Rig::new(1);
        let caller = CacheScope::of_caller("caller");
        let outcomes = "FFFFSFFFFSFFFSSSSSSS";
        for (number, outcome) in outcomes.chars().enumerate() {
            if number + 1 == outcomes.len() {
                rig.fails(ErrorKind::UpstreamRateLimited);
                rig.ask_as(CacheScope::of_caller("other"), PATIENT).await;
            }
            match outcome {
                'F' => rig.fails(ErrorKind::UpstreamInvalidReply),
                _ => *rig.failure.lock() = None,
            }
            rig.ask_as(caller, PATIENT).await;
        }
        assert!(is_sent_away(&rig.ask_as(caller, PATIENT).await), "not by the other's 429");
    }

    /// Calls that wait for a permit are not sent to the upstream after the circuit has opened.
    #[tokio::test(start_paused = true)]
    async fn a_queue_is_not_emptied_into_an_upstream_that_fails() {
        let rig = Rig::with_permits(100, 1);
        rig.fails(ErrorKind::UpstreamInvalidReply);
        futures_util::future::join_all((0..20).map(|_| rig.ask(PATIENT))).await;
        assert_eq!((rig.position(), rig.calls()), (CircuitState::Open, 5));
    }

    /// A client that disconnects says nothing about the upstream, at whatever time.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_leaves_says_nothing() {
        let rig = Rig::new(NEVER);
        for _ in 0..50 {
            drop(timeout(Duration::from_secs(9), rig.ask(PATIENT)).await);
        }
        assert_eq!((rig.position(), rig.guard.concurrency.limit(), rig.calls()), (CircuitState::Closed, 64, 50));
    }

    /// A refused connection is no answer: it ended the memory of the calls before it.
    #[tokio::test(start_paused = true)]
    async fn a_refused_connection_is_no_answer() {
        let rig = Rig::new(NEVER);
        for _ in 0..5 {
            assert_eq!(rig.ask(300).await, Answer::Nothing);
        }
        assert_eq!(rig.ask(300).await, Answer::Nothing, "one is tried");
        assert!(is_sent_away(&rig.ask(300).await));
        rig.takes(1);
        rig.fails(ErrorKind::UpstreamUnavailable);
        assert_eq!(rig.ask(1_000).await, Answer::Refused(ErrorKind::UpstreamUnavailable), "with more time");
        assert!(is_sent_away(&rig.ask(300).await), "nobody was answered");
        *rig.failure.lock() = Some(UpstreamError::of_status(503, ErrorKind::UpstreamUnavailable, None, "-"));
        assert_eq!(rig.ask(1_000).await, Answer::Refused(ErrorKind::UpstreamUnavailable));
        assert_eq!(rig.ask(300).await, Answer::Refused(ErrorKind::UpstreamUnavailable), "somebody was");
    }

    /// Calls that found no permit used up the one trial.
    #[tokio::test(start_paused = true)]
    async fn a_call_that_finds_no_permit_is_not_the_one_that_is_tried() {
        let rig = Rig::with_queue(NEVER, 1, 0);
        for _ in 0..5 {
            assert_eq!(rig.ask(300).await, Answer::Nothing);
        }
        let permit = rig.ask(1_000);
        let refused = async {
            tokio::time::sleep(Duration::from_millis(10)).await;
            assert_eq!(rig.ask(300).await, Answer::Refused(ErrorKind::Overloaded));
        };
        tokio::join!(permit, refused);
        let calls = rig.calls();
        assert_eq!(rig.ask(300).await, Answer::Nothing, "it is tried now");
        assert_eq!(rig.calls(), calls + 1);
    }
}
