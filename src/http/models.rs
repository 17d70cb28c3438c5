//! The models that can be asked for: the answers to `GET /v1/models` and `/v1/models/{id}`.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::provider::ScoreScale;
use crate::route::shadow::{Shadow, ShadowReport};
use crate::route::{RouteTable, Target};

/// The models, configured ones first.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct ModelList {
    #[schema(example = "list")]
    object: &'static str,
    data: Vec<Model>,
}

/// One model and its targets.
#[derive(Debug, Serialize, ToSchema)]
#[expect(clippy::struct_field_names, reason = "the wire's own names")]
pub(super) struct Model {
    /// Name of the model in requests.
    #[schema(example = "default")]
    id: String,
    /// Always `model`. Clients of Xinference read `model_type` instead.
    #[schema(example = "model")]
    object: &'static str,
    #[schema(example = "rerank")]
    model_type: &'static str,
    /// Name of the first target's upstream.
    #[schema(example = "cohere")]
    owned_by: String,
    /// Addresses of the targets, in the order in which they are tried.
    #[schema(example = json!(["cohere/rerank-v4.0-fast", "local/lexical"]))]
    targets: Vec<String>,
    /// Scale of the first target's scores. For `local` with a cross-encoder, the scale for queries in Latin script; the
    /// scale for others is `lexical`, and their answers say so.
    score_scale: Option<ScoreScale>,
    /// Agreement with another model's ranking of the same requests, if one is being compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<ShadowReport>,
}

/// Lists the models of all routes with their aliases, then those of all upstreams as `UPSTREAM/MODEL`.
pub(super) fn list(routes: &RouteTable) -> ModelList {
    let mut data = Vec::new();
    for route in routes.routes() {
        let shadow = route.shadow.as_deref();
        data.push(model(route.model.clone(), &route.targets, shadow));
        for alias in &route.aliases {
            // A pattern stands for many names and is none itself.
            if !alias.is_pattern() {
                data.push(model(alias.as_str().to_owned(), &route.targets, shadow));
            }
        }
    }
    for upstream in routes.upstreams() {
        for name in upstream.models() {
            if let Some(target) = Target::direct(upstream, name) {
                data.push(model(target.address(), &[Arc::new(target)], None));
            }
        }
    }
    ModelList { object: "list", data }
}

/// Describes the model that a request with this name would get.
///
/// # Errors
/// `unknown_model` with the known names; `invalid_request` if several upstreams have a model of this name.
pub(super) fn one(routes: &RouteTable, name: &str) -> Result<Model, Error> {
    let route = routes.resolve(Some(name))?;
    Ok(model(name.to_owned(), &route.targets, route.shadow.as_deref()))
}

fn model(id: String, targets: &[Arc<Target>], shadow: Option<&Shadow>) -> Model {
    let (owned_by, score_scale) = match targets.first() {
        Some(first) => (first.upstream.name.clone(), Some(first.facts.scale)),
        None => (String::new(), None),
    };
    Model {
        id,
        object: "model",
        model_type: "rerank",
        owned_by,
        targets: targets.iter().map(|target| target.address()).collect(),
        score_scale,
        shadow: shadow.map(Shadow::report),
    }
}
