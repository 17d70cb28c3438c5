//! One request and its answer, from the end of the request's headers to the last byte of the answer.
//!
//! If a request is answered before its body was read, the rest of the body is read and dropped, up to a limit. Many
//! clients write the whole body before they read anything. If the connection were closed or the HTTP/2 stream reset
//! under them, they would report a failure and lose the answer.

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
use super::connections::{Connections, UnreadBodyGuard};
use super::limits::{ANSWER_CHUNK_BYTES, ConnectionLimits, DRAIN_IDLE_TIMEOUT, DRAIN_TIMEOUT};
use crate::http::App;
use crate::http::request_log::ClientAddress;

/// The service of one connection: answers its requests and reports their progress to [`Activity`].
pub(super) struct ExchangeService {
    pub(super) router: Router,
    pub(super) app: Arc<App>,
    pub(super) connections: Arc<Connections>,
    pub(super) activity: Arc<Activity>,
    pub(super) limits: ConnectionLimits,
    /// The other end of the connection; `None` if it has gone already.
    pub(super) client: Option<ClientAddress>,
}

impl Service<Request<Incoming>> for ExchangeService {
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
            state: Mutex::new(AnswerState::Unanswered(None)),
        });
        let expects = request.headers().contains_key(header::EXPECT);
        let unread = has_body.then(|| self.connections.count_unread());
        let (parts, body) = request.into_parts();
        let body = RequestBody { body: Some(body), exchange: exchange.clone(), unread, is_unread: has_body };
        let mut request = Request::from_parts(parts, Body::new(body));
        if let Some(client) = self.client {
            request.extensions_mut().insert(client);
        }
        let router = self.router.clone();
        let app = self.app.clone();
        Box::pin(async move {
            let Ok(mut response) = router.oneshot(request).await;
            // A client that waits for `100 Continue` will not send its body after this answer, and hyper will then
            // close the connection. The client must know, or its next request fails. The same holds while the server
            // shuts down. HTTP/2 has a frame for that; there hyper leaves the header out.
            if !app.is_ready() || (expects && exchange.is_left_unread()) {
                response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
            }
            Ok(response.map(|body| AnswerBody::new(body, exchange)))
        })
    }
}

/// One request in flight, shared by the bodies of the request and of the answer.
struct Exchange {
    activity: Arc<Activity>,
    /// Number of the request on its connection, by which [`Activity`] knows its answer.
    number: u64,
    max_drain_bytes: u64,
    state: Mutex<AnswerState>,
}

/// Progress of the answer, which decides over an unread body.
enum AnswerState {
    /// No part of the answer is written yet. Holds the rest of the body once the handler has dropped it unread.
    Unanswered(Option<Incoming>),
    /// The answer's headers are written.
    Answered,
}

impl Exchange {
    /// Takes the rest of a body that the handler dropped unread. It is drained as soon as the answer has begun.
    fn abandon_body(self: &Arc<Self>, rest: Incoming) {
        let mut state = self.state.lock();
        match &mut *state {
            AnswerState::Unanswered(left) => *left = Some(rest),
            AnswerState::Answered => self.clone().begin_drain(rest),
        }
    }

    /// Returns true if the handler dropped the body unread and no part of the answer is written yet.
    fn is_left_unread(&self) -> bool {
        matches!(&*self.state.lock(), AnswerState::Unanswered(Some(_)))
    }

    /// Notes that the answer's headers are written, and drains a body that was left unread. Only the first call has an
    /// effect.
    fn answered(self: &Arc<Self>) {
        // Not earlier: reading the body makes hyper send `100 Continue`, which would invite the client to send it all.
        let before = std::mem::replace(&mut *self.state.lock(), AnswerState::Answered);
        if let AnswerState::Unanswered(Some(rest)) = before {
            self.clone().begin_drain(rest);
        }
    }

    /// Starts a task that drains the rest of the body.
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

/// Spawns a task, if there is a runtime to run it.
fn spawn_if_running(task: impl Future<Output = ()> + Send + 'static) {
    // Bodies may be dropped while the runtime shuts down; `tokio::spawn` would panic there.
    if let Ok(runtime) = tokio::runtime::Handle::try_current() {
        runtime.spawn(task);
    }
}

/// Reads and drops a body, up to `max_bytes` and [`DRAIN_TIMEOUT`]. If more is left, hyper closes the connection.
async fn drain(mut body: Incoming, max_bytes: u64) {
    let end = Instant::now() + DRAIN_TIMEOUT;
    let mut drained = 0;
    while drained <= max_bytes {
        let pause = end.min(Instant::now() + DRAIN_IDLE_TIMEOUT);
        let Ok(Some(Ok(frame))) = timeout_at(pause, body.frame()).await else { return };
        if let Some(data) = frame.data_ref() {
            drained += u64::try_from(data.len()).unwrap_or(u64::MAX);
        }
    }
}

/// The body of a request, which reports its end and what the handler left of it.
struct RequestBody {
    /// The body on the connection; `None` once it has ended.
    body: Option<Incoming>,
    exchange: Arc<Exchange>,
    /// The place in the server's count of unread bodies, until this one ends.
    unread: Option<UnreadBodyGuard>,
    /// True until the connection's [`Activity`] was told of the end.
    is_unread: bool,
}

impl RequestBody {
    /// Reports the end of the body; only the first call has an effect.
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
        match &self.body {
            Some(body) => body.size_hint(),
            None => SizeHint::with_exact(0),
        }
    }
}

impl Drop for RequestBody {
    fn drop(&mut self) {
        // Before `end`: a request with neither a body nor a drain looks as if its client awaited the answer.
        if let Some(rest) = self.body.take()
            && !rest.is_end_stream()
        {
            self.exchange.abandon_body(rest);
        }
        self.end();
    }
}

/// The body of an answer, cut into chunks so that each one taken shows the client's progress.
pub(super) struct AnswerBody {
    body: Body,
    /// Bytes of the current frame that are not handed over yet.
    rest: Bytes,
    /// True once hyper has polled for the first chunk.
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
            // hyper polls again only when its write buffer has room, so the client has taken bytes since.
            this.exchange.activity.advance_answer(this.exchange.number);
        } else {
            this.has_begun = true;
            this.exchange.answered();
        }
        if this.rest.is_empty() {
            let Some(frame) = ready!(Pin::new(&mut this.body).poll_frame(context)?) else { return Poll::Ready(None) };
            match frame.into_data() {
                Ok(data) => this.rest = data,
                // Trailers, which are handed on as they are.
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
        // hyper does not poll an answer without a body, nor one whose client has gone.
        self.exchange.answered();
        self.exchange.activity.end_answer(self.exchange.number);
    }
}
