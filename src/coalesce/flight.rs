//! Pairs that one task scores, and the board on which it says what became of them.

use std::sync::Arc;

use super::sync::{Mutex, MutexGuard, lock};
use crate::error::Error;
use crate::rerank::response::Usage;
use crate::upstream::call::{Interest, Waiter};

/// One flight. Places are its pairs, in the order in which they were claimed.
#[derive(Debug)]
pub(super) struct Flight {
    board: Mutex<Board>,
    /// Who is asked.
    pub(super) upstream: String,
    /// For whom it is made; rings whenever something changes.
    pub(super) interest: Arc<Interest>,
}

#[derive(Debug, Default)]
struct Board {
    places: Vec<Place>,
    charged: Option<Usage>,
}

#[derive(Clone, Debug)]
struct Place {
    /// Tickets that hold this place.
    waiting: u32,
    /// Those of them whose requests allow the score to be kept.
    storing: u32,
    outcome: Outcome,
}

/// What came of a pair that was waited for.
#[derive(Clone, Debug)]
pub enum Landing {
    /// Its score.
    Scored(f64),
    /// Its score, which was found to be known when the flight began.
    Known(f64),
    /// Why the upstream scores other passages but not this one.
    Refused(Arc<Error>),
}

/// A pair of the request, and where it is being scored.
#[derive(Clone, Copy, Debug)]
pub(super) struct Entry {
    /// The request's own number for it.
    pub(super) label: u32,
    /// Place in the flight.
    pub(super) place: u32,
}

/// What became of a pair.
#[derive(Clone, Debug)]
pub(super) enum Outcome {
    /// Nothing yet.
    Pending,
    /// Nobody waited for any pair of its call, so the call was given up.
    GivenUp,
    /// It landed.
    Landed(Landing),
    /// The call for it failed for good.
    Failed(Arc<Error>),
}

impl Flight {
    /// A flight without places, for one waiter.
    pub(super) fn new(upstream: &str, waiter: Waiter) -> Self {
        Self { board: Mutex::default(), upstream: upstream.to_owned(), interest: Arc::new(Interest::of(waiter)) }
    }

    /// Makes `count` places, each waited for by the leader.
    pub(super) fn open(&self, count: usize, leader: Waiter) {
        let place = Place { waiting: 1, storing: u32::from(leader.store), outcome: Outcome::Pending };
        self.board().places = vec![place; count];
    }

    /// Waits for `place` too. `false` if nothing will come of it: it was given up, or it failed.
    pub(super) fn join(&self, place: u32, waiter: Waiter) -> bool {
        let mut board = self.board();
        let Some(place) = board.places.get_mut(place as usize) else { return false };
        let alive = !matches!(place.outcome, Outcome::GivenUp | Outcome::Failed(_));
        place.waiting += u32::from(alive);
        place.storing += u32::from(alive && waiter.store);
        alive
    }

    /// Stops waiting for `places`. What nobody waits for is up to the task to cancel.
    pub(super) fn leave(&self, places: impl Iterator<Item = u32>, waiter: Waiter) {
        let mut board = self.board();
        let mut forsaken = false;
        for place in places {
            let place = &mut board.places[place as usize];
            place.waiting -= 1;
            place.storing -= u32::from(waiter.store);
            forsaken |= place.waiting == 0;
        }
        drop(board);
        if forsaken {
            self.interest.ring();
        }
    }

    /// Writes outcomes on the board, at places that have none yet.
    pub(super) fn settle(&self, outcomes: impl Iterator<Item = (u32, Outcome)>) {
        let mut board = self.board();
        for (place, outcome) in outcomes {
            let place = &mut board.places[place as usize];
            if matches!(place.outcome, Outcome::Pending) {
                place.outcome = outcome;
            }
        }
    }

    /// Takes the entries whose places have an outcome out of `entries`.
    ///
    /// # Errors
    /// One of them failed.
    pub(super) fn landed(&self, entries: &mut Vec<Entry>) -> Result<Vec<(u32, Landing)>, Arc<Error>> {
        let board = self.board();
        let (mut landed, mut failure) = (Vec::new(), None);
        entries.retain(|entry| match &board.places[entry.place as usize].outcome {
            Outcome::Pending | Outcome::GivenUp => true,
            Outcome::Failed(error) => {
                failure = Some(error.clone());
                true
            }
            Outcome::Landed(landing) => {
                landed.push((entry.label, landing.clone()));
                false
            }
        });
        // What landed is told before the failure: the next look finds it.
        if landed.is_empty() { failure.map_or(Ok(landed), Err) } else { Ok(landed) }
    }

    /// Gives up `places` if nobody waits for any of them: from then on nobody can. Whether it did.
    pub(super) fn give_up(&self, places: &[u32]) -> bool {
        let mut board = self.board();
        let forsaken = places.iter().all(|place| board.places[*place as usize].waiting == 0);
        if forsaken {
            for place in places {
                board.places[*place as usize].outcome = Outcome::GivenUp;
            }
        }
        forsaken
    }

    /// For each of `places`, whether somebody who waits for it allows its score to be kept.
    pub(super) fn may_store(&self, places: &[u32]) -> Vec<bool> {
        let board = self.board();
        places.iter().map(|place| board.places[*place as usize].storing > 0).collect()
    }

    /// Places without an outcome.
    pub(super) fn pending(&self) -> Vec<u32> {
        let board = self.board();
        let pending = (0u32..).zip(&board.places).filter(|(_, place)| matches!(place.outcome, Outcome::Pending));
        pending.map(|(place, _)| place).collect()
    }

    /// Adds to what the flight cost.
    pub(super) fn charge(&self, usage: Usage) {
        let mut board = self.board();
        board.charged = Some(board.charged.map_or(usage, |charged| charged.plus(usage)));
    }

    /// What the flight cost since the last time somebody asked.
    pub(super) fn take_charge(&self) -> Option<Usage> {
        self.board().charged.take()
    }

    fn board(&self) -> MutexGuard<'_, Board> {
        lock(&self.board)
    }
}
