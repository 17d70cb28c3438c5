//! The part of a request that asks the upstream, for everybody who waits: a task that fills one flight.
//!
//! ```text
//!  led pairs ─▶ plan, encode ─▶ upstream stack ─┬─▶ scores ─▶ cache ─▶ land
//!                  ▲                            ├─▶ refused for its size ─┐
//!                  └────────── in parts ────────┼─────────────────────────┤
//!                                               │                         └─▶ passages to blame ─▶ refuse
//!                                               └─▶ failed for good ─▶ fail
//! ```

use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;

use super::batch_planner::{BatchPlanner, PlannedBatch, Purpose, Settled};
use super::calls::{Calls, declared_limits};
use super::hedge::{Race, race};
use super::offload::offload;
use super::response::Usage;
use crate::cache::ScoreCache;
use crate::cache::age::{Age, Found};
use crate::cache::key::CacheScope;
use crate::coalesce::Lead;
use crate::error::{Error, ErrorKind};
use crate::provider::Scoring;
use crate::route::Target;
use crate::telemetry::metrics::Metrics;
use crate::upstream::call::Scores;
use crate::upstream::{Backend, Remote, UpstreamError};

/// Passages above which a search for limits leaves the reactor: it looks at each of them several times.
const OFFLOAD_PLACES: usize = 1_000;
/// Passages of one flight that are expected to be refused and asked for all the same. If all of these are, the longer ones need not be.
const MAX_CONFIRMATIONS: usize = 8;

/// What it takes to fill a flight.
#[derive(Debug)]
pub(super) struct Fill {
    pub(super) target: Arc<Target>,
    pub(super) calls: Calls,
    /// Who else can be asked, if slow calls may be sent twice.
    pub(super) race: Option<Race>,
    pub(super) cache: ScoreCache,
    pub(super) metrics: Arc<Metrics>,
}

/// What came of a batch: nobody waits for it any more, or who answered and what.
type Outcome = Option<(Arc<Target>, Result<Scores, UpstreamError>)>;

impl Fill {
    /// Fills the flight of `lead`.
    pub(super) async fn run(self, lead: Lead, reads_cache: bool) {
        if reads_cache {
            self.land_known(&lead);
        }
        let Backend::Remote(remote) = &self.target.upstream.backend else { return };
        let caller = lead.interest().scope();
        let mut planner = self.planner(lead.pending(), remote, caller).await;
        let mut refusal = LastRefusal::default();
        let mut calls = FuturesUnordered::new();
        loop {
            // One large request must not fill the upstream's queue, and be turned away by it: it takes its turn, permit by permit.
            while calls.len() < remote.places().max(1) {
                let next;
                (planner, next) = next_batch(planner).await;
                let Some(batch) = next else { break };
                if refusal.may_send(batch.purpose, remote, caller) {
                    calls.push(self.call(&lead, batch));
                    continue;
                }
                if batch.purpose == Purpose::Confirmation && !calls.is_empty() {
                    // If one of those under way is accepted after all, this one is judged anew.
                    planner.postpone(batch);
                    break;
                }
                planner.abandoned(&batch);
                let unsent = if batch.purpose == Purpose::Confirmation {
                    Settled { refused: planner.give_up_confirmations(), failed: Vec::new() }
                } else {
                    planner.give_up()
                };
                learn_refused(&self.target, caller, &mut planner);
                refusal.settle_unsent(&lead, unsent, batch.places);
            }
            let Some((batch, outcome)) = calls.next().await else { break };
            match outcome {
                None => planner.abandoned(&batch),
                Some((target, Ok(scores))) => {
                    remote.split_budget.pay_in(caller, 1.0, Instant::now());
                    if batch.purpose == Purpose::Confirmation {
                        refusal.confirmations = 0;
                    }
                    let refused = planner.accepted(&batch);
                    learn_accepted(&target, caller, &planner, &batch);
                    if planner.is_done() {
                        // Before the request hears the last of its scores: the next one is to know it.
                        learn_refused(&target, caller, &mut planner);
                    }
                    self.land(&lead, &target, &batch.places, &scores);
                    refusal.settle(&lead, &Settled { refused, failed: Vec::new() });
                }
                Some((target, Err(error))) => {
                    let Some(size_refusal) = error.size_refusal.filter(|_| self.may_split()) else {
                        planner.abandoned(&batch);
                        lead.fail(&batch.places, self.calls.describe(&target.upstream, error).await);
                        continue;
                    };
                    if planner.needs_sizes() {
                        planner.measured(self.calls.measure(&self.target).await);
                    }
                    if refusal.error.is_none() {
                        // Told once for a flight: to look for quotations in all its texts is work.
                        refusal.error = Some(self.calls.describe(&target.upstream, error).await);
                    }
                    let is_probe = batch.purpose == Purpose::Probe;
                    let settled = planner.refused(batch, size_refusal, Instant::now());
                    if is_probe && planner.has_accepted() && !settled.refused.is_empty() {
                        // A search that gets on does not use up what others need.
                        remote.split_budget.pay_in(caller, 1.0, Instant::now());
                    }
                    if planner.is_done() {
                        learn_refused(&target, caller, &mut planner);
                    }
                    refusal.settle(&lead, &settled);
                }
            }
        }
        learn_refused(&self.target, caller, &mut planner);
        refusal.settle(&lead, &planner.give_up());
    }

    /// Plans calls by what is declared and by what refusals taught.
    async fn planner(&self, places: Vec<u32>, remote: &Remote, caller: CacheScope) -> BatchPlanner {
        let limits = declared_limits(&self.target, remote);
        let learned = remote.learned_limits.of(&self.target.model, caller, Instant::now());
        if learned.is_empty() || !self.may_split() {
            return BatchPlanner::of_calls(self.calls.cut(&self.target, places, limits).await, limits);
        }
        let sizes = self.calls.measure(&self.target).await;
        BatchPlanner::informed(places, sizes, learned, limits)
    }

    /// Between the request's look into the cache and its claim another flight may have landed.
    fn land_known(&self, lead: &Lead) {
        let mut fresh = Vec::new();
        for (place, found) in (0..).zip(self.cache.get_many(lead.query(), lead.keys())) {
            if let Some(Found { score, age: Age::Fresh }) = found {
                fresh.push((place, score));
            }
        }
        // Half a list is of no use to a listwise model.
        if !fresh.is_empty() && (self.may_split() || fresh.len() == lead.keys().len()) {
            lead.land_known(&fresh);
        }
    }

    fn may_split(&self) -> bool {
        self.target.facts.scoring == Scoring::Pointwise
    }

    /// Makes one call, unless nobody waits for it.
    async fn call(&self, lead: &Lead, batch: PlannedBatch) -> (PlannedBatch, Outcome) {
        let interest = lead.interest();
        let scored = async {
            let encoded = self.calls.encode(&self.target, batch.places.clone()).await?;
            Some(match &self.race {
                Some(twins) => race(twins, &self.calls, &self.target, &encoded, interest).await,
                None => (self.target.clone(), self.calls.send(&self.target, &encoded, interest).await),
            })
        };
        let outcome = tokio::select! {
            biased;
            () = lead.forsaken(&batch.places) => None,
            scored = scored => scored,
        };
        (batch, outcome)
    }

    /// Remembers scores, says what they cost, and hands them out, in this order.
    fn land(&self, lead: &Lead, target: &Target, places: &[u32], scores: &Scores) {
        let billed = Usage {
            tokens: scores.tokens,
            search_units: scores.search_units,
            cost_usd: target.facts.billing.cost(scores.tokens, scores.search_units),
        };
        self.metrics.charge(&target.upstream.name, billed);
        lead.charge(billed);
        self.cache.put_many(lead.query(), &lead.storable(places, &scores.scores));
        lead.land(places, &scores.scores);
    }
}

/// Why the upstream refused a call of the flight for its size, and what it may still cost to find the passages to blame.
#[derive(Debug, Default)]
struct LastRefusal {
    /// The first refusal, as clients may read it.
    error: Option<Error>,
    /// Calls made for passages that were expected to be refused.
    confirmations: usize,
}

impl LastRefusal {
    /// Whether a call may be sent: those that search are paid from a budget, those that only confirm are few.
    fn may_send(&mut self, purpose: Purpose, remote: &Remote, caller: CacheScope) -> bool {
        match purpose {
            Purpose::Scores | Purpose::FirstOfItsSize => true,
            Purpose::Confirmation => {
                self.confirmations += 1;
                self.confirmations <= MAX_CONFIRMATIONS
            }
            Purpose::Probe => remote.split_budget.take_out(caller, 1.0, Instant::now()),
        }
    }

    /// Tells what became of places that no call will ask for any more.
    fn settle(&self, lead: &Lead, settled: &Settled) {
        let Some(error) = &self.error else { return };
        if !settled.refused.is_empty() {
            lead.refuse(&settled.refused, error.clone());
        }
        if !settled.failed.is_empty() {
            lead.fail(&settled.failed, error.clone());
        }
    }

    /// The same of places that are not sent because the budget is used up.
    fn settle_unsent(&self, lead: &Lead, mut unsent: Settled, more: Vec<u32>) {
        let told =
            self.error.clone().unwrap_or_else(|| Error::new(ErrorKind::UpstreamRejected, "refused such calls before"));
        let message = format!("{}; passages like those refused were not all tried alone", told.message);
        if unsent.failed.is_empty() {
            unsent.refused.extend(more);
        } else {
            unsent.failed.extend(more);
        }
        let refusal = Self { error: Some(Error { message, ..told }), ..Self::default() };
        refusal.settle(lead, &unsent);
    }
}

/// The next call, planned where that work belongs.
async fn next_batch(mut planner: BatchPlanner) -> (BatchPlanner, Option<PlannedBatch>) {
    offload(planner.searched_places(), OFFLOAD_PLACES, move || {
        let batch = planner.next();
        (planner, batch)
    })
    .await
}

/// Tells other requests of the caller that a call of this size is accepted. Nobody measures calls while nothing is limited.
fn learn_accepted(target: &Target, caller: CacheScope, planner: &BatchPlanner, batch: &PlannedBatch) {
    let Backend::Remote(remote) = &target.upstream.backend else { return };
    if let Some(size) = planner.size_of(&batch.places) {
        remote.learned_limits.accept(&target.model, caller, &size, Instant::now());
    }
}

/// Tells other requests what the refusals of this flight teach.
fn learn_refused(target: &Target, caller: CacheScope, planner: &mut BatchPlanner) {
    let Backend::Remote(remote) = &target.upstream.backend else { return };
    for refused in planner.take_lessons() {
        remote.learned_limits.refuse(&target.model, caller, &refused, Instant::now());
    }
}
