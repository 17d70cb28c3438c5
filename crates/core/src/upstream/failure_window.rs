//! The results of recent calls of a circuit breaker, and the conditions that trip it.

use std::collections::VecDeque;

use tokio::time::Instant;

use super::breaker::BreakerSettings;

/// Parts of the window that expire one by one.
const BUCKETS: u32 = 10;

/// Results of the calls of the last window.
#[derive(Debug, Default)]
pub(super) struct FailureWindow {
    /// Failures since the last success, however old.
    consecutive_failures: usize,
    /// The oldest is first. Older ones than the window are dropped when a result is added.
    buckets: VecDeque<CallCounts>,
}

/// Counts of one bucket.
#[derive(Debug)]
struct CallCounts {
    /// Time of its first call.
    since: Instant,
    /// Calls that ended, successes included.
    calls: usize,
    successes: usize,
}

impl FailureWindow {
    /// Adds the result of a call.
    pub(super) fn add(&mut self, is_success: bool, now: Instant, settings: &BreakerSettings) {
        self.consecutive_failures = if is_success { 0 } else { self.consecutive_failures + 1 };
        while self.buckets.front().is_some_and(|bucket| now - bucket.since > settings.window) {
            self.buckets.pop_front();
        }
        if self.buckets.back().is_none_or(|bucket| now - bucket.since > settings.window / BUCKETS) {
            self.buckets.push_back(CallCounts { since: now, calls: 0, successes: 0 });
        }
        if let Some(bucket) = self.buckets.back_mut() {
            bucket.calls += 1;
            bucket.successes += usize::from(is_success);
        }
    }

    /// Returns true if there are too many failures in a row, or too few successes among enough calls. The breaker must
    /// not be off.
    pub(super) fn is_bad(&self, settings: &BreakerSettings) -> bool {
        if self.consecutive_failures >= settings.consecutive_failures {
            return true;
        }
        let calls: usize = self.buckets.iter().map(|bucket| bucket.calls).sum();
        let successes: usize = self.buckets.iter().map(|bucket| bucket.successes).sum();
        #[expect(clippy::cast_precision_loss, reason = "counts of half a minute")]
        let is_low = (successes as f64) < settings.min_success_rate * calls as f64;
        calls >= settings.min_calls && is_low
    }
}
