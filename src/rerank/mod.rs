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
pub mod merge;
pub mod offload;
pub mod plan;
pub mod rank;
pub mod request;
pub mod response;
mod score;
pub mod validate;

use std::sync::Arc;

use tokio::time::{Instant, timeout_at};

use self::offload::{OFFLOAD_WIRE_BYTES, offload};
use self::plan::{Plan, PlanContext};
use self::rank::rank;
use self::request::RerankRequest;
use self::response::{Leg, PairCounts, Provenance, RankedPassage, RerankResponse, ScoreSource, Timings, Usage};
use self::score::{Means, score};
use self::validate::{Limits, validate};
use crate::cache::ScoreCache;
use crate::cache::control::CacheControl;
use crate::cache::key::CacheScope;
use crate::error::{Error, ErrorKind};
use crate::provider::InstructionSupport;
use crate::route::{OnFailure, Route, RouteTable, Target};
use crate::telemetry::metrics::Metrics;
use crate::upstream::Backend;
use crate::upstream::call::{AttemptCounter, Patience};

/// Share of the time left that a target may use while another stands behind it.
const SHARE_BEFORE_FALLBACK: f64 = 0.8;

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

/// What one request has met so far.
#[derive(Debug, Default)]
struct Journey {
    attempts: AttemptCounter,
    timings: Timings,
    warnings: Vec<String>,
    trail: Vec<Leg>,
}

impl Reranker {
    /// Reranks one request.
    ///
    /// # Errors
    /// What is wrong with the request, or the first target's failure if all targets failed and the model has no other policy.
    pub async fn rerank(
        &self,
        request: &Arc<RerankRequest>,
        context: &RequestContext,
    ) -> Result<RerankResponse, Error> {
        validate(request, self.limits)?;
        let route = self.routes.resolve(request.model.as_deref())?;
        let mut journey = Journey::default();
        let mut failures = Vec::new();
        for (index, target) in route.targets.iter().enumerate() {
            let last = index + 1 == route.targets.len();
            let result = self.try_target(target, last, request, context, &mut journey).await;
            let outcome = result.as_ref().map_or_else(|error| error.kind.code(), |_| "ok");
            journey.pass(target, outcome);
            match result {
                Ok((plan, usage)) => {
                    let ranking = rank(plan.passages(), request.top_n);
                    return Ok(journey.finish(request, context, &route, Some(target), ranking, plan.counts(), usage));
                }
                Err(error) => {
                    if !last {
                        self.metrics.fallback(&target.upstream.name, error.kind.code());
                        journey.warnings.push(format!("{} was given up: {}", target.address(), error.message));
                    }
                    failures.push(error);
                }
            }
        }
        let failure = first_failure(failures);
        if route.on_failure == OnFailure::OriginalOrder && failure.kind != ErrorKind::NotCached {
            journey.warnings.push(failure.message);
            let pairs =
                PairCounts { total: request.passages.len(), unscored: request.passages.len(), ..PairCounts::default() };
            let ranking = original_order(request.passages.len());
            let mut response = journey.finish(request, context, &route, None, ranking, pairs, Usage::NOTHING);
            response.provenance.degraded.push(failure.kind.code());
            return Ok(response);
        }
        Err(failure)
    }

    /// Plans and scores the whole request at one target: scores of two targets never meet in one answer.
    async fn try_target(
        &self,
        target: &Target,
        last: bool,
        request: &Arc<RerankRequest>,
        context: &RequestContext,
        journey: &mut Journey,
    ) -> Result<(Plan, Usage), Error> {
        let planning = Instant::now();
        let mut plan = self.plan(target, request, context).await;
        journey.timings.cache += milliseconds_since(planning);
        if plan.unknown().is_empty() {
            return Ok((plan, Usage::NOTHING));
        }
        if context.control.only_if_cached {
            let message =
                format!("{} of the scores are not cached, and the request says only-if-cached", plan.unknown().len());
            return Err(Error::new(ErrorKind::NotCached, message));
        }
        let deadline = if last { context.deadline } else { before_fallback(context.deadline) };
        let means = Means {
            deadline,
            patience: if last { Patience::Wait } else { Patience::Hurry },
            attempts: journey.attempts.clone(),
            cache: context.control.store.then_some(&self.cache),
            metrics: &self.metrics,
        };
        let scoring = Instant::now();
        let result = timeout_at(deadline, score(target, request, &mut plan, &means)).await;
        journey.timings.upstream += milliseconds_since(scoring);
        let usage = result.unwrap_or_else(|_| Err(out_of_time(target, context, scoring)))?;
        Ok((plan, usage))
    }

    async fn plan(&self, target: &Target, request: &Arc<RerankRequest>, context: &RequestContext) -> Plan {
        let plan_context = PlanContext {
            space: target.space.clone(),
            scoring: target.facts.scoring,
            blank_score: target.rejects_blank_passages().then(|| target.facts.scale.floor()),
            scope: context.scope,
            control: context.control,
        };
        let (owned, cache) = (request.clone(), self.cache.clone());
        offload(request.text_bytes(), OFFLOAD_WIRE_BYTES, move || Plan::new(&owned, &plan_context, &cache)).await
    }
}

impl Journey {
    fn pass(&mut self, target: &Target, outcome: &'static str) {
        let leg = Leg { upstream: target.upstream.name.clone(), upstream_model: target.model.clone(), outcome };
        self.trail.push(leg);
    }

    #[expect(clippy::too_many_arguments, reason = "the one place where all that is known of an answer comes together")]
    fn finish(
        mut self,
        request: &RerankRequest,
        context: &RequestContext,
        route: &Route,
        target: Option<&Target>,
        ranking: Vec<RankedPassage>,
        pairs: PairCounts,
        usage: Usage,
    ) -> RerankResponse {
        self.warnings.extend(target.into_iter().flat_map(|target| losses(target, request)));
        self.timings.total = milliseconds_since(context.started);
        let provenance = Provenance {
            upstream: target.map(|target| target.upstream.name.clone()),
            upstream_model: target.map(|target| target.model.clone()),
            score_scale: target.map(|target| target.facts.scale),
            reranked: target.is_some(),
            degraded: Vec::new(),
            pairs,
            attempts: self.attempts.get(),
            timings_ms: self.timings,
            cost_usd: usage.cost_usd,
            warnings: self.warnings,
            trail: if request.explain { self.trail } else { Vec::new() },
        };
        RerankResponse { model: route.model.clone(), ranking, usage, provenance }
    }
}

impl Target {
    fn rejects_blank_passages(&self) -> bool {
        matches!(&self.upstream.backend, Backend::Remote(remote) if remote.facts.rejects_blank_passages)
    }

    fn limits_passage_tokens(&self) -> bool {
        matches!(&self.upstream.backend, Backend::Remote(remote) if remote.provider.limits_passage_tokens())
    }
}

/// What of the request `target` cannot do, in a sentence each.
fn losses(target: &Target, request: &RerankRequest) -> Vec<String> {
    let mut losses = Vec::new();
    if request.options.instruction.is_some() && target.facts.instruction == InstructionSupport::None {
        losses.push(format!("{} takes no instruction; it was ignored", target.address()));
    }
    if request.options.max_tokens_per_doc.is_some() && !target.limits_passage_tokens() {
        losses.push(format!("{} takes no max_tokens_per_doc; it was ignored", target.address()));
    }
    if target.rejects_blank_passages() {
        let blanks = request.passages.iter().filter(|passage| passage.text.trim().is_empty()).count();
        if blanks > 0 {
            let floor = target.facts.scale.floor();
            losses
                .push(format!("{} refuses blank documents; {blanks} got the score {floor} unasked", target.address()));
        }
    }
    if target.is_guessed_listwise() {
        losses.push(format!(
            "{} is not in the registry, so only whole lists are cached; declare its scoring to cache pairs",
            target.address()
        ));
    }
    losses
}

/// All documents, as they came, without scores.
fn original_order(passages: usize) -> Vec<RankedPassage> {
    let unscored = |position| RankedPassage { position, score: None, source: ScoreSource::Unscored };
    (0..passages).map(unscored).collect()
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

fn before_fallback(deadline: Instant) -> Instant {
    let now = Instant::now();
    now + deadline.saturating_duration_since(now).mul_f64(SHARE_BEFORE_FALLBACK)
}

fn out_of_time(target: &Target, context: &RequestContext, since: Instant) -> Error {
    let waited = since.elapsed().as_millis();
    if Instant::now() >= context.deadline {
        let message = format!("the deadline passed after {waited} ms of waiting for {}", target.upstream.name);
        Error::new(ErrorKind::DeadlineExceeded, message)
    } else {
        let message = format!("{} used up its share of the time, {waited} ms", target.upstream.name);
        Error::new(ErrorKind::UpstreamTimeout, message)
    }
}

fn milliseconds_since(start: Instant) -> f64 {
    (start.elapsed().as_secs_f64() * 1e6).round() / 1e3
}
