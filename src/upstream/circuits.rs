//! The circuits of one upstream: one for each caller.
//!
//! A caller can have failures of its own: texts that crash the model, a request that a firewall of the provider
//! forbids. Were there one circuit for all, five such calls would keep everybody away from an upstream that is well. So
//! the calls of each caller open and close a circuit of their own.
//!
//! An outage concerns all. When the circuits of two callers are open their requests are not to blame, and the circuits
//! of all others count as open too, until one of the two is tried again: a hundred callers need not find out each for
//! itself. Who is alone is its own witness, so with one key, with none, or with scores that callers share there is one
//! circuit, as if this were not here.
//!
//! There is a circuit for each key in the configuration that was shown, and no more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::breaker::{Admission, Breaker, BreakerSettings, Position, Verdict};
use super::interest::Patience;
use crate::cache::key::CacheScope;

/// Callers whose open circuits open those of all.
const WITNESSES: usize = 2;

/// The circuits of one upstream.
#[derive(Debug)]
pub struct Circuits {
    settings: BreakerSettings,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    breakers: HashMap<CacheScope, Arc<Breaker>>,
    /// Those that opened last, and until when: mostly none.
    open: Vec<(CacheScope, Instant)>,
}

impl Circuits {
    /// No caller was seen yet.
    #[must_use]
    pub fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: Mutex::default() }
    }

    /// Asks for leave to make a call for `caller`: a patient one if its deadline leaves it the time of a whole attempt.
    ///
    /// # Errors
    /// How long the circuit stays open.
    pub fn admit(&self, caller: CacheScope, patience: Patience, now: Instant) -> Result<Admission, Duration> {
        let (breaker, open_for_all) = {
            let mut state = self.state.lock();
            let open_for_all = state.open_for_all(caller, now);
            let breaker = state.breakers.entry(caller).or_insert_with(|| Arc::new(Breaker::new(self.settings)));
            (breaker.clone(), open_for_all)
        };
        let admission = breaker.admit(patience, now)?;
        match open_for_all {
            // Its own circuit has been open too, and it is time to try.
            Some(until) if !admission.is_probe() => Err(until - now),
            _ => Ok(admission),
        }
    }

    /// Says how a call for `caller` went.
    pub fn tell(&self, caller: CacheScope, admission: Admission, verdict: Verdict, now: Instant) {
        admission.tell(verdict, now);
        let mut state = self.state.lock();
        let until = state.breakers.get(&caller).and_then(|breaker| breaker.open_until(now));
        if until.is_none() && state.open.is_empty() {
            return;
        }
        state.open.retain(|(open, until)| *open != caller && *until > now);
        state.open.extend(until.map(|until| (caller, until)));
    }

    /// Where the circuits stand for `caller`.
    #[must_use]
    pub fn position(&self, caller: CacheScope, now: Instant) -> Position {
        let state = self.state.lock();
        let own = state.breakers.get(&caller).map_or(Position::Closed, |breaker| breaker.position(now));
        // Whose own circuit was open may try, whatever others found.
        if own == Position::Closed && state.open_for_all(caller, now).is_some() { Position::Open } else { own }
    }

    /// Whether the circuit of some caller is open.
    #[must_use]
    pub fn is_open_for_somebody(&self, now: Instant) -> bool {
        self.state.lock().open.iter().any(|(_, until)| *until > now)
    }
}

impl State {
    /// Until when the circuits of enough callers other than `caller` are open, if they are.
    fn open_for_all(&self, caller: CacheScope, now: Instant) -> Option<Instant> {
        if self.open.len() < WITNESSES {
            return None;
        }
        let others = self.open.iter().filter(|(open, until)| *open != caller && *until > now);
        let mut times: Vec<_> = others.map(|(_, until)| *until).collect();
        times.sort_unstable();
        times.iter().rev().nth(WITNESSES - 1).copied()
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

    #[tokio::test(start_paused = true)]
    async fn a_caller_whose_own_circuit_was_open_may_try_whatever_others_found() {
        let circuits = Circuits::new(SETTINGS);
        trip(&circuits, "one");
        trip(&circuits, "two");
        tokio::time::advance(SETTINGS.ejection).await;
        trip(&circuits, "three");
        assert!(call(&circuits, "one", Verdict::Failure) && call(&circuits, "two", Verdict::Failure));
        tokio::time::advance(SETTINGS.ejection).await;
        assert!(!call(&circuits, "new", Verdict::Success), "open for who knows nothing");
        assert!(call(&circuits, "three", Verdict::Success), "it is its time to try");
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
}
