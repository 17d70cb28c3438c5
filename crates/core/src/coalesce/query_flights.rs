//! The flights of one query, and the places where its pairs are scored.
//!
//! ```text
//!  one claim      flights  0 {a b c}               no index: opening the flight was all the work
//!  a second       flights  0 {a b c}  1 {d}        index  a ▶ 0:0  b ▶ 0:1  c ▶ 0:2  d ▶ 1:0
//! ```
//! Most queries have one flight at a time. Only when another claim of the query meets it are its pairs entered into an
//! index, once each, so a claim looks up each of its pairs once, however many flights there are. A pair stands in the
//! index once for each flight that scores it: more than once only if a request bypassed the flights of other upstreams,
//! so never more often than the route has upstreams.

use std::collections::HashSet;
use std::sync::Arc;

use hashbrown::HashTable;

use super::ClaimRequest;
use super::flight::{AwaitedPair, Flight};
use super::subscription::Subscription;
use crate::cache::key::PairKey;
use crate::types::index::{FlightIndex, IndexVec, SlotIndex};

/// The flights of one query. Guarded by the lock of a shard, under which pairs are joined and settled.
#[derive(Debug, Default)]
pub(super) struct QueryFlights {
    /// The flights with pending pairs, by number; `None` for a number that is free. The last one is taken.
    flights: Vec<Option<Arc<Flight>>>,
    /// The pending pairs of all flights, by key; `None` until a second claim needs it.
    index: Option<HashTable<Location>>,
}

/// A place where a pair is scored.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Location {
    key: PairKey,
    /// Number of the flight.
    flight: usize,
    place: FlightIndex,
}

/// The result of joining what is in flight.
#[derive(Debug, Default)]
pub(super) struct Joined {
    /// The pairs that are not in flight.
    pub(super) rest: Vec<SlotIndex>,
    /// One subscription for each flight that was joined.
    pub(super) subscriptions: Vec<Subscription>,
}

impl QueryFlights {
    /// Returns true if no pair of the query is in flight.
    pub(super) const fn is_empty(&self) -> bool {
        self.flights.is_empty()
    }

    /// Number of distinct pairs in flight.
    pub(super) fn len(&self) -> usize {
        let mut distinct = HashSet::new();
        for flight in self.flights.iter().flatten() {
            distinct.extend(flight.pending().into_iter().map(|place| flight.keys[place]));
        }
        distinct.len()
    }

    /// Joins the flights that score pairs of the request. A pair is joined in a flight of the request's own upstream
    /// or, unless the request bypasses others, in any.
    pub(super) fn join(&mut self, request: &ClaimRequest<'_>) -> Joined {
        if self.is_empty() {
            return Joined { rest: request.slots.to_vec(), subscriptions: Vec::new() };
        }
        let index = self.index.take().unwrap_or_else(|| self.new_index());
        let mut rest = Vec::new();
        let mut found = Vec::new();
        for slot in request.slots {
            match self.find(&index, request, request.keys[*slot]) {
                Some(location) => found.push((location.flight, AwaitedPair { slot: *slot, place: location.place })),
                None => rest.push(*slot),
            }
        }
        self.index = Some(index);
        // Mostly they share one flight, and nothing is moved.
        found.sort_unstable_by_key(|(flight, pair)| (*flight, pair.slot));
        let mut subscriptions = Vec::new();
        for of_flight in found.chunk_by(|(left, _), (right, _)| left == right) {
            let Some(flight) = self.flight(of_flight[0].0) else { continue };
            let pairs = of_flight.iter().map(|(_, pair)| *pair).collect();
            subscriptions.push(Subscription::of_follower(flight, request.waiter, pairs));
        }
        Joined { rest, subscriptions }
    }

    /// Those of `slots` whose pairs are in no flight.
    pub(super) fn without_pairs_in_flight(
        &mut self,
        keys: &IndexVec<SlotIndex, PairKey>,
        slots: &[SlotIndex],
    ) -> Vec<SlotIndex> {
        let index = self.index.take().unwrap_or_else(|| self.new_index());
        let mut rest = Vec::with_capacity(slots.len());
        for slot in slots {
            let key = keys[*slot];
            if index.iter_hash(key.half()).all(|location| location.key != key) {
                rest.push(*slot);
            }
        }
        self.index = Some(index);
        rest
    }

    /// Opens a flight that scores `slots` of the request, which are in no flight of its upstream.
    pub(super) fn open(&mut self, request: &ClaimRequest<'_>, slots: &[SlotIndex]) -> Arc<Flight> {
        let number = self.flights.iter().position(Option::is_none).unwrap_or(self.flights.len());
        if number == self.flights.len() {
            self.flights.push(None);
        }
        let keys: Vec<_> = slots.iter().map(|slot| request.keys[*slot]).collect();
        let flight = Arc::new(Flight::new(number, request.upstream, keys.into(), request.waiter));
        if let Some(index) = &mut self.index {
            enter(index, &flight);
        }
        self.flights[number] = Some(flight.clone());
        flight
    }

    /// Forgets `places` of `flight`, which are settled by now, and the flight if all of its pairs are.
    pub(super) fn close(&mut self, flight: &Arc<Flight>, places: &[FlightIndex]) {
        if !self.flight(flight.number).is_some_and(|held| Arc::ptr_eq(held, flight)) {
            return; // done before; its number may be another flight's by now
        }
        if let Some(index) = &mut self.index {
            for place in places {
                let location = Location { key: flight.keys[*place], flight: flight.number, place: *place };
                if let Ok(entry) = index.find_entry(location.key.half(), |other| *other == location) {
                    entry.remove();
                }
            }
        }
        if flight.pending_count() == 0 {
            self.flights[flight.number] = None;
            while let Some(None) = self.flights.last() {
                self.flights.pop();
            }
        }
    }

    /// The index of the pending pairs of all flights.
    fn new_index(&self) -> HashTable<Location> {
        let mut index = HashTable::new();
        for flight in self.flights.iter().flatten() {
            enter(&mut index, flight);
        }
        index
    }

    /// The place where the request joins the pair `key`, if it is in flight.
    fn find(&self, index: &HashTable<Location>, request: &ClaimRequest<'_>, key: PairKey) -> Option<Location> {
        let mut at_another = None;
        for location in index.iter_hash(key.half()).filter(|location| location.key == key) {
            if self.flight(location.flight)?.upstream == request.upstream {
                return Some(*location);
            }
            at_another = Some(*location);
        }
        if request.bypasses_others { None } else { at_another }
    }

    fn flight(&self, number: usize) -> Option<&Arc<Flight>> {
        self.flights.get(number)?.as_ref()
    }

    /// Asserts that the flights have pending pairs and that the index, if there is one, holds exactly those.
    #[cfg(all(test, not(feature = "shuttle")))]
    pub(super) fn check(&self) {
        assert!(matches!(self.flights.last(), Some(Some(_))), "a query without a flight");
        let mut pending = 0;
        for (number, flight) in self.flights.iter().enumerate() {
            let Some(flight) = flight else { continue };
            assert_eq!(flight.number, number);
            assert!(flight.pending_count() > 0, "a flight that is done");
            pending += flight.pending_count();
            for place in flight.pending() {
                let location = Location { key: flight.keys[place], flight: number, place };
                let mut found = self.index.iter().flat_map(|index| index.iter_hash(location.key.half()));
                assert!(self.index.is_none() || found.any(|other| *other == location), "a pair that is not found");
            }
        }
        assert!(self.index.as_ref().is_none_or(|index| index.len() == pending), "a pair that is not in flight");
    }
}

/// Enters the pending pairs of `flight` into `index`.
fn enter(index: &mut HashTable<Location>, flight: &Flight) {
    let places = flight.pending();
    index.reserve(places.len(), |location| location.key.half());
    for place in places {
        let location = Location { key: flight.keys[place], flight: flight.number, place };
        index.insert_unique(location.key.half(), location, |location| location.key.half());
    }
}
