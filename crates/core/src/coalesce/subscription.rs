//! One request's share in one flight.

use std::collections::HashMap;
use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::flight::{AwaitedPair, Flight, PairOutcome};
use crate::error::Error;
use crate::types::index::{FlightIndex, IndexVec, SlotIndex};
use crate::types::response::Usage;
use crate::upstream::call::{RetryMode, Waiter};

/// A subscription to some pairs of one flight. Dropping it stops waiting for those that have not landed.
#[derive(Debug)]
pub struct Subscription {
    flight: Arc<Flight>,
    /// The pairs that have not landed.
    awaited: Vec<AwaitedPair>,
    /// The request that waits, counted in the flight's waiters until this is dropped.
    waiter: Waiter,
    /// Marked at every change of the flight. Subscribed before the first look at the pairs, so that none is missed.
    changes: watch::Receiver<()>,
    is_leaders: bool,
}

impl Subscription {
    /// The subscription of the request that opened the flight, for the pairs that it leads. [`Flight::new`] and
    /// [`Flight::open`] have counted this request already.
    pub(super) fn of_leader(flight: &Arc<Flight>, waiter: Waiter, led: &IndexVec<FlightIndex, SlotIndex>) -> Self {
        let awaited = led.enumerate().map(|(place, slot)| AwaitedPair { slot: *slot, place }).collect();
        Self { flight: flight.clone(), awaited, waiter, changes: flight.waiters.changes(), is_leaders: true }
    }

    /// The subscription of a request that has joined `pair` of another request's flight.
    fn of_follower(flight: &Arc<Flight>, waiter: Waiter, pair: AwaitedPair) -> Self {
        flight.waiters.join(waiter);
        let changes = flight.waiters.changes();
        Self { flight: flight.clone(), awaited: vec![pair], waiter, changes, is_leaders: false }
    }

    /// Adds a pair that the request has joined, by [`Flight::join`].
    fn add(&mut self, pair: AwaitedPair) {
        self.awaited.push(pair);
    }

    /// Returns true if this is a subscription to `flight`.
    pub(super) fn is_for(&self, flight: &Arc<Flight>) -> bool {
        Arc::ptr_eq(&self.flight, flight)
    }

    /// Returns true if this request opened the flight, false if it joined one that was under way.
    #[must_use]
    pub const fn is_leaders(&self) -> bool {
        self.is_leaders
    }

    /// Configured name of the upstream that is asked.
    #[must_use]
    pub fn upstream(&self) -> &str {
        &self.flight.upstream
    }

    /// Postpones the flight's deadline to `deadline`, if that is later.
    pub fn extend(&self, deadline: Instant) {
        self.flight.waiters.extend(deadline);
    }

    /// Slots of the pairs that have not landed.
    pub fn waiting(&self) -> impl Iterator<Item = SlotIndex> {
        self.awaited.iter().map(|pair| pair.slot)
    }

    /// The cost of the flight since the last call of this function. Only the leader is charged; others get `None`.
    #[must_use]
    pub fn take_charge(&self) -> Option<Usage> {
        if self.is_leaders { self.flight.take_charge() } else { None }
    }

    /// The pairs that have landed since the last call, by slot.
    ///
    /// # Errors
    /// The error of a pair that failed for good, once no scores are left to deliver.
    pub fn landed(&mut self) -> Result<Vec<(SlotIndex, PairOutcome)>, Arc<Error>> {
        self.flight.landed(&mut self.awaited)
    }

    /// Waits until more pairs have landed. Empty if all have.
    ///
    /// # Errors
    /// The error of a pair that failed for good. A request with another target to ask ([`RetryMode::FailFast`]) also
    /// gets the error of an attempt that is to be repeated.
    pub async fn next(&mut self) -> Result<Vec<(SlotIndex, PairOutcome)>, Arc<Error>> {
        loop {
            let landed = self.landed()?;
            if !landed.is_empty() || self.awaited.is_empty() {
                return Ok(landed);
            }
            if self.waiter.retry_mode == RetryMode::FailFast
                && let Some(retry_notice) = self.flight.waiters.retry_notice()
            {
                return Err(Arc::new(retry_notice));
            }
            if self.changes.changed().await.is_err() {
                // Unreachable: this subscription keeps the flight alive, and the flight owns the sender.
                std::future::pending::<()>().await;
            }
        }
    }
}

/// The subscriptions of one claim to flights that were under way, one for each flight.
#[derive(Default)]
pub(super) struct Followed {
    pub(super) subscriptions: Vec<Subscription>,
    /// Indices of all subscriptions but the newest, by the address of the flight.
    older: HashMap<*const Flight, usize>,
}

impl Followed {
    /// Adds `pair`, which the request has joined, to its subscription to `flight`.
    pub(super) fn add(&mut self, flight: &Arc<Flight>, waiter: Waiter, pair: AwaitedPair) {
        // Neighbours in a request mostly share a flight, so the newest subscription is the likeliest to be the right
        // one. A request that follows one flight makes no table of them.
        if let Some(newest) = self.subscriptions.last_mut() {
            if newest.is_for(flight) {
                newest.add(pair);
                return;
            }
            if let Some(index) = self.older.get(&Arc::as_ptr(flight)) {
                self.subscriptions[*index].add(pair);
                return;
            }
            self.older.insert(Arc::as_ptr(&newest.flight), self.subscriptions.len() - 1);
        }
        self.subscriptions.push(Subscription::of_follower(flight, waiter, pair));
    }
}

impl Drop for Subscription {
    fn drop(&mut self) {
        // Waiters first: leaving the flight may wake its task, which must not count this request any more.
        self.flight.waiters.leave(self.waiter);
        self.flight.leave(self.awaited.iter().map(|pair| pair.place), self.waiter);
    }
}
