//! The OpenAPI document and the page that shows it. The page loads nothing from other hosts.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::response::Response;
use utoipa::OpenApi;
use utoipa::openapi::path::{Operation, ParameterBuilder, ParameterIn};
use utoipa::openapi::schema::{ObjectBuilder, Type};
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::openapi::{Content, HttpMethod, PathItem, Ref, RefOr, Required, ResponseBuilder};
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::schema::{self, dialects};
use super::{App, health, rerank, setup};
use crate::dialect::problem;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "rerankd",
        description = "The reranking sidecar for RAG applications: post a query and its passages, get them back best \
            first.\n\nErrors are problem details (RFC 9457) with a stable `code`. Clients of other rerank APIs are \
            answered in their own shape, by the fields of their body, a path prefix such as `/voyage/…`, or the header \
            `X-Rerank-Dialect`; any prefix may stand before a path.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(
        rerank::rerank, setup::models, setup::model, setup::info, setup::meta, setup::health, setup::well_known,
        setup::cluster_auth, health::healthz, health::readyz, health::metrics,
    ),
    components(schemas(
        schema::RerankBody, schema::RerankAnswer, problem::Problem,
        dialects::TeiBody, dialects::TeiAnswer, dialects::MixedbreadBody, dialects::MixedbreadAnswer,
        dialects::NvidiaBody, dialects::NvidiaAnswer, dialects::DashScopeBody, dialects::DashScopeAnswer,
        dialects::DeepInfraBody, dialects::DeepInfraAnswer, dialects::WeaviateBody, dialects::WeaviateAnswer,
        dialects::PineconeBody, dialects::PineconeAnswer,
    )),
    servers((url = "/", description = "This server")),
    tags(
        (name = "rerank", description = "Reranking"),
        (name = "dialects", description = "The same for clients of other rerank APIs"),
        (name = "models", description = "What can be asked for"),
        (name = "set-up", description = "What clients of other servers ask first"),
        (name = "operations", description = "Probes and metrics"),
    ),
    security((), ("key" = [])),
    modifiers(&Finish),
)]
struct Document;

/// The operation `rerank` at another path, in the native dialect or another.
struct Variant {
    path: &'static str,
    id: &'static str,
    /// Names of the schemas of body and answer; `None` for the native ones.
    schemas: Option<(&'static str, &'static str)>,
    /// True if the path names the model. A model in the body takes precedence.
    has_model: bool,
}

const VARIANTS: [Variant; 10] = [
    Variant::family("/v1/rerank", "rerank_v1"),
    Variant::family("/v2/rerank", "rerank_v2"),
    Variant::own("/tei/rerank", "rerank_tei", ("TeiBody", "TeiAnswer")),
    Variant::own("/v1/reranking", "rerank_mixedbread", ("MixedbreadBody", "MixedbreadAnswer")),
    Variant::own("/v1/ranking", "rerank_nvidia", ("NvidiaBody", "NvidiaAnswer")),
    Variant {
        has_model: true,
        ..Variant::own("/v1/retrieval/{model}/reranking", "rerank_nvidia_hosted", ("NvidiaBody", "NvidiaAnswer"))
    },
    Variant::own(
        "/api/v1/services/rerank/text-rerank/text-rerank",
        "rerank_dashscope",
        ("DashScopeBody", "DashScopeAnswer"),
    ),
    Variant {
        has_model: true,
        ..Variant::own("/inference/{model}", "rerank_deepinfra", ("DeepInfraBody", "DeepInfraAnswer"))
    },
    Variant::own("/weaviate/rerank", "rerank_weaviate", ("WeaviateBody", "WeaviateAnswer")),
    Variant::own("/pinecone/rerank", "rerank_pinecone", ("PineconeBody", "PineconeAnswer")),
];

impl Variant {
    /// A variant with the native schemas, which cover the whole Cohere family.
    const fn family(path: &'static str, id: &'static str) -> Self {
        Self { path, id, schemas: None, has_model: false }
    }

    /// A variant with schemas of its own.
    const fn own(path: &'static str, id: &'static str, schemas: (&'static str, &'static str)) -> Self {
        Self { schemas: Some(schemas), ..Self::family(path, id) }
    }

    /// Turns `operation`, the native one, into this variant.
    fn of(&self, mut operation: Operation) -> Operation {
        operation.operation_id = Some(self.id.to_owned());
        if let Some((body, answer)) = self.schemas {
            operation.tags = Some(vec!["dialects".to_owned()]);
            if let Some(RefOr::T(request)) = &mut operation.request_body {
                request.content.insert("application/json".to_owned(), content(body).into());
            }
            for (status, response) in &mut operation.responses.responses {
                let RefOr::T(response) = response else { continue };
                let name = if status == "200" { answer } else { "Problem" };
                response.content.clear();
                response.content.insert("application/json".to_owned(), content(name).into());
            }
            // TEI's own status for requests that it refuses.
            if self.path.starts_with("/tei") {
                let refused = ResponseBuilder::new().description("`invalid_request` or `too_many_documents`");
                let refused = refused.content("application/json", content("Problem")).build();
                operation.responses.responses.insert("422".to_owned(), refused.into());
            }
        }
        if self.has_model {
            let model = ParameterBuilder::new().name("model").parameter_in(ParameterIn::Path).required(Required::True);
            let model = model.schema(Some(ObjectBuilder::new().schema_type(Type::String).build()));
            operation.parameters.get_or_insert_default().push(model.example(Some("default".into())).build().into());
        }
        operation
    }
}

/// The content of a body or answer with the schema `name`.
fn content(name: &str) -> Content {
    Content::builder().schema(Some(Ref::from_schema_name(name))).build()
}

/// Adds the parts of the document that the derive cannot express: the key and the variants.
struct Finish;

impl utoipa::Modify for Finish {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("One of server.api_keys; needed only if any is configured."))
            .build();
        document.components.get_or_insert_default().add_security_scheme("key", SecurityScheme::Http(bearer));
        let paths = &mut document.paths.paths;
        let Some(native) = paths.get_mut("/rerank").and_then(|item| item.post.as_mut()) else { return };
        // In the derive an `Option` would make the header nullable, which headers are not.
        for parameter in native.parameters.iter_mut().flatten() {
            if let RefOr::T(parameter) = parameter {
                parameter.required = Required::False;
            }
        }
        let native = native.clone();
        for variant in &VARIANTS {
            let item = PathItem::new(HttpMethod::Post, variant.of(native.clone()));
            paths.insert(variant.path.to_owned(), item);
        }
    }
}

/// The document, which is built once.
static JSON: LazyLock<String> = LazyLock::new(|| {
    let mut json = Document::openapi().to_pretty_json().unwrap_or_default();
    json.push('\n');
    json
});

/// The OpenAPI document as indented JSON with a line break at the end.
#[must_use]
pub fn json() -> &'static str {
    &JSON
}

pub(super) async fn document() -> Response {
    super::json(json())
}

/// The routes of the page at `/docs`.
pub(super) fn docs() -> Router<Arc<App>> {
    // The page's badge would ask a public validator about the document.
    SwaggerUi::new("/docs").config(Config::from("/openapi.json").validator_url("none")).into()
}
