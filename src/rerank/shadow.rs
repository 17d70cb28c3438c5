//! Answers held against those of a second model: after the client has its own, at nobody's expense but the operator's.

use std::sync::Arc;

use tokio::time::Instant;

use super::request::RerankRequest;
use super::response::{RankedPassage, RerankResponse};
use super::{RequestContext, Reranker};
use crate::cache::control::CacheControl;
use crate::eval::agreement::{PERSISTENCE, kendall_tau, rank_biased_overlap, top_overlap};
use crate::route::Route;
use crate::route::shadow::{Agreement, Shadow, ShadowPermit};

/// How many of the best are compared as a set.
const TOP: usize = 10;
/// The outcome where another target than the shadow's answered.
const FALLBACK: &str = "fallback";

impl Reranker {
    /// Has the shadow of `route`, if it has one, rank the same request, and compares. Returns at once; nothing of it reaches the client.
    ///
    /// Answers of a fallback and degraded ones are not compared: they are not the model's. Nor is anything that must not be stored.
    pub fn cast_shadow(
        self: &Arc<Self>,
        route: &Route,
        request: &Arc<RerankRequest>,
        context: &RequestContext,
        response: &RerankResponse,
    ) {
        let Some(shadow) = route.shadow.as_ref().filter(|shadow| shadow.takes(&request.query)) else { return };
        let is_whole = is_its_own(response) && response.provenance.degraded.is_empty();
        if !is_whole || !context.control.store || context.control.only_if_cached || request.passages.len() < 2 {
            return;
        }
        let label = (route.label.as_str(), shadow.name.as_str());
        let permit = match shadow.enter(Instant::now()) {
            Ok(permit) => permit,
            Err(why) => return self.metrics.shadow.request(label, why),
        };
        let comparison = Comparison {
            model: route.label.clone(),
            shadow: shadow.clone(),
            request: request.clone(),
            ranking: response.ranking.clone(),
            context: *context,
            permit,
        };
        tokio::spawn(self.clone().compare(comparison));
    }

    async fn compare(self: Arc<Self>, comparison: Comparison) {
        let Comparison { model, shadow, request, ranking, context, permit } = comparison;
        let label = (model.as_str(), shadow.name.as_str());
        let request = Arc::new(RerankRequest { top_n: None, ..RerankRequest::clone(&request) });
        let started = Instant::now();
        let deadline = started + self.request_timeout;
        let context = RequestContext { started, deadline, control: CacheControl::default(), ..context };
        match self.rerank(&shadow.route, &request, &context).await {
            Ok(response) if is_its_own(&response) => {
                let agreement = agreement(&ranking, &response.ranking);
                self.metrics.shadow.request(label, "compared");
                self.metrics.shadow.agreed(label, agreement, started.elapsed());
                shadow.compared(agreement, response.usage.cost_usd);
            }
            Ok(response) => {
                let why = response.provenance.degraded.first();
                self.metrics.shadow.request(label, why.copied().unwrap_or(FALLBACK));
                if shadow.failed(response.usage.cost_usd) {
                    let reason = response.provenance.warnings.join("; ");
                    tracing::warn!(model, shadow = shadow.name, "comparisons fail: {reason}");
                }
            }
            Err(error) => {
                self.metrics.shadow.request(label, error.kind.code());
                if shadow.failed(None) {
                    tracing::warn!(model, shadow = shadow.name, "comparisons fail: {}", error.message);
                }
            }
        }
        drop(permit);
    }
}

/// Whether the first target gave it.
fn is_its_own(response: &RerankResponse) -> bool {
    response.provenance.reranked && response.provenance.fallbacks == 0
}

/// One answer, and whom to hold it against.
struct Comparison {
    model: String,
    shadow: Arc<Shadow>,
    request: Arc<RerankRequest>,
    ranking: Vec<RankedPassage>,
    context: RequestContext,
    permit: ShadowPermit,
}

/// How alike `other`, which ranks every passage, is to `own`, which may be cut: over what `own` holds.
fn agreement(own: &[RankedPassage], other: &[RankedPassage]) -> Agreement {
    let positions = |ranking: &[RankedPassage]| ranking.iter().map(|passage| passage.position).collect::<Vec<_>>();
    let (own_order, other_order) = (positions(own), positions(other));
    let mut of_other = vec![None; other.len()];
    for passage in other {
        of_other[passage.position] = passage.score;
    }
    let scores = own.iter().filter_map(|passage| Some((passage.score?, (*of_other.get(passage.position)?)?)));
    let (own_scores, other_scores): (Vec<f64>, Vec<f64>) = scores.unzip();
    Agreement {
        rank_biased_overlap: rank_biased_overlap(&own_order, &other_order, PERSISTENCE),
        kendall_tau: kendall_tau(&own_scores, &other_scores),
        top_overlap: top_overlap(&own_order, &other_order, TOP),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rerank::response::ScoreSource;

    fn ranking(scores: &[(usize, f64)]) -> Vec<RankedPassage> {
        let passage = |&(position, score)| RankedPassage { position, score: Some(score), source: ScoreSource::Scored };
        scores.iter().map(passage).collect()
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
