//! The endpoints that clients ask before they rerank, from set-up screens, start-up checks and probes. Each gets the
//! least that satisfies it.

use std::collections::BTreeMap;

use axum::body::Body;
use axum::response::Response;
use http::StatusCode;
use rerankd_core::error::Error;
use rerankd_core::route::DEFAULT_MODEL;
use serde::Serialize;
use utoipa::ToSchema;

use super::models::{Model, ModelList};
use super::paths::DiscoveryEndpoint;
use super::{App, json, models};
use crate::dialect::problem::Problem;

/// The context of the model in tokens, as clients of TEI are told. The model is chosen by the route and may change, so
/// this is the least that current rerankers read. Longer passages are not refused but cut by the provider.
const TEI_INPUT_TOKENS: usize = 8192;

/// The server in the format of TEI's description of itself.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TeiInfo)]
pub(super) struct Info {
    #[schema(example = "default")]
    model_id: &'static str,
    #[schema(example = "default")]
    served_model_name: &'static str,
    /// Always `unknown`; some clients insist on a text.
    #[schema(example = "unknown")]
    model_dtype: &'static str,
    model_type: ModelType,
    /// Requests in flight at once; not limited here, so the largest number that all clients can read.
    max_concurrent_requests: i32,
    /// Limit of tokens of a passage. Longer ones are cut by the provider.
    max_input_length: usize,
    max_batch_tokens: usize,
    /// Limit of passages in one request.
    max_client_batch_size: usize,
    auto_truncate: bool,
    tokenization_workers: usize,
    /// Version of rerankd.
    #[schema(example = "0.1.0")]
    version: &'static str,
}

#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TeiModelType)]
pub(super) struct ModelType {
    reranker: Labels,
}

/// The single label that rerankers have.
#[derive(Debug, Serialize, ToSchema)]
#[schema(as = TeiLabels)]
pub(super) struct Labels {
    #[schema(example = json!({"0": "LABEL_0"}))]
    id2label: BTreeMap<&'static str, &'static str>,
    #[schema(example = json!({"LABEL_0": 0}))]
    label2id: BTreeMap<&'static str, u32>,
}

/// A minimal description of the default model. It needs no key, so it reveals nothing.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Meta {
    #[schema(example = "default")]
    id: &'static str,
    #[schema(example = "model")]
    object: &'static str,
    #[schema(example = "rerank")]
    model_type: &'static str,
}

/// The need of a key.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ClusterAuth {
    /// True if a request must show one of `server.api_keys`.
    auth: bool,
}

/// Readiness of the server.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Health {
    #[schema(example = "ok")]
    status: &'static str,
    #[schema(example = "health.response")]
    object: &'static str,
    #[schema(example = "Service is ready.")]
    message: &'static str,
}

/// Answers a request to a discovery endpoint.
///
/// # Errors
/// `unknown_model` or `invalid_request`, for the name of a model.
pub(super) fn answer(app: &App, endpoint: &DiscoveryEndpoint) -> Result<Response, Error> {
    match endpoint {
        DiscoveryEndpoint::Models => Ok(models(app)),
        DiscoveryEndpoint::Model(id) => model(app, id),
        DiscoveryEndpoint::Info => Ok(info(app)),
        DiscoveryEndpoint::Meta => Ok(meta()),
        DiscoveryEndpoint::Health => Ok(health(app)),
        DiscoveryEndpoint::WellKnown => Ok(well_known(app)),
        DiscoveryEndpoint::ClusterAuth => Ok(cluster_auth(app)),
    }
}

/// List the models that can be asked for.
#[utoipa::path(get, path = "/v1/models", tag = "models", operation_id = "models",
    responses(
        (status = 200, description = "The models.", body = ModelList),
        (status = 401, description = "`unauthorized`",
            body = Problem<'static>, content_type = "application/problem+json"),
    ))]
pub(super) fn models(app: &App) -> Response {
    written(StatusCode::OK, &models::list(&app.reranker))
}

/// Describe the model that a request with this name would get.
#[utoipa::path(get, path = "/v1/models/{id}", tag = "models", operation_id = "model",
    params(("id" = String, Path,
        description = "The model's name; slashes may stand as they are.", example = "default")),
    responses(
        (status = 200, description = "The model.", body = Model),
        (status = 400, description = "`invalid_request`: several upstreams have a model of this name",
            body = Problem<'static>, content_type = "application/problem+json"),
        (status = 401, description = "`unauthorized`",
            body = Problem<'static>, content_type = "application/problem+json"),
        (status = 404, description = "`unknown_model` or `not_found`",
            body = Problem<'static>, content_type = "application/problem+json"),
    ))]
pub(super) fn model(app: &App, id: &str) -> Result<Response, Error> {
    let model = models::one(&app.reranker, id)?;
    Ok(written(StatusCode::OK, &model))
}

/// Describe the default model, as Weaviate asks.
#[utoipa::path(get, path = "/meta", tag = "set-up", operation_id = "meta",
    responses((status = 200, description = "The default model.", body = Meta)))]
pub(super) fn meta() -> Response {
    written(StatusCode::OK, &Meta { id: DEFAULT_MODEL, object: "model", model_type: "rerank" })
}

/// Describe the server, as clients of TEI ask.
#[utoipa::path(get, path = "/info", tag = "set-up", operation_id = "info",
    responses((status = 200, description = "The server as TEI would describe itself.", body = Info)))]
pub(super) fn info(app: &App) -> Response {
    // The name that Transformers gives to the only label of a model without names for them.
    let labels = Labels { id2label: BTreeMap::from([("0", "LABEL_0")]), label2id: BTreeMap::from([("LABEL_0", 0)]) };
    let info = Info {
        model_id: DEFAULT_MODEL,
        served_model_name: DEFAULT_MODEL,
        model_dtype: "unknown",
        model_type: ModelType { reranker: labels },
        max_concurrent_requests: i32::MAX,
        max_input_length: TEI_INPUT_TOKENS,
        max_batch_tokens: TEI_INPUT_TOKENS * app.server.max_documents,
        max_client_batch_size: app.server.max_documents,
        auto_truncate: true,
        tokenization_workers: 1,
        version: env!("CARGO_PKG_VERSION"),
    };
    written(StatusCode::OK, &info)
}

/// Readiness for new requests, in the form of TEI, vLLM and llama.cpp (`/health`) and of NIM (`/v1/health/ready`).
#[utoipa::path(get, path = "/health", tag = "set-up", operation_id = "health",
    responses(
        (status = 200, description = "Ready.", body = Health),
        (status = 503, description = "Shutting down.", body = Health),
    ))]
pub(super) fn health(app: &App) -> Response {
    let object = "health.response";
    if app.is_ready() {
        written(StatusCode::OK, &Health { status: "ok", object, message: "Service is ready." })
    } else {
        let health = Health { status: "unavailable", object, message: "Service is not ready." };
        written(StatusCode::SERVICE_UNAVAILABLE, &health)
    }
}

/// Readiness for new requests, in the form of Weaviate.
#[utoipa::path(get, path = "/.well-known/ready", tag = "set-up", operation_id = "well_known_ready",
    responses((status = 204, description = "Ready."), (status = 503, description = "Shutting down.")))]
pub(super) fn well_known(app: &App) -> Response {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = if app.is_ready() { StatusCode::NO_CONTENT } else { StatusCode::SERVICE_UNAVAILABLE };
    response
}

/// The need of a key, in the form of Xinference.
#[utoipa::path(get, path = "/v1/cluster/auth", tag = "set-up", operation_id = "cluster_auth",
    responses((status = 200, description = "The need of a key.", body = ClusterAuth)))]
pub(super) fn cluster_auth(app: &App) -> Response {
    written(StatusCode::OK, &ClusterAuth { auth: app.callers.are_asked() })
}

/// An answer with a value in JSON.
fn written(status: StatusCode, value: &impl Serialize) -> Response {
    let mut response = json(serde_json::to_vec(value).unwrap_or_default());
    *response.status_mut() = status;
    response
}
