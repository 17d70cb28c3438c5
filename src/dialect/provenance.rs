//! The origin of an answer's scores, as answers write it.
//!
//! The docs of types that derive `ToSchema` are published: they become the descriptions in `openapi/openapi.json`.

use rerankd_core::types::date::Date;
use rerankd_core::types::facts::ScoreScale;
use rerankd_core::types::response::{
    AnswerCost, PairCounts, Provenance, ScoreSource, TargetTried, Timings, milliseconds,
};
use serde::{Serialize, Serializer};
use utoipa::openapi::RefOr;
use utoipa::openapi::schema::{ObjectBuilder, Schema, Type};
use utoipa::{PartialSchema, ToSchema};

/// The currency of all amounts.
pub(crate) const CURRENCY: &str = "USD";

/// Origin and quality of the scores.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Provenance)]
pub(crate) struct ProvenanceBody<'a> {
    /// Name of the upstream that scored; null when the answer was not reranked.
    upstream: Option<&'a str>,
    /// The upstream's name for the model.
    upstream_model: Option<&'a str>,
    /// True when the model that was asked for is unknown and the default one answered in its place; absent otherwise.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    model_substituted: bool,
    /// Scale of the scores. Scores of different scales, models or upstreams are not comparable.
    score_scale: Option<ScoreScaleName>,
    /// False when the results stand in input order without scores.
    reranked: bool,
    /// Reasons why the answer is less than what was asked for; empty in a good answer.
    #[schema(example = json!([]))]
    degraded: Vec<&'static str>,
    /// Counts of the request's distinct query-passage pairs, by the source of their scores.
    pairs: PairCountsBody,
    /// Number of targets that were given up before the answer. Above 0 the scores may be of another model and scale
    /// than usual.
    fallbacks: usize,
    /// Number of HTTP attempts upstream, retries included.
    attempts: u32,
    /// Times of the parts of the request, in milliseconds.
    timings_ms: TimingsBody,
    /// Charges for the answer, and those that the cache saved.
    cost: CostBody<'a>,
    /// Parts of the request that could not be done as asked, in a sentence each.
    warnings: &'a [String],
    /// The targets tried, in order; only with `explain`.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    trail: Vec<TargetTriedBody<'a>>,
}

/// Counts of distinct pairs; equal passages are one pair. The others add up to `total`.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = PairCounts)]
struct PairCountsBody {
    /// Distinct pairs in the request (in an answer in input order: its documents).
    total: usize,
    /// Known from the cache.
    hit: usize,
    /// Computed by another request that was under way.
    coalesced: usize,
    /// Computed for this request: exactly what was sent upstream for it. Known pairs that a paid call refreshes for
    /// free are hits.
    scored: usize,
    /// Known from the cache, but too old to be used but for want of anything better.
    stale: usize,
    /// Not scored by a model (blank passages, passages that the provider refuses, or an answer that is less than what
    /// was asked for).
    unscored: usize,
}

/// Times of the parts of the request, in milliseconds.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Timings)]
struct TimingsBody {
    /// Time for keys and cache look-ups.
    cache: f64,
    /// Time of waiting for upstreams, retries included.
    upstream: f64,
    /// Time from the first byte of the request to the finished ranking.
    total: f64,
}

/// Charges for an answer at list price, and those that the cache saved.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = AnswerCost)]
struct CostBody<'a> {
    /// Amount charged for the calls of this request; null where the price or the usage is not known.
    #[schema(example = 0.002)]
    spent_usd: Option<f64>,
    /// Amount that the answer would have cost beside that without the cache and without calls shared with other
    /// requests, in the unit in which the provider bills; null where the price is not known. 99 known pairs and a new
    /// one save nothing where a call of up to 100 documents is one unit.
    #[schema(example = 0.0)]
    saved_usd: Option<f64>,
    /// True if `saved_usd` rests on estimated tokens: of known pairs, or of documents that may count as several.
    #[schema(example = false)]
    saved_is_estimate: bool,
    /// Currency of the amounts.
    #[schema(example = "USD")]
    currency: &'static str,
    /// Date of the price list; null where it is not known or the model costs nothing.
    #[schema(example = "2026-11-28")]
    price_date: Option<&'a str>,
}

/// One target that was tried.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = Leg)]
struct TargetTriedBody<'a> {
    /// The upstream's configured name.
    upstream: &'a str,
    /// The upstream's name for the model.
    upstream_model: &'a str,
    /// `ok`, or the code of the error.
    outcome: &'static str,
}

/// A scale of scores, written as its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScoreScaleName(pub(crate) ScoreScale);

/// A source of a score, written as its name.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ScoreSourceName(pub(crate) ScoreSource);

impl<'a> ProvenanceBody<'a> {
    /// The body of `provenance`, with the scale in which the answer gives its scores.
    pub(super) fn new(provenance: &'a Provenance, score_scale: Option<ScoreScale>) -> Self {
        // Neither list allocates in a good answer: both are empty then.
        let mut degraded = Vec::with_capacity(provenance.degraded.len());
        for reason in &provenance.degraded {
            degraded.push(reason.code());
        }
        let mut trail = Vec::with_capacity(provenance.targets_tried.len());
        for target in &provenance.targets_tried {
            trail.push(TargetTriedBody::of(target));
        }
        Self {
            upstream: provenance.upstream.as_deref(),
            upstream_model: provenance.upstream_model.as_deref(),
            model_substituted: provenance.model_substituted,
            score_scale: score_scale.map(ScoreScaleName),
            reranked: provenance.reranked,
            degraded,
            pairs: PairCountsBody::of(provenance.pairs),
            fallbacks: provenance.fallbacks,
            attempts: provenance.attempts,
            timings_ms: TimingsBody::of(provenance.timings),
            cost: CostBody::of(&provenance.cost),
            warnings: &provenance.warnings,
            trail,
        }
    }
}

impl PairCountsBody {
    fn of(counts: PairCounts) -> Self {
        let PairCounts { total, hit, coalesced, scored, stale, unscored } = counts;
        Self { total, hit, coalesced, scored, stale, unscored }
    }
}

impl<'a> CostBody<'a> {
    fn of(cost: &'a AnswerCost) -> Self {
        Self {
            spent_usd: cost.spent_usd,
            saved_usd: cost.saved.usd,
            saved_is_estimate: cost.saved.is_estimate,
            currency: CURRENCY,
            price_date: cost.price_date.as_ref().map(Date::as_str),
        }
    }
}

impl TimingsBody {
    fn of(timings: Timings) -> Self {
        Self {
            cache: milliseconds(timings.cache),
            upstream: milliseconds(timings.upstream),
            total: milliseconds(timings.total),
        }
    }
}

impl<'a> TargetTriedBody<'a> {
    fn of(target: &'a TargetTried) -> Self {
        Self { upstream: &target.upstream, upstream_model: &target.upstream_model, outcome: target.outcome.code() }
    }
}

impl Serialize for ScoreScaleName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

impl Serialize for ScoreSourceName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.0.name())
    }
}

// The schemas below list the names that the core has, so that no name stands twice.

impl ToSchema for ScoreScaleName {
    fn name() -> std::borrow::Cow<'static, str> {
        "ScoreScale".into()
    }
}

impl PartialSchema for ScoreScaleName {
    fn schema() -> RefOr<Schema> {
        one_of("Scale of scores.", ScoreScale::NAMES.map(|(name, _)| name))
    }
}

impl ToSchema for ScoreSourceName {
    fn name() -> std::borrow::Cow<'static, str> {
        "ScoreSource".into()
    }
}

impl PartialSchema for ScoreSourceName {
    fn schema() -> RefOr<Schema> {
        one_of("Source of a score, or the reason why there is none.", ScoreSource::ALL.map(ScoreSource::name))
    }
}

/// The schema of a string that is one of `names`.
fn one_of<const N: usize>(description: &str, names: [&'static str; N]) -> RefOr<Schema> {
    ObjectBuilder::new()
        .schema_type(Type::String)
        .description(Some(description))
        .enum_values(Some(names))
        .build()
        .into()
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rerankd_core::error::ErrorKind;
    use rerankd_core::types::outcomes::{DegradedReason, TargetOutcome};
    use rerankd_core::types::response::Saved;

    use super::*;

    /// Clients compare and store these bytes, so neither a name nor the order may change.
    #[test]
    fn provenance_json_is_fixed_byte_for_byte() {
        let provenance = Provenance {
            upstream: Some("up".to_owned()),
            upstream_model: Some("m".to_owned()),
            model_substituted: true,
            score_scale: Some(ScoreScale::Logit),
            reranked: true,
            degraded: vec![
                DegradedReason::StaleScores,
                DegradedReason::PassagesRefused,
                DegradedReason::Failure(ErrorKind::DeadlineExceeded),
            ],
            pairs: PairCounts { total: 15, hit: 1, coalesced: 2, scored: 3, stale: 4, unscored: 5 },
            fallbacks: 1,
            attempts: 2,
            timings: Timings {
                cache: Duration::from_nanos(250_499),
                upstream: Duration::from_micros(12_500),
                total: Duration::from_nanos(1_013_000_501),
            },
            cost: AnswerCost {
                spent_usd: Some(0.002),
                saved: Saved { usd: Some(0.004), is_estimate: true },
                price_date: Date::parse("2026-11-28"),
            },
            warnings: vec!["w".to_owned()],
            targets_tried: vec![
                TargetTried {
                    upstream: "down".to_owned(),
                    upstream_model: "n".to_owned(),
                    outcome: TargetOutcome::Failed(ErrorKind::UpstreamTimeout),
                },
                TargetTried {
                    upstream: "up".to_owned(),
                    upstream_model: "m".to_owned(),
                    outcome: TargetOutcome::Answered,
                },
            ],
        };
        let body = ProvenanceBody::new(&provenance, Some(ScoreScale::Probability));
        let expected = concat!(
            r#"{"upstream":"up","upstream_model":"m","model_substituted":true,"score_scale":"probability","reranked":true,"#,
            r#""degraded":["stale_scores","passages_refused","deadline_exceeded"],"#,
            r#""pairs":{"total":15,"hit":1,"coalesced":2,"scored":3,"stale":4,"unscored":5},"fallbacks":1,"attempts":2,"#,
            r#""timings_ms":{"cache":0.25,"upstream":12.5,"total":1013.001},"#,
            r#""cost":{"spent_usd":0.002,"saved_usd":0.004,"saved_is_estimate":true,"currency":"USD","#,
            r#""price_date":"2026-11-28"},"warnings":["w"],"#,
            r#""trail":[{"upstream":"down","upstream_model":"n","outcome":"upstream_timeout"},"#,
            r#"{"upstream":"up","upstream_model":"m","outcome":"ok"}]}"#,
        );
        assert_eq!(serde_json::to_string(&body).unwrap(), expected);
    }

    #[test]
    fn provenance_json_without_scores_has_nulls_and_no_trail() {
        let expected = concat!(
            r#"{"upstream":null,"upstream_model":null,"score_scale":null,"reranked":false,"degraded":[],"#,
            r#""pairs":{"total":0,"hit":0,"coalesced":0,"scored":0,"stale":0,"unscored":0},"fallbacks":0,"attempts":0,"#,
            r#""timings_ms":{"cache":0.0,"upstream":0.0,"total":0.0},"#,
            r#""cost":{"spent_usd":null,"saved_usd":null,"saved_is_estimate":false,"currency":"USD","#,
            r#""price_date":null},"warnings":[]}"#,
        );
        assert_eq!(serde_json::to_string(&ProvenanceBody::new(&Provenance::default(), None)).unwrap(), expected);
    }

    #[test]
    fn scales_and_sources_are_written_by_name() {
        let json = serde_json::to_string(&ScoreScale::NAMES.map(|(_, scale)| ScoreScaleName(scale))).unwrap();
        assert_eq!(json, r#"["probability","cosine","logit","lexical","unknown","none"]"#);
        let sources = [
            ScoreSource::Cache,
            ScoreSource::Scored,
            ScoreSource::Coalesced,
            ScoreSource::Stale,
            ScoreSource::Refused,
            ScoreSource::Blank,
            ScoreSource::Unscored,
        ];
        let json = serde_json::to_string(&sources.map(ScoreSourceName)).unwrap();
        assert_eq!(json, r#"["cache","scored","coalesced","stale","refused","blank","unscored"]"#);
    }
}
