//! The check of an upstream's reply: every position exactly once, every score finite and on its scale. A selector names
//! the positions that it picks, each at most once.
//!
//! Replies are hostile until they pass here. Nothing is repaired: a made-up score is worse than an error.

use std::fmt;

use super::ScoreScale;
use crate::text::counted;

/// A fault that makes a reply unusable.
#[derive(Clone, Debug, PartialEq)]
pub enum MergeError {
    /// More or fewer scores than passages.
    WrongCount {
        /// Passages sent.
        sent: usize,
        /// Scores received.
        received: usize,
    },
    /// A position that was not sent.
    OutOfRange(i64),
    /// A position that came back twice.
    Duplicate(i64),
    /// A score that is not a number.
    NotFinite(i64),
    /// A score outside the model's scale.
    OffScale {
        /// The position, as it was sent.
        index: i64,
        /// The scale declared for the model.
        scale: ScoreScale,
    },
}

impl fmt::Display for MergeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongCount { sent, received } => {
                write!(
                    formatter,
                    "{} came back for {}",
                    counted(*received, "score", "scores"),
                    counted(*sent, "passage", "passages")
                )
            }
            Self::OutOfRange(index) => write!(formatter, "index {index} was never sent"),
            Self::Duplicate(index) => write!(formatter, "index {index} came back twice"),
            Self::NotFinite(index) => write!(formatter, "the score of index {index} is not a finite number"),
            Self::OffScale { index, scale } => {
                write!(formatter, "that of index {index} is not within {}", scale.limits_in_words())
            }
        }
    }
}

/// The scores in the order in which the passages were sent. On the scale [`ScoreScale::None`], which is a selector's,
/// passages without one were not picked: they get 0.
///
/// # Errors
/// The first fault of the reply.
pub fn merge(scores: &[(i64, f64)], sent: usize, scale: ScoreScale) -> Result<Vec<f64>, MergeError> {
    if scores.len() != sent && scale.has_scores() {
        return Err(MergeError::WrongCount { sent, received: scores.len() });
    }
    let limits = scale.limits();
    let mut ordered = vec![f64::NAN; sent];
    for &(index, score) in scores {
        let Ok(position) = usize::try_from(index) else { return Err(MergeError::OutOfRange(index)) };
        let Some(slot) = ordered.get_mut(position) else { return Err(MergeError::OutOfRange(index)) };
        // No score that gets this far is NaN, so NaN marks the positions without one.
        if !slot.is_nan() {
            return Err(MergeError::Duplicate(index));
        }
        if !score.is_finite() {
            return Err(MergeError::NotFinite(index));
        }
        if !limits.contains(&score) {
            return Err(MergeError::OffScale { index, scale });
        }
        // Makes -0.0 the 0.0 that it equals, so that the two tie.
        *slot = score + 0.0;
    }
    if !scale.has_scores() {
        for score in &mut ordered {
            // NaN marks a position that was not picked, and the maximum of it and a number is the number.
            *score = score.max(0.0);
        }
    }
    Ok(ordered)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::as_f64;

    /// The scores of a selection as [`crate::provider`] reads it: they fall with the rank of the pick.
    fn complete_selection(picked: &[i64], sent: usize) -> Result<Vec<f64>, MergeError> {
        let mut scores = Vec::with_capacity(picked.len());
        for (rank, position) in picked.iter().enumerate() {
            scores.push((*position, 1.0 - as_f64(rank) / as_f64(sent.max(1))));
        }
        merge(&scores, sent, ScoreScale::None)
    }

    #[test]
    fn law_6_hostile_replies_are_refused() {
        let refused = |scores: &[(i64, f64)]| merge(scores, 2, ScoreScale::Unknown).unwrap_err();
        assert_eq!(refused(&[(0, 1.0)]), MergeError::WrongCount { sent: 2, received: 1 });
        assert_eq!(refused(&[(0, 1.0), (1, 1.0), (1, 1.0)]), MergeError::WrongCount { sent: 2, received: 3 });
        assert_eq!(refused(&[(0, 1.0), (0, 2.0)]), MergeError::Duplicate(0));
        assert_eq!(refused(&[(0, 1.0), (-1, 2.0)]), MergeError::OutOfRange(-1));
        assert_eq!(refused(&[(0, 1.0), (2, 2.0)]), MergeError::OutOfRange(2));
        assert_eq!(refused(&[(0, 1.0), (i64::MAX, 2.0)]), MergeError::OutOfRange(i64::MAX));
        assert_eq!(refused(&[(0, 1.0), (1, f64::INFINITY)]), MergeError::NotFinite(1));
        assert!(matches!(refused(&[(0, f64::NAN), (1, 1.0)]), MergeError::NotFinite(0)));
    }

    #[test]
    fn law_6_every_scale_has_its_ends() {
        for (scale, within, beyond) in [
            (ScoreScale::Probability, [0.0, 1.000_000_1], [-0.001, 1.001]),
            (ScoreScale::Lexical, [0.0, 1.0], [-1.0, 2.0]),
            (ScoreScale::Cosine, [-1.001, 1.001], [-1.1, 1.1]),
            (ScoreScale::Logit, [-11.0, 1e6], [-1e7, 1e300]),
            (ScoreScale::Unknown, [-1e6, 40.0], [-1e300, 1e7]),
        ] {
            for score in within {
                assert_eq!(merge(&[(0, score)], 1, scale), Ok(vec![score]), "{scale:?}");
            }
            for score in beyond {
                assert_eq!(merge(&[(0, score)], 1, scale), Err(MergeError::OffScale { index: 0, scale }), "{score}");
            }
        }
    }

    #[test]
    fn a_selectors_picks_come_first_in_its_order_and_the_rest_has_no_rank() {
        assert_eq!(complete_selection(&[2, 0], 4), Ok(vec![0.75, 0.0, 1.0, 0.0]));
        assert_eq!(complete_selection(&[1, 0], 2), Ok(vec![0.5, 1.0]), "the last pick is above those left out");
        assert_eq!(complete_selection(&[], 3), Ok(vec![0.0; 3]));
        assert_eq!(complete_selection(&[], 0), Ok(Vec::new()));
        // As a decoder may hand them over: some positions, or all.
        assert_eq!(merge(&[(1, 1.0)], 2, ScoreScale::None), Ok(vec![0.0, 1.0]));
        assert_eq!(merge(&[(0, 0.0), (1, 1.0)], 2, ScoreScale::None), Ok(vec![0.0, 1.0]));
    }

    #[test]
    fn law_6_a_selector_names_what_was_sent_and_nothing_twice() {
        for (picked, sent, fault) in [
            (&[0, 2][..], 2, MergeError::OutOfRange(2)),
            (&[-1], 2, MergeError::OutOfRange(-1)),
            (&[i64::MAX], 2, MergeError::OutOfRange(i64::MAX)),
            (&[0], 0, MergeError::OutOfRange(0)),
            (&[1, 0, 1], 3, MergeError::Duplicate(1)),
            (&[0, 1, 0, 1, 0], 2, MergeError::Duplicate(0)),
        ] {
            assert_eq!(complete_selection(picked, sent), Err(fault), "{picked:?}");
        }
        let off_scale = MergeError::OffScale { index: 0, scale: ScoreScale::None };
        assert_eq!(merge(&[(0, 2.0)], 2, ScoreScale::None), Err(off_scale));
    }

    #[test]
    fn zero_has_one_sign() {
        assert_eq!(merge(&[(0, -0.0)], 1, ScoreScale::Probability).unwrap()[0].to_bits(), 0.0f64.to_bits());
    }

    proptest! {
        #[test]
        fn whatever_order_the_upstream_uses_the_scores_come_out_in_ours(
            scores in proptest::collection::vec(-1e6..1e6f64, 0..50), seed in any::<u64>(),
        ) {
            let mut shuffled: Vec<_> = (0i64..).zip(scores.iter().copied()).collect();
            fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
            prop_assert_eq!(merge(&shuffled, scores.len(), ScoreScale::Logit).unwrap(), scores);
        }

        #[test]
        fn ranks_as_scores_keep_the_order_of_the_picks(sent in 0usize..60, picks in 0usize..60, seed in any::<u64>()) {
            let mut positions: Vec<usize> = (0..sent).collect();
            fastrand::Rng::with_seed(seed).shuffle(&mut positions);
            positions.truncate(picks);
            let picked: Vec<_> = positions.iter().map(|position| i64::try_from(*position).unwrap()).collect();
            let scores = complete_selection(&picked, sent).unwrap();
            let of_picks: Vec<_> = positions.iter().map(|position| scores[*position]).collect();
            prop_assert!(of_picks.iter().all(|score| (0.0..=1.0).contains(score) && *score > 0.0));
            prop_assert!(of_picks.windows(2).all(|pair| pair[0] > pair[1]));
            prop_assert_eq!(scores.iter().filter(|score| **score > 0.0).count(), positions.len());
        }
    }
}
