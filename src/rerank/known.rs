//! What is known of a request's pairs, to be kept by those who outlive the process (`rerankd eval`), and brought back.

use super::Reranker;
use super::plan::{Plan, PlanContext};
use super::request::RerankRequest;
use super::response::ScoreSource;
use crate::cache::control::CacheControl;
use crate::cache::key::CacheScope;
use crate::provider::Scoring;
use crate::route::Target;

impl Reranker {
    /// The scores that `target` is known to give the passages of `request`, by position.
    #[must_use]
    pub fn known(&self, target: &Target, request: &RerankRequest, scope: CacheScope) -> Vec<Option<f64>> {
        let passages = self.plan_of_known(target, request, scope).passages().into_iter();
        passages.map(|passage| passage.score.filter(|_| passage.source == ScoreSource::Cache)).collect()
    }

    /// Takes scores of `target` as known that were computed in another process, by position. Scores of a part of a list mean nothing to a
    /// listwise model, and are dropped.
    pub fn remember(&self, target: &Target, request: &RerankRequest, scope: CacheScope, scores: &[Option<f64>]) {
        if target.facts.scoring == Scoring::Listwise && scores.iter().any(Option::is_none) {
            return;
        }
        let plan = self.plan_of_known(target, request, scope);
        let keys = plan.keys_of_passages();
        let known: Vec<_> = keys.into_iter().zip(scores).filter_map(|(key, score)| Some((key?, (*score)?))).collect();
        self.cache.put_many(plan.query(), &known);
    }

    fn plan_of_known(&self, target: &Target, request: &RerankRequest, scope: CacheScope) -> Plan {
        Plan::new(request, &PlanContext::of(target, scope, CacheControl::default()), &self.cache)
    }
}
