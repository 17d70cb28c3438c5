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

use super::batch_planner::{BatchPlanner, PlannedBatch, Settled};
use super::calls::{Calls, declared_limits};
use super::hedge::{Race, race};
use super::response::Usage;
use crate::cache::ScoreCache;
use crate::cache::age::{Age, Found};
use crate::coalesce::Lead;
use crate::provider::Scoring;
use crate::route::Target;
use crate::telemetry::metrics::Metrics;
use crate::upstream::call::Scores;
use crate::upstream::{Backend, Remote, UpstreamError};

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
        let mut planner = self.planner(lead.pending(), remote).await;
        let mut last_refusal = None;
        let mut calls = FuturesUnordered::new();
        loop {
            // One large request must not fill the upstream's queue, and be turned away by it: it takes its turn, permit by permit.
            while calls.len() < remote.places().max(1) {
                let Some(batch) = planner.next() else { break };
                if batch.is_probe && !remote.split_budget.take_out(1.0, Instant::now()) {
                    let mut settled = planner.give_up();
                    settled.refused.extend(batch.places);
                    self.settle(&lead, settled, last_refusal.clone()).await;
                    break;
                }
                calls.push(self.call(&lead, batch));
            }
            let Some((batch, outcome)) = calls.next().await else { break };
            match outcome {
                None => planner.abandoned(&batch),
                Some((target, Ok(scores))) => {
                    remote.split_budget.pay_in(1.0);
                    let refused = planner.accepted(&batch);
                    learn_accepted(&target, &planner, &batch);
                    if planner.is_done() {
                        // Before the request hears the last of its scores: the next one is to know it.
                        learn_refused(&target, &planner);
                    }
                    self.land(&lead, &target, &batch.places, &scores);
                    self.settle(&lead, Settled { refused, failed: Vec::new() }, last_refusal.clone()).await;
                }
                Some((target, Err(error))) => {
                    let Some(refusal) = error.size_refusal.filter(|_| self.may_split()) else {
                        planner.abandoned(&batch);
                        lead.fail(&batch.places, self.calls.describe(&target.upstream, error).await);
                        continue;
                    };
                    if planner.needs_sizes() {
                        planner.measured(self.calls.measure(&self.target).await);
                    }
                    last_refusal = Some((target, error));
                    let settled = planner.refused(batch, refusal, Instant::now());
                    if planner.is_done() {
                        learn_refused(&self.target, &planner);
                    }
                    if planner.has_accepted() && !settled.refused.is_empty() {
                        remote.split_budget.pay_in(1.0);
                    }
                    self.settle(&lead, settled, last_refusal.clone()).await;
                }
            }
        }
        self.settle(&lead, planner.give_up(), last_refusal).await;
    }

    /// Plans calls by what is declared and by what refusals taught.
    async fn planner(&self, places: Vec<u32>, remote: &Remote) -> BatchPlanner {
        let limits = declared_limits(&self.target, remote);
        let learned = remote.learned_limits.of(&self.target.model, Instant::now());
        if learned.is_empty() || !self.may_split() {
            return BatchPlanner::of_calls(self.calls.cut(&self.target, places, limits).await, limits);
        }
        let sizes = self.calls.measure(&self.target).await;
        BatchPlanner::informed(places, sizes, learned, limits)
    }

    /// Tells what became of places that no call will ask for any more.
    async fn settle(&self, lead: &Lead, settled: Settled, last_refusal: Option<(Arc<Target>, UpstreamError)>) {
        let Some((target, error)) = last_refusal else { return };
        if !settled.refused.is_empty() {
            lead.refuse(&settled.refused, self.calls.describe(&target.upstream, error.clone()).await);
        }
        if !settled.failed.is_empty() {
            lead.fail(&settled.failed, self.calls.describe(&target.upstream, error).await);
        }
    }

    /// Between the request's look into the cache and its claim another flight may have landed.
    fn land_known(&self, lead: &Lead) {
        let found = self.cache.get_many(lead.query(), lead.keys());
        let usable = |(place, found): (u32, &Option<Found>)| {
            let found = found.filter(|found| found.age == Age::Fresh)?;
            Some((place, found.score))
        };
        let known: Vec<_> = (0..).zip(&found).filter_map(usable).collect();
        // Half a list is of no use to a listwise model.
        if !known.is_empty() && (self.may_split() || known.len() == found.len()) {
            lead.land_known(&known);
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

/// Tells other requests that a call of this size is accepted. Nobody measures calls while nothing is limited.
fn learn_accepted(target: &Target, planner: &BatchPlanner, batch: &PlannedBatch) {
    let Backend::Remote(remote) = &target.upstream.backend else { return };
    if let Some(size) = planner.size_of(&batch.places) {
        remote.learned_limits.accept(&target.model, &size, Instant::now());
    }
}

/// Tells other requests what the refusals of this flight teach.
fn learn_refused(target: &Target, planner: &BatchPlanner) {
    let Backend::Remote(remote) = &target.upstream.backend else { return };
    for refused in planner.lessons() {
        remote.learned_limits.refuse(&target.model, &refused, Instant::now());
    }
}
