//! Lists that the embedded scorer ranks: by its lexical model, or by that and the cross-encoder in turn.
//!
//! ```text
//!  list ─▶ lexical scores of all ─▶ head ─▶ cross-encoder, pair by pair (cache, flights, stack as for any upstream) ─▶ mix
//! ```

use std::panic::resume_unwind;
use std::sync::Arc;

use super::Reranker;
use super::journey::RequestTrace;
use super::offload::OFFLOAD_LOCAL_BYTES;
use super::plan::Plan;
use super::request::RerankRequest;
use super::response::ScoreSource;
use super::score::TargetAttempt;
use crate::coalesce::Ticket;
use crate::error::{Error, ErrorKind};
use crate::local::{hybrid::logits, lexical};
use crate::route::{Parts, Target};
use crate::upstream::Backend;

/// The lexical score of every passage. Of long lists there are as many under way as there are processors; one whose request is over ends at its next
/// passage.
async fn lexical_scores(target: &Target, request: Arc<RerankRequest>) -> Vec<f64> {
    let score = |request: &RerankRequest, is_wanted: &dyn Fn() -> bool| {
        let passages: Vec<&str> = request.passages.iter().map(|passage| &*passage.text).collect();
        lexical::score_while(&request.query, &passages, is_wanted).unwrap_or_default()
    };
    match &target.upstream.backend {
        Backend::Local(embedded) if request.text_bytes() > OFFLOAD_LOCAL_BYTES => {
            let scores = embedded.workers.run(move |is_wanted| score(&request, is_wanted)).await;
            scores.unwrap_or_else(|error| resume_unwind(error.into_panic()))
        }
        _ => score(&request, &|| true),
    }
}

impl Reranker {
    /// Scores a list inside this process.
    ///
    /// # Errors
    /// The cross-encoder's.
    pub(super) async fn score_locally(
        &self,
        attempt: TargetAttempt<'_>,
        plan: &mut Plan,
        tickets: &mut Vec<Ticket>,
        trace: &mut RequestTrace,
    ) -> Result<(), Error> {
        let lexical = lexical_scores(attempt.target, attempt.request.clone()).await;
        let scores = match &attempt.target.parts {
            Some(parts) => self.read_head(attempt, parts, &lexical, tickets, trace).await?,
            None => lexical,
        };
        let slots = plan.unknown().to_vec();
        if attempt.waiter.store {
            let known: Vec<_> = plan.keys(slots.iter().copied()).into_iter().zip(scores.iter().copied()).collect();
            self.cache.put_many(plan.query(), &known);
        }
        for (slot, score) in slots.into_iter().zip(scores) {
            plan.learn(slot, Some(score), ScoreSource::Scored);
        }
        Ok(())
    }

    /// Has the cross-encoder read the lexical best, and mixes what both say. The head is a request of its own, so its pairs are known, followed and
    /// led like those of any pointwise model.
    async fn read_head(
        &self,
        attempt: TargetAttempt<'_>,
        parts: &Parts,
        lexical: &[f64],
        tickets: &mut Vec<Ticket>,
        trace: &mut RequestTrace,
    ) -> Result<Vec<f64>, Error> {
        let mix = parts.settings.mix;
        let head = mix.head(lexical);
        let passages = head.iter().map(|&position| attempt.request.passages[position].clone()).collect();
        let request =
            Arc::new(RerankRequest { query: attempt.request.query.clone(), passages, ..RerankRequest::default() });
        let attempt = TargetAttempt { target: &parts.cross_encoder, request: &request, ..attempt };
        let mut plan = self.plan(attempt.target, &request, attempt.context).await;
        if let Backend::Remote(remote) = &attempt.target.upstream.backend {
            self.score_remotely(attempt, remote, &mut plan, tickets, trace).await?;
        }
        let scores: Option<Vec<f64>> = plan.passages().iter().map(|passage| passage.score).collect();
        let scores = scores.ok_or_else(|| Error::new(ErrorKind::Internal, "the cross-encoder left a passage out"))?;
        Ok(mix.scores(lexical, &head, &logits(&scores)))
    }
}
