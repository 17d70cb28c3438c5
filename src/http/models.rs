//! `GET /v1/models`: what can be asked for.

use std::sync::Arc;

use axum::extract::State;
use axum::response::Response;
use serde::Serialize;
use utoipa::ToSchema;

use super::{App, json};
use crate::dialect::problem::Problem;
use crate::provider::ScoreScale;
use crate::route::{Route, RouteTable, Target};

/// The models, configured ones first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelList {
    #[schema(example = "list")]
    object: &'static str,
    data: Vec<Model>,
}

/// One model.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the wire's own names")]
pub(super) struct Model {
    /// The name to ask for.
    #[schema(example = "default")]
    id: String,
    #[schema(example = "model")]
    object: &'static str,
    #[schema(example = "rerank")]
    model_type: &'static str,
    /// The upstream of the first target.
    #[schema(example = "cohere")]
    owned_by: String,
    /// The targets, in the order in which they are tried.
    #[schema(example = json!(["cohere/rerank-v4.0-fast", "local/lexical"]))]
    targets: Vec<String>,
    /// What the first target's scores mean.
    score_scale: Option<ScoreScale>,
}

/// List the models that can be asked for.
#[utoipa::path(get, path = "/v1/models", tag = "models", operation_id = "models",
    responses(
        (status = 200, description = "The models.", body = ModelList),
        (status = 401, description = "`unauthorized`", body = Problem<'static>, content_type = "application/problem+json"),
    ))]
pub(super) async fn models(State(app): State<Arc<App>>) -> Response {
    json(serde_json::to_vec(&list(&app.reranker.routes)).unwrap_or_default())
}

fn list(routes: &RouteTable) -> ModelList {
    let configured = routes.routes().map(|route: &Route| model(route.model.clone(), &route.targets));
    let direct = routes.upstreams().iter().flat_map(|upstream| {
        let targets = upstream.models().into_iter().filter_map(|model| Target::new(upstream.clone(), model, ""));
        targets.map(|target| model(target.address(), &[target])).collect::<Vec<_>>()
    });
    ModelList { object: "list", data: configured.chain(direct).collect() }
}

fn model(id: String, targets: &[Target]) -> Model {
    Model {
        id,
        object: "model",
        model_type: "rerank",
        owned_by: targets.first().map(|target| target.upstream.name.clone()).unwrap_or_default(),
        targets: targets.iter().map(Target::address).collect(),
        score_scale: targets.first().map(|target| target.facts.scale),
    }
}
