//! The Pareto front of quality, speed and cost.

use super::quality;
use crate::results::{Contestant, Cost, Kind};

/// For each contestant, true if no other is at least as good, as fast and as cheap, and better in one of these.
///
/// The order of the first stage takes no time and costs nothing. An unknown time or price counts as higher than any
/// known one.
pub(super) fn front(contestants: &[Contestant], decisive: &str) -> Vec<bool> {
    let marks: Vec<[f64; 3]> = contestants.iter().map(|contestant| marks(contestant, decisive)).collect();
    marks.iter().map(|own| !marks.iter().any(|other| dominates(other, own))).collect()
}

/// Returns true if `left` is nowhere below `right` and somewhere above. None of the marks may be NaN.
fn dominates(left: &[f64; 3], right: &[f64; 3]) -> bool {
    let is_as_good = left.iter().zip(right).all(|(left, right)| left >= right);
    let is_better_in_one = left.iter().zip(right).any(|(left, right)| left > right);
    is_as_good && is_better_in_one
}

/// Quality, speed and cheapness; more is better, so time and cost are negated.
fn marks(contestant: &Contestant, decisive: &str) -> [f64; 3] {
    let milliseconds = contestant.cold_mean().unwrap_or(f64::INFINITY);
    let dollars = match (contestant.kind, &contestant.cost) {
        (Kind::None, _) => 0.0,
        (Kind::Model, Some(Cost { usd_per_1000_queries: Some(dollars), .. })) => *dollars,
        (Kind::Model, _) => f64::INFINITY,
    };
    [quality(contestant, decisive), -milliseconds, -dollars]
}
