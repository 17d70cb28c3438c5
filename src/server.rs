//! From settings to a listening server, and from a signal to a clean end.

use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use axum::body::Body;
use axum::response::Response;
use http::{HeaderValue, header};
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto;
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::time::{sleep, timeout};
use tower::ServiceExt;

use crate::config::settings::Settings;
use crate::http::{App, Callers, MemoryBudget, OriginPolicy, router};
use crate::rerank::assemble::assemble;

/// Longest time that the headers of a request may take.
const HEADER_TIMEOUT: Duration = Duration::from_secs(30);
/// Most bytes of requests and answers in memory where the configuration does not say.
const DEFAULT_BODY_BYTES_IN_FLIGHT: usize = 512 << 20;
/// Pause after the system refused to hand over a connection (out of descriptors, for instance).
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// A server that listens but does not answer yet.
#[derive(Debug)]
pub struct Server {
    listener: TcpListener,
    /// The same port at the other loopback address.
    twin: Option<TcpListener>,
    app: Arc<App>,
}

impl Server {
    /// Builds the application and takes the port.
    ///
    /// # Errors
    /// A sentence: the port is taken, or an upstream's client cannot be set up.
    pub async fn bind(settings: &Settings) -> Result<Self, String> {
        let reranker = assemble(settings)?;
        let address = settings.server.listen;
        let listener = TcpListener::bind(address).await.map_err(|error| {
            format!("cannot listen on {address}: {error}; choose another address with --listen or server.listen")
        })?;
        let port = listener.local_addr().map_or(address.port(), |taken| taken.port());
        let twin = match settings.server.listen_also {
            Some(also) => twin((also.ip(), port).into()).await,
            None => None,
        };
        let callers = Callers::new(&settings.server.api_keys, settings.cache.shared_between_callers);
        let server = settings.server.clone();
        let max_memory_bytes = server.max_body_bytes_in_flight.unwrap_or(DEFAULT_BODY_BYTES_IN_FLIGHT).max(server.max_body_bytes);
        let app = App {
            reranker: Arc::new(reranker),
            callers,
            room: Semaphore::new(server.max_requests),
            memory: Arc::new(MemoryBudget::new(max_memory_bytes)),
            origins: OriginPolicy::new(&server),
            ready: AtomicBool::new(true),
            server,
        };
        Ok(Self { listener, twin, app: Arc::new(app) })
    }

    /// The address that was really taken.
    ///
    /// # Errors
    /// The system does not tell.
    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// What handlers share.
    #[must_use]
    pub fn app(&self) -> &Arc<App> {
        &self.app
    }

    /// Answers until `shutdown` is done, then drains: first `/readyz` fails for `drain_delay` while requests are still taken, then
    /// no new connection is taken, and requests under way get `shutdown_timeout` to finish.
    pub async fn run(self, shutdown: impl Future<Output = ()>) {
        let app = self.app.clone();
        let service = router(self.app.clone())
            .map_request(|request: http::Request<_>| request.map(Body::new))
            .map_response(move |response| if app.is_ready() { response } else { parting(response) });
        let service = TowerToHyperService::new(service);
        let mut http = auto::Builder::new(TokioExecutor::new());
        http.http1().timer(TokioTimer::new()).header_read_timeout(HEADER_TIMEOUT);
        http.http2().timer(TokioTimer::new());
        let connections = GracefulShutdown::new();
        let mut end = pin!(async {
            shutdown.await;
            self.app.announce_shutdown();
            sleep(self.app.server.drain_delay).await;
        });
        loop {
            let stream = tokio::select! {
                stream = accept(&self.listener) => stream,
                stream = accept_if(self.twin.as_ref()) => stream,
                () = &mut end => break,
            };
            let (http, service, watcher) = (http.clone(), service.clone(), connections.watcher());
            tokio::spawn(async move {
                // The server's own header time-out starts only after the first bytes.
                if !matches!(timeout(HEADER_TIMEOUT, stream.readable()).await, Ok(Ok(()))) {
                    return;
                }
                let connection = http.serve_connection(TokioIo::new(stream), service);
                // An error here is a client that left or spoke no HTTP: nobody is there to be told.
                drop(watcher.watch(connection.into_owned()).await);
            });
        }
        drop((self.listener, self.twin));
        if timeout(self.app.server.shutdown_timeout, connections.shutdown()).await.is_err() {
            tracing::warn!("requests were still under way after server.shutdown_timeout; they are cut off");
        }
    }
}

/// An answer after which the client is to ask elsewhere: a connection that it kept would be closed under its next request. HTTP/2 has a frame
/// for that; there hyper leaves the header out.
fn parting(mut response: Response) -> Response {
    response.headers_mut().insert(header::CONNECTION, HeaderValue::from_static("close"));
    response
}

/// Many clients take the first address of `localhost` and no other. A system without IPv6 has only one.
async fn twin(address: SocketAddr) -> Option<TcpListener> {
    let bound = TcpListener::bind(address).await;
    bound.inspect_err(|error| tracing::warn!(%address, %error, "localhost is not served at this address")).ok()
}

async fn accept_if(listener: Option<&TcpListener>) -> TcpStream {
    match listener {
        Some(listener) => accept(listener).await,
        None => std::future::pending().await,
    }
}

async fn accept(listener: &TcpListener) -> TcpStream {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                // Answers are small and written at once; waiting to fill a packet only delays them.
                drop(stream.set_nodelay(true));
                return stream;
            }
            Err(error) => {
                tracing::warn!(%error, "a connection could not be accepted");
                sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}
