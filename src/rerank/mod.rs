//! The core: one request from decoded to ranked. No HTTP, no wire shapes.
//!
//! ```text
//!  validate ─▶ route ─▶ for the first target that answers:
//!                plan   (fold equal passages, look up known scores)
//!                score  (lead the pairs that nobody is scoring, follow the others, wait for both)
//!                fill   (led pairs, in calls that the provider accepts; a task of its own)
//!                merge  (every position exactly once; inside the upstream's stack)
//!                rank   (best first, ties in input order, cut to top_n)
//! ```

pub mod assemble;
pub mod background;
pub mod batch;
mod batch_planner;
mod calls;
mod fill;
mod hedge;
mod hybrid;
mod journey;
mod known;
pub mod merge;
pub mod offload;
pub mod pieces;
pub mod plan;
pub mod rank;
pub mod request;
pub mod response;
mod score;
mod shadow;
#[cfg(test)]
mod simulation;
pub mod validate;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use self::background::Background;
use self::journey::Journey;
use self::offload::{OFFLOAD_WIRE_BYTES, offload};
use self::plan::{Plan, PlanContext};
use self::rank::rank;
use self::request::RerankRequest;
use self::response::{PairCounts, RankedPassage, RerankResponse};
use self::score::Turn;
use self::validate::{Limits, validate};
use crate::cache::ScoreCache;
use crate::cache::control::CacheControl;
use crate::cache::key::CacheScope;
use crate::coalesce::Flights;
use crate::config::settings::{OnDeadline, OnFailure};
use crate::error::{Error, ErrorKind};
use crate::route::{Route, RouteTable, Target};
use crate::telemetry::metrics::Metrics;
use crate::upstream::call::{Patience, Waiter};

/// Share of the time left that is kept for whatever stands behind a target.
const KEPT_SHARE: f64 = 0.2;
/// Most that is kept for an answer made of what is there, which takes no time to speak of.
const KEPT_FOR_AN_ANSWER: Duration = Duration::from_millis(50);
/// Most that is kept for the lexical scorer, which takes milliseconds for usual lists.
const KEPT_FOR_THE_LEXICAL_SCORER: Duration = Duration::from_millis(200);

/// Everything that outlives a request.
#[derive(Debug)]
pub struct Reranker {
    /// Where to ask.
    pub routes: RouteTable,
    /// What is known.
    pub cache: ScoreCache,
    /// What is being scored.
    pub flights: Flights,
    /// What goes on when nobody waits.
    pub background: Background,
    /// What is too much.
    pub limits: Limits,
    /// Longest that anything takes.
    pub request_timeout: Duration,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

/// What belongs to one request but not to its content.
#[derive(Clone, Copy, Debug)]
pub struct RequestContext {
    /// When the request came in.
    pub started: Instant,
    /// When its answer is of no use any more.
    pub deadline: Instant,
    /// What the client allows the cache to do.
    pub control: CacheControl,
    /// Whose scores may be used.
    pub scope: CacheScope,
}

/// Why a target gave no answer, and what there is all the same.
struct Defeat {
    error: Error,
    remains: Option<Remains>,
}

/// What an answer can be made of when a target failed.
enum Remains {
    /// Every score, but some are too old.
    Stale(Plan),
    /// The scores that were there when its time was over, and why a passage was refused by then.
    Partial(Plan, Option<Error>),
}

impl Reranker {
    /// Reranks one request by the targets of `route`.
    ///
    /// # Errors
    /// What is wrong with the request, or the first target's failure if all targets failed and the model has no other policy.
    pub async fn rerank(
        &self,
        route: &Route,
        request: &Arc<RerankRequest>,
        context: &RequestContext,
    ) -> Result<RerankResponse, Error> {
        validate(request, self.limits)?;
        let mut journey = Journey::new(context.control);
        let (mut failures, mut stale, mut partial) = (Vec::new(), None, None);
        let targets = targets(route, request, context);
        for (index, target) in targets.iter().enumerate() {
            let next = targets.get(index + 1);
            let waiter = waiter(next.map(AsRef::as_ref), route, context);
            let turn = Turn { route, target, request, context, waiter, insists: false };
            let Defeat { error, remains } = match self.try_target(turn, &mut journey).await {
                Ok(plan) => {
                    journey.arrive(target);
                    return Ok(journey.reranked(request, context, route, target, outcome(&plan, request.top_n)));
                }
                Err(defeat) => defeat,
            };
            match remains {
                // The later plan of one space knows what the earlier one learnt.
                Some(Remains::Stale(plan)) => stale = Some((target, plan)),
                Some(Remains::Partial(plan, refusal)) => partial = partial.or(Some((target, plan, refusal))),
                None => {}
            }
            // Old scores of the same model come before new ones of another.
            let used = stale.take_if(|_| next.is_none_or(|next| next.space != target.space));
            let goes_on = next.is_some() && used.is_none();
            journey.give_up(target, &error, goes_on);
            if goes_on {
                self.metrics.fallback(&target.upstream.name, error.kind.code());
            }
            failures.push(error);
            if let Some((target, plan)) = used {
                journey.stale(&first_failure(failures));
                return Ok(journey.reranked(request, context, route, target, outcome(&plan, request.top_n)));
            }
        }
        let failure = first_failure(failures);
        if let Some((target, plan, refusal)) = partial {
            journey.cut_short(&failure, refusal);
            return Ok(journey.reranked(request, context, route, target, outcome(&plan, None)));
        }
        if route.on_failure == OnFailure::OriginalOrder && failure.kind != ErrorKind::NotCached {
            return Ok(journey.original_order(request, context, route, failure));
        }
        Err(failure)
    }

    /// Plans and scores the whole request at one target: scores of two score spaces never meet in one answer.
    async fn try_target(&self, mut turn: Turn<'_>, journey: &mut Journey) -> Result<Plan, Defeat> {
        let Turn { target, context, .. } = turn;
        let planning = Instant::now();
        let mut plan = self.plan(target, turn.request, context).await;
        journey.timings.cache += milliseconds_since(planning);
        self.refresh(self.unhurried(turn), &plan);
        if plan.unknown().is_empty() {
            return Ok(plan);
        }
        if context.control.only_if_cached {
            let message =
                format!("{} of the scores are not cached, and the request says only-if-cached", plan.unknown().len());
            return Err(Error::new(ErrorKind::NotCached, message).into());
        }
        if plan.can_fall_back_to_stale() {
            turn.waiter.deadline = turn.waiter.deadline.min(before(context.deadline, KEPT_FOR_AN_ANSWER));
        }
        let (scoring, mut tickets) = (Instant::now(), Vec::new());
        let scored = timeout_at(turn.waiter.deadline, self.score(turn, &mut plan, &mut tickets, journey)).await;
        journey.timings.upstream += milliseconds_since(scoring);
        let in_time = scored.is_ok();
        let scored = scored.unwrap_or_else(|_| Err(out_of_time(&turn, scoring)));
        let Err(error) = scored else { return Ok(plan) };
        if error.kind.is_upstreams() && plan.fall_back_to_stale() {
            return Err(Defeat { error, remains: Some(Remains::Stale(plan)) });
        }
        if in_time || turn.route.on_deadline == OnDeadline::Error || !plan.has_scores() {
            return Err(error.into());
        }
        // What is still to come has been asked for, and is likely to be asked for again.
        if let Some(leave) = self.background.enter().filter(|_| context.control.store) {
            leave.finish(tickets, Instant::now() + self.request_timeout);
        }
        Err(Defeat { error, remains: Some(Remains::Partial(plan, journey.refusal().cloned())) })
    }

    async fn plan(&self, target: &Target, request: &Arc<RerankRequest>, context: &RequestContext) -> Plan {
        let plan_context = PlanContext::of(target, context.scope, context.control);
        let (owned, cache) = (request.clone(), self.cache.clone());
        offload(request.text_bytes(), OFFLOAD_WIRE_BYTES, move || Plan::new(&owned, &plan_context, &cache)).await
    }

    /// The same turn without anybody who waits.
    fn unhurried<'a>(&self, turn: Turn<'a>) -> Turn<'a> {
        let deadline = Instant::now() + self.request_timeout;
        let scope = turn.context.scope;
        Turn { waiter: Waiter { deadline, patience: Patience::Hurry, store: true, scope }, ..turn }
    }
}

/// What a plan comes to: the ranking, cut to `top_n`, and how its pairs became known.
fn outcome(plan: &Plan, top_n: Option<usize>) -> (Vec<RankedPassage>, PairCounts) {
    (rank(plan.passages(), top_n), plan.counts())
}

/// Whom to ask, in which order. What the embedded cross-encoder has no time or place for, or cannot be read for, is left to the lexical scorer, as
/// queries in other scripts are: the last target when every provider is down must not be another that fails.
fn targets(route: &Route, request: &RerankRequest, context: &RequestContext) -> Vec<Arc<Target>> {
    let suited = |target: Arc<Target>| target.suited_to(&request.query);
    let mut targets: Vec<_> = route.order(context.scope, context.started).into_iter().map(suited).collect();
    let last_resort = targets.last().and_then(|last| Some(last.parts.as_ref()?.lexical.clone()));
    targets.extend(last_resort.filter(|_| !context.control.only_if_cached));
    targets
}

/// What the request expects of a target, before whoever is asked next.
fn waiter(next: Option<&Target>, route: &Route, context: &RequestContext) -> Waiter {
    let most_kept = match (next, route.on_failure, route.on_deadline) {
        (Some(next), ..) if next.answers_at_once() => KEPT_FOR_THE_LEXICAL_SCORER,
        (Some(_), ..) => Duration::MAX,
        (None, OnFailure::Error, OnDeadline::Error) => Duration::ZERO,
        (None, ..) => KEPT_FOR_AN_ANSWER,
    };
    Waiter {
        deadline: before(context.deadline, most_kept),
        patience: if next.is_none() { Patience::Wait } else { Patience::Hurry },
        store: context.control.store,
        scope: context.scope,
    }
}

/// So much before `deadline` that a share of the time left remains, at most `most`.
fn before(deadline: Instant, most: Duration) -> Instant {
    let share = deadline.saturating_duration_since(Instant::now()).mul_f64(KEPT_SHARE);
    deadline.checked_sub(share.min(most)).unwrap_or(deadline)
}

impl From<Error> for Defeat {
    fn from(error: Error) -> Self {
        Self { error, remains: None }
    }
}

/// The first target's failure, which says most; later ones are told after it.
fn first_failure(failures: Vec<Error>) -> Error {
    let mut failures = failures.into_iter();
    let mut first = failures.next().unwrap_or_else(|| Error::new(ErrorKind::Internal, "the model has no targets"));
    for failure in failures {
        first.message.push_str("; then ");
        first.message.push_str(&failure.message);
    }
    first
}

/// A target's time is over. If it was the last that could be asked, so is the request's, but for what it takes to answer.
fn out_of_time(turn: &Turn<'_>, since: Instant) -> Error {
    let (waited, upstream) = (since.elapsed().as_millis(), &turn.target.upstream.name);
    match turn.waiter.patience {
        Patience::Wait => {
            let message = format!("the deadline passed after {waited} ms of waiting for {upstream}");
            Error::new(ErrorKind::DeadlineExceeded, message)
        }
        Patience::Hurry => {
            let message = format!("{upstream} used up its share of the time, {waited} ms");
            Error::new(ErrorKind::UpstreamTimeout, message)
        }
    }
}

/// With a resolution of a microsecond.
fn milliseconds_since(start: Instant) -> f64 {
    (start.elapsed().as_secs_f64() * 1e6).round() / 1e3
}
