//! What goes on at one connection: who waits for whom, and since when.
//!
//! hyper has a time-out for HTTP/1 headers, which also ends idle connections, and none for anything else. This is told of every request, body and
//! answer, and of bytes that arrive between requests, and says when the connection has to end, and whether it may end in favour of another.

use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Waker;

use http::Version;
use parking_lot::Mutex;
use tokio::sync::Notify;
use tokio::time::Instant;

use super::limits::Limits;

/// The state of one connection, shared by its task, its stream and its requests.
#[derive(Debug)]
pub(super) struct Activity {
    state: Mutex<State>,
    /// Tells the connection's task to end it.
    pub(super) eviction: Notify,
    /// Whether anything was written since the last request began.
    has_written: AtomicBool,
    /// Whether the client has ended its side.
    has_ended: AtomicBool,
    is_aborted: AtomicBool,
    lingers: AtomicBool,
    /// Whether `State::blocked_since` is set: asked at every write, so without the lock.
    is_blocked: AtomicBool,
}

#[derive(Debug)]
struct State {
    version: Option<Version>,
    /// Number of the next request.
    next: u64,
    /// Requests under way, from the end of their headers to the end of their answer.
    requests: usize,
    /// Those whose body is not here yet.
    unread: usize,
    /// Bodies that nobody wants, whose rest is dropped as it comes.
    drains: usize,
    /// Answers that are being written: the request's number, and when the answer last got further.
    answers: Vec<(u64, Instant)>,
    /// When the connection was made, or its last request began or ended.
    quiet_since: Instant,
    /// When the first byte arrived after that.
    reading_since: Option<Instant>,
    /// Since when bytes wait for the client to take others. They may belong to an answer whose request is over.
    blocked_since: Option<Instant>,
    /// Whether whoever reads a body has found no more of it since the client ended its side.
    is_starved: bool,
    /// Whoever waits to tell hyper that the client has ended its side.
    end_waker: Option<Waker>,
    /// Whether the connection must end whatever goes on.
    is_forced_to_close: bool,
}

/// What the clock says of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Standing {
    /// Nothing is overdue before this instant.
    Good(Instant),
    /// No request is under way, and none came in time.
    Idle,
    /// Some answers are not taken by the client; others may yet be, until this instant.
    PartlyStuck(Instant),
    /// No answer is taken by the client, and nothing else goes on.
    Stuck,
}

/// What becomes of the end of the client's side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum InputEnd {
    /// hyper is told.
    Told,
    /// Whoever reads the body has to look first.
    Held,
    /// The client may still wait for its answer, or it may be gone.
    HalfClosed,
}

/// The order in which connections make room for others: the lowest first.
pub(super) type Rank = (bool, Instant);

impl Activity {
    pub(super) fn new(now: Instant) -> Self {
        let state = State {
            version: None,
            next: 0,
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

    /// A request's headers are here. The number of the request.
    pub(super) fn begin_request(&self, version: Version, has_body: bool) -> u64 {
        self.has_written.store(false, Ordering::Relaxed);
        let mut state = self.state.lock();
        state.version = Some(version);
        state.requests += 1;
        state.unread += usize::from(has_body);
        state.quiet_since = Instant::now();
        state.reading_since = None;
        state.is_starved = false;
        state.next += 1;
        state.next
    }

    /// The request is over: its answer was handed to the connection, or it was given up.
    pub(super) fn end_request(&self) {
        let mut state = self.state.lock();
        state.requests = state.requests.saturating_sub(1);
        if state.requests == 0 {
            state.quiet_since = Instant::now();
            state.reading_since = None;
        }
        state.wake();
    }

    /// A request's body is here in full, or nobody wants it any more.
    pub(super) fn end_body(&self) {
        let mut state = self.state.lock();
        state.unread = state.unread.saturating_sub(1);
        state.wake();
    }

    /// Whoever reads a body waits for more.
    pub(super) fn body_pending(&self) {
        if self.has_ended.load(Ordering::Acquire) {
            let mut state = self.state.lock();
            state.is_starved = true;
            state.wake();
        }
    }

    /// The rest of a body will be dropped as it comes.
    pub(super) fn begin_drain(&self) {
        let mut state = self.state.lock();
        state.drains += 1;
        state.wake();
    }

    pub(super) fn end_drain(&self) {
        self.state.lock().drains -= 1;
    }

    /// A request's answer begins to be written.
    pub(super) fn begin_answer(&self, request: u64) {
        self.state.lock().answers.push((request, Instant::now()));
    }

    /// A piece of the answer was taken.
    pub(super) fn advance_answer(&self, request: u64) {
        let mut state = self.state.lock();
        if let Some((_, since)) = state.answers.iter_mut().find(|(number, _)| *number == request) {
            *since = Instant::now();
        }
    }

    pub(super) fn end_answer(&self, request: u64) {
        self.state.lock().answers.retain(|(number, _)| *number != request);
    }

    /// Bytes arrived.
    pub(super) fn note_read(&self) {
        let mut state = self.state.lock();
        if state.requests == 0 && state.reading_since.is_none() {
            state.reading_since = Some(Instant::now());
        }
    }

    /// Bytes are being written.
    pub(super) fn note_write(&self) {
        self.has_written.store(true, Ordering::Relaxed);
    }

    /// Bytes cannot be written before the client takes others.
    pub(super) fn note_blocked(&self) {
        if !self.is_blocked.swap(true, Ordering::Relaxed) {
            self.state.lock().blocked_since = Some(Instant::now());
        }
    }

    /// Bytes were written.
    pub(super) fn note_written(&self) {
        if self.is_blocked.load(Ordering::Relaxed) {
            let mut state = self.state.lock();
            self.is_blocked.store(false, Ordering::Relaxed);
            state.blocked_since = None;
            if state.requests == 0 {
                state.quiet_since = Instant::now();
                state.reading_since = state.reading_since.map(|_| state.quiet_since);
            }
        }
    }

    /// The connection was told to close: what is idle is so from now on.
    pub(super) fn begin_close(&self) {
        let mut state = self.state.lock();
        state.quiet_since = Instant::now();
        state.reading_since = None;
    }

    /// Whether anything was written since the last request began.
    pub(super) fn has_written(&self) -> bool {
        self.has_written.load(Ordering::Relaxed)
    }

    /// The client has ended its side: what to make of it. Unless hyper is to be told, `waker` is woken when it is time to ask again.
    pub(super) fn input_end(&self, waker: &Waker) -> InputEnd {
        let mut state = self.state.lock();
        self.has_ended.store(true, Ordering::Release);
        // Clients of HTTP/1.0 know no interim answer, by which alone those that are gone can be found out.
        if state.requests == 0 || state.version != Some(Version::HTTP_11) || state.drains > 0 {
            return InputEnd::Told;
        }
        if state.unread > 0 && state.is_starved {
            return InputEnd::Told;
        }
        state.end_waker = Some(waker.clone());
        if state.unread > 0 { InputEnd::Held } else { InputEnd::HalfClosed }
    }

    /// What the clock says.
    pub(super) fn standing(&self, limits: &Limits, now: Instant) -> Standing {
        let state = self.state.lock();
        let soonest = now + limits.shortest();
        if state.requests == 0
            && let Some(since) = state.blocked_since
        {
            let due = since + limits.write_timeout;
            return if due <= now { Standing::Stuck } else { Standing::Good(due.min(soonest)) };
        }
        if state.requests == 0 {
            let due = match (state.version, state.reading_since) {
                (None, _) => state.quiet_since + limits.header_timeout,
                // Frames of HTTP/2 that belong to no request come at any time.
                (Some(version), Some(since)) if version < Version::HTTP_2 => since + limits.header_timeout,
                (Some(_), _) => state.quiet_since + limits.idle_timeout,
            };
            return if due <= now { Standing::Idle } else { Standing::Good(due.min(soonest)) };
        }
        let mut next = soonest;
        let mut stuck = 0;
        for (_, since) in &state.answers {
            let due = *since + limits.write_timeout;
            if due <= now {
                stuck += 1;
            } else {
                next = next.min(due);
            }
        }
        match stuck {
            0 => Standing::Good(next),
            stuck if stuck == state.requests => Standing::Stuck,
            _ => Standing::PartlyStuck(next),
        }
    }

    /// When the connection's turn is to make room for another; `None` while a request of it is being worked on, or where it has ended already.
    /// First go those without a request, then those whose requests or answers all wait for their client.
    pub(super) fn rank(&self) -> Option<Rank> {
        if self.lingers() {
            return None;
        }
        let state = self.state.lock();
        let waiting = state.unread + state.answers.len().max(state.drains);
        let is_waiting = state.requests > 0 || state.blocked_since.is_some();
        (state.requests <= waiting || state.is_forced_to_close).then_some((is_waiting, state.quiet_since))
    }

    /// Whether a request came over HTTP/2.
    pub(super) fn speaks_http2(&self) -> bool {
        self.state.lock().version == Some(Version::HTTP_2)
    }

    /// Requests whose body is not here yet.
    pub(super) fn unread(&self) -> usize {
        self.state.lock().unread
    }

    /// Ends the connection whatever goes on.
    pub(super) fn force_close(&self) {
        self.state.lock().is_forced_to_close = true;
        self.eviction.notify_one();
    }

    /// What was written and not yet taken is to be dropped with the connection.
    pub(super) fn abort(&self) {
        self.is_aborted.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_aborted(&self) -> bool {
        self.is_aborted.load(Ordering::Relaxed)
    }

    /// What the client still sends is to be read and dropped before the connection is, so that the last answer arrives.
    pub(super) fn linger(&self) {
        self.lingers.store(true, Ordering::Relaxed);
    }

    pub(super) fn lingers(&self) -> bool {
        self.lingers.load(Ordering::Relaxed)
    }
}

impl State {
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
    const LIMITS: Limits = Limits {
        header_timeout: Duration::from_secs(30),
        idle_timeout: Duration::from_secs(90),
        write_timeout: Duration::from_secs(20),
        max_drain_bytes: 0,
    };

    fn begin() -> Activity {
        Activity::new(Instant::now())
    }

    fn standing(activity: &Activity) -> Standing {
        activity.standing(&LIMITS, Instant::now())
    }

    /// Seconds until the connection is overdue, looked at whenever it asks to be.
    async fn overdue_after(activity: &Activity) -> u64 {
        let began = Instant::now();
        while let Standing::Good(next) = standing(activity) {
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
        assert!(matches!(standing(&activity), Standing::Good(_)), "requests have deadlines of their own");
        activity.begin_answer(request);
        advance(19 * SECOND).await;
        activity.advance_answer(request);
        assert_eq!(overdue_after(&activity).await, 20);
        assert_eq!(standing(&activity), Standing::Stuck);
        let other = activity.begin_request(Version::HTTP_2, false);
        assert!(matches!(standing(&activity), Standing::PartlyStuck(_)), "others are given their time");
        activity.begin_answer(other);
        advance(20 * SECOND).await;
        assert_eq!(standing(&activity), Standing::Stuck);
        activity.end_answer(request);
        activity.end_answer(other);
        assert!(matches!(standing(&activity), Standing::Good(_)));
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
        assert!(matches!(activity.standing(&closing, Instant::now()), Standing::Good(_)), "no limit of idle ones");
        assert_eq!(overdue_after(&activity).await, 5);
        assert_eq!(standing(&activity), Standing::Stuck);
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
        assert!(young.rank() < blocked.rank());
        blocked.note_written();
        advance(SECOND).await;
        assert!(begin().rank() > blocked.rank());
        blocked.linger();
        assert_eq!(blocked.rank(), None, "it has ended");
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
        assert!(idle.rank() < young.rank());
        assert!(young.rank() < waits_for_body.rank());
        assert!(works.rank().is_some(), "both bodies are waited for");
        works.end_body();
        assert_eq!(works.rank(), None);
        works.begin_answer(request);
        assert!(works.rank().is_some(), "the client does not take its answer");
        works.end_body();
        works.force_close();
        assert!(works.rank().is_some());
    }

    #[tokio::test]
    async fn the_end_of_the_clients_side_waits_for_what_it_sent_before() {
        let (activity, waker) = (begin(), Waker::noop());
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
