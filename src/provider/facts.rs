//! What is known about providers and their models: `config/providers.toml`, typed.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use serde::Serialize;
use utoipa::ToSchema;

/// Whether a passage's score depends on the other passages of its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Scoring {
    /// A score depends on query and passage alone: pairs may be cached, joined and split over calls.
    Pointwise,
    /// A score depends on the whole list: only the whole ordered list may be cached, and it is never split.
    Listwise,
}

/// What the numbers mean.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum ScoreScale {
    /// 0 to 1, where 1 is certainly relevant.
    Probability,
    /// -1 to 1, a cosine.
    Cosine,
    /// Unbounded; higher is more relevant.
    Logit,
    /// 0 to 1: the share of the highest lexical score that the query could reach. The scale of `local/lexical`.
    Lexical,
    /// Not declared; only the order means something.
    Unknown,
}

impl ScoreScale {
    const ALL: [Self; 5] = [Self::Probability, Self::Cosine, Self::Logit, Self::Lexical, Self::Unknown];

    /// The name in the configuration and in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Probability => "probability",
            Self::Cosine => "cosine",
            Self::Logit => "logit",
            Self::Lexical => "lexical",
            Self::Unknown => "unknown",
        }
    }

    /// The scale of this name.
    #[must_use]
    pub fn by_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|scale| scale.name() == name)
    }

    /// The names of all scales.
    #[must_use]
    pub fn names() -> [&'static str; 5] {
        Self::ALL.map(Self::name)
    }

    /// The lowest and the highest number that a score on this scale can be.
    ///
    /// Sums of floats end a little beyond 1, and those of half precision more. Where the scale has no ends, a million is one: logits of rerankers
    /// are tens, sums over the tokens of a query hundreds.
    #[must_use]
    pub const fn limits(self) -> RangeInclusive<f64> {
        match self {
            Self::Probability | Self::Lexical => -1e-6..=1.0 + 1e-6,
            Self::Cosine => -1.01..=1.01,
            Self::Logit | Self::Unknown => -1e6..=1e6,
        }
    }

    /// [`Self::limits`] in words.
    #[must_use]
    pub const fn limits_in_words(self) -> &'static str {
        match self {
            Self::Probability | Self::Lexical => "0 to 1",
            Self::Cosine => "-1 to 1",
            Self::Logit | Self::Unknown => "-1000000 to 1000000",
        }
    }

    /// The lowest score of the scale, if it has one: that of a passage that holds nothing.
    #[must_use]
    pub const fn floor(self) -> Option<f64> {
        match self {
            Self::Probability | Self::Lexical => Some(0.0),
            Self::Cosine => Some(-1.0),
            Self::Logit | Self::Unknown => None,
        }
    }
}

/// How a model takes an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionSupport {
    /// Not at all: it is dropped, with a warning.
    None,
    /// Written before the query.
    Prepend,
}

/// What a provider charges for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Billing {
    /// Per search unit, in US dollars.
    SearchUnits(f64),
    /// Per million tokens, in US dollars.
    Tokens(f64),
    /// Nothing.
    Free,
    /// Not known.
    Unknown,
}

impl Billing {
    /// What is charged for, in words.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::SearchUnits(_) => "search unit",
            Self::Tokens(_) => "million tokens",
            Self::Free => "free",
            Self::Unknown => "not known",
        }
    }

    /// The price of what was used, in US dollars; `None` if price or usage is not known.
    #[must_use]
    pub fn cost(self, tokens: Option<u64>, search_units: Option<u64>) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        match self {
            Self::SearchUnits(usd) => search_units.map(|units| units as f64 * usd),
            Self::Tokens(usd_per_million) => tokens.map(|tokens| tokens as f64 * usd_per_million / 1e6),
            Self::Free => Some(0.0),
            Self::Unknown => None,
        }
    }
}

/// What is known about one model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelFacts {
    /// Whether scores depend on the list.
    pub scoring: Scoring,
    /// What the numbers mean.
    pub scale: ScoreScale,
    /// How an instruction is taken.
    pub instruction: InstructionSupport,
    /// What is charged for.
    pub billing: Billing,
    /// Most tokens of one call, query counted once a passage; `None` if not capped.
    pub max_call_tokens: Option<usize>,
}

/// What is known about one provider.
#[derive(Clone, Debug)]
pub struct ProviderFacts {
    /// Scheme and host of the hosted service; `None` for software that one runs oneself.
    pub base_url: Option<String>,
    /// Another base URL for keys that start so.
    pub key_hosts: Vec<(String, String)>,
    /// Environment variables that customarily hold the key.
    pub key_variables: Vec<String>,
    /// The model used when none is named.
    pub default_model: Option<String>,
    /// Most passages of one call.
    pub max_passages: usize,
    /// Most bytes of passages in one call.
    pub max_call_bytes: Option<usize>,
    /// Statuses after which another attempt makes sense.
    pub retry_statuses: Vec<u16>,
    /// Whether a blank passage fails the call.
    pub rejects_blank_passages: bool,
    /// What is assumed of models not listed.
    pub other_models: ModelFacts,
    /// The models by the upstream's name.
    pub models: BTreeMap<String, ModelFacts>,
}

impl ProviderFacts {
    /// What is known, or must be assumed, about a model, and whether it is listed.
    #[must_use]
    pub fn model(&self, name: &str) -> (ModelFacts, bool) {
        self.models.get(name).map_or((self.other_models, false), |facts| (*facts, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_cost_is_none_and_never_zero() {
        assert_eq!(Billing::SearchUnits(0.002).cost(Some(5), Some(2)), Some(0.004));
        assert_eq!(Billing::SearchUnits(0.002).cost(Some(5), None), None);
        assert_eq!(Billing::Tokens(0.05).cost(Some(2_000_000), None), Some(0.1));
        assert_eq!(Billing::Unknown.cost(Some(1), Some(1)), None);
        assert_eq!(Billing::Free.cost(None, None), Some(0.0));
    }
}
