//! The other side of a flight: whoever sees to its pairs.

use std::sync::Arc;

use super::Flights;
use super::flight::{Flight, Landing, Outcome};
use crate::cache::key::{PairKey, QueryKey};
use crate::error::{Error, ErrorKind};
use crate::rerank::response::Usage;
use crate::upstream::call::Interest;

/// The duty to say what became of each pair of a flight. Dropping it fails what was not said: nobody waits for ever.
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

    /// The flight that is led.
    #[cfg(test)]
    pub(super) fn flight(&self) -> &Arc<Flight> {
        &self.flight
    }

    /// The request's own numbers for the pairs, in the order of their places.
    #[must_use]
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// Who is asked.
    #[must_use]
    pub fn upstream(&self) -> &str {
        &self.flight.upstream
    }

    /// The pairs, in the order of their places.
    #[must_use]
    pub fn keys(&self) -> &[PairKey] {
        &self.keys
    }

    /// The query of all the pairs.
    #[must_use]
    pub const fn query(&self) -> &QueryKey {
        &self.query
    }

    /// For whom the pairs are scored.
    #[must_use]
    pub fn interest(&self) -> &Arc<Interest> {
        &self.flight.interest
    }

    /// Places that nothing was said of yet.
    #[must_use]
    pub fn pending(&self) -> Vec<u32> {
        self.flight.pending()
    }

    /// Adds to what the flight cost. To be said before the scores that were paid for.
    pub fn charge(&self, usage: Usage) {
        self.flight.charge(usage);
    }

    /// The `scores` of `places` that may be kept, by their pairs: those that somebody who allows it waits for, whoever
    /// led them.
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

    /// `places` have these scores. Where they are to be remembered they must be so already: who comes now finds no flight.
    pub fn land(&self, places: &[u32], scores: &[f64]) {
        debug_assert_eq!(places.len(), scores.len());
        self.settle(places, |at| Outcome::Landed(Landing::Scored(scores[at])));
    }

    /// These places have scores that were known already.
    pub fn land_known(&self, known: &[(u32, f64)]) {
        let places: Vec<_> = known.iter().map(|(place, _)| *place).collect();
        self.settle(&places, |at| Outcome::Landed(Landing::Known(known[at].1)));
    }

    /// The upstream does not take these passages, though it takes others.
    pub fn refuse(&self, places: &[u32], error: Error) {
        let error = Arc::new(error);
        self.settle(places, |_| Outcome::Landed(Landing::Refused(error.clone())));
    }

    /// The call for `places` failed for good.
    pub fn fail(&self, places: &[u32], error: Error) {
        let error = Arc::new(error);
        self.settle(places, |_| Outcome::Failed(error.clone()));
    }

    /// Waits until nobody waits for any of `places`. From then on nobody can: their call is to be dropped.
    pub async fn forsaken(&self, places: &[u32]) {
        let mut news = self.flight.interest.listen();
        while !self.flight.give_up(places) {
            if news.changed().await.is_err() {
                return;
            }
        }
        self.close(places, || {});
    }

    fn settle(&self, places: &[u32], outcome: impl Fn(usize) -> Outcome) {
        let outcomes = places.iter().enumerate().map(|(at, place)| (*place, outcome(at)));
        self.close(places, || self.flight.settle(outcomes));
        self.flight.interest.ring();
    }

    fn close(&self, places: &[u32], settle: impl FnOnce()) {
        let seats = places.iter().map(|place| (*place, self.keys[*place as usize]));
        self.flights.close(&self.query, &self.flight, seats, settle);
    }
}

impl Drop for Lead {
    fn drop(&mut self) {
        let pending = self.pending();
        if !pending.is_empty() {
            // Either nobody waits for these any more, or the task that scored them died of a defect.
            self.fail(&pending, Error::new(ErrorKind::Internal, "a defect in rerankd stopped the scoring"));
        }
    }
}
