//! The activity of one connection, from which its timeouts and its place in the order of eviction follow.
//!
//! hyper has a timeout for HTTP/1 headers, which also ends idle connections, and none for anything else. [`Activity`]
//! is notified of every request, body and answer, and of bytes that arrive between requests. From these it computes
//! when the connection must end, and whether it may be evicted in favour of another.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use http::Version;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::limits::ConnectionLimits;

/// The state of one connection, shared by its task, its stream and its requests.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<ConnectionState>,
    /// Wakes the connection's task to end it.
    pub(super) eviction: Notify,
    /// True if bytes were written since the last request began.
    has_written: AtomicBool,
    /// True once the client has closed its side.
    has_ended: AtomicBool,
    /// True if the end of the connection discards bytes that the client has not taken.
    is_aborted: AtomicBool,
    /// True if the end of the connection waits for the client's last bytes.
    lingers: AtomicBool,
    /// True if `ConnectionState::blocked_since` is set. Every write reads this, hence without the lock.
    is_blocked: AtomicBool,
}

#[derive(Debug)]
struct ConnectionState {
    /// The version of the last request; `None` before the first.
    version: Option<Version>,
    /// Number of the last request.
    last_request: u64,
    /// Requests in flight, from the end of their headers to the end of their answer.
    requests: usize,
    /// Requests in flight whose body has not arrived in full.
    unread: usize,
    /// Bodies that are read and dropped.
    drains: usize,
    /// Answers that are being written: the request's number, and the time of the last progress.
    answers: Vec<(u64, Instant)>,
    /// The time of the last of these events: the connection was accepted, a request began, the last request in flight
    /// ended, the client took bytes that it had held up and no request was in flight, the connection was told to close.
    quiet_since: Instant,
    /// The time of the first byte after that.
    reading_since: Option<Instant>,
    /// The time since which the client takes no more bytes. They may belong to an answer whose request is over.
    blocked_since: Option<Instant>,
    /// True if a body was polled and had no data since the client closed its side.
    is_starved: bool,
    /// Wakes the stream that holds back the end of the client's side, to ask [`Activity::input_end`] again.
    end_waker: Option<Waker>,
    /// True if the connection must end whatever it is doing.
    is_forced_to_close: bool,
}

/// The timeouts of a connection, as of one instant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum TimeoutStatus {
    /// No timeout passes before this instant.
    WithinLimits(Instant),
    /// No request is in flight, and none came in time.
    Idle,
    /// The client has stopped reading some of its answers, not all. No other timeout passes before this instant.
    SomeStalled(Instant),
    /// The client has stopped reading all of its answers, and no request is being worked on.
    AllStalled,
}

/// The handling of the end of the client's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputEnd {
    /// hyper learns of it now.
    Told,
    /// hyper learns of it later: a body may have arrived that the handler has not polled yet.
    Held,
    /// The client may wait for its answer or may have disconnected.
    HalfClosed,
}

/// The place of a connection in the order of eviction; the lowest is evicted first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct EvictionOrder {
    /// True if the client has requests in flight or bytes that it has not taken.
    has_work: bool,
    quiet_since: Instant,
}

impl Activity {
    /// The activity of a connection that was accepted at `now`.
    pub(super) fn new(now: Instant) -> Self {
        let state = ConnectionState {
            version: None,
            last_request: 0,
            requests: 0,
            unread: 0,
            drains: 0,
            answers: Vec::new(),
            quiet_since: now,
            reading_since: None,
            blocked_since: None,
            is_starved: false,
            end_waker: None,
            is_forced_to_close: false,
        };
        Self {
            state: Mutex::new(state),
            eviction: Notify::new(),
            has_written: AtomicBool::new(false),
            has_ended: AtomicBool::new(false),
            is_aborted: AtomicBool::new(false),
            lingers: AtomicBool::new(false),
            is_blocked: AtomicBool::new(false),
        }
    }

    /// Notes that a request's headers have arrived. Returns the number of the request.
    pub(super) fn begin_request(&self, version: Version, has_body: bool) -> u64 {
        self.has_written.store(false, Ordering::Relaxed);
        let mut state = self.state.lock();
        state.version = Some(version);
        state.requests += 1;
        state.unread += usize::from(has_body);
        state.quiet_since = Instant::now();
        state.reading_since = None;
        state.is_starved = false;
        state.last_request += 1;
        state.last_request
    }

    /// Notes that a request is over: its answer was handed to the connection, or the request was cancelled.
    pub(super) fn end_request(&self) {
        let mut state = self.state.lock();
        state.requests = state.requests.saturating_sub(1);
        if state.requests == 0 {
            state.quiet_since = Instant::now();
            state.reading_since = None;
        }
        state.wake();
    }

    /// Notes that a request's body has arrived in full, or that its handler has dropped it.
    pub(super) fn end_body(&self) {
        let mut state = self.state.lock();
        state.unread = state.unread.saturating_sub(1);
        state.wake();
    }

    /// Notes that a body was polled and has no data yet.
    pub(super) fn body_pending(&self) {
        // Only the end of the client's side makes this worth the lock.
        if self.has_ended.load(Ordering::Acquire) {
            let mut state = self.state.lock();
            state.is_starved = true;
            state.wake();
        }
    }

    /// Notes that the rest of a body is being read and dropped, which [`Self::input_end`] goes by.
    pub(super) fn begin_drain(&self) {
        let mut state = self.state.lock();
        state.drains += 1;
        state.wake();
    }

    pub(super) fn end_drain(&self) {
        self.state.lock().drains -= 1;
    }

    /// Notes that the answer to a request is ready to be written.
    pub(super) fn begin_answer(&self, request: u64) {
        self.state.lock().answers.push((request, Instant::now()));
    }

    /// Notes that the client has taken a chunk of the answer.
    pub(super) fn advance_answer(&self, request: u64) {
        let mut state = self.state.lock();
        if let Some((_, since)) = state.answers.iter_mut().find(|(number, _)| *number == request) {
            *since = Instant::now();
        }
    }

    pub(super) fn end_answer(&self, request: u64) {
        self.state.lock().answers.retain(|(number, _)| *number != request);
    }

    /// Notes that bytes have arrived.
    pub(super) fn note_read(&self) {
        let mut state = self.state.lock();
        if state.requests == 0 && state.reading_since.is_none() {
            state.reading_since = Some(Instant::now());
        }
    }

    /// Notes that bytes are being written.
    pub(super) fn note_write(&self) {
        self.has_written.store(true, Ordering::Relaxed);
    }

    /// Notes that a write has to wait until the client takes bytes.
    pub(super) fn note_blocked(&self) {
        if !self.is_blocked.swap(true, Ordering::Relaxed) {
            self.state.lock().blocked_since = Some(Instant::now());
        }
    }

    /// Notes that bytes were written. If the client had held them up, its time for the next request starts only now.
    pub(super) fn note_written(&self) {
        if self.is_blocked.load(Ordering::Relaxed) {
            let mut state = self.state.lock();
            self.is_blocked.store(false, Ordering::Relaxed);
            state.blocked_since = None;
            if state.requests == 0 {
                state.quiet_since = Instant::now();
                if state.reading_since.is_some() {
                    state.reading_since = Some(state.quiet_since);
                }
            }
        }
    }

    /// Notes that the connection was told to close. The idle timeout starts afresh.
    pub(super) fn begin_close(&self) {
        let mut state = self.state.lock();
        state.quiet_since = Instant::now();
        state.reading_since = None;
    }

    /// Returns true if bytes were written since the last request began.
    pub(super) fn has_written(&self) -> bool {
        self.has_written.load(Ordering::Relaxed)
    }

    /// Decides what the end of the client's side means. Unless it is [`InputEnd::Told`], `waker` is woken when the
    /// decision may change.
    pub(super) fn input_end(&self, waker: &Waker) -> InputEnd {
        let mut state = self.state.lock();
        self.has_ended.store(true, Ordering::Release);
        // An interim answer is the only way to find out whether the client has disconnected, and HTTP/1.0 has none.
        if state.requests == 0 || state.version != Some(Version::HTTP_11) || state.drains > 0 {
            return InputEnd::Told;
        }
        if state.unread > 0 && state.is_starved {
            return InputEnd::Told;
        }
        state.end_waker = Some(waker.clone());
        if state.unread > 0 { InputEnd::Held } else { InputEnd::HalfClosed }
    }

    /// Checks the timeouts at `now`.
    pub(super) fn timeout_status(&self, limits: &ConnectionLimits, now: Instant) -> TimeoutStatus {
        let state = self.state.lock();
        // Whatever begins after this check cannot time out before then.
        let soonest = now + limits.shortest();
        if state.requests == 0
            && let Some(since) = state.blocked_since
        {
            let due = since + limits.write_timeout;
            return if due <= now { TimeoutStatus::AllStalled } else { TimeoutStatus::WithinLimits(due.min(soonest)) };
        }
        if state.requests == 0 {
            let due = match (state.version, state.reading_since) {
                (None, _) => state.quiet_since + limits.header_timeout,
                // Frames of HTTP/2 that belong to no request come at any time.
                (Some(version), Some(since)) if version < Version::HTTP_2 => since + limits.header_timeout,
                (Some(_), _) => state.quiet_since + limits.idle_timeout,
            };
            return if due <= now { TimeoutStatus::Idle } else { TimeoutStatus::WithinLimits(due.min(soonest)) };
        }
        let mut next = soonest;
        let mut stalled = 0;
        for (_, since) in &state.answers {
            let due = *since + limits.write_timeout;
            if due <= now {
                stalled += 1;
            } else {
                next = next.min(due);
            }
        }
        match stalled {
            0 => TimeoutStatus::WithinLimits(next),
            stalled if stalled == state.requests => TimeoutStatus::AllStalled,
            _ => TimeoutStatus::SomeStalled(next),
        }
    }

    /// The connection's place in the order of eviction; `None` while one of its requests is being worked on, or after
    /// its end. Connections without a request come first, then those whose requests all wait for their client.
    pub(super) fn eviction_order(&self) -> Option<EvictionOrder> {
        if self.lingers() {
            return None;
        }
        let state = self.state.lock();
        // The larger of the two: a request that drains its body may be writing its answer at the same time.
        let waiting = state.unread + state.answers.len().max(state.drains);
        let has_work = state.requests > 0 || state.blocked_since.is_some();
        let may_be_evicted = state.requests <= waiting || state.is_forced_to_close;
        may_be_evicted.then_some(EvictionOrder { has_work, quiet_since: state.quiet_since })
    }

    /// Returns true if the last request came over HTTP/2.
    pub(super) fn speaks_http2(&self) -> bool {
        self.state.lock().version == Some(Version::HTTP_2)
    }

    /// Number of requests whose body has not arrived in full.
    pub(super) fn unread(&self) -> usize {
        self.state.lock().unread
    }

    /// Ends the connection whatever it is doing.
    pub(super) fn force_close(&self) {
        self.state.lock().is_forced_to_close = true;
        self.eviction.notify_one();
    }

    /// Makes the end of the connection discard bytes that the client has not taken.
    pub(super) fn abort(&self) {
        self.is_aborted.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.is_aborted.load(Ordering::Relaxed)
    }

    /// Makes the end of the connection wait for the client's last bytes, so that the last answer arrives.
    pub(super) fn linger(&self) {
        self.lingers.store(true, Ordering::Relaxed);
    }

    pub(super) fn lingers(&self) -> bool {
        self.lingers.load(Ordering::Relaxed)
    }
}

impl ConnectionState {
    fn wake(&mut self) {
        if let Some(waker) = self.end_waker.take() {
            waker.wake();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use tokio::time::advance;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);
    const LIMITS: ConnectionLimits = ConnectionLimits {
        header_timeout: Duration::from_secs(30),
        idle_timeout: Duration::from_secs(90),
        write_timeout: Duration::from_secs(20),
        max_drain_bytes: 0,
    };

    fn begin() -> Activity {
        Activity::new(Instant::now())
    }

    fn timeout_status(activity: &Activity) -> TimeoutStatus {
        activity.timeout_status(&LIMITS, Instant::now())
    }

    /// Seconds until a timeout passes, checked whenever the status asks for it.
    async fn overdue_after(activity: &Activity) -> u64 {
        let began = Instant::now();
        while let TimeoutStatus::WithinLimits(next) = timeout_status(activity) {
            assert!(next > Instant::now(), "no busy loop");
            advance(next - Instant::now()).await;
        }
        began.elapsed().as_secs()
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_without_a_request_is_given_the_time_of_headers() {
        let activity = begin();
        activity.note_read();
        assert_eq!(overdue_after(&activity).await, 30);
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_between_requests_is_given_the_idle_time_until_the_next_begins_to_come() {
        let activity = begin();
        for version in [Version::HTTP_10, Version::HTTP_11, Version::HTTP_2] {
            activity.begin_request(version, false);
            activity.end_request();
            assert_eq!(overdue_after(&activity).await, 90, "{version:?}");
        }
        for (version, seconds) in [(Version::HTTP_11, 30), (Version::HTTP_2, 80)] {
            activity.begin_request(version, false);
            activity.end_request();
            advance(10 * SECOND).await;
            activity.note_read();
            assert_eq!(overdue_after(&activity).await, seconds, "{version:?}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_gets_no_further_ends_the_connection() {
        let activity = begin();
        let request = activity.begin_request(Version::HTTP_2, false);
        advance(1_000 * SECOND).await;
        assert!(
            matches!(timeout_status(&activity), TimeoutStatus::WithinLimits(_)),
            "requests have deadlines of their own"
        );
        activity.begin_answer(request);
        advance(19 * SECOND).await;
        activity.advance_answer(request);
        assert_eq!(overdue_after(&activity).await, 20);
        assert_eq!(timeout_status(&activity), TimeoutStatus::AllStalled);
        let other = activity.begin_request(Version::HTTP_2, false);
        assert!(matches!(timeout_status(&activity), TimeoutStatus::SomeStalled(_)), "others are given their time");
        activity.begin_answer(other);
        advance(20 * SECOND).await;
        assert_eq!(timeout_status(&activity), TimeoutStatus::AllStalled);
        activity.end_answer(request);
        activity.end_answer(other);
        assert!(matches!(timeout_status(&activity), TimeoutStatus::WithinLimits(_)));
    }

    #[tokio::test(start_paused = true)]
    async fn bytes_that_the_client_does_not_take_are_under_way_after_their_request() {
        let activity = begin();
        activity.begin_request(Version::HTTP_11, false);
        activity.note_blocked();
        activity.end_request();
        let mut closing = LIMITS;
        closing.close_soon();
        advance(15 * SECOND).await;
        activity.note_blocked();
        assert!(
            matches!(activity.timeout_status(&closing, Instant::now()), TimeoutStatus::WithinLimits(_)),
            "no limit of idle ones"
        );
        assert_eq!(overdue_after(&activity).await, 5);
        assert_eq!(timeout_status(&activity), TimeoutStatus::AllStalled);
        activity.note_written();
        activity.note_blocked();
        assert_eq!(overdue_after(&activity).await, 20, "it got further");
        activity.note_written();
        assert_eq!(overdue_after(&activity).await, 90, "idle from then on");
    }

    #[tokio::test(start_paused = true)]
    async fn those_whose_answer_waits_make_room_after_idle_ones() {
        let blocked = begin();
        blocked.begin_request(Version::HTTP_11, false);
        blocked.note_blocked();
        blocked.end_request();
        advance(SECOND).await;
        let young = begin();
        assert!(young.eviction_order() < blocked.eviction_order());
        blocked.note_written();
        advance(SECOND).await;
        assert!(begin().eviction_order() > blocked.eviction_order());
        blocked.linger();
        assert_eq!(blocked.eviction_order(), None, "it has ended");
    }

    #[tokio::test(start_paused = true)]
    async fn those_without_requests_make_room_first_and_those_at_work_never() {
        let idle = begin();
        advance(SECOND).await;
        let waits_for_body = begin();
        waits_for_body.begin_request(Version::HTTP_11, true);
        let works = begin();
        let request = works.begin_request(Version::HTTP_2, true);
        works.begin_request(Version::HTTP_2, true);
        advance(SECOND).await;
        let young = begin();
        assert!(idle.eviction_order() < young.eviction_order());
        assert!(young.eviction_order() < waits_for_body.eviction_order());
        assert!(works.eviction_order().is_some(), "both bodies are waited for");
        works.end_body();
        assert_eq!(works.eviction_order(), None);
        works.begin_answer(request);
        assert!(works.eviction_order().is_some(), "the client does not take its answer");
        works.end_body();
        works.force_close();
        assert!(works.eviction_order().is_some());
    }

    #[tokio::test]
    async fn the_end_of_the_clients_side_waits_for_what_it_sent_before() {
        let activity = begin();
        let waker = Waker::noop();
        assert_eq!(activity.input_end(waker), InputEnd::Told, "no request");
        activity.begin_request(Version::HTTP_11, true);
        assert_eq!(activity.input_end(waker), InputEnd::Held, "the body may be here and not yet looked at");
        activity.end_body();
        assert_eq!(activity.input_end(waker), InputEnd::HalfClosed, "it may wait for its answer");
        activity.end_request();
        assert_eq!(activity.input_end(waker), InputEnd::Told, "it has its answer");
        activity.begin_request(Version::HTTP_11, true);
        activity.body_pending();
        assert_eq!(activity.input_end(waker), InputEnd::Told, "the body was cut off");
        let old = begin();
        old.begin_request(Version::HTTP_10, false);
        assert_eq!(old.input_end(waker), InputEnd::Told);
    }
}
