//! The ages of scores, and the use that each age allows.
//!
//! ```text
//!  stored     time_to_live - refresh span      time_to_live     time_to_live + max_stale
//!  │ fresh    │ fresh, or due                  │ stale          │ forgotten
//!  ▼──────────▼────────────────────────────────▼────────────────▼
//! ```
//!
//! If refreshes are to be free, every score in the second half of its life is due, and waits for a call that has
//! room for it. Otherwise:
//!
//! A score that is due serves like a fresh one, and the request that finds it due also has it refreshed in the
//! background. A random number decides which request that is; the probability rises towards the end of the score's
//! life. One number serves all pairs of a request, so the request refreshes in one call all that it finds due.
//! Queries whose scores were stored together do not fall due together (the idea of `XFetch`; Vattani, Chierichetti,
//! Lowenstein, "Optimal Probabilistic Cache Stampede Prevention", 2015). A stale score is used only if every
//! target of its score space has failed, as with HTTP's stale-if-error (RFC 5861).

use std::time::Duration;

/// The way in which scores in use are computed afresh before they expire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefreshAhead {
    /// By calls of their own in the background, within this time before the end of their life; never if it is 0. It is
    /// less than the time to live; the configuration refuses others.
    InBackground(Duration),
    /// In the free room of search units that are paid for anyway, in the second half of their life.
    Free,
}

/// The limits between the ages.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Lifetimes {
    /// Time after storing during which a score is fresh or due.
    pub time_to_live: Duration,
    /// Time after `time_to_live` during which a score is stale.
    pub max_stale: Duration,
    /// The way in which scores are computed afresh, which says when they may be due.
    pub refresh_ahead: RefreshAhead,
}

/// The use that the age of a score allows. Ordered from young to old.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Age {
    /// Usable without restriction.
    Fresh,
    /// Usable without restriction, and to be refreshed in the background.
    Due,
    /// Usable only if every target of its score space has failed.
    Stale,
}

/// A score from the cache.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct CachedScore {
    /// Relevance score on the scale of its score space; finite.
    pub score: f64,
    /// Age of the score at the look-up.
    pub age: Age,
}

impl From<Duration> for Lifetimes {
    /// Lifetimes of scores that are neither refreshed ahead nor used when stale.
    fn from(time_to_live: Duration) -> Self {
        Self { time_to_live, max_stale: Duration::ZERO, refresh_ahead: RefreshAhead::InBackground(Duration::ZERO) }
    }
}

impl Lifetimes {
    /// Time after storing for which a score is kept, stale ones included.
    #[must_use]
    pub fn retention(&self) -> Duration {
        self.time_to_live + self.max_stale
    }

    /// Time before the end of `time_to_live` during which a score may be due.
    #[must_use]
    pub fn refresh_span(&self) -> Duration {
        match self.refresh_ahead {
            RefreshAhead::InBackground(span) => span,
            RefreshAhead::Free => self.time_to_live / 2,
        }
    }

    /// The [`Age`] of a score stored `millis` milliseconds ago, or `None` if it is to be forgotten. `random` is a
    /// uniform random number from 0 to 1.
    #[must_use]
    pub fn age_after(&self, millis: u64, random: f64) -> Option<Age> {
        let age = Duration::from_millis(millis);
        // An older score than `time_to_live` has nothing left of it.
        let Some(left) = self.time_to_live.checked_sub(age) else {
            return (age <= self.retention()).then_some(Age::Stale);
        };
        let refresh_span = self.refresh_span();
        if left >= refresh_span {
            return Some(Age::Fresh);
        }
        if self.refresh_ahead == RefreshAhead::Free {
            // Room is rare, and takes what it finds.
            return Some(Age::Due);
        }
        // The probability grows with the square of the time passed: low at first, certain at the very end. Here
        // `refresh_span` is above `left` and so above 0, which makes it a divisor.
        let passed = 1.0 - left.as_secs_f64() / refresh_span.as_secs_f64();
        Some(if random < passed * passed { Age::Due } else { Age::Fresh })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_age_is_good_for_one_thing() {
        let second = Duration::from_secs;
        let lifetimes = Lifetimes {
            time_to_live: second(100),
            max_stale: second(50),
            refresh_ahead: RefreshAhead::InBackground(second(20)),
        };
        let age_after = |seconds: u64, lot| lifetimes.age_after(seconds * 1_000, lot);
        assert_eq!(age_after(0, 0.0), Some(Age::Fresh));
        assert_eq!(age_after(80, 0.0), Some(Age::Fresh));
        assert_eq!((age_after(90, 0.24), age_after(90, 0.26)), (Some(Age::Due), Some(Age::Fresh)));
        assert_eq!(age_after(100, 0.99), Some(Age::Due));
        assert_eq!(age_after(101, 0.99), Some(Age::Stale));
        assert_eq!((age_after(150, 0.0), age_after(151, 0.0)), (Some(Age::Stale), None));
        let plain = Lifetimes::from(second(100));
        assert_eq!((plain.age_after(100_000, 0.0), plain.age_after(100_001, 0.0)), (Some(Age::Fresh), None));
    }

    #[test]
    fn a_score_is_due_for_a_free_refresh_in_the_second_half_of_its_life() {
        let second = Duration::from_secs;
        let lifetimes =
            Lifetimes { time_to_live: second(100), max_stale: second(50), refresh_ahead: RefreshAhead::Free };
        let age_after = |seconds: u64| lifetimes.age_after(seconds * 1_000, 1.0);
        assert_eq!([age_after(50), age_after(51)], [Some(Age::Fresh), Some(Age::Due)]);
        assert_eq!([age_after(100), age_after(101)], [Some(Age::Due), Some(Age::Stale)]);
    }

    /// No stampede: of 10,000 queries that were stored together and are asked once a second, few fall due in any one
    /// second.
    #[test]
    fn what_was_stored_together_does_not_fall_due_together() {
        let second = Duration::from_secs;
        let lifetimes = Lifetimes {
            time_to_live: second(600),
            max_stale: second(0),
            refresh_ahead: RefreshAhead::InBackground(second(300)),
        };
        let mut random = fastrand::Rng::with_seed(1);
        let mut left = 10_000usize;
        let mut most = 0;
        for now in 0..=600u64 {
            let due = (0..left).filter(|_| lifetimes.age_after(now * 1_000, random.f64()) == Some(Age::Due)).count();
            left -= due;
            most = most.max(due);
        }
        assert_eq!(left, 0, "all were computed afresh in time");
        assert!(most < 700, "{most} in one second");
    }
}
