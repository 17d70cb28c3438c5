//! Work that goes on when nobody waits for it: scores computed afresh before they are too old, and the rest of an answer that was cut short by
//! its deadline. It is bounded in number and in time, and it holds a place in a flight like any request.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::coalesce::Ticket;

/// Most pieces of such work at once.
const MAX_BACKGROUND_TASKS: usize = 64;

/// Room for work in the background. Clones share it.
#[derive(Clone, Debug)]
pub struct Background(Arc<Semaphore>);

/// Leave to do one piece of work.
#[derive(Debug)]
pub(super) struct BackgroundPermit(OwnedSemaphorePermit);

impl Default for Background {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_BACKGROUND_TASKS)))
    }
}

impl Background {
    /// Asks for leave; `None` if too much is going on already.
    pub(super) fn enter(&self) -> Option<BackgroundPermit> {
        self.0.clone().try_acquire_owned().ok().map(BackgroundPermit)
    }

    /// Pieces of work under way.
    #[must_use]
    pub fn len(&self) -> usize {
        MAX_BACKGROUND_TASKS - self.0.available_permits()
    }

    /// Whether nothing is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl BackgroundPermit {
    /// Keeps `tickets` until everything has landed, something failed, or `deadline` is there.
    pub(super) fn finish(self, tickets: Vec<Ticket>, deadline: Instant) {
        for ticket in &tickets {
            ticket.extend(deadline);
        }
        let wait = async |mut ticket: Ticket| while ticket.next().await.is_ok_and(|news| !news.is_empty()) {};
        tokio::spawn(async move {
            let Self(_permit) = self;
            drop(timeout_at(deadline, join_all(tickets.into_iter().map(wait))).await);
        });
    }
}
