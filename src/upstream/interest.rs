//! For whom a call is made.
//!
//! Several requests can wait for one call, and more can come while it is under way. What the call may still do depends
//! on all of them: it may go on until the last deadline, and it may wait between attempts if somebody has nobody else
//! to ask. Whether scores are kept is no question of the call but of each of its pairs: see [`crate::coalesce`].

use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::cache::key::CacheScope;
use crate::error::Error;

/// What one request expects of a call.
#[derive(Clone, Copy, Debug)]
pub struct Waiter {
    /// When the answer is of no use to it any more.
    pub deadline: Instant,
    /// Whether it can be kept waiting between attempts.
    pub patience: Patience,
    /// Whether it allows the scores to be kept.
    pub store: bool,
    /// Whose request it is. Only those who share scores wait for the same call.
    pub scope: CacheScope,
}

/// Whether a failed attempt may be waited out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Patience {
    /// Nobody else can answer: back off and try again.
    Wait,
    /// Another target stands ready: one more try at once, or none.
    Hurry,
}

/// All who wait for a call.
#[derive(Debug)]
pub struct Interest {
    scope: CacheScope,
    terms: Mutex<Terms>,
    bell: watch::Sender<()>,
}

#[derive(Debug)]
struct Terms {
    deadline: Instant,
    patient: usize,
    /// What calls are getting over, by number.
    setbacks: Vec<(u64, Error)>,
    next_setback: u64,
}

impl Interest {
    /// The interest of one waiter.
    #[must_use]
    pub fn of(waiter: Waiter) -> Self {
        let terms = Terms { deadline: waiter.deadline, patient: 0, setbacks: Vec::new(), next_setback: 0 };
        let interest = Self { scope: waiter.scope, terms: Mutex::new(terms), bell: watch::Sender::new(()) };
        interest.join(waiter);
        interest
    }

    /// Whose call it is.
    #[must_use]
    pub const fn scope(&self) -> CacheScope {
        self.scope
    }

    /// One more waits.
    pub fn join(&self, waiter: Waiter) {
        let mut terms = self.terms.lock();
        terms.deadline = terms.deadline.max(waiter.deadline);
        terms.patient += usize::from(waiter.patience == Patience::Wait);
    }

    /// Somebody who waits has more time than it said.
    pub fn extend(&self, deadline: Instant) {
        let mut terms = self.terms.lock();
        terms.deadline = terms.deadline.max(deadline);
    }

    /// One waits no more. Its deadline stays: what nobody waits for is cancelled anyway.
    pub fn leave(&self, waiter: Waiter) {
        let mut terms = self.terms.lock();
        terms.patient -= usize::from(waiter.patience == Patience::Wait);
    }

    /// When the answer is of no use to anybody any more.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        self.terms.lock().deadline
    }

    /// Whether somebody can be kept waiting.
    #[must_use]
    pub fn patience(&self) -> Patience {
        if self.terms.lock().patient > 0 { Patience::Wait } else { Patience::Hurry }
    }

    /// An attempt failed and the next will be some time in coming: those who are in a hurry need not wait for it. It is got over when the
    /// setback is dropped.
    #[must_use]
    pub fn set_back(self: &Arc<Self>, error: Error) -> Setback {
        let number = {
            let mut terms = self.terms.lock();
            let number = terms.next_setback;
            terms.next_setback += 1;
            terms.setbacks.push((number, error));
            number
        };
        self.ring();
        Setback { interest: self.clone(), number }
    }

    /// A failure that a call is getting over.
    #[must_use]
    pub fn setback(&self) -> Option<Error> {
        self.terms.lock().setbacks.first().map(|(_, error)| error.clone())
    }

    /// Tells all who listen that something changed.
    pub fn ring(&self) {
        self.bell.send_replace(());
    }

    /// Hears every ring from now on.
    #[must_use]
    pub fn listen(&self) -> watch::Receiver<()> {
        self.bell.subscribe()
    }
}

/// A failure that a call is getting over.
#[derive(Debug)]
pub struct Setback {
    interest: Arc<Interest>,
    number: u64,
}

impl Drop for Setback {
    fn drop(&mut self) {
        self.interest.terms.lock().setbacks.retain(|(number, _)| *number != self.number);
    }
}
