//! The pairs that one task scores, with the outcome of each.

use std::sync::{Arc, OnceLock};

use super::sync::{Mutex, MutexGuard, lock};
use crate::cache::key::PairKey;
use crate::error::Error;
use crate::types::index::{FlightIndex, IndexVec, SlotIndex};
use crate::types::model_version::ModelVersion;
use crate::types::response::Usage;
use crate::upstream::call::{Waiter, Waiters};

/// One flight. A pair's place is its index in the flight.
#[derive(Debug)]
pub(super) struct Flight {
    /// Locked after the shard of [`super::Flights`] where both are held, never before it. Pairs are joined, settled and
    /// given up under both.
    state: Mutex<FlightState>,
    /// Number among the flights of its query. Another flight may get it once this one is done.
    pub(super) number: usize,
    /// Configured name of the upstream that scores the pairs.
    pub(super) upstream: String,
    /// The keys of the pairs.
    pub(super) keys: IndexVec<FlightIndex, PairKey>,
    /// The requests that wait for any pair of the flight. It notifies them of every change.
    pub(super) waiters: Arc<Waiters>,
    /// Version of the model that all of its scores are of; empty if it is the one of the keys.
    pub(super) other_version: OnceLock<ModelVersion>,
}

/// The part of a flight that changes.
#[derive(Debug)]
struct FlightState {
    progress: IndexVec<FlightIndex, PairProgress>,
    /// Number of pairs that are pending.
    pending: usize,
    /// The request that opened the flight, until it leaves. It waits for every pair.
    leader: Option<Waiter>,
    /// The requests that joined, pair by pair; `None` until the first one joins.
    followers: Option<IndexVec<FlightIndex, Followers>>,
    /// Cost that the leader has not collected yet.
    charged: Option<Usage>,
}

/// The requests that joined one pair.
#[derive(Clone, Copy, Debug, Default)]
struct Followers {
    /// Number of subscriptions that joined the pair and have not left it. One that takes the pair's outcome does not
    /// leave it any more, so an answered pair never counts as abandoned.
    waiting: u32,
    /// Number of those subscriptions whose requests allow the score to be stored.
    storing: u32,
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
    /// The pair was scored by another version of the model than pairs of the same flight before it. The score is in the
    /// cache if it may be stored, and must not be used beside the others.
    OtherVersion,
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
    /// A flight of the pairs `keys` to `upstream`. `leader` waits for all of them.
    pub(super) fn new(number: usize, upstream: &str, keys: IndexVec<FlightIndex, PairKey>, leader: Waiter) -> Self {
        let pending = keys.len();
        let progress = vec![PairProgress::Pending; pending].into();
        let state = FlightState { progress, pending, leader: Some(leader), followers: None, charged: None };
        Self {
            state: Mutex::new(state),
            number,
            upstream: upstream.to_owned(),
            keys,
            waiters: Arc::new(Waiters::of(leader)),
            other_version: OnceLock::new(),
        }
    }

    /// Adds a waiting request to `pairs`, which must be pending.
    pub(super) fn join(&self, pairs: &[AwaitedPair], waiter: Waiter) {
        let mut state = self.state();
        let count = self.keys.len();
        let followers = state.followers.get_or_insert_with(|| vec![Followers::default(); count].into());
        for pair in pairs {
            let joined = &mut followers[pair.place];
            joined.waiting += 1;
            joined.storing += u32::from(waiter.store);
        }
    }

    /// Removes the request that opened the flight, while it waits for `pairs`. The flight's task decides whether to
    /// cancel their calls.
    pub(super) fn leave_as_leader(&self, pairs: &[AwaitedPair]) {
        let mut state = self.state();
        state.leader = None;
        self.notify_of_abandoned(state, pairs);
    }

    /// Removes a waiting request from `pairs`, each of which it joined and has not left. The flight's task decides
    /// whether to cancel their calls.
    pub(super) fn leave(&self, pairs: &[AwaitedPair], waiter: Waiter) {
        let mut state = self.state();
        if let Some(followers) = &mut state.followers {
            for pair in pairs {
                let left = &mut followers[pair.place];
                left.waiting -= 1;
                left.storing -= u32::from(waiter.store);
            }
        }
        self.notify_of_abandoned(state, pairs);
    }

    /// Notifies the flight's task if no request waits for one of `pairs` any more.
    fn notify_of_abandoned(&self, state: MutexGuard<'_, FlightState>, pairs: &[AwaitedPair]) {
        let is_abandoned = pairs.iter().any(|pair| !state.is_awaited(pair.place));
        // Unlocked first, so that the task that this wakes does not run into the lock.
        drop(state);
        if is_abandoned {
            self.waiters.notify();
        }
    }

    /// Records the outcomes of pairs. A pair that has an outcome keeps it.
    pub(super) fn settle(&self, outcomes: impl Iterator<Item = (FlightIndex, PairProgress)>) {
        let state = &mut *self.state();
        for (place, outcome) in outcomes {
            let progress = &mut state.progress[place];
            if matches!(progress, PairProgress::Pending) {
                *progress = outcome;
                state.pending -= 1;
            }
        }
    }

    /// Moves the answered pairs out of `awaited` and returns them by their slots.
    ///
    /// # Errors
    /// The error of a pair that failed, if no pair was answered.
    pub(super) fn landed(&self, awaited: &mut Vec<AwaitedPair>) -> Result<Vec<(SlotIndex, PairOutcome)>, Arc<Error>> {
        let state = self.state();
        let settled = state.progress.len() - state.pending;
        // Not only the bound of the capacity: while nothing is settled, no pair needs to be looked at.
        if settled == 0 {
            return Ok(Vec::new());
        }
        let mut landed = Vec::with_capacity(settled.min(awaited.len()));
        let mut failure = None;
        let mut kept = 0;
        for at in 0..awaited.len() {
            let pair = awaited[at];
            match &state.progress[pair.place] {
                PairProgress::Landed(landing) => {
                    landed.push((pair.slot, landing.clone()));
                    continue;
                }
                PairProgress::Failed(error) => failure = Some(error),
                PairProgress::Pending | PairProgress::GivenUp => {}
            }
            awaited[kept] = pair;
            kept += 1;
        }
        awaited.truncate(kept);
        match failure {
            Some(error) if landed.is_empty() => Err(error.clone()),
            // Scores that were paid for come before the failure. Its pairs stay in `awaited`, so the next call
            // reports it.
            _ => Ok(landed),
        }
    }

    /// Returns true if no request waits for any of `places`.
    pub(super) fn is_abandoned(&self, places: &[FlightIndex]) -> bool {
        let state = self.state();
        !places.iter().any(|place| state.is_awaited(*place))
    }

    /// Those of the `scores` of `places` that a request which waits for the pair allows to be stored, by key. One claim
    /// joins all of its pairs or none: half a list is of no use to a listwise model.
    pub(super) fn storable(&self, places: &[FlightIndex], scores: &[f64]) -> Vec<(PairKey, f64)> {
        let mut storable = Vec::with_capacity(places.len());
        let state = self.state();
        for (place, score) in places.iter().zip(scores) {
            if state.may_store(*place) {
                storable.push((self.keys[*place], *score));
            }
        }
        storable
    }

    /// The same under other `keys`, one for each of `places`.
    pub(super) fn storable_as(&self, keys: &[PairKey], places: &[FlightIndex], scores: &[f64]) -> Vec<(PairKey, f64)> {
        let mut storable = Vec::with_capacity(places.len());
        let state = self.state();
        for ((place, key), score) in places.iter().zip(keys).zip(scores) {
            if state.may_store(*place) {
                storable.push((*key, *score));
            }
        }
        storable
    }

    /// Places without an outcome, in ascending order.
    pub(super) fn pending(&self) -> Vec<FlightIndex> {
        let state = self.state();
        let mut pending = Vec::with_capacity(state.pending);
        for (place, progress) in state.progress.enumerate() {
            if matches!(progress, PairProgress::Pending) {
                pending.push(place);
            }
        }
        pending
    }

    /// Number of places without an outcome.
    pub(super) fn pending_count(&self) -> usize {
        self.state().pending
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

impl FlightState {
    /// Returns true if a request waits for `place`.
    fn is_awaited(&self, place: FlightIndex) -> bool {
        self.leader.is_some() || self.followers_of(place).waiting > 0
    }

    /// Returns true if a request that waits for `place` allows its score to be stored.
    fn may_store(&self, place: FlightIndex) -> bool {
        self.leader.is_some_and(|leader| leader.store) || self.followers_of(place).storing > 0
    }

    fn followers_of(&self, place: FlightIndex) -> Followers {
        match &self.followers {
            Some(followers) => followers[place],
            None => Followers::default(),
        }
    }
}
