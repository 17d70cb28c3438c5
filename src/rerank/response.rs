//! What came out, before any dialect gives it a shape.

use serde::Serialize;
use utoipa::ToSchema;

use crate::provider::ScoreScale;

/// A finished rerank.
#[derive(Clone, Debug)]
pub struct RerankResponse {
    /// The model's name as it was asked for.
    pub model: String,
    /// The results in the order in which they are shown.
    pub ranking: Vec<RankedPassage>,
    /// What the provider charged for this request.
    pub usage: Usage,
    /// Where the scores come from.
    pub provenance: Provenance,
}

/// One result.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RankedPassage {
    /// Place in the client's list, from 0.
    pub position: usize,
    /// Higher is more relevant; `None` in an answer that was not reranked, and for blank passages on a scale without a floor.
    pub score: Option<f64>,
    /// How the score became known.
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

/// What the provider charged. `None` where the provider did not say.
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
        Self {
            tokens: self.tokens.zip(other.tokens).map(|(left, right)| left.saturating_add(right)),
            search_units: self.search_units.zip(other.search_units).map(|(left, right)| left.saturating_add(right)),
            cost_usd: self.cost_usd.zip(other.cost_usd).map(|(left, right)| left + right),
        }
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
    /// Not scored by a model (blank passages, passages that the provider refuses, or an answer that is less than what was asked for).
    pub unscored: usize,
}

impl PairCounts {
    /// One more pair, beside the total.
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
