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
mod query_flights;
mod subscription;
mod sync;

use std::sync::Arc;

pub use self::flight::PairOutcome;
use self::flight::{Flight, PairProgress};
pub use self::lead::Lead;
use self::query_flights::{Joined, QueryFlights};
pub use self::subscription::Subscription;
use self::sync::{Mutex, MutexGuard};
use crate::cache::key::{PairKey, QueryKey, QueryMap};
use crate::types::index::{FlightIndex, IndexVec, SlotIndex};
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
}

/// The flights of some queries. No query is without a flight, so the table does not grow with the past.
type Shard = QueryMap<QueryFlights>;

/// A request to have pairs scored.
#[derive(Clone, Copy, Debug)]
pub struct ClaimRequest<'a> {
    /// The query that all the pairs share.
    pub query: &'a QueryKey,
    /// The keys of the pairs of the request's plan, by slot. They must be distinct.
    pub keys: &'a IndexVec<SlotIndex, PairKey>,
    /// The slots of the pairs that are claimed.
    pub slots: &'a [SlotIndex],
    /// Configured name of the upstream that will score the pairs which are not in flight.
    pub upstream: &'a str,
    /// True to bypass the flights of other upstreams, because they take too long.
    pub bypasses_others: bool,
    /// The request's deadline, patience and permission to store.
    pub waiter: Waiter,
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
        Self(Arc::new(Registry { shards }))
    }
}

impl Flights {
    /// Joins the flights of the pairs that are in flight, and opens a flight for the rest.
    #[must_use]
    pub fn claim(&self, request: &ClaimRequest<'_>) -> Claim {
        if request.slots.is_empty() {
            return Claim { lead: None, subscriptions: Vec::new() };
        }
        let mut shard = self.shard(request.query);
        let under_way = shard.entry(*request.query).or_default();
        let Joined { rest, mut subscriptions } = under_way.join(request);
        if rest.is_empty() {
            return Claim { lead: None, subscriptions };
        }
        let flight = under_way.open(request, &rest);
        drop(shard);
        subscriptions.insert(0, Subscription::of_leader(&flight, request.waiter, &rest));
        Claim { lead: Some(Lead::new(self.clone(), *request.query, rest.into(), flight)), subscriptions }
    }

    /// Those of `slots` whose pairs are in no flight at this moment.
    #[must_use]
    pub fn not_in_flight(
        &self,
        query: &QueryKey,
        keys: &IndexVec<SlotIndex, PairKey>,
        slots: &[SlotIndex],
    ) -> Vec<SlotIndex> {
        match self.shard(query).get_mut(query) {
            Some(under_way) => under_way.without_pairs_in_flight(keys, slots),
            None => slots.to_vec(),
        }
    }

    /// Number of distinct pairs in flight.
    #[must_use]
    pub fn len(&self) -> usize {
        let mut pairs = 0;
        for shard in &self.0.shards {
            pairs += sync::lock(shard).values().map(QueryFlights::len).sum::<usize>();
        }
        pairs
    }

    /// Returns true if no pair is in flight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.shards.iter().all(|shard| sync::lock(shard).is_empty())
    }

    /// Records `outcomes` of pairs at `places` of `flight` and takes them out of the registry. A concurrent claim finds
    /// all of them or none: half a list is of no use to a listwise model.
    fn settle(
        &self,
        query: &QueryKey,
        flight: &Arc<Flight>,
        places: &[FlightIndex],
        outcomes: impl Iterator<Item = PairProgress>,
    ) {
        let mut shard = self.shard(query);
        flight.settle(places.iter().copied().zip(outcomes));
        close(&mut shard, query, flight, places);
    }

    /// Gives up `places` of `flight` if no request waits for any of them; none can join them afterwards. Returns true
    /// if they were given up.
    fn give_up(&self, query: &QueryKey, flight: &Arc<Flight>, places: &[FlightIndex]) -> bool {
        // Without the shard's lock first: mostly somebody waits.
        if !flight.is_abandoned(places) {
            return false;
        }
        let mut shard = self.shard(query);
        // No request joins while the shard is locked.
        if !flight.is_abandoned(places) {
            return false;
        }
        flight.settle(places.iter().map(|place| (*place, PairProgress::GivenUp)));
        close(&mut shard, query, flight, places);
        true
    }

    fn shard(&self, query: &QueryKey) -> MutexGuard<'_, Shard> {
        // Other bits than the table of the shard goes by, which all of its queries would share.
        let bits = (query.quarter() >> 32) as usize;
        sync::lock(&self.0.shards[bits % SHARDS])
    }
}

/// Takes `places` of `flight`, which are settled by now, out of the registry.
fn close(shard: &mut Shard, query: &QueryKey, flight: &Arc<Flight>, places: &[FlightIndex]) {
    let Some(under_way) = shard.get_mut(query) else { return };
    under_way.close(flight, places);
    if under_way.is_empty() {
        shard.remove(query);
    }
}

#[cfg(all(test, feature = "shuttle"))]
mod model;
#[cfg(all(test, not(feature = "shuttle")))]
mod tests;
