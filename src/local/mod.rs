//! The embedded scorer: what a newcomer without a key sees, and the last target when every provider is down.
//!
//! Needs no key, no network and no files. A model of it is a function from a query and a list of passages to scores; today there
//! is one, `lexical`.

pub mod lexical;

use crate::provider::{Billing, InstructionSupport, ModelFacts, ScoreScale, Scoring};

/// The upstream's name: `local`, and `local/MODEL` for one of its models.
pub const NAME: &str = "local";

/// A model of the embedded scorer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalModel {
    /// BM25 with a background IDF; every language.
    Lexical,
}

impl LocalModel {
    /// Every model, the default first.
    pub const ALL: [Self; 1] = [Self::Lexical];

    /// The model's name behind `local/`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Lexical => "lexical",
        }
    }

    /// The model of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.name() == name)
    }

    /// What the pipeline must know about the model.
    #[must_use]
    pub const fn facts(self) -> ModelFacts {
        match self {
            Self::Lexical => ModelFacts {
                scoring: Scoring::Listwise,
                scale: ScoreScale::Lexical,
                instruction: InstructionSupport::None,
                billing: Billing::Free,
                max_call_tokens: None,
            },
        }
    }

    /// The score of each passage. Burns a processor for about 15 µs a kilobyte: large lists belong off the reactor.
    #[must_use]
    pub fn score(self, query: &str, passages: &[&str]) -> Vec<f64> {
        match self {
            Self::Lexical => lexical::score(query, passages),
        }
    }
}
