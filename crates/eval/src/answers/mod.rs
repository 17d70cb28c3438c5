//! The requests of an evaluation: every query goes to every contestant once.
//!
//! ```text
//!  query ─▶ in the answer log? ─ yes ─▶ nothing is asked
//!             │ no: what the answer logs hold of its scores, of failures too, is in the cache (fill_cache)
//!             ▼
//!           cold request ─▶ warm request (the same again) ─▶ a line in the answer log
//! ```

mod answer;
mod answer_log;
mod estimate;
mod identity;

use std::cell::Cell;
use std::future;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use rerankd_core::cache::control::CacheControl;
use rerankd_core::cache::key::CacheScope;
use rerankd_core::error::{Error, ErrorKind};
use rerankd_core::provider::Billing;
use rerankd_core::rerank::{RequestContext, Reranker};
use rerankd_core::route::Route;
use rerankd_core::types::passages::{OwnedPassage, Passages};
use rerankd_core::types::request::RerankRequest;
use rerankd_core::types::response::{RerankResponse, Usage, milliseconds};
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

pub use self::answer::{Answer, Failed, Ranked};
pub use self::answer_log::{AnswerLog, AnswerLogError, Others};
pub use self::estimate::CostEstimate;
pub use self::identity::QueryFingerprints;
use super::collection::{Collection, JudgedQuery};

/// The code of a query that was not asked, because its contestant was given up.
pub const NOT_ASKED: &str = "not_asked";

/// Failures without any answer, after which a contestant is given up: repetition does not mend a wrong key.
const MAX_FAILURES_BEFORE_ANY_ANSWER: usize = 5;

/// Shortest wait before a query is sent again. Where the provider does not say how long, it is the first one, and each
/// further one is twice as long, up to [`MAX_WAIT`].
const MIN_WAIT: Duration = Duration::from_secs(1);
/// Longest wait, whatever the provider says.
const MAX_WAIT: Duration = Duration::from_mins(1);
/// Most waits for one query. After them it is sent a last time, and that failure stands.
const MAX_WAITS: u32 = 10;

/// The settings that all contestants share.
#[derive(Debug)]
pub struct EvalRun<'a> {
    /// Queries and candidates to be sent.
    pub collection: &'a Collection,
    /// The pipeline that also serves requests.
    pub reranker: &'a Reranker,
    /// Queries in flight at once. Above 1, times are those of a busy caller.
    pub concurrency: usize,
    /// Time from the start of each request to its deadline. A query that waits and is sent again has it anew.
    pub timeout: Duration,
    /// True to stop: queries in flight are finished, no further one is sent.
    pub stopped: watch::Receiver<bool>,
    /// US dollars at list price above which no further query is sent; `None` if there is no limit.
    pub max_usd: Option<f64>,
    /// US dollars at list price that all contestants' answers were charged for so far, as far as prices are known.
    pub spent_usd: Cell<f64>,
}

/// An event while a contestant is asked.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// One more query is done, now or in an earlier run.
    Done,
    /// A query failed for this reason and is sent again after this delay.
    Waits(&'a str, Duration),
}

/// The end of one contestant's run.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum RunOutcome {
    /// Every query has an answer or a failure.
    Finished,
    /// It only failed, so the other queries were not sent. Holds the message of the last failure.
    GivenUp(String),
    /// [`EvalRun::stopped`] became true.
    Stopped,
    /// More than [`EvalRun::max_usd`] is spent.
    OverBudget,
}

impl EvalRun<'_> {
    /// Puts the scores that `answer_log` holds into the cache. Another contestant of this run that leads to the same
    /// model does not pay for them again.
    pub fn fill_cache(&self, route: &Route, answer_log: &AnswerLog) {
        let scope = cache_scope(route);
        for query in self.collection.askable() {
            let Some(answer) = answer_log.answer(&query.id) else { continue };
            let request = self.request(query);
            for target in &route.targets {
                let scores = answer.scores_of(&target.address(), query.candidates.len());
                if scores.iter().any(Option::is_some) {
                    self.reranker.remember(target, &request, scope, &scores);
                }
            }
        }
    }

    /// Sends `route` every query that `answer_log` holds no answer to, and calls `on_progress` as it goes.
    ///
    /// # Errors
    /// The answer log cannot be written.
    pub async fn ask_all(
        &self,
        route: &Route,
        answer_log: &mut AnswerLog,
        on_progress: impl Fn(Progress<'_>),
    ) -> Result<RunOutcome, AnswerLogError> {
        let mut open = Vec::new();
        for query in self.collection.askable() {
            if answer_log.has_answer(&query.id) {
                on_progress(Progress::Done);
            } else {
                open.push(query);
            }
        }
        let scope = cache_scope(route);
        // Set by the loop below, read by the stream of the same task: nothing else is ordered by it.
        let given_up = AtomicBool::new(false);
        let answers = stream::iter(open.iter().copied())
            .take_while(|_| future::ready(self.interruption().is_none() && !given_up.load(Ordering::Relaxed)))
            .map(|query| self.ask(route, scope, query, &on_progress))
            // With 0, no query would ever be sent.
            .buffer_unordered(self.concurrency.max(1));
        let mut answers = std::pin::pin!(answers);
        let mut has_answered = answer_log.answered() > 0;
        let mut failures = 0;
        let mut last_failure = String::new();
        let mut done = 0;
        let mut write_error = None;
        while let Some(answer) = answers.next().await {
            match &answer {
                Answer::Ranked(_) => has_answered = true,
                // A contestant that answers at all is not misconfigured; its failures are those of single queries.
                Answer::Failed(_) if has_answered => {}
                Answer::Failed(failed) => {
                    last_failure.clone_from(&failed.message);
                    failures += 1;
                    if failures >= MAX_FAILURES_BEFORE_ANY_ANSWER {
                        given_up.store(true, Ordering::Relaxed);
                    }
                }
            }
            // The loop goes on after a failed write: queries in flight are paid for, and the disk may have room again.
            if let Err(error) = answer_log.write(answer) {
                given_up.store(true, Ordering::Relaxed);
                write_error.get_or_insert(error);
            }
            done += 1;
            on_progress(Progress::Done);
        }
        if let Some(error) = write_error {
            return Err(error);
        }
        // Every query has its result, even if a stop or the last failures came meanwhile.
        if done == open.len() {
            return Ok(RunOutcome::Finished);
        }
        Ok(self.interruption().unwrap_or(RunOutcome::GivenUp(last_failure)))
    }

    /// Sends one query twice: for the answer, and for the time that it takes from the cache.
    async fn ask(
        &self,
        route: &Route,
        scope: CacheScope,
        query: &JudgedQuery,
        on_progress: &impl Fn(Progress<'_>),
    ) -> Answer {
        let request = Arc::new(self.request(query));
        match self.ask_patiently(route, &request, scope, on_progress).await {
            Ok(response) => {
                self.spent_usd.set(self.spent_usd.get() + response.usage.cost_usd.unwrap_or(0.0));
                // A score that is not in the cache must not be bought a second time, so this request may fail.
                let control = CacheControl { only_if_cached: true, ..CacheControl::default() };
                let context = RequestContext { control, ..self.context(scope) };
                let warm = self.reranker.rerank(route, &request, &context).await.ok();
                Answer::Ranked(ranked(query, &response, warm.as_ref()))
            }
            Err(error) => {
                let mut failed = Failed::new(&query.id, error.kind.code(), &error.message);
                for target in &route.targets {
                    failed.keep(&target.address(), &self.reranker.known(target, &request, scope));
                }
                Answer::Failed(failed)
            }
        }
    }

    /// Sends a query until there is an answer, or a failure that waiting does not mend.
    ///
    /// An evaluation has time: where a service would reject a request because a provider limits the rate, it waits as
    /// long as the provider says.
    async fn ask_patiently(
        &self,
        route: &Route,
        request: &Arc<RerankRequest>,
        scope: CacheScope,
        on_progress: &impl Fn(Progress<'_>),
    ) -> Result<RerankResponse, Error> {
        let mut backoff = MIN_WAIT;
        for _ in 0..MAX_WAITS {
            let answer = self.reranker.rerank(route, request, &self.context(scope)).await;
            let Err(error) = &answer else { return answer };
            let is_temporary = matches!(
                error.kind,
                ErrorKind::UpstreamRateLimited | ErrorKind::UpstreamCircuitOpen | ErrorKind::Overloaded
            );
            if !is_temporary || self.is_stopped() {
                return answer;
            }
            let delay = error.retry_after.unwrap_or(backoff).clamp(MIN_WAIT, MAX_WAIT);
            on_progress(Progress::Waits(&error.message, delay));
            // A stop ends the wait early; the time-out is the normal case.
            if timeout(delay, self.stopped.clone().wait_for(|stopped| *stopped)).await.is_ok() {
                return answer;
            }
            backoff *= 2;
        }
        self.reranker.rerank(route, request, &self.context(scope)).await
    }

    fn is_stopped(&self) -> bool {
        *self.stopped.borrow()
    }

    /// The reason for which no contestant may be asked further; `None` if there is none.
    fn interruption(&self) -> Option<RunOutcome> {
        if self.is_stopped() {
            return Some(RunOutcome::Stopped);
        }
        let is_over_budget = self.max_usd.is_some_and(|limit| self.spent_usd.get() > limit);
        is_over_budget.then_some(RunOutcome::OverBudget)
    }

    /// The request for all candidates of a query. `top_n` stays unset: an answer must rank every one of them.
    fn request(&self, query: &JudgedQuery) -> RerankRequest {
        let mut passages = Passages::default();
        for &index in &query.candidates {
            let text = self.collection.passages[index].text.clone();
            passages.push(OwnedPassage { text, object: None }, None);
        }
        RerankRequest { query: query.text.clone(), passages, ..RerankRequest::default() }
    }

    /// The context of one request that starts now; each try of a query has a deadline of its own.
    fn context(&self, scope: CacheScope) -> RequestContext {
        let started = Instant::now();
        RequestContext { started, deadline: started + self.timeout, control: CacheControl::default(), scope }
    }
}

/// The part of the cache that a contestant uses.
///
/// Contestants share paid scores: a pair that one of them has scored costs the next nothing. Free scores are computed
/// for each of them, so that the times are its own.
fn cache_scope(route: &Route) -> CacheScope {
    let is_free = route.targets.iter().all(|target| target.facts.billing == Billing::Free);
    if is_free { CacheScope::of_caller(&route.model) } else { CacheScope::SHARED }
}

/// The line of the answer log for a ranking. `warm` is the answer to the second request, all from the cache.
fn ranked(query: &JudgedQuery, response: &RerankResponse, warm: Option<&RerankResponse>) -> Ranked {
    let provenance = &response.provenance;
    let answered_by = match (&provenance.upstream, &provenance.upstream_model) {
        (Some(upstream), Some(model)) => Some(format!("{upstream}/{model}")),
        _ => None,
    };
    // Cached or shared scores make an answer faster and cheaper than its query is.
    let is_cold = provenance.pairs.hit == 0 && provenance.pairs.coalesced == 0;
    let usage = if is_cold { response.usage } else { Usage::default() };
    Ranked {
        query_id: query.id.clone(),
        ranking: response.ranking.iter().map(|passage| (passage.position, passage.score)).collect(),
        answered_by,
        fallbacks: provenance.fallbacks,
        degraded: provenance.degraded.iter().map(|reason| reason.code().to_owned()).collect(),
        cold_ms: is_cold.then_some(milliseconds(provenance.timings.total)),
        warm_ms: warm.map(|warm| milliseconds(warm.provenance.timings.total)),
        tokens: usage.tokens,
        search_units: usage.search_units,
        cost_usd: usage.cost_usd,
    }
}
