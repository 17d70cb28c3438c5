//! The unknown pairs of a plan, scored by one target: the part of the request that waits.
//!
//! What it waits for is a flight of its own, of others, or of both (see [`crate::coalesce`]); the part that asks the upstream is [`super::fill`].

use std::sync::Arc;

use futures_util::FutureExt;
use futures_util::future::select_all;

use super::fill::Fill;
use super::journey::Journey;
use super::offload::{OFFLOAD_LOCAL_BYTES, offload};
use super::plan::Plan;
use super::request::RerankRequest;
use super::response::ScoreSource;
use super::{RequestContext, Reranker};
use crate::coalesce::{Claim, Landing, Ticket};
use crate::error::{Error, ErrorKind};
use crate::local::LocalModel;
use crate::provider::Scoring;
use crate::route::{Route, Target};
use crate::upstream::call::Waiter;
use crate::upstream::{Backend, Remote};

/// One target, and what it may count on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn<'a> {
    pub(super) route: &'a Route,
    pub(super) target: &'a Arc<Target>,
    pub(super) waiter: Waiter,
}

impl Reranker {
    /// Scores what `plan` does not know. If this is dropped, what it had learnt by then is in the plan, and what it waited for in `tickets`.
    ///
    /// # Errors
    /// The first call that failed for good.
    pub(super) async fn score(
        &self,
        turn: Turn<'_>,
        request: &Arc<RerankRequest>,
        plan: &mut Plan,
        tickets: &mut Vec<Ticket>,
        journey: &mut Journey,
    ) -> Result<(), Error> {
        match &turn.target.upstream.backend {
            Backend::Local => {
                self.score_locally(turn, request, plan).await;
                Ok(())
            }
            Backend::Remote(remote) => {
                check_listwise_size(turn.target, remote, plan.unknown().len())?;
                let slots = plan.unknown().to_vec();
                *tickets = self.claim(turn, request, plan, &slots, journey);
                let waited = wait(tickets, &slots, plan, journey).await;
                waited.and_then(|()| refused_wholly(plan, journey))
            }
        }
    }

    async fn score_locally(&self, turn: Turn<'_>, request: &Arc<RerankRequest>, plan: &mut Plan) {
        let Some(model) = LocalModel::by_name(&turn.target.model) else { return };
        let slots = plan.unknown().to_vec();
        let texts = plan.texts(request, slots.iter().copied());
        let request = request.clone();
        let scores = offload(request.text_bytes(), OFFLOAD_LOCAL_BYTES, move || {
            let passages: Vec<&str> = texts.iter().map(|text| &**text).collect();
            model.score(&request.query, &passages)
        });
        let scores = scores.await;
        if turn.waiter.store {
            let known: Vec<_> = plan.keys(slots.iter().copied()).into_iter().zip(scores.iter().copied()).collect();
            self.cache.put_many(plan.query(), &known);
        }
        for (slot, score) in slots.into_iter().zip(scores) {
            plan.learn(slot, Some(score), ScoreSource::Scored);
        }
    }

    /// Takes part in the scoring of `slots`, and starts what nobody has started.
    pub(super) fn claim(
        &self,
        turn: Turn<'_>,
        request: &Arc<RerankRequest>,
        plan: &Plan,
        slots: &[u32],
        journey: &Journey,
    ) -> Vec<Ticket> {
        let Claim { lead, tickets } = self.flights.claim(plan.query(), &plan.keys(slots.iter().copied()), turn.waiter);
        if let Some(lead) = lead {
            let led = lead.indices().iter().map(|index| slots[*index]);
            let fill = Fill {
                target: turn.target.clone(),
                twins: turn.route.hedge.iter().flat_map(|_| turn.route.twins(turn.target)).cloned().collect(),
                hedge: turn.route.hedge.clone(),
                texts: plan.texts(request, led),
                request: request.clone(),
                cache: self.cache.clone(),
                metrics: self.metrics.clone(),
                attempts: journey.attempts.clone(),
            };
            tokio::spawn(fill.run(lead, journey.reads_cache));
        }
        tickets
    }

    /// Computes afresh what is due, behind the request's back. Nothing waits for it.
    pub(super) fn refresh(&self, turn: Turn<'_>, request: &Arc<RerankRequest>, plan: &Plan, context: &RequestContext) {
        if plan.due().is_empty() || !context.control.store || !turn.target.upstream.is_open_for_calls(context.started) {
            return;
        }
        if let Some(leave) = self.background.enter() {
            let tickets = self.claim(turn, request, plan, plan.due(), &Journey::of_background());
            leave.finish(tickets, turn.waiter.deadline);
            self.metrics.refreshed(plan.due().len());
        }
    }
}

/// Waits until everything has landed, and writes it into the plan as it comes.
async fn wait(tickets: &mut Vec<Ticket>, slots: &[u32], plan: &mut Plan, journey: &mut Journey) -> Result<(), Error> {
    while !tickets.is_empty() {
        let (news, at, _) = select_all(tickets.iter_mut().map(|ticket| ticket.next().boxed())).await;
        let ticket = &tickets[at];
        if let Some(charge) = ticket.take_charge() {
            journey.usage = journey.usage.plus(charge);
        }
        let source = if ticket.is_leaders() { ScoreSource::Scored } else { ScoreSource::Coalesced };
        let news = news.map_err(Arc::unwrap_or_clone)?;
        if news.is_empty() {
            tickets.swap_remove(at);
        }
        for (index, landing) in news {
            match landing {
                Landing::Scored(score) => plan.learn(slots[index], Some(score), source),
                Landing::Known(score) => plan.learn(slots[index], Some(score), ScoreSource::Cache),
                Landing::Refused(error) => {
                    plan.learn(slots[index], None, ScoreSource::Refused);
                    journey.refused(&error);
                }
            }
        }
    }
    Ok(())
}

/// Passages that a provider refuses go without a score; a request of which it takes nothing is refused as a whole.
fn refused_wholly(plan: &Plan, journey: &Journey) -> Result<(), Error> {
    let counts = plan.counts();
    let nothing_scored = counts.unscored == counts.total;
    match journey.refusal() {
        Some(refusal) if nothing_scored => Err(refusal.clone()),
        _ => Ok(()),
    }
}

/// A list that a listwise model cannot take whole is refused: splitting it would change its scores.
fn check_listwise_size(target: &Target, remote: &Remote, passages: usize) -> Result<(), Error> {
    if target.facts.scoring == Scoring::Pointwise || passages <= remote.facts.max_passages {
        return Ok(());
    }
    let message = format!(
        "{} scores a list as a whole and takes at most {} documents at once, the request has {passages}; send fewer, or if the \
         model scores each document by itself declare it as pointwise under [providers.{}.models]",
        target.address(),
        remote.facts.max_passages,
        remote.provider.name(),
    );
    Err(Error::new(ErrorKind::TooManyDocuments, message))
}
