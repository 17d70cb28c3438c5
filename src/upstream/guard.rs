//! The layers that keep calls from an upstream which should not get them: the circuit breaker, the rate limit and the places.
//!
//! What one caller does must not be held against the upstream, for others would pay for it. An attempt that ends
//! because its client left says nothing. One that ends because the last deadline of all who waited passed is a failure
//! only if the upstream had its usual time: three times what almost all calls of its size take, or `attempt_timeout`
//! where nobody knows that. With less than that it is no failure for the breaker, no sign of overload and no mark
//! against the upstream in balancing, its latency is not taken for what is usual, and it fails no probe. It is
//! remembered by [`Unanswered`] alone, which concerns calls with as little time and nobody else.

use std::collections::HashMap;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures_util::future::BoxFuture;
use parking_lot::Mutex;
use tokio::time::Instant;
use tower::{Layer, Service};

use super::breaker::{Position, Verdict};
use super::call::{Call, Interest, Patience, Scores};
use super::circuits::{Admission, Circuits};
use super::error::UpstreamError;
use super::places::{Place, Places, Sign};
use super::rate::Rate;
use super::retry::LONGEST_HINT;
use super::unanswered::Unanswered;
use super::vitals::Vitals;
use crate::cache::key::CacheScope;
use crate::error::ErrorKind;
use crate::telemetry::metrics::UpstreamMetrics;

/// How many times that is unusual.
pub(super) const UNUSUAL_FACTOR: u32 = 3;
/// Least that an upstream is given before an attempt that was dropped counts as its failure.
const LATE: Duration = Duration::from_millis(100);

/// What guards one upstream.
#[derive(Debug)]
pub struct Guard {
    /// Leave it alone when it fails, each for its caller.
    pub circuits: Circuits,
    /// Leaves it alone with calls that would wait in vain, like those before them.
    pub unanswered: Unanswered,
    /// Keeps to the contract.
    pub rate: Rate,
    /// Keeps to what it can bear.
    pub places: Places,
    /// Knows what is usual.
    pub vitals: Arc<Vitals>,
    /// Longest that an attempt is waited for.
    attempt_timeout: Duration,
    last_failures: Mutex<LastFailures>,
}

/// What an upstream last did wrong, in our words: to each caller, and to anybody.
#[derive(Debug, Default)]
struct LastFailures {
    by_caller: HashMap<CacheScope, Failure>,
    last: Option<Failure>,
}

/// What went wrong, and how that is put.
type Failure = (ErrorKind, String);

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
            let mut admission = guard.admit(&call, &metrics)?;
            let place = guard.places.take(&call.interest).await.map_err(|none| {
                metrics.shed("queue_full");
                UpstreamError::shed(
                    "has as many calls waiting as it can answer in time (max_concurrency, max_queue)",
                    none.0,
                )
            })?;
            // The circuit may have opened while this waited for its place: a queue must not be emptied into an upstream that fails.
            if !admission.is_current() {
                // One of its circuits may still take it for the probe that is under way.
                drop(admission);
                admission = guard.admit(&call, &metrics)?;
            }
            guard.check_unanswered(&call, &metrics, Unanswered::check)?;
            // So late that what finds no place is not taken out of the minute's allowance.
            guard.rate.take(call.tokens).map_err(|wait| {
                metrics.shed("rate_limit");
                UpstreamError::shed("has had its share of this minute (requests_per_minute, tokens_per_minute)", wait)
            })?;
            // Last, for this may be the one call in a while that is tried.
            guard.check_unanswered(&call, &metrics, Unanswered::admit)?;
            let mut watched = Watched::new(&guard, admission, place, &call);
            let result = inner.call(call).await;
            if is_answer(&result) {
                guard.unanswered.answered();
            }
            let failure = result.as_ref().err().map(|error| (error.kind, error.what.clone()));
            watched.end(verdict(&result), sign(&result), failure);
            result
        })
    }
}

/// An attempt under way, as the guard sees it.
struct Watched<'a> {
    guard: &'a Guard,
    held: Option<(Admission, Place)>,
    interest: Arc<Interest>,
    bytes: usize,
    started: Instant,
}

impl<'a> Watched<'a> {
    fn new(guard: &'a Guard, admission: Admission, place: Place, call: &Call) -> Self {
        let (interest, bytes, started) = (call.interest.clone(), call.body.len(), Instant::now());
        Self { guard, held: Some((admission, place)), interest, bytes, started }
    }

    fn end(&mut self, verdict: Verdict, sign: Option<Sign>, failure: Option<Failure>) {
        let Some((admission, place)) = self.held.take() else { return };
        if matches!(verdict, Verdict::Failure | Verdict::Unavailable(_)) {
            let mut last_failures = self.guard.last_failures.lock();
            last_failures.by_caller.extend(failure.clone().map(|failure| (self.interest.scope(), failure)));
            last_failures.last = failure;
        }
        // In this order: whoever gets the place next must find the breaker as it is now.
        self.guard.circuits.tell(self.interest.scope(), admission, verdict, Instant::now());
        place.give_back(sign);
    }

    /// Nobody waits any more: everybody left, or the last deadline passed.
    fn give_up(&mut self, now: Instant) {
        let Some((admission, _)) = &self.held else { return };
        let deadline = self.interest.deadline();
        if now < deadline {
            return self.end(Verdict::Neutral, None, None);
        }
        let allowed = deadline.saturating_duration_since(self.started);
        let fair = self.guard.fair_time(self.bytes, admission.is_probe());
        self.guard.unanswered.cut_off(self.interest.scope(), self.bytes, allowed);
        self.guard.vitals.cut_off(self.bytes, allowed, now);
        if allowed < fair {
            return self.end(Verdict::Neutral, None, None);
        }
        self.guard.vitals.failed(None, None, now);
        let what = "did not answer before the deadline of anybody who waited".to_owned();
        self.end(Verdict::Failure, Some(Sign::Overload), Some((ErrorKind::UpstreamTimeout, what)));
    }
}

impl Drop for Watched<'_> {
    fn drop(&mut self) {
        self.give_up(Instant::now());
    }
}

/// Whether the upstream said anything. What cannot be connected to, or breaks the connection, did not, and neither did what is late.
fn is_answer(result: &Result<Scores, UpstreamError>) -> bool {
    let Err(error) = result else { return true };
    match error.kind {
        ErrorKind::UpstreamTimeout => false,
        ErrorKind::UpstreamUnavailable => error.status.is_some(),
        _ => true,
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
        // A status 500 may be about what was sent: what one caller sends must not take permits from others.
        Err(error) => error.is_overload().then_some(Sign::Overload),
    }
}

impl Guard {
    /// A guard that has seen nothing yet.
    #[must_use]
    pub fn new(
        circuits: Circuits,
        unanswered: Unanswered,
        rate: Rate,
        places: Places,
        vitals: Arc<Vitals>,
        attempt_timeout: Duration,
    ) -> Self {
        Self { circuits, unanswered, rate, places, vitals, attempt_timeout, last_failures: Mutex::default() }
    }

    /// How long is unusually long for a call of so many bytes, if that is known.
    pub(super) fn unusual(&self, bytes: usize) -> Option<Duration> {
        Some(self.vitals.usual(bytes)? * UNUSUAL_FACTOR)
    }

    /// What an upstream must be given before it can be blamed for no answer: a whole attempt if the call is to find out
    /// whether it is back.
    fn fair_time(&self, bytes: usize, is_probe: bool) -> Duration {
        let unusual = self.unusual(bytes).filter(|_| !is_probe);
        unusual.map_or(self.attempt_timeout, |unusual| unusual.max(LATE).min(self.attempt_timeout))
    }

    fn admit(&self, call: &Call, metrics: &UpstreamMetrics) -> Result<Admission, UpstreamError> {
        let now = Instant::now();
        let left = call.interest.deadline().saturating_duration_since(now);
        let patience = if left < self.attempt_timeout { Patience::Hurry } else { Patience::Wait };
        let admission = self.circuits.admit(call.interest.scope(), patience, now).map_err(|rest| {
            metrics.shed("circuit_open");
            let last_failures = self.last_failures.lock();
            // Where others' circuits keep this caller away it is theirs.
            let own = last_failures.by_caller.get(&call.interest.scope());
            UpstreamError::left_alone(rest, own.or(last_failures.last.as_ref()))
        })?;
        // What would be turned away had better not wait for a place.
        self.check_unanswered(call, metrics, Unanswered::check)?;
        Ok(admission)
    }

    fn check_unanswered(
        &self,
        call: &Call,
        metrics: &UpstreamMetrics,
        check: fn(&Unanswered, CacheScope, usize, Duration, Instant) -> Result<(), Duration>,
    ) -> Result<(), UpstreamError> {
        let now = Instant::now();
        let left = call.interest.deadline().saturating_duration_since(now);
        check(&self.unanswered, call.interest.scope(), call.body.len(), left, now).map_err(|rest| {
            metrics.shed("circuit_open");
            UpstreamError::hurried(left, rest)
        })
    }

    /// Whether a call for `caller` would be let through, as far as the breaker is concerned.
    #[must_use]
    pub fn is_open_for_calls(&self, caller: CacheScope, now: Instant) -> bool {
        self.circuits.position(caller, now) != Position::Open
    }
}

impl UpstreamError {
    /// Our own refusal, while the breaker is open.
    fn left_alone(rest: Duration, last_failure: Option<&Failure>) -> Self {
        // Whoever is limited has clients that know what to do about "too many requests".
        let (kind, last) = match last_failure {
            Some((ErrorKind::UpstreamRateLimited, what)) => (ErrorKind::UpstreamRateLimited, what.as_str()),
            Some((_, what)) => (ErrorKind::UpstreamCircuitOpen, what.as_str()),
            None => (ErrorKind::UpstreamCircuitOpen, "failed"),
        };
        let what = format!("failed so often that it is left alone for now (circuit breaker); last, it {last}");
        Self { retry_after: Some(rest), ..Self::lasting(kind, what) }
    }

    /// Our own refusal of a call that would wait in vain.
    fn hurried(left: Duration, rest: Duration) -> Self {
        let what = format!(
            "left the last calls unanswered that had no more time than this one, {} ms, so such calls are kept away \
             for now (circuit breaker); allow more time, or ask later",
            left.as_millis()
        );
        Self { retry_after: Some(rest), ..Self::lasting(ErrorKind::UpstreamCircuitOpen, what) }
    }

    /// Our own refusal, because there is more to do than can be done.
    fn shed(what: &str, wait: Duration) -> Self {
        Self { retry_after: Some(wait), ..Self::lasting(ErrorKind::Overloaded, what) }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};

    use bytes::Bytes;
    use tokio::time::timeout;
    use tower::{ServiceBuilder, ServiceExt};

    use super::super::attempt::AttemptLayer;
    use super::super::breaker::BreakerSettings;
    use super::super::call::{AttemptCounter, Waiter};
    use super::super::rate::RateSettings;
    use super::*;

    const ATTEMPT_TIMEOUT: Duration = Duration::from_secs(10);
    /// An hour, in milliseconds.
    const NEVER: u64 = 3_600_000;
    const BREAKER: BreakerSettings = BreakerSettings {
        consecutive_failures: 5,
        min_success_rate: 0.5,
        min_calls: 20,
        window: Duration::from_secs(30),
        ejection: Duration::from_secs(1),
        max_ejection: Duration::from_mins(1),
    };

    /// What came of a call, if anything did before its deadline.
    #[derive(Debug, PartialEq)]
    enum Answer {
        Scores,
        Refused(ErrorKind),
        Nothing,
    }

    /// An upstream behind its guard that takes as long as it is told.
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
            let vitals = Arc::new(Vitals::default());
            let rate = Rate::new(RateSettings { requests_per_minute: None, tokens_per_minute: None });
            let unanswered = Unanswered::new(BREAKER);
            let guard = Guard::new(
                Circuits::new(BREAKER),
                unanswered,
                rate,
                Places::new(permits, queue),
                vitals,
                ATTEMPT_TIMEOUT,
            );
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

        /// One call of somebody who waits so long and has nobody else to ask.
        async fn ask(&self, milliseconds: u64) -> Answer {
            self.ask_as(CacheScope::SHARED, milliseconds).await
        }

        async fn ask_as(&self, scope: CacheScope, milliseconds: u64) -> Answer {
            let patience = Duration::from_millis(milliseconds);
            let deadline = Instant::now() + patience;
            let waiter = Waiter { deadline, patience: Patience::Wait, store: true, scope };
            let call = Call {
                body: Bytes::from_static(b"{}"),
                passages: 0,
                tokens: 0,
                scale: crate::provider::ScoreScale::Probability,
                interest: Arc::new(Interest::of(waiter)),
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
            let vitals = self.guard.vitals.clone();
            let metrics = self.metrics.clone();
            let stack = ServiceBuilder::new()
                .layer(GuardLayer { guard: self.guard.clone(), metrics: metrics.clone() })
                .layer(AttemptLayer { timeout: ATTEMPT_TIMEOUT, vitals, metrics })
                .service(upstream);
            match timeout(patience, stack.oneshot(call)).await {
                Ok(Ok(_)) => Answer::Scores,
                Ok(Err(error)) => Answer::Refused(error.kind),
                Err(_) => Answer::Nothing,
            }
        }

        fn position(&self) -> Position {
            self.guard.circuits.position(CacheScope::SHARED, Instant::now())
        }
    }

    const PATIENT: u64 = 30_000;

    fn is_answered(answer: &Answer) -> bool {
        *answer == Answer::Scores
    }

    fn is_sent_away(answer: &Answer) -> bool {
        *answer == Answer::Refused(ErrorKind::UpstreamCircuitOpen)
    }

    /// Attack 3: whatever the order, who waits gets the answer, and nothing is held against the upstream.
    #[tokio::test(start_paused = true)]
    async fn a_callers_own_deadline_is_nothing_against_the_upstream() {
        let rig = Rig::new(1_500);
        for round in 0..20 {
            for _ in 0..5 {
                assert!(!is_answered(&rig.ask(1_010).await));
            }
            let now = Instant::now();
            assert_eq!((rig.position(), rig.guard.places.limit()), (Position::Closed, 64), "round {round}");
            assert!(rig.guard.vitals.load(CacheScope::SHARED, now) < 2.0, "no penalty");
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
        assert_eq!((rig.position(), rig.guard.places.limit()), (Position::Closed, 64));
        for _ in 0..5 {
            assert_eq!(rig.ask(400).await, Answer::Nothing);
        }
        assert_eq!(rig.position(), Position::Open);
        assert!(rig.guard.places.limit() < 64);
        assert!(is_sent_away(&rig.ask(PATIENT).await));
    }

    /// Where all are in a hurry and nothing is known a black hole is noticed, and so is its end.
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
        assert_eq!(rig.position(), Position::Closed, "for whoever has more time");
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
            assert_eq!(rig.position(), Position::HalfOpen);
            assert!(is_answered(&rig.ask(PATIENT).await), "it probes beside the one in a hurry");
        };
        tokio::join!(hurried, patient);
        assert_eq!(rig.position(), Position::Closed);
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
        assert_eq!(rig.guard.vitals.usual(2), None);
    }

    /// A refusal of what was sent is an answer; "too many requests" is a failure and a sign of overload.
    #[tokio::test(start_paused = true)]
    async fn failures_are_told_from_refusals_and_overload_from_both() {
        for (kind, position, is_overload) in [
            (ErrorKind::UpstreamRejected, Position::Closed, false),
            (ErrorKind::UpstreamUnauthorized, Position::Open, false),
            (ErrorKind::UpstreamInvalidReply, Position::Open, false),
            (ErrorKind::UpstreamRateLimited, Position::Open, true),
            (ErrorKind::UpstreamUnavailable, Position::Open, true),
            (ErrorKind::UpstreamTimeout, Position::Open, true),
        ] {
            let rig = Rig::new(1);
            rig.fails(kind);
            for _ in 0..5 {
                assert_eq!(rig.ask(PATIENT).await, Answer::Refused(kind));
            }
            assert_eq!((rig.position(), rig.guard.places.limit() < 64), (position, is_overload), "{kind:?}");
        }
    }

    /// A status 500 provoked by one caller's texts took permits from everybody: it is a failure, and no sign of overload.
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
            let failure = UpstreamError { status, ..UpstreamError::passing(ErrorKind::UpstreamUnavailable, "failed") };
            *rig.failure.lock() = Some(failure);
            for _ in 0..5 {
                rig.ask(PATIENT).await;
            }
            assert_eq!(rig.position(), Position::Open, "{status:?}");
            assert_eq!(rig.guard.places.limit() < 64, is_sign, "{status:?}");
        }
    }

    /// What was told to one caller made another's 503 a 429.
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

    /// When the circuit opens, those who wait for a permit are not sent into it one after the other.
    #[tokio::test(start_paused = true)]
    async fn a_queue_is_not_emptied_into_an_upstream_that_fails() {
        let rig = Rig::with_permits(100, 1);
        rig.fails(ErrorKind::UpstreamInvalidReply);
        futures_util::future::join_all((0..20).map(|_| rig.ask(PATIENT))).await;
        assert_eq!((rig.position(), rig.calls()), (Position::Open, 5));
    }

    /// Clients that leave say nothing, whenever they do.
    #[tokio::test(start_paused = true)]
    async fn a_client_that_leaves_says_nothing() {
        let rig = Rig::new(NEVER);
        for _ in 0..50 {
            drop(timeout(Duration::from_secs(9), rig.ask(PATIENT)).await);
        }
        assert_eq!((rig.position(), rig.guard.places.limit(), rig.calls()), (Position::Closed, 64, 50));
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
        let failure =
            UpstreamError { status: Some(503), ..UpstreamError::passing(ErrorKind::UpstreamUnavailable, "-") };
        *rig.failure.lock() = Some(failure);
        assert_eq!(rig.ask(1_000).await, Answer::Refused(ErrorKind::UpstreamUnavailable));
        assert_eq!(rig.ask(300).await, Answer::Refused(ErrorKind::UpstreamUnavailable), "somebody was");
    }

    /// The one call that is tried was used up by calls that found no permit.
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
