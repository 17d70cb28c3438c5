//! Probes and metrics. No probe calls a provider: an outage there must not restart the fleet here.

use std::sync::Arc;

use axum::extract::State;
use axum::response::{IntoResponse, Response};
use http::{StatusCode, header};
use rerankd_core::telemetry::metrics::CONTENT_TYPE;

use super::App;

/// Liveness of the process.
#[utoipa::path(get, path = "/healthz", tag = "operations", operation_id = "healthz",
    responses((status = 200, description = "Alive.", body = String, content_type = "text/plain", example = "ok")))]
pub(super) async fn healthz() -> &'static str {
    "ok"
}

/// Liveness of the process, under the name that Kubernetes gives it.
#[utoipa::path(get, path = "/livez", tag = "operations", operation_id = "livez",
    responses((status = 200, description = "Alive.", body = String, content_type = "text/plain", example = "ok")))]
pub(super) async fn livez() -> &'static str {
    // A function of its own only because the document wants one for each operation.
    healthz().await
}

/// Readiness for new requests.
#[utoipa::path(get, path = "/readyz", tag = "operations", operation_id = "readyz",
    responses(
        (status = 200, description = "Ready.", body = String, content_type = "text/plain", example = "ready"),
        (status = 503, description = "Shutting down.",
            body = String, content_type = "text/plain", example = "shutting down"),
    ))]
pub(super) async fn readyz(State(app): State<Arc<App>>) -> Response {
    if app.is_ready() {
        "ready".into_response()
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "shutting down").into_response()
    }
}

/// Counters and histograms for Prometheus; `docs/metrics.md` explains each.
#[utoipa::path(get, path = "/metrics", tag = "operations", operation_id = "metrics",
    responses((status = 200, description = "OpenMetrics text.",
        body = String, content_type = "application/openmetrics-text")))]
pub(super) async fn metrics(State(app): State<Arc<App>>) -> Response {
    let routes = &app.reranker.routes;
    // Gauges are read at the scrape, not kept up to date with every call.
    for upstream in routes.upstreams() {
        upstream.set_gauges();
    }
    // Shadows call through upstream stacks of their own, which are not among those of the routes.
    for route in routes.routes() {
        let Some(shadow) = &route.shadow else { continue };
        for target in &shadow.route.targets {
            target.upstream.set_gauges();
        }
    }
    let exposition = app.reranker.metrics.exposition(app.reranker.cache.size());
    ([(header::CONTENT_TYPE, CONTENT_TYPE)], exposition).into_response()
}
