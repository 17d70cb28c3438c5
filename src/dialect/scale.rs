//! Scores in the form that a dialect's clients expect.
//!
//! Clients apply thresholds between 0 and 1, or a sigmoid of their own, without asking for the model's scale. A sigmoid
//! is applied at most once, and only where the scale says that it makes sense. The order never changes.

use rerankd_core::provider::ScoreScale;
use rerankd_core::types::as_f64;
use rerankd_core::types::logistic::{logit, probability};
use rerankd_core::types::request::RerankRequest;
use rerankd_core::types::response::{RankedPassage, RerankResponse};

/// The range in which scores are sent to a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Between 0 and 1. Logits go through the sigmoid.
    Probability,
    /// Unbounded. Scores between 0 and 1 go through the inverse of the sigmoid.
    Logit,
}

impl Form {
    /// The form that the request asks for with `raw_scores`.
    pub(super) fn asked_for(request: &RerankRequest) -> Self {
        if request.raw_scores { Self::Logit } else { Self::Probability }
    }

    /// The score of one result in this form; `None` if the passage was not scored, or if the model is a selector.
    pub(super) fn score(self, ranked: &RankedPassage, response: &RerankResponse) -> Option<f64> {
        response.score_of(ranked).map(|score| self.convert(score, response.provenance.score_scale))
    }

    /// [`Self::score`] of the result at index `at` of the ranking, for clients that cannot do without a number
    /// ([`super::Dialect::numbers_ranks`]): of a selector it is made of the rank, 1 for the best down to above 0.
    pub(super) fn score_or_rank(self, at: usize, request: &RerankRequest, response: &RerankResponse) -> Option<f64> {
        if response.provenance.score_scale != Some(ScoreScale::None) {
            return self.score(&response.ranking[at], response);
        }
        let number = 1.0 - as_f64(at) / as_f64(request.passages.len().max(1));
        Some(self.convert(number, Some(ScoreScale::Probability)))
    }

    /// The scale of scores in this form whose own scale is `scale`. The arms are those of [`Self::convert`], so that
    /// the scale told is always that of the scores.
    pub(super) fn scale(self, scale: Option<ScoreScale>) -> Option<ScoreScale> {
        match (self, scale) {
            (Self::Probability, Some(ScoreScale::Logit)) => Some(ScoreScale::Probability),
            (Self::Logit, Some(ScoreScale::Probability | ScoreScale::Lexical)) => Some(ScoreScale::Logit),
            _ => scale,
        }
    }

    /// A score of the given scale in this form. Only logits and values between 0 and 1 are converted; lexical scores
    /// are among the latter.
    fn convert(self, score: f64, scale: Option<ScoreScale>) -> f64 {
        match (self, scale) {
            (Self::Probability, Some(ScoreScale::Logit)) => {
                // The sigmoid of a very low logit is 0, which some clients take for "no score".
                probability(score).max(f64::MIN_POSITIVE)
            }
            (Self::Logit, Some(ScoreScale::Probability | ScoreScale::Lexical)) => logit(score),
            _ => score,
        }
    }
}

#[cfg(test)]
mod tests {
    #![expect(clippy::float_cmp, reason = "exact by construction")]

    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_logits_and_probabilities_are_turned_into_each_other() {
        let of = |form: Form, score, scale| form.convert(score, Some(scale));
        assert_eq!(of(Form::Probability, 0.0, ScoreScale::Logit), 0.5);
        assert_eq!(of(Form::Probability, -0.2, ScoreScale::Cosine), -0.2);
        assert_eq!(of(Form::Probability, 0.2, ScoreScale::Probability), 0.2);
        assert_eq!(of(Form::Logit, 0.5, ScoreScale::Probability), 0.0);
        assert_eq!(of(Form::Logit, 3.5, ScoreScale::Logit), 3.5);
        assert_eq!(of(Form::Probability, -1e9, ScoreScale::Logit), f64::MIN_POSITIVE);
        assert_eq!(Form::Logit.convert(0.5, None), 0.5);
    }

    #[test]
    fn probabilities_that_differ_have_logits_that_differ() {
        let logit = |score| Form::Logit.convert(score, Some(ScoreScale::Probability));
        let scores = [0.0, 1e-300, 1e-200, 1e-20, 1e-17, 0.5, 1.0 - 1e-15, 1.0 - f64::EPSILON, 1.0];
        assert!(scores.windows(2).all(|pair| logit(pair[0]) < logit(pair[1])));
    }

    proptest! {
        #[test]
        fn a_clients_own_sigmoid_gives_the_score_back(score in 0.0f64..=1.0) {
            let logit = Form::Logit.convert(score, Some(ScoreScale::Probability));
            prop_assert!(logit.is_finite());
            prop_assert!((Form::Probability.convert(logit, Some(ScoreScale::Logit)) - score).abs() < 1e-12);
        }

        #[test]
        fn the_order_stays(one in -1e4f64..1e4, other in -1e4f64..1e4) {
            let low = one.min(other);
            let high = one.max(other);
            for (form, scale) in [(Form::Probability, ScoreScale::Logit), (Form::Logit, ScoreScale::Probability)] {
                prop_assert!(form.convert(low, Some(scale)) <= form.convert(high, Some(scale)));
            }
        }
    }
}
