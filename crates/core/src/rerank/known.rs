//! The known scores of a request, exported for another process (`rerankd eval` keeps them on disk) and imported again.

use std::collections::HashMap;

use super::Reranker;
use super::plan::Plan;
use super::plan_context::PlanContext;
use crate::cache::control::CacheControl;
use crate::cache::key::CacheScope;
use crate::route::Target;
use crate::types::model_version::ModelVersion;
use crate::types::request::RerankRequest;
use crate::types::response::ScoreSource;

impl Reranker {
    /// The cached scores of `target` for the passages of `request`, by position; `None` for a passage without one.
    /// Expired scores do not count.
    #[must_use]
    pub fn known(&self, target: &Target, request: &RerankRequest, scope: CacheScope) -> Vec<Option<f64>> {
        let mut known = vec![None; request.passages.len()];
        for passage in self.plan_of_known(target, request, scope).passages() {
            // Blank passages have a score too, but it is not the model's.
            if passage.source == ScoreSource::Cache {
                known[passage.position] = passage.score;
            }
        }
        known
    }

    /// Puts scores of `target` that another process computed into the cache, by position. Scores of a part of a list
    /// mean nothing to a listwise model or a selector, and are dropped. Of a passage that is cut into pieces only its
    /// own score is known, so this is for processes that ask for the same passages again.
    pub fn remember(&self, target: &Target, request: &RerankRequest, scope: CacheScope, scores: &[Option<f64>]) {
        if target.facts.scoring.is_of_list() && scores.iter().any(Option::is_none) {
            return;
        }
        // Scores of another process are of versions that nobody noted. Once one is told they may be of another.
        if target.version.get(scope) != ModelVersion::NONE {
            return;
        }
        let plan = self.plan_of_known(target, request, scope);
        let mut known = HashMap::new();
        for (keys, score) in plan.keys_of_passages().into_iter().zip(scores) {
            let Some(own) = *score else { continue };
            for key in keys {
                // A passage has the score of its best piece, so all of its pieces may have the passage's score. A piece
                // of several passages has the lowest of theirs: with a higher one it would become the best piece
                // elsewhere.
                known.entry(key).and_modify(|lowest: &mut f64| *lowest = lowest.min(own)).or_insert(own);
            }
        }
        self.cache.put_many(plan.query(), &known.into_iter().collect::<Vec<_>>());
    }

    /// A plan that was only looked up: its cached scores are known, its keys are those that the pipeline would use.
    fn plan_of_known(&self, target: &Target, request: &RerankRequest, scope: CacheScope) -> Plan {
        Plan::new(request, &PlanContext::of(target, scope, CacheControl::default()), &self.cache)
    }
}
