//! The unknown pairs of a plan, scored by one target: the part of the request that waits.
//!
//! What it waits for is a flight of its own, of others, or of both (see [`crate::coalesce`]); the part that asks the upstream is [`super::fill`].

use std::sync::Arc;
use std::time::Duration;

use futures_util::FutureExt;
use futures_util::future::select_all;
use tokio::time::{Instant, timeout};

use super::calls::Calls;
use super::fill::Fill;
use super::hedge::Race;
use super::journey::Journey;
use super::plan::Plan;
use super::request::RerankRequest;
use super::response::ScoreSource;
use super::{RequestContext, Reranker};
use crate::cache::control::CacheControl;
use crate::coalesce::{Claim, Landing, Ticket, Wish};
use crate::error::{Error, ErrorKind};
use crate::provider::Scoring;
use crate::route::{Route, Target};
use crate::upstream::call::Waiter;
use crate::upstream::{Backend, Remote};

/// One target, and what it may count on.
#[derive(Clone, Copy, Debug)]
pub(super) struct Turn<'a> {
    pub(super) route: &'a Route,
    pub(super) target: &'a Arc<Target>,
    pub(super) request: &'a Arc<RerankRequest>,
    pub(super) context: &'a RequestContext,
    pub(super) waiter: Waiter,
    /// Whether the target is asked for what others of the same scores are being asked for already.
    pub(super) insists: bool,
}

impl Reranker {
    /// Scores what `plan` does not know. If this is dropped, what it had learnt by then is in the plan, and what it waited for in `tickets`.
    ///
    /// # Errors
    /// The first call that failed for good.
    pub(super) async fn score(
        &self,
        turn: Turn<'_>,
        plan: &mut Plan,
        tickets: &mut Vec<Ticket>,
        journey: &mut Journey,
    ) -> Result<(), Error> {
        match &turn.target.upstream.backend {
            Backend::Local(_) => self.score_locally(turn, plan, tickets, journey).await,
            Backend::Remote(remote) => {
                check_listwise_size(turn.target, remote, plan.unknown().len())?;
                self.score_remotely(turn, remote, plan, tickets, journey).await?;
                refused_wholly(plan, journey)
            }
        }
    }

    /// Waits for the target, and for others of the same scores that are being asked for some of the pairs already. The others are not the last
    /// word: what they fail at, or are silent about for unusually long, the target itself is asked for.
    pub(super) async fn score_remotely(
        &self,
        turn: Turn<'_>,
        remote: &Remote,
        plan: &mut Plan,
        tickets: &mut Vec<Ticket>,
        journey: &mut Journey,
    ) -> Result<(), Error> {
        let own = turn.target.upstream.name.as_str();
        *tickets = self.claim(turn, plan, plan.unknown(), journey);
        let is_foreign = |ticket: &Ticket| ticket.upstream() != own;
        while tickets.iter().any(is_foreign) {
            let given_up = match timeout(longest_silence(turn, remote), news(tickets)).await {
                Ok(news) => match take_in(news, tickets, plan, journey) {
                    Ok(()) => continue,
                    Err(failure) if !is_foreign(&tickets[failure.at]) => return Err(failure.error),
                    Err(failure) => vec![tickets.swap_remove(failure.at)],
                },
                Err(_silence) => tickets.extract_if(.., |ticket| is_foreign(ticket)).collect(),
            };
            let missing: Vec<u32> = given_up.iter().flat_map(Ticket::waiting).collect();
            tickets.extend(self.claim(Turn { insists: true, ..turn }, plan, &missing, journey));
        }
        while !tickets.is_empty() {
            let news = news(tickets).await;
            take_in(news, tickets, plan, journey).map_err(|failure| failure.error)?;
        }
        Ok(())
    }

    /// Takes part in the scoring of `slots`, and starts what nobody has started; or, if it insists, what the target has not.
    fn claim(&self, turn: Turn<'_>, plan: &Plan, slots: &[u32], journey: &Journey) -> Vec<Ticket> {
        let (upstream, insists, waiter) = (&*turn.target.upstream.name, turn.insists, turn.waiter);
        let wish = Wish { query: plan.query(), pairs: &plan.pairs(slots), upstream, insists, waiter };
        let Claim { lead, tickets } = turn.route.flights.as_ref().unwrap_or(&self.flights).claim(&wish);
        if let Some(lead) = lead {
            let fill = Fill {
                target: turn.target.clone(),
                calls: Calls {
                    request: turn.request.clone(),
                    texts: plan.texts(turn.request, lead.labels().iter().copied()).into(),
                    attempts: journey.attempts.clone(),
                },
                race: self.race(turn),
                cache: self.cache.clone(),
                metrics: self.metrics.clone(),
            };
            tokio::spawn(fill.run(lead, journey.reads_cache));
        }
        tickets
    }

    /// Who else can be asked when the target is slow, if that is wanted and there is anybody.
    fn race(&self, turn: Turn<'_>) -> Option<Race> {
        let hedge = turn.route.hedge.clone()?;
        let twins: Vec<_> = turn.route.twins(turn.target).cloned().collect();
        (!twins.is_empty()).then(|| Race { hedge, twins, metrics: self.metrics.clone() })
    }

    /// Computes afresh what is due, behind the request's back. Nothing waits for it.
    pub(super) fn refresh(&self, turn: Turn<'_>, plan: &Plan) {
        let RequestContext { started, control: CacheControl { store, only_if_cached, .. }, .. } = *turn.context;
        // What scores inside this process and by the list is computed anew in no time when it is too old.
        if matches!(turn.target.upstream.backend, Backend::Local(_)) {
            return;
        }
        if plan.due().is_empty()
            || !store
            || only_if_cached
            || !turn.target.upstream.is_open_for_calls(turn.context.scope, started)
        {
            return;
        }
        if let Some(leave) = self.background.enter() {
            let tickets = self.claim(turn, plan, plan.due(), &Journey::of_background());
            leave.finish(tickets, turn.waiter.deadline);
            self.metrics.refreshed(plan.due().len());
        }
    }
}

/// The flight of a ticket failed.
struct Failure {
    at: usize,
    error: Error,
}

/// What a ticket heard.
type News = (usize, Result<Vec<(u32, Landing)>, Arc<Error>>);

/// How long others of the same scores may be silent: three times what is usual here, and no more than half of the time left.
fn longest_silence(turn: Turn<'_>, remote: &Remote) -> Duration {
    let half = turn.waiter.deadline.saturating_duration_since(Instant::now()) / 2;
    let (passages, bytes) = (turn.request.passages.len().max(1), turn.request.text_bytes());
    let bytes_a_call = bytes / passages.div_ceil(remote.facts.max_passages);
    remote.unusual(bytes_a_call).map_or(half, |unusual| unusual.min(half))
}

/// Waits until one of the tickets hears something. There must be one.
async fn news(tickets: &mut [Ticket]) -> News {
    let (news, at, _) = select_all(tickets.iter_mut().map(|ticket| ticket.next().boxed())).await;
    (at, news)
}

/// Writes what was heard into the plan; a ticket that has nothing left to hear is done with.
fn take_in((at, news): News, tickets: &mut Vec<Ticket>, plan: &mut Plan, journey: &mut Journey) -> Result<(), Failure> {
    let ticket = &tickets[at];
    if let Some(charge) = ticket.take_charge() {
        journey.usage = journey.usage.plus(charge);
    }
    let source = if ticket.is_leaders() { ScoreSource::Scored } else { ScoreSource::Coalesced };
    let news = news.map_err(|error| Failure { at, error: Arc::unwrap_or_clone(error) })?;
    if news.is_empty() {
        tickets.swap_remove(at);
    }
    for (slot, landing) in news {
        match landing {
            Landing::Scored(score) => plan.learn(slot, Some(score), source),
            Landing::Known(score) => plan.learn(slot, Some(score), ScoreSource::Cache),
            Landing::Refused(error) => {
                plan.learn(slot, None, ScoreSource::Refused);
                journey.refused(&error);
            }
        }
    }
    Ok(())
}

/// Passages that a provider refuses go without a score; a request of which it takes nothing is refused as a whole.
fn refused_wholly(plan: &Plan, journey: &Journey) -> Result<(), Error> {
    let counts = plan.counts();
    let nothing_scored = counts.unscored == counts.total;
    match journey.refusal() {
        Some(refusal) if nothing_scored => Err(refusal.clone()),
        _ => Ok(()),
    }
}

/// A list that a listwise model cannot take whole is refused: splitting it would change its scores.
fn check_listwise_size(target: &Target, remote: &Remote, passages: usize) -> Result<(), Error> {
    if target.facts.scoring == Scoring::Pointwise || passages <= remote.facts.max_passages {
        return Ok(());
    }
    let message = format!(
        "{} scores a list as a whole and takes at most {} documents at once, the request has {passages}; send fewer, or if the \
         model scores each document by itself declare it as pointwise under [providers.{}.models]",
        target.address(),
        remote.facts.max_passages,
        remote.provider.name(),
    );
    Err(Error::new(ErrorKind::TooManyDocuments, message))
}
