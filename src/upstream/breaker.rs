//! The circuit breaker: an upstream that fails is left alone for a while, so that fallbacks come at once and it can recover.
//!
//! ```text
//!            too many failures                   time is over
//!  closed ─────────────────────▶ open ───────────────────────▶ half open: one probe
//!     ▲                           ▲                                │
//!     │          success          │            failure             │
//!     └───────────────────────────┼────────────────────────────────┤
//!                                 └── for twice as long, at most ──┘
//!                                     max_ejection
//! ```
//!
//! Two signs trip it, whichever comes first (as in Linkerd's unified breaker): a run of failures, or a low share of successes over a
//! window with enough calls in it. "Too many requests" counts as a failure: an upstream that rejects fast must not look fast. A provider that
//! asks for more time than anybody would wait opens it for as long as it asks. Refusals of the request itself count as successes:
//! the upstream is well.
//!
//! A probe should be made by somebody who waits for its answer. A call that has less time than an attempt may take can
//! end at its own deadline, which says nothing (see [`super::unanswered`]); so while such a call probes, one that has
//! the time may probe beside it. Where everybody is in a hurry such calls are the only probes, and they are probes all
//! the same.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::interest::Patience;

/// Parts of the window that expire one by one.
const BUCKETS: u32 = 10;
/// Ejections grow up to this power of two.
const MOST_DOUBLINGS: u32 = 16;
/// Longest that a provider's own hint keeps the breaker open: a day's hint must not latch it for a day.
const LONGEST_HINT: Duration = Duration::from_hours(1);
/// How long an ejection may vary from what it should be, so that many sidecars do not probe together.
const JITTER: f64 = 0.1;

/// When an upstream is left alone, and for how long.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct BreakerSettings {
    /// Failures in a row that trip the breaker; 0 turns the breaker off.
    pub consecutive_failures: usize,
    /// Share of successes (0 to 1) in the window below which it trips.
    pub min_success_rate: f64,
    /// Calls that the window must hold before the share means anything.
    pub min_calls: usize,
    /// Length of the window.
    pub window: Duration,
    /// First time in the cold; doubles with each failed probe.
    pub ejection: Duration,
    /// Longest time in the cold.
    pub max_ejection: Duration,
}

impl BreakerSettings {
    /// A breaker that never trips.
    pub const OFF: Self = Self {
        consecutive_failures: 0,
        min_success_rate: 0.0,
        min_calls: 1,
        window: Duration::from_secs(1),
        ejection: Duration::ZERO,
        max_ejection: Duration::ZERO,
    };

    /// How long an upstream is left alone after so many ejections since it was last well.
    #[must_use]
    pub fn ejection_after(&self, ejections: u32) -> Duration {
        self.ejection.saturating_mul(1 << ejections.min(MOST_DOUBLINGS)).min(self.max_ejection)
    }
}

/// What a call says about the health of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It answered.
    Success,
    /// It did not, or not well.
    Failure,
    /// It asks to be left alone for so long.
    Unavailable(Duration),
    /// The call says nothing: it was cancelled, or never sent.
    Neutral,
}

/// Where the breaker stands, as metrics tell it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Position {
    /// Calls pass.
    Closed,
    /// One probe passes.
    HalfOpen,
    /// Nothing passes.
    Open,
}

/// A breaker of one upstream, for one caller or for all (see [`super::circuits`]).
#[derive(Debug)]
pub struct Breaker {
    settings: BreakerSettings,
    state: Mutex<State>,
}

#[derive(Debug)]
struct State {
    phase: Phase,
    /// Rises with every change of phase, so that what was admitted before it says nothing after it.
    generation: u64,
    /// Ejections since the last good probe.
    ejections: u32,
}

#[derive(Debug)]
enum Phase {
    Closed(Record),
    Open { until: Instant },
    HalfOpen(Probes),
}

/// The probes under way: at most one of each kind.
#[derive(Clone, Copy, Debug, Default)]
struct Probes {
    /// One that has the time of a whole attempt.
    patient: bool,
    /// One that has not.
    hurried: bool,
}

/// What happened lately.
#[derive(Debug, Default)]
struct Record {
    run: usize,
    buckets: VecDeque<Bucket>,
}

#[derive(Debug)]
struct Bucket {
    since: Instant,
    calls: usize,
    successes: usize,
}

/// Permission to make one call, whose outcome must be told; dropped, it says nothing.
#[derive(Debug)]
pub struct Admission {
    breaker: Arc<Breaker>,
    generation: u64,
    /// Which kind of probe it is, if it is one.
    probe: Option<Patience>,
    is_told: bool,
}

impl Breaker {
    /// A closed breaker.
    #[must_use]
    pub fn new(settings: BreakerSettings) -> Self {
        let state = State { phase: Phase::Closed(Record::default()), generation: 0, ejections: 0 };
        Self { settings, state: Mutex::new(state) }
    }

    /// Asks for permission to make a call: a patient one if its deadline leaves it the time of a whole attempt.
    ///
    /// # Errors
    /// How long the breaker stays open.
    pub fn admit(self: &Arc<Self>, patience: Patience, now: Instant) -> Result<Admission, Duration> {
        let mut state = self.state.lock();
        let probe = match &mut state.phase {
            Phase::Closed(_) => None,
            Phase::Open { until } if now < *until => return Err(*until - now),
            Phase::Open { .. } => {
                state.enter(Phase::HalfOpen(Probes::of(patience)));
                Some(patience)
            }
            Phase::HalfOpen(probes) if probes.allow(patience) => {
                probes.set(patience, true);
                Some(patience)
            }
            Phase::HalfOpen(_) => return Err(self.settings.ejection),
        };
        Ok(Admission { breaker: self.clone(), generation: state.generation, probe, is_told: false })
    }

    /// Until when the breaker is open, if it is.
    #[must_use]
    pub fn open_until(&self, now: Instant) -> Option<Instant> {
        match self.state.lock().phase {
            Phase::Open { until } if now < until => Some(until),
            _ => None,
        }
    }

    /// Where the breaker stands.
    #[must_use]
    pub fn position(&self, now: Instant) -> Position {
        match self.state.lock().phase {
            Phase::Closed(_) => Position::Closed,
            Phase::Open { until } if now < until => Position::Open,
            Phase::Open { .. } | Phase::HalfOpen(_) => Position::HalfOpen,
        }
    }

    /// Opens it until then, if it is closed: others know that the upstream fails.
    pub fn open(&self, until: Instant) {
        let mut state = self.state.lock();
        if matches!(state.phase, Phase::Closed(_)) {
            state.ejections = 1;
            state.enter(Phase::Open { until });
        }
    }

    /// Closes it, if it is not: others know that the upstream is back.
    pub fn close(&self) {
        let mut state = self.state.lock();
        if !matches!(state.phase, Phase::Closed(_)) {
            state.ejections = 0;
            state.enter(Phase::Closed(Record::default()));
        }
    }

    fn tell(&self, generation: u64, probe: Option<Patience>, verdict: Verdict, now: Instant) {
        if self.settings.consecutive_failures == 0 {
            return;
        }
        let mut state = self.state.lock();
        if state.generation != generation {
            return;
        }
        let state = &mut *state;
        match (&mut state.phase, verdict) {
            (Phase::Closed(_) | Phase::HalfOpen(_), Verdict::Unavailable(hint)) => {
                state.ejections += 1;
                state.enter(Phase::Open { until: now + hint.min(LONGEST_HINT) });
            }
            (Phase::Closed(record), Verdict::Success | Verdict::Failure) => {
                record.add(verdict == Verdict::Success, now, &self.settings);
                if record.is_bad(&self.settings) {
                    self.eject(state, now);
                }
            }
            (Phase::HalfOpen(_), Verdict::Success) => {
                state.ejections = 0;
                state.enter(Phase::Closed(Record::default()));
            }
            (Phase::HalfOpen(_), Verdict::Failure) => self.eject(state, now),
            (Phase::HalfOpen(probes), Verdict::Neutral) => {
                if let Some(patience) = probe {
                    probes.set(patience, false);
                }
            }
            (Phase::Closed(_), Verdict::Neutral) | (Phase::Open { .. }, _) => {}
        }
    }

    fn eject(&self, state: &mut State, now: Instant) {
        let jittered = self.settings.ejection_after(state.ejections).mul_f64(1.0 - JITTER * fastrand::f64());
        state.ejections += 1;
        state.enter(Phase::Open { until: now + jittered });
    }
}

impl State {
    fn enter(&mut self, phase: Phase) {
        self.phase = phase;
        self.generation += 1;
    }
}

impl Probes {
    fn of(patience: Patience) -> Self {
        let mut probes = Self::default();
        probes.set(patience, true);
        probes
    }

    /// Whether one more may be made: a patient one whoever else is in a hurry.
    const fn allow(self, patience: Patience) -> bool {
        match patience {
            Patience::Wait => !self.patient,
            Patience::Hurry => !self.patient && !self.hurried,
        }
    }

    const fn set(&mut self, patience: Patience, is_under_way: bool) {
        match patience {
            Patience::Wait => self.patient = is_under_way,
            Patience::Hurry => self.hurried = is_under_way,
        }
    }
}

impl Record {
    fn add(&mut self, is_success: bool, now: Instant, settings: &BreakerSettings) {
        self.run = if is_success { 0 } else { self.run + 1 };
        while self.buckets.front().is_some_and(|bucket| now - bucket.since > settings.window) {
            self.buckets.pop_front();
        }
        if self.buckets.back().is_none_or(|bucket| now - bucket.since > settings.window / BUCKETS) {
            self.buckets.push_back(Bucket { since: now, calls: 0, successes: 0 });
        }
        if let Some(bucket) = self.buckets.back_mut() {
            bucket.calls += 1;
            bucket.successes += usize::from(is_success);
        }
    }

    fn is_bad(&self, settings: &BreakerSettings) -> bool {
        if self.run >= settings.consecutive_failures {
            return true;
        }
        let (calls, successes) = self
            .buckets
            .iter()
            .fold((0, 0), |(calls, successes), bucket| (calls + bucket.calls, successes + bucket.successes));
        #[expect(clippy::cast_precision_loss, reason = "counts of half a minute")]
        let is_low = (successes as f64) < settings.min_success_rate * calls as f64;
        calls >= settings.min_calls && is_low
    }
}

impl Admission {
    /// Whether the breaker stands as it did when permission was given. If not, it must be asked for again.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.breaker.state.lock().generation == self.generation
    }

    /// Whether the call finds out if the upstream is back.
    #[must_use]
    pub const fn is_probe(&self) -> bool {
        self.probe.is_some()
    }

    /// Says how the call went.
    pub fn tell(mut self, verdict: Verdict, now: Instant) {
        self.is_told = true;
        self.breaker.tell(self.generation, self.probe, verdict, now);
    }
}

impl Drop for Admission {
    fn drop(&mut self) {
        if !self.is_told {
            self.breaker.tell(self.generation, self.probe, Verdict::Neutral, Instant::now());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: BreakerSettings = BreakerSettings {
        consecutive_failures: 5,
        min_success_rate: 0.5,
        min_calls: 20,
        window: Duration::from_secs(30),
        ejection: Duration::from_secs(1),
        max_ejection: Duration::from_mins(1),
    };

    fn call(breaker: &Arc<Breaker>, verdict: Verdict) -> bool {
        let admission = breaker.admit(Patience::Wait, Instant::now());
        admission.map(|admission| admission.tell(verdict, Instant::now())).is_ok()
    }

    fn trip(breaker: &Arc<Breaker>) {
        assert!((0..5).all(|_| call(breaker, Verdict::Failure)));
    }

    async fn pass(time: Duration) {
        tokio::time::advance(time).await;
    }

    #[tokio::test(start_paused = true)]
    async fn a_run_of_failures_opens_it_and_one_good_probe_closes_it() {
        let breaker = Arc::new(Breaker::new(SETTINGS));
        for _ in 0..3 {
            assert!((0..4).all(|_| call(&breaker, Verdict::Failure)));
            assert!(call(&breaker, Verdict::Success), "a success ends the run");
        }
        assert!((0..5).all(|_| call(&breaker, Verdict::Failure)));
        assert_eq!(breaker.position(Instant::now()), Position::Open);
        assert!((0..1_000).all(|_| !call(&breaker, Verdict::Success)), "nothing passes");
        pass(SETTINGS.ejection).await;
        let probe = breaker.admit(Patience::Wait, Instant::now()).unwrap();
        assert!((0..1_000).all(|_| breaker.admit(Patience::Wait, Instant::now()).is_err()), "exactly one probe");
        probe.tell(Verdict::Success, Instant::now());
        assert!((0..4).all(|_| call(&breaker, Verdict::Failure)), "a fresh start");
        assert_eq!(breaker.position(Instant::now()), Position::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn failed_probes_wait_longer_and_longer_and_a_good_one_forgets_it() {
        let breaker = Arc::new(Breaker::new(SETTINGS));
        trip(&breaker);
        for seconds in [1, 2, 4, 8, 16, 32, 60, 60] {
            let whole = Duration::from_secs(seconds);
            pass(whole.mul_f64(1.0 - JITTER).saturating_sub(Duration::from_millis(1))).await;
            assert!(!call(&breaker, Verdict::Failure), "not before {seconds} s");
            pass(whole.mul_f64(JITTER) + Duration::from_millis(1)).await;
            assert!(call(&breaker, Verdict::Failure), "a probe after {seconds} s");
        }
        pass(SETTINGS.max_ejection).await;
        assert!(call(&breaker, Verdict::Success));
        trip(&breaker);
        pass(SETTINGS.ejection).await;
        assert!(call(&breaker, Verdict::Success), "back to the first ejection time");
    }

    #[tokio::test(start_paused = true)]
    async fn a_low_success_rate_over_enough_calls_opens_it() {
        let breaker = Arc::new(Breaker::new(SETTINGS));
        // One of three succeeds: never five failures in a row.
        let verdict = |index: usize| if index.is_multiple_of(3) { Verdict::Success } else { Verdict::Failure };
        assert!((0..19).all(|index| call(&breaker, verdict(index))), "too few calls to judge");
        call(&breaker, Verdict::Failure);
        assert_eq!(breaker.position(Instant::now()), Position::Open);
    }

    #[tokio::test(start_paused = true)]
    async fn what_is_older_than_the_window_is_forgotten() {
        let breaker = Arc::new(Breaker::new(SETTINGS));
        for index in 0..200usize {
            let verdict = if index.is_multiple_of(3) { Verdict::Success } else { Verdict::Failure };
            assert!(call(&breaker, verdict), "15 calls in 30 s are too few at any time");
            pass(Duration::from_secs(2)).await;
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_probe_that_is_given_up_leaves_room_for_another() {
        let breaker = Arc::new(Breaker::new(SETTINGS));
        trip(&breaker);
        pass(SETTINGS.ejection).await;
        drop(breaker.admit(Patience::Wait, Instant::now()).unwrap());
        assert!(call(&breaker, Verdict::Success));
        assert_eq!(breaker.position(Instant::now()), Position::Closed);
    }

    /// A caller in a hurry neither keeps others from probing nor is kept from it for good.
    #[tokio::test(start_paused = true)]
    async fn a_patient_call_probes_beside_a_hurried_one_and_no_other_does() {
        let breaker = Arc::new(Breaker::new(SETTINGS));
        let admit = |patience| breaker.admit(patience, Instant::now());
        trip(&breaker);
        pass(SETTINGS.ejection).await;
        let hurried = admit(Patience::Hurry).unwrap();
        assert!(hurried.is_probe() && admit(Patience::Hurry).is_err(), "one in a hurry");
        let patient = admit(Patience::Wait).unwrap();
        assert!(patient.is_probe() && admit(Patience::Wait).is_err(), "and one that waits");
        drop(hurried);
        assert!(admit(Patience::Hurry).is_err(), "one that waits is enough");
        drop(patient);
        let hurried = admit(Patience::Hurry).expect("nobody probes any more");
        let patient = admit(Patience::Wait).unwrap();
        patient.tell(Verdict::Success, Instant::now());
        hurried.tell(Verdict::Failure, Instant::now());
        assert_eq!(breaker.position(Instant::now()), Position::Closed, "the first to tell decides");
        trip(&breaker);
        pass(SETTINGS.ejection).await;
        admit(Patience::Hurry).unwrap().tell(Verdict::Success, Instant::now());
        assert!(!admit(Patience::Wait).unwrap().is_probe(), "a hurried answer is an answer");
    }

    #[tokio::test(start_paused = true)]
    async fn what_was_admitted_before_it_opened_says_nothing_after() {
        let breaker = Arc::new(Breaker::new(SETTINGS));
        let late: Vec<_> = (0..9).map(|_| breaker.admit(Patience::Wait, Instant::now()).unwrap()).collect();
        trip(&breaker);
        pass(SETTINGS.ejection).await;
        let probe = breaker.admit(Patience::Wait, Instant::now()).unwrap();
        for admission in late {
            admission.tell(Verdict::Failure, Instant::now());
        }
        probe.tell(Verdict::Success, Instant::now());
        assert_eq!(breaker.position(Instant::now()), Position::Closed);
    }

    #[tokio::test(start_paused = true)]
    async fn a_long_hint_is_obeyed_but_not_for_a_day() {
        for (hint, until) in [(90, 90), (86_400, 3_600)] {
            let breaker = Arc::new(Breaker::new(SETTINGS));
            call(&breaker, Verdict::Unavailable(Duration::from_secs(hint)));
            pass(Duration::from_secs(until - 1)).await;
            assert!(!call(&breaker, Verdict::Success), "{hint} s");
            pass(Duration::from_secs(1)).await;
            assert!(call(&breaker, Verdict::Success), "{hint} s");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn it_can_be_turned_off() {
        let breaker = Arc::new(Breaker::new(BreakerSettings { consecutive_failures: 0, ..SETTINGS }));
        assert!((0..1_000).all(|_| call(&breaker, Verdict::Failure)));
    }
}
