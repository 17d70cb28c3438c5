//! The models that can be asked for: the answers to `GET /v1/models` and `/v1/models/{id}`.

use std::sync::Arc;

use rerankd_core::error::Error;
use rerankd_core::rerank::Reranker;
use rerankd_core::route::Target;
use rerankd_core::route::shadow::{Mean, Shadow, ShadowReport};
use rerankd_core::telemetry::metrics::Metrics;
use rerankd_core::types::facts::Billing;
use rerankd_core::types::lifecycle::Lifecycle;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

use crate::dialect::provenance::{CURRENCY, ScoreScaleName};

/// The models, configured ones first.
#[derive(Debug, Serialize, ToSchema)]
pub(crate) struct ModelList {
    #[schema(example = "list")]
    object: &'static str,
    data: Vec<Model>,
}

/// One model and its targets.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the wire's own names")]
pub(crate) struct Model {
    /// Name of the model in requests.
    #[schema(example = "default")]
    id: String,
    /// Always `model`. Clients of Xinference read `model_type` instead.
    #[schema(example = "model")]
    object: &'static str,
    #[schema(example = "rerank")]
    model_type: &'static str,
    /// Name of the first target's upstream.
    #[schema(example = "cohere")]
    owned_by: String,
    /// Addresses of the targets, in the order in which they are tried.
    #[schema(example = json!(["cohere/rerank-v4.0-fast", "local/lexical"]))]
    targets: Vec<String>,
    /// Scale of the first target's scores. For `local` with a cross-encoder, the scale for queries in Latin script; the
    /// scale for others is `lexical`, and their answers say so.
    score_scale: Option<ScoreScaleName>,
    /// Charges of its targets since the start of the process, by whatever name they were asked for.
    cost: ModelCostBody,
    /// Agreement with another model's ranking of the same requests, if one is being compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<ShadowBody>,
    /// The known ends of its targets' models; absent if there are none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    lifecycle: Vec<LifecycleBody>,
}

/// The end of a target's model, as the registry or the configuration has it.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = ModelLifecycle)]
pub(crate) struct LifecycleBody {
    /// Address of the target.
    #[schema(example = "cohere/rerank-english-v2.0")]
    target: String,
    /// The first day without the model, which may lie ahead; null if no day is known.
    #[schema(example = "2025-04-30")]
    retired_on: Option<String>,
    /// The model to use instead, or words for it.
    #[schema(example = "rerank-v3.5")]
    successor: Option<String>,
    /// The model that answers in this one's name without telling; scores are kept under its name.
    silent_alias_of: Option<String>,
}

/// Charges of a model's targets since the start of the process, as the upstream said them or else at list price, and
/// those that the cache saved, at list price. Calls whose price or usage is not known are in neither.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ModelCost)]
pub(crate) struct ModelCostBody {
    /// Amount charged; null if no target has a known price or said what it charged.
    #[schema(example = 0.52)]
    pub(crate) spent_usd: Option<f64>,
    /// Amount that known scores saved; estimated for models that bill by tokens. Null if no target has a known price.
    #[schema(example = 1.36)]
    pub(crate) saved_usd: Option<f64>,
    /// Currency of the amounts.
    #[schema(example = "USD")]
    pub(crate) currency: String,
    /// Date of the first target's price list; null where it is not known or the model costs nothing.
    #[schema(example = "2026-11-28")]
    pub(crate) price_date: Option<String>,
}

/// Agreement of a model with its shadow since the start of the process.
#[derive(Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = ShadowReport)]
pub(crate) struct ShadowBody {
    /// The target that is compared with the model's answers.
    #[schema(example = "jina/jina-reranker-v2-base-multilingual")]
    pub(crate) target: String,
    /// Share of the queries that are compared, 0 to 1.
    pub(crate) sample: f64,
    /// Requests that were compared.
    pub(crate) compared: u32,
    /// Requests of the sample to which the shadow gave no answer.
    pub(crate) failed: u32,
    /// Requests of the sample that were not compared: too many were under way, or the day's budget was spent.
    pub(crate) skipped: u32,
    /// Rank-biased overlap of the two rankings (persistence 0.9): 1 for the same order, 0 for nothing in common.
    pub(crate) rank_biased_overlap: Option<MeanBody>,
    /// Kendall's tau-b of the two scores: 1 for the same order, -1 for the reverse.
    pub(crate) kendall_tau: Option<MeanBody>,
    /// Share of the first ten that both have there.
    pub(crate) top_overlap: Option<MeanBody>,
}

/// A mean over requests.
#[derive(Clone, Copy, Debug, Serialize, Deserialize, ToSchema)]
#[schema(as = Mean)]
pub(crate) struct MeanBody {
    /// The mean.
    pub(crate) mean: f64,
    /// The true mean is not farther away than this, 95 times in 100; null under 30 requests.
    pub(crate) margin: Option<f64>,
}

impl ModelCostBody {
    fn of(targets: &[Arc<Target>], metrics: &Metrics) -> Self {
        let mut spent_usd = None;
        let mut saved_usd = None;
        for target in targets {
            let has_price = target.facts.billing != Billing::Unknown;
            let (spent, saved) = metrics.dollars(&target.upstream.name, target.model_label());
            // Without a list price the upstream itself may have said what it charged.
            if has_price || spent > 0.0 {
                spent_usd = Some(spent_usd.unwrap_or(0.0) + spent);
            }
            if has_price {
                saved_usd = Some(saved_usd.unwrap_or(0.0) + saved);
            }
        }
        let price_date = match targets.first() {
            Some(first) => first.facts.price_date.map(|date| date.as_str().to_owned()),
            None => None,
        };
        Self { spent_usd, saved_usd, currency: CURRENCY.to_owned(), price_date }
    }
}

impl LifecycleBody {
    fn of(targets: &[Arc<Target>]) -> Vec<Self> {
        let mut bodies = Vec::new();
        for target in targets {
            if let Some(Lifecycle { retired_on, successor, silent_alias_of }) = target.lifecycle() {
                bodies.push(Self {
                    target: target.address(),
                    retired_on: retired_on.map(|date| date.as_str().to_owned()),
                    successor: successor.clone(),
                    silent_alias_of: silent_alias_of.clone(),
                });
            }
        }
        bodies
    }
}

impl From<ShadowReport> for ShadowBody {
    fn from(report: ShadowReport) -> Self {
        Self {
            target: report.target,
            sample: report.sample,
            compared: report.compared,
            failed: report.failed,
            skipped: report.skipped,
            rank_biased_overlap: report.rank_biased_overlap.map(MeanBody::from),
            kendall_tau: report.kendall_tau.map(MeanBody::from),
            top_overlap: report.top_overlap.map(MeanBody::from),
        }
    }
}

impl From<Mean> for MeanBody {
    fn from(Mean { mean, margin }: Mean) -> Self {
        Self { mean, margin }
    }
}

/// Lists the models of all routes with their aliases, then those of all upstreams as `UPSTREAM/MODEL`.
pub(crate) fn list(reranker: &Reranker) -> ModelList {
    let Reranker { routes, metrics, .. } = reranker;
    let mut data = Vec::new();
    for route in routes.routes() {
        let shadow = route.shadow.as_deref();
        data.push(model(route.model.clone(), &route.targets, shadow, metrics));
        for alias in &route.aliases {
            // A pattern stands for many names and is none itself.
            if !alias.is_pattern() {
                data.push(model(alias.as_str().to_owned(), &route.targets, shadow, metrics));
            }
        }
    }
    for upstream in routes.upstreams() {
        for name in upstream.models() {
            if let Some(target) = Target::direct(upstream, name) {
                data.push(model(target.address(), &[Arc::new(target)], None, metrics));
            }
        }
    }
    ModelList { object: "list", data }
}

/// Describes the model that a request with this name would get.
///
/// # Errors
/// `unknown_model` with the known names; `invalid_request` if several upstreams have a model of this name.
pub(super) fn one(reranker: &Reranker, name: &str) -> Result<Model, Error> {
    let route = reranker.routes.resolve(Some(name))?;
    Ok(model(name.to_owned(), &route.targets, route.shadow.as_deref(), &reranker.metrics))
}

/// The body of the model `id`, which owner and scale of its first target stand for.
fn model(id: String, targets: &[Arc<Target>], shadow: Option<&Shadow>, metrics: &Metrics) -> Model {
    let (owned_by, score_scale) = match targets.first() {
        Some(first) => (first.upstream.name.clone(), Some(ScoreScaleName(first.facts.scale))),
        None => (String::new(), None),
    };
    Model {
        id,
        object: "model",
        model_type: "rerank",
        owned_by,
        targets: targets.iter().map(|target| target.address()).collect(),
        score_scale,
        cost: ModelCostBody::of(targets, metrics),
        shadow: shadow.map(|shadow| shadow.report().into()),
        lifecycle: LifecycleBody::of(targets),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// `rerankd models --live` of another version reads these bytes too.
    #[test]
    fn shadow_json_is_fixed_byte_for_byte() {
        let report = ShadowReport {
            target: "u/m".to_owned(),
            sample: 0.5,
            compared: 30,
            failed: 1,
            skipped: 2,
            rank_biased_overlap: Some(Mean { mean: 0.75, margin: Some(0.25) }),
            kendall_tau: None,
            top_overlap: Some(Mean { mean: 1.0, margin: None }),
        };
        let expected = concat!(
            r#"{"target":"u/m","sample":0.5,"compared":30,"failed":1,"skipped":2,"#,
            r#""rank_biased_overlap":{"mean":0.75,"margin":0.25},"kendall_tau":null,"#,
            r#""top_overlap":{"mean":1.0,"margin":null}}"#,
        );
        assert_eq!(serde_json::to_string(&ShadowBody::from(report)).unwrap(), expected);
    }
}
