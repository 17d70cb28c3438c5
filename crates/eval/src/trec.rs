//! The order of a run in TREC's format. Its readers order passages by the scores and ignore the ranks in the file.

/// The order in which `trec_eval` reads a run: indices into `run`, best first.
///
/// `run` has the id and the score of each passage. `trec_eval` keeps a score as a 32-bit float, so scores that differ
/// only beyond that tie. It breaks ties by id, the last in byte order first. Scores must not be NaN.
#[cfg(test)]
pub(super) fn trec_order<I: AsRef<str>>(run: &[(I, f64)]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..run.len()).collect();
    order.sort_by(|&left, &right| {
        let (left_id, left_score) = &run[left];
        let (right_id, right_score) = &run[right];
        let by_score = comparable(*right_score).total_cmp(&comparable(*left_score));
        by_score.then_with(|| right_id.as_ref().cmp(left_id.as_ref()))
    });
    order
}

/// Changes the scores of passages that are in the right order, so that `trec_eval` and similar tools keep that order.
///
/// Such tools sort by score as a 32-bit float and break ties by id. So a score that, as such a float, is not below the
/// one before it is replaced by the next float below that, and a score that is no finite 32-bit float by the nearest
/// one. All others stay as they are. The result is finite and falls from each to the next, whatever `scores` are.
#[must_use]
pub fn order_keeping_scores(scores: &[f64]) -> Vec<f64> {
    // The ordinal that the next score may have at most: one below the one before it.
    let mut highest = ordinal(f32::MAX);
    let mut written = Vec::with_capacity(scores.len());
    for (index, &score) in scores.iter().enumerate() {
        let finite = if score.is_nan() { f32::MIN } else { comparable(score).clamp(f32::MIN, f32::MAX) };
        // Room must be left below for all that follow.
        let followers = i32::try_from(scores.len() - 1 - index).unwrap_or(i32::MAX);
        let lowest = ordinal(f32::MIN).saturating_add(followers);
        let kept = ordinal(finite).min(highest).max(lowest);
        // A score that need not change is written in full, not rounded to 32 bits.
        written.push(if kept == ordinal(comparable(score)) { score } else { f64::from(at_ordinal(kept)) });
        highest = kept.saturating_sub(1);
    }
    written
}

/// The score as `trec_eval` compares it: as a 32-bit float, -0 as 0.
fn comparable(score: f64) -> f32 {
    #[expect(clippy::cast_possible_truncation, reason = "the loss is what is asked for")]
    let score = score as f32;
    score + 0.0 // of -0, this is 0
}

/// The position of a float among all 32-bit floats: 0 for 0, 1 for the smallest above it, and so on.
fn ordinal(float: f32) -> i32 {
    let distance = float.abs().to_bits().cast_signed();
    if float.is_sign_negative() { -distance } else { distance }
}

/// The float at a position, the inverse of [`ordinal`].
fn at_ordinal(ordinal: i32) -> f32 {
    let float = f32::from_bits(ordinal.unsigned_abs());
    if ordinal < 0 { -float } else { float }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(run: &[(&str, f64)]) -> String {
        trec_order(run).into_iter().map(|index| run[index].0).collect::<Vec<_>>().join(" ")
    }

    /// Each was seen with `pytrec_eval-terrier` 0.5.11 on two passages.
    #[test]
    fn ties_are_of_32_bits_and_go_by_descending_id() {
        assert_eq!(read(&[("a", 0.5), ("b", 0.5)]), "b a");
        assert_eq!(read(&[("a", 0.5 + 2e-8), ("b", 0.5)]), "b a", "not to be told apart");
        assert_eq!(read(&[("a", 0.5 + 1e-7), ("b", 0.5)]), "a b");
        assert_eq!(read(&[("a", 0.0), ("b", -0.0)]), "b a", "0 is -0");
        assert_eq!(read(&[("a", 1e40), ("b", 1e39)]), "b a", "both are infinite");
        assert_eq!(read(&[("a", 1e-46), ("b", 0.0)]), "b a", "both are 0");
        assert_eq!(
            read(&[("10", 1.0), ("9", 1.0), ("Z", 1.0), ("a", 1.0), ("\u{e9}", 1.0), ("", 1.0)]),
            "\u{e9} a Z 9 10 "
        );
    }

    #[test]
    fn ties_and_rises_are_lowered_by_the_least() {
        let below = |score: f32| f64::from(score.next_down());
        let one_below = 1.0_f32.next_down();
        assert_eq!(order_keeping_scores(&[1.0, 1.0, 5.0, 0.9]), [1.0, f64::from(one_below), below(one_below), 0.9]);
        assert_eq!(order_keeping_scores(&[0.3, 0.3 - 1e-12]), [0.3, below(0.3)], "a tie of 32 bits");
        let smallest = f64::from(f32::from_bits(1));
        assert_eq!(
            order_keeping_scores(&[smallest, smallest, -0.0, -0.0]),
            [smallest, 0.0, -smallest, -2.0 * smallest]
        );
    }

    #[test]
    fn there_is_room_at_both_ends() {
        let low = f64::from(f32::MIN);
        let high = f64::from(f32::MAX);
        let second = f64::from(f32::MIN.next_up());
        assert_eq!(order_keeping_scores(&[f64::NEG_INFINITY, -1e300]), [second, low]);
        assert_eq!(order_keeping_scores(&[f64::NAN, f64::NAN]), [second, low]);
        assert_eq!(order_keeping_scores(&[f64::INFINITY, 1e300]), [high, f64::from(f32::MAX.next_down())]);
        assert!(order_keeping_scores(&[]).is_empty());
    }

    fn score() -> impl Strategy<Value = f64> {
        prop_oneof![
            (-3i32..4).prop_map(f64::from),
            (0u8..20).prop_map(|step| 0.5 + f64::from(step) * 1e-8),
            any::<f64>().prop_filter("NaN is refused before", |score| !score.is_nan()),
            Just(f64::from(f32::MIN)),
            Just(f64::from(f32::MAX)),
        ]
    }

    proptest! {
        #[test]
        fn whatever_the_scores_and_the_ids_the_order_stays(
            passages in proptest::collection::vec(("[a-c]{0,3}", score()), 0..40),
        ) {
            let scores: Vec<f64> = passages.iter().map(|(_, score)| *score).collect();
            let written = order_keeping_scores(&scores);
            let are_finite = written.iter().all(|score| score.is_finite() && score.abs() <= f64::from(f32::MAX));
            prop_assert!(are_finite, "{:?}", written);
            prop_assert!(written.is_sorted_by(|upper, lower| upper > lower), "{:?}", written);
            let run: Vec<_> = passages.iter().map(|(id, _)| id).zip(written.iter().copied()).collect();
            prop_assert_eq!(trec_order(&run), (0..run.len()).collect::<Vec<_>>());
            prop_assert_eq!(order_keeping_scores(&written), written, "nothing is left to lower");
        }

        #[test]
        fn falling_scores_stay_and_others_fall_one_step(scores in proptest::collection::vec(-1.0f32..1.0, 1..40)) {
            let mut before = f32::INFINITY;
            let doubles: Vec<f64> = scores.iter().copied().map(f64::from).collect();
            for (score, written) in scores.iter().zip(order_keeping_scores(&doubles)) {
                before = score.min(before.next_down());
                prop_assert!((written - f64::from(before)).abs() <= 0.0);
            }
        }

        #[test]
        fn the_order_is_that_of_the_definition(run in proptest::collection::vec(("[a-c]{0,2}", score()), 0..20)) {
            let order = trec_order(&run);
            for pair in order.windows(2) {
                let (upper, upper_score) = &run[pair[0]];
                let (lower, lower_score) = &run[pair[1]];
                #[expect(clippy::cast_possible_truncation, reason = "what trec_eval does")]
                let (upper_score, lower_score) = (*upper_score as f32, *lower_score as f32);
                let is_tie_by_id = upper_score >= lower_score && upper.as_bytes() >= lower.as_bytes();
                prop_assert!(upper_score > lower_score || is_tie_by_id);
            }
        }
    }
}
