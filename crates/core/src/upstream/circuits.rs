//! The circuit breakers of one upstream: one for each caller, and one for all.
//!
//! A caller can have failures of its own: texts that crash the model, or a request that the provider's firewall
//! forbids. If all callers shared one breaker, five such calls would keep everybody away from a healthy upstream. So
//! the calls of each caller open and close a breaker of their own.
//!
//! An outage concerns all: a hundred callers need not each find out for themselves. Two conditions tell it from one
//! caller's failures. Either the breakers of two callers are open, or calls of as many different callers as trip a
//! breaker failed in a row, with no success in between. Then the common breaker opens too, and each call needs its
//! admission:
//!
//! ```text
//!  two breakers open,            ejection is over               the probe of any caller succeeds
//!  or five callers failed ──▶ open ────────────▶ one probe each ──────────────────────────────▶ closed for all
//!                              ▲                  of two kinds
//!                              └─────────────────────┘ failure: for twice as long
//! ```
//!
//! Callers whose own breaker is closed and callers whose own is open probe separately. So a caller whose texts always
//! fail can neither use up nor fail the probes of callers that have done nothing.
//!
//! A single caller cannot open the common breaker. With one key, with none, or with scores that callers share, there is
//! one breaker, as if this file did not exist. Memory is bounded: there is a breaker for each configured key that has
//! been used, and no more.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use fastrand::Rng;
use parking_lot::Mutex;
use tokio::time::Instant;

use super::breaker::{Breaker, BreakerAdmission, BreakerSettings, CallOutcome, CircuitState, TimeLeft};
use crate::cache::key::CacheScope;

/// Callers with open breakers that open the common one.
const MIN_OPEN_CIRCUITS: usize = 2;

/// The circuit breakers of one upstream.
#[derive(Debug)]
pub struct Circuits {
    settings: BreakerSettings,
    /// The common breaker, for callers whose own is closed.
    common: Arc<Breaker>,
    /// The common breaker for callers whose own is open. Their probes have a pace of their own.
    common_of_open: Arc<Breaker>,
    table: Mutex<CircuitTable>,
}

#[derive(Debug)]
struct CircuitTable {
    /// Circuits of the callers seen so far.
    circuits: HashMap<CacheScope, Circuit>,
    /// Callers with a failure since the last success, and its time. Each caller stands here once, and no more callers
    /// than it takes to open the common breaker.
    failing: Vec<(CacheScope, Instant)>,
    /// Seeds the generators of new breakers.
    random: Rng,
}

/// The circuit of one caller.
#[derive(Debug)]
struct Circuit {
    breaker: Arc<Breaker>,
    /// The latest opening; `None` after a probe that succeeded.
    opened: Option<Opened>,
}

/// One opening of a caller's breaker.
#[derive(Clone, Copy, Debug)]
struct Opened {
    at: Instant,
    /// End of its ejection.
    until: Instant,
    /// True if `until` comes from the provider's `Retry-After`.
    is_hint: bool,
}

/// Admission of one call by the circuit breakers. Its outcome is reported with [`Circuits::record`]. Dropped instead,
/// it says nothing about the upstream, and another call may probe.
#[derive(Debug)]
pub struct CircuitAdmission {
    own: BreakerAdmission,
    /// Admission of the common breaker; `None` for a caller that has waited for it too long.
    common: Option<BreakerAdmission>,
}

impl CircuitAdmission {
    /// Returns true if no breaker has changed its phase since. If one has, the call must be admitted again.
    #[must_use]
    pub fn is_current(&self) -> bool {
        self.own.is_current() && self.is_common_current()
    }

    /// Returns true if the call is a probe of one of the breakers.
    #[must_use]
    pub fn is_probe(&self) -> bool {
        self.own.is_probe() || self.common.as_ref().is_some_and(BreakerAdmission::is_probe)
    }

    /// As [`Self::is_current`], for the common breaker alone; true if the call needed no admission from it.
    fn is_common_current(&self) -> bool {
        self.common.as_ref().is_none_or(BreakerAdmission::is_current)
    }
}

/// The circuit that sends a call away.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OpenCircuit {
    /// The caller's own, for failures of its own calls.
    Own,
    /// The one of all callers, for failures that several of them had.
    Common,
}

/// Change of a circuit by the outcome of a call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CircuitChange {
    /// Nothing.
    None,
    /// A circuit opened, or stays open after a failed probe.
    Opened {
        /// The circuit; the common one if both opened.
        circuit: OpenCircuit,
        /// End of its ejection.
        until: Instant,
    },
    /// A probe succeeded.
    Closed(OpenCircuit),
}

impl OpenCircuit {
    /// Name in logs.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Own => "own",
            Self::Common => "common",
        }
    }
}

/// Refusal of a call by an open circuit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CircuitRefusal {
    /// The circuit that is open.
    pub open: OpenCircuit,
    /// Time for which it stays open.
    pub retry_after: Duration,
}

impl Circuits {
    /// Closed breakers, whose ejections get their jitter from `random`. Those of callers are made with their first
    /// call.
    #[must_use]
    pub fn new(settings: BreakerSettings, mut random: Rng) -> Self {
        Self {
            settings,
            common: Arc::new(Breaker::new(settings, random.fork())),
            common_of_open: Arc::new(Breaker::new(settings, random.fork())),
            table: Mutex::new(CircuitTable { circuits: HashMap::new(), failing: Vec::new(), random }),
        }
    }

    /// Asks for the admission of a call for `caller`.
    ///
    /// # Errors
    /// The circuit that is open, and for how much longer.
    pub fn admit(
        &self,
        caller: CacheScope,
        time_left: TimeLeft,
        now: Instant,
    ) -> Result<CircuitAdmission, CircuitRefusal> {
        let (breaker, opened) = self.table.lock().own(caller, self.settings);
        let own = match breaker.admit(time_left, now) {
            Ok(own) => own,
            Err(retry_after) => return Err(CircuitRefusal { open: OpenCircuit::Own, retry_after }),
        };
        // Its own breaker is closed, or it would probe.
        if !own.is_probe() {
            return match self.common.admit(time_left, now) {
                Ok(common) => Ok(CircuitAdmission { own, common: Some(common) }),
                Err(retry_after) => Err(CircuitRefusal { open: OpenCircuit::Common, retry_after }),
            };
        }
        match self.common_of_open.admit(time_left, now) {
            Ok(common) => Ok(CircuitAdmission { own, common: Some(common) }),
            // Other callers got every probe so far: after this long the caller probes without the common breaker.
            Err(_) if opened.is_some_and(|opened| now >= opened.until + self.settings.max_ejection) => {
                Ok(CircuitAdmission { own, common: None })
            }
            Err(retry_after) => Err(CircuitRefusal { open: OpenCircuit::Common, retry_after }),
        }
    }

    /// Reports the outcome of a call for `caller`, and returns what it changed.
    pub fn record(
        &self,
        caller: CacheScope,
        admission: CircuitAdmission,
        outcome: CallOutcome,
        now: Instant,
    ) -> CircuitChange {
        // The breakers are off.
        if self.settings.consecutive_failures == 0 {
            return CircuitChange::None;
        }
        let mut change = CircuitChange::None;
        // Read before the breakers record it, which may change their phases. A call that was sent before an outage
        // was noticed, or before it ended, says nothing about it.
        let is_probe = admission.is_probe();
        let is_own_current = admission.own.is_current();
        let is_common_current = admission.is_common_current();
        let is_common_probe = admission.common.as_ref().is_some_and(BreakerAdmission::is_probe);
        admission.own.record(outcome, now);
        // Probes alone: the common breakers are opened by an outage, and never by a window of their own.
        if let Some(common) = admission.common
            && common.is_probe()
        {
            common.record(outcome, now);
        }
        let mut table = self.table.lock();
        match outcome {
            CallOutcome::Success => {
                table.failing.clear();
                if is_probe && (is_own_current || is_common_current) {
                    for circuit in table.circuits.values_mut() {
                        circuit.opened = None;
                    }
                    self.common.close();
                    self.common_of_open.close();
                    let circuit = if is_common_probe { OpenCircuit::Common } else { OpenCircuit::Own };
                    change = CircuitChange::Closed(circuit);
                }
            }
            CallOutcome::Failure | CallOutcome::Unavailable(_) => {
                if is_own_current
                    && let Some(circuit) = table.circuits.get_mut(&caller)
                    && let Some(until) = circuit.breaker.open_until(now)
                {
                    let is_hint = matches!(outcome, CallOutcome::Unavailable(_));
                    circuit.opened = Some(Opened { at: now, until, is_hint });
                    change = CircuitChange::Opened { circuit: OpenCircuit::Own, until };
                }
                if is_common_current {
                    table.note_failing(caller, &self.settings, now);
                    if let Some(until) = table.outage(&self.settings, now) {
                        self.common_of_open.open(until);
                        if self.common.open(until) {
                            change = CircuitChange::Opened { circuit: OpenCircuit::Common, until };
                        }
                    }
                    if is_common_probe && let Some(until) = self.common.open_until(now) {
                        change = CircuitChange::Opened { circuit: OpenCircuit::Common, until };
                    }
                }
            }
        }
        change
    }

    /// The state that calls of `caller` meet: open if its own breaker or the common one refuses them.
    #[must_use]
    pub fn state(&self, caller: CacheScope, now: Instant) -> CircuitState {
        let own = match self.table.lock().circuits.get(&caller) {
            Some(circuit) => circuit.breaker.state(now),
            None => CircuitState::Closed,
        };
        match own {
            CircuitState::Open => CircuitState::Open,
            CircuitState::Closed => self.common.state(now),
            // Its own breaker would let it probe, but the common one does not yet.
            CircuitState::HalfOpen if self.common_of_open.state(now) == CircuitState::Open => CircuitState::Open,
            CircuitState::HalfOpen => CircuitState::HalfOpen,
        }
    }

    /// Returns true if the common breaker is open, or that of at least one caller.
    #[must_use]
    pub fn is_open_for_any_caller(&self, now: Instant) -> bool {
        if self.common.state(now) == CircuitState::Open {
            return true;
        }
        let table = self.table.lock();
        table.circuits.values().any(|circuit| circuit.breaker.state(now) == CircuitState::Open)
    }
}

impl CircuitTable {
    /// The breaker of `caller` and its latest opening.
    fn own(&mut self, caller: CacheScope, settings: BreakerSettings) -> (Arc<Breaker>, Option<Opened>) {
        let circuit = self
            .circuits
            .entry(caller)
            .or_insert_with(|| Circuit { breaker: Arc::new(Breaker::new(settings, self.random.fork())), opened: None });
        (circuit.breaker.clone(), circuit.opened)
    }

    /// Notes a failure of `caller`, which replaces its earlier one. Forgets those before the window.
    fn note_failing(&mut self, caller: CacheScope, settings: &BreakerSettings, now: Instant) {
        self.failing.retain(|(failing, at)| *failing != caller && now - *at <= settings.window);
        if self.failing.len() < settings.consecutive_failures.max(MIN_OPEN_CIRCUITS) {
            self.failing.push((caller, now));
        }
    }

    /// The end of the common breaker's ejection, before which the upstream fails for all; `None` if there is no outage.
    fn outage(&self, settings: &BreakerSettings, now: Instant) -> Option<Instant> {
        let first_ejection = now + settings.ejection_after(0);
        // One entry for each breaker that opened recently: the end that the provider asked for, or else `now`.
        let mut hints = Vec::new();
        for circuit in self.circuits.values() {
            let Some(opened) = circuit.opened else { continue };
            if now < opened.until || now - opened.at <= settings.window {
                hints.push(if opened.is_hint { opened.until } else { now });
            }
        }
        if hints.len() >= MIN_OPEN_CIRCUITS {
            hints.sort_unstable();
            // The second longest: a hint that only one caller got does not hold for all.
            let hint = hints[hints.len() - MIN_OPEN_CIRCUITS];
            return Some(hint.max(first_ejection));
        }
        let needed = settings.consecutive_failures.max(MIN_OPEN_CIRCUITS);
        (self.failing.len() >= needed).then_some(first_ejection)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: BreakerSettings = BreakerSettings::DEFAULT;

    fn circuits() -> Circuits {
        Circuits::new(SETTINGS, Rng::with_seed(1))
    }

    fn caller(name: &str) -> CacheScope {
        CacheScope::of_caller(name)
    }

    fn call(circuits: &Circuits, name: &str, outcome: CallOutcome) -> bool {
        let now = Instant::now();
        let Ok(admission) = circuits.admit(caller(name), TimeLeft::Enough, now) else { return false };
        circuits.record(caller(name), admission, outcome, now);
        true
    }

    fn trip(circuits: &Circuits, name: &str) {
        assert!((0..5).all(|_| call(circuits, name, CallOutcome::Failure)));
        assert!(!call(circuits, name, CallOutcome::Success), "open for {name}");
    }

    #[tokio::test(start_paused = true)]
    async fn every_opening_and_closing_is_told_once() {
        let circuits = circuits();
        let change = |name: &str, outcome| {
            let now = Instant::now();
            let admission = circuits.admit(caller(name), TimeLeft::Enough, now).unwrap();
            match circuits.record(caller(name), admission, outcome, now) {
                CircuitChange::None => "",
                CircuitChange::Opened { circuit, until } if until > now => circuit.name(),
                CircuitChange::Opened { .. } => "over",
                CircuitChange::Closed(OpenCircuit::Own) => "own closed",
                CircuitChange::Closed(OpenCircuit::Common) => "common closed",
            }
        };
        let told = |name: &str| [0; 5].map(|_| change(name, CallOutcome::Failure));
        assert_eq!(told("one"), ["", "", "", "", "own"]);
        assert_eq!(told("two"), ["", "", "", "", "common"], "two callers make an outage");
        tokio::time::advance(SETTINGS.max_ejection).await;
        assert_eq!(change("three", CallOutcome::Failure), "common", "the probe fails");
        tokio::time::advance(SETTINGS.max_ejection).await;
        assert_eq!(change("three", CallOutcome::Success), "common closed");
        assert_eq!(change("three", CallOutcome::Success), "");
    }

    #[tokio::test(start_paused = true)]
    async fn one_callers_failures_open_its_own_circuit_alone() {
        let circuits = circuits();
        assert!(call(&circuits, "ordinary", CallOutcome::Success));
        for _ in 0..10 {
            trip(&circuits, "hostile");
            assert!((0..100).all(|_| call(&circuits, "ordinary", CallOutcome::Success)));
            for name in ["ordinary", "new"] {
                assert_eq!(circuits.state(caller(name), Instant::now()), CircuitState::Closed, "{name}");
            }
            assert_eq!(circuits.state(caller("hostile"), Instant::now()), CircuitState::Open);
            assert!(circuits.is_open_for_any_caller(Instant::now()));
            tokio::time::advance(SETTINGS.max_ejection).await;
            assert!(call(&circuits, "hostile", CallOutcome::Success), "its own probe closes it");
            assert!(!circuits.is_open_for_any_caller(Instant::now()));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn two_witnesses_open_the_circuit_for_all() {
        let circuits = circuits();
        trip(&circuits, "one");
        assert!(call(&circuits, "new", CallOutcome::Failure), "one witness is not enough");
        trip(&circuits, "two");
        assert!(!call(&circuits, "new", CallOutcome::Success) && !call(&circuits, "newer", CallOutcome::Success));
        assert_eq!(circuits.state(caller("new"), Instant::now()), CircuitState::Open);
        tokio::time::advance(SETTINGS.ejection).await;
        assert!(call(&circuits, "new", CallOutcome::Success), "they can be tried again, and so can it");
        assert!(call(&circuits, "one", CallOutcome::Failure) && call(&circuits, "two", CallOutcome::Failure));
        assert!(!call(&circuits, "new", CallOutcome::Success), "it is still down");
        tokio::time::advance(2 * SETTINGS.ejection).await;
        assert!(
            call(&circuits, "one", CallOutcome::Success) && call(&circuits, "new", CallOutcome::Success),
            "it is back"
        );
        assert_eq!(circuits.state(caller("new"), Instant::now()), CircuitState::Closed);
    }

    /// Callers whose texts always fail neither use up nor fail the probes of others, nor open the common circuit for
    /// long.
    #[tokio::test(start_paused = true)]
    async fn callers_that_always_fail_keep_others_away_for_little_time() {
        let circuits = circuits();
        let mut refused = 0;
        for step in 0..60_000 {
            call(&circuits, "hostile", CallOutcome::Failure);
            call(&circuits, "other hostile", CallOutcome::Failure);
            if step % 10 == 9 {
                refused += usize::from(!call(&circuits, "ordinary", CallOutcome::Success));
            }
            tokio::time::advance(Duration::from_millis(10)).await;
        }
        assert!(refused < 600, "{refused} of 6,000 in ten minutes");
    }

    /// A caller whose own circuit is open gets its turn, however often others ask.
    #[tokio::test(start_paused = true)]
    async fn a_caller_whose_own_circuit_is_open_comes_to_its_turn() {
        let circuits = circuits();
        let now = Instant::now();
        let names = ["hostile", "other hostile", "ordinary"];
        let admissions: Vec<_> = (0..15)
            .map(|index| {
                let name = names[index % 3];
                (name, circuits.admit(caller(name), TimeLeft::Enough, now).unwrap())
            })
            .collect();
        for (name, admission) in admissions {
            circuits.record(caller(name), admission, CallOutcome::Failure, now);
        }
        for name in names {
            assert!(!call(&circuits, name, CallOutcome::Success), "open for {name}");
        }
        while !call(&circuits, "ordinary", CallOutcome::Success) {
            for _ in 0..10 {
                call(&circuits, "hostile", CallOutcome::Failure);
                call(&circuits, "other hostile", CallOutcome::Failure);
                tokio::time::advance(Duration::from_millis(10)).await;
            }
            assert!(now.elapsed() < 2 * SETTINGS.max_ejection, "kept away for {:?}", now.elapsed());
        }
    }

    /// A call that nobody waited for leaves room for another probe; a failed one makes all wait twice as long.
    #[tokio::test(start_paused = true)]
    async fn anybody_makes_the_common_probe_and_one_at_a_time() {
        let circuits = circuits();
        let admit = |name| circuits.admit(caller(name), TimeLeft::Enough, Instant::now());
        trip(&circuits, "one");
        trip(&circuits, "two");
        tokio::time::advance(SETTINGS.ejection).await;
        let probe = admit("new").unwrap();
        assert!(probe.is_probe() && admit("newer").is_err(), "exactly one");
        drop(probe);
        let probe = admit("newer").unwrap();
        assert!(admit("new").is_err());
        circuits.record(caller("newer"), probe, CallOutcome::Failure, Instant::now());
        tokio::time::advance(SETTINGS.ejection).await;
        assert!(admit("new").is_err(), "twice as long");
        tokio::time::advance(SETTINGS.ejection).await;
        let probe = admit("new").unwrap();
        circuits.record(caller("new"), probe, CallOutcome::Success, Instant::now());
        assert!((0..100).all(|_| call(&circuits, "newer", CallOutcome::Success)), "it is back for all");
    }

    /// A call that waited for a permit while others noticed the outage must be admitted again.
    #[tokio::test(start_paused = true)]
    async fn permission_from_before_an_outage_is_not_current() {
        let circuits = circuits();
        let early = circuits.admit(caller("early"), TimeLeft::Enough, Instant::now()).unwrap();
        assert!(early.is_current());
        trip(&circuits, "one");
        trip(&circuits, "two");
        assert!(!early.is_current());
    }

    /// Callers one after the other, each with one failed call, are a sign if nobody was answered in between.
    #[tokio::test(start_paused = true)]
    async fn as_many_callers_as_failures_open_the_common_circuit() {
        let circuits = circuits();
        for name in ["1", "2", "3", "4"] {
            assert!(call(&circuits, name, CallOutcome::Failure));
        }
        assert!(call(&circuits, "well", CallOutcome::Success), "an answer ends the run");
        for name in ["1", "2", "3", "4", "4", "4"] {
            assert!(call(&circuits, name, CallOutcome::Failure));
        }
        tokio::time::advance(2 * SETTINGS.window).await;
        for name in ["5", "6", "7", "8"] {
            assert!(call(&circuits, name, CallOutcome::Failure), "failures of long ago are no sign");
        }
        assert!(call(&circuits, "9", CallOutcome::Failure));
        assert!(!call(&circuits, "10", CallOutcome::Failure));
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_alone_is_its_own_witness() {
        let circuits = circuits();
        trip(&circuits, "alone");
        assert_eq!(circuits.state(caller("alone"), Instant::now()), CircuitState::Open);
        tokio::time::advance(SETTINGS.ejection).await;
        assert_eq!(circuits.state(caller("alone"), Instant::now()), CircuitState::HalfOpen);
        assert!(call(&circuits, "alone", CallOutcome::Success));
        assert_eq!(circuits.state(caller("alone"), Instant::now()), CircuitState::Closed);
    }

    /// Calls of each of 40 callers ten times a second for 15 s, `at_once` of each at the beginning; counts what passes.
    async fn calls_in_an_outage(circuits: &Circuits, callers: usize, at_once: usize) -> usize {
        let names: Vec<_> = (0..callers).map(|index| format!("caller {index}")).collect();
        let mut calls = 0;
        for round in 0..150 {
            let mut under_way = Vec::new();
            for name in &names {
                for _ in 0..if round == 0 { at_once } else { 1 } {
                    let admission = circuits.admit(caller(name), TimeLeft::Enough, Instant::now());
                    under_way.extend(admission.map(|admission| (name, admission)));
                }
            }
            calls += under_way.len();
            for (name, admission) in under_way {
                circuits.record(caller(name), admission, CallOutcome::Failure, Instant::now());
            }
            tokio::time::advance(Duration::from_millis(100)).await;
        }
        calls
    }

    /// Every caller found out for itself that the upstream was down, again and again.
    #[tokio::test(start_paused = true)]
    async fn many_callers_find_out_together_that_an_upstream_is_down() {
        let alone = calls_in_an_outage(&circuits(), 1, 1).await;
        assert!(alone <= 10, "{alone} calls for one caller");
        let together = calls_in_an_outage(&circuits(), 40, 1).await;
        assert!(together <= 40 + 2 * alone, "{together} calls for 40 callers, {alone} for one");
        let busy = calls_in_an_outage(&circuits(), 40, 5).await;
        assert!(busy <= 200 + 2 * alone, "{busy} calls for 40 callers with five at once");
    }
}
