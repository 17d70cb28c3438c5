//! An upstream that does as it is told: scores by a hash, or fails in a scripted way; holds replies behind a gate.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use http::{HeaderMap, Request, Response, StatusCode};
use http_body_util::combinators::BoxBody;
use http_body_util::{BodyExt, Full, StreamBody};
use hyper::body::{Frame, Incoming};
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Decides if a call is refused.
type Refuses = dyn Fn(&Recorded) -> bool + Send + Sync;
type Body = BoxBody<Bytes, std::io::Error>;

/// Reply of the upstream to one call.
#[derive(Clone, Debug)]
pub(crate) enum Reply {
    /// Scores every passage rightly, in the shape of its provider.
    Score,
    /// Answers with this status, these headers and this body.
    Status(u16, Vec<(&'static str, String)>, String),
    /// Closes the connection without an answer.
    Close,
    /// Announces a whole answer, sends half of it and closes the connection.
    Truncate,
    /// Never answers.
    Hang,
    /// Sends bytes without end.
    Endless,
}

impl Reply {
    pub(crate) fn status(status: u16) -> Self {
        Self::Status(status, Vec::new(), json!({ "message": format!("told to answer {status}") }).to_string())
    }

    /// A refusal that no smaller call would mend.
    pub(crate) fn rejected() -> Self {
        Self::Status(400, Vec::new(), json!({ "message": "this model is not for you" }).to_string())
    }

    pub(crate) fn status_after(status: u16, name: &'static str, value: &str) -> Self {
        Self::Status(status, vec![(name, value.to_owned())], json!({ "message": "wait" }).to_string())
    }

    pub(crate) fn body(body: impl Into<String>) -> Self {
        Self::Status(200, Vec::new(), body.into())
    }
}

/// Reply to a call of this query and these passages; `None` leaves it to the other settings.
type Rule = Box<dyn Fn(&str, &[String]) -> Option<Reply> + Send + Sync>;

/// One call as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) path: String,
    pub(crate) path_and_query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) text: String,
    pub(crate) body: Value,
}

impl Recorded {
    /// The passages of the call, whatever the provider calls them.
    pub(crate) fn passages(&self) -> Vec<String> {
        passages(&self.body)
    }

    /// The query of the call.
    pub(crate) fn query(&self) -> &str {
        self.body["query"].as_str().unwrap()
    }
}

pub(crate) struct FakeUpstream {
    address: SocketAddr,
    state: Arc<State>,
    running: JoinHandle<()>,
}

struct State {
    provider: String,
    script: Mutex<VecDeque<Reply>>,
    /// Reply once the script is at its end; `None` scores.
    always: Mutex<Option<Reply>>,
    /// Rule that is asked once the script is at its end.
    rule: Mutex<Option<Rule>>,
    delay: Mutex<Duration>,
    /// Calls with more bytes of passages than this are refused as too large.
    most_bytes: Mutex<Option<usize>>,
    /// Calls with more passages than this are refused as too many.
    most_passages: Mutex<Option<usize>>,
    /// Calls that are refused, and how.
    refusal: Mutex<Option<(Box<Refuses>, Reply)>>,
    recorded: Mutex<Vec<Recorded>>,
    arrivals: watch::Sender<usize>,
    /// Calls whose client went away before the answer.
    departures: watch::Sender<usize>,
    open: watch::Sender<bool>,
    connections: AtomicUsize,
}

impl FakeUpstream {
    /// An upstream that speaks like `provider` and scores until told otherwise.
    pub(crate) async fn start(provider: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            provider: provider.to_owned(),
            script: Mutex::default(),
            always: Mutex::default(),
            rule: Mutex::default(),
            delay: Mutex::default(),
            most_bytes: Mutex::default(),
            most_passages: Mutex::default(),
            refusal: Mutex::default(),
            recorded: Mutex::default(),
            arrivals: watch::Sender::new(0),
            departures: watch::Sender::new(0),
            open: watch::Sender::new(true),
            connections: AtomicUsize::new(0),
        });
        let running = tokio::spawn(accept(listener, state.clone()));
        Self { address, state, running }
    }

    /// An upstream that does `replies` in turn, and scores after that.
    pub(crate) async fn scripted(provider: &str, replies: impl IntoIterator<Item = Reply>) -> Self {
        let upstream = Self::start(provider).await;
        upstream.then(replies);
        upstream
    }

    /// Adds to the script.
    pub(crate) fn then(&self, replies: impl IntoIterator<Item = Reply>) {
        self.state.script.lock().unwrap().extend(replies);
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    /// Sets the reply for whenever the script is at its end; `None` scores.
    pub(crate) fn answer_always(&self, reply: Option<Reply>) {
        *self.state.always.lock().unwrap() = reply;
    }

    /// Replies by this rule from now on, whenever the script is at its end and the rule returns a reply.
    pub(crate) fn answer_by(&self, rule: impl Fn(&str, &[String]) -> Option<Reply> + Send + Sync + 'static) {
        *self.state.rule.lock().unwrap() = Some(Box::new(rule));
    }

    /// Takes this long for every answer from now on.
    pub(crate) fn answer_late(&self, delay: Duration) {
        *self.state.delay.lock().unwrap() = delay;
    }

    /// Refuses calls with more bytes of passages as too large from now on.
    pub(crate) fn refuse_over(&self, bytes: usize) {
        *self.state.most_bytes.lock().unwrap() = Some(bytes);
    }

    /// Refuses calls with more passages as too many from now on.
    pub(crate) fn refuse_more_than(&self, passages: usize) {
        *self.state.most_passages.lock().unwrap() = Some(passages);
    }

    /// Refuses calls so from now on.
    pub(crate) fn refuse_if(&self, refuses: impl Fn(&Recorded) -> bool + Send + Sync + 'static, reply: Reply) {
        *self.state.refusal.lock().unwrap() = Some((Box::new(refuses), reply));
    }

    /// Takes calls of every size from now on.
    pub(crate) fn refuse_nothing(&self) {
        *self.state.most_bytes.lock().unwrap() = None;
        *self.state.most_passages.lock().unwrap() = None;
        *self.state.refusal.lock().unwrap() = None;
    }

    pub(crate) fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Every call so far.
    pub(crate) fn calls(&self) -> Vec<Recorded> {
        self.state.recorded.lock().unwrap().clone()
    }

    /// The passages of every call so far, in the order of the calls.
    pub(crate) fn passages(&self) -> Vec<String> {
        self.calls().iter().flat_map(Recorded::passages).collect()
    }

    /// Keeps every answer back from now on.
    pub(crate) fn hold(&self) {
        self.state.open.send_replace(false);
    }

    /// Lets answers go.
    pub(crate) fn release(&self) {
        self.state.open.send_replace(true);
    }

    /// Waits until this many calls have arrived.
    pub(crate) async fn wait_for_arrivals(&self, count: usize) {
        wait(&self.state.arrivals, count).await;
    }

    /// Waits until this many calls were given up by their client.
    pub(crate) async fn wait_for_departures(&self, count: usize) {
        wait(&self.state.departures, count).await;
    }

    /// Number of connections made.
    pub(crate) fn connections(&self) -> usize {
        self.state.connections.load(Ordering::Relaxed)
    }

    /// Number of scripted replies that are not used yet.
    pub(crate) fn unused(&self) -> usize {
        self.state.script.lock().unwrap().len()
    }
}

impl Drop for FakeUpstream {
    fn drop(&mut self) {
        self.running.abort();
        if !std::thread::panicking() {
            assert_eq!(self.unused(), 0, "scripted replies that were never called for");
        }
    }
}

async fn wait(counter: &watch::Sender<usize>, count: usize) {
    let mut counter = counter.subscribe();
    let reached = counter.wait_for(|reached| *reached >= count);
    tokio::time::timeout(Duration::from_secs(20), reached).await.expect("waited in vain").unwrap();
}

async fn accept(listener: TcpListener, state: Arc<State>) {
    loop {
        let (stream, _) = listener.accept().await.unwrap();
        state.connections.fetch_add(1, Ordering::Relaxed);
        let state = state.clone();
        tokio::spawn(async move {
            let service = service_fn(move |request| answer(state.clone(), request));
            let http = auto::Builder::new(TokioExecutor::new());
            drop(http.serve_connection(TokioIo::new(stream), service).await);
        });
    }
}

async fn answer(state: Arc<State>, request: Request<Incoming>) -> Result<Response<Body>, std::io::Error> {
    let (parts, body) = request.into_parts();
    let text = String::from_utf8(body.collect().await.map_err(std::io::Error::other)?.to_bytes().to_vec()).unwrap();
    let body: Value = serde_json::from_str(&text).unwrap();
    let path_and_query = parts.uri.path_and_query().unwrap().to_string();
    let path = parts.uri.path().to_owned();
    let recorded = Recorded { path, path_and_query, headers: parts.headers, text, body: body.clone() };
    let refused = state
        .refusal
        .lock()
        .unwrap()
        .as_ref()
        .filter(|(refuses, _)| refuses(&recorded))
        .map(|(_, reply)| reply.clone());
    state.recorded.lock().unwrap().push(recorded);
    let scripted = state.script.lock().unwrap().pop_front();
    let ruled = || state.rule.lock().unwrap().as_ref()?(body["query"].as_str().unwrap(), &passages(&body));
    let scripted = scripted.or_else(ruled);
    let size: usize = passages(&body).iter().map(String::len).sum();
    let too_large = state.most_bytes.lock().unwrap().is_some_and(|most| size > most);
    let scripted = scripted.or(refused).or_else(|| too_large.then(|| Reply::status(413)));
    let too_many = state.most_passages.lock().unwrap().is_some_and(|most| passages(&body).len() > most);
    let refusal = || Reply::Status(400, Vec::new(), json!({ "message": "too many documents" }).to_string());
    let scripted = scripted.or_else(|| too_many.then(refusal));
    let reply = scripted.or_else(|| state.always.lock().unwrap().clone()).unwrap_or(Reply::Score);
    state.arrivals.send_modify(|count| *count += 1);
    let mut departure = Departure(Some(&state));
    drop(state.open.subscribe().wait_for(|open| *open).await);
    let delay = *state.delay.lock().unwrap();
    if !delay.is_zero() {
        tokio::time::sleep(delay).await;
    }
    let result = match reply {
        Reply::Score => {
            let scored = Bytes::from(score(&state.provider, &body));
            Ok(respond(200, &[("x-compute-tokens", "17".to_owned())], full(scored)))
        }
        Reply::Status(status, headers, body) => Ok(respond(status, &headers, full(body.into()))),
        Reply::Close => Err(std::io::Error::other("told to close")),
        Reply::Truncate => {
            let scored = Bytes::from(score(&state.provider, &body));
            let half = scored.slice(..scored.len() / 2);
            let frames = [Ok(Frame::data(half)), Err(std::io::Error::other("told to stop"))];
            Ok(respond(
                200,
                &[("content-length", scored.len().to_string())],
                stream(futures_util::stream::iter(frames)),
            ))
        }
        Reply::Hang => std::future::pending().await,
        Reply::Endless => {
            let spaces = futures_util::stream::repeat_with(|| Ok(Frame::data(Bytes::from_static(&[b' '; 8192]))));
            Ok(respond(200, &[], stream(spaces)))
        }
    };
    departure.0 = None;
    result
}

/// Counts a call whose client left while it was being answered: then this is dropped with the call.
struct Departure<'a>(Option<&'a State>);

impl Drop for Departure<'_> {
    fn drop(&mut self) {
        if let Some(state) = self.0 {
            state.departures.send_modify(|count| *count += 1);
        }
    }
}

fn respond(status: u16, headers: &[(&str, String)], body: Body) -> Response<Body> {
    let mut response = Response::builder().status(StatusCode::from_u16(status).unwrap());
    for (name, value) in headers {
        response = response.header(*name, value);
    }
    response.body(body).unwrap()
}

fn full(bytes: Bytes) -> Body {
    Full::new(bytes).map_err(|never: Infallible| match never {}).boxed()
}

fn stream(
    frames: impl futures_util::Stream<Item = Result<Frame<Bytes>, std::io::Error>> + Send + Sync + 'static,
) -> Body {
    BodyExt::boxed(StreamBody::new(frames))
}

/// The score that every fake upstream gives: a number between 0 and 1 that depends on query and passage alone.
pub(crate) fn score_of(query: &str, passage: &str) -> f64 {
    let hash = blake3::hash(format!("{query}\u{0}{passage}").as_bytes());
    let number = u32::from_le_bytes(hash.as_bytes()[..4].try_into().unwrap());
    f64::from(number) / f64::from(u32::MAX)
}

/// The passages of a call; none if it has them elsewhere than the providers whose shapes are spoken here.
fn passages(body: &Value) -> Vec<String> {
    let list = ["documents", "input", "texts"].iter().find_map(|key| body[*key].as_array());
    list.into_iter().flatten().filter_map(|passage| Some(passage.as_str()?.to_owned())).collect()
}

fn score(provider: &str, body: &Value) -> String {
    let query = body["query"].as_str().unwrap();
    let mut scored: Vec<_> = passages(body).iter().map(|passage| score_of(query, passage)).enumerate().collect();
    scored.sort_by(|left, right| right.1.total_cmp(&left.1));
    let key = if matches!(provider, "mixedbread" | "tei") { "score" } else { "relevance_score" };
    let results: Vec<_> = scored.iter().map(|(index, score)| json!({ "index": index, key: score })).collect();
    let count = results.len();
    // Cohere writes its whole numbers as floats.
    let units = f64::from(u32::try_from(count.div_ceil(100)).unwrap());
    let reply = match provider {
        "cohere" => {
            json!({ "id": "u", "results": results, "meta": { "billed_units": { "search_units": units } } })
        }
        "jina" => {
            json!({ "model": "m", "object": "list", "usage": { "total_tokens": 10 * count }, "results": results })
        }
        "voyage" => json!({ "object": "list", "data": results, "model": "m", "usage": { "total_tokens": 10 * count } }),
        "mixedbread" => json!({
            "object": "list", "model": "m", "top_k": count, "return_input": false, "data": results,
            "usage": { "prompt_tokens": 10 * count, "total_tokens": 10 * count, "completion_tokens": null },
        }),
        "tei" => json!(results),
        other => panic!("{other}"),
    };
    reply.to_string()
}
