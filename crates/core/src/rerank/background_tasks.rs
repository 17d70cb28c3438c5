//! Background work: scores refreshed before they expire, and the rest of an answer that was cut short by its deadline.
//! It is bounded in number and in time, and it waits for a flight like any request.

use std::sync::Arc;

use futures_util::future::join_all;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout_at};

use crate::coalesce::Subscription;

/// Most background tasks at once, over all requests. A task that gets no permit is left out: a later request
/// refreshes the scores, or asks for the late ones again.
const MAX_BACKGROUND_TASKS: usize = 64;

/// The limit on background tasks. Clones share it.
#[derive(Clone, Debug)]
pub struct Background(Arc<Semaphore>);

/// A permit for one background task, given back when it is dropped.
#[derive(Debug)]
pub(super) struct BackgroundPermit(OwnedSemaphorePermit);

impl Default for Background {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(MAX_BACKGROUND_TASKS)))
    }
}

impl Background {
    /// Takes a permit; `None` if all are taken.
    pub(super) fn enter(&self) -> Option<BackgroundPermit> {
        let permit = self.0.clone().try_acquire_owned().ok()?;
        Some(BackgroundPermit(permit))
    }

    /// Number of tasks under way.
    #[must_use]
    pub fn len(&self) -> usize {
        MAX_BACKGROUND_TASKS - self.0.available_permits()
    }

    /// Returns true if no task is under way.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl BackgroundPermit {
    /// Holds each of `subscriptions` in a task of its own, and with them the permit, until its pairs have landed, its
    /// flight failed, or `deadline` is reached.
    pub(super) fn finish(self, subscriptions: Vec<Subscription>, deadline: Instant) {
        // The flights' calls must not be cut off at the deadline of the request that leaves.
        for subscription in &subscriptions {
            subscription.extend(deadline);
        }
        tokio::spawn(async move {
            let Self(_permit) = self;
            drop(timeout_at(deadline, join_all(subscriptions.into_iter().map(wait_for_all))).await);
        });
    }
}

/// Waits until all pairs have landed, or one has failed. Empty news is the last.
async fn wait_for_all(mut subscription: Subscription) {
    while subscription.next().await.is_ok_and(|news| !news.is_empty()) {}
}
