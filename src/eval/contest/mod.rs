//! Asking: every contestant, every query, once.
//!
//! ```text
//!  query ─▶ in the ledger? ─ yes ─▶ nothing is asked
//!             │ no: what the ledgers hold of its scores, of failures too, is in the cache (recall)
//!             ▼
//!           cold request ─▶ warm request (the same again) ─▶ a line in the ledger
//! ```

mod answer;
mod identity;
mod ledger;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;
use tokio::sync::watch;
use tokio::time::{Instant, timeout};

pub use self::answer::{Answer, Failed, Ranked};
pub use self::identity::Questions;
pub use self::ledger::{Ledger, LedgerError, Others};
use super::collection::{Collection, JudgedQuery};
use crate::cache::control::CacheControl;
use crate::cache::key::CacheScope;
use crate::error::{Error, ErrorKind};
use crate::provider::Billing;
use crate::rerank::request::{Passage, RerankRequest};
use crate::rerank::response::RerankResponse;
use crate::rerank::{RequestContext, Reranker};
use crate::route::Route;

/// Failures with no answer before, after which a contestant is given up: a wrong key does not get right by repetition.
const HOPELESS: usize = 5;

/// Waits for a provider that limits the rate: how long where it does not say, how long at most, and how often for one query.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_mins(1);
const MOST_WAITS: u32 = 10;

/// What is the same for all contestants.
#[derive(Debug)]
pub struct Contest<'a> {
    /// What is asked.
    pub collection: &'a Collection,
    /// Who answers.
    pub reranker: &'a Reranker,
    /// Queries under way at once. Above 1, times are those of a busy caller.
    pub concurrency: usize,
    /// Longest that a query may take.
    pub timeout: Duration,
    /// True to stop: what is under way is finished, nothing more is asked.
    pub stopped: watch::Receiver<bool>,
}

/// What happens while a contestant is asked.
#[derive(Clone, Copy, Debug)]
pub enum Progress<'a> {
    /// One query more is done; those that the ledger knew are, too.
    Done,
    /// A query waits so long before it is asked again, for this reason.
    Waits(&'a str, Duration),
}

/// How the asking of one contestant ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Every query has an answer or a failure.
    Finished,
    /// It failed so often, and never answered, that the other queries were not asked. The last failure said this.
    GivenUp(String),
    /// It was stopped.
    Stopped,
}

impl Contest<'_> {
    /// Takes the scores that `ledger` holds as known: what `route` was paid for is not paid for again by another contestant of this run that leads
    /// to the same model.
    pub fn recall(&self, route: &Route, ledger: &Ledger) {
        let scope = scope(route);
        for query in &self.collection.queries {
            let Some(answer) = ledger.answer(&query.id) else { continue };
            let request = self.request(query);
            for target in &route.targets {
                let scores = answer.scores_of(&target.address(), query.candidates.len());
                if scores.iter().any(Option::is_some) {
                    self.reranker.remember(target, &request, scope, &scores);
                }
            }
        }
    }

    /// Asks `route` every query that `ledger` holds no answer to, and tells `hear` how it goes.
    ///
    /// # Errors
    /// The ledger cannot be written.
    pub async fn ask_all(
        &self,
        route: &Route,
        ledger: &mut Ledger,
        hear: impl Fn(Progress<'_>),
    ) -> Result<Ending, LedgerError> {
        let open: Vec<_> = self.collection.queries.iter().filter(|query| !ledger.has_answer(&query.id)).collect();
        (open.len()..self.collection.queries.len()).for_each(|_| hear(Progress::Done));
        let scope = scope(route);
        let mut failures_before_any_answer = (ledger.answered() == 0).then_some(0);
        let stopped = || *self.stopped.borrow();
        let given_up = AtomicBool::new(false);
        let goes_on = || !stopped() && !given_up.load(Ordering::Relaxed);
        let answers = stream::iter(open.iter().copied()).take_while(|_| std::future::ready(goes_on()));
        let answers = answers.map(|query| self.ask(route, scope, query, &hear));
        let mut answers = std::pin::pin!(answers.buffer_unordered(self.concurrency.max(1)));
        let (mut done, mut last_failure, mut unwritten) = (0, String::new(), None);
        while let Some(answer) = answers.next().await {
            match (&answer, &mut failures_before_any_answer) {
                (Answer::Ranked(_), failures) => *failures = None,
                (Answer::Failed(failed), Some(failures)) => {
                    last_failure.clone_from(&failed.message);
                    *failures += 1;
                    given_up.fetch_or(*failures >= HOPELESS, Ordering::Relaxed);
                }
                (Answer::Failed(_), None) => {}
            }
            // What is under way has been paid for, and there may be room for it again.
            if let Err(error) = ledger.write(answer) {
                given_up.store(true, Ordering::Relaxed);
                unwritten.get_or_insert(error);
            }
            done += 1;
            hear(Progress::Done);
        }
        if let Some(error) = unwritten {
            return Err(error);
        }
        Ok(match done == open.len() {
            true => Ending::Finished,
            false if stopped() => Ending::Stopped,
            false => Ending::GivenUp(last_failure),
        })
    }

    /// Asks one query twice: for the answer, and for how long it takes when everything is known.
    async fn ask(&self, route: &Route, scope: CacheScope, query: &JudgedQuery, hear: &impl Fn(Progress<'_>)) -> Answer {
        let request = Arc::new(self.request(query));
        match self.ask_patiently(route, &request, scope, hear).await {
            Ok(response) => {
                // Whoever would have to ask again is not warm.
                let control = CacheControl { only_if_cached: true, ..CacheControl::default() };
                let known = RequestContext { control, ..self.context(scope) };
                let warm = self.reranker.rerank(route, &request, &known).await.ok();
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

    /// Asks until there is an answer, or a failure that waiting does not mend. An evaluation has time: where a service would turn its caller away
    /// because a provider limits the rate, it waits as long as it is told to.
    async fn ask_patiently(
        &self,
        route: &Route,
        request: &Arc<RerankRequest>,
        scope: CacheScope,
        hear: &impl Fn(Progress<'_>),
    ) -> Result<RerankResponse, Error> {
        let mut wait = FIRST_WAIT;
        for _ in 0..MOST_WAITS {
            let answer = self.reranker.rerank(route, request, &self.context(scope)).await;
            let Err(error) = &answer else { return answer };
            let passes = matches!(
                error.kind,
                ErrorKind::UpstreamRateLimited | ErrorKind::UpstreamCircuitOpen | ErrorKind::Overloaded
            );
            if !passes {
                return answer;
            }
            if *self.stopped.borrow() {
                return answer;
            }
            let told = error.retry_after.unwrap_or(wait).clamp(FIRST_WAIT, LONGEST_WAIT);
            hear(Progress::Waits(&error.message, told));
            if timeout(told, self.stopped.clone().wait_for(|stopped| *stopped)).await.is_ok() {
                return answer;
            }
            wait *= 2;
        }
        self.reranker.rerank(route, request, &self.context(scope)).await
    }

    fn request(&self, query: &JudgedQuery) -> RerankRequest {
        let passage = |&place: &usize| Passage { text: self.collection.passages[place].text.clone(), object: None };
        let passages = query.candidates.iter().map(passage).collect();
        RerankRequest { query: query.text.clone(), passages, ..RerankRequest::default() }
    }

    fn context(&self, scope: CacheScope) -> RequestContext {
        let started = Instant::now();
        RequestContext { started, deadline: started + self.timeout, control: CacheControl::default(), scope }
    }
}

/// Contestants share what was paid for: a pair that one of them has scored costs the next nothing. What costs nothing anyway is computed for each of
/// them, so that its time is its own.
fn scope(route: &Route) -> CacheScope {
    let is_free = route.targets.iter().all(|target| target.facts.billing == Billing::Free);
    if is_free { CacheScope::of_caller(&route.model) } else { CacheScope::SHARED }
}

fn ranked(query: &JudgedQuery, response: &RerankResponse, warm: Option<&RerankResponse>) -> Ranked {
    let provenance = &response.provenance;
    let is_cold = provenance.pairs.hit == 0 && provenance.pairs.coalesced == 0;
    let ranking = response.ranking.iter().map(|passage| (passage.position, passage.score)).collect();
    let address = provenance.upstream.as_ref().zip(provenance.upstream_model.as_ref());
    Ranked {
        query: query.id.clone(),
        ranking,
        answered_by: address.map(|(upstream, model)| format!("{upstream}/{model}")),
        fallbacks: provenance.fallbacks,
        degraded: provenance.degraded.iter().map(|&why| why.to_owned()).collect(),
        cold_ms: is_cold.then_some(provenance.timings_ms.total),
        warm_ms: warm.map(|warm| warm.provenance.timings_ms.total),
        tokens: response.usage.tokens.filter(|_| is_cold),
        search_units: response.usage.search_units.filter(|_| is_cold),
        cost_usd: response.usage.cost_usd.filter(|_| is_cold),
    }
}

/// The code under which a query counts that was never asked because its contestant was given up.
pub const NOT_ASKED: &str = "not_asked";
