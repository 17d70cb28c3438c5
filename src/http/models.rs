//! What can be asked for, as clients ask: `GET /v1/models` and `/v1/models/{id}`.

use std::sync::Arc;

use serde::Serialize;
use utoipa::ToSchema;

use crate::error::Error;
use crate::provider::ScoreScale;
use crate::route::alias::Alias;
use crate::route::shadow::{Shadow, ShadowReport};
use crate::route::{RouteTable, Target};

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
    /// Xinference's clients look at `model_type`.
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
    /// What the first target's scores mean. Of `local` with a cross-encoder, for queries in Latin script; others have `lexical`, and their answers say so.
    score_scale: Option<ScoreScale>,
    /// How alike another model ranks the same requests, if one is being compared.
    #[serde(skip_serializing_if = "Option::is_none")]
    shadow: Option<ShadowReport>,
}

/// Every model that has a name of its own.
pub(super) fn list(routes: &RouteTable) -> ModelList {
    let configured = routes.routes().flat_map(|route| {
        let aliases = route.aliases.iter().filter(|alias| !alias.is_pattern()).map(Alias::as_str);
        let names = std::iter::once(route.model.as_str()).chain(aliases);
        names.map(|name| model(name.to_owned(), &route.targets, route.shadow.as_deref())).collect::<Vec<_>>()
    });
    let direct = routes.upstreams().iter().flat_map(|upstream| {
        let targets = upstream.models().into_iter().filter_map(|model| Target::direct(upstream, model));
        targets.map(|target| model(target.address(), &[Arc::new(target)], None)).collect::<Vec<_>>()
    });
    ModelList { object: "list", data: configured.chain(direct).collect() }
}

/// The model of this name, as a request would find it.
///
/// # Errors
/// `unknown_model`, with the names that are known; `invalid_request` if several upstreams have a model of this name.
pub(super) fn one(routes: &RouteTable, name: &str) -> Result<Model, Error> {
    let route = routes.resolve(Some(name))?;
    Ok(model(name.to_owned(), &route.targets, route.shadow.as_deref()))
}

fn model(id: String, targets: &[Arc<Target>], shadow: Option<&Shadow>) -> Model {
    Model {
        id,
        object: "model",
        model_type: "rerank",
        owned_by: targets.first().map(|target| target.upstream.name.clone()).unwrap_or_default(),
        targets: targets.iter().map(|target| target.address()).collect(),
        score_scale: targets.first().map(|target| target.facts.scale),
        shadow: shadow.map(Shadow::report),
    }
}
