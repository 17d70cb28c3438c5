//! Recognition of models that a provider does not serve any more.
//!
//! The status 410 says so by itself; otherwise words do, which are data (`config/refusals.toml`). A message counts if
//! one clause of it holds a word of retirement and a word for a model, and nothing that is more likely to have been
//! retired, such as a parameter or an address. The provider is well, so such a refusal is no failure of it.

use crate::provider::Explanation;
use crate::provider::phrases::{clauses, holds, without_quotations};

/// Words by which retired models are recognised, in lower case; `*` in a phrase stands for a gap, by the rule of
/// `provider/phrases.rs`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct RetirementWords {
    /// Codes of a retired model.
    pub codes: Vec<String>,
    /// Phrases of retirement.
    pub phrases: Vec<String>,
    /// Words for a model, one of which the same clause must hold.
    pub subjects: Vec<String>,
    /// Phrases for other things that may be retired, or of an end that is still to come.
    pub others: Vec<String>,
}

impl RetirementWords {
    /// Returns true if a refusal with `status` says that the model was retired.
    ///
    /// Statuses about the key, the account and the rate (401, 402, 407, 408, 429) mean what they mean, whatever the
    /// message adds; a server's failure (5xx) may pass.
    #[must_use]
    pub fn say_so(&self, status: u16, said: Option<&Explanation>) -> bool {
        match status {
            410 => true,
            401 | 402 | 407 | 408 | 429 => false,
            400..=499 => said.is_some_and(|said| self.hold_for(said)),
            _ => false,
        }
    }

    /// Returns true if the provider says that the model was retired, whatever the status.
    #[must_use]
    pub fn hold_for(&self, said: &Explanation) -> bool {
        if said.codes.iter().any(|code| self.codes.contains(code)) {
            return true;
        }
        let message = without_quotations(&said.message.to_lowercase());
        for clause in clauses(&message) {
            if holds(clause, &self.phrases) && holds(clause, &self.subjects) && !holds(clause, &self.others) {
                return true;
            }
        }
        false
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The words that are compiled in, in lower case as the configuration reads them.
    fn words() -> RetirementWords {
        let file: toml::Table = include_str!("../../../../config/refusals.toml").parse().unwrap();
        let texts = |key: &str| -> Vec<String> {
            let words = file[key].as_array().unwrap();
            words.iter().map(|word| word.as_str().unwrap().to_lowercase()).collect()
        };
        RetirementWords {
            codes: texts("retired_codes"),
            phrases: texts("retired"),
            subjects: texts("retired_subjects"),
            others: texts("retired_others"),
        }
    }

    fn says_so(status: u16, message: &str, codes: &[&str]) -> bool {
        let codes = codes.iter().map(|code| (*code).to_owned()).collect();
        words().say_so(status, Some(&Explanation { message: message.to_owned(), codes, locations: Vec::new() }))
    }

    #[test]
    fn retired_models_are_known_by_status_code_and_words() {
        assert!(words().say_so(410, None));
        assert!(says_so(400, "", &["model_decommissioned"]));
        for message in [
            "rerank-multilingual-v2.0 was sunset on December 1st, 2025. See our list of models.",
            "model 'rerank-english-v2.0' was removed on September 15, 2025",
            "The model `m` has been decommissioned and is no longer supported. Please refer to the documentation.",
            "The model associated with the deployment is deprecated and no longer available for use.",
            "This model version has reached the end of its life. Please refer to the documentation.",
            "Model m is no longer available",
            "m is a retired model",
            "The reranker has been discontinued",
            "This model is no longer served on our platform",
            "the model m has reached end-of-life",
        ] {
            for status in [400, 403, 404, 422] {
                assert!(says_so(status, message, &[]), "{message}");
            }
            for status in [401, 402, 429, 500, 503] {
                assert!(!says_so(status, message, &[]), "{status} {message}");
            }
        }
    }

    #[test]
    fn what_is_not_about_a_retired_model_is_left_alone() {
        for message in [
            "",
            "model 'rerank-english-v2.0' not found, make sure the correct model ID was used",
            "The model `x` does not exist.",
            "Model not found, inaccessible, and/or not deployed",
            "Unable to access non-serverless model x. Please create and start a dedicated endpoint.",
            "the parameter return_documents is deprecated for this model",
            "API version 2023-01-01 is no longer supported. Use a newer one for this model.",
            "The /v1/rerank endpoint is deprecated; ask /v2/rerank",
            "This model is not available in your region",
            "too many documents. Model m will be retired on 2027-02-12",
            "the legacy API key is no longer supported by models of this plan",
            "document 'the model was retired by its makers in spring' is too long for the model",
        ] {
            for status in [400, 404, 422] {
                assert!(!says_so(status, message, &[]), "{message}");
            }
        }
    }
}
