//! The waiters of one upstream call.
//!
//! Several requests can wait for one call, and more can join while it is in flight. Together they decide how long the
//! call may run: until the last deadline. They also decide if it may back off between attempts: it may if one of them
//! has no other target. The choice to store scores belongs to each pair, not to the call; see [`crate::coalesce`].

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::cache::key::CacheScope;
use crate::error::Error;

/// One request that waits for a call.
#[derive(Clone, Copy, Debug)]
pub struct Waiter {
    /// Time after which the reply is useless to the request.
    pub deadline: Instant,
    /// Choice between backoff and failing fast.
    pub retry_mode: RetryMode,
    /// Permission to store the scores.
    pub store: bool,
    /// Owner of the request. Waiters of one call share a scope.
    pub scope: CacheScope,
}

/// The reaction to a failed attempt.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RetryMode {
    /// Back off and try again: no other target can answer.
    Wait,
    /// Fail fast, after at most one immediate retry: another target is ready.
    FailFast,
}

/// All waiters of a call, and the failures that it is retrying.
#[derive(Debug)]
pub struct Waiters {
    scope: CacheScope,
    state: Mutex<WaiterState>,
    /// Tells receivers to read the state again. Never sent under the lock of `state`, which they take.
    changed: watch::Sender<()>,
}

#[derive(Debug)]
struct WaiterState {
    /// Latest deadline of all waiters, past and present.
    deadline: Instant,
    /// Waiters with [`RetryMode::Wait`].
    patient: usize,
    /// Failures that are being retried, each with the number of its [`RetryNotice`]; the oldest first.
    retried: Vec<(u64, Error)>,
    /// Number of the next retry notice.
    next_number: u64,
}

impl Waiters {
    /// The waiters of a call that has one so far.
    #[must_use]
    pub fn of(waiter: Waiter) -> Self {
        let state = WaiterState { deadline: waiter.deadline, patient: 0, retried: Vec::new(), next_number: 0 };
        let waiters = Self { scope: waiter.scope, state: Mutex::new(state), changed: watch::Sender::new(()) };
        waiters.join(waiter);
        waiters
    }

    /// The scope that all waiters share.
    #[must_use]
    pub const fn scope(&self) -> CacheScope {
        self.scope
    }

    /// Adds a waiter.
    pub fn join(&self, waiter: Waiter) {
        let mut state = self.state.lock();
        state.deadline = state.deadline.max(waiter.deadline);
        state.patient += usize::from(waiter.retry_mode == RetryMode::Wait);
    }

    /// Moves the deadline to `deadline`, if that is later.
    pub fn extend(&self, deadline: Instant) {
        let mut state = self.state.lock();
        state.deadline = state.deadline.max(deadline);
    }

    /// Removes a waiter. Its deadline stays: a call without waiters is cancelled anyway.
    pub fn leave(&self, waiter: Waiter) {
        let mut state = self.state.lock();
        state.patient -= usize::from(waiter.retry_mode == RetryMode::Wait);
    }

    /// Latest deadline of the waiters.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.state.lock().deadline
    }

    /// [`RetryMode::Wait`] if at least one waiter has it.
    #[must_use]
    pub fn retry_mode(&self) -> RetryMode {
        if self.state.lock().patient > 0 { RetryMode::Wait } else { RetryMode::FailFast }
    }

    /// Announces that an attempt failed and that the next one starts later, so that waiters in a hurry can go
    /// elsewhere. It holds until the returned notice is dropped.
    #[must_use]
    pub fn notify_retry(self: &Arc<Self>, error: Error) -> RetryNotice {
        let number = {
            let mut state = self.state.lock();
            let number = state.next_number;
            state.next_number += 1;
            state.retried.push((number, error));
            number
        };
        // After the lock is released: a woken waiter reads the state.
        self.notify();
        RetryNotice { waiters: self.clone(), number }
    }

    /// The oldest failure that is being retried.
    #[must_use]
    pub fn retry_notice(&self) -> Option<Error> {
        self.state.lock().retried.first().map(|(_, error)| error.clone())
    }

    /// Notifies all receivers of [`Waiters::changes`] of a change.
    pub fn notify(&self) {
        self.changed.send_replace(());
    }

    /// A receiver of every change from now on.
    #[must_use]
    pub fn changes(&self) -> watch::Receiver<()> {
        self.changed.subscribe()
    }
}

/// The announcement of a failure that is retried. Dropped when the next attempt starts.
#[derive(Debug)]
pub struct RetryNotice {
    waiters: Arc<Waiters>,
    number: u64,
}

impl Drop for RetryNotice {
    fn drop(&mut self) {
        self.waiters.state.lock().retried.retain(|(number, _)| *number != self.number);
    }
}
