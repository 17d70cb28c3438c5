//! The ranking: best first in a stable, total order, then the cut.

use crate::types::response::{RankedPassage, ScoreSource};

/// Bit of a sort key that is set for a blank passage, between the bits of the score and those of the index.
const BLANK: u128 = 1 << 63;

/// Sorts by score, highest first, ties in input order (blank passages last among them), and keeps the first `top_n`.
///
/// Scores must be finite, for NaN would go first; `provider::check` and `upstream::in_process` refuse others. Unscored
/// passages go last, in input order.
#[must_use]
pub fn rank(passages: &[RankedPassage], top_n: Option<usize>) -> Vec<RankedPassage> {
    let keep = top_n.unwrap_or(passages.len()).min(passages.len());
    let mut keys: Vec<_> = passages.iter().enumerate().map(|(index, passage)| sort_key(index, passage)).collect();
    if keep < keys.len() {
        // Selecting first makes it linear in the passages that are cut off.
        if keep > 0 {
            keys.select_nth_unstable(keep - 1);
        }
        keys.truncate(keep);
    }
    // Unstable is enough: no two keys are equal.
    keys.sort_unstable();
    keys.into_iter().map(|key| passages[index_of(key)]).collect()
}

/// The order of a passage as one number, less for a better one: its score, whether it is blank, its index in the list.
/// Comparing numbers is what sorting is fastest at.
fn sort_key(index: usize, passage: &RankedPassage) -> u128 {
    let descending = match passage.score {
        Some(score) => !ascending(score),
        None => u64::MAX, // after every number
    };
    let blank = if passage.source == ScoreSource::Blank { BLANK } else { 0 };
    u128::from(descending) << 64 | blank | index as u128
}

/// The index in a sort key.
fn index_of(key: u128) -> usize {
    (key & (BLANK - 1)) as usize
}

/// A number that orders scores as [`f64::total_cmp`] does.
fn ascending(score: f64) -> u64 {
    const SIGN: u64 = 1 << 63;
    let bits = score.to_bits();
    // Of negative numbers the larger magnitude is the smaller number, and they come before the others.
    if bits & SIGN == 0 { bits | SIGN } else { !bits }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn passages(scores: &[Option<f64>]) -> Vec<RankedPassage> {
        let mut passages = Vec::new();
        for (position, score) in scores.iter().enumerate() {
            passages.push(RankedPassage { position, score: *score, source: ScoreSource::Scored });
        }
        passages
    }

    fn positions(ranking: &[RankedPassage]) -> Vec<usize> {
        ranking.iter().map(|passage| passage.position).collect()
    }

    #[test]
    fn ties_keep_the_input_order_and_unscored_go_last() {
        let ranking = rank(&passages(&[Some(0.5), None, Some(0.9), Some(0.5), Some(-1.0), None]), None);
        assert_eq!(positions(&ranking), [2, 0, 3, 4, 1, 5]);
    }

    #[test]
    fn blank_passages_are_last_among_equals() {
        let mut ranked = passages(&[Some(0.0), Some(0.0), Some(0.5), Some(0.0)]);
        ranked[0].source = ScoreSource::Blank;
        for top_n in [None, Some(4)] {
            assert_eq!(positions(&rank(&ranked, top_n)), [2, 1, 3, 0]);
        }
        assert_eq!(positions(&rank(&ranked, Some(3))), [2, 1, 3]);
    }

    proptest! {
        #[test]
        fn numbers_order_scores_as_total_cmp_does(left in any::<f64>(), right in any::<f64>()) {
            prop_assert_eq!(ascending(left).cmp(&ascending(right)), left.total_cmp(&right));
            prop_assert_eq!(ascending(-0.0).cmp(&ascending(left)), (-0.0f64).total_cmp(&left));
        }

        #[test]
        fn the_cut_is_a_prefix_of_the_whole_ranking(
            scores in proptest::collection::vec(proptest::option::weighted(0.9, -4i32..4), 0..60),
            top_n in 0usize..70,
        ) {
            let scores: Vec<_> = scores.into_iter().map(|score| score.map(f64::from)).collect();
            let whole = rank(&passages(&scores), None);
            let mut seen = positions(&whole);
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..scores.len()).collect::<Vec<_>>());
            prop_assert_eq!(rank(&passages(&scores), Some(top_n)), &whole[..top_n.min(whole.len())]);
        }
    }
}
