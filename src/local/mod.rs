//! The embedded scorer: what a newcomer without a key sees, and the last target when every provider is down.
//!
//! Needs no key and no network. `lexical` needs no files either and ranks every language; where the weights of a cross-encoder are at hand, `hybrid`
//! lets it read the passages that `lexical` finds best, and `cross-encoder` is that model by itself.

pub mod cross_encoder;
pub mod hybrid;
pub mod lexical;
pub mod workers;

use std::num::NonZeroUsize;
use std::sync::Arc;

use self::workers::Workers;
use crate::config::settings::LocalSettings;
use crate::provider::{Billing, InstructionSupport, ModelFacts, ScoreScale, Scoring};
use crate::route::Target;
use crate::telemetry::metrics::Metrics;
use crate::upstream::{Backend, Embedded, Upstream};

/// The upstream's name: `local`, and `local/MODEL` for one of its models.
pub const NAME: &str = "local";

/// What is wrong with asking for a model whose weights are not there, and the way out.
pub(crate) const NEEDS_WEIGHTS: &str =
    "needs a cross-encoder, and there is none; scripts/fetch-model gets one, local.model_dir says where it is";

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
    /// Every model; the first that is at hand is meant where none is named.
    pub const ALL: [Self; 3] = [Self::Hybrid, Self::Lexical, Self::CrossEncoder];

    /// The models at hand, the one that is meant where none is named first.
    pub fn at_hand(with_cross_encoder: bool) -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(move |model| with_cross_encoder || !model.needs_cross_encoder())
    }

    /// Whether the model needs weights.
    #[must_use]
    pub const fn needs_cross_encoder(self) -> bool {
        !matches!(self, Self::Lexical)
    }

    /// The model's name behind `local/`.
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

    /// What the pipeline must know about the model.
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
            max_call_tokens: None,
        }
    }
}

/// The embedded scorer as an upstream. Nothing is read before it is used.
///
/// # Errors
/// A sentence: the model's directory has no address.
pub fn upstream(settings: &LocalSettings, metrics: &Metrics) -> Result<Upstream, String> {
    let cross_encoder = settings.cross_encoder.as_ref().map(|settings| cross_encoder::upstream(settings, metrics));
    let embedded = Embedded {
        settings: settings.clone(),
        cross_encoder: cross_encoder.transpose()?.map(Arc::new),
        workers: Workers::new(processors()),
    };
    Ok(Upstream { name: NAME.to_owned(), backend: Backend::Local(Box::new(embedded)) })
}

/// Processors that this process may use.
fn processors() -> usize {
    std::thread::available_parallelism().map_or(1, NonZeroUsize::get)
}

/// What to tell whoever uses `target` and may not know that there could be a better one; nothing if they decided so.
#[must_use]
pub fn lacking(target: &Target) -> Option<&'static str> {
    let Backend::Local(embedded) = &target.upstream.backend else { return None };
    let is_wanted = embedded.cross_encoder.is_none() && !embedded.settings.is_declined;
    (is_wanted && target.model == LocalModel::Lexical.name())
        .then_some("no cross-encoder was found, so local is local/lexical; scripts/fetch-model gets one (34 MB)")
}

/// The models of the embedded scorer, the one that is meant where none is named first.
pub fn models(embedded: &Embedded) -> impl Iterator<Item = LocalModel> {
    LocalModel::at_hand(embedded.cross_encoder.is_some())
}
