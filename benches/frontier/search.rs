//! The search for the highest rate within each limit: every trial serves all limits.

/// Limits of the 99th percentile, in milliseconds, ascending.
pub(crate) const LIMITS: [f64; 5] = [1.0, 5.0, 10.0, 50.0, 100.0];
/// Shares of the capacity that are tried first. A limit that none of them reaches has no rate.
const FIRST_TRIALS: [f64; 5] = [0.05, 0.95, 0.75, 0.5, 0.25];
/// Two rates that differ by less are one.
const RESOLUTION: f64 = 1.06;

/// The 99th percentile by rate, as far as it was measured.
#[derive(Debug)]
pub(crate) struct Search {
    /// The highest rate worth trying, in requests a second: that of a closed loop. A short trial above it would only
    /// fill queues, and its latencies would look better than those of a long one.
    capacity: f64,
    trials: Vec<Trial>,
}

#[derive(Clone, Copy, Debug)]
struct Trial {
    rate: f64,
    /// In milliseconds; the lower one of repeated trials.
    p99: f64,
}

impl Search {
    pub(crate) fn new(capacity: f64) -> Self {
        Self { capacity, trials: Vec::new() }
    }

    /// The rate to be tried next; `None` if every limit has its rate.
    pub(crate) fn next(&self) -> Option<f64> {
        if let Some(share) = FIRST_TRIALS.get(self.trials.len()) {
            return Some(share * self.capacity);
        }
        LIMITS.into_iter().find_map(|limit| self.next_for(limit))
    }

    /// The rate between the highest that passes and the next that fails, if they are far apart.
    fn next_for(&self, limit: f64) -> Option<f64> {
        let passed = self.highest(limit)?;
        let mut failed = self.capacity;
        for trial in &self.trials {
            if trial.rate > passed {
                failed = failed.min(trial.rate);
            }
        }
        (failed / passed > RESOLUTION).then(|| (passed * failed).sqrt())
    }

    /// Notes the 99th percentile of a trial.
    pub(crate) fn note(&mut self, rate: f64, p99: f64) {
        self.trials.push(Trial { rate, p99 });
    }

    /// The highest rate that passed; `None` if none did. Lower rates may have failed: a processor that sleeps between
    /// requests is slower to answer them.
    pub(crate) fn highest(&self, limit: f64) -> Option<f64> {
        let passed = self.trials.iter().filter(|trial| trial.p99 <= limit);
        passed.map(|trial| trial.rate).max_by(f64::total_cmp)
    }
}
