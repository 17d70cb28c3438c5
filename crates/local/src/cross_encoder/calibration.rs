//! The line from a model's raw scores to probabilities, for models of which it was measured (Platt scaling, 1999).
//!
//! A cross-encoder is trained to order passages. The logistic function of its raw score runs into both ends: most
//! passages have .0000 or .9999, right ones among the former. A line in front of it keeps the order and makes the score
//! mean about what it says. `docs/local-scorer.md` has the figures.

use rerankd_core::types::logistic::{logit, probability};

/// A line from raw scores to logits of probabilities.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Calibration {
    /// Above 0, so that the order of scores stays.
    pub slope: f64,
    /// The logit of the probability of raw score 0.
    pub offset: f64,
}

/// BLAKE3 of the files that `rerankd model fetch` gets, as [`super::ModelDirectory::digest`] gives it.
const MINILM_DIGEST: &str = "9e2d22c7b7a82c883f90aa49ee4dacdc8021ce9b245d34d2a031e2b79c33e561";

impl Calibration {
    /// Raw scores as they are: for models of which nothing was measured.
    pub const NONE: Self = Self { slope: 1.0, offset: 0.0 };

    /// Of ms-marco-MiniLM-L-12-v2 in int8, the model that `rerankd model fetch` gets. Fitted on half the queries of
    /// three collections, with the same weight for each.
    pub const MINILM: Self = Self { slope: 0.27, offset: -1.5 };

    /// The calibration of the model whose files have this digest.
    #[must_use]
    pub fn of(digest: &str) -> Self {
        if digest == MINILM_DIGEST { Self::MINILM } else { Self::NONE }
    }

    /// The probability, 0 to 1, of a raw score.
    #[must_use]
    pub fn probability(self, raw: f64) -> f64 {
        probability(self.slope * raw + self.offset)
    }

    /// The raw score of a probability: the inverse of [`Self::probability`].
    #[must_use]
    pub fn raw(self, score: f64) -> f64 {
        (logit(score) - self.offset) / self.slope
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_measured_model_runs_into_no_end_and_another_keeps_its_scores() {
        // The ends of what it gives on the collections.
        let lowest = Calibration::of(MINILM_DIGEST).probability(-11.4);
        let highest = Calibration::of(MINILM_DIGEST).probability(9.7);
        assert!(lowest > 0.01 && highest < 0.76, "{lowest} {highest}");
        assert!((Calibration::of("another").probability(1.25) - probability(1.25)).abs() < 1e-12);
        assert!((Calibration::MINILM.raw(Calibration::MINILM.probability(-3.5)) + 3.5).abs() < 1e-9);
    }
}
