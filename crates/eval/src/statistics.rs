//! Confidence intervals and significance tests for the difference between two rankers.
//!
//! All of them are paired: both rankers answered the same queries, so the tests take the differences per query. All
//! random numbers come from a seed, so the same input has the same output. Values must be finite.

use fastrand::Rng;
use rerankd_core::types::as_f64;

/// Samples of the queries that are drawn for an interval.
const RESAMPLES: usize = 10_000;
/// Number of resampled means beyond each bound of the 95 % interval, the bound included: 2.5 %.
const TAIL_SAMPLES: usize = RESAMPLES / 40;

/// Most differences for which all assignments of signs are tried: 65,536.
const EXACT_UP_TO: usize = 16;
/// Assignments of signs that are drawn where they cannot all be tried.
const ASSIGNMENTS: u32 = 100_000;
/// Relative difference up to which two sums count as equal. Sums of the same numbers in another order differ in their
/// last digits.
const ROUNDING: f64 = 1e-12;

/// A confidence interval of a mean.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Interval {
    /// The lower bound.
    pub low: f64,
    /// The upper bound, not below the lower.
    pub high: f64,
}

/// The arithmetic mean; 0 of no values.
#[must_use]
pub fn mean(values: &[f64]) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    // `sum()` starts at -0.0, and so would the mean of -0.0 be printed.
    let mut sum = 0.0;
    for value in values {
        sum += value;
    }
    sum / as_f64(values.len())
}

/// `left` minus `right`, query by query. If one of them is longer, its rest is dropped.
#[must_use]
pub fn differences(left: &[f64], right: &[f64]) -> Vec<f64> {
    left.iter().zip(right).map(|(left, right)| left - right).collect()
}

/// The 95 % confidence interval of the mean of `values`: one metric of all queries, or its [`differences`] between two
/// rankers.
///
/// It is the percentile bootstrap (Efron, 1979): 10,000 samples of the queries are drawn with replacement, and the
/// bounds are the 250th lowest and the 250th highest of their means. The same seed draws the same queries, whatever the
/// values. The bounds of one value are that value, those of none are 0.
#[must_use]
pub fn confidence_interval(values: &[f64], seed: u64) -> Interval {
    if values.is_empty() {
        return Interval { low: 0.0, high: 0.0 };
    }
    let mut random = Rng::with_seed(seed);
    let mut means: Vec<f64> = (0..RESAMPLES).map(|_| resampled_mean(values, &mut random)).collect();
    let (_, &mut low, above) = means.select_nth_unstable_by(TAIL_SAMPLES - 1, f64::total_cmp);
    // `above` lacks the TAIL_SAMPLES lowest means, so the index of the upper bound is lower by as many.
    let from_low = RESAMPLES - 2 * TAIL_SAMPLES;
    let (_, &mut high, _) = above.select_nth_unstable_by(from_low, f64::total_cmp);
    Interval { low, high }
}

/// The mean of a sample with replacement, as large as `values`.
fn resampled_mean(values: &[f64], random: &mut Rng) -> f64 {
    // Four sums at once: additions to one sum would wait for each other.
    let mut sums = [0.0; 4];
    let mut left = values.len();
    while left > 0 {
        for sum in sums.iter_mut().take(left) {
            *sum += values[random.usize(..values.len())];
        }
        left = left.saturating_sub(sums.len());
    }
    (sums[0] + sums[1] + sums[2] + sums[3]) / as_f64(values.len())
}

/// The two-sided p-value under the null hypothesis that the two rankers are exchangeable; in (0, 1].
///
/// It is Fisher's randomisation test, which Smucker, Allan and Carterette (2007) recommend for retrieval: if the
/// rankers are alike, each difference could as well have had the other sign. With up to 16 differences other than 0,
/// all assignments of signs are tried and the value is exact. With more, 100,000 are drawn; if b of them are as far
/// from 0, the value is (b + 1) / 100,001, which is never 0 (Phipson and Smyth, 2010).
#[must_use]
pub fn randomization_test(differences: &[f64], seed: u64) -> f64 {
    let mut differing = Vec::with_capacity(differences.len());
    // The rounding error of a sum grows with the sum of the absolute values.
    let mut size = 0.0;
    for &difference in differences {
        if difference.abs() > 0.0 {
            differing.push(difference);
            size += difference.abs();
        }
    }
    // Sums that equal the observed one but for rounding must count.
    let threshold = differing.iter().sum::<f64>().abs() - ROUNDING * size;
    if differing.len() <= EXACT_UP_TO {
        let sums = signed_sums(&differing);
        return as_f64(sums.iter().filter(|sum| sum.abs() >= threshold).count()) / as_f64(sums.len());
    }
    let as_far = count_drawn_as_far(&differing, seed, threshold);
    (f64::from(as_far) + 1.0) / (f64::from(ASSIGNMENTS) + 1.0)
}

/// The sums of `numbers` under all assignments of signs: 2 to the power of their number, so `numbers` must be few.
fn signed_sums(numbers: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0];
    for number in numbers {
        let mut longer = Vec::with_capacity(2 * sums.len());
        for sum in sums {
            longer.push(sum + number);
            longer.push(sum - number);
        }
        sums = longer;
    }
    sums
}

/// Of [`ASSIGNMENTS`] random assignments of signs to `numbers`, those whose sum is at least as far from 0 as
/// `threshold`: the observed sum, less the rounding error.
fn count_drawn_as_far(numbers: &[f64], seed: u64, threshold: f64) -> u32 {
    // A random byte stands for the signs of eight numbers, whose sum is looked up: one random number for 64 signs.
    let tables: Vec<Vec<f64>> = numbers.chunks(8).map(signed_sums).collect();
    let mut random = Rng::with_seed(seed);
    let mut as_far = 0;
    for _ in 0..ASSIGNMENTS {
        let mut sum: f64 = 0.0;
        for eight_tables in tables.chunks(8) {
            let bytes = random.u64(..).to_le_bytes();
            for (table, byte) in eight_tables.iter().zip(bytes) {
                // The last table may be shorter. Its length is a power of 2, so the remainder stays uniform.
                sum += table[usize::from(byte) % table.len()];
            }
        }
        if sum.abs() >= threshold {
            as_far += 1;
        }
    }
    as_far
}

/// The p-values of several comparisons, adjusted for their number, in the order given: none is below the one that it
/// was, none is above 1.
///
/// It is Holm's step-down correction (1979): the lowest of m is multiplied by m, the next by m - 1, and so on, and none
/// may end up below the one before it. Where all that are below 0.05 are called significant, the risk of even one false
/// alarm is 5 %.
#[must_use]
pub fn holm(p_values: &[f64]) -> Vec<f64> {
    let mut ascending: Vec<usize> = (0..p_values.len()).collect();
    ascending.sort_by(|&left, &right| p_values[left].total_cmp(&p_values[right]));
    let mut adjusted = vec![0.0; p_values.len()];
    let mut highest: f64 = 0.0;
    for (step, &index) in ascending.iter().enumerate() {
        let scaled = p_values[index] * as_f64(p_values.len() - step);
        highest = scaled.min(1.0).max(highest);
        adjusted[index] = highest;
    }
    adjusted
}

/// The quantile by nearest rank: the lowest of `values` that at least a `share` of them, from 0 to 1, does not exceed.
///
/// It is always one of the values: 0.5 of four is the second lowest, 0 is the lowest. `None` of no values, or of a
/// share above 1.
#[must_use]
pub fn quantile(values: &[f64], share: f64) -> Option<f64> {
    let mut ascending = values.to_vec();
    ascending.sort_unstable_by(f64::total_cmp);
    // 0.07 times 100 is 7.000000000000001 in floating point, but must give the 7th.
    let at_least = share * as_f64(values.len()) - ROUNDING * as_f64(values.len());
    let rank = (1..=values.len()).find(|rank| as_f64(*rank) >= at_least)?;
    ascending.get(rank - 1).copied()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-12
    }

    #[test]
    fn means_and_differences() {
        assert!(close(mean(&[1.0, 2.0, 6.0]), 3.0) && close(mean(&[]), 0.0));
        assert_eq!(differences(&[0.5, 1.0, 7.0], &[0.25, 2.0]), [0.25, -1.0]);
        assert!(differences(&[], &[1.0]).is_empty());
    }

    /// Of ten queries one is worth 1. The sum of a resample is binomial, of 10 with 1/10 each: 0 with 0.349, more than
    /// 2 with 0.070, more than 3 with 0.013. So 0.025 lies at 0 and 0.975 at 3.
    #[test]
    fn the_interval_is_that_of_the_binomial_distribution() {
        let values = [0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0];
        for seed in 0..3 {
            let Interval { low, high } = confidence_interval(&values, seed);
            assert!(close(low, 0.0) && close(high, 0.3), "{low} {high}");
        }
    }

    #[test]
    fn with_many_queries_the_interval_is_that_of_the_normal_distribution() {
        let values: Vec<f64> = (0..500).map(|step| f64::from(step) / 499.0).collect();
        // The deviation of a uniform distribution is 1 / √12.
        let reach = 1.96 / 12.0_f64.sqrt() / 500.0_f64.sqrt();
        let Interval { low, high } = confidence_interval(&values, 4);
        assert!(
            (low - (0.5 - reach)).abs() < 0.03 * reach && (high - (0.5 + reach)).abs() < 0.03 * reach,
            "{low} {high}"
        );
    }

    #[test]
    fn chance_comes_from_the_seed() {
        let values: Vec<f64> = (0..40).map(|step| f64::from(step % 7) - 2.0).collect();
        assert_eq!(confidence_interval(&values, 1), confidence_interval(&values, 1));
        assert_ne!(confidence_interval(&values, 1), confidence_interval(&values, 2));
        let test = |seed| randomization_test(&values, seed);
        assert!(close(test(1), test(1)) && !close(test(1), test(2)));
    }

    #[test]
    fn a_mean_of_one_value_or_none_has_no_width() {
        assert_eq!(confidence_interval(&[], 1), Interval { low: 0.0, high: 0.0 });
        assert_eq!(confidence_interval(&[0.7], 1), Interval { low: 0.7, high: 0.7 });
    }

    #[test]
    fn few_differences_are_tested_exactly() {
        assert!(close(randomization_test(&[], 1), 1.0));
        assert!(close(randomization_test(&[0.0, -0.0], 1), 1.0));
        assert!(close(randomization_test(&[0.1], 1), 1.0), "±0.1 are all there is");
        // Of the 8 assignments, +++ and --- alone are as far from 0.
        assert!(close(randomization_test(&[1.0, 2.0, 3.0], 1), 2.0 / 8.0));
        // 1 + 2 - 3 is 0, and so is 3 - 2 - 1, the nearest there are.
        assert!(close(randomization_test(&[1.0, 2.0, -3.0], 1), 1.0));
        // 0.1 + 0.2 is not 0.3 in floating point, yet all of ±(0.1 + 0.2 - 0.3) are as far as 0.
        assert!(close(randomization_test(&[0.1, 0.2, -0.3], 1), 1.0));
        // Sixteen alike: 2 of 65,536. With one more, the chances are drawn.
        assert!(close(randomization_test(&[0.5; 16], 1), 2.0 / 65_536.0));
        assert!(randomization_test(&[0.5; 40], 1) > 0.0, "never 0");
        assert!(close(randomization_test(&[0.5; 40], 1), 1.0 / 100_001.0));
    }

    /// From `scipy.stats.permutation_test` 1.17 (all sign flips of the mean, two-sided) on random differences.
    #[test]
    fn as_scipy_counts() {
        let cases: [(&[f64], f64); 3] = [
            (
                &[
                    0.282_033_697_783_181_5,
                    -0.021_644_407_147_106_803,
                    0.0,
                    0.112_231_476_857_072_41,
                    0.1,
                    -0.1,
                    0.178_851_883_436_596_75,
                ],
                0.21875,
            ),
            (
                &[
                    0.3,
                    0.0,
                    0.302_647_783_067_700_6,
                    0.310_809_679_121_131_1,
                    0.121_777_614_539_922_59,
                    0.2,
                    0.0,
                    -0.235_062_295_142_705_66,
                ],
                0.125,
            ),
            (
                &[
                    -0.243_837_702_240_588_68,
                    0.166_538_337_946_416_54,
                    0.175_517_049_100_327_17,
                    0.3,
                    0.0,
                    0.0,
                    0.293_842_725_332_448,
                ],
                0.25,
            ),
        ];
        for (differences, expected) in cases {
            let probability = randomization_test(differences, 1);
            assert!(close(probability, expected), "{probability} instead of {expected}");
        }
    }

    /// Eighteen differences are drawn, but could be tried: what comes out is what all 262,144 assignments say.
    #[test]
    fn drawn_probabilities_are_near_the_exact_ones() {
        let numbers: Vec<f64> = (0..18).map(|step| f64::from(step * 7 % 19) - 7.5).collect();
        let far = numbers.iter().sum::<f64>().abs();
        let sums = signed_sums(&numbers);
        let exactly = as_f64(sums.iter().filter(|sum| sum.abs() >= far - 1e-9).count()) / as_f64(sums.len());
        let drawn = randomization_test(&numbers, 9);
        // Four standard errors.
        assert!((drawn - exactly).abs() < 4.0 * (exactly * (1.0 - exactly) / 100_000.0).sqrt(), "{drawn} {exactly}");
    }

    /// Of 67 differences three matter, far from each other: 4 + 1 - 2 is 3, and 6 of the 8 assignments of their signs
    /// are as far from 0. The others make 3 a little smaller, so they can push none of the six below it.
    #[test]
    fn every_difference_has_a_sign_of_its_own() {
        let mut numbers = vec![-1e-4; 67];
        (numbers[40], numbers[50], numbers[66]) = (4.0, -2.0, 1.0);
        let probability = randomization_test(&numbers, 5);
        // Four standard errors.
        assert!((probability - 0.75).abs() < 4.0 * (0.75_f64 * 0.25 / 100_000.0).sqrt(), "{probability}");
    }

    #[test]
    fn holm_by_hand() {
        // Ascending: 0.005 · 4 = 0.02, 0.01 · 3 = 0.03, 0.03 · 2 = 0.06, 0.04 · 1, not below the 0.06 before it.
        let corrected = holm(&[0.01, 0.04, 0.03, 0.005]);
        assert!(
            corrected.iter().zip([0.03, 0.06, 0.06, 0.02]).all(|(left, right)| close(*left, right)),
            "{corrected:?}"
        );
        assert!(holm(&[]).is_empty());
        assert_eq!(holm(&[0.6, 0.7]), [1.0, 1.0]);
    }

    #[test]
    fn quantiles_by_hand() {
        let values = [40.0, 10.0, 30.0, 20.0];
        for (share, expected) in [(0.0, 10.0), (0.25, 10.0), (0.26, 20.0), (0.5, 20.0), (0.95, 40.0), (1.0, 40.0)] {
            assert_eq!(quantile(&values, share), Some(expected), "{share}");
        }
        let hundred: Vec<f64> = (1..=100).map(f64::from).collect();
        assert_eq!(quantile(&hundred, 0.07), Some(7.0));
        assert_eq!(quantile(&[], 0.5), None);
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(24))]

        #[test]
        fn an_interval_lies_among_the_values_and_turns_with_their_sign(
            values in proptest::collection::vec(-1.0f64..1.0, 1..30), seed in any::<u64>(),
        ) {
            let Interval { low, high } = confidence_interval(&values, seed);
            let lowest = values.iter().copied().fold(f64::INFINITY, f64::min);
            let highest = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            prop_assert!(lowest - 1e-12 <= low && low <= high && high <= highest + 1e-12);
            let turned = confidence_interval(&values.iter().map(|value| -value).collect::<Vec<_>>(), seed);
            prop_assert!(close(turned.low, -high) && close(turned.high, -low));
        }

        /// In tenths, so that the naive count is of whole numbers.
        #[test]
        fn exact_probabilities_are_those_of_the_definition(tenths in proptest::collection::vec(-9i32..10, 0..11)) {
            let far = tenths.iter().sum::<i32>().abs();
            let signed = |signs: u32| {
                let mut sum = 0;
                for (bit, tenth) in tenths.iter().enumerate() {
                    sum += if signs >> bit & 1 == 1 { -tenth } else { *tenth };
                }
                sum
            };
            let all = 1u32 << tenths.len();
            let as_far = (0..all).filter(|signs| signed(*signs).abs() >= far).count();
            let differences: Vec<f64> = tenths.iter().map(|tenth| f64::from(*tenth) / 10.0).collect();
            prop_assert!(close(randomization_test(&differences, 1), as_f64(as_far) / f64::from(all)));
        }
    }

    proptest! {
        #[test]
        fn holm_is_the_highest_of_all_steps_so_far(probabilities in proptest::collection::vec(0.0f64..1.0, 0..12)) {
            let corrected = holm(&probabilities);
            for (own, corrected) in probabilities.iter().zip(corrected) {
                let steps = probabilities.iter().filter(|other| *other <= own).map(|other| {
                    other * as_f64(probabilities.iter().filter(|third| *third >= other).count())
                });
                prop_assert!(close(corrected, steps.fold(0.0, f64::max).min(1.0)));
            }
        }

        #[test]
        fn a_quantile_is_the_lowest_value_that_enough_do_not_exceed(
            values in proptest::collection::vec(-20i32..20, 1..60), percent in 0usize..=100,
        ) {
            let mut enough = Vec::new();
            for value in &values {
                let not_above = values.iter().filter(|other| *other <= value).count();
                if 100 * not_above >= percent * values.len() {
                    enough.push(*value);
                }
            }
            let expected = enough.into_iter().min().map(f64::from);
            let floats: Vec<f64> = values.iter().copied().map(f64::from).collect();
            prop_assert_eq!(quantile(&floats, as_f64(percent) / 100.0), expected);
        }
    }
}
