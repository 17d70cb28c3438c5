//! The trace of one request over all its targets, and the answer that is made of it.

use super::RequestContext;
use crate::cache::control::CacheControl;
use crate::error::{Error, ErrorKind};
use crate::provider::InstructionSupport;
use crate::route::{Route, Target, no_shared_word};
use crate::types::lifecycle::Lifecycle;
use crate::types::outcomes::{DegradedReason, TargetOutcome};
use crate::types::request::RerankRequest;
use crate::types::response::{
    AnswerCost, PairCounts, Provenance, RankedPassage, RerankResponse, ResultExplanation, Saved, ScoreSource,
    TargetTried, Timings, Usage,
};
use crate::upstream::Backend;
use crate::upstream::call::AttemptCounter;

/// Attempts, charges and failures of one request so far, over all its targets.
#[derive(Debug)]
pub(super) struct RequestTrace {
    /// HTTP attempts. Calls hold clones, which count along.
    pub(super) attempts: AttemptCounter,
    pub(super) timings: Timings,
    /// Charges of all targets, including those that were given up.
    pub(super) usage: Usage,
    /// True if cached scores may be used.
    pub(super) reads_cache: bool,
    /// The current target's first refusal of a passage.
    refusal: Option<Error>,
    /// Reasons why the answer is less than what was asked for, in the order in which they came up.
    degraded: Vec<DegradedReason>,
    warnings: Vec<String>,
    /// Every target that was tried, in order: all were given up but the one that answers, if one does.
    targets_tried: Vec<TargetTried>,
}

/// The ranking of an answer, and the sources of its scores.
pub(super) struct PassageRanking {
    /// The passages of the answer, best first.
    pub(super) ranking: Vec<RankedPassage>,
    /// Counts over all passages, those that are cut off included.
    pub(super) pairs: PairCounts,
    /// The price of the scores that were known.
    pub(super) saved: Saved,
    /// Explanations of `ranking`; empty unless they are asked for.
    pub(super) explanations: Vec<ResultExplanation>,
}

impl RequestTrace {
    pub(super) fn new(control: CacheControl) -> Self {
        Self {
            attempts: AttemptCounter::default(),
            timings: Timings::default(),
            usage: Usage::NOTHING,
            reads_cache: control.read,
            refusal: None,
            degraded: Vec::new(),
            warnings: Vec::new(),
            targets_tried: Vec::new(),
        }
    }

    /// A trace of a refresh in the background, which must not be answered from the cache.
    pub(super) fn of_background() -> Self {
        Self::new(CacheControl { read: false, ..CacheControl::default() })
    }

    /// Records that the target refused a passage. Only the first refusal is kept.
    pub(super) fn refused(&mut self, error: &Error) {
        self.refusal.get_or_insert_with(|| error.clone());
    }

    /// The current target's first refusal of a passage, if there was one.
    pub(super) fn refusal(&self) -> Option<&Error> {
        self.refusal.as_ref()
    }

    /// Records that expired scores are used because of `error`.
    pub(super) fn stale(&mut self, error: &Error) {
        self.degraded.push(DegradedReason::StaleScores);
        self.warnings.push(format!("scores older than cache.ttl were used: {}", error.message));
    }

    /// Records that the deadline passed before all scores arrived. `refusal` is that of the target whose scores are
    /// used.
    pub(super) fn cut_short(&mut self, error: &Error, refusal: Option<Error>) {
        // Giving the target up has cleared its refusal, but the answer consists of its scores after all.
        self.refusal = refusal;
        self.degraded.push(DegradedReason::Failure(ErrorKind::DeadlineExceeded));
        self.warnings.push(format!("documents without a score stand last, in input order: {}", error.message));
    }

    /// Records the target that answers the request.
    pub(super) fn answered_by(&mut self, target: &Target) {
        self.record(target, TargetOutcome::Answered);
    }

    /// Records a target that failed. With `goes_on` another one is asked, which the client gets as a warning.
    pub(super) fn give_up(&mut self, target: &Target, error: &Error, goes_on: bool) {
        self.record(target, TargetOutcome::Failed(error.kind));
        // The next target may take the passage that this one refused.
        self.refusal = None;
        if goes_on {
            self.warnings.push(format!("{} was given up: {}", target.address(), error.message));
        }
    }

    fn record(&mut self, target: &Target, outcome: TargetOutcome) {
        let upstream = target.upstream.name.clone();
        let upstream_model = target.model.clone();
        self.targets_tried.push(TargetTried { upstream, upstream_model, outcome });
    }

    /// The answer made of the scores of `target`.
    pub(super) fn reranked(
        mut self,
        request: &RerankRequest,
        context: &RequestContext,
        route: &Route,
        target: &Target,
        ranked: PassageRanking,
    ) -> RerankResponse {
        self.warnings.extend(unsupported_options(target, request));
        // Lexical scores are at least 0, and the best stands first: so all of them are 0, those that were cut off too.
        if let Some(best) = ranked.ranking.first()
            && best.score == Some(0.0)
        {
            self.warnings.extend(no_shared_word(target, &request.query));
        }
        if let Some(refusal) = self.refusal.take() {
            self.degraded.push(DegradedReason::PassagesRefused);
            self.warnings.push(format!("documents that were refused stand last, without a score: {}", refusal.message));
        }
        let mut response = self.finish(request, context, route, ranked);
        response.provenance.upstream = Some(target.upstream.name.clone());
        response.provenance.upstream_model = Some(target.model.clone());
        response.provenance.score_scale = Some(target.facts.scale);
        response.provenance.reranked = true;
        response.provenance.cost.price_date = target.facts.price_date;
        response
    }

    /// The answer of last resort: all documents in input order, without scores.
    pub(super) fn original_order(
        mut self,
        request: &RerankRequest,
        context: &RequestContext,
        route: &Route,
        failure: Error,
    ) -> RerankResponse {
        self.degraded.push(DegradedReason::Failure(failure.kind));
        self.warnings.push(failure.message);
        let count = request.passages.len();
        let mut ranking = Vec::with_capacity(count);
        for position in 0..count {
            ranking.push(RankedPassage { position, score: None, source: ScoreSource::Unscored });
        }
        // Counted by document, since no target's plan is left.
        let pairs = PairCounts { total: count, unscored: count, ..PairCounts::default() };
        self.finish(
            request,
            context,
            route,
            PassageRanking { ranking, pairs, saved: Saved::NOTHING, explanations: Vec::new() },
        )
    }

    /// The answer of `ranked`, as one that was not reranked; [`Self::reranked`] fills in the target.
    fn finish(
        mut self,
        request: &RerankRequest,
        context: &RequestContext,
        route: &Route,
        ranked: PassageRanking,
    ) -> RerankResponse {
        self.timings.total = context.started.elapsed();
        let mut fallbacks = 0;
        for target in &self.targets_tried {
            fallbacks += usize::from(target.outcome != TargetOutcome::Answered);
        }
        let provenance = Provenance {
            degraded: self.degraded,
            pairs: ranked.pairs,
            fallbacks,
            attempts: self.attempts.get(),
            timings: self.timings,
            cost: AnswerCost { spent_usd: self.usage.cost_usd, saved: ranked.saved, price_date: None },
            warnings: request.warnings.iter().cloned().chain(self.warnings).collect(),
            targets_tried: if request.explain { self.targets_tried } else { Vec::new() },
            ..Provenance::default()
        };
        // A client that asked for an alias gets the alias back.
        let model = request.model.as_deref().unwrap_or(&route.model).to_owned();
        let PassageRanking { ranking, explanations, .. } = ranked;
        RerankResponse { model, ranking, explanations, usage: self.usage, provenance }
    }
}

/// Warnings about parts of the request that `target` cannot honour, in a sentence each.
fn unsupported_options(target: &Target, request: &RerankRequest) -> Vec<String> {
    let mut warnings = Vec::new();
    if request.options.instruction.is_some() && target.facts.instruction == InstructionSupport::None {
        warnings.push(format!("{} takes no instruction; it was ignored", target.address()));
    }
    if request.options.max_tokens_per_doc.is_some() && !target.limits_passage_tokens() {
        warnings.push(format!("{} takes no max_tokens_per_doc; it was ignored", target.address()));
    }
    if target.rejects_blank_passages() {
        let blanks = request.passages.iter().filter(|passage| passage.text.trim().is_empty()).count();
        if blanks > 0 {
            let score = match target.facts.scale.floor() {
                Some(floor) => format!("the score {floor}"),
                None => "no score".to_owned(),
            };
            warnings.push(format!("{} refuses blank documents; {blanks} got {score} unasked", target.address()));
        }
    }
    if let Backend::Local(embedded) = &target.upstream.backend {
        let max_bytes = embedded.lexical.max_text_bytes();
        let longer = request.passages.iter().filter(|passage| passage.text.len() > max_bytes).count();
        if longer > 0 {
            let address = target.address();
            let verb = if longer == 1 { "is" } else { "are" };
            warnings.push(format!("{address} reads the first {max_bytes} bytes of a document; {longer} {verb} longer"));
        }
    }
    if request.explain && !target.facts.scale.has_scores() {
        warnings.push(format!(
            "{} is a selector: it picks documents and gives no scores; `picked` of each explanation says which",
            target.address()
        ));
    }
    if let Some(Lifecycle { silent_alias_of: Some(other), .. }) = target.lifecycle() {
        warnings.push(format!("{} is answered by {other}, whatever its name says", target.address()));
    }
    if target.is_guessed_listwise() {
        warnings.push(format!(
            "{} is not in the registry, so only whole lists are cached; declare its scoring to cache pairs",
            target.address()
        ));
    }
    warnings
}
