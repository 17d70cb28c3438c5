//! How many attempts may be under way at once: as many as the upstream can bear, at most `max_concurrency`.
//!
//! The limit adapts (additive increase, multiplicative decrease; Chiu and Jain, 1989): signs of overload shrink it at once, answers given
//! while it was used up let it grow back by one in about one round of calls. Who finds no place waits in a queue of bounded length; who
//! finds the queue full, or would wait longer than its deadline allows, is sent away at once, while it can still ask elsewhere. The
//! queue is served in order. Who has waited so long that an answer would come too late is sent away instead of being served, which would
//! make the others late as well.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::interest::Interest;

/// What a sign of overload leaves of the limit.
const DECREASE: f64 = 0.7;
/// One decrease is enough for all the attempts that were under way together.
const DECREASE_PAUSE: Duration = Duration::from_millis(500);
/// Weight of the newest attempt in the average time that a place is taken.
const NEWEST: f64 = 0.1;
/// Longest time after which somebody who was sent away is told to come back.
const LONGEST_HINT: Duration = Duration::from_mins(1);

/// The places of one upstream. Clones share them.
#[derive(Clone, Debug)]
pub struct Places(Arc<Mutex<State>>);

#[derive(Debug)]
struct State {
    most: f64,
    most_waiting: usize,
    limit: f64,
    taken: usize,
    queue: VecDeque<Waiting>,
    decreased: Option<Instant>,
    /// Average time that a place is taken, in seconds.
    holding: f64,
}

/// Somebody who waits for a place.
#[derive(Debug)]
struct Waiting {
    /// Dropped, it says that there will be none in time.
    place: oneshot::Sender<Place>,
    /// For whom: others can join while it waits, with later deadlines.
    interest: Arc<Interest>,
}

/// A place that is taken; free again when dropped.
#[derive(Debug)]
pub struct Place {
    places: Places,
    since: Instant,
    /// Whether all places were taken when this one was.
    was_last: bool,
    outcome: Option<Sign>,
}

/// What an attempt says about the load of the upstream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Sign {
    /// It answered.
    Well,
    /// It could not bear it: "too many requests", a gateway's failure, a broken connection, or no answer in time.
    Overload,
}

/// Why there is no place: come back after this long.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPlace(pub Duration);

impl Places {
    /// `most` places, and room for `most_waiting` who wait for one.
    #[must_use]
    pub fn new(most: usize, most_waiting: usize) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "limits are small")]
        let most = most as f64;
        let (queue, decreased) = (VecDeque::new(), None);
        Self(Arc::new(Mutex::new(State { most, most_waiting, limit: most, taken: 0, queue, decreased, holding: 0.0 })))
    }

    /// Takes a place, waiting for one if need be for as long as somebody is interested.
    ///
    /// # Errors
    /// There will be none in time.
    pub async fn take(&self, interest: &Arc<Interest>) -> Result<Place, NoPlace> {
        let waiting = {
            let mut state = self.0.lock();
            if state.taken < state.whole_limit() {
                state.taken += 1;
                let was_last = state.taken >= state.whole_limit();
                drop(state);
                return Ok(self.place(was_last));
            }
            state.queue.retain(|waiting| !waiting.place.is_closed());
            let wait = state.expected_wait();
            if state.queue.len() >= state.most_waiting || Instant::now() + wait > interest.deadline() {
                return Err(NoPlace(wait.clamp(Duration::from_secs(1), LONGEST_HINT)));
            }
            let (place, waiting) = oneshot::channel();
            state.queue.push_back(Waiting { place, interest: interest.clone() });
            waiting
        };
        // The queue keeps the other end for as long as somebody waits at this one.
        waiting.await.map_err(|_| NoPlace(Duration::from_secs(1)))
    }

    /// The number of places at the moment.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.lock().whole_limit()
    }

    /// How many wait for a place.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.lock().queue.iter().filter(|waiting| !waiting.place.is_closed()).count()
    }

    fn place(&self, was_last: bool) -> Place {
        Place { places: self.clone(), since: Instant::now(), was_last, outcome: None }
    }

    fn give_back(&self, held: Duration, was_last: bool, outcome: Option<Sign>) {
        let mut state = self.0.lock();
        state.taken -= 1;
        state.adapt(held, was_last, outcome, Instant::now());
        let mut served = Vec::new();
        while state.taken < state.whole_limit() {
            let Some(next) = state.next_in_queue(Instant::now()) else { break };
            state.taken += 1;
            served.push(next);
        }
        drop(state);
        for next in served {
            // If nobody waits there any more the place comes back, dropped, and goes to the next.
            drop(next.send(self.place(true)));
        }
    }
}

impl State {
    fn whole_limit(&self) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and a small limit")]
        let limit = self.limit as usize;
        limit.max(1)
    }

    /// How long the last in the queue would wait if places go on being taken for as long as they are now.
    fn expected_wait(&self) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "queues are short")]
        let rounds = (self.queue.len() as f64 + 1.0) / self.limit.max(1.0);
        Duration::try_from_secs_f64(rounds * self.holding).unwrap_or(LONGEST_HINT)
    }

    /// The one who has waited longest and can still be answered in time. Those who cannot are sent away on the way to it.
    fn next_in_queue(&mut self, now: Instant) -> Option<oneshot::Sender<Place>> {
        let usual = Duration::try_from_secs_f64(self.holding).unwrap_or(LONGEST_HINT);
        std::iter::from_fn(|| self.queue.pop_front())
            .find(|waiting| !waiting.place.is_closed() && now + usual <= waiting.interest.deadline())
            .map(|waiting| waiting.place)
    }

    fn adapt(&mut self, held: Duration, was_last: bool, outcome: Option<Sign>, now: Instant) {
        let Some(outcome) = outcome else { return };
        let held = held.as_secs_f64();
        self.holding = if self.holding > 0.0 { self.holding * (1.0 - NEWEST) + held * NEWEST } else { held };
        match outcome {
            // A limit that nobody reaches says nothing about what could be borne.
            Sign::Well if was_last => self.limit = (self.limit + 1.0 / self.limit).min(self.most),
            Sign::Well => {}
            Sign::Overload if self.decreased.is_some_and(|at| now - at < DECREASE_PAUSE) => {}
            Sign::Overload => {
                self.limit = (self.limit * DECREASE).max(1.0);
                self.decreased = Some(now);
            }
        }
    }
}

impl Place {
    /// Says how the attempt went, and gives the place back.
    pub fn give_back(mut self, sign: Option<Sign>) {
        self.outcome = sign;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.give_back(self.since.elapsed(), self.was_last, self.outcome);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::interest::{Patience, Waiter};
    use super::*;
    use crate::cache::key::CacheScope;

    fn waiter(seconds: u64) -> Waiter {
        Waiter {
            deadline: Instant::now() + Duration::from_secs(seconds),
            patience: Patience::Wait,
            store: true,
            scope: CacheScope::SHARED,
        }
    }

    fn later(seconds: u64) -> Arc<Interest> {
        Arc::new(Interest::of(waiter(seconds)))
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_is_bounded_and_excess_is_sent_away_at_once() {
        let places = Places::new(2, 3);
        let taken = [places.take(&later(60)).await.unwrap(), places.take(&later(60)).await.unwrap()];
        let mut waiting: Vec<_> = (0..3)
            .map(|_| {
                tokio::spawn({
                    let places = places.clone();
                    async move { places.take(&later(60)).await.is_ok() }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        let start = Instant::now();
        assert!(places.take(&later(60)).await.is_err(), "the queue is full");
        assert_eq!(start.elapsed(), Duration::ZERO);
        waiting.pop().unwrap().abort();
        tokio::task::yield_now().await;
        assert_eq!(places.waiting(), 2, "who leaves makes room");
        drop(taken);
        for served in waiting {
            assert!(served.await.unwrap());
        }
        assert_eq!(places.0.lock().taken, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_come_too_late_is_sent_away_at_once() {
        let places = Places::new(1, 100);
        let held = places.take(&later(60)).await.unwrap();
        tokio::time::advance(Duration::from_secs(2)).await;
        held.give_back(Some(Sign::Well)); // an attempt takes two seconds
        let _held = places.take(&later(60)).await.unwrap();
        assert_eq!(places.take(&later(1)).await.unwrap_err(), NoPlace(Duration::from_secs(2)));
    }

    /// Serving the newest first would let the oldest wait until their deadlines for as long as the queue stays full.
    #[tokio::test(start_paused = true)]
    async fn nobody_in_a_full_queue_is_passed_over() {
        let places = Places::new(1, 4);
        let held = places.take(&later(60)).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = (0..4)
            .map(|index| {
                let (places, order) = (places.clone(), order.clone());
                tokio::spawn(async move {
                    let place = places.take(&later(60)).await.unwrap();
                    order.lock().push(index);
                    drop(place);
                })
            })
            .collect();
        tokio::task::yield_now().await;
        drop(held);
        for task in tasks {
            task.await.unwrap();
        }
        assert_eq!(*order.lock(), [0, 1, 2, 3]);
    }

    #[tokio::test(start_paused = true)]
    async fn who_waited_too_long_to_be_answered_in_time_makes_way() {
        let places = Places::new(1, 4);
        let held = places.take(&later(60)).await.unwrap();
        let waiting = [3, 60].map(|seconds| {
            let places = places.clone();
            tokio::spawn(async move { places.take(&later(seconds)).await })
        });
        tokio::task::yield_now().await;
        tokio::time::advance(Duration::from_secs(2)).await;
        held.give_back(Some(Sign::Well)); // an attempt takes two seconds, and the first has one left
        let [first, second] = waiting;
        assert!(first.await.unwrap().is_err(), "sent away before its deadline");
        assert!(second.await.unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_joins_in_the_queue_brings_a_later_deadline() {
        let places = Places::new(1, 4);
        let held = places.take(&later(60)).await.unwrap();
        let interest = later(3);
        let waiting = tokio::spawn({
            let (places, interest) = (places.clone(), interest.clone());
            async move { places.take(&interest).await }
        });
        tokio::task::yield_now().await;
        interest.join(waiter(60));
        tokio::time::advance(Duration::from_secs(2)).await;
        held.give_back(Some(Sign::Well));
        assert!(waiting.await.unwrap().is_ok());
    }

    /// The upstream's capacity falls from 100 to 20 and comes back; the limit follows.
    #[tokio::test(start_paused = true)]
    async fn the_limit_follows_the_capacity() {
        let places = Places::new(100, 1_000);
        let (capacity, under_way) = (Arc::new(AtomicUsize::new(100)), Arc::new(AtomicUsize::new(0)));
        let attempt = |places: Places| {
            let (capacity, under_way) = (capacity.clone(), under_way.clone());
            async move {
                loop {
                    let Ok(place) = places.take(&later(3_600)).await else { continue };
                    let crowd = under_way.fetch_add(1, Ordering::Relaxed) + 1;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    under_way.fetch_sub(1, Ordering::Relaxed);
                    let overload = crowd > capacity.load(Ordering::Relaxed);
                    place.give_back(Some(if overload { Sign::Overload } else { Sign::Well }));
                }
            }
        };
        let load: Vec<_> = (0..200).map(|_| tokio::spawn(attempt(places.clone()))).collect();
        let settled = async |seconds| {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            places.limit()
        };
        assert_eq!(settled(5).await, 100);
        capacity.store(20, Ordering::Relaxed);
        settled(10).await;
        for _ in 0..20 {
            let limit = settled(1).await;
            assert!((10..=32).contains(&limit), "{limit} for a capacity of 20");
        }
        capacity.store(100, Ordering::Relaxed);
        assert!(settled(60).await >= 95);
        load.iter().for_each(tokio::task::JoinHandle::abort);
    }

    #[tokio::test(start_paused = true)]
    async fn places_of_cancelled_attempts_and_waiters_come_back() {
        let places = Places::new(3, 10);
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let tasks: Vec<_> = (0..12)
                .map(|_| {
                    let (places, hold, patience) = (places.clone(), random.u64(1..50), random.u64(1..80));
                    tokio::spawn(async move {
                        let work = async {
                            if let Ok(_place) = places.take(&later(9)).await {
                                tokio::time::sleep(Duration::from_millis(hold)).await;
                            }
                        };
                        drop(tokio::time::timeout(Duration::from_millis(patience), work).await);
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            let taken = places.0.lock().taken;
            assert_eq!((taken, places.waiting()), (0, 0), "seed {seed}");
        }
    }
}
