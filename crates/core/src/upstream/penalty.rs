//! The penalty that failures put on an upstream's load estimate.

use std::time::Duration;

use tokio::time::Instant;

/// Decay time of a failure's penalty.
pub(super) const PENALTY_DECAY: Duration = Duration::from_secs(10);

/// Penalty of failures, which decays.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Penalty {
    /// Its size at the latest failure.
    seconds: f64,
    /// Time of the latest failure.
    failed: Option<Instant>,
}

impl Penalty {
    /// Adds the penalty of a failure at `now`.
    pub(super) fn add(&mut self, penalty: Duration, now: Instant) {
        // The larger one and not the sum: a burst of failures counts as one.
        self.seconds = self.decayed(now).max(penalty.as_secs_f64());
        self.failed = Some(now);
    }

    /// Penalty that is left at `now`, in seconds.
    pub(super) fn decayed(&self, now: Instant) -> f64 {
        self.seconds * decay(self.failed, now, PENALTY_DECAY)
    }
}

/// Exponential decay since `since`: 1 at first, a factor of e less after each `time`.
pub(super) fn decay(since: Option<Instant>, now: Instant, time: Duration) -> f64 {
    let Some(since) = since else { return 1.0 };
    let age = now.saturating_duration_since(since);
    (-age.as_secs_f64() / time.as_secs_f64()).exp()
}
