//! The embedded scorer as the pipeline sees it: its models, their mix, and the traits of the two scorers behind them.
//!
//! ```text
//!  hybrid          lexical over the list, then the cross-encoder over the head of it, then the mix of both
//!  lexical         a ListScorer: no files, every language
//!  cross-encoder   a PairScorer: behind the same stack of policies as a provider (`upstream/in_process.rs`)
//! ```
//!
//! The scorers themselves are in the `local` crate, so the pipeline needs neither a tokenizer nor an ONNX runtime.

pub mod hybrid;
mod scorers;

use self::hybrid::HybridSettings;
pub use self::scorers::{CrossEncoderParts, EmbeddedScorers, ListScorer, PairModel, PairScorer};
use crate::types::facts::{Billing, InstructionSupport, ModelFacts, ScoreScale, Scoring};

/// The upstream's name. `local/MODEL` is the address of one of its models.
pub const NAME: &str = "local";

/// Revision of the scores of the embedded models. It is part of their score space and changes with every change of
/// their values, so that kept scores of an earlier version are not mixed with new ones.
pub const SCORES_REVISION: &str = "2";

/// The end of an error about something that needs the cross-encoder where there is none, with the way out.
pub const NEEDS_CROSS_ENCODER: &str = if cfg!(feature = "cross-encoder") {
    "needs a cross-encoder, and there is none; `rerankd model fetch` gets one, local.model_dir says where it is"
} else {
    "needs the cross-encoder, which is not in this build; `cargo build --release --features cross-encoder` builds it in"
};

/// A model of the embedded scorer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LocalModel {
    /// The cross-encoder over the lexical best, for queries in a script that it knows; else the lexical scorer.
    Hybrid,
    /// BM25 with a background IDF; every language.
    Lexical,
    /// The cross-encoder over every passage.
    CrossEncoder,
}

impl LocalModel {
    /// All models. The first that is available is the default.
    pub const ALL: [Self; 3] = [Self::Hybrid, Self::Lexical, Self::CrossEncoder];

    /// The models that are available with or without a cross-encoder, the default first.
    pub fn at_hand(with_cross_encoder: bool) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |model| with_cross_encoder || !model.needs_cross_encoder())
    }

    /// Returns true if the model needs the weights of a cross-encoder.
    #[must_use]
    pub const fn needs_cross_encoder(self) -> bool {
        !matches!(self, Self::Lexical)
    }

    /// The model's name, which follows `local/`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Hybrid => "hybrid",
            Self::Lexical => "lexical",
            Self::CrossEncoder => "cross-encoder",
        }
    }

    /// The model of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.name() == name)
    }

    /// The properties of the model that the pipeline depends on.
    #[must_use]
    pub const fn facts(self) -> ModelFacts {
        let (scoring, scale) = match self {
            Self::Hybrid => (Scoring::Listwise, ScoreScale::Probability),
            Self::Lexical => (Scoring::Listwise, ScoreScale::Lexical),
            Self::CrossEncoder => (Scoring::Pointwise, ScoreScale::Probability),
        };
        ModelFacts {
            scoring,
            scale,
            instruction: InstructionSupport::None,
            billing: Billing::Free,
            price_date: None,
            max_call_tokens: None,
            max_passages: None,
        }
    }
}
