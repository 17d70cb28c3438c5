//! The core: one request from decoded to ranked. No HTTP, no wire shapes.
//!
//! ```text
//!  validate ─▶ route ─▶ for the first target that answers:
//!                plan   (fold equal passages, look up known scores)
//!                score  (what is unknown, in calls that the provider accepts)
//!                merge  (every position exactly once; inside the upstream's stack)
//!                rank   (best first, ties in input order, cut to top_n)
//! ```

pub mod batch;
mod journey;
pub mod merge;
pub mod offload;
pub mod plan;
pub mod rank;
pub mod request;
pub mod response;
mod score;
pub mod validate;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, timeout_at};

use self::journey::Journey;
use self::offload::{OFFLOAD_WIRE_BYTES, offload};
use self::plan::{Plan, PlanContext};
use self::rank::rank;
use self::request::RerankRequest;
use self::response::RerankResponse;
use self::score::{Means, score};
use self::validate::{Limits, validate};
use crate::cache::ScoreCache;
use crate::cache::control::CacheControl;
use crate::cache::key::CacheScope;
use crate::config::settings::OnFailure;
use crate::error::{Error, ErrorKind};
use crate::route::{Route, RouteTable, Target};
use crate::telemetry::metrics::Metrics;
use crate::upstream::call::Patience;

/// Share of the time left that is kept for whatever stands behind a target.
const KEPT_SHARE: f64 = 0.2;
/// Most that is kept for an answer in input order, which takes no time to speak of.
const KEPT_FOR_ORIGINAL_ORDER: Duration = Duration::from_millis(50);

/// Everything that outlives a request.
#[derive(Debug)]
pub struct Reranker {
    /// Where to ask.
    pub routes: RouteTable,
    /// What is known.
    pub cache: ScoreCache,
    /// What is too much.
    pub limits: Limits,
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

/// What a target may count on.
#[derive(Clone, Copy, Debug)]
struct Turn {
    deadline: Instant,
    patience: Patience,
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
        let mut journey = Journey::default();
        let mut failures = Vec::new();
        for (index, target) in route.targets.iter().enumerate() {
            let last = index + 1 == route.targets.len();
            let turn = Turn::new(last, route.on_failure, context.deadline);
            match self.try_target(target, turn, request, context, &mut journey).await {
                Ok(plan) => {
                    journey.arrive(target);
                    let ranking = rank(plan.passages(), request.top_n);
                    return Ok(journey.reranked(request, context, route, target, (ranking, plan.counts())));
                }
                Err(error) => {
                    journey.give_up(target, &error, last);
                    if !last {
                        self.metrics.fallback(&target.upstream.name, error.kind.code());
                    }
                    failures.push(error);
                }
            }
        }
        let failure = first_failure(failures);
        if route.on_failure == OnFailure::OriginalOrder && failure.kind != ErrorKind::NotCached {
            return Ok(journey.original_order(request, context, route, failure));
        }
        Err(failure)
    }

    /// Plans and scores the whole request at one target: scores of two targets never meet in one answer.
    async fn try_target(
        &self,
        target: &Target,
        turn: Turn,
        request: &Arc<RerankRequest>,
        context: &RequestContext,
        journey: &mut Journey,
    ) -> Result<Plan, Error> {
        let planning = Instant::now();
        let mut plan = self.plan(target, request, context).await;
        journey.timings.cache += milliseconds_since(planning);
        if plan.unknown().is_empty() {
            return Ok(plan);
        }
        if context.control.only_if_cached {
            let message =
                format!("{} of the scores are not cached, and the request says only-if-cached", plan.unknown().len());
            return Err(Error::new(ErrorKind::NotCached, message));
        }
        let means = Means {
            deadline: turn.deadline,
            patience: turn.patience,
            attempts: journey.attempts.clone(),
            cache: context.control.store.then_some(&self.cache),
            metrics: &self.metrics,
        };
        let scoring = Instant::now();
        let scored = timeout_at(turn.deadline, score(target, request, &mut plan, &means, &mut journey.usage)).await;
        journey.timings.upstream += milliseconds_since(scoring);
        scored.unwrap_or_else(|_| Err(out_of_time(target, turn.deadline == context.deadline, scoring)))?;
        Ok(plan)
    }

    async fn plan(&self, target: &Target, request: &Arc<RerankRequest>, context: &RequestContext) -> Plan {
        let plan_context = PlanContext {
            space: target.space.clone(),
            scoring: target.facts.scoring,
            rejects_blanks: target.rejects_blank_passages(),
            scope: context.scope,
            control: context.control,
        };
        let (owned, cache) = (request.clone(), self.cache.clone());
        offload(request.text_bytes(), OFFLOAD_WIRE_BYTES, move || Plan::new(&owned, &plan_context, &cache)).await
    }
}

impl Turn {
    fn new(last: bool, on_failure: OnFailure, deadline: Instant) -> Self {
        let share = deadline.saturating_duration_since(Instant::now()).mul_f64(KEPT_SHARE);
        let kept = match (last, on_failure) {
            (false, _) => share,
            (true, OnFailure::OriginalOrder) => share.min(KEPT_FOR_ORIGINAL_ORDER),
            (true, OnFailure::Error) => Duration::ZERO,
        };
        let patience = if last { Patience::Wait } else { Patience::Hurry };
        Self { deadline: deadline.checked_sub(kept).unwrap_or(deadline), patience }
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

fn out_of_time(target: &Target, of_the_request: bool, since: Instant) -> Error {
    let waited = since.elapsed().as_millis();
    if of_the_request {
        let message = format!("the deadline passed after {waited} ms of waiting for {}", target.upstream.name);
        Error::new(ErrorKind::DeadlineExceeded, message)
    } else {
        let message = format!("{} used up its share of the time, {waited} ms", target.upstream.name);
        Error::new(ErrorKind::UpstreamTimeout, message)
    }
}

/// With a resolution of a microsecond.
fn milliseconds_since(start: Instant) -> f64 {
    (start.elapsed().as_secs_f64() * 1e6).round() / 1e3
}
