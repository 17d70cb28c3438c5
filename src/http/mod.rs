//! The HTTP edge: bytes and headers in, bytes and headers out. It knows paths, limits and keys, and nothing of ranking.

mod answer_headers;
mod body;
mod buffers;
mod callers;
mod dispatch;
#[cfg_attr(not(feature = "docs"), path = "documentation_absent.rs")]
mod documentation;
mod encoding;
mod error_examples;
mod handler_error;
mod health;
mod home;
mod memory;
mod middleware;
pub(crate) mod models;
pub mod openapi;
pub(crate) mod origin;
mod paths;
pub(crate) mod request_log;
mod rerank;
mod schema;
pub mod settings;
mod setup;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::http::{HeaderValue, header};
use axum::Router;
use axum::body::Body;
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use rerankd_core::error::{Error, ErrorKind};
use rerankd_core::rerank::Reranker;
use tokio::sync::Semaphore;

pub use self::callers::Callers;
use self::handler_error::HandlerError;
pub use self::memory::MemoryBudget;
pub use self::origin::OriginPolicy;
use crate::http::settings::ServerSettings;
use crate::logging::refusal_log::RefusalLog;

/// The state that handlers share.
#[derive(Debug)]
pub struct App {
    /// The pipeline from a decoded request to a ranking.
    pub reranker: Arc<Reranker>,
    /// Settings under `server`.
    pub server: ServerSettings,
    /// The callers that `server.api_keys` admits.
    pub callers: Callers,
    /// Permits for rerank requests in flight, `server.max_requests` in all. A request takes one once its body is here.
    pub in_flight_limit: Semaphore,
    /// Memory budget of the bodies of requests and answers.
    pub memory: Arc<MemoryBudget>,
    /// Check against requests from web pages of other sites.
    pub origins: OriginPolicy,
    /// True if every request has a line in the log, `telemetry.access_log`.
    pub access_log: bool,
    /// Limiter of the log lines about refusals.
    pub refusals: RefusalLog,
    /// True while new requests are accepted; false during shutdown.
    pub ready: AtomicBool,
}

impl App {
    /// Returns true while new requests are accepted.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Makes `/readyz` fail from now on.
    pub fn announce_shutdown(&self) {
        self.ready.store(false, Ordering::Relaxed);
    }
}

/// The router of all endpoints, with its layers.
pub fn router(app: Arc<App>) -> Router {
    // These need no key: probes, scrapers and the documentation hold nothing of any caller.
    let router = Router::new()
        // Kubernetes, Docker and load balancers.
        .route("/healthz", get(health::healthz))
        .route("/livez", get(health::livez))
        .route("/readyz", get(health::readyz))
        // Prometheus.
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(openapi::document))
        .merge(home::routes())
        .method_not_allowed_fallback(async |method: Method| HandlerError::native(paths::wrong_method(&method, "GET")))
        .merge(documentation::routes().method_not_allowed_fallback(async || {
            HandlerError::native(Error::new(ErrorKind::MethodNotAllowed, "this method does not work here; use GET"))
        }))
        // Everything else: what clients ask for, below any prefix. Here a key may be needed.
        .fallback(dispatch::dispatch);
    middleware::wrap(router, app.clone()).with_state(app)
}

/// A 200 answer with a body in JSON.
fn json(body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
