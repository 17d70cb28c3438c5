//! The pipeline of one request, from validation to ranking. No HTTP, no wire shapes.
//!
//! ```text
//!  route (resolved by the caller) ─▶ validate ─▶ for the first target that answers:
//!                plan         (fold equal passages, look up known scores)
//!                score        (lead the pairs that nobody is scoring, follow the others, wait for both)
//!                flight_task  (led pairs, in calls that the provider accepts; a task of its own)
//!                check        (every position exactly once; inside the upstream's stack)
//!                rank         (best first, ties in input order, cut to top_n)
//!              ─▶ if it fails: fallback (another target, older or fewer scores, or the error)
//! ```

pub mod background_tasks;
pub mod batch;
mod batch_planner;
mod calls;
mod calls_under_way;
mod declared_limits;
mod embedded_scoring;
mod explain;
mod fallback;
mod first_wait;
mod flight_task;
mod fold;
mod free_refresh;
mod hedged_call;
mod known;
mod model_log;
pub mod pieces;
pub mod plan;
pub mod plan_context;
pub mod rank;
mod savings;
mod score;
mod shadow_run;
mod trace;
pub mod validate;
mod versions;

use std::mem;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;

use self::background_tasks::Background;
use self::explain::explain;
use self::fallback::{
    FallbackPolicy, FollowingTarget, Salvage, Step, TargetFailure, before_an_answer, waiter_for_target,
};
use self::first_wait::{TimeUp, may_be_hanging, out_of_time};
use self::plan::Plan;
use self::plan_context::PlanContext;
use self::rank::rank;
use self::savings::saved;
use self::score::TargetAttempt;
use self::trace::{PassageRanking, RequestTrace};
use self::validate::{Limits, validate};
use crate::blocking::offload::{OFFLOAD_WIRE_BYTES, offload};
use crate::cache::ScoreCache;
use crate::cache::control::CacheControl;
use crate::cache::key::CacheScope;
use crate::coalesce::{Flights, Subscription};
use crate::error::{Error, ErrorKind};
use crate::route::settings::OnDeadline;
use crate::route::{Route, RouteTable, Target};
use crate::telemetry::metrics::Metrics;
use crate::types::request::RerankRequest;
use crate::types::response::RerankResponse;
use crate::upstream::call::{RetryMode, Waiter};

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
    /// Decides between targets of the same scores (see [`crate::route::balance`]).
    pub random: Mutex<fastrand::Rng>,
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

/// The scores that one target gave, or left when it failed.
struct TargetScores<'a> {
    target: &'a Arc<Target>,
    plan: Plan,
}

/// The failure of one plan of a request.
struct PlanFailure<'a> {
    failure: TargetFailure<TargetScores<'a>>,
    /// True if two versions of the model scored the request, which another plan may mend.
    mixes_versions: bool,
}

impl From<Error> for PlanFailure<'_> {
    fn from(error: Error) -> Self {
        TargetFailure::from(error).into()
    }
}

impl<'a> From<TargetFailure<TargetScores<'a>>> for PlanFailure<'a> {
    fn from(failure: TargetFailure<TargetScores<'a>>) -> Self {
        Self { failure, mixes_versions: false }
    }
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
        let mut policy = FallbackPolicy::new(route.on_failure);
        let targets = self.targets_in_order(route, request, context);
        let mut bypasses_others = false;
        let asked = vec![OnceLock::new(); targets.len()];
        for (index, target) in targets.iter().enumerate() {
            let next = targets.get(index + 1);
            let waiter = waiter_for_target(next, route, context);
            let later_targets = &targets[index + 1..];
            let attempt = TargetAttempt {
                route,
                target,
                request,
                context,
                waiter,
                later_targets,
                asked: &asked[index],
                bypasses_others,
            };
            let TargetFailure { error, salvage, is_under_way } = match self.try_target(attempt, &mut trace).await {
                Ok(plan) => {
                    trace.answered_by(target);
                    return Ok(trace.reranked(
                        request,
                        context,
                        route,
                        target,
                        self.ranked(&plan, target, request, request.top_n).await,
                    ));
                }
                Err(failure) => failure,
            };
            // The next target must not wait for the very calls that this request has just left.
            bypasses_others |= is_under_way;
            let step = policy.step_after(&error, salvage, FollowingTarget::new(target, next));
            trace.give_up(target, &error, step.goes_on());
            match step {
                Step::EquivalentTarget | Step::NextTarget => {
                    self.metrics.fallback(&target.upstream.name, error.kind);
                }
                Step::StaleScores { scores, failure } => {
                    trace.stale(&failure);
                    let ranked = self.ranked(&scores.plan, scores.target, request, request.top_n).await;
                    return Ok(trace.reranked(request, context, route, scores.target, ranked));
                }
                Step::PartialScores { scores, refusal, failure } => {
                    trace.cut_short(&failure, refusal);
                    // Uncut: the passages without a score might be the best.
                    let ranked = self.ranked(&scores.plan, scores.target, request, None).await;
                    return Ok(trace.reranked(request, context, route, scores.target, ranked));
                }
                Step::InputOrder(failure) => return Ok(trace.original_order(request, context, route, failure)),
                Step::Fail(failure) => return Err(failure),
            }
        }
        // Not reached: a route has targets, and after the last one no step goes on.
        Err(Error::new(ErrorKind::Internal, "the model has no targets"))
    }

    /// The targets to ask, in order. Queries in scripts that the embedded cross-encoder cannot read go to the lexical
    /// scorer. That scorer also follows an embedded hybrid that stands last, in case the cross-encoder is too slow,
    /// overloaded or cannot be loaded: the last target when every provider is down must not be another that fails.
    fn targets_in_order(&self, route: &Route, request: &RerankRequest, context: &RequestContext) -> Vec<Arc<Target>> {
        let in_order = route.order(context.scope, context.started, &mut || self.random.lock().f64());
        let mut targets: Vec<_> = in_order.into_iter().map(|target| target.suited_to(&request.query)).collect();
        if !context.control.only_if_cached
            && let Some(last) = targets.last()
            && let Some(parts) = &last.hybrid
        {
            targets.push(parts.lexical.clone());
        }
        targets
    }

    /// Plans and scores the whole request at one target: scores of two score spaces never meet in one answer. If two
    /// versions of the target's model score it, it is planned anew once, of scores that the next calls give.
    async fn try_target<'a>(
        &self,
        attempt: TargetAttempt<'a>,
        trace: &mut RequestTrace,
    ) -> Result<Plan, TargetFailure<TargetScores<'a>>> {
        let mut control = attempt.context.control;
        trace.reads_cache = control.read;
        match self.try_plan(attempt, control, trace).await {
            Err(PlanFailure { mixes_versions: true, .. }) => {}
            outcome => return outcome.map_err(|failed| failed.failure),
        }
        // Without known scores: then one call gives an answer of one version, even if the upstream runs two at a time.
        control.read = false;
        trace.reads_cache = false;
        self.try_plan(attempt, control, trace).await.map_err(|failed| failed.failure)
    }

    /// Plans the whole request for one target, under the version of its model that was told last, and scores it.
    async fn try_plan<'a>(
        &self,
        mut attempt: TargetAttempt<'a>,
        control: CacheControl,
        trace: &mut RequestTrace,
    ) -> Result<Plan, PlanFailure<'a>> {
        let TargetAttempt { target, context, .. } = attempt;
        let planning = Instant::now();
        let mut plan = self.plan(target, attempt.request, context.scope, control).await;
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
            attempt.waiter.deadline = attempt.waiter.deadline.min(before_an_answer(context.deadline));
        }
        let scoring = Instant::now();
        let mut subscriptions = Vec::new();
        let scored = attempt.in_time(self.score(attempt, &mut plan, &mut subscriptions, trace)).await;
        trace.timings.upstream += scoring.elapsed();
        let is_late = matches!(scored, Err(TimeUp::Deadline));
        let is_under_way = matches!(scored, Err(TimeUp::FirstWait));
        let error = match scored {
            Ok(Ok(())) => return Ok(plan),
            Ok(Err(error)) => error,
            Err(TimeUp::Deadline) => out_of_time(&attempt, scoring),
            Err(TimeUp::FirstWait) => {
                self.leave_in_background(mem::take(&mut subscriptions));
                may_be_hanging(&attempt, scoring)
            }
        };
        if plan.mixes_versions() {
            return Err(PlanFailure { mixes_versions: true, ..error.into() });
        }
        if error.kind.is_caused_by_upstream() && plan.fall_back_to_stale() {
            let salvage = Some(Salvage::Stale(TargetScores { target, plan }));
            return Err(TargetFailure { error, salvage, is_under_way }.into());
        }
        if !is_late || attempt.route.on_deadline == OnDeadline::Error || !plan.has_scores() {
            return Err(TargetFailure { error, salvage: None, is_under_way }.into());
        }
        // The missing scores are paid for already, and likely to be asked for again: let them arrive for the cache.
        if context.control.store {
            self.leave_in_background(subscriptions);
        }
        let refusal = trace.refusal().cloned();
        let salvage = Some(Salvage::Partial { scores: TargetScores { target, plan }, refusal });
        Err(TargetFailure { error, salvage, is_under_way }.into())
    }

    /// Leaves flights to the background, if it has a permit left.
    fn leave_in_background(&self, subscriptions: Vec<Subscription>) {
        if let Some(permit) = self.background.enter() {
            permit.finish(subscriptions, Instant::now() + self.request_timeout);
        }
    }

    /// The plan of a request to `target`. A large one is made on a blocking thread: it hashes every text.
    async fn plan(
        &self,
        target: &Target,
        request: &Arc<RerankRequest>,
        scope: CacheScope,
        control: CacheControl,
    ) -> Plan {
        let plan_context = PlanContext::of(target, scope, control);
        let owned = request.clone();
        let cache = self.cache.clone();
        offload(request.text_bytes(), OFFLOAD_WIRE_BYTES, move || Plan::new(&owned, &plan_context, &cache)).await
    }

    /// The ranking that a plan for `target` gives, cut to `top_n`. Counts what its known scores saved.
    async fn ranked(
        &self,
        plan: &Plan,
        target: &Target,
        request: &Arc<RerankRequest>,
        top_n: Option<usize>,
    ) -> PassageRanking {
        let saved = saved(plan, target, request);
        if let Some(usd) = saved.usd {
            self.metrics.saved(&target.upstream.name, target.model_label(), usd);
        }
        let ranking = rank(&plan.passages(), top_n);
        let explanations = if request.explain { explain(plan, target, request, &ranking).await } else { Vec::new() };
        PassageRanking { ranking, pairs: plan.counts(), saved, explanations }
    }

    /// The same attempt for a refresh in the background: with a deadline of its own, and without backoff.
    fn in_background<'a>(&self, attempt: TargetAttempt<'a>) -> TargetAttempt<'a> {
        let deadline = Instant::now() + self.request_timeout;
        let scope = attempt.context.scope;
        // `refresh` has asked the client's leave to store before.
        let waiter = Waiter { deadline, retry_mode: RetryMode::FailFast, store: true, scope };
        TargetAttempt { waiter, bypasses_others: false, ..attempt }
    }
}
