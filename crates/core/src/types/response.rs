//! The result of a rerank, before a dialect gives it a shape.

use std::time::Duration;

use super::date::Date;
use super::facts::ScoreScale;
use super::outcomes::{DegradedReason, TargetOutcome};

/// A finished rerank.
#[derive(Clone, Debug)]
pub struct RerankResponse {
    /// The model's name as it was asked for.
    pub model: String,
    /// The results in the order in which they are shown.
    pub ranking: Vec<RankedPassage>,
    /// An explanation for each result, in the order of `ranking`; empty unless the request says `explain`.
    pub explanations: Vec<ResultExplanation>,
    /// The provider's charges for this request.
    pub usage: Usage,
    /// Origin and quality of the scores.
    pub provenance: Provenance,
}

impl RerankResponse {
    /// The score of `ranked` as answers may show it; `None` if it has none, as all results of a selector: what these
    /// have is made of their ranks.
    #[must_use]
    pub fn score_of(&self, ranked: &RankedPassage) -> Option<f64> {
        match self.provenance.score_scale {
            Some(scale) if !scale.has_scores() => None,
            _ => ranked.score,
        }
    }
}

/// One passage of a ranking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankedPassage {
    /// Position in the client's list, from 0.
    pub position: usize,
    /// The relevance score; higher is more relevant. A selector's is made of the rank of its pick, 0 for a passage that
    /// it left out; [`RerankResponse::score_of`] hides it. `None` in an answer that was not reranked, for passages that
    /// were refused or not scored in time, and for blank passages on a scale without a floor.
    pub score: Option<f64>,
    /// Source of the score, or the reason why there is none.
    pub source: ScoreSource,
}

/// The text that a result was scored for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ResultExplanation {
    /// Characters of the text that the score was computed for; 0 if a model gave none.
    pub scored_characters: usize,
    /// True if a beginning of the passage alone was scored, false if all of it was; `None` where a provider may have
    /// read less than it was sent.
    pub is_truncated: Option<bool>,
    /// The chunk whose score counts; `None` for a passage that is scored in one piece.
    pub chunk: Option<CountingChunk>,
    /// Words of the query that the lexical scorer found in the passage, normalised, each once, in the query's order;
    /// `None` for other models.
    pub matched_words: Option<Vec<String>>,
    /// True if a selector picked the passage, false if it left it out; `None` for models that give scores.
    pub is_picked: Option<bool>,
}

/// The chunk of a passage whose score counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct CountingChunk {
    /// Number of the chunk, from 1.
    pub number: usize,
    /// Number of all chunks of the passage.
    pub of: usize,
}

/// The source of a score, or the reason why there is none.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ScoreSource {
    /// It was in the cache.
    Cache,
    /// It was computed for this request.
    Scored,
    /// It was computed for another request that was under way.
    Coalesced,
    /// It was in the cache, too old to be used but for want of anything better.
    Stale,
    /// The provider takes the other passages but not this one.
    Refused,
    /// The passage is blank and the model must not see blank passages: it has the floor of the scale.
    Blank,
    /// It is not known.
    Unscored,
}

impl ScoreSource {
    /// Every source.
    pub const ALL: [Self; 7] =
        [Self::Cache, Self::Scored, Self::Coalesced, Self::Stale, Self::Refused, Self::Blank, Self::Unscored];

    /// Name in answers.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cache => "cache",
            Self::Scored => "scored",
            Self::Coalesced => "coalesced",
            Self::Stale => "stale",
            Self::Refused => "refused",
            Self::Blank => "blank",
            Self::Unscored => "unscored",
        }
    }
}

/// A provider's charges. A part is `None` if the provider did not report it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Tokens read, in the provider's own count.
    pub tokens: Option<u64>,
    /// Search units billed (Cohere: one query with up to 100 passages).
    pub search_units: Option<u64>,
    /// US dollars: what the provider says that it charged, else the list price of the registry; `None` where neither is
    /// known.
    pub cost_usd: Option<f64>,
}

impl Usage {
    /// Nothing was sent, so nothing was charged.
    pub const NOTHING: Self = Self { tokens: Some(0), search_units: Some(0), cost_usd: Some(0.0) };

    /// The sum of two charges; a part that is unknown makes the sum unknown.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        let tokens = match (self.tokens, other.tokens) {
            (Some(left), Some(right)) => Some(left.saturating_add(right)),
            _ => None,
        };
        let search_units = match (self.search_units, other.search_units) {
            (Some(left), Some(right)) => Some(left.saturating_add(right)),
            _ => None,
        };
        let cost_usd = match (self.cost_usd, other.cost_usd) {
            (Some(left), Some(right)) => Some(left + right),
            _ => None,
        };
        Self { tokens, search_units, cost_usd }
    }
}

/// Origin and quality of the scores of an answer. The default is that of an answer without scores.
#[derive(Clone, Debug, Default)]
pub struct Provenance {
    /// The configured name of the upstream that scored; `None` if the answer was not reranked.
    pub upstream: Option<String>,
    /// The upstream's name for the model; `None` if the answer was not reranked.
    pub upstream_model: Option<String>,
    /// Scale of the scores; `None` if the answer was not reranked.
    pub score_scale: Option<ScoreScale>,
    /// True if the model that was asked for is unknown and the default one answered in its place.
    pub model_substituted: bool,
    /// False if the results stand in input order without scores.
    pub reranked: bool,
    /// Reasons why the answer is less than what was asked for; empty for a good answer.
    pub degraded: Vec<DegradedReason>,
    /// Counts of the request's distinct query-passage pairs, by the source of their scores.
    pub pairs: PairCounts,
    /// Number of targets that were given up before the answer. Above 0 the scores may be of another model and scale
    /// than usual.
    pub fallbacks: usize,
    /// Number of HTTP attempts upstream, retries included.
    pub attempts: u32,
    /// Time taken by the parts of the request.
    pub timings: Timings,
    /// The charges for the answer, and those that the cache saved.
    pub cost: AnswerCost,
    /// Parts of the request that could not be done as asked, in a sentence each.
    pub warnings: Vec<String>,
    /// Targets tried, in order; empty unless the request says `explain`.
    pub targets_tried: Vec<TargetTried>,
}

/// The charges for an answer, and those that known scores saved.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct AnswerCost {
    /// US dollars charged for the calls of this request, at all targets; `None` if the price or the usage is unknown.
    pub spent_usd: Option<f64>,
    /// US dollars that the scores from the cache and from calls of other requests would have cost beside those, at the
    /// target that answers.
    pub saved: Saved,
    /// Date of the price list; `None` if it is not known, or if the target costs nothing.
    pub price_date: Option<Date>,
}

/// An amount that was not charged.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Saved {
    /// US dollars, 0 or more; `None` if the price is unknown.
    pub usd: Option<f64>,
    /// True if the amount rests on a count of tokens that the provider never made.
    pub is_estimate: bool,
}

impl Saved {
    /// Nothing was saved.
    pub const NOTHING: Self = Self { usd: Some(0.0), is_estimate: false };
}

/// Counts of distinct pairs; equal passages are one pair. The others add up to `total`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PairCounts {
    /// Distinct pairs in the request (in an answer in input order: its documents).
    pub total: usize,
    /// Pairs known from the cache.
    pub hit: usize,
    /// Pairs computed by another request that was under way.
    pub coalesced: usize,
    /// Pairs computed for this request: exactly those sent upstream, less the known ones that were refreshed for free.
    pub scored: usize,
    /// Pairs known from the cache, but expired and used for want of anything better.
    pub stale: usize,
    /// Pairs not scored by a model (blank passages, passages that the provider refuses, or an answer that is less than
    /// what was asked for).
    pub unscored: usize,
}

impl PairCounts {
    /// Counts one pair by its source. `total` is left alone: it is the number of pairs of the plan. A blank pair is
    /// `unscored` even where it has the floor of the scale, because no model gave it.
    pub fn count(&mut self, source: ScoreSource) {
        let counter = match source {
            ScoreSource::Cache => &mut self.hit,
            ScoreSource::Coalesced => &mut self.coalesced,
            ScoreSource::Scored => &mut self.scored,
            ScoreSource::Stale => &mut self.stale,
            ScoreSource::Blank | ScoreSource::Refused | ScoreSource::Unscored => &mut self.unscored,
        };
        *counter += 1;
    }

    /// The counts by their word in metrics, without the total.
    #[must_use]
    pub const fn by_outcome(self) -> [(&'static str, usize); 5] {
        [
            ("hit", self.hit),
            ("coalesced", self.coalesced),
            ("scored", self.scored),
            ("stale", self.stale),
            ("unscored", self.unscored),
        ]
    }
}

/// Time taken by the parts of a request, summed over its targets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Timings {
    /// Time for keys and cache look-ups.
    pub cache: Duration,
    /// Time of waiting for upstreams, retries included.
    pub upstream: Duration,
    /// Time from the first byte of the request to the finished ranking.
    pub total: Duration,
}

/// One target that was tried.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TargetTried {
    /// The upstream's configured name.
    pub upstream: String,
    /// The upstream's name for the model.
    pub upstream_model: String,
    /// Success, or the kind of the failure.
    pub outcome: TargetOutcome,
}

/// Milliseconds of a time, rounded to a microsecond.
#[must_use]
pub fn milliseconds(time: Duration) -> f64 {
    (time.as_secs_f64() * 1e6).round() / 1e3
}
