//! Typed facts about providers and their models, as `config/providers/` declares them.

use std::collections::BTreeMap;
use std::ops::RangeInclusive;

use super::date::Date;
use super::error_rule::ErrorRule;
use super::lifecycle::Lifecycle;

/// The dependence of a passage's score on the other passages of its list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scoring {
    /// A score depends on query and passage alone: pairs may be cached, shared and split over calls.
    Pointwise,
    /// A score depends on the whole list: the ordered list is cached as a whole and never split.
    Listwise,
    /// There are no scores: a reply names the passages of the list that the model picks, in its order. The scores of a
    /// plan are made of their ranks then; no answer shows them.
    Selector,
}

impl Scoring {
    /// The kinds of scoring by their names in the configuration.
    pub const NAMES: [(&'static str, Self); 3] = [
        (Self::Pointwise.name(), Self::Pointwise),
        (Self::Listwise.name(), Self::Listwise),
        (Self::Selector.name(), Self::Selector),
    ];

    /// Name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pointwise => "pointwise",
            Self::Listwise => "listwise",
            Self::Selector => "selector",
        }
    }

    /// Returns true if an answer holds for one whole ordered list alone: it is cached as a whole and never split.
    #[must_use]
    pub const fn is_of_list(self) -> bool {
        match self {
            Self::Pointwise => false,
            Self::Listwise | Self::Selector => true,
        }
    }
}

/// The meaning of a model's scores.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ScoreScale {
    /// 0 to 1, where 1 is certainly relevant.
    Probability,
    /// -1 to 1, a cosine.
    Cosine,
    /// Unbounded.
    Logit,
    /// 0 to 1, as a share of the highest lexical score that the query could reach. The scale of `local/lexical`.
    Lexical,
    /// Not declared: only the order of scores has a meaning.
    Unknown,
    /// There are no scores, only an order. The scale of selectors ([`Scoring::Selector`]) and of no other model.
    None,
}

impl ScoreScale {
    /// The scales by their names in the configuration and in answers.
    pub const NAMES: [(&'static str, Self); 6] = [
        (Self::Probability.name(), Self::Probability),
        (Self::Cosine.name(), Self::Cosine),
        (Self::Logit.name(), Self::Logit),
        (Self::Lexical.name(), Self::Lexical),
        (Self::Unknown.name(), Self::Unknown),
        (Self::None.name(), Self::None),
    ];

    /// Name in the configuration and in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Probability => "probability",
            Self::Cosine => "cosine",
            Self::Logit => "logit",
            Self::Lexical => "lexical",
            Self::Unknown => "unknown",
            Self::None => "none",
        }
    }

    /// Returns true if answers have scores of this scale.
    #[must_use]
    pub const fn has_scores(self) -> bool {
        !matches!(self, Self::None)
    }

    /// The range of valid scores.
    ///
    /// A little wider than the scale: sums of floats exceed 1 by a little, and those in half precision by more. A scale
    /// without ends gets a million: logits of rerankers are tens, and sums over the tokens of a query are hundreds.
    #[must_use]
    pub const fn limits(self) -> RangeInclusive<f64> {
        match self {
            // Those of a selector are made of ranks, from 1 down to 0.
            Self::Probability | Self::Lexical | Self::None => -1e-6..=1.0 + 1e-6,
            Self::Cosine => -1.01..=1.01,
            Self::Logit | Self::Unknown => -1e6..=1e6,
        }
    }

    /// [`Self::limits`] in words.
    #[must_use]
    pub const fn limits_in_words(self) -> &'static str {
        match self {
            Self::Probability | Self::Lexical | Self::None => "0 to 1",
            Self::Cosine => "-1 to 1",
            Self::Logit | Self::Unknown => "-1000000 to 1000000",
        }
    }

    /// The lowest score of the scale, if it has one. Blank passages that are not sent get it.
    #[must_use]
    pub const fn floor(self) -> Option<f64> {
        match self {
            Self::Probability | Self::Lexical => Some(0.0),
            Self::Cosine => Some(-1.0),
            Self::Logit | Self::Unknown | Self::None => None,
        }
    }
}

/// The way in which a model takes an instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InstructionSupport {
    /// Not supported: the instruction is dropped, with a warning.
    None,
    /// Prepended to the query.
    Prepend,
    /// Sent in a field of the request.
    Field,
}

impl InstructionSupport {
    /// The ways by their names in the configuration.
    pub const NAMES: [(&'static str, Self); 3] =
        [("none", Self::None), ("prepend", Self::Prepend), ("field", Self::Field)];
}

/// Documents of a search unit, in which Cohere bills its models up to version 4: a call of 1 to 100 documents is one
/// unit, of 101 to 200 two.
pub const SEARCH_UNIT_DOCUMENTS: usize = 100;
/// Tokens, the query's included, above which Cohere's price list counts a document as several: once for each started
/// 500.
pub const BILLED_DOCUMENT_TOKENS: usize = 500;

/// The price of a model's use.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Billing {
    /// US dollars per search unit.
    SearchUnits(f64),
    /// US dollars per million tokens.
    Tokens(f64),
    /// US dollars per call that succeeds, whatever its size.
    Calls(f64),
    /// No charge.
    Free,
    /// Price not declared.
    Unknown,
}

impl Billing {
    /// The charged unit in words.
    #[must_use]
    pub const fn unit(self) -> &'static str {
        match self {
            Self::SearchUnits(_) => "search unit",
            Self::Tokens(_) => "million tokens",
            Self::Calls(_) => "call",
            Self::Free => "free",
            Self::Unknown => "not known",
        }
    }

    /// The price in US dollars of `calls` with the given usage in all. `None` if the price, or the usage that it
    /// depends on, is unknown.
    #[must_use]
    pub fn cost(self, calls: u64, tokens: Option<u64>, search_units: Option<u64>) -> Option<f64> {
        #[expect(clippy::cast_precision_loss, reason = "counts are far below 2^52")]
        match self {
            Self::SearchUnits(usd) => Some(search_units? as f64 * usd),
            Self::Tokens(usd_per_million) => Some(tokens? as f64 * usd_per_million / 1e6),
            Self::Calls(usd) => Some(calls as f64 * usd),
            Self::Free => Some(0.0),
            Self::Unknown => None,
        }
    }
}

/// The facts about one model.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct ModelFacts {
    /// Dependence of scores on the list.
    pub scoring: Scoring,
    /// Scale of the scores.
    pub scale: ScoreScale,
    /// Support for instructions.
    pub instruction: InstructionSupport,
    /// Price of scoring.
    pub billing: Billing,
    /// Date of the price list that `billing` is from; `None` if it is not declared.
    pub price_date: Option<Date>,
    /// Most tokens of one call, with the query counted once per passage. `None` if there is no limit.
    pub max_call_tokens: Option<usize>,
    /// Most passages in one call; `None` if the provider's limit holds.
    pub max_passages: Option<usize>,
}

/// The facts about one provider.
#[derive(Clone, Debug)]
pub struct ProviderFacts {
    /// Scheme and host of the hosted service. `None` for self-hosted software.
    pub base_url: Option<String>,
    /// Prefixes of keys that belong to another host, each with that host's base URL.
    pub key_hosts: Vec<(String, String)>,
    /// Environment variables that customarily hold the key.
    pub key_variables: Vec<String>,
    /// Model for upstreams that name none.
    pub default_model: Option<String>,
    /// Most passages in one call; a model may have a limit of its own ([`ModelFacts::max_passages`]).
    pub max_passages: usize,
    /// Most bytes of passages in one call. `None` if there is no limit.
    pub max_call_bytes: Option<usize>,
    /// Most characters of one call, with the query counted once. `None` if there is no limit. A character is a Unicode
    /// scalar value, here and below.
    pub max_call_characters: Option<usize>,
    /// Most characters of a passage. `None` if there is no limit.
    pub max_passage_characters: Option<usize>,
    /// Most characters of the query as it is sent. `None` if there is no limit.
    pub max_query_characters: Option<usize>,
    /// HTTP statuses that justify another attempt.
    pub retry_statuses: Vec<u16>,
    /// True if the model must not see blank passages: they fail the whole call, or their scores mean nothing.
    pub rejects_blank_passages: bool,
    /// Facts assumed of models that are not listed.
    pub other_models: ModelFacts,
    /// The listed models, by their names at the provider.
    pub models: BTreeMap<String, ModelFacts>,
    /// The end of models, by their names at the provider. Most have none.
    pub lifecycles: BTreeMap<String, Lifecycle>,
    /// The end of the whole hosted service.
    pub service_lifecycle: Lifecycle,
    /// Rules by which failures are sorted.
    pub error_rules: Vec<ErrorRule>,
}

impl ProviderFacts {
    /// A provider of which nothing is known but the facts of its models: no address, no key, no limit.
    #[must_use]
    pub fn unlimited(other_models: ModelFacts) -> Self {
        Self {
            base_url: None,
            key_hosts: Vec::new(),
            key_variables: Vec::new(),
            default_model: None,
            max_passages: usize::MAX,
            max_call_bytes: None,
            max_call_characters: None,
            max_passage_characters: None,
            max_query_characters: None,
            retry_statuses: Vec::new(),
            rejects_blank_passages: false,
            other_models,
            models: BTreeMap::new(),
            lifecycles: BTreeMap::new(),
            service_lifecycle: Lifecycle::default(),
            error_rules: Vec::new(),
        }
    }

    /// The facts about a model, and true if it is listed, false if they are assumed.
    #[must_use]
    pub fn model(&self, name: &str) -> (ModelFacts, bool) {
        match self.models.get(name) {
            Some(facts) => (*facts, true),
            None => (self.other_models, false),
        }
    }

    /// The model that really answers for the one of this name: itself, unless the provider put another in its place.
    #[must_use]
    pub fn answering<'a>(&'a self, name: &'a str) -> &'a str {
        match self.lifecycles.get(name) {
            Some(lifecycle) => lifecycle.answering(name),
            None => name,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_cost_is_none_and_never_zero() {
        assert_eq!(Billing::SearchUnits(0.002).cost(1, Some(5), Some(2)), Some(0.004));
        assert_eq!(Billing::SearchUnits(0.002).cost(1, Some(5), None), None);
        assert_eq!(Billing::Tokens(0.05).cost(1, Some(2_000_000), None), Some(0.1));
        assert_eq!(Billing::Calls(0.002).cost(3, None, None), Some(0.006));
        assert_eq!(Billing::Unknown.cost(1, Some(1), Some(1)), None);
        assert_eq!(Billing::Free.cost(1, None, None), Some(0.0));
    }
}
