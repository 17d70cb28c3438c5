//! Calls that nobody waited long enough for: what they say, and for whom.
//!
//! A caller's own deadline is no failure of the upstream: a provider that takes 1.5 s is well, though a caller who
//! gives it one second never hears from it. So a call that ends at its own deadline counts for the circuit breaker only
//! if the upstream had its usual time. But where every caller is in a hurry, and nobody knows what is usual, a black
//! hole must be noticed all the same. Here it is, and at nobody else's expense: a call that was cut off after a second
//! says that a call *at least as large* with *no more than a second* would wait in vain, and says nothing of any other.
//!
//! ```text
//!  cut off, nothing answered since:   2 kB after 1.0 s    3 kB after 0.8 s    2 kB after 1.0 s  …five of them
//!  a call of 4 kB with 0.7 s left     would wait in vain like each of them: it is turned away, one in a while is tried
//!  a call of 1 kB with 0.7 s left     passes: it is smaller than all of them
//!  a call of 4 kB with 5.0 s left     passes: it has more time than all of them
//! ```
//!
//! Any answer, to whomever, ends it. A caller can have texts that the provider never answers, so those of one caller keep away that caller alone, and
//! those of two others everybody (see [`super::circuits`]).

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::breaker::BreakerSettings;
use crate::cache::key::CacheScope;

/// Calls that are remembered. The breaker's `consecutive_failures` counts up to this many here.
const REMEMBERED: usize = 32;
/// What time left counts as no more than that of another call: callers with one deadline differ by what decoding took.
const TOLERANCE: f64 = 1.1;

/// The calls that an upstream left unanswered since its last answer.
#[derive(Debug)]
pub struct Unanswered {
    settings: BreakerSettings,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// The newest last.
    calls: VecDeque<CutOff>,
    /// Calls that were let through to try it since the last answer, each for its caller: those of one must not use up another's.
    probes: HashMap<CacheScope, Probes>,
}

#[derive(Clone, Copy, Debug)]
struct Probes {
    count: u32,
    /// When the next one may be.
    next: Instant,
}

/// A call that ended at its own deadline.
#[derive(Clone, Copy, Debug)]
struct CutOff {
    caller: CacheScope,
    bytes: usize,
    allowed: Duration,
}

impl Unanswered {
    /// Nothing was left unanswered yet. How many calls count as a sign, and for how long, is the breaker's to say.
    #[must_use]
    pub fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: Mutex::default() }
    }

    /// A call of `bytes` for `caller` ended at its own deadline, after all the time that it was allowed.
    pub fn cut_off(&self, caller: CacheScope, bytes: usize, allowed: Duration) {
        let mut state = self.state.lock();
        if state.calls.len() == REMEMBERED {
            state.calls.pop_front();
        }
        state.calls.push_back(CutOff { caller, bytes, allowed });
    }

    /// The upstream answered somebody.
    pub fn answered(&self) {
        let mut state = self.state.lock();
        if !state.calls.is_empty() {
            *state = State::default();
        }
    }

    /// Whether calls like this one, of `bytes` for `caller` with so much time left, are turned away now; asking takes nothing.
    ///
    /// # Errors
    /// How long they are: it would wait in vain, like the last ones.
    pub fn check(&self, caller: CacheScope, bytes: usize, left: Duration, now: Instant) -> Result<(), Duration> {
        let state = self.state.lock();
        if !state.is_in_vain(&self.settings, caller, bytes, left) {
            return Ok(());
        }
        state.probes.get(&caller).map_or(Ok(()), |probes| probes.check(now))
    }

    /// Asks for permission to make such a call. It may be the one that is tried, so the call must be made: ask last.
    ///
    /// # Errors
    /// As of [`Self::check`].
    pub fn admit(&self, caller: CacheScope, bytes: usize, left: Duration, now: Instant) -> Result<(), Duration> {
        let mut state = self.state.lock();
        if !state.is_in_vain(&self.settings, caller, bytes, left) {
            return Ok(());
        }
        let probes = state.probes.entry(caller).or_insert(Probes { count: 0, next: now });
        probes.check(now)?;
        probes.next = now + self.settings.ejection_after(probes.count);
        probes.count += 1;
        Ok(())
    }
}

impl State {
    /// Whether enough calls like this one were left unanswered: those of its caller, or of two others.
    fn is_in_vain(&self, settings: &BreakerSettings, caller: CacheScope, bytes: usize, left: Duration) -> bool {
        let needed = settings.consecutive_failures.min(REMEMBERED);
        if needed == 0 || self.calls.len() < needed {
            return false;
        }
        let is_alike = |call: &&CutOff| bytes >= call.bytes && left <= call.allowed.mul_f64(TOLERANCE);
        let alike: Vec<_> = self.calls.iter().filter(is_alike).map(|call| call.caller).collect();
        let own = alike.iter().filter(|other| **other == caller).count();
        let mut others = alike.iter().filter(|other| **other != caller);
        let first = others.next();
        let are_several = others.any(|other| Some(other) != first);
        own >= needed || (alike.len() >= needed && are_several)
    }
}

impl Probes {
    fn check(&self, now: Instant) -> Result<(), Duration> {
        if now < self.next { Err(self.next - now) } else { Ok(()) }
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
        max_ejection: Duration::from_secs(4),
    };
    const SECOND: Duration = Duration::from_secs(1);

    fn after(count: usize) -> Unanswered {
        let unanswered = Unanswered::new(SETTINGS);
        (0..count).for_each(|_| unanswered.cut_off(CacheScope::SHARED, 1_000, SECOND));
        unanswered
    }

    fn passes(unanswered: &Unanswered, bytes: usize, left: Duration) -> bool {
        unanswered.admit(CacheScope::SHARED, bytes, left, Instant::now()).is_ok()
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        assert_eq!(after(10_000).state.lock().calls.len(), REMEMBERED);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_like_the_last_ones_are_tried_one_at_a_time_and_ever_more_rarely() {
        let unanswered = after(4);
        assert!((0..100).all(|_| passes(&unanswered, 1_000, SECOND)), "four are no sign");
        unanswered.cut_off(CacheScope::SHARED, 1_000, SECOND);
        for seconds in [1, 2, 4, 4, 4] {
            assert!(passes(&unanswered, 1_000, SECOND), "one is tried");
            tokio::time::advance(Duration::from_millis(1_000 * seconds - 1)).await;
            assert!(!passes(&unanswered, 1_000, SECOND), "no other for {seconds} s");
            assert_eq!(
                unanswered.admit(CacheScope::SHARED, 2_000, SECOND / 2, Instant::now()),
                Err(Duration::from_millis(1))
            );
            tokio::time::advance(Duration::from_millis(1)).await;
            let check = || unanswered.check(CacheScope::SHARED, 1_000, SECOND, Instant::now());
            assert!((0..100).all(|_| check().is_ok()), "asking takes nothing");
        }
        unanswered.answered();
        assert!((0..100).all(|_| passes(&unanswered, 1_000, SECOND)), "it is back");
    }

    #[tokio::test(start_paused = true)]
    async fn whoever_has_more_time_or_less_to_ask_is_not_concerned() {
        let unanswered = after(REMEMBERED);
        assert!(passes(&unanswered, 1_000, SECOND), "one is tried");
        assert!(!passes(&unanswered, 1_000, SECOND));
        assert!(!passes(&unanswered, 1_000, SECOND + SECOND / 20), "the same deadline, decoded a little faster");
        assert!((0..100).all(|_| passes(&unanswered, 1_000, SECOND + SECOND / 5)), "more time");
        assert!((0..100).all(|_| passes(&unanswered, 999, SECOND)), "less to read");
    }

    #[tokio::test(start_paused = true)]
    async fn the_shortest_deadlines_hide_nothing_and_concern_nobody_else() {
        let unanswered = after(5);
        (0..REMEMBERED - 5).for_each(|_| unanswered.cut_off(CacheScope::SHARED, 1, Duration::from_millis(1)));
        assert!(passes(&unanswered, 1_000, SECOND), "one is tried");
        assert!(!passes(&unanswered, 1_000, SECOND), "five like it are remembered");
        unanswered.cut_off(CacheScope::SHARED, 1, Duration::from_millis(1));
        assert!(passes(&unanswered, 1_000, SECOND), "four are no sign");
        assert!(!passes(&unanswered, 1, Duration::from_millis(1)));
    }

    /// One caller can have texts that are never answered, and small ones at that.
    #[tokio::test(start_paused = true)]
    async fn what_one_caller_was_left_without_keeps_nobody_else_away() {
        let unanswered = Unanswered::new(SETTINGS);
        let caller = CacheScope::of_caller;
        let passes = |name| unanswered.admit(caller(name), 1_000, SECOND, Instant::now()).is_ok();
        (0..REMEMBERED - 1).for_each(|_| unanswered.cut_off(caller("hostile"), 10, SECOND));
        assert!((0..100).all(|_| passes("ordinary")));
        assert!(passes("hostile"), "one is tried");
        assert!(!passes("hostile"));
        unanswered.cut_off(caller("ordinary"), 10, SECOND);
        assert!((0..100).all(|_| passes("ordinary")), "one of its own is no sign");
        assert!(passes("third"), "one is tried, for two others were left without");
        assert!(!passes("third"));
        (0..5).for_each(|_| unanswered.cut_off(caller("ordinary"), 10, SECOND));
        assert!(passes("ordinary"), "whoever else tried");
        assert!(!passes("ordinary"));
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_turned_off_with_the_breaker() {
        let unanswered = Unanswered::new(BreakerSettings::OFF);
        (0..100).for_each(|_| unanswered.cut_off(CacheScope::SHARED, 0, SECOND));
        assert!((0..100).all(|_| passes(&unanswered, 0, SECOND)));
    }
}
