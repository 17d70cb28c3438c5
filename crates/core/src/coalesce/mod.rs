//! The registry of pairs in flight, which keeps a pair from being sent twice at the same time.
//!
//! A request claims the pairs whose scores it does not know. It *leads* those that no other request has in flight:
//! they form a new flight, filled by a task of its own. It *follows* the others. Either way it holds a [`Subscription`]
//! for each flight and waits on it.
//!
//! ```text
//!  request 1 wants  a b c      claims ─▶  leads   flight 1 {a b c}  1 subscription
//!  request 2 wants  b c d      claims ─▶  follows flight 1 {b c}, leads flight 2 {d}
//!  request 1 hangs up: nobody waits for a any more; b and c go on, since request 2 does
//! ```
//!
//! - A flight serves every request that holds a subscription, not just the one that started it. A leader that
//!   disconnects affects no one else, and each request keeps its own deadline. A call is cancelled once no request
//!   waits for any of its pairs.
//! - A failure reaches all requests that wait at that moment and is then forgotten: the next request starts afresh.
//! - Storing is decided pair by pair. A request with `no-store` stores nothing by itself. A score is stored if, when it
//!   arrives, any request that waits for its pair allows it.
//! - A claim is one short critical section and never waits for another request, so no two requests can deadlock.

mod flight;
mod lead;
mod subscription;
mod sync;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

pub use self::flight::PairOutcome;
use self::flight::{AwaitedPair, Flight};
pub use self::lead::Lead;
use self::lead::LedPairs;
use self::subscription::Followed;
pub use self::subscription::Subscription;
use self::sync::{Mutex, MutexGuard};
use crate::cache::key::{PairKey, PairMap, QueryKey};
use crate::types::index::{FlightIndex, SlotIndex};
use crate::upstream::call::Waiter;

/// Number of tables over which queries are spread, each with its own lock: more than the usual number of processors, so
/// that two threads rarely meet.
const SHARDS: usize = 32;

/// The pairs in flight. Cheap to clone; clones share the flights.
#[derive(Clone, Debug)]
pub struct Flights(Arc<Registry>);

/// The state that clones of [`Flights`] share.
#[derive(Debug)]
struct Registry {
    shards: [Mutex<Shard>; SHARDS],
    /// Picks the shard of a query.
    hasher: RandomState,
}

/// The pairs in flight of some queries. No query is without a pair, so the table does not grow with the past.
type Shard = HashMap<QueryKey, PairMap<Locations>>;

/// The flights that score one pair; at least one. There are more if a request bypassed the others, or found that they
/// will not score the pair any more.
#[derive(Debug)]
struct Locations {
    /// Held apart from the others, so that the usual pair needs no allocation.
    first: Location,
    others: Vec<Location>,
}

/// A flight that scores a pair, and the pair's place in it.
#[derive(Clone, Debug)]
struct Location {
    flight: Arc<Flight>,
    place: FlightIndex,
}

/// A request to have pairs scored.
#[derive(Clone, Copy, Debug)]
pub struct ClaimRequest<'a> {
    /// The query that all the pairs share.
    pub query: &'a QueryKey,
    /// The pairs, each with its slot in the request's plan. They must be distinct.
    pub pairs: &'a [(SlotIndex, PairKey)],
    /// Configured name of the upstream that will score the pairs which are not in flight.
    pub upstream: &'a str,
    /// True to bypass the flights of other upstreams, because they take too long.
    pub bypasses_others: bool,
    /// The request's deadline, patience and permission to store.
    pub waiter: Waiter,
}

impl Location {
    /// Joins the flight. Returns false if it will not score the pair any more.
    fn join(&self, waiter: Waiter) -> bool {
        self.flight.join(self.place, waiter)
    }

    /// Returns true if this is that place of that flight.
    fn is(&self, flight: &Arc<Flight>, place: FlightIndex) -> bool {
        self.place == place && Arc::ptr_eq(&self.flight, flight)
    }
}

impl Locations {
    /// Joins a live flight of the request's upstream or, unless the request bypasses others, of any upstream.
    fn join(&self, request: &ClaimRequest<'_>) -> Option<&Location> {
        // With one flight and no bypass, the usual case, no names need to be compared.
        if self.others.is_empty() && !request.bypasses_others {
            return self.first.join(request.waiter).then_some(&self.first);
        }
        for location in self.all() {
            if location.flight.upstream == request.upstream && location.join(request.waiter) {
                return Some(location);
            }
        }
        if request.bypasses_others {
            return None;
        }
        self.all().find(|location| location.join(request.waiter))
    }

    /// Removes one location. Returns true if it was the last.
    fn leave(&mut self, flight: &Arc<Flight>, place: FlightIndex) -> bool {
        if !self.first.is(flight, place) {
            self.others.retain(|other| !other.is(flight, place));
            return false;
        }
        match self.others.pop() {
            Some(next) => {
                self.first = next;
                false
            }
            None => true,
        }
    }

    fn all(&self) -> impl Iterator<Item = &Location> {
        std::iter::once(&self.first).chain(&self.others)
    }
}

/// The result of a claim.
#[derive(Debug)]
pub struct Claim {
    /// The pairs that were not in flight, if there are any. The holder must have them scored.
    pub lead: Option<Lead>,
    /// One subscription for each flight that scores some of the pairs; that of the led flight comes first.
    pub subscriptions: Vec<Subscription>,
}

impl Default for Flights {
    fn default() -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self(Arc::new(Registry { shards, hasher: RandomState::new() }))
    }
}

impl Flights {
    /// Joins the flights of the pairs that are in flight, and opens a flight for the rest.
    #[must_use]
    pub fn claim(&self, request: &ClaimRequest<'_>) -> Claim {
        if request.pairs.is_empty() {
            return Claim { lead: None, subscriptions: Vec::new() };
        }
        let ClaimRequest { query, pairs, upstream, waiter, .. } = *request;
        let flight = Arc::new(Flight::new(upstream, waiter));
        let mut led = LedPairs::default();
        let mut followed = Followed::default();
        let mut shard = self.shard(query);
        let in_flight = shard.entry(*query).or_default();
        for (slot, pair) in pairs {
            // The pair's place if this request leads it.
            let place = led.keys.next_index();
            let locations = match in_flight.entry(*pair) {
                Entry::Occupied(occupied) => occupied.into_mut(),
                Entry::Vacant(vacant) => {
                    vacant.insert(Locations { first: Location { flight: flight.clone(), place }, others: Vec::new() });
                    led.push(*slot, *pair);
                    continue;
                }
            };
            let Some(joined) = locations.join(request) else {
                locations.others.push(Location { flight: flight.clone(), place });
                led.push(*slot, *pair);
                continue;
            };
            let awaited = AwaitedPair { slot: *slot, place: joined.place };
            followed.add(&joined.flight, waiter, awaited);
        }
        // Still under the shard's lock: a follower that finds the flight must find its pairs in it.
        flight.open(led.keys.len(), waiter);
        drop(shard);
        let mut subscriptions = followed.subscriptions;
        if led.keys.is_empty() {
            return Claim { lead: None, subscriptions };
        }
        subscriptions.insert(0, Subscription::of_leader(&flight, waiter, &led.slots));
        Claim { lead: Some(Lead::new(self.clone(), *query, led, flight)), subscriptions }
    }

    /// Number of distinct pairs in flight.
    #[must_use]
    pub fn len(&self) -> usize {
        let mut pairs = 0;
        for shard in &self.0.shards {
            pairs += sync::lock(shard).values().map(PairMap::len).sum::<usize>();
        }
        pairs
    }

    /// Returns true if no pair is in flight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// For each of `places`, true if a request that waits for it allows its score to be stored. Read under the shard's
    /// lock, so that all pairs of a concurrent claim count or none: half a list is of no use to a listwise model.
    fn may_store(&self, query: &QueryKey, flight: &Flight, places: &[FlightIndex]) -> Vec<bool> {
        let _shard = self.shard(query);
        flight.may_store(places)
    }

    /// Calls `settle` and removes `places` of `flight` from the registry, both under the shard's lock: a concurrent
    /// claim finds all of them or none. Half a list is of no use to a listwise model.
    fn close(
        &self,
        query: &QueryKey,
        flight: &Arc<Flight>,
        places: impl Iterator<Item = (FlightIndex, PairKey)>,
        settle: impl FnOnce(),
    ) {
        let mut shard = self.shard(query);
        settle();
        let Some(in_flight) = shard.get_mut(query) else { return };
        for (place, pair) in places {
            let Entry::Occupied(mut occupied) = in_flight.entry(pair) else { continue };
            if occupied.get_mut().leave(flight, place) {
                occupied.remove();
            }
        }
        if in_flight.is_empty() {
            shard.remove(query);
        }
    }

    fn shard(&self, query: &QueryKey) -> MutexGuard<'_, Shard> {
        let hash = self.0.hasher.hash_one(query);
        #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
        sync::lock(&self.0.shards[hash as usize % SHARDS])
    }
}

#[cfg(all(test, feature = "shuttle"))]
mod model;
#[cfg(all(test, not(feature = "shuttle")))]
mod tests;
