//! The leaf of the stack: sends a call over HTTP and reads scores from the reply. The only file that knows the HTTP
//! client.

use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, SystemTime};

use bytes::{Bytes, BytesMut};
use futures_util::future::BoxFuture;
use http::{HeaderValue, StatusCode, header};
use tokio::time::{Instant, timeout};
use tower::Service;
use url::Url;

use super::call::{Call, Payload, Scores};
use super::error::UpstreamError;
use super::error_texts;
use super::failure_rules::FailureRules;
use super::http_client::through;
use super::key_ring::{KeyRejection, KeyRing, RefusedKey};
use super::reply::read_scores;
use super::response_class::ResponseClass;
use super::retry_after::retry_after;
use crate::blocking::offload::{OFFLOAD_WIRE_BYTES, offload};
use crate::error::ErrorKind;
use crate::provider::{EXPLAINED_BYTES, Explanation, Wire, WireReply, explain};
use crate::text::root_cause;
use crate::upstream::settings::ProxySettings;

/// Time after which idle connections are closed. Load balancers of providers close them later.
const IDLE_CONNECTION: Duration = Duration::from_secs(50);
/// Longest wait for the body of an error. Short, because the status says most without it, and requests wait.
const ERROR_BODY_TIMEOUT: Duration = Duration::from_millis(250);
/// Longest body of an error that is read. Only its beginning is kept, but a body that is read to its end leaves the
/// connection usable.
const MAX_ERROR_BYTES: usize = 64 << 10;

/// Settings of a [`Transport`].
#[derive(Debug)]
pub(super) struct TransportConfig {
    /// Wire shape of calls and replies.
    pub(super) wire: Arc<Wire>,
    /// Address of every call.
    pub(super) url: Url,
    /// Its path as messages may show it.
    pub(super) shown_path: String,
    /// The proxy that calls go through; `None` for a direct connection.
    pub(super) proxy: Option<ProxySettings>,
    /// Keys, of which a call shows one at a time.
    pub(super) keys: Arc<KeyRing>,
    pub(super) connect_timeout: Duration,
    /// Longest reply with a success status, decompressed.
    pub(super) max_response_bytes: usize,
    /// Rules and words that decide about failures that the provider tells of.
    pub(super) failure_rules: FailureRules,
}

/// Sends calls to one address. Clones share the connection pool.
#[derive(Clone, Debug)]
pub(super) struct Transport {
    client: reqwest::Client,
    config: Arc<TransportConfig>,
}

impl Transport {
    /// A transport without connections yet.
    ///
    /// # Errors
    /// A sentence: the proxy or TLS cannot be set up.
    pub(super) fn new(config: TransportConfig) -> Result<Self, String> {
        Self::with(config, reqwest::Client::builder())
    }

    /// A transport whose HTTP client is built by `builder`; tests give one with a name server of their own.
    fn with(config: TransportConfig, builder: reqwest::ClientBuilder) -> Result<Self, String> {
        let builder = through(config.proxy.as_ref(), builder)?;
        let client = builder
            .connect_timeout(config.connect_timeout)
            .pool_idle_timeout(IDLE_CONNECTION)
            // A redirect could carry key and passages to another host, and would turn the POST into a GET.
            .redirect(reqwest::redirect::Policy::none())
            .build()
            .map_err(|error| format!("the HTTP client cannot be set up: {}", root_cause(&error)))?;
        Ok(Self { client, config: Arc::new(config) })
    }

    /// Makes one attempt.
    async fn send(self, call: Call) -> Result<Scores, UpstreamError> {
        let Payload::Body(body) = call.payload else {
            return Err(UpstreamError::lasting(ErrorKind::Internal, error_texts::OTHER_FORMAT));
        };
        let url = match &call.url {
            Some(of_model) => (**of_model).clone(),
            None => self.config.url.clone(),
        };
        let mut request = self.client.post(url).body(body);
        request = request.header(header::CONTENT_TYPE, "application/json").header(header::ACCEPT, "application/json");
        request = request.headers(self.config.wire.call().headers.clone());
        let refused_keys = call.failure.map(|failure| failure.refused_keys).unwrap_or_default();
        let shown_key = self.config.keys.choose(&refused_keys, Instant::now());
        if let Some((_, value)) = &shown_key {
            request = request.header(&self.config.wire.call().key.header, value);
        }
        let mut response = request.send().await.map_err(|error| self.config.broken(&error))?;
        let status = response.status();
        let headers = std::mem::take(response.headers_mut());
        let hint = retry_after(&headers, SystemTime::now());
        if !status.is_success() {
            let said = explain(&read_head(response).await);
            let error = self.config.refusal(status.as_u16(), said, hint, call.passages);
            return Err(self.config.with_key_blamed(error, status, shown_key, refused_keys).await);
        }
        let body = self.config.read_body(response).await?;
        let size = body.len();
        let reply = WireReply { headers, body, passages: call.passages };
        let wire = self.config.wire.clone();
        match offload(size, OFFLOAD_WIRE_BYTES, move || read_scores(&wire, &reply, call.scale)).await {
            Ok(scores) => {
                // The first key of a call proves nothing when it is accepted; after refusals it shows that those keys
                // were wrong.
                if let Some((number, _)) = shown_key
                    && !refused_keys.is_empty()
                {
                    self.config.keys.accepted(number, &refused_keys, Instant::now());
                }
                Ok(scores)
            }
            Err(unusable) => {
                let error = self.config.of_success(unusable, status.as_u16(), hint, call.passages);
                if error.class.is_about_key() {
                    return Err(self.config.with_key_blamed(error, status, shown_key, refused_keys).await);
                }
                Err(error)
            }
        }
    }
}

impl TransportConfig {
    /// The error for a status other than success, of which the provider `said` something, with its `hint` when to
    /// try again. `sent` is the number of passages in the call.
    fn refusal(&self, status: u16, said: Option<Explanation>, hint: Option<Duration>, sent: usize) -> UpstreamError {
        let failure = self.failure_rules.of_status(status, said.as_ref(), sent);
        UpstreamError {
            said: said.map(Box::new),
            retry_after: hint,
            ..failure.into_error(self.what(status, failure.kind))
        }
    }

    /// The failure that a reply with a `status` of success and the `hint` tells of, which holds no scores; `error` as
    /// it is if nothing decides.
    fn of_success(&self, error: UpstreamError, status: u16, hint: Option<Duration>, sent: usize) -> UpstreamError {
        let is_told = error.said.is_some() || error.kind == ErrorKind::UpstreamRejected;
        // Another status of success tells by itself that no scores came. With 200 a body that says nothing is a broken
        // one.
        if !is_told && status == StatusCode::OK.as_u16() {
            return error;
        }
        match self.failure_rules.of_success(status, error.said.as_deref(), sent) {
            Some(failure) => UpstreamError {
                said: error.said,
                retry_after: hint,
                ..failure.into_error(error_texts::REFUSED_WITH_SUCCESS)
            },
            None => error,
        }
    }

    /// The same failure, a reply of `status`, of a call that showed a key after `refused_keys`. If it is about the key,
    /// it is retryable with another one, or with a new value of the same.
    async fn with_key_blamed(
        &self,
        error: UpstreamError,
        status: StatusCode,
        shown_key: Option<(usize, HeaderValue)>,
        refused_keys: Vec<RefusedKey>,
    ) -> UpstreamError {
        let Some((number, shown)) = shown_key else { return error };
        let is_refused = error.kind == ErrorKind::UpstreamUnauthorized;
        if is_refused && self.keys.is_renewed(number, &shown).await {
            let class = error.class.with_next_key();
            return UpstreamError { class, retryable: true, refused_keys, ..error };
        }
        let error = self.key_rejected(error, status.as_u16(), number, refused_keys);
        if is_refused && !error.class.has_next_key() && self.keys.is_of_file(number) {
            return UpstreamError { class: ResponseClass::FileKeyRefused, ..error };
        }
        error
    }

    /// The same failure, a reply of `status`, of a call that used key `number` after `refused_keys`. It is retryable if
    /// there is another key.
    fn key_rejected(
        &self,
        error: UpstreamError,
        status: u16,
        number: usize,
        mut refused_keys: Vec<RefusedKey>,
    ) -> UpstreamError {
        let UpstreamError { class, retry_after, .. } = error;
        let rejection = KeyRejection { number, status, class, retry_after };
        if self.keys.rejected(rejection, &mut refused_keys, Instant::now()) {
            // The provider's `Retry-After` was for the rejected key.
            UpstreamError { class: class.with_next_key(), retry_after: None, retryable: true, refused_keys, ..error }
        } else {
            UpstreamError { refused_keys, ..error }
        }
    }

    /// Message for a status, with the way out where the operator has one.
    fn what(&self, status: u16, kind: ErrorKind) -> String {
        // Through TLS only the provider can have answered, so the proxy is not named.
        let through = if self.url.scheme() == "http" { self.through_proxy() } else { String::new() };
        // Only a proxy asks for credentials of its own.
        if status == 407 && kind == ErrorKind::UpstreamMisconfigured && self.proxy.is_some() {
            return error_texts::proxy_wants_credentials(&through);
        }
        error_texts::of_status(status, kind, &self.shown_path, &through)
    }

    /// Reads the decompressed body, up to `max_response_bytes`.
    async fn read_body(&self, mut response: reqwest::Response) -> Result<Bytes, UpstreamError> {
        let limit = self.max_response_bytes;
        let length = response.content_length().and_then(|length| usize::try_from(length).ok());
        let mut body = BytesMut::new();
        while let Some(chunk) = response.chunk().await.map_err(|error| self.broken(&error))? {
            if body.len() + chunk.len() > limit {
                return Err(UpstreamError::lasting(ErrorKind::UpstreamInvalidReply, error_texts::too_long(limit)));
            }
            if body.is_empty() {
                // Most replies arrive in one chunk and need no copy.
                if length == Some(chunk.len()) {
                    return Ok(chunk);
                }
                body.reserve(length.unwrap_or(0).min(limit));
            }
            body.extend_from_slice(&chunk);
        }
        Ok(body.freeze())
    }

    /// The error for a failure of the connection. Names the proxy, if there is one, because it may be to blame.
    fn broken(&self, error: &reqwest::Error) -> UpstreamError {
        let through = self.through_proxy();
        let (kind, what) = if error.is_timeout() {
            (ErrorKind::UpstreamTimeout, error_texts::connect_timed_out(&through))
        } else if error.is_connect() {
            (ErrorKind::UpstreamUnavailable, error_texts::not_connected(&through, &root_cause(error)))
        } else if error.is_decode() && !is_cut_off(error) {
            (ErrorKind::UpstreamInvalidReply, error_texts::NOT_DECOMPRESSED.to_owned())
        } else {
            (ErrorKind::UpstreamUnavailable, error_texts::connection_broken(&through, &root_cause(error)))
        };
        UpstreamError::passing(kind, what)
    }

    /// A part of a message that names the proxy; empty without one.
    fn through_proxy(&self) -> String {
        match &self.proxy {
            Some(proxy) => error_texts::through_proxy(proxy),
            None => String::new(),
        }
    }
}

impl Service<Call> for Transport {
    type Response = Scores;
    type Error = UpstreamError;
    type Future = BoxFuture<'static, Result<Scores, UpstreamError>>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), UpstreamError>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, call: Call) -> Self::Future {
        Box::pin(self.clone().send(call))
    }
}

/// Reads the beginning of an error's body, or as much of it as arrives in time. The status matters more than the rest.
async fn read_head(mut response: reqwest::Response) -> Vec<u8> {
    let mut head = Vec::new();
    let reading = async {
        let mut length = 0;
        while let Ok(Some(chunk)) = response.chunk().await {
            let wanted = EXPLAINED_BYTES.saturating_sub(head.len()).min(chunk.len());
            head.extend_from_slice(&chunk[..wanted]);
            length += chunk.len();
            if length > MAX_ERROR_BYTES {
                return;
            }
        }
    };
    drop(timeout(ERROR_BODY_TIMEOUT, reading).await);
    head
}

/// Returns true if the connection broke. reqwest reports that as a failure to decode, like a body that is invalid.
fn is_cut_off(error: &reqwest::Error) -> bool {
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        if error.is::<hyper::Error>() {
            return true;
        }
        cause = error.source();
    }
    false
}

#[cfg(test)]
mod tests {
    use std::net::SocketAddr;
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use reqwest::dns::{Addrs, Name, Resolve, Resolving};
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;
    use tokio::task::JoinHandle;

    use crate::provider::{KeyPlacement, ScoreScale};

    use super::super::call::{AttemptCounter, RetryMode, Waiter, Waiters};
    use super::*;
    use crate::cache::key::CacheScope;

    /// A name server whose one answer can be changed.
    #[derive(Clone, Default)]
    struct Names(Arc<Mutex<Vec<SocketAddr>>>);

    impl Names {
        fn lead_to(&self, address: SocketAddr) {
            *self.0.lock().unwrap() = vec![address];
        }
    }

    impl Resolve for Names {
        fn resolve(&self, _: Name) -> Resolving {
            let addresses: Addrs = Box::new(self.0.lock().unwrap().clone().into_iter());
            Box::pin(std::future::ready(Ok(addresses)))
        }
    }

    /// A server that keeps its connections open and gives every passage this score.
    async fn server(score: f64) -> (SocketAddr, JoinHandle<()>) {
        serve(format!("{{\"results\": [{{\"index\": 0, \"relevance_score\": {score}}}]}}")).await
    }

    /// A server that keeps its connections open and answers so.
    async fn serve(body: String) -> (SocketAddr, JoinHandle<()>) {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let serving = tokio::spawn(async move {
            // Dropped with the task: then its connections break.
            let mut connections = tokio::task::JoinSet::new();
            loop {
                let (mut stream, _) = listener.accept().await.unwrap();
                let body = body.clone();
                connections.spawn(async move {
                    let mut request = [0; 4096];
                    while stream.read(&mut request).await.is_ok_and(|length| length > 0) {
                        let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\n\r\n", body.len());
                        stream.write_all(head.as_bytes()).await.unwrap();
                        stream.write_all(body.as_bytes()).await.unwrap();
                    }
                });
            }
        });
        (address, serving)
    }

    fn call() -> Call {
        let waiter =
            Waiter { deadline: Instant::now(), retry_mode: RetryMode::Wait, store: true, scope: CacheScope::SHARED };
        Call {
            payload: Payload::Body(Bytes::from_static(b"{}")),
            url: None,
            passages: 1,
            scale: ScoreScale::Probability,
            tokens: 0,
            waiters: Arc::new(Waiters::of(waiter)),
            attempt: 1,
            failure: None,
            attempts: AttemptCounter::default(),
        }
    }

    /// Attack 5: a reply of another shape, 16 MB long, stopped a reactor thread for a second.
    #[test]
    fn large_replies_are_read_off_the_reactor_and_small_ones_on_it() {
        for (length, threads) in [(100, 0), (OFFLOAD_WIRE_BYTES + 1, 1)] {
            let started = Arc::new(AtomicUsize::new(0));
            let counter = started.clone();
            let count = move || {
                counter.fetch_add(1, Ordering::Relaxed);
            };
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().on_thread_start(count).build();
            runtime.unwrap().block_on(async {
                let (address, _serving) = serve(" ".repeat(length)).await;
                let config = config(&format!("http://{address}/"));
                let transport = Transport::with(config, reqwest::Client::builder()).unwrap();
                transport.send(call()).await.unwrap_err();
            });
            assert_eq!(started.load(Ordering::Relaxed), threads, "{length}");
        }
    }

    fn config(url: &str) -> TransportConfig {
        TransportConfig {
            wire: Arc::new(Wire::like_cohere()),
            url: url.parse().unwrap(),
            shown_path: "/".to_owned(),
            proxy: None,
            keys: Arc::new(KeyRing::new(&[], &KeyPlacement::bearer()).unwrap()),
            connect_timeout: Duration::from_secs(5),
            max_response_bytes: 4 << 20,
            failure_rules: FailureRules::default(),
        }
    }

    /// Bad day 21: a provider moves, and its name leads to another address. The name is looked up for every new
    /// connection, so as soon as the old place is gone the new one is asked.
    #[tokio::test]
    async fn a_name_that_leads_elsewhere_is_followed_as_soon_as_the_old_place_is_gone() {
        let (old, old_serving) = server(0.25).await;
        let (new, _new_serving) = server(0.75).await;
        let names = Names::default();
        names.lead_to(old);
        let config = config("http://provider.test/v2/rerank");
        let builder = reqwest::Client::builder().dns_resolver(Arc::new(names.clone()));
        let transport = Transport::with(config, builder).unwrap();
        let score = async || transport.clone().send(call()).await.map(|scores| scores.scores[0].to_bits());
        assert_eq!(score().await, Ok(0.25f64.to_bits()));
        names.lead_to(new);
        assert_eq!(score().await, Ok(0.25f64.to_bits()), "the open connection still works");
        old_serving.abort();
        assert!(old_serving.await.unwrap_err().is_cancelled());
        // The broken connection may be noticed by the next call or before it; the one after that asks the new place.
        let after = [score().await, score().await];
        assert_eq!(after[1], Ok(0.75f64.to_bits()), "{after:?}");
    }
}
