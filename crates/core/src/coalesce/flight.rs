//! The pairs that one task scores, with the outcome of each.

use std::sync::Arc;

use super::sync::{Mutex, MutexGuard, lock};
use crate::error::Error;
use crate::types::index::{FlightIndex, IndexVec, SlotIndex};
use crate::types::response::Usage;
use crate::upstream::call::{Waiter, Waiters};

/// One flight. A pair's place is its index in the flight.
#[derive(Debug)]
pub(super) struct Flight {
    /// Locked after the shard of [`super::Flights`] where both are held, never before it.
    state: Mutex<FlightState>,
    /// Configured name of the upstream that scores the pairs.
    pub(super) upstream: String,
    /// The requests that wait for any pair of the flight. It notifies them of every change.
    pub(super) waiters: Arc<Waiters>,
}

/// The part of a flight that changes.
#[derive(Debug, Default)]
struct FlightState {
    /// Empty until [`Flight::open`], of one length from then on.
    pairs: IndexVec<FlightIndex, PairState>,
    /// Cost that the leader has not collected yet.
    charged: Option<Usage>,
}

#[derive(Clone, Debug)]
struct PairState {
    /// Number of subscriptions that joined this pair and have not left it. One that takes the pair's outcome does not
    /// leave it any more, so an answered pair never counts as abandoned.
    waiting: u32,
    /// Number of those subscriptions whose requests allow the score to be stored.
    storing: u32,
    progress: PairProgress,
}

/// The answer for a pair, as every waiting request receives it.
#[derive(Clone, Debug)]
pub enum PairOutcome {
    /// The score that the upstream gave.
    Scored(f64),
    /// The score that the cache already held when the flight began.
    Known(f64),
    /// The error of a passage that the upstream refuses, though it scores others of the same flight.
    Refused(Arc<Error>),
}

/// A pair that a subscription waits for.
#[derive(Clone, Copy, Debug)]
pub(super) struct AwaitedPair {
    /// The pair in the plan of the request that waits.
    pub(super) slot: SlotIndex,
    /// The same pair in the flight.
    pub(super) place: FlightIndex,
}

/// The progress of a pair.
#[derive(Clone, Debug)]
pub(super) enum PairProgress {
    /// Not scored yet.
    Pending,
    /// Abandoned with its whole call, because no request waited for any pair of that call.
    GivenUp,
    /// Answered: the pair was scored or refused.
    Landed(PairOutcome),
    /// Failed for good, with its call.
    Failed(Arc<Error>),
}

impl Flight {
    /// An empty flight to `upstream`, with one waiting request.
    pub(super) fn new(upstream: &str, waiter: Waiter) -> Self {
        Self { state: Mutex::default(), upstream: upstream.to_owned(), waiters: Arc::new(Waiters::of(waiter)) }
    }

    /// Sets the flight's `count` pairs, each with the leader waiting for it. Called once.
    pub(super) fn open(&self, count: usize, leader: Waiter) {
        let pair = PairState { waiting: 1, storing: u32::from(leader.store), progress: PairProgress::Pending };
        self.state().pairs = vec![pair; count].into();
    }

    /// Adds a waiting request to `place`. Returns false, and adds nothing, if the pair was given up or has failed.
    pub(super) fn join(&self, place: FlightIndex, waiter: Waiter) -> bool {
        let mut state = self.state();
        // Missing only before the flight is open, within the claim that makes it: a pair that was claimed twice.
        let Some(pair) = state.pairs.get_mut(place) else { return false };
        let alive = !matches!(pair.progress, PairProgress::GivenUp | PairProgress::Failed(_));
        pair.waiting += u32::from(alive);
        pair.storing += u32::from(alive && waiter.store);
        alive
    }

    /// Removes a waiting request from `places`, each of which it joined and has not left. The flight's task decides
    /// whether to cancel their calls.
    pub(super) fn leave(&self, places: impl Iterator<Item = FlightIndex>, waiter: Waiter) {
        let mut state = self.state();
        let mut abandoned = false;
        for place in places {
            let pair = &mut state.pairs[place];
            pair.waiting -= 1;
            pair.storing -= u32::from(waiter.store);
            abandoned |= pair.waiting == 0;
        }
        // Unlocked first, so that the task that this wakes does not run into the lock.
        drop(state);
        if abandoned {
            self.waiters.notify();
        }
    }

    /// Records the outcomes of pairs. A pair that has an outcome keeps it.
    pub(super) fn settle(&self, outcomes: impl Iterator<Item = (FlightIndex, PairProgress)>) {
        let mut state = self.state();
        for (place, outcome) in outcomes {
            let pair = &mut state.pairs[place];
            if matches!(pair.progress, PairProgress::Pending) {
                pair.progress = outcome;
            }
        }
    }

    /// Moves the answered pairs out of `awaited` and returns them by their slots.
    ///
    /// # Errors
    /// The error of a pair that failed, if no pair was answered.
    pub(super) fn landed(&self, awaited: &mut Vec<AwaitedPair>) -> Result<Vec<(SlotIndex, PairOutcome)>, Arc<Error>> {
        let state = self.state();
        let mut landed = Vec::new();
        let mut failure = None;
        awaited.retain(|pair| match &state.pairs[pair.place].progress {
            PairProgress::Pending | PairProgress::GivenUp => true,
            PairProgress::Failed(error) => {
                failure = Some(error.clone());
                true
            }
            PairProgress::Landed(landing) => {
                landed.push((pair.slot, landing.clone()));
                false
            }
        });
        match failure {
            Some(error) if landed.is_empty() => Err(error),
            // Scores that were paid for come before the failure. Its pairs stay in `awaited`, so the next call
            // reports it.
            _ => Ok(landed),
        }
    }

    /// Gives up `places` if no request waits for any of them; no request can join them afterwards.
    /// Returns true if they were given up.
    pub(super) fn give_up(&self, places: &[FlightIndex]) -> bool {
        let mut state = self.state();
        let abandoned = places.iter().all(|place| state.pairs[*place].waiting == 0);
        if abandoned {
            for place in places {
                state.pairs[*place].progress = PairProgress::GivenUp;
            }
        }
        abandoned
    }

    /// For each of `places`, true if a request that waits for it allows its score to be stored.
    pub(super) fn may_store(&self, places: &[FlightIndex]) -> Vec<bool> {
        let state = self.state();
        places.iter().map(|place| state.pairs[*place].storing > 0).collect()
    }

    /// Places without an outcome, in ascending order.
    pub(super) fn pending(&self) -> Vec<FlightIndex> {
        let state = self.state();
        let mut pending = Vec::new();
        for (place, pair) in state.pairs.enumerate() {
            if matches!(pair.progress, PairProgress::Pending) {
                pending.push(place);
            }
        }
        pending
    }

    /// Adds `usage` to the cost of the flight.
    pub(super) fn charge(&self, usage: Usage) {
        let mut state = self.state();
        // A sum with an unknown part is unknown, so the first charge must not be added to a default.
        state.charged = match state.charged {
            Some(charged) => Some(charged.plus(usage)),
            None => Some(usage),
        };
    }

    /// Takes the cost charged since the last call of this function.
    pub(super) fn take_charge(&self) -> Option<Usage> {
        self.state().charged.take()
    }

    fn state(&self) -> MutexGuard<'_, FlightState> {
        lock(&self.state)
    }
}
