//! The core: one request from decoded to ranked. No HTTP, no wire shapes.
//!
//! ```text
//!  route (resolved by the caller) ─▶ validate ─▶ for the first target that answers:
//!                plan   (fold equal passages, look up known scores)
//!                score  (lead the pairs that nobody is scoring, follow the others, wait for both)
//!                fill   (led pairs, in calls that the provider accepts; a task of its own)
//!                merge  (every position exactly once; inside the upstream's stack)
//!                rank   (best first, ties in input order, cut to top_n)
//! ```

pub mod background_tasks;
pub mod batch;
mod batch_planner;
mod calls;
mod flight_task;
mod hedged_call;
mod hybrid_scoring;
mod known;
pub mod pieces;
pub mod plan;
pub mod rank;
mod score;
mod shadow_run;
#[cfg(test)]
mod simulation;
mod trace;
pub mod validate;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use self::background_tasks::Background;
use self::plan::{Plan, PlanContext};
use self::rank::rank;
use self::score::TargetAttempt;
use self::trace::RequestTrace;
use self::validate::{Limits, validate};
use crate::blocking::offload::{OFFLOAD_WIRE_BYTES, offload};
use crate::cache::ScoreCache;
use crate::cache::control::CacheControl;
use crate::cache::key::CacheScope;
use crate::coalesce::Flights;
use crate::error::{Error, ErrorKind};
use crate::route::settings::{OnDeadline, OnFailure};
use crate::route::{Route, RouteTable, Target};
use crate::telemetry::metrics::Metrics;
use crate::types::request::RerankRequest;
use crate::types::response::{PairCounts, RankedPassage, RerankResponse};
use crate::upstream::call::{RetryMode, Waiter};

/// Share of the time left that a target may not use, 0 to 1: it is kept for the next target, or for a degraded answer.
const KEPT_SHARE: f64 = 0.2;
/// Most time kept for an answer made of the scores at hand, which takes hardly any.
const KEPT_FOR_AN_ANSWER: Duration = Duration::from_millis(50);
/// Most time kept for the lexical scorer, which takes milliseconds for usual lists.
const KEPT_FOR_THE_LEXICAL_SCORER: Duration = Duration::from_millis(200);

/// Everything that outlives a request.
#[derive(Debug)]
pub struct Reranker {
    /// Models by name, with the targets to ask.
    pub routes: RouteTable,
    /// Scores of earlier requests.
    pub cache: ScoreCache,
    /// Pairs that are being scored now.
    pub flights: Flights,
    /// Refreshes and late scores that no request waits for.
    pub background: Background,
    /// Limits of one request.
    pub limits: Limits,
    /// The longest time that a request, a refresh or a shadow may take.
    pub request_timeout: Duration,
    /// Counters and histograms of this process.
    pub metrics: Arc<Metrics>,
}

/// The circumstances of one request: its times, and its share of the cache.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext {
    /// Time of the request's first byte.
    pub started: Instant,
    /// Time after which an answer is of no use.
    pub deadline: Instant,
    /// The client's cache directives.
    pub control: CacheControl,
    /// Callers whose cached scores may be used.
    pub scope: CacheScope,
}

/// A target's failure, and the scores that it left.
struct TargetFailure {
    error: Error,
    salvage: Option<Salvage>,
}

/// Scores of a target that failed, from which a degraded answer can be made.
enum Salvage {
    /// A score for every passage, some of them expired.
    Stale(Plan),
    /// The scores that arrived in time, and the refusal of a passage if there was one by then.
    Partial(Plan, Option<Error>),
}

impl Reranker {
    /// Reranks one request by the targets of `route`.
    ///
    /// # Errors
    /// A fault of the request, or the first target's failure if all targets failed and the model has no other policy.
    pub async fn rerank(
        &self,
        route: &Route,
        request: &Arc<RerankRequest>,
        context: &RequestContext,
    ) -> Result<RerankResponse, Error> {
        validate(request, self.limits)?;
        let mut trace = RequestTrace::new(context.control);
        let mut failures = Vec::new();
        let mut stale = None;
        let mut partial = None;
        let targets = targets_in_order(route, request, context);
        for (index, target) in targets.iter().enumerate() {
            let next = targets.get(index + 1);
            let waiter = waiter_before(next, route, context);
            let attempt = TargetAttempt { route, target, request, context, waiter, bypasses_others: false };
            let TargetFailure { error, salvage } = match self.try_target(attempt, &mut trace).await {
                Ok(plan) => {
                    trace.answered_by(target);
                    return Ok(trace.reranked(request, context, route, target, outcome(&plan, request.top_n)));
                }
                Err(failure) => failure,
            };
            match salvage {
                // The later plan of a score space knows what the earlier one learnt.
                Some(Salvage::Stale(plan)) => stale = Some((target, plan)),
                // Of partial answers the first is the best: it is from the target that was preferred.
                Some(Salvage::Partial(plan, refusal)) => {
                    partial.get_or_insert((target, plan, refusal));
                }
                None => {}
            }
            // Old scores of the same model come before new ones of another.
            let is_last_of_space = next.is_none_or(|next| next.space != target.space);
            let fallback = if is_last_of_space { stale.take() } else { None };
            let goes_on = next.is_some() && fallback.is_none();
            trace.give_up(target, &error, goes_on);
            if goes_on {
                self.metrics.fallback(&target.upstream.name, error.kind);
            }
            failures.push(error);
            if let Some((stale_target, plan)) = fallback {
                trace.stale(&first_failure(failures));
                return Ok(trace.reranked(request, context, route, stale_target, outcome(&plan, request.top_n)));
            }
        }
        let failure = first_failure(failures);
        if let Some((target, plan, refusal)) = partial {
            trace.cut_short(&failure, refusal);
            // Uncut: the passages without a score might be the best.
            return Ok(trace.reranked(request, context, route, target, outcome(&plan, None)));
        }
        if route.on_failure == OnFailure::OriginalOrder && failure.kind != ErrorKind::NotCached {
            return Ok(trace.original_order(request, context, route, failure));
        }
        Err(failure)
    }

    /// Plans and scores the whole request at one target: scores of two score spaces never meet in one answer.
    async fn try_target(
        &self,
        mut attempt: TargetAttempt<'_>,
        trace: &mut RequestTrace,
    ) -> Result<Plan, TargetFailure> {
        let TargetAttempt { target, context, .. } = attempt;
        let planning = Instant::now();
        let mut plan = self.plan(target, attempt.request, context).await;
        trace.timings.cache += planning.elapsed();
        self.refresh(self.in_background(attempt), &plan);
        if plan.unknown().is_empty() {
            return Ok(plan);
        }
        if context.control.only_if_cached {
            let message =
                format!("{} of the scores are not cached, and the request says only-if-cached", plan.unknown().len());
            return Err(Error::new(ErrorKind::NotCached, message).into());
        }
        if plan.can_fall_back_to_stale() {
            // An answer of expired scores must still be made before the deadline.
            attempt.waiter.deadline = attempt.waiter.deadline.min(before(context.deadline, KEPT_FOR_AN_ANSWER));
        }
        let scoring = Instant::now();
        let mut subscriptions = Vec::new();
        let scored =
            timeout_at(attempt.waiter.deadline, self.score(attempt, &mut plan, &mut subscriptions, trace)).await;
        trace.timings.upstream += scoring.elapsed();
        let in_time = scored.is_ok();
        let error = match scored {
            Ok(Ok(())) => return Ok(plan),
            Ok(Err(error)) => error,
            Err(_elapsed) => out_of_time(&attempt, scoring),
        };
        if error.kind.is_upstreams() && plan.fall_back_to_stale() {
            return Err(TargetFailure { error, salvage: Some(Salvage::Stale(plan)) });
        }
        if in_time || attempt.route.on_deadline == OnDeadline::Error || !plan.has_scores() {
            return Err(error.into());
        }
        // The missing scores are paid for already, and likely to be asked for again: let them arrive for the cache.
        if context.control.store
            && let Some(permit) = self.background.enter()
        {
            permit.finish(subscriptions, Instant::now() + self.request_timeout);
        }
        Err(TargetFailure { error, salvage: Some(Salvage::Partial(plan, trace.refusal().cloned())) })
    }

    async fn plan(&self, target: &Target, request: &Arc<RerankRequest>, context: &RequestContext) -> Plan {
        let plan_context = PlanContext::of(target, context.scope, context.control);
        let owned = request.clone();
        let cache = self.cache.clone();
        offload(request.text_bytes(), OFFLOAD_WIRE_BYTES, move || Plan::new(&owned, &plan_context, &cache)).await
    }

    /// The same attempt for a refresh in the background: with a deadline of its own, and without backoff.
    fn in_background<'a>(&self, attempt: TargetAttempt<'a>) -> TargetAttempt<'a> {
        let deadline = Instant::now() + self.request_timeout;
        let scope = attempt.context.scope;
        TargetAttempt { waiter: Waiter { deadline, retry_mode: RetryMode::FailFast, store: true, scope }, ..attempt }
    }
}

/// The ranking that a plan gives, cut to `top_n`, and the counts of its pairs.
fn outcome(plan: &Plan, top_n: Option<usize>) -> (Vec<RankedPassage>, PairCounts) {
    (rank(plan.passages(), top_n), plan.counts())
}

/// The targets to ask, in order. Queries in scripts that the embedded cross-encoder cannot read go to the lexical
/// scorer. That scorer also follows an embedded hybrid that stands last, in case the cross-encoder is too slow,
/// overloaded or cannot be loaded: the last target when every provider is down must not be another that fails.
fn targets_in_order(route: &Route, request: &RerankRequest, context: &RequestContext) -> Vec<Arc<Target>> {
    let in_order = route.order(context.scope, context.started);
    let mut targets: Vec<_> = in_order.into_iter().map(|target| target.suited_to(&request.query)).collect();
    if !context.control.only_if_cached
        && let Some(last) = targets.last()
        && let Some(parts) = &last.parts
    {
        targets.push(parts.lexical.clone());
    }
    targets
}

/// The time and patience of the request at one target. `next` is the target to be asked after it.
fn waiter_before(next: Option<&Arc<Target>>, route: &Route, context: &RequestContext) -> Waiter {
    let most_kept = match (next, route.on_failure, route.on_deadline) {
        (Some(next), ..) if next.answers_at_once() => KEPT_FOR_THE_LEXICAL_SCORER,
        (Some(_), ..) => Duration::MAX,
        // Without another target and another policy nothing follows but the error.
        (None, OnFailure::Error, OnDeadline::Error) => Duration::ZERO,
        (None, ..) => KEPT_FOR_AN_ANSWER,
    };
    Waiter {
        deadline: before(context.deadline, most_kept),
        retry_mode: if next.is_none() { RetryMode::Wait } else { RetryMode::FailFast },
        store: context.control.store,
        scope: context.scope,
    }
}

/// `deadline`, moved ahead by a share of the time left, but by at most `most`.
fn before(deadline: Instant, most: Duration) -> Instant {
    let share = deadline.saturating_duration_since(Instant::now()).mul_f64(KEPT_SHARE);
    deadline.checked_sub(share.min(most)).unwrap_or(deadline)
}

impl From<Error> for TargetFailure {
    fn from(error: Error) -> Self {
        Self { error, salvage: None }
    }
}

/// The first target's failure, which says most, with the messages of the later ones after its own.
fn first_failure(failures: Vec<Error>) -> Error {
    let mut in_order = failures.into_iter();
    let Some(mut first) = in_order.next() else {
        return Error::new(ErrorKind::Internal, "the model has no targets");
    };
    for failure in in_order {
        first.message.push_str("; then ");
        first.message.push_str(&failure.message);
    }
    first
}

/// The error of a target that used up its time. For the last target that is the request's deadline.
fn out_of_time(attempt: &TargetAttempt<'_>, since: Instant) -> Error {
    let waited = since.elapsed().as_millis();
    let upstream = &attempt.target.upstream.name;
    match attempt.waiter.retry_mode {
        RetryMode::Wait => {
            let message = format!("the deadline passed after {waited} ms of waiting for {upstream}");
            Error::new(ErrorKind::DeadlineExceeded, message)
        }
        RetryMode::FailFast => {
            let message = format!("{upstream} used up its share of the time, {waited} ms");
            Error::new(ErrorKind::UpstreamTimeout, message)
        }
    }
}
