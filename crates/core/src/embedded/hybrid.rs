//! The mix of both scorers: the lexical one picks the head of the list, the cross-encoder reads it, and their scores
//! are combined.
//!
//! A cross-encoder takes tens of milliseconds a passage. Of fifty candidates, the thirty that share fewest words with
//! the query are hardly ever the answer. Reading the head alone takes two fifths of the time and, measured on three
//! collections, costs nothing of the quality (`docs/local-scorer.md`). A fifth of lexical evidence helps where exact
//! terms matter: names, codes, jargon.
//!
//! With z-scores over the head, the order is that of `(1 - w) * z(logit) + w * z(lexical)`. Scaled back by the spread
//! of the logits, that is `logit + w / (1 - w) * spread * z(lexical)`: the logit of the model's own score, moved by the
//! lexical evidence. The answer shows the probability of it. Logits here are those of calibrated scores: a line changes
//! no z-score, so the order is that of the raw scores.

use crate::types::as_f64;
use crate::types::logistic::{logit, probability};

/// The proportions in which the two scorers are combined.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Mix {
    /// Number of passages that the cross-encoder reads.
    pub head: usize,
    /// Weight of the lexical score, 0 to below 1.
    pub lexical_share: f64,
}

/// The way in which the two scorers are put together: the keys of `[local]` that concern the hybrid.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HybridSettings {
    /// The mix of their scores.
    pub mix: Mix,
    /// The scripts of the queries that the cross-encoder is asked about.
    pub scripts: Scripts,
}

/// Highest score of a passage outside the head, as a share of the lowest score in it. Below 1, so that the
/// tail stays below the head.
const TAIL_SHARE: f64 = 0.5;

impl Mix {
    /// The positions that the cross-encoder reads, in input order: those of `readable` with the best lexical scores. Of
    /// equal scores the earlier positions come first.
    #[must_use]
    pub fn head(&self, lexical: &[f64], readable: Vec<usize>) -> Vec<usize> {
        let mut order = readable;
        // A stable sort, which leaves ties in input order.
        order.sort_by(|&left, &right| lexical[right].total_cmp(&lexical[left]));
        order.truncate(self.head);
        order.sort_unstable();
        order
    }

    /// The score of every passage, 0 to 1, from the lexical scores of all and the raw scores of the `head`. Passages
    /// outside the head keep their lexical order, below the whole head.
    #[must_use]
    pub fn scores(&self, lexical: &[f64], head: &[usize], logits: &[f64]) -> Vec<f64> {
        let head_lexical: Vec<f64> = head.iter().map(|&position| lexical[position]).collect();
        let (mean, lexical_spread) = mean_and_spread(&head_lexical);
        let (_, logit_spread) = mean_and_spread(logits);
        // Equal lexical scores are no evidence, and their spread is no divisor.
        // `w / (1 - w) * spread` of the module's formula, over the spread that makes a z-score of the lexical evidence.
        let pull = if lexical_spread > 0.0 {
            self.lexical_share / (1.0 - self.lexical_share) * logit_spread / lexical_spread
        } else {
            0.0
        };
        let mut head_scores = Vec::with_capacity(head.len());
        // No score is above 1.
        let mut lowest_score = 1.0_f64;
        for (logit, lexical_score) in logits.iter().zip(&head_lexical) {
            let score = probability(logit + pull * (lexical_score - mean));
            lowest_score = lowest_score.min(score);
            head_scores.push(score);
        }
        let mut lowest_lexical = f64::INFINITY;
        for &lexical_score in &head_lexical {
            lowest_lexical = lowest_lexical.min(lexical_score);
        }
        let mut scores = Vec::with_capacity(lexical.len());
        for &lexical_score in lexical {
            // In lexical order, downwards from `TAIL_SHARE` of the head's lowest score. No passage outside the head has
            // more lexical evidence than the least in it: the cap is for those in it, which are overwritten below.
            let share = if lowest_lexical > 0.0 { (lexical_score / lowest_lexical).min(1.0) } else { 1.0 };
            scores.push(lowest_score * TAIL_SHARE * share);
        }
        for (&position, score) in head.iter().zip(head_scores) {
            scores[position] = score;
        }
        scores
    }
}

/// The raw scores behind a cross-encoder's relevances, in their order.
#[must_use]
pub fn logits(probabilities: &[f64]) -> Vec<f64> {
    probabilities.iter().map(|&probability| logit(probability)).collect()
}

/// Mean and population standard deviation; both 0 for no values.
fn mean_and_spread(values: &[f64]) -> (f64, f64) {
    let count = as_f64(values.len().max(1));
    let mean = values.iter().sum::<f64>() / count;
    let variance = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>() / count;
    (mean, variance.sqrt())
}

/// The scripts of queries that the cross-encoder is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scripts {
    /// Latin script alone: for other scripts a model that was trained on English is worse than none.
    Latin,
    /// All scripts.
    Any,
}

impl Scripts {
    /// The scripts by their names in the configuration.
    pub const NAMES: [(&'static str, Self); 2] = [(Self::Latin.name(), Self::Latin), (Self::Any.name(), Self::Any)];

    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Latin => "latin",
            Self::Any => "any",
        }
    }

    /// Returns true if `query` is in one of these scripts. A query is Latin if at most a fifth of its letters are not.
    #[must_use]
    pub fn hold(self, query: &str) -> bool {
        if self == Self::Any {
            return true;
        }
        let mut letters = 0;
        let mut others = 0;
        for character in query.chars() {
            if character.is_alphabetic() {
                letters += 1;
                others += usize::from(!is_latin(character));
            }
        }
        // A query without letters, of numbers perhaps, is Latin.
        5 * others <= letters
    }
}

/// Returns true if a letter is in one of the Unicode blocks of the Latin script (Unicode 17).
fn is_latin(letter: char) -> bool {
    matches!(u32::from(letter),
        0x41..=0x5A | 0x61..=0x7A | 0xAA | 0xBA | 0xC0..=0x24F   // Basic, Latin-1, Extended A and B
        | 0x250..=0x2AF                                          // phonetic
        | 0x1E00..=0x1EFF | 0x2C60..=0x2C7F | 0xA720..=0xA7FF | 0xAB30..=0xAB6F   // Additional, Extended C to E
        | 0xFB00..=0xFB06 | 0xFF21..=0xFF3A | 0xFF41..=0xFF5A    // ligatures, full-width
    )
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MIX: Mix = Mix { head: 3, lexical_share: 0.2 };

    #[test]
    fn the_head_is_the_lexical_best_in_input_order() {
        assert_eq!(MIX.head(&[0.1, 0.5, 0.5, 0.0, 0.9], vec![0, 1, 2, 3, 4]), [1, 2, 4]);
        assert_eq!(MIX.head(&[0.0; 5], vec![0, 1, 2, 3, 4]), [0, 1, 2]);
        assert_eq!(MIX.head(&[0.0; 5], vec![1, 4]), [1, 4]);
        assert!(MIX.head(&[], Vec::new()).is_empty());
    }

    #[test]
    fn the_order_in_the_head_is_that_of_the_mixed_z_scores() {
        let lexical = [0.9, 0.1, 0.5];
        let logits = [-1.0, 0.5, 0.4];
        let scores = MIX.scores(&lexical, &[0, 1, 2], &logits);
        let z = |values: &[f64; 3]| {
            let (mean, spread) = mean_and_spread(values);
            values.map(|value| (value - mean) / spread)
        };
        let z_lexical = z(&lexical);
        let z_logits = z(&logits);
        let mixed: Vec<f64> = (0..3).map(|at| 0.8 * z_logits[at] + 0.2 * z_lexical[at]).collect();
        let order = |values: &[f64]| {
            let mut order = [0, 1, 2];
            order.sort_by(|&left, &right| values[right].total_cmp(&values[left]));
            order
        };
        assert_eq!(order(&scores), order(&mixed));
        assert_eq!(order(&scores), [2, 1, 0], "the lexical evidence turned the first two round");
    }

    #[test]
    fn what_was_not_read_stands_below_what_was() {
        let scores = MIX.scores(&[0.9, 0.4, 0.8, 0.7, 0.2, 0.0], &[0, 2, 3], &[-8.0, -9.0, -11.0]);
        let lowest = scores[3];
        assert!(lowest < scores[2] && lowest < scores[0]);
        assert!(scores[1] <= lowest / 2.0 && scores[4] < scores[1] && scores[5] == 0.0, "{scores:?}");
    }

    #[test]
    fn queries_in_other_scripts_are_left_to_the_lexical_scorer() {
        for latin in ["capital of Korea", "Größe", "naïve café 東", "123 !?", "", "Việt Nam", "ＡＢＣ"] {
            assert!(Scripts::Latin.hold(latin), "{latin}");
        }
        for other in ["대한민국의 수도", "日本の首都", "столица", "GPU 가속 방법"] {
            assert!(!Scripts::Latin.hold(other) && Scripts::Any.hold(other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn every_score_is_between_0_and_1_and_the_head_is_on_top(
            lexical in proptest::collection::vec(0.0..1.0f64, 0..12),
            raw in proptest::collection::vec(prop_oneof![-12.0..12.0f64, -1e3..1e3f64], 12),
        ) {
            let head = MIX.head(&lexical, (0..lexical.len()).collect());
            let raw = logits(&raw.into_iter().map(probability).collect::<Vec<_>>());
            let scores = MIX.scores(&lexical, &head, &raw[..head.len()]);
            prop_assert_eq!(scores.len(), lexical.len());
            prop_assert!(scores.iter().all(|score| (0.0..=1.0).contains(score)));
            let lowest = head.iter().map(|&at| scores[at]).fold(1.0, f64::min);
            prop_assert!((0..scores.len()).filter(|at| !head.contains(at)).all(|at| scores[at] <= lowest));
        }
    }
}
