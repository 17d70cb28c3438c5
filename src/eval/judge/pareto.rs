//! Who cannot be bettered in one respect without losing in another.

use crate::eval::results::{Contestant, Kind};

/// For each contestant, whether nobody is at least as good, as fast and as cheap, and better in one of these. The order of the first stage takes no
/// time and costs nothing; a time or a price that is not known counts as higher than any that is.
pub(super) fn front(contestants: &[Contestant], decisive: &str) -> Vec<bool> {
    let marks: Vec<[f64; 3]> = contestants.iter().map(|contestant| marks(contestant, decisive)).collect();
    let beats = |left: &[f64; 3], right: &[f64; 3]| {
        left.iter().zip(right).all(|(left, right)| left >= right)
            && left.iter().zip(right).any(|(left, right)| left > right)
    };
    marks.iter().map(|mark| !marks.iter().any(|other| beats(other, mark))).collect()
}

/// Quality, speed and cheapness; more is better.
fn marks(contestant: &Contestant, decisive: &str) -> [f64; 3] {
    let quality = contestant.metrics.get(decisive).map_or(0.0, |estimate| estimate.mean);
    let dollars = match contestant.kind {
        Kind::None => 0.0,
        Kind::Model => contestant.cost.as_ref().and_then(|cost| cost.usd_per_1000_queries).unwrap_or(f64::INFINITY),
    };
    let milliseconds = contestant.cold_mean().unwrap_or(f64::INFINITY);
    [quality, -milliseconds, -dollars]
}
