//! The open connections of the server, their limit, and the eviction of one when the limit is reached.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::{Instant, timeout};

use super::activity::{Activity, EvictionOrder};
use super::limits::max_unread_requests;

/// Number of connections chosen for eviction at once, so that not every new one costs a pass over all.
const MAX_CANDIDATES: usize = 64;
/// Time that an evicted connection has to end before another is evicted; it may have received a request meanwhile.
const EVICTION_PAUSE: Duration = Duration::from_millis(50);

/// The open connections.
#[derive(Debug)]
pub(super) struct Connections {
    /// One for each connection whose socket is open, lingering ones included.
    permits: Arc<Semaphore>,
    /// Number of all `permits`.
    max: usize,
    open: Mutex<Open>,
    /// Number of requests whose body has not arrived in full, over all connections.
    unread: AtomicUsize,
    /// Number of `unread` at which one more ends a connection.
    max_unread: usize,
}

#[derive(Debug, Default)]
struct Open {
    /// Ids are given in the order of admission.
    last_id: u64,
    /// Connections by id, without those that linger.
    activities: HashMap<u64, Arc<Activity>>,
    /// Connections that only read and drop their client's last bytes, the first that was admitted first.
    lingering: BTreeMap<u64, Arc<Activity>>,
    /// The next connections to evict, the first of them last, to be popped. Some may have begun to work since.
    candidates: Vec<(EvictionOrder, Arc<Activity>)>,
    /// The time at which a connection was last ended for its many unread bodies.
    last_forced: Option<Instant>,
}

/// An open connection; removed from the open ones on drop.
pub(super) struct Connection {
    pub(super) activity: Arc<Activity>,
    id: u64,
    connections: Arc<Connections>,
    /// Counts the connection against the limit until it is dropped.
    _permit: OwnedSemaphorePermit,
}

/// Counts this body as unread until it is dropped.
#[derive(Debug)]
pub(super) struct UnreadBodyGuard(Arc<Connections>);

impl Connections {
    /// No connections yet, and at most `max`.
    pub(super) fn new(max: usize) -> Self {
        Self {
            permits: Arc::new(Semaphore::new(max)),
            max,
            open: Mutex::default(),
            unread: AtomicUsize::new(0),
            max_unread: max_unread_requests(max),
        }
    }

    /// Registers a new connection. At the limit, evicts those that have waited longest for their client. Waits while
    /// all have a request that is being worked on.
    pub(super) async fn admit(self: &Arc<Self>) -> Connection {
        let permit = self.permit().await;
        let activity = Arc::new(Activity::new(Instant::now()));
        let mut open = self.open.lock();
        open.last_id += 1;
        let id = open.last_id;
        open.activities.insert(id, activity.clone());
        Connection { activity, id, connections: self.clone(), _permit: permit }
    }

    /// Takes a permit. As long as there is none, evicts one connection after the other.
    async fn permit(&self) -> OwnedSemaphorePermit {
        loop {
            if let Ok(permit) = self.permits.clone().try_acquire_owned() {
                return permit;
            }
            self.evict_one();
            if let Ok(Ok(permit)) = timeout(EVICTION_PAUSE, self.permits.clone().acquire_owned()).await {
                return permit;
            }
        }
    }

    /// Tells the next connection in the order of eviction to end; lingering ones come first. Returns true if there was
    /// one.
    pub(super) fn evict_one(&self) -> bool {
        let mut open = self.open.lock();
        if let Some((_, activity)) = open.lingering.pop_first() {
            activity.eviction.notify_one();
            return true;
        }
        if open.evict_candidate() {
            return true;
        }
        open.choose_candidates();
        open.evict_candidate()
    }

    /// Counts a request whose body has not arrived in full. Beyond the limit, ends the connection with most of them.
    pub(super) fn count_unread(self: &Arc<Self>) -> UnreadBodyGuard {
        if self.unread.fetch_add(1, Ordering::Relaxed) >= self.max_unread {
            let mut open = self.open.lock();
            // One at a time: the last connection that was told to end may need a moment to do so.
            if open.last_forced.is_none_or(|last| last.elapsed() > EVICTION_PAUSE) {
                open.last_forced = Some(Instant::now());
                if let Some(activity) = open.activities.values().max_by_key(|activity| activity.unread()) {
                    activity.force_close();
                }
            }
        }
        UnreadBodyGuard(self.clone())
    }

    /// Waits until the last connection has ended. None may be admitted meanwhile.
    pub(super) async fn wait_for_end(&self) {
        let all = u32::try_from(self.max).unwrap_or(u32::MAX);
        drop(self.permits.acquire_many(all).await);
    }
}

impl Open {
    /// Evicts the first candidate that still has its place in the order of eviction. Returns true if there was one.
    fn evict_candidate(&mut self) -> bool {
        while let Some((order, activity)) = self.candidates.pop() {
            // A different place shows that a request has begun or ended since.
            if activity.eviction_order() == Some(order) {
                activity.eviction.notify_one();
                return true;
            }
        }
        false
    }

    /// Chooses the connections that are next in the order of eviction.
    fn choose_candidates(&mut self) {
        let mut candidates = Vec::new();
        for activity in self.activities.values() {
            if let Some(order) = activity.eviction_order() {
                candidates.push((order, activity.clone()));
            }
        }
        candidates.sort_unstable_by_key(|(order, _)| *order);
        candidates.truncate(MAX_CANDIDATES);
        candidates.reverse();
        self.candidates = candidates;
    }
}

impl Connection {
    /// Notes that the connection has ended, except that it still reads and drops its client's bytes.
    pub(super) fn begin_linger(&self) {
        let mut open = self.connections.open.lock();
        if let Some(activity) = open.activities.remove(&self.id) {
            open.lingering.insert(self.id, activity);
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        let mut open = self.connections.open.lock();
        open.activities.remove(&self.id);
        open.lingering.remove(&self.id);
    }
}

impl Drop for UnreadBodyGuard {
    fn drop(&mut self) {
        self.0.unread.fetch_sub(1, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;
    use http::Version;

    use super::*;

    /// Returns true if the connection was told to end since the last call.
    fn is_evicted(connection: &Connection) -> bool {
        connection.activity.eviction.notified().now_or_never().is_some()
    }

    #[tokio::test(start_paused = true)]
    async fn the_oldest_idle_connection_makes_room() {
        let connections = Arc::new(Connections::new(3));
        let mut open = Vec::new();
        for _ in 0..3 {
            open.push(connections.admit().await);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        open[0].activity.begin_request(Version::HTTP_11, false);
        let waiting = tokio::spawn({
            let connections = connections.clone();
            async move { connections.admit().await }
        });
        tokio::task::yield_now().await;
        assert!(!is_evicted(&open[0]), "it works");
        assert!(is_evicted(&open[1]));
        assert!(!is_evicted(&open[2]), "it is younger");
        drop(open.remove(1));
        open.push(waiting.await.unwrap());
        open[0].activity.end_request();
        tokio::time::advance(Duration::from_secs(1)).await;
        assert!(connections.evict_one());
        assert!(is_evicted(&open[1]), "it is idle for longer than the one that had a request");
    }

    /// Candidates are chosen many at once, so some may have a request by their turn.
    #[tokio::test(start_paused = true)]
    async fn who_has_begun_to_work_is_passed_over() {
        let connections = Arc::new(Connections::new(3));
        let mut open = Vec::new();
        for _ in 0..3 {
            open.push(connections.admit().await);
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        assert!(connections.evict_one());
        assert!(is_evicted(&open[0]));
        open[1].activity.begin_request(Version::HTTP_11, false);
        assert!(connections.evict_one());
        assert!(!is_evicted(&open[1]) && is_evicted(&open[2]));
    }

    #[tokio::test(start_paused = true)]
    async fn connections_that_linger_make_room_before_all_others() {
        let connections = Arc::new(Connections::new(2));
        let idle = connections.admit().await;
        tokio::time::advance(Duration::from_secs(1)).await;
        let refused = connections.admit().await;
        refused.activity.linger();
        refused.begin_linger();
        assert!(timeout(EVICTION_PAUSE / 2, connections.admit()).await.is_err(), "it counts until it is closed");
        assert!(is_evicted(&refused));
        assert!(!is_evicted(&idle));
        drop(refused);
        connections.admit().await;
        assert!(connections.open.lock().lingering.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn connections_at_work_are_waited_for() {
        let connections = Arc::new(Connections::new(1));
        let busy = connections.admit().await;
        busy.activity.begin_request(Version::HTTP_2, false);
        assert!(!connections.evict_one());
        assert!(timeout(Duration::from_mins(1), connections.admit()).await.is_err());
        busy.activity.end_request();
        assert!(timeout(EVICTION_PAUSE, connections.admit()).await.is_err());
        assert!(is_evicted(&busy));
        drop(busy);
        connections.admit().await;
        connections.wait_for_end().await;
    }

    #[tokio::test]
    async fn whoever_has_most_requests_without_a_body_ends_when_there_are_too_many() {
        let connections = Arc::new(Connections::new(2));
        let modest = connections.admit().await;
        let greedy = connections.admit().await;
        modest.activity.begin_request(Version::HTTP_2, true);
        let mut unread = vec![connections.count_unread()];
        while unread.len() < connections.max_unread {
            greedy.activity.begin_request(Version::HTTP_2, true);
            unread.push(connections.count_unread());
        }
        assert!(!is_evicted(&greedy));
        unread.push(connections.count_unread());
        assert!(is_evicted(&greedy));
        assert!(greedy.activity.eviction_order().is_some());
        unread.push(connections.count_unread());
        assert!(!is_evicted(&greedy), "it has been told");
        assert!(!is_evicted(&modest));
        unread.clear();
        assert_eq!(connections.unread.load(Ordering::Relaxed), 0);
    }
}
