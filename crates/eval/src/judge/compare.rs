//! Confidence intervals of means, and significance tests of their differences.

use std::collections::BTreeMap;

use crate::results::{Comparison, Contestant, Estimate};
use crate::statistics::{confidence_interval, differences, holm, mean, randomization_test};

/// Seed of all resampling. It is fixed, so the same answers give the same report.
pub(crate) const SEED: u64 = 0;
/// Adjusted p-value from which a difference is called noise. The report's sentences say 0.05 too.
const NOISE: f64 = 0.05;

/// The mean of `values` with its confidence interval, whose ends are NaN for a single value.
pub(crate) fn estimate(values: &[f64]) -> Estimate {
    if let &[single] = values {
        return Estimate { mean: single, low: f64::NAN, high: f64::NAN };
    }
    let interval = confidence_interval(values, SEED);
    Estimate { mean: mean(values), low: interval.low, high: interval.high }
}

/// The value of `metric` on the left minus that on the right, for each query that it is defined for on both sides.
pub(crate) fn paired_differences(
    left: &[BTreeMap<String, f64>],
    right: &[BTreeMap<String, f64>],
    metric: &str,
) -> Vec<f64> {
    let mut differences = Vec::with_capacity(left.len());
    for (left, right) in left.iter().zip(right) {
        if let (Some(left), Some(right)) = (left.get(metric), right.get(metric)) {
            differences.push(left - right);
        }
    }
    differences
}

/// Compares every contestant with the best one and with the first stage, which is the first of them.
///
/// `values_by_contestant` has the decisive metric of each contestant, in their order: one value for every query, as the
/// metric is defined for all of them. So the values of two contestants can be paired.
pub(super) fn compare_all(contestants: &mut [Contestant], values_by_contestant: &[Vec<f64>]) {
    // `max_by` returns the last of equals; reversed, that is the first.
    let best = (0..values_by_contestant.len())
        .rev()
        .max_by(|&left, &right| mean(&values_by_contestant[left]).total_cmp(&mean(&values_by_contestant[right])));
    let Some(best) = best else { return };
    let against_best = against(values_by_contestant, best);
    let against_none = against(values_by_contestant, 0);
    for ((contestant, to_best), to_none) in contestants.iter_mut().zip(against_best).zip(against_none) {
        contestant.against_best = to_best;
        contestant.against_none = to_none;
    }
}

/// Compares every contestant's values with those of the one at `reference`, which gets `None` itself.
fn against(values_by_contestant: &[Vec<f64>], reference: usize) -> Vec<Option<Comparison>> {
    let mut others = Vec::with_capacity(values_by_contestant.len());
    let mut gaps = Vec::with_capacity(values_by_contestant.len());
    let mut p_values = Vec::with_capacity(values_by_contestant.len());
    for (index, values) in values_by_contestant.iter().enumerate() {
        if index == reference {
            continue;
        }
        let gap = differences(values, &values_by_contestant[reference]);
        p_values.push(randomization_test(&gap, SEED));
        others.push(index);
        gaps.push(gap);
    }
    // Holm's method needs all p-values at once, so the comparisons are made in a second pass.
    let adjusted = holm(&p_values);
    let mut comparisons = vec![None; values_by_contestant.len()];
    for (number, index) in others.into_iter().enumerate() {
        let difference = estimate(&gaps[number]);
        let p_adjusted = adjusted[number];
        let comparison = Comparison { difference, p: p_values[number], p_adjusted, is_noise: p_adjusted >= NOISE };
        comparisons[index] = Some(comparison);
    }
    comparisons
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_difference_on_every_query_is_none_by_chance_and_no_difference_is() {
        let base: Vec<f64> = (0..40).map(|query| f64::from(query % 10) / 20.0).collect();
        let better: Vec<f64> = base.iter().map(|value| value + 0.2).collect();
        let wobbly: Vec<f64> = (0..40).map(|query| base[query] + if query % 2 == 0 { 0.1 } else { -0.1 }).collect();
        let compared = against(&[base.clone(), better, wobbly, base], 0);
        assert_eq!(compared[0], None);
        let [better, wobbly, same] = [1, 2, 3].map(|at| compared[at].unwrap());
        assert!((better.difference.mean - 0.2).abs() < 1e-9 && !better.is_noise, "{better:?}");
        assert!(wobbly.is_noise && same.is_noise && same.p > 0.99, "{wobbly:?} {same:?}");
        assert!(better.p_adjusted >= better.p);
    }
}
