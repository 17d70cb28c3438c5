//! The ranking: best first in a stable, total order, then the cut.

use std::cmp::Ordering;

use crate::types::response::{RankedPassage, ScoreSource};

/// Sorts by score, highest first, ties in input order (blank passages last among them), and keeps the first `top_n`.
///
/// Scores must be finite, for NaN would go first; `provider::check` and `upstream::in_process` refuse others. Unscored
/// passages go last, in input order.
#[must_use]
pub fn rank(mut passages: Vec<RankedPassage>, top_n: Option<usize>) -> Vec<RankedPassage> {
    let keep = top_n.unwrap_or(passages.len()).min(passages.len());
    if keep < passages.len() {
        // Selecting first makes it linear in the passages that are cut off.
        if keep > 0 {
            passages.select_nth_unstable_by(keep - 1, best_first);
        }
        passages.truncate(keep);
    }
    // Unstable is enough: no two passages have the same position.
    passages.sort_unstable_by(best_first);
    passages
}

/// A total order: no two passages of a request are equal, for their positions differ.
fn best_first(left: &RankedPassage, right: &RankedPassage) -> Ordering {
    let by_score = match (left.score, right.score) {
        (Some(left), Some(right)) => right.total_cmp(&left),
        (left, right) => right.is_some().cmp(&left.is_some()),
    };
    by_score.then(is_blank(left).cmp(&is_blank(right))).then(left.position.cmp(&right.position))
}

fn is_blank(passage: &RankedPassage) -> bool {
    passage.source == ScoreSource::Blank
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
        let ranking = rank(passages(&[Some(0.5), None, Some(0.9), Some(0.5), Some(-1.0), None]), None);
        assert_eq!(positions(&ranking), [2, 0, 3, 4, 1, 5]);
    }

    #[test]
    fn blank_passages_are_last_among_equals() {
        let mut ranked = passages(&[Some(0.0), Some(0.0), Some(0.5), Some(0.0)]);
        ranked[0].source = ScoreSource::Blank;
        for top_n in [None, Some(4)] {
            assert_eq!(positions(&rank(ranked.clone(), top_n)), [2, 1, 3, 0]);
        }
        assert_eq!(positions(&rank(ranked, Some(3))), [2, 1, 3]);
    }

    proptest! {
        #[test]
        fn the_cut_is_a_prefix_of_the_whole_ranking(
            scores in proptest::collection::vec(proptest::option::weighted(0.9, -4i32..4), 0..60),
            top_n in 0usize..70,
        ) {
            let scores: Vec<_> = scores.into_iter().map(|score| score.map(f64::from)).collect();
            let whole = rank(passages(&scores), None);
            let mut seen = positions(&whole);
            seen.sort_unstable();
            prop_assert_eq!(seen, (0..scores.len()).collect::<Vec<_>>());
            prop_assert_eq!(rank(passages(&scores), Some(top_n)), &whole[..top_n.min(whole.len())]);
        }
    }
}
