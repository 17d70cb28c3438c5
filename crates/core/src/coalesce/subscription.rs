//! One request's share in one flight.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::flight::{AwaitedPair, Flight, PairOutcome};
use crate::error::Error;
use crate::types::index::SlotIndex;
use crate::types::model_version::ModelVersion;
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
    /// The subscription of the request that opened the flight, for the pairs that it leads, in the order of their
    /// places. [`Flight::new`] has counted this request already.
    pub(super) fn of_leader(flight: &Arc<Flight>, waiter: Waiter, led: &[SlotIndex]) -> Self {
        let awaited = flight.keys.indices().zip(led).map(|(place, slot)| AwaitedPair { slot: *slot, place }).collect();
        Self { flight: flight.clone(), awaited, waiter, changes: flight.waiters.changes(), is_leaders: true }
    }

    /// The subscription of a request that joins `pairs`, which are pending, in another request's flight.
    pub(super) fn of_follower(flight: &Arc<Flight>, waiter: Waiter, pairs: Vec<AwaitedPair>) -> Self {
        flight.waiters.join(waiter);
        flight.join(&pairs, waiter);
        let changes = flight.waiters.changes();
        Self { flight: flight.clone(), awaited: pairs, waiter, changes, is_leaders: false }
    }

    /// Returns true if this is a subscription to `flight`.
    #[cfg(test)]
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

    /// Version of the model that the scores are of; `None` if it is the one of the claim's keys. Told before the first
    /// score is.
    #[must_use]
    pub fn other_version(&self) -> Option<ModelVersion> {
        self.flight.other_version.get().copied()
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

impl Drop for Subscription {
    fn drop(&mut self) {
        // Waiters first: leaving the flight may wake its task, which must not count this request any more.
        self.flight.waiters.leave(self.waiter);
        if self.is_leaders {
            self.flight.leave_as_leader(&self.awaited);
        } else {
            self.flight.leave(&self.awaited, self.waiter);
        }
    }
}
