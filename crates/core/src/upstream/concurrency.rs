//! An adaptive limit on attempts in flight: as many as the upstream can bear, at most `max_concurrency`.
//!
//! The limit adapts by additive increase and multiplicative decrease (Chiu and Jain, 1989). A sign of overload shrinks
//! it at once. Replies that arrive while it is used up let it grow back by one in about one round of calls.
//!
//! A call that finds no permit waits in a queue of bounded length. If the queue is full, or the expected wait is longer
//! than its deadline allows, it is refused at once, while it can still try another upstream. The queue is served in
//! order. A call that has waited so long that its reply would come too late is refused instead of served, because
//! serving it would make the others late as well.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::oneshot;
use tokio::time::Instant;

use super::waiters::Waiters;

/// Factor by which a sign of overload shrinks the limit. The same as CUBIC's (RFC 9438): a half would be too much for
/// limits as small as these.
const DECREASE_FACTOR: f64 = 0.7;
/// Least time between two decreases: one is enough for all attempts that were in flight together.
const DECREASE_PAUSE: Duration = Duration::from_millis(500);
/// Weight of the latest attempt in the mean hold time.
const HOLD_WEIGHT: f64 = 0.1;
/// Shortest `retry_after` of a refusal.
const MIN_RETRY_AFTER: Duration = Duration::from_secs(1);
/// Longest `retry_after` of a refusal.
const MAX_RETRY_AFTER: Duration = Duration::from_mins(1);

/// The concurrency limit of one upstream. Clones share it.
#[derive(Clone, Debug)]
pub struct ConcurrencyLimit(Arc<Mutex<LimitState>>);

#[derive(Debug)]
struct LimitState {
    /// Upper bound of `limit`, a whole number.
    max: f64,
    /// Longest queue.
    max_waiting: usize,
    /// Permits at the moment, 1 to `max`; the fraction accumulates small increases.
    limit: f64,
    /// Permits that are taken. More than `limit` for a while after a decrease.
    in_flight: usize,
    /// Calls without a permit, the oldest first. Empty while a permit is free. Cancelled calls stay until they are met.
    queue: VecDeque<Waiting>,
    /// Time of the latest decrease.
    decreased_at: Option<Instant>,
    /// Moving average of the time that a permit is held, in seconds; 0 before the first.
    mean_hold: f64,
}

/// A call in the queue.
#[derive(Debug)]
struct Waiting {
    /// Delivers the permit. Dropped unsent, it tells the call that there will be none in time.
    sender: oneshot::Sender<Permit>,
    /// The call's waiters. Others can join while it is queued, with later deadlines.
    waiters: Arc<Waiters>,
}

/// Permission for one attempt, released when dropped.
#[derive(Debug)]
pub struct Permit {
    limit: ConcurrencyLimit,
    since: Instant,
    /// True if none was free once this one was taken.
    used_up_limit: bool,
    /// Result to report when it is dropped; `None` for a cancelled attempt.
    signal: Option<LoadSignal>,
}

/// The result of an attempt, as a sign of the upstream's load.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LoadSignal {
    /// A reply.
    Answered,
    /// "Too many requests", a gateway's failure, a broken connection, or no reply in time.
    Overload,
}

/// Refusal of a call: the queue is full, or moves too slowly for the deadline, or has moved too slowly so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoPermitInTime {
    /// Time after which to try again, between a second and a minute.
    pub retry_after: Duration,
}

impl ConcurrencyLimit {
    /// A limit of `max` permits, with a queue of at most `max_waiting` calls.
    #[must_use]
    pub fn new(max: usize, max_waiting: usize) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "limits are small")]
        let max = max as f64;
        Self(Arc::new(Mutex::new(LimitState {
            max,
            max_waiting,
            limit: max,
            in_flight: 0,
            queue: VecDeque::new(),
            decreased_at: None,
            mean_hold: 0.0,
        })))
    }

    /// Takes a permit, or waits in the queue for one.
    ///
    /// # Errors
    /// [`NoPermitInTime`] if no permit will be free in time for the deadline of `waiters`.
    pub async fn acquire(&self, waiters: &Arc<Waiters>) -> Result<Permit, NoPermitInTime> {
        let receiver = {
            let mut state = self.0.lock();
            // Nobody is passed by: the queue is empty while a permit is free.
            if state.in_flight < state.whole_limit() {
                state.in_flight += 1;
                let used_up_limit = state.in_flight >= state.whole_limit();
                drop(state);
                return Ok(self.permit(used_up_limit));
            }
            state.queue.retain(|waiting| !waiting.sender.is_closed());
            let wait = state.expected_wait();
            if state.queue.len() >= state.max_waiting || Instant::now() + wait > waiters.deadline() {
                return Err(NoPermitInTime { retry_after: wait.clamp(MIN_RETRY_AFTER, MAX_RETRY_AFTER) });
            }
            let (sender, receiver) = oneshot::channel();
            state.queue.push_back(Waiting { sender, waiters: waiters.clone() });
            receiver
        };
        // A cancelled call drops its receiver here, and its entry in the queue counts no more.
        receiver.await.map_err(|_| NoPermitInTime { retry_after: MIN_RETRY_AFTER })
    }

    /// Permits at the moment, free or taken; at least 1.
    #[must_use]
    pub fn limit(&self) -> usize {
        self.0.lock().whole_limit()
    }

    /// Most permits that there can be.
    #[must_use]
    pub fn max(&self) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "made of a small count")]
        let max = self.0.lock().max as usize;
        max
    }

    /// Calls in the queue.
    #[must_use]
    pub fn waiting(&self) -> usize {
        self.0.lock().queue.iter().filter(|waiting| !waiting.sender.is_closed()).count()
    }

    /// A permit that `in_flight` counts already.
    fn permit(&self, used_up_limit: bool) -> Permit {
        Permit { limit: self.clone(), since: Instant::now(), used_up_limit, signal: None }
    }

    /// Takes a permit back, adapts the limit and serves the queue.
    fn release(&self, held: Duration, used_up_limit: bool, signal: Option<LoadSignal>) {
        let now = Instant::now();
        let mut state = self.0.lock();
        state.in_flight -= 1;
        state.adapt(held, used_up_limit, signal, now);
        let mut served = Vec::new();
        while state.in_flight < state.whole_limit() {
            let Some(next) = state.next_in_queue(now) else { break };
            state.in_flight += 1;
            served.push(next);
        }
        // Unlocked before the permits go out: one that comes back locks the state again.
        drop(state);
        for next in served {
            // Calls were queued, so the limit is used up.
            let permit = self.permit(true);
            // If the call has just been cancelled, the permit comes back here, is dropped, and goes to the next.
            drop(next.send(permit));
        }
    }
}

impl LimitState {
    /// The limit in whole permits, at least 1.
    fn whole_limit(&self) -> usize {
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 1 and a small limit")]
        let limit = self.limit as usize;
        limit.max(1)
    }

    /// Estimated time until a call at the end of the queue gets its permit.
    fn expected_wait(&self) -> Duration {
        #[expect(clippy::cast_precision_loss, reason = "queues are short")]
        let rounds = (self.queue.len() as f64 + 1.0) / self.limit.max(1.0);
        // Each round, as long as a permit is held, serves as many calls as there are permits.
        Duration::try_from_secs_f64(rounds * self.mean_hold).unwrap_or(MAX_RETRY_AFTER)
    }

    /// The first call in the queue that can still be answered in time. Drops, and so refuses, those before it.
    fn next_in_queue(&mut self, now: Instant) -> Option<oneshot::Sender<Permit>> {
        let mean_hold = Duration::try_from_secs_f64(self.mean_hold).unwrap_or(MAX_RETRY_AFTER);
        while let Some(waiting) = self.queue.pop_front() {
            if !waiting.sender.is_closed() && now + mean_hold <= waiting.waiters.deadline() {
                return Some(waiting.sender);
            }
        }
        None
    }

    /// Adapts the limit and the mean hold time to an attempt that `held` its permit so long.
    fn adapt(&mut self, held: Duration, used_up_limit: bool, signal: Option<LoadSignal>, now: Instant) {
        let Some(signal) = signal else { return };
        let held = held.as_secs_f64();
        self.mean_hold =
            if self.mean_hold > 0.0 { self.mean_hold * (1.0 - HOLD_WEIGHT) + held * HOLD_WEIGHT } else { held };
        match signal {
            // Only a limit that was reached says that the upstream could bear more. A round of calls adds about one.
            LoadSignal::Answered if used_up_limit => self.limit = (self.limit + 1.0 / self.limit).min(self.max),
            LoadSignal::Answered => {}
            LoadSignal::Overload if self.decreased_at.is_some_and(|at| now - at < DECREASE_PAUSE) => {}
            LoadSignal::Overload => {
                self.limit = (self.limit * DECREASE_FACTOR).max(1.0);
                self.decreased_at = Some(now);
            }
        }
    }
}

impl Permit {
    /// Releases the permit and reports how the attempt went; `None` says nothing about load.
    pub fn release(mut self, signal: Option<LoadSignal>) {
        self.signal = signal;
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        self.limit.release(self.since.elapsed(), self.used_up_limit, self.signal);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::super::waiters::{RetryMode, Waiter};
    use super::*;
    use crate::cache::key::CacheScope;

    fn waiter(seconds: u64) -> Waiter {
        Waiter {
            deadline: Instant::now() + Duration::from_secs(seconds),
            retry_mode: RetryMode::Wait,
            store: true,
            scope: CacheScope::SHARED,
        }
    }

    fn later(seconds: u64) -> Arc<Waiters> {
        Arc::new(Waiters::of(waiter(seconds)))
    }

    #[tokio::test(start_paused = true)]
    async fn the_queue_is_bounded_and_excess_is_sent_away_at_once() {
        let permits = ConcurrencyLimit::new(2, 3);
        let taken = [permits.acquire(&later(60)).await.unwrap(), permits.acquire(&later(60)).await.unwrap()];
        let mut waiting: Vec<_> = (0..3)
            .map(|_| {
                tokio::spawn({
                    let permits = permits.clone();
                    async move { permits.acquire(&later(60)).await.is_ok() }
                })
            })
            .collect();
        tokio::task::yield_now().await;
        let start = Instant::now();
        assert!(permits.acquire(&later(60)).await.is_err(), "the queue is full");
        assert_eq!(start.elapsed(), Duration::ZERO);
        waiting.pop().unwrap().abort();
        tokio::task::yield_now().await;
        assert_eq!(permits.waiting(), 2, "who leaves makes room");
        drop(taken);
        for served in waiting {
            assert!(served.await.unwrap());
        }
        assert_eq!(permits.0.lock().in_flight, 0);
    }

    #[tokio::test(start_paused = true)]
    async fn who_would_come_too_late_is_sent_away_at_once() {
        let permits = ConcurrencyLimit::new(1, 100);
        let held = permits.acquire(&later(60)).await.unwrap();
        tokio::time::advance(Duration::from_secs(2)).await;
        held.release(Some(LoadSignal::Answered)); // an attempt takes two seconds
        let _held = permits.acquire(&later(60)).await.unwrap();
        assert_eq!(
            permits.acquire(&later(1)).await.unwrap_err(),
            NoPermitInTime { retry_after: Duration::from_secs(2) }
        );
    }

    /// Serving the newest first would let the oldest wait until their deadlines for as long as the queue stays full.
    #[tokio::test(start_paused = true)]
    async fn nobody_in_a_full_queue_is_passed_over() {
        let permits = ConcurrencyLimit::new(1, 4);
        let held = permits.acquire(&later(60)).await.unwrap();
        let order = Arc::new(Mutex::new(Vec::new()));
        let tasks: Vec<_> = (0..4)
            .map(|index| {
                let permits = permits.clone();
                let order = order.clone();
                tokio::spawn(async move {
                    let permit = permits.acquire(&later(60)).await.unwrap();
                    order.lock().push(index);
                    drop(permit);
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
        let permits = ConcurrencyLimit::new(1, 4);
        let held = permits.acquire(&later(60)).await.unwrap();
        let waiting = [3, 60].map(|seconds| {
            let permits = permits.clone();
            tokio::spawn(async move { permits.acquire(&later(seconds)).await })
        });
        tokio::task::yield_now().await;
        tokio::time::advance(Duration::from_secs(2)).await;
        held.release(Some(LoadSignal::Answered)); // an attempt takes two seconds, and the first has one left
        let [first, second] = waiting;
        assert!(first.await.unwrap().is_err(), "sent away before its deadline");
        assert!(second.await.unwrap().is_ok());
    }

    #[tokio::test(start_paused = true)]
    async fn who_joins_in_the_queue_brings_a_later_deadline() {
        let permits = ConcurrencyLimit::new(1, 4);
        let held = permits.acquire(&later(60)).await.unwrap();
        let waiters = later(3);
        let waiting = tokio::spawn({
            let permits = permits.clone();
            let waiters = waiters.clone();
            async move { permits.acquire(&waiters).await }
        });
        tokio::task::yield_now().await;
        waiters.join(waiter(60));
        tokio::time::advance(Duration::from_secs(2)).await;
        held.release(Some(LoadSignal::Answered));
        assert!(waiting.await.unwrap().is_ok());
    }

    /// The upstream's capacity falls from 100 to 20 and comes back; the limit follows.
    #[tokio::test(start_paused = true)]
    async fn the_limit_follows_the_capacity() {
        let permits = ConcurrencyLimit::new(100, 1_000);
        let capacity = Arc::new(AtomicUsize::new(100));
        let in_flight = Arc::new(AtomicUsize::new(0));
        let mut load = Vec::new();
        for _ in 0..200 {
            let permits = permits.clone();
            let capacity = capacity.clone();
            let in_flight = in_flight.clone();
            load.push(tokio::spawn(async move {
                loop {
                    let Ok(permit) = permits.acquire(&later(3_600)).await else { continue };
                    let crowd = in_flight.fetch_add(1, Ordering::Relaxed) + 1;
                    tokio::time::sleep(Duration::from_millis(50)).await;
                    in_flight.fetch_sub(1, Ordering::Relaxed);
                    let overload = crowd > capacity.load(Ordering::Relaxed);
                    permit.release(Some(if overload { LoadSignal::Overload } else { LoadSignal::Answered }));
                }
            }));
        }
        let settled = async |seconds| {
            tokio::time::sleep(Duration::from_secs(seconds)).await;
            permits.limit()
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
        for task in load {
            task.abort();
        }
    }

    #[tokio::test(start_paused = true)]
    async fn places_of_cancelled_attempts_and_waiters_come_back() {
        let permits = ConcurrencyLimit::new(3, 10);
        for seed in 0..200 {
            let mut random = fastrand::Rng::with_seed(seed);
            let tasks: Vec<_> = (0..12)
                .map(|_| {
                    let permits = permits.clone();
                    let hold = random.u64(1..50);
                    let give_up_after = random.u64(1..80);
                    tokio::spawn(async move {
                        let work = async {
                            if let Ok(_permit) = permits.acquire(&later(9)).await {
                                tokio::time::sleep(Duration::from_millis(hold)).await;
                            }
                        };
                        drop(tokio::time::timeout(Duration::from_millis(give_up_after), work).await);
                    })
                })
                .collect();
            for task in tasks {
                task.await.unwrap();
            }
            let taken = permits.0.lock().in_flight;
            assert_eq!((taken, permits.waiting()), (0, 0), "seed {seed}");
        }
    }
}
