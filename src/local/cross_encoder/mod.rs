//! A cross-encoder of the BERT kind: it reads a query and a passage together and gives one relevance score.
//!
//! ```text
//!  service (a call of some pairs, off the reactor) ─▶ model (one pair: tokens ─▶ graph ─▶ logit)
//!                                                      ▲
//!  directory (where `model.onnx` and `tokenizer.json` are)
//! ```
//!
//! Such a model is trained to tell whether a passage answers a query, for example `ms-marco-MiniLM-L-12-v2` (Reimers
//! and Gurevych, 2019; Nogueira and Cho, "Passage Re-ranking with BERT", 2019). rerankd ships no weights;
//! `scripts/fetch-model` downloads them.

pub mod directory;
pub(crate) mod model;
mod operators;

pub use self::directory::ModelDirectory;
use crate::local::settings::CrossEncoderSettings;

/// Loads the model that `settings` name and scores a pair, for `rerankd check`. The server loads it on first use.
///
/// # Errors
/// A sentence that names the broken file.
pub fn check(settings: &CrossEncoderSettings) -> Result<(), String> {
    let directory = &settings.directory;
    model::check(directory, settings.max_tokens).map_err(|reason| format!("{}/{reason}", directory.path().display()))
}

/// The logistic function: the relevance, 0 to 1, of a raw score.
pub(crate) fn probability(logit: f64) -> f64 {
    1.0 / (1.0 + (-logit).exp())
}

/// The inverse of [`probability`]: the raw score of a relevance. Finite even for 0 and 1, which rounding can produce.
pub(super) fn logit(probability: f64) -> f64 {
    let probability = probability.clamp(f64::MIN_POSITIVE, 1.0 - f64::EPSILON);
    (probability / (1.0 - probability)).ln()
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
