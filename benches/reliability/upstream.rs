//! A fast provider that is known by heart: scores by a hash, takes a fixed time, bears so many calls at once and refuses more.

use std::borrow::Cow;
use std::collections::HashSet;
use std::convert::Infallible;
use std::fmt::Write;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use serde::Deserialize;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::sleep;

use crate::workload::{pair, score};

/// A running provider. Ends when dropped, with all its connections.
pub(crate) struct Mock {
    address: SocketAddr,
    state: Arc<State>,
    running: JoinHandle<()>,
}

/// What it is like.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Nature {
    /// What every score depends on besides query and passage.
    pub(crate) name: &'static str,
    /// How long every answer takes.
    pub(crate) latency: Duration,
    /// How many calls it bears at once; more are answered with 503 at once.
    pub(crate) places: usize,
    /// Whether it remembers which pairs it was asked for. Takes memory without end.
    pub(crate) remembers: bool,
}

/// What has happened so far.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Counts {
    /// Calls read to their end.
    pub(crate) requests: usize,
    /// Calls that were one too many.
    pub(crate) refused: usize,
    /// Pairs that were scored…
    pub(crate) documents: usize,
    /// …and how many different ones, if it remembers.
    pub(crate) distinct: usize,
}

struct State {
    nature: Nature,
    places: Semaphore,
    /// The status of every answer; with 200 come scores.
    status: AtomicU16,
    requests: AtomicUsize,
    refused: AtomicUsize,
    documents: AtomicUsize,
    pairs: Mutex<HashSet<u64>>,
}

#[derive(Deserialize)]
struct Asked<'a> {
    #[serde(borrow)]
    query: Cow<'a, str>,
    #[serde(borrow)]
    documents: Vec<Cow<'a, str>>,
}

impl Nature {
    /// A provider that bears whatever comes.
    pub(crate) fn of(name: &'static str, latency: Duration) -> Self {
        Self { name, latency, places: Semaphore::MAX_PERMITS, remembers: true }
    }
}

impl Mock {
    pub(crate) async fn start(nature: Nature) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            nature,
            places: Semaphore::new(nature.places),
            status: AtomicU16::new(200),
            requests: AtomicUsize::default(),
            refused: AtomicUsize::default(),
            documents: AtomicUsize::default(),
            pairs: Mutex::default(),
        });
        let running = tokio::spawn(accept(listener, state.clone()));
        Self { address, state, running }
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Answers everything with this status from now on.
    pub(crate) fn answer_with(&self, status: u16) {
        self.state.status.store(status, Ordering::Relaxed);
    }

    pub(crate) fn counts(&self) -> Counts {
        let count = |counter: &AtomicUsize| counter.load(Ordering::Relaxed);
        let State { requests, refused, documents, pairs, .. } = &*self.state;
        let distinct = pairs.lock().unwrap().len();
        Counts { requests: count(requests), refused: count(refused), documents: count(documents), distinct }
    }
}

impl Drop for Mock {
    fn drop(&mut self) {
        self.running.abort();
    }
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    let mut connections = JoinSet::new(); // dropped with this task, which ends them
    loop {
        tokio::select! {
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    connections.spawn(serve(stream, state.clone()));
                }
            }
            Some(_) = connections.join_next() => {}
        }
    }
}

async fn serve(stream: TcpStream, state: Arc<State>) {
    drop(stream.set_nodelay(true));
    let service = service_fn(|request| {
        let state = state.clone();
        async move { Ok::<_, Infallible>(state.answer(request).await) }
    });
    drop(http1::Builder::new().serve_connection(TokioIo::new(stream), service).await);
}

impl State {
    async fn answer(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let Ok(body) = request.into_body().collect().await else { return respond(400, "") };
        let body = body.to_bytes();
        self.requests.fetch_add(1, Ordering::Relaxed);
        let status = self.status.load(Ordering::Relaxed);
        if status != 200 {
            return respond(status, r#"{"message": "a bad day"}"#);
        }
        let Ok(_place) = self.places.try_acquire() else {
            self.refused.fetch_add(1, Ordering::Relaxed);
            return respond(503, r#"{"message": "too many at once"}"#);
        };
        let Ok(asked) = serde_json::from_slice::<Asked<'_>>(&body) else { return respond(400, "") };
        sleep(self.nature.latency).await;
        self.count(&asked);
        respond(200, self.scores(&asked))
    }

    fn count(&self, asked: &Asked<'_>) {
        self.documents.fetch_add(asked.documents.len(), Ordering::Relaxed);
        if self.nature.remembers {
            let pair = |document| pair(self.nature.name, &asked.query, document);
            self.pairs.lock().unwrap().extend(asked.documents.iter().map(|document| pair(document)));
        }
    }

    /// What Cohere and Jina have in common.
    fn scores(&self, asked: &Asked<'_>) -> String {
        let mut answer = String::from(r#"{"results":["#);
        for (index, document) in asked.documents.iter().enumerate() {
            let comma = if index > 0 { "," } else { "" };
            let score = score(self.nature.name, &asked.query, document);
            write!(answer, r#"{comma}{{"index":{index},"relevance_score":0.{score:06}}}"#).unwrap();
        }
        answer + "]}"
    }
}

fn respond(status: u16, body: impl Into<Bytes>) -> Response<Full<Bytes>> {
    let response = Response::builder().status(status).header("content-type", "application/json");
    response.body(Full::new(body.into())).unwrap()
}
