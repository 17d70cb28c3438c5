//! The edge: bytes and headers in, bytes and headers out. Knows paths, limits and who may ask; knows nothing of ranking.

mod body;
mod callers;
mod dispatch;
mod encoding;
mod health;
mod layers;
mod memory;
mod models;
pub mod openapi;
pub(crate) mod origin;
mod paths;
mod rerank;
pub mod schema;
mod setup;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::http::{HeaderValue, header};
use axum::Router;
use axum::body::Body;
use axum::http::Method;
use axum::response::Response;
use axum::routing::get;
use tokio::sync::Semaphore;

pub use self::callers::Callers;
pub use self::memory::MemoryBudget;
pub use self::origin::OriginPolicy;
use crate::config::settings::ServerSettings;
use crate::rerank::Reranker;
use crate::telemetry::refusals::RefusalLog;

/// What handlers share.
#[derive(Debug)]
pub struct App {
    /// The pipeline.
    pub reranker: Arc<Reranker>,
    /// Limits of the server.
    pub server: ServerSettings,
    /// Who may ask.
    pub callers: Callers,
    /// Room for rerank requests under way, whose body is here.
    pub room: Semaphore,
    /// Memory for requests and answers.
    pub memory: Arc<MemoryBudget>,
    /// Whose web pages may ask.
    pub origins: OriginPolicy,
    /// What the log has told of refusals.
    pub refusals: RefusalLog,
    /// Whether new requests are welcome; false while shutting down.
    pub ready: AtomicBool,
}

impl App {
    /// Whether new requests are welcome.
    #[must_use]
    pub fn is_ready(&self) -> bool {
        self.ready.load(Ordering::Relaxed)
    }

    /// Makes `/readyz` fail from now on.
    pub fn announce_shutdown(&self) {
        self.ready.store(false, Ordering::Relaxed);
    }
}

/// All routes with their layers.
pub fn router(app: Arc<App>) -> Router {
    // These need no key: probes, scrapers and the documentation hold nothing of any caller.
    let router = Router::new()
        // Kubernetes, Docker and load balancers.
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        // Prometheus.
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(openapi::document))
        .method_not_allowed_fallback(async |method: Method| paths::wrong_method(&method, "GET"))
        .merge(openapi::docs())
        // Everything else: what clients ask for, below any prefix. Here a key may be needed.
        .fallback(dispatch::dispatch);
    layers::wrap(router, app.clone()).with_state(app)
}

/// A good answer in JSON.
fn json(body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}
