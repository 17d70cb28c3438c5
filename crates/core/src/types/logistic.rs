//! The logistic function and its inverse, between raw scores and probabilities.

/// The logistic function: the relevance, 0 to 1, of a raw score.
#[must_use]
pub fn probability(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// The inverse of [`probability`]: the raw score of a relevance. Finite even for 0 and 1, which rounding can produce,
/// though they have no finite logit. Relevances that differ have logits that differ.
#[must_use]
pub fn logit(probability: f64) -> f64 {
    let share = probability.clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON / 2.0);
    (share / (1.0 - share)).ln()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn raw_scores_survive_the_way_to_probabilities_and_back() {
        for raw in [-12.0, -3.25, 0.0, 1.5, 12.0] {
            assert!((logit(probability(raw)) - raw).abs() < 1e-9, "{raw}");
        }
        for raw in [-1e6, -800.0, -40.0, 37.0, 800.0, 1e6] {
            assert!(logit(probability(raw)).is_finite(), "{raw}");
        }
    }
}
