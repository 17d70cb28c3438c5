//! The OpenAPI document and the page that shows it. Nothing of either comes from another host.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::response::Response;
use utoipa::OpenApi;
use utoipa_swagger_ui::{Config, SwaggerUi};

use super::schema::{RerankAnswer, RerankBody};
use super::{App, health, models, rerank};
use crate::dialect::problem;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "rerankd",
        description = "The reranking sidecar for RAG applications: post a query and its passages, get them back best first.\n\nErrors are problem details (RFC 9457) with a stable `code`. `/v1/rerank` and `/v2/rerank` are the same as `/rerank`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0"),
    ),
    paths(rerank::rerank, models::models, health::healthz, health::readyz, health::metrics),
    components(schemas(RerankBody, RerankAnswer, problem::Problem)),
    servers((url = "/", description = "This server")),
    tags(
        (name = "rerank", description = "Reranking"),
        (name = "models", description = "What can be asked for"),
        (name = "operations", description = "Probes and metrics"),
    ),
    security((), ("key" = [])),
    modifiers(&Finish),
)]
struct Document;

/// What the derive cannot say.
struct Finish;

impl utoipa::Modify for Finish {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
        let bearer = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some("One of server.api_keys; needed only if any is configured."))
            .build();
        document.components.get_or_insert_default().add_security_scheme("key", SecurityScheme::Http(bearer));
        // The same operation at its other paths, each under an id of its own.
        if let Some(rerank) = document.paths.paths.get("/rerank").cloned() {
            for (path, id) in [("/v1/rerank", "rerank_v1"), ("/v2/rerank", "rerank_v2")] {
                let mut item = rerank.clone();
                if let Some(operation) = &mut item.post {
                    operation.operation_id = Some(id.to_owned());
                }
                document.paths.paths.insert(path.to_owned(), item);
            }
        }
    }
}

static JSON: LazyLock<String> = LazyLock::new(|| {
    let mut json = Document::openapi().to_pretty_json().unwrap_or_default();
    json.push('\n');
    json
});

/// The document as pretty JSON, ending in a line break.
#[must_use]
pub fn json() -> &'static str {
    &JSON
}

pub(super) async fn document() -> Response {
    super::json(json())
}

/// The page at `/docs`.
pub(super) fn docs() -> Router<Arc<App>> {
    // The page's badge would ask a public validator about the document.
    SwaggerUi::new("/docs").config(Config::from("/openapi.json").validator_url("none")).into()
}
