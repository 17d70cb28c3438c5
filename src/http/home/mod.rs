//! The page at `/`: a form that reranks, the models, and links. Clients that are no browsers get the links as JSON.
//!
//! Neither holds anything of any caller: the page asks the API with the key that its visitor types, so both need none.

use std::sync::{Arc, LazyLock};

use axum::Router;
use axum::body::Bytes;
use axum::response::Response;
use axum::routing::{MethodRouter, get};
use http::{HeaderMap, HeaderValue, header};
use rerankd_core::error::{Error, ErrorKind};
use serde::Serialize;
use utoipa::ToSchema;

use super::handler_error::HandlerError;
use super::{App, json};

/// The page may load and ask this server alone, runs no script but its own file, and stands in no frame.
const CONTENT_SECURITY_POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; \
    connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'";
/// Life of the files in browsers: none, so a newer binary has its page at once.
const CACHE_CONTROL: &str = "no-cache";

const HTML: &str = "text/html; charset=utf-8";
const STYLE: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const ICON: &str = "image/svg+xml";

/// The page, with the version of this binary.
static PAGE: LazyLock<String> =
    LazyLock::new(|| include_str!("page.html").replace("{version}", env!("CARGO_PKG_VERSION")));

/// The server and its main paths.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Service {
    /// Name of the server.
    #[schema(example = "rerankd")]
    name: &'static str,
    /// Version of the server.
    #[schema(example = "0.1.0")]
    version: &'static str,
    /// Path of reranking.
    #[schema(example = "/rerank")]
    rerank: &'static str,
    /// Path of the list of models.
    #[schema(example = "/v1/models")]
    models: &'static str,
    /// Path of the documentation.
    #[schema(example = "/docs/")]
    documentation: &'static str,
    /// Path of the OpenAPI document.
    #[schema(example = "/openapi.json")]
    openapi: &'static str,
}

/// The routes of the page and its files.
pub(super) fn routes() -> Router<Arc<App>> {
    Router::new()
        .route("/", get(home).post(refuse_post))
        .route("/page.css", file(STYLE, include_str!("page.css")))
        .route("/page.js", file(SCRIPT, include_str!("page.js")))
        .route("/favicon.svg", file(ICON, include_str!("icon.svg")))
        // Where browsers look on pages that name no icon, such as the JSON of this server.
        .route("/favicon.ico", file(ICON, include_str!("icon.svg")))
}

/// Describe the server: a page for browsers, its paths as JSON for others.
#[utoipa::path(get, path = "/", tag = "operations", operation_id = "home",
    responses((status = 200, description = "The page, for clients that accept `text/html`, or the paths.",
        content((Service = "application/json"), (String = "text/html")))))]
pub(super) async fn home(headers: HeaderMap) -> Response {
    let mut response = if accepts_html(&headers) {
        written(HTML, &PAGE)
    } else {
        let service = Service {
            name: "rerankd",
            version: env!("CARGO_PKG_VERSION"),
            rerank: "/rerank",
            models: "/v1/models",
            documentation: "/docs/",
            openapi: "/openapi.json",
        };
        json(serde_json::to_vec(&service).unwrap_or_default())
    };
    response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
    response
}

/// Some clients append nothing to their base URL. Their POST is told the path to use.
async fn refuse_post() -> HandlerError {
    HandlerError::native(Error::new(ErrorKind::MethodNotAllowed, "POST does not work here; did you mean /rerank?"))
}

/// The route of one file.
fn file(content_type: &'static str, content: &'static str) -> MethodRouter<Arc<App>> {
    get(async move || written(content_type, content))
}

/// The answer with a file or the page, which browsers keep to themselves.
fn written(content_type: &'static str, content: &'static str) -> Response {
    let mut response = Response::new(Bytes::from_static(content.as_bytes()).into());
    for (name, value) in [
        (header::CONTENT_TYPE, content_type),
        (header::CONTENT_SECURITY_POLICY, CONTENT_SECURITY_POLICY),
        (header::CACHE_CONTROL, CACHE_CONTROL),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
    ] {
        response.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Returns true if a client asks for HTML by name, as browsers do. Others accept anything, and read JSON.
fn accepts_html(headers: &HeaderMap) -> bool {
    let mut accepted = headers.get_all(header::ACCEPT).iter().filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.to_ascii_lowercase().contains("text/html"))
}
