//! The unknown pairs of a plan, scored by one target: the part of the request that waits.
//!
//! It waits for a flight of its own, for flights of others, or for both (see [`crate::coalesce`]). The part that asks
//! the upstream is [`super::flight_task`].

use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::select_all;
use tokio::time::{Instant, timeout};

use super::calls::FlightTexts;
use super::flight_task::FlightTask;
use super::free_refresh::free_pairs;
use super::hedged_call::Hedging;
use super::plan::Plan;
use super::trace::RequestTrace;
use super::{RequestContext, Reranker};
use crate::cache::control::CacheControl;
use crate::coalesce::{Claim, ClaimRequest, PairOutcome, Subscription};
use crate::error::{Error, ErrorKind};
use crate::provider::Scoring;
use crate::route::{Route, ScoringPath, StackTarget, Target};
use crate::text::{counted, grouped};
use crate::types::index::SlotIndex;
use crate::types::request::RerankRequest;
use crate::types::response::ScoreSource;
use crate::upstream::call::Waiter;

/// One request at one target.
#[derive(Clone, Copy, Debug)]
pub(super) struct TargetAttempt<'a> {
    pub(super) route: &'a Route,
    pub(super) target: &'a Arc<Target>,
    pub(super) request: &'a Arc<RerankRequest>,
    pub(super) context: &'a RequestContext,
    /// The deadline and the retry mode at this target; the request's own deadline may be later.
    pub(super) waiter: Waiter,
    /// The targets that are asked after this one, in order.
    pub(super) later_targets: &'a [Arc<Target>],
    /// Time at which the target itself was asked; empty while only calls at other upstreams are waited for.
    pub(super) asked: &'a OnceLock<Instant>,
    /// True if the target is asked even for pairs that another target of the same scores is already scoring.
    pub(super) bypasses_others: bool,
}

/// One request at one target that is asked through its upstream's stack.
#[derive(Clone, Copy, Debug)]
pub(super) struct StackAttempt<'a> {
    pub(super) route: &'a Route,
    pub(super) target: &'a StackTarget,
    pub(super) request: &'a Arc<RerankRequest>,
    pub(super) waiter: Waiter,
    /// Time at which the target itself was asked; set by the first claim that waits for it.
    pub(super) asked: &'a OnceLock<Instant>,
    /// True if the target is asked even for pairs that another target of the same scores is already scoring.
    pub(super) bypasses_others: bool,
}

impl<'a> TargetAttempt<'a> {
    /// The same attempt at `target`.
    pub(super) fn at(self, target: &'a StackTarget) -> StackAttempt<'a> {
        let Self { route, request, waiter, asked, bypasses_others, .. } = self;
        StackAttempt { route, target, request, waiter, asked, bypasses_others }
    }
}

impl Reranker {
    /// Scores what `plan` does not know. If this future is dropped, `plan` keeps the scores that arrived, and
    /// `subscriptions` the flights that are still under way.
    ///
    /// # Errors
    /// The first call that failed for good.
    pub(super) async fn score(
        &self,
        attempt: TargetAttempt<'_>,
        plan: &mut Plan,
        subscriptions: &mut Vec<Subscription>,
        trace: &mut RequestTrace,
    ) -> Result<(), Error> {
        let target = match ScoringPath::of(attempt.target) {
            ScoringPath::Stack(target) => target,
            ScoringPath::Embedded(scorer) => {
                return self.score_embedded(attempt, scorer, plan, subscriptions, trace).await;
            }
        };
        check_list_size(&target, plan.unknown().len())?;
        self.score_in_calls(attempt.at(&target), plan, subscriptions, trace).await?;
        check_not_refused_wholly(plan, trace)
    }

    /// Waits for the target, and for other targets of the same scores that are already asked for some of the pairs. If
    /// one of the others fails, or is silent for unusually long, the target itself is asked for its pairs.
    pub(super) async fn score_in_calls(
        &self,
        attempt: StackAttempt<'_>,
        plan: &mut Plan,
        subscriptions: &mut Vec<Subscription>,
        trace: &mut RequestTrace,
    ) -> Result<(), Error> {
        let own = attempt.target.upstream.name.as_str();
        let is_foreign = |subscription: &Subscription| subscription.upstream() != own;
        *subscriptions = self.claim(attempt, plan, plan.unknown(), trace);
        // Each round takes foreign subscriptions away or news in: claims that bypass the others add none.
        while subscriptions.iter().any(is_foreign) {
            let heard = timeout(longest_silence(attempt), next_news(subscriptions)).await;
            let given_up: Vec<Subscription> = match heard {
                Ok(news) => {
                    let Err(failure) = take_in(news, subscriptions, plan, trace) else { continue };
                    if !is_foreign(&subscriptions[failure.at]) || plan.mixes_versions() {
                        return Err(failure.error);
                    }
                    vec![subscriptions.swap_remove(failure.at)]
                }
                Err(_silence) => subscriptions.extract_if(.., |subscription| is_foreign(subscription)).collect(),
            };
            // The old subscriptions are dropped at the end of the round, when the new claim holds their pairs.
            let mut missing = Vec::new();
            for subscription in &given_up {
                missing.extend(subscription.waiting());
            }
            subscriptions.extend(self.claim(StackAttempt { bypasses_others: true, ..attempt }, plan, &missing, trace));
        }
        while !subscriptions.is_empty() {
            let news = next_news(subscriptions).await;
            if let Err(failure) = take_in(news, subscriptions, plan, trace) {
                return Err(failure.error);
            }
        }
        Ok(())
    }

    /// Takes part in the scoring of `slots`. Starts a flight for pairs that nobody is scoring, or, with
    /// `bypasses_others`, for those that this target is not scoring.
    fn claim(
        &self,
        attempt: StackAttempt<'_>,
        plan: &Plan,
        slots: &[SlotIndex],
        trace: &RequestTrace,
    ) -> Vec<Subscription> {
        let flights = attempt.route.flights.as_ref().unwrap_or(&self.flights);
        let Claim { lead, subscriptions } = flights.claim(&ClaimRequest {
            query: plan.query(),
            keys: plan.keys(),
            slots,
            upstream: &attempt.target.upstream.name,
            bypasses_others: attempt.bypasses_others,
            waiter: attempt.waiter,
        });
        if let Some(lead) = lead {
            let task = FlightTask {
                target: attempt.target.clone(),
                texts: FlightTexts {
                    request: attempt.request.clone(),
                    pieces: plan.pieces().clone(),
                    pieces_of_places: Arc::new(plan.pieces_of(lead.slots().iter().copied()).into()),
                    attempts: trace.attempts.clone(),
                },
                hedging: self.hedging(attempt),
                version: plan.planned_version(),
                free: free_pairs(attempt, plan, &self.cache, flights),
                cache: self.cache.clone(),
                metrics: self.metrics.clone(),
            };
            // A task of its own: the flight outlives this request as long as somebody else waits for it.
            tokio::spawn(task.run(lead, trace.reads_cache));
        }
        if subscriptions.iter().any(|subscription| subscription.upstream() == attempt.target.upstream.name) {
            attempt.asked.get_or_init(Instant::now);
        }
        subscriptions
    }

    /// Targets for second calls, if the route hedges and has another target of the same scores. A target without a
    /// stack is none: it makes no calls.
    fn hedging(&self, attempt: StackAttempt<'_>) -> Option<Hedging> {
        let hedge = attempt.route.hedge.clone()?;
        let mut equivalent_targets = Vec::new();
        for target in attempt.route.equivalent_targets(attempt.target) {
            equivalent_targets.extend(StackTarget::of(target));
        }
        if equivalent_targets.is_empty() {
            return None;
        }
        Some(Hedging { hedge, equivalent_targets, metrics: self.metrics.clone() })
    }

    /// Refreshes the scores that are due, in the background. Nothing happens if they wait for free room instead
    /// ([`free_pairs`]), if the client forbids storing or calls, if the circuit lets no calls through, or if all
    /// background tasks are taken: the scores serve a while longer.
    pub(super) fn refresh(&self, attempt: TargetAttempt<'_>, plan: &Plan) {
        let RequestContext { started, control: CacheControl { store, only_if_cached, .. }, .. } = *attempt.context;
        if plan.due().is_empty()
            || self.cache.refreshes_for_free()
            || !store
            || only_if_cached
            || !attempt.target.upstream.admits_calls(attempt.context.scope, started)
        {
            return;
        }
        // Local scores cost no call: once expired, they are computed in no time.
        let Some(target) = StackTarget::of(attempt.target) else { return };
        if let Some(permit) = self.background.enter() {
            let subscriptions = self.claim(attempt.at(&target), plan, plan.due(), &RequestTrace::of_background());
            permit.finish(subscriptions, attempt.waiter.deadline);
            self.metrics.refreshed(plan.due().len());
        }
    }
}

/// The failure of one subscription's flight.
struct FlightFailure {
    /// Index of the subscription.
    at: usize,
    error: Error,
}

/// The news of one subscription.
struct News {
    /// Index of the subscription.
    at: usize,
    /// The pairs that landed, or the failure of the flight.
    landed: Result<Vec<(SlotIndex, PairOutcome)>, Arc<Error>>,
}

/// The longest silence to bear from other targets of the same scores: three times the usual latency of a call here, or
/// `fallback_after` where that is not known, and at most half of the time left.
fn longest_silence(attempt: StackAttempt<'_>) -> Duration {
    let stack = attempt.target.stack();
    // The other half is for the target itself.
    let half = attempt.waiter.deadline.saturating_duration_since(Instant::now()) / 2;
    match stack.late_after(bytes_of_a_call(attempt.target, attempt.request)) {
        Some(late_after) => late_after.min(half),
        None if attempt.route.fallback_after.is_zero() => half,
        None => half.min(attempt.route.fallback_after),
    }
}

/// Bytes of one of the calls to `target` that `request` needs, as far as its passages tell.
pub(super) fn bytes_of_a_call(target: &StackTarget, request: &RerankRequest) -> usize {
    let passages = request.passages.len().max(1);
    request.text_bytes() / passages.div_ceil(target.max_passages())
}

/// Waits for news of any of the subscriptions. There must be at least one.
async fn next_news(subscriptions: &mut [Subscription]) -> News {
    let (landed, at, _) = select_all(subscriptions.iter_mut().map(|subscription| subscription.next().boxed())).await;
    News { at, landed }
}

/// Writes news into the plan. Empty news is a flight's last: its subscription is removed, and the last one takes its
/// index.
///
/// # Errors
/// The failure of the flight. Its subscription stays.
fn take_in(
    news: News,
    subscriptions: &mut Vec<Subscription>,
    plan: &mut Plan,
    trace: &mut RequestTrace,
) -> Result<(), FlightFailure> {
    let News { at, landed } = news;
    let subscription = &subscriptions[at];
    // A flight that fails may have been charged, too.
    if let Some(charge) = subscription.take_charge() {
        trace.usage = trace.usage.plus(charge);
    }
    // The request that opened the flight is the one that it was computed for.
    let source = if subscription.is_leaders() { ScoreSource::Scored } else { ScoreSource::Coalesced };
    let outcomes = match landed {
        Ok(outcomes) => outcomes,
        Err(error) => return Err(FlightFailure { at, error: Arc::unwrap_or_clone(error) }),
    };
    if outcomes.is_empty() {
        subscriptions.swap_remove(at);
        return Ok(());
    }
    let has_scores = outcomes.iter().any(|(_, outcome)| !matches!(outcome, PairOutcome::Refused(_)));
    if has_scores && !plan.admit_version(subscription.other_version()) {
        return Err(FlightFailure { at, error: mixed_versions(subscription.upstream()) });
    }
    for (slot, outcome) in outcomes {
        match outcome {
            PairOutcome::Scored(score) => plan.learn(slot, Some(score), source),
            PairOutcome::Known(score) => plan.learn(slot, Some(score), ScoreSource::Cache),
            PairOutcome::Refused(error) => {
                plan.learn(slot, None, ScoreSource::Refused);
                trace.refused(&error);
            }
            PairOutcome::OtherVersion => plan.mix_versions(),
        }
    }
    if plan.mixes_versions() {
        return Err(FlightFailure { at, error: mixed_versions(subscriptions[at].upstream()) });
    }
    Ok(())
}

/// The failure of a request for which two versions of the model scored. It is planned anew once; this is told if they
/// change again.
fn mixed_versions(upstream: &str) -> Error {
    let message = format!(
        "{upstream} scored by two versions of its model, and an answer must be of one; \
         ask again, and if it goes on see the event model_version_changed in the log"
    );
    Error::new(ErrorKind::UpstreamInvalidReply, message)
}

/// Fails a request of which the provider refused every passage. If it took some, the others just have no score. Blank
/// passages count with the refused ones: no model scored them either.
fn check_not_refused_wholly(plan: &Plan, trace: &RequestTrace) -> Result<(), Error> {
    let Some(refusal) = trace.refusal() else { return Ok(()) };
    let counts = plan.counts();
    if counts.unscored == counts.total { Err(refusal.clone()) } else { Ok(()) }
}

/// Refuses a list that a listwise model or a selector cannot take whole: in parts it would be ranked otherwise.
fn check_list_size(target: &StackTarget, passages: usize) -> Result<(), Error> {
    let stack = target.stack();
    if passages <= target.max_passages() {
        return Ok(());
    }
    let works = match target.facts.scoring {
        Scoring::Pointwise => return Ok(()),
        Scoring::Listwise => "scores a list as a whole",
        Scoring::Selector => "picks from a list as a whole",
    };
    let most = counted(target.max_passages(), "document", "documents");
    let mut message = format!(
        "{} {works} and takes at most {most} at once, the request has {}; send fewer",
        target.address(),
        grouped(passages),
    );
    if target.facts.scoring == Scoring::Listwise {
        message.push_str(&format!(
            ", or if the model scores each document by itself declare it as pointwise under [{}.models]",
            stack.format.setting(),
        ));
    }
    Err(Error::new(ErrorKind::TooManyDocuments, message))
}
