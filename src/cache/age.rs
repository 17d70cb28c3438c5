//! How old a score may be, and what it is good for at each age.
//!
//! ```text
//!  stored                    refresh_ahead      ttl            ttl + max_stale
//!  │ fresh                   │ fresh, or due    │ stale        │ forgotten
//!  ▼─────────────────────────▼──────────────────▼──────────────▼
//! ```
//!
//! A score that is due is as good as a fresh one, but is computed afresh behind the client's back. Which of the requests in that time finds it
//! due is drawn by lot, one lot a request, more and more likely towards the end: what one request asks for is computed afresh in one call, and
//! queries whose scores were stored together do not fall due together (the idea of `XFetch`; Vattani, Chierichetti, Lowenstein, "Optimal
//! Probabilistic Cache Stampede Prevention", 2015). A stale score is used only where nothing better is to be had, as in HTTP's stale-if-error
//! (RFC 5861).

use std::time::Duration;

/// Limits of age.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// How long a score is known.
    pub time_to_live: Duration,
    /// How long after that it is used where nothing better is to be had.
    pub max_stale: Duration,
    /// How long before the end of its time to live it may fall due.
    pub refresh_ahead: Duration,
}

/// What an age is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// As good as new.
    Fresh,
    /// As good as new, and to be computed afresh in the background.
    Due,
    /// Only for want of anything better.
    Stale,
}

/// A score that was found.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Found {
    /// The score.
    pub score: f64,
    /// What it is good for.
    pub age: Age,
}

impl From<Duration> for Lifetimes {
    /// Known for so long, and never used after that.
    fn from(time_to_live: Duration) -> Self {
        Self { time_to_live, max_stale: Duration::ZERO, refresh_ahead: Duration::ZERO }
    }
}

impl Lifetimes {
    /// How long a score is kept at all.
    #[must_use]
    pub fn kept(&self) -> Duration {
        self.time_to_live + self.max_stale
    }

    /// What a score of this age, in milliseconds, is good for. `lot` is drawn from 0 to 1.
    #[must_use]
    pub fn judge(&self, age: u64, lot: f64) -> Option<Age> {
        let age = Duration::from_millis(age);
        let Some(left) = self.time_to_live.checked_sub(age) else {
            return (age <= self.kept()).then_some(Age::Stale);
        };
        if left >= self.refresh_ahead {
            return Some(Age::Fresh);
        }
        let passed = 1.0 - left.as_secs_f64() / self.refresh_ahead.as_secs_f64();
        Some(if lot < passed * passed { Age::Due } else { Age::Fresh })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_age_is_good_for_one_thing() {
        let second = Duration::from_secs;
        let lifetimes = Lifetimes { time_to_live: second(100), max_stale: second(50), refresh_ahead: second(20) };
        let judge = |seconds: u64, lot| lifetimes.judge(seconds * 1_000, lot);
        assert_eq!(judge(0, 0.0), Some(Age::Fresh));
        assert_eq!(judge(80, 0.0), Some(Age::Fresh));
        assert_eq!((judge(90, 0.24), judge(90, 0.26)), (Some(Age::Due), Some(Age::Fresh)));
        assert_eq!(judge(100, 0.99), Some(Age::Due));
        assert_eq!(judge(101, 0.99), Some(Age::Stale));
        assert_eq!((judge(150, 0.0), judge(151, 0.0)), (Some(Age::Stale), None));
        let plain = Lifetimes::from(second(100));
        assert_eq!((plain.judge(100_000, 0.0), plain.judge(100_001, 0.0)), (Some(Age::Fresh), None));
    }

    /// No stampede: of 10,000 queries whose scores were stored together and that are asked once a second, few fall due in any one second.
    #[test]
    fn what_was_stored_together_does_not_fall_due_together() {
        let second = Duration::from_secs;
        let lifetimes = Lifetimes { time_to_live: second(600), max_stale: second(0), refresh_ahead: second(300) };
        let mut random = fastrand::Rng::with_seed(1);
        let (mut left, mut most) = (10_000usize, 0);
        for now in 0..=600u64 {
            let due = (0..left).filter(|_| lifetimes.judge(now * 1_000, random.f64()) == Some(Age::Due)).count();
            left -= due;
            most = most.max(due);
        }
        assert_eq!(left, 0, "all were computed afresh in time");
        assert!(most < 700, "{most} in one second");
    }
}
