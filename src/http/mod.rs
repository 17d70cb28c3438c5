//! The edge: bytes and headers in, bytes and headers out. Knows paths, limits and who may ask; knows nothing of ranking.

mod body;
mod callers;
mod health;
mod layers;
mod models;
pub mod openapi;
mod rerank;
pub mod schema;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use ::http::{HeaderValue, header};
use axum::Router;
use axum::body::Body;
use axum::http::{Method, Uri};
use axum::response::Response;
use axum::routing::{get, post};

pub use self::callers::Callers;
use crate::config::settings::ServerSettings;
use crate::error::{Error, ErrorKind};
use crate::rerank::Reranker;

/// Every path that reranks, and who uses it.
const RERANK_PATHS: [&str; 3] = [
    "/rerank",    // the native path; Jina-style clients
    "/v1/rerank", // clients of Cohere v1, Jina and vLLM
    "/v2/rerank", // clients of Cohere v2
];
/// Every path that does not.
const OTHER_PATHS: [&str; 6] = ["/v1/models", "/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"];

/// What handlers share.
#[derive(Debug)]
pub struct App {
    /// The pipeline.
    pub reranker: Reranker,
    /// Limits of the server.
    pub server: ServerSettings,
    /// Who may ask.
    pub callers: Callers,
    /// Whether new requests are welcome; false while shutting down.
    pub ready: AtomicBool,
}

impl App {
    /// Makes `/readyz` fail from now on.
    pub fn announce_shutdown(&self) {
        self.ready.store(false, Ordering::Relaxed);
    }
}

/// All routes with their layers.
pub fn router(app: Arc<App>) -> Router {
    let mut router = Router::new();
    for path in RERANK_PATHS {
        router = router.route(path, post(rerank::rerank));
    }
    router = router
        .route("/v1/models", get(models::models))
        // Kubernetes, Docker and load balancers.
        .route("/healthz", get(health::healthz))
        .route("/readyz", get(health::readyz))
        // Prometheus.
        .route("/metrics", get(health::metrics))
        .route("/openapi.json", get(openapi::document))
        .fallback(async || not_found())
        .method_not_allowed_fallback(method_not_allowed)
        .merge(openapi::docs());
    layers::wrap(router, &app).with_state(app)
}

/// A good answer in JSON.
fn json(body: impl Into<Body>) -> Response {
    let mut response = Response::new(body.into());
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/json"));
    response
}

fn not_found() -> Error {
    let paths = RERANK_PATHS.iter().chain(&OTHER_PATHS).copied().collect::<Vec<_>>().join(", ");
    let message = format!("there is nothing at this path; known paths are {paths}");
    Error::new(ErrorKind::NotFound, message)
}

async fn method_not_allowed(method: Method, uri: Uri) -> Error {
    let right = if RERANK_PATHS.contains(&uri.path()) { "POST" } else { "GET" };
    Error::new(ErrorKind::MethodNotAllowed, format!("{method} does not work here; use {right}"))
}

/// An error outside any dialect, as problem details. The layer that knows the request's id writes the body.
impl axum::response::IntoResponse for Error {
    fn into_response(self) -> Response {
        layers::unwritten(self)
    }
}
