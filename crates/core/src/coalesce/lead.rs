//! The leader's side of a flight, held by the task that has its pairs scored.

use std::iter::repeat;
use std::sync::Arc;

use super::Flights;
use super::flight::{Flight, PairOutcome, PairProgress};
use crate::cache::key::{PairKey, QueryKey};
use crate::error::{Error, ErrorKind};
use crate::types::index::{FlightIndex, IndexVec, SlotIndex};
use crate::types::model_version::ModelVersion;
use crate::types::response::Usage;
use crate::upstream::call::Waiters;

/// The duty to give every pair of a flight an outcome. Dropping it fails the pairs that have none, so that no request
/// waits for ever.
#[derive(Debug)]
pub struct Lead {
    registry: Flights,
    /// The query that the registry has the flight under.
    query: QueryKey,
    /// The pairs in the plan of the request that made the claim.
    slots: IndexVec<FlightIndex, SlotIndex>,
    flight: Arc<Flight>,
}

impl Lead {
    pub(super) const fn new(
        registry: Flights,
        query: QueryKey,
        slots: IndexVec<FlightIndex, SlotIndex>,
        flight: Arc<Flight>,
    ) -> Self {
        Self { registry, query, slots, flight }
    }

    /// The flight that this leads.
    #[cfg(test)]
    pub(super) fn flight(&self) -> &Arc<Flight> {
        &self.flight
    }

    /// The pairs in the plan of the request that made the claim.
    #[must_use]
    pub const fn slots(&self) -> &IndexVec<FlightIndex, SlotIndex> {
        &self.slots
    }

    /// Configured name of the upstream that is asked.
    #[must_use]
    pub fn upstream(&self) -> &str {
        &self.flight.upstream
    }

    /// The keys of the pairs.
    #[must_use]
    pub fn keys(&self) -> &IndexVec<FlightIndex, PairKey> {
        &self.flight.keys
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

    /// Returns true if a pair has an outcome.
    #[must_use]
    pub fn has_landed(&self) -> bool {
        self.flight.pending_count() < self.flight.keys.len()
    }

    /// Places without an outcome, in ascending order.
    #[must_use]
    pub fn pending(&self) -> Vec<FlightIndex> {
        self.flight.pending()
    }

    /// Adds to the cost of the flight. Call it before [`Self::land`] delivers the scores that were paid for.
    pub fn charge(&self, usage: Usage) {
        self.flight.charge(usage);
    }

    /// The `scores` of `places` that may be stored, by pair: those for which some waiting request, leader or not,
    /// allows it.
    #[must_use]
    pub fn storable(&self, places: &[FlightIndex], scores: &[f64]) -> Vec<(PairKey, f64)> {
        self.flight.storable(places, scores)
    }

    /// The same under other `keys`, one for each of `places`.
    #[must_use]
    pub fn storable_as(&self, keys: &[PairKey], places: &[FlightIndex], scores: &[f64]) -> Vec<(PairKey, f64)> {
        self.flight.storable_as(keys, places, scores)
    }

    /// Records that all scores of the flight are of this version of the model, not of the one of its keys. Call it
    /// before the first score lands, and once.
    pub fn land_under(&self, version: ModelVersion) {
        let first = self.flight.other_version.set(version);
        debug_assert!(first.is_ok(), "a flight takes one other version");
    }

    /// Delivers the news that `places` were scored by another version of the model than pairs before them.
    pub fn outdate(&self, places: &[FlightIndex]) {
        self.settle(places, repeat(PairProgress::Landed(PairOutcome::OtherVersion)));
    }

    /// Delivers the `scores` of `places`. Store them in the cache first: a request that comes afterwards finds no
    /// flight to join.
    pub fn land(&self, places: &[FlightIndex], scores: &[f64]) {
        debug_assert_eq!(places.len(), scores.len());
        self.settle(places, scores.iter().map(|score| PairProgress::Landed(PairOutcome::Scored(*score))));
    }

    /// Delivers scores that were in the cache already, by place.
    pub fn land_known(&self, known: &[(FlightIndex, f64)]) {
        let places: Vec<_> = known.iter().map(|(place, _)| *place).collect();
        self.settle(&places, known.iter().map(|(_, score)| PairProgress::Landed(PairOutcome::Known(*score))));
    }

    /// Delivers the error of passages that the upstream refuses, though it may score others. The requests go on without
    /// their scores.
    pub fn refuse(&self, places: &[FlightIndex], error: Error) {
        self.settle(places, repeat(PairProgress::Landed(PairOutcome::Refused(Arc::new(error)))));
    }

    /// Fails `places`: their call has failed for good. So do the requests that wait for them.
    pub fn fail(&self, places: &[FlightIndex], error: Error) {
        self.settle(places, repeat(PairProgress::Failed(Arc::new(error))));
    }

    /// Waits until no request waits for any of `places`. No request can join them afterwards, so their call can be
    /// dropped.
    pub async fn abandoned(&self, places: &[FlightIndex]) {
        // Subscribed before the first look: a request that leaves between the look and the wait is noticed.
        let mut changes = self.flight.waiters.changes();
        while !self.registry.give_up(&self.query, &self.flight, places) {
            if changes.changed().await.is_err() {
                // Unreachable: the flight owns the sender.
                return;
            }
        }
    }

    /// Records one outcome per place, in the order of `places`, and notifies the waiting requests.
    fn settle(&self, places: &[FlightIndex], outcomes: impl Iterator<Item = PairProgress>) {
        self.registry.settle(&self.query, &self.flight, places, outcomes);
        self.flight.waiters.notify();
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        if self.flight.pending_count() > 0 {
            // Either no request waits for these any more, or the task that scored them died of a defect.
            self.fail(&self.pending(), Error::new(ErrorKind::Internal, "a defect in rerankd stopped the scoring"));
        }
    }
}
