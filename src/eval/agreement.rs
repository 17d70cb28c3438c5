//! How alike two rankings of the same passages are.
//!
//! A ranking is given as its order, the ids or positions best first, or as the scores by position. Each measure takes O(n log n)
//! at most, so live traffic can be watched with it.

use std::{cmp::Ordering, collections::HashMap, hash::Hash};

use super::statistics::exact;

/// The persistence that is usual for [`rank_biased_overlap`]: the first ten ranks then have 86 % of the weight.
pub const PERSISTENCE: f64 = 0.9;

/// The positions best first: highest score first, ties in input order.
#[must_use]
pub fn best_first(scores: &[f64]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&left, &right| comparable(scores[right]).total_cmp(&comparable(scores[left])));
    order
}

/// The rank-biased overlap of two rankings, from 0 (nothing in common) to 1 (the same), and 1 for two empty ones.
///
/// It is the share of common passages in the first d ranks, averaged over all depths d with a weight that falls by `persistence`
/// (0 to 1; 0 looks at the first rank only) from each to the next: `RBO_ext` of Webber, Moffat and Zobel (2010, equation 30), which
/// takes the share at the last rank to go on for ever. Both rankings are cut to the length of the shorter one and hold each passage
/// once; they need not hold the same passages.
#[must_use]
pub fn rank_biased_overlap<I: Eq + Hash>(left: &[I], right: &[I], persistence: f64) -> f64 {
    let depth = left.len().min(right.len());
    let meetings = meetings(&left[..depth], &right[..depth]);
    let (mut common, mut share, mut weight, mut overlap) = (0, 1.0, 1.0, 0.0);
    for (above, met) in meetings.into_iter().enumerate() {
        common += met;
        share = exact(common) / exact(above + 1);
        overlap += (1.0 - persistence) * weight * share;
        weight *= persistence;
    }
    // The last digits of the sum may pass 1.
    (overlap + weight * share).min(1.0)
}

/// The share of the first `k` passages of one ranking that are among the first `k` of the other, from 0 to 1. `k` is cut to the
/// length of the shorter ranking; no passages at all are alike, 1.
#[must_use]
pub fn top_overlap<I: Eq + Hash>(left: &[I], right: &[I], k: usize) -> f64 {
    let depth = k.min(left.len()).min(right.len());
    if depth == 0 {
        return 1.0;
    }
    exact(meetings(&left[..depth], &right[..depth]).into_iter().sum()) / exact(depth)
}

/// How many passages both rankings have seen at each depth and one had not before. The rankings are equally long.
fn meetings<I: Eq + Hash>(left: &[I], right: &[I]) -> Vec<usize> {
    let rank_in_left: HashMap<&I, usize> = left.iter().enumerate().map(|(rank, passage)| (passage, rank)).collect();
    let mut meetings = vec![0; left.len()];
    for (rank, passage) in right.iter().enumerate() {
        if let Some(&other) = rank_in_left.get(passage) {
            meetings[rank.max(other)] += 1;
        }
    }
    meetings
}

/// Kendall's tau-b (1945) of two lists of scores for the same passages: from -1 (reversed) through 0 (unrelated) to 1 (the same
/// order), with ties taken out of the scale.
///
/// `None` where it is not defined: with fewer than two passages there is no pair to agree upon, and scores that are all equal order
/// none. Scores must not be NaN; of lists of different lengths, the rest of the longer one is dropped. The pairs are counted as
/// by Knight (1966), in O(n log n).
#[must_use]
pub fn kendall_tau(left: &[f64], right: &[f64]) -> Option<f64> {
    let mut pairs: Vec<(f64, f64)> =
        left.iter().zip(right).map(|(left, right)| (comparable(*left), comparable(*right))).collect();
    let by_left = |one: &(f64, f64), other: &(f64, f64)| one.0.total_cmp(&other.0);
    let by_right = |one: &(f64, f64), other: &(f64, f64)| one.1.total_cmp(&other.1);
    pairs.sort_unstable_by(|one, other| by_left(one, other).then(by_right(one, other)));

    let tied_left = tied_pairs(&pairs, by_left);
    let tied_in_both = tied_pairs(&pairs, |one, other| by_left(one, other).then(by_right(one, other)));
    let mut right: Vec<f64> = pairs.iter().map(|pair| pair.1).collect();
    let discordant = sort_counting_exchanges(&mut right);
    let tied_right = tied_pairs(&right, f64::total_cmp);

    let all = exact(pairs.len()) * (exact(pairs.len()) - 1.0) / 2.0;
    let (ordered_left, ordered_right) = (all - exact(tied_left), all - exact(tied_right));
    let ordered_in_both = ordered_left - exact(tied_right) + exact(tied_in_both);
    let scale = ordered_left.sqrt() * ordered_right.sqrt();
    (scale > 0.0).then(|| ((ordered_in_both - 2.0 * exact(discordant)) / scale).clamp(-1.0, 1.0))
}

/// How many pairs of a sorted list compare as equal.
fn tied_pairs<T>(sorted: &[T], compare: impl Fn(&T, &T) -> Ordering) -> usize {
    sorted.chunk_by(|one, other| compare(one, other).is_eq()).map(|run| run.len() * (run.len() - 1) / 2).sum()
}

/// Sorts by merging runs of doubled length and counts the pairs that stood the wrong way round.
fn sort_counting_exchanges(values: &mut Vec<f64>) -> usize {
    let (mut exchanges, mut run) = (0, 1);
    let mut merged = Vec::with_capacity(values.len());
    while run < values.len() {
        merged.clear();
        for both in values.chunks(2 * run) {
            let (mut low, mut high) = both.split_at(run.min(both.len()));
            while let ([first, low_rest @ ..], [second, high_rest @ ..]) = (low, high) {
                if second.total_cmp(first).is_lt() {
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

/// The score, with -0 as 0: they are equal.
fn comparable(score: f64) -> f64 {
    score + 0.0
}
