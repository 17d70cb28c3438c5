//! The part of a request that asks the upstream, for everybody who waits: a task that fills one flight.
//!
//! ```text
//!  led pairs ─▶ encode, cut into calls ─▶ upstream stack ─┬─▶ scores ─▶ cache ─▶ land
//!                     ▲                                   ├─▶ too large ─▶ halves ─┐
//!                     └───────────────────────────────────┼────────────────────────┘
//!                                                         ├─▶ too large, one passage ─▶ refuse
//!                                                         └─▶ failed for good ─▶ fail
//! ```

use std::collections::VecDeque;
use std::sync::Arc;

use futures_util::stream::{FuturesUnordered, StreamExt};
use tokio::time::Instant;

use super::calls::{Batch, Calls, WHOLE, limits};
use super::hedge::{Race, race};
use super::response::Usage;
use crate::cache::ScoreCache;
use crate::cache::age::{Age, Found};
use crate::coalesce::Lead;
use crate::provider::Scoring;
use crate::route::Target;
use crate::telemetry::metrics::Metrics;
use crate::upstream::call::Scores;
use crate::upstream::oversize::Oversize;
use crate::upstream::{Backend, Remote, UpstreamError};

/// Calls refused for size that one flight may cost before it is given up, beside those that halving to a single passage needs: when
/// everything is refused the passages are not to blame.
const MOST_REFUSALS: usize = 8;

/// What it takes to fill a flight.
#[derive(Debug)]
pub(super) struct Fill {
    pub(super) target: Arc<Target>,
    pub(super) calls: Calls,
    /// Who else can be asked, if slow calls may be sent twice.
    pub(super) race: Option<Race>,
    pub(super) cache: ScoreCache,
    pub(super) metrics: Arc<Metrics>,
}

/// What was learnt about the size of calls, if it was: the largest half of a refused call that was accepted, and whether single passages were
/// to blame for the refusals instead.
#[derive(Default)]
struct Lesson {
    accepted: Option<(Oversize, usize, usize)>,
    poison: bool,
}

/// What came of a batch: nobody waits for it any more, or who answered and what.
type Outcome = Option<(Arc<Target>, Result<Scores, UpstreamError>)>;

impl Fill {
    /// Fills the flight of `lead`.
    pub(super) async fn run(self, lead: Lead, reads_cache: bool) {
        if reads_cache {
            self.land_known(&lead);
        }
        let places = lead.pending();
        let Backend::Remote(remote) = &self.target.upstream.backend else { return };
        let mut most_refusals = MOST_REFUSALS + 2 * places.len().next_power_of_two().ilog2() as usize;
        let mut lesson = Lesson::default();
        let batches = self.calls.encode(&self.target, places, limits(&self.target, remote)).await;
        let (mut waiting, mut calls) = (VecDeque::from(batches), FuturesUnordered::new());
        loop {
            // One large request must not fill the upstream's queue, and be turned away by it: it takes its turn, place by place.
            while calls.len() < remote.places().max(1) {
                let Some(batch) = waiting.pop_front() else { break };
                calls.push(self.call(&lead, batch));
            }
            let Some((batch, outcome)) = calls.next().await else { break };
            let places = &batch.places;
            match outcome {
                None => {}
                Some((target, Ok(scores))) => {
                    if batch.half_of.is_some() {
                        // As long as parts are accepted it is single passages that are too large.
                        most_refusals += 2;
                    }
                    lesson.accepted(batch.half_of, places.len(), self.calls.text_bytes(places));
                    self.land(&lead, &target, places, &scores);
                }
                Some((target, Err(error))) if error.oversize.is_some() && self.may_split() && most_refusals > 0 => {
                    most_refusals -= 1;
                    if places.len() == 1 {
                        lesson.poison = true;
                        lead.refuse(places, self.calls.describe(&target.upstream, error).await);
                        continue;
                    }
                    let (left, right) = places.split_at(places.len() / 2);
                    for half in [right, left] {
                        for half in self.calls.encode(&self.target, half.to_vec(), WHOLE).await {
                            waiting.push_front(Batch { half_of: error.oversize, ..half });
                        }
                    }
                }
                Some((target, Err(error))) => lead.fail(places, self.calls.describe(&target.upstream, error).await),
            }
        }
        lesson.draw(remote);
    }

    /// Between the request's look into the cache and its claim another flight may have landed.
    fn land_known(&self, lead: &Lead) {
        let found = self.cache.get_many(lead.query(), lead.keys());
        let usable = |(place, found): (u32, &Option<Found>)| {
            let found = found.filter(|found| found.age == Age::Fresh)?;
            Some((place, found.score))
        };
        let known: Vec<_> = (0..).zip(&found).filter_map(usable).collect();
        // Half a list is of no use to a listwise model.
        if !known.is_empty() && (self.may_split() || known.len() == found.len()) {
            lead.land_known(&known);
        }
    }

    fn may_split(&self) -> bool {
        self.target.facts.scoring == Scoring::Pointwise
    }

    /// Makes one call, unless nobody waits for it.
    async fn call(&self, lead: &Lead, batch: Batch) -> (Batch, Outcome) {
        let interest = lead.interest();
        let scored = async {
            match &self.race {
                Some(twins) => race(twins, &self.calls, &self.target, &batch, interest).await,
                None => (self.target.clone(), self.calls.send(&self.target, &batch, interest).await),
            }
        };
        let outcome = tokio::select! {
            biased;
            () = lead.forsaken(&batch.places) => None,
            scored = scored => Some(scored),
        };
        (batch, outcome)
    }

    /// Remembers scores, says what they cost, and hands them out, in this order.
    fn land(&self, lead: &Lead, target: &Target, places: &[u32], scores: &Scores) {
        let billed = Usage {
            tokens: scores.tokens,
            search_units: scores.search_units,
            cost_usd: target.facts.billing.cost(scores.tokens, scores.search_units),
        };
        self.metrics.charge(&target.upstream.name, billed);
        lead.charge(billed);
        if lead.interest().may_store() {
            let key = |place: &u32| lead.keys()[*place as usize];
            let known: Vec<_> = places.iter().map(key).zip(scores.scores.iter().copied()).collect();
            self.cache.put_many(lead.query(), &known);
        }
        lead.land(places, &scores.scores);
    }
}

impl Lesson {
    fn accepted(&mut self, half_of: Option<Oversize>, passages: usize, bytes: usize) {
        if let Some(oversize) = half_of {
            let (_, most, most_bytes) = self.accepted.unwrap_or((oversize, 0, 0));
            self.accepted = Some((oversize, passages.max(most), bytes.max(most_bytes)));
        }
    }

    /// One passage that is too long by itself says nothing about how much of others can be sent.
    fn draw(self, remote: &Remote) {
        if let Some((oversize, passages, bytes)) = self.accepted.filter(|_| !self.poison) {
            remote.learnt.learn(oversize, passages, bytes, Instant::now());
        }
    }
}
