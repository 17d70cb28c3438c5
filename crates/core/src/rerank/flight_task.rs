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

use tokio::time::Instant;

use super::batch_planner::{BatchPlanner, PlannedBatch, Purpose, Settled};
use super::calls::FlightTexts;
use super::calls_under_way::CallsUnderWay;
use super::declared_limits::declared_limits;
use super::free_refresh::{FreePair, may_be_of_free_pairs, take_free};
use super::hedged_call::{Hedging, send_hedged};
use super::model_log::tell_missing_model;
use super::versions::learn_version;
use crate::blocking::offload::offload;
use crate::cache::ScoreCache;
use crate::cache::age::{Age, CachedScore};
use crate::cache::key::CacheScope;
use crate::coalesce::Lead;
use crate::error::{Error, ErrorKind};
use crate::route::{StackTarget, Target};
use crate::telemetry::metrics::Metrics;
use crate::types::index::FlightIndex;
use crate::types::model_version::ModelVersion;
use crate::upstream::UpstreamError;
use crate::upstream::budget::SharedBudget;
use crate::upstream::call::Scores;

/// Passages above which a search for limits runs on a blocking thread: it looks at each of them several times.
const OFFLOAD_PLACES: usize = 1_000;
/// Calls in a row for passages that are expected to be refused, none of them accepted, after which the others of that
/// kind are settled without a call: each is likely to be in vain, and a request may hold hundreds of them.
const MAX_CONFIRMATIONS: usize = 8;

/// The cost of one call, in the unit of budgets.
const ONE_CALL: f64 = 1.0;

/// A task that fills one flight.
#[derive(Debug)]
pub(super) struct FlightTask {
    /// The target that is asked; with `hedging` others may answer in its stead.
    pub(super) target: StackTarget,
    pub(super) texts: FlightTexts,
    /// Version of the model that the flight's keys are for.
    pub(super) version: ModelVersion,
    /// Present if slow calls may be sent to a second target.
    pub(super) hedging: Option<Hedging>,
    /// Known pairs that calls with free room may take along.
    pub(super) free: Vec<FreePair>,
    pub(super) cache: ScoreCache,
    pub(super) metrics: Arc<Metrics>,
}

/// The answer to a batch and the target that gave it; `None` if nobody waits for the batch any more.
type CallResult<'a> = Option<(&'a StackTarget, Result<Scores, UpstreamError>)>;

impl FlightTask {
    /// Scores the pairs of `lead`, and hands out each call's scores as they come. With `reads_cache` pairs that were
    /// cached meanwhile are not asked for. At the end every pair has an outcome: what no call settled is given up.
    pub(super) async fn run(self, lead: Lead, reads_cache: bool) {
        if reads_cache {
            self.land_known(&lead);
        }
        // Scores that landed before are of the planned version. Refusals, which follow, are of none.
        let version = lead.has_landed().then_some(self.version);
        let places = self.refuse_over_limit(&lead).await;
        let stack = self.target.stack();
        let caller = lead.waiters().scope();
        let mut planner = self.planner(places, caller).await;
        let free = self.free.clone();
        let mut flight =
            FlightInProgress { task: &self, lead: &lead, caller, refusal: None, confirmations: 0, free, version };
        let mut calls = CallsUnderWay::new();
        loop {
            // One large request must not fill the upstream's queue, and be turned away by it: it takes its turn, permit
            // by permit. With a limit of 0 nothing would ever be sent.
            while calls.len() < stack.concurrency_limit().max(1) {
                let next;
                (planner, next) = calls.beside(next_batch(planner)).await;
                let Some(batch) = next else { break };
                if flight.try_spend(batch.purpose) {
                    let free = take_free(&mut flight.free, &self.texts, &self.target, &batch, caller);
                    calls.push(self.call(&lead, batch, free));
                } else if batch.purpose == Purpose::Confirmation && calls.len() > 0 {
                    // No more confirmations, but if one of those under way is accepted after all, this passage is
                    // judged anew.
                    planner.postpone(batch);
                    break;
                } else {
                    flight.give_up_unsent(&mut planner, batch);
                }
            }
            let Some((batch, outcome)) = calls.next().await else { break };
            match outcome {
                None => planner.abandoned(&batch),
                Some((target, Ok(scores))) => {
                    calls.beside(learn_version(target, &self.texts, caller, &scores)).await;
                    flight.accepted(&mut planner, &batch, target, &scores);
                }
                Some((target, Err(error))) => {
                    calls.beside(flight.failed(&mut planner, batch, target, error)).await;
                }
            }
        }
        learn_refused(&self.target, caller, &mut planner);
        flight.settle(&planner.give_up());
    }

    /// A planner of calls by the declared limits, and by those that earlier refusals taught `caller`.
    async fn planner(&self, places: Vec<FlightIndex>, caller: CacheScope) -> BatchPlanner {
        let limits = declared_limits(&self.target);
        let learned = self.target.stack().learned_limits.of(&self.target.model, caller, Instant::now());
        if learned.is_empty() || !self.target.may_split() {
            return BatchPlanner::of_calls(self.texts.cut(&self.target, places, limits).await, limits);
        }
        let sizes = self.texts.measure(&self.target).await;
        BatchPlanner::informed(places, sizes, learned, limits)
    }

    /// Lands the pairs that are cached by now: another flight may have landed between the request's look-up and its
    /// claim. Such scores are fresh; older ones are what this flight is to replace.
    fn land_known(&self, lead: &Lead) {
        let mut fresh = Vec::new();
        let hits = self.cache.get_many(lead.query(), lead.keys().as_slice());
        for (place, found) in lead.keys().indices().zip(hits) {
            if let Some(CachedScore { score, age: Age::Fresh }) = found {
                fresh.push((place, score));
            }
        }
        // Half a list is of no use to a listwise model.
        if !fresh.is_empty() && (self.target.may_split() || fresh.len() == lead.keys().len()) {
            lead.land_known(&fresh);
        }
    }

    /// Makes one call, with the `free` pairs behind its passages. It is dropped as soon as nobody waits for it.
    async fn call(&self, lead: &Lead, batch: PlannedBatch, free: Vec<FreePair>) -> (PlannedBatch, CallResult<'_>) {
        let scored = async {
            let (target, mut answer) = self.send(lead, &batch.places, &free).await;
            match &mut answer {
                Ok(scores) => self.keep_free(lead, batch.places.len(), &free, scores),
                Err(error) if !free.is_empty() && may_be_of_free_pairs(error) => {
                    target.stack().free_refreshes.refuse(lead.waiters().scope(), Instant::now());
                    return self.send(lead, &batch.places, &[]).await;
                }
                Err(_) => {}
            }
            (target, answer)
        };
        let outcome = tokio::select! {
            // The order matters: a call that nobody waits for must not even be encoded.
            biased;
            () = lead.abandoned(&batch.places) => None,
            scored = scored => Some(scored),
        };
        (batch, outcome)
    }

    /// Sends the passages at `places`, and those of the `free` pairs behind them.
    async fn send(
        &self,
        lead: &Lead,
        places: &[FlightIndex],
        free: &[FreePair],
    ) -> (&StackTarget, Result<Scores, UpstreamError>) {
        let waiters = lead.waiters();
        let encoded = self.texts.encode(&self.target, places.to_vec(), free).await;
        match &self.hedging {
            Some(hedging) => send_hedged(hedging, &self.texts, &self.target, &encoded, waiters).await,
            None => (&self.target, self.texts.send(&self.target, &encoded, waiters).await),
        }
    }

    /// Records the cost of scores. `target` is the one that gave them, which may be a hedge's.
    fn charge(&self, lead: &Lead, target: &Target, scores: &Scores) {
        let billed = scores.usage(target.facts.billing);
        self.metrics.charge(&target.upstream.name, target.model_label(), billed);
        lead.charge(billed);
    }
}

/// A flight under way: its waiters, and the refusals for size that it met.
pub(super) struct FlightInProgress<'a> {
    pub(super) task: &'a FlightTask,
    pub(super) lead: &'a Lead,
    /// The caller who leads the flight. Learned limits and the split budget are kept by caller.
    caller: CacheScope,
    /// The first refusal, as clients may read it: the error of every place that is settled without a score.
    refusal: Option<Error>,
    /// Calls made for passages that were expected to be refused, since the last such call that was accepted.
    confirmations: usize,
    /// Known pairs that no call has taken along yet.
    free: Vec<FreePair>,
    /// Version of the model that all scores so far are of; `None` before the first.
    pub(super) version: Option<ModelVersion>,
}

impl FlightInProgress<'_> {
    /// Counts a call against what bounds calls of its purpose. Returns false if that is used up, so that it may not be
    /// sent: probes draw on a budget, confirmations are limited in number.
    fn try_spend(&mut self, purpose: Purpose) -> bool {
        match purpose {
            Purpose::Scores | Purpose::FirstOfItsSize => true,
            Purpose::Confirmation => {
                self.confirmations += 1;
                self.confirmations <= MAX_CONFIRMATIONS
            }
            Purpose::Probe => self.split_budget().withdraw(self.caller, ONE_CALL, Instant::now()),
        }
    }

    fn split_budget(&self) -> &SharedBudget {
        &self.task.target.stack().split_budget
    }

    /// Takes in the scores of a call that `target` accepted.
    fn accepted(&mut self, planner: &mut BatchPlanner, batch: &PlannedBatch, target: &StackTarget, scores: &Scores) {
        self.split_budget().deposit(self.caller, ONE_CALL, Instant::now());
        if batch.purpose == Purpose::Confirmation {
            self.confirmations = 0;
        }
        let refused = planner.accepted(batch);
        learn_accepted(target, self.caller, planner, batch);
        if planner.is_done() {
            // Before the request gets the last of its scores, since its next request must know the limit.
            learn_refused(&self.task.target, self.caller, planner);
        }
        self.task.charge(self.lead, target, scores);
        self.land(&batch.places, scores);
        self.settle(&Settled { refused, failed: Vec::new() });
    }

    /// Takes in the failure of a call: plans smaller calls if its size was refused, fails its places otherwise.
    async fn failed(
        &mut self,
        planner: &mut BatchPlanner,
        batch: PlannedBatch,
        target: &StackTarget,
        error: UpstreamError,
    ) {
        let size_refusal = match error.size_refusal {
            Some(size_refusal) if self.task.target.may_split() => size_refusal,
            _ => {
                planner.abandoned(&batch);
                if error.is_model_missing {
                    tell_missing_model(target);
                }
                if error.kind == ErrorKind::UpstreamModelRetired {
                    let model = target.listed_model();
                    target.stack().tell_model_retired(model, &target.retirement_advice());
                }
                self.lead.fail(&batch.places, self.task.texts.describe(target, error).await);
                return;
            }
        };
        if planner.needs_sizes() {
            planner.measured(self.task.texts.measure(&self.task.target).await);
        }
        if self.refusal.is_none() {
            // Only the first refusal is described: that searches all texts of the request for quotations.
            self.refusal = Some(self.task.texts.describe(target, error).await);
        }
        let is_probe = batch.purpose == Purpose::Probe; // `refused` takes the batch
        let settled = planner.refused(batch, size_refusal, Instant::now());
        // A hedge's refusal steers this flight, but must not be learnt for the flight's own target.
        if !target.is(&self.task.target) {
            planner.drop_last_lesson();
        }
        if is_probe && planner.has_accepted() && !settled.refused.is_empty() {
            // A search that makes progress must not use up the budget of other requests.
            self.split_budget().deposit(self.caller, ONE_CALL, Instant::now());
        }
        if planner.is_done() {
            learn_refused(&self.task.target, self.caller, planner);
        }
        self.settle(&settled);
    }

    /// Gives up `batch`, which may not be sent, and every other place that would need such a call.
    fn give_up_unsent(&self, planner: &mut BatchPlanner, batch: PlannedBatch) {
        let unsent = planner.give_up_unsent(batch);
        learn_refused(&self.task.target, self.caller, planner);
        // Without a refusal of its own the flight goes by what refusals of earlier ones taught.
        let refusal = if let Some(refusal) = &self.refusal {
            refusal.clone()
        } else {
            let message = format!("{} refused such calls before", self.task.target.upstream.name);
            Error::new(ErrorKind::UpstreamRejected, message)
        };
        let message = format!("{}; passages like those refused were not all tried alone", refusal.message);
        tell_settled(self.lead, &unsent, &Error { message, ..refusal });
    }

    /// Tells the waiters of places that no call will ask for any more, by the first refusal. Places are settled only
    /// after one; if there was none, [`Lead`] fails what is left when it is dropped.
    fn settle(&self, settled: &Settled) {
        if let Some(refusal) = &self.refusal {
            tell_settled(self.lead, settled, refusal);
        }
    }
}

/// Gives places their last outcome: `error`, as a refusal or as a failure.
fn tell_settled(lead: &Lead, settled: &Settled, error: &Error) {
    if !settled.refused.is_empty() {
        lead.refuse(&settled.refused, error.clone());
    }
    if !settled.failed.is_empty() {
        lead.fail(&settled.failed, error.clone());
    }
}

/// The next call. Planning among many passages runs on a blocking thread.
async fn next_batch(mut planner: BatchPlanner) -> (BatchPlanner, Option<PlannedBatch>) {
    offload(planner.searched_places(), OFFLOAD_PLACES, move || {
        let batch = planner.next();
        (planner, batch)
    })
    .await
}

/// Tells other requests of the caller that a call of this size is accepted. Calls are measured only once one was
/// refused.
fn learn_accepted(target: &StackTarget, caller: CacheScope, planner: &BatchPlanner, batch: &PlannedBatch) {
    if let Some(size) = planner.size_of(&batch.places) {
        target.stack().learned_limits.accept(&target.model, caller, &size, Instant::now());
    }
}

/// Tells other requests of the caller what the refusals of this flight teach.
fn learn_refused(target: &StackTarget, caller: CacheScope, planner: &mut BatchPlanner) {
    for refused in planner.take_lessons() {
        target.stack().learned_limits.refuse(&target.model, caller, &refused, Instant::now());
    }
}
