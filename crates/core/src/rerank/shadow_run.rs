//! Comparison of answers with those of a second model, at the operator's expense. It runs in the background, started
//! once the answer is made; the client does not wait for it.

use std::sync::Arc;

use tokio::time::Instant;

use super::{RequestContext, Reranker};
use crate::agreement::{Agreement, PERSISTENCE, kendall_tau, rank_biased_overlap, top_overlap};
use crate::cache::control::CacheControl;
use crate::route::Route;
use crate::route::shadow::{Shadow, ShadowPermit};
use crate::telemetry::shadow_metrics::ShadowedModel;
use crate::types::outcomes::ShadowOutcome;
use crate::types::request::RerankRequest;
use crate::types::response::{RankedPassage, RerankResponse};

/// Number of the best passages that are compared as a set.
const TOP_RANKS: usize = 10;

impl Reranker {
    /// Compares the answer with that of the route's shadow, in the background. Nothing happens without a shadow, or if
    /// the query is not in its sample.
    ///
    /// Answers of a fallback and degraded ones are not compared: they are not the model's. Nor are requests that must
    /// not be stored, those that are `only-if-cached`, because they must cost nothing, and lists of fewer than two
    /// passages, which have only one order.
    pub fn compare_with_shadow(
        self: &Arc<Self>,
        route: &Route,
        request: &Arc<RerankRequest>,
        context: &RequestContext,
        response: &RerankResponse,
    ) {
        let Some(shadow) = &route.shadow else { return };
        if !shadow.is_sampled(&request.query) {
            return;
        }
        let is_whole = is_of_first_target(response) && response.provenance.degraded.is_empty();
        if !is_whole || !context.control.store || context.control.only_if_cached || request.passages.len() < 2 {
            return;
        }
        let shadowed = ShadowedModel { model: &route.label, shadow: &shadow.name };
        let permit = match shadow.try_acquire(Instant::now()) {
            Ok(permit) => permit,
            Err(skip) => return self.metrics.shadow.request(shadowed, ShadowOutcome::Skipped(skip)),
        };
        let comparison = ShadowComparison {
            model: route.label.clone(),
            shadow: shadow.clone(),
            request: request.clone(),
            ranking: response.ranking.clone(),
            context: *context,
            permit,
        };
        tokio::spawn(self.clone().compare(comparison));
    }

    /// Asks the shadow and records how far it agrees. Holds the permit to the end.
    async fn compare(self: Arc<Self>, comparison: ShadowComparison) {
        let ShadowComparison { model, shadow, request, ranking, context, permit } = comparison;
        let shadowed = ShadowedModel { model: &model, shadow: &shadow.name };
        // Uncut, so that every passage of the client's answer has its counterpart.
        let shadow_request = Arc::new(RerankRequest { top_n: None, ..RerankRequest::clone(&request) });
        let started = Instant::now();
        let deadline = started + self.request_timeout;
        // The client's cache directives are about its own answer: what must not be stored is not compared at all.
        let shadow_context = RequestContext { started, deadline, control: CacheControl::default(), ..context };
        match self.rerank(&shadow.route, &shadow_request, &shadow_context).await {
            Ok(response) if is_of_first_target(&response) => {
                let agreement = agreement(&ranking, &response.ranking);
                self.metrics.shadow.request(shadowed, ShadowOutcome::Compared);
                self.metrics.shadow.agreed(shadowed, agreement, started.elapsed());
                shadow.compared(agreement, response.usage.cost_usd);
            }
            Ok(response) => {
                let outcome = match response.provenance.degraded.first() {
                    Some(reason) => ShadowOutcome::Degraded(*reason),
                    None => ShadowOutcome::Fallback,
                };
                self.metrics.shadow.request(shadowed, outcome);
                if shadow.failed(response.usage.cost_usd) {
                    let reason = response.provenance.warnings.join("; ");
                    tracing::warn!(model, shadow = shadow.name, "comparisons fail: {reason}");
                }
            }
            Err(error) => {
                self.metrics.shadow.request(shadowed, ShadowOutcome::Failed(error.kind));
                // An error does not tell its cost; `Shadow::of` makes it rare.
                if shadow.failed(None) {
                    tracing::warn!(model, shadow = shadow.name, "comparisons fail: {}", error.message);
                }
            }
        }
        drop(permit);
    }
}

/// Returns true if the first target gave the answer.
fn is_of_first_target(response: &RerankResponse) -> bool {
    response.provenance.reranked && response.provenance.fallbacks == 0
}

/// An answer, and the shadow to compare it with.
struct ShadowComparison {
    model: String,
    shadow: Arc<Shadow>,
    request: Arc<RerankRequest>,
    /// The client's answer, cut to its `top_n`.
    ranking: Vec<RankedPassage>,
    context: RequestContext,
    permit: ShadowPermit,
}

/// Agreement of `other`, which ranks every passage, with `own`, which may be cut: over the passages of `own`.
fn agreement(own: &[RankedPassage], other: &[RankedPassage]) -> Agreement {
    let own_order = positions(own);
    let other_order = positions(other);
    let mut other_by_position = vec![None; other.len()];
    for passage in other {
        other_by_position[passage.position] = passage.score;
    }
    let mut own_scores = Vec::with_capacity(own.len());
    let mut other_scores = Vec::with_capacity(own.len());
    for passage in own {
        // Passages without a score in either ranking say nothing about the agreement of scores.
        if let Some(own_score) = passage.score
            && let Some(other_score) = other_by_position[passage.position]
        {
            own_scores.push(own_score);
            other_scores.push(other_score);
        }
    }
    Agreement {
        rank_biased_overlap: rank_biased_overlap(&own_order, &other_order, PERSISTENCE),
        kendall_tau: kendall_tau(&own_scores, &other_scores),
        top_overlap: top_overlap(&own_order, &other_order, TOP_RANKS),
    }
}

fn positions(ranking: &[RankedPassage]) -> Vec<usize> {
    ranking.iter().map(|passage| passage.position).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::response::ScoreSource;

    fn ranking(scores: &[(usize, f64)]) -> Vec<RankedPassage> {
        let mut ranking = Vec::new();
        for (position, score) in scores {
            ranking.push(RankedPassage { position: *position, score: Some(*score), source: ScoreSource::Scored });
        }
        ranking
    }

    #[test]
    fn a_cut_answer_is_compared_over_what_it_holds() {
        let other = ranking(&[(2, 0.9), (0, 0.5), (1, 0.1), (3, 0.0)]);
        let same = agreement(&ranking(&[(2, 7.0), (0, 3.0)]), &other);
        assert!((same.rank_biased_overlap - 1.0).abs() < 1e-12, "{same:?}");
        assert_eq!((same.kendall_tau, same.top_overlap), (Some(1.0), 1.0));
        let reversed = agreement(&ranking(&[(0, 7.0), (2, 3.0)]), &other);
        assert_eq!((reversed.kendall_tau, reversed.top_overlap), (Some(-1.0), 1.0));
        assert!(reversed.rank_biased_overlap < 1.0);
        let apart = agreement(&ranking(&[(3, 7.0), (1, 3.0)]), &other);
        assert!(apart.top_overlap.abs() < 1e-12);
    }
}
