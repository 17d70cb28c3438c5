//! The metrics of models that are compared with others on live traffic.

use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

use super::buckets;
use super::labels::{ShadowLabels, ShadowOutcomeLabels};
use crate::agreement::Agreement;
use crate::types::outcomes::ShadowOutcome;

type Distribution = Family<ShadowLabels, Histogram, fn() -> Histogram>;

/// A model and its shadow, as labels.
#[derive(Clone, Copy, Debug)]
pub struct ShadowedModel<'a> {
    /// Name of the model.
    pub model: &'a str,
    /// Address of the shadow's target, `UPSTREAM/MODEL`.
    pub shadow: &'a str,
}

/// The metrics of shadows, by model and shadow.
#[derive(Clone, Debug)]
pub struct ShadowMetrics {
    requests: Family<ShadowOutcomeLabels, Counter>,
    duration: Distribution,
    rank_biased_overlap: Distribution,
    kendall_tau: Distribution,
    top_overlap: Distribution,
}

impl ShadowMetrics {
    /// Fresh metrics, known to `registry`.
    pub(super) fn registered(registry: &mut Registry) -> Self {
        let metrics = Self {
            requests: Family::default(),
            duration: Family::new_with_constructor(buckets::latency),
            rank_biased_overlap: Family::new_with_constructor(buckets::agreement),
            kendall_tau: Family::new_with_constructor(buckets::agreement),
            top_overlap: Family::new_with_constructor(buckets::agreement),
        };
        let help = "Answers held against a shadow's, by what came of it";
        registry.register("shadow_requests", help, metrics.requests.clone());
        let help = "How long a shadow took to answer";
        registry.register_with_unit("shadow_duration", help, Unit::Seconds, metrics.duration.clone());
        let help = "Rank-biased overlap (persistence 0.9) of a model's ranking and its shadow's";
        registry.register("shadow_rank_biased_overlap", help, metrics.rank_biased_overlap.clone());
        let help = "Kendall's tau-b of a model's scores and its shadow's";
        registry.register("shadow_kendall_tau", help, metrics.kendall_tau.clone());
        let help = "Share of the best ten that a model and its shadow have in common";
        registry.register("shadow_top_overlap", help, metrics.top_overlap.clone());
        metrics
    }

    /// Counts a request of the shadow's sample.
    pub fn request(&self, shadowed: ShadowedModel<'_>, outcome: ShadowOutcome) {
        let ShadowedModel { model, shadow } = shadowed;
        let labels =
            ShadowOutcomeLabels { model: model.to_owned(), shadow: shadow.to_owned(), outcome: outcome.code() };
        self.requests.get_or_create(&labels).inc();
    }

    /// Records the agreement of the two rankings, and the time that the shadow took.
    pub fn agreed(&self, shadowed: ShadowedModel<'_>, agreement: Agreement, duration: Duration) {
        let ShadowedModel { model, shadow } = shadowed;
        let labels = ShadowLabels { model: model.to_owned(), shadow: shadow.to_owned() };
        self.duration.get_or_create(&labels).observe(duration.as_secs_f64());
        self.rank_biased_overlap.get_or_create(&labels).observe(agreement.rank_biased_overlap);
        self.top_overlap.get_or_create(&labels).observe(agreement.top_overlap);
        // Tau-b is undefined where all scores of a ranking are equal, and no number may stand for that.
        if let Some(tau) = agreement.kendall_tau {
            self.kendall_tau.get_or_create(&labels).observe(tau);
        }
    }
}
