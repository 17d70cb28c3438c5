//! Pairs that are being scored right now, so that nobody sends them a second time.
//!
//! A request that needs unknown pairs claims them. What nobody is scoring yet it *leads*: a flight of its own, filled by a task of
//! its own. What somebody else is scoring it *follows*. Either way it holds a [`Ticket`] for each flight and waits for the news.
//!
//! ```text
//!  request 1 wants  a b c      claims ─▶  leads   flight 1 {a b c}        tickets: 1
//!  request 2 wants  b c d      claims ─▶  follows flight 1 {b c}, leads flight 2 {d}
//!  request 1 hangs up: nobody waits for a any more; b and c go on, since request 2 does
//! ```
//!
//! A flight is filled for whoever holds a ticket, not for the request that started it: a leader that leaves harms nobody, every
//! waiter keeps its own deadline, and what nobody waits for is cancelled, call by call. A failure is told once to all who wait and is then
//! forgotten: the next request starts anew. Nothing waits for a lock: claiming is one short critical section, in which a request never
//! depends on another, so there is no order in which two requests could wait for each other.

mod flight;
mod lead;
mod sync;
mod ticket;

use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;

use self::flight::Flight;
pub use self::flight::Landing;
pub use self::lead::Lead;
use self::sync::{Mutex, MutexGuard};
pub use self::ticket::Ticket;
use crate::cache::key::{PairKey, PairMap, QueryKey};
use crate::upstream::call::Waiter;

/// Queries are spread over this many tables, each with a lock of its own.
const SHARDS: usize = 32;

/// Every pair in flight. Cheap to clone; clones share the flights.
#[derive(Clone, Debug)]
pub struct Flights(Arc<Registry>);

#[derive(Debug)]
struct Registry {
    shards: [Mutex<Shard>; SHARDS],
    hasher: RandomState,
}

type Shard = HashMap<QueryKey, PairMap<Seat>>;

/// Where a pair is being scored.
#[derive(Clone, Debug)]
struct Seat {
    flight: Arc<Flight>,
    place: u32,
}

/// What a request wants scored, and by whom.
#[derive(Clone, Copy, Debug)]
pub struct Wish<'a> {
    /// The query of all the pairs.
    pub query: &'a QueryKey,
    /// The pairs, which must be distinct, each with the request's own number for it.
    pub pairs: &'a [(u32, PairKey)],
    /// Who will be asked for what nobody is scoring.
    pub upstream: &'a str,
    /// Whether pairs that another upstream is scoring are asked for all the same: it takes too long.
    pub insists: bool,
    /// How long, and how.
    pub waiter: Waiter,
}

impl Wish<'_> {
    fn takes(&self, flight: &Flight) -> bool {
        !self.insists || flight.upstream == self.upstream
    }
}

/// What a request got of the pairs that it claimed.
#[derive(Debug)]
pub struct Claim {
    /// The pairs that nobody was scoring: whoever holds this must see to them.
    pub lead: Option<Lead>,
    /// One for each flight that brings some of the pairs; the led one is first.
    pub tickets: Vec<Ticket>,
}

impl Default for Flights {
    fn default() -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self(Arc::new(Registry { shards, hasher: RandomState::new() }))
    }
}

impl Flights {
    /// Takes part in the scoring of pairs.
    #[must_use]
    pub fn claim(&self, wish: &Wish<'_>) -> Claim {
        if wish.pairs.is_empty() {
            return Claim { lead: None, tickets: Vec::new() };
        }
        let Wish { query, pairs, upstream, waiter, .. } = *wish;
        let flight = Arc::new(Flight::new(upstream, waiter));
        let (mut led, mut followed) = (Vec::new(), Vec::<Ticket>::new());
        let mut shard = self.shard(query);
        let seats = shard.entry(*query).or_default();
        for (label, pair) in pairs {
            if let Some(seat) = seats.get(pair).filter(|seat| wish.takes(&seat.flight) && seat.flight.join(seat.place))
            {
                let same = followed.iter_mut().rev().find(|ticket| ticket.is_for(&seat.flight));
                match same {
                    Some(ticket) => ticket.add(*label, seat.place),
                    None => followed.push(Ticket::of_follower(&seat.flight, waiter, (*label, seat.place))),
                }
                continue;
            }
            seats.insert(*pair, Seat { flight: flight.clone(), place: place_of(led.len()) });
            led.push((*label, *pair));
        }
        flight.open(led.len());
        drop(shard);
        if led.is_empty() {
            return Claim { lead: None, tickets: followed };
        }
        followed.insert(0, Ticket::of_leader(&flight, waiter, &led));
        Claim { lead: Some(Lead::new(self.clone(), *query, led, flight)), tickets: followed }
    }

    /// Pairs in flight.
    #[must_use]
    pub fn len(&self) -> usize {
        let pairs = |shard: &Mutex<Shard>| sync::lock(shard).values().map(PairMap::len).sum::<usize>();
        self.0.shards.iter().map(pairs).sum()
    }

    /// Whether nothing is in flight.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Nobody can join `places` of `flight` any more.
    fn close(&self, query: &QueryKey, flight: &Arc<Flight>, places: impl Iterator<Item = (u32, PairKey)>) {
        let mut shard = self.shard(query);
        let Some(seats) = shard.get_mut(query) else { return };
        for (place, pair) in places {
            // The seat may be another flight's by now: a pair that everybody gave up can be claimed again at once.
            if seats.get(&pair).is_some_and(|seat| seat.place == place && Arc::ptr_eq(&seat.flight, flight)) {
                seats.remove(&pair);
            }
        }
        if seats.is_empty() {
            shard.remove(query);
        }
    }

    fn shard(&self, query: &QueryKey) -> MutexGuard<'_, Shard> {
        let hash = self.0.hasher.hash_one(query);
        #[expect(clippy::cast_possible_truncation, reason = "any bits of a hash will do")]
        sync::lock(&self.0.shards[hash as usize % SHARDS])
    }
}

/// A place in a flight. The body limit keeps lists far below 2^32.
fn place_of(index: usize) -> u32 {
    u32::try_from(index).unwrap_or(u32::MAX)
}

#[cfg(all(test, feature = "shuttle"))]
mod model;
#[cfg(all(test, not(feature = "shuttle")))]
mod tests;
