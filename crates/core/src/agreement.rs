//! Measures of agreement between two rankings of the same passages.
//!
//! A ranking is given as its order, the ids or positions best first, or as the scores by position. Each measure takes
//! O(n log n) at most, which is fast enough for live traffic.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::hash::Hash;

use crate::types::as_f64;

/// The usual persistence for [`rank_biased_overlap`]: the first ten ranks have 86 % of the weight.
pub const PERSISTENCE: f64 = 0.9;

/// The rank-biased overlap of two rankings, from 0 (nothing in common) to 1 (the same), and 1 for two empty ones.
///
/// It is the share of common passages in the first d ranks, averaged over all depths d. The weight of each depth is
/// that of the one before it, times `persistence` (0 to 1; 0 looks at the first rank only). This is `RBO_ext` of
/// Webber, Moffat and Zobel (2010, equation 30), which assumes the share at the last rank for all depths beyond. Both
/// rankings are cut to the length of the shorter one and hold each passage once; they need not hold the same passages.
#[must_use]
pub fn rank_biased_overlap<I: Eq + Hash>(left: &[I], right: &[I], persistence: f64) -> f64 {
    let depth = left.len().min(right.len());
    let meetings = meetings(&left[..depth], &right[..depth]);
    let mut common = 0;
    let mut share = 1.0;
    let mut weight = 1.0;
    let mut overlap = 0.0;
    for (index, met) in meetings.into_iter().enumerate() {
        common += met;
        share = as_f64(common) / as_f64(index + 1);
        overlap += (1.0 - persistence) * weight * share;
        weight *= persistence;
    }
    // What is left of the weight goes to the depths beyond. The last digits of the sum may pass 1.
    (overlap + weight * share).min(1.0)
}

/// The share of the first `k` passages of one ranking that are among the first `k` of the other, from 0 to 1. `k` is
/// cut to the length of the shorter ranking; the value is 1 for an empty one.
#[must_use]
pub fn top_overlap<I: Eq + Hash>(left: &[I], right: &[I], k: usize) -> f64 {
    let depth = k.min(left.len()).min(right.len());
    if depth == 0 {
        return 1.0;
    }
    as_f64(meetings(&left[..depth], &right[..depth]).into_iter().sum()) / as_f64(depth)
}

/// For each depth, the number of passages that are in both rankings down to it, and were not down to the one before.
/// The rankings are equally long.
fn meetings<I: Eq + Hash>(left: &[I], right: &[I]) -> Vec<usize> {
    let mut rank_in_left: HashMap<&I, usize> = HashMap::with_capacity(left.len());
    for (rank, passage) in left.iter().enumerate() {
        rank_in_left.insert(passage, rank);
    }
    let mut meetings = vec![0; left.len()];
    for (rank, passage) in right.iter().enumerate() {
        if let Some(&other) = rank_in_left.get(passage) {
            // Common to both from the depth of the lower one of its two ranks.
            meetings[rank.max(other)] += 1;
        }
    }
    meetings
}

/// Kendall's tau-b (1945) of two lists of scores for the same passages: from -1 (reversed) through 0 (unrelated) to 1
/// (the same order), with ties taken out of the scale.
///
/// `None` where it is not defined: with fewer than two passages there is no pair to agree upon, and scores that are all
/// equal order none. Scores must not be NaN; of lists of different lengths, the rest of the longer one is dropped. The
/// pairs are counted as by Knight (1966), in O(n log n).
#[must_use]
pub fn kendall_tau(left: &[f64], right: &[f64]) -> Option<f64> {
    let mut pairs = Vec::with_capacity(left.len().min(right.len()));
    for (left_score, right_score) in left.iter().zip(right) {
        pairs.push((comparable(*left_score), comparable(*right_score)));
    }
    pairs.sort_unstable_by(by_both);

    let tied_left = tied_pairs(&pairs, by_left);
    let tied_in_both = tied_pairs(&pairs, by_both);
    // In the order of `left`, each pair of `right` that must be exchanged to sort it is discordant.
    let mut right: Vec<f64> = pairs.iter().map(|pair| pair.1).collect();
    let discordant = sort_counting_exchanges(&mut right);
    let tied_right = tied_pairs(&right, f64::total_cmp);

    // Concordant pairs are those ordered in both lists and not discordant, so concordant minus discordant is
    // `ordered_in_both - 2 * discordant`. Pairs tied in both lists are subtracted twice, and added once.
    let all = as_f64(pairs.len()) * (as_f64(pairs.len()) - 1.0) / 2.0;
    let ordered_left = all - as_f64(tied_left);
    let ordered_right = all - as_f64(tied_right);
    let ordered_in_both = ordered_left - as_f64(tied_right) + as_f64(tied_in_both);
    let scale = ordered_left.sqrt() * ordered_right.sqrt();
    (scale > 0.0).then(|| ((ordered_in_both - 2.0 * as_f64(discordant)) / scale).clamp(-1.0, 1.0))
}

/// The order of the left scores.
fn by_left(one: &(f64, f64), other: &(f64, f64)) -> Ordering {
    one.0.total_cmp(&other.0)
}

/// The order of the left scores, equal ones by the right score.
fn by_both(one: &(f64, f64), other: &(f64, f64)) -> Ordering {
    by_left(one, other).then(one.1.total_cmp(&other.1))
}

/// The number of pairs of a sorted list that compare as equal.
fn tied_pairs<T>(sorted: &[T], compare: impl Fn(&T, &T) -> Ordering) -> usize {
    sorted.chunk_by(|one, other| compare(one, other).is_eq()).map(|run| run.len() * (run.len() - 1) / 2).sum()
}

/// Sorts by merging runs of doubled length. Returns the number of pairs that were in the wrong order.
fn sort_counting_exchanges(values: &mut Vec<f64>) -> usize {
    let mut exchanges = 0;
    let mut run = 1;
    let mut merged = Vec::with_capacity(values.len());
    while run < values.len() {
        merged.clear();
        for both in values.chunks(2 * run) {
            let (mut low, mut high) = both.split_at(run.min(both.len()));
            while let ([first, low_rest @ ..], [second, high_rest @ ..]) = (low, high) {
                if second.total_cmp(first).is_lt() {
                    // All that is left of the lower run is above `second`.
                    exchanges += low.len();
                    merged.push(*second);
                    high = high_rest;
                } else {
                    merged.push(*first);
                    low = low_rest;
                }
            }
            merged.extend_from_slice(low);
            merged.extend_from_slice(high);
        }
        std::mem::swap(values, &mut merged);
        run *= 2;
    }
    exchanges
}

/// The score, with -0 as 0, because `total_cmp` tells them apart.
fn comparable(score: f64) -> f64 {
    score + 0.0
}

/// Agreement of two rankings of one request.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Agreement {
    /// Rank-biased overlap, 0 to 1.
    pub rank_biased_overlap: f64,
    /// Kendall's tau-b, -1 to 1; `None` where it is not defined.
    pub kendall_tau: Option<f64>,
    /// Share of the first ten that both have there, 0 to 1.
    pub top_overlap: f64,
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use proptest::prelude::*;

    use super::*;

    fn close(left: f64, right: f64) -> bool {
        (left - right).abs() < 1e-12
    }

    #[test]
    fn the_overlap_by_hand() {
        // The shares at depths 1 to 5 are 0, 1/2, 2/3, 1, 1.
        let shares = [0.0, 1.0 / 2.0, 2.0 / 3.0, 1.0, 1.0];
        let sum: f64 = shares.iter().zip(0..).map(|(share, depth)| share * 0.9_f64.powi(depth)).sum();
        let expected = 0.1 * sum + 1.0 * 0.9_f64.powi(5);
        assert!(close(expected, 0.828));
        assert!(close(rank_biased_overlap(&[1, 2, 3, 4, 5], &[2, 3, 4, 1, 5], 0.9), expected));
    }

    #[test]
    fn overlaps_at_the_edges() {
        assert!(close(rank_biased_overlap::<u8>(&[], &[], 0.9), 1.0));
        assert!(close(rank_biased_overlap(&[3], &[3], 0.9), 1.0));
        assert!(close(rank_biased_overlap(&[3], &[4], 0.9), 0.0));
        assert!(close(rank_biased_overlap(&[1, 2], &[2, 1], 0.0), 0.0), "the first rank only");
        assert!(close(rank_biased_overlap(&[1, 2], &[2, 1], 1.0), 1.0), "the whole lists only");
        assert!(close(rank_biased_overlap(&[1, 2, 3], &[1], 0.9), 1.0), "cut to the shorter one");
        assert!(close(top_overlap(&[1, 2, 3, 4], &[4, 1, 2, 3], 3), 2.0 / 3.0));
        assert!(close(top_overlap(&[1, 2], &[2, 1], 10), 1.0));
        assert!(close(top_overlap(&[1], &[2], 1), 0.0));
        assert!(close(top_overlap::<u8>(&[], &[], 10), 1.0) && close(top_overlap(&[1], &[2], 0), 1.0));
    }

    #[test]
    fn no_overlap_passes_1() {
        let passages: Vec<usize> = (0..100).collect();
        for persistence in [0.5, 0.9, 0.98] {
            for length in 0..=passages.len() {
                let overlap = rank_biased_overlap(&passages[..length], &passages[..length], persistence);
                assert!(overlap <= 1.0 && close(overlap, 1.0), "{overlap}");
            }
        }
    }

    /// From the package `rbo` 0.1.3 (`rbo_ext`) on random lists; all of 1,500 were within 3e-16.
    #[test]
    fn the_overlap_as_the_package_rbo_has_it() {
        assert!(close(rank_biased_overlap(&[0, 7, 4, 5, 1], &[7, 3, 6, 0, 5], 0.5), 0.235_416_666_666_666_64));
        assert!(close(rank_biased_overlap(&[7, 3, 5, 1, 0, 2], &[6, 5, 0, 1, 3, 7], 0.98), 0.783_839_807_893_333_3));
        assert!(close(rank_biased_overlap(&[3, 6, 0, 1, 7, 2], &[1, 4, 7, 5, 3, 0], 0.98), 0.618_388_242_453_333_3));
    }

    #[test]
    fn tau_by_hand() {
        let tau = |left: &[f64], right: &[f64]| kendall_tau(left, right).unwrap();
        assert!(close(tau(&[1.0, 2.0, 3.0], &[10.0, 20.0, 30.0]), 1.0));
        assert!(close(tau(&[1.0, 2.0, 3.0], &[3.0, 2.0, 1.0]), -1.0));
        // Of the six pairs one is discordant: (5 - 1) / 6.
        assert!(close(tau(&[1.0, 2.0, 3.0, 4.0], &[1.0, 3.0, 2.0, 4.0]), 4.0 / 6.0));
        // Of the six pairs the left ties one, the right another, and the other four agree: 4 / √(5 · 5).
        assert!(close(tau(&[1.0, 1.0, 2.0, 3.0], &[1.0, 2.0, 3.0, 3.0]), 4.0 / 5.0));
        assert!(close(tau(&[0.0, -0.0, 1.0], &[5.0, 5.0, 6.0]), 1.0), "0 and -0 tie");
    }

    #[test]
    fn tau_is_undefined_without_two_different_scores() {
        assert_eq!(kendall_tau(&[], &[]), None);
        assert_eq!(kendall_tau(&[1.0], &[2.0]), None);
        assert_eq!(kendall_tau(&[1.0, 1.0], &[2.0, 3.0]), None);
        assert_eq!(kendall_tau(&[1.0, 2.0], &[3.0, 3.0]), None);
        assert_eq!(kendall_tau(&[1.0, 2.0], &[3.0]), None, "one pair of scores is left");
    }

    /// From `scipy.stats.kendalltau` (variant b) on random scores with many ties; all of 1,500 were within 1e-12.
    #[test]
    fn tau_as_scipy_has_it() {
        let cases = [
            (
                [0.25, 2.0, 1.75, 1.0, 2.25, 1.5, 1.0, 1.0],
                [2.25, 0.75, 1.75, 1.0, 2.25, 1.25, 0.25, 1.0],
                0.156_892_908_110_547_24,
            ),
            (
                [0.5, 0.5, 0.0, 0.0, 0.5, 0.25, 0.25, 0.5],
                [0.5, 0.25, 0.0, 0.5, 0.5, 0.5, 0.25, 0.5],
                0.325_395_686_727_984_25,
            ),
            ([0.5, 2.25, 0.0, 0.5, 0.25, 0.25, 0.25, 1.25], [1.75, 2.25, 0.0, 0.5, 1.75, 2.25, 0.25, 1.75], 0.5),
            (
                [0.0, 0.0, 0.25, 0.0, 0.0, 0.0, 0.0, 0.0],
                [0.0, 0.0, 0.25, 0.25, 0.25, 0.25, 0.25, 0.25],
                0.218_217_890_235_992_4,
            ),
        ];
        for (left, right, expected) in cases {
            let tau = kendall_tau(&left, &right).unwrap();
            assert!(close(tau, expected), "{tau} instead of {expected}");
        }
    }

    #[test]
    fn thousands_of_passages_take_no_time() {
        let scores: Vec<f64> = (0..50_000).map(|step| f64::from(step * 7_919 % 50_021)).collect();
        let mut order: Vec<usize> = (0..scores.len()).collect();
        order.sort_by(|&left, &right| scores[right].total_cmp(&scores[left]));
        let turned: Vec<f64> = scores.iter().map(|score| -score).collect();
        assert_eq!(kendall_tau(&scores, &turned), Some(-1.0));
        assert!(close(rank_biased_overlap(&order, &order, PERSISTENCE), 1.0));
    }

    /// As the definition reads: all pairs, one by one.
    fn naive_tau(left: &[f64], right: &[f64]) -> Option<f64> {
        let mut agreement = 0.0;
        let mut ordered_left: f64 = 0.0;
        let mut ordered_right: f64 = 0.0;
        for one in 0..left.len() {
            for other in 0..one {
                let sign = |scores: &[f64]| {
                    f64::from(i8::from(scores[one] > scores[other]) - i8::from(scores[one] < scores[other]))
                };
                agreement += sign(left) * sign(right);
                ordered_left += sign(left).abs();
                ordered_right += sign(right).abs();
            }
        }
        let scale = (ordered_left * ordered_right).sqrt();
        (scale > 0.0).then(|| agreement / scale)
    }

    fn common(left: &[usize], right: &[usize], depth: usize) -> f64 {
        let left: HashSet<_> = left[..depth].iter().collect();
        as_f64(right[..depth].iter().filter(|passage| left.contains(passage)).count())
    }

    /// Two orders of twenty passages, cut to the same length.
    fn orders() -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
        let order = || Just((0..20).collect::<Vec<usize>>()).prop_shuffle();
        (order(), order(), 1usize..=20).prop_map(|(mut left, mut right, length)| {
            left.truncate(length);
            right.truncate(length);
            (left, right)
        })
    }

    proptest! {
        #[test]
        fn tau_is_that_of_all_pairs(scores in proptest::collection::vec((-3i32..4, -3i32..4), 0..40)) {
            let (left, right): (Vec<f64>, Vec<f64>) =
                scores.into_iter().map(|(left, right)| (f64::from(left), f64::from(right))).unzip();
            match (kendall_tau(&left, &right), naive_tau(&left, &right)) {
                (Some(tau), Some(naive)) => prop_assert!(close(tau, naive), "{} {}", tau, naive),
                (tau, naive) => prop_assert_eq!(tau, naive),
            }
            prop_assert_eq!(kendall_tau(&left, &right), kendall_tau(&right, &left));
        }

        #[test]
        fn overlaps_are_those_of_the_definitions(orders in orders(), persistence in 0.05f64..0.99, k in 1usize..25) {
            let (left, right) = orders;
            let depth = left.len();
            // Equation 30 as it is printed.
            let ratio = (1.0 - persistence) / persistence;
            let weighted = |(depth, power): (usize, i32)| {
                common(&left, &right, depth) / as_f64(depth) * persistence.powi(power)
            };
            let last = weighted((depth, i32::try_from(depth).unwrap()));
            let expected = last + ratio * (1..=depth).zip(1..).map(weighted).sum::<f64>();
            let overlap = rank_biased_overlap(&left, &right, persistence);
            prop_assert!(close(overlap, expected), "{} {}", overlap, expected);
            prop_assert!((0.0..=1.0).contains(&overlap));
            let k = k.min(depth);
            prop_assert!(close(top_overlap(&left, &right, k), common(&left, &right, k) / as_f64(k)));
        }

        #[test]
        fn nothing_panics(
            left in proptest::collection::vec(any::<f64>(), 0..20),
            right in proptest::collection::vec(any::<f64>(), 0..20),
            persistence in any::<f64>(), k in any::<usize>(),
        ) {
            let _ = kendall_tau(&left, &right);
            let repeated: Vec<u64> = left.iter().map(|score| score.to_bits() % 3).collect();
            let other: Vec<u64> = right.iter().map(|score| score.to_bits() % 5).collect();
            let _ = rank_biased_overlap(&repeated, &other, persistence);
            prop_assert!(top_overlap(&repeated, &other, k) >= 0.0);
        }
    }
}
