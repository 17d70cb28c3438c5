//! One row of the table: a size and what is known of it.
#![expect(clippy::print_stderr, reason = "progress goes beside the table")]

use std::time::{Duration, Instant};

use crate::load::{Load, Pace};
use crate::search::{LIMITS, Search};

/// The time that the rows may take.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Effort {
    /// Usual length of a trial.
    pub(crate) trial: Duration,
    /// After this a row ends with what it has.
    row: Duration,
}

impl Effort {
    pub(crate) const FULL: Self = Self { trial: Duration::from_secs(2), row: Duration::from_secs(42) };
    pub(crate) const QUICK: Self = Self { trial: Duration::from_millis(700), row: Duration::from_secs(10) };
}

/// A row as it was measured.
#[derive(Debug)]
pub(crate) struct Row {
    /// Requests a second in a closed loop.
    pub(crate) capacity: f64,
    /// 99th percentile of one request after the other, in milliseconds.
    pub(crate) alone: f64,
    /// The highest rate for each of [`LIMITS`], in requests a second.
    pub(crate) rates: [Option<f64>; LIMITS.len()],
}

/// Measures a row.
pub(crate) fn series(load: &Load, effort: Effort) -> Row {
    let start = Instant::now();
    let alone = load.run(Pace::OneByOne, effort.trial / 2).p99();
    let capacity = load.run(Pace::ClosedLoop, effort.trial).rate();
    let mut search = Search::new(capacity);
    while let Some(rate) = search.next()
        && start.elapsed() < effort.row
    {
        let mut p99 = load.run(Pace::Rate(rate), effort.trial).p99();
        // One hiccup of the machine must not decide: what fails the next limit is tried once more.
        if LIMITS.into_iter().any(|limit| p99 > limit && p99 < 2.0 * limit) || p99.is_infinite() {
            p99 = p99.min(load.run(Pace::Rate(rate), effort.trial).p99());
        }
        eprintln!("    {rate:8.0} requests/s: p99 {p99:.2} ms");
        search.note(rate, p99);
    }
    Row { capacity, alone, rates: LIMITS.map(|limit| search.highest(limit)) }
}
