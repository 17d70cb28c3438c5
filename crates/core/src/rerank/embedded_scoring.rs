//! The embedded scorer: ranks lists by its lexical model, or by that model and then the cross-encoder.
//!
//! ```text
//!  list ─▶ lexical scores of all ─▶ head ─▶ cross-encoder, pair by pair (cached, followed, led as usual) ─▶ mix
//! ```

use std::sync::Arc;

use super::Reranker;
use super::plan::Plan;
use super::score::{StackAttempt, TargetAttempt};
use super::trace::RequestTrace;
use crate::blocking::offload::{OFFLOAD_LOCAL_BYTES, result_of};
use crate::coalesce::Subscription;
use crate::embedded::ListScorer;
use crate::embedded::hybrid::logits;
use crate::error::{Error, ErrorKind};
use crate::route::HybridParts;
use crate::types::request::RerankRequest;
use crate::types::response::ScoreSource;
use crate::upstream::LocalScorer;

/// The lexical score of every passage. Long lists run on workers, as many at once as there are processors; one whose
/// request is dropped ends at its next passage.
pub(super) async fn lexical_scores(scorer: &LocalScorer, request: Arc<RerankRequest>) -> Vec<f64> {
    let lexical = scorer.lexical.clone();
    // Handing a short list over to a worker would cost more than scoring it.
    if request.text_bytes() <= OFFLOAD_LOCAL_BYTES {
        return lexical_scores_while(&*lexical, &request, &|| true); // wanted to the end: nothing can interrupt it here
    }
    let job = scorer.workers.run(move |caller| lexical_scores_while(&*lexical, &request, &|| !caller.is_cancelled()));
    result_of(job).await
}

/// The lexical scores; empty if `is_wanted` returned false, when nobody reads them.
fn lexical_scores_while(scorer: &dyn ListScorer, request: &RerankRequest, is_wanted: &dyn Fn() -> bool) -> Vec<f64> {
    let passages: Vec<&str> = request.passages.iter().map(|passage| passage.text).collect();
    scorer.score_while(&request.query, &passages, is_wanted).unwrap_or_default()
}

/// The positions of all passages that the cross-encoder may read: those that the plan has not settled as blank.
pub(super) fn readable(plan: &Plan) -> Vec<usize> {
    let mut positions = Vec::new();
    for passage in plan.passages() {
        if passage.source != ScoreSource::Blank {
            positions.push(passage.position);
        }
    }
    positions
}

impl Reranker {
    /// Scores a list inside this process. `plan` learns all of it at the end or nothing; `subscriptions` hold the
    /// flights of the head's own plan.
    ///
    /// # Errors
    /// A failure of the cross-encoder; the lexical model has none. `internal` if the scores do not fit the list (see
    /// [`Plan::learn_list`]).
    pub(super) async fn score_embedded(
        &self,
        attempt: TargetAttempt<'_>,
        embedded: &LocalScorer,
        plan: &mut Plan,
        subscriptions: &mut Vec<Subscription>,
        trace: &mut RequestTrace,
    ) -> Result<(), Error> {
        let lexical = lexical_scores(embedded, attempt.request.clone()).await;
        let scores = match &attempt.target.hybrid {
            Some(parts) => {
                let mix = parts.settings.mix;
                let head = mix.head(&lexical, readable(plan));
                let of_head = self.score_head(attempt, parts, &head, subscriptions, trace).await?;
                // The cross-encoder answers with probabilities, and the mix works on raw scores: the sigmoid would
                // squeeze the differences at both ends.
                mix.scores(&lexical, &head, &logits(&of_head))
            }
            None => lexical,
        };
        let by_key = plan.learn_list(&scores)?;
        if attempt.waiter.store {
            self.cache.put_many(plan.query(), &by_key);
        }
        Ok(())
    }

    /// Scores the passages at the positions in `head` by the cross-encoder. The head is a request of its own, so its
    /// pairs are cached, followed and led like those of any pointwise model. Returns a probability for each, in order.
    async fn score_head(
        &self,
        attempt: TargetAttempt<'_>,
        parts: &HybridParts,
        head: &[usize],
        subscriptions: &mut Vec<Subscription>,
        trace: &mut RequestTrace,
    ) -> Result<Vec<f64>, Error> {
        let passages = attempt.request.passages.select(head);
        // Without the client's options: the cross-encoder takes none, and they would be part of its cache keys.
        let head_request =
            Arc::new(RerankRequest { query: attempt.request.query.clone(), passages, ..RerankRequest::default() });
        let head_attempt = StackAttempt { request: &head_request, ..attempt.at(&parts.cross_encoder) };
        let mut plan =
            self.plan(&parts.cross_encoder, &head_request, attempt.context.scope, attempt.context.control).await;
        self.score_in_calls(head_attempt, &mut plan, subscriptions, trace).await?;
        // The head's plan has the passages of `head` in the same order.
        let mut scores = Vec::with_capacity(head.len());
        for passage in plan.passages() {
            let Some(score) = passage.score else {
                return Err(Error::new(ErrorKind::Internal, "the cross-encoder left a passage out"));
            };
            scores.push(score);
        }
        Ok(scores)
    }
}
