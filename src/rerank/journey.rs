//! What one request meets on its way, and the answer that is made of it.

use super::request::RerankRequest;
use super::response::{Leg, PairCounts, Provenance, RankedPassage, RerankResponse, ScoreSource, Timings, Usage};
use super::{RequestContext, milliseconds_since};
use crate::error::Error;
use crate::provider::InstructionSupport;
use crate::route::{Route, Target};
use crate::upstream::Backend;
use crate::upstream::call::AttemptCounter;

/// The outcome of a target that answered.
const OK: &str = "ok";

/// What one request has met so far, over all its targets.
#[derive(Debug)]
pub(super) struct Journey {
    pub(super) attempts: AttemptCounter,
    pub(super) timings: Timings,
    /// What was charged, by targets that were given up too.
    pub(super) usage: Usage,
    warnings: Vec<String>,
    trail: Vec<Leg>,
}

impl Default for Journey {
    fn default() -> Self {
        Self {
            attempts: AttemptCounter::default(),
            timings: Timings::default(),
            usage: Usage::NOTHING,
            warnings: Vec::new(),
            trail: Vec::new(),
        }
    }
}

impl Journey {
    pub(super) fn arrive(&mut self, target: &Target) {
        self.pass(target, OK);
    }

    pub(super) fn give_up(&mut self, target: &Target, error: &Error, last: bool) {
        self.pass(target, error.kind.code());
        if !last {
            self.warnings.push(format!("{} was given up: {}", target.address(), error.message));
        }
    }

    fn pass(&mut self, target: &Target, outcome: &'static str) {
        let leg = Leg { upstream: target.upstream.name.clone(), upstream_model: target.model.clone(), outcome };
        self.trail.push(leg);
    }

    /// The answer that `target` made possible.
    pub(super) fn reranked(
        mut self,
        request: &RerankRequest,
        context: &RequestContext,
        route: &Route,
        target: &Target,
        outcome: (Vec<RankedPassage>, PairCounts),
    ) -> RerankResponse {
        self.warnings.extend(losses(target, request));
        let mut response = self.finish(request, context, route, outcome);
        response.provenance.upstream = Some(target.upstream.name.clone());
        response.provenance.upstream_model = Some(target.model.clone());
        response.provenance.score_scale = Some(target.facts.scale);
        response.provenance.reranked = true;
        response
    }

    /// The answer when nothing else is left: all documents as they came, without scores.
    pub(super) fn original_order(
        mut self,
        request: &RerankRequest,
        context: &RequestContext,
        route: &Route,
        failure: Error,
    ) -> RerankResponse {
        self.warnings.push(failure.message);
        let count = request.passages.len();
        let unscored = |position| RankedPassage { position, score: None, source: ScoreSource::Unscored };
        let pairs = PairCounts { total: count, unscored: count, ..PairCounts::default() };
        let mut response = self.finish(request, context, route, ((0..count).map(unscored).collect(), pairs));
        response.provenance.degraded.push(failure.kind.code());
        response
    }

    fn finish(
        mut self,
        request: &RerankRequest,
        context: &RequestContext,
        route: &Route,
        (ranking, pairs): (Vec<RankedPassage>, PairCounts),
    ) -> RerankResponse {
        self.timings.total = milliseconds_since(context.started);
        let fallbacks = self.trail.iter().filter(|leg| leg.outcome != OK).count();
        let provenance = Provenance {
            upstream: None,
            upstream_model: None,
            score_scale: None,
            reranked: false,
            degraded: Vec::new(),
            pairs,
            fallbacks,
            attempts: self.attempts.get(),
            timings_ms: self.timings,
            cost_usd: self.usage.cost_usd,
            warnings: self.warnings,
            trail: if request.explain { self.trail } else { Vec::new() },
        };
        // An alias is told as it was asked for.
        let model = request.model.as_deref().unwrap_or(&route.model).to_owned();
        RerankResponse { model, ranking, usage: self.usage, provenance }
    }
}

impl Target {
    pub(super) fn rejects_blank_passages(&self) -> bool {
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
            let score =
                target.facts.scale.floor().map_or_else(|| "no score".to_owned(), |floor| format!("the score {floor}"));
            losses.push(format!("{} refuses blank documents; {blanks} got {score} unasked", target.address()));
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
