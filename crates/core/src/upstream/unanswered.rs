//! Memory of calls that got no reply before their own deadlines, and refusal of calls like them.
//!
//! A deadline that is shorter than the upstream's latency is no failure of the upstream, so a call that ends at such a
//! deadline does not count for the circuit breaker (`guarded_attempt`). But where all deadlines are short and
//! no latency is known, the breaker would never notice an upstream that does not reply at all. This memory does, at no
//! cost for calls with more time: a call that got no reply within a second says that a call *at least as large* with
//! *no more than a second* left gets none either, and it says nothing about any other.
//!
//! ```text
//!  no reply since:                2 kB after 1.0 s    3 kB after 0.8 s    2 kB after 1.0 s  …five of them
//!  a call of 4 kB, 0.7 s left     is like each of them: it is refused; one in a while is sent as a trial
//!  a call of 1 kB, 0.7 s left     is smaller than all of them: it is sent
//!  a call of 4 kB, 5.0 s left     has more time than all of them: it is sent
//! ```
//!
//! Any reply, to any caller, clears the memory. A caller can have texts that the provider never answers, so one
//! caller's calls count for that caller alone, and those of two callers for everybody (see [`super::circuits`]).

use std::collections::{HashMap, VecDeque};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::breaker::BreakerSettings;
use crate::cache::key::CacheScope;

/// Calls that are remembered for each caller. Caps the breaker's `consecutive_failures` here.
const MAX_REMEMBERED: usize = 32;
/// Other callers whose calls count for a caller: a single one may have texts that the provider never answers.
const MIN_OTHERS: usize = 2;
/// Factor within which two times left count as equal. Calls with one deadline differ by the time that decoding took.
const TOLERANCE: f64 = 1.1;

/// The calls that an upstream left unanswered since its last reply.
#[derive(Debug)]
pub struct UnansweredCalls {
    settings: BreakerSettings,
    state: Mutex<CutOffCalls>,
}

/// The calls of each caller: one caller's calls must neither push out another's nor use up its trials. There is a
/// caller for each configured key that has been used since the last reply.
#[derive(Debug, Default)]
struct CutOffCalls(HashMap<CacheScope, CallerCutOffs>);

/// The calls of one caller.
#[derive(Debug, Default)]
struct CallerCutOffs {
    /// The newest is last; at most [`MAX_REMEMBERED`].
    calls: VecDeque<CutOff>,
    /// Trials since the last reply; `None` before the first.
    trials: Option<Trials>,
}

/// Calls of a caller that were sent to find out if the upstream replies again.
#[derive(Clone, Copy, Debug)]
struct Trials {
    count: u32,
    /// Earliest time of the next one.
    next: Instant,
}

/// A call that ended at its own deadline.
#[derive(Clone, Copy, Debug)]
struct CutOff {
    /// Size of its payload. A call like this one is as large or larger.
    bytes: usize,
    /// The time that it was allowed, and the tolerance. A call like this one has no more left.
    max_time_left: Duration,
}

impl UnansweredCalls {
    /// An empty memory. The breaker's settings say how many calls are a sign, and how long trials are apart.
    #[must_use]
    pub fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: Mutex::default() }
    }

    /// Records a call of `bytes` for `caller` that ended at its own deadline after the time that it was `allowed`.
    pub fn cut_off(&self, caller: CacheScope, bytes: usize, allowed: Duration) {
        let mut state = self.state.lock();
        let own = state.0.entry(caller).or_default();
        if own.calls.len() == MAX_REMEMBERED {
            own.calls.pop_front();
        }
        own.calls.push_back(CutOff { bytes, max_time_left: allowed.mul_f64(TOLERANCE) });
    }

    /// Records a reply to any caller, which clears the memory.
    pub fn answered(&self) {
        self.state.lock().0.clear();
    }

    /// Checks a call of `bytes` for `caller` with `time_left`, without using up a trial.
    ///
    /// # Errors
    /// The time until the next trial, if calls like this one get no reply.
    pub fn check(&self, caller: CacheScope, bytes: usize, time_left: Duration, now: Instant) -> Result<(), Duration> {
        let state = self.state.lock();
        if !state.gets_no_reply(&self.settings, caller, bytes, time_left) {
            return Ok(());
        }
        match state.0.get(&caller).and_then(|own| own.trials) {
            Some(trials) => trials.check(now),
            None => Ok(()),
        }
    }

    /// Asks for permission to make a call. It may be the one trial, so it must then be made: ask this last.
    ///
    /// # Errors
    /// Those of [`Self::check`].
    pub fn admit(&self, caller: CacheScope, bytes: usize, time_left: Duration, now: Instant) -> Result<(), Duration> {
        let mut state = self.state.lock();
        if !state.gets_no_reply(&self.settings, caller, bytes, time_left) {
            return Ok(());
        }
        let own = state.0.entry(caller).or_default();
        let trials = own.trials.get_or_insert(Trials { count: 0, next: now });
        trials.check(now)?;
        trials.next = now + self.settings.ejection_after(trials.count);
        trials.count += 1;
        Ok(())
    }
}

impl CutOffCalls {
    /// Returns true if enough calls like this one were cut off: of its own caller, or of several others.
    fn gets_no_reply(&self, settings: &BreakerSettings, caller: CacheScope, bytes: usize, time_left: Duration) -> bool {
        let needed = settings.consecutive_failures.min(MAX_REMEMBERED);
        // The breaker is off.
        if needed == 0 {
            return false;
        }
        let mut alike = 0;
        if let Some(own) = self.0.get(&caller) {
            alike = own.count_alike(bytes, time_left);
            if alike >= needed {
                return true;
            }
        }
        let mut others = 0;
        for (other, cut_off) in &self.0 {
            if *other == caller {
                continue;
            }
            let alike_of_other = cut_off.count_alike(bytes, time_left);
            alike += alike_of_other;
            others += usize::from(alike_of_other > 0);
            if alike >= needed && others >= MIN_OTHERS {
                return true;
            }
        }
        false
    }
}

impl CallerCutOffs {
    /// The number of calls that were no larger and had no less time.
    fn count_alike(&self, bytes: usize, time_left: Duration) -> usize {
        let mut alike = 0;
        for call in &self.calls {
            alike += usize::from(bytes >= call.bytes && time_left <= call.max_time_left);
        }
        alike
    }
}

impl Trials {
    /// Returns the time until the next trial as an error if that is not due.
    fn check(&self, now: Instant) -> Result<(), Duration> {
        if now < self.next { Err(self.next - now) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SETTINGS: BreakerSettings =
        BreakerSettings { max_ejection: Duration::from_secs(4), ..BreakerSettings::DEFAULT };
    const SECOND: Duration = Duration::from_secs(1);

    fn after(count: usize) -> UnansweredCalls {
        let unanswered = UnansweredCalls::new(SETTINGS);
        (0..count).for_each(|_| unanswered.cut_off(CacheScope::SHARED, 1_000, SECOND));
        unanswered
    }

    fn passes(unanswered: &UnansweredCalls, bytes: usize, left: Duration) -> bool {
        unanswered.admit(CacheScope::SHARED, bytes, left, Instant::now()).is_ok()
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        let remembered = after(10_000);
        assert_eq!(remembered.state.lock().0[&CacheScope::SHARED].calls.len(), MAX_REMEMBERED);
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
        let unanswered = after(MAX_REMEMBERED);
        assert!(passes(&unanswered, 1_000, SECOND), "one is tried");
        assert!(!passes(&unanswered, 1_000, SECOND));
        assert!(!passes(&unanswered, 1_000, SECOND + SECOND / 20), "the same deadline, decoded a little faster");
        assert!((0..100).all(|_| passes(&unanswered, 1_000, SECOND + SECOND / 5)), "more time");
        assert!((0..100).all(|_| passes(&unanswered, 999, SECOND)), "less to read");
    }

    #[tokio::test(start_paused = true)]
    async fn the_shortest_deadlines_hide_nothing_and_concern_nobody_else() {
        let unanswered = after(5);
        (0..MAX_REMEMBERED - 5).for_each(|_| unanswered.cut_off(CacheScope::SHARED, 1, Duration::from_millis(1)));
        assert!(passes(&unanswered, 1_000, SECOND), "one is tried");
        assert!(!passes(&unanswered, 1_000, SECOND), "five like it are remembered");
        unanswered.cut_off(CacheScope::SHARED, 1, Duration::from_millis(1));
        assert!(passes(&unanswered, 1_000, SECOND), "four are no sign");
        assert!(!passes(&unanswered, 1, Duration::from_millis(1)));
    }

    /// One caller can have texts that are never answered, and small ones at that.
    #[tokio::test(start_paused = true)]
    async fn what_one_caller_was_left_without_keeps_nobody_else_away() {
        let unanswered = UnansweredCalls::new(SETTINGS);
        let caller = CacheScope::of_caller;
        let passes = |name| unanswered.admit(caller(name), 1_000, SECOND, Instant::now()).is_ok();
        (0..MAX_REMEMBERED - 1).for_each(|_| unanswered.cut_off(caller("hostile"), 10, SECOND));
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

    /// Calls of one caller pushed out those of another, who then waited in vain again (law 13).
    #[tokio::test(start_paused = true)]
    async fn unanswered_calls_of_one_caller_push_out_no_other_callers() {
        let unanswered = UnansweredCalls::new(SETTINGS);
        let ordinary = CacheScope::of_caller("ordinary");
        let passes = || unanswered.admit(ordinary, 1_000, SECOND, Instant::now()).is_ok();
        (0..5).for_each(|_| unanswered.cut_off(ordinary, 1_000, SECOND));
        assert!(passes(), "one is tried");
        let hostile = CacheScope::of_caller("hostile");
        (0..MAX_REMEMBERED).for_each(|_| unanswered.cut_off(hostile, 1, Duration::from_millis(1)));
        assert!(!passes());
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_turned_off_with_the_breaker() {
        let unanswered = UnansweredCalls::new(BreakerSettings::OFF);
        (0..100).for_each(|_| unanswered.cut_off(CacheScope::SHARED, 0, SECOND));
        assert!((0..100).all(|_| passes(&unanswered, 0, SECOND)));
    }
}
