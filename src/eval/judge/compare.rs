//! Whether a difference may be chance.

use crate::eval::results::{Comparison, Estimate};
use crate::eval::statistics::{confidence_interval, differences, holm, mean, randomization_test};

/// The same queries are drawn every time, so the same answers give the same report.
const SEED: u64 = 0;
/// Above this probability a difference is called noise.
const NOISE: f64 = 0.05;

/// The mean of `values` with its confidence interval.
pub(super) fn estimate(values: &[f64]) -> Estimate {
    let interval = confidence_interval(values, SEED);
    Estimate { mean: mean(values), low: interval.low, high: interval.high }
}

/// Every contestant's values against those of the one at `reference`, which gets `None`.
pub(super) fn against(all: &[Vec<f64>], reference: usize) -> Vec<Option<Comparison>> {
    let others: Vec<usize> = (0..all.len()).filter(|&at| at != reference).collect();
    let gaps: Vec<Vec<f64>> = others.iter().map(|&at| differences(&all[at], &all[reference])).collect();
    let probabilities: Vec<f64> = gaps.iter().map(|gaps| randomization_test(gaps, SEED)).collect();
    let adjusted = holm(&probabilities);
    let mut comparisons = vec![None; all.len()];
    for (((at, gaps), p), p_adjusted) in others.into_iter().zip(&gaps).zip(probabilities).zip(adjusted) {
        let difference = estimate(gaps);
        comparisons[at] = Some(Comparison { difference, p, p_adjusted, is_noise: p_adjusted >= NOISE });
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
