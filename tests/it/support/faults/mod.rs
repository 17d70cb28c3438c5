//! A proxy that stands between a client and a provider and does to their exchanges what a script says: nothing, delays,
//! lies, broken connections, silence.
//!
//! The client's side is raw bytes over TCP, so that every misbehaviour is possible; the provider's side is a
//! well-behaved HTTP client. All chance comes from one seed, in the order in which requests arrive, so that a run can
//! be repeated. This folder depends on nothing else of the tests: a benchmark includes it by its path.

mod answer;
mod door;
mod exchange;
mod fault;
mod scores;
mod timeline;
mod wire;

use std::future::{pending, poll_fn};
use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use tokio::io::AsyncReadExt;
use tokio::net::TcpStream;
use tokio::net::tcp::ReadHalf;
use tokio::sync::{Notify, watch};
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::{Instant, sleep, sleep_until, timeout};

use door::Door;
use exchange::{After, Place, exchange};
use timeline::Timeline;
use wire::{Forwarder, read_request};

pub(crate) use fault::{Fault, RetryAfter, ScoreFault};
pub(crate) use timeline::Script;

/// Longest wait for something that a test expects.
const PATIENCE: Duration = Duration::from_secs(20);

/// Rest after a connection that could not be accepted: there are too many, and some may be closed meanwhile.
const PAUSE: Duration = Duration::from_millis(10);

/// A running proxy. Ends when dropped, with all its connections.
pub(crate) struct FaultProxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: JoinHandle<()>,
}

/// Counts of events since the proxy was started.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Counts {
    /// Connections accepted.
    pub(crate) connections: usize,
    /// Requests read to their end.
    pub(crate) requests: usize,
    /// Of these, how many the upstream was asked.
    pub(crate) forwarded: usize,
    /// Clients that left, or shut their side, before they had the whole answer that was meant for them.
    pub(crate) disconnects: usize,
}

struct Shared {
    upstream: SocketAddr,
    seed: u64,
    state: Mutex<State>,
    /// The script moved on: what the accepting task waits for may be something else now.
    moved: Notify,
    /// Told whenever the door is shut.
    shut: watch::Sender<()>,
    counts: watch::Sender<Counts>,
}

struct State {
    timeline: Timeline,
    door: Door,
}

impl FaultProxy {
    /// A proxy on a free port of the loopback address, in front of `upstream`.
    ///
    /// # Errors
    /// No port can be had.
    #[expect(clippy::unused_async, reason = "it needs a runtime, which a function that is awaited is sure to be in")]
    pub(crate) async fn start(upstream: SocketAddr, seed: u64, script: Script) -> io::Result<Self> {
        let door = Door::open()?;
        let address = door.address();
        let timeline = Timeline::new(script, seed, Instant::now());
        let shared = Arc::new(Shared {
            upstream,
            seed,
            state: Mutex::new(State { timeline, door }),
            moved: Notify::new(),
            shut: watch::Sender::default(),
            counts: watch::Sender::default(),
        });
        shared.timeline(|_, _| ()); // a script may begin with a door that is shut
        let running = tokio::spawn(accept(shared.clone()));
        Ok(Self { address, shared, running })
    }

    /// The base URL.
    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Begins this script, with its clock, its count and the seed's first number. Exchanges under way end as they
    /// began.
    pub(crate) fn set(&self, script: Script) {
        self.shared.timeline(|timeline, now| *timeline = Timeline::new(script, self.shared.seed, now));
    }

    pub(crate) fn counts(&self) -> Counts {
        *self.shared.counts.borrow()
    }

    /// Waits until this many requests have arrived.
    pub(crate) async fn wait_for_requests(&self, count: usize) {
        self.wait("requests", |counts| counts.requests >= count).await;
    }

    /// Waits until this many clients have left.
    pub(crate) async fn wait_for_disconnects(&self, count: usize) {
        self.wait("disconnects", |counts| counts.disconnects >= count).await;
    }

    async fn wait(&self, what: &str, reached: impl Fn(&Counts) -> bool) {
        let mut counts = self.shared.counts.subscribe();
        let waited = timeout(PATIENCE, counts.wait_for(|counts| reached(counts))).await.is_ok();
        assert!(waited, "waited in vain for {what}: {:?}", self.counts());
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.running.abort();
    }
}

impl Shared {
    /// Acts on the timeline, then turns the door and wakes waiting tasks as the timeline says.
    fn timeline<T>(&self, act: impl FnOnce(&mut Timeline, Instant) -> T) -> T {
        let now = Instant::now();
        let mut state = self.state();
        let end = state.timeline.ends_at();
        let result = act(&mut state.timeline, now);
        let refuse = state.timeline.fault(now).refuses();
        let turned = state.door.turn(refuse);
        if turned && refuse {
            self.shut.send_replace(());
        }
        if turned || end != state.timeline.ends_at() {
            self.moved.notify_one();
        }
        result
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, change: impl FnOnce(&mut Counts)) {
        self.counts.send_modify(change);
    }
}

/// Takes connections for as long as the door is open, and keeps the door to the script's time.
async fn accept(shared: Arc<Shared>) {
    let mut connections = JoinSet::new(); // dropped with this task, which ends them
    loop {
        let phase_end = shared.timeline(|timeline, _| timeline.ends_at());
        tokio::select! {
            accepted = poll_fn(|context| shared.state().door.poll_accept(context)) => {
                match accepted {
                    Ok(stream) => {
                        shared.count(|counts| counts.connections += 1);
                        connections.spawn(serve(shared.clone(), stream, shared.shut.subscribe()));
                    }
                    Err(_) => sleep(PAUSE).await,
                }
            }
            () = until(phase_end) => {}
            () = shared.moved.notified() => {}
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn until(time: Option<Instant>) {
    match time {
        Some(time) => sleep_until(time).await,
        None => pending().await,
    }
}

/// Serves one connection until it is closed, by whomever.
async fn serve(shared: Arc<Shared>, mut stream: TcpStream, mut shut: watch::Receiver<()>) {
    drop(stream.set_nodelay(true)); // bytes leave when a fault says so
    let mut forwarder = Forwarder::new(shared.upstream);
    let (mut read, mut write) = stream.split();
    let mut buffer = BytesMut::new();
    let mut first = true;
    loop {
        let request = tokio::select! {
            request = read_request(&mut read, &mut buffer) => request,
            _ = shut.changed() => return,
        };
        let Ok(Some(request)) = request else { return };
        let draw = shared.timeline(Timeline::draw);
        shared.count(|counts| counts.requests += 1);
        let half_closes = draw.fault == Fault::HalfClose;
        let place = Place { client: &mut write, forwarder: &mut forwarder, first };
        let done = tokio::select! {
            biased; // an answer that was given in full is one, even to a client that left with it
            done = exchange(draw, request, place, || shared.count(|counts| counts.forwarded += 1)) => done.ok(),
            () = left(&mut read, &mut buffer) => None,
        };
        match done {
            Some(After::KeepOpen) => first = false,
            Some(After::Close) => return,
            // Who is told that nothing will come is right to leave.
            None if half_closes => return,
            None => return shared.count(|counts| counts.disconnects += 1),
        }
    }
}

/// Returns when the client has closed its side. What it says until then is its next request's.
async fn left(client: &mut ReadHalf<'_>, buffer: &mut BytesMut) {
    while client.read_buf(buffer).await.is_ok_and(|bytes| bytes > 0) {}
}
