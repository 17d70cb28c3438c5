//! The leader's side of a flight, held by the task that has its pairs scored.

use std::sync::Arc;

use super::Flights;
use super::flight::{Flight, PairOutcome, PairResult};
use crate::cache::key::{PairKey, QueryKey};
use crate::error::{Error, ErrorKind};
use crate::types::response::Usage;
use crate::upstream::call::Waiters;

/// The duty to give every pair of a flight an outcome. Dropping it fails the pairs that have none, so that no request
/// waits for ever.
#[derive(Debug)]
pub struct Lead {
    flights: Flights,
    query: QueryKey,
    keys: Vec<PairKey>,
    labels: Vec<u32>,
    flight: Arc<Flight>,
}

impl Lead {
    pub(super) fn new(flights: Flights, query: QueryKey, led: Vec<(u32, PairKey)>, flight: Arc<Flight>) -> Self {
        let (labels, keys) = led.into_iter().unzip();
        Self { flights, query, keys, labels, flight }
    }

    /// The flight that this leads.
    #[cfg(test)]
    pub(super) fn flight(&self) -> &Arc<Flight> {
        &self.flight
    }

    /// The request's own numbers for the pairs, in the order of their places.
    #[must_use]
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Configured name of the upstream that is asked.
    #[must_use]
    pub fn upstream(&self) -> &str {
        &self.flight.upstream
    }

    /// The keys of the pairs, in the order of their places.
    #[must_use]
    pub fn keys(&self) -> &[PairKey] {
        &self.keys
    }

    /// The query that all the pairs share.
    #[must_use]
    pub const fn query(&self) -> &QueryKey {
        &self.query
    }

    /// The requests that wait for the flight.
    #[must_use]
    pub fn waiters(&self) -> &Arc<Waiters> {
        &self.flight.waiters
    }

    /// Places without an outcome, in ascending order.
    #[must_use]
    pub fn pending(&self) -> Vec<u32> {
        self.flight.pending()
    }

    /// Adds to the cost of the flight. Call it before [`Self::land`] delivers the scores that were paid for.
    pub fn charge(&self, usage: Usage) {
        self.flight.charge(usage);
    }

    /// The `scores` of `places` that may be stored, by pair: those for which some waiting request, leader or not,
    /// allows it.
    #[must_use]
    pub fn storable(&self, places: &[u32], scores: &[f64]) -> Vec<(PairKey, f64)> {
        let allowed = self.flights.may_store(&self.query, &self.flight, places);
        let mut storable = Vec::with_capacity(places.len());
        for ((place, score), is_allowed) in places.iter().zip(scores).zip(allowed) {
            if is_allowed {
                storable.push((self.keys[*place as usize], *score));
            }
        }
        storable
    }

    /// Delivers the `scores` of `places`. Store them in the cache first: a request that comes afterwards finds no
    /// flight to join.
    pub fn land(&self, places: &[u32], scores: &[f64]) {
        debug_assert_eq!(places.len(), scores.len());
        self.settle(places, |at| PairResult::Landed(PairOutcome::Scored(scores[at])));
    }

    /// Delivers scores that were in the cache already, by place.
    pub fn land_known(&self, known: &[(u32, f64)]) {
        let places: Vec<_> = known.iter().map(|(place, _)| *place).collect();
        self.settle(&places, |at| PairResult::Landed(PairOutcome::Known(known[at].1)));
    }

    /// Delivers the error of passages that the upstream refuses, though it scores others.
    pub fn refuse(&self, places: &[u32], error: Error) {
        let error = Arc::new(error);
        self.settle(places, |_| PairResult::Landed(PairOutcome::Refused(error.clone())));
    }

    /// Fails `places`: their call has failed for good.
    pub fn fail(&self, places: &[u32], error: Error) {
        let error = Arc::new(error);
        self.settle(places, |_| PairResult::Failed(error.clone()));
    }

    /// Waits until no request waits for any of `places`. No request can join them afterwards, so their call can be
    /// dropped.
    pub async fn abandoned(&self, places: &[u32]) {
        // Subscribed before the first look: a request that leaves between the look and the wait is noticed.
        let mut changes = self.flight.waiters.changes();
        while !self.flight.give_up(places) {
            if changes.changed().await.is_err() {
                return;
            }
        }
        self.close(places, || {});
    }

    /// Records one outcome per place, given the index into `places`, and notifies the waiting requests.
    fn settle(&self, places: &[u32], outcome: impl Fn(usize) -> PairResult) {
        self.close(places, || {
            self.flight.settle(places.iter().enumerate().map(|(at, place)| (*place, outcome(at))));
        });
        self.flight.waiters.notify();
    }

    /// Calls `settle` and removes `places` from the registry, in one critical section.
    fn close(&self, places: &[u32], settle: impl FnOnce()) {
        let pairs = places.iter().map(|place| (*place, self.keys[*place as usize]));
        self.flights.close(&self.query, &self.flight, pairs, settle);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let pending = self.pending();
        if !pending.is_empty() {
            // Either no request waits for these any more, or the task that scored them died of a defect.
            self.fail(&pending, Error::new(ErrorKind::Internal, "a defect in rerankd stopped the scoring"));
        }
    }
}
