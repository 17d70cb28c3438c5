//! An upstream's word against what was asked: every position exactly once, every score finite.
//!
//! Replies are hostile until they pass here. Nothing is repaired: a made-up score is worse than an error.

use std::fmt;

/// Why a reply is not a set of scores.
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
    /// A position told twice.
    Duplicate(i64),
    /// A score that is not a number.
    NotFinite(i64),
}

impl fmt::Display for MergeError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::WrongCount { sent, received } => write!(formatter, "{received} scores came back for {sent} passages"),
            Self::OutOfRange(index) => write!(formatter, "index {index} was never sent"),
            Self::Duplicate(index) => write!(formatter, "index {index} came back twice"),
            Self::NotFinite(index) => write!(formatter, "the score of index {index} is not a finite number"),
        }
    }
}

/// The scores in the order in which the passages were sent.
///
/// # Errors
/// The first thing that is wrong with the reply.
pub fn merge(scores: &[(i64, f64)], sent: usize) -> Result<Vec<f64>, MergeError> {
    if scores.len() != sent {
        return Err(MergeError::WrongCount { sent, received: scores.len() });
    }
    let mut ordered = vec![f64::NAN; sent];
    for &(index, score) in scores {
        let slot = usize::try_from(index).ok().and_then(|position| ordered.get_mut(position));
        let slot = slot.ok_or(MergeError::OutOfRange(index))?;
        if !slot.is_nan() {
            return Err(MergeError::Duplicate(index));
        }
        if !score.is_finite() {
            return Err(MergeError::NotFinite(index));
        }
        *slot = score + 0.0; // makes -0.0 the 0.0 that it equals, so that the two tie
    }
    Ok(ordered)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn law_6_hostile_replies_are_refused() {
        let refused = |scores: &[(i64, f64)]| merge(scores, 2).unwrap_err();
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
    fn zero_has_one_sign() {
        assert_eq!(merge(&[(0, -0.0)], 1).unwrap()[0].to_bits(), 0.0f64.to_bits());
    }

    proptest! {
        #[test]
        fn whatever_order_the_upstream_uses_the_scores_come_out_in_ours(
            scores in proptest::collection::vec(-1e9..1e9f64, 0..50), seed in any::<u64>(),
        ) {
            let mut shuffled: Vec<_> = (0i64..).zip(scores.iter().copied()).collect();
            fastrand::Rng::with_seed(seed).shuffle(&mut shuffled);
            prop_assert_eq!(merge(&shuffled, scores.len()).unwrap(), scores);
        }
    }
}
