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
//! A flight is filled for whoever holds a ticket, not for the request that started it: a leader that leaves harms
//! nobody, every waiter keeps its own deadline, and what nobody waits for is cancelled, call by call. A failure is told
//! once to all who wait and is then forgotten: the next request starts anew. Whether a score may be kept is asked of
//! each pair by itself, too: `no-store` keeps nothing, so what such a request led is kept only where somebody who
//! allows it waits for the same pair when its score comes. Nothing waits for a lock: claiming is one short critical
//! section, in which a request never depends on another, so there is no order in which two requests could wait for each
//! other.

mod flight;
mod lead;
mod sync;
mod ticket;

use std::collections::HashMap;
use std::collections::hash_map::Entry;
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

type Shard = HashMap<QueryKey, PairMap<Seats>>;

/// Where a pair is being scored: in one flight, and in more only if somebody insisted on another upstream.
#[derive(Debug)]
struct Seats {
    first: Seat,
    others: Vec<Seat>,
}

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

impl Seats {
    /// Takes part in a flight that is alive: one of the upstream that is wished for, or any if the wish does not insist.
    fn join(&self, wish: &Wish<'_>) -> Option<&Seat> {
        let all = || std::iter::once(&self.first).chain(&self.others);
        let join = |seat: &&Seat| seat.flight.join(seat.place, wish.waiter);
        if self.others.is_empty() && !wish.insists {
            return Some(&self.first).filter(join);
        }
        let own = all().filter(|seat| seat.flight.upstream == wish.upstream).find(join);
        own.or_else(|| all().filter(|_| !wish.insists).find(join))
    }

    /// Forgets one seat. Whether none is left.
    fn leave(&mut self, flight: &Arc<Flight>, place: u32) -> bool {
        let is_it = |seat: &Seat| seat.place == place && Arc::ptr_eq(&seat.flight, flight);
        if !is_it(&self.first) {
            self.others.retain(|seat| !is_it(seat));
            return false;
        }
        let next = self.others.pop();
        let is_last = next.is_none();
        self.first = next.unwrap_or_else(|| self.first.clone());
        is_last
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
            let place = place_of(led.len());
            let entry = match seats.entry(*pair) {
                Entry::Occupied(entry) => entry.into_mut(),
                Entry::Vacant(entry) => {
                    entry.insert(Seats { first: Seat { flight: flight.clone(), place }, others: Vec::new() });
                    led.push((*label, *pair));
                    continue;
                }
            };
            if let Some(seat) = entry.join(wish) {
                let same = followed.iter_mut().rev().find(|ticket| ticket.is_for(&seat.flight));
                match same {
                    Some(ticket) => ticket.add(*label, seat.place),
                    None => followed.push(Ticket::of_follower(&seat.flight, waiter, (*label, seat.place))),
                }
                continue;
            }
            entry.others.push(Seat { flight: flight.clone(), place });
            led.push((*label, *pair));
        }
        flight.open(led.len(), waiter);
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

    /// For each of `places`, whether somebody who waits for it allows its score to be kept. A claim is found as a whole
    /// or not at all: half a list is of no use to a listwise model.
    fn may_store(&self, query: &QueryKey, flight: &Flight, places: &[u32]) -> Vec<bool> {
        let _shard = self.shard(query);
        flight.may_store(places)
    }

    /// Nobody can join `places` of `flight` any more, from the moment on at which `settle` is called: a claim finds all of them as they were
    /// or none of them. Half a list is of no use to a listwise model.
    fn close(
        &self,
        query: &QueryKey,
        flight: &Arc<Flight>,
        places: impl Iterator<Item = (u32, PairKey)>,
        settle: impl FnOnce(),
    ) {
        let mut shard = self.shard(query);
        settle();
        let Some(seats) = shard.get_mut(query) else { return };
        for (place, pair) in places {
            let Entry::Occupied(mut entry) = seats.entry(pair) else { continue };
            if entry.get_mut().leave(flight, place) {
                entry.remove();
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
