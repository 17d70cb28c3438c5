//! The circuit breaker: keeps calls from a failing upstream, so that fallbacks start at once and it can recover.
//!
//! ```text
//!            too many failures                 ejection is over
//!  closed ─────────────────────▶ open ───────────────────────▶ half open: one probe
//!     ▲                           ▲                                │
//!     │          success          │            failure             │
//!     └───────────────────────────┼────────────────────────────────┤
//!                                 └── for twice as long, at most ──┘
//!                                     max_ejection
//! ```
//!
//! Two conditions trip it, whichever comes first (as in Linkerd's unified breaker): a run of failures, or a low success
//! rate over a window with enough calls in it. "Too many requests" counts as a failure: an upstream that rejects fast
//! must not look fast. A `Retry-After` that is longer than any caller would wait opens the breaker for that time.
//! Refusals of the request itself count as successes: the upstream is healthy.
//!
//! A probe should be made by a call that has the time of a whole attempt. One with less can end at its own deadline,
//! which says nothing (see [`super::unanswered`]). So while such a call probes, one with enough time may probe beside
//! it. If all calls have too little time, theirs are the only probes, and they count.

use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::failure_window::FailureWindow;

/// Largest exponent of two by which ejections grow. Keeps the shift in range; 2^16 seconds are 18 hours.
const MAX_DOUBLINGS: u32 = 16;
/// Longest that a provider's own hint keeps the breaker open: a hint of a day must not latch it for a day.
pub(super) const MAX_EJECTION_HINT: Duration = Duration::from_hours(1);
/// Largest part by which an ejection is shortened at random, so that many sidecars do not probe together.
const JITTER: f64 = 0.1;

/// Conditions that open a circuit breaker, and the times that it stays open.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerSettings {
    /// Failures in a row that trip the breaker; 0 turns the breaker off.
    pub consecutive_failures: usize,
    /// Success rate in the window, 0 to 1, below which it trips.
    pub min_success_rate: f64,
    /// Calls in the window below which the success rate is ignored.
    pub min_calls: usize,
    /// Length of the window.
    pub window: Duration,
    /// First time that it stays open; doubles with each failed probe.
    pub ejection: Duration,
    /// Longest time that it stays open.
    pub max_ejection: Duration,
}

impl BreakerSettings {
    /// The defaults of `config/default.toml`, for tests of what is built on a breaker.
    #[cfg(test)]
    pub(super) const DEFAULT: Self = Self {
        consecutive_failures: 5,
        min_success_rate: 0.5,
        min_calls: 20,
        window: Duration::from_secs(30),
        ejection: Duration::from_secs(1),
        max_ejection: Duration::from_mins(1),
    };

    /// A breaker that never trips.
    pub const OFF: Self = Self {
        consecutive_failures: 0,
        min_success_rate: 0.0,
        min_calls: 1,
        window: Duration::from_secs(1),
        ejection: Duration::ZERO,
        max_ejection: Duration::ZERO,
    };

    /// Length of the next ejection after so many `ejections` since the last success, before jitter.
    #[must_use]
    pub fn ejection_after(&self, ejections: u32) -> Duration {
        self.ejection.saturating_mul(1 << ejections.min(MAX_DOUBLINGS)).min(self.max_ejection)
    }
}

/// The result of a call, as evidence of the upstream's health.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CallOutcome {
    /// A valid reply, or a refusal of this one request.
    Success,
    /// No reply, or another reply.
    Failure,
    /// A failure whose `Retry-After`, given here, is longer than any call waits. It opens the breaker at once.
    Unavailable(Duration),
}

/// The time that a call's deadline leaves it for an attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TimeLeft {
    /// At least `attempt_timeout`, a whole attempt.
    Enough,
    /// Less than that.
    Short,
}

/// The state of a circuit, as reported in metrics.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitState {
    /// All calls pass.
    Closed,
    /// One probe passes.
    HalfOpen,
    /// No call passes.
    Open,
}

/// A breaker of one upstream, for one caller or for all (see [`super::circuits`]).
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    inner: Mutex<BreakerState>,
}

#[derive(Debug)]
struct BreakerState {
    phase: Phase,
    /// Rises with every change of phase. The outcome of a call that was admitted in an earlier phase is ignored.
    generation: u64,
    /// Ejections since the last successful probe.
    ejections: u32,
    /// Source of jitter.
    random: Rng,
}

#[derive(Debug)]
enum Phase {
    Closed(FailureWindow),
    Open { until: Instant },
    HalfOpen(ProbesInFlight),
}

/// The probes in flight: at most one of each kind.
#[derive(Clone, Copy, Debug, Default)]
struct ProbesInFlight {
    /// True while a call with [`TimeLeft::Enough`] probes.
    enough: bool,
    /// True while a call with [`TimeLeft::Short`] probes.
    short: bool,
}

/// Admission of one call by a breaker. Its outcome is reported with `record`. Dropped instead, it says nothing about
/// the upstream, and another call may probe.
#[derive(Debug)]
pub struct BreakerAdmission {
    breaker: Arc<Breaker>,
    generation: u64,
    /// The kind of probe in flight; `None` for an ordinary call.
    probe: Option<TimeLeft>,
}

impl Breaker {
    /// A closed breaker, whose ejections get their jitter from `random`.
    #[must_use]
    pub fn new(settings: BreakerSettings, random: Rng) -> Self {
        let phase = Phase::Closed(FailureWindow::default());
        let state = BreakerState { phase, generation: 0, ejections: 0, random };
        Self { settings, inner: Mutex::new(state) }
    }

    /// Asks for permission to make a call.
    ///
    /// # Errors
    /// The time for which the breaker stays open.
    pub fn admit(self: &Arc<Self>, time_left: TimeLeft, now: Instant) -> Result<BreakerAdmission, Duration> {
        let mut state = self.inner.lock();
        let probe = match &mut state.phase {
            Phase::Closed(_) => None,
            Phase::Open { until } if now < *until => return Err(*until - now),
            Phase::Open { .. } => {
                state.enter(Phase::HalfOpen(ProbesInFlight::of(time_left)));
                Some(time_left)
            }
            Phase::HalfOpen(probes) if probes.allow(time_left) => {
                probes.start(time_left);
                Some(time_left)
            }
            // A guess: nobody knows when the probe ends, and if it fails the breaker opens for longer.
            Phase::HalfOpen(_) => return Err(self.settings.ejection),
        };
        Ok(BreakerAdmission { breaker: self.clone(), generation: state.generation, probe })
    }

    /// The end of the current ejection; `None` if the breaker is not open.
    #[must_use]
    pub fn open_until(&self, now: Instant) -> Option<Instant> {
        match self.inner.lock().phase {
            Phase::Open { until } if now < until => Some(until),
            _ => None,
        }
    }

    /// The state at `now`.
    #[must_use]
    pub fn state(&self, now: Instant) -> CircuitState {
        match self.inner.lock().phase {
            Phase::Closed(_) => CircuitState::Closed,
            Phase::Open { until } if now < until => CircuitState::Open,
            Phase::Open { .. } | Phase::HalfOpen(_) => CircuitState::HalfOpen,
        }
    }

    /// Opens a closed breaker until `until`, for failures of other callers. Returns true if it was closed.
    pub fn open(&self, until: Instant) -> bool {
        let mut state = self.inner.lock();
        let was_closed = matches!(state.phase, Phase::Closed(_));
        if was_closed {
            // As after an ejection of its own, so that a failed probe doubles the time.
            state.ejections = 1;
            state.enter(Phase::Open { until });
        }
        was_closed
    }

    /// Closes the breaker, because another caller found that the upstream is back.
    pub fn close(&self) {
        let mut state = self.inner.lock();
        // A closed breaker keeps its window.
        if !matches!(state.phase, Phase::Closed(_)) {
            state.ejections = 0;
            state.enter(Phase::Closed(FailureWindow::default()));
        }
    }

    /// Records the outcome of a call that was admitted in `generation`; ignores it if the phase has changed since.
    fn record(&self, generation: u64, outcome: CallOutcome, now: Instant) {
        if self.settings.consecutive_failures == 0 {
            return;
        }
        let state = &mut *self.inner.lock();
        if state.generation != generation {
            return;
        }
        match (&mut state.phase, outcome) {
            (Phase::Closed(_) | Phase::HalfOpen(_), CallOutcome::Unavailable(hint)) => {
                state.ejections += 1;
                state.enter(Phase::Open { until: now + hint.min(MAX_EJECTION_HINT) });
            }
            (Phase::Closed(window), CallOutcome::Success | CallOutcome::Failure) => {
                window.add(outcome == CallOutcome::Success, now, &self.settings);
                if window.is_bad(&self.settings) {
                    self.eject(state, now);
                }
            }
            (Phase::HalfOpen(_), CallOutcome::Success) => {
                state.ejections = 0;
                state.enter(Phase::Closed(FailureWindow::default()));
            }
            (Phase::HalfOpen(_), CallOutcome::Failure) => self.eject(state, now),
            // Cannot be: no call is admitted while the breaker is open.
            (Phase::Open { .. }, _) => {}
        }
    }

    /// Ends a probe without an outcome: the next call may probe instead.
    fn end_probe(&self, generation: u64, time_left: TimeLeft) {
        let state = &mut *self.inner.lock();
        if state.generation == generation
            && let Phase::HalfOpen(probes) = &mut state.phase
        {
            probes.end(time_left);
        }
    }

    /// Opens the breaker for the next ejection.
    fn eject(&self, state: &mut BreakerState, now: Instant) {
        // Shortened and never lengthened, so that `max_ejection` holds.
        let part = 1.0 - JITTER * state.random.f64();
        let jittered = self.settings.ejection_after(state.ejections).mul_f64(part);
        state.ejections += 1;
        state.enter(Phase::Open { until: now + jittered });
    }
}

impl BreakerState {
    /// Changes the phase. Every change goes through here, so that calls admitted before it are told apart.
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
    }
}

impl ProbesInFlight {
    fn of(time_left: TimeLeft) -> Self {
        let mut probes = Self::default();
        probes.start(time_left);
        probes
    }

    /// Returns true if one more probe may start. One that is short of time keeps none with enough time away.
    const fn allow(self, time_left: TimeLeft) -> bool {
        match time_left {
            TimeLeft::Enough => !self.enough,
            TimeLeft::Short => !self.enough && !self.short,
        }
    }

    const fn start(&mut self, time_left: TimeLeft) {
        *self.kind(time_left) = true;
    }

    const fn end(&mut self, time_left: TimeLeft) {
        *self.kind(time_left) = false;
    }

    const fn kind(&mut self, time_left: TimeLeft) -> &mut bool {
        match time_left {
            TimeLeft::Enough => &mut self.enough,
            TimeLeft::Short => &mut self.short,
        }
    }
}

impl BreakerAdmission {
    /// Returns true if the breaker has not changed its phase since. If it has, the call must be admitted again.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.breaker.inner.lock().generation == self.generation
    }

    /// Returns true if the call is a probe.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.probe.is_some()
    }

    /// Reports the outcome of the call.
    pub fn record(mut self, outcome: CallOutcome, now: Instant) {
        // Or its drop would end the probe as one without an outcome.
        self.probe = None;
        self.breaker.record(self.generation, outcome, now);
    }
}

impl Drop for BreakerAdmission {
    fn drop(&mut self) {
        if let Some(time_left) = self.probe {
            self.breaker.end_probe(self.generation, time_left);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: BreakerSettings = BreakerSettings::DEFAULT;

    fn breaker(settings: BreakerSettings) -> Arc<Breaker> {
        Arc::new(Breaker::new(settings, Rng::with_seed(1)))
    }

    fn call(breaker: &Arc<Breaker>, outcome: CallOutcome) -> bool {
        let admission = breaker.admit(TimeLeft::Enough, Instant::now());
        admission.map(|admission| admission.record(outcome, Instant::now())).is_ok()
    }

    fn trip(breaker: &Arc<Breaker>) {
        assert!((0..5).all(|_| call(breaker, CallOutcome::Failure)));
    }

    async fn pass(time: Duration) {
        tokio::time::advance(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_of_failures_opens_it_and_one_good_probe_closes_it() {
        let breaker = breaker(SETTINGS);
        for _ in 0..3 {
            assert!((0..4).all(|_| call(&breaker, CallOutcome::Failure)));
            assert!(call(&breaker, CallOutcome::Success), "a success ends the run");
        }
        assert!((0..5).all(|_| call(&breaker, CallOutcome::Failure)));
        assert_eq!(breaker.state(Instant::now()), CircuitState::Open);
        assert!((0..1_000).all(|_| !call(&breaker, CallOutcome::Success)), "nothing passes");
        pass(SETTINGS.ejection).await;
        let probe = breaker.admit(TimeLeft::Enough, Instant::now()).unwrap();
        assert!((0..1_000).all(|_| breaker.admit(TimeLeft::Enough, Instant::now()).is_err()), "exactly one probe");
        probe.record(CallOutcome::Success, Instant::now());
        assert!((0..4).all(|_| call(&breaker, CallOutcome::Failure)), "a fresh start");
        assert_eq!(breaker.state(Instant::now()), CircuitState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn failed_probes_wait_longer_and_longer_and_a_good_one_forgets_it() {
        let breaker = breaker(SETTINGS);
        trip(&breaker);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let whole = Duration::from_secs(seconds);
            pass(whole.mul_f64(1.0 - JITTER).saturating_sub(Duration::from_millis(1))).await;
            assert!(!call(&breaker, CallOutcome::Failure), "not before {seconds} s");
            pass(whole.mul_f64(JITTER) + Duration::from_millis(1)).await;
            assert!(call(&breaker, CallOutcome::Failure), "a probe after {seconds} s");
        }
        pass(SETTINGS.max_ejection).await;
        assert!(call(&breaker, CallOutcome::Success));
        trip(&breaker);
        pass(SETTINGS.ejection).await;
        assert!(call(&breaker, CallOutcome::Success), "back to the first ejection time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_low_success_rate_over_enough_calls_opens_it() {
        let breaker = breaker(SETTINGS);
        // One of three succeeds: never five failures in a row.
        let outcome = |index: usize| if index.is_multiple_of(3) { CallOutcome::Success } else { CallOutcome::Failure };
        assert!((0..19).all(|index| call(&breaker, outcome(index))), "too few calls to judge");
        call(&breaker, CallOutcome::Failure);
        assert_eq!(breaker.state(Instant::now()), CircuitState::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_older_than_the_window_is_forgotten() {
        let breaker = breaker(SETTINGS);
        for index in 0..200usize {
            let outcome = if index.is_multiple_of(3) { CallOutcome::Success } else { CallOutcome::Failure };
            assert!(call(&breaker, outcome), "15 calls in 30 s are too few at any time");
            pass(Duration::from_secs(2)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_given_up_leaves_room_for_another() {
        let breaker = breaker(SETTINGS);
        trip(&breaker);
        pass(SETTINGS.ejection).await;
        drop(breaker.admit(TimeLeft::Enough, Instant::now()).unwrap());
        assert!(call(&breaker, CallOutcome::Success));
        assert_eq!(breaker.state(Instant::now()), CircuitState::Closed);
    }

    /// A caller in a hurry neither keeps others from probing nor is kept from it for good.
    #[tokio::test(start_paused = true)]
    async fn a_patient_call_probes_beside_a_hurried_one_and_no_other_does() {
        let breaker = breaker(SETTINGS);
        let admit = |time_left| breaker.admit(time_left, Instant::now());
        trip(&breaker);
        pass(SETTINGS.ejection).await;
        let hurried = admit(TimeLeft::Short).unwrap();
        assert!(hurried.is_probe() && admit(TimeLeft::Short).is_err(), "one in a hurry");
        let patient = admit(TimeLeft::Enough).unwrap();
        assert!(patient.is_probe() && admit(TimeLeft::Enough).is_err(), "and one that waits");
        drop(hurried);
        assert!(admit(TimeLeft::Short).is_err(), "one that waits is enough");
        drop(patient);
        let hurried = admit(TimeLeft::Short).expect("nobody probes any more");
        let patient = admit(TimeLeft::Enough).unwrap();
        patient.record(CallOutcome::Success, Instant::now());
        hurried.record(CallOutcome::Failure, Instant::now());
        assert_eq!(breaker.state(Instant::now()), CircuitState::Closed, "the first to tell decides");
        trip(&breaker);
        pass(SETTINGS.ejection).await;
        admit(TimeLeft::Short).unwrap().record(CallOutcome::Success, Instant::now());
        assert!(!admit(TimeLeft::Enough).unwrap().is_probe(), "a hurried answer is an answer");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_admitted_before_it_opened_says_nothing_after() {
        let breaker = breaker(SETTINGS);
        let late: Vec<_> = (0..9).map(|_| breaker.admit(TimeLeft::Enough, Instant::now()).unwrap()).collect();
        trip(&breaker);
        pass(SETTINGS.ejection).await;
        let probe = breaker.admit(TimeLeft::Enough, Instant::now()).unwrap();
        for admission in late {
            admission.record(CallOutcome::Failure, Instant::now());
        }
        probe.record(CallOutcome::Success, Instant::now());
        assert_eq!(breaker.state(Instant::now()), CircuitState::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_hint_is_obeyed_but_not_for_a_day() {
        for (hint, until) in [(90, 90), (86_400, 3_600)] {
            let breaker = breaker(SETTINGS);
            call(&breaker, CallOutcome::Unavailable(Duration::from_secs(hint)));
            pass(Duration::from_secs(until - 1)).await;
            assert!(!call(&breaker, CallOutcome::Success), "{hint} s");
            pass(Duration::from_secs(1)).await;
            assert!(call(&breaker, CallOutcome::Success), "{hint} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_can_be_turned_off() {
        let breaker = breaker(BreakerSettings { consecutive_failures: 0, ..SETTINGS });
        assert!((0..1_000).all(|_| call(&breaker, CallOutcome::Failure)));
    }
}
