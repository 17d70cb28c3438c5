//! One request's share in one flight.

use std::sync::Arc;

use tokio::sync::watch;
use tokio::time::Instant;

use super::flight::{Entry, Flight, Landing};
use crate::cache::key::PairKey;
use crate::error::Error;
use crate::rerank::response::Usage;
use crate::upstream::call::{Patience, Waiter};

/// Waits for some pairs of one flight. Dropping it gives up those that have not landed.
#[derive(Debug)]
pub struct Ticket {
    flight: Arc<Flight>,
    entries: Vec<Entry>,
    waiter: Waiter,
    news: watch::Receiver<()>,
    is_leaders: bool,
}

impl Ticket {
    /// For the request that opened the flight and is counted in it already: its pairs in the order of the places.
    pub(super) fn of_leader(flight: &Arc<Flight>, waiter: Waiter, led: &[(u32, PairKey)]) -> Self {
        let entries = (0..).zip(led).map(|(place, (label, _))| Entry { label: *label, place }).collect();
        Self { flight: flight.clone(), entries, waiter, news: flight.interest.listen(), is_leaders: true }
    }

    /// For a request that has joined one place.
    pub(super) fn of_follower(flight: &Arc<Flight>, waiter: Waiter, (label, place): (u32, u32)) -> Self {
        flight.interest.join(waiter);
        let entries = vec![Entry { label, place }];
        Self { flight: flight.clone(), entries, waiter, news: flight.interest.listen(), is_leaders: false }
    }

    /// One more place that was joined.
    pub(super) fn add(&mut self, label: u32, place: u32) {
        self.entries.push(Entry { label, place });
    }

    pub(super) fn is_for(&self, flight: &Arc<Flight>) -> bool {
        Arc::ptr_eq(&self.flight, flight)
    }

    /// Whether the pairs are scored for this request, rather than for one that came before it.
    #[must_use]
    pub const fn is_leaders(&self) -> bool {
        self.is_leaders
    }

    /// Who is asked for the pairs.
    #[must_use]
    pub fn upstream(&self) -> &str {
        &self.flight.upstream
    }

    /// The request has more time than it said.
    pub fn extend(&self, deadline: Instant) {
        self.flight.interest.extend(deadline);
    }

    /// The pairs that have not landed.
    pub fn waiting(&self) -> impl Iterator<Item = u32> {
        self.entries.iter().map(|entry| entry.label)
    }

    /// What the flight was charged since the last time this was asked. It belongs to the leader.
    #[must_use]
    pub fn take_charge(&self) -> Option<Usage> {
        if self.is_leaders { self.flight.take_charge() } else { None }
    }

    /// The pairs that landed by now, by their numbers.
    ///
    /// # Errors
    /// One of the pairs failed for good.
    pub fn landed(&mut self) -> Result<Vec<(u32, Landing)>, Arc<Error>> {
        self.flight.landed(&mut self.entries)
    }

    /// Waits until more pairs have landed. Empty when all have.
    ///
    /// # Errors
    /// One of the pairs failed for good; or an attempt failed and this request, which has somebody else to ask, does not wait for the next.
    pub async fn next(&mut self) -> Result<Vec<(u32, Landing)>, Arc<Error>> {
        loop {
            let landed = self.landed()?;
            if !landed.is_empty() || self.entries.is_empty() {
                return Ok(landed);
            }
            if let (Patience::Hurry, Some(setback)) = (self.waiter.patience, self.flight.interest.setback()) {
                return Err(Arc::new(setback));
            }
            if self.news.changed().await.is_err() {
                // The bell belongs to the flight, which this ticket keeps alive.
                std::future::pending::<()>().await;
            }
        }
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.flight.interest.leave(self.waiter);
        self.flight.leave(self.entries.iter().map(|entry| entry.place), self.waiter);
    }
}
