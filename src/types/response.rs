//! The result of a rerank, before a dialect gives it a shape.
//!
//! The docs of types that derive `ToSchema` are published: they become the descriptions in `openapi/openapi.json`.

use serde::Serialize;
use utoipa::ToSchema;

use super::facts::ScoreScale;

/// A finished rerank.
#[derive(Clone, Debug)]
pub struct RerankResponse {
    /// The model's name as it was asked for.
    pub model: String,
    /// The results in the order in which they are shown.
    pub ranking: Vec<RankedPassage>,
    /// The provider's charges for this request.
    pub usage: Usage,
    /// Origin and quality of the scores.
    pub provenance: Provenance,
}

/// One passage of a ranking.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankedPassage {
    /// Place in the client's list, from 0.
    pub position: usize,
    /// The relevance score; higher is more relevant. `None` in an answer that was not reranked, for passages that were
    /// refused or not scored in time, and for blank passages on a scale without a floor.
    pub score: Option<f64>,
    /// Source of the score, or the reason why there is none.
    pub source: ScoreSource,
}

/// How a score became known.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, ToSchema)]
#[serde(rename_all = "snake_case")]
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
    /// The passage is blank and the provider refuses blank passages: it has the floor of the scale.
    Blank,
    /// It is not known.
    Unscored,
}

/// A provider's charges. A part is `None` if the provider did not report it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    /// Tokens read, in the provider's own count.
    pub tokens: Option<u64>,
    /// Search units billed (Cohere: one query with up to 100 passages).
    pub search_units: Option<u64>,
    /// US dollars at the list price of the registry; `None` where price or usage is unknown.
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

/// Where the scores of an answer come from.
#[derive(Clone, Debug, Serialize, ToSchema)]
pub struct Provenance {
    /// The upstream that scored; null when the answer was not reranked.
    pub upstream: Option<String>,
    /// The upstream's name for the model.
    pub upstream_model: Option<String>,
    /// What the numbers mean. Scores of different scales, models or upstreams are not comparable.
    pub score_scale: Option<ScoreScale>,
    /// False when the results stand in input order without scores.
    pub reranked: bool,
    /// Why the answer is less than what was asked for; empty in a good answer.
    #[schema(example = json!([]))]
    pub degraded: Vec<&'static str>,
    /// How the distinct query-passage pairs of the request became known.
    pub pairs: PairCounts,
    /// Targets that were given up before the answer. Above 0 the scores may be of another model and scale than usual.
    pub fallbacks: usize,
    /// HTTP attempts made upstream, retries included.
    pub attempts: u32,
    /// Where the time went, in milliseconds.
    pub timings_ms: Timings,
    /// US dollars at list price; null where the price or the usage is not known.
    pub cost_usd: Option<f64>,
    /// What could not be done as asked.
    pub warnings: Vec<String>,
    /// The targets tried, in order; only with `explain`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub trail: Vec<Leg>,
}

/// Counts of distinct pairs; equal passages are one pair. The others add up to `total`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, ToSchema)]
pub struct PairCounts {
    /// Distinct pairs in the request (in an answer in input order: its documents).
    pub total: usize,
    /// Known from the cache.
    pub hit: usize,
    /// Computed by another request that was under way.
    pub coalesced: usize,
    /// Computed for this request: exactly what was sent upstream.
    pub scored: usize,
    /// Known from the cache, but too old to be used but for want of anything better.
    pub stale: usize,
    /// Not scored by a model (blank passages, passages that the provider refuses, or an answer that is less than what
    /// was asked for).
    pub unscored: usize,
}

impl PairCounts {
    /// Counts one pair by its source; `total` is left alone.
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
}

/// Where the time went, in milliseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, ToSchema)]
pub struct Timings {
    /// Keys and cache look-ups.
    pub cache: f64,
    /// Waiting for upstreams, retries included.
    pub upstream: f64,
    /// From the first byte of the request to the finished ranking.
    pub total: f64,
}

/// One target that was tried.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, ToSchema)]
pub struct Leg {
    /// The upstream's configured name.
    pub upstream: String,
    /// The upstream's name for the model.
    pub upstream_model: String,
    /// `ok`, or the code of the error.
    pub outcome: &'static str,
}
