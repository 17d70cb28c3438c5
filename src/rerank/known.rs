//! What is known of a request's pairs, to be kept by those who outlive the process (`rerankd eval`), and brought back.

use std::collections::HashMap;

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
    /// listwise model, and are dropped. Of a passage that is cut into pieces only its own score is known, so this is for processes that ask for the
    /// same passages again.
    pub fn remember(&self, target: &Target, request: &RerankRequest, scope: CacheScope, scores: &[Option<f64>]) {
        if target.facts.scoring == Scoring::Listwise && scores.iter().any(Option::is_none) {
            return;
        }
        let plan = self.plan_of_known(target, request, scope);
        let mut known = HashMap::new();
        for (keys, score) in plan.keys_of_passages().into_iter().zip(scores) {
            let Some(own) = *score else { continue };
            // The best piece speaks for a passage, so all of its pieces may have the passage's score; a piece of several passages the lowest of theirs.
            for key in keys {
                known.entry(key).and_modify(|known: &mut f64| *known = known.min(own)).or_insert(own);
            }
        }
        self.cache.put_many(plan.query(), &known.into_iter().collect::<Vec<_>>());
    }

    fn plan_of_known(&self, target: &Target, request: &RerankRequest, scope: CacheScope) -> Plan {
        Plan::new(request, &PlanContext::of(target, scope, CacheControl::default()), &self.cache)
    }
}
