//! One request and its answer, from the end of the request's headers to the last byte of the answer.
//!
//! What is left of a body when its request was answered is read and dropped, up to a bound. Many clients write all of their body before they read
//! anything: for them a connection that is closed before, or a stream of HTTP/2 that is reset, has failed, and the answer is lost.

use std::convert::Infallible;
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

use axum::Router;
use axum::body::Body;
use axum::response::Response;
use bytes::Bytes;
use http::{HeaderValue, Request, header};
use http_body_util::BodyExt;
use hyper::body::{Body as HttpBody, Frame, Incoming, SizeHint};
use hyper::service::Service;
use parking_lot::Mutex;
use tokio::time::{Instant, timeout_at};
use tower::ServiceExt;

use super::activity::Activity;
use super::connections::{Connections, Unread};
use super::limits::{ANSWER_CHUNK_BYTES, DRAIN_IDLE_TIMEOUT, DRAIN_TIMEOUT, Limits};
use crate::http::App;

/// What answers the requests of one connection.
pub(super) struct Exchanges {
    pub(super) router: Router,
    pub(super) app: Arc<App>,
    pub(super) connections: Arc<Connections>,
    pub(super) activity: Arc<Activity>,
    pub(super) limits: Limits,
}

impl Service<Request<Incoming>> for Exchanges {
    type Response = Response<AnswerBody>;
    type Error = Infallible;
    type Future = Pin<Box<dyn Future<Output = Result<Self::Response, Infallible>> + Send>>;

    fn call(&self, request: Request<Incoming>) -> Self::Future {
        let version = request.version();
        let has_body = !request.body().is_end_stream();
        let exchange = Arc::new(Exchange {
            number: self.activity.begin_request(version, has_body),
            activity: self.activity.clone(),
            max_drain_bytes: self.limits.max_drain_bytes,
            state: Mutex::new(State::Unanswered(None)),
        });
        let expects = request.headers().contains_key(header::EXPECT);
        let unread = has_body.then(|| self.connections.count_unread());
        let request = request.map(|body| {
            Body::new(RequestBody { body: Some(body), exchange: exchange.clone(), unread, is_unread: has_body })
        });
        let (router, app) = (self.router.clone(), self.app.clone());
        Box::pin(async move {
            let Ok(mut response) = router.oneshot(request).await;
            // Clients that wait for permission to send their body will not send it now. A connection that they kept would be closed under their next
            // request, as all are while the server ends. HTTP/2 has a frame for that; there hyper leaves the header out.
            if !app.is_ready() || (expects && exchange.is_left_unread()) {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| AnswerBody::new(body, exchange)))
        })
    }
}

/// One request under way.
struct Exchange {
    activity: Arc<Activity>,
    number: u64,
    max_drain_bytes: u64,
    state: Mutex<State>,
}

enum State {
    /// The answer is not being written; with what is left of the body, once nobody wants it.
    Unanswered(Option<Incoming>),
    /// The answer's headers are written.
    Answered,
}

impl Exchange {
    /// Nobody wants the rest of the body.
    fn leave(self: &Arc<Self>, rest: Incoming) {
        let mut state = self.state.lock();
        match &mut *state {
            State::Unanswered(left) => *left = Some(rest),
            State::Answered => self.clone().begin_drain(rest),
        }
    }

    fn is_left_unread(&self) -> bool {
        matches!(&*self.state.lock(), State::Unanswered(Some(_)))
    }

    /// The answer's headers are written: from now on reading invites no client to send its body.
    fn answered(self: &Arc<Self>) {
        let before = std::mem::replace(&mut *self.state.lock(), State::Answered);
        if let State::Unanswered(Some(rest)) = before {
            self.clone().begin_drain(rest);
        }
    }

    fn begin_drain(self: Arc<Self>, rest: Incoming) {
        self.activity.begin_drain();
        spawn_if_running(async move {
            drain(rest, self.max_drain_bytes).await;
            self.activity.end_drain();
        });
    }
}

impl Drop for Exchange {
    fn drop(&mut self) {
        self.activity.end_request();
    }
}

/// Spawns a task, unless the runtime is at its end.
fn spawn_if_running(task: impl Future<Output = ()> + Send + 'static) {
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(task);
    }
}

/// Reads and drops a body. What lies beyond the bounds stays unread, whereupon hyper closes the connection.
async fn drain(mut body: Incoming, max_bytes: u64) {
    let end = Instant::now() + DRAIN_TIMEOUT;
    let mut drained = 0;
    while drained <= max_bytes {
        let pause = end.min(Instant::now() + DRAIN_IDLE_TIMEOUT);
        let Ok(Some(Ok(frame))) = timeout_at(pause, body.frame()).await else { return };
        drained += frame.data_ref().map_or(0, |data| u64::try_from(data.len()).unwrap_or(u64::MAX));
    }
}

/// The body of a request.
struct RequestBody {
    /// `None` once it has ended.
    body: Option<Incoming>,
    exchange: Arc<Exchange>,
    /// Counts among the requests whose body is not here yet.
    unread: Option<Unread>,
    is_unread: bool,
}

impl RequestBody {
    fn end(&mut self) {
        drop(self.unread.take());
        if std::mem::replace(&mut self.is_unread, false) {
            self.exchange.activity.end_body();
        }
    }
}

impl HttpBody for RequestBody {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        let this = &mut *self;
        let Some(body) = &mut this.body else { return Poll::Ready(None) };
        let Poll::Ready(frame) = Pin::new(&mut *body).poll_frame(context) else {
            this.exchange.activity.body_pending();
            return Poll::Pending;
        };
        if !matches!(frame, Some(Ok(_))) || body.is_end_stream() {
            this.body = None;
            this.end();
        }
        Poll::Ready(frame)
    }

    fn is_end_stream(&self) -> bool {
        self.body.as_ref().is_none_or(Incoming::is_end_stream)
    }

    fn size_hint(&self) -> SizeHint {
        self.body.as_ref().map_or_else(|| SizeHint::with_exact(0), Incoming::size_hint)
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        if let Some(rest) = self.body.take()
            && !rest.is_end_stream()
        {
            self.exchange.leave(rest);
        }
        self.end();
    }
}

/// The body of an answer, in pieces that show how far the client has got with it.
pub(super) struct AnswerBody {
    body: Body,
    /// What is left of a piece of the body.
    rest: Bytes,
    /// Whether a piece was asked for.
    has_begun: bool,
    exchange: Arc<Exchange>,
}

impl AnswerBody {
    fn new(body: Body, exchange: Arc<Exchange>) -> Self {
        exchange.activity.begin_answer(exchange.number);
        Self { body, rest: Bytes::new(), has_begun: false, exchange }
    }
}

impl HttpBody for AnswerBody {
    type Data = Bytes;
    type Error = axum::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, axum::Error>>> {
        let this = &mut *self;
        if this.has_begun {
            this.exchange.activity.advance_answer(this.exchange.number);
        } else {
            this.has_begun = true;
            this.exchange.answered();
        }
        if this.rest.is_empty() {
            let Some(frame) = ready!(Pin::new(&mut this.body).poll_frame(context)?) else { return Poll::Ready(None) };
            match frame.into_data() {
                Ok(data) => this.rest = data,
                Err(frame) => return Poll::Ready(Some(Ok(frame))),
            }
        }
        let length = this.rest.len().min(ANSWER_CHUNK_BYTES);
        Poll::Ready(Some(Ok(Frame::data(this.rest.split_to(length)))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty() && self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        let rest = u64::try_from(self.rest.len()).unwrap_or(u64::MAX);
        let body = self.body.size_hint();
        let mut hint = SizeHint::new();
        hint.set_lower(body.lower().saturating_add(rest));
        if let Some(upper) = body.upper() {
            hint.set_upper(upper.saturating_add(rest));
        }
        hint
    }
}

impl Drop for AnswerBody {
    fn drop(&mut self) {
        self.exchange.answered();
        self.exchange.activity.end_answer(self.exchange.number);
    }
}
