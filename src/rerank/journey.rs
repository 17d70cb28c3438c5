//! What one request meets on its way, and the answer that is made of it.

use super::request::RerankRequest;
use super::response::{Leg, PairCounts, Provenance, RankedPassage, RerankResponse, ScoreSource, Timings, Usage};
use super::{RequestContext, milliseconds_since};
use crate::cache::control::CacheControl;
use crate::config::settings::LongPassages;
use crate::error::{Error, ErrorKind};
use crate::local::lexical::MAX_TEXT_BYTES;
use crate::provider::{InstructionSupport, Scoring};
use crate::route::{Route, Target};
use crate::upstream::Backend;
use crate::upstream::call::AttemptCounter;

/// Why an answer is degraded that is made of scores that are too old.
const STALE_SCORES: &str = "stale_scores";
/// Why an answer is degraded in which passages have no score because the provider refused them.
const PASSAGES_REFUSED: &str = "passages_refused";
/// The outcome of a target that answered.
const OK: &str = "ok";

/// What one request has met so far, over all its targets.
#[derive(Debug)]
pub(super) struct Journey {
    pub(super) attempts: AttemptCounter,
    pub(super) timings: Timings,
    /// What was charged, by targets that were given up too.
    pub(super) usage: Usage,
    /// Whether known scores may be used.
    pub(super) reads_cache: bool,
    /// Why a passage was refused, if one was by the present target.
    refusal: Option<Error>,
    degraded: Vec<&'static str>,
    warnings: Vec<String>,
    trail: Vec<Leg>,
}

impl Journey {
    pub(super) fn new(control: CacheControl) -> Self {
        Self {
            attempts: AttemptCounter::default(),
            timings: Timings::default(),
            usage: Usage::NOTHING,
            reads_cache: control.read,
            refusal: None,
            degraded: Vec::new(),
            warnings: Vec::new(),
            trail: Vec::new(),
        }
    }

    /// Work that computes afresh what is known.
    pub(super) fn of_background() -> Self {
        Self::new(CacheControl { read: false, ..CacheControl::default() })
    }

    /// The target takes other passages but not this one.
    pub(super) fn refused(&mut self, error: &Error) {
        self.refusal.get_or_insert_with(|| error.clone());
    }

    /// Why the target refused the first passage that it refused.
    pub(super) fn refusal(&self) -> Option<&Error> {
        self.refusal.as_ref()
    }

    /// The target failed, but scores that are too old make up an answer.
    pub(super) fn stale(&mut self, error: &Error) {
        self.degraded.push(STALE_SCORES);
        self.warnings.push(format!("scores older than cache.ttl were used: {}", error.message));
    }

    /// The time was over before all scores were there.
    pub(super) fn cut_short(&mut self, error: &Error, refusal: Option<Error>) {
        self.refusal = refusal;
        self.degraded.push(ErrorKind::DeadlineExceeded.code());
        self.warnings.push(format!("documents without a score stand last, in input order: {}", error.message));
    }

    pub(super) fn arrive(&mut self, target: &Target) {
        self.pass(target, OK);
    }

    pub(super) fn give_up(&mut self, target: &Target, error: &Error, goes_on: bool) {
        self.pass(target, error.kind.code());
        self.refusal = None;
        if goes_on {
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
        if let Some(refusal) = self.refusal.take() {
            self.degraded.push(PASSAGES_REFUSED);
            self.warnings.push(format!("documents that were refused stand last, without a score: {}", refusal.message));
        }
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
        self.degraded.push(failure.kind.code());
        self.warnings.push(failure.message);
        let count = request.passages.len();
        let unscored = |position| RankedPassage { position, score: None, source: ScoreSource::Unscored };
        let pairs = PairCounts { total: count, unscored: count, ..PairCounts::default() };
        self.finish(request, context, route, ((0..count).map(unscored).collect(), pairs))
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
            degraded: self.degraded,
            pairs,
            fallbacks,
            attempts: self.attempts.get(),
            timings_ms: self.timings,
            cost_usd: self.usage.cost_usd,
            warnings: request.warnings.iter().cloned().chain(self.warnings).collect(),
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

    /// What becomes of long passages. A listwise model's list is never taken apart.
    pub(crate) fn long_passages(&self) -> LongPassages {
        match &self.upstream.backend {
            Backend::Remote(remote) if self.facts.scoring == Scoring::Pointwise => remote.long_passages,
            _ => LongPassages::Provider,
        }
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
    if matches!(target.upstream.backend, Backend::Local(_)) {
        let longer = request.passages.iter().filter(|passage| passage.text.len() > MAX_TEXT_BYTES).count();
        if longer > 0 {
            let address = target.address();
            losses.push(format!("{address} reads the first {MAX_TEXT_BYTES} bytes of a document; {longer} are longer"));
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
