//! The circuits of one upstream: one for each caller, and one for all.
//!
//! A caller can have failures of its own: texts that crash the model, a request that a firewall of the provider
//! forbids. Were there one circuit for all, five such calls would keep everybody away from an upstream that is well. So
//! the calls of each caller open and close a circuit of their own.
//!
//! An outage concerns all: a hundred callers need not find out each for itself. Two signs tell it from one caller's
//! failures: the circuits of two callers are open, or as many callers as open a circuit with their calls failed one
//! after the other, while nobody was answered. Then the common circuit opens, too, and who wants to try has to be let
//! through by it:
//!
//! ```text
//!  two circuits open,              time is over                  one probe of anybody succeeds
//!  or five callers failed ──▶ open ────────────▶ one probe each ──────────────────────────────▶ closed for all
//!                              ▲                  of two kinds
//!                              └─────────────────────┘ failure: for twice as long
//! ```
//!
//! Those whose own circuit is closed and those whose own is open take turns apart from each other. So a caller whose
//! texts fail whatever the upstream does cannot use up, nor fail, the probes of those who have done nothing.
//!
//! Who is alone cannot open the common circuit, so with one key, with none, or with scores that callers share there is
//! one circuit, as if this were not here. There is a circuit for each key in the configuration that was shown, and no
//! more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::breaker::{self, Breaker, BreakerSettings, Position, Verdict};
use super::interest::Patience;
use crate::cache::key::CacheScope;

/// Callers whose open circuits open the one for all.
const MIN_OPEN_CIRCUITS: usize = 2;

/// The circuits of one upstream.
#[derive(Debug)]
pub struct Circuits {
    settings: BreakerSettings,
    /// The common circuit, for callers whose own is closed.
    common: Arc<Breaker>,
    /// The same for callers whose own is open: their probes keep one pace.
    common_of_open: Arc<Breaker>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    circuits: HashMap<CacheScope, Circuit>,
    /// Callers whose calls failed since anybody was answered, and when: each once, and no more than it takes to open the common circuit.
    failing: Vec<(CacheScope, Instant)>,
}

/// The circuit of one caller.
#[derive(Debug)]
struct Circuit {
    breaker: Arc<Breaker>,
    /// How it was opened last, unless it closed or anybody was answered since.
    opened: Option<Opened>,
}

#[derive(Clone, Copy, Debug)]
struct Opened {
    at: Instant,
    until: Instant,
    /// Whether the upstream asked for it.
    is_hint: bool,
}

/// Permission to make one call, whose outcome must be told; dropped, it says nothing.
#[derive(Debug)]
pub struct Admission {
    own: breaker::Admission,
    /// That of the common circuit; `None` for who has waited for it too long.
    common: Option<breaker::Admission>,
}

impl Admission {
    /// Whether the circuits stand as they did when permission was given. If not, it must be asked for again.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.own.is_current() && self.is_common_current()
    }

    /// Whether the call finds out if the upstream is back.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.own.is_probe() || self.common.as_ref().is_some_and(breaker::Admission::is_probe)
    }

    fn is_common_current(&self) -> bool {
        self.common.as_ref().is_none_or(breaker::Admission::is_current)
    }
}

impl Circuits {
    /// No caller was seen yet.
    #[must_use]
    pub fn new(settings: BreakerSettings) -> Self {
        let breaker = || Arc::new(Breaker::new(settings));
        Self { settings, common: breaker(), common_of_open: breaker(), state: Mutex::default() }
    }

    /// Asks for permission to make a call for `caller`: a patient one if its deadline leaves it the time of a whole attempt.
    ///
    /// # Errors
    /// How long the circuit stays open.
    pub fn admit(&self, caller: CacheScope, patience: Patience, now: Instant) -> Result<Admission, Duration> {
        let mut state = self.state.lock();
        let circuit = state
            .circuits
            .entry(caller)
            .or_insert_with(|| Circuit { breaker: Arc::new(Breaker::new(self.settings)), opened: None });
        let breaker = circuit.breaker.clone();
        let opened = circuit.opened;
        drop(state);
        let own = breaker.admit(patience, now)?;
        if !own.is_probe() {
            return Ok(Admission { own, common: Some(self.common.admit(patience, now)?) });
        }
        match self.common_of_open.admit(patience, now) {
            Ok(common) => Ok(Admission { own, common: Some(common) }),
            // Others came first each time: nobody is kept from trying for ever.
            Err(_) if opened.is_some_and(|opened| now >= opened.until + self.settings.max_ejection) => {
                Ok(Admission { own, common: None })
            }
            Err(rest) => Err(rest),
        }
    }

    /// Says how a call for `caller` went.
    pub fn tell(&self, caller: CacheScope, admission: Admission, verdict: Verdict, now: Instant) {
        if self.settings.consecutive_failures == 0 {
            return;
        }
        let is_probe = admission.is_probe();
        let is_own_current = admission.own.is_current();
        // What was sent before an outage was found or was over says nothing of it.
        let is_common_current = admission.is_common_current();
        admission.own.tell(verdict, now);
        if let Some(common) = admission.common.filter(breaker::Admission::is_probe) {
            common.tell(verdict, now);
        }
        let mut state = self.state.lock();
        match verdict {
            Verdict::Neutral => {}
            Verdict::Success => {
                state.failing.clear();
                if is_probe && (is_own_current || is_common_current) {
                    state.circuits.values_mut().for_each(|circuit| circuit.opened = None);
                    self.common.close();
                    self.common_of_open.close();
                }
            }
            Verdict::Failure | Verdict::Unavailable(_) => {
                if is_own_current && let Some(circuit) = state.circuits.get_mut(&caller) {
                    let is_hint = matches!(verdict, Verdict::Unavailable(_));
                    let until = circuit.breaker.open_until(now);
                    circuit.opened = until.map(|until| Opened { at: now, until, is_hint }).or(circuit.opened);
                }
                if is_common_current {
                    state.note_failing(caller, &self.settings, now);
                    if let Some(until) = state.outage(&self.settings, now) {
                        self.common.open(until);
                        self.common_of_open.open(until);
                    }
                }
            }
        }
    }

    /// Where the circuits stand for `caller`.
    #[must_use]
    pub fn position(&self, caller: CacheScope, now: Instant) -> Position {
        let state = self.state.lock();
        let own = state.circuits.get(&caller).map_or(Position::Closed, |circuit| circuit.breaker.position(now));
        drop(state);
        match own {
            Position::Open => Position::Open,
            Position::Closed => self.common.position(now),
            // It is time to try, if it is its turn.
            Position::HalfOpen if self.common_of_open.position(now) == Position::Open => Position::Open,
            Position::HalfOpen => Position::HalfOpen,
        }
    }

    /// Whether the circuit of some caller is open.
    #[must_use]
    pub fn is_open_for_somebody(&self, now: Instant) -> bool {
        let is_open = |circuit: &Circuit| circuit.breaker.position(now) == Position::Open;
        self.common.position(now) == Position::Open || self.state.lock().circuits.values().any(is_open)
    }
}

impl State {
    fn note_failing(&mut self, caller: CacheScope, settings: &BreakerSettings, now: Instant) {
        self.failing.retain(|(failing, at)| *failing != caller && now - *at <= settings.window);
        if self.failing.len() < settings.consecutive_failures.max(MIN_OPEN_CIRCUITS) {
            self.failing.push((caller, now));
        }
    }

    /// Until when the upstream is to be left alone by all, if what happened to callers of late says so.
    fn outage(&self, settings: &BreakerSettings, now: Instant) -> Option<Instant> {
        let is_recent = |opened: &&Opened| now < opened.until || now - opened.at <= settings.window;
        let opened = self.circuits.values().filter_map(|circuit| circuit.opened.as_ref()).filter(is_recent);
        // How long each of them was told to wait, beyond the first ejection.
        let mut hints: Vec<_> = opened.map(|opened| if opened.is_hint { opened.until } else { now }).collect();
        let first = now + settings.ejection_after(0);
        if hints.len() >= MIN_OPEN_CIRCUITS {
            hints.sort_unstable();
            let hint = hints.into_iter().rev().nth(MIN_OPEN_CIRCUITS - 1);
            return Some(hint.map_or(first, |hint| hint.max(first)));
        }
        let needed = settings.consecutive_failures.max(MIN_OPEN_CIRCUITS);
        (self.failing.len() >= needed).then_some(first)
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

    fn caller(name: &str) -> CacheScope {
        CacheScope::of_caller(name)
    }

    fn call(circuits: &Circuits, name: &str, verdict: Verdict) -> bool {
        let now = Instant::now();
        let Ok(admission) = circuits.admit(caller(name), Patience::Wait, now) else { return false };
        circuits.tell(caller(name), admission, verdict, now);
        true
    }

    fn trip(circuits: &Circuits, name: &str) {
        assert!((0..5).all(|_| call(circuits, name, Verdict::Failure)));
        assert!(!call(circuits, name, Verdict::Success), "open for {name}");
    }

    #[tokio::test(start_paused = true)]
    async fn one_callers_failures_open_its_own_circuit_alone() {
        let circuits = Circuits::new(SETTINGS);
        assert!(call(&circuits, "ordinary", Verdict::Success));
        for _ in 0..10 {
            trip(&circuits, "hostile");
            assert!((0..100).all(|_| call(&circuits, "ordinary", Verdict::Success)));
            for name in ["ordinary", "new"] {
                assert_eq!(circuits.position(caller(name), Instant::now()), Position::Closed, "{name}");
            }
            assert_eq!(circuits.position(caller("hostile"), Instant::now()), Position::Open);
            assert!(circuits.is_open_for_somebody(Instant::now()));
            tokio::time::advance(SETTINGS.max_ejection).await;
            assert!(call(&circuits, "hostile", Verdict::Success), "its own probe closes it");
            assert!(!circuits.is_open_for_somebody(Instant::now()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_witnesses_open_the_circuit_for_all() {
        let circuits = Circuits::new(SETTINGS);
        trip(&circuits, "one");
        assert!(call(&circuits, "new", Verdict::Failure), "one witness is not enough");
        trip(&circuits, "two");
        assert!(!call(&circuits, "new", Verdict::Success) && !call(&circuits, "newer", Verdict::Success));
        assert_eq!(circuits.position(caller("new"), Instant::now()), Position::Open);
        tokio::time::advance(SETTINGS.ejection).await;
        assert!(call(&circuits, "new", Verdict::Success), "they can be tried again, and so can it");
        assert!(call(&circuits, "one", Verdict::Failure) && call(&circuits, "two", Verdict::Failure));
        assert!(!call(&circuits, "new", Verdict::Success), "it is still down");
        tokio::time::advance(2 * SETTINGS.ejection).await;
        assert!(call(&circuits, "one", Verdict::Success) && call(&circuits, "new", Verdict::Success), "it is back");
        assert_eq!(circuits.position(caller("new"), Instant::now()), Position::Closed);
    }

    /// Callers whose texts always fail neither use up nor fail the probes of others, nor open the common circuit for long.
    #[tokio::test(start_paused = true)]
    async fn callers_that_always_fail_keep_others_away_for_little_time() {
        let circuits = Circuits::new(SETTINGS);
        let mut refused = 0;
        for step in 0..60_000 {
            call(&circuits, "hostile", Verdict::Failure);
            call(&circuits, "other hostile", Verdict::Failure);
            if step % 10 == 9 {
                refused += usize::from(!call(&circuits, "ordinary", Verdict::Success));
            }
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert!(refused < 600, "{refused} of 6,000 in ten minutes");
    }

    /// Whoever else asks more often, a caller whose own circuit is open comes to its turn.
    #[tokio::test(start_paused = true)]
    async fn a_caller_whose_own_circuit_is_open_comes_to_its_turn() {
        let circuits = Circuits::new(SETTINGS);
        let now = Instant::now();
        let names = ["hostile", "other hostile", "ordinary"];
        let admissions: Vec<_> = (0..15)
            .map(|index| {
                let name = names[index % 3];
                (name, circuits.admit(caller(name), Patience::Wait, now).unwrap())
            })
            .collect();
        for (name, admission) in admissions {
            circuits.tell(caller(name), admission, Verdict::Failure, now);
        }
        for name in names {
            assert!(!call(&circuits, name, Verdict::Success), "open for {name}");
        }
        while !call(&circuits, "ordinary", Verdict::Success) {
            for _ in 0..10 {
                call(&circuits, "hostile", Verdict::Failure);
                call(&circuits, "other hostile", Verdict::Failure);
                tokio::time::advance(Duration::from_millis(10)).await;
            }
            assert!(now.elapsed() < 2 * SETTINGS.max_ejection, "kept away for {:?}", now.elapsed());
        }
    }

    /// A call that nobody waited for leaves room for another probe; a failed one makes all wait twice as long.
    #[tokio::test(start_paused = true)]
    async fn anybody_makes_the_common_probe_and_one_at_a_time() {
        let circuits = Circuits::new(SETTINGS);
        let admit = |name| circuits.admit(caller(name), Patience::Wait, Instant::now());
        trip(&circuits, "one");
        trip(&circuits, "two");
        tokio::time::advance(SETTINGS.ejection).await;
        let probe = admit("new").unwrap();
        assert!(probe.is_probe() && admit("newer").is_err(), "exactly one");
        drop(probe);
        let probe = admit("newer").unwrap();
        assert!(admit("new").is_err());
        circuits.tell(caller("newer"), probe, Verdict::Failure, Instant::now());
        tokio::time::advance(SETTINGS.ejection).await;
        assert!(admit("new").is_err(), "twice as long");
        tokio::time::advance(SETTINGS.ejection).await;
        let probe = admit("new").unwrap();
        circuits.tell(caller("new"), probe, Verdict::Success, Instant::now());
        assert!((0..100).all(|_| call(&circuits, "newer", Verdict::Success)), "it is back for all");
    }

    /// Whoever waited for a permit while others found out about the outage must ask again.
    #[tokio::test(start_paused = true)]
    async fn permission_from_before_an_outage_is_not_current() {
        let circuits = Circuits::new(SETTINGS);
        let early = circuits.admit(caller("early"), Patience::Wait, Instant::now()).unwrap();
        assert!(early.is_current());
        trip(&circuits, "one");
        trip(&circuits, "two");
        assert!(!early.is_current());
    }

    /// Callers one after the other, each with one failed call, are a sign if nobody was answered in between.
    #[tokio::test(start_paused = true)]
    async fn as_many_callers_as_failures_open_the_common_circuit() {
        let circuits = Circuits::new(SETTINGS);
        for name in ["1", "2", "3", "4"] {
            assert!(call(&circuits, name, Verdict::Failure));
        }
        assert!(call(&circuits, "well", Verdict::Success), "an answer ends the run");
        for name in ["1", "2", "3", "4", "4", "4"] {
            assert!(call(&circuits, name, Verdict::Failure));
        }
        tokio::time::advance(2 * SETTINGS.window).await;
        for name in ["5", "6", "7", "8"] {
            assert!(call(&circuits, name, Verdict::Failure), "failures of long ago are no sign");
        }
        assert!(call(&circuits, "9", Verdict::Failure));
        assert!(!call(&circuits, "10", Verdict::Failure));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_alone_is_its_own_witness() {
        let circuits = Circuits::new(SETTINGS);
        trip(&circuits, "alone");
        assert_eq!(circuits.position(caller("alone"), Instant::now()), Position::Open);
        tokio::time::advance(SETTINGS.ejection).await;
        assert_eq!(circuits.position(caller("alone"), Instant::now()), Position::HalfOpen);
        assert!(call(&circuits, "alone", Verdict::Success));
        assert_eq!(circuits.position(caller("alone"), Instant::now()), Position::Closed);
    }

    /// Calls of each of 40 callers ten times a second for 15 s, `at_once` of each at the beginning; counts what passes.
    async fn calls_in_an_outage(circuits: &Circuits, callers: usize, at_once: usize) -> usize {
        let names: Vec<_> = (0..callers).map(|index| format!("caller {index}")).collect();
        let mut calls = 0;
        for round in 0..150 {
            let mut under_way = Vec::new();
            for name in &names {
                for _ in 0..if round == 0 { at_once } else { 1 } {
                    let admission = circuits.admit(caller(name), Patience::Wait, Instant::now());
                    under_way.extend(admission.map(|admission| (name, admission)));
                }
            }
            calls += under_way.len();
            for (name, admission) in under_way {
                circuits.tell(caller(name), admission, Verdict::Failure, Instant::now());
            }
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        calls
    }

    /// Every caller found out for itself that the upstream was down, again and again.
    #[tokio::test(start_paused = true)]
    async fn many_callers_find_out_together_that_an_upstream_is_down() {
        let alone = calls_in_an_outage(&Circuits::new(SETTINGS), 1, 1).await;
        assert!(alone <= 10, "{alone} calls for one caller");
        let together = calls_in_an_outage(&Circuits::new(SETTINGS), 40, 1).await;
        assert!(together <= 40 + 2 * alone, "{together} calls for 40 callers, {alone} for one");
        let busy = calls_in_an_outage(&Circuits::new(SETTINGS), 40, 5).await;
        assert!(busy <= 200 + 2 * alone, "{busy} calls for 40 callers with five at once");
    }
}
