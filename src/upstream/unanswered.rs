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
//! Any answer, to whomever, ends it.

use std::collections::VecDeque;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use super::breaker::BreakerSettings;

/// Calls that are remembered. The breaker's `consecutive_failures` counts up to this many here.
const REMEMBERED: usize = 32;
/// What time left counts as no more than that of another call: callers with one deadline differ by what decoding took.
const TOLERANCE: f64 = 1.1;
/// Pauses grow up to this power of two.
const MOST_DOUBLINGS: u32 = 16;

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
    /// Calls that were let through to try it since the last answer.
    probes: u32,
    /// When the next one may be.
    next_probe: Option<Instant>,
}

/// A call that ended at its own deadline.
#[derive(Clone, Copy, Debug)]
struct CutOff {
    bytes: usize,
    allowed: Duration,
}

impl Unanswered {
    /// Nothing was left unanswered yet. How many calls count as a sign, and for how long, is the breaker's to say.
    #[must_use]
    pub fn new(settings: BreakerSettings) -> Self {
        Self { settings, state: Mutex::default() }
    }

    /// A call of `bytes` ended at its own deadline, after all the time that it was allowed.
    pub fn cut_off(&self, bytes: usize, allowed: Duration) {
        let mut state = self.state.lock();
        if state.calls.len() == REMEMBERED {
            state.calls.pop_front();
        }
        state.calls.push_back(CutOff { bytes, allowed });
    }

    /// The upstream answered somebody.
    pub fn answered(&self) {
        let mut state = self.state.lock();
        if !state.calls.is_empty() {
            *state = State::default();
        }
    }

    /// Asks for leave to make a call of `bytes` that has so much time left.
    ///
    /// # Errors
    /// How long calls like this one are turned away: it would wait in vain, like the last ones.
    pub fn admit(&self, bytes: usize, left: Duration, now: Instant) -> Result<(), Duration> {
        let mut state = self.state.lock();
        let needed = self.settings.consecutive_failures.min(REMEMBERED);
        if needed == 0 || state.calls.len() < needed {
            return Ok(());
        }
        let alike = state.calls.iter().filter(|call| bytes >= call.bytes && left <= call.allowed.mul_f64(TOLERANCE));
        if alike.count() < needed {
            return Ok(());
        }
        match state.next_probe {
            Some(next_probe) if now < next_probe => Err(next_probe - now),
            _ => {
                let pause = self.settings.ejection.saturating_mul(1 << state.probes.min(MOST_DOUBLINGS));
                state.next_probe = Some(now + pause.min(self.settings.max_ejection));
                state.probes += 1;
                Ok(())
            }
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
        max_ejection: Duration::from_secs(4),
    };
    const SECOND: Duration = Duration::from_secs(1);

    fn after(count: usize) -> Unanswered {
        let unanswered = Unanswered::new(SETTINGS);
        (0..count).for_each(|_| unanswered.cut_off(1_000, SECOND));
        unanswered
    }

    fn passes(unanswered: &Unanswered, bytes: usize, left: Duration) -> bool {
        unanswered.admit(bytes, left, Instant::now()).is_ok()
    }

    #[test]
    fn what_is_remembered_is_bounded() {
        assert_eq!(after(10_000).state.lock().calls.len(), REMEMBERED);
    }

    #[tokio::test(start_paused = true)]
    async fn calls_like_the_last_ones_are_tried_one_at_a_time_and_ever_more_rarely() {
        let unanswered = after(4);
        assert!((0..100).all(|_| passes(&unanswered, 1_000, SECOND)), "four are no sign");
        unanswered.cut_off(1_000, SECOND);
        for seconds in [1, 2, 4, 4, 4] {
            assert!(passes(&unanswered, 1_000, SECOND), "one is tried");
            tokio::time::advance(Duration::from_millis(1_000 * seconds - 1)).await;
            assert!(!passes(&unanswered, 1_000, SECOND), "no other for {seconds} s");
            assert_eq!(unanswered.admit(2_000, SECOND / 2, Instant::now()), Err(Duration::from_millis(1)));
            tokio::time::advance(Duration::from_millis(1)).await;
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
        (0..REMEMBERED - 5).for_each(|_| unanswered.cut_off(1, Duration::from_millis(1)));
        assert!(passes(&unanswered, 1_000, SECOND), "one is tried");
        assert!(!passes(&unanswered, 1_000, SECOND), "five like it are remembered");
        unanswered.cut_off(1, Duration::from_millis(1));
        assert!(passes(&unanswered, 1_000, SECOND), "four are no sign");
        assert!(!passes(&unanswered, 1, Duration::from_millis(1)));
    }

    #[tokio::test(start_paused = true)]
    async fn it_is_turned_off_with_the_breaker() {
        let unanswered = Unanswered::new(BreakerSettings::OFF);
        (0..100).for_each(|_| unanswered.cut_off(0, SECOND));
        assert!((0..100).all(|_| passes(&unanswered, 0, SECOND)));
    }
}
